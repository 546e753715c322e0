"""Embedded PostgreSQL and Valkey: where their state lives and how they are run (no Django here)."""

from __future__ import annotations

from hlcopy.embedded.state import EmbeddedState, data_directory, read_state

__all__ = ["EmbeddedState", "data_directory", "read_state"]
