"""Whether 100,000 images page as quickly as 100, in a real browser. `python -m bench.browse [--images 100 100000] [--rounds 5]`

    next     from the click on Next until the grid of a page that nobody has asked for is painted
    search   from the Enter of a word that nobody has looked for until its images are painted
    server   processor time that the server spends meanwhile, all its threads together

The sets are made here: noise of 28 x 28 px with a bar that says the class, as an .npz in MedMNIST's layout.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.machine import line
from bench.pages import LONG, PAINTED, chromium, wait_idle, wait_until_it_stands
from tests.browser_support import ROOT, serve

PER_PAGE = 60              # so that 100 images have a second page
ORDERS = ("set", "random", "class", "-class", "-image_id")      # in each of them the second page has other images
CLASSES = 8


def make_set(path: Path, n: int) -> None:
    """n images in CLASSES classes, 70 % of them for training."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 200, (n, 28, 28), np.uint8), rng.integers(0, CLASSES, n)
    for k in range(CLASSES):
        images[labels == k, 3 * k:3 * k + 4, 4:24] = 255
    parts = np.split(np.arange(n), [int(0.7 * n), int(0.8 * n)])
    np.savez(path, **{f"{split}_{what}": values[part] for split, part in zip(("train", "val", "test"), parts)
                      for what, values in (("images", images), ("labels", labels[:, None]))})


def server_process() -> int:
    """The one child of this process that runs Streamlit."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return next(int(pid) for pid in children if b"streamlit" in Path(f"/proc/{pid}/cmdline").read_bytes())


def processor_time(pid: int) -> float:
    """Seconds that a process has computed, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(page, pid: int, work: Callable, *args) -> tuple[float, float]:
    """(seconds until the page shows it, seconds of the server's processor until it rests)."""
    wait_idle(page)
    time.sleep(0.5)                                      # what the server still does for the page before is not counted
    used, begun = processor_time(pid), time.perf_counter()
    work(page, *args)
    taken = time.perf_counter() - begun
    wait_idle(page)
    time.sleep(0.3)
    return taken, processor_time(pid) - used


def wait_for_grid(page, label: str, count: int) -> None:
    gallery = page.get_by_role("listbox", name=re.compile(label))
    gallery.wait_for(timeout=LONG)
    gallery.locator(".tile").nth(count - 1).wait_for(timeout=LONG)
    gallery.evaluate(PAINTED)


def turn(page) -> None:
    page.get_by_role("button", name="Next").click()
    wait_for_grid(page, "^Images 61 to ", 40)


def look_for(page, word: str) -> None:
    box = page.get_by_role("textbox", name="Search")
    box.fill(word)
    box.press("Enter")
    page.get_by_role("button", name=f"Search {word}").wait_for(timeout=LONG)
    wait_for_grid(page, "^Images 1 to ", 1)


def report(n: int, what: str, times: list[tuple[float, float]]) -> None:
    seen, used = zip(*times)
    seen, used = ([1000 * t for t in times] for times in (seen, used))
    print(f"{n:9,} images   {what:8} {statistics.median(seen):6.0f} ms ({min(seen):.0f} to {max(seen):.0f})   "
          f"server {statistics.median(used):4.0f} ms ({min(used):.0f} to {max(used):.0f}), n = {len(times)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[100, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(line())
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        print(f"Chromium {browser.version}, 1440 x 900; median (least to most)")
        for n in options.images:
            path = Path(folder) / f"{n}.npz"
            make_set(path, n)
            with serve(ROOT / "app.py", Path(folder) / str(n), "--server.headless", "true") as server:
                pid, turns, searches = server_process(), [], []
                for i in range(options.rounds):
                    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
                    page.goto(f"{server.url}/browse?dataset={path}&per={PER_PAGE}&sort={ORDERS[i % len(ORDERS)]}")
                    wait_until_it_stands(page, "browse")
                    wait_for_grid(page, "^Images 1 to ", PER_PAGE)
                    turns.append(measure(page, pid, turn))
                    searches.append(measure(page, pid, look_for, f"0000{i}"))
                    page.context.close()
            report(n, "next", turns)
            report(n, "search", searches)


if __name__ == "__main__":
    main()
