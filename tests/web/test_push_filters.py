"""Laws of what a client may say, and of which events it then gets."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.test_hub import COINS, event
from traders.models import PositionEvent
from web.filters import (
    KINDS,
    MAX_ID,
    MAX_LISTED,
    BadMessageError,
    Filter,
    Ping,
    Resume,
    read,
)

ADDRESS = "0x" + "ab" * 20
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
TRADERS = st.integers(0, 3) | st.sampled_from([f"0x{number:040x}" for number in range(3)])
FILTERS = st.builds(
    Filter,
    traders=st.none() | st.frozensets(TRADERS, min_size=1),
    coins=st.none() | st.frozensets(st.sampled_from([*COINS, "SOL"]), min_size=1),
    kinds=st.none() | st.frozensets(st.sampled_from(KINDS), min_size=1),
    min_notional=st.none() | st.integers(0, 30).map(Decimal),
)
REFUSED = [
    ({"type": "subscribe", "coin": "BTC"}, "unknown_field", "traders, coins, kinds, min_notional"),
    ({"type": "subscribe", "traders": []}, "bad_value", "1 to 100"),
    ({"type": "subscribe", "traders": [0]}, "bad_value", "ids and addresses"),
    ({"type": "subscribe", "traders": [True]}, "bad_value", "ids and addresses"),
    ({"type": "subscribe", "traders": [MAX_ID + 1]}, "bad_value", "ids and addresses"),
    ({"type": "subscribe", "traders": ["0xab"]}, "bad_value", "ids and addresses"),
    ({"type": "subscribe", "traders": list(range(1, MAX_LISTED + 2))}, "bad_value", "1 to 100"),
    ({"type": "subscribe", "coins": "BTC"}, "bad_value", "a list of 1 to 100"),
    ({"type": "subscribe", "coins": ["x" * 33]}, "bad_value", "32 characters"),
    ({"type": "subscribe", "coins": ["\u0000"]}, "bad_value", "32 characters"),
    ({"type": "subscribe", "kinds": ["open"]}, "bad_value", "OPEN, INCREASE, DECREASE, CLOSE"),
    ({"type": "subscribe", "kinds": [["OPEN"]]}, "bad_value", "OPEN, INCREASE"),
    ({"type": "subscribe", "min_notional": "1e3"}, "bad_value", '"10000.5"'),
    ({"type": "subscribe", "min_notional": "-1"}, "bad_value", '"10000.5"'),
    ({"type": "subscribe", "min_notional": "\u0661"}, "bad_value", '"10000.5"'),
    ({"type": "subscribe", "min_notional": True}, "bad_value", '"10000.5"'),
    ({"type": "subscribe", "batch": 1}, "bad_value", "true or false"),
    ({"type": "resume", "after": 1}, "bad_value", "both epoch and after"),
    ({"type": "resume", "epoch": "e", "after": "1"}, "bad_value", "the number of an event"),
    ({"type": "resume", "epoch": "e", "after": -1}, "bad_value", "the number of an event"),
    ({"type": "resume", "epoch": 1, "after": 1}, "bad_value", "the connection frame"),
    ({"type": "resume", "epoch": "e", "after": 1, "id": 1}, "unknown_field", "epoch, after"),
    ({"type": "buy"}, "unknown_type", '"subscribe"'),
    ({}, "unknown_type", '"resume"'),
    ([], "unknown_type", '"ping"'),
    ("ping", "unknown_type", '"ping"'),
]


@pytest.mark.parametrize(("message", "code", "words"), REFUSED)
def test_what_is_not_understood_is_refused_with_what_is_allowed(message, code, words):
    with pytest.raises(BadMessageError) as refused:
        read(json.dumps(message))
    assert refused.value.code == code
    assert words in str(refused.value)


@given(
    st.text(max_size=200)
    | st.builds(
        lambda kind, rest: json.dumps({**rest, "type": kind}),
        st.sampled_from(["subscribe", "resume", "ping", "x"]),
        st.dictionaries(
            st.sampled_from(["traders", "coins", "kinds", "min_notional", "batch", "after", "z"]),
            ANYTHING,
        ),
    )
)
def test_no_message_makes_it_fail(text):
    with suppress(BadMessageError):
        assert isinstance(read(text), Ping | Resume | Filter)


def test_messages_are_understood():
    assert read('{"type":"ping","more":1}') == Ping()
    assert read('{"type":"resume","epoch":"e","after":7}') == Resume("e", 7)
    assert read('{"type":"subscribe"}') == Filter()
    wanted = read(
        json.dumps(
            {
                "type": "subscribe",
                "traders": [ADDRESS.upper().replace("X", "x"), 7],
                "coins": ["xyz:TSLA"],
                "kinds": ["CLOSE", "OPEN"],
                "min_notional": 1000,
                "batch": True,
            }
        )
    )
    assert isinstance(wanted, Filter)
    assert wanted.published() == {
        "traders": [ADDRESS, 7],
        "coins": ["xyz:TSLA"],
        "kinds": ["OPEN", "CLOSE"],
        "min_notional": "1000",
        "batch": True,
    }


def test_the_kinds_are_those_of_the_log():
    assert set(KINDS) == set(PositionEvent.Kind.values)


@given(FILTERS, st.integers(1, 60))
def test_an_event_matches_where_every_part_does(wanted, number):
    found = event(number)
    expected = (
        (wanted.traders is None or {found.trader_id, found.trader_address} & wanted.traders)
        and (wanted.coins is None or found.coin in wanted.coins)
        and (wanted.kinds is None or found.kind in wanted.kinds)
        and (wanted.min_notional is None or number >= wanted.min_notional)
    )
    assert wanted.wants(found) == bool(expected)
    if wanted.wants(found):
        assert set(wanted.topics()) & set(found.topics())


def test_an_event_of_unknown_worth_matches_no_least_worth():
    unknown = msgspec.structs.replace(event(1), notional=None)
    assert not Filter(min_notional=Decimal(0)).wants(unknown)
    assert Filter().wants(unknown)
