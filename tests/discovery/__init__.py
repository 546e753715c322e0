"""Discovery: batching, the coin plan, recordings, and the whole process against the simulator."""

from __future__ import annotations
