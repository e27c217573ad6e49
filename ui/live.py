"""Following runs: what their folders say, read cheaply enough to ask every second for thirty people at once.

Records are only ever appended, so a file is read from where the last look ended. Curves are Vega-Lite written out by hand
and an Arrow table: Altair would write the same text anew at every look, in 23 ms a chart instead of 0.1 ms.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import streamlit as st

from core.config import RunConfig, knobs
from core.errors import LightboxError
from core.files import Lock
from core.models import uses_small_stem
from core.runs import LIVE, Progress, Run, RunStore, Status, device_lock
from ui import theme
from ui.charts import thin

BATCHES = "single batches"                   # the line of a measure that every batch has
TEND_SECONDS = 5.0                           # between two looks after the queue, by whoever looks
ACTIVE = LIVE | {"queued"}                   # a run in one of these states may change by itself

STATES = {                                   # state -> (word, colour of Streamlit's badges)
    "queued": ("Waiting", "gray"), "starting": ("Starting", "blue"), "running": ("Training", "blue"),
    "stopping": ("Stopping", "gray"), "stopped": ("Stopped", "gray"), "finished": ("Finished", "green"),
    "failed": ("Failed", "orange"), "interrupted": ("Interrupted", "orange"),
}


# --------------------------------------------------------------------------------------------------------------- all the runs

@dataclass(frozen=True)
class Row:
    """A run in the list of all runs. `auc` is the best of the validation so far; `epoch` counts finished epochs.

    What the speed depends on stands here too: the network's size and stem, the device, `seconds` of a median epoch over
    `n_train` images.
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

    @property
    def when(self) -> str:
        """When it was made: the time today, else the day."""
        made, now = time.localtime(self.created), time.localtime()
        return time.strftime("%H:%M" if made[:3] == now[:3] else "%d %b %Y", made)


def all_runs(store: RunStore) -> list[Row]:
    """All runs, newest first. A folder is read again only when its files have changed; one that cannot be read is left out."""
    rows, known = [], _known_rows()
    for folder in (store.root / "runs").glob("[!.]*"):
        stamp = tuple(_stamp(folder / name) for name in ("status.json", "metrics.jsonl"))
        kept = known.get(folder)
        if kept and kept[0] == stamp and kept[1].state not in LIVE:
            rows.append(kept[1])
            continue
        try:
            row = _row(Run(folder, store.queue))
        except (LightboxError, OSError, KeyError, TypeError, ValueError):
            continue
        known[folder] = stamp, row
        rows.append(row)
    return sorted(rows, key=lambda row: row.created, reverse=True)


def states(store: RunStore) -> dict[str, str]:
    """Id -> state of all runs: what a page compares to know that it should draw everything again."""
    found, known = {}, _known_states()
    for folder in (store.root / "runs").glob("[!.]*"):
        stamp = _stamp(folder / "status.json")
        kept = known.get(folder)
        if not kept or kept[0] != stamp or kept[1] in LIVE:        # a live one may have died without a word
            try:
                kept = known[folder] = stamp, Run(folder, store.queue).status().state
            except (LightboxError, OSError, TypeError):
                continue
        found[folder.name] = kept[1]
    return found


@st.cache_resource(show_spinner=False)
def _known_states() -> dict[Path, tuple[tuple, str]]:
    return {}


def _row(run: Run) -> Row:
    config = run.config
    epochs = _epochs(run.folder / "metrics.jsonl")
    aucs = [r["val_roc_auc"] for r in epochs if r["val_roc_auc"] is not None]
    return Row(run.id, run.name, run.status().state, config.data.dataset, config.model.name, config.data.size,
               uses_small_stem(config.model, config.data.size), run.device, config.train.epochs, run.created,
               epoch=epochs[-1]["epoch"] if epochs else 0, auc=max(aucs, default=None),
               n_train=run.data().get("n", {}).get("train", 0),
               seconds=median(r["seconds"] for r in epochs) if epochs else None)


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
def _known_rows() -> dict[Path, tuple[tuple, Row]]:
    return {}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = os.stat(path)
        return stat.st_mtime_ns, stat.st_size
    except OSError:
        return 0, 0


