"""Runs by their data set, for the pages that put several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed
from pages.shared.layout import get_param

ALL = "all"                      # in the address: every data set


def trained_runs(store: RunStore) -> list[RunSummary]:
    """Every run with a finished epoch, newest first, under its data set; under data set and classes where a set has runs of
    several tasks, whose numbers must not stand in one ranking."""
    runs = [run for run in run_feed.all_runs(store) if run.epoch]
    tasks: dict[str, set] = {}
    for run in runs:
        tasks.setdefault(run.data_title, set()).add(run.class_names)
    return [replace(run, data_title=f"{run.data_title}: {_listed(run.class_names)}") if len(tasks[run.data_title]) > 1 else run
            for run in runs]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def data_sets(entries: Sequence[RunSummary], picked: Sequence[str]) -> dict[str, str]:
    """Value of a chip -> what it says: the data sets that have runs, and all of them. First, and so shown
    where none is chosen, is that of the runs that are picked, all where these are of several, else that of
    the run one comes from."""
    first = [one for one in entries if one.id in picked] or [one for one in entries
                                                             if one.id == get_param("run")]
    names = list(dict.fromkeys(one.data_title for one in [*first, *entries]))
    every = {ALL: "All data sets"} if len(names) > 1 else {}
    shown = {name: name for name in names}
    return every | shown if len({one.data_title for one in first}) > 1 else shown | every
