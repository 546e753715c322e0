"""What staff may do with traders: queue them, never ask the exchange."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db.models.functions import Now
from django.urls import reverse

from hlcopy.clock import utc_now
from tests.traders.book import add_trader
from traders import claims
from traders.models import Trader

pytestmark = pytest.mark.django_db
TRADERS = reverse("admin:traders_trader_changelist")


def act(client, action, *traders):
    chosen = {"action": action, "_selected_action": [trader.pk for trader in traders]}
    return client.post(TRADERS, chosen, follow=True)


def test_a_trader_is_queued_for_the_next_pass(admin_client):
    wanted = [add_trader(number) for number in range(1, 5)][-1]  # the others come before it

    assert "Tracked in the next pass: 1" in act(admin_client, "track_next", wanted).content.decode()

    batch = claims.claim(1, lease_seconds=60, before=utc_now(), alone=True)
    assert [claim.trader_id for claim in batch.claims] == [wanted.pk]


def test_a_trader_in_quarantine_gets_another_chance(admin_client):
    trader = add_trader()
    Trader.objects.update(quarantined_at=Now(), unfinished_claims=3, last_error="it died")

    assert "Tracked in the next pass: 0" in act(admin_client, "track_next", trader).content.decode()
    assert "Released: 1" in act(admin_client, "release", trader).content.decode()

    batch = claims.claim(1, lease_seconds=60, before=utc_now(), alone=True)
    assert [claim.trader_id for claim in batch.claims] == [trader.pk]
    assert not batch.alone


def test_who_may_only_look_may_queue_nobody(client, django_user_model):
    viewer = django_user_model.objects.create_user("viewer", password="look", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_trader"))
    client.force_login(viewer)
    trader = add_trader()

    act(client, "track_next", trader)

    assert Trader.objects.get().retry_at is None
