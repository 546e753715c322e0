"""The catalogue: what is told of each trader within a window, and how it is computed (pure).

Definitions, units and when a metric is unknown (null, never 0): docs/scoring.md. Each `sql` is an
expression over the sums of a trader's days (`tally.TALLY`), all of them floats or counts: doubles
tell money to the cent up to 10^13 USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Days that a window looks back, by its name in the API; None: everything that is known.
WINDOWS: dict[str, int | None] = {"7": 7, "30": 30, "90": 90, "all": None}
#: A trader who has never lost, and no better one, gets this.
RISK_RATIO_CAP = 10
#: Of the standard normal distribution, for the 95 % interval.
Z = 1.959963984540054

Kind = Literal["usd", "share", "ratio", "days", "seconds", "count", "flag"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `kind` is its unit."""

    name: str
    kind: Kind
    sql: str


_RATIO = f"""(CASE WHEN wins + losses = 0 THEN NULL
     WHEN losses = 0 THEN {RISK_RATIO_CAP}
     WHEN wins = 0 THEN 0
     ELSE least({RISK_RATIO_CAP}, (profit / wins) / nullif(loss / losses, 0)) END)::float8"""
# Wilson, Journal of the American Statistical Association 22 (1927), lower bound, with n multiplied
# into both parts of the fraction.
_WILSON = f"""CASE WHEN wins + losses > 0 THEN greatest(0,
     (2 * wins + {Z**2}::float8
      - {Z}::float8 * sqrt({Z**2}::float8 + 4 * wins::float8 * losses / (wins + losses)))
     / (2 * (wins + losses + {Z**2}::float8))) END"""
# One snapshot tells what is held, not what was traded or earned.
_WATCHED = "events > 0 OR snapshots > 1"
# Nothing tells whether who was not seen trading has not traded, so there is no 0.
_TRADED = "fills > 0 OR wash_volume > 0"


def _share(part: str) -> str:
    """Return a part of what the feed has shown, as SQL; what was solved later may leave dust."""
    return f"""CASE WHEN volume > estimated_volume
         THEN greatest(0, least(1, {part} / (volume - estimated_volume))) END"""


METRICS = {
    metric.name: metric
    for metric in (
        Metric("account_age_days", "days", "age_days"),
        Metric("total_volume_usd", "usd", f"CASE WHEN {_WATCHED} OR {_TRADED} THEN volume END"),
        Metric("win_rate", "share", "wins::float8 / nullif(wins + losses, 0)"),
        Metric("win_rate_wilson", "share", _WILSON),
        Metric("risk_ratio", "ratio", _RATIO),
        Metric("max_drawdown", "share", "drawdown"),
        Metric(
            "net_pnl",
            "usd",
            "CASE WHEN snapshots > 1 AND days_told = days"
            " THEN (equity_close - equity_open)::float8 - net_flow END",
        ),
        Metric("realised_pnl", "usd", f"CASE WHEN {_WATCHED} THEN realised END"),
        Metric("closed_trips", "count", f"(CASE WHEN {_WATCHED} THEN closed END)::int"),
        Metric("wins", "count", f"(CASE WHEN {_WATCHED} THEN wins END)::int"),
        Metric("losses", "count", f"(CASE WHEN {_WATCHED} THEN losses END)::int"),
        Metric("profit_factor", "ratio", "profit / nullif(loss, 0)"),
        Metric("best_trip_pnl", "usd", "best::float8"),
        Metric("worst_trip_pnl", "usd", "worst::float8"),
        Metric("average_hold_seconds", "seconds", "held_ms / nullif(completed, 0) / 1000"),
        Metric("fills", "count", f"CASE WHEN {_TRADED} THEN fills END"),
        Metric("taker_share", "share", _share("taker_volume")),
        Metric("known_share", "share", f"1 - ({_share('unknown_volume')})"),
        Metric("wash_volume_usd", "usd", f"CASE WHEN {_TRADED} THEN wash_volume END"),
        Metric("estimated", "flag", f"CASE WHEN {_WATCHED} OR {_TRADED} THEN estimated > 0 END"),
    )
}
