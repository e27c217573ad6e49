"""Judging by study, by patient, or part by part of the images.

    by_group(labels, probs, groups)            the images of a study, or a patient, as one: the mean of their probabilities
    judge_groups(labels, probs, task, groups)  what that is worth
    breakdown(labels, probs, task, values)     a row for each value of a column: body part, age group, hospital

A radiologist calls a study, not a picture. The MURA reference averages the probabilities of a study's views and cuts the mean at
0.5: Rajpurkar et al., MIDL 2018, arXiv:1712.06957, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.metrics.confusion import majority_baseline
from core.metrics.resampling import as_numbers
from core.metrics.with_intervals import judge

GROUPED = ("accuracy", "roc_auc", "cohen_kappa")
BROKEN_DOWN = ("accuracy", "roc_auc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "precision",
               "cohen_kappa")


class Grouped(NamedTuple):
    """G groups, as if each were one image.

    Args:
        labels: (G,) or (G, K) int64
        probs: (G, K), means over the views
        groups: (G,) their names
        sizes: (G,) how many images each has
        first: (G,) the position of an image of each
        left_out: groups whose images have different labels: nobody knows what is true of them as a whole
    """
    labels: np.ndarray
    probs: np.ndarray
    groups: np.ndarray
    sizes: np.ndarray
    first: np.ndarray
    left_out: int


def by_group(labels: np.ndarray, probs: np.ndarray, groups: Sequence) -> Grouped:
    """Average the probabilities of the images of each group.

    Args:
        labels, probs: as in `core.metrics`
        groups: N names; "" is no group, and such an image stands for itself
    """
    names, probs = np.asarray(groups), np.asarray(probs)
    code = as_numbers(names)
    sizes = np.bincount(code)
    first = np.full(len(sizes), len(code))
    np.minimum.at(first, code, np.arange(len(code)))
    mean = np.stack([np.bincount(code, column) for column in probs.T], axis=1) / sizes[:, None]
    truth = np.asarray(labels)[first]
    same = np.ones(len(sizes), bool)
    np.logical_and.at(same, code, (labels == truth[code]).reshape(len(code), -1).all(axis=1))
    return Grouped(truth[same], mean[same], names[first][same], sizes[same], first[same], int((~same).sum()))


def judge_groups(labels: np.ndarray, probs: np.ndarray, task: str, groups: Sequence, kind: str = "patient",
                 patients: Sequence | None = None, *, threshold: float | np.ndarray = 0.5, draws: int = 1000) -> dict | None:
    """GROUPED measures of the groups.

    Args:
        kind: what a group is, "patient" or "study": it is said of the intervals
        patients: N names, whose studies hang together; None where they are not known, and where a group is a patient

    Returns:
        {"n": groups, "images", "left_out", and each of GROUPED as a cell of `core.metrics.with_intervals`}; None where no group has two
        images, or none has one label
    """
    if as_numbers(groups).max(initial=-1) + 1 == len(groups):
        return None
    grouped = by_group(labels, probs, groups)
    if not len(grouped.labels):
        return None
    people = None if patients is None else np.asarray(patients)[grouped.first]
    cells, _ = judge(grouped.labels, grouped.probs, task, people, each=(), names=GROUPED, threshold=threshold, draws=draws)
    for one in cells.values():
        if one["interval"] == "bootstrap by image":
            one["interval"] = f"bootstrap by {'patient' if people is not None else kind}"
    return {"n": len(grouped.labels), "images": int(grouped.sizes.sum()), "left_out": grouped.left_out} | cells


def breakdown(labels: np.ndarray, probs: np.ndarray, task: str, values: Sequence, patients: Sequence | None = None, *,
              names: Sequence[str] = BROKEN_DOWN, threshold: float | np.ndarray = 0.5, draws: int = 500) -> list[dict]:
    """Each value's images judged by themselves, the most frequent value first.

    Args:
        values: N values of a column, as text; "" is a group too: those of whom it is not known
        patients: N names; None where they are not known
        names: keys of METRICS

    Returns:
        [{"group", "n", "n_positive", "majority_accuracy", and each of `names` as a cell of `core.metrics.with_intervals`}]
    """
    values = np.asarray(values)
    found, counted = np.unique(values, return_counts=True)
    rows = []
    for value in found[np.argsort(-counted, kind="stable")]:
        of = values == value
        cells, _ = judge(labels[of], probs[of], task, None if patients is None else np.asarray(patients)[of], each=(),
                         names=names, threshold=threshold, draws=draws)
        some = cells[names[0]]
        rows.append({"group": str(value), "n": some["n"], "n_positive": some["n_positive"],
                     "majority_accuracy": majority_baseline(labels[of], probs.shape[1])[0]} | cells)
    return rows
