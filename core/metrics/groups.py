"""Evaluation by study, by patient, or of each group of images.

    by_group(labels, probs, groups)               the images of a study, or a patient, as one: the mean of their probabilities, or
                                                  the maximum
    evaluate_groups(labels, probs, task, groups)  metrics of these
    breakdown(labels, probs, task, values)        metrics of the images with each value of a column: body part, age, hospital

A radiologist reads a study, not an image. The MURA reference averages the probabilities of a study's views
and cuts the mean at 0.5: Rajpurkar et al., MIDL 2018, arXiv:1712.06957, section 3. The maximum is for what shows in one view
only, such as a fracture; more views make it larger, so it raises false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.metrics.confusion import majority_baseline
from core.metrics.estimates import Estimates, estimate, of_other_class
from core.metrics.intervals import as_codes

GROUPED = ("accuracy", "roc_auc", "cohen_kappa")
BROKEN_DOWN = ("accuracy", "roc_auc", "average_precision", "balanced_accuracy", "sensitivity", "specificity",
               "precision",
               "cohen_kappa")


@dataclass(frozen=True)
class Grouped:
    """G groups, as if each were one image.

    Args:
        labels: (G,) or (G, K) int64
        probs: (G, K), pooled over the images
        groups: (G,) their names
        sizes: (G,) images of each
        first: (G,) the position of an image of each
        left_out: groups whose images have different labels, so that they have no label as a whole
    """
    labels: np.ndarray
    probs: np.ndarray
    groups: np.ndarray
    sizes: np.ndarray
    first: np.ndarray
    left_out: int


@dataclass(frozen=True)
class GroupEvaluation:
    """Metrics by study or by patient.

    Args:
        n: studies or patients; images: of them; left_out: as in `Grouped`
        pool: a key of POOLS
        estimates: of each of GROUPED
    """
    n: int
    images: int
    left_out: int
    estimates: Estimates
    pool: str = "mean"

    def for_positive(self, k: int) -> GroupEvaluation:
        """Return the same with class k of two as the positive one: metrics of GROUPED are of both alike, the count is not."""
        first = next(iter(self.estimates.values()))
        n = first.n_positive if k else first.n - first.n_positive
        return replace(self, estimates=of_other_class(self.estimates, {}, n))

    def as_dict(self) -> dict:
        """Return it for JSON."""
        return {"n": self.n, "images": self.images, "left_out": self.left_out, "pool": self.pool} | {
            name: one.as_dict() for name, one in self.estimates.items()}


@dataclass(frozen=True)
class GroupRow:
    """Metrics of the images of one group.

    Args:
        group: the value that they share; "" where it is unknown
        majority_accuracy: of always predicting the group's most frequent class
    """
    group: str
    n: int
    n_positive: int | None
    majority_accuracy: float
    estimates: Estimates


def _mean(probs: np.ndarray, code: np.ndarray, one_label: bool, positive: int) -> np.ndarray:
    return np.stack([np.bincount(code, column) for column in probs.T], axis=1) / np.bincount(code)[:, None]


def _maximum(probs: np.ndarray, code: np.ndarray, one_label: bool, positive: int) -> np.ndarray:
    """(N, K) -> (G, K). Of two classes that of the positive one; of more, each class's, divided by their sum."""
    highest = np.zeros((code.max() + 1, probs.shape[1]))
    np.maximum.at(highest, code, probs)
    if one_label and probs.shape[1] == 2:
        highest[:, 1 - positive] = 1 - highest[:, positive]
    elif one_label:
        highest /= highest.sum(axis=1, keepdims=True)
    return highest


# how the probabilities of a group's images become those of the group: key -> title, function
POOLS = {"mean": ("Mean", _mean), "max": ("Maximum", _maximum)}


