"""The README's pictures of the pages, in the dark theme; the start page in the light one too. `python -m bench.screenshots HOME`

HOME is a LIGHTBOX_HOME with at least one finished run on the phantom radiographs' default task. What is shown is chosen by
name, so that the same home gives the same pictures.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from bench.pages import chromium, wait_idle, wait_until_it_stands
from core.augment import PRESETS
from core.datasets.phantom import render
from core.datasets.phantom.source import parse_image_id
from core.models import MODELS
from core.runs.store import Run, RunStore
from tests.browser_support import ROOT, serve

LARGEST = 250_000          # bytes of a picture
IMAGE = "P0017-S1-V2"      # an elbow with a plate: open on the browse page, dropped on classify


def run_to_show(home: Path) -> Run:
    """The newest finished run on the default task of the phantom radiographs."""
    for run in RunStore(home).list():
        data = run.config.data
        if data.dataset == "phantom" and data.target in ("", "abnormality") and run.status().state == "finished":
            return run
    sys.exit(f"{home} has no finished run on the phantom radiographs. Train one: python -m core train --dataset phantom")


def shown(page, url: str, run: Run, drop: Path) -> Iterator[str]:
    """Bring one page after the other to what is worth a picture."""
    def visit(address: str, **query: str) -> None:
        page.goto(f"{url}/{address}?" + "&".join(f"{name}={value}" for name, value in query.items()))
        wait_until_it_stands(page, address)
        wait_idle(page)

    visit("")
    page.get_by_text("This machine:").wait_for()
    page.get_by_text("looking for a GPU").wait_for(state="detached")
    yield "start"
    visit("browse", dataset="phantom", px=str(run.config.data.size), image=IMAGE)
    page.locator(".frame img").wait_for()
    page.get_by_text("Outline the finding").click()
    wait_idle(page)
    yield "browse"
    visit("add", way="phantom")
    for switch, steps in (("Lead marker", 18), ("Exposure", 12)):
        page.get_by_role("slider", name=re.compile(f"^{switch}")).focus()
        for _ in range(steps):
            page.keyboard.press("ArrowRight")
        wait_idle(page)
    yield "add"
    visit("split", dataset="phantom")
    page.locator(".lb-split").wait_for()
    yield "split"
    visit("augment", dataset="phantom")
    page.get_by_role("combobox", name=re.compile("^Preset")).click()
    page.get_by_role("option", name=PRESETS["r000"].title).click()
    page.get_by_text("Warnings", exact=True).wait_for()
    wait_idle(page)
    yield "augment"
    visit("network", dataset="phantom")
    page.get_by_role("combobox", name=re.compile("^Network")).click()
    page.get_by_role("option", name=MODELS["cnn"].title).click()
    page.locator(".field .seen").wait_for()
    wait_idle(page)
    yield "network"
    visit("train", dataset="phantom")
    yield "train"
    visit("runs", run=run.id)
    yield "runs"
    visit("evaluate", run=run.id, split="val")
    yield "evaluate"
    visit("errors", run=run.id, split="val", view="gradcam")
    page.locator(".tile").first.click()
    page.locator("figure .stage img").first.wait_for()
    wait_idle(page)
    if page.get_by_text("True outline").count():
        page.get_by_text("True outline").click()
    yield "errors"
    visit("gradcam", run=run.id, split="val")
    page.locator(".what-if .stage img").first.wait_for()
    yield "gradcam"
    visit("compare", of="all")
    yield "compare"
    visit("classify", run=run.id)
    page.locator("input[type=file]").set_input_files(str(drop))
    page.locator("figure .stage img").first.wait_for()
    wait_idle(page)
    yield "classify"


def save(shot: bytes, path: Path) -> None:
    """As a JPEG with full colour resolution, so that small text stays sharp, at the best quality that fits into LARGEST bytes.

    A PNG of a page full of radiographs, with their noise, is more than twice as large.
    """
    from PIL import Image
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    for quality in range(95, 60, -1):
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=quality, subsampling=0, optimize=True)
        if packed.tell() <= LARGEST:
            break
    path.write_bytes(packed.getvalue())
    print(f"{path.name}  {packed.tell():,} bytes, quality {quality}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs")
    parser.add_argument("--size", default="1440x900")
    options = parser.parse_args()
    run = run_to_show(options.home)
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        drop = Path(folder) / "elbow.png"
        cv2.imwrite(str(drop), np.asarray(render(*parse_image_id(IMAGE))[0]))
        with serve(ROOT / "app.py", Path(folder), "--server.headless", "true",
                   LIGHTBOX_HOME=str(options.home.resolve())) as server, chromium() as browser:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark", reduced_motion="reduce")
            for name in shown(page, server.url, run, drop):
                page.mouse.move(width - 2, height - 2)           # no tooltip, nothing under the pointer
                page.wait_for_timeout(400)                       # charts and switches come to rest
                save(page.screenshot(), options.folder / f"{name}.jpg")
                if name == "start":
                    page.emulate_media(color_scheme="light", reduced_motion="reduce")
                    page.wait_for_timeout(400)
                    save(page.screenshot(), options.folder / f"{name}_light.jpg")
                    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
            page.goto("about:blank")


if __name__ == "__main__":
    main()
