"""Tests of metrics, scores, ranks and the board."""

from __future__ import annotations
