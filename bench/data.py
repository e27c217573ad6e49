"""How fast images become a store, beside a plain loop with PIL, and that the memory it takes does not grow with the set.

    python -m bench.data [--images 1000] [--counts 4000 12000]

The plain loop is what one writes first: open, make gray, resize, put into a list. The store does more: it tells kinds by content,
bounds sizes, keeps the shape of the image, writes to the disk and can be stopped; it uses all cores. Both are timed in turns in
one run. The work (CPU time of all threads) is what can be compared on a busy machine; the rate is by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bench.machine import line

REAL = Path(os.environ.get("LIGHTBOX_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
MURA_IMAGES = 36_808


def plain_loop(paths: list[Path], size: int) -> np.ndarray:
    """(N, size, size) uint8, in memory."""
    return np.stack([np.asarray(Image.open(path).convert("L").resize((size, size), Image.Resampling.BILINEAR)) for path in paths])


def store(folder: Path, size: int) -> int:
    """Make the store of a folder in a home of its own; the number of images in it."""
    from core.datasets.folder import Folder
    from core.datasets.store import open_store
    with tempfile.TemporaryDirectory() as home:
        os.environ["LIGHTBOX_HOME"] = home
        return len(open_store(Folder(folder), size, "pad", 1).images)


def timed(folder: Path, size: int, turns: int = 3) -> list[tuple[float, float]]:
    """(images per second by the clock, milliseconds of work an image) of the plain loop and of the store, the best of some
    turns each."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    best = [(0.0, float("inf"))] * 2
    for _ in range(turns):
        for k, work in enumerate((lambda: len(plain_loop(paths, size)), lambda: store(folder, size))):
            began, busy = time.perf_counter(), time.process_time()
            images = work()
            rate, cost = images / (time.perf_counter() - began), 1000 * (time.process_time() - busy) / images
            best[k] = max(best[k][0], rate), min(best[k][1], cost)
    return best


def some_real(folder: Path, images: int) -> Path:
    """Links to real chest X-rays, spread over both classes."""
    for name in ("NORMAL", "PNEUMONIA"):
        files = sorted((REAL / "chest_pneumonia" / "train" / name).iterdir())
        (folder / name).mkdir(parents=True)
        for k in np.linspace(0, len(files) - 1, images // 2).round().astype(int):
            (folder / name / files[k].name).symlink_to(files[k].resolve())
    return folder


def mura_sized(folder: Path, images: int, different: int = 32) -> Path:
    """Gray PNGs of 400 x 500 px in two classes; a few different ones, each under many names."""
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


def peak_of_storing(folder: Path, size: int) -> dict:
    """Store a folder in a process of its own: {"images", "peak_mb" of its resident memory, "before_mb" when all is imported}."""
    done = subprocess.run([sys.executable, "-m", "bench.data", "--store", str(folder), "--size", str(size)], capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def resident(what: str) -> float:
    """MB of this process in memory: "VmRSS" now, "VmHWM" at most so far. From /proc, because getrusage counts the parent too."""
    rows = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines() if ":" in row)
    return int(rows[what].split()[0]) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=1000, help="real images for the rates")
    parser.add_argument("--counts", type=int, nargs=2, default=(4000, 12_000),
                        help="synthetic images for the memory; below some thousand the portions in flight still grow")
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=224, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.store:
        import core.datasets.store  # noqa: F401   its import is no part of the growth
        before = resident("VmRSS")
        images = store(Path(options.store), options.size)
        print(json.dumps({"images": images, "before_mb": before, "peak_mb": resident("VmHWM")}))
        return

    print(line())
    with tempfile.TemporaryDirectory() as place:
        sets = {"synthetic PNG, 400 x 500 px": mura_sized(Path(place) / "png", options.images)}
        if (REAL / "chest_pneumonia").is_dir():
            sets["chest X-rays, JPEG, 224 px"] = some_real(Path(place) / "real", options.images)
        else:
            print(f"There are no real images in {REAL}: set LIGHTBOX_TEST_DATA.")
        print(f"\n{options.images} images, best of three turns; the store uses {os.cpu_count()} cores\n")
        print(f"{'':28} {'to':>6} {'images/s: plain':>16} {'store':>6} {'ratio':>6} {'ms of CPU: plain':>17} {'store':>6}")
        for name, folder in sets.items():
            for size in (64, 224):
                (plain, plain_work), (ours, our_work) = timed(folder, size)
                print(f"{name:28} {size:>3} px {plain:>16,.0f} {ours:>6,.0f} {ours / plain:>6.2f} {plain_work:>17.2f} "
                      f"{our_work:>6.2f}", flush=True)

        print("\nLargest resident memory while 400 x 500 px PNGs are stored at 224 px, in a process of its own\n")
        peaks = []
        for count in options.counts:
            peaks.append(peak_of_storing(mura_sized(Path(place) / f"count{count}", count), 224))
            print(f"{peaks[-1]['images']:>7,} images {peaks[-1]['peak_mb']:>6,.0f} MB ({peaks[-1]['before_mb']:,.0f} MB before)",
                  flush=True)
        few, many = peaks
        growth = (many["peak_mb"] - few["peak_mb"]) / (many["images"] - few["images"])
        print(f"growth {1000 * growth:.1f} MB for each 1,000 images; for MURA's {MURA_IMAGES:,}: "
              f"{many['peak_mb'] + growth * (MURA_IMAGES - many['images']):,.0f} MB")


if __name__ == "__main__":
    main()
