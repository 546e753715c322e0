"""What one source brings: which coins it carries, and which blocks it can believe."""

from __future__ import annotations

from decimal import Decimal

from discovery.blocks import AHEAD_MS
from discovery.sockets import QUOTES_AHEAD_MS, FrameIntake
from exchange.wire import AllMids, Bbo, TradesFrame
from tests.discovery.trades import FIRST_MS, trade
from traders.cursors import Arrival


class Source(FrameIntake):
    """A source whose arrivals are kept; times are milliseconds since the first block."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.mids: list[AllMids] = []
        super().__init__(self.arrivals.append, self.mids.append)

    def bring(self, coin: str, at: int, *, is_replay: bool = False) -> None:
        frame = TradesFrame(coin, (trade(at, coin=coin, time_ms=FIRST_MS + at),), 0)
        self.take(frame, is_replay=is_replay)

    def tick(self, at: int, coin: str = "BTC") -> None:
        self.take(Bbo(coin, FIRST_MS + at, Decimal(1), Decimal(2)))

    @property
    def told(self) -> list[tuple[str, int]]:
        return [(one.coin, one.trades[0].time_ms - FIRST_MS) for one in self.arrivals]


def carrying(*coins: str) -> Source:
    """Return a source that carries these coins, each with a block at 0."""
    source = Source()
    source.follow(set(coins), connected=True)
    for coin in coins:
        source.bring(coin, 0, is_replay=True)
    source.arrivals.clear()
    return source


def test_a_coin_is_carried_once_it_is_acknowledged_and_its_replay_has_come():
    source = Source()
    source.bring("BTC", 0)
    source.follow({"BTC", "ETH"}, connected=True)
    assert source.carried == []

    source.bring("BTC", 1, is_replay=True)
    assert source.carried == ["BTC"]
    assert [one.is_replay for one in source.arrivals] == [False, True]


def test_a_replay_may_come_before_its_acknowledgement():
    source = Source()
    source.follow(set(), connected=True)
    source.bring("BTC", 0, is_replay=True)
    source.follow({"ETH"}, connected=True)
    assert source.carried == []

    source.follow({"BTC", "ETH"}, connected=True)
    assert source.carried == ["BTC"]


def test_a_replay_of_an_earlier_connection_proves_nothing():
    source = Source()
    source.bring("BTC", 0, is_replay=True)
    source.follow(set(), connected=False)
    source.follow({"BTC"}, connected=True)

    assert source.carried == []


def test_a_coin_that_is_lost_tells_with_its_next_replay_up_to_when_it_was_carried():
    source = carrying("BTC", "ETH")
    source.bring("ETH", 50)
    source.follow({"ETH"}, connected=True)
    assert source.carried == ["ETH"]
    # Its own frame of the newest block may be on its way.
    assert source.lost == {"BTC": FIRST_MS + 49}
    source.bring("ETH", 90)
    source.follow({"BTC", "ETH"}, connected=True)
    source.bring("BTC", 95, is_replay=True)
    source.bring("ETH", 95, is_replay=True)

    assert [one.covered_until_ms for one in source.arrivals[-2:]] == [FIRST_MS + 49, None]
    assert source.carried == ["BTC", "ETH"]
    assert source.lost == {}


def test_a_block_that_comes_after_a_newer_one_of_its_coin_is_late():
    source = carrying("BTC", "ETH")
    source.bring("BTC", 9)
    source.bring("ETH", 5)
    source.bring("BTC", 7)
    source.bring("BTC", 8)
    source.bring("BTC", 10)

    assert [one.is_late for one in source.arrivals] == [False, False, True, True, False]


def test_a_frame_knows_the_newest_block_of_its_time():
    source = carrying("BTC", "ETH")
    source.tick(40_000)
    source.bring("ETH", 5)

    assert source.arrivals[0].clock_ms == FIRST_MS + 40_000 - QUOTES_AHEAD_MS


def test_a_quote_claims_no_trade_that_may_be_on_its_way():
    source = carrying("BTC", "ETH")
    source.tick(1_000)
    assert source.carried_until_ms == FIRST_MS + 1_000 - QUOTES_AHEAD_MS - 1
    source.bring("ETH", 1_000)
    assert source.carried_until_ms == FIRST_MS + 1_000 - 1


def test_two_clocks_are_believed_where_nobody_trades():
    source = carrying("xyz:KR200")
    source.tick(2 * AHEAD_MS)
    assert source.newest_block_ms == FIRST_MS
    source.tick(2 * AHEAD_MS + 70, coin="ETH")

    assert source.newest_block_ms == FIRST_MS + 2 * AHEAD_MS + 70 - QUOTES_AHEAD_MS


def test_a_frame_of_the_future_waits_until_another_coin_comes_near_it():
    source = carrying("BTC", "ETH", "SOL")
    future = AHEAD_MS + 100
    source.bring("BTC", future)
    source.bring("BTC", future + 1)
    source.bring("ETH", 20)
    assert source.told == [("ETH", 20)]
    assert source.newest_block_ms == FIRST_MS + 20

    source.bring("SOL", 100)
    assert source.told == [("ETH", 20), ("SOL", 100), ("BTC", future)]
    source.tick(200 + QUOTES_AHEAD_MS)
    assert source.told[3:] == [("BTC", future + 1)]


def test_after_a_silence_of_all_coins_two_of_them_are_enough():
    source = carrying("BTC", "ETH", "SOL")
    later = 10 * AHEAD_MS
    source.bring("BTC", later)
    assert source.told == []

    source.bring("ETH", later + 5)
    assert sorted(source.told) == [("BTC", later), ("ETH", later + 5)]
    assert source.newest_block_ms == FIRST_MS + later + 5


def test_a_block_of_the_future_makes_no_block_of_now_late():
    source = carrying("BTC", "ETH")
    source.bring("BTC", 2 * AHEAD_MS)
    source.bring("BTC", 5)

    assert [(one.coin, one.is_late) for one in source.arrivals] == [("BTC", False)]


def test_mids_go_their_own_way():
    source = Source()
    mids = AllMids("", {"BTC": Decimal(1)})
    source.take(mids)

    assert (source.mids, source.arrivals, source.trades) == ([mids], [], 0)
