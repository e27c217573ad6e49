"""Where a measure lies: 95 % intervals that know that several images of one patient are not independent.

    bootstrap(labels, probs, task, patients)     patients drawn again with replacement, all measures in one pass
    wilson_by_patient(right, patients)           a share, counted as if there were as many images as they are worth

Each draw is a row of weights: how often each image was drawn, all images of a patient equally often. So a thousand draws
are a matrix, and nothing is computed again that a draw does not change: scores are sorted once, and the measures are the very
functions of `core.metrics`, which see many confusion matrices and curves at a time instead of one.

    N images, K classes, P patients, B draws that are computed together
    weights    (B, N) float32, whole numbers
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from statistics import NormalDist

import numpy as np
import threadpoolctl

from core.metrics import METRICS, Judged, wilson_interval
from core.metrics.confusion import Counts, counts
from core.metrics.ranking import Z

TOGETHER = 64           # draws: their weights of 10,000 images are 2.5 MB, which stays in a processor's cache
ENOUGH = 0.95           # of the draws must give a number; otherwise there are too few images for an interval


def bootstrap(labels: np.ndarray, probs: np.ndarray, task: str, patients: Sequence | None = None, *,
              names: Sequence[str] | None = None, draws: int = 1000, seed: int = 0,
              threshold: float | np.ndarray = 0.5) -> dict[str, tuple[float, float] | None]:
    """The 95 % interval of each measure, from patients drawn again with replacement.

    Args:
        labels, probs, task: as in `core.metrics`
        patients: N names, "" where nobody is known, or numbers; None takes each image as a patient of its own
        names: keys of METRICS; None takes all
        draws: how many; 1,000 leave the ends of an interval uncertain by about 5 % of its width
        seed: same seed, same interval, and the same patients in the same draws for another run's answers
        threshold: as in `core.metrics.predict`

    Returns:
        {name: (low, high)}; None where the measure is undefined in more than one draw of twenty

    Raises:
        LightboxError: as `core.metrics.check`
    """
    names = list(METRICS) if names is None else list(names)
    judged = Prepared(labels, probs, task, threshold)
    freedom = degrees_of_freedom(judged, patients)
    drawn = resample(judged, patients, overall(names), draws=draws, seed=seed)
    return {name: limits(name, METRICS[name].function.of(judged), values, freedom) for name, values in drawn.items()}


def resample(judged: Prepared, patients: Sequence | None, functions: Mapping[Hashable, Callable[[Drawn], np.ndarray | None]], *,
             draws: int = 1000, seed: int = 0) -> dict[Hashable, np.ndarray]:
    """What each function gives in each draw: {its key: (draws,) or (draws, K)}, NaN where it is undefined.

    Args:
        functions: such as those of `overall` and `of_each_class`; all see the same draws and share what they have in common
        patients, draws, seed: as in `bootstrap`
    """
    values: dict[Hashable, list] = {key: [] for key in functions}
    with one_thread():
        for weights in draw(len(judged.labels), patients, draws, seed):
            drawn = Drawn(judged, weights)
            for key, function in functions.items():
                found = function(drawn)
                values[key].append(np.full(len(weights), np.nan) if found is None else found)
    return {key: np.concatenate(kept) for key, kept in values.items()}


def one_thread() -> AbstractContextManager:
    """Products of matrices on one core: these are small, and a second thread would only spin beside them."""
    return _libraries().limit(limits=1, user_api="blas")


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController()


def overall(names: Sequence[str]) -> dict[str, Callable]:
    """{measure: one number of all classes}"""
    return {name: METRICS[name].function.of for name in names}


def of_each_class(names: Sequence[str], classes: int) -> dict[tuple[str, str], Callable]:
    """{(measure, "each"): a number for each class against the rest}, of the measures that have such."""
    return {(name, "each"): functools.partial(METRICS[name].function.each, classes=list(range(classes)))
            for name in names if METRICS[name].function.each}


def limits(name: str, value: float | None, drawn: np.ndarray, freedom: float = math.inf) -> tuple[float, float] | None:
    """The interval of one measure: `middle` of what the draws gave, for average precision `around` its value.

    Args:
        name: a key of METRICS
        value: of the images as they are
        drawn, freedom: see `middle`
    """
    if value is None or np.isnan(value):
        return None
    return around(value, drawn, freedom) if name == "average_precision" else middle(drawn, freedom)


def middle(values: np.ndarray, freedom: float = math.inf) -> tuple[float, float] | None:
    """The middle 95 % of what the draws gave, or a little more of it where the patients are few.

    The percentile interval of Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13, is too narrow for few
    patients: by sqrt((n - 1) / n), and for the tails of Student's t. The expanded one of Hesterberg, Am Stat 69, 2015, section
    4.3.3, makes up for both: the ends are the quantiles Phi(-+ sqrt((f + 1) / f) t(0.975, f)) with f degrees of freedom.

    Args:
        values: (draws,), NaN where the measure was undefined
        freedom: see `degrees_of_freedom`

    Returns:
        (low, high); None where fewer than ENOUGH of the draws gave a number
    """
    known = values[~np.isnan(values)]
    if len(known) < ENOUGH * len(values) or not len(known):
        return None
    outside = NormalDist().cdf(-_reach(freedom))
    return tuple(np.quantile(known, (outside, 1 - outside)).tolist())


def around(value: float, values: np.ndarray, freedom: float = math.inf) -> tuple[float, float] | None:
    """The value -+ as many standard deviations of the draws, on the logit scale, where it cannot leave [0, 1].

    Average precision is too high for few images, and in draws of them, which repeat images, once more; so its draws lie beside
    its value. Boyd, Eng & Page, ECML PKDD 2013, find the logit scale to cover well. In simulations with 60 to 300 patients it
    held the truth in 95 to 96 % of 800 sets, `middle` in 90 to 96 %.

    Returns:
        as `middle`
    """
    known = values[~np.isnan(values)]
    if len(known) < ENOUGH * len(values) or not len(known):
        return None
    logits = _logit(known)
    half = _reach(freedom) * float(logits.std(ddof=1)) if len(known) > 1 else 0.0
    return tuple((1 / (1 + np.exp(-(_logit(value) + np.array([-half, half]))))).tolist())


def _logit(p):
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _reach(freedom: float) -> float:
    """Standard deviations to either side: Z for many patients, more for few."""
    return Z if math.isinf(freedom) else math.sqrt((freedom + 1) / freedom) * student(freedom)


def degrees_of_freedom(judged: Judged, patients: Sequence | None, k: int | None = None) -> float:
    """How many patients stand behind the spread of a measure: with 20 sick and 500 healthy it is more like 20 than like 520.

        f = (sum_c 1 / m_c)^2 / sum_c (1 / m_c^2) / (m_c - 1)

    m_c: patients with an image of class c; with several findings, those with and those without each: Satterthwaite, Biometrics
    Bull 2, 1946, for the mean of classes that vary alike.

    Args:
        k: for the measures of class k against the rest
    """
    codes = np.arange(len(judged.labels)) if patients is None else as_numbers(patients)
    truth = judged.truth if k is None else judged.truth[:, [k]]
    sides = [truth, ~truth] if judged.findings or k is not None else [truth]
    sizes = np.array([len(np.unique(codes[side])) for columns in sides for side in columns.T], float)
    share = 1 / sizes[sizes > 0]
    return float(share.sum() ** 2 / (share**2 / np.maximum(1 / share - 1, 1)).sum())


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, to 1 % from 2 degrees of freedom on and to 0.1 % from 5 on: Cornish and Fisher's
    expansion, (26.7.5) of Abramowitz & Stegun, Handbook of Mathematical Functions, 1964."""
    terms = ((Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96, (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
             (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160)
    return Z + sum(term / freedom ** (i + 1) for i, term in enumerate(terms))


def draw(images: int, patients: Sequence | None, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Weights of the images, (B, N) float32, until all draws are there. As many patients as there are, with replacement."""
    groups = np.arange(images) if patients is None else as_numbers(patients)
    generator, people = np.random.default_rng(seed), int(groups.max()) + 1
    for start in range(0, draws, TOGETHER):
        rows = min(TOGETHER, draws - start)
        drawn = generator.integers(0, people, (rows, people)) + people * np.arange(rows)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=rows * people).reshape(rows, people).astype(np.float32)
        # weights[:, groups] would lay the draws side by side in memory, and each later walk along the images would jump
        yield weights if patients is None else np.take(weights, groups, axis=1)


def as_numbers(patients: Sequence) -> np.ndarray:
    """(N,) int64 from 0, the same for the same patient. "" is nobody known: such an image is a patient of its own."""
    patients = np.asarray(patients)
    if patients.dtype.kind == "O":
        patients = patients.astype(str)
    codes = np.unique(patients, return_inverse=True)[1].ravel()
    if patients.dtype.kind != "U" or not (unknown := patients == "").any():
        return codes
    codes[unknown] = codes.max() + 1 + np.arange(unknown.sum())
    return np.unique(codes, return_inverse=True)[1].ravel()


class Prepared(Judged):
    """Answers, and in which order their weights are to be added up; made once for all draws."""

    @functools.cached_property
    def hits(self) -> tuple[np.ndarray, np.ndarray]:
        """Is the image in this cell of the confusion matrix, or, for several findings, of their little matrices? (N, C) float32.

        And which of the cells these are, (C,), counted along the rows: those in which there is an image.
        """
        side = 2 if self.findings else self.classes
        cell = side * self.labels + self.answers
        if self.findings:
            cell += 4 * np.arange(self.classes)
        occupied = np.unique(cell)
        return (cell.reshape(len(cell), -1, 1) == occupied).any(axis=1).astype(np.float32), occupied

    def segments(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images by falling score of class k (N,), the last image above each cut (T,), which are positive (N,) int32.

        A cut amid negatives moves no curve: it is left out, and so a rare finding has few.
        """
        if k not in self._segments:
            scores, positive = self.probs[:, k], self.truth[:, k]
            order = np.argsort(-scores, kind="stable")
            starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
            found = np.add.reduceat(positive[order].astype(np.int64), starts) > 0
            starts = starts[np.r_[True, found[1:] | found[:-1]]]
            self._segments[k] = order, np.r_[starts[1:], len(order)] - 1, positive[order].astype(np.int32)
        return self._segments[k]

    @functools.cached_property
    def _segments(self) -> dict[int, tuple]:
        return {}


class Drawn(Judged):
    """The same answers in B draws: all counts and means have the draws as their first axis."""

    def __init__(self, judged: Prepared, weights: np.ndarray):
        self.labels, self.probs, self.task, self.threshold = judged.labels, judged.probs, judged.task, judged.threshold
        self.findings, self.classes, self.averaged = judged.findings, judged.classes, judged.averaged
        self.truth, self.answers = judged.truth, judged.answers
        self.prepared, self.weights = judged, weights

    @functools.cached_property
    def whole(self) -> np.ndarray:
        """The weights as int32: a processor adds up whole numbers ten times as fast as it does float32, one after the other."""
        return self.weights.astype(np.int32)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """(B, K, K), or (B, K, 2, 2) for several findings."""
        shape = (self.classes, 2, 2) if self.findings else (self.classes, self.classes)
        hits, occupied = self.prepared.hits
        matrix = np.zeros((len(self.weights), math.prod(shape)))
        matrix[:, occupied] = self.weights @ hits
        return matrix.reshape(-1, *shape)

    @functools.cached_property
    def counts(self) -> Counts:
        """(B, K) each."""
        return counts(self.matrix, self.findings)

    def cuts(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) each."""
        if k not in self._cuts:
            order, last, positive = self.prepared.segments(k)
            weights = np.take(self.whole, order, axis=1)
            above = added_up(weights, last)
            weights *= positive
            tp = added_up(weights, last)
            self._cuts[k] = tp, above - tp
        return self._cuts[k]

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Weighted mean over the images: (B,) or (B, M)."""
        whole = self.weights.sum(axis=1)
        return (self.weights @ values.astype(np.float32)) / (whole if values.ndim == 1 else whole[:, None])

    def across(self, values: np.ndarray) -> np.ndarray:
        """Mean over the classes: of more than two, over those that are there. A finding of three images is missing in one draw of
        twenty, and the mean over fourteen would have no interval for its sake."""
        if self.classes < 3:
            return values.mean(axis=-1)
        known = ~np.isnan(values)
        there = known.sum(axis=-1)
        return np.where(there > 0, np.where(known, values, 0).sum(axis=-1) / np.maximum(there, 1), np.nan)


def added_up(weights: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The sum of the weights (B, N) from the first image to each of `last` (T,): (B, T) float32."""
    return np.take(np.cumsum(weights, axis=1, dtype=np.int32), last, axis=1).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------------- shares

def wilson_by_patient(right: np.ndarray, patients: Sequence | None = None) -> tuple[float, float]:
    """Wilson's interval of a share, for images that hang together: they count for as many as they are worth, see `worth`.

    Args:
        right: (n,) bool, n > 0
        patients: n names; None: all images are independent
    """
    right = np.asarray(right, bool)
    n, k = len(right), int(right.sum())
    many = n if patients is None else worth(as_numbers(patients)[np.argsort(~right, kind="stable")])[k]
    return wilson_interval(k / n * many, many)


def worth(patients: np.ndarray) -> np.ndarray:
    """For how many independent images n of them count, when the first k are right and the others wrong, k from 0 to n: (n + 1,).

    The share p = k / n varies between patients as if there were n / d images, where the design effect

        d = P / (P - 1) sum_j (r_j - p n_j)^2 / (n p (1 - p)),     r_j right ones among the n_j images of patient j

    is what the P patients add to the variance of the share of independent images: Kish, Survey Sampling, 1965, chapter 8. The
    n / d images go into Wilson's equation, as Korn & Graubard, Surv Methodol 24, 1998, do with Clopper and Pearson's. d is taken
    as 1 at least. At p = 0 and p = 1 nothing is known of d, and each patient counts once.

    Args:
        patients: (n,) numbers from 0, in the order in which the images become right, such as by falling score
    """
    n, sizes = len(patients), np.bincount(patients)
    sizes_of, people = sizes[patients], len(sizes)
    if people == n:
        return np.full(n + 1, float(n))
    order = np.argsort(patients, kind="stable")
    earlier = np.empty(n, np.int64)                    # images of the same patient that were right before
    earlier[order] = np.arange(n) - np.repeat(sizes.cumsum() - sizes, sizes)
    squares, products = np.cumsum(2 * earlier + 1), np.cumsum(sizes_of)                 # sum_j r_j^2 and sum_j r_j n_j
    p = np.arange(1, n) / n
    apart = squares[:-1] - 2 * p * products[:-1] + p**2 * float((sizes.astype(float)**2).sum())
    found = np.full(n + 1, float(people))
    if people > 1:
        found[1:-1] = n / np.maximum(people / (people - 1) * apart / (n * p * (1 - p)), 1)
    return found
