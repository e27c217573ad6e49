"""Commands for training: a run, a grid of runs, the learning-rate finder, recipes, codes of runs."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from core.commands.options import JSON, Command, absolute, argument, set_argument, settings
from core.commands.output import Bar, print_result, say_skipped
from core.config import RunConfig, home
from core.datasets.groups import copied_sentence
from core.errors import LightboxError

if TYPE_CHECKING:
    from core.runs.store import Run


def train(options: Namespace) -> int:
    """Train here and show the progress; with --queue leave it to the worker."""
    from core.datasets import look_ahead
    from core.runs.preflight import split_possible
    from core.runs.store import RunStore
    if options.resume:
        _refuse_settings(options)
    configs = [] if options.resume else _grid(_config(options), _items(options))
    for config, error in split_possible(configs, cache(look_ahead))[1]:      # what cannot work is refused before a run exists
        which = f"In the run {config.name}." if len(configs) > 1 else ""
        raise LightboxError(error.code, error.message, f"{error.hint} {which}".strip())
    if "TORCHELASTIC_RUN_ID" in os.environ:       # one of several processes of torchrun, which train the run themselves
        if _items(options):
            raise LightboxError("cli.grid", "torchrun trains one run on several processes, not a grid.",
                                            "Leave one of them out.")
        run = ["--config", configs[0].to_json()] if configs else ["--resume", options.resume]
        os.execv(sys.executable, [sys.executable, "-m", "core.worker.torchrun", *run])
    store = RunStore()
    if configs:
        runs = [store.create(config) for config in configs]
    else:
        runs = [store.get(options.resume)]
        if options.epochs is not None:
            store.extend(runs[0], options.epochs)
        else:
            store.resume(runs[0])
    store.recover()
    if options.queue:
        print("\n".join(run.id for run in runs))
        return 0
    return max(_follow(store, run, f"{n} of {len(runs)}  " if len(runs) > 1 else "")
               for n, run in enumerate(runs, 1))


def _refuse_settings(options: Namespace) -> None:
    """A run resumes with the settings that it began with, but for more epochs: raises LightboxError "cli.resume" where others are
    given."""
    given = [name for name, value in vars(options).items()
             if value and name not in ("resume", "queue", "function", "epochs")]
    if given:
        names = ", ".join(f"--{name}" for name in given)
        raise LightboxError("cli.resume", f"A run resumes with its settings, but for more --epochs, and {names} was given.",
                            f"Resume it without, or start a new run from its weights: --set model.weights=run:{options.resume}.")
    if options.epochs and "TORCHELASTIC_RUN_ID" in os.environ:
        raise LightboxError("cli.resume", "torchrun resumes a run with the epochs that it has.",
                            f"First python -m core train --resume {options.resume} --epochs {options.epochs} --queue.")


def _config(options: Namespace) -> RunConfig:
    """Return the settings of a new run, as the command line gives them."""
    changes, config = _given(options), RunConfig()
    if options.recipe:
        from core.runs.recipes import apply
        config = apply(config.with_(**{"data.dataset": changes["data.dataset"]}), options.recipe,
                       options.right)
    elif options.right:
        raise LightboxError("cli.right", "--right corrects a recipe, and none was given.",
                                         "Write --recipe KEY --right.")
    return _with(config, changes)


def _given(options: Namespace) -> dict:
    """Return dotted setting -> value of the options and of --set; None where an option was not given."""
    named = {"model.name": "model", "data.size": "size", "train.epochs": "epochs", "train.seed": "seed",
             "train.device": "device", "name": "name"}
    given = {"data.dataset": options.dataset or "phantom"} | {
        field: getattr(options, option, None) for field, option in named.items()} | settings(options.set)
    return given | {"data.dataset": absolute(given["data.dataset"])}


def _with(config: RunConfig, changes: dict) -> RunConfig:
    """Return `config` with the changes that are not None."""
    return config.with_(**{k: v for k, v in changes.items() if v is not None})


def _items(options: Namespace) -> list[str]:
    """Return what --grid gives, with all folds where --folds asks for them."""
    folds = [] if options.folds is None else [f"data.folds={options.folds}", "data.fold=all"]
    return [*options.grid, *folds]


def _grid(config: RunConfig, items: list[str]) -> list[RunConfig]:
    """Return the runs of --grid; without it the one run."""
    if not items:
        return [config]
    from core.runs.sweep import expand, parse_values
    values = parse_values(items)
    if "data.dataset" in values:
        values["data.dataset"] = list(map(absolute, values["data.dataset"]))
    return expand(config, values)


def _follow(store, run, prefix: str = "") -> int:
    """Show a run's progress until it ends; `prefix` stands before its id. Ctrl-C stops the run."""
    bar, stopping, checked = Bar(), False, time.monotonic()
    while True:
        try:
            status, progress = run.status(), run.progress()
            if status.state in ("finished", "failed", "stopped", "interrupted"):
                break
            bar.show(status, progress, run.records("epoch"))
            if time.monotonic() - checked > 5:    # a killed worker gets a successor
                store.recover()
                checked = time.monotonic()
            time.sleep(0.3)
        except KeyboardInterrupt:
            if stopping:
                raise
            run.stop()
            stopping = True
    bar.end(f"{prefix}{run.id}: {status.state}. {status.reason}")
    _say_about_data(run)
    print(run.id)
    return 0 if status.state in ("finished", "stopped") else 1


