"""Leakage: images of validation and test whose patient is also in training, and what ignoring patients would do.

It needs a table and no pixels. N images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.config import DataConfig, Split
from core.datasets.groups import groups_of, shared_with_train
from core.datasets.stratify import stratified_group_split


@dataclass(frozen=True)
class Overlap:
    """How many images of a split show a patient, or are of a study, that is also in training.

    Args:
        n: images of the split
        patients, studies: how many of them; None where no patient (study) of this split or of training is known
    """

    n: int
    patients: int | None
    studies: int | None

    @property
    def patient_share(self) -> float | None:
        return None if self.patients is None or not self.n else self.patients / self.n

    @property
    def study_share(self) -> float | None:
        return None if self.studies is None or not self.n else self.studies / self.n


def overlaps(table: pd.DataFrame, split: np.ndarray) -> dict[str, Overlap]:
    """Return the overlap of validation and of test with training, for any split.

    Args:
        table: N rows with image_id, patient, study ("" where unknown)
        split: (N,) of "train", "val", "test", ""

    >>> table = pd.DataFrame({"image_id": ["a", "b", "c"], "patient": ["p", "p", "q"], "study": ""})
    >>> overlaps(table, np.array(["train", "test", "test"]))["test"]
    Overlap(n=2, patients=1, studies=None)
    """
    def count(column: str, part: str) -> int | None:
        group, unknown = groups_of(table, column)
        if unknown[split == part].all() or unknown[split == "train"].all():
            return None
        return len(shared_with_train(split, group, part))

    return {part: Overlap(int((split == part).sum()), count("patient", part), count("study", part)) for part in ("val", "test")}


def image_level(labels: np.ndarray, split: np.ndarray, data: DataConfig, official: np.ndarray | None = None) -> np.ndarray:
    """Return the split that ignores patients: the same images, shares and seed, like shares of each class.

    Args:
        labels: (N,) int64 or (N, K) int64
        split: (N,) the split to compare with
        data: gives the seed, and whether an official test set was kept (test_fraction 0): then it is kept here too
        official: (N,) the split that the data set came with

    Returns:
        (N,) of "train", "val", "test"; "" where `split` has ""
    """
    made = split.copy()
    if data.split == "image":            # it is that split already
        return made
    assigned = split != ""
    if not data.test_fraction and official is not None and (official == "test").any():
        assigned &= split != "test"
    rows = np.flatnonzero(assigned)
    if len(rows):
        shares = {part: float(np.mean(split[rows] == part)) for part in Split if (split[rows] == part).any()}
        made[rows] = stratified_group_split(rows, labels[rows], shares, np.random.default_rng(data.split_seed))
    return made
