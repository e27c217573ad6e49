"""How many phantom radiographs a second two processes make, before the store keeps them. `python -m bench.phantom`

Wall time, and CPU time of one process: on a busy machine the second says more.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

from bench.machine import line
from core.datasets.phantom import render
from core.datasets.phantom.cohort import DEFAULT
from core.datasets.phantom.set import numbers, table_of


def make(wanted: list[tuple[int, int, int]], size: int) -> float:
    """Render images one after the other; the CPU seconds that it took."""
    start = time.process_time()
    for which in wanted:
        render(*which, size=size)
    return time.process_time() - start


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--images", type=int, default=600)
    arguments.add_argument("--processes", type=int, default=2)
    arguments = arguments.parse_args()
    print(line())
    wanted = [numbers(image_id) for image_id in table_of(DEFAULT)["image_id"][:arguments.images]]
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
