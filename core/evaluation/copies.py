"""Metrics with and without the images that have a copy in training: a network may know those by heart.

    evaluate_copies(preds, data, task, estimates)      None where nobody has searched the set for copies

Only what an earlier search kept is used (core/datasets/inspection): nothing is searched here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.datasets.dataset import Dataset
from core.datasets.groups import copied_sentence, copy_groups
from core.datasets.inspection import known_inspection
from core.evaluation.predictions import Predictions
from core.metrics.estimates import OF_POSITIVE, Estimates, estimate
from core.metrics.groups import BROKEN_DOWN


@dataclass(frozen=True)
class CopyEvaluation:
    """Metrics of all images beside those of the images without a copy in training.

    Args:
        split: "val" or "test"
        n, copied: images, and how many of them have a copy in training
        every: metrics of all images; without: of those without a copy, empty where all or none have one
    """

    split: str
    n: int
    copied: int
    every: Estimates
    without: Estimates

    @property
    def sentence(self) -> str:
        """How many images have a copy in training."""
        return copied_sentence(self.copied, self.n, self.split)

    def turned(self) -> CopyEvaluation:
        """Return the same with the other one of two classes as the positive one; what that needs anew is left out."""
        def turn(of: Estimates) -> Estimates:
            other = {"sensitivity": "specificity", "specificity": "sensitivity"}
            return {name: of[other.get(name, name)] for name in of if name in other or name not in OF_POSITIVE}
        return replace(self, every=turn(self.every), without=turn(self.without))

    def as_dict(self) -> dict:
        """Return it for JSON."""
        return {"n": self.n, "with_a_copy_in_training": self.copied, "without": self.n - self.copied,
                "sentence": self.sentence, "measures": {name: one.as_dict() for name, one in self.every.items()},
                "measures_without_copies": {name: one.as_dict() for name, one in self.without.items()}}


def copied_images(data: Dataset, image_ids: list[str]) -> np.ndarray | None:
    """Return (N,) bool, which images have a copy in training; None where nobody has searched. Unknown images have none."""
    known = known_inspection(data)
    if known is None:
        return None
    copies = copy_groups(len(data), known.duplicates)
    trained = np.isin(copies, copies[data.indices("train")])
    place = dict(zip(data.table["image_id"].astype(str), trained.tolist()))
    return np.array([place.get(name, False) for name in image_ids], bool)


def evaluate_copies(preds: Predictions, data: Dataset, split: str, task: str, every: Estimates,
                    threshold: float | np.ndarray = 0.5, *, draws: int = 1000) -> CopyEvaluation | None:
    """Estimate the metrics of BROKEN_DOWN without the images that have a copy in training.

    Args:
        data: the run's open set
        every: estimates of all images, of which those of BROKEN_DOWN are taken
        threshold, draws: as in `core.metrics.estimates.estimate`
    """
    copied = copied_images(data, preds.image_ids)
    if copied is None:
        return None
    without: Estimates = {}
    if copied.any() and not copied.all():
        patients = None if preds.patients is None else np.asarray(preds.patients)[~copied]
        without, _ = estimate(preds.labels[~copied], preds.probs[~copied], task, patients, names=BROKEN_DOWN, each=(),
                              threshold=threshold, draws=draws)
    shown = {name: every[name] for name in BROKEN_DOWN if name in every}
    return CopyEvaluation(split, len(copied), int(copied.sum()), shown, without)
