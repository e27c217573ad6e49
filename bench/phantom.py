"""How many phantom radiographs a second two processes make, before the store keeps them. `python -m bench.phantom`

Wall time, and CPU time of one process: on a busy machine the second says more. `--parts` gives the time of each part of the
body, one process, and `--sheet docs/phantom.png` draws the README's picture of all of them instead.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from bench.machine import line
from core.datasets.phantom import PhantomConfig, render
from core.datasets.phantom.cohort import DEFAULT, PARTS
from core.datasets.phantom.findings import FINDINGS
from core.datasets.phantom.source import image_table, parse_image_id

CELL = 168, 208           # width and height of a picture on the sheet, pixels


def make(wanted: list[tuple[int, int, int]], size: int, config: PhantomConfig = DEFAULT) -> float:
    """Render images one after the other; the CPU seconds that it took."""
    start = time.process_time()
    for which in wanted:
        render(*which, size=size, config=config)
    return time.process_time() - start


def time_parts(count: int, size: int = 224) -> None:
    """Milliseconds of CPU an image, for each part of the body: the fastest of three rounds."""
    for part in PARTS:
        config = PhantomConfig(parts=(part,))
        wanted = [parse_image_id(image_id) for image_id in image_table(config)["image_id"][:count]]
        make(wanted[:3], size, config)
        print(f"{part:9s} {1000 * min(make(wanted, size, config) for _ in range(3)) / len(wanted):5.1f} ms an image at {size} px")


def cell(which: tuple[int, int, int], config: PhantomConfig) -> np.ndarray:
    """One picture of the sheet, uint8, in the middle of its cell."""
    width, height = CELL
    pixels, _ = render(*which, size=2 * height, config=config)
    shrink = min(width / pixels.shape[1], height / pixels.shape[0])
    pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((height, width), np.uint8)
    top, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    canvas[top:top + pixels.shape[0], left:left + pixels.shape[1]] = pixels
    return canvas


def sheet() -> np.ndarray:
    """A column for each part of the body: two views of a healthy one, then each finding, from the study that shows it largest."""
    columns = []
    for part in PARTS:
        config = PhantomConfig(parts=(part,), patients=60)
        table = image_table(config)
        wanted = [parse_image_id(image_id) for image_id in table[table["finding"] == "none"]["image_id"][:2]]
        for finding in FINDINGS:
            first = table[table["finding"] == finding].groupby("study")["image_id"].first()[:8]
            wanted.append(max(map(parse_image_id, first), key=lambda which: render(*which, size=128, config=config)[1].sum()))
        columns.append(np.concatenate([np.pad(cell(which, config), 2, constant_values=40) for which in wanted]))
    return np.concatenate(columns, 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--images", type=int, default=600)
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--parts", action="store_true", help="the time of each part of the body")
    arguments.add_argument("--sheet", type=Path, metavar="PNG", help="draw a picture of all parts instead")
    arguments = arguments.parse_args()
    if arguments.sheet:
        sys.exit(not cv2.imwrite(str(arguments.sheet), sheet(), [cv2.IMWRITE_PNG_COMPRESSION, 9]))
    print(line())
    if arguments.parts:
        return time_parts(arguments.images)
    wanted = [parse_image_id(image_id) for image_id in image_table(DEFAULT)["image_id"][:arguments.images]]
    share = -(-len(wanted) // arguments.processes)
    parts = [wanted[i:i + share] for i in range(0, len(wanted), share)]
    with ProcessPoolExecutor(arguments.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(make, [wanted[:3]] * arguments.processes, [64] * arguments.processes))       # start and warm up
        for size in (64, 224, 512):
            start = time.perf_counter()
            cpu = sum(pool.map(make, parts, [size] * len(parts)))
            wall = time.perf_counter() - start
            print(f"{size:4d} px: {len(wanted) / wall:6.1f} images/s with {arguments.processes} processes, "
                  f"{len(wanted) / cpu:6.1f} images per second of CPU time")


if __name__ == "__main__":
    main()
