"""Which way of computing is quickest on this machine: tried, not guessed.

How many threads, and in which order the numbers of an image lie in memory, changes the speed of a small machine by a
factor of two to five, and nobody can know it beforehand. So a few steps of each are timed when a network first meets a machine.

The answer is remembered (LIGHTBOX_HOME/speed.json): the sums of floating point numbers depend on the number of
threads, so the same run on the same machine must compute the same way to end in the same bits.
"""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from core.files import Lock, write_json

IMAGES = 16          # of the timed batch: enough to fill the vector units, few enough to be quick
PATIENCE = 12.0      # seconds for the whole probe


@dataclass(frozen=True)
class Layout:
    """threads: of the CPU; channels_last: whether the C numbers of a pixel lie side by side in memory."""
    threads: int
    channels_last: bool


def choose(model: nn.Module, size: int, channels: int, threads: int, memory: Path, key: str) -> tuple[Layout, list[dict]]:
    """The quickest layout for training `model` on the CPU, and the table of what was tried.

    Args:
        model: left as it is; a copy does the steps
        size, channels: of its images
        threads: as configured; 0 tries one and all
        memory: the file of remembered answers
        key: what the answer depends on: network, batch, versions

    Returns:
        the layout; rows {"threads", "channels_last", "images_per_second"}, empty when the answer was remembered
    """
    try:
        known = json.loads(memory.read_text())
        if key in known:
            return Layout(**known[key]), []
    except (OSError, ValueError, TypeError):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = [threads] if threads else sorted({1, cores})
    rows, begun = [], time.perf_counter()
    for count in counts:
        for channels_last in (True, False):
            if rows and time.perf_counter() - begun > PATIENCE * len(rows) / (len(rows) + 1):
                continue                             # what is left would take longer than we have
            rows.append({"threads": count, "channels_last": channels_last,
                         "images_per_second": _time(model, size, channels, count, channels_last)})
    best = max(rows, key=lambda row: row["images_per_second"])
    layout = Layout(best["threads"], best["channels_last"])
    memory.parent.mkdir(parents=True, exist_ok=True)
    with Lock(memory.with_suffix(".lock")):
        try:
            known = json.loads(memory.read_text())
        except (OSError, ValueError):
            known = {}
        write_json(memory, {**known, key: asdict(layout)})
    return layout, rows


def _time(model: nn.Module, size: int, channels: int, threads: int, channels_last: bool) -> float:
    """Images per second of two steps forward and back, after one to warm up."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    trial = copy.deepcopy(model).train().to(memory_format=layout)
    images = torch.full((IMAGES, channels, size, size), 0.5).to(memory_format=layout)
    try:
        with torch.random.fork_rng(devices=[]):
            for step in range(3):
                if step == 1:
                    begun = time.perf_counter()
                trial(images).square().mean().backward()
        return 2 * IMAGES / (time.perf_counter() - begun)
    finally:
        torch.set_num_threads(before)
