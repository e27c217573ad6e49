"""The pages of the app as a person meets them, for the programs that drive a browser: their titles, and when one stands."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.browser_support import CHROMIUM

SENTENCE = "A laboratory for medical image classification"
# address -> title, and what the page is for: it stands when all of this is in sight
PAGES = {
    "": ("Lightbox", (f"text={SENTENCE}", "[data-testid=stImage] img", "text=Start with phantom X-rays")),
    "browse": ("Browse", (".st-key-browse_grid .picture", ".st-key-browse_counts table")),
    "add": ("Add images", ("text=My images", "text=Generate phantom X-rays")),
    "split": ("Split", (".lb-split", "text=Duplicates and outliers")),
    "augment": ("Augment", (".st-key-augment_images img", "text=Noise and blur")),
    "network": ("Network", (".lb-net figure", "text=Multiply-adds", "[data-testid=stDataFrame]")),
    "train": ("Train", (".st-key-train_sample .picture", "text=Queue run", "text=Parameters")),
    "runs": ("Runs", ("[data-testid=stVegaLiteChart] svg.marks", "text=Best ROC AUC")),
    "evaluate": ("Evaluate", ("table button", "[data-testid=stVegaLiteChart] svg.marks")),
    "errors": ("Errors", ("[class*=st-key-errors] .picture",)),
    "gradcam": ("Grad-CAM", (".st-key-filmstrip .picture", ".what-if .stage img", "text=What if")),
    "compare": ("Compare", ("table .pick", "text=Which one is better")),
    "classify": ("Classify", (".st-key-samples .picture", "[data-testid=stFileUploaderDropzone]")),
}
LONG = 120_000             # ms; a page that has not come by then will not come

# The sheet with all tiles is decoded, and the browser has drawn two frames since.
PAINTED = """async gallery => {
  const picture = new Image()
  picture.src = getComputedStyle(gallery).getPropertyValue("--sheet").trim().slice(5, -2)
  await picture.decode()
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
}"""


@contextmanager
def chromium() -> Iterator:
    """A browser without a window: Chromium from $CHROMIUM or the PATH, as for the tests."""
    from playwright.sync_api import sync_playwright
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        sys.exit("There is no Chromium. Install Debian's package chromium: apt-get install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM)
        yield browser
        browser.close()


def wait_idle(page) -> None:
    """Wait until the script has run to its end: nobody waits for that, but what is measured next should not either."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=LONG)
    if fault := page.locator("[data-testid=stException]").all_inner_texts():
        sys.exit(f"The page {page.url} shows an error: {fault[0]}")


def wait_until_it_stands(page, address: str) -> None:
    """Wait until the title is that of the page and everything that it is for can be seen, tiles and pictures decoded."""
    title, content = PAGES[address]
    page.locator("h1", has_text=title).wait_for(timeout=LONG)
    for selector in content:
        page.locator(selector).first.wait_for(timeout=LONG)
    if content[0].endswith(".picture"):
        page.locator(content[0].replace(".picture", ".gallery")).first.evaluate(PAINTED)
    page.wait_for_function("() => [...document.images].every(image => image.complete)", timeout=LONG)
