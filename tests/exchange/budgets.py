"""The budget's two forms behind one face, on a clock that the test moves."""

from __future__ import annotations

import secrets
from typing import Any

import redis

from exchange.budget import Answer, Budget, Rules, Status, Usage
from exchange.shared_budget import _SCRIPT

START = 1_790_000_000_000


class Pure:
    """``exchange.budget`` itself."""

    def __init__(self, rules: Rules) -> None:
        self.now = START
        self.budget = Budget(rules)
        self.run = "a"

    def reserve(self, entry_id: str, weight: int, host: str = "", boot: int = 0) -> Answer:
        return self.budget.reserve(
            self.now, self.run, entry_id=entry_id, weight=weight, host=host, boot=boot
        )

    def settle(self, entry_id: str, weight: int, actual: int) -> None:
        self.budget.settle(self.now, self.run, entry_id=entry_id, weight=weight, actual=actual)

    def pause(self, seconds: float | None) -> int:
        return self.budget.pause(self.now, self.run, seconds)

    def usage(self) -> Usage:
        return self.budget.usage(self.now, self.run)

    def open(self) -> None:
        self.budget.open(self.now, self.run)

    def close(self, host: str, boot: int) -> None:
        self.budget.close(self.now, self.run, host=host, boot=boot)

    def restart(self) -> None:
        """The server that keeps the log starts anew, with its data."""
        self.run += "a"

    def lose(self) -> None:
        """All data is gone."""
        self.budget = Budget(self.budget.rules)


class InRedis:
    """``budget.lua`` in a real server."""

    def __init__(self, rules: Rules, url: str) -> None:
        self.now = START
        self.rules = rules
        self.redis = redis.Redis.from_url(url)
        self.script = self.redis.register_script(_SCRIPT)
        name = secrets.token_hex(4)
        self.keys = [f"{{budget:{name}}}:{key}" for key in ("state", "log", "peaks")]

    def _call(self, operation: str, *arguments: Any) -> list[Any]:
        rules = self.rules
        fixed: list[Any] = [operation, rules.limit, rules.hold_ms, rules.closed_ms, self.now]
        result: list[Any] = self.script(keys=self.keys, args=[*fixed, *arguments])
        return result

    def reserve(self, entry_id: str, weight: int, host: str = "", boot: int = 0) -> Answer:
        status, wait = self._call("reserve", entry_id, weight, host, boot)
        return Answer(Status(status.decode()), wait)

    def settle(self, entry_id: str, weight: int, actual: int) -> None:
        self._call("settle", entry_id, weight, actual)

    def pause(self, seconds: float | None) -> int:
        return int(self._call("pause", "" if seconds is None else seconds)[0])

    def usage(self) -> Usage:
        return Usage(*self._call("usage"))

    def open(self) -> None:
        self._call("open")

    def close(self, host: str, boot: int) -> None:
        self._call("close", host, boot)

    def restart(self) -> None:
        """The server that keeps the log starts anew, with its data."""
        self.redis.hset(self.keys[0], "run", "another")

    def lose(self) -> None:
        """All data is gone."""
        self.redis.delete(*self.keys)
