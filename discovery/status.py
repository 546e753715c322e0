"""The one line that a terminal sees every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from discovery.sockets import Socket
from discovery.writer import Writer


class StatusLine:
    """Counts since the last line, printed as rates."""

    def __init__(self, show: Callable[[str], object]) -> None:
        """Print with `show`."""
        self._show = show
        self._trades = 0
        self._at = time.monotonic()

    def show(self, sockets: Sequence[Socket], writer: Writer, coins: int) -> None:
        """Print where the process stands."""
        now, trades = time.monotonic(), writer.queue.unique
        rate = (trades - self._trades) / (now - self._at)
        self._trades, self._at = trades, now
        connected = [feed for feed in sockets if feed.stream.state.connected]
        covered = {coin for feed in connected for coin in feed.intake.carried}
        parts = [
            f"{len(connected)}/{len(sockets)} sockets",
            f"{len(covered)}/{coins} coins",
            f"{rate:,.1f} trades/s",
            f"{trades:,} trades",
            f"{writer.new_traders:,} new traders",
            f"{writer.events:,} events",
        ]
        if writer.trouble or writer.queue.trades_waiting > 1000:
            parts.append(f"{writer.queue.trades_waiting:,} trades wait")
        if writer.queue.overflowed:
            parts.append(f"{writer.queue.overflowed:,} trades lost, no room")
        if writer.refused:
            parts.append(f"{writer.refused:,} trades refused by the database")
        if writer.trouble:
            parts.append(f"database: {writer.trouble}")
        elif errors := [feed.stream.state.last_error for feed in sockets]:
            parts.extend([f"last error: {error}" for error in errors if error][:1])
        self._show("discovery: " + ", ".join(parts))
