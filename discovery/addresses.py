"""Addresses from a file: the exchange's leaderboard, a CSV, or a plain list (pure but for reading).

Only addresses are taken; names and whatever else stands there is left.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from exchange import numbers
from exchange.errors import WireError

#: The exchange's own file has 39 MB.
LARGEST_BYTES = 1 << 29
#: What a column, or a key, of addresses is called, in small letters.
CALLED = ("address", "ethaddress", "eth_address", "user", "wallet", "trader", "account")
MOST_NAMED = 5


class _Leaderboard(msgspec.Struct):
    leaderboardRows: list[msgspec.Raw]  # noqa: N815 (the exchange's name)


_leaderboard = msgspec.json.Decoder(_Leaderboard)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(str | dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


@dataclass(slots=True)
class Addresses:
    """Addresses in lower case, each once; `named` are the first few lines that hold none."""

    found: dict[str, None] = field(default_factory=dict)
    repeated: int = 0
    damaged: int = 0
    named: list[str] = field(default_factory=list)


def read_addresses(path: Path) -> Addresses:
    """Return a file's addresses; raises OSError, and WireError where it is none of the three."""
    if path.stat().st_size > LARGEST_BYTES:
        raise WireError(f"larger than {LARGEST_BYTES >> 20} MB")
    raw = path.read_bytes()
    addresses = Addresses()
    is_json = raw.lstrip()[:1] in {b"{", b"["}
    for number, text in _of_json(raw) if is_json else _of_lines(raw):
        try:
            address = numbers.address(text)
        except WireError as error:
            addresses.damaged += 1
            if len(addresses.named) < MOST_NAMED:
                addresses.named.append(f"{path}:{number}: {error}")
            continue
        addresses.repeated += address in addresses.found
        addresses.found[address] = None
    return addresses


def _of_json(raw: bytes) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of each row."""
    try:
        is_list = raw.lstrip()[:1] == b"["
        rows = _rows.decode(raw) if is_list else _leaderboard.decode(raw).leaderboardRows
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a leaderboard: {numbers.printable(str(error))}") from error
    for number, row in enumerate(rows, 1):
        try:
            told = _row.decode(row)
            yield number, told if isinstance(told, str) else _called_address(told)
        except (ValueError, RecursionError):
            yield number, ""


def _called_address(row: dict[str, msgspec.Raw]) -> str:
    return next((_text.decode(row[key]) for key in row if key.lower() in CALLED), "")


def _of_lines(raw: bytes) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of each line that says something: a CSV's column, or the line."""
    lines = raw.decode("utf-8-sig", "replace").splitlines()
    told = [(number, line) for number, line in enumerate(lines, 1) if _says_something(line)]
    if not told:
        return
    first = told[0][1]
    separator = next((sign for sign in ",;\t" if sign in first), None)
    column, is_header = _column(next(csv.reader([first], delimiter=separator or ",")))
    for number, line in told[1:] if is_header else told:
        try:
            row = next(csv.reader([line], delimiter=separator or ","))
        except csv.Error:
            row = []
        yield number, row[column].strip() if column < len(row) else line


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _column(first: Sequence[str]) -> tuple[int, bool]:
    """Return which column has the addresses, and whether the first line names it."""
    for place, name in enumerate(first):
        if name.strip().lower() in CALLED:
            return place, True
    for place, text in enumerate(first):
        if text.strip().lower().startswith("0x"):
            return place, False
    raise WireError(f"no column of addresses; call it one of {', '.join(CALLED)}")
