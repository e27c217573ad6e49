"""Training: a run, a grid of runs, a learning rate; the recipes and the codes that name runs."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator

from core.commands.options import JSON, Command, absolute, argument, set_argument, settings
from core.commands.output import Bar, tell
from core.config import RunConfig, home
from core.errors import LightboxError


def train(options: Namespace) -> int:
    """Train here and show how far it is, or with --queue leave it to the worker."""
    from core.runs.store import RunStore
    config = None if options.resume else _config(options)
    if "TORCHELASTIC_RUN_ID" in os.environ:       # torchrun started us, one of several: they train the run themselves
        if options.grid:
            raise LightboxError("cli.grid", "torchrun trains one run on several processes, not a grid.", "Leave one of them out.")
        what = ["--config", config.to_json()] if config else ["--resume", options.resume]
        os.execv(sys.executable, [sys.executable, "-m", "core.worker.torchrun", *what])
    store = RunStore()
    if config:
        runs = [store.create(one) for one in _grid(config, options.grid)]
    else:
        runs = [store.get(options.resume)]
        store.resume(runs[0])
    store.recover()
    if options.queue:
        print("\n".join(run.id for run in runs))
        return 0
    return max(_follow(store, run, f"{n} of {len(runs)}  " if len(runs) > 1 else "") for n, run in enumerate(runs, 1))


def _config(options: Namespace) -> RunConfig:
    """The settings of a new run, as the command line gives them."""
    changes = {"data.dataset": absolute(options.dataset), "model.name": options.model, "data.size": options.size,
               "train.epochs": options.epochs, "train.seed": options.seed, "train.device": options.device, "name": options.name}
    changes |= settings(options.set)
    config = RunConfig()
    if options.recipe:
        from core.runs.recipes import apply
        config = apply(config.with_(**{"data.dataset": changes["data.dataset"]}), options.recipe, options.right)
    elif options.right:
        raise LightboxError("cli.right", "--right mends a recipe, and none was given.", "Write --recipe KEY --right.")
    return _with_given(config, changes)


def _with_given(config: RunConfig, changes: dict) -> RunConfig:
    """With the settings that were given; None is one that was not."""
    return config.with_(**{k: v for k, v in changes.items() if v is not None})


def _grid(config: RunConfig, items: list[str]) -> list[RunConfig]:
    """The runs that --grid asks for; without it the one run."""
    if not items:
        return [config]
    from core.runs.sweep import expand, parse_values
    return expand(config, parse_values(items))


def _follow(store, run, which: str = "") -> int:
    """Show a run's progress until it ends. Ctrl-C stops the run, with a checkpoint. `which` stands before what is shown."""
    bar, asked, tended = Bar(), False, time.monotonic()
    while True:
        try:
            status, progress = run.status(), run.progress()
            if status.state in ("finished", "failed", "stopped", "interrupted"):
                break
            bar.show(status, progress, run.records("epoch"))
            if time.monotonic() - tended > 5:     # a killed worker gets a successor
                store.recover()
                tended = time.monotonic()
            time.sleep(0.3)
        except KeyboardInterrupt:
            if asked:
                raise
            run.stop()
            asked = True
    bar.end(f"{which}{run.id}: {status.state}. {status.reason}")
    print(run.id)
    return 0 if status.state in ("finished", "stopped") else 1


