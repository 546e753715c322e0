"""The leaderboard over HTTP."""

from __future__ import annotations

import pytest

from leaderboard import cache
from tests.leaderboard.history import add_day, add_nav, add_ranked, publish
from traders.models import Trader, TraderDay

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("pages")]
URL = "/api/v1/leaderboard"


def results(client, **parameters):
    answer = client.get(URL, parameters)
    assert answer.status_code == 200, answer.content
    return [row["trader_id"] for row in answer.json()["results"]]


@pytest.fixture
def three():
    """Three traders, the best first; the last without a closed trip."""
    best, middle, idle = add_ranked(age_days=30), add_ranked(age_days=20), add_ranked(age_days=10)
    closed = {"closed": 10, "gross_loss": 10, "gross_profit": 90.5, "events": 20}
    add_nav(best, 1, [1, 1.2, 1.1], wins=8, losses=2, volume_usd=5000, **closed)
    add_nav(middle, 1, [1, 0.7], wins=5, losses=5, volume_usd=7000, **closed)
    add_day(idle, volume_usd=100, snapshots=3)
    publish()
    return best, middle, idle


def test_it_shows_the_board_with_everything_that_explains_it(client, three):
    answer = client.get(URL).json()

    first, _, last = answer.pop("results")
    assert (answer["count"], answer["next"], answer["previous"]) == (3, None, None)
    assert (answer["preset"], answer["window"]) == ("classic", "30")
    assert answer["updated_at"] == "2026-03-31T12:00:00Z"
    assert answer["weights"]["win_rate"] == "0.3"
    assert (first["rank"], first["address"]) == (1, three[0].address)
    assert (first["win_rate"], first["total_volume_usd"]) == ("0.8", "5000")
    assert (first["wins"], first["closed_trips"]) == (8, 10)
    assert first["max_drawdown"] == "0.083333"
    parts = first["components"]
    assert parts["win_rate"] == {
        "value": "0.8",
        "normalised": "1",
        "weight": "0.3",
        "contribution": "0.3",
    }
    total = sum(float(part["contribution"]) for part in parts.values())
    assert float(first["trader_score"]) == pytest.approx(total, abs=1e-4)
    assert last["missing"] == ["win_rate", "max_drawdown", "risk_ratio"]
    assert (last["win_rate"], last["risk_ratio"], last["profit_factor"]) == (None, None, None)
    assert last["age_is_lower_bound"] is True


def test_it_sorts_by_every_metric_with_the_unknown_last(client, three):
    best, middle, idle = (trader.pk for trader in three)

    assert results(client) == [best, middle, idle]
    assert results(client, order="asc") == [idle, middle, best]
    assert results(client, sort_by="total_volume_usd") == [middle, best, idle]
    assert results(client, sort_by="win_rate", order="asc") == [middle, best, idle]
    assert results(client, sort_by="max_drawdown") == [middle, best, idle]


def test_it_filters_and_pages(client, three):
    best, middle, _ = (trader.pk for trader in three)

    assert results(client, min_win_rate="0.6") == [best]
    assert results(client, min_total_volume_usd="1000", max_win_rate=".5") == [middle]
    assert results(client, min_closed_trips=1, max_account_age_days=25) == [middle]
    page = client.get(URL, {"limit": 1, "offset": 1}).json()
    assert (page["count"], len(page["results"])) == (3, 1)
    assert "offset=2" in page["next"]
    assert client.get(page["previous"]).json()["results"][0]["trader_id"] == best


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"sort_by": "profit"}, "trader_score, account_age_days"),
        ({"order": "up"}, "desc, asc"),
        ({"window": "31"}, "7, 30, 90, all"),
        ({"preset": "best"}, "classic"),
        ({"limit": "501"}, "500"),
        ({"limit": "0"}, "1"),
        ({"offset": "100001"}, "100000"),
        ({"min_win_rate": "NaN"}, "number"),
        ({"min_profit": "1"}, "unknown parameter"),
        ({"sort": "rank"}, "known: preset, sort_by, order"),
    ],
)
def test_what_is_unknown_is_refused_with_what_is_allowed(client, parameters, told):
    answer = client.get(URL, parameters)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid"
    assert told in answer.json()["error"]["message"]


def test_who_has_the_page_is_told_so(client, three):
    first = client.get(URL)

    again = client.get(URL, headers={"if-none-match": first["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert client.get(URL, headers={"if-none-match": '"other"'}).status_code == 200


def test_who_was_removed_since_the_ranking_is_left_out_and_nobody_else_moves(client, three):
    best, middle, idle = (trader.pk for trader in three)
    TraderDay.objects.filter(trader=middle).delete()
    Trader.objects.filter(pk=middle).delete()

    assert results(client) == [best, idle]
    assert [results(client, limit=1, offset=n) for n in range(3)] == [[best], [], [idle]]
    page = client.get(URL, {"limit": 1, "offset": 1}).json()
    assert page["count"] == 3  # as it was ranked
    assert "offset=2" in page["next"]
    assert [row["trader_id"] for row in client.get("/leaderboard").json()] == [best, idle]
    assert client.get(f"/api/v1/traders/{middle}/metrics").status_code == 404
    assert client.get(f"/api/v1/traders/{middle}").status_code == 404


def test_a_new_board_is_seen_when_it_is_announced(client, three):
    assert results(client)[0] == three[0].pk
    board = publish({"account_age_days": 1.0})["30"]
    cache.published(board.pk)

    assert client.get(URL).json()["generation"] == board.pk


def test_before_the_first_ranking_there_is_an_empty_board(client):
    answer = client.get(URL).json()

    assert (answer["count"], answer["results"], answer["updated_at"]) == (0, [], None)
    assert client.get("/leaderboard").json() == []


def test_the_classic_route_is_the_plain_array(client, three):
    rows = client.get("/leaderboard").json()

    assert [row["trader_id"] for row in rows] == [trader.pk for trader in three]
    assert rows[0]["trader_score"] == client.get(URL).json()["results"][0]["trader_score"]


def test_a_trader_has_the_metrics_of_every_window(client, three):
    best, _, _ = three
    answer = client.get(f"/api/v1/traders/{best.address}/metrics").json()

    assert list(answer["windows"]) == ["7", "30", "90", "all"]
    assert answer["windows"]["7"]["rank"] == 1
    assert (answer["preset"], answer["unranked"]) == ("classic", None)


def test_who_is_not_ranked_is_told_why(client):
    seen = add_ranked(tracked=False)
    publish()

    answer = client.get(f"/api/v1/traders/{seen.pk}/metrics").json()

    assert answer["windows"] == {"7": None, "30": None, "90": None, "all": None}
    assert answer["unranked"] == "no snapshot of the account yet"
    assert client.get("/api/v1/traders/0x1/metrics").status_code == 404


def test_a_trader_is_shown_with_the_score(client, three):
    score = client.get(f"/api/v1/traders/{three[1].address}").json()["score"]

    assert (score["rank"], score["of"], score["window"]) == (2, 3, "30")
    assert set(score["components"]) >= {"win_rate", "max_drawdown"}
