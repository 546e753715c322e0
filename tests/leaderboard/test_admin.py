"""The boards in the admin: the one that is shown, by rank."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.leaderboard.history import add_day, add_ranked, publish, row
from traders.models import Trader, TraderDay

pytestmark = pytest.mark.django_db


@pytest.fixture
def board():
    """Two publications; the trader of the newer one alone was seen within 7 days."""
    add_day(add_ranked(age_days=50), 20, volume_usd=5)
    publish()
    add_day(add_ranked(), 1, volume_usd=9)
    return publish()


def shown(client, **parameters):
    answer = client.get(reverse("admin:leaderboard_leaderboardmetric_changelist"), parameters)
    assert answer.status_code == 200
    return [metric.trader_id for metric in answer.context["cl"].result_list]


def test_the_list_is_the_newest_board_by_rank(admin_client, board):
    assert len(shown(admin_client)) == 2
    assert len(shown(admin_client, window="7")) == 1


def test_without_a_board_the_list_is_empty(admin_client):
    assert shown(admin_client) == []


def test_who_was_removed_is_not_listed_and_the_record_still_opens(admin_client, board):
    (trader_id,) = shown(admin_client, window="7")
    metric = row(board["7"], trader_id)
    TraderDay.objects.filter(trader=trader_id).delete()
    Trader.objects.filter(pk=trader_id).delete()

    assert shown(admin_client, window="7") == []
    url = reverse("admin:leaderboard_leaderboardmetric_change", args=[metric.pk])
    assert admin_client.get(url).status_code == 200


def test_every_record_opens_and_none_can_be_changed(admin_client, board):
    (trader_id,) = shown(admin_client, window="7")
    metric = row(board["7"], trader_id)
    for name, key in (("leaderboardmetric", metric.pk), ("board", board["7"].pk)):
        url = reverse(f"admin:leaderboard_{name}_change", args=[key])
        answer = admin_client.get(url)
        assert answer.status_code == 200
        assert b'name="_save"' not in answer.content
        assert admin_client.post(url, {"rank": 9}).status_code == 403
    assert admin_client.get(reverse("admin:leaderboard_board_changelist")).status_code == 200
