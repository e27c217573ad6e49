"""Following runs: what their folders say, read cheaply enough to ask every second for thirty people at once.

Records are only ever appended, so a file is read from where the last look ended, and a curve is lengthened by
what is new.
"""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import streamlit as st

from core.config import KNOBS, RunConfig
from core.errors import LightboxError
from core.files import Lock
from core.runs.names import network_title
from core.runs.run import Progress
from core.runs.shapes import read_record
from core.runs.states import LIVE, Status
from core.runs.store import Run, RunStore
from core.runs.summary import FILES, RunSummary, file_stamp, summarize
from core.runs.workers import device_lock
from pages.shared.theme import STATES  # noqa: F401

TEND_SECONDS = 5.0                           # between two looks after the queue, by whoever looks
ACTIVE = LIVE | {"queued"}                   # a run in one of these states may change by itself


# --------------------------------------------------------------------------------------------------------------- all the runs

def all_runs(store: RunStore) -> list[RunSummary]:
    """All runs, newest first. A folder is read again only when its files have changed; one that cannot be
    read is left out, see `damaged_runs`."""
    return _look(store)[0]


def damaged_runs(store: RunStore) -> dict[str, LightboxError]:
    """Id -> why it cannot be read, of each run that `all_runs` leaves out."""
    return _look(store)[1]


def _look(store: RunStore) -> tuple[list[RunSummary], dict[str, LightboxError]]:
    rows, wrong, known, broken = [], {}, _known_summaries(), _known_damage()
    for folder in _folders(store):
        stamp = tuple(file_stamp(f"{folder}/{name}") for name in FILES)
        kept = known.get(folder)
        if kept and kept[0] == stamp and kept[1].state not in LIVE:
            rows.append(kept[1])
            continue
        if broken.get(folder, ((), None))[0] == stamp:
            wrong[os.path.basename(folder)] = broken[folder][1]
            continue
        try:
            row = summarize(Run(Path(folder), store.queue))
        except LightboxError as error:
            if error.code != "run.gone" or os.path.isdir(folder):        # not deleted just now
                broken[folder] = stamp, error
                wrong[os.path.basename(folder)] = error
            continue
        broken.pop(folder, None)
        known[folder] = stamp, row
        rows.append(row)
    return sorted(rows, key=lambda row: row.created, reverse=True), wrong


def states(store: RunStore) -> dict[str, str]:
    """Id -> state of all runs that can be read: what a page compares to know that it should draw everything again."""
    found, known, broken = {}, _known_states(), _known_damage()
    for folder in _folders(store):
        if folder in broken and broken[folder][0] == tuple(file_stamp(f"{folder}/{name}") for name in FILES):
            continue
        stamp = file_stamp(f"{folder}/status.json")
        kept = known.get(folder)
        if not kept or kept[0] != stamp or kept[1] in LIVE:        # a live one may have died without a word
            try:
                kept = known[folder] = stamp, Run(Path(folder), store.queue).status().state
            except LightboxError:
                continue
        found[os.path.basename(folder)] = kept[1]
    return found


def _folders(store: RunStore) -> list[str]:
    """The folders of all runs. Plain text: with hundreds of runs, paths as objects take most of a look's
    time."""
    try:
        return [entry.path for entry in os.scandir(store.root / "runs") if entry.name[0] != "." and entry.is_dir()]
    except OSError:                                        # none yet, or no folder
        return []


@st.cache_resource(show_spinner=False)
def _known_damage() -> dict[str, tuple[tuple, LightboxError]]:
    return {}


@st.cache_resource(show_spinner=False)
def _known_states() -> dict[str, tuple[tuple, str]]:
    return {}


@st.cache_resource(show_spinner=False)
def _known_summaries() -> dict[str, tuple[tuple, RunSummary]]:
    return {}


def recover(store: RunStore) -> None:
    """`RunStore.recover`, at most every few seconds for the whole server: a killed trainer is noticed, a
    waiting run started."""
    last = _recovered()
    now = time.monotonic()
    if now - last.get(store.root, -TEND_SECONDS) >= TEND_SECONDS:
        last[store.root] = now
        store.recover()


@st.cache_resource(show_spinner=False)
def _recovered() -> dict[Path, float]:
    return {}


def ahead_of(store: RunStore, run: Run) -> int:
    """How many runs come before one that waits: those in front of it in the queue of its device, and the one
    that trains."""
    waiting = [run_id for run_id, device in store.queue.waiting() if device == run.device]
    place = waiting.index(run.id) if run.id in waiting else 0
    return place + Lock.is_held(device_lock(store.root, run.device))


def seconds_of_queue(store: RunStore, rows: Sequence[RunSummary]) -> tuple[float, int]:
    """(seconds until all that waits and trains is done, of how many runs nothing is known).

    Devices work side by side; on each, runs follow each other. How long one takes is known from earlier runs
    that are like it, on the same data, by the median of their epochs.
    """
    known, unknown = {row.id: row for row in rows}, 0
    ends: dict[str, float] = {}
    for row in rows:
        if row.state in LIVE:
            left = store.get(row.id).progress().seconds_left
            ends[row.device] = ends.get(row.device, 0.0) + (left or 0.0)
            unknown += left is None
    for run_id, device in store.queue.waiting():
        row = known.get(run_id)
        alike = [r.epoch_seconds for r in rows if row and r.epoch_seconds and r.dataset == row.dataset and r.is_like(row)]
        if alike:
            ends[device] = ends.get(device, 0.0) + median(alike) * (row.epochs - row.epoch)
        unknown += not alike
    return max(ends.values(), default=0.0), unknown


