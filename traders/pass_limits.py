"""What a pass of tracking may use, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one pass may use; after `seconds` it must have ended.

    `spread_seconds`: the weight is given out evenly over so long, for events that come steadily
    and a budget that always has room for what is urgent. Without `rotates` only those are tracked
    whose own time has come: healing, and other tries.
    """

    batch_size: int
    weight: int
    seconds: float
    dexes: tuple[str, ...] = ("",)
    spread_seconds: float = 0.0
    rotates: bool = True


@dataclass(slots=True)
class Summary:
    """What a pass has done.

    A batch has failed if requests or writes failed and none of its traders could be tracked;
    `traders_released` were given back untouched; `weight_used` is that of the requests that were
    answered or failed.
    """

    batches_ok: int = 0
    batches_failed: int = 0
    traders_ok: int = 0
    traders_failed: int = 0
    traders_released: int = 0
    events: int = 0
    corrections: int = 0
    weight_used: int = 0
    seconds: float = 0.0
    stopped_because: str = ""
