"""Decodes the ``/info`` replies that we use; pure.

Strict where state depends on it (sizes, prices, times): a broken one raises ``WireError`` for the
whole reply, because a position left out would look like a close. Unknown fields and texts pass.

Shapes: docs/wire.md, after the exchange's documentation, "Info endpoint".
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from exchange import numbers, wire
from exchange.errors import WireError

T = TypeVar("T")
_NOTHING = msgspec.Raw(b"null")


class PositionState(msgspec.Struct, frozen=True, gc=False):
    """One open position, in USD of the dex's collateral; funding above zero was paid by it."""

    coin: str
    signed_size: Decimal
    entry_price: Decimal
    notional: Decimal
    unrealised_pnl: Decimal
    leverage: int
    leverage_type: str
    margin_used: Decimal
    liquidation_price: Decimal | None
    max_leverage: int
    funding_since_open: Decimal | None = None


class AccountState(msgspec.Struct, frozen=True):
    """A ``clearinghouseState``: one account on one dex at the exchange's ``time_ms``.

    Sizes are as sent: ``quantise`` them before comparing. Flat coins are absent. A unified account
    keeps its money on the spot side and shows an ``account_value`` near 0 here.
    """

    time_ms: int
    account_value: Decimal
    total_notional: Decimal
    margin_used: Decimal
    withdrawable: Decimal
    positions: tuple[PositionState, ...]


class CoinMeta(msgspec.Struct, frozen=True):
    """One perpetual of a dex. ``index`` is its place in the universe, delisted coins counted."""

    name: str
    index: int
    size_decimals: int
    max_leverage: int
    is_delisted: bool
    only_isolated: bool


class SpotState(msgspec.Struct, frozen=True):
    """The USDC of an account's spot side: ``usdc_hold`` of ``usdc_total`` is bound in orders."""

    usdc_total: Decimal
    usdc_hold: Decimal


class ExchangeStatus(msgspec.Struct, frozen=True):
    """The exchange's clock, and its special statuses as JSON text (``None``: all is well)."""

    time_ms: int
    special_statuses: str | None


class PortfolioWindow(msgspec.Struct, frozen=True):
    """Sampled history of one window (``day`` to ``perpAllTime``): (exchange ms, USD) pairs."""

    account_values: tuple[tuple[int, Decimal], ...]
    pnls: tuple[tuple[int, Decimal], ...]
    volume_usd: Decimal


class _Summary(msgspec.Struct, rename="camel"):
    account_value: msgspec.Raw
    total_ntl_pos: msgspec.Raw
    total_margin_used: msgspec.Raw


class _Funding(msgspec.Struct, frozen=True, rename="camel"):
    since_open: msgspec.Raw = _NOTHING


class _Leverage(msgspec.Struct):
    value: msgspec.Raw
    type: str = ""


class _Position(msgspec.Struct, rename="camel"):
    coin: str
    szi: msgspec.Raw
    position_value: msgspec.Raw
    unrealized_pnl: msgspec.Raw
    leverage: _Leverage
    margin_used: msgspec.Raw
    max_leverage: msgspec.Raw
    entry_px: msgspec.Raw = _NOTHING
    liquidation_px: msgspec.Raw = _NOTHING
    cum_funding: _Funding = _Funding()


class _AssetPosition(msgspec.Struct):
    position: _Position


class _ClearinghouseState(msgspec.Struct, rename="camel"):
    margin_summary: _Summary
    withdrawable: msgspec.Raw
    asset_positions: list[_AssetPosition]
    time: int


class _Asset(msgspec.Struct, rename="camel"):
    name: str
    sz_decimals: int
    max_leverage: int
    is_delisted: bool = False
    only_isolated: bool = False
    margin_mode: str | None = None


class _Meta(msgspec.Struct):
    universe: list[msgspec.Raw]


class _Dex(msgspec.Struct):
    name: str


class _Balance(msgspec.Struct):
    coin: str
    total: msgspec.Raw
    hold: msgspec.Raw = msgspec.Raw(b"0")


class _SpotState(msgspec.Struct):
    balances: list[_Balance]


class _Status(msgspec.Struct, rename="camel"):
    time: int
    special_statuses: msgspec.Raw = _NOTHING


class _Window(msgspec.Struct, rename="camel"):
    account_value_history: list[tuple[int, msgspec.Raw]] = []
    pnl_history: list[tuple[int, msgspec.Raw]] = []
    vlm: msgspec.Raw = msgspec.Raw(b"0")


_account = msgspec.json.Decoder(_ClearinghouseState)
_meta = msgspec.json.Decoder(_Meta)
_asset = msgspec.json.Decoder(_Asset)
_dexs = msgspec.json.Decoder(list[_Dex | None])
_spot = msgspec.json.Decoder(_SpotState)
_status = msgspec.json.Decoder(_Status)
_portfolio = msgspec.json.Decoder(list[tuple[str, _Window]])
_optional_text = msgspec.json.Decoder(str | None)
_prices = msgspec.json.Decoder(dict[str, Any])


