"""Following runs: what their folders say, read cheaply enough to ask every second for thirty people at once.

Records are only ever appended, so a file is read from where the last look ended, and a curve is lengthened by what is new.
"""

from __future__ import annotations

import json
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

from core.augment import active
from core.config import KNOBS, RunConfig
from core.errors import LightboxError
from core.files import Lock
from core.metrics import METRICS
from core.models import uses_small_stem
from core.runs.codes import name_code
from core.runs.run import Progress
from core.runs.states import LIVE, Status
from core.runs.store import Run, RunStore
from core.runs.workers import device_lock
from pages.shared.theme import STATES  # noqa: F401

TEND_SECONDS = 5.0                           # between two looks after the queue, by whoever looks
ACTIVE = LIVE | {"queued"}                   # a run in one of these states may change by itself


# --------------------------------------------------------------------------------------------------------------- all the runs

@dataclass(frozen=True)
class Row:
    """A run in the list of all runs. `auc` is the best of the validation so far; `epoch` counts finished epochs.

    What the speed depends on stands here too: the network's size and stem, what is frozen, the device, `seconds` of a median
    epoch over `n_train` images. What a run can be found by: its tags, its note, its name in R001's code. `marks` says in a few
    words what the network's name does not; `measures` are those of METRICS on the validation images in the best epoch.
    """
    id: str
    name: str
    state: str
    dataset: str
    network: str
    size: int
    small_stem: bool
    device: str
    epochs: int
    created: float
    epoch: int = 0
    auc: float | None = None
    n_train: int = 0
    seconds: float | None = None
    freeze: str = "none"
    tags: tuple[str, ...] = ()
    text: str = ""
    code: str = ""
    marks: str = ""
    measures: Mapping[str, float | None] = field(default_factory=dict)

    def is_found_by(self, words: str) -> bool:
        """Whether each of some words stands in the name, tags, note, data, network or code; upper and lower case are one."""
        all_of_it = " ".join((self.name, *self.tags, self.text, self.dataset, self.network, self.code, self.marks)).casefold()
        return all(word in all_of_it for word in words.casefold().split())

    def is_like(self, other: Row) -> bool:
        """Whether an image should take both the same time."""
        return all(getattr(self, name) == getattr(other, name)
                   for name in ("network", "size", "small_stem", "device", "freeze"))

    @property
    def when(self) -> str:
        """When it was made: the time today, else the day."""
        made, now = time.localtime(self.created), time.localtime()
        return time.strftime("%H:%M" if made[:3] == now[:3] else "%d %b %Y", made)


def all_runs(store: RunStore) -> list[Row]:
    """All runs, newest first. A folder is read again only when its files have changed; one that cannot be read is left out."""
    rows, known = [], _known_rows()
    for folder in _folders(store):
        stamp = tuple(_stamp(f"{folder}/{name}") for name in ("status.json", "metrics.jsonl", "notes.json"))
        kept = known.get(folder)
        if kept and kept[0] == stamp and kept[1].state not in LIVE:
            rows.append(kept[1])
            continue
        try:
            row = _row(Run(Path(folder), store.queue))
        except (LightboxError, OSError, KeyError, TypeError, ValueError):
            continue
        known[folder] = stamp, row
        rows.append(row)
    return sorted(rows, key=lambda row: row.created, reverse=True)


def states(store: RunStore) -> dict[str, str]:
    """Id -> state of all runs: what a page compares to know that it should draw everything again."""
    found, known = {}, _known_states()
    for folder in _folders(store):
        stamp = _stamp(f"{folder}/status.json")
        kept = known.get(folder)
        if not kept or kept[0] != stamp or kept[1] in LIVE:        # a live one may have died without a word
            try:
                kept = known[folder] = stamp, Run(Path(folder), store.queue).status().state
            except (LightboxError, OSError, TypeError):
                continue
        found[os.path.basename(folder)] = kept[1]
    return found


