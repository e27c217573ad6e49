"""Which way of computing is quickest on this machine: tried, not guessed.

How many threads, in which order the numbers of an image lie in memory, and how many bits each has, change the
speed of a small machine by a factor of two to five, and nobody can know it beforehand. So a few steps of each
are timed when a run begins.

The result is remembered (LIGHTBOX_HOME/speed.json) for as many free cores as there were, unless the config
gives the threads: next to another busy process one thread can be several times as fast as two. A run measures
once and never again, though the load may change: sums of floating point numbers depend on the number of
threads, so a run that changed them in the middle could not be resumed to the same bits.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from core.config import ModelConfig, RunConfig
from core.files import Damaged, Lock, read_json, write_json

# Whether "auto" may take bfloat16 on the CPU. Its numbers have 8 significant bits instead of 24, so this may be True only where
# ten seeds give the same ROC AUC on test to within .005; bench/results.py prints that. It gave .9122 and .9129, a difference of
# .0006 (95 % interval -.0056 to .0069), for ResNet-18 on 28 px chest X-rays.
BFLOAT16_AGREES = True

PATIENCE = 10.0      # seconds for the whole probe, but for a second look at the best
WATCH = 0.25         # seconds in which the idle cores are counted


@dataclass(frozen=True)
class Layout:
    """threads: of the CPU; channels_last: whether the C numbers of a pixel lie side by side in memory; precision: float32 or
    bfloat16."""
    threads: int
    channels_last: bool
    precision: str = "float32"


def way_to_compute(model: nn.Module, config: RunConfig, device: torch.device, root: Path, threads: int = 0,
                   tell: Callable[[str], object] = lambda phase: None) -> dict:
    """Choose how a classifier is trained on a device: on the CPU the fastest way measured, elsewhere as the config says.

    Args:
        model: left as it is
        root: LIGHTBOX_HOME, where the results are remembered
        threads: of the CPU where the config leaves them open; 0 tries one and all
        tell: told what takes a while, before it begins

    Returns:
        {"precision", "channels_last", "tried", "threads"}: the last two matter on the CPU only; tried: rows
            of `choose`
    """
    precision, threads = config.train.precision, config.train.threads or threads
    if device.type != "cpu":
        if precision == "auto":
            precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        return {"precision": precision, "channels_last": True, "tried": [], "threads": threads or torch.get_num_threads()}
    tell("Timing a few steps to find the fastest settings")
    p, key = model.preprocessing, f"{network_key(config.model)} {torch.__version__}"
    if p.views > 1:
        key += f" {config.model.views} of {p.views}"
    layout, tried = choose(model, p.size, p.channels, threads, root / "speed.json", key, precision)
    return {"precision": layout.precision, "channels_last": layout.channels_last, "tried": tried, "threads": layout.threads}


def choose(model: nn.Module, size: int, channels: int, threads: int, memory: Path, key: str,
           precision: str = "float32") -> tuple[Layout, list[dict]]:
    """Return the quickest layout for training `model` on the CPU, and the table of what was tried.

    Args:
        model: left as it is; a copy does the steps
        size, channels: of its images
        threads: as configured; 0 tries one and all
        memory: the file of remembered results
        key: what the result depends on besides the arguments and the free cores: network, stem, versions
        precision: as configured: "float32", "bfloat16", or "auto", which tries both where BFLOAT16_AGREES

    Returns:
        the layout; rows {"threads", "channels_last", "precision", "images_per_second"}, empty when the result
            was remembered
    """
    # Where the threads are given the result holds whatever the load: two runs of the same config then compute the same bits.
    cores = len(_cores())
    free = cores if threads else free_cores()
    load = "" if threads else f" {free} of {cores} cores free"
    key = f"{key} {size} px x{channels} threads {threads} {precisions(precision)}{load}"
    try:
        known = read_json(memory, dict[str, Layout])
        if key in known:
            return known[key], []
    except (FileNotFoundError, Damaged):
        pass
    # In the order of promise, because on a slow machine only the first are tried: all threads where all cores are free.
    counts = [threads] if threads else sorted({1, cores}, reverse=free >= cores)
    rows, begun = [], time.perf_counter()
    for channels_last, bits, count in itertools.product((True, False), precisions(precision), counts):
        if rows and time.perf_counter() - begun > PATIENCE * len(rows) / (len(rows) + 1):
            break                                        # one more would take longer than we have
        way = Layout(count, channels_last, bits)
        rows.append(asdict(way) | {"images_per_second": _time(model, size, channels, way)})
    best = max(rows, key=_speed)
    if best["threads"] > min(row["threads"] for row in rows):
        # Beside other processes several threads can be quick by luck: they are tried once more, and the worse time counts.
        best["images_per_second"] = min(_speed(best), _time(model, size, channels, _layout(best)))
    layout = _layout(max(rows, key=_speed))
    memory.parent.mkdir(parents=True, exist_ok=True)
    with Lock(memory.with_suffix(".lock")):
        try:
            known = {name: asdict(one) for name, one in read_json(memory, dict[str, Layout]).items()}
        except (FileNotFoundError, Damaged):
            known = {}
        write_json(memory, {**known, key: asdict(layout)})
    return layout, rows


def _speed(row: dict) -> float:
    return row["images_per_second"]


def _layout(row: dict) -> Layout:
    return Layout(row["threads"], row["channels_last"], row["precision"])


def precisions(wanted: str) -> tuple[str, ...]:
    """Return what a config's `train.precision` allows on this CPU, the quickest first."""
    if wanted != "auto":
        return (wanted,)
    return ("bfloat16", "float32") if BFLOAT16_AGREES and torch.ops.mkldnn._is_mkldnn_bf16_supported() else ("float32",)


