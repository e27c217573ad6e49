"""How good are the answers? Arrays in, numbers out; NumPy only.

    evaluate(labels, probs, task, class_names)   everything at once, ready for JSON, with notes in plain sentences
    measure(labels, probs, task)                 the single numbers alone, quickly: after each epoch of a training
    METRICS                                      the table of single numbers: meaning, equation, range, function

The letters of the shapes: N images, K classes (or K findings, where an image may have several).

    labels     (N,) int64 in 0..K-1, or (N, K) int64 of 0 and 1 for "multi-label, binary-class"
    probs      (N, K) in [0, 1]: softmax, so that a row sums to 1, or sigmoids for "multi-label, binary-class"
    task       MedMNIST's words, one of TASKS
    matrix     (K, K) counts, a row for each true and a column for each answered class; (K, 2, 2) for several findings

There are three families. Accuracy, sensitivity, precision, F1 and kappa judge the *answers* and are all read off the
confusion matrix. ROC AUC and average precision judge the *order* in which the scores put the images, before any
threshold: they live in core/ranking.py. Cross-entropy and the Brier score judge the *probabilities* themselves.

What cannot be known is None (in arrays: NaN), never a number: the ROC AUC of a class that has no image, the precision
of a class that was never answered. A mean over classes is given only where every class has its value.

Intervals are at 95 % and take the images as independent of each other. Several images of one patient are not: then the
truth is less sure than the interval says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.errors import LightboxError
from core.ranking import Z, area_of, auc_interval, average_precision_of, binary_auc, cuts, pr_curve, roc_curve  # noqa: F401

MULTI_LABEL = "multi-label, binary-class"
TASKS = ("binary-class", "multi-class", MULTI_LABEL, "ordinal-regression")
FEW = 10            # with fewer images than this a class gets a warning beside its numbers


# ---------------------------------------------------------------------------------------------------------- input

def check(labels: np.ndarray, probs: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels as int64 and probabilities as float64, or one sentence that says what does not fit.

    Raises:
        LightboxError: metrics.task, .shape, .empty, .nan, .probs or .labels
    """
    labels, probs = np.asarray(labels), np.asarray(probs)
    if task not in TASKS:
        raise LightboxError("metrics.task", f"There is no task called {task!r}.", f"It can be {'; '.join(TASKS)}.")
    if probs.ndim != 2 or probs.shape[1] < (1 if task == MULTI_LABEL else 2):
        raise LightboxError("metrics.shape", f"The probabilities have the shape {probs.shape}.",
                            "They need a row for each image and a column for each class; two classes have two columns.")
    wanted = probs.shape if task == MULTI_LABEL else probs.shape[:1]
    if labels.shape != wanted:
        raise LightboxError("metrics.shape", f"Labels have the shape {labels.shape}, probabilities {probs.shape}.",
                            f"For this task the labels must have the shape {wanted}.")
    if not len(probs):
        raise LightboxError("metrics.empty", "There are no images to judge.", "Choose a split that has some.")
    probs = probs.astype(np.float64, copy=False)
    if not np.isfinite(probs).all():
        raise LightboxError("metrics.nan", "Some probabilities are not numbers (NaN or infinite).",
                            "The training has diverged: start again with a smaller learning rate.")
    if probs.min() < 0 or probs.max() > 1:
        raise LightboxError("metrics.probs", f"The probabilities reach from {probs.min():.3g} to {probs.max():.3g}.",
                            "They must lie between 0 and 1: apply softmax or sigmoid to the logits first.")
    if task != MULTI_LABEL and abs(probs.sum(axis=1) - 1).max() > 0.02:      # bfloat16 is good for three digits
        raise LightboxError("metrics.probs", "The probabilities of an image do not sum to 1.",
                            "Apply softmax to the logits first.")
    if not np.array_equal(labels, labels.astype(np.int64)):
        raise LightboxError("metrics.labels", "Some labels are not whole numbers.",
                            "A label is the number of its class.")
    labels = labels.astype(np.int64, copy=False)
    top = 1 if task == MULTI_LABEL else probs.shape[1] - 1
    if labels.min() < 0 or labels.max() > top:
        raise LightboxError("metrics.labels", f"The labels reach from {labels.min()} to {labels.max()}.",
                            f"They must lie between 0 and {top}.")
    return labels, probs


