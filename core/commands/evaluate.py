"""Evaluation: metrics, paired tests of two runs, the shortcut test, and marks."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.commands.options import JSON, Command, absolute, argument, class_index, open_run, pairs, split_argument
from core.commands.output import Bar, print_result, write_or_print
from core.errors import LightboxError
from core.files import write_atomic

if TYPE_CHECKING:
    from core.evaluation.run_evaluation import RunEvaluation
    from core.runs.store import Run

SEARCHED = 10_000      # images that are searched for copies without being asked: it takes a minute


def evaluate(options: Namespace) -> None:
    """Print every metric of a run with its interval, and warnings."""
    from core.datasets.positive import default_positive
    from core.evaluation.evaluate import evaluate, evaluate_by_group
    from core.evaluation.predictions import load_predictions, ready_dataset, with_patients
    if options.on and options.positive:
        raise LightboxError("cli.positive", "--positive is about the run's own images.",
                            "With --on, map the classes: --map a=b; the run's positive class stays.")
    if options.on and options.pool != "mean":
        raise LightboxError("cli.pool", "--pool is about the run's own images.", "Leave it out, or leave out --on.")
    if options.on:
        _evaluate_on(options)
        return
    if options.map or options.target:
        raise LightboxError("cli.map", "--map and --target are about another set.",
                            "Say which one with --on D.")
    bar, run = Bar(), open_run(options.run)
    options.split = options.split or "val"
    search_copies(run, bar)
    result = evaluate(run, options.split, progress=bar.count)
    positive = default_positive(run.data())
    if options.positive:
        if result.positive_class is None:
            raise LightboxError("class.positive", "Only one of two classes is the positive one.",
                                f"This run has {len(result.class_names)}: each is listed against the rest with --json.")
        positive = class_index(options.positive, result.class_names)
    if options.pool != "mean":
        preds, data = load_predictions(run, options.split), ready_dataset(run)
        if preds.patients is None and preds.studies is None and data is not None:      # stored before they were kept
            preds = with_patients(preds, data)
        result = replace(result, **evaluate_by_group(run, preds, pool=options.pool, positive=positive))
    result = result.for_positive(positive)
    bar.end()
    print_result(options, result.as_dict(), _result_in_words(options, run, result))


def search_copies(run: Run, bar: Bar) -> None:
    """Search the set of a run for copies, unless somebody has, it is not at hand, or it is so large that it takes minutes."""
    from core.datasets.inspection import inspect
    from core.evaluation.predictions import ready_dataset
    data = ready_dataset(run)
    if data is not None and len(data) <= SEARCHED:
        inspect(data, bar.count)


def _copies_in_words(result: RunEvaluation) -> Iterator[str]:
    """The metrics with and without the images that have a copy in training, side by side."""
    found = result.copies
    if found is None:
        yield "  copies in training: not searched; python -m core audit DATASET searches"
        return
    yield f"  {found.sentence}"
    if found.without:
        yield f"  {'':18} {f'all {found.n:,} images':30} without copies ({found.n - found.copied:,})"
        for name, one in found.every.items():
            yield f"  {name:18} {_with_interval(one):30} {_with_interval(found.without[name])}"


def _evaluate_on(options: Namespace) -> None:
    """The same on another set, beside the run's own."""
    from core.evaluation.external import MarkUse, evaluate_external
    asked = pairs(options.map, "class of the set=class of the run", "--map") if options.map else None
    kinds = options.without_marked.split(",") if options.without_marked else ()
    bar = Bar()
    found = evaluate_external(open_run(options.run), absolute(options.on), asked, target=options.target,
                              split=options.split, marks=MarkUse(tuple(kinds), options.corrected),
                              progress=bar.count)
    bar.end()
    print_result(options, found.as_dict(), _external_in_words(options, found))


