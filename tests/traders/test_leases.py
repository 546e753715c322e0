"""Leases that a living pass keeps, and that a dead worker's traders do not wait long for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hlcopy.periodic import database_now
from simulator import Simulator, SimulatorConfig
from tests.traders.book import add_trader
from tests.traders.passes import meet, run
from traders import claims, leases
from traders.models import Trader

pytestmark = pytest.mark.django_db(transaction=True)


def until(trader_id):
    return Trader.objects.get(pk=trader_id).lease_until


def test_what_is_held_is_renewed_and_nothing_else():
    held, ended, lost = (add_trader(number) for number in range(3))
    batch = claims.claim(3, lease_seconds=5, before=database_now(), alone=True)
    claims.finish(next(claim for claim in batch.claims if claim.trader_id == ended.pk))
    Trader.objects.filter(pk=lost.pk).update(lease_until=Now() - timedelta(seconds=1))
    [other] = claims.claim(1, lease_seconds=3, before=database_now(), alone=True).claims
    assert other.trader_id == lost.pk
    before = until(lost.pk)

    leases.renew(batch.claims)

    assert until(held.pk) > database_now() + timedelta(seconds=leases.LEASE_SECONDS - 1)
    assert (until(ended.pk), until(lost.pk)) == (None, before)


def test_a_pass_that_takes_longer_than_its_leases_keeps_them(monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    with Simulator(SimulatorConfig(seed=9, traders=20, warmup_trades=100)) as sim:
        meet(sim.traders()[:5])
        with sim.fault(rest_slow_seconds=0.8):
            summary = run(sim)

    assert (summary.traders_ok, summary.traders_released) == (5, 0)
    assert not Trader.objects.exclude(unfinished_claims=0).exists()
