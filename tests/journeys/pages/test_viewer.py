"""`gsr view` in a real browser: from the scores to a group and on by keys, on a wide and a narrow screen."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.journeys.pages.test_page import gsr, two_recorded_models
from tests.journeys.serving import CHROMIUM, PATIENCE, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """`gsr view` of two recorded models that were run."""
    folder = tmp_path_factory.mktemp("viewed")
    path = two_recorded_models(folder, "viewed")
    environment = {**os.environ, "GSR_HOME": str(folder / "home"), "DAGSTER_HOME": ""}
    subprocess.run(gsr(path, "run"), env=environment, check=True, capture_output=True)
    with served(lambda port: gsr(path, "view", "--port", port), environment, asked="/") as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_one_reads_group_after_group(address, width, scheme, tmp_path):
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))

        def is_inside() -> bool:
            # Between two pages there is no element yet.
            return bool(page.wait_for_function("document.documentElement?.scrollWidth <= innerWidth"))

        page.goto(address)
        page.get_by_role("link", name="viewed").click()
        assert is_inside()
        page.get_by_role("row", name=re.compile("said-1b")).get_by_role("link", name="all").click()
        page.get_by_label("Sort by").select_option("least agreement")
        page.get_by_role("button", name="Show").click()
        expect(page).to_have_url(re.compile("sort=least"))
        assert is_inside()
        page.locator("td a").first.click()
        first = page.locator("h1").inner_text()
        expect(page.locator("article")).to_have_count(5)
        assert is_inside()
        page.keyboard.press("n")
        expect(page.locator("h1")).not_to_have_text(first)
        page.keyboard.press("p")
        expect(page.locator("h1")).to_have_text(first)
        page.get_by_role("link", name="said-7b").click()
        expect(page.locator("article")).to_have_count(10)
        assert is_inside()
        page.locator("summary", has_text="Doubt the verdict").first.click()
        page.get_by_label("Why").first.fill("<b>not</b> so")
        page.get_by_role("button", name="Doubt it").first.click()
        doubted = page.locator("summary", has_text="Doubted: <b>not</b> so")
        expect(doubted).to_be_visible()
        page.screenshot(path=tmp_path / "group.png", full_page=True)
        page.get_by_label("Why").first.fill("")
        page.get_by_role("button", name="Keep").first.click()
        expect(doubted).to_have_count(0)
        browser.close()
    assert said == []