def _say_about_data(run: Run) -> None:
    """Say on stderr what a person should know about the images: files that were not read, classes without training images, copies
    where somebody has searched for them, undefined metrics."""
    from core.datasets.inspection import copied_counts
    from core.evaluation.predictions import ready_dataset
    about = run.data()
    if not about:
        return
    skipped = about.get("skipped", {})
    say_skipped(skipped.get("first", []), count=skipped.get("n"))
    for sentence in about.get("labels", []):
        print(sentence, file=sys.stderr)
    print(about["split_note"], file=sys.stderr)
    data = ready_dataset(run)
    counts = copied_counts(data) if data is not None else None
    for split, (copied, n) in (counts or {}).items():
        print(copied_sentence(copied, n, split), file=sys.stderr)
    for note in next((record.get("notes", []) for record in run.records("epoch")[::-1]), []):
        print(note.replace("in this split", "among the validation images"), file=sys.stderr)


def find_lr(options: Namespace) -> None:
    """Print the curve and the suggestion; with --json a line of JSON for each step, the suggestion last."""
    from dataclasses import asdict

    import torch

    from core.datasets import open_dataset
    from core.runs.device import machine, resolve
    from core.runs.initial_weights import build_for
    from core.trainers import lr_finder
    from core.trainers.batches import SplitData
    from core.trainers.compute import prepare
    from core.trainers.probe import way_to_compute
    config = _with(RunConfig(), _given(options))
    bar, records = Bar(), []

    def emit(record: dict) -> None:
        if options.json:
            print(json.dumps(record, allow_nan=False), flush=True)

    def progress(phase: str, done: int, total: int) -> None:
        bar.count(phase, done, total)
        emit({"kind": "phase", "phase": phase, "done": done, "total": total})

    device = torch.device(resolve(config.train.device, machine()["devices"]))
    data = open_dataset(config.data, progress)
    progress("Building the network", 0, 0)
    model = build_for(config, data)
    how = way_to_compute(model, config, device, home(), tell=lambda phase: progress(phase, 0, 0))
    prepare(device, how["threads"], how["precision"])
    for record in lr_finder.find_lr(model.to(device), SplitData.of(data, "train"), config,
                                    precision=how["precision"],
                                 channels_last=how["channels_last"]):
        records.append(record)
        bar.count("Raising the learning rate", record["step"], record["steps"])
        emit(record)
    bar.end()
    suggestion = lr_finder.suggest(records)
    emit({"kind": "suggestion", **asdict(suggestion)})
    if not options.json:
        for record in records[::12]:
            print(f"  {record['lr']:.1e}  loss {record['smooth']:.4f}")
        print(suggestion.sentence)


def list_recipes(options: Namespace) -> None:
    """Print all recipes, or what one of them sets."""
    from core.runs.recipes import RECIPES, changes_of
    if options.key:
        changes, recipe = changes_of(options.key), RECIPES[options.key]
        print_result(options, vars(recipe) | {"changes": changes}, _recipe_in_words(recipe))
    else:
        print_result(options, {key: vars(recipe) for key, recipe in RECIPES.items()}, _recipes_in_words())


def _recipe_in_words(recipe) -> Iterator[str]:
    yield f"{recipe.title}\n{recipe.help}"
    yield "\n".join(f"  {name}={value}" for name, value in recipe.changes.items())
    yield "\n".join(f"  --right: {name}={value}" for name, value in recipe.corrections.items())


def _recipes_in_words() -> Iterator[str]:
    from core.runs.recipes import GROUPS, RECIPES
    for group, title in GROUPS.items():
        yield title
        yield from (f"  {key:28} {recipe.title}" for key, recipe in RECIPES.items() if recipe.report == group)


def name(options: Namespace) -> None:
    """Print the code of a run, or the settings of a code, as --set takes them."""
    from core.runs.codes import parse
    from core.runs.store import RunStore
    store = RunStore()
    if (store.root / "runs" / options.what).is_dir() and options.what.strip("."):
        print(store.get(options.what).code)
        return
    parsed = parse(options.what)
    print("\n".join(f"{field}={value}" for field, value in parsed.changes.items()))
    trained_on = ", ".join(parsed.parts) or parsed.classname
    for sentence in (*((f"Trained on {trained_on}.",) if trained_on else ()), *parsed.notes):
        print(sentence, file=sys.stderr)


WHAT = (argument("--dataset", help="default: phantom"), argument("--model"), argument("--size", type=int),
        argument("--seed", type=int), argument("--device"))

COMMANDS = (
    Command("train", "train a network; prints the run's id", train, (
        *WHAT,
        argument("--epochs", type=int, help="with --resume of a run that has ended: more than it has, to go on with"),
        argument("--name", help="what to call the run"),
        set_argument("section.field=value"),
        argument("--recipe", metavar="KEY", help="a preset of settings; python -m core recipes lists them"),
        argument("--right", action="store_true", help="the recipe with its report's mistakes corrected"),
        argument("--grid", action="append", default=[], metavar="field=value,value",
                 help="a run for each combination of values; also augment, recipe and data.fold=all"),
        argument("--folds", type=int, metavar="K", help="cross-validation: a run for each of K folds, stratified and, as "
                                                        "data.split says, by patient"),
        argument("--resume", metavar="RUN", help="resume a run that was stopped or interrupted; with --epochs any that ended"),
        argument("--queue", action="store_true", help="print the run's id and return; the worker trains it"),
    )),
    Command("find-lr", "find a learning rate: raise it until the loss diverges", find_lr, (
        *WHAT,
        set_argument("section.field=value"),
        argument("--json", action="store_true", help="a line of JSON for each step, the suggestion last"),
    )),
    Command("recipes", "list presets of settings, those of the reports among them", list_recipes, (
        argument("key", nargs="?", metavar="KEY"),
        JSON,
    )),
    Command("name", "print the code of a run as in the report on MURA (R001), or the settings of a code", name, (
        argument("what", metavar="CODE | RUN"),
    )),
)
