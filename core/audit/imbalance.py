"""Class balance: do the classes have the same shares in each split, and how far is the largest ahead?

K classes, P splits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.config import Split
from core.datasets.source import one_hot

# Cramér's V below which ...
WORDS = ((0.05, "The classes have nearly the same shares in all splits"),
         (0.15, "The shares of the classes differ a little between the splits"),
         (0.3, "The shares of the classes differ clearly between the splits"),
         (math.inf, "The splits hold quite different classes"))


@dataclass(frozen=True)
class Imbalance:
    """Whether the classes have the same shares in each split, and how far the largest is ahead.

    Args:
        chi2, dof, p: Pearson's test of class x split; of several findings the one that differs most, p times their number
        cramers_v: sqrt(chi2 / (n (min(K, P) - 1))), 0 (same shares) to 1
        majority: the largest class, of several findings the most frequent one; majority_share: of all images
        ratio: images of the largest class for each of the smallest that has any
        sentence: the same in words
    """

    chi2: float
    dof: int
    p: float
    cramers_v: float
    majority: str
    majority_share: float
    ratio: float
    sentence: str


def imbalance(labels: np.ndarray, split: np.ndarray, class_names: tuple[str, ...]) -> Imbalance:
    """Measure the class balance of a split. See `Imbalance`.

    Args:
        labels: (N,) or (N, K) int64
        split: (N,); images of no split are left out

    >>> split = np.array(["train", "train", "val", "val"])
    >>> imbalance(np.array([0, 1, 0, 1]), split, ("normal", "fracture")).cramers_v
    0.0
    """
    labels, split = labels[split != ""], split[split != ""]
    classes = one_hot(labels, len(class_names))
    counts = np.array([classes[split == part].sum(axis=0) for part in Split]).T      # (K, P)
    n = np.array([(split == part).sum() for part in Split])
    if labels.ndim == 2:
        known = np.array([(labels[split == part] >= 0).sum(axis=0) for part in Split]).T
        tests = [chi_square(np.array([row, of - row])) for row, of in zip(counts, known)]
        chi2, dof, p = max(tests, key=lambda test: test[0])
        p, least = min(1.0, p * len(tests)), 1
    else:
        chi2, dof, p = chi_square(counts)
        least = min((counts.sum(axis=1) > 0).sum(), (n > 0).sum()) - 1
    v = math.sqrt(chi2 / (n.sum() * least)) if least > 0 else 0.0
    total = counts.sum(axis=1)
    first = int(total.argmax())
    share = float(total[first] / max(1, n.sum()))
    ratio = float(total[first] / max(1, min(total[total > 0], default=1)))
    chance = "random assignment would differ as much" if p > 0.05 else "more than random assignment would"
    sentence = f"{next(words for limit, words in WORDS if v < limit)} (Cramér's V {v:.2f}; {chance})."
    if labels.ndim == 1:
        sentence += f" {class_names[first]} is the largest class: always predicting it is right for {100 * share:.1f} % of all."
        if ratio >= 1.5:
            sentence += f" It has {ratio:.1f} times as many images as the smallest."
    else:
        sentence += f" {class_names[first]} is the most frequent finding, in {100 * share:.1f} % of all images."
    return Imbalance(chi2, dof, p, v, class_names[first], share, ratio, sentence)


def chi_square(counts: np.ndarray) -> tuple[float, int, float]:
    """Return Pearson's chi-square of a table (K, P) of counts, its degrees of freedom, and P(a larger one by chance).

    Rows and columns without any image are left out. A table of one row or column gives (0, 0, 1).
    """
    from scipy.special import chdtrc  # a fifth of a second, and only a finished audit needs it
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0].astype(float)
    dof = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    if dof <= 0:
        return 0.0, 0, 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    return chi2, dof, float(chdtrc(dof, chi2))
