"""Reading recorded frames, and the recorded metas and accounts that lie beside them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from simulator.listing import MAIN, Coin

MOST_DECIMALS = 5


class Frame(msgspec.Struct):
    """One recorded frame; `trades` is its data if it is a frame of trades."""

    at_ns: int
    channel: str
    coin: str
    text: str
    trades: list[dict[str, Any]]


class _Flat(msgspec.Struct):
    """`{received_wall_ns, channel, data}`."""

    received_wall_ns: int
    channel: str
    data: msgspec.Raw


class _Inner(msgspec.Struct):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Wrapped(msgspec.Struct):
    """`{recv_ns, frame}`."""

    recv_ns: int
    frame: msgspec.Raw


def _open(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def read_frames(path: Path) -> list[Frame]:
    """All frames that belong to a coin; raises ValueError naming a line that is none.

    Acknowledgements, pongs and frames of no coin are left out.
    """
    frames = []
    for number, line in enumerate(_open(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            frame = _decode(line)
        except msgspec.MsgspecError as exc:
            raise ValueError(f"{path.name}, line {number}: not a recorded frame: {exc}") from exc
        if frame is not None:
            frames.append(frame)
    return frames


def _decode(line: bytes) -> Frame | None:
    if b'"recv_ns"' in line[:40]:
        wrapped = msgspec.json.decode(line, type=_Wrapped)
        inner = msgspec.json.decode(wrapped.frame, type=_Inner)
        at_ns, text = wrapped.recv_ns, bytes(wrapped.frame).decode()
    else:
        flat = msgspec.json.decode(line, type=_Flat)
        inner = _Inner(flat.channel, flat.data)
        text = f'{{"channel":"{flat.channel}","data":{bytes(flat.data).decode()}}}'
        at_ns = flat.received_wall_ns
    data = msgspec.json.decode(inner.data)
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return Frame(at_ns, inner.channel, str(data[0].get("coin", "")), text, data)
    if isinstance(data, dict) and isinstance(data.get("coin"), str):
        return Frame(at_ns, inner.channel, data["coin"], text, [])
    return None


def recorded_accounts(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """File name and `clearinghouseState` of every recorded account of a folder, by file name.

    Looks into `*clearinghouseState*` and `*webData2*`; a file's newest state counts.
    """
    accounts = []
    for path in _json_files(folder, "clearinghouseState", "webData2"):
        states = [d for d in _dicts(_load(path)) if "marginSummary" in d and "assetPositions" in d]
        if states:
            accounts.append((path.name, states[-1]))
    return accounts


def recorded_markets(folder: Path) -> dict[str, dict[str, Any]]:
    """The universe rows of every recorded `meta` of a folder, by coin; dedicated files win."""
    rows: dict[str, dict[str, Any]] = {}
    for path in [*_json_files(folder, "webData2"), *_json_files(folder, "meta")]:
        for found in _dicts(_load(path)):
            for row in found.get("universe", ()):
                if isinstance(row, dict) and "szDecimals" in row and "name" in row:
                    rows[str(row["name"])] = row
    return rows


def _json_files(folder: Path, *words: str) -> list[Path]:
    files = [*folder.glob("*.json"), *folder.glob("*.json.gz")]
    return sorted(path for path in files if any(word in path.name for word in words))


def _load(path: Path) -> Any:
    try:
        return msgspec.json.decode(_open(path))
    except msgspec.MsgspecError:
        return None


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a JSON value, outermost first."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _dicts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _dicts(inner)


def recorded_coins(
    frames: list[Frame],
    accounts: list[tuple[str, dict[str, Any]]],
    markets: dict[str, dict[str, Any]],
) -> dict[str, Coin]:
    """The coins of a recording and of its accounts; unknown size decimals are inferred."""
    decimals: dict[str, int] = {}
    prices: dict[str, float] = {}
    for frame in frames:
        seen = decimals.setdefault(frame.coin, 0)
        for trade in frame.trades:
            seen = max(seen, _decimals(str(trade.get("sz"))))
            prices[frame.coin] = float(trade.get("px", 1))
        decimals[frame.coin] = seen
    for _, state in accounts:
        for row in state["assetPositions"]:
            position = row["position"]
            name = str(position["coin"])
            decimals.setdefault(name, _decimals(str(position["szi"])))
            prices.setdefault(name, float(position["positionValue"]) / abs(float(position["szi"])))
    return {
        name: Coin(
            name=name,
            dex=name.partition(":")[0] if ":" in name else MAIN,
            size_decimals=int(
                markets.get(name, {}).get("szDecimals", min(inferred, MOST_DECIMALS))
            ),
            max_leverage=int(markets.get(name, {}).get("maxLeverage", 3)),
            price=prices.get(name, 1.0),
        )
        for name, inferred in decimals.items()
    }


def _decimals(number: str) -> int:
    return len(number.partition(".")[2].rstrip("0"))
