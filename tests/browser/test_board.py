"""The leaderboard in a real browser."""

from __future__ import annotations

import pytest

from leaderboard import cache
from tests.browser.conftest import Visit
from tests.leaderboard.conftest import pages as pages  # noqa: PLC0414 (a fixture of that package)
from tests.leaderboard.history import add_day, add_nav, add_ranked, publish

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("pages")]


def people():
    """Rank twelve traders, each better than the next, and one of whom little is known."""
    traders = []
    for place in range(12):
        trader = add_ranked(age_days=30 - place)
        wins = 12 - place
        add_nav(
            trader,
            1,
            [1, 1.02, 1 - place / 40],
            wins=wins,
            losses=place,
            closed=12,
            gross_profit=wins * 31.5,
            gross_loss=place * 20.25,
            volume_usd=(12 - place) * 51234.5,
            events=24,
            equity_open=1000,
            equity_close=1100 - 20 * place,
        )
        traders.append(trader)
    add_day(add_ranked(age_days=2), snapshots=1)
    return traders


def addresses(page):
    return page.eval_on_selector_all("#board .ranked a.address", "links => links.map(l => l.title)")


def test_the_board_is_ranked_sorted_explained_and_follows_new_boards(book, server, browser):
    traders = people()
    publish()
    visit = Visit(browser, viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page = visit.page
    page.goto(server.url)
    page.wait_for_selector("#board .ranked")
    assert addresses(page) == [trader.address for trader in traders[:10]]
    assert page.text_content("#board .range") == "1\u201310 of 13"

    page.click("#board .ranked:first-child .score")
    page.wait_for_selector("#board .parts:not([hidden]) meter")
    assert "30 % = 0.3000" in page.inner_text("#board .parts:not([hidden])")
    visit.shot("board-dark")

    page.click("#board .next")
    page.wait_for_selector("#board .unknown")
    page.click("#board [data-sort=account_age_days] button")
    page.wait_for_selector("text=1\u201310 of 13")
    page.click("#board [data-sort=account_age_days] button")
    page.wait_for_selector("#board [aria-sort=ascending]")
    page.wait_for_selector(f"#board .ranked:nth-child(3) a[title='{traders[-1].address}']")

    page.click("#board [data-window=all]")
    page.wait_for_selector("#board [data-window=all][aria-pressed=true]")
    assert visit.complaints == []


def test_the_board_fits_on_a_phone(book, server, browser):
    people()
    publish()
    visit = Visit(browser, viewport={"width": 390, "height": 844}, color_scheme="light")
    visit.page.goto(server.url)
    visit.page.wait_for_selector("#board .ranked")
    visit.shot("board-phone")

    wider = visit.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wider
    assert visit.complaints == []


def test_before_the_first_ranking_the_page_says_so(book, server, browser):
    visit = Visit(browser)
    visit.page.goto(server.url)
    visit.page.wait_for_selector("text=The first ranking has not run yet.")
    assert visit.complaints == []
    assert cache.facts()["redis_connected"]
