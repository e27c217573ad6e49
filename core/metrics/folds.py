"""Metrics over the folds of a cross-validation: mean and spread, and whether one network is better than another.

Each of k folds was validation once while the others trained. The k values of a metric are not independent: any two training
sets share most of their images. A plain paired t-test takes them for independent and finds differences where there are none.

    over_folds            mean and standard deviation
    corrected_t_test      two networks on the same folds: the resampled t-test with the variance corrected for the overlap
    friedman              three networks and more on the same folds, by their ranks, and how far two mean ranks must lie apart
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, ndtr, stdtr, stdtrit

ALPHA = 0.05


@dataclass(frozen=True)
class FoldSummary:
    """Mean, standard deviation (ddof = 1, None for a single fold), least and largest value over n folds."""

    n: int
    mean: float
    sd: float | None
    low: float
    high: float


@dataclass(frozen=True)
class FoldTest:
    """Two networks on the same k folds.

    Args:
        k: folds on which both have a value
        a, b: their mean values
        difference: a - b, with its 95 % interval low to high; None with fewer than two folds
        t, p: of the hypothesis that both are equally good, two-sided, with k - 1 degrees of freedom; None where the differences
            of all folds are equal but not 0, or with fewer than two folds
        factor: what the variance of the differences is multiplied by, 1/k + n_test/n_train
    """

    k: int
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    t: float | None
    p: float | None
    factor: float


@dataclass(frozen=True)
class FriedmanTest:
    """Several networks on the same k folds.

    Args:
        k: folds on which all have a value
        ranks: mean rank of each network, 1 is the best
        chi2, p: of the hypothesis that all are equally good; None where all values of each fold are equal
        critical_difference: two mean ranks that lie farther apart differ (Nemenyi's test, 5 % over all pairs)
    """

    k: int
    ranks: tuple[float, ...]
    chi2: float | None
    p: float | None
    critical_difference: float


def over_folds(values: Sequence[float | None]) -> FoldSummary | None:
    """Return mean and spread over the folds whose value is known; None where none is.

    >>> over_folds([0.5, 1.0, None, 0.75]).mean
    0.75
    """
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return None
    sd = float(known.std(ddof=1)) if len(known) > 1 else None
    return FoldSummary(len(known), float(known.mean()), sd, float(known.min()), float(known.max()))


def corrected_t_test(a: Sequence[float | None], b: Sequence[float | None], n_train: Sequence[float],
                     n_test: Sequence[float]) -> FoldTest | None:
    """Test the difference of two networks over the same folds.

        t = mean(d) / sqrt((1/k + n_test/n_train) var(d)),  d_j = a_j - b_j,  var with k - 1

    With 1/k alone it would be the paired t-test. The second term is for the images that training sets share: the corrected
    resampled t-test of Nadeau & Bengio, Inference for the generalization error, Machine Learning 52, 2003 (section 4.2, eq. 9 and
    10). They derive it for random splits; Bouckaert & Frank (PAKDD 2004) found it apt for k folds as well, where n_test/n_train
    is 1/(k - 1).

    Args:
        a, b: k values, in the order of the folds; a fold without both counts for nothing
        n_train, n_test: k numbers of images that trained and that were evaluated; their sums give the ratio

    >>> test = corrected_t_test([.81, .84, .79, .85, .82], [.78, .80, .79, .80, .80], [80] * 5, [20] * 5)
    >>> round(test.t, 3), test.p < 0.05, round(test.factor, 3)
    (2.17, False, 0.45)
    """
    rows = [row for row in zip(a, b, n_train, n_test, strict=True) if row[0] is not None and row[1] is not None]
    if not rows:
        return None
    first, second, train, test = np.array(rows, float).T
    k, differences = len(rows), first - second
    factor = 1 / k + float(test.sum() / train.sum())
    means = float(first.mean()), float(second.mean()), float(differences.mean())
    if k < 2:
        return FoldTest(k, *means, None, None, None, None, factor)
    error = math.sqrt(factor * float(differences.var(ddof=1)))
    if error < 1e-12:                                      # the same difference in every fold
        known = (0.0, 1.0) if abs(means[2]) < 1e-12 else (None, None)
        return FoldTest(k, *means, means[2], means[2], *known, factor)
    t, half = means[2] / error, float(stdtrit(k - 1, 1 - ALPHA / 2)) * error
    return FoldTest(k, *means, means[2] - half, means[2] + half, t, 2 * float(stdtr(k - 1, -abs(t))), factor)


def friedman(values: np.ndarray) -> FriedmanTest | None:
    """Test several networks on the same folds by their ranks.

    In each fold the best network has rank 1, equal ones share their mean rank. With R_j the sum of the ranks of network j:

        chi2 = (12 / (k m (m + 1)) sum_j R_j^2 - 3 k (m + 1)) / (1 - T),  m - 1 degrees of freedom

    T is the sum of t^3 - t over all groups of t equal values of a fold, over k (m^3 - m) (Friedman, JASA 32, 1937, with
    the usual correction for ties). Two networks whose mean ranks differ by more than CD = q sqrt(m (m + 1) / (6 k)) differ at 5 %
    over all pairs, q the studentized range over sqrt(2): Nemenyi's test as in Demsar, J Mach Learn Res 7, 2006, section 3.2.2.
    Both were made for independent data sets; the folds of one set share training images, so p is somewhat too small.

    Args:
        values: (k, m) a metric of which more is better; a fold in which one is NaN counts for nothing

    Returns:
        None with fewer than three networks or two folds.

    >>> result = friedman(np.array([[.9, .8, .7], [.8, .7, .6], [.9, .6, .7], [.8, .7, .5]]))
    >>> result.ranks, round(result.chi2, 2)
    ((1.0, 2.25, 2.75), 6.5)
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values).all(axis=1)]
    k, m = values.shape
    if m < 3 or k < 2:
        return None
    below = (values[:, :, None] < values[:, None, :]).sum(axis=2)                    # how many are better
    equal = (values[:, :, None] == values[:, None, :]).sum(axis=2)                   # itself among them
    ranks = below + (equal + 1) / 2
    tied = (equal**2 - 1).sum() / (k * (m**3 - m))                                   # sum of t (t^2 - 1) over groups
    means = tuple(float(rank) for rank in ranks.mean(axis=0))
    apart = critical_difference(k, m)
    if tied > 1 - 1e-12:
        return FriedmanTest(k, means, None, None, apart)
    plain = 12 / (k * m * (m + 1)) * (ranks.sum(axis=0) ** 2).sum() - 3 * k * (m + 1)
    chi2 = max(float(plain / (1 - tied)), 0.0)
    return FriedmanTest(k, means, chi2, float(chdtrc(m - 1, chi2)), apart)


