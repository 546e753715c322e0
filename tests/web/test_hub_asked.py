"""The hub over a log in memory: filters, batches, rewinding, heartbeats and notices."""

from __future__ import annotations

import random
from decimal import Decimal

from tests.traders.book import address
from tests.web.test_hub import COINS, Client, Log, event, hub, log, until
from web.filters import Filter, Resume
from web.hub import Hub

__all__ = ["hub", "log"]
EVENS = Filter(coins=frozenset({COINS[0]}))


def matching(wanted: Filter, begin: int, end: int) -> list[int]:
    """Return what a filter lets pass of the events behind `begin` up to `end`."""
    return [number for number in range(begin + 1, end + 1) if wanted.wants(event(number))]


async def joined(hub: Hub, wanted: Filter | None = None) -> Client:
    client = Client()
    await hub.join(client.listener, "")
    if wanted is not None:
        hub.ask(client.listener, wanted)
        await until(lambda: "subscribed" in client.types())
    return client


async def test_who_subscribes_gets_what_matches_from_then_on(hub: Hub, log: Log):
    numbers = random.Random(7)
    filters = [
        EVENS,
        Filter(traders=frozenset({1})),
        Filter(traders=frozenset({address(2), 1})),
        Filter(traders=frozenset({0, address(0)}), coins=frozenset({COINS[1]})),
        Filter(min_notional=Decimal(400), kinds=frozenset({"OPEN"})),
        Filter(kinds=frozenset({"CLOSE"})),
        Filter(min_notional=Decimal(250), batch=True),
        Filter(batch=True),
        Filter(),
    ]
    clients = [(await joined(hub, wanted), wanted) for wanted in filters]
    assert clients[2][0].frames[-1] == {
        "type": "subscribed",
        "traders": [address(2), 1],
        "coins": None,
        "kinds": None,
        "min_notional": None,
        "batch": False,
        "upto": 0,
        "timestamp": clients[2][0].frames[-1]["timestamp"],
    }
    while log.head < 700:
        log.grow(log.head + numbers.randrange(1, 60))
        await until(lambda: clients[-1][0].ids()[-1:] == [log.head])
    for client, wanted in clients:
        await until(lambda client=client, wanted=wanted: (
            client.ids() == matching(wanted, 0, log.head)
        ))  # fmt: skip


async def test_batches_of_a_filter_are_its_own(hub: Hub, log: Log):
    log.head = 1
    everything = await joined(hub, Filter(batch=True))
    evens = await joined(hub, Filter(coins=EVENS.coins, batch=True))
    for head in (4, 8, 12):  # the first and the last event are the same for both
        log.grow(head)
        await until(lambda head=head: everything.ids()[-1:] == evens.ids()[-1:] == [head])
    assert everything.ids() == list(range(2, 13))
    assert evens.ids() == list(range(2, 13, 2))


async def test_a_filter_is_replaced_whole_and_at_once(hub: Hub, log: Log):
    client = await joined(hub, EVENS)
    everything = await joined(hub)
    log.grow(10)
    await until(lambda: everything.ids()[-1:] == [10])
    hub.ask(client.listener, Filter(traders=frozenset({1})))
    await until(lambda: client.types().count("subscribed") == 2)
    assert client.frames[-1]["upto"] == 10
    log.grow(20)
    expected = matching(EVENS, 0, 10) + matching(Filter(traders=frozenset({1})), 10, 20)
    await until(lambda: client.ids() == expected)

    hub.ask(client.listener, Filter())
    log.grow(30)
    await until(lambda: client.ids() == [*expected, *range(21, 31)])


async def test_who_resumes_later_gets_exactly_what_was_asked_for(hub: Hub, log: Log):
    client = await joined(hub)
    log.grow(950)
    await until(lambda: client.ids()[-1:] == [950])
    expected = client.ids()
    for count, after in enumerate((949, 900, 3, 950), start=1):  # the ring holds 100 to 200
        hub.ask(client.listener, Resume("one", after))
        expected = [*expected, *range(after + 1, 951)]
        await until(lambda count=count: client.types().count("resumed") == count)
        await until(lambda expected=expected: len(client.ids()) >= len(expected))
        assert client.ids() == expected
    log.grow(960)
    await until(lambda: client.ids()[-10:] == list(range(951, 961)))


