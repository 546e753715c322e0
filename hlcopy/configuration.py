"""The settings that people set: names, defaults and limits, checked before all else (pure)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

COIN = re.compile(r"[A-Za-z0-9@#/_.-]{1,32}|[A-Za-z0-9_-]{1,15}:(\*|[A-Za-z0-9_.-]{1,32})")
WEIGHT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?|\.[0-9]{1,9}", re.ASCII)
SCHEMES = {
    "hyperliquid_api_url": ("http", "https"),
    "hyperliquid_ws_url": ("ws", "wss"),
    "database_url": ("postgres", "postgresql"),
    "redis_url": ("redis", "rediss"),
}
#: The presets of the leaderboard, and what each weighs by itself (reference: docs/scoring.md).
PRESETS = {
    "classic": {
        "win_rate": 0.30,
        "max_drawdown": 0.25,
        "total_volume_usd": 0.20,
        "risk_ratio": 0.15,
        "account_age_days": 0.10,
    }
}
YES_OR_NO = {"1": True, "on": True, "true": True, "yes": True, "": False} | dict.fromkeys(
    ("0", "off", "false", "no"), False
)


class ConfigurationError(Exception):
    """Settings that hlcopy refuses to start with; `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        """Keep the sentences and join them for the terminal."""
        self.problems = problems
        super().__init__("hlcopy cannot start with these settings:\n  " + "\n  ".join(problems))


class Configuration(Struct, frozen=True, kw_only=True):
    """One value for each setting; the variable's name is the field's in capitals."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    hlcopy_data: str = ""
    database_url: str = ""
    redis_url: str = ""
    secret_key: str = ""
    debug: bool = False
    allowed_hosts: tuple[str, ...] = ()
    public_read: bool = False
    num_proxies: Annotated[int, Meta(ge=0, le=5)] = 0
    hyperliquid_api_url: str = "https://api.hyperliquid.xyz"
    hyperliquid_ws_url: str = "wss://api.hyperliquid.xyz/ws"
    hyperliquid_coins: tuple[str, ...] = ("all",)
    hyperliquid_sockets: Annotated[int, Meta(ge=1, le=5)] = 2
    # The exchange allows 1200 in any minute and IP (hyperliquid docs, rate limits).
    hyperliquid_weight_per_minute: Annotated[int, Meta(ge=20, le=1200)] = 1100
    tracking_interval_seconds: Annotated[int, Meta(ge=1, le=86400)] = 75
    tracking_batch_size: Annotated[int, Meta(ge=1, le=500)] = 50
    tracking_weight_per_pass: Annotated[int, Meta(ge=2, le=100_000)] = 1000
    leaderboard_interval_seconds: Annotated[int, Meta(ge=5, le=86400)] = 600
    leaderboard_cache_seconds: Annotated[int, Meta(ge=1, le=86400)] = 300
    leaderboard_preset: str = "classic"
    leaderboard_weights: tuple[str, ...] = ()
    event_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 14
    # A trader's account value is that of the newest snapshot: it must outlast a whole rotation.
    snapshot_retention_days: Annotated[int, Meta(ge=7, le=3650)] = 90
    hlcopy_demo: bool = False
    # The demo plays recorded frames.
    hlcopy_replay: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the web server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def weights(self) -> dict[str, float]:
        """What each metric weighs in the score; only the proportions matter."""
        if not self.leaderboard_weights:
            return PRESETS[self.leaderboard_preset]
        pairs = (part.partition("=") for part in self.leaderboard_weights)
        return {name.strip(): float(weight) for name, _, weight in pairs}

    @property
    def read_needs_login(self) -> bool:
        """Whether public data is shown to people who are logged in only."""
        return not (self.loopback or self.public_read)


def load(environ: Mapping[str, str]) -> Configuration:
    """Read every setting from `environ`.

    An unset or empty variable means its default. Raises ConfigurationError with one sentence for
    each value that is refused, never with the value of a secret.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(Configuration):
        text = environ.get(field.name.upper(), "").strip()
        if not text:
            continue
        try:
            values[field.name] = _convert(field, text)
        except ValueError as refused:
            problems.append(f"{field.name.upper()}: {refused}")
    configuration = Configuration(**values)
    problems += _contradictions(configuration)
    if problems:
        raise ConfigurationError(problems)
    return configuration


def _convert(field: msgspec.structs.FieldInfo, text: str) -> object:
    """Turn one variable's text into its field's type; raises ValueError with the reason."""
    if field.type is bool:
        if text.lower() not in YES_OR_NO:
            raise ValueError(f"{text!r} is neither on nor off")
        return YES_OR_NO[text.lower()]
    if field.type == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if field.name in SCHEMES:
        return _checked_url(field.name, text)
    try:
        return msgspec.convert(text, field.type, strict=False)
    except msgspec.ValidationError as refused:
        raise ValueError(f"{text!r} does not fit ({refused})") from None


def _checked_url(name: str, text: str) -> str:
    """Return the URL without a trailing slash, or raise ValueError naming the allowed schemes."""
    allowed = " or ".join(f"{scheme}://" for scheme in SCHEMES[name])
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(f"not a URL; it must begin with {allowed}") from None
    if parts.scheme not in SCHEMES[name] or not parts.netloc or not port_is_valid:
        raise ValueError(f"not a URL that begins with {allowed}")
    return text.rstrip("/")


def _contradictions(configuration: Configuration) -> list[str]:
    """Say what is wrong with values that are each well-formed."""
    problems = [
        f"HYPERLIQUID_COINS: {coin!r} is not a coin name such as BTC, xyz:TSLA or xyz:*"
        for coin in configuration.hyperliquid_coins
        if not COIN.fullmatch(coin)
    ]
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", configuration.host):
        problems.append(f"HOST: {configuration.host!r} is neither an address nor a host name")
    if configuration.secret_key and len(configuration.secret_key) < 32:
        problems.append("SECRET_KEY: shorter than 32 characters")
    if configuration.host in {"0.0.0.0", "::"} and not configuration.allowed_hosts:  # noqa: S104 (compared, not bound)
        problems.append("ALLOWED_HOSTS: name the hosts that people will type, HOST is a wildcard")
    if configuration.tracking_batch_size * 2 > configuration.tracking_weight_per_pass:
        problems.append("TRACKING_WEIGHT_PER_PASS: below one batch (2 for each trader of it)")
    return problems + _wrong_weights(configuration)


def _wrong_weights(configuration: Configuration) -> list[str]:
    """Say what is wrong with the score's preset and weights."""
    if configuration.leaderboard_preset not in PRESETS:
        known = ", ".join(PRESETS)
        return [f"LEADERBOARD_PRESET: {configuration.leaderboard_preset!r} is not one of {known}"]
    metrics = PRESETS[configuration.leaderboard_preset]
    problems, seen = [], set()
    for part in configuration.leaderboard_weights:
        name, _, weight = (text.strip() for text in part.partition("="))
        if name not in metrics:
            problems.append(f"{name!r} is not one of {', '.join(metrics)}")
        elif name in seen:
            problems.append(f"{name!r} is named twice")
        elif not WEIGHT.fullmatch(weight):
            problems.append(f"the weight of {name} must be a number of at least 0, not {weight!r}")
        seen.add(name)
    if not problems and not any(configuration.weights.values()):
        problems.append("all weights are 0")
    return [f"LEADERBOARD_WEIGHTS: {problem}" for problem in problems]
