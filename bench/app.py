"""How long a person waits for the app, measured in a real browser. `python -m bench.app [--home HOME] [--rounds 5]`

    first content   from starting `streamlit run` to the sentence of the start page, in a browser that is open already
    page change     from the click in the navigation until title and content of the page stand; the first visit of each page
                    after the start of the server, and later ones
    grid            from asking for a page of the grid until all its tiles are painted: by its address, everything of the app
                    loaded anew, and by the button Next
    drop            from dropping an image on the page Classify to the answer with its map: the first on a fresh server, once
                    its page stands, and the next one
    drawer          from a click on a tile to the image in full: on Browse, and on Errors with its map

Nothing is waited for by the clock: a round ends when the browser shows what is waited for (bench/pages.py). Without --home
the phantom set is made first and a small network is trained on it for one epoch, in a folder that is removed at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from bench.machine import line
from bench.pages import LONG, PAGES, PAINTED, SENTENCE, chromium, wait_idle, wait_until_it_stands
from core.datasets.phantom import render
from core.datasets.phantom.source import parse_image_id
from core.runs.store import RunStore
from tests.browser_support import ROOT, Server, serve

PER_PAGE = 240             # of the sizes that the page offers, the nearest to 200
SIZE = 64                  # pixels of the set that is made here
DROPPED = ("P0017-S1-V2", "P0013-S1-V2", "P0024-S2-V1")


def seconds(work: Callable, *args) -> float:
    begun = time.perf_counter()
    work(*args)
    return time.perf_counter() - begun


def report(name: str, times: list[float]) -> None:
    print(f"{name:44} {statistics.median(times):7.2f} s   ({min(times):.2f} to {max(times):.2f}, n = {len(times)})", flush=True)


# ------------------------------------------------------------------------------------------------------------- preparing

def prepare(home: Path) -> None:
    """The phantom set at SIZE, and a run of one epoch on it with its answers."""
    command = [sys.executable, "-m", "core", "train", "--dataset", "phantom", "--model", "squeezenet1_1", "--size", str(SIZE),
               "--epochs", "1", "--device", "cpu", "--name", "One epoch"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"LIGHTBOX_HOME": str(home)}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def finished_run(home: Path) -> str:
    for run in RunStore(home).list():
        if run.config.data.dataset == "phantom" and run.status().state == "finished":
            return run.id
    sys.exit(f"{home} has no finished run on the phantom radiographs.")


def draw_images(folder: Path) -> list[Path]:
    """Phantom radiographs at full resolution as files to drop."""
    files = [folder / f"{image}.png" for image in DROPPED]
    for file in files:
        cv2.imwrite(str(file), np.asarray(render(*parse_image_id(file.stem))[0]))
    return files


@contextmanager
def server_of(home: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, \
            serve(ROOT / "app.py", Path(folder), "--server.headless", "true", LIGHTBOX_HOME=str(home)) as server:
        yield server


@contextmanager
def page_of(browser) -> Iterator:
    """A page in a profile of its own: nothing is in its cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


# ------------------------------------------------------------------------------------------------------------- measuring

def first_content(browser, home: Path) -> float:
    with page_of(browser) as page:
        begun = time.perf_counter()
        with server_of(home) as server:                  # looks every 0.1 s whether the server answers
            page.goto(server.url, wait_until="commit")
            page.get_by_text(SENTENCE).wait_for(timeout=LONG)
            taken = time.perf_counter() - begun
            page.goto("about:blank")
    return taken


def page_changes(browser, home: Path, run: str, rounds: int) -> Iterator[tuple[str, bool, float]]:
    """(page, whether it was the first visit, seconds) of a walk through the navigation, each round all pages in their order."""
    with server_of(home) as server, page_of(browser) as page:
        page.goto(f"{server.url}/runs?run={run}")        # the run that the pages are about
        wait_until_it_stands(page, "runs")
        wait_idle(page)
        for visit in range(rounds + 1):
            for address in PAGES:
                name = address or "start"
                yield name, visit == 0, seconds(go_to, page, address, name.capitalize())
                wait_idle(page)
        page.goto("about:blank")


def go_to(page, address: str, name: str) -> None:
    page.get_by_test_id("stTopNavLink").filter(has_text=re.compile(f"^{name}$")).click()
    wait_until_it_stands(page, address)


def wait_for_grid(page, first: int, count: int = PER_PAGE) -> None:
    gallery = page.get_by_role("listbox", name=re.compile(f"^Images {first:,} to "))
    gallery.wait_for(timeout=LONG)
    page.locator(".tile").nth(count - 1).wait_for(timeout=LONG)
    gallery.evaluate(PAINTED)