def by_group(labels: np.ndarray, probs: np.ndarray, groups: Sequence, pool: str = "mean", positive: int = 1) -> Grouped:
    """Pool the probabilities of the images of each group.

    Args:
        labels, probs: as in `core.metrics`
        groups: N names; "" is no group, and such an image stands for itself
        pool: a key of POOLS. "max": the largest probability of the positive class, of each finding, or of each of several
            classes, which are then divided by their sum
        positive: of two classes the positive one, for "max"

    >>> found = by_group(np.array([1, 1, 0]), np.array([[.2, .8], [.6, .4], [.9, .1]]), ["a", "a", "b"])
    >>> found.groups.tolist(), found.labels.tolist(), found.probs.round(2).tolist()
    (['a', 'b'], [1, 0], [[0.4, 0.6], [0.9, 0.1]])
    """
    names, probs = np.asarray(groups), np.asarray(probs)
    code = as_codes(names)
    sizes = np.bincount(code)
    first = np.full(len(sizes), len(code))
    np.minimum.at(first, code, np.arange(len(code)))
    labels = np.asarray(labels)
    pooled = POOLS[pool][1](probs, code, labels.ndim == 1, positive)
    truth = labels[first].copy()
    np.maximum.at(truth, code, labels)                # what is known of one image (-1 is not) is known of the group
    same = np.ones(len(sizes), bool)
    np.logical_and.at(same, code, ((labels == truth[code]) | (labels < 0)).reshape(len(code), -1).all(axis=1))
    return Grouped(truth[same], pooled[same], names[first][same], sizes[same], first[same], int((~same).sum()))


def evaluate_groups(labels: np.ndarray, probs: np.ndarray, task: str, groups: Sequence, unit: str = "patient",
                    patients: Sequence | None = None, *, threshold: float | np.ndarray = 0.5,
                    draws: int = 1000, pool: str = "mean", positive: int = 1) -> GroupEvaluation | None:
    """Estimate the metrics of GROUPED by group; None where no group has two images, or none has one label.

    Args:
        unit: what a group is, "patient" or "study": it names the intervals
        patients: N names, whose studies are clustered; None where they are not known, and where a group is a
            patient
        pool, positive: as of `by_group`
    """
    if as_codes(groups).max(initial=-1) + 1 == len(groups):
        return None
    grouped = by_group(labels, probs, groups, pool, positive)
    if not len(grouped.labels):
        return None
    people = None if patients is None else np.asarray(patients)[grouped.first]
    found, _ = estimate(grouped.labels, grouped.probs, task, people, each=(), names=GROUPED,
                        threshold=threshold, draws=draws)
    by = f"bootstrap by {unit if people is None else 'patient'}"
    found = {name: replace(one, method=by) if one.method == "bootstrap by image" else one
             for name, one in found.items()}
    return GroupEvaluation(len(grouped.labels), int(grouped.sizes.sum()), grouped.left_out, found, pool)


def breakdown(labels: np.ndarray, probs: np.ndarray, task: str, values: Sequence,
              patients: Sequence | None = None, *,
              names: Sequence[str] = BROKEN_DOWN, threshold: float | np.ndarray = 0.5,
              draws: int = 500, positive: int = 1) -> list[GroupRow]:
    """Estimate metrics of the images with each value, the most frequent value first.

    Args:
        values: N values of a column, as text; "" is a group too: those whose value is unknown
        patients: N names; None where they are not known
        names: keys of METRICS
        positive: of two classes the positive one
    """
    values, other = np.asarray(values), positive == 0 and task == "binary-class"
    distinct, frequency = np.unique(values, return_counts=True)
    rows = []
    for value in distinct[np.argsort(-frequency, kind="stable")]:
        of = values == value
        found, each = estimate(labels[of], probs[of], task, None if patients is None
                            else np.asarray(patients)[of], each=names if other else (),
                            names=names, threshold=threshold, draws=draws)
        if other:
            found = of_other_class(found, each[0], int((labels[of] == 0).sum()))
        first = found[names[0]]
        rows.append(GroupRow(str(value), first.n, first.n_positive,
                             majority_baseline(labels[of], probs.shape[1])[0], found))
    return rows