def tend(store: RunStore) -> None:
    """`RunStore.tend`, at most every few seconds for the whole server: a killed trainer is noticed, a waiting run started."""
    last = _tended()
    now = time.monotonic()
    if now - last.get(store.root, -TEND_SECONDS) >= TEND_SECONDS:
        last[store.root] = now
        store.tend()


@st.cache_resource(show_spinner=False)
def _tended() -> dict[Path, float]:
    return {}


def ahead_of(store: RunStore, run: Run) -> int:
    """How many runs come before one that waits: those in front of it in the queue of its device, and the one that trains."""
    waiting = [run_id for run_id, device in store.queue.waiting() if device == run.device]
    place = waiting.index(run.id) if run.id in waiting else 0
    return place + Lock.is_held(device_lock(store.root, run.device))


# ------------------------------------------------------------------------------------------------------------ one run's records

@dataclass
class _Followed:
    """What was read of a metrics.jsonl: the records up to byte `end`."""
    end: int = 0
    records: list[dict] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def follow(run: Run) -> list[dict]:
    """`Run.records()`, read from where the last look ended."""
    path = run.folder / "metrics.jsonl"
    kept = _followed().setdefault(path, _Followed())
    with kept.lock:
        size = _stamp(path)[1]
        if size < kept.end:                                # made anew
            kept.end, kept.records = 0, []
        if size > kept.end:
            with open(path, "rb") as file:
                file.seek(kept.end)
                raw = file.read(size - kept.end)
            whole = raw[:raw.rfind(b"\n") + 1]             # what follows the last newline is not finished
            new = [r for r in map(_parse, whole.split(b"\n")) if r]
            if any(r.get("kind") == "start" for r in new):
                # A start may take back steps that were done before a kill: only the run knows which.
                kept.records = run.records()
                kept.end = size if _stamp(path)[1] == size else 0
            else:
                kept.records = [*kept.records, *new]
                kept.end += len(whole)
        return kept.records


