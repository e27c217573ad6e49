"""All runs in one table: what each is, what it reached, what it cost; several seeds of one setting folded into one line.

    entry(run)        what is known of a run without computing anything
    score(run, split) its measures with intervals, of stored answers; computed once and kept in the run's folder
    fold(entries)     runs that differ only in their seed, together
    order(lines, ..)  sorted by a measure of validation, or by what a run costs

Validation decides the order. Test is shown where somebody has opened it, and this file never opens it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core import __version__
from core.config import RunConfig
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.compare import fold_seeds, same_but_for_the_seed
from core.evaluation.predictions import load_predictions, ready_dataset, with_patients
from core.files import Lock, write_json
from core.metrics import METRICS
from core.metrics.estimates import estimate
from core.runs.store import Run

# R001's two leaderboards: (title, what they are sorted by, how many lines).
BOARDS = {"all": ("All runs", "", 0), "auc": ("Top ten by AUC", "roc_auc", 10), "kappa": ("Top ten by kappa", "cohen_kappa", 10)}


@dataclass(frozen=True)
class Entry:
    """A run in the table.

    Args:
        data: title of its data set; images: hash of the split, equal where two runs were judged on the same images
        config: with everything that it was trained by
        seconds: of training and validation together; None before the first epoch ended
        recorded: measures of the best epoch on validation, as the trainer reported them, without intervals
        scores: split -> what `score` gives, of splits that are scored already; unscored: splits that are answered, but not yet
    """
    id: str
    name: str
    config: RunConfig
    state: str = "finished"
    created: float = 0.0
    device: str = "cpu"
    data: str = ""
    images: str = ""
    tags: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    channels: int = 1
    epochs: int = 0
    seconds: float | None = None
    recorded: dict[str, float | None] = field(default_factory=dict)
    scores: dict[str, dict] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()

    def value(self, measure: str, split: str = "val") -> float | None:
        """A measure without its interval; None where it is not known or undefined."""
        if split in self.scores:
            return self.scores[split]["measures"].get(measure, (None,))[0]
        return self.recorded.get(measure) if split == "val" else None


def entry(run: Run) -> Entry:
    """What is known of a run. Raises LightboxError where its folder cannot be read."""
    config, about, records = run.config, run.data(), run.records("epoch")
    best = next((r for r in reversed(records) if r.get("is_best")), {})
    scores = {split: found for split in ("val", "test") if (found := known_score(run, split))}
    unscored = [split for split in ("val", "test") if split not in scores and load_predictions(run, split) is not None]
    return Entry(
        run.id, run.name, config, run.status().state, run.created, run.device, about.get("title", config.data.dataset),
        about.get("split_hash", ""), run.notes().tags, tuple(about.get("class_names", ())), about.get("channels", 1),
        records[-1]["epoch"] if records else 0, sum(r["seconds"] for r in records) if records else None,
        {m: best.get(f"val_{m}") for m in METRICS if best.get(f"val_{m}") is not None},
        scores, tuple(unscored))


# --------------------------------------------------------------------------------------------------------------- measures

def score(run: Run, split: str) -> dict | None:
    """The measures of the stored answers with their intervals, as `core.metrics.with_intervals` makes them.

    Returns:
        {"epoch", "n", "n_positive", "measures": {name: [value, low, high, interval]}}, or None where nothing is stored.
        Without measures where the answers are damaged. Kept in the run's folder (scores.json) until the answers or the
        threshold change
    """
    if found := known_score(run, split):
        return found
    answers, stamp = load_predictions(run, split), _stamp(run)
    if answers is None:
        return None
    if answers.patients is None and (data := ready_dataset(run)) is not None:
        answers = with_patients(answers, data)                         # stored by an older version, which did not name them
    found = {"epoch": answers.epoch, "n": len(answers.labels), "n_positive": None, "measures": {}}
    with contextlib.suppress(LightboxError):             # answers that fit no task have no measures; the other runs still have
        estimates, _ = estimate(answers.labels, answers.probs, run.data()["task"], answers.patients, names=list(METRICS), each=(),
                                threshold=thresholds.of(run))
        found |= {"n_positive": estimates["accuracy"].n_positive,
                  "measures": {m: [one.value, one.low, one.high, one.method] for m, one in estimates.items()}}
    with contextlib.suppress(OSError, LightboxError):                # a home that cannot be written to is no fault of the table
        with Lock(run.folder / "scores.lock"):
            write_json(run.folder / "scores.json", _kept(run) | {split: found | {"stamp": stamp}}, durable=False)
    return found


def known_score(run: Run, split: str) -> dict | None:
    """The same if it was computed already."""
    found = _kept(run).get(split)
    return {key: value for key, value in found.items() if key != "stamp"} if found and found["stamp"] == _stamp(run) else None


def _kept(run: Run) -> dict:
    try:
        found = json.loads((run.folder / "scores.json").read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _stamp(run: Run) -> list:
    """Changes when the answers, the threshold or the program do."""
    found: list = [__version__]
    for name in ("predictions.npz", "threshold.json"):
        try:
            stat = os.stat(run.folder / name)
            found += [stat.st_mtime_ns, stat.st_size]
        except OSError:
            found += [0, 0]
    return found


# ---------------------------------------------------------------------------------------------------------------- the table

@dataclass(frozen=True)
class Line:
    """A line of the table: a run, or several seeds of one setting. `entries` are sorted by their seed."""
    name: str
    entries: tuple[Entry, ...]

    @property
    def first(self) -> Entry:
        return self.entries[0]

    def folded(self, measure: str, split: str = "val") -> dict | None:
        """`core.evaluation.compare.fold_seeds` of a measure."""
        return fold_seeds([one.value(measure, split) for one in self.entries])

    def cell(self, measure: str, split: str = "val") -> tuple[float | None, float | None, float | None]:
        """(value, low, high): of one run with its interval; of several seeds their mean, without one."""
        if len(self.entries) == 1:
            found = self.first.scores.get(split, {}).get("measures", {}).get(measure)
            return (found[0], found[1], found[2]) if found else (self.first.value(measure, split), None, None)
        folded = self.folded(measure, split)
        return (folded["mean"] if folded else None), None, None


def single(entries: Sequence[Entry]) -> list[Line]:
    return [Line(one.name, (one,)) for one in entries]


def fold(entries: Sequence[Entry]) -> list[Line]:
    """Runs that differ only in their seed as one line, in the order in which each setting comes first."""
    groups: dict[tuple, list[Entry]] = {}
    for one in entries:
        groups.setdefault((one.images, *same_but_for_the_seed(one.config)), []).append(one)
    return [Line(_shared_name(found), tuple(sorted(found, key=lambda one: (one.config.train.seed, one.created))))
            for found in groups.values()]


def _shared_name(entries: Sequence[Entry]) -> str:
    """What the names have in common: "ResNet-18, seed 0" and "ResNet-18, seed 1" -> "ResNet-18"."""
    if len(entries) == 1:
        return entries[0].name
    shared = os.path.commonprefix([one.name for one in entries])
    shared = shared.removesuffix("seed ").rstrip(" ,;:-_([")
    return shared if len(shared) > 3 else entries[0].name


def order(lines: Sequence[Line], by: str, split: str = "val", largest_first: bool | None = None) -> list[Line]:
    """Lines sorted by a measure, the best first; those that lack it come last.

    Args:
        by: a key of METRICS
        split: "val"; "test" only because a person asked for it
        largest_first: None takes the measure's own sense
    """
    down = METRICS[by].higher_is_better if largest_first is None else largest_first
    return order_by(lines, lambda line: line.cell(by, split)[0], down)


def order_by(lines: Sequence[Line], of: Callable[[Line], float | str | None], largest_first: bool) -> list[Line]:
    known = [line for line in lines if of(line) is not None]
    return sorted(known, key=of, reverse=largest_first) + [line for line in lines if of(line) is None]


def best(lines: Sequence[Line], measure: str, split: str = "val") -> set[int]:
    """Places of the best lines: one for each set of images that has two lines at least, more where they are equal."""
    found: set[int] = set()
    groups: dict[tuple[str, str], list[int]] = {}
    for place, line in enumerate(lines):
        groups.setdefault((line.first.data, line.first.images), []).append(place)
    for places in groups.values():
        values = {place: value for place in places if (value := lines[place].cell(measure, split)[0]) is not None}
        if len(values) > 1:
            top = max(values.values()) if METRICS[measure].higher_is_better else min(values.values())
            found |= {place for place, value in values.items() if value == top}
    return found
