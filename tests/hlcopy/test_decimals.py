"""Decimals as text: exact, and in one spelling."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlcopy.decimals import plain


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x.adjusted()) < 60))
def test_the_text_is_the_number_in_its_one_spelling(number):
    text = plain(number)

    assert Decimal(text) == number
    assert re.fullmatch(r"-?(0|[1-9]\d*)(\.\d*[1-9])?", text)
    assert text != "-0"


@pytest.mark.parametrize(
    ("number", "text"),
    [("1E+3", "1000"), ("1.500", "1.5"), ("-0.000", "0"), ("1E-18", "0.000000000000000001")],
)
def test_there_is_no_exponent_and_no_idle_zero(number, text):
    assert plain(Decimal(number)) == text


def test_it_does_not_round_what_has_more_digits_than_the_context():
    digits = "12345678901234567890.123456789012345678"
    assert plain(Decimal(digits)) == digits