def _parse(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
        return record if isinstance(record, dict) else None
    except ValueError:
        return None


@st.cache_resource(show_spinner=False)
def _followed() -> dict[Path, _Followed]:
    return {}


def best_epoch(records: Sequence[Mapping]) -> dict | None:
    """The epoch whose weights are kept: the last one that was the best so far."""
    return next((r for r in reversed(records) if r["kind"] == "epoch" and r["is_best"]), None)


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
    default = RunConfig()
    rows = []
    for section, f in knobs():
        value, usual = getattr(getattr(config, section), f.name), getattr(getattr(default, section), f.name)
        rows.append({"setting": f.metadata["label"], "value": _plain(value, f.metadata["unit"]),
                     "default": _plain(usual, f.metadata["unit"]), "changed": value != usual})
    return sorted(rows, key=lambda row: not row["changed"])


def _plain(value: object, unit: str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".strip() or "-"


# -------------------------------------------------------------------------------------------------------------------- curves

def show_curve(records: Sequence[Mapping], title: str, *, key: str, epochs: float, train: str = "", val: str = "", step: str = "",
               best: int | None = None, higher_is_better: bool | None = None, height: int = 290, ceiling: float | None = None,
               format: str = ".3f") -> None:
    """One measure over the training, which grows while one looks.

    Args:
        records: as a run reports them
        epochs: right end of the x axis, so that the curve grows into it and the axis stands still
        train, val: names of the measure in the "epoch" records
        step: its name in the "step" records: a faint line, thinned to 500 points
        best: the epoch whose weights are kept, marked by a ring on its point
        higher_is_better: said to people who do not see the chart; None where it is neither
        ceiling: highest possible value
    """
    done = [r for r in records if r["kind"] == "epoch"]
    lines = {theme.SPLIT_TITLES["train"]: _points(done, train), theme.SPLIT_TITLES["val"]: _points(done, val)}
    lines[BATCHES] = thin(*_points([r for r in records if r["kind"] == "step"], step))
    lines = {name: (xs, ys) for name, (xs, ys) in lines.items() if len(xs)}
    table = pa.table({"epoch": np.concatenate([xs for xs, _ in lines.values()] or [np.zeros(0)]),
                      "value": np.concatenate([ys for _, ys in lines.values()] or [np.zeros(0)]),
                      "line": [name for name, (xs, _) in lines.items() for _ in xs]})
    better = {True: "Higher is better.", False: "Lower is better.", None: ""}[higher_is_better]
    said = "; ".join(f"{name}: {ys[0]:.3g} at first, {ys[-1]:.3g} now" for name, (_, ys) in lines.items()) or "nothing yet"
    marked = f" The best epoch is {best}." if best else ""
    domain = _domain([ys for _, ys in lines.values()], ceiling)
    spec = _spec(title, epochs, list(lines), domain, len(done) <= 40, best, height, format)
    st.vega_lite_chart(table, spec, key=key, width="stretch", alt=f"{title} by epoch. {said}. {better}{marked}")


def _points(records: Sequence[Mapping], name: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(_x(r), r[name]) for r in records if name and r.get(name) is not None]
    xs, ys = np.array(pairs, float).reshape(-1, 2).T
    return xs, ys


def _x(record: Mapping) -> float:
    """A record's place on the x axis, in epochs."""
    return record["epoch"] if record["kind"] == "epoch" else record["epoch"] - 1 + record["step"] / record["steps"]


def _domain(values: list[np.ndarray], ceiling: float | None) -> list[float]:
    """Lowest and highest value of the y axis: a little more than the curves need, never above what is possible."""
    if not values:
        return [0.0, 1.0]
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return [low - room, high + room if ceiling is None else min(high + room, ceiling)]


def _spec(title: str, epochs: float, lines: list[str], domain: list[float], dots: bool, best: int | None, height: int,
          format: str) -> dict:
    """Vega-Lite of one chart without its data, which has the columns epoch, value, line.

    Layers are only there for lines that are: Vega complains of a layer without data.
    """
    names, colors = [theme.SPLIT_TITLES[s] for s in ("train", "val")], [theme.SPLITS[s] for s in ("train", "val")]
    main, steps = [name for name in names if name in lines], BATCHES in lines
    color = {"field": "line", "type": "nominal", "title": None, "scale": {"domain": names, "range": colors},
             "legend": {"orient": "top", "direction": "horizontal", "symbolType": "stroke", "values": main, "offset": 6,
                        "padding": 0}}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"domain": domain, "nice": False},
         "axis": {"tickCount": max(2, height // 65), "format": ".3~r", "labels": bool(lines)}}
    x = {"field": "epoch", "type": "quantitative", "title": "epoch" if height > 150 else None,
         "scale": {"domain": [0, epochs], "nice": False},
         "axis": {"grid": False, "tickMinStep": 1, "format": "d", "tickCount": 6, "titlePadding": 2}}
    tip = [{"field": "line", "title": "what"}, {"field": "epoch", "format": ".4~g"},
           {"field": "value", "title": title, "format": format}]
    layers = [{"mark": {"type": "rule", "opacity": 0}}]               # the axes, before there is anything to draw
    if steps:
        layers.append({"transform": [{"filter": f"datum.line === '{BATCHES}'"}], "encoding": {"tooltip": tip},
                       "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.45 if main else 0.9, "color": colors[0]}})
    if main:
        layers.append({"transform": [{"filter": f"datum.line !== '{BATCHES}'"}], "encoding": {"color": color, "tooltip": tip},
                       "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 22} if dots else False}})
    if best and names[1] in main:
        layers.append({"transform": [{"filter": f"datum.line === '{names[1]}' && datum.epoch === {best}"}],
                       "encoding": {"tooltip": tip},
                       "mark": {"type": "point", "size": 150, "strokeWidth": 2, "color": colors[1], "filled": False}})
    return {"title": {"text": title, "anchor": "start", "fontSize": 13, "fontWeight": 600, "offset": 8}, "height": height,
            "encoding": {"x": x, "y": y}, "layer": layers}
