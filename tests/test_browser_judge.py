"""What a person does while they judge, in a real browser: mark an image, follow a cell of the matrix, check a printed table."""

import csv
import re
import shutil

import numpy as np
import pytest
from playwright.sync_api import expect

from core.runs.marks import read_marks
from core.runs.store import RunStore
from tests import judged
from tests.browser_support import choose, wait_idle
from tests.judged import plant

trained = judged.trained          # fixture
LABELS = np.arange(40) % 2
P = np.where(LABELS == 1, 0.9, 0.1)
P[[31, 7, 20, 8]] = 0.03, 0.2, 0.6, 0.8           # four mistakes, the surest first: 31 and 7 are 1, 20 and 8 are 0
NOTE = 'Cut off; "see" <b>film 2</b>'


@pytest.fixture(scope="module")
def run(app, trained):
    shutil.copytree(trained / "runs", app.home / "runs")
    run, = RunStore(app.home).list()
    plant(run, "val", LABELS, np.stack([1 - P, P], 1))
    return run


def test_a_mark_and_its_note_outlast_a_reload_and_are_in_the_file(app, page, run, tmp_path):
    name = np.load(run.folder / "predictions.npz")["val_image_ids"][31]
    page.goto(f"{app.url}/errors?run={run.id}")
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(4, timeout=60_000)
    tiles.first.click()                                              # the surest mistake
    mark = page.get_by_role("radio", name="Mislabelled")
    note = page.get_by_role("textbox", name="Note")
    expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=30_000)
    mark.click()
    expect(tiles.first).to_contain_text("Mislabelled")
    wait_idle(page)
    note.fill(NOTE)
    note.press("Enter")
    expect(page.get_by_role("button", name="1 mark as CSV")).to_be_visible()
    wait_idle(page)

    page.reload()
    expect(mark).to_be_checked(timeout=60_000)
    expect(note).to_have_value(NOTE)
    expect(tiles.filter(has_text="Mislabelled")).to_have_count(1)
    wait_idle(page)
    with page.expect_download() as coming:
        page.get_by_role("button", name="1 mark as CSV").click()
    coming.value.save_as(tmp_path / "marks.csv")
    with open(tmp_path / "marks.csv", newline="") as file:
        row, = csv.DictReader(file)
    assert (row["dataset"], row["image_id"], row["mark"], row["note"]) == (run.config.data.dataset, name, "mislabelled", NOTE)

    page.goto(f"{app.url}/errors?run={run.id}&mark=mislabelled")     # listed alone
    expect(tiles).to_have_count(1, timeout=60_000)
    expect(tiles.first).to_contain_text("Mislabelled")
    wait_idle(page)
    assert read_marks(run.config.data.dataset, app.home)[name].note == NOTE


def test_a_tile_that_is_clicked_stays_in_sight_beside_its_details(app, page, run):
    page.goto(f"{app.url}/errors?run={run.id}&predicted=all")
    tiles, frame = page.locator(".tile"), page.locator(".st-key-beside_details")
    expect(tiles).to_have_count(40, timeout=60_000)
    wait_idle(page)
    tiles.nth(38).click()
    expect(frame).to_be_visible(timeout=30_000)
    wait_idle(page)
    chosen = frame.locator(".tile[aria-selected=true]")
    expect(chosen).to_have_count(1)
    page.wait_for_timeout(500)
    tile, box = chosen.bounding_box(), frame.bounding_box()
    assert box["y"] - 1 <= tile["y"] and tile["y"] + tile["height"] <= min(box["y"] + box["height"], 900) + 1
    ends = [one.bounding_box() for one in frame.locator(".tile").all()[:8]]
    assert box["x"] + box["width"] - max(one["x"] + one["width"] for one in ends) < 16             # no empty strip


def test_a_cell_of_the_matrix_opens_its_images(app, page, run):
    page.goto(f"{app.url}/evaluate?run={run.id}")
    page.get_by_role("button", name="1 predicted as 0: 2 10.0 %, of 20").click(timeout=60_000)
    expect(page).to_have_url(re.compile(r"/errors\?"))
    asked = dict(part.split("=") for part in page.url.partition("?")[2].split("&"))
    assert (asked["run"], asked["true"], asked["predicted"]) == (run.id, "1", "0")
    expect(page.locator(".tile")).to_have_count(2, timeout=60_000)
    wait_idle(page)


def test_a_printed_table_is_found_out(app, page):
    page.goto(f"{app.url}/compare?view=check")
    choose(page, page.get_by_role("combobox", name="Table"), re.compile(r"\(R000\): images of each part"))
    expect(page.get_by_text("Total adds up to 12,901, but 12,941 is printed").first).to_be_attached()
    page.get_by_role("radio", name="One row").click()
    accuracy = page.get_by_role("textbox", name="Accuracy")
    expect(accuracy).to_have_value("0.73")                           # 3,197 images, 1,530 of them positive
    expect(page.get_by_text("These numbers are impossible together")).to_be_visible()
    wait_idle(page)
    accuracy.fill("")
    accuracy.press("Enter")                                          # without it the others fit together
    expect(page.get_by_text("These numbers are consistent")).to_be_visible()
    wait_idle(page)
