"""Processes that render images side by side.

Tracing is many small steps of numpy, for which threads would wait for each other. So each core gets a process
(`python -m core.datasets.phantom`), and each makes every N-th image that is missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from core.config import home
from core.datasets.source import Progress
from core.errors import LightboxError


def run_workers(arguments: Sequence[str], sentence: str, total: int, progress: Progress) -> None:
    """Start a process for each core with `arguments`, its number and how many there are, and wait for them all.

    Each prints a line an image; a line "! code: sentence" is its error. When `progress` raises they are all ended.

    Raises:
        LightboxError: what a worker could not do, such as "disk.full"
    """
    cores, lines = os.cpu_count() or 1, SimpleQueue()
    workers = [subprocess.Popen([sys.executable, "-m", "core.datasets.phantom", *arguments, str(k), str(cores)], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3],
                                env={**os.environ, "LIGHTBOX_HOME": str(home())}) for k in range(cores)]
    readers = [threading.Thread(target=_forward, args=(worker.stdout, lines), daemon=True) for worker in workers]
    for reader in readers:
        reader.start()
    try:
        made, running = 0, cores
        while running:
            line = lines.get()
            if line is None:                 # that worker has ended
                running -= 1
            elif line.startswith("! "):
                code, _, message = line[2:].partition(": ")
                raise LightboxError(code, message)
            else:
                made += 1
            progress(sentence, made, total)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for worker, reader in zip(workers, readers):
            reader.join()
            worker.stdout.close()


def _forward(stream: IO[str], lines: SimpleQueue) -> None:
    """Pass lines on as they come, then None."""
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)
