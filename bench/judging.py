"""How long a person waits for Evaluate on a run with 10,000 test images, in a real browser. `python -m bench.judging`

    first view      from choosing the test split, on a page that shows validation, until headline, matrix and curve of the test
                    images stand: nobody has looked at them since the server was started
    part            from the click on a part of the page until it stands; the first time, and when it was seen before
    server          processor time that the server spends meanwhile, all its threads together

The set is made here: noise of 28 x 28 px with a bar that says the class, with patients, studies, sites and ages in a table. A
small network is trained on it for one epoch and its test split is opened.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from bench.browse import measure, server_process
from bench.machine import line
from bench.pages import LONG, chromium, wait_idle
from core.runs.store import RunStore
from tests.browser_support import ROOT, serve

# part of the page -> what stands when it does
PARTS = {"Threshold": "text=Of 1,000", "All measures": "text=its equation", "Groups and patients": "text=By group",
         "Learning curve and image size": "text=What would more", "Matrix and curves": "[data-testid=stVegaLiteChart] svg.marks"}
VIEWS = 3                  # images of a study; a patient has two studies


def make_set(folder: Path, tests: int) -> Path:
    """table.csv and its images: 300 to train, 120 for validation, `tests` for test."""
    rng, rows = np.random.default_rng(0), []
    for i in range(420 + tests):
        label, patient = (i // (2 * VIEWS)) % 2, i // (2 * VIEWS)
        image = rng.integers(0, 200, (28, 28), np.uint8)
        image[4 + 10 * label:8 + 10 * label, 4:24] += 55
        cv2.imwrite(str(folder / f"{i}.png"), image)
        rows.append({"file": f"{i}.png", "label": ("well", "ill")[label], "patient": f"p{patient}", "study": i // VIEWS % 2,
                     "site": "north south east west".split()[patient % 7 % 4], "age": 20 + patient % 60,
                     "split": "train" if i < 300 else "val" if i < 420 else "test"})
    with open(folder / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "table.csv"


def prepare(home: Path, table: Path) -> str:
    """A run of one epoch whose test split is open."""
    def core(*words: str) -> None:
        done = subprocess.run([sys.executable, "-m", "core", *words], cwd=ROOT, env=os.environ | {"LIGHTBOX_HOME": str(home)},
                              capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
    core("train", "--dataset", str(table), "--model", "small_cnn", "--size", "28", "--epochs", "1", "--device", "cpu",
         "--name", "Many images", "--set", "data.split=official")
    run = RunStore(home).list()[0].id
    core("evaluate", run, "--split", "test")
    return run


def stands(page, selector: str) -> None:
    page.locator(selector).first.wait_for(timeout=LONG)


def choose_test(page, images: int) -> None:
    """Choose the test split in the page's top line and wait for its numbers, its matrix and its curve."""
    page.locator(".st-key-page_header [data-baseweb=select], .st-key-page_header [role=combobox]").nth(-1).click()
    page.get_by_role("option", name="Test").click()
    page.get_by_test_id("stMetricValue").filter(has_text=re.compile(f"^{images:,}$")).wait_for(timeout=LONG)
    stands(page, "table button")
    stands(page, "[data-testid=stVegaLiteChart] svg.marks")


def open_part(page, title: str) -> None:
    page.get_by_role("tab", name=title).click()
    stands(page, PARTS[title])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(line())
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home, pictures = Path(folder) / "home", Path(folder) / "pictures"
        pictures.mkdir()
        run = prepare(home, make_set(pictures, options.images))
        times: dict[str, list[tuple[float, float]]] = {}
        for turn in range(options.rounds):
            place = Path(folder) / f"server{turn}"
            with serve(ROOT / "app.py", place, "--server.headless", "true", LIGHTBOX_HOME=str(home)) as server:
                page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
                page.goto(f"{server.url}/evaluate?run={run}&split=val&section=overview")
                stands(page, "[data-testid=stVegaLiteChart] svg.marks")
                wait_idle(page)
                pid = server_process()
                times.setdefault("first view of the test split", []).append(measure(page, pid, choose_test, options.images))
                for again in (False, True):
                    for title in PARTS:
                        name = f"{title}, {'seen before' if again or title == 'Matrix and curves' else 'first time'}"
                        times.setdefault(name, []).append(measure(page, pid, open_part, title))
                page.goto("about:blank")
    print(f"{options.images:,} test images, Chromium, 1440 x 900; median of {options.rounds}")
    for name, found in times.items():
        print(f"{name:40} {statistics.median(t for t, _ in found):6.2f} s   "
              f"server {1000 * statistics.median(c for _, c in found):5.0f} ms")


if __name__ == "__main__":
    main()
