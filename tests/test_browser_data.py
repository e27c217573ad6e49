"""A researcher in a real browser with images of their own: a table and its folder are read, split, audited and augmented."""

import re

import pandas as pd
import pytest
from playwright.sync_api import expect

from tests.browser_support import choose, wait_idle

LONG = 120_000          # ms: decoding and comparing real images on two busy cores


def pick(page, label: str, option: str) -> None:
    choose(page, page.get_by_role("combobox", name=re.compile(rf"^{label}")), option)
    page.wait_for_timeout(500)
    wait_idle(page)


@pytest.mark.slow
def test_a_table_with_real_images_is_added_split_by_patient_audited_and_augmented(app, page, real_data):
    table = pd.read_csv(real_data / "covid_mortality" / "labels.csv", dtype=str)

    # Add: how each column was read, what comes out
    page.goto(f"{app.url}/add")
    path = page.get_by_role("textbox", name=re.compile("^Path of a folder"))
    path.fill(str(real_data / "covid_mortality" / "labels.csv"))
    path.press("Enter")
    expect(page.get_by_text(f"{len(table)} of {len(table)} rows name an existing file.")).to_be_visible(timeout=LONG)
    counts = page.locator(".lb-classes")
    for label, n in table["died"].value_counts().items():
        expect(counts.get_by_role("row").filter(has_text=re.compile(rf"^{label}\s*{n}$"))).to_be_visible()
    wait_idle(page)
    pick(page, "Patient", "none")                        # without a patient column the app cannot keep people apart
    expect(page.get_by_test_id("stMetric").nth(1)).to_contain_text("-")
    pick(page, "Patient", "patient")
    expect(page.get_by_test_id("stMetric").nth(1)).to_contain_text(str(table["patient"].nunique()))
    title = page.get_by_role("textbox", name="Title", exact=True)
    title.fill("Covid in the chest")
    title.press("Enter")
    wait_idle(page)
    page.get_by_role("button", name="Add these images").click()

    # Browse: the images are there, and so is their patient
    expect(page.locator("h1")).to_have_text("Browse", timeout=LONG)
    expect(page.get_by_text(f"{len(table)} of {len(table)} images")).to_be_visible(timeout=LONG)
    assert "dataset=covid-in-the-chest" in page.url
    wait_idle(page)
    page.locator(".tile").first.click()
    expect(page.get_by_text(re.compile(r"All \d+ images of this patient"))).to_be_visible()
    page.get_by_role("link", name=re.compile("^Next")).click()

    # Split: by patient there is no leakage; the same fractions ignoring patients show what that would do
    expect(page.locator("h1")).to_have_text("Split", timeout=LONG)
    expect(page.get_by_text(re.compile("validation images"))).not_to_have_count(0, timeout=LONG)
    wait_idle(page)
    pick(page, "Split", "By patient")
    expect(page.get_by_text(re.compile(r"^None of \d+ test images shows a patient who is also in training"))).to_be_visible()
    shared = page.get_by_text(re.compile(r"^\d+ of \d+ test images \(\d+\.\d %\) show a patient who is also in training"))
    expect(shared).to_be_visible()
    pick(page, "Split", "By image, ignoring patients")
    expect(shared).to_have_count(2)                      # now both halves of the page say so
    pick(page, "Split", "By patient")
    page.get_by_role("button", name="Find duplicates and outliers").click()
    expect(page.get_by_text(re.compile(r"pairs? of duplicates in \d+ groups?, \d+ across splits"))).to_be_visible(timeout=LONG)
    wait_idle(page)
    page.get_by_role("link", name=re.compile("^Next")).click()

    # Augment: a preset changes the picture beside the original
    expect(page.locator("h1")).to_have_text("Augment", timeout=LONG)
    expect(page.get_by_text("Epoch 1, unchanged")).to_be_visible(timeout=LONG)
    wait_idle(page)
    pick(page, "Preset", "Gentle for X-rays")
    expect(page.get_by_text("Epoch 1, unchanged")).to_have_count(0)
    expect(page.get_by_text(re.compile(r"^Epoch 1, .*rotated"))).to_be_visible()
    page.get_by_role("link", name=re.compile("^Next")).click()

    # Network: nothing to change
    expect(page.locator("h1")).to_have_text("Network", timeout=LONG)
    wait_idle(page)
    page.get_by_role("link", name=re.compile("^Next")).click()

    # Train: the run would use what was chosen
    expect(page.locator("h1")).to_have_text("Train", timeout=LONG)
    expect(page.get_by_role("combobox", name="Split")).to_have_value("By patient")
