"""A node's files become exact positions, with no snapshot."""

from __future__ import annotations

import re
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from discovery.importing import Summary
from discovery.node import NodeImport
from tests.discovery.node_market import NodeMarket, hourly, text, write
from traders.models import (
    Correction,
    FeedGap,
    ImportedFile,
    Ledger,
    Position,
    PositionEvent,
    TraderDay,
    WaitingFill,
)

pytestmark = pytest.mark.django_db(transaction=True)


def imported(*paths: Path) -> Summary:
    """Import the paths to their end."""
    importing = NodeImport(stop=threading.Event())
    importing.run(paths)
    return importing.summary


def held() -> dict[tuple[str, str], Decimal]:
    """Return who holds what by the book."""
    rows = Position.objects.values_list("trader__address", "coin", "size")
    return {(address, coin): size for address, coin, size in rows}


def book() -> dict[str, list[Any]]:
    """Return everything an import makes, but for numbers and times of writing."""
    return {
        "positions": list(
            Position.objects.order_by("trader__address", "coin").values_list(
                *("trader__address", "coin", "size", "entry_price", "opened_at_ms"),
                *("peak_size", "realised_pnl", "fees"),
            )
        ),
        "events": list(
            PositionEvent.objects.order_by("id").values_list(
                *("trader_address", "kind", "coin", "side", "size_before", "size_after"),
                *("price", "source", "stale", "exchange_time_ms", "details"),
            )
        ),
        "days": list(
            TraderDay.objects.order_by("trader__address", "day").values_list(
                *("trader__address", "day", "fills", "volume_usd", "taker_volume_usd"),
                *("unknown_volume_usd", "wash_volume_usd", "events", "closed", "fees"),
                "realised_gross",
            )
        ),
        "bases": list(
            Ledger.objects.order_by("trader__address").values_list("trader__address", "bases")
        ),
        "gaps": list(FeedGap.objects.order_by("coin").values_list("coin", "to_ms", "reason")),
    }


@pytest.mark.parametrize("by_block", [False, True])
@pytest.mark.parametrize("suffix", ["", ".gz", ".lz4"])
def test_every_position_is_what_the_last_fills_start_and_size_say(tmp_path, suffix, by_block):
    market = NodeMarket()
    market.warm_up()
    path = write(hourly(tmp_path, 10, suffix), text(market.blocks(150), by_block=by_block))

    summary = imported(path)

    assert held() == market.held()
    assert (summary.trades, summary.damaged) == (market.trades, 0)
    assert not WaitingFill.objects.exists()
    assert not Correction.objects.exists()
    assert not PositionEvent.objects.filter(stale=True).exists()
    # The beginning of each coin, which nobody has seen.
    assert set(FeedGap.objects.values_list("reason", flat=True)) == {"first"}


def test_importing_again_changes_nothing(tmp_path):
    market = NodeMarket()
    path = write(hourly(tmp_path, 10), text(market.blocks(80), by_block=False))
    imported(tmp_path)
    before = book()

    again = imported(path, tmp_path)
    ImportedFile.objects.all().delete()
    afresh = imported(tmp_path)

    assert (again.trades, again.lines, afresh.trades) == (0, 0, 0)
    assert afresh.lines > 0
    assert book() == before


def test_hours_go_on_from_each_other_and_a_missing_one_is_a_gap(tmp_path):
    market = NodeMarket()
    hours = {hour: market.blocks(60) for hour in (8, 9, 10, 11)}
    for hour, suffix in ((8, ".lz4"), (9, ""), (11, ".gz")):
        write(hourly(tmp_path, hour, suffix), text(hours[hour], by_block=True))

    imported(tmp_path)

    outages = FeedGap.objects.filter(reason="outage")
    assert {gap.coin for gap in outages} == {"BTC", "ETH", "xyz:TSLA", "@107"}
    missing_from, missing_to = hours[10][0][0][1]["time"], hours[10][-1][0][1]["time"]
    assert all(gap.from_ms < missing_from and missing_to < gap.to_ms for gap in outages)
    # Whoever traded since is exact again: the node tells the position before each fill.
    traded = {(who, fill["coin"]) for block in hours[11] for who, fill in block}
    truth = {key: size for key, size in market.held().items() if key in traded}
    assert {key: size for key, size in held().items() if key in traded} == truth
    assert set(Correction.objects.values_list("cause", flat=True)) == {"gap"}


