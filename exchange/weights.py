"""What each ``/info`` request costs of the 1,200 weight a minute per IP; pure.

Source: the exchange's documentation, "API / Rate limits and user limits", first list (REST).
"""

from __future__ import annotations

import math

# "The following info requests have weight 2" and "weight 60"; "all other documented info requests
# have weight 20".
_BASE = {
    "l2Book": 2,
    "allMids": 2,
    "clearinghouseState": 2,
    "orderStatus": 2,
    "spotClearinghouseState": 2,
    "exchangeStatus": 2,
    "userRole": 60,
}
_OTHERS = 20

# "... have an additional rate limit weight per 20 items returned", candleSnapshot "per 60 items":
# (rows for one more weight, the most rows that one reply brings).
_ROWS = {
    "recentTrades": (20, 2000),
    "historicalOrders": (20, 2000),
    "userFills": (20, 2000),
    "userFillsByTime": (20, 2000),
    "fundingHistory": (20, 500),
    "userFunding": (20, 500),
    "userNonFundingLedgerUpdates": (20, 2000),
    "twapHistory": (20, 2000),
    "userTwapSliceFills": (20, 2000),
    "userTwapSliceFillsByTime": (20, 2000),
    "delegatorHistory": (20, 2000),
    "delegatorRewards": (20, 2000),
    "validatorStats": (20, 2000),
    "candleSnapshot": (60, 5000),
}


def actual(request_type: str, rows: int = 0) -> int:
    """The weight of a request whose reply brought ``rows`` rows."""
    base = _BASE.get(request_type, _OTHERS)
    if request_type not in _ROWS:
        return base
    rows_per_weight, _ = _ROWS[request_type]
    return base + math.ceil(rows / rows_per_weight)


def most(request_type: str) -> int:
    """The weight to reserve: the surcharge is known only from the reply, so as if it were full."""
    _, rows = _ROWS.get(request_type, (1, 0))
    return actual(request_type, rows)