def one_against_rest(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, K) bool: is image n of class k (or does it have finding k)?"""
    return labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(classes)


def predict(probs: np.ndarray, task: str, threshold: float = 0.5) -> np.ndarray:
    """The answers: the likeliest class (N,), or all findings above the threshold (N, K) of 0 and 1.

    With two classes the answer is 1 where its probability is above the threshold, which at 0.5 is the likeliest class.
    """
    if task == MULTI_LABEL:
        return (probs > threshold).astype(np.int64)
    if task == "binary-class":
        return (probs[:, 1] > threshold).astype(np.int64)
    return probs.argmax(axis=1)


# ------------------------------------------------------------------------------------- answers: the confusion matrix

def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each true class (row) got each answer (column): (K, K) int64.

    For several findings one little matrix each, (K, 2, 2): [[true neg., false pos.], [false neg., true pos.]].
    """
    if labels.ndim == 2:
        return np.stack([confusion_matrix(labels[:, k], predicted[:, k], 2) for k in range(classes)])
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def counts(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each class against the rest: true positives, false negatives, false positives, true negatives, (K,) each."""
    if matrix.ndim == 3:
        return matrix[:, 1, 1], matrix[:, 1, 0], matrix[:, 0, 1], matrix[:, 0, 0]
    tp = matrix.diagonal()
    fn, fp = matrix.sum(axis=1) - tp, matrix.sum(axis=0) - tp
    return tp, fn, fp, matrix.sum() - tp - fn - fp


def sensitivity(matrix: np.ndarray) -> np.ndarray:
    """Of the images of a class, the share that was found: TP / (TP + FN), (K,). NaN for a class without images."""
    tp, fn, _, _ = counts(matrix)
    return _ratio(tp, tp + fn)


recall = sensitivity        # the same number: medicine says sensitivity, information retrieval says recall


def specificity(matrix: np.ndarray) -> np.ndarray:
    """Of the images of all other classes, the share that was left alone: TN / (TN + FP), (K,)."""
    _, _, fp, tn = counts(matrix)
    return _ratio(tn, tn + fp)


def precision(matrix: np.ndarray) -> np.ndarray:
    """Of the images called a class, the share that was one: TP / (TP + FP), (K,). NaN for a class never answered."""
    tp, _, fp, _ = counts(matrix)
    return _ratio(tp, tp + fp)


def f1(matrix: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and sensitivity: 2 TP / (2 TP + FP + FN), (K,). 0 for a class that was never hit."""
    tp, fn, fp, _ = counts(matrix)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def cohen_kappa(matrix: np.ndarray, quadratic: bool = False) -> float | None:
    """Agreement with the labels beyond what chance gives: 1 is full, 0 is chance, below 0 is worse.

        kappa   = (p_o - p_c) / (1 - p_c)                 (eq. 1) of Cohen, Educ Psychol Meas 20, 1960
        kappa_w = 1 - sum_ij v_ij o_ij / sum_ij v_ij e_ij        Cohen, Psychol Bull 70, 1968

    The second holds for both: o are the counts, e those that independent raters with the same margins would have, and v
    is what a disagreement costs: 1 for the first kappa, (i - j)^2 for the quadratic one, where far is worse than near.
    For several findings: the mean of their kappas. None where only one class occurs among labels and answers together.
    """
    if matrix.ndim == 3:
        return _mean([cohen_kappa(one) for one in matrix])
    place = np.arange(len(matrix))
    cost = (place[:, None] - place) ** 2 if quadratic else place[:, None] != place
    expected = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()
    by_chance = (cost * expected).sum()
    return float(1 - (cost * matrix).sum() / by_chance) if by_chance else None


def majority_baseline(labels: np.ndarray, classes: int) -> tuple[float, int | None]:
    """The accuracy of a network that has learned nothing, and the class that it always answers: the most frequent one.

    For several findings it answers that there is none (None); the accuracy is that of all N x K answers.
    """
    if labels.ndim == 2:
        return float((labels == 0).mean()), None
    found = np.bincount(labels, minlength=classes)
    return float(found.max() / len(labels)), int(found.argmax())


# ------------------------------------------------------------------------------------------------------- intervals

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
    """Where `roc_auc` lies, for every task: `core.ranking.auc_interval`. None where it is undefined."""
    return auc_interval(*_columns(labels, probs, task))


def accuracy_interval(labels: np.ndarray, probs: np.ndarray, task: str) -> tuple[float, float]:
    """Wilson's interval of the accuracy.

    For several findings the K answers about one image hang together, so they count for as many independent ones as give
    the variance seen between images: at least N, at most N K.
    """
    labels, probs = check(labels, probs, task)
    right = predict(probs, task) == labels
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


# ----------------------------------------------------------------------- one number: (labels, probs, task) -> number

class Judged:
    """Answers that were checked, and what several numbers are read off; each made once, when first asked for."""

    def __init__(self, labels: np.ndarray, probs: np.ndarray, task: str):
        self.labels, self.probs = check(labels, probs, task)
        self.task, self.findings = task, task == MULTI_LABEL

    @functools.cached_property
    def truth(self) -> np.ndarray:
        """(N, K) bool, see `one_against_rest`."""
        return one_against_rest(self.labels, self.probs.shape[1])

    @functools.cached_property
    def answers(self) -> np.ndarray:
        return predict(self.probs, self.task)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        return confusion_matrix(self.labels, self.answers, self.probs.shape[1])

    @functools.cached_property
    def cuts(self) -> list[tuple]:
        """`core.ranking.cuts` of each class that a mean runs over. Sorting the scores is what takes long."""
        first = _first_column(self.task)
        return [cuts(t, s) for t, s in zip(self.truth[:, first:].T, self.probs[:, first:].T)]


def number(of: Callable[[Judged], float | None]) -> Callable:
    """A number that is computed of a Judged, as a function of (labels, probs, task); `.of` is the first form."""
    @functools.wraps(of)
    def function(labels: np.ndarray, probs: np.ndarray, task: str) -> float | None:
        return of(Judged(labels, probs, task))
    function.of = of
    return function


@number
def accuracy(judged: Judged) -> float:
    """Share of right answers; for several findings of all N x K answers, as the `medmnist` evaluator counts."""
    return float((judged.answers == judged.labels).mean())


@number
def roc_auc(judged: Judged) -> float | None:
    """Area under the ROC curve; beyond two classes the mean over classes, each against the rest, as `medmnist` does.

    None when a class or finding is absent (or a finding is in every image).
    """
    return _mean([area_of(tp, fp) for tp, fp, _ in judged.cuts])


@number
def average_precision(judged: Judged) -> float | None:
    """Average precision of class 1; beyond two classes the mean over classes, each against the rest."""
    return _mean([average_precision_of(tp, fp) for tp, fp, _ in judged.cuts])


@number
def cross_entropy(judged: Judged) -> float:
    """Mean of -log p of what was true, in nats; for several findings over all N x K answers. Even guesses: log K.

    p is cut at 2.2e-16, so that one sure mistake costs 36 and not infinity.
    """
    if judged.findings:
        of_truth = np.where(judged.labels == 1, judged.probs, 1 - judged.probs)
    else:
        of_truth = judged.probs[np.arange(len(judged.labels)), judged.labels]
    return float(-np.log(np.maximum(of_truth, np.finfo(np.float64).eps)).mean())


@number
def brier(judged: Judged) -> float:
    """Mean squared distance of the probabilities from the truth: 1/2 sum_k (p_k - y_k)^2; for findings (p - y)^2.

    Brier, Mon Weather Rev 78, 1950; the half keeps it in [0, 1] and makes two classes read as one.
    """
    error = (judged.probs - judged.truth) ** 2
    return float(error.mean() if judged.findings else error.sum(axis=1).mean() / 2)


@number
def balanced_accuracy(judged: Judged) -> float | None:
    """Mean of the classes' sensitivities; for several findings, of sensitivity and specificity. One answer: 1 / K."""
    rates = [sensitivity(judged.matrix), specificity(judged.matrix)] if judged.findings else sensitivity(judged.matrix)
    return _mean(np.ravel(rates))


@number
def macro_f1(judged: Judged) -> float | None:
    """Mean of the classes' F1, also where there are two."""
    return _mean(f1(judged.matrix))


@number
def kappa(judged: Judged) -> float | None:
    """`cohen_kappa` of the answers."""
    return cohen_kappa(judged.matrix)


@number
def quadratic_kappa(judged: Judged) -> float | None:
    """`cohen_kappa` with quadratic weights; None unless the classes have an order."""
    return cohen_kappa(judged.matrix, quadratic=True) if judged.task == "ordinal-regression" else None


def one_number(rate: Callable) -> Callable:
    """A rate per class as one number: that of class 1, the finding, where there are two; otherwise the mean."""
    def of(judged: Judged) -> float | None:
        rates = rate(judged.matrix)
        return _mean(rates[1:] if judged.task == "binary-class" else rates)
    of.__doc__ = rate.__doc__
    return number(of)


@dataclass(frozen=True)
class Metric:
    """One row of METRICS: what a page shows beside a number, and how to get it."""

    title: str
    help: str                       # one sentence, for a tooltip
    equation: str                   # LaTeX
    range: tuple[float, float]
    higher_is_better: bool
    function: Callable              # (labels, probs, task) -> float | None; made by `number`


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        "Accuracy", "Share of right answers; compare it with always giving the most frequent one.",
        r"\frac{\text{right answers}}{n}", (0, 1), True, accuracy),
    "roc_auc": Metric(
        "ROC AUC", "Chance that an image of the class scores above an image of another class: 0.5 is guessing.",
        r"P(s_+ > s_-) + \tfrac12 P(s_+ = s_-)", (0, 1), True, roc_auc),
    "average_precision": Metric(
        "Average precision", "Precision averaged over all found images of the class: guessing gives the class's share.",
        r"\sum_t (S_t - S_{t-1}) P_t", (0, 1), True, average_precision),
    "balanced_accuracy": Metric(
        "Balanced accuracy", "Mean of all classes' sensitivities, so that a rare class counts as much as a common one.",
        r"\frac1K \sum_k \frac{TP_k}{TP_k + FN_k}", (0, 1), True, balanced_accuracy),
    "sensitivity": Metric(
        "Sensitivity", "Of the images that have the finding, the share that was found; also called recall.",
        r"\frac{TP}{TP + FN}", (0, 1), True, one_number(sensitivity)),
    "specificity": Metric(
        "Specificity", "Of the images without the finding, the share that was rightly left alone.",
        r"\frac{TN}{TN + FP}", (0, 1), True, one_number(specificity)),
    "precision": Metric(
        "Precision", "Of the images that were called positive, the share that was; it falls when the finding is rare.",
        r"\frac{TP}{TP + FP}", (0, 1), True, one_number(precision)),
    "f1": Metric(
        "F1", "Harmonic mean of precision and sensitivity: high only where both are.",
        r"\frac{2\,TP}{2\,TP + FP + FN}", (0, 1), True, one_number(f1)),
    "macro_f1": Metric(
        "Macro F1", "Mean of the F1 of all classes, so that a rare class counts as much as a frequent one.",
        r"\frac1K \sum_k F1_k", (0, 1), True, macro_f1),
    "cohen_kappa": Metric(
        "Cohen's kappa", "Agreement with the labels beyond chance: 0 is chance, 1 is full agreement.",
        r"\frac{p_o - p_c}{1 - p_c}", (-1, 1), True, kappa),
    "quadratic_kappa": Metric(
        "Quadratic kappa", "Cohen's kappa for grades: an answer two grades off costs four times one grade off.",
        r"1 - \frac{\sum (i-j)^2 o_{ij}}{\sum (i-j)^2 e_{ij}}", (-1, 1), True, quadratic_kappa),
    "loss": Metric(
        "Cross-entropy", "What training makes small: the surprise at the truth, in nats; severe on sure mistakes.",
        r"-\frac1n \sum_i \ln p_{i, y_i}", (0, float("inf")), False, cross_entropy),
    "brier": Metric(
        "Brier score", "Squared distance of the probabilities from the truth: 0 is right and sure, 1 wrong and sure.",
        r"\frac{1}{2n} \sum_i \sum_k (p_{ik} - y_{ik})^2", (0, 1), False, brier),
}