def find_lr(options: Namespace) -> None:
    """A line for each power of ten and the suggestion; with --json a line of JSON for each step, the suggestion last."""
    from dataclasses import asdict

    import torch

    from core.datasets import open_dataset
    from core.runs.classifiers import build_for
    from core.runs.device import machine, resolve
    from core.trainers import lr_finder
    from core.trainers.batches import Split
    from core.trainers.compute import prepare
    from core.trainers.probe import way_to_compute
    config = _with_given(RunConfig(), {"data.dataset": absolute(options.dataset), "model.name": options.model}
                         | settings(options.set))
    bar, records = Bar(), []

    def say(record: dict) -> None:
        if options.json:
            print(json.dumps(record, allow_nan=False), flush=True)

    def progress(phase: str, done: int, total: int) -> None:
        bar.count(phase, done, total)
        say({"kind": "phase", "phase": phase, "done": done, "total": total})

    device = torch.device(resolve(config.train.device, machine()["devices"]))
    data = open_dataset(config.data, progress)
    progress("Building the network", 0, 0)
    model = build_for(config, data)
    how = way_to_compute(model, config, device, home(), tell=lambda phase: progress(phase, 0, 0))
    prepare(device, how["threads"], how["precision"])
    for record in lr_finder.find_lr(model.to(device), Split.of(data, "train"), config, precision=how["precision"],
                                 channels_last=how["channels_last"]):
        records.append(record)
        bar.count("Raising the learning rate", record["step"], record["steps"])
        say(record)
    bar.end()
    found = lr_finder.suggest(records)
    say({"kind": "suggestion", **asdict(found)})
    if not options.json:
        for record in records[::12]:
            print(f"  {record['lr']:.1e}  loss {record['smooth']:.4f}")
        print(found.sentence)


def list_recipes(options: Namespace) -> None:
    """All recipes, or what one of them sets."""
    from core.runs.recipes import RECIPES, changes_of
    if options.key:
        changes, recipe = changes_of(options.key), RECIPES[options.key]
        tell(options, vars(recipe) | {"changes": changes}, _recipe_in_words(recipe))
    else:
        tell(options, {key: vars(recipe) for key, recipe in RECIPES.items()}, _recipes_in_words())


def _recipe_in_words(recipe) -> Iterator[str]:
    yield f"{recipe.title}\n{recipe.help}"
    yield "\n".join(f"  {name}={value}" for name, value in recipe.changes.items())
    yield "\n".join(f"  --right: {name}={value}" for name, value in recipe.right.items())


def _recipes_in_words() -> Iterator[str]:
    from core.runs.recipes import GROUPS, RECIPES
    for group, title in GROUPS.items():
        yield title
        yield from (f"  {key:28} {recipe.title}" for key, recipe in RECIPES.items() if recipe.report == group)


def name(options: Namespace) -> None:
    """The code of a run, or what a code says, as --set takes it."""
    from core.runs.codes import name_code, parse
    from core.runs.store import RunStore
    store = RunStore()
    if (store.root / "runs" / options.what).is_dir() and options.what.strip("."):
        run = store.get(options.what)
        print(name_code(run.config, task=run.data().get("task", "")))
        return
    parsed = parse(options.what)
    print("\n".join(f"{field}={value}" for field, value in parsed.changes.items()))
    for sentence in (*((f"Trained on {parsed.classname}.",) if parsed.classname else ()), *parsed.said):
        print(sentence, file=sys.stderr)


COMMANDS = (
    Command("train", "train a network; prints the run's id", train, (
        argument("--dataset", default="phantom"),
        argument("--model"),
        argument("--size", type=int),
        argument("--epochs", type=int),
        argument("--seed", type=int),
        argument("--device"),
        argument("--name", help="what to call the run"),
        set_argument("section.field=value"),
        argument("--recipe", metavar="KEY", help="settings that go together; python -m core recipes lists them"),
        argument("--right", action="store_true", help="the recipe without its report's mistakes"),
        argument("--grid", action="append", default=[], metavar="field=value,value",
                 help="a run for each combination of such values; augment, recipe and data.fold=all are known too"),
        argument("--resume", metavar="RUN", help="go on with a run that was stopped or interrupted"),
        argument("--queue", action="store_true", help="print the run's id at once and let it train when its turn comes"),
    )),
    Command("find-lr", "raise the learning rate from step to step to see which ones are good", find_lr, (
        argument("--dataset", default="phantom"),
        argument("--model"),
        set_argument("section.field=value"),
        argument("--json", action="store_true", help="a line of JSON for each step, the suggestion last"),
    )),
    Command("recipes", "settings that go together, those of the reports among them", list_recipes, (
        argument("key", nargs="?", metavar="KEY"),
        JSON,
    )),
    Command("name", "the code of a run in the way of report R001, or what such a code says", name, (
        argument("what", metavar="CODE | RUN"),
    )),
)
