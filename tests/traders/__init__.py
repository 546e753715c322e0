"""Traders: sightings, coverage, positions, tracking, the admin."""

from __future__ import annotations
