"""The pages of the app as a person meets them, for the programs that drive a browser. Nothing hangs on the words of a page."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.machine import ROOT, Meter, processor_seconds
from tests.browser_support import CHROMIUM, Server, serve

LONG = 120_000             # ms; a page that has not come by then will not come
CHART = "[data-testid=stVegaLiteChart] svg.marks"
# address -> what only this page has: it stands when that is in sight and every picture is decoded
PAGES = {
    "": "[data-testid=stImage] img",
    "browse": ".st-key-browse_grid .picture",
    "add": ".st-key-add_upload, .st-key-phantom_save",
    "split": ".st-key-split_search",
    "augment": ".st-key-augment_images img",
    "network": ".st-key-network_body figure",
    "train": ".st-key-train_sample .picture",
    "runs": f".st-key-run_state, {CHART}",
    "evaluate": f".st-key-curves {CHART}",
    "errors": "[class*=st-key-errors] .picture",
    "gradcam": ".what-if .stage img",
    "compare": "table .pick",
    "ensemble": "table .pick, .st-key-ensemble_empty",          # with one run it invites to train two more
    "classify": ".st-key-samples .picture",
}

# The sheet with all tiles is decoded, and the browser has drawn two frames since.
PAINTED = """async gallery => {
  const picture = new Image()
  picture.src = getComputedStyle(gallery).getPropertyValue("--sheet").trim().slice(5, -2)
  await picture.decode()
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
}"""


@contextmanager
def chromium() -> Iterator:
    """Start a browser without a window: Chromium from $CHROMIUM or the PATH, as for the tests."""
    from playwright.sync_api import sync_playwright
    names = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not program:
        sys.exit("There is no Chromium. Install Debian's package chromium: apt-get install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM)
        yield browser
        browser.close()


@contextmanager
def server_of(home: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, \
            serve(ROOT / "app.py", Path(folder), "--server.headless", "true", LIGHTBOX_HOME=str(home)) as server:
        yield server


@contextmanager
def page_of(browser) -> Iterator:
    """Open a page in a profile of its own: nothing is in its cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    yield page
    page.goto("about:blank")
    context.close()


def wait_idle(page) -> None:
    """Wait until the script has run to its end: nobody waits for that, but what is measured next should not either."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=LONG)
    if fault := page.locator("[data-testid=stException]").all_inner_texts():
        sys.exit(f"The page {page.url} shows an error: {fault[0]}")


def wait_for(page, selector: str) -> None:
    page.locator(selector).first.wait_for(timeout=LONG)


def wait_until_it_stands(page, address: str) -> None:
    wait_for(page, "h1")
    content = PAGES[address]
    wait_for(page, content)
    if content.endswith(".picture"):
        page.locator(content.replace(".picture", ".gallery")).first.evaluate(PAINTED)
    page.wait_for_function("() => [...document.images].every(image => image.complete)", timeout=LONG)


def open_page(page, url: str, address: str, **query: str) -> None:
    page.goto(f"{url}/{address}?" + "&".join(f"{name}={value}" for name, value in query.items()))
    wait_until_it_stands(page, address)
    wait_idle(page)


def wait_for_grid(page, first: int, count: int) -> None:
    """Wait until the grid of Browse begins with image number `first`, has `count` tiles, and is painted."""
    gallery = page.get_by_role("listbox", name=re.compile(rf"\b{first:,} "))
    gallery.wait_for(timeout=LONG)
    gallery.locator(".tile").nth(count - 1).wait_for(timeout=LONG)
    gallery.evaluate(PAINTED)


def seconds(work: Callable, *args) -> float:
    meter = Meter()
    work(*args)
    return meter.seconds()


def measure(page, server: Server, work: Callable, *args) -> tuple[float, float]:
    """Return the seconds until the page shows it, and those of the server's processor until it rests."""
    wait_idle(page)
    page.wait_for_timeout(500)                           # what the server still does for the page before
    used, taken = processor_seconds(server.pid), seconds(work, page, *args)
    wait_idle(page)
    page.wait_for_timeout(300)
    return taken, processor_seconds(server.pid) - used


def report(name: str, times: list) -> None:
    """Print median and range of seconds, or of (seconds, seconds of the server's processor)."""
    taken, used = zip(*times) if isinstance(times[0], tuple) else (times, None)
    server = f"   server {1000 * statistics.median(used):.0f} ms" if used else ""
    print(f"{name:52} {statistics.median(taken):6.2f} s ({min(taken):.2f} to {max(taken):.2f}, n = {len(taken)}){server}",
          flush=True)
