"""Browse in a real browser: what only a browser can show."""

import re

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser_support import wait_idle

NAMES = ("<b>one", "two")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Two classes, six patients with two studies of three views."""
    folder = tmp_path_factory.mktemp("set")
    for k in range(36):
        path = folder / NAMES[k % 12 // 6] / f"patient{k // 6:05d}/study{k // 3 % 2 + 1}/image{k % 3}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((40 + k, 40), 7 * k, np.uint8))
    return folder


def test_a_click_on_the_counts_filters_and_the_chips_and_the_address_follow(app, page, studies):
    page.goto(f"{app.url}/browse?dataset={studies}&px=28")
    headline = page.locator(".st-key-browse_bar")
    expect(headline).to_contain_text("36 of 36 images", timeout=60_000)
    page.get_by_role("button", name="Only <b>one").click()
    expect(headline).to_contain_text("18 of 36 images")
    expect(page.get_by_role("combobox", name="Class")).to_have_value("<b>one")
    expect(page).to_have_url(re.compile(r"class=%3Cb%3Eone"))
    page.get_by_role("button", name=re.compile(" two, training")).click()
    expect(page).to_have_url(re.compile("class=two.*split=train|split=train.*class=two"))
    expect(page.get_by_role("combobox", name="Split")).to_have_value("Training")
    page.get_by_role("button", name=re.compile(" two, training")).click()
    expect(headline).to_contain_text("36 of 36 images")
    wait_idle(page)


def test_a_study_stands_in_a_row_and_the_arrows_walk_through_them(app, page, studies):
    page.goto(f"{app.url}/browse?dataset={studies}&px=28&rows=study")
    tiles = page.locator(".st-key-browse_grid .tile")
    expect(tiles).to_have_count(36, timeout=60_000)
    expect(page.locator(".st-key-browse_bar")).to_contain_text("36 of 36 images")
    wait_idle(page)
    boxes = [tile.bounding_box() for tile in tiles.all()]
    rows = [[b["x"] for b in boxes if b["y"] == y] for y in sorted({b["y"] for b in boxes})]
    assert len(rows) == 12 and all(row == rows[0] and len(row) == 3 for row in rows)
    tiles.nth(2).focus()
    page.keyboard.press("ArrowDown")
    expect(tiles.nth(5)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(tiles.nth(2)).to_be_focused()
