"""Small charts of an hour: points of an SVG (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

WIDTH, HEIGHT, MARGIN = 300, 60, 2
SECONDS = 3600


class Chart(Struct, frozen=True):
    """One line, broken where nothing is known, and its extremes; None where nothing is."""

    name: str
    segments: list[str]
    lowest: float | None
    highest: float | None
    newest: float | None


def chart(name: str, points: Sequence[tuple[float, float | None]]) -> Chart:
    """Draw (seconds ago, value), oldest first; the right edge is now."""
    known = [value for _, value in points if value is not None]
    if not known:
        return Chart(name, [], None, None, None)
    lowest, highest = min(known), max(known)
    spread = highest - lowest
    segments: list[list[str]] = [[]]
    for seconds_ago, value in points:
        if value is None:
            segments.append([])
            continue
        x = WIDTH * (1 - min(seconds_ago, SECONDS) / SECONDS)
        share = (value - lowest) / spread if spread else 0.5
        y = HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)
        segments[-1].append(f"{x:.1f},{y:.1f}")
    newest = points[-1][1]
    return Chart(name, [" ".join(each) for each in segments if each], lowest, highest, newest)
