"""What is done with a snapshot of an account, by its time and by what it shows (pure)."""

from __future__ import annotations

from enum import Enum, auto

from traders.doubts import SECOND_LOOK_MS

#: A bare reply, with no money either, lies now and then, and perhaps twice.
BARE_LOOK_MS = 60_000


class Verdict(Enum):
    """What is done with a snapshot."""

    OLD = auto()
    BASELINE = auto()
    WAITS = auto()
    APPLIED = auto()
    UNJUDGED = auto()


def judge(
    time_ms: int,
    *,
    floor_ms: int | None,
    emptied_ms: int | None,
    is_doubtful: bool,
    is_bare: bool = False,
) -> Verdict:
    """Decide about a snapshot of exchange time `time_ms` (pure).

    `is_doubtful`: it shows nothing, and that may be a lie; `emptied_ms` is the time of an earlier
    such snapshot that still waits to be confirmed. `is_bare`: it shows no money either.
    """
    wait_ms = BARE_LOOK_MS if is_bare else SECOND_LOOK_MS
    if floor_ms is not None and time_ms <= floor_ms:
        return Verdict.OLD
    if is_doubtful and (emptied_ms is None or time_ms < emptied_ms + wait_ms):
        return Verdict.WAITS
    return Verdict.BASELINE if floor_ms is None else Verdict.APPLIED
