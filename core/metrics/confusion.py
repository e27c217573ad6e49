"""What answers are worth: all that is read off the confusion matrix. Arrays in, numbers out; NumPy only.

Before this an answer was made of the probabilities (`predict`); `core.metrics.ranking` judges the order of the scores instead, and
`core.metrics` puts both together and makes one number of a number per class.

    matrix   (K, K) counts, a row for each true and a column for each answered class; (K, 2, 2) for several findings
    rate     (K,): each class against all others, or each finding: NaN where it cannot be known

Rates take a matrix, or the `Counts` of many matrices at once: then the axis of the classes is the last, and all that come
before it stay. That is how `core.metrics.resampling` asks for the same number a thousand times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MULTI_LABEL = "multi-label, binary-class"
TASKS = ("binary-class", "multi-class", MULTI_LABEL, "ordinal-regression")


def one_against_rest(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, K) bool: is image n of class k (or does it have finding k)?"""
    return labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(classes)


def predict(probs: np.ndarray, task: str, threshold: float | np.ndarray = 0.5) -> np.ndarray:
    """The answers: the likeliest class (N,), or all findings above the threshold (N, K) of 0 and 1.

    With two classes the answer is 1 where its probability is above the threshold, which at 0.5 is the likeliest class. More
    than two classes have no threshold.

    Args:
        probs: (N, K) in [0, 1]
        threshold: in [0, 1]; one for each finding, (K,), where an image may have several
    """
    if task == MULTI_LABEL:
        return (probs > np.asarray(threshold)).astype(np.int64)
    if task == "binary-class":
        return (probs[:, 1] > threshold).astype(np.int64)
    return probs.argmax(axis=1)


def thresholds_of_classes(threshold: float | np.ndarray, task: str, classes: int) -> np.ndarray | None:
    """Above which probability each class is called, (K,); None where the likeliest of several classes is the answer.

    Of two classes a threshold is that of class 1: who is above 1 - t for class 0 is below t for class 1.
    """
    if task == MULTI_LABEL:
        return np.broadcast_to(np.asarray(threshold, np.float64), classes).copy()
    return np.array([1 - float(threshold), float(threshold)]) if task == "binary-class" else None


# --------------------------------------------------------------------------------------------------- the confusion matrix

