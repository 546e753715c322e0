"""Replies are read strictly where state depends on them and kindly elsewhere."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import replies
from exchange.errors import WireError
from tests.exchange.frames import TIME_MS, account, position
from tests.exchange.laws import JSON, law


def test_it_reads_every_field_of_an_account():
    assert replies.decode_clearinghouse_state(account(position())) == replies.AccountState(
        time_ms=TIME_MS,
        account_value=Decimal("1000.5"),
        total_notional=Decimal(650),
        margin_used=Decimal(65),
        withdrawable=Decimal("935.5"),
        positions=(
            replies.PositionState(
                coin="BTC",
                signed_size=Decimal("-0.01"),
                entry_price=Decimal(65000),
                notional=Decimal(650),
                unrealised_pnl=Decimal("-1.2"),
                leverage=10,
                leverage_type="cross",
                margin_used=Decimal(65),
                liquidation_price=Decimal("158000.1"),
                max_leverage=40,
                funding_since_open=Decimal("0.4"),
            ),
        ),
    )


def test_a_flat_account_has_no_positions():
    assert replies.decode_clearinghouse_state(account()).positions == ()
    flat = position(szi="0.0", entryPx=None)
    assert replies.decode_clearinghouse_state(account(flat)).positions == ()


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"liquidationPx": None}, "liquidation_price", None),
        ({"leverage": {"type": "isolated", "value": 20, "rawUsd": "-95.06"}}, "leverage", 20),
        ({"leverage": {"type": "novel", "value": "3"}}, "leverage_type", "novel"),
        ({"maxLeverage": "50"}, "max_leverage", 50),
        ({"cumFunding": {"sinceOpen": "-7.5"}}, "funding_since_open", Decimal("-7.5")),
        ({"cumFunding": {"allTime": "1.0"}}, "funding_since_open", None),
        ({"unrealizedPnl": "0.00000000000000000001"}, "unrealised_pnl", Decimal(0)),
        ({"szi": "1064075.6000000001"}, "signed_size", Decimal("1064075.6000000001")),
        ({"surprise": {"deep": []}}, "coin", "BTC"),
        ({"coin": "xyz:TSLA"}, "coin", "xyz:TSLA"),
    ],
    ids=repr,
)
def test_it_accepts_what_is_new_or_absent(changes, field, expected):
    [read] = replies.decode_clearinghouse_state(account(position(**changes))).positions
    assert getattr(read, field) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"szi": "NaN"},
        {"szi": None},
        {"szi": "1" * 17},
        {"entryPx": None},
        {"entryPx": "-5"},
        {"coin": "\x00"},
        {"coin": None},
        {"leverage": None},
        {"leverage": {"type": "cross", "value": 1.5}},
        {"positionValue": "much"},
    ],
    ids=repr,
)
def test_one_broken_position_breaks_the_reply(changes):
    """A position left out would look like a close."""
    with pytest.raises(WireError):
        replies.decode_clearinghouse_state(account(position(coin="ETH"), position(**changes)))


@pytest.mark.parametrize(
    "raw",
    [
        account(position(), position()),
        account(time=0),
        account(time=None),
        account(marginSummary=None),
        account(assetPositions=None),
        b"null",
        b"[]",
        b"",
        b"<html>",
        b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw[-30:]),
)
def test_a_broken_reply_is_a_wire_error(raw):
    with pytest.raises(WireError):
        replies.decode_clearinghouse_state(raw)


def test_meta_keeps_the_index_past_delisted_and_unreadable_coins():
    universe = [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
        {"name": "MATIC", "szDecimals": 1, "maxLeverage": 20, "isDelisted": True},
        {"name": "\x00", "szDecimals": 1, "maxLeverage": 20},
        {"szDecimals": 1},
        {"name": "xyz:TSLA", "szDecimals": 3, "maxLeverage": 10, "onlyIsolated": True},
        {"name": "NEW", "szDecimals": 0, "maxLeverage": 3, "marginMode": "noCross"},
    ]
    coins = replies.decode_meta(json.dumps({"universe": universe}).encode())
    assert [(coin.index, coin.name, coin.is_delisted, coin.only_isolated) for coin in coins] == [
        (0, "BTC", False, False),
        (1, "MATIC", True, False),
        (4, "xyz:TSLA", False, True),
        (5, "NEW", False, True),
    ]


def test_the_main_dex_has_no_name():
    assert replies.decode_perp_dexs(b'[null,{"name":"xyz","fullName":"XYZ"}]') == ("", "xyz")


def test_spot_counts_usdc_alone():
    balances = [
        {"coin": "+7", "total": "3"},
        {"coin": "HYPE", "token": 150, "total": "12.5", "hold": "0.0"},
        {"coin": "USDC", "token": 0, "total": "812.34", "hold": "65.0", "entryNtl": "0.0"},
    ]
    raw = json.dumps({"balances": balances}).encode()
    assert replies.decode_spot_clearinghouse_state(raw) == replies.SpotState(
        Decimal("812.34"), Decimal(65)
    )
    assert replies.decode_spot_clearinghouse_state(b'{"balances":[]}').usdc_total == 0


def test_the_small_replies():
    assert replies.decode_user_abstraction(b'"unifiedAccount"') == "unifiedAccount"
    assert replies.decode_user_abstraction(b"null") is None
    status = replies.decode_exchange_status(b'{"time":1790000000000,"specialStatuses":["x"]}')
    assert status == replies.ExchangeStatus(1790000000000, '["x"]')
    assert replies.decode_all_mids(b'{"BTC":"1.5","@107":"2","X":"no"}') == {
        "BTC": Decimal("1.5"),
        "@107": Decimal(2),
    }


def test_portfolio_windows():
    window = {
        "accountValueHistory": [[TIME_MS, "1000.0"]],
        "pnlHistory": [[TIME_MS, "-4.2"]],
        "vlm": "5200.0",
    }
    raw = json.dumps([["day", window], ["allTime", {}]]).encode()
    read = replies.decode_portfolio(raw)
    assert read["day"].pnls == ((TIME_MS, Decimal("-4.2")),)
    assert read["allTime"].account_values == ()


DECODERS = [
    replies.decode_clearinghouse_state,
    replies.decode_meta,
    replies.decode_perp_dexs,
    replies.decode_spot_clearinghouse_state,
    replies.decode_user_abstraction,
    replies.decode_exchange_status,
    replies.decode_portfolio,
    replies.decode_all_mids,
]


@law
@given(st.sampled_from(DECODERS), JSON | st.fixed_dictionaries({"universe": st.lists(JSON)}))
def test_any_json_is_read_or_a_wire_error(decode, value):
    try:
        decode(json.dumps(value).encode())
    except WireError:
        return


@law
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(position(), JSON)))
def test_any_change_to_a_position_is_read_or_a_wire_error(changes):
    try:
        replies.decode_clearinghouse_state(account(position(**changes)))
    except WireError:
        return
