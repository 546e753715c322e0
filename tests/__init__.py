"""The suite: pure parts, real PostgreSQL and Valkey, real sockets, a real browser."""

from __future__ import annotations