def test_a_settlement_tells_one_traders_position(tmp_path):
    market = NodeMarket()
    blocks = [*market.blocks(60), market.settle("ETH"), *market.blocks(5)]
    write(hourly(tmp_path, 10), text(blocks, by_block=True))

    imported(tmp_path)

    assert held() == market.held()


def test_every_direction_is_reproduced(tmp_path):
    market = NodeMarket(traders=5)
    market.warm_up()
    blocks = [market.block(most=1) for _ in range(200)]
    write(hourly(tmp_path, 10), text(blocks, by_block=False))

    imported(tmp_path)

    told = [
        (who, fill["coin"], fill["dir"])
        for block in blocks
        for who, fill in block
        if fill["coin"] != "@107" and block[0][0] != block[1][0]
    ]
    assert told_by_events() == sorted(told)


def told_by_events() -> list[tuple[str, str, str]]:
    """Return (trader, coin, dir) of every fill, from the events; a flip is two."""
    found: list[tuple[str, str, str]] = []
    closes: dict[tuple[str, str, int], bool] = {}
    for event in PositionEvent.objects.order_by("id"):
        who, at = (event.trader_address, event.coin), event.exchange_time_ms
        was_long = event.size_before > 0 if event.size_before else event.size_after > 0
        side = "Long" if was_long else "Short"
        if event.kind == "OPEN" and (*who, at) in closes:
            found.remove((*who, f"Close {'Short' if was_long else 'Long'}"))
            found.append((*who, "Short > Long" if was_long else "Long > Short"))
            continue
        if event.kind == "CLOSE":
            closes[*who, at] = was_long
        found.append((*who, f"{'Open' if event.kind in {'OPEN', 'INCREASE'} else 'Close'} {side}"))
    return sorted(found)


def test_damaged_lines_are_named_and_are_a_gap(tmp_path, capsys):
    market = NodeMarket()
    market.warm_up()
    lines = text(market.blocks(60), by_block=False).splitlines(keepends=True)
    lines[50] = lines[50][:40] + b"\n"
    lines[90] = b"\xff\xfe not json\n"
    path = write(hourly(tmp_path, 10), b"".join(lines))

    call_command("importfills", str(path))

    written = capsys.readouterr()
    assert f"{path}:51: " in written.err
    assert f"{path}:91: " in written.err
    assert "2 damaged" in written.out
    assert ImportedFile.objects.get().damaged == 2
    assert "refused" in set(FeedGap.objects.values_list("reason", flat=True))
    assert not Correction.objects.filter(cause="drift").exists()


@pytest.mark.parametrize("suffix", ["", ".gz", ".lz4"])
def test_a_file_that_is_cut_off_counts_as_far_as_it_goes(tmp_path, suffix):
    market = NodeMarket()
    content = text(market.blocks(200), by_block=True)
    path = write(hourly(tmp_path, 10, suffix), content)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])

    summary = imported(path)
    first = ImportedFile.objects.get()
    write(path, content)
    rest = imported(path)

    assert 0 < summary.trades < market.trades
    assert summary.named
    assert not first.is_finished
    assert summary.trades + rest.trades == market.trades
    assert held() == market.held()


def test_half_a_trade_before_half_a_line_waits_for_its_other_half(tmp_path):
    market = NodeMarket()
    content = text(market.blocks(40), by_block=False)
    lines = content.splitlines(keepends=True)
    path = write(hourly(tmp_path, 10), b"".join(lines[:-1]) + lines[-1][:50])

    first = imported(path)
    write(path, content)
    rest = imported(path)

    assert 0 < first.trades < market.trades
    assert first.trades + rest.trades == market.trades
    assert held() == market.held()
    assert not Correction.objects.exists()


def test_a_terminal_sees_how_far_it_is(tmp_path):
    shown: list[str] = []
    write(hourly(tmp_path, 10, ".gz"), text(NodeMarket().blocks(60), by_block=True))

    NodeImport(stop=threading.Event(), show=shown.append).run([tmp_path])

    assert len(shown) == 1
    assert re.fullmatch(
        r"1/1 20260921/10.gz \[#+\.*\] \d+% \d+ fills, \d+ trades counted", shown[0]
    )


def test_what_is_not_a_nodes_file_is_refused_clearly(tmp_path):
    with pytest.raises(CommandError, match="nowhere: there is no such file"):
        call_command("importfills", str(tmp_path / "nowhere"))
    with pytest.raises(CommandError, match=r"no \{date\}/\{hour\} file"):
        call_command("importfills", str(tmp_path))
