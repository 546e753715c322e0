"""The markets that a simulated exchange lists: perpetuals, a builder's dex, spot pairs.

The universe is invented after the shape of the real one (`meta`): names, lot sizes and leverages
are plausible, prices are a starting point, delisted coins keep their place in the array.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

MAIN, SPOT = "", "spot"
BUILDER_DEXES = ("xyz",)
DEPLOYER = "0xd3b1" + "0" * 35 + "1"


class Coin(msgspec.Struct, kw_only=True):
    """One market: `share` is its part of all trades, `volatility` is per square root of a year."""

    name: str
    dex: str = MAIN
    size_decimals: int
    max_leverage: int = 3
    price: float
    volatility: float = 1.0
    share: float = 0.1
    delisted: bool = False
    float_noise: bool = False

    @property
    def lot(self) -> Decimal:
        """The smallest size."""
        return Decimal(1).scaleb(-self.size_decimals)


# name, size decimals, leverage, price, volatility, share of trades (0: delisted)
_MAIN: tuple[tuple[str, int, int, float, float, float], ...] = (
    ("BTC", 5, 40, 65_000.0, 0.5, 12.0),
    ("ETH", 4, 25, 3_100.0, 0.7, 4.3),
    ("ATOM", 2, 5, 4.3, 0.9, 0.25),
    ("MATIC", 1, 20, 0.3751, 1.0, 0.0),
    ("DYDX", 1, 5, 0.61, 1.1, 0.2),
    ("SOL", 2, 20, 152.0, 0.9, 3.0),
    ("AVAX", 2, 10, 21.5, 1.0, 0.6),
    ("BNB", 3, 10, 690.0, 0.6, 0.7),
    ("APE", 1, 5, 0.62, 1.1, 0.15),
    ("OP", 1, 5, 0.71, 1.1, 0.3),
    ("LTC", 2, 10, 92.0, 0.8, 0.3),
    ("ARB", 1, 10, 0.43, 1.1, 0.5),
    ("DOGE", 0, 10, 0.2134, 1.0, 1.2),
    ("INJ", 1, 10, 12.4, 1.1, 0.2),
    ("SUI", 1, 10, 3.41, 1.1, 0.9),
    ("kPEPE", 0, 10, 0.010513, 1.3, 0.8),
    ("CRV", 1, 10, 0.78, 1.2, 0.3),
    ("LDO", 1, 5, 1.12, 1.2, 0.3),
    ("LINK", 1, 10, 22.7, 0.9, 0.8),
    ("STX", 1, 5, 0.66, 1.1, 0.15),
    ("RNDR", 1, 20, 7.1205, 1.1, 0.0),
    ("CFX", 0, 5, 0.1711, 1.3, 0.15),
    ("FTM", 0, 10, 0.6983, 1.2, 0.0),
    ("GMX", 2, 3, 15.1, 1.0, 0.1),
    ("SNX", 1, 3, 0.64, 1.1, 0.1),
    ("XRP", 0, 20, 2.6512, 0.9, 2.2),
    ("BCH", 3, 10, 541.0, 0.8, 0.25),
    ("APT", 2, 10, 4.41, 1.1, 0.3),
    ("AAVE", 2, 10, 281.0, 1.0, 0.6),
    ("COMP", 2, 5, 47.0, 1.0, 0.1),
    ("MKR", 4, 10, 1_775.0, 0.9, 0.0),
    ("WLD", 1, 10, 1.05, 1.3, 0.5),
    ("HPOS", 0, 3, 0.12512, 2.0, 0.0),
    ("RLB", 0, 3, 0.08013, 1.5, 0.0),
    ("UNIBOT", 3, 3, 3.5005, 1.5, 0.0),
    ("TRX", 0, 10, 0.34105, 0.6, 0.3),
    ("kSHIB", 0, 10, 0.012612, 1.1, 0.3),
    ("UNI", 1, 10, 9.71, 1.1, 0.4),
    ("SEI", 0, 10, 0.3011, 1.2, 0.3),
    ("RUNE", 1, 5, 1.22, 1.2, 0.15),
    ("BLZ", 0, 5, 0.0411, 1.5, 0.0),
    ("BANANA", 1, 3, 21.3, 1.5, 0.1),
    ("TRB", 2, 3, 35.2, 1.3, 0.1),
    ("ARK", 0, 3, 0.4012, 1.2, 0.05),
    ("NEAR", 1, 10, 2.61, 1.1, 0.4),
    ("FIL", 1, 5, 2.42, 1.0, 0.2),
    ("TIA", 1, 10, 1.71, 1.3, 0.5),
    ("kBONK", 0, 10, 0.022114, 1.3, 0.5),
    ("ORDI", 2, 3, 8.81, 1.3, 0.2),
    ("PENDLE", 0, 5, 4.8112, 1.2, 0.3),
    ("JUP", 0, 10, 0.4911, 1.2, 0.4),
    ("STRK", 1, 5, 0.132, 1.3, 0.2),
    ("ENA", 0, 10, 0.6702, 1.3, 0.9),
    ("ONDO", 0, 10, 0.9213, 1.1, 0.4),
    ("W", 1, 5, 0.081, 1.4, 0.1),
    ("TON", 1, 10, 3.11, 0.9, 0.3),
    ("ZRO", 1, 5, 2.04, 1.3, 0.2),
    ("POL", 0, 5, 0.2412, 1.1, 0.3),
    ("HYPE", 2, 10, 41.3, 1.1, 6.0),
    ("GRASS", 1, 3, 0.81, 1.6, 0.2),
    ("MOODENG", 0, 3, 0.1612, 1.9, 0.2),
    ("PNUT", 1, 3, 0.23, 1.9, 0.2),
    ("FARTCOIN", 1, 10, 0.94, 2.0, 1.2),
    ("PENGU", 0, 5, 0.03312, 1.7, 0.8),
    ("VIRTUAL", 1, 5, 1.22, 1.6, 0.4),
    ("TRUMP", 1, 10, 8.71, 1.3, 0.5),
    ("KAITO", 0, 5, 1.2011, 1.6, 0.3),
    ("PUMP", 0, 10, 0.005213, 1.9, 1.5),
    ("ASTER", 0, 5, 1.6312, 1.7, 0.9),
    ("ZEC", 2, 5, 231.0, 1.5, 1.1),
)
_XYZ: tuple[tuple[str, int, int, float, float, float], ...] = (
    ("XYZ100", 4, 25, 24_800.0, 0.25, 1.5),
    ("TSLA", 3, 10, 431.0, 0.6, 0.9),
    ("NVDA", 3, 10, 187.0, 0.5, 1.2),
    ("GOLD", 4, 20, 4_080.0, 0.2, 0.9),
    ("SILVER", 2, 20, 51.4, 0.4, 2.5),
    ("AAPL", 3, 10, 268.0, 0.3, 0.4),
    ("CL", 3, 20, 61.3, 0.4, 1.2),
    ("PLTR", 3, 10, 181.0, 0.7, 0.4),
)
# spot pairs: index, name, base token, its index, size decimals, price
_SPOT: tuple[tuple[int, str, str, int, int, float], ...] = (
    (0, "PURR/USDC", "PURR", 1, 0, 0.1612),
    (107, "@107", "HYPE", 150, 2, 41.3),
    (142, "@142", "UBTC", 197, 5, 65_000.0),
    (151, "@151", "UETH", 221, 4, 3_100.0),
)
# sizes of these coins come back from /info with binary noise, as real ones do
_NOISY = frozenset({"ARB", "LDO", "SUI", "LINK", "OP", "ETH", "HYPE", "WLD"})


def default_coins() -> list[Coin]:
    """The whole listing: main dex first and in order (asset ids are positions), then xyz, spot."""
    coins = [_coin(MAIN, "", row) for row in _MAIN]
    coins += [_coin("xyz", "xyz:", row) for row in _XYZ]
    coins += [
        Coin(name=name, dex=SPOT, size_decimals=decimals, price=price, share=0.4)
        for _, name, _, _, decimals, price in _SPOT
    ]
    return coins


def _coin(dex: str, prefix: str, row: tuple[str, int, int, float, float, float]) -> Coin:
    name, decimals, leverage, price, volatility, share = row
    return Coin(
        name=prefix + name,
        dex=dex,
        size_decimals=decimals,
        max_leverage=leverage,
        price=price,
        volatility=volatility,
        share=share,
        delisted=share == 0.0,
        float_noise=name in _NOISY,
    )


def spot_token(pair: str) -> tuple[str, int]:
    """The base token of a spot pair and its index."""
    for _, name, token, index, _, _ in _SPOT:
        if name == pair:
            return token, index
    return pair, 0


def meta(coins: list[Coin]) -> dict[str, Any]:
    """The reply to `meta` for the coins of one dex, in listing order."""
    universe: list[dict[str, Any]] = []
    for coin in coins:
        row: dict[str, Any] = {
            "szDecimals": coin.size_decimals,
            "name": coin.name,
            "maxLeverage": coin.max_leverage,
            "marginTableId": coin.max_leverage,
        }
        if coin.delisted:
            row["isDelisted"] = True
        if coin.dex != MAIN:
            row |= {"onlyIsolated": True, "marginMode": "strictIsolated", "growthMode": "enabled"}
        universe.append(row)
    tables = [
        [
            leverage,
            {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": leverage}]},
        ]
        for leverage in sorted({coin.max_leverage for coin in coins})
    ]
    return {"universe": universe, "marginTables": tables, "collateralToken": 0}


def perp_dexs(coins: list[Coin]) -> list[dict[str, Any] | None]:
    """The reply to `perpDexs`: null for the main dex, then each builder's."""
    names = dict.fromkeys(coin.dex for coin in coins if coin.dex not in (MAIN, SPOT))
    return [None, *(_dex(name, coins) for name in names)]


def _dex(name: str, coins: list[Coin]) -> dict[str, Any]:
    listed = [coin.name for coin in coins if coin.dex == name]
    return {
        "name": name,
        "fullName": name.upper(),
        "deployer": DEPLOYER,
        "oracleUpdater": None,
        "feeRecipient": DEPLOYER,
        "assetToStreamingOiCap": [[coin, "25000000.0"] for coin in listed],
        "subDeployers": [["setOracle", [DEPLOYER]]],
        "deployerFeeScale": "1.0",
        "lastDeployerFeeScaleChangeTime": "1970-01-01T00:00:00",
        "assetToFundingMultiplier": [[coin, "0.5"] for coin in listed],
        "assetToFundingInterestRate": [],
    }
