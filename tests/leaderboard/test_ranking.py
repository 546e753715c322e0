"""Boards over real rows: who is ranked, in which order, and what a reader sees meanwhile."""

from __future__ import annotations

import pytest
from django.db import connection

from leaderboard import ranking, scoring
from leaderboard.metrics import METRICS
from leaderboard.models import Board, LeaderboardMetric
from tests.leaderboard.history import (
    WEIGHTS,
    add_day,
    add_nav,
    add_ranked,
    publish,
    ranked,
    row,
)

pytestmark = pytest.mark.django_db


def partitions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'leaderboard_metric'::regclass"
        )
        return {name for (name,) in cursor.fetchall()}


def test_nobody_is_ranked_without_a_snapshot_or_in_quarantine():
    fine = add_ranked()
    unseen = add_ranked(tracked=False)
    quarantined = add_ranked(quarantined_at=fine.first_seen_at)
    for trader in (fine, unseen, quarantined):
        add_day(trader, volume_usd=1)
    add_ranked()  # tracked, and not seen on any day

    boards = publish()

    assert ranked(boards["all"]) == [fine.pk]
    assert boards["all"].traders == 1


def test_a_window_ranks_who_was_seen_in_it():
    old, new = add_ranked(age_days=50), add_ranked()
    add_day(old, 40, volume_usd=5)
    add_day(new, 3, volume_usd=1)

    boards = publish()

    assert {window: len(ranked(board)) for window, board in boards.items()} == {
        "7": 1,
        "30": 1,
        "90": 2,
        "all": 2,
    }


def test_the_better_trader_stands_first_and_each_score_explains_itself():
    good, bad = add_ranked(age_days=100), add_ranked(age_days=1)
    add_nav(good, 2, [1, 1.5], wins=8, losses=2, gross_profit=80, gross_loss=10, volume_usd=9)
    add_nav(bad, 2, [1, 0.5], wins=1, losses=3, gross_profit=1, gross_loss=30, volume_usd=5)
    odd = add_ranked()
    add_nav(odd, 1, [1, 0.8, 1.1], volume_usd=6, events=1)

    board = publish()["30"]

    assert ranked(board) == [good.pk, odd.pk, bad.pk]
    assert row(board, good).trader_score == 1.0
    assert row(board, bad).trader_score == 0.0
    board.refresh_from_db()
    for metric in LeaderboardMetric.objects.filter(board=board):
        values = {name: getattr(metric, name) for name in METRICS}
        values = {name: None if v is None else float(v) for name, v in values.items()}
        components = scoring.explain(values, board.bounds, board.weights)
        assert scoring.score(components) == metric.trader_score
    assert row(board, odd).win_rate is None


def test_with_one_trader_or_equal_ones_every_known_metric_counts_half():
    traders = [add_ranked(age_days=5) for _ in range(3)]
    for trader in traders:
        add_nav(trader, 1, [1, 0.9], wins=1, losses=1, gross_profit=2, gross_loss=1, events=2)

    board = publish()["30"]

    assert {row(board, trader).trader_score for trader in traders} == {0.5}


def test_equal_scores_are_ordered_by_volume_then_by_who_was_seen_first():
    first, second, third = (add_ranked(age_days=5) for _ in range(3))
    add_day(first, volume_usd=1)
    add_day(second, volume_usd=1)
    add_day(third, volume_usd=9)

    board = publish({"account_age_days": 1.0})["30"]

    assert ranked(board) == [third.pk, first.pk, second.pk]


def test_a_metric_that_nobody_has_adds_nothing():
    trader = add_ranked()
    add_day(trader, snapshots=1)

    board = publish()["30"]

    assert board.bounds["win_rate"] is None
    assert row(board, trader).trader_score == pytest.approx(0.05)
    assert row(board, trader).total_volume_usd is None


def test_an_empty_book_gives_empty_boards():
    assert [board.traders for board in publish().values()] == [0, 0, 0, 0]


@pytest.mark.django_db(transaction=True)
def test_old_boards_go_but_the_one_before_stays_for_who_reads_it():
    trader = add_ranked()
    add_day(trader, volume_usd=1)
    generations = [publish()["30"].pk for _ in range(3)]

    ranking.remove_unused()

    assert (
        list(Board.objects.filter(window="30").order_by("id").values_list("pk", flat=True))
        == (generations[1:])
    )
    assert partitions() == {
        ranking.partition(number) for number in Board.objects.values_list("pk", flat=True)
    }
    assert ranked(Board.objects.get(pk=generations[1])) == [trader.pk]


def test_the_hash_names_the_proportions_of_the_weights():
    doubled = {name: 2 * weight for name, weight in reversed(WEIGHTS.items())}
    assert scoring.weights_hash(doubled) == scoring.weights_hash(WEIGHTS)
    assert scoring.weights_hash(WEIGHTS | {"win_rate": 0.4}) != scoring.weights_hash(WEIGHTS)
