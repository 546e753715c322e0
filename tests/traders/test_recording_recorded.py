"""Real accounts' states, recorded: kept to the last digit, and no event where nothing happened."""

from __future__ import annotations

import gzip
import json
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec
import pytest

from exchange.replies import decode_clearinghouse_state, decode_meta
from hlcopy.clock import from_ms
from tests.traders.book import add_trader
from tests.traders.test_positions_recorded import DATA
from traders import coins
from traders.models import AccountSnapshot, Position, PositionEvent
from traders.recording import record_snapshots

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the recorded accounts are not at hand"),
]
META = "metaAndAssetCtxs_20250822.json.gz"


def read(path):
    raw = path.read_bytes()
    return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)


def parts(value, key):
    """Yield every object with the key, anywhere in a recording."""
    if isinstance(value, dict) and key in value:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from parts(part, key)


def states(value):
    """Yield every clearinghouseState, as the exchange wrote it."""
    return parts(value, "assetPositions")


def recordings():
    return sorted(
        path
        for pattern in ("clearinghouseState_float_noise_*", "gareth_*")
        for path in DATA.glob(pattern)
        if any(states(read(path)))
    )


def list_coins(recorded):
    [meta] = parts(read(DATA / META), "universe")
    coins.store("", decode_meta(json.dumps(meta).encode()))
    known = coins.size_decimals()
    # Coins that were listed after that day, as exact as they are written.
    for held in recorded["assetPositions"]:
        position = held["position"]
        known.setdefault(position["coin"], 8)
    return known


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.name)
def test_a_recorded_account_stands_in_the_book_to_the_last_digit(path):
    recorded = next(states(read(path)))
    size_decimals = list_coins(recorded)
    trader = add_trader(1)
    first = decode_clearinghouse_state(json.dumps(recorded).encode())
    later = [
        msgspec.structs.replace(first, time_ms=first.time_ms + after_ms)
        for after_ms in (60_000, 135_000)
    ]

    for state in (first, *later):
        record_snapshots(
            trader.pk,
            trader.address,
            {"": state},
            size_decimals=size_decimals,
            fetched_at=from_ms(state.time_ms),
        )

    expected = {}
    for held in recorded["assetPositions"]:
        position = held["position"]
        lot = Decimal(1).scaleb(-size_decimals[position["coin"]])
        size = Decimal(position["szi"]).quantize(lot, ROUND_HALF_EVEN)
        expected[position["coin"]] = (size, Decimal(position["entryPx"]))
    rows = Position.objects.values_list("coin", "size", "entry_price")
    assert {coin: (size, price) for coin, size, price in rows} == expected
    # One that shows neither positions nor money is not believed before the second look.
    unbelieved = not first.positions and not first.account_value
    assert AccountSnapshot.objects.filter(applied=False).count() == unbelieved
    assert not PositionEvent.objects.exists()
