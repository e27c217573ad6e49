"""Metrics of runs for a table: computed once and kept; several seeds of one setting as one row; order; the
best.

    score(run, split)     metrics with intervals of stored predictions; kept in scores.json, see core/runs/summary.py
    group_seeds(runs)     runs that differ only in their seed, together
    order_by(rows, ...)   sorted, what is unknown last

Validation decides the order. Test is shown where somebody has opened it, and this file never opens it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.config import Task
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.compare import over_seeds, same_but_for_the_seed
from core.evaluation.predictions import Predictions, load_predictions, ready_dataset, with_patients
from core.files import Lock, write_json
from core.metrics import METRICS, Sample
from core.metrics.estimates import estimate
from core.runs.run import Run
from core.runs.summary import RunSummary, all_scores, scores_stamp, stored_scores, stored_splits, summarize

COUNTS = {"tp": "TP", "fn": "FN", "fp": "FP", "tn": "TN"}
NOTHING = {"epoch": 0, "n": 0, "n_positive": None, "counts": None, "measures": {}}
# R001's two leaderboards: (title, what they are sorted by, how many rows).
BOARDS = {"all": ("All runs", "", 0), "auc": ("Top ten by AUC", "roc_auc", 10),
          "kappa": ("Top ten by kappa", "cohen_kappa", 10)}


def score(run: Run, split: str) -> dict | None:
    """Compute the metrics of stored predictions with their intervals, or read them where they are known
    already.

    Returns:
        {"epoch", "n", "n_positive", "counts", "measures": {name: [value, low, high, method]}}, or None where nothing is
        stored. Without measures where the predictions are damaged; counts are [tp, fn, fp, tn] of two classes, else None
    """
    known = stored_scores(run).get(split)
    if known:
        return known
    if split not in stored_splits(run):
        return None
    stamp, preds = scores_stamp(run), load_predictions(run, split)
    found = NOTHING if preds is None else _scored(run, preds)
    # a read-only home is no fault of the table
    with contextlib.suppress(OSError, LightboxError):
        with Lock(run.folder / "scores.lock"):
            write_json(run.folder / "scores.json", all_scores(run) | {split: found | {"stamp": stamp}},
                       durable=False)
    return found


def summarize_scored(run: Run) -> RunSummary:
    """Summarize a run with the metrics of all predictions that it has stored; of test where somebody has opened it."""
    for split in stored_splits(run):
        score(run, split)
    return summarize(run)


def _scored(run: Run, preds: Predictions) -> dict:
    if preds.patients is None and (data := ready_dataset(run)) is not None:
        # stored by an older version, which did not name them
        preds = with_patients(preds, data)
    found = NOTHING | {"epoch": preds.epoch, "n": len(preds.labels)}
    # predictions that fit no task have no metrics; the other runs still have
    with contextlib.suppress(LightboxError):
        task, threshold = run.data()["task"], thresholds.of(run)
        estimates, _ = estimate(preds.labels, preds.probs, task, preds.patients, names=list(METRICS), each=(),
                                threshold=threshold)
        counts = Sample(preds.labels, preds.probs, task, threshold).counts
        found |= {"n_positive": estimates["accuracy"].n_positive,
                  "counts": [int(count[1]) for count in counts] if task == Task.BINARY else None,
                  "measures": {m: [one.value, one.low, one.high, one.method] for m, one in estimates.items()}}
    return found


# -------------------------------------------------------------------------------------------------- the table

@dataclass(frozen=True)
class RunGroup:
    """A row of the table: a run, or several seeds of one setting, sorted by their seed."""
    name: str
    runs: tuple[RunSummary, ...]

    @property
    def first(self) -> RunSummary:
        return self.runs[0]

    @property
    def seconds(self) -> float | None:
        """Mean training time; None where it is not known."""
        known = [run.seconds for run in self.runs if run.seconds is not None]
        return sum(known) / len(known) if known else None

    def counts(self, split: str = "val") -> tuple[int | None, ...]:
        """Return (true positives, false negatives, false positives, true negatives) of one run that tells two classes apart;
        None for each of several seeds, of more classes, and of a split that was not predicted."""
        found = self.first.scores.get(split, {}).get("counts") if len(self.runs) == 1 else None
        return tuple(found or [None] * 4)

    def over_seeds(self, metric: str, split: str = "val") -> dict | None:
        """`core.evaluation.compare.over_seeds` of a metric."""
        return over_seeds([run.value(metric, split) for run in self.runs])

    def estimate(self, metric: str, split: str = "val") -> tuple[float | None, float | None, float | None]:
        """(value, low, high): of one run with its interval; of several seeds their mean, without one."""
        if len(self.runs) > 1:
            found = self.over_seeds(metric, split)
            return (found["mean"] if found else None), None, None
        scored = self.first.scores.get(split, {}).get("measures", {}).get(metric)
        return tuple(scored[:3]) if scored else (self.first.value(metric, split), None, None)


def ungrouped(runs: Sequence[RunSummary]) -> list[RunGroup]:
    """Return a row for each run."""
    return [RunGroup(run.name, (run,)) for run in runs]


def group_seeds(runs: Sequence[RunSummary]) -> list[RunGroup]:
    """Return a row for all runs that differ only in their seed, in the order in which each setting comes
    first. An ensemble has no seed: each has a row of its own."""
    groups: dict[tuple, list[RunSummary]] = {}
    for run in runs:
        alike = (run.split_hash, *same_but_for_the_seed(run.config)) if run.was_trained else (run.id,)
        groups.setdefault(alike, []).append(run)
    return [RunGroup(_shared_name(found), tuple(sorted(found,
                                                       key=lambda run: (run.config.train.seed, run.created))))
            for found in groups.values()]


def _shared_name(runs: Sequence[RunSummary]) -> str:
    """What the names have in common: "ResNet-18, seed 0" and "ResNet-18, seed 1" -> "ResNet-18"."""
    if len(runs) == 1:
        return runs[0].name
    shared = os.path.commonprefix([run.name for run in runs])
    shared = shared.removesuffix("seed ").rstrip(" ,;:-_([")
    return shared if len(shared) > 3 else runs[0].name


def order_by(rows: Sequence[RunGroup], of: Callable[[RunGroup], float | str | None],
             largest_first: bool) -> list[RunGroup]:
    """Sort rows; those without a value come last."""
    known = [row for row in rows if of(row) is not None]
    return sorted(known, key=of, reverse=largest_first) + [row for row in rows if of(row) is None]


def best(rows: Sequence[RunGroup], metric: str, split: str = "val") -> set[int]:
    """Return the places of the best rows: one for each set of images that has at least two rows, more where
    they are equal."""
    found: set[int] = set()
    groups: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault((row.first.data_title, row.first.split_hash), []).append(place)
    for places in groups.values():
        values = {place: rows[place].estimate(metric, split)[0] for place in places}
        known = [value for value in values.values() if value is not None]
        if len(known) > 1:
            top = max(known) if METRICS[metric].higher_is_better else min(known)
            found |= {place for place, value in values.items() if value == top}
    return found
