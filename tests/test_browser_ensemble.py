"""Networks that predict together, in a real browser: picked by click, compared, made a run, an error of it looked into, an image
dropped on it; and both themes of the page as axe-core sees them."""

import re
import shutil

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from core.evaluation.predictions import load_predictions, store_predictions
from core.runs.store import RunStore
from tests.browser_support import ROOT, serve, wait_idle
from tests.test_browser_axe import check

LONG = 90_000


@pytest.fixture
def lab(trained_readers, tmp_path, monkeypatch):
    """A server whose three seeds make different mistakes."""
    home = tmp_path / "lightbox"
    shutil.copytree(trained_readers, home)
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    rng = np.random.default_rng(0)
    for run in RunStore(home).list():
        if run.config.name in "abc":
            preds = load_predictions(run, "val")
            p = np.clip(0.5 + 0.2 * (2 * preds.labels - 1) + rng.normal(0, 0.3, len(preds.labels)), 0.02, 0.98)
            store_predictions(run, "val", type(preds)(**vars(preds) | {"probs": np.stack([1 - p, p], 1).astype(np.float32)}))
    with serve(ROOT / "app.py", tmp_path, "--server.headless", "true") as server:
        yield server


def pick(page, name: str, letter: str) -> None:
    """Click on the button of a run in the table, which then has the letter."""
    button = page.get_by_role("button", name=f"Pick {name}", exact=True)
    button.click()
    expect(button).to_have_text(letter)
    wait_idle(page)


def make(page, name: str) -> None:
    field = page.get_by_role("textbox", name="Name", exact=True)
    field.fill(name)
    field.press("Enter")
    wait_idle(page)
    page.get_by_role("button", name="Make this ensemble a run").click()
    expect(page.get_by_text(f"{name} is a run now.")).to_be_visible(timeout=LONG)


@pytest.mark.slow      # half a minute: it trains the readers, and looks into each
@pytest.mark.timeout(400)
def test_three_readers_are_picked_compared_combined_and_asked(lab, page, tmp_path):
    page.goto(f"{lab.url}/ensemble?members=none")
    expect(page.get_by_text("Pick members in the table")).to_be_visible(timeout=LONG)
    for letter in "ABC":
        pick(page, letter.lower(), letter)

    # at once: every way beside the best and the mean member, and whether it is more than chance
    expect(page.locator("[data-testid=stVegaLiteChart] svg.marks").first).to_contain_text("Greedy selection")
    expect(page.locator("[data-testid=stVegaLiteChart] svg.marks").first).to_contain_text("Mean member")
    expect(page.get_by_text(re.compile("than the best member|the best member, .*have the same"))).to_be_visible()

    # disagreement: another measure, then the images behind a cell
    page.get_by_text("Both wrong", exact=True).first.click()
    wait_idle(page)
    page.get_by_role("button", name=re.compile("^A and C: ")).click()
    wait_idle(page)
    page.get_by_text(re.compile(r"^Only A right: \d+")).click()
    expect(page.locator(".st-key-ensemble_gallery .tile").first).to_be_visible()
    page.mouse.move(5, 400)                          # what is under the mouse has colours of Streamlit's own
    check(page)

    make(page, "Soft of three")
    page.get_by_role("button", name=re.compile("One for each side")).click()
    expect(page.get_by_text("Each expert on its own part and on the others")).to_be_visible(timeout=LONG)
    wait_idle(page)
    make(page, "Sides")
    made = {run.name: run for run in RunStore(lab.home).list() if run.ensemble}
    assert {run.ensemble.how for run in made.values()} == {"soft", "experts"} and set(made) == {"Soft of three", "Sides"}

    # an error of it, with the map of each member
    soft = made["Soft of three"]
    page.goto(f"{lab.url}/errors?run={soft.id}&true=all&predicted=wrong")
    expect(page.locator(".tile").first).to_be_visible(timeout=LONG)
    page.locator(".tile").first.click()
    expect(page.get_by_text("Each member").first).to_be_visible(timeout=LONG)
    wait_idle(page, LONG)

    # an image dropped on it
    image = np.full((40, 40), 90, np.uint8)
    image[8:16, 20:28] = 255
    cv2.imwrite(str(tmp_path / "hand.png"), image)
    page.goto(f"{lab.url}/classify?run={soft.id}")
    expect(page.locator("input[type=file]")).to_be_attached(timeout=LONG)
    wait_idle(page, LONG)
    page.locator("input[type=file]").set_input_files(str(tmp_path / "hand.png"))
    expect(page.get_by_text("Preprocessing").first).to_be_visible(timeout=LONG)
    expect(page.get_by_text("Each member").first).to_be_visible(timeout=LONG)
