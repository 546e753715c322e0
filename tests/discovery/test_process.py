"""The stream process against a simulated exchange: coins, coverage, faults."""

from __future__ import annotations

import asyncio

import pytest

from discovery.process import for_at_most
from discovery.sockets import live_coins
from discovery.status import StatusLine
from exchange.liveness import Patience
from hlcopy.clock import utc_now
from simulator import Simulator
from simulator.faults import Faults
from tests.discovery.live import address, covering, discovering, known, market, until, users
from traders.models import Coin, FeedSocket, Trader


@pytest.fixture
def sim():
    """A market that stands still."""
    with Simulator(market()) as simulator:
        yield simulator


def test_it_carries_every_perpetual_on_both_sockets_and_finds_both_sides_of_a_trade(
    transactional_db, sim
):
    with discovering(sim):
        until(lambda: covering("BTC", "ETH"), "both coins on both sockets")
        blocks = [sim.trade(address(number), "BTC", "0.1") for number in range(20)]
        blocks.append(sim.trade(address(0), "ETH", "1", counterparty=address(1), parts=5))
        until(lambda: known(users(*blocks)), "all traders")

    assert not FeedSocket.objects.filter(connected=True).exists()


def test_the_replay_after_subscribing_finds_those_who_traded_before(transactional_db, sim):
    earlier = sim.trade(address(7), "ETH", "1")

    with discovering(sim):
        until(lambda: known(users(earlier)), "the trader of before")


def test_what_two_sockets_deliver_counts_once(transactional_db, sim):
    with discovering(sim) as discovery:
        until(lambda: covering("BTC", "ETH"))
        until(lambda: not discovery.queue)
        received, unique = discovery.queue.received, discovery.queue.unique
        for number in range(10):
            sim.trade(address(number), "BTC", "0.1", parts=3)
        until(lambda: discovery.queue.received >= received + 60, "ten blocks twice")

        assert discovery.queue.unique == unique + 30


@pytest.mark.parametrize(
    "fault",
    [
        Faults(garbage_every=2),
        Faults(duplicate_every=1),
        Faults(late_blocks_every=2, late_blocks_by=3),
        Faults(drop_every_seconds=0.5),
    ],
    ids=["garbage", "duplicates", "late blocks", "drops"],
)
def test_nobody_is_lost_while_the_feed_misbehaves(transactional_db, sim, fault):
    with discovering(sim) as discovery:
        until(lambda: covering("BTC", "ETH"))
        sim.set_faults(fault)
        blocks = [sim.trade(address(number), "BTC", "0.1") for number in range(25)]
        sim.set_faults(Faults())
        blocks.append(sim.trade(address(99), "BTC", "0.1"))
        until(lambda: known(users(*blocks)), "all traders")
        if fault.garbage_every:
            until(lambda: FeedSocket.objects.filter(bad_frames__gt=0).exists())
        assert discovery.queue.overflowed == 0


def test_a_new_listing_is_carried_within_seconds(transactional_db, sim):
    with discovering(sim) as discovery:
        until(lambda: covering("BTC", "ETH"))
        sim.list_coin("NEWB", price="1")
        sim.run(1)
        until(
            lambda: all("NEWB" in live_coins(feed.stream.state) for feed in discovery.sockets),
            "the new coin",
        )
        sim.pause()
        block = sim.trade(address(3), "NEWB", "5")
        until(lambda: known(users(block)))
        until(lambda: covering("BTC", "ETH", "NEWB"), "its first frame")


def test_unknown_and_delisted_coins_are_named_once_and_the_rest_goes_on(transactional_db, caplog):
    """The exchange goes on showing a mid of MATIC; only the list knows that it is delisted."""
    Coin.objects.create(name="MATIC", size_decimals=1, is_delisted=True, updated_at=utc_now())

    with (
        Simulator(market(coins=("BTC", "MATIC", "PURR/USDC"))) as sim,
        discovering(sim, ("BTC", "MATIC", "NOSUCH", "PURR/USDC")),
    ):
        until(lambda: covering("BTC", "PURR/USDC"))

    warnings = [message for message in caplog.messages if "skipped" in message]
    assert warnings == ["coins skipped: MATIC (delisted), NOSUCH (unknown)"]


