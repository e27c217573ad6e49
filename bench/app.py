"""How long a person waits for the app, measured in a real browser. `python -m bench.app [--home HOME] [--rounds 5]`

    first content   from starting `streamlit run` to the picture of the start page, in a browser that is open already
    page change     from the click in the navigation until the content of the page stands; the first visit of each page
                    after the start of the server, and later ones
    grid            from asking for a page of the grid until all its tiles are painted: by its address, everything of the
                    app loaded anew, and by the button that turns the page
    drop            from dropping an image on the page Classify to its result with the map: the first on a fresh server,
                    once its page stands, and the next one
    drawer          from a click on a tile to the image in full: on Browse, and on Errors with its map

Nothing is waited for by the clock: a round ends when the browser shows what is waited for. Without --home the phantom set is
made first and a small network is trained on it for one epoch, in a folder that is removed at the end.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from bench.browser import (
    LONG,
    PAGES,
    chromium,
    open_page,
    page_of,
    report,
    seconds,
    server_of,
    wait_for,
    wait_for_grid,
    wait_idle,
    wait_until_it_stands,
)
from bench.machine import Meter, few_phantoms, finished_run, line, options_of, train_one
from core.datasets.phantom import render
from core.datasets.phantom.source import parse_image_id

DROPPED = ("P0017-S1-V2", "P0013-S1-V2", "P0024-S2-V1")
LARGE = "figure .stage img:first-child, .frame img"          # an image in full


def first_content(browser, home: Path) -> float:
    with page_of(browser) as page:
        meter = Meter()
        with server_of(home) as server:                  # looks every 0.1 s whether the server answers
            page.goto(server.url, wait_until="commit")
            wait_for(page, PAGES[""])
            taken = meter.seconds()
            page.goto("about:blank")
    return taken


def page_changes(browser, home: Path, dataset: str, run: str, rounds: int) -> Iterator[tuple[str, bool, float]]:
    """Walk through the navigation; yield (page, whether it was the first visit, seconds)."""
    with server_of(home) as server, page_of(browser) as page:
        open_page(page, server.url, "browse", dataset=dataset, run=run)      # what the pages are about
        for visit in range(rounds + 1):
            for address in PAGES:
                yield address or "start", visit == 0, seconds(go_to, page, address)
                wait_idle(page)


def go_to(page, address: str) -> None:
    page.locator(f'a[data-testid=stTopNavLink][href$="/{address}"]').click()
    wait_until_it_stands(page, address)


def grids(browser, home: Path, dataset: str, per: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds by address and by the button, each time a page of the grid that nobody has asked for."""
    by_address, by_button = [], []
    with server_of(home) as server:
        with page_of(browser) as page:                   # the set is open, and nobody waits for that below
            open_grid(page, f"{server.url}/browse?dataset={dataset}&per={per}", 1, per)
        for i in range(rounds):
            number = 2 + 2 * (i % 4)                     # the phantom set has ten full pages of 240
            query = f"dataset={dataset}&per={per}&sort={'set' if i < 4 else 'random'}&page={number}"
            with page_of(browser) as page:
                first = (number - 1) * per + 1
                by_address.append(seconds(open_grid, page, f"{server.url}/browse?{query}", first, per))
                wait_idle(page)
                by_button.append(seconds(turn_page, page, first + per, per))
    return by_address, by_button


def open_grid(page, address: str, first: int, count: int) -> None:
    page.goto(address, wait_until="commit")
    wait_for_grid(page, first, count)


def turn_page(page, first: int, count: int) -> None:
    page.locator(".st-key-browse_next button").click()
    wait_for_grid(page, first, count)


def drops(browser, home: Path, run: str, files: list[Path]) -> tuple[float, float]:
    """Return the seconds to the first and to the next result."""
    with server_of(home) as server, page_of(browser) as page:
        open_page(page, server.url, "classify", run=run)
        first = seconds(drop, page, files[0], [])
        wait_idle(page)
        return first, seconds(drop, page, files[1], sources(page))


def drop(page, file: Path, before: list[str]) -> None:
    page.locator("input[type=file]").set_input_files(str(file))
    wait_for_another(page, before)


def sources(page) -> list[str]:
    return page.locator(LARGE).evaluate_all("images => images.map(image => image.src)")


def wait_for_another(page, before: list[str]) -> None:
    """Wait until there is a large image that is none of those in `before`, and it is decoded. Then its words stand too: on
    each page they come before it."""
    page.wait_for_function("""([large, before]) => {
      const walk = root => [...root.querySelectorAll("*")].flatMap(e => e.shadowRoot ? [e, ...walk(e.shadowRoot)] : [e])
      return walk(document).some(e => e.matches(large) && e.complete && e.naturalWidth && !before.includes(e.src))
    }""", arg=[LARGE, before], timeout=LONG)


def drawers(browser, home: Path, rounds: int, address: str, **query: str) -> list[float]:
    """Return the seconds from a click to the image in full, each time another image."""
    times = []
    with server_of(home) as server, page_of(browser) as page:
        open_page(page, server.url, address, **query)
        for i in range(rounds):
            times.append(seconds(open_drawer, page, 2 + i, sources(page)))
            wait_idle(page)
    return times


def open_drawer(page, tile: int, before: list[str]) -> None:
    page.locator(".tile").nth(tile).click()
    wait_for_another(page, before)


def main() -> None:
    parser = options_of(__doc__, rounds=1, per=60)
    parser.add_argument("--home", type=Path, help="a LIGHTBOX_HOME with a finished run on the phantom radiographs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--per", type=int, default=240, help="images of a grid")
    options = parser.parse_args()
    print(line())
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = options.home.resolve() if options.home else Path(folder) / "home"
        dataset, network, size = "phantom", "squeezenet1_1", "64"
        if options.quick:
            dataset, network, size = few_phantoms(Path(folder) / "phantoms"), "small_cnn", "28"
        if not options.home:
            train_one(home, dataset, "--model", network, "--size", size)
        run = finished_run(home, dataset) or sys.exit(f"{home} has no finished run on the phantom radiographs.")
        files = [Path(folder) / f"{image}.png" for image in DROPPED]
        for file in files:
            cv2.imwrite(str(file), np.asarray(render(*parse_image_id(file.stem))[0]))
        print(f"Chromium {browser.version}, 1440 x 900; median (least to most)")
        report("start to first content", [first_content(browser, home) for _ in range(options.rounds)])
        changes = list(page_changes(browser, home, dataset, run, options.rounds))
        report("page change, all pages", [taken for _, first, taken in changes if not first])
        for page in dict.fromkeys(page for page, *_ in changes):
            report(f"    to {page}", [taken for at, first, taken in changes if at == page and not first])
        report("page change, first visit of each page", [taken for _, first, taken in changes if first])
        by_address, by_button = grids(browser, home, dataset, options.per, options.rounds)
        report(f"grid of {options.per} images, by its address", by_address)
        report(f"grid of {options.per} images, by the button", by_button)
        dropped = [drops(browser, home, run, files) for _ in range(options.rounds)]
        report("dropped image to result, fresh server", [first for first, _ in dropped])
        report("dropped image to result, the next one", [second for _, second in dropped])
        report("click on an image to its drawer, Browse", drawers(
            browser, home, options.rounds, "browse", dataset=dataset, per=str(options.per)))
        report("click on an image to its drawer, Errors", drawers(
            browser, home, options.rounds, "errors", run=run, split="val", predicted="all", view="gradcam"))


if __name__ == "__main__":
    main()
