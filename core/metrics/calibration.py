"""Calibration: of all images with a predicted probability of 0.8, eight in ten should have the class.

    outcomes    (N,) bool: does the image have the class, or was the prediction correct?
    predicted   (N,) in [0, 1]: the predicted probability of that

One class, or finding, against the rest: outcomes are its labels, `predicted` its column. Several classes
together: `top_label`. An overconfident network is corrected by one number, the temperature, fitted on
validation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.errors import LightboxError
from core.metrics import MULTI_LABEL, check, is_known, wilson_interval

BINS = 10
# the least that float32 keeps apart from 1; logits are cut at the same place
TINY = 1e-7
COLDEST, HOTTEST = 0.02, 50.0     # temperatures that are tried


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: observed frequency against predicted probability. All (B,); NaN where a bin is
    empty.

    Args:
        edges: (B + 1,) of the bins; a bin includes its lower edge, the last one both
        n: images
        predicted: mean predicted probability
        observed: share of the outcomes that are true, with `low` and `high` of Wilson's 95 % interval
    """
    edges: np.ndarray
    n: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def ece(self) -> float:
        """The expected calibration error: sum_b n_b / N |observed_b - predicted_b|, eq. (3) of Guo et al.,
        ICML 2017."""
        there = self.n > 0
        return float((self.n[there] * abs(self.observed[there] - self.predicted[there])).sum() / self.n.sum())


def reliability(outcomes: np.ndarray, predicted: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare predicted probabilities with outcomes, in bins of equal width.

    Raises:
        LightboxError: "metrics.empty" without images

    >>> found = reliability([True, True, False, True], [.8, .8, .8, .8])
    >>> float(found.observed[8]), round(found.ece, 3)
    (0.75, 0.05)
    """
    outcomes, predicted = np.asarray(outcomes).astype(bool), np.asarray(predicted, np.float64)
    if not len(predicted):
        raise LightboxError("metrics.empty", "There are no images to evaluate.",
                            "Choose a split that has some.")
    place = _bins(predicted, bins)
    n = np.bincount(place, minlength=bins)
    hits = np.bincount(place, weights=outcomes, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, observed = np.bincount(place, weights=predicted, minlength=bins) / n, hits / n
    limits = np.array([wilson_interval(k, total) if total else (np.nan, np.nan) for k, total in zip(hits, n)])
    return Reliability(np.linspace(0, 1, bins + 1), n, mean, observed, *limits.T)


def ece(outcomes: np.ndarray, predicted: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error alone: 0 is calibrated, 1 is certain and always wrong."""
    return reliability(outcomes, predicted, bins).ece


def ece_by_chance(predicted: np.ndarray, bins: int = BINS, draws: int = 1000,
                  seed: int = 0) -> tuple[float, float]:
    """Return the ECE that perfectly calibrated probabilities would show on these images: (mean, 95th
    percentile).

    With few images in a bin the observed frequency differs from the prediction by chance alone, so no ECE is
    ever 0. Outcomes are drawn with the predicted probabilities: the consistency resampling of Brocker &
    Smith, Weather Forecast 22, 2007.
    """
    predicted = np.asarray(predicted, np.float64)
    place, random = _bins(predicted, bins), np.random.default_rng(seed)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(place[order]) > 0])
    predicted = predicted[order]
    errors = np.array([abs(np.add.reduceat((random.random(len(predicted)) < predicted) - predicted,
                                           starts)).sum() for _ in range(draws)])
    return float(errors.mean() / len(predicted)), float(np.quantile(errors, 0.95) / len(predicted))


def top_label(labels: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of the most probable of several classes (N,) whether it is correct, and (N,) its probability
    (Guo et al. 2017).

    Args:
        labels: (N,) int; probs: (N, K)
    """
    preds = probs.argmax(axis=1)
    return preds == labels, probs[np.arange(len(probs)), preds]


# ------------------------------------------------------------------------------------------------ temperature

def temperature(labels: np.ndarray, probs: np.ndarray, task: str) -> float:
    """Fit the T that minimises the cross-entropy of softmax(z / T), or sigmoid(z / T) for findings. Guo et
    al. 2017, eq. (9).

    The logits z are log p: softmax is invariant to a constant added to all of them. In b = 1 / T the loss is
    convex, since its slope

        dL/db = mean_i (sum_k p_ik(b) z_ik - z_i,y_i)

    is increasing, so its root is found by bisection. Above 1 the network is overconfident, below 1
    underconfident.

    Args:
        labels, probs, task: as in `core.metrics`; several findings share one T, fitted on their known labels

    Returns:
        T from 0.02 to 50; an end of that range where the optimum lies outside: at 0.02 every prediction is
        correct, at 50 the scores are uninformative

    Raises:
        LightboxError: as `core.metrics.check`
    """
    labels, probs = check(labels, probs, task)
    logits = _logits(probs, task)
    truth = labels if task == MULTI_LABEL else np.arange(probs.shape[1]) == labels[:, None]
    known = is_known(labels, probs.shape[1])
    cold, hot = math.log(COLDEST), math.log(HOTTEST)
    for _ in range(40):                                           # 8 / 2^40 is finer than anybody reads
        middle = (cold + hot) / 2
        slope = ((_soft(logits * math.exp(-middle), task) - truth) * logits)[known].sum()
        cold, hot = (cold, middle) if slope < 0 else (middle, hot)     # a larger b lowers the loss: colder
    return math.exp((cold + hot) / 2)


def apply_temperature(probs: np.ndarray, t: float, task: str) -> np.ndarray:
    """Return (N, K) probabilities at temperature t. Neither the ranking of an image's classes nor its
    prediction at 0.5 changes.

    >>> apply_temperature(np.array([[.2, .8]]), 2.0, "binary-class").round(3).tolist()
    [[0.333, 0.667]]
    """
    return _soft(_logits(np.asarray(probs, np.float64), task) / t, task)


def _logits(probs: np.ndarray, task: str) -> np.ndarray:
    """log p, or log p / (1 - p) for findings. A probability that float32 rounded to 0 or 1 is taken as just
    short of it."""
    inside = np.clip(probs, TINY, 1 - TINY)
    return np.log(inside / (1 - inside)) if task == MULTI_LABEL else np.log(inside)


def _soft(logits: np.ndarray, task: str) -> np.ndarray:
    if task == MULTI_LABEL:
        # the sigmoid, without an exponential that overflows
        return 0.5 + 0.5 * np.tanh(logits / 2)
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _bins(predicted: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((predicted * bins).astype(np.int64), bins - 1)
