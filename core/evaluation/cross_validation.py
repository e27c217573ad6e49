"""Cross-validation: runs that are the folds of one config, found among all runs, and compared fold by fold.

    find_series(runs)                     the series of folds, complete or not
    comparable(series)                    those that were made of the same folds, together
    describe(series, metric)              values, mean and spread, and the tests of core.metrics.folds, ready for JSON

A value is that of a fold's network on the images of its own fold, on which it was not trained. Their test set is the same for
all folds and stays shut here. k folds, m series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from core.config import KNOBS, OUT_OF_FOLD, RunConfig
from core.errors import LightboxError
from core.evaluation.compare import OF_THE_MACHINE
from core.metrics import METRICS
from core.metrics.folds import FoldTest, corrected_t_test, friedman, friedman_sentence, over_folds, t_test_sentence
from core.runs.names import default_name, setting_words
from core.runs.states import State
from core.runs.summary import RunSummary

NOT_OF_A_SERIES = OF_THE_MACHINE | {"data.fold"}
FOLD_OF = re.compile(r",? fold \d+ of \d+")
MOST_NAMED = 3                       # settings that tell apart two series of one name


@dataclass(frozen=True)
class Series:
    """The runs of k folds of one config.

    Args:
        name: what they are called, without the fold
        runs: k runs, the newest finished one of each fold; None where there is none
        waiting: folds whose run is queued or training
    """

    name: str
    runs: tuple[RunSummary | None, ...]
    waiting: tuple[int, ...] = ()

    @property
    def folds(self) -> int:
        return len(self.runs)

    @property
    def first(self) -> RunSummary:
        return next(run for run in self.runs if run)

    @property
    def missing(self) -> tuple[int, ...]:
        """Folds without a finished run that nobody trains either, counted from 0."""
        return tuple(k for k, run in enumerate(self.runs) if run is None and k not in self.waiting)

    @property
    def complete(self) -> bool:
        return all(self.runs)

    def config_of(self, fold: int) -> RunConfig:
        """Return the settings of a fold's run, such as one that is missing."""
        return replace(self.first.config.with_(**{"data.fold": fold}), name=f"{self.name}, fold {fold + 1} of {self.folds}")

    def values(self, metric: str) -> list[float | None]:
        """Return the metric on each fold's own validation images; None where it is missing or undefined."""
        return [run and run.value(metric, "val") for run in self.runs]

    def images(self, split: str) -> list[int]:
        """Return the images of each fold's split, 0 where its run is missing."""
        return [run.n.get(split, 0) if run else 0 for run in self.runs]


def find_series(runs: Sequence[RunSummary]) -> list[Series]:
    """Return the series among runs whose settings are equal but for the fold, their name and the machine; in the order in which
    each comes first. A series has a finished fold at least; a single fold that was asked for alone is one too. Ensembles of folds
    are none.
    """
    groups: dict[tuple, list[RunSummary]] = {}
    for run in runs:
        if run.was_trained and run.config.data.folds > 1 and run.config.data.fold != OUT_OF_FOLD:
            groups.setdefault(tuple(run.config.get(name) for name in KNOBS if name not in NOT_OF_A_SERIES), []).append(run)
    found = [series for group in groups.values() if (series := _series(group))]
    return _with_names(found)


def _series(group: Sequence[RunSummary]) -> Series | None:
    folds = group[0].config.data.folds
    newest: list[RunSummary | None] = [None] * folds
    waiting = set()
    for run in sorted(group, key=lambda run: run.created):
        fold = run.config.data.fold
        if run.state == State.FINISHED and run.epoch:
            newest[fold] = run
        elif run.state in (State.QUEUED, State.STARTING, State.RUNNING):
            waiting.add(fold)
    if not any(newest):
        return None
    of = next(run for run in newest if run)
    return Series(FOLD_OF.sub("", of.name) or default_name(of.config), tuple(newest),
                  tuple(fold for fold in sorted(waiting) if newest[fold] is None))