def network_key(config: ModelConfig) -> str:
    """Return a hash of everything in a ModelConfig that changes the work of a step, which is all but the weights' source, for a
    single image."""
    facts = {key: value for key, value in asdict(config).items() if key not in ("weights", "views")}
    return f"{config.name} {hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]}"


def free_cores() -> int:
    """Return how many of the cores that this process may use had nothing to do just now; this process sleeps meanwhile."""
    try:
        before = _idle_ticks()
        time.sleep(WATCH)
        return round((_idle_ticks() - before) / (WATCH * os.sysconf("SC_CLK_TCK")))
    except (AttributeError, OSError, ValueError):        # no Linux: the mean of the last minute must do
        return max(0, len(_cores()) - round(os.getloadavg()[0])) if hasattr(os, "getloadavg") else len(_cores())


def _idle_ticks() -> int:
    """Ticks that our cores have idled since the machine started: the fourth and fifth number of a line of /proc/stat."""
    ours = {f"cpu{core}" for core in _cores()}
    rows = (row.split() for row in Path("/proc/stat").read_text().splitlines())
    return sum(int(row[4]) + int(row[5]) for row in rows if row[0] in ours)


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _time(model: nn.Module, size: int, channels: int, way: Layout) -> float:
    """Images per second: the median of a few steps forward and back after one to warm up, of fewer where they are slow. Not the
    quickest step: what another process takes from a way counts."""
    before = torch.get_num_threads()
    torch.set_num_threads(way.threads)
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    trial = copy.deepcopy(model).train().to(memory_format=layout)
    # enough to fill the vector units, few enough to be quick
    count = min(32, max(4, 16 * 64 ** 2 // size ** 2))
    images = torch.full((count, channels, size, size * model.preprocessing.views), 0.5).to(memory_format=layout)
    seconds: list[float] = []
    try:
        with torch.random.fork_rng(devices=[]):
            while len(seconds) < 4 and sum(seconds) < PATIENCE / 8 or sum(seconds) < PATIENCE / 60:
                begun = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=way.precision == "bfloat16"):
                    logits = trial(images)
                logits.float().square().mean().backward()
                seconds.append(time.perf_counter() - begun)
        return count / statistics.median(seconds[1:] or seconds)
    finally:
        torch.set_num_threads(before)
