"""One number of many answers: the measures as functions of (labels, probs, task), and of answers that were checked once."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from core.metrics.confusion import (
    MULTI_LABEL,
    Counts,
    binary_kappa,
    binary_matthews,
    confusion_matrix,
    counts,
    f1,
    kappas,
    matthews,
    one_against_rest,
    predict,
    ratio,
    sensitivity,
    specificity,
)
from core.metrics.input import check
from core.metrics.ranking import area_of, average_precision_of, cuts


class Judged:
    """Answers that were checked, and what several numbers are read off; each made once, when first asked for.

    A number is a function of a Judged and gives an array, NaN where it is undefined: a single value for these images, or,
    where the counts below come with more axes in front, a value for each of many draws (see core/metrics/resampling.py).
    """

    def __init__(self, labels: np.ndarray, probs: np.ndarray, task: str, threshold: float | np.ndarray = 0.5):
        self.labels, self.probs = check(labels, probs, task)
        self.task, self.threshold, self.findings = task, threshold, task == MULTI_LABEL
        self.classes = self.probs.shape[1]
        self.averaged = [1] if task == "binary-class" else list(range(self.classes))    # two classes mirror each other

    @functools.cached_property
    def truth(self) -> np.ndarray:
        """(N, K) bool, see `one_against_rest`."""
        return one_against_rest(self.labels, self.classes)

    @functools.cached_property
    def answers(self) -> np.ndarray:
        """(N,) or (N, K) int64, see `predict`."""
        return predict(self.probs, self.task, self.threshold)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """(K, K), or (K, 2, 2) for several findings."""
        return confusion_matrix(self.labels, self.answers, self.classes)

    @functools.cached_property
    def counts(self) -> Counts:
        """(K,) each."""
        return counts(self.matrix, self.findings)

    def cuts(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """True and false positives of class k at each cut of its scores, (T,) each. Sorting is what takes long: kept."""
        if k not in self._cuts:
            self._cuts[k] = cuts(self.truth[:, k], self.probs[:, k])[:2]
        return self._cuts[k]

    @functools.cached_property
    def _cuts(self) -> dict[int, tuple]:
        return {}

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Over the images, which are the first axis."""
        return values.mean(axis=0)

    def across(self, values: np.ndarray) -> np.ndarray:
        """Mean over the classes, which are the last axis: undefined where one of them is."""
        return values.mean(axis=-1)


def number(of: Callable[[Judged], np.ndarray], each: Callable | None = None) -> Callable:
    """A number that is computed of a Judged, as a function of (labels, probs, task); `.of` is the first form.

    Args:
        each: (judged, classes) -> the same for each of these classes against the rest: `.each`, None where there is no such
    """
    @functools.wraps(of)
    def function(labels: np.ndarray, probs: np.ndarray, task: str, threshold: float | np.ndarray = 0.5) -> float | None:
        return none_for_nan(of(Judged(labels, probs, task, threshold)))
    function.of, function.each = of, each
    return function


def of_each(each: Callable[[Judged, list[int]], np.ndarray]) -> Callable:
    """A number per class as one number: that of class 1, the finding, where there are two; otherwise the mean."""
    def of(judged: Judged) -> np.ndarray:
        return judged.across(each(judged, judged.averaged))
    of.__doc__ = each.__doc__
    return number(of, each)


def of_rate(rate: Callable[[Counts], np.ndarray]) -> Callable:
    """The same for a rate of the confusion matrix."""
    def each(judged: Judged, classes: list[int]) -> np.ndarray:
        return rate(judged.counts)[..., classes]
    each.__doc__ = rate.__doc__
    return of_each(each)


def _accuracy(judged: Judged) -> np.ndarray:
    """Share of right answers; for several findings of all N x K answers, as the `medmnist` evaluator counts."""
    right = judged.answers == judged.labels
    return judged.mean(right.mean(axis=1) if judged.findings else right)


def _accuracies(judged: Judged, classes: list[int]) -> np.ndarray:
    """Of each class against the rest: (TP + TN) / n."""
    tp, fn, fp, tn = judged.counts
    return ratio(tp + tn, tp + fn + fp + tn)[..., classes]


accuracy = number(_accuracy, _accuracies)