def _folders(store: RunStore) -> list[str]:
    """The folders of all runs. Plain text: with hundreds of runs, paths as objects take most of a look's time."""
    try:
        return [entry.path for entry in os.scandir(store.root / "runs") if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []


@st.cache_resource(show_spinner=False)
def _known_states() -> dict[str, tuple[tuple, str]]:
    return {}


def _row(run: Run) -> Row:
    config = run.config
    epochs = _epochs(run.folder / "metrics.jsonl")
    aucs, data = [r["val_roc_auc"] for r in epochs if r["val_roc_auc"] is not None], run.data()
    best, notes = next((r for r in reversed(epochs) if r.get("is_best")), {}), run.notes()
    return Row(run.id, run.name, run.status().state, config.data.dataset, config.model.name, config.data.size,
               uses_small_stem(config.model, config.data.size), run.device, config.train.epochs, run.created,
               epoch=epochs[-1]["epoch"] if epochs else 0, auc=max(aucs, default=None),
               n_train=data.get("n", {}).get("train", 0),
               seconds=median(r["seconds"] for r in epochs) if epochs else None,
               freeze=config.model.freeze, tags=notes.tags, text=notes.text, code=name_code(config, task=data.get("task", "")),
               marks=_marks(config), measures={m: best[f"val_{m}"] for m in METRICS if best.get(f"val_{m}") is not None})


def _marks(config: RunConfig) -> str:
    """What the name of a network does not say: its head, where it was cut, what is frozen, whether images are changed."""
    model = config.model
    said = {f"{model.head} head": model.head != "linear", f"cut at {model.cut}": model.cut, "frozen": model.freeze == "all",
            f"frozen up to {model.freeze}": model.freeze not in ("none", "all"), "augmented": active(config.augment)}
    return ", ".join(words for words, so in said.items() if so)


def _epochs(path: Path) -> list[dict]:
    """The "epoch" records of a file, a later one of the same epoch in place of an earlier. Other lines are not parsed."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    found = {}
    for line in lines:
        if b'"epoch", ' in line[:24]:
            try:
                record = json.loads(line)
                found[record["epoch"]] = record
            except (ValueError, KeyError):
                continue
    return [found[epoch] for epoch in sorted(found)]


@st.cache_resource(show_spinner=False)
def _known_rows() -> dict[str, tuple[tuple, Row]]:
    return {}


def _stamp(path: Path | str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
        return stat.st_mtime_ns, stat.st_size
    except OSError:
        return 0, 0


def recover(store: RunStore) -> None:
    """`RunStore.recover`, at most every few seconds for the whole server: a killed trainer is noticed, a waiting run started."""
    last = _recovered()
    now = time.monotonic()
    if now - last.get(store.root, -TEND_SECONDS) >= TEND_SECONDS:
        last[store.root] = now
        store.recover()


@st.cache_resource(show_spinner=False)
def _recovered() -> dict[Path, float]:
    return {}


def ahead_of(store: RunStore, run: Run) -> int:
    """How many runs come before one that waits: those in front of it in the queue of its device, and the one that trains."""
    waiting = [run_id for run_id, device in store.queue.waiting() if device == run.device]
    place = waiting.index(run.id) if run.id in waiting else 0
    return place + Lock.is_held(device_lock(store.root, run.device))


def seconds_of_queue(store: RunStore, rows: Sequence[Row]) -> tuple[float, int]:
    """(seconds until all that waits and trains is done, of how many runs nothing is known).

    Devices work side by side; on each, runs follow each other. How long one takes is known from earlier runs that are like it,
    on the same data, by the median of their epochs.
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
        alike = [r.seconds for r in rows if row and r.seconds and r.dataset == row.dataset and r.is_like(row)]
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
    """A measure of one kind of record, as far as it was read: of `seen` records of the list that was made anew so often."""
    made_anew: int
    seen: int = 0
    xs: array = field(default_factory=lambda: array("d"))
    ys: array = field(default_factory=lambda: array("d"))


def follow(run: Run) -> list[dict]:
    """`Run.records()`, read from where the last look ended."""
    path = run.folder / "metrics.jsonl"
    kept = _followed().setdefault(path, _Followed())
    with kept.lock:
        size = _stamp(path)[1]
        if size < kept.end:                                # made anew
            kept.end, kept.records, kept.made_anew = 0, [], kept.made_anew + 1
        if size > kept.end:
            with open(path, "rb") as file:
                file.seek(kept.end)
                raw = file.read(size - kept.end)
            whole = raw[:raw.rfind(b"\n") + 1]             # what follows the last newline is not finished
            new = [r for r in map(_parse, whole.split(b"\n")) if r]
            if any(r.get("kind") == "start" for r in new):
                # A start may take back steps that were done before a kill: only the run knows which.
                kept.records, kept.made_anew = run.records(), kept.made_anew + 1
                kept.end = size if _stamp(path)[1] == size else 0
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


def _parse(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
        return record if isinstance(record, dict) and "kind" in record else None
    except ValueError:
        return None


@st.cache_resource(show_spinner=False)
def _followed() -> dict[Path, _Followed]:
    return {}


def _x(record: Mapping) -> float:
    """A record's place on the x axis, in epochs."""
    return record["epoch"] if record["kind"] == "epoch" else record["epoch"] - 1 + record["step"] / record["steps"]


def best_epoch(records: Sequence[Mapping]) -> dict | None:
    """The epoch whose weights are kept: the last one that was the best so far."""
    return next((r for r in reversed(records) if r["kind"] == "epoch" and r["is_best"]), None)


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
    """What a run is doing now and why, in a sentence. Plain text.

    Args:
        ahead: how many runs come before it, where it waits
    """
    if status.state == "queued":
        before = f"{ahead} run{'s' if ahead > 1 else ''} before this one on {device}. It" if ahead else f"Waits for {device}: it"
        return f"{before} starts by itself."
    if status.state == "stopping":
        return "It saves where it stands; that takes at most five seconds."
    if status.state not in LIVE:
        return status.reason
    if not progress.phase:
        return "The trainer starts; PyTorch takes some seconds."
    count = f"{progress.step:,} of {progress.steps:,}"
    if progress.phase in ("Training", "Validating"):
        what = "step" if progress.phase == "Training" else "validating image"
        return f"Epoch {progress.epoch} of {progress.epochs}, {what} {count}."
    return f"{progress.phase}: {count}." if progress.steps and status.state == "starting" else f"{progress.phase}."


def changed_first(config: RunConfig) -> list[dict]:
    """Every setting of a run in words, those that differ from the default first: {"setting", "value", "default"}."""
    rows = [{"setting": knob.label, "value": _plain(config.get(name), knob.unit),
             "default": _plain(knob.default, knob.unit), "changed": config.get(name) != knob.default}
            for name, knob in KNOBS.items()]
    return sorted(rows, key=lambda row: not row["changed"])


def _plain(value: object, unit: str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".strip() or "-"
