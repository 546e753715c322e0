"""Metrics, scoring and ranking of traders. Nothing of it exists yet: see the README's limits."""

from __future__ import annotations
