"""The pictures of the pages in docs/, in the dark theme; the start page in the light one too. `python -m bench.screenshots HOME`

HOME is a LIGHTBOX_HOME with at least one finished run on the phantom radiographs' default task. The same home gives the same
pictures. The last one is a sheet of phantoms: a column for each part of the body, with two healthy views and each finding.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.browser import chromium, open_page, server_of, wait_for, wait_idle
from bench.machine import ROOT, few_phantoms, options_of, train_one
from core.augment import PRESETS
from core.datasets.phantom import SEVEN_PARTS, PhantomConfig, render
from core.datasets.phantom.findings import FINDINGS
from core.datasets.phantom.source import image_table, parse_image_id
from core.models import MODELS
from core.runs.store import Run, RunStore

LARGEST = 250_000          # bytes of a picture
CELL = 168, 208            # width and height of a picture on the sheet, pixels
IMAGE = "P0017-S1-V2"      # an elbow with a plate: open on the browse page, dropped on classify


def run_to_show(home: Path) -> Run:
    """Return the finished run on the default task of the phantom radiographs with the best ROC AUC on validation."""
    runs = [run for run in RunStore(home).list() if run.status().state == "finished"
            and "phantom" in run.config.data.dataset and run.config.data.target in ("", "abnormality")]
    if not runs:
        sys.exit(f"{home} has no finished run on the phantom radiographs. Train one: python -m core train --dataset phantom")
    return max(runs, key=lambda run: max(record.get("val_roc_auc") or 0 for record in run.records("epoch")))


def choose(page, combobox: str, title: str) -> None:
    page.locator(f"{combobox} [role=combobox]").first.click()
    page.get_by_role("option", name=title, exact=True).click()
    wait_idle(page)


def shown(page, url: str, run: Run, drop: Path) -> Iterator[str]:
    """Bring one page after the other to what is worth a picture."""
    def visit(address: str, **query: str) -> None:
        open_page(page, url, address, **query)

    visit("")
    yield "start"
    dataset = run.config.data.dataset
    image = IMAGE if dataset == "phantom" else f"images/{IMAGE}.png"
    visit("browse", dataset=dataset, px=str(run.config.data.size), image=image)
    wait_for(page, ".frame img")
    if (outline := page.locator(".st-key-browse_outline label")).count():
        outline.click()
    wait_idle(page)
    yield "browse"
    visit("add", way="phantom")
    for switch, steps in (("letters", 18), ("exposure", 12)):
        page.locator(f".st-key-phantom_{switch}").get_by_role("slider").focus()
        for _ in range(steps):
            page.keyboard.press("ArrowRight")
        wait_idle(page)
    yield "add"
    visit("split", dataset=dataset)
    yield "split"
    visit("augment", dataset=dataset)
    choose(page, ".st-key-augment_controls", PRESETS["r000"].title)
    yield "augment"
    visit("network", dataset=dataset)
    choose(page, "[class*=st-key-knob_model-name]", MODELS["cnn"].title)
    wait_for(page, ".field .seen")
    yield "network"
    visit("train", dataset=dataset)
    yield "train"
    visit("runs", run=run.id)
    yield "runs"
    visit("evaluate", run=run.id, split="val")
    yield "evaluate"
    visit("errors", run=run.id, split="val", view="gradcam")
    page.locator(".tile").first.click()
    wait_for(page, "figure .stage img")
    wait_idle(page)
    yield "errors"
    visit("gradcam", run=run.id, split="val")
    yield "gradcam"
    visit("compare", of="all")
    yield "compare"
    visit("classify", run=run.id)
    page.locator("input[type=file]").set_input_files(str(drop))
    wait_for(page, "figure .stage img")
    wait_idle(page)
    yield "classify"


def sheet(patients: int) -> Image.Image:
    """Draw all parts of the body: two views of a healthy one, then each finding, from the study that shows it largest."""
    columns = []
    for part in SEVEN_PARTS.parts:
        config = PhantomConfig(parts=(part,), patients=patients)
        table = image_table(config)
        wanted = [parse_image_id(image_id) for image_id in table[table["finding"] == "none"]["image_id"][:2]]
        for finding in FINDINGS:
            first = table[table["finding"] == finding].groupby("study")["image_id"].first()[:8]
            wanted.append(max(map(parse_image_id, first), key=lambda image: render(*image, size=128, config=config)[1].sum()))
        columns.append([render(*image, size=2 * CELL[1], config=config)[0] for image in wanted])
    width, height = CELL
    canvas = Image.new("L", (len(columns) * (width + 4), len(columns[0]) * (height + 4)), 40)
    for x, column in enumerate(columns):
        for y, pixels in enumerate(column):
            picture = Image.fromarray(np.asarray(pixels).squeeze())
            picture.thumbnail(CELL, Image.Resampling.BOX)
            place = Image.new("L", CELL)
            place.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
            canvas.paste(place, (x * (width + 4) + 2, y * (height + 4) + 2))
    return canvas


def save(picture: Image.Image, path: Path) -> None:
    """As a JPEG with full colour resolution, so that small text stays sharp, at the best quality that fits into LARGEST bytes.

    A PNG of a page full of radiographs, with their noise, is more than twice as large.
    """
    for quality in range(95, 50, -1):
        packed = io.BytesIO()
        picture.convert("RGB").save(packed, "JPEG", quality=quality, subsampling=0, optimize=True)
        if packed.tell() <= LARGEST:
            break
    path.write_bytes(packed.getvalue())
    print(f"{path.name}  {packed.tell():,} bytes, quality {quality}", flush=True)


def take(page, folder: Path, name: str) -> None:
    page.mouse.move(page.viewport_size["width"] - 2, page.viewport_size["height"] - 2)     # nothing under the pointer
    page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")
    page.wait_for_timeout(600)                                                # charts and switches come to rest
    save(Image.open(io.BytesIO(page.screenshot())), folder / f"{name}.jpg")


def main() -> None:
    parser = options_of(__doc__, patients=20)
    parser.add_argument("home", type=Path, nargs="?")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs")
    parser.add_argument("--size", default="1440x900")
    parser.add_argument("--patients", type=int, default=60, help="of each part, for the sheet of phantoms")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        if options.quick:
            options.home, options.folder = Path(place) / "home", Path(place)
            train_one(options.home, few_phantoms(Path(place) / "phantoms"), "--model", "small_cnn", "--size", "28")
        if not options.home:
            parser.error("say where the runs are: HOME")
        run, (width, height) = run_to_show(options.home), map(int, options.size.split("x"))
        drop = Path(place) / "elbow.png"
        cv2.imwrite(str(drop), np.asarray(render(*parse_image_id(IMAGE))[0]))
        with server_of(options.home.resolve()) as server:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark", reduced_motion="reduce")
            for name in shown(page, server.url, run, drop):
                take(page, options.folder, name)
                if name == "start":
                    page.emulate_media(color_scheme="light", reduced_motion="reduce")
                    take(page, options.folder, f"{name}_light")
                    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
            page.goto("about:blank")
        save(sheet(options.patients), options.folder / "phantom.jpg")


if __name__ == "__main__":
    main()
