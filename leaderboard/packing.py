"""How values lie in the cache: MessagePack, never pickle; integers as Redis counts them (pure)."""

from __future__ import annotations

from typing import Any

import msgspec


class Packed:
    """The serializer of Django's Redis cache."""

    def dumps(self, value: Any) -> Any:
        """Return what Redis stores."""
        return value if type(value) is int else msgspec.msgpack.encode(value)

    def loads(self, stored: bytes) -> Any:
        """Return the value; raises msgspec.DecodeError for what we have not written."""
        return int(stored) if stored.lstrip(b"-").isdigit() else msgspec.msgpack.decode(stored)
