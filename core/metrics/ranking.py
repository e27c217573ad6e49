"""How well scores rank images: ROC AUC and the ROC and precision-recall curves. One class, or finding,
against all the rest.

    positive   (N,) bool: does the image have the class?           m of them are positive, n negative
    scores     (N,) float: any score; a probability, a logit

Without positives or without negatives there is nothing to rank, and the result is None.
"""

from __future__ import annotations

import numpy as np


def midranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1 to N, equal values sharing the mean of their ranks (scipy.stats.rankdata, whose
    import takes a second).

    >>> midranks(np.array([3, 7, 3])).tolist()
    [1.5, 3.0, 1.5]
    """
    _, place, copies = np.unique(values, return_inverse=True, return_counts=True)
    last = copies.cumsum()                          # the rank of the last of each group of equals
    return (last - (copies - 1) / 2)[place]


def binary_auc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the area under the ROC curve: the probability that a positive scores above a negative, a tie
    counting half.

    None without positives or negatives. That the area is that probability: Hanley & McNeil, Radiology 143,
    1982.

    >>> binary_auc(np.array([False, True, True, False]), np.array([.1, .4, .8, .4]))
    0.875
    """
    value = area_of(*cuts(positive, scores)[:2])
    return None if np.isnan(value) else float(value)


def area_of(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Return the area from the counts of `cuts`: sum_t (fp_t - fp_t-1) (tp_t + tp_t-1) / (2 m n). A tie is a
    slope: half.

    tp, fp: (..., T), of many curves at once; returns (...), NaN without positives or negatives.
    """
    pairs = tp[..., -1] * fp[..., -1].astype(np.float64)
    twice = tp[..., 0] * fp[..., 0].astype(np.float64) + np.einsum(
        "...t,...t->...", fp[..., 1:] - fp[..., :-1], tp[..., 1:] + tp[..., :-1], dtype=np.float64)
    return np.where(pairs > 0, twice / np.where(pairs > 0, 2 * pairs, 1), np.nan)


def roc_curve(positive: np.ndarray, scores: np.ndarray, thin: bool = True):
    """Return false positive rate, sensitivity and threshold at each cut of the scores: (T,) each, from (0, 0)
    to (1, 1).

    A score at or above the threshold is positive; the first threshold is infinite: nothing is. `thin` leaves
    out points on a straight line between their neighbours. None when there are no positives or no negatives.
    """
    tp, fp, thresholds = cuts(positive, scores)
    if not tp[-1] or not fp[-1]:
        return None
    if thin and len(tp) > 2:
        corner = np.r_[True, (np.diff(tp, 2) != 0) | (np.diff(fp, 2) != 0), True]
        tp, fp, thresholds = tp[corner], fp[corner], thresholds[corner]
    return np.r_[0, fp] / fp[-1], np.r_[0, tp] / tp[-1], np.r_[np.inf, thresholds]


def pr_curve(positive: np.ndarray, scores: np.ndarray):
    """Return precision (T + 1,), sensitivity (T + 1,) and threshold (T,), thresholds rising. None without
    positives.

    The last point, precision 1 at sensitivity 0, has no threshold: it is a convention.
    """
    tp, fp, thresholds = cuts(positive, scores)
    if not tp[-1]:
        return None
    return np.r_[(tp / (tp + fp))[::-1], 1.0], np.r_[(tp / tp[-1])[::-1], 0.0], thresholds[::-1]


def average_precision_of(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Return precision averaged over the positives: sum_t (S_t - S_t-1) P_t along the PR curve.

    tp, fp: counts of `cuts`, (..., T) of many curves at once; returns (...), NaN without positives.
    """
    positives = tp[..., -1].astype(np.float64)
    precision = tp / np.maximum(tp + fp, 1)
    summed = tp[..., 0] * precision[..., 0] + np.einsum("...t,...t->...", tp[..., 1:] - tp[..., :-1],
                                                        precision[..., 1:],
                                                        dtype=np.float64)
    return np.where(positives > 0, summed / np.where(positives > 0, positives, 1), np.nan)


def placements(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return for each image (N,) the share of the other class that it is correctly ranked against, a tie
    counting half.

    The structural components V10 (of positives) and V01 (of negatives) of DeLong, DeLong & Clarke-Pearson,
    Biometrics 44, 1988, by midranks as in Theorem 1 of Sun & Xu, IEEE Signal Process Lett 21, 2014. The mean
    over either class is the AUC.
    """
    m = positive.sum()
    n = len(positive) - m
    ranks, share = midranks(scores), np.empty(len(scores))
    share[positive] = (ranks[positive] - midranks(scores[positive])) / n            # negatives below it
    share[~positive] = 1 - (ranks[~positive] - midranks(scores[~positive])) / m     # positives above it
    return share


def cuts(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count positives and negatives at or above each distinct score, highest score first: three (T,)
    arrays."""
    if not len(scores):
        return np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1)
    order = np.argsort(-scores, kind="stable")
    positive, scores = positive[order], scores[order]
    # a cut can only fall between different scores
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1]
    tp = positive.cumsum()[last]
    return tp, last + 1 - tp, scores[last]
