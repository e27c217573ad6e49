"""The evaluation of predictions: every metric with its interval, overall and per class, and what a careful
reader notes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from core.errors import LightboxError
from core.metrics.confusion import MULTI_LABEL, confusion_matrix, counts, majority_baseline, predict
from core.metrics.estimates import PROPORTIONS, Estimate, Estimates, estimate, of_other_class
from core.metrics.functions import Sample, none_for_nan
from core.metrics.input import check
from core.metrics.table import METRICS

FEW = 10            # a class with fewer images gets a note
MOST_NAMES = 6      # of classes in a note
# known of each class at any time
CLASS_VALUES = ("sensitivity", "specificity", "precision", "npv", "f1", "roc_auc")


@dataclass(frozen=True)
class Note:
    """Something to know before numbers are believed: a code for programs, and a sentence with its numbers."""
    code: str
    text: str


@dataclass(frozen=True)
class ClassEvaluation:
    """One class against the rest, or one finding.

    Args:
        values: each of CLASS_VALUES, None where it is undefined
        estimates: those metrics that were asked for of each class
        unknown: images of which it is not known whether they have this finding; they count in none of its metrics
    """
    name: str
    n: int
    values: Mapping[str, float | None]
    estimates: Estimates
    unknown: int = 0

    def as_dict(self) -> dict:
        """Return it for JSON."""
        intervals = {f"{name}_interval": _as_list(self.estimates.get(name))
                     for name in ("sensitivity", "specificity")}
        return {"class": self.name, "n": self.n, "not_known": self.unknown, **self.values, **intervals,
                "measures": {name: one.as_dict() for name, one in self.estimates.items()}}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns.

    Args:
        threshold: float, or (K,) for several findings
        estimates: each of METRICS, "medmnist_auc" and "medmnist_acc"
        per_class: K
        confusion_matrix: (K, K) rows are the true classes; (K, 2, 2) for several findings
        majority_accuracy, majority_class: of always predicting the most frequent class (None: no finding at
            all)
        notes: on what is undefined or uncertain, the gravest first
        positive: of two classes the one whose sensitivity, precision, F1 and average precision `estimates` has
    """
    task: str
    class_names: tuple[str, ...]
    threshold: float | np.ndarray
    n: int
    estimates: Estimates
    per_class: tuple[ClassEvaluation, ...]
    confusion_matrix: np.ndarray
    majority_accuracy: float
    majority_class: str | None
    notes: tuple[Note, ...] = ()
    positive: int = 1

    @property
    def positive_class(self) -> str | None:
        """The name of the positive one of two classes; None of more, and of findings."""
        return self.class_names[self.positive] if self.task == "binary-class" else None

    def for_positive(self, k: int) -> Self:
        """Return the same with class k of two as the positive one: what is predicted stays, and so do metrics of both alike.

        Needs the estimates of each class that change: `evaluate` with `each`.
        """
        if self.task != "binary-class" or k == self.positive:
            return self
        of = self.per_class[k]
        return replace(self, estimates=of_other_class(self.estimates, of.estimates, of.n), positive=k)

    def value(self, name: str) -> float | None:
        """Return a metric without its interval."""
        return self.estimates[name].value

    @property
    def n_per_class(self) -> dict[str, int]:
        """Images of each class."""
        return {one.name: one.n for one in self.per_class}

    def as_dict(self) -> dict:
        """Return it for JSON."""
        threshold = self.threshold.tolist() if isinstance(self.threshold, np.ndarray) else self.threshold
        return {name: self.value(name) for name in METRICS if name in self.estimates} | {
            "task": self.task, "positive_class": self.positive_class, "class_names": list(self.class_names), "n": self.n,
            "n_per_class": self.n_per_class,
            "threshold": threshold, "measures": {name: one.as_dict() for name, one in self.estimates.items()},
            "accuracy_interval": _as_list(self.estimates["accuracy"]),
            "roc_auc_interval": _as_list(self.estimates["roc_auc"]),
            "majority_accuracy": self.majority_accuracy, "majority_class": self.majority_class,
            "per_class": [one.as_dict() for one in self.per_class],
            "confusion_matrix": self.confusion_matrix.tolist(), "notes": [note.text for note in self.notes]}


def evaluate(labels: np.ndarray, probs: np.ndarray, task: str, class_names: Sequence[str],
             threshold: float | np.ndarray = 0.5,
             patients: Sequence | None = None, *, each: Collection[str] = PROPORTIONS,
             draws: int = 1000) -> Evaluation:
    """Evaluate predictions: every metric of METRICS with its 95 % interval, by patient where patients have
    several images.

    Args:
        labels, probs, task: as in `core.metrics`
        class_names: K names, in the order of the columns of `probs`
        threshold: as in `core.metrics.predict`
        patients, each, draws: as in `core.metrics.estimates.estimate`

    Raises:
        LightboxError: "metrics.shape" where the names do not fit, and as `core.metrics.input.check`

    >>> labels, probs = np.array([0, 1, 1, 1]), np.array([[.9, .1], [.2, .8], [.3, .7], [.6, .4]])
    >>> found = evaluate(labels, probs, "binary-class", ["normal", "abnormal"], draws=50)
    >>> found.value("accuracy"), found.majority_accuracy, found.confusion_matrix.tolist()
    (0.75, 0.75, [[1, 0], [1, 2]])
    >>> found.per_class[1].estimates["sensitivity"].method
    'Wilson'
    """
    labels, probs = check(labels, probs, task)
    names = tuple(map(str, class_names))
    if len(names) != probs.shape[1] or len(set(names)) != len(names):
        raise LightboxError("metrics.shape",
                            f"There are {len(set(names))} different class names, but {probs.shape[1]} "
                            "columns of probabilities.", "Give each class a name of its own.")
    estimates, of_classes = estimate(labels, probs, task, patients, each=each, threshold=threshold,
                                     draws=draws)
    matrix = confusion_matrix(labels, predict(probs, task, threshold), len(names))
    majority, majority_class = majority_baseline(labels, len(names))
    per_class = _per_class(Sample(labels, probs, task, threshold), names, of_classes or [{}] * len(names))
    majority_name = None if majority_class is None else names[majority_class]
    notes = _notes(matrix, per_class, len(labels), task == MULTI_LABEL, estimates["accuracy"], majority,
                   majority_name)
    return Evaluation(task, names, threshold, len(labels), estimates, per_class, matrix, majority,
                      majority_name, tuple(notes))


