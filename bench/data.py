"""How fast images are made, decoded and stored, and that memory does not grow with the set.

    python -m bench.data [--images 1000] [--counts 4000 12000] [--phantoms 600]

First: images of a folder brought to a store, beside a plain loop with PIL, which is what one writes first: open, make gray,
resize, put into a list. The store does more: it tells formats by content, bounds sizes, keeps the shape of the image, writes
to the disk and can be stopped; it uses all cores. Both take turns. The milliseconds of processor time can be compared on a
busy machine; the rate is by the clock. Second: the largest resident memory while PNGs are stored, in a process of its own.
Third: phantom radiographs rendered a second, by as many processes as there are cores, before the store keeps them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from bench.machine import ROOT, Meter, line, options_of
from core.datasets.phantom import PhantomConfig, render
from core.datasets.phantom.source import image_table, parse_image_id

REAL = Path(os.environ.get("LIGHTBOX_TEST_DATA") or ROOT.parent / "shared" / "data") / "chest_pneumonia" / "train"
MURA_IMAGES = 36_808


# ------------------------------------------------------------------------------------------------- sets of files

def some_real(folder: Path, images: int) -> Path:
    """Link to real chest X-rays, JPEGs of 224 px, spread over both classes."""
    for name in ("NORMAL", "PNEUMONIA"):
        files = sorted((REAL / name).iterdir())
        (folder / name).mkdir(parents=True)
        for k in np.linspace(0, len(files) - 1, images // 2).round().astype(int):
            (folder / name / files[k].name).symlink_to(files[k].resolve())
    return folder


def pngs(folder: Path, images: int, different: int = 32) -> Path:
    """Write gray PNGs of 400 x 500 px in two classes; a few different ones, each under many names."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:500, 0:400]
    for c in "ab":
        (folder / c).mkdir(parents=True)
    for k in range(images):
        target = folder / "ab"[k % 2] / f"{k:06d}.png"
        if k < different:      # smooth with some noise shrinks about as much as a radiograph
            smooth = 90 + 60 * np.sin(x / 40 + k) * np.cos(y / 60) + rng.normal(0, 3, x.shape)
            Image.fromarray(smooth.clip(0, 255).astype(np.uint8)).save(target)
        else:
            os.link(folder / "ab"[k % different % 2] / f"{k % different:06d}.png", target)
    return folder


# ---------------------------------------------------------------------------------------------- work and clocks

def plain_loop(folder: Path, size: int) -> int:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return len(np.stack([np.asarray(Image.open(path).convert("L").resize((size, size), Image.Resampling.BILINEAR))
                         for path in paths]))


def store(folder: Path, size: int) -> int:
    """Make the store of a folder in a home of its own; return the number of images in it."""
    from core.datasets.folder import Folder
    from core.datasets.store import open_store
    with tempfile.TemporaryDirectory() as home:
        os.environ["LIGHTBOX_HOME"] = home
        return len(open_store(Folder(folder), size, "pad", 1).images)


def row(name: str, folder: Path, size: int, turns: int) -> str:
    """Return images a second by the clock and milliseconds of processor time an image, the best turn of both ways."""
    rates, costs = [0.0, 0.0], [float("inf")] * 2
    for _ in range(turns):
        for k, work in enumerate((plain_loop, store)):
            meter = Meter()
            images = work(folder, size)
            rates[k] = max(rates[k], images / meter.seconds())
            costs[k] = min(costs[k], 1000 * meter.cpu_seconds() / images)
    return (f"{name:28} {size:>3} px {rates[0]:>16,.0f} {rates[1]:>6,.0f} {rates[1] / rates[0]:>6.2f} "
            f"{costs[0]:>17.2f} {costs[1]:>6.2f}")


def memory_of_storing(folder: Path, size: int) -> dict:
    """Store a folder in a process of its own: {"images", "peak_mb" of its memory, "before_mb" when all is imported}."""
    done = subprocess.run([sys.executable, "-m", "bench.data", "--store", str(folder), "--size", str(size)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def resident(what: str) -> float:
    """Return MB of this process in memory: "VmRSS" now, "VmHWM" at most so far. (getrusage counts the parent too.)"""
    rows = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines() if ":" in row)
    return int(rows[what].split()[0]) / 1000


def make(images: list[tuple[int, int, int]], size: int) -> float:
    """Render phantoms one after the other; return the seconds of processor time."""
    meter = Meter()
    for image in images:
        render(*image, size=size)
    return meter.cpu_seconds()


def phantoms(count: int, processes: int) -> None:
    wanted = [parse_image_id(image_id) for image_id in image_table(PhantomConfig())["image_id"][:count]]
    share = -(-len(wanted) // processes)
    parts = [wanted[i:i + share] for i in range(0, len(wanted), share)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(make, [wanted[:3]] * processes, [64] * processes))            # start and warm up
        for size in (64, 224, 512):
            meter = Meter()
            cpu = sum(pool.map(make, parts, [size] * len(parts)))
            print(f"{size:4d} px: {len(wanted) / meter.seconds():6.1f} phantoms a second with {processes} processes, "
                  f"{len(wanted) / cpu:6.1f} per second of processor time", flush=True)


def main() -> None:
    parser = options_of(__doc__, images=40, counts=(64, 128), turns=1, phantoms=8)
    parser.add_argument("--images", type=int, default=1000, help="for the rates")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs=2, default=(4000, 12_000),
                        help="images for the memory; below some thousand the portions in flight still grow")
    parser.add_argument("--phantoms", type=int, default=600)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=224, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.store:
        import core.datasets.store  # noqa: F401   its import is no part of the growth
        before = resident("VmRSS")
        images = store(options.store, options.size)
        print(json.dumps({"images": images, "before_mb": before, "peak_mb": resident("VmHWM")}))
        return

    print(line())
    with tempfile.TemporaryDirectory() as folder:
        sets = {"PNG of 400 x 500 px": pngs(Path(folder) / "png", options.images)}
        if REAL.is_dir():
            sets["chest X-rays, JPEG, 224 px"] = some_real(Path(folder) / "real", options.images)
        else:
            print("There are no real images: set LIGHTBOX_TEST_DATA.")
        print(f"{options.images} images, best of {options.turns}; the store uses {os.cpu_count()} cores\n"
              f"{'':28} {'to':>6} {'images/s: plain':>16} {'store':>6} {'ratio':>6} {'ms of CPU: plain':>17} {'store':>6}")
        for name, files in sets.items():
            for size in (64, 224):
                print(row(name, files, size, options.turns), flush=True)

        print("\nLargest memory while PNGs of 400 x 500 px are stored at 224 px")
        few, many = (memory_of_storing(pngs(Path(folder) / f"count{count}", count), 224) for count in options.counts)
        for at in (few, many):
            print(f"{at['images']:>7,} images {at['peak_mb']:>6,.0f} MB ({at['before_mb']:,.0f} MB before)")
        growth = (many["peak_mb"] - few["peak_mb"]) / (many["images"] - few["images"])
        print(f"growth {1000 * growth:.1f} MB for each 1,000 images; for MURA's {MURA_IMAGES:,}: "
              f"{many['peak_mb'] + growth * (MURA_IMAGES - many['images']):,.0f} MB\n", flush=True)
    phantoms(options.phantoms, os.cpu_count())


if __name__ == "__main__":
    main()
