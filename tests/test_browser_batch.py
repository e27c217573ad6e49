"""Many images on Classify, by click: two hundred files of which ten are broken, dropped or as a folder; Stop and Continue."""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser_support import choose, wait_idle

ROOT = Path(__file__).parents[1]
BROKEN = range(7, 200, 20)          # ten of the two hundred


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """200 files in two folders; every twentieth is cut off, empty, or words."""
    folder, rng = tmp_path_factory.mktemp("ward-7"), np.random.default_rng(0)
    for below in ("left", "right"):
        (folder / below).mkdir()
    for k in range(200):
        file = folder / ("left", "right")[k % 2] / f"{k:03}.png"
        Image.fromarray(rng.integers(0, 255, (40 + k % 30, 50), np.uint8)).save(file)
        if k in BROKEN:
            content = file.read_bytes()
            file.write_bytes((content[:len(content) // 2], b"", b"no image")[k // 20 % 3])
    (folder / "readme.txt").write_text("not an image")
    return folder


def rows_of(text: str) -> dict[str, list[str]]:
    """File name -> its row, without the folder in front."""
    header, *rows = csv.reader(io.StringIO(text))
    assert header[:2] == ["file", "predicted"] and header[-2:] == ["error", "notes"]
    return {row[0].rpartition("/")[2]: row[1:] for row in rows}


def download(page) -> str:
    with page.expect_download() as got:
        page.get_by_text("Download the table (CSV)").click()
    return Path(got.value.path()).read_text()


def test_two_hundred_images_of_which_ten_are_broken(page, app, folder):
    page.goto(f"{app.url}/classify")
    wait_idle(page)
    page.locator("input[type=file]").set_input_files(sorted(map(str, folder.glob("*/*.png"))))
    expect(page.get_by_text("190 of 200 files classified.")).to_be_visible(timeout=120_000)
    dropped = rows_of(download(page))
    assert len(dropped) == 200
    assert sorted(name for name, row in dropped.items() if row[-2]) == [f"{k:03}.png" for k in BROKEN]
    assert all(bool(row[0]) == (not row[-2]) for row in dropped.values())

    choose(page, page.get_by_role("combobox", name="Show"), "Could not be read (10)")
    wait_idle(page)
    assert len(rows_of(download(page))) == 200                        # a filter of what is seen, not of the file
    choose(page, page.get_by_role("combobox", name="Show"), "All (200)")
    wait_idle(page)

    page.get_by_role("textbox", name="Or a folder on this machine").fill(str(folder))
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 file was left out: by its name it is not an image.")).to_be_visible(timeout=120_000)
    given = download(page)
    assert rows_of(given) == dropped

    command = [sys.executable, "-m", "core", "predict", "phantom-body-part", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | {"LIGHTBOX_HOME": str(app.home)}, capture_output=True, text=True)
    assert answer.returncode == 0 and answer.stdout == given, answer.stderr
    assert given.splitlines()[1].startswith("left/000.png,")          # named from the folder on


def test_a_row_opens_its_image_and_the_way_back_is_there(page, app, folder):
    page.goto(f"{app.url}/classify")
    wait_idle(page)
    page.locator("input[type=file]").set_input_files([str(folder / "left" / f"{k:03}.png") for k in (0, 2, 4)])
    expect(page.get_by_text("3 of 3 files classified.")).to_be_visible(timeout=60_000)
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    box = table.bounding_box()
    page.mouse.click(box["x"] + 12, box["y"] + 35 + 24 + 48)          # the box before the second row
    expect(page.get_by_text("Preprocessing")).to_be_visible(timeout=60_000)
    page.get_by_text("Back to 3 files").click()
    expect(page.get_by_text("3 of 3 files classified.")).to_be_visible()
    expect(page.get_by_text("Preprocessing")).to_have_count(0)


def test_a_stop_keeps_what_was_done(page, app, tmp_path):
    rng = np.random.default_rng(1)
    for k in range(300):
        Image.fromarray(rng.integers(0, 255, (800, 800), np.uint8)).save(tmp_path / f"{k:03}.png", compress_level=0)
    page.goto(f"{app.url}/classify")
    wait_idle(page)
    page.get_by_role("textbox", name="Or a folder on this machine").fill(str(tmp_path))
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"Classifying: [1-9]\d* of 300"))).to_be_visible(timeout=60_000)
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()
    said = page.get_by_text(re.compile(r"\d+ of 300 files classified\. It was stopped: \d+ are not done yet\."))
    expect(said).to_be_visible()
    done, left = map(int, re.search(r"(\d+) of 300 .*stopped: (\d+)", said.inner_text()).groups())
    assert 0 < done == 300 - left < 300 and len(rows_of(download(page))) == done
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("300 of 300 files classified.")).to_be_visible(timeout=120_000)
