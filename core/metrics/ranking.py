"""How well scores order images: ROC AUC, its curve and its interval. One class, or finding, against all the rest.

Arrays in, numbers out. `core.metrics` builds on this file and takes the mean over classes.

    positive   (N,) bool: has the image the class?                 m of them are positive, n negative
    scores     (N,) float: any order-preserving score; a probability, a logit

Where a side is empty there is nothing to order, and the answer is None.
"""

from __future__ import annotations

import numpy as np

Z = 1.959964        # the standard normal lies within +-Z in 95 % of draws


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 to N, equal values sharing the mean of their ranks: (3, 7, 3) -> (1.5, 3, 1.5). N log N."""
    _, place, copies = np.unique(values, return_inverse=True, return_counts=True)
    last = copies.cumsum()                          # the rank of the last of each group of equals
    return (last - (copies - 1) / 2)[place]


def binary_auc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve: the chance that a positive scores above a negative, a tie counting half.

    None when a side is empty. That the area is that chance: Hanley & McNeil, Radiology 143, 1982.
    """
    return _known(area_of(*cuts(positive, scores)[:2]))


def area_of(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """The area from the counts of `cuts`: sum_t (fp_t - fp_t-1) (tp_t + tp_t-1) / (2 m n). A tie is a slope: half.

    tp, fp: (..., T), of many curves at once; returns (...), NaN where a side is empty.
    """
    pairs = tp[..., -1] * fp[..., -1].astype(np.float64)
    twice = tp[..., 0] * fp[..., 0].astype(np.float64) + np.einsum(
        "...t,...t->...", fp[..., 1:] - fp[..., :-1], tp[..., 1:] + tp[..., :-1], dtype=np.float64)
    return np.where(pairs > 0, twice / np.where(pairs > 0, 2 * pairs, 1), np.nan)


def roc_curve(positive: np.ndarray, scores: np.ndarray, thin: bool = True):
    """False positive rate, sensitivity, threshold for each way to cut the scores: (T,) each, from (0, 0) to (1, 1).

    A score at or above the threshold is called positive; the first threshold is infinite and calls none. `thin` leaves
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
    """Precision (T + 1,), sensitivity (T + 1,) and threshold (T,), thresholds rising. None without positives.

    The last point, precision 1 at sensitivity 0, has no threshold: it is a convention.
    """
    tp, fp, thresholds = cuts(positive, scores)
    if not tp[-1]:
        return None
    return np.r_[(tp / (tp + fp))[::-1], 1.0], np.r_[(tp / tp[-1])[::-1], 0.0], thresholds[::-1]


def average_precision_of(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Precision averaged over the positives: sum_t (S_t - S_t-1) P_t along the PR curve.

    tp, fp: counts of `cuts`, (..., T) of many curves at once; returns (...), NaN without positives.
    """
    found = tp[..., -1].astype(np.float64)
    shares = tp / np.maximum(tp + fp, 1)
    summed = tp[..., 0] * shares[..., 0] + np.einsum("...t,...t->...", tp[..., 1:] - tp[..., :-1], shares[..., 1:],
                                                     dtype=np.float64)
    return np.where(found > 0, summed / np.where(found > 0, found, 1), np.nan)


def _known(value: np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)


def placements(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(N,) for each image the share of the other side that it is rightly ordered against, a tie counting half.

    The structural components V10 (of positives) and V01 (of negatives) of DeLong, DeLong & Clarke-Pearson, Biometrics
    44, 1988, by midranks as in Theorem 1 of Sun & Xu, IEEE Signal Process Lett 21, 2014. On either side the mean is
    the AUC.
    """
    m = positive.sum()
    n = len(positive) - m
    ranks, share = midranks(scores), np.empty(len(scores))
    share[positive] = (ranks[positive] - midranks(scores[positive])) / n            # negatives below it
    share[~positive] = 1 - (ranks[~positive] - midranks(scores[~positive])) / m     # positives above it
    return share


def auc_interval(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of an AUC, or of the mean AUC of several classes. None where one of them is undefined.

        var(AUC) = S10 / m + S01 / n           S10, S01: variance of the placements of positives and negatives

    DeLong et al. 1988 (see `placements`). Written as a sum over images, image i pulls the AUC by

        c_i = (placement_i - AUC) / sqrt(m (m - 1)), or with n for a negative,       var(AUC) = sum_i c_i^2

    and so a mean over classes needs no resampling: an image's pull is the mean of its pulls. The interval is made on
    the logit scale, where it cannot leave [0, 1] and covers better (Pohar Perme & Manevski, Stat Methods Med Res 28,
    2019). Normal scores, true AUC .64 to .99, 40 to 156 images: it held the truth in 92 to 98 % of 1,000 draws, the
    plain AUC +- z sd in 54 to 96 %. Where the order is perfect, all scores are equal or a side has a single image, that
    variance says nothing: then `score_interval`, averaged over the classes as if they all erred together.

    Args:
        truth: (N, K) bool, a column for each class of the mean; scores: (N, K)
    """
    positives, (images, classes) = truth.sum(axis=0), truth.shape
    negatives = images - positives
    if not positives.all() or not negatives.all():
        return None
    pull, areas = np.zeros(images), []
    for positive, score, m, n in zip(truth.T, scores.T, positives, negatives):
        share = placements(positive, score)
        areas.append(share[positive].mean())
        pull += (share - areas[-1]) / np.sqrt(np.where(positive, max(m * (m - 1), 1), max(n * (n - 1), 1))) / classes
    area, variance = float(np.mean(areas)), float((pull**2).sum())
    if variance < 1e-18 or min(positives.min(), negatives.min()) < 2:
        limits = np.array([score_interval(a, m, n) for a, m, n in zip(areas, positives, negatives)])
        return tuple(limits.mean(axis=0).tolist())
    middle, half = np.log(area / (1 - area)), Z * np.sqrt(variance) / (area * (1 - area))
    return tuple(float(1 / (1 + np.exp(-x))) for x in (middle - half, middle + half))


def score_interval(area: float, m: int, n: int) -> tuple[float, float]:
    """Where an AUC lies that is known only by its value and the numbers of positives and negatives: all t with

        (area - t)^2 <= z^2 V(t),   V(t) = t (1 - t) / (m n) (1 + h (1 - t) / (2 - t) + h t / (1 + t)),
                                    h = (m + n) / 2 - 1

    Method 5 of Newcombe, Stat Med 25, 2006: as Wilson's interval, it says something also at 0 and at 1.
    """
    h = (m + n) / 2 - 1

    def lower(a: float) -> float:
        inside, outside = a, 0.0
        for _ in range(50):                                      # halving: 2^-50 is finer than anybody reads
            t = (inside + outside) / 2
            spread = t * (1 - t) / (m * n) * (1 + h * (1 - t) / (2 - t) + h * t / (1 + t))
            inside, outside = (t, outside) if (a - t) ** 2 <= Z**2 * spread else (inside, t)
        return inside

    return lower(float(area)), 1 - lower(1 - float(area))        # V(t) = V(1 - t)


def cuts(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positives and negatives at or above each distinct score, highest score first: three (T,) arrays."""
    order = np.argsort(-scores, kind="stable")
    positive, scores = positive[order], scores[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1]       # a cut can only fall between different scores
    tp = positive.cumsum()[last]
    return tp, last + 1 - tp, scores[last]
