"""The confusion matrix and everything that is computed from it. Arrays in, numbers out; NumPy only.

    matrix   (K, K) counts, a row for each true and a column for each predicted class; (K, 2, 2) for several findings
    rate     (K,): each class against the rest, or each finding: NaN where it is undefined

Rates take a matrix, or the `Counts` of many matrices at once: then the classes are the last axis, and all
axes before it stay. That is how `core.metrics.resampling` computes a rate of a thousand bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MULTI_LABEL = "multi-label, binary-class"
TASKS = ("binary-class", "multi-class", MULTI_LABEL, "ordinal-regression")


def one_against_rest(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return (N, K) bool: is image n of class k (or does it have finding k)?"""
    return labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(classes)


def is_known(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return (N, K) bool: is it known whether image n is of class k? Not where the finding has the label -1."""
    return labels >= 0 if labels.ndim == 2 else np.ones((len(labels), classes), bool)


def predict(probs: np.ndarray, task: str, threshold: float | np.ndarray = 0.5) -> np.ndarray:
    """Return the predicted class (N,), or all findings above the threshold, (N, K) of 0 and 1.

    Of two classes it is class 1 where its probability is above the threshold; of more the most probable one:
    there is no threshold then.

    Args:
        probs: (N, K) in [0, 1]
        threshold: in [0, 1]; one for each finding, (K,), where an image may have several

    >>> predict(np.array([[.7, .3], [.2, .8]]), "binary-class", threshold=0.25).tolist()
    [1, 1]
    """
    if task == MULTI_LABEL:
        return (probs > np.asarray(threshold)).astype(np.int64)
    if task == "binary-class":
        return (probs[:, 1] > threshold).astype(np.int64)
    return probs.argmax(axis=1)


def positive_last(matrix: np.ndarray, names: Sequence[str], positive: int = 1) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return (matrix, names) in the one order in which a confusion matrix is shown: as stored, but the positive one of two
    classes last. Rows are the true class, columns the predicted one.

    >>> matrix, names = positive_last(np.array([[5, 1], [2, 9]]), ("ill", "well"), positive=0)
    >>> matrix.tolist(), names
    ([[9, 2], [1, 5]], ('well', 'ill'))
    """
    order = [1, 0] if len(names) == 2 and positive == 0 else range(len(names))
    return np.asarray(matrix)[np.ix_(order, order)], tuple(names[k] for k in order)


def thresholds_of_classes(threshold: float | np.ndarray, task: str, classes: int) -> np.ndarray | None:
    """Return the probability above which each class is predicted, (K,); None where the most probable of
    several classes is.

    Of two classes a threshold is that of class 1: an image above 1 - t for class 0 is below t for class 1.
    """
    if task == MULTI_LABEL:
        return np.broadcast_to(np.asarray(threshold, np.float64), classes).copy()
    return np.array([1 - float(threshold), float(threshold)]) if task == "binary-class" else None


# --------------------------------------------------------------------------------------- the confusion matrix

def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count how often each true class (row) was predicted as each class (column): (K, K) int64.

    For several findings a matrix of each, (K, 2, 2): [[true neg., false pos.], [false neg., true pos.]]. What is not known
    (-1) is not counted.

    >>> confusion_matrix(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2).tolist()
    [[1, 1], [0, 2]]
    """
    if labels.ndim == 2:
        return np.stack([confusion_matrix(labels[:, k], predicted[:, k], 2) for k in range(classes)])
    labels, predicted = labels[labels >= 0], predicted[labels >= 0]
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


class Counts(NamedTuple):
    """Each class against the rest: true positives, false negatives, false positives, true negatives, (..., K)
    each."""
    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    tn: np.ndarray


def counts(matrix: np.ndarray | Counts, multi_label: bool | None = None) -> Counts:
    """Return the counts of a confusion matrix, or of many: (..., K, K), or (..., K, 2, 2) with `multi_label`.

    Without `multi_label` three axes mean several findings. Counts are returned as they are.
    """
    if isinstance(matrix, Counts):
        return matrix
    if multi_label is None:
        multi_label = matrix.ndim == 3
    if multi_label:
        return Counts(matrix[..., 1, 1], matrix[..., 1, 0], matrix[..., 0, 1], matrix[..., 0, 0])
    tp = np.diagonal(matrix, axis1=-2, axis2=-1)
    fn, fp = matrix.sum(axis=-1) - tp, matrix.sum(axis=-2) - tp
    return Counts(tp, fn, fp, matrix.sum(axis=(-2, -1))[..., None] - tp - fn - fp)


# ------------------------------------------------------------------------- rates: each class against the rest

def sensitivity(matrix: np.ndarray | Counts) -> np.ndarray:
    """Return the share of a class that is predicted as that class: TP / (TP + FN), (K,). NaN for a class
    without images.

    >>> sensitivity(np.array([[8, 2], [1, 9]])).tolist()
    [0.8, 0.9]
    """
    tp, fn, _, _ = counts(matrix)
    return ratio(tp, tp + fn)


def specificity(matrix: np.ndarray | Counts) -> np.ndarray:
    """Return the share of all other classes that is not predicted as a class: TN / (TN + FP), (K,)."""
    _, _, fp, tn = counts(matrix)
    return ratio(tn, tn + fp)


def precision(matrix: np.ndarray | Counts) -> np.ndarray:
    """Return the share of the predictions of a class that is correct: TP / (TP + FP), (K,). NaN for a class
    never predicted."""
    tp, _, fp, _ = counts(matrix)
    return ratio(tp, tp + fp)


def npv(matrix: np.ndarray | Counts) -> np.ndarray:
    """Return the share of the other predictions that is correct: TN / (TN + FN), (K,). NaN for a class always
    predicted."""
    _, fn, _, tn = counts(matrix)
    return ratio(tn, tn + fn)


def f1(matrix: np.ndarray | Counts) -> np.ndarray:
    """Return the harmonic mean of precision and sensitivity: 2 TP / (2 TP + FP + FN), (K,)."""
    tp, fn, fp, _ = counts(matrix)
    return ratio(2 * tp, 2 * tp + fp + fn)


def binary_kappa(matrix: np.ndarray | Counts) -> np.ndarray:
    """Return `cohen_kappa` of each class against the rest, (K,)."""
    tp, fn, fp, tn = (c.astype(np.float64) for c in counts(matrix))
    return ratio(2 * (tp * tn - fp * fn), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))


def binary_matthews(matrix: np.ndarray | Counts) -> np.ndarray:
    """Return `matthews` of each class against the rest, (K,): (TP TN - FP FN) / sqrt of the product of the
    four margins."""
    tp, fn, fp, tn = (c.astype(np.float64) for c in counts(matrix))
    return _correlation(tp * tn - fp * fn, (tp + fn) * (fp + tn), (tp + fp) * (fn + tn))


# ----------------------------------------------------------------------------- agreement over all the classes

def cohen_kappa(matrix: np.ndarray, quadratic: bool = False) -> float | None:
    """Return the agreement with the labels beyond chance: 1 is full, 0 is chance, below 0 is worse.

        kappa   = (p_o - p_c) / (1 - p_c)                 (eq. 1) of Cohen, Educ Psychol Meas 20, 1960
        kappa_w = 1 - sum_ij v_ij o_ij / sum_ij v_ij e_ij        Cohen, Psychol Bull 70, 1968

    The second holds for both: o are the counts, e those expected of independent raters with the same margins,
    and v is what a disagreement costs: 1 for the first kappa, (i - j)^2 for the quadratic one, where far is
    worse than near. For several findings: the mean of their kappas. None where only one class occurs among
    labels and predictions together.

    >>> cohen_kappa(np.array([[20, 5], [10, 15]]))
    0.4
    """
    value = float(kappas(matrix, quadratic).mean())
    return None if np.isnan(value) else value


def kappas(matrix: np.ndarray, quadratic: bool = False) -> np.ndarray:
    """Return `cohen_kappa` of each of many matrices (..., K, K): (...), NaN where it is undefined."""
    place = np.arange(matrix.shape[-1])
    cost = (place[:, None] - place) ** 2 if quadratic else place[:, None] != place
    whole = matrix.sum(axis=(-2, -1), dtype=np.float64)[..., None, None]
    expected = matrix.sum(axis=-1, dtype=np.float64)[..., :, None] * matrix.sum(axis=-2)[..., None,
                                                                                         :] / np.maximum(whole, 1)
    by_chance = (cost * expected).sum(axis=(-2, -1))
    return 1 - ratio((cost * matrix).sum(axis=(-2, -1)), by_chance)


def matthews(matrix: np.ndarray) -> np.ndarray:
    """Return the correlation of predictions and labels, from -1 to 1, of each of many matrices (..., K, K):
    (...).

        R_K = (c s - sum_k p_k t_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2))

    c correct predictions of s, t_k images and p_k predictions of class k: (eq. 8) of Gorodkin, Comput Biol
    Chem 28, 2004. With two classes it is that of Matthews, Biochim Biophys Acta 405, 1975. 0 where all
    predictions or all labels are the same, NaN where both are.
    """
    matrix = matrix.astype(np.float64)
    true, predicted, whole = matrix.sum(axis=-1), matrix.sum(axis=-2), matrix.sum(axis=(-2, -1))
    correct = np.trace(matrix, axis1=-2, axis2=-1)
    return _correlation(correct * whole - (true * predicted).sum(axis=-1), whole**2 - (true**2).sum(axis=-1),
                        whole**2 - (predicted**2).sum(axis=-1))


def majority_baseline(labels: np.ndarray, classes: int) -> tuple[float, int | None]:
    """Return the accuracy of always predicting the most frequent class, and that class.

    For several findings: of predicting none of them (class None), over all known of the N x K labels.

    >>> majority_baseline(np.array([0, 1, 1, 1]), 2)
    (0.75, 1)
    """
    if labels.ndim == 2:
        return float((labels == 0).sum() / max((labels >= 0).sum(), 1)), None
    images = np.bincount(labels, minlength=classes)
    return float(images.max() / len(labels)), int(images.argmax())


# ------------------------------------------------------------------------------------------------ small parts

def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where the whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _correlation(covariance: np.ndarray, spread_a: np.ndarray, spread_b: np.ndarray) -> np.ndarray:
    """Return covariance / sqrt(spread_a spread_b); 0 where one of them does not spread, NaN where neither
    does."""
    spread = np.sqrt(spread_a) * np.sqrt(spread_b)
    value = np.where(spread > 0, covariance / np.where(spread > 0, spread, 1), 0.0)
    return np.where((spread_a <= 0) & (spread_b <= 0), np.nan, value)
