"""Who trades, what they hold, what changed: models, the only writers of positions, tracking."""

from __future__ import annotations