def _external_in_words(options: Namespace, found) -> Iterator[str]:
    own = {"": "", "test": "own test set", "val": "own validation"}[found.own_split]
    result = found.result
    yield (f"{options.run} on {found.predictions.title}: {result.n:,} images, {_weights_of(open_run(options.run), result)}, "
           f"threshold {result.as_dict()['threshold']} as frozen on its own validation")
    if result.positive_class:
        yield f"  positive class: {result.positive_class}"
    for one in result.warnings:
        yield f"  {one.text}"
    for sentence in found.sentences():
        yield f"  {sentence}"
    yield f"  {'':18} {'this set':28} {own:28} {'difference' if own else ''}".rstrip()
    for name, one in result.estimates.items():
        beside = _with_interval(found.own.estimates[name]) if found.own else ""
        gap = found.differences.get(name)
        apart = _with_interval(gap, "+.4f") if gap else ""
        yield f"  {name:18} {_with_interval(one):28} {beside:28} {apart}".rstrip()
    for name, one in found.without_shared.items():
        yield f"  {name}, without images that were trained on: {_with_interval(one)}"
    if found.temperature:
        yield (f"  with its temperature {found.temperature:.3f}: "
               + _listed(found.calibrated))
    yield from _matrix_in_words(result)


def _matrix_in_words(result: RunEvaluation) -> Iterator[str]:
    from core.metrics.confusion import positive_last
    matrix, names = result.confusion_matrix, result.class_names
    if matrix.ndim == 2:                                  # of several findings each has one
        matrix, names = positive_last(matrix, names, result.positive)
    yield f"  confusion matrix (rows: true class): {', '.join(names)}"
    for row in matrix.tolist():
        yield f"     {row}"


def _with_interval(one, form: str = ".4f") -> str:
    if one.value is None:
        return "undefined"
    return f"{one.value:{form}}" + ("" if one.low is None else f" ({one.low:{form}} to {one.high:{form}})")


def _weights_of(run: Run, result: RunEvaluation) -> str:
    """Whose answers these are: of which epoch, or of which ensemble."""
    return run.ensemble.title if run.ensemble else f"epoch {result.epoch}"


def _result_in_words(options: Namespace, run: Run, result: RunEvaluation) -> Iterator[str]:
    if result.data_note:
        yield result.data_note.text
    yield (f"{options.run}, {options.split} split, {_weights_of(run, result)}, {result.n:,} images, "
           f"threshold {result.as_dict()['threshold']}"
           + (f" for {result.class_names[1]}" if result.positive_class else ""))
    if result.positive_class:
        yield f"  positive class: {result.positive_class}; --positive takes {result.class_names[1 - result.positive]}"
    for name, one in result.estimates.items():
        value = "undefined" if one.value is None else f"{one.value:.4f}"
        between = "" if one.low is None else f"   {one.low:.4f} to {one.high:.4f}   {one.method}"
        yield f"  {name:18} {value}{between}"
    few = ("accuracy", "roc_auc", "cohen_kappa")
    for base in result.baselines:
        values = {name: getattr(base, name) for name in few}
        yield f"  {base.name}: " + _listed(values)
    for unit, found in (("study", result.by_study), ("patient", result.by_patient)):
        if found:
            how = "" if found.pool == "mean" else ", maximum of the probabilities"
            yield f"  by {unit} ({found.n:,}{how}): " + _listed({name: found.estimates[name].value
                                                            for name in few})
    yield from _copies_in_words(result)
    yield from _matrix_in_words(result)
    for one in result.warnings:
        if one is not result.data_note:
            yield f"  {one.text}"


def _listed(values: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items() if value is not None)


def shortcut_test(options: Namespace) -> None:
    """Test with other letters, or with none, on the same phantom patients: does the run follow the letter?"""
    from dataclasses import asdict

    from core.evaluation.shortcut_test import run_shortcut_test
    bar = Bar()
    found = run_shortcut_test(open_run(options.run), options.split, progress=bar.count)
    bar.end()
    print_result(options, asdict(found), _shortcut_in_words(found))


def _shortcut_in_words(found) -> Iterator[str]:
    for row in found.rows:
        low, high = row.accuracy_interval
        yield (f"  {row.title + (', as in training' if row.as_trained else ''):74} {row.n:6,} images   "
               f"accuracy {row.accuracy:.4f} ({low:.4f} to {high:.4f})")
    yield found.sentence


def marks(options: Namespace) -> None:
    """Write what people marked on the page Errors."""
    from core.runs.marks import marks_csv, read_marks
    dataset = absolute(options.dataset)
    found = read_marks(dataset)
    if not found:
        raise LightboxError("marks.none",
                            f"There are no marks for {dataset}.", "Mark images on the page Errors.")
    if write_or_print(marks_csv(dataset), options.out):
        print(f"{options.out}: {len(found):,} mark{'' if len(found) == 1 else 's'}.", file=sys.stderr)


