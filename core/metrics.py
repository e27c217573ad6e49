"""How good are the answers? Arrays in, numbers out; NumPy only.

    evaluate(labels, probs, task, class_names)   everything at once, ready for JSON, with notes in plain sentences
    measure(labels, probs, task)                 the single numbers alone, quickly: after each epoch of a training
    METRICS                                      the table of single numbers: meaning, equation, range, function

The letters of the shapes: N images, K classes (or K findings, where an image may have several).

    labels     (N,) int64 in 0..K-1, or (N, K) int64 of 0 and 1 for "multi-label, binary-class"
    probs      (N, K) in [0, 1]: softmax, so that a row sums to 1, or sigmoids for "multi-label, binary-class"
    task       MedMNIST's words, one of TASKS
    matrix     (K, K) counts, a row for each true and a column for each answered class; (K, 2, 2) for several findings

There are three families. Accuracy, sensitivity, precision, F1, kappa and Matthews judge the *answers* and are all read off
the confusion matrix: core/answers.py. ROC AUC and average precision judge the *order* in which the scores put the images,
before any threshold: core/ranking.py. Cross-entropy and the Brier score judge the *probabilities* themselves.

What cannot be known is None (in arrays: NaN), never a number: the ROC AUC of a class that has no image, the precision
of a class that was never answered. A mean over classes is given only where every class has its value.

Intervals in this file are at 95 % and take the images as independent of each other. Several images of one patient are not:
`core.judge.intervals` knows of patients.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.answers import (  # noqa: F401    some are offered from here too
    MULTI_LABEL,
    TASKS,
    Counts,
    binary_kappa,
    binary_matthews,
    cohen_kappa,
    confusion_matrix,
    counts,
    f1,
    kappas,
    majority_baseline,
    matthews,
    npv,
    one_against_rest,
    precision,
    predict,
    ratio,
    recall,
    sensitivity,
    specificity,
)
from core.errors import LightboxError
from core.ranking import Z, area_of, auc_interval, average_precision_of, binary_auc, cuts, pr_curve, roc_curve  # noqa: F401

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


# ----------------------------------------------------------------------- one number: (labels, probs, task) -> number

class Judged:
    """Answers that were checked, and what several numbers are read off; each made once, when first asked for.

    A number is a function of a Judged and gives an array, NaN where it is undefined: a single value for these images, or,
    where the counts below come with more axes in front, a value for each of many draws (see core/judge/intervals.py).
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
        return _none(of(Judged(labels, probs, task, threshold)))
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


@dataclass(frozen=True)
class Metric:
    """One row of METRICS: what a page shows beside a number, and how to get it."""

    title: str
    help: str                       # one sentence, for a tooltip
    equation: str                   # LaTeX
    range: tuple[float, float]
    higher_is_better: bool
    function: Callable              # (labels, probs, task, threshold=0.5) -> float | None; made by `number`


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
        r"\frac{TP}{TP + FN}", (0, 1), True, of_rate(sensitivity)),
    "specificity": Metric(
        "Specificity", "Of the images without the finding, the share that was rightly left alone.",
        r"\frac{TN}{TN + FP}", (0, 1), True, of_rate(specificity)),
    "precision": Metric(
        "Precision (PPV)", "Of the images that were called positive, the share that was; it falls when the finding is rare.",
        r"\frac{TP}{TP + FP}", (0, 1), True, of_rate(precision)),
    "npv": Metric(
        "NPV", "Negative predictive value: of the images that were called negative, the share that was.",
        r"\frac{TN}{TN + FN}", (0, 1), True, of_rate(npv)),
    "f1": Metric(
        "F1 (binary)", "Harmonic mean of precision and sensitivity of class 1; beyond two classes the mean over classes.",
        r"\frac{2\,TP}{2\,TP + FP + FN}", (0, 1), True, of_rate(f1)),
    "macro_f1": Metric(
        "Macro F1", "Mean of the F1 of all classes, so that a rare class counts as much as a frequent one.",
        r"\frac1K \sum_k F1_k", (0, 1), True, macro_f1),
    "micro_f1": Metric(
        "Micro F1", "F1 of all classes' counts added up; with one class per image it is the accuracy under another name.",
        r"\frac{2 \sum_k TP_k}{\sum_k (2\,TP_k + FP_k + FN_k)}", (0, 1), True, micro_f1),
    "weighted_f1": Metric(
        "Weighted F1", "Mean of the F1 of all classes, each counting as often as it has images: a rare one hardly counts.",
        r"\frac1n \sum_k n_k F1_k", (0, 1), True, weighted_f1),
    "cohen_kappa": Metric(
        "Cohen's kappa", "Agreement with the labels beyond chance: 0 is chance, 1 is full agreement.",
        r"\frac{p_o - p_c}{1 - p_c}", (-1, 1), True, kappa),
    "quadratic_kappa": Metric(
        "Quadratic kappa", "Cohen's kappa for grades: an answer two grades off costs four times one grade off.",
        r"1 - \frac{\sum (i-j)^2 o_{ij}}{\sum (i-j)^2 e_{ij}}", (-1, 1), True, quadratic_kappa),
    "matthews": Metric(
        "Matthews correlation", "Correlation of answers and labels: 0 is chance, 1 is full agreement, also for rare findings.",
        r"\frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP+FN)(FP+TN)(TP+FP)(FN+TN)}}", (-1, 1), True, matthews_correlation),
    "loss": Metric(
        "Cross-entropy", "What training makes small: the surprise at the truth, in nats; severe on sure mistakes.",
        r"-\frac1n \sum_i \ln p_{i, y_i}", (0, float("inf")), False, cross_entropy),
    "brier": Metric(
        "Brier score", "Squared distance of the probabilities from the truth: 0 is right and sure, 1 wrong and sure.",
        r"\frac{1}{2n} \sum_i \sum_k (p_{ik} - y_{ik})^2", (0, 1), False, brier),
}


