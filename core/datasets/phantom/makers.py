"""Processes that make images side by side. Tracing is many small steps of numpy, which threads would wait for each other to do,
so each core gets a process (`python -m core.datasets.phantom`), and each makes every N-th image that is missing."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from core.config import home
from core.datasets.source import Progress
from core.errors import LightboxError


def run_makers(arguments: Sequence[str], sentence: str, total: int, progress: Progress) -> None:
    """Start a process for each core with `arguments`, its number and how many there are, and wait for them all.

    Each prints a line an image; what it prints as "! code: sentence" is its fault. When `progress` raises they are all ended.

    Raises:
        LightboxError: what a maker could not do, such as "disk.full"
    """
    cores = os.cpu_count() or 1
    makers = [subprocess.Popen([sys.executable, "-m", "core.datasets.phantom", *arguments, str(k), str(cores)], text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3],
                               env={**os.environ, "LIGHTBOX_HOME": str(home())}) for k in range(cores)]
    try:
        with selectors.DefaultSelector() as waiting:
            said = {}
            for maker in makers:
                waiting.register(maker.stdout, selectors.EVENT_READ)
                said[maker.stdout] = b""
            made = 0
            while waiting.get_map():
                for ready, _ in waiting.select():
                    lines = os.read(ready.fd, 65536)             # nothing when the process has ended
                    if not lines:
                        waiting.unregister(ready.fileobj)
                    *whole, said[ready.fileobj] = (said[ready.fileobj] + lines).split(b"\n")
                    for line in whole:
                        if line.startswith(b"! "):
                            code, _, message = line[2:].decode("utf-8", "replace").partition(": ")
                            raise LightboxError(code, message)
                    made += len(whole)
                progress(sentence, made, total)
    finally:
        for maker in makers:
            maker.kill()
            maker.wait()
            maker.stdout.close()
