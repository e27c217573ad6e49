"""Where a number lies that was seen on a few images, at 95 %; images are taken as independent of each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.metrics.confusion import MULTI_LABEL, one_against_rest, predict
from core.metrics.input import check
from core.metrics.ranking import Z, auc_interval


def wilson_interval(k: float, n: float, z: float = Z) -> tuple[float, float]:
    """Where a share lies of which k out of n were seen. Never leaves [0, 1], and honest at 0 of n and n of n.

        (k + z^2/2) / (n + z^2)  +-  z sqrt(n) / (n + z^2) sqrt(p (1 - p) + z^2 / (4 n)),   p = k / n

    Wilson, J Am Stat Assoc 22, 1927; written as in (eq. 4) of Brown, Cai & DasGupta, Stat Sci 16, 2001.
    """
    p = k / n
    middle = (k + z * z / 2) / (n + z * z)
    half = z * np.sqrt(n) / (n + z * z) * np.sqrt(p * (1 - p) + z * z / (4 * n))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def roc_auc_interval(labels: np.ndarray, probs: np.ndarray, task: str) -> tuple[float, float] | None:
    """Where `roc_auc` lies, for every task: `core.metrics.ranking.auc_interval`. None where it is undefined."""
    return auc_interval(*_columns(labels, probs, task))


def accuracy_interval(labels: np.ndarray, probs: np.ndarray, task: str,
                      threshold: float | np.ndarray = 0.5) -> tuple[float, float]:
    """Wilson's interval of the accuracy.

    For several findings the K answers about one image hang together, so they count for as many independent ones as give
    the variance seen between images: at least N, at most N K.
    """
    labels, probs = check(labels, probs, task)
    right = predict(probs, task, threshold) == labels
    if task != MULTI_LABEL:
        return wilson_interval(right.sum(), len(right))
    images, p, spread = len(right), right.mean(), right.mean(axis=1).var()
    worth = np.clip(images * p * (1 - p) / spread, images, right.size) if spread else images
    return wilson_interval(p * worth, worth)


def bootstrap_interval(metric: Callable, labels: np.ndarray, probs: np.ndarray, task: str, *,
                       draws: int = 1000, seed: int = 0) -> tuple[float, float] | None:
    """Where any metric of METRICS lies: the middle 95 % of what it gives on images drawn again with replacement.

    The percentile interval of Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Same seed, same
    interval. None where the metric is undefined in more than one draw of twenty: there are too few images then.
    """
    labels, probs = check(labels, probs, task)
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        again = generator.integers(0, len(labels), len(labels))
        values.append(metric(labels[again], probs[again], task))
    values = [v for v in values if v is not None]
    return tuple(float(x) for x in np.quantile(values, (0.025, 0.975))) if len(values) >= 0.95 * draws else None


def _columns(labels, probs, task) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of the classes that a mean runs over."""
    labels, probs = check(labels, probs, task)
    first = 1 if task == "binary-class" else 0           # two classes are one column: the other mirrors it
    return one_against_rest(labels, probs.shape[1])[:, first:], probs[:, first:]
