"""External test sets: images that only test, of another hospital or a later year, with labels or without.

A set is one where it came with test images alone, or where no label is known. All of its images are test
images, so it can be browsed, predicted and, with labels, judged with any run; nothing can be trained on it.

N images.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from core.config import Split, Task
from core.datasets.dataset import Dataset
from core.datasets.source import COLUMNS, Index, Target
from core.datasets.splits import SplitAssignment, absent_sentences
from core.errors import LightboxError

UNLABELLED = "unlabelled"  # the only class of a set without labels, which no image has
NO_LABELS = "No labels are known: these images can be looked at and predicted, not trained on or judged."
AS_IT_CAME = ("auto", "official")  # what data.split may be for an external test set to stay one


def unlabelled(paths: list[str]) -> Index:
    """Return the index of images without labels: one target whose labels are all -1 (not known), and all are
    test images.

    Args:
        paths: of N images below the folder of the set, with /; they become the image ids

    >>> index = unlabelled(["a.png", "b/c.png"])
    >>> index.targets["class"].labels.tolist(), index.table["split"].tolist()
    ([-1, -1], ['test', 'test'])
    """
    table = pd.DataFrame({name: [""] * len(paths) for name in COLUMNS}, dtype=object)
    table = table.assign(image_id=paths, path=paths, split=Split.TEST.value)
    return Index(table, {"class": unlabelled_target(len(paths))}, notes=[NO_LABELS])


def unlabelled_target(n: int) -> Target:
    """Return the target of n images without labels."""
    return Target("class", "Class", Task.MULTICLASS, (UNLABELLED,), np.full(n, -1, np.int64))


def is_external(table: pd.DataFrame, labels: np.ndarray, split: str) -> bool:
    """Return whether all images of a set are test images: no label is known, or it came with test images
    alone and nobody asked for a new split.

    Args:
        table: N rows with split
        labels: (N,) or (N, K)
        split: as `DataConfig.split`
    """
    return not (labels >= 0).any() or split in AS_IT_CAME and set(table["split"]) == {Split.TEST.value}


def external_split(table: pd.DataFrame, labels: np.ndarray, class_names: tuple[str, ...]) -> SplitAssignment:
    """Put all images into test, but those whose label is not known where others' are."""
    known = np.ones(len(table), bool)
    if labels.ndim == 1 and (labels >= 0).any():
        known = labels >= 0
    split = np.where(known, Split.TEST.value, "").astype(object)
    sentences = ["This is an external test set: all of its images are test images."]
    if (labels >= 0).any():
        sentences += absent_sentences(split, labels, class_names)
    if not known.all():
        sentences.append(f"{(~known).sum():,} images without a label are left out.")
    lines = "".join(f"{i}\t{s}\n" for i, s in zip(table["image_id"], split))
    return SplitAssignment(split, " ".join(sentences), hashlib.sha256(lines.encode()).hexdigest())


def require_training(data: Dataset) -> None:
    """Raise LightboxError where a set has nothing to learn from: "train.external", or "train.out_of_fold" where all folds are
    validation."""
    if len(data.indices("train")):
        return
    if len(data.indices("val")):
        raise LightboxError("train.out_of_fold", "All folds are validation here, so no image is left to train on: this is for "
                            "the predictions of networks that are trained already, one for each fold.",
                            "Choose one fold, or train all of them: --grid data.fold=all.")
    what = "an external test set" if data.has_labels else "a set without labels"
    raise LightboxError(
        "train.external",
        f"{data.title} is {what}: it has no training images.",
        "Judge a trained run on it on the page Evaluate, or predict its images; to train on labelled "
        "images, choose a new split, such as by patient.",
    )