def test_a_coin_that_the_server_refuses_is_named_and_the_rest_goes_on(
    transactional_db, sim, caplog
):
    Coin.objects.create(name="GHOST", size_decimals=1, updated_at=utc_now())

    with discovering(sim):
        until(lambda: covering("BTC", "ETH"))
        until(lambda: any("coin=GHOST" in message for message in caplog.messages), "the refusal")


def test_a_builders_dex_is_carried_whole_and_its_traders_have_it(transactional_db, sim):
    with discovering(sim, ("ETH", "xyz:*")):
        until(lambda: covering("ETH", "xyz:TSLA"))
        block = sim.trade(address(4), "xyz:TSLA", "2")
        until(lambda: known(users(block)))

    assert Trader.objects.get(address=address(4)).dexes == ["", "xyz"]


def test_its_rows_stay_young_without_a_trade_and_tell_what_happened(transactional_db, sim):
    with discovering(sim):
        until(lambda: covering("BTC", "ETH"))
        before = FeedSocket.objects.order_by("name").first()
        assert before is not None
        until(lambda: FeedSocket.objects.get(pk=before.pk).seen_at > before.seen_at, "a new row")
        sim.drop()
        until(lambda: FeedSocket.objects.filter(reconnects__gte=1, connected=True).count() == 2)
        after = FeedSocket.objects.get(pk=before.pk)

    assert after.since_at > before.since_at
    assert "1000" in after.last_error
    assert after.newest_block_ms is not None


@pytest.mark.parametrize(
    "fault", [Faults(silence=True), Faults(half_open=True)], ids=["silence", "half open"]
)
def test_a_socket_that_says_nothing_is_replaced_and_nobody_is_lost(transactional_db, sim, fault):
    with discovering(sim, patience=Patience(ping_after=0.3, reconnect_after=0.6)):
        until(lambda: covering("BTC", "ETH"))
        sim.set_faults(fault)
        meanwhile = sim.trade(address(1), "BTC", "1")
        until(lambda: FeedSocket.objects.filter(reconnects__gte=1).count() == 2, "new sockets")
        sim.set_faults(Faults())
        # What the fault swallowed is gone for these sockets too: the next ones get the replay.
        sim.drop()
        until(lambda: known(users(meanwhile)), "who traded meanwhile")
        until(lambda: covering("BTC", "ETH"))


def test_an_exchange_that_refuses_and_comes_back_is_carried_again(transactional_db, sim):
    with discovering(sim):
        until(lambda: covering("BTC", "ETH"))
        sim.set_faults(Faults(refuse_connections=True))
        sim.drop(1006)
        until(lambda: FeedSocket.objects.filter(connected=False, coins=[]).count() == 2)
        meanwhile = sim.trade(address(1), "BTC", "1")
        sim.set_faults(Faults())
        until(lambda: covering("BTC", "ETH"))
        until(lambda: known(users(meanwhile)))


def test_the_status_line_tells_where_it_stands(transactional_db, sim):
    lines: list[str] = []
    with discovering(sim) as discovery:
        status = StatusLine(lines.append)
        until(lambda: covering("BTC", "ETH"))
        traders = Trader.objects.count()
        status.show(discovery.sockets, discovery.writer, 2)

    assert lines[0].startswith("discovery: 2/2 sockets, 2/2 coins, ")
    assert f"{traders} new traders" in lines[0]


@pytest.mark.parametrize("turns", range(4))
async def test_a_wait_that_comes_true_while_it_is_cancelled_stays_cancelled(turns):
    event = asyncio.Event()

    async def work():
        while True:
            await for_at_most(60, event)
            event.clear()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done, "the cancellation was swallowed"