# -------------------------------------------------------------------------------------------------------- all at once

def measure(labels: np.ndarray, probs: np.ndarray, task: str, threshold: float | np.ndarray = 0.5) -> dict[str, float | None]:
    """Every number of METRICS, None where it is undefined. What they have in common is computed once.

    Raises LightboxError as `check` does.
    """
    return _numbers(Judged(labels, probs, task, threshold))


def _numbers(judged: Judged) -> dict[str, float | None]:
    return {name: _none(metric.function.of(judged)) for name, metric in METRICS.items()}


def evaluate(labels: np.ndarray, probs: np.ndarray, task: str, class_names, threshold: float | np.ndarray = 0.5) -> dict:
    """Every number of METRICS and what is needed to judge it, as a dict that goes straight into JSON.

    Args:
        labels, probs, task: as at the top of this file
        class_names: K names, in the order of the columns of `probs`
        threshold: as in `predict`

    Returns:
        each key of METRICS: float, or None where it is undefined
        task, class_names, n, n_per_class {name: images}
        accuracy_interval, roc_auc_interval: [low, high] at 95 %, or None
        majority_accuracy, majority_class: always giving the most frequent answer (class None: no finding at all)
        per_class: a row for each class: class, n, sensitivity, specificity, both with interval, precision, npv, f1, roc_auc
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
    judged = Judged(labels, probs, task, threshold)
    truth, matrix = judged.truth, judged.matrix
    majority, majority_class = majority_baseline(labels, len(names))
    result = _numbers(judged)
    result |= {
        "task": task, "class_names": names, "n": len(labels),
        "n_per_class": dict(zip(names, truth.sum(axis=0).tolist())),
        "accuracy_interval": list(accuracy_interval(labels, probs, task, threshold)),
        "roc_auc_interval": _list(roc_auc_interval(labels, probs, task)),
        "majority_accuracy": majority,
        "majority_class": None if majority_class is None else names[majority_class],
        "per_class": _per_class(truth, probs, matrix, names),
        "confusion_matrix": matrix.tolist(),
    }
    return result | {"notes": notes_of(result)}


def _per_class(truth: np.ndarray, probs: np.ndarray, matrix: np.ndarray, names: list[str]) -> list[dict]:
    rates = {rate.__name__: rate(matrix) for rate in (sensitivity, specificity, precision, npv, f1)}
    rows = []
    for k, (tp, fn, fp, tn) in enumerate(zip(*(c.tolist() for c in counts(matrix)))):
        rows.append({"class": names[k], "n": tp + fn} | {name: _none(values[k]) for name, values in rates.items()} | {
            "sensitivity_interval": _list(wilson_interval(tp, tp + fn) if tp + fn else None),
            "specificity_interval": _list(wilson_interval(tn, tn + fp) if tn + fp else None),
            "roc_auc": binary_auc(truth[:, k], probs[:, k])})
    return rows


def notes_of(result: dict) -> list[str]:
    """What a careful reader would say about the numbers of `evaluate`, the gravest first."""
    rows, n, findings = result["per_class"], result["n"], result["task"] == MULTI_LABEL
    tp, _, fp, _ = counts(np.array(result["confusion_matrix"]), findings)
    called, notes = tp + fp, []
    if findings and not called.any():
        notes.append(f"The network has collapsed: at this threshold it sees no finding on any of the {n:,} images.")
    elif findings and (called == n).all():
        notes.append(f"The network has collapsed: at this threshold it sees every finding on all {n:,} images.")
    elif not findings and called.max() == n:
        notes.append(f"Every image got the same answer, {_names([rows[called.argmax()]['class']])}, all {n:,} of them: "
                     "at this threshold the network does not tell the classes apart.")
    best, (low, _) = result["majority_accuracy"], result["accuracy_interval"]
    always = "that there is no finding" if findings else _names([result["majority_class"]])
    if result["accuracy"] <= best:
        notes.append(f"The accuracy ({result['accuracy']:.3f}) is not above always answering {always} ({best:.3f}).")
    elif low <= best:
        notes.append(f"The accuracy may be no better than always answering {always} ({best:.3f}): "
                     f"its interval reaches down to {low:.3f}.")
    absent = [row["class"] for row in rows if row["n"] == 0]
    if absent:
        notes.append(f"ROC AUC is undefined: no image of class {_names(absent)} here.")
    everywhere = [row["class"] for row in rows if row["n"] == n] if findings else []
    if everywhere:
        notes.append(f"ROC AUC is undefined: every image here has {_names(everywhere)}.")
    unused = [row["class"] for row in rows if row["precision"] is None]
    if unused and (findings or called.max() < n):
        notes.append(f"Precision is undefined for {_names(unused)}: no image got that answer.")
    few = [row["class"] for row in rows if 0 < row["n"] < FEW]
    if few:
        notes.append(f"Fewer than {FEW} images of {_names(few)}: one image more or less changes those numbers visibly.")
    return notes


# ------------------------------------------------------------------------------------------------------- small parts

def _columns(labels, probs, task) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of the classes that a mean runs over."""
    labels, probs = check(labels, probs, task)
    first = 1 if task == "binary-class" else 0           # two classes are one column: the other mirrors it
    return one_against_rest(labels, probs.shape[1])[:, first:], probs[:, first:]


def _nats(p: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(p, np.finfo(np.float64).eps))


def _none(value: np.ndarray | float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _list(limits: tuple | None) -> list | None:
    return None if limits is None else list(limits)


def _names(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
