"""How alike are several classifiers? Pairwise measures of agreement, from their predicted classes on the same images.

Classifiers that make the same mistakes gain nothing from a vote. Of two of them, each of the n images lies in one of four cells:

                    b right    b wrong
        a right       n11        n10
        a wrong       n01        n00

    kappa          Cohen's kappa of both predictions, whether right or not: (p_o - p_e) / (1 - p_e), where p_o is how often they
                   are equal and p_e how often they would be by chance (Cohen, Educ Psychol Meas 20, 1960)
    q              Yule's Q statistic of the cells: (n11 n00 - n01 n10) / (n11 n00 + n01 n10). 1: right and wrong on the same
                   images; 0: as if independent; -1: each is right where the other is wrong
    disagreement   (n01 + n10) / n: exactly one of them is right
    double_fault   n00 / n: both are wrong, so that neither can help the other

Q, disagreement and double fault are as in Kuncheva & Whitaker, Machine Learning 51, 2003, tables 1 and 2.

M classifiers, N images, K classes or findings. With several findings each known finding of an image counts as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MEASURES = {
    "kappa": ("Cohen's kappa", "How often two members predict the same, beyond chance. 1: always; 0: as often as by chance."),
    "q": ("Q statistic", "Whether two members are right on the same images. 1: on the same; 0: as if independent; below 0: on "
                         "different ones, which helps a vote most."),
    "disagreement": ("One right", "Fraction of the images on which exactly one of the two is right."),
    "double_fault": ("Both wrong", "Fraction of the images on which both are wrong: neither can help the other."),
}


@dataclass(frozen=True)
class PairAgreement:
    """Two of the classifiers, a < b, by their number; each measure is None where it is undefined, and n counts images (with
    several findings: known findings of images)."""

    a: int
    b: int
    n: int
    kappa: float | None
    q: float | None
    disagreement: float | None
    double_fault: float | None


@dataclass(frozen=True, eq=False)
class Agreement:
    """Measures of all pairs of M classifiers.

    Args:
        n: images that count, the same for all pairs
        kappa, q, disagreement, double_fault: (M, M) float, symmetric; NaN where undefined, and on the diagonal
        right: (M + 1,) int, images on which exactly 0, 1, ... M of them are right
    """

    n: int
    kappa: np.ndarray
    q: np.ndarray
    disagreement: np.ndarray
    double_fault: np.ndarray
    right: np.ndarray

    def pairs(self) -> Iterator[PairAgreement]:
        """Yield each pair once, in order."""
        for a, b in zip(*np.triu_indices(len(self.kappa), 1)):
            values = (getattr(self, name)[a, b] for name in MEASURES)
            yield PairAgreement(int(a), int(b), self.n, *(None if np.isnan(value) else float(value) for value in values))

    def mean(self, measure: str) -> float | None:
        """Return the mean of a measure over the pairs for which it is defined; None where there is none."""
        values = getattr(self, measure)[np.triu_indices(len(self.kappa), 1)]
        return float(np.nanmean(values)) if np.isfinite(values).any() else None


def agreement(preds: np.ndarray, labels: np.ndarray) -> Agreement:
    """Return how much M classifiers agree, and on how many images how many of them are right.

    Args:
        preds: (M, N) predicted classes, or (M, N, K) of 0 and 1 where an image may have several findings
        labels: (N,) or (N, K); -1 where not known, which counts nowhere

    >>> preds, labels = np.array([[0, 1, 1, 0], [0, 1, 0, 1], [0, 1, 1, 1]]), np.array([0, 1, 1, 1])
    >>> result = agreement(preds, labels)
    >>> result.right.tolist(), next(result.pairs()).disagreement
    ([0, 0, 2, 2], 0.5)
    """
    preds, labels = np.asarray(preds), np.asarray(labels)
    known = labels != -1
    preds, labels = preds[:, known], labels[known]
    count, n = len(preds), len(labels)
    hits = (preds == labels).astype(np.int64)
    both = hits @ hits.T                                   # n11 of each pair
    alone = hits.sum(axis=1)[:, None] - both               # n10: the row's classifier is right, the column's is wrong
    neither = n - both - alone - alone.T
    with np.errstate(invalid="ignore", divide="ignore"):
        q = (both * neither - alone * alone.T) / (both * neither + alone * alone.T)
        found = [q, (alone + alone.T) / n, neither / n]
    for matrix in found:
        np.fill_diagonal(matrix, np.nan)
    return Agreement(n, _kappas(preds), *found, np.bincount(hits.sum(axis=0), minlength=count + 1))


def _kappas(preds: np.ndarray) -> np.ndarray:
    """(M, M) Cohen's kappa of (M, n) predictions; NaN where both predict one and the same class everywhere."""
    count, n = preds.shape
    names, codes = np.unique(preds, return_inverse=True)
    codes = codes.reshape(count, n)
    shares = np.array([np.bincount(row, minlength=len(names)) for row in codes]).reshape(count, len(names)) / max(n, 1)
    chance = shares @ shares.T
    kappas = np.full((count, count), np.nan)
    for a, b in zip(*np.triu_indices(count, 1)):
        if n and chance[a, b] < 1 - 1e-12:
            kappas[a, b] = kappas[b, a] = ((codes[a] == codes[b]).mean() - chance[a, b]) / (1 - chance[a, b])
    return kappas
