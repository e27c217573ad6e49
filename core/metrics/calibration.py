"""Is a probability what it says? Of all images that got 0.8, eight in ten should have the class.

Arrays in, numbers out. N images, K classes:

    outcomes    (N,) bool: did it come true?          the class is there, or the answer was right
    said        (N,) in [0, 1]: the probability that was said of it

One class, or finding, against the rest: outcomes are its labels, `said` its column. For the answers of several classes
together see `answers`. The remedy for a network that is too sure is one number, the temperature, fitted on validation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.errors import LightboxError
from core.metrics import MULTI_LABEL, check, wilson_interval

BINS = 10
TINY = 1e-7                       # the least that float32 keeps apart from 1; logits are cut at the same place
COLDEST, HOTTEST = 0.02, 50.0     # temperatures that are tried


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: what was said beside what came true, a row for each bin. All (B,); NaN where a bin is empty.

    Args:
        edges: (B + 1,) of the bins; a bin holds its lower edge, the last one both
        n: images
        said: mean probability
        came: share that came true, with `low` and `high` of Wilson's interval at 95 %
    """
    edges: np.ndarray
    n: np.ndarray
    said: np.ndarray
    came: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error: sum_b n_b / N |came_b - said_b|, eq. (3) of Guo et al., ICML 2017."""
        there = self.n > 0
        return float((self.n[there] * abs(self.came[there] - self.said[there])).sum() / self.n.sum())


def reliability(outcomes: np.ndarray, said: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare what was said with what came true, in bins of equal width.

    Raises LightboxError "metrics.empty" without images.
    """
    outcomes, said = np.asarray(outcomes).astype(bool), np.asarray(said, np.float64)
    if not len(said):
        raise LightboxError("metrics.empty", "There are no images to judge.", "Choose a split that has some.")
    place = _bins(said, bins)
    n = np.bincount(place, minlength=bins)
    hits = np.bincount(place, weights=outcomes, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, came = np.bincount(place, weights=said, minlength=bins) / n, hits / n
    limits = np.array([wilson_interval(k, total) if total else (np.nan, np.nan) for k, total in zip(hits, n)])
    return Reliability(np.linspace(0, 1, bins + 1), n, mean, came, *limits.T)


def ece(outcomes: np.ndarray, said: np.ndarray, bins: int = BINS) -> float:
    """`Reliability.ece` alone: 0 is what it says, 1 is sure and always wrong."""
    return reliability(outcomes, said, bins).ece


def ece_by_chance(said: np.ndarray, bins: int = BINS, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The ECE that perfect probabilities would show with these very images: (mean, the value that one in twenty exceeds).

    With few images in a bin the share that comes true misses what was said by luck alone, so no ECE is ever 0. Outcomes are
    drawn as often as was said: the consistency resampling of Brocker & Smith, Weather Forecast 22, 2007.
    """
    said = np.asarray(said, np.float64)
    place, random = _bins(said, bins), np.random.default_rng(seed)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(place[order]) > 0])
    said = said[order]
    found = np.array([abs(np.add.reduceat((random.random(len(said)) < said) - said, starts)).sum() for _ in range(draws)])
    return float(found.mean() / len(said)), float(np.quantile(found, 0.95) / len(said))


def answers(labels: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of several classes the answer alone: (N,) was it right, (N,) the probability that it was given with (Guo et al. 2017).

    Args:
        labels: (N,) int; probs: (N, K)
    """
    said = probs.argmax(axis=1)
    return said == labels, probs[np.arange(len(probs)), said]


# --------------------------------------------------------------------------------------------------------- temperature

def temperature(labels: np.ndarray, probs: np.ndarray, task: str) -> float:
    """The T that makes the cross-entropy of softmax(z / T), or sigmoid(z / T) for findings, smallest. Guo et al. 2017, eq. (9).

    The logits z are log p: softmax does not see what is added to all of them. In b = 1 / T the loss is convex, since its slope

        dL/db = mean_i (sum_k p_ik(b) z_ik - z_i,y_i)

    rises, so its root is found by halving. Above 1 the network was too sure of itself, below 1 not sure enough.

    Args:
        labels, probs, task: as in `core.metrics`; several findings share one T

    Returns:
        T from 0.02 to 50; an end of that range where no T in it is the best: at 0.02 every answer is right, at 50 the scores
        say nothing

    Raises:
        LightboxError: as `core.metrics.check`
    """
    labels, probs = check(labels, probs, task)
    logits = _logits(probs, task)
    truth = labels if task == MULTI_LABEL else np.arange(probs.shape[1]) == labels[:, None]
    cold, hot = math.log(COLDEST), math.log(HOTTEST)
    for _ in range(40):                                           # 8 / 2^40 is finer than anybody reads
        middle = (cold + hot) / 2
        slope = ((_soft(logits * math.exp(-middle), task) - truth) * logits).sum()
        cold, hot = (cold, middle) if slope < 0 else (middle, hot)     # a larger b lowers the loss: colder
    return math.exp((cold + hot) / 2)


def apply_temperature(probs: np.ndarray, t: float, task: str) -> np.ndarray:
    """(N, K) probabilities at temperature t. Neither the order of an image's classes nor its answer at 0.5 changes."""
    return _soft(_logits(np.asarray(probs, np.float64), task) / t, task)


def _logits(probs: np.ndarray, task: str) -> np.ndarray:
    """log p, or log p / (1 - p) for findings. A probability that float32 rounded to 0 or 1 is taken as just short of it."""
    inside = np.clip(probs, TINY, 1 - TINY)
    return np.log(inside / (1 - inside)) if task == MULTI_LABEL else np.log(inside)


def _soft(logits: np.ndarray, task: str) -> np.ndarray:
    if task == MULTI_LABEL:
        return 0.5 + 0.5 * np.tanh(logits / 2)                    # the sigmoid, without an exponential that overflows
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _bins(said: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((said * bins).astype(np.int64), bins - 1)