def grids(browser, home: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds by address and by the button, each time a page of the grid that nobody has asked for."""
    by_address, by_button = [], []
    with server_of(home) as server:
        with page_of(browser) as page:                   # the set is open, and nobody waits for that below
            open_grid(page, f"{server.url}/browse?dataset=phantom&per={PER_PAGE}", 1)
        for i in range(rounds):
            number = 2 + 2 * (i % 4)                     # the phantom set has ten full pages
            order = "set" if i < 4 else "random"
            with page_of(browser) as page:
                address = f"{server.url}/browse?dataset=phantom&per={PER_PAGE}&sort={order}&page={number}"
                by_address.append(seconds(open_grid, page, address, (number - 1) * PER_PAGE + 1))
                wait_idle(page)
                by_button.append(seconds(turn_page, page, number * PER_PAGE + 1))
                page.goto("about:blank")
    return by_address, by_button


def open_grid(page, address: str, first: int) -> None:
    page.goto(address, wait_until="commit")
    wait_for_grid(page, first)


def turn_page(page, first: int) -> None:
    page.get_by_role("button", name="Next").click()
    wait_for_grid(page, first)


def drops(browser, home: Path, run: str, files: list[Path]) -> tuple[float, float]:
    """Seconds to the first and to the next answer."""
    with server_of(home) as server, page_of(browser) as page:
        page.goto(f"{server.url}/classify?run={run}")
        wait_until_it_stands(page, "classify")

        wait_idle(page)
        first = seconds(drop, page, files[0], [])
        wait_idle(page)
        following = seconds(drop, page, files[1], sources(page, "figure .stage img:first-child"))
        page.goto("about:blank")
    return first, following


def drop(page, file: Path, before: list[str]) -> None:
    page.locator("input[type=file]").set_input_files(str(file))
    page.locator("h2", has_text=re.compile(r"\d %$")).wait_for(timeout=LONG)
    wait_for_another(page, before)


def sources(page, large: str) -> list[str]:
    return page.locator(large).evaluate_all("images => images.map(image => image.src)")


def wait_for_another(page, before: list[str]) -> None:
    """Wait until there is a large image that is none of those in `before`, and it is decoded. Then its words stand too: on
    each page they come before it."""
    page.wait_for_function("""before => {
      const walk = root => [...root.querySelectorAll("*")].flatMap(e => e.shadowRoot ? [e, ...walk(e.shadowRoot)] : [e])
      return walk(document).some(e => e.matches("figure .stage img:first-child, .frame img") && e.complete && e.naturalWidth
                                      && !before.includes(e.src))
    }""", arg=before, timeout=LONG)


def drawers(browser, home: Path, run: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds from a click to the image in full on Browse, and on Errors with its map; each time another image."""
    found = []
    with server_of(home) as server:
        for address, query, large in (("browse", f"dataset=phantom&per={PER_PAGE}", ".frame img"),
                                      ("errors", f"run={run}&split=val&predicted=all&view=gradcam",
                                       "figure .stage img:first-child")):
            times = []
            with page_of(browser) as page:
                page.goto(f"{server.url}/{address}?{query}")
                wait_until_it_stands(page, address)
                wait_idle(page)
                for i in range(rounds):
                    times.append(seconds(open_drawer, page, 2 + i, sources(page, large)))
                    wait_idle(page)
                page.goto("about:blank")
            found.append(times)
    return tuple(found)


def open_drawer(page, tile: int, before: list[str]) -> None:
    page.locator(".tile").nth(tile).click()
    wait_for_another(page, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="a LIGHTBOX_HOME with a finished run on the phantom radiographs")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(line())
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = options.home.resolve() if options.home else Path(folder) / "home"
        if not options.home:
            prepare(home)
        run, files, rounds = finished_run(home), draw_images(Path(folder)), range(options.rounds)
        print(f"Chromium {browser.version}, 1440 x 900; median (least to most)")
        report("start to first content", [first_content(browser, home) for _ in rounds])
        changes = list(page_changes(browser, home, run, options.rounds))
        report("page change, all pages", [taken for _, first, taken in changes if not first])
        for page in dict.fromkeys(page for page, *_ in changes):
            report(f"    to {page}", [taken for at, first, taken in changes if at == page and not first])
        report("page change, first visit of each page", [taken for _, first, taken in changes if first])
        by_address, by_button = grids(browser, home, options.rounds)
        report(f"grid of {PER_PAGE} images, by its address", by_address)
        report(f"grid of {PER_PAGE} images, by Next", by_button)
        dropped = [drops(browser, home, run, files) for _ in rounds]
        report("dropped image to answer, fresh server", [first for first, _ in dropped])
        report("dropped image to answer, the next one", [second for _, second in dropped])
        in_full, with_map = drawers(browser, home, run, options.rounds)
        report("click on an image to its drawer, Browse", in_full)
        report("click on an image to its drawer, Errors", with_map)


if __name__ == "__main__":
    main()
