"""The metrics as functions of (labels, probs, task), and of a Sample that was checked once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from core.metrics.confusion import (
    MULTI_LABEL,
    Counts,
    binary_kappa,
    binary_matthews,
    confusion_matrix,
    counts,
    f1,
    is_known,
    kappas,
    matthews,
    one_against_rest,
    precision,
    predict,
    ratio,
    sensitivity,
    specificity,
)
from core.metrics.input import check
from core.metrics.ranking import area_of, average_precision_of, cuts


class Sample:
    """Labels and predictions that were checked, and what several metrics share; each part is computed once,
    when first needed.

    A metric is a function of a Sample and returns an array, NaN where it is undefined: one value for these
    images or, of the Resamples of core/metrics/resampling.py, one value for each bootstrap resample.
    """

    def __init__(self, labels: np.ndarray, probs: np.ndarray, task: str, threshold: float | np.ndarray = 0.5):
        self.labels, self.probs = check(labels, probs, task)
        self.task, self.threshold, self.multi_label = task, threshold, task == MULTI_LABEL
        self.classes = self.probs.shape[1]
        # two classes mirror each other
        self.averaged = [1] if task == "binary-class" else list(range(self.classes))

    @functools.cached_property
    def truth(self) -> np.ndarray:
        """(N, K) bool, see `one_against_rest`."""
        return one_against_rest(self.labels, self.classes)

    @functools.cached_property
    def known(self) -> np.ndarray:
        """(N, K) bool, see `is_known`."""
        return is_known(self.labels, self.classes)

    @functools.cached_property
    def complete(self) -> bool:
        """Whether all labels are known."""
        return bool(self.known.all())

    @functools.cached_property
    def preds(self) -> np.ndarray:
        """(N,) or (N, K) int64, see `predict`."""
        return predict(self.probs, self.task, self.threshold)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """(K, K), or (K, 2, 2) for several findings."""
        return confusion_matrix(self.labels, self.preds, self.classes)

    @functools.cached_property
    def counts(self) -> Counts:
        """(K,) each."""
        return counts(self.matrix, self.multi_label)

    def cuts(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """True and false positives of class k at each cut of its scores, (T,) each. Sorting is slow, so they
        are kept."""
        if k not in self._cuts:
            of = self.known[:, k]
            self._cuts[k] = cuts(self.truth[of, k], self.probs[of, k])[:2]
        return self._cuts[k]

    @functools.cached_property
    def _cuts(self) -> dict[int, tuple]:
        return {}

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Average over the images, the first axis."""
        return values.mean(axis=0)

    def mean_of_known(self, values: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        """Average (N, M) over the images of which each of M classes is known: (M,)."""
        if self.complete:
            return self.mean(values)
        known = self.known[:, classes]
        return ratio(self.mean(values * known), self.mean(known))

    def mean_of_all(self, values: np.ndarray) -> np.ndarray:
        """Average (N, K) over all known labels."""
        if self.complete:
            return self.mean(values.mean(axis=1))
        return ratio(self.mean((values * self.known).sum(axis=1)), self.mean(self.known.sum(axis=1)))

    def across(self, values: np.ndarray) -> np.ndarray:
        """Average over the classes, the last axis: undefined where one of them is."""
        return values.mean(axis=-1)


def metric(of_sample: Callable[[Sample], np.ndarray], per_class: Callable | None = None) -> Callable:
    """Make a function of (labels, probs, task, threshold) of a function of a Sample, which stays as
    `.of_sample`.

    Args:
        per_class: (sample, classes) -> the metric of each of these classes against the rest; kept as
            `.per_class`, None where a metric has no such
    """
    @functools.wraps(of_sample)
    def function(labels: np.ndarray, probs: np.ndarray, task: str,
                 threshold: float | np.ndarray = 0.5) -> float | None:
        return none_for_nan(of_sample(Sample(labels, probs, task, threshold)))
    function.of_sample, function.per_class = of_sample, per_class
    return function


def macro(per_class: Callable[[Sample, list[int]], np.ndarray]) -> Callable:
    """Make one metric of one per class: that of class 1 where there are two classes, otherwise the mean."""
    def of_sample(sample: Sample) -> np.ndarray:
        return sample.across(per_class(sample, sample.averaged))
    of_sample.__name__, of_sample.__doc__ = per_class.__name__, per_class.__doc__
    return metric(of_sample, per_class)


def of_rate(rate: Callable[[Counts], np.ndarray]) -> Callable:
    """Do the same for a rate of the confusion matrix."""
    def per_class(sample: Sample, classes: list[int]) -> np.ndarray:
        return rate(sample.counts)[..., classes]
    per_class.__name__, per_class.__doc__ = rate.__name__, rate.__doc__
    return macro(per_class)


def none_for_nan(value: np.ndarray | float | None) -> float | None:
    """Return a float, or None for NaN."""
    return None if value is None or np.isnan(value) else float(value)


# ----------------------------------------------------------------------------------- of the predicted classes

def _accuracy(sample: Sample) -> np.ndarray:
    """Return the share of correct predictions; for several findings of all N x K, as the `medmnist` evaluator
    counts.

    >>> accuracy(np.array([0, 1, 1]), np.array([[.9, .1], [.6, .4], [.2, .8]]), "binary-class")
    0.6666666666666666
    """
    correct = sample.preds == sample.labels
    return sample.mean_of_all(correct) if sample.multi_label else sample.mean(correct)


def _accuracy_per_class(sample: Sample, classes: list[int]) -> np.ndarray:
    """Return (TP + TN) / n of each class against the rest."""
    tp, fn, fp, tn = sample.counts
    return ratio(tp + tn, tp + fn + fp + tn)[..., classes]


accuracy = metric(_accuracy, _accuracy_per_class)


def _balanced_accuracy(sample: Sample) -> np.ndarray:
    """Return the mean sensitivity of the classes; for several findings, the mean of sensitivity and
    specificity."""
    if sample.multi_label:
        return sample.across(_balanced_accuracy_per_class(sample, sample.averaged))
    return sample.across(sensitivity(sample.counts))


def _balanced_accuracy_per_class(sample: Sample, classes: list[int]) -> np.ndarray:
    """Return the mean of sensitivity and specificity of each class against the rest."""
    return ((sensitivity(sample.counts) + specificity(sample.counts)) / 2)[..., classes]


balanced_accuracy = metric(_balanced_accuracy, _balanced_accuracy_per_class)


@metric
def macro_f1(sample: Sample) -> np.ndarray:
    """Return the mean F1 of the classes, also where there are two."""
    return sample.across(f1(sample.counts))


@metric
def macro_precision(sample: Sample) -> np.ndarray:
    """Return the mean precision of the classes, also where there are two; undefined where one is never predicted."""
    return sample.across(precision(sample.counts))


@metric
def micro_f1(sample: Sample) -> np.ndarray:
    """Return the F1 of all classes' counts added up. With one class per image that is the accuracy."""
    return f1(Counts(*(c.sum(axis=-1) for c in sample.counts)))


@metric
def weighted_f1(sample: Sample) -> np.ndarray:
    """Return the mean F1 of the classes, weighted by their number of images."""
    images = sample.counts.tp + sample.counts.fn
    return ratio((np.nan_to_num(f1(sample.counts)) * images).sum(axis=-1), images.sum(axis=-1))


def _cohen_kappa(sample: Sample) -> np.ndarray:
    """Return Cohen's kappa, see `core.metrics.confusion.cohen_kappa`."""
    values = kappas(sample.matrix)
    return sample.across(values) if sample.multi_label else values


kappa = metric(_cohen_kappa, of_rate(binary_kappa).per_class)


@metric
def quadratic_kappa(sample: Sample) -> np.ndarray | None:
    """Return Cohen's kappa with quadratic weights; None unless the classes have an order."""
    return kappas(sample.matrix, quadratic=True) if sample.task == "ordinal-regression" else None


def _matthews(sample: Sample) -> np.ndarray:
    """Return the correlation of predictions and labels, see `core.metrics.confusion.matthews`; the mean over
    findings."""
    values = matthews(sample.matrix)
    return sample.across(values) if sample.multi_label else values


matthews_correlation = metric(_matthews, of_rate(binary_matthews).per_class)


# --------------------------------------------------------------------------------- of the order of the scores

@macro
def roc_auc(sample: Sample, classes: list[int]) -> np.ndarray:
    """Return the area under the ROC curve; beyond two classes the mean over classes, one against the rest, as
    `medmnist`.

    None when a class or finding is absent (or a finding is in every image).

    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.6, .4], [.65, .35], [.2, .8]]), "binary-class")
    0.75
    """
    return np.stack([area_of(*sample.cuts(k)) for k in classes], axis=-1)


@macro
def average_precision(sample: Sample, classes: list[int]) -> np.ndarray:
    """Return the average precision of class 1; beyond two classes the mean over classes, one against the
    rest."""
    return np.stack([average_precision_of(*sample.cuts(k)) for k in classes], axis=-1)


# --------------------------------------------------------------------------------------- of the probabilities

def _cross_entropy(sample: Sample) -> np.ndarray:
    """Return the mean of -log p of the true class, in nats; for several findings over all N x K. Uniform
    guesses: log K.

    p is clipped at 2.2e-16, so that one confident mistake costs 36 and not infinity.
    """
    if sample.multi_label:
        if sample.complete:
            return _cross_entropy_per_class(sample, sample.averaged).mean(axis=-1)
        return sample.mean_of_all(_nats(np.where(sample.truth, sample.probs, 1 - sample.probs)))
    return sample.mean(_nats(sample.probs[np.arange(len(sample.labels)), sample.labels]))


def _cross_entropy_per_class(sample: Sample, classes: list[int]) -> np.ndarray:
    """Return the same of each class against the rest."""
    p = sample.probs[:, classes]
    return sample.mean_of_known(_nats(np.where(sample.truth[:, classes], p, 1 - p)), classes)


def _nats(p: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(p, np.finfo(np.float64).eps))


cross_entropy = metric(_cross_entropy, _cross_entropy_per_class)


def _brier(sample: Sample) -> np.ndarray:
    """Return the mean squared distance of the probabilities from the truth: 1/2 sum_k (p_k - y_k)^2; for
    findings (p - y)^2.

    Brier, Mon Weather Rev 78, 1950; the half keeps it in [0, 1] and makes two classes read as one.
    """
    if not sample.complete:
        return sample.mean_of_all((sample.probs - sample.truth) ** 2)
    per_class = _brier_per_class(sample, range(sample.classes))
    return per_class.mean(axis=-1) if sample.multi_label else per_class.sum(axis=-1) / 2


def _brier_per_class(sample: Sample, classes: list[int]) -> np.ndarray:
    """Return the same of each class against the rest."""
    return sample.mean_of_known((sample.probs[:, classes] - sample.truth[:, classes]) ** 2, classes)


brier = metric(_brier, _brier_per_class)
