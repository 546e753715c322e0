"""Lets go of fills that have waited too long for their trader's base, and says so in its doubts."""

from __future__ import annotations

from collections import defaultdict

from django.db import connection

from traders.doubts import Doubt
from traders.models import Ledger, WaitingFill
from traders.writing import writing

MOST_OF_A_COIN = 200
LONGEST_MS = 24 * 3600 * 1000
#: Traders in one transaction.
AT_ONCE = 200
# The newest `most` of each coin stay, as far as they are a day old by the exchange's own time.
TOO_MANY = """
SELECT crowd.trader_id, crowd.coin, greatest(oldest_kept.time_ms - 1, newest.time_ms - %(longest)s)
FROM (
    SELECT trader_id, coin, count(*) AS fills, min(time_ms) AS first_ms FROM traders_waitingfill
    GROUP BY trader_id, coin
) AS crowd
CROSS JOIN (SELECT coalesce(max(newest_ms), 0) AS time_ms FROM traders_feedcursor) AS newest
LEFT JOIN LATERAL (
    SELECT time_ms FROM traders_waitingfill AS fill
    WHERE fill.trader_id = crowd.trader_id AND fill.coin = crowd.coin AND crowd.fills > %(most)s
    ORDER BY fill.time_ms DESC, fill.id DESC OFFSET %(most)s - 1 LIMIT 1
) AS oldest_kept ON true
WHERE crowd.fills > %(most)s OR crowd.first_ms <= newest.time_ms - %(longest)s
ORDER BY crowd.trader_id
"""


def let_go() -> int:
    """Remove what is over 200 fills of a coin, or older than a day; return how many went.

    What is left of a coin still tells its position once a snapshot has come after the cut.
    """
    with connection.cursor() as cursor:
        cursor.execute(TOO_MANY, {"most": MOST_OF_A_COIN, "longest": LONGEST_MS})
        cuts: dict[int, dict[str, int]] = defaultdict(dict)
        for trader_id, coin, until_ms in cursor.fetchall():
            cuts[trader_id][coin] = until_ms
    traders = sorted(cuts)
    gone = 0
    for begin in range(0, len(traders), AT_ONCE):
        gone += _cut({number: cuts[number] for number in traders[begin : begin + AT_ONCE]})
    return gone


def _cut(cuts: dict[int, dict[str, int]]) -> int:
    """Remove some traders' fills up to these times, in one transaction."""
    gone = 0
    with writing():
        ledgers = Ledger.objects.filter(pk__in=cuts).order_by("pk").select_for_update(no_key=True)
        for ledger in ledgers:
            for coin, until_ms in cuts[ledger.pk].items():
                fills = WaitingFill.objects.filter(
                    trader_id=ledger.pk, coin=coin, time_ms__lte=until_ms
                )
                removed, _ = fills.delete()
                if removed:
                    ledger.doubts[coin] = Doubt(None, cut_ms=until_ms).written()
                    gone += removed
            ledger.save(update_fields=["doubts"])
    return gone
