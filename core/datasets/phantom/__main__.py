"""Render what is missing: every N-th image from the K-th on that is not there yet.

    python -m core.datasets.phantom cache SETTINGS K N       images of a cache (cache.py)
    python -m core.datasets.phantom files FOLDER K N         files of an export (export.py)

Prints a line for each. Ends by itself when the process that started it is gone. Started by workers.run_workers.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from core.datasets.phantom.cohort import PhantomConfig
from core.datasets.phantom.export import Plan, make_image
from core.datasets.phantom.source import PhantomSource
from core.errors import LightboxError


def fill_cache(settings: str, first: int, step: int) -> Iterator[int]:
    source = PhantomSource(PhantomConfig(**json.loads(settings)))
    for i in range(first, len(source.scan().table), step):
        if source.cache.read(i) is None:
            source.cache[i]                     # rendered and kept
            yield i


def make_files(folder: str, first: int, step: int) -> Iterator[int]:
    plan = Plan.read(Path(folder))
    for job in plan.jobs()[first::step]:
        if make_image(plan, job, Path(folder)):
            yield job.row


def main() -> None:
    what, where, first, step = sys.argv[1:5]
    parent = os.getppid()
    try:
        for made in {"cache": fill_cache, "files": make_files}[what](where, int(first), int(step)):
            print(made, flush=True)
            if os.getppid() != parent:
                return
    except LightboxError as error:
        print(f"! {error.code}: {error}", flush=True)


if __name__ == "__main__":
    main()
