"""How property tests run: load makes no law untrue, and `make fast` asks fewer questions.

And what a test may leave behind: an unclosed connection fails the test that left it, not whichever
test runs when the collector happens to find it.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("suite"), max_examples=15)
settings.load_profile("suite")


def pytest_collection_finish() -> None:
    """Spare the collections what was imported: they take 5 ms instead of 60."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Collect the test's garbage after its fixtures', and let it fail for what was left open."""
    yield
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always")
        gc.collect()
    assert not left_open, [str(warning.message) for warning in left_open]
