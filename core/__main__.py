"""The same jobs without a browser.

    python -m core datasets [--json]
    python -m core datasets D [--json]
    python -m core datasets add PATH --name NAME [--title T] [--set key=value ...] [--json]
    python -m core audit D [--set data.split=...] [--json]
    python -m core train --dataset D --model M [--size S] [--epochs E] [--seed K] [--device cpu] [--set section.field=value ...]
    python -m core train --recipe KEY [--right] --dataset D ...
    python -m core train --grid field=value,value [--grid ...] ...
    python -m core train --resume RUN
    python -m core train ... --queue
    torchrun --nproc-per-node 2 -m core train ...
    python -m core find-lr --dataset D --model M [--set section.field=value ...] [--json]
    python -m core recipes [KEY] [--json]
    python -m core name CODE | RUN
    python -m core evaluate RUN [--split val|test] [--json]
    python -m core compare RUN RUN [--split val|test] [--json]
    python -m core marks D [--out FILE.csv]
    python -m core conflict RUN [--split val|test] [--json]
    python -m core explain RUN IMAGE [--method M] [--layer L] [--target C] [--against C] --out FILE.png
    python -m core predict RUN IMAGE... [--out FILE.csv]
    python -m core export RUN FOLDER --title TITLE [--about FILE.md]
    python -m core report RUN [RUN ...] [--split val|test] [--out FILE.html]
    python -m core bundle RUN [--split val|test] --out FILE.zip
    python -m core phantom FOLDER --layout mura|folders|table|npz [--size S] [--target T] [--set key=value ...]

D is a name such as phantom or breastmnist, or the path of a folder, a table, a zip or an .npz file. RUN is a run's id, or a
classifier that came with the app, such as phantom-body-part. Progress goes to stderr, results to stdout. A mistake ends with one
sentence and exit code 2, a run that fails with 1.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from core.config import RunConfig
from core.errors import LightboxError
from core.files import write_atomic


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        return options.command(options) or 0
    except LightboxError as error:
        print(f"{error} [{error.code}]", file=sys.stderr)
        return 2
    except BrokenPipeError:                       # whoever read our output has seen enough, as `| head` has
        sys.stdout = open(os.devnull, "w")        # nothing is left to be flushed into the closed pipe at the end
        return 0


def datasets(options) -> None:
    from core.datasets import DATASETS, list_datasets
    from core.datasets.survey import survey
    if options.words:
        show_or_add(options)
        return
    infos = list_datasets()
    for info in infos:                            # the phantoms are made, so they can be counted at any time
        if info.name in DATASETS and info.available and None in info.counts.values():
            info.counts.update(survey(DATASETS[info.name].source(None)).index.table["split"].value_counts().to_dict())
    if options.json:
        print(json.dumps([vars(info) for info in infos], default=list))
        return
    for info in infos:
        known = [v for v in info.counts.values() if v is not None]
        images, classes = f"{sum(known):,}" if known else "?", len(info.class_names) or "?"      # ? is known once it is opened
        where = "ready" if info.available else "to be downloaded" if info.name in DATASETS else "not there"
        print(f"{info.name:16} {images:>8} images  {classes:>2} classes  {info.task:26} {where:16}  {info.title}")


def show_or_add(options) -> None:
    """`datasets D` counts what is there; `datasets add PATH` keeps it under a name."""
    from core.config import DataConfig
    from core.datasets import list_datasets, open_source
    from core.datasets.kinds import KINDS, find, reading_from
    from core.datasets.own import free_name, load_own
    from core.datasets.survey import add_own, survey
    words, bar = options.words, Bar()
    values = dict(_pair(item) for item in options.set)
    if len(words) == 2 and words[0] == "add":
        kind, path = ("phantom", "") if words[1] == "phantom" else find(words[1])
        title = options.title or (Path(words[1]).stem if not options.name else options.name)
        own, found = add_own(kind, path, reading_from(kind, values), options.name or free_name(title), title)
        found.source.name, found.source.title = own.name, own.title
    elif len(words) == 1 and not (options.name or options.title):
        dataset = _absolute(words[0])
        own, source = load_own(dataset), open_source(DataConfig(dataset))
        if source is None and dataset in {info.name for info in list_datasets()}:
            info = next(info for info in list_datasets() if info.name == dataset)
            print(json.dumps(vars(info), default=list) if options.json else f"{info.title} ({info.name}): {info.how_to_get}")
            return
        if source is None or values:
            kind, path = find(dataset)
            source = KINDS[kind].build(path, reading_from(kind, values))
        found = survey(source, bar.count)
    else:
        raise LightboxError("cli.datasets", f"{' '.join(words)[:80]!r} is not understood.",
                            "Write datasets, datasets D, or datasets add PATH --name NAME.")
    bar.end()
    if options.json:
        facts = found.to_json()
        print(json.dumps(facts | ({"kind": own.kind, "path": own.path, "reading": own.reading} if own else {})))
        return
    print(f"{found.source.title} ({found.source.name}): {len(found.index.table):,} images, "
          + (f"{found.patients:,} patients" if found.patients else "patients unknown"))
    if own:
        print(f"{own.kind}: {own.path} " + " ".join(f"{key}={value!r}" for key, value in own.reading.items()))
    for name, target in found.index.targets.items():
        print(f"\n{target.title} ({name}): {target.task}\n{found.counts[name].to_string()}")
    for note in found.index.notes:
        print(f"  {note}")
    for item in found.index.skipped[:10]:
        print(f"  left out: {item['path']}: {item['reason']}")
    if len(found.index.skipped) > 10:
        print(f"  and {len(found.index.skipped) - 10:,} more")


def audit(options) -> None:
    from core.audit import audit, in_words
    from core.datasets import open_dataset
    changes = _settings(options.set)
    if wrong := next((name for name in changes if not name.startswith("data.")), None):
        raise LightboxError("cli.set", f"{wrong} is no setting of the data.", "An audit looks only at data.* settings.")
    config = RunConfig().with_(**{"data.dataset": _absolute(options.dataset)} | changes)
    bar = Bar()
    found = audit(open_dataset(config.data, bar.count), bar.count)
    bar.end()
    print(json.dumps(found.to_json(), indent=2, allow_nan=False) if options.json else "\n".join(in_words(found)))


def train(options) -> int:
    from core.runs import RunStore
    config = None if options.resume else _config(options)
    if "TORCHELASTIC_RUN_ID" in os.environ:       # torchrun started us, one of several: they train the run themselves
        if options.grid:
            raise LightboxError("cli.grid", "torchrun trains one run on several processes, not a grid.", "Leave one of them out.")
        what = ["--config", config.to_json()] if config else ["--resume", options.resume]
        os.execv(sys.executable, [sys.executable, "-m", "core.together", *what])
    store = RunStore()
    if config:
        runs = [store.create(one) for one in _grid(config, options.grid)]
    else:
        runs = [store.get(options.resume)]
        store.resume(runs[0])
    store.tend()
    if options.queue:
        print("\n".join(run.id for run in runs))
        return 0
    return max(_follow(store, run, f"{n} of {len(runs)}  " if len(runs) > 1 else "") for n, run in enumerate(runs, 1))


def _config(options) -> RunConfig:
    """The settings of a new run, as the command line gives them."""
    changes = {"data.dataset": _absolute(options.dataset), "model.name": options.model, "data.size": options.size,
               "train.epochs": options.epochs, "train.seed": options.seed, "train.device": options.device, "name": options.name}
    changes |= _settings(options.set)
    config = RunConfig()
    if options.recipe:
        from core.recipes import apply
        config = apply(config.with_(**{"data.dataset": changes["data.dataset"]}), options.recipe, options.right)
    elif options.right:
        raise LightboxError("cli.right", "--right mends a recipe, and none was given.", "Write --recipe KEY --right.")
    return config.with_(**{k: v for k, v in changes.items() if v is not None})


def _grid(config: RunConfig, items: list[str]) -> list[RunConfig]:
    """The runs that --grid asks for; without it the one run."""
    if not items:
        return [config]
    from core.grid import expand, parse_values
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
                store.tend()
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


def find_lr(options) -> None:
    """A line for each power of ten and the suggestion; with --json a line of JSON for each step, the suggestion last."""
    from dataclasses import asdict

    import torch

    from core.classifiers import build_for
    from core.datasets import open_dataset
    from core.device import machine, resolve
    from core.trainers import finder
    from core.trainers.batches import Split
    from core.trainers.compute import prepare
    changes = {"data.dataset": _absolute(options.dataset), "model.name": options.model}
    config = RunConfig().with_(**{k: v for k, v in (changes | _settings(options.set)).items() if v is not None})
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
    model = build_for(config, data).to(device)
    precision = config.train.precision
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    prepare(device, config.train.threads or torch.get_num_threads(), precision)
    for record in finder.find_lr(model, Split.of(data, "train"), config, precision=precision):
        records.append(record)
        bar.count("Raising the learning rate", record["step"], record["steps"])
        say(record)
    bar.end()
    found = finder.suggest(records)
    say({"kind": "suggestion", **asdict(found)})
    if not options.json:
        for record in records[::12]:
            print(f"  {record['lr']:.1e}  loss {record['smooth']:.4f}")
        print(found.sentence)


def list_recipes(options) -> None:
    """All recipes, or what one of them sets."""
    from core.recipes import GROUPS, RECIPES, changes_of
    if options.key:
        changes, recipe = changes_of(options.key), RECIPES[options.key]
        if options.json:
            print(json.dumps(vars(recipe) | {"changes": changes}))
            return
        print(f"{recipe.title}\n{recipe.help}")
        print("\n".join(f"  {name}={value}" for name, value in recipe.changes.items()))
        print("\n".join(f"  --right: {name}={value}" for name, value in recipe.right.items()))
        return
    if options.json:
        print(json.dumps({key: vars(recipe) for key, recipe in RECIPES.items()}))
        return
    for group, title in GROUPS.items():
        print(title)
        for key, recipe in RECIPES.items():
            if recipe.report == group:
                print(f"  {key:28} {recipe.title}")


def name(options) -> None:
    """The code of a run, or what a code says, as --set takes it."""
    from core.run_names import name_code, parse
    from core.runs import RunStore
    store = RunStore()
    if (store.root / "runs" / options.what).is_dir() and options.what.strip("."):
        run = store.get(options.what)
        print(name_code(run.config, task=run.data().get("task", "")))
        return
    parsed = parse(options.what)
    print("\n".join(f"{field}={value}" for field, value in parsed.changes.items()))
    for sentence in (*((f"Trained on {parsed.classname}.",) if parsed.classname else ()), *parsed.said):
        print(sentence, file=sys.stderr)


def evaluate(options) -> None:
    from core.evaluation import evaluate
    from core.runs import RunStore
    bar = Bar()
    result = evaluate(RunStore().get(options.run), options.split, progress=bar.count)
    bar.end()
    if options.json:
        print(json.dumps(result, allow_nan=False))
        return
    print(f"{options.run}, {options.split} split, epoch {result['epoch']}, {result['n']:,} images, "
          f"threshold {result['threshold']}")
    for name, one in result["measures"].items():
        value = "undefined" if one["value"] is None else f"{one['value']:.4f}"
        between = "" if one["low"] is None else f"   {one['low']:.4f} to {one['high']:.4f}   {one['interval']}"
        print(f"  {name:18} {value}{between}")
    few = ("accuracy", "roc_auc", "cohen_kappa")
    for base in result["baselines"]:
        print(f"  {base['name']}: " + ", ".join(f"{name} {base[name]:.4f}" for name in few if base[name] is not None))
    for unit in ("study", "patient"):
        if found := result[f"by_{unit}"]:
            values = {name: found[name]["value"] for name in few if found[name]["value"] is not None}
            print(f"  by {unit} ({found['n']:,}): " + ", ".join(f"{name} {value:.4f}" for name, value in values.items()))
    print("  confusion matrix (rows: true class)")
    for row in result["confusion_matrix"]:
        print("    ", row)
    for sentence in result["alarms"]:
        print(f"  {sentence}")


def marks(options) -> None:
    """What people marked on the page Errors."""
    from core.marks import marks_csv, read_marks
    dataset = _absolute(options.dataset)
    found = read_marks(dataset)
    if not found:
        raise LightboxError("marks.none", f"There are no marks for {dataset}.", "Images are marked on the page Errors.")
    text = marks_csv(dataset)
    if options.out:
        write_atomic(Path(options.out), text)
        print(f"{options.out}: {len(found):,} mark{'' if len(found) == 1 else 's'}.", file=sys.stderr)
    else:
        print(text, end="")


def conflict(options) -> None:
    """The same phantom patients with another letter, or with none: does the run follow the letter?"""
    from dataclasses import asdict

    from core.judge.conflict import conflict
    from core.runs import RunStore
    bar = Bar()
    found = conflict(RunStore().get(options.run), options.split, progress=bar.count)
    bar.end()
    if options.json:
        print(json.dumps(asdict(found), allow_nan=False))
        return
    for row in found.rows:
        low, high = row.accuracy_interval
        print(f"  {row.title + (', as it was trained' if row.as_trained else ''):74} {row.n:6,} images   "
              f"accuracy {row.accuracy:.4f} ({low:.4f} to {high:.4f})")
    print(found.sentence)


def compare(options) -> None:
    from core.comparison import compare
    from core.runs import RunStore
    store = RunStore()
    result = compare(store.get(options.run_a), store.get(options.run_b), options.split)
    if options.json:
        print(json.dumps(result, allow_nan=False))
        return
    for letter, run in zip("AB", result["runs"]):
        print(f"{letter}  {run['id']}  {run['name']}")
    for row in result["differs"]:
        print(f"   {row['field']:24} {row['a']!s:24} {row['b']!s}")
    tests = [("", result), *((f"{one['finding']}: ", one) for one in result["findings"])]
    for before, test in tests:
        for kind in ("roc_auc", "accuracy"):
            if test[kind]:
                print(before + test[kind]["sentence"])
    print(f"They answer {result['disagreements']:,} of {result['n']:,} images differently.")
    for note in result["notes"]:
        print(note)


def explain(options) -> None:
    import cv2
    import torch

    from core.classifiers import as_input, load_classifier
    from core.datasets.intake import decode_image
    from core.explain import METHODS, overlay
    from core.explain import explain as explain_by
    loaded = load_classifier(options.run)
    model, method = loaded.model, METHODS[options.method]
    picture = decode_image(Path(options.image)).pixels
    images = as_input(model, [picture])
    with torch.no_grad():
        probs = model.probabilities(model(images))[0]
    target = int(probs.argmax()) if options.target is None else _class_index(options.target, model.class_names)
    against = None if options.against is None else _class_index(options.against, model.class_names)
    bar = Bar()
    try:
        cam = explain_by(options.method, model, images, torch.tensor([target]), options.layer,
                         against=None if against is None else torch.tensor([against]),
                         progress=partial(bar.count, method.title) if method.many else None)[0].numpy()
    except (KeyError, ValueError) as error:
        raise LightboxError("layer.unknown", f"{error.args[0]}", "Give a layer with a feature map with --layer.") from None
    finally:
        bar.end()
    shown = (images[0].permute(1, 2, 0).numpy() * 255).round().astype("uint8")
    ok, data = cv2.imencode(".png", cv2.cvtColor(overlay(shown, cam, opacity=0.5, signed=method.signed), cv2.COLOR_RGB2BGR))
    write_atomic(Path(options.out), data.tobytes())
    name = model.class_names[target] + (f" and not {model.class_names[against]}" if against is not None else "")
    what = f"why {name} ({float(probs[target]):.3f})" if method.by_class else "what varies most, whatever the class"
    low = f", the lowest {float(cam.min()):.2g}" if method.signed else ""
    print(f"{options.out}: {method.title}, {what}; the largest value is {float(cam.max()):.2g}{low} {method.unit}")


def predict(options) -> None:
    from core.classifiers import classify, load_classifier
    from core.datasets.intake import decode_image
    model = load_classifier(options.run).model
    columns = ["file", "predicted", *(f"prob_{name}" for name in model.class_names), "error"]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(columns)
    bar, bad = Bar(), 0
    for done, file in enumerate(options.images, 1):
        try:
            probs = classify(model, [decode_image(Path(file)).pixels])[0]
            if model.task == "multi-label, binary-class":
                predicted = "|".join(name for name, p in zip(model.class_names, probs) if p >= 0.5)
            else:
                predicted = model.class_names[int(probs.argmax())]
            table.writerow([file, predicted, *(f"{p:.6f}" for p in probs), ""])
        except LightboxError as error:
            bad += 1
            table.writerow([file, "", *[""] * len(model.class_names), str(error)])
        bar.count("Classifying", done, len(options.images))
    bar.end(f"{len(options.images) - bad} of {len(options.images)} files were classified.")
    if options.out:
        write_atomic(Path(options.out), out.getvalue())
    else:
        print(out.getvalue(), end="")


def report(options) -> None:
    from core.report import comparison
    from core.report import report as report_of
    from core.runs import RunStore
    runs = [RunStore().get(name) for name in options.runs]
    page = report_of(runs[0], options.split) if len(runs) == 1 else comparison(runs, options.split)
    if options.out:
        write_atomic(Path(options.out), page)
        print(options.out)
    else:
        print(page, end="")


def bundle(options) -> None:
    from core.report import bundle as bundle_of
    from core.runs import RunStore
    bar = Bar()
    packed = bundle_of(RunStore().get(options.run), options.split, progress=bar.count)
    bar.end()
    write_atomic(Path(options.out), packed)
    print(options.out)


def export(options) -> None:
    from core.export import export
    from core.runs import RunStore
    bar = Bar()
    about = Path(options.about).read_text() if options.about else ""
    export(RunStore().get(options.run), Path(options.folder), options.title, about, bar.count)
    bar.end(f"{options.folder}: weights, config and card are written.")


def phantom(options) -> None:
    from core.datasets.kinds import reading_from
    from core.datasets.phantom.export import Plan, export
    plan = Plan(reading_from("phantom", dict(_pair(item) for item in options.set)), options.layout, options.size, options.target,
                not options.no_split)
    bar = Bar()
    opened = export(plan, Path(options.folder), bar.count)
    bar.end(f"{options.folder}: {len(plan.table):,} images are written.")
    print(opened)


def _pair(item: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not equals:
        raise LightboxError("cli.set", f"--set {item} has no value.", "Write key=value.")
    return key, value


class Bar:
    """A line on stderr that is drawn over; on a file or a pipe, a line where something changes."""

    def __init__(self):
        self.drawn, self.terminal = "", sys.stderr.isatty()

    def show(self, status, progress, epochs: list[dict]) -> None:
        if status.state in ("queued", "starting"):
            self.draw(progress.phase or {"queued": "Waiting for the device", "starting": "Starting"}[status.state])
            return
        best = max((r["val_roc_auc"] for r in epochs if r["val_roc_auc"] is not None), default=None)
        share = (max(progress.epoch - 1, 0) + (progress.step / progress.steps if progress.steps else 0)) / max(progress.epochs, 1)
        parts = [f"epoch {progress.epoch}/{progress.epochs}"]
        if self.terminal:
            parts.insert(0, "#" * round(30 * share) + "-" * (30 - round(30 * share)))
            parts += [f"{progress.images_per_second:.0f} images/s"] if progress.images_per_second else []
            parts += [f"{progress.seconds_left:.0f} s left"] if progress.seconds_left is not None else []
        parts += [f"best val ROC AUC {best:.3f}"] if best is not None else []
        self.draw("  ".join(parts))

    def count(self, phase: str, done: int, total: int) -> None:
        self.draw(f"{phase}: {done:,} of {total:,}" if self.terminal else phase)

    def draw(self, text: str) -> None:
        if text == self.drawn:
            return
        print(f"\r{text:<{len(self.drawn)}}" if self.terminal else text, end="" if self.terminal else "\n",
              file=sys.stderr, flush=True)
        self.drawn = text

    def end(self, text: str = "") -> None:
        if self.terminal and self.drawn:
            print(file=sys.stderr)
        if text:
            print(text, file=sys.stderr)


def _class_index(name: str, class_names: tuple[str, ...]) -> int:
    """A class by its name or its number."""
    if name in class_names:
        return class_names.index(name)
    if name.isdigit() and int(name) < len(class_names):
        return int(name)
    raise LightboxError("class.unknown", f"There is no class {name}.", f"There are: {', '.join(class_names)}.")


def _settings(items: list[str]) -> dict[str, str]:
    """{"optim.lr": "0.001"} from what was given with --set."""
    changes = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise LightboxError("cli.set", f"--set {item} has no value.", "Write section.field=value.")
        changes[key] = value
    return changes


def _absolute(dataset: str | None) -> str | None:
    """A path as the worker, which runs elsewhere, will find it; a name as it is."""
    looks_like_path = dataset and ("/" in dataset or dataset.endswith((".npz", ".csv", ".tsv", ".txt", ".zip"))
                                   or dataset.startswith("."))
    return str(Path(dataset).expanduser().resolve()) if looks_like_path else dataset


def _parser() -> argparse.ArgumentParser:
    from core.explain import METHODS
    parser = argparse.ArgumentParser(prog="python -m core", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("datasets", help="list the data sets, count one, or add one of your own")
    command.add_argument("words", nargs="*", metavar="D | add PATH", help="a set or a path to count, or add and a path")
    command.add_argument("--json", action="store_true")
    command.add_argument("--name", help="of the new set: small letters, digits and hyphens")
    command.add_argument("--title", help="of the new set, as people read it")
    command.add_argument("--set", action="append", default=[], metavar="key=value",
                         help="how the images are read, such as labels=diagnosis, patient=id; again and again")
    command.set_defaults(command=datasets)

    command = commands.add_parser("audit", help="look for patients on both sides of a split, copies and odd images")
    command.add_argument("dataset")
    command.add_argument("--set", action="append", default=[], metavar="data.field=value",
                         help="another split, size or task; may be given again and again")
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=audit)

    command = commands.add_parser("train", help="train a network; prints the run's id")
    command.add_argument("--dataset", default="phantom")
    command.add_argument("--model")
    command.add_argument("--size", type=int)
    command.add_argument("--epochs", type=int)
    command.add_argument("--seed", type=int)
    command.add_argument("--device")
    command.add_argument("--name", help="what to call the run")
    command.add_argument("--set", action="append", default=[], metavar="section.field=value",
                         help="any other setting of core/config.py; may be given again and again")
    command.add_argument("--recipe", metavar="KEY", help="settings that go together; python -m core recipes lists them")
    command.add_argument("--right", action="store_true", help="the recipe without its report's mistakes")
    command.add_argument("--grid", action="append", default=[], metavar="field=value,value",
                         help="a run for each combination of such values; augment, recipe and data.fold=all are known too")
    command.add_argument("--resume", metavar="RUN", help="go on with a run that was stopped or interrupted")
    command.add_argument("--queue", action="store_true", help="print the run's id at once and let it train when its turn comes")
    command.set_defaults(command=train)

    command = commands.add_parser("find-lr", help="raise the learning rate from step to step to see which ones are good")
    command.add_argument("--dataset", default="phantom")
    command.add_argument("--model")
    command.add_argument("--set", action="append", default=[], metavar="section.field=value",
                         help="any other setting of core/config.py; may be given again and again")
    command.add_argument("--json", action="store_true", help="a line of JSON for each step, the suggestion last")
    command.set_defaults(command=find_lr)

    command = commands.add_parser("recipes", help="settings that go together, those of the reports among them")
    command.add_argument("key", nargs="?", metavar="KEY")
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=list_recipes)

    command = commands.add_parser("name", help="the code of a run in the way of report R001, or what such a code says")
    command.add_argument("what", metavar="CODE | RUN")
    command.set_defaults(command=name)

    command = commands.add_parser("evaluate", help="judge a run")
    command.add_argument("run")
    command.add_argument("--split", choices=("val", "test"), default="val", help="each look at test is counted")
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=evaluate)

    command = commands.add_parser("conflict", help="ask a run on phantom radiographs whether it reads the letter")
    command.add_argument("run")
    command.add_argument("--split", choices=("val", "test"), default="val", help="each look at test is counted")
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=conflict)

    command = commands.add_parser("marks", help="write which images people marked, and their notes, as CSV")
    command.add_argument("dataset", metavar="D")
    command.add_argument("--out", metavar="FILE.csv")
    command.set_defaults(command=marks)

    command = commands.add_parser("compare", help="test two runs against each other on the same images")
    command.add_argument("run_a", metavar="RUN")
    command.add_argument("run_b", metavar="RUN")
    command.add_argument("--split", choices=("val", "test"), default="val", help="test must have been opened by evaluate")
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=compare)

    command = commands.add_parser("explain", help="draw over an image why the network answers so")
    command.add_argument("run")
    command.add_argument("image")
    command.add_argument("--layer", help="dotted name; default: the last feature map")
    command.add_argument("--target", help="class to explain, by name or number; default: the predicted one")
    command.add_argument("--method", choices=tuple(METHODS), default="grad_cam")
    command.add_argument("--against", help="class to compare with: the difference of the two logits is explained")
    command.add_argument("--out", required=True)
    command.set_defaults(command=explain)

    command = commands.add_parser("predict", help="classify image files into a table")
    command.add_argument("run")
    command.add_argument("images", nargs="+")
    command.add_argument("--out")
    command.set_defaults(command=predict)

    shut = "default: test where it was opened, else val; nothing is opened here"
    command = commands.add_parser("report", help="a run, or several side by side, as one HTML page to read and print")
    command.add_argument("runs", nargs="+", metavar="RUN")
    command.add_argument("--split", choices=("val", "test"), default="", help=shut)
    command.add_argument("--out", metavar="FILE.html")
    command.set_defaults(command=report)

    command = commands.add_parser("bundle", help="report, tables, figures, config, curves and weights of a run as one zip")
    command.add_argument("run")
    command.add_argument("--split", choices=("val", "test"), default="", help=shut)
    command.add_argument("--out", required=True, metavar="FILE.zip")
    command.set_defaults(command=bundle)

    command = commands.add_parser("export", help="write a run's best epoch as weights with a config and a card")
    command.add_argument("run")
    command.add_argument("folder")
    command.add_argument("--title", required=True)
    command.add_argument("--about", help="Markdown for the top of the card: data, licence, limits")
    command.set_defaults(command=export)

    command = commands.add_parser("phantom", help="write phantom radiographs to a folder, with masks and the truth about them")
    command.add_argument("folder")
    command.add_argument("--layout", required=True, help="mura, folders, table or npz")
    command.add_argument("--size", type=int, default=512, help="pixels of the longer side; of both sides in an .npz")
    command.add_argument("--target", default="abnormality", help="what the classes are: abnormality or body_part")
    command.add_argument("--no-split", action="store_true", help="class folders without train, val and test above them")
    command.add_argument("--set", action="append", default=[], metavar="key=value",
                         help="a setting of the set, such as patients=50, letters=0.9, copies=0.1; may be given again and again")
    command.set_defaults(command=phantom)
    return parser


if __name__ == "__main__":
    sys.exit(main())
