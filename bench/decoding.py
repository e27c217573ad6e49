"""What it costs that images are decoded in worker processes: paired with the same code in the threads of this process.

    python -m bench.decoding [--images 400] [--turns 5]

A folder is read as the store reads it: as many threads as there are processors, each image decoded and fitted to 224 px. Both
ways take turns, and the median of the ratios of neighbouring turns is printed, which other programs disturb little. Then one
image at a time, as one drops them: warm, and with the start of a worker.
"""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from bench.machine import line, options_of
from core.datasets.decode import decode_image
from core.datasets.geometry import fit
from core.decoding import picture
from core.decoding.pool import Pool


def x_ray(height: int, width: int, most: int, seed: int) -> np.ndarray:
    """Return (H, W) uint16 that shrinks about as much as a radiograph."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = 0.45 + 0.3 * np.sin(x / width * 9 + seed) * np.cos(y / height * 7)
    noise = np.random.default_rng(seed).normal(0, 0.01, (height, width))
    return ((smooth + noise).clip(0, 1) * most).astype(np.uint16)


def saved(values: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


def kinds(side: int) -> dict[str, Callable[[int], bytes]]:
    found = {"JPEG of 224 px": lambda k: saved(x_ray(224, 224, 255, k).astype(np.uint8), "JPEG"),
             f"PNG of {side} px": lambda k: saved(x_ray(side, side, 255, k).astype(np.uint8), "PNG"),
             f"16-bit PNG of {side} px": lambda k: saved(x_ray(side, side, 4095, k), "PNG")}
    try:
        import pydicom  # noqa: F401

        from tests.dicom_files import dicom_bytes
        found[f"DICOM of {side} px"] = lambda k: dicom_bytes(x_ray(side, side, 4095, k), WindowCenter=2000, WindowWidth=4000)
    except ImportError:
        pass
    return found


def in_threads(paths: list[Path]) -> float:
    return _timed(lambda path: picture.decode(path.read_bytes()).pixels, paths)


def in_workers(paths: list[Path]) -> float:
    return _timed(lambda path: decode_image(path).pixels, paths)


def _timed(decode: Callable[[Path], np.ndarray], paths: list[Path]) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda path: fit(decode(path), 224, "pad", 1), paths))
    return time.perf_counter() - began


def drop(data: bytes) -> tuple[float, float]:
    """Return milliseconds for one image: the best of some with a warm worker, and with a worker that has to be started."""
    pool, request = Pool(1), {"path": None, "bytes": len(data)}
    times = []
    for _ in range(6):
        began = time.perf_counter()
        pool.ask(request, data)
        times.append(1000 * (time.perf_counter() - began))
    pool.close()
    return min(times[1:]), times[0]


def main() -> None:
    parser = options_of(__doc__, images=12, turns=2, side=64)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    print(line())
    print(f"\n{'':24} {'threads':>10} {'workers':>10} {'ratio':>7}   a drop, warm, cold")
    for name, make in kinds(options.side).items():
        with tempfile.TemporaryDirectory() as folder:
            some = [make(k) for k in range(min(16, options.images))]
            paths = [Path(folder) / f"{k}" for k in range(options.images)]
            for k, path in enumerate(paths):
                path.write_bytes(some[k % len(some)])
            in_threads(paths[:4]), in_workers(paths[:8])
            pairs = [(in_threads(paths), in_workers(paths)) for _ in range(options.turns)]
            ratio = statistics.median(workers / threads for threads, workers in pairs)
            rates = [options.images / min(pair[k] for pair in pairs) for k in (0, 1)]
            warm, cold = drop(some[0])
            print(f"{name:24} {rates[0]:>8,.0f}/s {rates[1]:>8,.0f}/s {ratio:>7.2f}   {warm:>6.1f} ms {cold:>6.0f} ms")


if __name__ == "__main__":
    main()
