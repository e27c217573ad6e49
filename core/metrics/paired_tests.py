"""Is one network better than another, or is it chance? Paired tests of two networks on the same images.

Both saw the same images, so most of the chance (an easy or a hard set) is shared and cancels in the
difference. That is why two overlapping intervals may still belong to networks that differ.

    delong_test    ROC AUC: do the two rank the images equally well?
    mcnemar        accuracy: of the images that only one of them got right, are there as many on either side?

`groups` says which images are clustered (the patient of each): they count for less than as many independent
ones. Without groups each image counts by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtr

from core.metrics.intervals import Z, as_codes
from core.metrics.ranking import placements


@dataclass(frozen=True)
class AUCTest:
    """Compare two ROC AUC. a, b: those of the two networks; difference a - b with its 95 % interval low to
    high.

    z, p: of the hypothesis that the two are equal, two-sided; None where there are fewer than two groups
    with, or without, the class. standard_errors: of a and of b.
    """
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    z: float | None
    p: float | None
    standard_errors: tuple[float, float]


def delong_test(labels: np.ndarray, scores_a: np.ndarray, scores_b: np.ndarray,
                groups: np.ndarray | None = None, known: np.ndarray | None = None) -> AUCTest | None:
    """Test two ROC AUC on the same images, or two means of the AUC of several classes.

        var(A - B) = sum over groups g of (sum of the contributions of g's images to A - B)^2

    An image's contribution to an AUC is its placement (`core.metrics.ranking.placements`) less the AUC, over
    m for one of the m positives, over n for a negative; times sqrt(I / (I - 1)), where I groups have
    positives (or negatives). With a group for each image that is the variance of DeLong, DeLong &
    Clarke-Pearson, Biometrics 44, 1988, (eq. 4 and 5). With larger groups it is that of Obuchowski,
    Biometrics 53, 1997, but for a factor of almost 1 on the covariance between positives and negatives of a
    group.

    Args:
        labels: (N,) bool, or (N, K): a column for each class of the mean
        scores_a, scores_b: (N,) or (N, K), of any scale
        groups: (N,) of any kind, equal for images of one cluster. None: each image by itself
        known: bool, of the shape of `labels`: those that count. None: all

    Returns:
        None where an AUC is undefined: a class that no image has, or that every image has.

    >>> labels, a, b = [0, 0, 1, 1, 0, 1], [.1, .4, .35, .8, .2, .7], [.5, .4, .35, .6, .2, .7]
    >>> test = delong_test(labels, a, b)
    >>> round(test.difference, 3), test.p > 0.05
    (0.111, True)
    """
    itself = scores_a is scores_b                       # asked for an AUC and its standard error alone
    labels, scores_a, scores_b = (np.asarray(x).reshape(len(labels), -1)
                                  for x in (labels, scores_a, scores_b))
    labels = labels.astype(bool)
    known = np.ones(labels.shape, bool) if known is None else np.asarray(known, bool).reshape(labels.shape)
    if not len(labels) or not (labels & known).any(axis=0).all() or not (~labels & known).any(axis=0).all():
        return None
    members = np.arange(len(labels)) if groups is None else as_codes(groups)
    area_a, contribution_a, enough = _area_and_contributions(labels, scores_a, members, known)
    area_b, contribution_b, _ = ((area_a, contribution_a, enough) if itself else
                                 _area_and_contributions(labels, scores_b, members, known))
    errors = tuple(float(np.sqrt((of**2).sum())) for of in (contribution_a, contribution_b))
    difference, spread = area_a - area_b, float(np.sqrt(((contribution_a - contribution_b) ** 2).sum()))
    if not enough:
        return AUCTest(area_a, area_b, difference, None, None, None, None, errors)
    if spread < 1e-9:                                   # the same ranking: no evidence that they differ
        rest = (0.0, 0.0, 0.0, 1.0) if abs(difference) < 1e-9 else (None,) * 4
        return AUCTest(area_a, area_b, difference, *rest, errors)
    z = difference / spread
    return AUCTest(area_a, area_b, difference, max(difference - Z * spread, -1.0),
                   min(difference + Z * spread, 1.0), z,
                   _two_sided(z), errors)


def _area_and_contributions(labels: np.ndarray, scores: np.ndarray, members: np.ndarray,
                            known: np.ndarray) -> tuple[float, np.ndarray, bool]:
    """Mean AUC of the columns, (G,) the contribution of each group on it, and whether every side has two
    groups at least."""
    classes, count = labels.shape[1], members.max() + 1
    areas, contributions, enough = [], np.zeros(count), True
    for positive, score, of in zip(labels.T, scores.T, known.T):
        positive, score, member = positive[of], score[of], members[of]
        share = placements(positive, score)
        areas.append(share[positive].mean())
        for side in (positive, ~positive):
            there = np.count_nonzero(np.bincount(member[side], minlength=count))
            enough &= there > 1
            factor = math.sqrt(there / (there - 1)) if there > 1 else 1.0
            contributions += factor * np.bincount(member[side], share[side] - areas[-1],
                                                  count) / side.sum() / classes
    return float(np.mean(areas)), contributions, bool(enough)


@dataclass(frozen=True)
class AccuracyTest:
    """Compare two accuracies. both, only_a, only_b, neither: images that were predicted correctly by whom.

    difference: accuracy of a less that of b, with its 95 % interval low to high. p_exact, p_mid: McNemar's
    test, two-sided, each image by itself. p: the one to report: p_mid, or the test by groups where groups
    have several images.
    """
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float
    low: float
    high: float
    p_exact: float
    p_mid: float
    p: float
    by_group: bool


def mcnemar(right_a: np.ndarray, right_b: np.ndarray, groups: np.ndarray | None = None) -> AccuracyTest:
    """Test two accuracies on the same images.

    If both are equally good, each of the d images that only one of them got right is a fair coin toss. The
    exact test asks how often d tosses are at least as uneven (McNemar, Psychometrika 12, 1947, with the
    binomial distribution); the mid-p test counts "exactly as uneven" half, which keeps its level better where
    images are few: Fagerland, Lydersen & Laake, BMC Med Res Methodol 13:91, 2013. The interval is that of
    Bonett & Price, J Educ Behav Stat 37, 2012: Wald's with one more image on either side.

    With groups of several images: z = sum_g e_g / sqrt(sum_g e_g^2), where e_g is the images of group g that
    only a got right less those that only b did (Obuchowski, Stat Med 17, 1998). With single images that is
    McNemar's chi-square.

    Args:
        right_a, right_b: (N,) bool, N > 0
        groups: (N,) as in `delong_test`

    >>> test = mcnemar([True] * 10 + [False] * 2, [True] * 4 + [False] * 8)
    >>> test.only_a, test.only_b, test.p_exact
    (6, 0, 0.03125)
    """
    right_a, right_b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    n, only_a, only_b = len(right_a), int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    exact, mid = _sign_test(only_a, only_b)
    difference = (only_a - only_b) / n
    pa, pb = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    middle, half = pa - pb, Z * math.sqrt((pa + pb - (pa - pb) ** 2) / (n + 2))
    p, by_group = mid, False
    if groups is not None:
        members = np.unique(np.asarray(groups), return_inverse=True)[1]
        sizes = np.bincount(members)
        by_group = len(sizes) < n and len(sizes) > 1
        if by_group:
            each = np.bincount(members, right_a.astype(float) - right_b)
            p = _two_sided(each.sum() / math.sqrt((each**2).sum())) if each.any() else 1.0
            spread = math.sqrt(len(sizes) / (len(sizes) - 1) * ((each - sizes * difference) ** 2).sum()) / n
            if spread > 0:
                # patients can make it wider, never narrower
                middle, half = difference, max(half, Z * spread)
    both = int((right_a & right_b).sum())
    return AccuracyTest(both, only_a, only_b, n - both - only_a - only_b, difference,
                        max(middle - half, -1.0),
                        min(middle + half, 1.0), exact, mid, p, by_group)


def _sign_test(a: int, b: int) -> tuple[float, float]:
    """(exact, mid-p): how often a + b fair coin tosses are at least as uneven as a against b, two-sided."""
    if a == b:
        return 1.0, 1.0
    tosses, fewer = a + b, min(a, b)
    at_most = float(bdtr(fewer, tosses, 0.5))
    below = float(bdtr(fewer - 1, tosses, 0.5)) if fewer else 0.0
    exact = min(1.0, 2 * at_most)
    return exact, exact - (at_most - below)


def _two_sided(z: float) -> float:
    """How often a standard normal variable is as far from 0 as z, or farther."""
    return 2 * float(ndtr(-abs(z)))
