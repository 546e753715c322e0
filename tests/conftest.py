"""How property tests run: load makes no law untrue, and `make fast` asks fewer questions."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("suite"), max_examples=15)
settings.load_profile("suite")
