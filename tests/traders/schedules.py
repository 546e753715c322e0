"""How many schedules a test plays; HLCOPY_SCHEDULES (1000) multiplies them."""

from __future__ import annotations

import os

from hypothesis import settings

SCHEDULES = int(os.environ.get("HLCOPY_SCHEDULES", "1000"))


def schedules(count: int, *, steps: int) -> settings:
    """Return settings for as many schedules, or for what a profile that asks less has for a law."""
    asked = settings().max_examples
    if asked >= settings.get_profile("suite").max_examples:
        asked = max(1, count * SCHEDULES // 1000)
    return settings(max_examples=asked, stateful_step_count=steps)
