"""The score `classic`: min-max to [0, 1], weights, and what each metric contributed (pure).

Formula: docs/scoring.md. `ranking` computes the same in SQL for all traders at once; this module
explains a stored score, exactly, from the bounds and weights that its board keeps.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import msgspec
from msgspec import Struct

#: Metrics of which less is better.
INVERTED = frozenset({"max_drawdown"})
#: What a metric adds that all traders have alike.
ALL_EQUAL = 0.5

#: Metric -> the smallest and the largest known value; None where nobody's is known.
Bounds = Mapping[str, tuple[float, float] | None]
Weights = Mapping[str, float]


class Component(Struct, frozen=True):
    """What one metric contributes: `weight` is its share of all weights, unknown adds 0."""

    value: float | None
    normalised: float | None
    weight: float
    contribution: float


def shares(weights: Weights) -> dict[str, float]:
    """Return the weights divided by their sum, the largest first, without those of 0.

    In one order, whatever that of the weights: sums of floats depend on it.
    """
    total = math.fsum(weights.values())
    ordered = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))
    return {name: weight / total for name, weight in ordered if weight > 0}


def weights_hash(weights: Weights) -> str:
    """Return 12 hex digits that name these weights, whatever their order and scale."""
    rounded = sorted((name, round(weight, 9)) for name, weight in shares(weights).items())
    return hashlib.sha256(msgspec.json.encode(rounded)).hexdigest()[:12]


def normalise(value: float, low: float, high: float, *, inverted: bool = False) -> float:
    """Return where the value lies between the bounds: 0 the worst, 1 the best."""
    if low == high:
        return ALL_EQUAL
    return (high - value if inverted else value - low) / (high - low)


def explain(
    values: Mapping[str, float | None], bounds: Bounds, weights: Weights
) -> dict[str, Component]:
    """Return what each weighted metric contributes to a trader's score."""
    components = {}
    for name, weight in shares(weights).items():
        value, known = values[name], bounds[name]
        normalised = None
        if value is not None and known is not None:
            normalised = normalise(value, *known, inverted=name in INVERTED)
        contribution = 0.0 if normalised is None else weight * normalised
        components[name] = Component(value, normalised, weight, contribution)
    return components


def score(components: Mapping[str, Component]) -> float:
    """Return the sum of the contributions, to 4 decimals, in [0, 1]."""
    total = 0.0
    # Not sum(), which compensates: the result must be the database's, to the last bit.
    for component in components.values():
        total += component.contribution
    return math.floor(total * 10_000 + 0.5) / 10_000
