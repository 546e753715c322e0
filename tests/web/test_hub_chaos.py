"""Twenty clients, cut at random bytes while Valkey dies twice, get exactly what the log holds."""

from __future__ import annotations

import logging
import random
import time
from contextlib import ExitStack, suppress
from decimal import Decimal
from functools import partial

import pytest
import redis

from hlcopy.broadcast import EVENTS_CHANNEL
from tests.traders.book import add_trader
from tests.web.chaos import Background, Client, Proxy
from tests.web.server import WebServer, free_port, until
from tests.web.test_hub_losses import running, valkey
from traders.models import PositionEvent

logger = logging.getLogger(__name__)
COINS = ["BTC", "ETH", "xyz:TSLA"]
KINDS = ["OPEN", "INCREASE", "DECREASE", "CLOSE"]
OUTAGES = [(0.2, 0.35), (0.6, 0.7)]  # of the time: Valkey is killed, and back without its memory


def filters(traders):
    """Return ten filters, and what each must let pass."""
    one, two, three = traders
    return [
        ({"coins": ["BTC"]}, lambda x: x.coin == "BTC"),
        ({"coins": ["ETH", "xyz:TSLA"], "batch": True}, lambda x: x.coin != "BTC"),
        ({"traders": [one.id]}, lambda x: x.trader_id == one.id),
        ({"traders": [two.address], "batch": True}, lambda x: x.trader_id == two.id),
        ({"traders": [one.id, three.address]}, lambda x: x.trader_id != two.id),
        ({"kinds": ["OPEN", "CLOSE"]}, lambda x: x.kind in {"OPEN", "CLOSE"}),
        ({"min_notional": "300"}, lambda x: x.size_after * x.price >= 300),
        (
            {"coins": ["ETH"], "kinds": ["OPEN"], "batch": True},
            lambda x: (x.coin, x.kind) == ("ETH", "OPEN"),
        ),
        ({"coins": ["SOL"]}, lambda x: False),
        ({"batch": True}, lambda x: True),
    ]


def one_of_many(numbers, traders):
    trader = numbers.choice(traders)
    return {
        "trader_id": trader.pk,
        "trader_address": trader.address,
        "coin": numbers.choice(COINS),
        "kind": numbers.choice(KINDS),
        "size_after": Decimal(numbers.randrange(1, 7)),
        "price": Decimal(100),
    }


def has_received(client: Client, count: int) -> bool:
    return len(client.ids) >= count


@pytest.mark.parametrize(
    "seconds",
    [6, pytest.param(60, marks=[pytest.mark.processes, pytest.mark.timeout(300)])],
)
def test_clients_cut_at_random_bytes_get_every_event_once_and_in_order(book, services, seconds):
    seed = random.randrange(2**32)
    logger.info("seed=%d", seed)
    numbers = random.Random(seed)
    traders = [book.trader, add_trader(2), add_trader(3)]
    port = free_port()
    server, background = WebServer(f"redis://127.0.0.1:{port}/0"), Background()
    wanted = filters(traders)
    with ExitStack() as stack:
        stack.callback(background.stop)
        stack.enter_context(running(server))
        proxy = Proxy(server.port, random.Random(seed))
        background.run(proxy.start())
        stack.callback(lambda: background.run(proxy.stop()))
        clients = [Client(proxy, None, seed + place) for place in range(10)]
        clients += [Client(proxy, {"type": "subscribe", **message}, seed) for message, _ in wanted]
        for client in clients:
            background.spawn(client.run)
        until(lambda: all(client.begin is not None for client in clients))

        began_at, cache = time.monotonic(), ExitStack()
        for begin, end in [(0.0, 0.0), *OUTAGES, (1.0, 1.0)]:
            write_until(began_at + begin * seconds, book, numbers, traders, port)
            cache.close()
            write_until(began_at + end * seconds, book, numbers, traders, port)
            if begin < 1:
                cache.enter_context(valkey(port))
        proxy.calm = True

        log = list(PositionEvent.objects.order_by("id"))
        assert [event.id for event in log] == list(range(1, len(log) + 1))
        passes = [lambda x: True] * 10 + [passes for _, passes in wanted]
        for client, lets_pass in zip(clients, passes, strict=True):
            begin = client.begin or 0
            expected = [x.id for x in log if x.id > begin and lets_pass(x)]
            with suppress(AssertionError):  # what differs says more than that time ran out
                until(partial(has_received, client, len(expected)))
            assert client.ids == expected
            assert client.resets == []
    logger.info("events=%d cuts=%d seconds=%d", len(log), proxy.cuts, seconds)
    assert proxy.cuts > 5 * seconds


def write_until(end, book, numbers, traders, port):
    """Commit events at their random pace, and say so where Valkey listens."""
    client = redis.Redis(port=port)
    while time.monotonic() < end:
        ids = book.add(numbers.randrange(1, 8), waking=False, **one_of_many(numbers, traders))
        with suppress(redis.RedisError):
            client.publish(EVENTS_CHANNEL, str(ids[-1]))
        time.sleep(numbers.uniform(0, 0.01) * numbers.randrange(1, 10))
    client.close()
