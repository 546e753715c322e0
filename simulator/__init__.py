"""A Hyperliquid-compatible exchange for demonstrations, tests and load: `python -m simulator`."""

from __future__ import annotations

from simulator.config import SimulatorConfig
from simulator.simulation import Simulator

__all__ = ["Simulator", "SimulatorConfig"]
