"""JSON of the /info replies that speak of an account."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from simulator.accounts import ZERO, Account, Fill, Mark, Position
from simulator.listing import SPOT, Coin, spot_token
from simulator.wire import noisy, text

_USD = Decimal("0.000001")
_GENESIS = Decimal(10_000_000)  # tokens that market makers had from the beginning
_RATIO = Decimal("0.0000000001")


def usd(value: Decimal) -> str:
    """Money with the exchange's six decimals."""
    return text(value.quantize(_USD, ROUND_HALF_EVEN))


def _summary(value: Decimal, notional: Decimal, raw: Decimal, used: Decimal) -> dict[str, str]:
    return {
        "accountValue": usd(value),
        "totalNtlPos": usd(notional),
        "totalRawUsd": usd(raw),
        "totalMarginUsed": usd(used),
    }


def empty_state(time_ms: int) -> dict[str, Any]:
    """The `clearinghouseState` of an address that holds nothing."""
    summary = _summary(ZERO, ZERO, ZERO, ZERO)
    return {
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": "0.0",
        "withdrawable": "0.0",
        "assetPositions": [],
        "time": time_ms,
    }


def clearinghouse_state(
    cash: Decimal,
    positions: dict[str, Position],
    coins: dict[str, Coin],
    mark: Mark,
    *,
    time_ms: int,
    unified: bool,
) -> dict[str, Any]:
    """The `clearinghouseState` of an account, valued at the marks of now.

    A unified account's money stands in the spot state: here only what positions owe and are worth.
    """
    notional = sum((abs(p.size) * mark(c) for c, p in positions.items()), ZERO)
    worth = sum((p.size * mark(c) for c, p in positions.items()), ZERO)
    used = sum((abs(p.size) * mark(c) / p.leverage for c, p in positions.items()), ZERO)
    raw = cash - sum((p.cost for p in positions.values()), ZERO)
    value = raw + worth
    maintenance = sum(
        (abs(p.size) * mark(c) / (2 * coins[c].max_leverage) for c, p in positions.items()), ZERO
    )
    shown = _summary(value, notional, raw, used)
    withdrawable = max(ZERO, value - used)
    if unified:
        shown = _summary(ZERO, notional, -worth, used)
        withdrawable = ZERO
    return {
        "marginSummary": shown,
        "crossMarginSummary": shown,
        "crossMaintenanceMarginUsed": usd(maintenance),
        "withdrawable": usd(withdrawable),
        "assetPositions": [
            _position(coins[coin], position, mark(coin), value - maintenance)
            for coin, position in positions.items()
        ],
        "time": time_ms,
    }


def _position(coin: Coin, position: Position, mark: Decimal, spare: Decimal) -> dict[str, Any]:
    size = position.size
    value = abs(size) * mark
    unrealised = size * mark - position.cost
    margin = value / position.leverage
    leverage: dict[str, Any] = {"type": "cross", "value": position.leverage}
    if position.isolated:
        raw = abs(position.cost) / position.leverage - position.cost
        leverage = {"type": "isolated", "value": position.leverage, "rawUsd": usd(raw)}
        margin = raw + size * mark
    funding = usd(position.funding)
    basis = abs(position.cost) / position.leverage
    return {
        "type": "oneWay",
        "position": {
            "coin": coin.name,
            "szi": noisy(size, noise=coin.float_noise),
            "leverage": leverage,
            "entryPx": text(_significant(position.entry_price, coin)),
            "positionValue": usd(value),
            "unrealizedPnl": usd(unrealised),
            "returnOnEquity": text((unrealised / basis if basis else ZERO).quantize(_RATIO)),
            "liquidationPx": _liquidation_price(coin, size, mark, spare),
            "marginUsed": usd(margin),
            "maxLeverage": coin.max_leverage,
            "cumFunding": {"allTime": funding, "sinceOpen": funding, "sinceChange": funding},
        },
    }


def _significant(price: Decimal, coin: Coin) -> Decimal:
    """An entry price as shown: to the decimals that a price of the coin may have, plus 1."""
    step = Decimal(1).scaleb(-max(1, 7 - coin.size_decimals))
    return price.quantize(step, ROUND_HALF_EVEN)