@of_each
def roc_auc(judged: Judged, classes: list[int]) -> np.ndarray:
    """Area under the ROC curve; beyond two classes the mean over classes, each against the rest, as `medmnist` does.

    None when a class or finding is absent (or a finding is in every image).
    """
    return np.stack([area_of(*judged.cuts(k)) for k in classes], axis=-1)


@of_each
def average_precision(judged: Judged, classes: list[int]) -> np.ndarray:
    """Average precision of class 1; beyond two classes the mean over classes, each against the rest."""
    return np.stack([average_precision_of(*judged.cuts(k)) for k in classes], axis=-1)


def _surprise(judged: Judged) -> np.ndarray:
    """Mean of -log p of what was true, in nats; for several findings over all N x K answers. Even guesses: log K.

    p is cut at 2.2e-16, so that one sure mistake costs 36 and not infinity.
    """
    if judged.findings:
        return _surprises(judged, judged.averaged).mean(axis=-1)
    return judged.mean(_nats(judged.probs[np.arange(len(judged.labels)), judged.labels]))


def _surprises(judged: Judged, classes: list[int]) -> np.ndarray:
    """Of each class against the rest."""
    p = judged.probs[:, classes]
    return judged.mean(_nats(np.where(judged.truth[:, classes], p, 1 - p)))


cross_entropy = number(_surprise, _surprises)


def _distance(judged: Judged) -> np.ndarray:
    """Mean squared distance of the probabilities from the truth: 1/2 sum_k (p_k - y_k)^2; for findings (p - y)^2.

    Brier, Mon Weather Rev 78, 1950; the half keeps it in [0, 1] and makes two classes read as one.
    """
    of_classes = _distances(judged, range(judged.classes))
    return of_classes.mean(axis=-1) if judged.findings else of_classes.sum(axis=-1) / 2


def _distances(judged: Judged, classes: list[int]) -> np.ndarray:
    """Of each class against the rest."""
    return judged.mean((judged.probs[:, classes] - judged.truth[:, classes]) ** 2)


brier = number(_distance, _distances)


def _balanced(judged: Judged) -> np.ndarray:
    """Mean of the classes' sensitivities; for several findings, of sensitivity and specificity. One answer: 1 / K."""
    if judged.findings:
        return judged.across(_balanced_each(judged, judged.averaged))
    return judged.across(sensitivity(judged.counts))


def _balanced_each(judged: Judged, classes: list[int]) -> np.ndarray:
    """Of each class against the rest: mean of sensitivity and specificity."""
    return ((sensitivity(judged.counts) + specificity(judged.counts)) / 2)[..., classes]


balanced_accuracy = number(_balanced, _balanced_each)


@number
def macro_f1(judged: Judged) -> np.ndarray:
    """Mean of the classes' F1, also where there are two."""
    return judged.across(f1(judged.counts))


@number
def micro_f1(judged: Judged) -> np.ndarray:
    """F1 of all classes' counts added up. With one class per image that is the accuracy."""
    return f1(Counts(*(c.sum(axis=-1) for c in judged.counts)))


@number
def weighted_f1(judged: Judged) -> np.ndarray:
    """Mean of the classes' F1, each counting as often as it has images; a class without images counts nothing."""
    images = judged.counts.tp + judged.counts.fn
    return ratio((np.nan_to_num(f1(judged.counts)) * images).sum(axis=-1), images.sum(axis=-1))


def _kappa(judged: Judged) -> np.ndarray:
    """`cohen_kappa` of the answers."""
    values = kappas(judged.matrix)
    return judged.across(values) if judged.findings else values


kappa = number(_kappa, of_rate(binary_kappa).each)


def _quadratic_kappa(judged: Judged) -> np.ndarray | None:
    """`cohen_kappa` with quadratic weights; None unless the classes have an order."""
    return kappas(judged.matrix, quadratic=True) if judged.task == "ordinal-regression" else None


quadratic_kappa = number(_quadratic_kappa)


def _matthews(judged: Judged) -> np.ndarray:
    """`matthews` of the answers; for several findings the mean of theirs."""
    values = matthews(judged.matrix)
    return judged.across(values) if judged.findings else values


matthews_correlation = number(_matthews, of_rate(binary_matthews).each)


def _nats(p: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(p, np.finfo(np.float64).eps))


def none_for_nan(value: np.ndarray | float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