# -------------------------------------------------------------------------------------------------------- all at once

def measure(labels: np.ndarray, probs: np.ndarray, task: str) -> dict[str, float | None]:
    """Every number of METRICS, None where it is undefined. What they have in common is computed once.

    Raises LightboxError as `check` does.
    """
    return _numbers(Judged(labels, probs, task))


def _numbers(judged: Judged) -> dict[str, float | None]:
    return {name: metric.function.of(judged) for name, metric in METRICS.items()}


def evaluate(labels: np.ndarray, probs: np.ndarray, task: str, class_names) -> dict:
    """Every number of METRICS and what is needed to judge it, as a dict that goes straight into JSON.

    Args:
        labels, probs, task: as at the top of this file
        class_names: K names, in the order of the columns of `probs`

    Returns:
        each key of METRICS: float, or None where it is undefined
        task, class_names, n, n_per_class {name: images}
        accuracy_interval, roc_auc_interval: [low, high] at 95 %, or None
        majority_accuracy, majority_class: always giving the most frequent answer (class None: no finding at all)
        per_class: a row for each class: class, n, sensitivity, specificity, both with interval, precision, f1, roc_auc
        confusion_matrix: nested lists, rows are the true classes
        notes: plain sentences on what is undefined, or not to be trusted

    Raises:
        LightboxError: "metrics.shape" where the names do not fit, and all that `check` raises
    """
    labels, probs = check(labels, probs, task)
    names = [str(name) for name in class_names]
    if len(names) != probs.shape[1] or len(set(names)) != len(names):
        raise LightboxError("metrics.shape", f"There are {len(set(names))} different class names, but {probs.shape[1]} "
                            "columns of probabilities.", "Give each class a name of its own.")
    judged = Judged(labels, probs, task)
    truth, matrix = judged.truth, judged.matrix
    majority, majority_class = majority_baseline(labels, len(names))
    result = _numbers(judged)
    result |= {
        "task": task, "class_names": names, "n": len(labels),
        "n_per_class": dict(zip(names, truth.sum(axis=0).tolist())),
        "accuracy_interval": list(accuracy_interval(labels, probs, task)),
        "roc_auc_interval": _list(roc_auc_interval(labels, probs, task)),
        "majority_accuracy": majority,
        "majority_class": None if majority_class is None else names[majority_class],
        "per_class": _per_class(truth, probs, matrix, names),
        "confusion_matrix": matrix.tolist(),
    }
    return result | {"notes": _notes(result, predict(probs, task))}


