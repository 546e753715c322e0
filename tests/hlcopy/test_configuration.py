"""Settings: what is accepted, and what is refused with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlcopy.configuration import Configuration, ConfigurationError, load


def test_nothing_set_means_the_documented_defaults():
    configuration = load({})

    assert configuration == Configuration()
    assert (configuration.host, configuration.port) == ("127.0.0.1", 8000)
    assert configuration.hyperliquid_weight_per_minute == 1100
    assert configuration.tracking_interval_seconds == 75
    assert configuration.event_retention_days == 14
    assert configuration.snapshot_retention_days == 90
    assert not configuration.read_needs_login


def test_an_empty_variable_means_its_default():
    assert load({"PORT": "", "HYPERLIQUID_COINS": "  "}) == Configuration()


def test_every_value_is_read_in_its_own_type():
    configuration = load(
        {
            "PORT": "9000",
            "DEBUG": "on",
            "HYPERLIQUID_COINS": "BTC, xyz:*,kPEPE",
            "HYPERLIQUID_API_URL": "http://127.0.0.1:4000/",
        }
    )

    assert configuration.port == 9000
    assert configuration.debug is True
    assert configuration.hyperliquid_coins == ("BTC", "xyz:*", "kPEPE")
    assert configuration.hyperliquid_api_url == "http://127.0.0.1:4000"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "eighty", "PORT: 'eighty' does not fit"),
        ("PORT", "70000", "PORT: '70000' does not fit"),
        ("DEBUG", "perhaps", "DEBUG: 'perhaps' is neither on nor off"),
        ("HYPERLIQUID_WEIGHT_PER_MINUTE", "1201", "`int` <= 1200"),
        ("HYPERLIQUID_API_URL", "ftp://x", "http:// or https://"),
        ("HYPERLIQUID_WS_URL", "wss://[bad", "ws:// or wss://"),
        ("HYPERLIQUID_COINS", "BTC,DROP TABLE", "'DROP TABLE' is not a coin name"),
        ("HOST", "a b", "neither an address nor a host name"),
        ("HOST", "0.0.0.0", "ALLOWED_HOSTS"),
        ("SECRET_KEY", "short", "SECRET_KEY: shorter than 32"),
        ("TRACKING_WEIGHT_PER_PASS", "10", "TRACKING_WEIGHT_PER_PASS: below one batch"),
        ("TRACKING_INTERVAL_SECONDS", "0", "`int` >= 1"),
        ("LEADERBOARD_INTERVAL_SECONDS", "1", "`int` >= 5"),
        ("EVENT_RETENTION_DAYS", "0", "`int` >= 1"),
        ("EVENT_RETENTION_DAYS", "two weeks", "EVENT_RETENTION_DAYS: 'two weeks' does not fit"),
        ("SNAPSHOT_RETENTION_DAYS", "6", "`int` >= 7"),
        ("SNAPSHOT_RETENTION_DAYS", "-90", "`int` >= 7"),
        ("SNAPSHOT_RETENTION_DAYS", "4000", "`int` <= 3650"),
        ("LEADERBOARD_PRESET", "best", "LEADERBOARD_PRESET: 'best' is not one of classic"),
        ("LEADERBOARD_WEIGHTS", "profit=1", "'profit' is not one of win_rate, max_drawdown"),
        ("LEADERBOARD_WEIGHTS", "win_rate=-1", "must be a number of at least 0, not '-1'"),
        ("LEADERBOARD_WEIGHTS", "win_rate=nan", "must be a number of at least 0, not 'nan'"),
        ("LEADERBOARD_WEIGHTS", "win_rate", "must be a number of at least 0, not ''"),
        ("LEADERBOARD_WEIGHTS", "win_rate=1,win_rate=2", "'win_rate' is named twice"),
        ("LEADERBOARD_WEIGHTS", "win_rate=0,risk_ratio=.0", "all weights are 0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(name, value, reason):
    with pytest.raises(ConfigurationError) as refused:
        load({name: value})

    assert reason in str(refused.value)


def test_weights_are_the_presets_own_or_those_that_are_named():
    assert load({}).weights["win_rate"] == 0.3
    assert sum(load({}).weights.values()) == pytest.approx(1)
    assert load({"LEADERBOARD_WEIGHTS": "win_rate=.5, risk_ratio = 2"}).weights == {
        "win_rate": 0.5,
        "risk_ratio": 2,
    }


def test_all_wrong_values_are_named_at_once():
    with pytest.raises(ConfigurationError) as refused:
        load({"PORT": "x", "DEBUG": "y"})

    assert len(refused.value.problems) == 2


def test_a_refused_secret_is_not_repeated():
    with pytest.raises(ConfigurationError) as refused:
        load({"SECRET_KEY": "hunter2", "DATABASE_URL": "mysql://root:hunter2@db/x"})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "public_read", "needs_login"),
    [
        ("127.0.0.1", "0", False),
        ("::1", "0", False),
        ("localhost", "0", False),
        ("192.0.2.7", "0", True),
        ("192.0.2.7", "1", False),
        ("hlcopy.example", "0", True),
    ],
)
def test_only_loopback_is_read_without_a_login(host, public_read, needs_login):
    configuration = load({"HOST": host, "PUBLIC_READ": public_read})

    assert configuration.read_needs_login is needs_login


@given(
    st.dictionaries(
        st.sampled_from([name.upper() for name in Configuration.__struct_fields__]),
        st.text(max_size=40),
    )
)
def test_any_text_is_read_or_refused_and_never_crashes(environ):
    try:
        load(environ)
    except ConfigurationError as refused:
        assert refused.problems  # noqa: PT017 (either outcome is right, a crash is not)
