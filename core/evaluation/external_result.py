"""What is known of a run on another data set, in numbers, sentences and warnings: see external.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.config import SPLIT_NAMES
from core.evaluation.class_map import ClassMap
from core.evaluation.external_predictions import ExternalPredictions
from core.evaluation.likeness import Likeness
from core.evaluation.predictions import Predictions
from core.evaluation.run_evaluation import RunEvaluation
from core.metrics import Evaluation
from core.metrics.estimates import Estimates
from core.metrics.evaluation import Note

UNLIKE = 0.2  # share of unlike images from which there is a warning; by chance it is 0.05


@dataclass(frozen=True)
class Difference:
    """A metric of the own set minus that of the other; low and high are None where one of them has no
    interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class ExternalEvaluation:
    """What `evaluate_external` returns.

    Args:
        predictions: of all images of the set, as they are kept
        judged: labels and probabilities of the images that are judged, in the run's classes
        result: the evaluation of these
        classes: which class of the set is which of the run
        left_out: how many images are not judged, by why
        own, own_split: the same of the run's own set: "test" where it was opened, else "val"; None where
            neither is known
        differences: own minus this, by metric
        likeness: how many images are unlike the training images; None where it was not measured, and
            `why_not` says why
        shared: how many judged images have the pixels of an image of the run's own set, by its split
        without_shared: accuracy and ROC AUC without those that were trained on; empty where there are none
        temperature, calibrated: of the run's own validation, and the cross-entropy and Brier score with it;
            None, {} for none
    """

    predictions: ExternalPredictions
    judged: Predictions
    result: RunEvaluation
    classes: ClassMap
    left_out: Mapping[str, int]
    own: Evaluation | None
    own_split: str
    differences: Mapping[str, Difference]
    likeness: Likeness | None
    why_not: str
    shared: Mapping[str, int]
    without_shared: Estimates = field(default_factory=dict)
    temperature: float | None = None
    calibrated: Mapping[str, float] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """Return what must be known beside the numbers, in plain sentences."""
        said = self.classes.sentences()
        if self.left_out:
            said.append(
                "Left out: " + ", ".join(f"{n:,} images ({why})" for why, n in self.left_out.items()) + "."
            )
        if self.predictions.read:
            said.append(
                f"Images of more than 8 bits were read {self.predictions.read}, as in training; the set itself "
                "is read otherwise."
            )
        said.append(
            self.likeness.sentence()
            if self.likeness
            else f"How many images are unlike the training images was not measured: {self.why_not}"
        )
        if self.own is None:
            said.append("The run has no predictions of its own set to compare with.")
        elif self.own_split == "val":
            said.append(
                "The run's own test set has not been opened: beside these numbers stand those of its "
                "validation images, on which the epoch was chosen, or the epochs of an ensemble's members."
            )
        return said

    def as_dict(self) -> dict:
        """Return it for JSON: as `RunEvaluation.as_dict`, and what is only known of another set."""
        return self.result.as_dict() | {
            "on": self.predictions.dataset,
            "title": self.predictions.title,
            "target": self.predictions.target,
            "classes_of_set": list(self.predictions.class_names),
            "map": dict(self.classes.pairs),
            "left_out": dict(self.left_out),
            "own": self.own and self.own.as_dict(),
            "own_split": self.own_split,
            "differences": {name: vars(one) for name, one in self.differences.items()},
            "unlike": self.likeness and self.likeness.as_dict(),
            "why_not": self.why_not,
            "shared": dict(self.shared),
            "without_shared": {name: one.as_dict() for name, one in self.without_shared.items()},
            "temperature": self.temperature,
            "calibrated": dict(self.calibrated),
            "sentences": self.sentences(),
        }


def shared_notes(
    preds: ExternalPredictions, about: Mapping, shared: Mapping[str, int], n: int
) -> list[Note]:
    trained, others = (
        shared.get("train", 0),
        {split: count for split, count in shared.items() if split != "train" and count},
    )
    notes = []
    if preds.fingerprint == about.get("fingerprint"):
        notes.append(
            Note(
                "own_set",
                f"{preds.title} is the run's own data set, training images included: this is no test of it.",
            )
        )
    if trained:
        notes.append(
            Note(
                "shared_training",
                f"{trained:,} of {n:,} images have the same pixels as images that this run was "
                "trained on: it has seen their answers, and these numbers are too optimistic.",
            )
        )
    if others and not notes:
        listed = ", ".join(f"{count:,} in {SPLIT_NAMES.get(split, split)}" for split, count in others.items())
        notes.append(
            Note(
                "shared_images",
                f"{sum(others.values()):,} of {n:,} images have the same pixels as images of the "
                f"run's own set ({listed}): the two sets are not independent.",
            )
        )
    return notes


def unlike_notes(likeness: Likeness | None) -> list[Note]:
    if likeness is None or likeness.share < UNLIKE:
        return []
    return [
        Note(
            "unlike",
            f"{likeness.share:.0%} of these images are unlike those that the run was trained on; among its "
            "own it would be 5%. On such images its probabilities mean little.",
        )
    ]
