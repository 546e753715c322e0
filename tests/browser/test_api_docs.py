"""The page of the API in a real browser: it shows every route, and nothing is complained about."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser


def test_the_routes_are_shown_and_can_be_tried_without_a_complaint(server, browser):
    visit = Visit(browser)
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.page.goto(f"{server.url}/api/docs")
    route = visit.page.locator("#operations-api-get_api_v1_events")
    route.wait_for()
    assert visit.page.locator(".opblock").count() >= 19
    visit.shot("api-docs")

    route.click()
    route.get_by_role("button", name="Try it out").click()
    route.get_by_role("button", name="Execute").click()
    route.locator(".live-responses-table .response-col_status", has_text="200").wait_for()

    assert visit.complaints == []
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