def compare(options: Namespace) -> None:
    """Print the paired tests of two runs, and in which settings they differ; with --out write the reports of many."""
    if options.out:
        _write_reports(options)
        return
    if options.dataset or len(options.runs) != 2:
        raise LightboxError("cli.compare", "A paired test needs two runs.",
                            "Name two, or write the tables of many runs with --out FOLDER.")
    from core.evaluation.compare import compare
    result = compare(*map(open_run, options.runs), options.split)
    print_result(options, result, _comparison_in_words(result))


def _write_reports(options: Namespace) -> None:
    """Write report R001's two tables of the runs that are named, or of all runs of a data set, and print their paths."""
    from core.report.tables import reports_of_runs
    from core.runs.store import RunStore
    if bool(options.runs) == bool(options.dataset):
        raise LightboxError("cli.compare", "Which runs the tables are of is not said, or said twice.",
                            "Name the runs, or a data set with --dataset D for all its runs.")
    wanted = absolute(options.dataset)
    runs = [open_run(name) for name in options.runs] or [
        run for run in RunStore().list() if run.config.data.dataset == wanted
        and options.target in ("", run.data().get("target", ""))]
    Path(options.out).mkdir(parents=True, exist_ok=True)
    bar = Bar()
    reports = reports_of_runs(runs, options.split, bar.count)
    bar.end()
    paths = [str(Path(options.out) / name) for name in reports]
    for path, text in zip(paths, reports.values()):
        write_atomic(Path(path), text)
    print_result(options, {"files": paths}, paths)


def _comparison_in_words(result: dict) -> Iterator[str]:
    for letter, run in zip("AB", result["runs"]):
        yield f"{letter}  {run['id']}  {run['name']}"
    for row in result["differs"]:
        yield f"   {row['field']:24} {row['a']!s:24} {row['b']!s}"
    if result["positive_class"]:
        yield f"   positive class: {result['positive_class']}"
    tests = [("", result), *((f"{one['finding']}: ", one) for one in result["findings"])]
    for before, test in tests:
        for kind in ("roc_auc", "accuracy"):
            if test[kind]:
                yield before + test[kind]["sentence"]
    yield f"They predict {result['disagreements']:,} of {result['n']:,} images differently."
    yield from result["notes"]


COUNTED = split_argument("each opening of test is counted")

COMMANDS = (
    Command("evaluate", "metrics of a run with their intervals, on its own images or another set", evaluate, (
        argument("run"),
        split_argument("default: val, with --on all images; each opening of the run's own test is counted",
                       default=""),
        argument("--on", metavar="D", help="judge the run on another set, by name or path"),
        argument("--map", action="append", default=[], metavar="a=b",
                 help="class a of the other set is class b of the run; a= leaves it out; again and again"),
        argument("--target", default="", help="which labels of the other set, where it has several"),
        argument("--without-marked", metavar="KIND,...",
                 help="leave out images of the other set that are marked mislabelled, unclear, ..."),
        argument("--corrected", action="store_true", help="take labels that were corrected by a mark"),
        JSON,
        argument("--pool", choices=("mean", "max"), default="mean",
                 help="how the probabilities of a study's or a patient's images become one"),
        argument("--positive", metavar="CLASS", help="of two classes the one that sensitivity, PPV, F1 and average precision "
                                                      "are of"),
    )),
    Command("shortcut-test", "test whether a run on phantom radiographs relies on the letter", shortcut_test,
            (
        argument("run"), COUNTED, JSON,
    ), alias="conflict"),
    Command("marks", "export marked images and their notes as CSV", marks, (
        argument("dataset", metavar="D"),
        argument("--out", metavar="FILE.csv"),
    )),
    Command("compare", "paired tests of two runs on the same images; with --out tables of all runs of a task", compare, (
        argument("runs", nargs="*", metavar="RUN"),
        split_argument("test must have been opened by evaluate"),
        argument("--out", metavar="FOLDER", help="write the evaluation and the predictions of these runs as CSV, as in report "
                                                 "R001: a row for each run, and a row for each image"),
        argument("--dataset", metavar="D", help="with --out: all runs of a data set that have predictions"),
        argument("--target", default="", help="with --dataset: of this task, where the set has several"),
        JSON,
    )),
)
