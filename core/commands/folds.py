"""The command for cross-validation: metrics over folds, and tests between series of the same folds."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.commands.options import JSON, Command, argument
from core.commands.output import print_result
from core.errors import LightboxError

if TYPE_CHECKING:
    from core.runs.run import Run


def folds(options: Namespace) -> None:
    """Print the series of folds among all runs, or those that the named runs belong to, with the tests between them."""
    from core.evaluation.cross_validation import comparable, describe, find_series
    from core.evaluation.leaderboard import summarize_scored
    from core.runs.store import RunStore
    store = RunStore()
    named = {run_id for name in options.runs for run_id in _folds_of(store.get(name))}
    found = [one for one in find_series([summarize_scored(run) for run in store.list() if run.config.data.folds])
             if not options.runs or {run.id for run in one.runs if run} & named]
    if not found:
        raise LightboxError("folds.none", "No run is a fold of a cross-validation.",
                            "Train one: python -m core train --folds 5 ...")
    results = [describe(group, options.metric) for group in comparable(found)]
    print_result(options, results, _in_words(results))


def _folds_of(run: Run) -> list[str]:
    """The ids of a run: of an ensemble of folds those of its folds."""
    spec = run.ensemble
    if spec is None:
        return [run.id]
    if spec.is_soup or all(len(column) == 1 for column in spec.columns):
        raise LightboxError("folds.ensemble", f"{run.name} is an ensemble, and no series of folds.", "Give the ids of folds.")
    return [member.run for member in spec.members]


def _in_words(results: list[dict]) -> Iterator[str]:
    for result in results:
        yield f"{result['metric']} of {result['folds']} folds with {', '.join(f'{n:,}' for n in result['n'])} validation images"
        for series in result["series"]:
            values = "  ".join("     -" if value is None else f"{value:.4f}" for value in series["values"])
            mean = "undefined" if series["mean"] is None else f"{series['mean']:.4f}"
            sd = "" if series["sd"] is None else f" (SD {series['sd']:.4f})"
            yield f"  {values}   mean {mean}{sd}   {series['n']:,} images   {series['name']}"
        for test in [*result["tests"], *filter(None, [result["friedman"]])]:
            yield test["sentence"]
        yield from result["notes"]


COMMANDS = (
    Command("folds", "cross-validations: metrics over folds, and tests between networks on the same folds", folds, (
        argument("runs", nargs="*", metavar="RUN", help="a fold of each series; default: all series"),
        argument("--metric", default="roc_auc", metavar="M", help="default: roc_auc"),
        JSON,
    )),
)
