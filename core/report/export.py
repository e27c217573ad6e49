"""A run's best epoch as a folder to share: weights, settings, and a model card written from the run itself.

The card says what others must know before using a classifier (after Mitchell et al., "Model Cards for Model
Reporting", 2019): whose images, which split, which settings, how good on images that it was not trained on,
and what it is not for.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from core.config import RunConfig
from core.errors import LightboxError
from core.evaluation.evaluate import evaluate
from core.evaluation.run_evaluation import RunEvaluation
from core.files import write_atomic, write_json
from core.report.contents import SPLIT_WORDS, with_interval
from core.runs import checkpoints
from core.runs.names import network_title
from core.runs.store import Run


def export(run: Run, folder: Path, title: str, about: str = "", progress=None,
           evaluations: Mapping[str, RunEvaluation] | None = None) -> None:
    """Write a run's best epoch as a folder of weights/: weights.safetensors, meta.json and card.md.

    Args:
        about: Markdown for the top of the card: whose data these are, under which licence, what the
            classifier is not for. The rest of the card is written from the run: split, settings, measures.
        evaluations: of each split, for the card. None evaluates validation and test, which opens the test
            split, and counts

    Raises LightboxError "export.ensemble" for several networks that predict together, "checkpoint.missing", "checkpoint.damaged".
    """
    if run.ensemble and not run.ensemble.is_soup:
        raise LightboxError("export.ensemble", f"{run.name} is an ensemble of {len(run.ensemble.members)} networks, and export "
                            "writes a single one.", "python -m core bundle writes a zip with the weights of every member and "
                            "with how they are combined; or export one of the members.")
    best, _ = checkpoints.load_best(run.checkpoints)
    folder.mkdir(parents=True, exist_ok=True)                # before the test set is opened
    if evaluations is None:
        evaluations = {split: evaluate(run, split, progress) for split in ("val", "test")}
    export_epoch(run, best.epoch, folder, title)
    write_atomic(folder / "card.md", _card(run, title, about, best.epoch, evaluations))


def export_epoch(run: Run, epoch: int, folder: Path, title: str) -> None:
    """Write the weights of an epoch with its settings, without a card: weights.safetensors, meta.json and config.json.

    Raises LightboxError "checkpoint.missing", "checkpoint.damaged".
    """
    best = checkpoints.load_epoch(run.checkpoints, epoch)
    source = run.checkpoints / checkpoints.name_of(epoch)
    folder.mkdir(parents=True, exist_ok=True)
    config = _without_paths(run.config)
    meta = {"title": title, "model": asdict(config.model), "classifier": best.meta["classifier"],
            "dataset": Path(best.meta["dataset"]).name,
            "epoch": best.epoch, "step": 0,
            "sha256": {"weights.safetensors": best.meta["sha256"]["weights.safetensors"]}}
    shutil.copyfile(source / "weights.safetensors", folder / "weights.safetensors")
    settings = asdict(config) | {"name": title}
    settings["data"]["dataset"] = meta["dataset"]
    write_json(folder / "config.json", settings)
    write_json(folder / "meta.json", {"meta": meta, "sha256": checkpoints.checksum(meta)})


def _without_paths(config: RunConfig) -> RunConfig:
    """A file of weights by its name alone: where it lay is only true on this machine."""
    start, _, path = config.model.weights.partition(":")
    return config.with_(**{"model.weights": f"file:{Path(path).name}"}) if start == "file" else config


def _card(run: Run, title: str, about: str, epoch: int, evaluations: Mapping[str, RunEvaluation]) -> str:
    """The model card: what it was trained on, how, and how well it performs."""
    data, config = run.data(), _without_paths(run.config)
    changed = [f"`{name}={value}`" for name, value in config.changed().items() if name != "data.dataset"]
    monitor = config.train.monitor.replace("_", " ").replace("roc auc", "ROC AUC")
    images = ", ".join(f"{split} {n:,}" for split, n in data["n"].items())
    rows = [f"| {SPLIT_WORDS[split]} | {one.n:,} | {with_interval(one.estimates['accuracy'])} | {one.majority_accuracy:.3f} | "
            f"{with_interval(one.estimates['roc_auc'])} |" for split, one in evaluations.items()]
    return "\n".join([
        f"# {title}", "", about.strip(), "",
        f"**Classes** {', '.join(data['class_names'])}." + (
            f" Positive class: {data['class_names'][1]}." if data["task"] == "binary-class" else ""), "",
        f"**Input** {data['size']} x {data['size']} px, {'gray' if data['channels'] == 1 else 'colour'}, {data['resize']}.", "",
        f"**Images** {images}. {data['split_note']}", "",
        _network(run, config, epoch, monitor) + f" Non-default settings: {', '.join(changed)}.", "",
        *(f"**{SPLIT_WORDS[split]}** {one.data_note.text}\n" for split, one in evaluations.items() if one.data_note),
        "| split | images | accuracy (95 % interval) | majority class | ROC AUC (95 % interval) |",
        "|---|---|---|---|---|", *rows, "",
        "Trained by Lightbox itself. For teaching; not for clinical use.", ""])


def _network(run: Run, config: RunConfig, epoch: int, monitor: str) -> str:
    title = network_title(config.model.name)
    if run.ensemble:
        names = ", ".join(member.name for member in run.ensemble.members)
        return f"**Network** {title}, {run.ensemble.title}: {run.ensemble.about} Made from {names}."
    return f"**Network** {title}, epoch {epoch} of {config.train.epochs}, chosen by validation {monitor}."