# ------------------------------------------------------------------------------------------------------------ one run's records

@dataclass
class _Followed:
    """What was read of a metrics.jsonl: the records up to byte `end`."""
    end: int = 0
    records: list[dict] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    made_anew: int = 0
    curves: dict[tuple[str, str], _Curve] = field(default_factory=dict)


@dataclass
class _Curve:
    """A measure of one kind of record, as far as it was read: of `seen` records of the list that was made
    anew so often."""
    made_anew: int
    seen: int = 0
    xs: array = field(default_factory=lambda: array("d"))
    ys: array = field(default_factory=lambda: array("d"))


def follow(run: Run) -> list[dict]:
    """`Run.records()`, read from where the last look ended."""
    path = run.folder / "metrics.jsonl"
    kept = _followed().setdefault(path, _Followed())
    with kept.lock:
        size = file_stamp(path)[1]
        if size < kept.end:                                # made anew
            kept.end, kept.records, kept.made_anew = 0, [], kept.made_anew + 1
        if size > kept.end:
            try:
                with open(path, "rb") as file:
                    file.seek(kept.end)
                    raw = file.read(size - kept.end)
            except OSError:                                # gone just now, or a folder
                return kept.records
            whole = raw[:raw.rfind(b"\n") + 1]             # what follows the last newline is not finished
            new = [r for r in map(read_record, whole.split(b"\n")) if r]
            if any(r.get("kind") == "start" for r in new):
                # A start may take back steps that were done before a kill: only the run knows which.
                kept.records, kept.made_anew = run.records(), kept.made_anew + 1
                kept.end = size if file_stamp(path)[1] == size else 0
            else:
                kept.records = [*kept.records, *new]
                kept.end += len(whole)
        return kept.records


def curve(run: Run, kind: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A measure over the training, of what `follow` has read.

    Args:
        kind: of the records that have it, "step" or "epoch"
        name: its key there

    Returns:
        (N,) place in epochs (2.5 is the middle of the third), (N,) value; records without it are left out
    """
    kept = _followed().setdefault(run.folder / "metrics.jsonl", _Followed())
    with kept.lock:
        known = kept.curves.get((kind, name))
        if known is None or known.made_anew != kept.made_anew:
            known = kept.curves[kind, name] = _Curve(kept.made_anew)
        for record in kept.records[known.seen:]:
            if record["kind"] == kind and record.get(name) is not None:
                known.xs.append(_x(record))
                known.ys.append(record[name])
        known.seen = len(kept.records)
        return np.array(known.xs), np.array(known.ys)


@st.cache_resource(show_spinner=False)
def _followed() -> dict[Path, _Followed]:
    return {}


def _x(record: Mapping) -> float:
    """A record's place on the x axis, in epochs."""
    if record["kind"] == "epoch":
        return record["epoch"]
    return record["epoch"] - 1 + record["step"] / (record.get("steps") or max(1, record["step"]))


def best_epoch(records: Sequence[Mapping]) -> dict | None:
    """The epoch whose weights are kept: the last one that was the best so far."""
    return next((r for r in reversed(records) if r["kind"] == "epoch" and r.get("is_best")), None)


def fitting_batch(records: Sequence[Mapping]) -> int | None:
    """A batch size that fits into memory, where the last start ended for want of it; None otherwise."""
    last = next((r for r in reversed(records) if r["kind"] in ("start", "oom")), {})
    return last.get("fits") if last.get("kind") == "oom" else None


# --------------------------------------------------------------------------------------------------------------- in words

def place(records: Sequence[Mapping]) -> float:
    """Where a training stands, in epochs: 2.5 is the middle of the third."""
    last = next((r for r in reversed(records) if r["kind"] in ("step", "epoch")), None)
    return _x(last) if last else 0.0


def share_done(progress: Progress, records: Sequence[Mapping]) -> float:
    """How much of the training is done, 0 to 1."""
    return min(1.0, place(records) / progress.epochs) if progress.epochs else 0.0


def in_words(status: Status, progress: Progress, ahead: int, device: str) -> str:
    """Return what a run is doing now and why, in a sentence of plain text.

    Args:
        ahead: how many runs come before it, where it waits
    """
    if status.state == "queued":
        place = f"{ahead} run{'s' if ahead > 1 else ''} before this one on {device}" if ahead else f"Next on {device}"
        return f"{place}; starts automatically."
    if status.state == "stopping":
        return "Saving a checkpoint; this takes at most five seconds."
    if status.state not in LIVE:
        return status.reason
    if not progress.phase:
        return "The trainer is starting; PyTorch takes a few seconds to load."
    count = f"{progress.step:,} of {progress.steps:,}"
    if progress.phase in ("Training", "Validating"):
        what = "step" if progress.phase == "Training" else "validation image"
        return f"Epoch {progress.epoch} of {progress.epochs}, {what} {count}."
    return f"{progress.phase}: {count}." if progress.steps and status.state == "starting" else f"{progress.phase}."


def changed_first(config: RunConfig) -> list[dict]:
    """Every setting of a run in words, those that differ from the default first: {"setting", "value",
    "default"}."""
    rows = [{"setting": knob.label, "value": _plain(name, config.get(name)), "default": _plain(name, knob.default),
             "changed": config.get(name) != knob.default} for name, knob in KNOBS.items()]
    return sorted(rows, key=lambda row: not row["changed"])


def _plain(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if name == "model.name":
        return network_title(str(value))
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {KNOBS[name].unit}".strip() or "-"
