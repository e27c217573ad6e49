"""A square dragged on a picture, in a real browser: its outline moves at once, the answer follows when it is let go."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from tests import judged
from tests.browser_support import ROOT, SlowLine, serve, wait_idle

trained = judged.trained          # fixture


@pytest.fixture
def lab(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "lightbox")
    with serve(ROOT / "app.py", tmp_path, "--server.headless", "true") as server:
        yield server


def test_a_square_is_dragged_and_the_answer_follows(lab, page):
    line = SlowLine(page)
    page.goto(f"{lab.url}/gradcam?predicted=all")
    expect(page.locator(".what-if .stage").nth(1)).to_be_visible(timeout=60_000)
    wait_idle(page)
    page.get_by_text("Cover a square", exact=True).click()
    handle, changed = page.locator(".handle.cover"), page.locator(".what-if figure").nth(1).locator("img").first
    expect(handle).to_be_visible()
    expect(page.locator(".moved")).to_have_text(re.compile(r"^[+\u2212]\d+\.\d points$"))
    wait_idle(page)
    before, picture = handle.bounding_box(), changed.get_attribute("src")

    line.hold()                                                     # the server may say nothing until the mouse is up
    page.mouse.move(before["x"] + 10, before["y"] + 10)
    page.mouse.down()
    page.mouse.move(before["x"] - 50, before["y"] + 40, steps=4)
    during = handle.bounding_box()
    assert abs(during["x"] - before["x"] + 60) < 1.5 and abs(during["y"] - before["y"] - 30) < 1.5
    assert changed.get_attribute("src") == picture
    page.mouse.up()
    line.let_go()
    expect(changed).not_to_have_attribute("src", picture)
    after = page.locator(".handle.cover").bounding_box()
    assert abs(after["x"] - during["x"]) < 1.5 and abs(after["y"] - during["y"]) < 1.5

    handle.focus()                                                  # and by keyboard: the focus outlasts the answer
    wait_idle(page)
    picture = changed.get_attribute("src")
    page.keyboard.press("ArrowRight")
    expect(changed).not_to_have_attribute("src", picture)
    assert page.locator(".handle.cover").bounding_box()["x"] > after["x"] + 2
    expect(page.locator(".handle.cover")).to_be_focused()