def _with_names(found: list[Series]) -> list[Series]:
    """Tell series of one name apart by the settings in which they differ."""
    named = []
    for series in found:
        others = [other for other in found if other.name == series.name]
        fields = [name for name in KNOBS if name not in NOT_OF_A_SERIES
                  and len({repr(other.first.config.get(name)) for other in others}) > 1]
        said = [f"{KNOBS[name].label.lower()} {setting_words(name, series.first.config.get(name))}" for name in fields]
        named.append(replace(series, name=", ".join([series.name, *said[:MOST_NAMED]])))
    return named


def same_folds(a: Series, b: Series) -> list[int]:
    """Return the folds in which both series have a run on the very same images."""
    return [k for k, (one, other) in enumerate(zip(a.runs, b.runs))
            if a.folds == b.folds and one and other and one.split_hash == other.split_hash
            and one.class_names == other.class_names]


def comparable(found: Sequence[Series]) -> list[list[Series]]:
    """Return groups of series that were made of the same folds: two folds at least in common with the first of the group."""
    groups: list[list[Series]] = []
    for series in found:
        group = next((group for group in groups if len(same_folds(group[0], series)) > 1), None)
        if group is None:
            groups.append([series])
        else:
            group.append(series)
    return groups


def compare_series(a: Series, b: Series, metric: str) -> FoldTest | None:
    """Test two series with the corrected resampled t-test, over the folds that both have; None where neither has a value.

    Raises:
        LightboxError: "folds.other" where they have no fold of the same images in common
    """
    both = same_folds(a, b)
    if not both:
        raise LightboxError("folds.other", f"{a.name} and {b.name} were validated on different folds.",
                            "Train both with the same data, number of folds and split seed.")
    values = [[series.values(metric)[k] for k in both] for series in (a, b)]
    return corrected_t_test(*values, [a.images("train")[k] for k in both], [a.images("val")[k] for k in both])


def describe(group: Sequence[Series], metric: str = "roc_auc") -> dict[str, Any]:
    """Return everything about series of the same folds, ready for JSON.

    Returns:
        {"metric", "folds", "n": images of each fold, "series": [{"name", "runs", "missing", "values", "mean", "sd", "n"}],
        "tests": [{"a", "b", "sentence", ...FoldTest}] of each two, "friedman": {"sentence", ...} or None, "notes"}

    Raises:
        LightboxError: "folds.metric" for a metric that does not exist, and as `compare_series`
    """
    if metric not in METRICS:
        raise LightboxError("folds.metric", f"There is no metric called {metric[:80]}.", f"There are: {', '.join(METRICS)}.")
    title, better = METRICS[metric].title, METRICS[metric].higher_is_better
    names = [series.name for series in group]
    tests = []
    for (i, a), (j, b) in combinations(enumerate(group), 2):
        if test := compare_series(a, b, metric):
            tests.append({"a": i, "b": j, "sentence": t_test_sentence(test, (a.name, b.name), title, better), **asdict(test)})
    return {"metric": metric, "folds": group[0].folds, "n": [max(each) for each in zip(*(one.images("val") for one in group))],
            "series": [_described(series, metric) for series in group], "tests": tests,
            "friedman": _friedman(group, metric, names, title, better), "notes": _notes(group, tests)}


def _described(series: Series, metric: str) -> dict[str, Any]:
    values = series.values(metric)
    over = over_folds(values)
    return {"name": series.name, "runs": [run and run.id for run in series.runs], "missing": list(series.missing),
            "waiting": list(series.waiting), "values": values, "mean": over and over.mean, "sd": over and over.sd,
            "n": sum(series.images("val"))}


def _friedman(group: Sequence[Series], metric: str, names: Sequence[str], title: str, better: bool) -> dict[str, Any] | None:
    values = np.array([series.values(metric) for series in group], float).T * (1 if better else -1)
    test = friedman(values) if len(group) > 2 else None
    return test and {"sentence": friedman_sentence(test, names, title), **asdict(test)}


def _notes(group: Sequence[Series], tests: Sequence[dict]) -> list[str]:
    """Return what a person should know: folds that are missing, and many tests."""
    notes = [f"{series.name} lacks fold {', '.join(str(k + 1) for k in range(series.folds) if series.runs[k] is None)} of "
             f"{series.folds}." for series in group if not series.complete]
    if len(tests) > 1:
        notes.append(f"These are {len(tests)} tests: of 20 tests of equal networks one finds a difference by chance.")
    return notes
