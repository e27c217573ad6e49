"""What an instructor does, from the first page to the last, in a real browser, with a real training in between."""

import contextlib
import re

import cv2
import pytest
from playwright.sync_api import expect

from core.datasets.phantom import PhantomSource
from core.models import MODELS
from tests.browser_support import choose, wait_idle

LONG = 240_000          # ms: making the phantom set and training on two busy cores


CURVES = "[...document.querySelectorAll('svg.marks')].map(chart => chart.innerHTML)"


@pytest.mark.slow      # two minutes: it trains, and waits for each page
@pytest.mark.timeout(900)
def test_an_instructor_clicks_from_pictures_to_an_answer(app, page, tmp_path):
    page.goto(app.url)
    page.get_by_role("button", name=re.compile("phantom", re.I)).first.click()

    # Browse: a grid, a class, one image in full
    expect(page.locator("h1")).to_have_text("Browse")
    expect(page.locator(".tile").first).to_be_visible(timeout=LONG)
    assert page.locator(".tile").count() >= 60
    page.locator(".tile").nth(3).click()
    expect(page.get_by_role("definition").filter(has_text=re.compile(r"^\d+ x \d+ px"))).to_be_visible()
    page.get_by_role("link", name=re.compile("Next")).click()

    # Split: nobody is on both sides. Augment: nothing is changed yet
    expect(page.locator("h1")).to_have_text("Split")
    expect(page.get_by_text("None of 350 test images shows a patient who is also in training.")).to_be_visible(timeout=LONG)
    page.get_by_role("link", name=re.compile("Next")).click()
    expect(page.locator("h1")).to_have_text("Augment")
    expect(page.get_by_text("Epoch 1, unchanged")).to_be_visible(timeout=LONG)
    page.get_by_role("link", name=re.compile("Next")).click()

    # Network: what it is made of
    expect(page.locator("h1")).to_have_text("Network")
    expect(page.locator(".lb-net figure").first).to_be_visible(timeout=LONG)
    wait_idle(page)
    page.get_by_role("link", name="Next: train it").click()

    # Train: a small network, two clicks
    expect(page.locator("h1")).to_have_text("Train")
    wait_idle(page)
    page.get_by_text("Quick look").click()
    expect(page.get_by_text(MODELS["squeezenet1_1"].description)).to_be_visible()
    wait_idle(page)
    epochs = page.get_by_role("spinbutton", name="Epochs", exact=True)
    epochs.fill("2")
    epochs.press("Enter")
    wait_idle(page)
    expect(epochs).to_have_value("2")
    page.get_by_role("button", name=re.compile("Queue run")).click()

    # Runs: the curves move
    expect(page.locator("h1")).to_have_text("Runs", timeout=30_000)
    expect(page.locator("svg.marks").first).to_be_visible(timeout=LONG)
    first = page.evaluate(CURVES)
    page.wait_for_function(f"before => {CURVES}.some((now, i) => i < before.length && now !== before[i])", arg=first,
                           timeout=LONG)
    judge = page.get_by_role("link", name="Next: evaluate it")
    expect(judge).to_be_visible(timeout=LONG)
    assert "run=" in page.url
    wait_idle(page)
    judge.click()

    # Evaluate: numbers beside the baseline
    expect(page.locator("h1")).to_have_text("Evaluate")
    expect(page.get_by_text("ROC AUC").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text(re.compile(r"majority class: 0\.\d+")).first).to_be_visible()
    wait_idle(page)
    page.get_by_role("link", name=re.compile("Next")).click()

    # Errors: one class, with Grad-CAM over the whole gallery, and one image large
    expect(page.locator("h1")).to_have_text("Errors")
    expect(page.locator(".tile").first).to_be_visible(timeout=60_000)
    wait_idle(page)
    choose(page, page.get_by_role("combobox", name=re.compile("True", re.I)), re.compile("abnormal$"))
    wait_idle(page)
    page.get_by_test_id("stMain").get_by_text("Grad-CAM", exact=True).first.click()
    expect(page.get_by_text(re.compile("logit")).first).to_be_visible(timeout=60_000)
    wait_idle(page)
    captions = page.locator(".tile").all_inner_texts()
    assert captions and all(caption.startswith("abnormal") for caption in captions)
    large = page.get_by_text(re.compile(r"^Wrong: predicted normal .*true class abnormal"))
    for _ in range(4):                                   # maps come one after the other, and a click may fall between two runs
        page.locator(".tile").first.click()
        with contextlib.suppress(AssertionError):
            expect(large).to_be_visible(timeout=20_000)
            break
    expect(large).to_be_visible()
    page.get_by_role("link", name=re.compile("Next")).click()

    # Grad-CAM: one image, turned
    expect(page.locator("h1")).to_have_text("Grad-CAM")
    expect(page.locator(".what-if .stage img.map").first).to_be_visible(timeout=60_000)
    wait_idle(page)
    page.get_by_text("Invert", exact=True).click()
    expect(page.get_by_text(re.compile(r"^[+\u2212]\d+\.\d points$"))).to_be_visible(timeout=60_000)
    wait_idle(page)
    page.get_by_role("link", name=re.compile("Next")).click()

    # Compare: the run in the table of all runs
    expect(page.locator("h1")).to_have_text("Compare")
    wait_idle(page)
    page.get_by_role("link", name=re.compile("Next")).click()

    # Classify: an image of one's own
    expect(page.locator("h1")).to_have_text("Classify")
    source = PhantomSource()
    index = source.scan(lambda *a: None)
    cv2.imwrite(str(tmp_path / "mine.png"), source.original(int(index.table.index[-1])))
    page.locator("input[type=file]").set_input_files(str(tmp_path / "mine.png"))
    expect(page.get_by_text("Preprocessing")).to_be_visible(timeout=60_000)
    expect(page.locator("h2")).to_have_text(re.compile(r"(normal|abnormal), \d+\.\d %"))
