"""Measures every hot path beside the classic way to write it, in one run: `make bench`."""

from __future__ import annotations
