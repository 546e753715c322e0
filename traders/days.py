"""Adds to the stored days of traders, and sums them up.

Whoever adds to the days of a trader holds the lock of its ledger row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from operator import attrgetter

from django.db import connection

from traders.models import TraderDay

#: The columns that add up over days.
SUMS = [
    *("volume_usd", "fills", "taker_volume_usd", "unknown_volume_usd", "wash_volume_usd"),
    *("estimated_events", "estimated_volume_usd", "completed"),
    *("events", "closed", "wins", "losses", "gross_profit", "gross_loss", "held_ms"),
    *("realised_gross", "fees", "net_flow", "snapshots"),
]
# How each column of a new row is added to the stored one. LEAST and GREATEST pass over null.
RULES = {
    "kept.{0} + excluded.{0}": SUMS,
    "coalesce(kept.{0}, excluded.{0})": ["equity_open", "nav_open"],
    "coalesce(excluded.{0}, kept.{0})": ["equity_close", "nav_close"],
    "least(kept.{0}, excluded.{0})": ["equity_min", "nav_min", "worst_trip_pnl"],
    "greatest(kept.{0}, excluded.{0})": ["equity_max", "nav_max", "best_trip_pnl"],
}
NUMBERS = [name for names in RULES.values() for name in names]
ADD = f"""
INSERT INTO traders_traderday AS kept (trader_id, day, {", ".join(NUMBERS)})
SELECT * FROM unnest(%s::bigint[], %s::date[]{", %s::numeric[]" * len(NUMBERS)})
ON CONFLICT (trader_id, day) DO UPDATE SET
    {", ".join(f"{name} = {rule.format(name)}" for rule, many in RULES.items() for name in many)}
"""  # noqa: S608 - of the names above alone
# At most some 91 rows, by the index of (trader, day).
REALISED = """
SELECT coalesce(sum(realised_gross - fees), 0) FROM traders_traderday WHERE trader_id = %s
"""
# Anything and null is null: unknown up to the next snapshot.
LEAVE_OUT = """
UPDATE traders_ledger AS kept SET realised_pnl = kept.realised_pnl + other.realised
FROM unnest(%s::bigint[], %s::numeric[]) AS other (trader_id, realised)
WHERE kept.trader_id = other.trader_id AND kept.realised_pnl IS NOT NULL
"""


def write(days: Iterable[TraderDay]) -> None:
    """Add these days, one of each trader and date, to the stored ones in one statement."""
    rows = sorted(days, key=attrgetter("trader_id", "day"))
    if rows:
        columns = [[getattr(row, name) for row in rows] for name in ("trader_id", "day", *NUMBERS)]
        with connection.cursor() as cursor:
            cursor.execute(ADD, columns)


def realised_pnl(trader_id: int) -> Decimal:
    """Return what all the stored days of a trader have realised, less fees, in USD."""
    with connection.cursor() as cursor:
        cursor.execute(REALISED, [trader_id])
        total: Decimal = cursor.fetchone()[0]
    return total


def leave_out(realised: Mapping[int, Decimal | None]) -> None:
    """Tell the ledgers, by trader, what their days have realised that their main dex has not.

    In USD, less fees: on other dexes; None where nothing tells it: fills of an unknown position.
    The caller holds the ledgers' locks.
    """
    if realised:
        with connection.cursor() as cursor:
            cursor.execute(LEAVE_OUT, [list(realised), list(realised.values())])
