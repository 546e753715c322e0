"""Tests of the package ``exchange``."""

from __future__ import annotations
