"""Columns of rows as parameters: one text for a whole PostgreSQL array (pure).

The driver writes a list value by value in Python, which takes three times as long.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def array(column: Collection[Any]) -> str:
    """Return a column as an array: of texts, bytes, numbers or dates, None among them as null.

    The statement casts it to its type.
    """
    some = next((value for value in column if value is not None), None)
    if isinstance(some, bytes):
        return f"{{{','.join([_hexadecimal(value) for value in column])}}}"
    if isinstance(some, str):
        return f"{{{','.join(map(_quoted, column))}}}"
    return f"{{{','.join(map(str, column)).replace('None', 'NULL')}}}"


def _hexadecimal(value: bytes | None) -> str:
    return "NULL" if value is None else rf'"\\x{value.hex()}"'


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
