"""Whether many images are as quick as few, in a real browser. `python -m bench.scale [--images 100 100000] [--tests 10000]`

Browse, in a set of noise with so many images:

    next       from the click on the button until the grid of a page that nobody has asked for is painted
    search     from the Enter of a word that nobody has looked for until its images are painted

Evaluate, on a run with so many test images, with patients, studies, sites and ages in a table:

    first view   from choosing the test split, on a page that shows validation, until headline, matrix and curve of the
                 test images stand: nobody has looked at them since the server was started
    part         from the click on a part of the page until it stands; the first time, and when it was seen before

Beside each stands the processor time that the server spends meanwhile, all its threads together.
"""

from __future__ import annotations

import csv
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np

from bench.browser import (
    CHART,
    LONG,
    chromium,
    measure,
    page_of,
    report,
    server_of,
    wait_for,
    wait_for_grid,
    wait_idle,
)
from bench.machine import command, line, noise_set, options_of, train_one

PER_PAGE = 60              # so that 100 images have a second page
ORDERS = ("set", "random", "class", "-class", "-image_id")      # in each of them the second page has other images
VIEWS = 3                  # images of a study; a patient has two studies


# ----------------------------------------------------------------------------------------------------- Browse

def browse(browser, folder: Path, images: int, rounds: int) -> None:
    test = images // 5
    path = noise_set(folder / f"{images}.npz", images - test - max(2, test // 2), test, classes=8)
    turns, searches = [], []
    with server_of(folder / "browse") as server:
        for i in range(rounds):
            with page_of(browser) as page:
                page.goto(f"{server.url}/browse?dataset={path}&per={PER_PAGE}&sort={ORDERS[i % len(ORDERS)]}")
                wait_for_grid(page, 1, PER_PAGE)
                turns.append(measure(page, server, turn))
                searches.append(measure(page, server, search, f"0000{i}"))
    report(f"{images:,} images, next", turns)
    report(f"{images:,} images, search", searches)


def turn(page) -> None:
    page.locator(".st-key-browse_next button").click()
    wait_for_grid(page, PER_PAGE + 1, 40)


def search(page, word: str) -> None:
    box = page.get_by_role("textbox").first
    box.fill(word)
    box.press("Enter")
    wait_for(page, ".st-key-browse_drop_q")
    wait_for_grid(page, 1, 1)


# --------------------------------------------------------------------------------------------------- Evaluate

def make_table(folder: Path, tests: int) -> Path:
    """Write table.csv and its images: 300 to train, 120 for validation, `tests` for test."""
    rng, rows = np.random.default_rng(0), []
    folder.mkdir()
    for i in range(420 + tests):
        patient, study = divmod(i // VIEWS, 2)
        label = patient % 2
        image = rng.integers(0, 200, (28, 28), np.uint8)
        image[4 + 10 * label:8 + 10 * label, 4:24] += 55
        cv2.imwrite(str(folder / f"{i}.png"), image)
        rows.append({"file": f"{i}.png", "label": ("well", "ill")[label], "patient": f"p{patient}", "study": study,
                     "site": ("north", "south", "east", "west")[patient % 7 % 4], "age": 20 + patient % 60,
                     "split": "train" if i < 300 else "val" if i < 420 else "test"})
    with open(folder / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "table.csv"


def evaluate(browser, folder: Path, tests: int, rounds: int) -> None:
    home, table = folder / "home", make_table(folder / "table", tests)
    run = train_one(home, str(table), "--model", "small_cnn", "--size", "28", "--set", "data.split=official")
    command(home, "evaluate", run, "--split", "test").communicate()              # opens the test split
    times: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        with server_of(home) as server, page_of(browser) as page:
            page.goto(f"{server.url}/evaluate?run={run}&split=val&section=overview")
            wait_for(page, CHART)
            times.setdefault("first view of the test split", []).append(measure(page, server, choose_test, tests))
            parts = page.get_by_role("tab").count()
            for visit in ("first time", "seen before"):
                for part in (*range(1, parts), 0):
                    name = page.get_by_role("tab").nth(part).inner_text()
                    times.setdefault(f"{name}, {visit}", []).append(measure(page, server, open_part, part))
    for name, taken in times.items():
        report(f"{tests:,} test images, {name}", taken)


def choose_test(page, tests: int) -> None:
    """Choose the test split in the page's top line and wait for its numbers, its matrix and its curve."""
    page.locator(".st-key-page_header [role=combobox]").last.click()
    page.get_by_role("option", name=re.compile("test", re.I)).click()
    page.get_by_test_id("stMetricValue").filter(has_text=re.compile(f"^{tests:,}$")).first.wait_for(timeout=LONG)
    wait_for(page, "table button")
    wait_for(page, CHART)


def open_part(page, part: int) -> None:
    page.get_by_role("tab").nth(part).click()
    page.get_by_role("tab").nth(part).and_(page.get_by_role("tab", selected=True)).wait_for(timeout=LONG)
    wait_idle(page)


def main() -> None:
    parser = options_of(__doc__, images=[100], tests=60, rounds=1)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 100_000], help="of the sets on Browse")
    parser.add_argument("--tests", type=int, default=10_000, help="test images on Evaluate")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(line())
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        print(f"Chromium {browser.version}, 1440 x 900; median (least to most)")
        for images in options.images:
            browse(browser, Path(folder), images, options.rounds)
        evaluate(browser, Path(folder), options.tests, options.rounds)


if __name__ == "__main__":
    main()