def decode_clearinghouse_state(raw: bytes) -> AccountState:
    """An account's positions and margin; raises ``WireError`` if any part of it is broken."""
    state = _typed(_account.decode, raw)
    positions = tuple(
        position
        for row in state.asset_positions
        if (position := _position(row.position)).signed_size != 0
    )
    if len({position.coin for position in positions}) != len(positions):
        # Only one-way mode exists: two rows for one coin cannot both be its net position.
        raise WireError("a coin has two positions")
    return AccountState(
        time_ms=numbers.time_ms(state.time),
        account_value=numbers.noisy(state.margin_summary.account_value),
        total_notional=numbers.noisy(state.margin_summary.total_ntl_pos),
        margin_used=numbers.noisy(state.margin_summary.total_margin_used),
        withdrawable=numbers.noisy(state.withdrawable),
        positions=positions,
    )


def _position(wire_position: _Position) -> PositionState:
    size = numbers.noisy(wire_position.szi)
    entry = _optional(wire_position.entry_px)
    if abs(size) > numbers.LARGEST or (size and (entry is None or entry < 0)):
        raise WireError("a position has no possible size or entry price")
    return PositionState(
        coin=numbers.coin(wire_position.coin),
        signed_size=size,
        entry_price=entry or Decimal(0),
        notional=numbers.noisy(wire_position.position_value),
        unrealised_pnl=numbers.noisy(wire_position.unrealized_pnl),
        leverage=numbers.whole(wire_position.leverage.value),
        leverage_type=numbers.printable(wire_position.leverage.type, limit=32),
        margin_used=numbers.noisy(wire_position.margin_used),
        liquidation_price=_optional(wire_position.liquidation_px),
        max_leverage=numbers.whole(wire_position.max_leverage),
        funding_since_open=_optional(wire_position.cum_funding.since_open),
    )


def decode_meta(raw: bytes) -> tuple[CoinMeta, ...]:
    """The perpetuals of a dex; an unreadable one is left out without shifting the others."""
    coins = []
    for index, row in enumerate(_typed(_meta.decode, raw).universe):
        try:
            asset = _typed(_asset.decode, row)
            name = numbers.coin(asset.name)
        except WireError:
            continue
        if not 0 <= asset.sz_decimals <= 18:
            continue
        coins.append(
            CoinMeta(
                name=name,
                index=index,
                size_decimals=asset.sz_decimals,
                max_leverage=asset.max_leverage,
                is_delisted=asset.is_delisted,
                # marginMode is the newer spelling; both of its texts forbid cross margin.
                only_isolated=asset.only_isolated or asset.margin_mode is not None,
            )
        )
    return tuple(coins)


def decode_perp_dexs(raw: bytes) -> tuple[str, ...]:
    """The names of all dexes; the main one, ``null`` on the wire, is ""."""
    return tuple("" if dex is None else numbers.coin(dex.name) for dex in _typed(_dexs.decode, raw))


def decode_spot_clearinghouse_state(raw: bytes) -> SpotState:
    """The spot side's USDC, where a unified account keeps its money; no row means none."""
    for row in _typed(_spot.decode, raw).balances:
        if row.coin == "USDC":
            return SpotState(numbers.noisy(row.total), numbers.noisy(row.hold))
    return SpotState(Decimal(0), Decimal(0))


def decode_user_abstraction(raw: bytes) -> str | None:
    """``default``, ``disabled``, ``unifiedAccount``, ``portfolioMargin`` or a text yet unknown."""
    text = _typed(_optional_text.decode, raw)
    return None if text is None else numbers.printable(text, limit=32)


def decode_exchange_status(raw: bytes) -> ExchangeStatus:
    """The exchange's clock and whether it says that something is special."""
    status = _typed(_status.decode, raw)
    text = bytes(status.special_statuses).decode("utf-8", "replace")
    special = None if text == "null" else numbers.printable(text)
    return ExchangeStatus(numbers.time_ms(status.time), special)


def decode_portfolio(raw: bytes) -> dict[str, PortfolioWindow]:
    """The sampled history by window; the first ``allTime`` point is about the account's birth."""
    return {
        numbers.printable(name, limit=32): PortfolioWindow(
            account_values=_history(window.account_value_history),
            pnls=_history(window.pnl_history),
            volume_usd=numbers.noisy(window.vlm),
        )
        for name, window in _typed(_portfolio.decode, raw)
    }


def decode_all_mids(raw: bytes) -> dict[str, Decimal]:
    """Mid prices by coin, spot pairs (``@107``) included; unreadable ones are left out."""
    return wire.mids(_typed(_prices.decode, raw))


def _history(points: list[tuple[int, msgspec.Raw]]) -> tuple[tuple[int, Decimal], ...]:
    return tuple((numbers.time_ms(at), numbers.noisy(value)) for at, value in points)


def _optional(raw: msgspec.Raw) -> Decimal | None:
    return None if bytes(raw) == b"null" else numbers.noisy(raw)


def _typed(decode: Callable[[Any], T], raw: bytes | msgspec.Raw) -> T:
    """What ``decode`` reads from ``raw``, with every failure as a ``WireError``."""
    try:
        return decode(raw)
    except (ValueError, RecursionError) as error:
        raise WireError(f"bad reply: {numbers.printable(str(error))}") from error
