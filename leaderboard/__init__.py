"""Metrics, scores and ranks of traders, and the board that readers get."""

from __future__ import annotations