def _liquidation_price(coin: Coin, size: Decimal, mark: Decimal, spare: Decimal) -> str | None:
    """price - side * spare margin / size / (1 - side / maintenance leverage); null if not > 0."""
    side = 1 if size > 0 else -1
    price = mark - side * spare / abs(size) / (1 - side / Decimal(2 * coin.max_leverage))
    return text(price.quantize(_RATIO)) if price > 0 else None


def spot_state(perp: Account | None, spot: Account | None, mark: Mark) -> dict[str, Any]:
    """The `spotClearinghouseState`; a unified account's USDC includes its perp account's value."""
    total = spot.cash - sum((p.cost for p in spot.positions.values()), ZERO) if spot else ZERO
    hold = ZERO
    if perp is not None and perp.unified:
        total += perp.value(mark)
        hold = sum((abs(p.size) * mark(c) / p.leverage for c, p in perp.positions.items()), ZERO)
    balances = []
    if total or hold:
        balances.append(_balance("USDC", 0, total, hold, ZERO))
    for pair, position in (spot.positions if spot else {}).items():
        token, index = spot_token(pair)
        total = position.size + (_GENESIS if spot and spot.exempt else ZERO)
        balances.append(_balance(token, index, total, ZERO, max(position.cost, ZERO)))
    return {"balances": balances}


def _balance(coin: str, token: int, total: Decimal, hold: Decimal, cost: Decimal) -> dict[str, Any]:
    return {
        "coin": coin,
        "token": token,
        "total": usd(total),
        "hold": usd(hold),
        "entryNtl": usd(cost),
    }


def fill_row(fill: Fill, dex: str) -> dict[str, Any]:
    """One row of `userFills`."""
    kind = fill.dir
    if dex == SPOT:
        kind = "Buy" if fill.buys else "Sell"
    row: dict[str, Any] = {
        "coin": fill.coin,
        "px": text(fill.price),
        "sz": text(fill.size),
        "side": "B" if fill.buys else "A",
        "time": fill.time_ms,
        "startPosition": text(fill.start),
        "dir": kind,
        "closedPnl": usd(fill.closed_pnl),
        "hash": fill.hash,
        "oid": fill.oid,
        "crossed": fill.crossed,
        "fee": usd(fill.fee),
        "tid": fill.tid,
        "feeToken": "USDC",
        "twapId": None,
    }
    if fill.method in {"market", "backstop"}:
        row["liquidation"] = {
            "liquidatedUser": fill.liquidated,
            "markPx": text(fill.price),
            "method": fill.method,
        }
    return row


WINDOWS_MS = {"day": 86_400_000, "week": 7 * 86_400_000, "month": 30 * 86_400_000}
_POINTS = 60


def portfolio(account: Account | None, mark: Mark, now_ms: int) -> list[list[Any]]:
    """The `portfolio` reply: value and profit over four windows, for all and for perps alone."""
    samples = [(now_ms, ZERO, ZERO, ZERO)]
    if account is not None:
        value = account.value(mark)
        pnl = value - account.deposits + account.withdrawals
        born = (account.created_ms, ZERO, ZERO, ZERO)
        samples = [born, *account.equity, (now_ms, value, pnl, account.volume)]
    reply: list[list[Any]] = []
    for prefix in ("", "perp"):
        for name in ("day", "week", "month", "allTime"):
            label = prefix + name[0].upper() + name[1:] if prefix else name
            reply.append([label, _window(samples, now_ms - WINDOWS_MS.get(name, now_ms))])
    return reply


def _window(samples: list[tuple[int, Decimal, Decimal, Decimal]], since_ms: int) -> dict[str, Any]:
    before = [sample for sample in samples if sample[0] < since_ms]
    inside = before[-1:] + [sample for sample in samples if sample[0] >= since_ms]
    step = max(1, len(inside) // _POINTS)
    shown = inside[:-1:step] + inside[-1:]
    first = inside[0]
    return {
        "accountValueHistory": [[max(at, since_ms), usd(value)] for at, value, _, _ in shown],
        "pnlHistory": [[max(at, since_ms), usd(pnl - first[2])] for at, _, pnl, _ in shown],
        "vlm": usd(inside[-1][3] - first[3]),
    }