def _per_class(sample: Sample, names: Sequence[str],
               of_classes: Sequence[Estimates]) -> tuple[ClassEvaluation, ...]:
    classes = list(range(len(names)))
    values = {name: METRICS[name].function.per_class(sample, classes) for name in CLASS_VALUES}
    return tuple(ClassEvaluation(names[k], int(sample.truth[:, k].sum()),
                                 {name: none_for_nan(of[k]) for name, of in values.items()}, of_classes[k],
                                 int((~sample.known[:, k]).sum()))
                 for k in classes)


def _notes(matrix: np.ndarray, per_class: Sequence[ClassEvaluation], n: int, multi_label: bool,
           accuracy: Estimate,
           majority: float, majority_name: str | None) -> list[Note]:
    """What a careful reader notes, the gravest first."""
    tp, _, fp, _ = counts(matrix, multi_label)
    return [*_collapse_notes(tp + fp, per_class, n, multi_label),
            *_majority_notes(accuracy, majority, "no finding" if multi_label else _quoted([majority_name])),
            *_undefined_notes(tp + fp, per_class, n, multi_label)]


def _collapse_notes(predicted: np.ndarray, per_class: Sequence[ClassEvaluation], n: int,
                    multi_label: bool) -> list[Note]:
    if not multi_label:
        if predicted.max() < n or max(one.n for one in per_class) == n:      # of images of one class nothing can be told apart
            return []
        name = _quoted([per_class[predicted.argmax()].name])
        return [Note("one_class_predicted",
                     f"All {n:,} images are predicted as {name}: at this threshold the network does not "
                     "separate the classes.")]
    if not predicted.any():
        return [Note("collapsed",
                     f"The network has collapsed: at this threshold it predicts no finding on any of the {n:,} images.")]
    if (predicted == n).all():
        return [Note("collapsed",
                     f"The network has collapsed: at this threshold it predicts every finding on all {n:,} images.")]
    return []


def _majority_notes(accuracy: Estimate, majority: float, always: str) -> list[Note]:
    if majority == 1:
        return [Note("one_class", f"All images are {always}: the accuracy is the share of them that is recognised, and "
                     "says nothing of others.")]
    if accuracy.value <= majority:
        return [Note("below_majority",
                     f"The accuracy ({accuracy.value:.3f}) is not above that of always predicting {always} "
                     f"({majority:.3f}).")]
    if accuracy.low <= majority:
        return [Note("near_majority",
                     f"The accuracy may be no better than always predicting {always} ({majority:.3f}): the lower "
                     f"limit of its interval is {accuracy.low:.3f}.")]
    return []


def _undefined_notes(predicted: np.ndarray, per_class: Sequence[ClassEvaluation], n: int,
                     multi_label: bool) -> list[Note]:
    notes = []
    if absent := [one.name for one in per_class if one.n == 0]:
        notes.append(Note("auc_undefined",
                          f"ROC AUC is undefined: there is no image of class {_quoted(absent)}."))
    if multi_label and (everywhere := [one.name for one in per_class if 0 < one.n == n - one.unknown]):
        notes.append(Note("auc_undefined", f"ROC AUC is undefined: every image has {_quoted(everywhere)}."))
    unused = [one.name for one in per_class if one.values["precision"] is None]
    if unused and (multi_label or predicted.max() < n):
        notes.append(Note("precision_undefined",
                          f"Precision is undefined for {_quoted(unused)}: no image was predicted as such."))
    if unknown := [f"{one.name} of {one.unknown:,}" for one in per_class if one.unknown]:
        notes.append(Note("not_known", f"Some labels of these {n:,} images are not known and count in no metric: "
                          f"{', '.join(unknown)}."))
    if few := [one.name for one in per_class if 0 < one.n < FEW]:
        notes.append(Note("few_images",
                          f"Fewer than {FEW} images of {_quoted(few)}: a single image changes those numbers "
                          "visibly."))
    return notes


def _as_list(one: Estimate | None) -> list[float] | None:
    return None if one is None or one.interval is None else list(one.interval)


def _quoted(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    if len(quoted) > MOST_NAMES:
        quoted = [*quoted[:MOST_NAMES - 1], f"{len(quoted) - MOST_NAMES + 1} more"]
    return " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