@functools.cache
def critical_difference(k: int, m: int) -> float:
    """Return Nemenyi's critical difference of mean ranks of m networks on k folds, at 5 % over all pairs.

    >>> round(critical_difference(14, 4), 2)                   # Demsar's own example, section 3.3
    1.25
    """
    return _studentized_range(m) / math.sqrt(2) * math.sqrt(m * (m + 1) / (6 * k))


def _studentized_range(m: int) -> float:
    """The 95 % point of the range of m standard normal variables (the studentized range with infinitely many degrees of freedom):

        P(range <= q) = m integral of phi(z) (Phi(z) - Phi(z - q))^(m - 1) dz        (Tukey, 1953)
    """
    z = np.linspace(-9, 9, 4001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        below = m * np.trapezoid(density * (ndtr(z) - ndtr(z - middle)) ** (m - 1), z)
        low, high = (middle, high) if below < 1 - ALPHA else (low, middle)
    return (low + high) / 2


# ------------------------------------------------------------------------------------------------ in sentences

def t_test_sentence(test: FoldTest, names: tuple[str, str], metric: str, higher_is_better: bool = True) -> str:
    """Return the result of `corrected_t_test` as sentences for a page.

    Args:
        names: of a and b
        metric: its title, such as "ROC AUC"
    """
    values = f"Mean {metric} over {test.k} folds: {names[0]} {test.a:.3f}, {names[1]} {test.b:.3f}."
    if test.k < 2:
        return f"{values} One fold is too few for a test."
    if test.difference == 0:
        return f"{values} They are equal."
    better = names[0] if (test.difference > 0) == higher_is_better else names[1]
    values = f"{values} {better} is better by {abs(test.difference):.3f}"
    if test.p is None:
        return f"{values} in every fold alike: how far it would vary cannot be told."
    chance = "is more than chance" if test.p < ALPHA else "may be chance"
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    return (f"{values}; with {test.k} folds such a difference {chance} (95 % interval of the difference {test.low:+.3f} to "
            f"{test.high:+.3f}; corrected resampled t-test, {p}).")


def friedman_sentence(test: FriedmanTest, names: Sequence[str], metric: str) -> str:
    """Return the result of `friedman` as sentences: the order of the networks, whether it is more than chance, which differ."""
    order = sorted(range(len(names)), key=test.ranks.__getitem__)
    ranked = ", ".join(f"{names[j]} {test.ranks[j]:.2f}" for j in order)
    values = f"Mean ranks by {metric} over {test.k} folds (1 is best): {ranked}."
    if test.p is None:
        return f"{values} All are equal in every fold."
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    if test.p >= ALPHA:
        return f"{values} Such an order may be chance (Friedman's test, {p})."
    apart = [f"{names[i]} and {names[j]}" for at, i in enumerate(order) for j in order[at + 1:]
             if test.ranks[j] - test.ranks[i] > test.critical_difference]
    differ = f"{'; '.join(apart)} differ" if apart else "no two of them differ for certain"
    return (f"{values} Their order is more than chance (Friedman's test, {p}): {differ} (mean ranks must lie "
            f"{test.critical_difference:.2f} apart, Nemenyi's test).")
