"""Text from outside becomes a number only when it is plainly one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import numbers
from exchange.errors import WireError
from tests.exchange.laws import law


@pytest.mark.parametrize(
    ("size", "size_decimals", "expected"),
    [
        ("1064075.6000000001", 1, "1064075.6"),
        ("1161681.8999999999", 1, "1161681.9"),
        ("-21.0955", 5, "-21.09550"),
        ("3187040.1370470002", 2, "3187040.14"),
        ("-0.000000000000000001", 4, "0"),
        ("12345678901234567890.123456789012345678", 18, "12345678901234567890.123456789012345678"),
        ("7", 0, "7"),
    ],
)
def test_it_takes_the_float_noise_out_of_sizes(size, size_decimals, expected):
    quantised = numbers.quantise(Decimal(size), size_decimals)
    assert quantised == Decimal(expected)
    assert str(quantised) != "-0"
    assert not quantised.is_signed() or quantised < 0


@law
@given(st.integers(-(10**12), 10**12), st.integers(0, 8), st.integers(-49, 49))
def test_noise_below_half_a_lot_never_matters(lots, size_decimals, noise):
    size = Decimal(lots).scaleb(-size_decimals)
    noisy = size + Decimal(noise).scaleb(-size_decimals - 2)
    assert numbers.quantise(noisy, size_decimals) == size


@law
@given(st.decimals(-(10**15), 10**15, places=8))
def test_every_plain_decimal_keeps_every_digit(value):
    assert numbers.exact(f"{value:f}") == value
    assert numbers.noisy(f'"{value:f}"'.encode()) == value


@law
@given(st.text(max_size=12))
def test_no_other_text_becomes_a_number(text):
    plain = text.lstrip("-").replace(".", "", 1)
    if not (plain.isascii() and plain.isdigit()):
        with pytest.raises(WireError):
            numbers.exact(text)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'"0.00000000000000011102230246251565"', "0.000000000000000111"),
        (b'"-1.5"', "-1.5"),
        (b"40", "40"),
        (b"1.25", "1.25"),
        (b'"601390085278.1201171875"', "601390085278.1201171875"),
    ],
)
def test_a_reply_may_write_numbers_with_noise_or_bare(raw, expected):
    assert numbers.noisy(raw) == Decimal(expected)


@pytest.mark.parametrize(
    "raw",
    [b"null", b'""', b"true", b'"NaN"', b"1e5", b'"1e5"', b"[]", b'"' + b"1" * 21 + b'"', b'" 1"'],
)
def test_what_is_no_number_in_a_reply_is_refused(raw):
    with pytest.raises(WireError):
        numbers.noisy(raw)


def test_a_log_line_holds_only_what_can_be_printed():
    assert numbers.printable("a\x00\n\u202e<b>" + "x" * 300, limit=8) == "a???<b>x"
