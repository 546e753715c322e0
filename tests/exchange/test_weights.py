"""The weights are those of the exchange's documentation."""

from __future__ import annotations

import pytest

from exchange import weights


@pytest.mark.parametrize(
    ("request_type", "rows", "actual", "most"),
    [
        ("clearinghouseState", 0, 2, 2),
        ("spotClearinghouseState", 0, 2, 2),
        ("exchangeStatus", 0, 2, 2),
        ("allMids", 0, 2, 2),
        ("l2Book", 0, 2, 2),
        ("orderStatus", 0, 2, 2),
        ("userRole", 0, 60, 60),
        ("meta", 0, 20, 20),
        ("portfolio", 0, 20, 20),
        ("something new", 0, 20, 20),
        ("userFills", 0, 20, 120),
        ("userFillsByTime", 2000, 120, 120),
        ("userFunding", 21, 22, 45),
        ("candleSnapshot", 5000, 104, 104),
    ],
)
def test_a_request_weighs_what_the_documentation_says(request_type, rows, actual, most):
    assert weights.actual(request_type, rows) == actual
    assert weights.most(request_type) == most
