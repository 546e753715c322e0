"""How far a trader's index of returns fell, as SQL over the rows of `TraderDay`.

The largest `FALL` among some days is the drawdown within them. Each row is compared with all later
ones and with no earlier one, so that its `FALL` is the same in every window that begins before it.
Within a day only what is certain counts: the lowest point against where the day began, the close
against the day's own peak. A row that many days were folded into brings the drawdown within them.
"""

from __future__ import annotations

#: The window of all later days, `WINDOW later AS ...`.
LATER = (
    "(PARTITION BY trader_id ORDER BY day DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
)
#: The share, null where nothing is known or nothing was left to fall from.
FALL = """greatest(1 - least(nav_min / nullif(nav_open, 0),
                   least(nav_close, min(nav_min) OVER later) / nullif(nav_max, 0)), drawdown)"""
