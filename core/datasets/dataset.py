"""An open data set: mapped pixels, labels, a table and a split. Everything that follows reads this one object.

N images of S x S pixels in C channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.config import DataConfig, Split
from core.datasets.source import Source, Understood, one_hot

if TYPE_CHECKING:
    from core.datasets.units import Units

SKIPPED = 5              # files that could not be read, which `Dataset.facts` names; it counts all


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images that are ready to be shown and learned from. Made by `core.datasets.open_dataset`.

    Args:
        images: (N, S, S, C) uint8, mapped from the disk: what is not touched costs no memory
        labels: (N,) int64 in 0..K-1, or (N, K) int64 of 0 and 1 for several findings
        table: N rows (index 0..N-1) of text: image_id, patient, study, view, path, split (the final one, "" where left out), and
            more
        split_hash: SHA-256 of which image is in which split; two runs with the same hash can be compared
        split_note: how the split was made and what to know about it, in plain sentences
        skipped: what could not be read, each {"path": ..., "reason": ...}
        notes: what else a person should know about these images
        config: with which it was opened
        understood: how files, columns and classes were read, each to be changed by an option
        times: (N,) int64, how often each training image is learned, of a bootstrap by patient; None: once
        units: the images behind the rows, where a row is a study or a patient; images are then (N, S, V S, C), V views side by
            side, black where one is missing
        label_edit: "" where labels and classes are those of the store, else a digest of them
    """

    name: str
    title: str
    description: str
    licence: str
    task: str
    target: str
    targets: tuple[tuple[str, str], ...]     # (name, title) of all that can be learned from these images
    class_names: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray
    table: pd.DataFrame
    size: int
    resize: str
    channels: int
    fingerprint: str
    split_hash: str
    split_note: str
    skipped: tuple[dict, ...] = ()
    notes: tuple[str, ...] = ()
    source: Source = field(default_factory=Source)
    config: DataConfig = field(default_factory=DataConfig)
    understood: tuple[Understood, ...] = ()
    label_edit: str = ""
    times: np.ndarray | None = None
    units: Units | None = None

    @property
    def views(self) -> int:
        """V, the images side by side in a row; 1 where a row is an image."""
        return self.units.views if self.units else 1

    def __len__(self) -> int:
        return len(self.images)

    @property
    def has_labels(self) -> bool:
        """Whether any label is known. Without, images can be looked at and predicted, not judged."""
        return bool((self.labels >= 0).any())

    def label_text(self, i: int) -> str:
        """Return the class of image i in words; of several findings all that it has; "no label" where it is not known."""
        label = self.labels[i]
        if np.all(label < 0):
            return "no label"
        if self.labels.ndim == 1:
            return self.class_names[int(label)]
        return ", ".join(self.class_names[k] for k in np.flatnonzero(label > 0)) or "no finding"

    def indices(self, split: str) -> np.ndarray:
        """Return the rows of one split as they are learned, (n,) int64 in rising order. `split` is "train", "val" or "test".

        With a bootstrap by patient a row of "train" stands there as often as it was drawn, or not at all; see `part`.
        """
        rows = self.part(split)
        return rows if self.times is None or split != Split.TRAIN else np.repeat(rows, self.times[rows])

    def part(self, split: str) -> np.ndarray:
        """Return the rows of one split, each once, whatever was drawn from it: (n,) int64 in rising order."""
        if split not in list(Split):
            raise KeyError(f"{split!r} is no split; there are {', '.join(Split)}")
        return np.flatnonzero(self.table["split"].to_numpy() == split)

    def counts(self) -> pd.DataFrame:
        """Count images per class (rows) and split (columns train, val, test, total), with a last row "total".

        With several findings an image counts once in each of its findings, so the last row is the number of images, not a sum.
        What a bootstrap draws plays no part.
        """
        classes = one_hot(self.labels, len(self.class_names))
        rows = {split.value: self.part(split) for split in Split} | {"total": np.arange(len(self))}
        columns = {name: [*classes[i].sum(axis=0), len(i)] for name, i in rows.items()}
        return pd.DataFrame(columns, index=pd.Index([*self.class_names, "total"], name="class"), dtype=np.int64)

    def facts(self) -> dict:
        """Return what a run writes down about its images, for data.json: classes, counts, the hash of the split.

        Training images count as they are learned, see `indices`.
        """
        classes = one_hot(self.labels, len(self.class_names))
        return {"dataset": self.name, "title": self.title, "task": self.task, "target": self.target,
                "class_names": list(self.class_names), "size": self.size, "resize": self.resize, "channels": self.channels,
                "fingerprint": self.fingerprint, "split_hash": self.split_hash, "split_note": self.split_note,
                "body_parts": self.source.body_parts, "label_edit": self.label_edit, "intensity": self.source.intensity,
                "labels": [one.text for one in self.understood if one.code.startswith("labels.")],
                "n": {split: len(self.indices(split)) for split in Split},
                "counts": {split: classes[self.indices(split)].sum(axis=0).tolist() for split in Split},
                **(self.units.facts() if self.units else {}),
                "skipped": {"n": len(self.skipped), "first": list(self.skipped[:SKIPPED])}}

    def original(self, i: int) -> np.ndarray:
        """Return image i at full resolution, as its source has it: (H, W, C) uint8."""
        return self.source.original(int(i))

    def mask(self, i: int) -> np.ndarray | None:
        """Return where the finding of image i is, (H, W) bool at full resolution; None where that is not known."""
        return self.source.mask(int(i))

    def __repr__(self) -> str:
        """Return what a student would ask first."""
        counts = self.counts()
        classes = "\n".join(f"        {k}: {name}" for k, name in enumerate(self.class_names))
        channels = "gray" if self.channels == 1 else "colour"
        lines = [f"{self.title} ({self.name})", f"    {self.description}",
                 f"    images:  {len(self):,} of {self.size} x {self.size} px, {channels} ({self.resize})",
                 "    split:   " + ", ".join(f"{split} {counts[split].iloc[-1]:,}" for split in Split),
                 f"             {self.split_note}",
                 f"    task:    {self.task} ({self.target})", classes,
                 f"    licence: {self.licence or 'not known'}"]
        return "\n".join(lines)
