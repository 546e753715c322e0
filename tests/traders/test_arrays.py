"""Arrays as PostgreSQL reads them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from traders.arrays import array

# PostgreSQL has no texts with a zero, and no halves of characters.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def read(column: list[object], kind: str) -> object:
    """Let PostgreSQL read a column."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [array(column)])
        return cursor.fetchone()[0]


class Texts(TestCase):
    """Any text may come from outside."""

    @given(st.lists(st.none() | TEXTS))
    def test_texts_are_read_as_they_were_written(self, column):
        assert read(column, "text") == column


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([], "bigint"),
        ([None, None], "numeric"),
        ([1, None, -(2**62)], "bigint"),
        ([Decimal("1.50"), None, Decimal("-1E-18")], "numeric"),
        ([date(2026, 11, 29)], "date"),
        ([b'\x00\\"', b""], "bytea"),
        (["None", "NULL", "", None, '{"a": "b\\\\c"}'], "text"),
    ],
)
def test_a_column_is_read_as_it_was_written(column, kind):
    assert read(column, kind) == column
