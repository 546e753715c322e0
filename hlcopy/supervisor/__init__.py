"""Runs programs, restarts them, and leaves none behind; knows nothing of what they do."""

from __future__ import annotations