def _per_class(truth: np.ndarray, probs: np.ndarray, matrix: np.ndarray, names: list[str]) -> list[dict]:
    rates = {rate.__name__: rate(matrix) for rate in (sensitivity, specificity, precision, f1)}
    rows = []
    for k, (tp, fn, fp, tn) in enumerate(zip(*(c.tolist() for c in counts(matrix)))):
        rows.append({"class": names[k], "n": tp + fn} | {name: _none(values[k]) for name, values in rates.items()} | {
            "sensitivity_interval": _list(wilson_interval(tp, tp + fn) if tp + fn else None),
            "specificity_interval": _list(wilson_interval(tn, tn + fp) if tn + fp else None),
            "roc_auc": binary_auc(truth[:, k], probs[:, k])})
    return rows


def _notes(result: dict, predicted: np.ndarray) -> list[str]:
    """What a careful reader would say about these numbers."""
    notes, rows, n, findings = [], result["per_class"], result["n"], result["task"] == MULTI_LABEL
    absent = [row["class"] for row in rows if row["n"] == 0]
    if absent:
        notes.append(f"ROC AUC is undefined: no image of class {_names(absent)} here.")
    everywhere = [row["class"] for row in rows if row["n"] == n] if findings else []
    if everywhere:
        notes.append(f"ROC AUC is undefined: every image here has {_names(everywhere)}.")
    unused = [row["class"] for row in rows if row["precision"] is None]
    if not findings and (predicted == predicted[0]).all():
        notes.append(f"Every image got the same answer, {_names([rows[predicted[0]]['class']])}: "
                     "at this threshold the network does not tell the classes apart.")
    elif unused:
        notes.append(f"Precision is undefined for {_names(unused)}: no image got that answer.")
    best, (low, _) = result["majority_accuracy"], result["accuracy_interval"]
    always = "that there is no finding" if findings else _names([result["majority_class"]])
    if result["accuracy"] <= best:
        notes.append(f"The accuracy is not above always answering {always} ({best:.3f}).")
    elif low <= best:
        notes.append(f"The accuracy may be no better than always answering {always} ({best:.3f}): "
                     "its interval reaches down to that.")
    few = [row["class"] for row in rows if 0 < row["n"] < FEW]
    if few:
        notes.append(f"Fewer than {FEW} images of {_names(few)}: one image more or less changes those numbers visibly.")
    return notes


# ------------------------------------------------------------------------------------------------------- small parts

def _first_column(task: str) -> int:
    """Two classes are one column of a mean over classes: the other mirrors it."""
    return 1 if task == "binary-class" else 0


def _columns(labels, probs, task) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of the classes that a mean runs over."""
    labels, probs = check(labels, probs, task)
    first = _first_column(task)
    return one_against_rest(labels, probs.shape[1])[:, first:], probs[:, first:]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values) -> float | None:
    """Mean, or None where one of them is unknown."""
    values = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return None if np.isnan(values).any() else float(values.mean())


def _none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _list(limits: tuple | None) -> list | None:
    return None if limits is None else list(limits)


def _names(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