def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each true class (row) got each answer (column): (K, K) int64.

    For several findings one little matrix each, (K, 2, 2): [[true neg., false pos.], [false neg., true pos.]].
    """
    if labels.ndim == 2:
        return np.stack([confusion_matrix(labels[:, k], predicted[:, k], 2) for k in range(classes)])
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


class Counts(NamedTuple):
    """Each class against the rest: true positives, false negatives, false positives, true negatives, (..., K) each."""
    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray
    tn: np.ndarray


def counts(matrix: np.ndarray | Counts, findings: bool | None = None) -> Counts:
    """The counts of a confusion matrix, or of many: (..., K, K), or (..., K, 2, 2) with `findings`.

    Without `findings` three axes mean several findings. Counts are given back as they are.
    """
    if isinstance(matrix, Counts):
        return matrix
    if matrix.ndim == 3 if findings is None else findings:
        return Counts(matrix[..., 1, 1], matrix[..., 1, 0], matrix[..., 0, 1], matrix[..., 0, 0])
    tp = np.diagonal(matrix, axis1=-2, axis2=-1)
    fn, fp = matrix.sum(axis=-1) - tp, matrix.sum(axis=-2) - tp
    return Counts(tp, fn, fp, matrix.sum(axis=(-2, -1))[..., None] - tp - fn - fp)


# -------------------------------------------------------------------------------------- rates: each class against the rest

def sensitivity(matrix: np.ndarray | Counts) -> np.ndarray:
    """Of the images of a class, the share that was found: TP / (TP + FN), (K,). NaN for a class without images."""
    tp, fn, _, _ = counts(matrix)
    return ratio(tp, tp + fn)


recall = sensitivity        # the same number: medicine says sensitivity, information retrieval says recall


def specificity(matrix: np.ndarray | Counts) -> np.ndarray:
    """Of the images of all other classes, the share that was left alone: TN / (TN + FP), (K,)."""
    _, _, fp, tn = counts(matrix)
    return ratio(tn, tn + fp)


def precision(matrix: np.ndarray | Counts) -> np.ndarray:
    """Of the images called a class, the share that was one: TP / (TP + FP), (K,). NaN for a class never answered."""
    tp, _, fp, _ = counts(matrix)
    return ratio(tp, tp + fp)


def npv(matrix: np.ndarray | Counts) -> np.ndarray:
    """Of the images not called a class, the share that was none: TN / (TN + FN), (K,). NaN for a class always answered."""
    _, fn, _, tn = counts(matrix)
    return ratio(tn, tn + fn)


def f1(matrix: np.ndarray | Counts) -> np.ndarray:
    """Harmonic mean of precision and sensitivity: 2 TP / (2 TP + FP + FN), (K,). 0 for a class that was never hit."""
    tp, fn, fp, _ = counts(matrix)
    return ratio(2 * tp, 2 * tp + fp + fn)


def binary_kappa(matrix: np.ndarray | Counts) -> np.ndarray:
    """`cohen_kappa` of each class against the rest, (K,)."""
    tp, fn, fp, tn = (c.astype(np.float64) for c in counts(matrix))
    return ratio(2 * (tp * tn - fp * fn), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))


def binary_matthews(matrix: np.ndarray | Counts) -> np.ndarray:
    """`matthews` of each class against the rest, (K,): (TP TN - FP FN) / sqrt of the product of the four margins."""
    tp, fn, fp, tn = (c.astype(np.float64) for c in counts(matrix))
    return _correlation(tp * tn - fp * fn, (tp + fn) * (fp + tn), (tp + fp) * (fn + tn))


# ----------------------------------------------------------------------------------------- agreement over all the classes

def cohen_kappa(matrix: np.ndarray, quadratic: bool = False) -> float | None:
    """Agreement with the labels beyond what chance gives: 1 is full, 0 is chance, below 0 is worse.

        kappa   = (p_o - p_c) / (1 - p_c)                 (eq. 1) of Cohen, Educ Psychol Meas 20, 1960
        kappa_w = 1 - sum_ij v_ij o_ij / sum_ij v_ij e_ij        Cohen, Psychol Bull 70, 1968

    The second holds for both: o are the counts, e those that independent raters with the same margins would have, and v
    is what a disagreement costs: 1 for the first kappa, (i - j)^2 for the quadratic one, where far is worse than near.
    For several findings: the mean of their kappas. None where only one class occurs among labels and answers together.
    """
    value = float(kappas(matrix, quadratic).mean())
    return None if np.isnan(value) else value


def kappas(matrix: np.ndarray, quadratic: bool = False) -> np.ndarray:
    """`cohen_kappa` of each of many matrices (..., K, K): (...), NaN where it is undefined."""
    place = np.arange(matrix.shape[-1])
    cost = (place[:, None] - place) ** 2 if quadratic else place[:, None] != place
    whole = matrix.sum(axis=(-2, -1), dtype=np.float64)[..., None, None]
    expected = matrix.sum(axis=-1, dtype=np.float64)[..., :, None] * matrix.sum(axis=-2)[..., None, :] / np.maximum(whole, 1)
    by_chance = (cost * expected).sum(axis=(-2, -1))
    return 1 - ratio((cost * matrix).sum(axis=(-2, -1)), by_chance)


def matthews(matrix: np.ndarray) -> np.ndarray:
    """Correlation of answers and labels, from -1 to 1, of each of many matrices (..., K, K): (...).

        R_K = (c s - sum_k p_k t_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2))

    c right answers of s, t_k images of class k, p_k answers k: (eq. 8) of Gorodkin, Comput Biol Chem 28, 2004. With two
    classes it is that of Matthews, Biochim Biophys Acta 405, 1975. 0 where all answers or all labels are the same, NaN
    where both are.
    """
    matrix = matrix.astype(np.float64)
    true, answered, whole = matrix.sum(axis=-1), matrix.sum(axis=-2), matrix.sum(axis=(-2, -1))
    right = np.trace(matrix, axis1=-2, axis2=-1)
    return _correlation(right * whole - (true * answered).sum(axis=-1), whole**2 - (true**2).sum(axis=-1),
                        whole**2 - (answered**2).sum(axis=-1))


def majority_baseline(labels: np.ndarray, classes: int) -> tuple[float, int | None]:
    """The accuracy of a network that has learned nothing, and the class that it always answers: the most frequent one.

    For several findings it answers that there is none (None); the accuracy is that of all N x K answers.
    """
    if labels.ndim == 2:
        return float((labels == 0).mean()), None
    found = np.bincount(labels, minlength=classes)
    return float(found.max() / len(labels)), int(found.argmax())


# ------------------------------------------------------------------------------------------------------------ small parts

def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is nothing to take a part of."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _correlation(covariance: np.ndarray, spread_a: np.ndarray, spread_b: np.ndarray) -> np.ndarray:
    """covariance / sqrt(spread_a spread_b); 0 where one of them does not spread, NaN where neither does."""
    spread = np.sqrt(spread_a) * np.sqrt(spread_b)
    value = np.where(spread > 0, covariance / np.where(spread > 0, spread, 1), 0.0)
    return np.where((spread_a <= 0) & (spread_b <= 0), np.nan, value)
