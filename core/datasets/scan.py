"""The content of a source, counted without decoding an image: classes by split, patients, and notes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.config import Split
from core.datasets.custom import AS_GUESSED, CustomDataset, save_custom_dataset
from core.datasets.formats import FORMATS, options_to_json
from core.datasets.labels import AS_STORED, read_labels
from core.datasets.source import Index, Progress, Source, Target, one_hot
from core.datasets.splits import misspelt_sentences
from core.errors import LightboxError


@dataclass(frozen=True, eq=False)
class ScanResult:
    """A source, counted.

    Args:
        counts: by target, classes (rows, the last is "total") by split (columns, the last is "total"). "not split" is the only
            split of a source that makes none. An image counts once in each of its findings, and once in the total
        patients: how many different ones; None where they are unknown
    """

    source: Source
    index: Index
    counts: dict[str, pd.DataFrame]
    patients: int | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the command line."""
        targets = {name: {"title": t.title, "task": t.task, "counts": self.counts[name].to_dict("index")}
                   for name, t in self.index.targets.items()}
        return {"name": self.source.name, "title": self.source.title, "images": len(self.index.table), "patients": self.patients,
                "targets": targets, "notes": self.index.notes, "skipped": self.index.skipped,
                "understood": [asdict(one) for one in self.index.understood], "left_out": self.index.left_out}


def scan_source(source: Source, progress: Progress | None = None) -> ScanResult:
    """Count a source. Raises LightboxError as `source.scan` does."""
    index = source.scan(progress)
    patients = set(index.table["patient"]) - {""}
    for target in index.targets.values():
        index.notes += untrained_notes(target, index.table["split"].to_numpy(dtype=object))
    counts = {name: count_classes(target, index.table["split"]) for name, target in index.targets.items()}
    return ScanResult(source, index, counts, len(patients) or None)


def edit_scan(result: ScanResult, labels: dict[str, str]) -> ScanResult:
    """Return the same with the classes as a set that is kept with these labels will have them, and counted anew.

    Args:
        labels: as `CustomDataset.labels`

    Raises:
        LightboxError: "labels.target" for a target that there is not, and as `core.datasets.labels.read_labels`
    """
    targets, understood = dict(result.index.targets), list(result.index.understood)
    chosen = labels["target"] or next(iter(targets))
    if chosen not in targets:
        raise LightboxError("labels.target", f"There is no task called {chosen!r}.", f"Tasks: {', '.join(targets)}.")
    for name, target in targets.items():
        if name == chosen:
            targets[name], said = read_labels(target, [labels["map"]], labels["positive"])
            understood += said
        else:
            targets[name] = read_labels(target, [], AS_STORED if labels["positive"] == AS_STORED else "")[0]
    index = replace(result.index, targets=targets, understood=understood)
    counts = {name: count_classes(target, index.table["split"]) for name, target in targets.items()}
    return replace(result, index=index, counts=counts)


def untrained_notes(target: Target, split: np.ndarray) -> list[str]:
    """Return sentences about classes of a set with a split of its own that no training image shows: nothing can learn them.

    Args:
        split: (N,) as the data set came
    """
    train, other = split == "train", np.isin(split, ("val", "test"))
    if not train.any() or not other.any():
        return []
    shown = one_hot(target.labels, len(target.class_names))
    counts, elsewhere = shown[train].sum(axis=0), shown[other].sum(axis=0)
    sentences = [f"No image of {name} is in training, {n:,} {'is' if n == 1 else 'are'} in validation or test: a network cannot "
                 "learn it." for name, here, n in zip(target.class_names, counts, elsewhere) if n and not here]
    return sentences + misspelt_sentences(target.class_names, counts > 0, elsewhere > 0)


def count_classes(target: Target, split: pd.Series) -> pd.DataFrame:
    """Return images per class and split, as in `ScanResult.counts`."""
    classes = one_hot(target.labels, len(target.class_names))
    split = split.to_numpy(dtype=object)
    columns = {}
    for name in (*(part.value for part in Split), ""):
        rows = split == name
        if rows.any():
            columns[name or "not split"] = [*classes[rows].sum(axis=0), rows.sum()]
    columns["total"] = [*classes.sum(axis=0), len(split)]
    return pd.DataFrame(columns, index=[*target.class_names, "total"], dtype="int64")


def add_custom_dataset(format: str, path: Path | str, options: Any, name: str, title: str = "",
                       labels: dict[str, str] | None = None) -> tuple[CustomDataset, ScanResult]:
    """Scan images with some read options and save them as a custom data set, with every option that was guessed written out.

    Args:
        format, path: as `core.datasets.formats.detect_format` gives them; the path is "" for "phantom"
        options: read options of that format
        labels: how the classes are edited, some of the keys of `CustomDataset.labels`

    Raises:
        LightboxError: as the source does, as `core.datasets.labels.read_labels` does, and as
            `core.datasets.custom.save_custom_dataset` does
    """
    path = Path(path).expanduser().resolve() if path else None
    source = FORMATS[format].build(path or Path(), options)
    result = scan_source(source)
    labels = AS_GUESSED | (labels or {})
    result = edit_scan(result, labels)
    first = next(iter(result.index.targets.values()))
    summary = {"task": first.task, "class_names": list(first.class_names),
               "counts": result.counts[first.name].loc["total"].drop("total").astype(int).to_dict()}
    guessed = getattr(source, "resolved", options)
    custom = CustomDataset(name, title or name, format, str(path or ""), options_to_json(guessed), summary, labels)
    save_custom_dataset(custom)
    return custom, result