async def test_who_cannot_resume_later_is_told_why_and_goes_on_live(hub: Hub, log: Log):
    log.head, log.oldest = 50, 20
    client = await joined(hub, EVENS)
    for wish, reason in (
        (Resume("two", 30), "epoch"),
        (Resume("one", 51), "ahead"),
        (Resume("one", 18), "expired"),
    ):
        hub.ask(client.listener, wish)
        await until(lambda reason=reason: client.frames[-1].get("reason") == reason)
        assert client.frames[-1]["head"] == 50
    log.grow(60)
    await until(lambda: client.ids() == matching(EVENS, 50, 60))


async def test_a_rewind_and_a_filter_hold_from_their_answers_on(hub: Hub, log: Log):
    log.head = 300
    client = await joined(hub)
    hub.ask(client.listener, Filter(traders=frozenset({2}), batch=True))
    hub.ask(client.listener, Resume("one", 10))
    await until(lambda: client.ids() == matching(Filter(traders=frozenset({2})), 10, 300))
    assert client.types()[:3] == ["connection", "subscribed", "resumed"]
    assert set(client.types()[3:]) <= {"trade_events", "heartbeat"}


async def test_a_filtered_listener_that_lags_is_served_from_the_log(hub: Hub, log: Log):
    client, quick = await joined(hub, EVENS), await joined(hub)
    client.reads.clear()
    for head in (2, 900, 2000):
        log.grow(head)
        await until(lambda head=head: quick.ids()[-1:] == [head])
    assert hub.numbers() == {"active_connections": 2, "lagging": 1, "closed_slow": 0}
    client.reads.set()
    await until(lambda: client.ids() == matching(EVENS, 0, 2000))
    assert hub.numbers()["lagging"] == 0


async def test_who_wants_nothing_that_happens_neither_lags_nor_is_woken(hub: Hub, log: Log):
    client, quick = await joined(hub, Filter(coins=frozenset({"SOL"}))), await joined(hub)
    for head in range(100, 3000, 100):
        log.grow(head)
        await until(lambda head=head: quick.ids()[-1:] == [head])
    assert client.listener.resting
    assert client.listener.cursor == 0
    assert hub.numbers()["lagging"] == 0
    hub.ask(client.listener, None)
    # An earlier heartbeat, whose moment is random, may have told less.
    await until(lambda: client.frames[-1].get("head") == 2900)
    assert (client.frames[-1]["type"], client.frames[-1]["upto"]) == ("heartbeat", 2900)


async def test_a_heartbeat_promises_no_more_than_was_written(hub: Hub, log: Log):
    client, quick = await joined(hub), await joined(hub)
    client.reads.clear()
    log.grow(1500)
    await until(lambda: quick.ids()[-1:] == [1500])
    hub.ask(client.listener, None)
    client.reads.set()
    await until(lambda: "heartbeat" in client.types())
    written: list[int] = []
    for frame in client.frames:
        if frame["type"] == "trade_event":
            written.append(frame["data"]["id"])
        elif frame["type"] == "heartbeat":
            assert frame["upto"] == (written[-1] if written else 0)


async def test_a_notice_reaches_everyone_between_two_events(hub: Hub, log: Log):
    clients = [await joined(hub), await joined(hub, EVENS)]
    hub.tell('{"type":"notice","message":"maintenance at noon"}')
    for client in clients:
        await until(lambda client=client: "notice" in client.types())
    log.grow(2)
    await until(lambda: clients[0].ids() == [1, 2])


async def test_a_connection_that_is_being_closed_leaves_the_count(hub: Hub, log: Log):
    client = await joined(hub)
    client.gone = True
    await until(lambda: client.closed is not None)
    assert hub.numbers() == {"active_connections": 0, "lagging": 0, "closed_slow": 0}


async def test_a_defect_of_ours_closes_the_socket_instead_of_silence(hub: Hub, log: Log, caplog):
    client = await joined(hub)
    hub.ask(client.listener, 7)  # type: ignore[arg-type]  # nothing that it could answer
    await until(lambda: client.closed == 1011)
    assert hub.sockets == 0
    assert "AttributeError" in caplog.text
