"""Which runs to combine: suggestions from the table of runs. Validation decides, test is not looked at.

    best_by_validation(runs)      the best few of the same images and classes
    one_for_each_part(runs)       of runs that were trained on one value of a column each, the best of each value
    for_all_parts(runs, expert)   the network that such experts are compared with
"""

from __future__ import annotations

from collections.abc import Sequence

from core.config import RunConfig
from core.datasets.text import natural_key
from core.evaluation.members import OF_THE_SPLIT
from core.metrics import METRICS
from core.runs.members import SOUPS
from core.runs.states import LIVE, State
from core.runs.summary import RunSummary

BEST = 5
METRIC = "roc_auc"


def candidates(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Return the runs that can be a member: one network, with a finished epoch, that is not being trained now."""
    return [run for run in runs if run.epoch and run.state not in LIVE | {State.QUEUED} and run.ensemble in ("", *SOUPS)]


def best_by_validation(runs: Sequence[RunSummary], count: int = BEST, metric: str = METRIC) -> list[RunSummary]:
    """Return the best runs of one set of images and classes, the best first: of the sets with two runs at least that of the
    newest. Runs of one part or one fold are left out: their images are others.
    """
    groups: dict[tuple, list[RunSummary]] = {}
    for run in runs:
        if not run.config.data.only and not run.config.data.folds and run.value(metric) is not None:
            groups.setdefault((run.split_hash, run.class_names), []).append(run)
    group = next((group for group in groups.values() if len(group) > 1), [])
    return sorted(group, key=lambda run: run.value(metric), reverse=METRICS[metric].higher_is_better)[:count]


def columns_of_experts(runs: Sequence[RunSummary]) -> dict[str, int]:
    """Return column -> number of its values for which there is an expert, of columns with two experts at least."""
    values: dict[str, set[str]] = {}
    for run in runs:
        column, colon, value = run.config.data.only.partition(":")
        if colon:
            values.setdefault(column, set()).add(value)
    return {column: len(found) for column, found in values.items() if len(found) > 1}


def one_for_each_part(runs: Sequence[RunSummary], column: str, metric: str = METRIC) -> list[RunSummary]:
    """Return an expert for each value of a column, in the order of the values: of several the best on its own images. All are of
    one split and the same classes, those of the newest.
    """
    groups: dict[tuple, dict[str, RunSummary]] = {}
    for run in runs:
        of, _, value = run.config.data.only.partition(":")
        if of == column:
            found = groups.setdefault(_split(run), {})
            if value not in found or _worse(found[value], run, metric):
                found[value] = run
    group = max(groups.values(), key=len, default={})
    return [group[value] for value in sorted(group, key=natural_key)]


def _worse(a: RunSummary, b: RunSummary, metric: str) -> bool:
    values = a.value(metric), b.value(metric)
    if None in values:
        return values[0] is None and values[1] is not None
    return values[1] > values[0] if METRICS[metric].higher_is_better else values[1] < values[0]


def for_all_parts(runs: Sequence[RunSummary], expert: RunSummary, metric: str = METRIC) -> RunSummary | None:
    """Return the best network for all parts of the split of an expert: what experts are compared with; None without one."""
    found = [run for run in runs if not run.config.data.only and _split(run) == _split(expert)]
    best = found[0] if found else None
    for run in found[1:]:
        best = run if _worse(best, run, metric) else best
    return best


def _split(run: RunSummary) -> tuple:
    return run.class_names, *(run.config.get(name) for name in OF_THE_SPLIT)


def expert_column(configs: Sequence[RunConfig]) -> str:
    """Return the column whose values these runs are experts for, "" where they are none.

    >>> expert_column([RunConfig().with_(**{"data.only": f"side:{side}"}) for side in "LR"])
    'side'
    """
    only = [config.data.only.partition(":") for config in configs]
    columns, values = {column for column, _, _ in only}, {value for _, _, value in only}
    return columns.pop() if len(columns) == 1 and len(values) == len(only) > 1 else ""
