"""The table of measures: what a page shows beside each number, and how to get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.metrics.confusion import f1, npv, precision, sensitivity, specificity
from core.metrics.numbers import (
    Judged,
    accuracy,
    average_precision,
    balanced_accuracy,
    brier,
    cross_entropy,
    kappa,
    macro_f1,
    matthews_correlation,
    micro_f1,
    none_for_nan,
    of_rate,
    quadratic_kappa,
    roc_auc,
    weighted_f1,
)


@dataclass(frozen=True)
class Metric:
    """One row of METRICS: what a page shows beside a number, and how to get it."""

    title: str
    help: str                       # one sentence, for a tooltip
    equation: str                   # LaTeX
    function: Callable              # (labels, probs, task, threshold=0.5) -> float | None; made by `number`
    range: tuple[float, float] = (0, 1)
    higher_is_better: bool = True


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        "Accuracy", "Share of right answers; compare it with always giving the most frequent one.",
        r"\frac{\text{right answers}}{n}", accuracy),
    "roc_auc": Metric(
        "ROC AUC", "Chance that an image of the class scores above an image of another class: 0.5 is guessing.",
        r"P(s_+ > s_-) + \tfrac12 P(s_+ = s_-)", roc_auc),
    "average_precision": Metric(
        "Average precision", "Precision averaged over all found images of the class: guessing gives the class's share.",
        r"\sum_t (S_t - S_{t-1}) P_t", average_precision),
    "balanced_accuracy": Metric(
        "Balanced accuracy", "Mean of all classes' sensitivities, so that a rare class counts as much as a common one.",
        r"\frac1K \sum_k \frac{TP_k}{TP_k + FN_k}", balanced_accuracy),
    "sensitivity": Metric(
        "Sensitivity", "Of the images that have the finding, the share that was found; also called recall.",
        r"\frac{TP}{TP + FN}", of_rate(sensitivity)),
    "specificity": Metric(
        "Specificity", "Of the images without the finding, the share that was rightly left alone.",
        r"\frac{TN}{TN + FP}", of_rate(specificity)),
    "precision": Metric(
        "Precision (PPV)", "Of the images that were called positive, the share that was; it falls when the finding is rare.",
        r"\frac{TP}{TP + FP}", of_rate(precision)),
    "npv": Metric(
        "NPV", "Negative predictive value: of the images that were called negative, the share that was.",
        r"\frac{TN}{TN + FN}", of_rate(npv)),
    "f1": Metric(
        "F1 (binary)", "Harmonic mean of precision and sensitivity of class 1; beyond two classes the mean over classes.",
        r"\frac{2\,TP}{2\,TP + FP + FN}", of_rate(f1)),
    "macro_f1": Metric(
        "Macro F1", "Mean of the F1 of all classes, so that a rare class counts as much as a frequent one.",
        r"\frac1K \sum_k F1_k", macro_f1),
    "micro_f1": Metric(
        "Micro F1", "F1 of all classes' counts added up; with one class per image it is the accuracy under another name.",
        r"\frac{2 \sum_k TP_k}{\sum_k (2\,TP_k + FP_k + FN_k)}", micro_f1),
    "weighted_f1": Metric(
        "Weighted F1", "Mean of the F1 of all classes, each counting as often as it has images: a rare one hardly counts.",
        r"\frac1n \sum_k n_k F1_k", weighted_f1),
    "cohen_kappa": Metric(
        "Cohen's kappa", "Agreement with the labels beyond chance: 0 is chance, 1 is full agreement.",
        r"\frac{p_o - p_c}{1 - p_c}", kappa, (-1, 1)),
    "quadratic_kappa": Metric(
        "Quadratic kappa", "Cohen's kappa for grades: an answer two grades off costs four times one grade off.",
        r"1 - \frac{\sum (i-j)^2 o_{ij}}{\sum (i-j)^2 e_{ij}}", quadratic_kappa, (-1, 1)),
    "matthews": Metric(
        "Matthews correlation", "Correlation of answers and labels: 0 is chance, 1 is full agreement, also for rare findings.",
        r"\frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP+FN)(FP+TN)(TP+FP)(FN+TN)}}", matthews_correlation, (-1, 1)),
    "loss": Metric(
        "Cross-entropy", "What training makes small: the surprise at the truth, in nats; severe on sure mistakes.",
        r"-\frac1n \sum_i \ln p_{i, y_i}", cross_entropy, (0, float("inf")), False),
    "brier": Metric(
        "Brier score", "Squared distance of the probabilities from the truth: 0 is right and sure, 1 wrong and sure.",
        r"\frac{1}{2n} \sum_i \sum_k (p_{ik} - y_{ik})^2", brier, higher_is_better=False),
}


def measure(labels: np.ndarray, probs: np.ndarray, task: str, threshold: float | np.ndarray = 0.5) -> dict[str, float | None]:
    """Every number of METRICS, None where it is undefined. What they have in common is computed once.

    Raises LightboxError as `check` does.
    """
    return numbers_of(Judged(labels, probs, task, threshold))


def numbers_of(judged: Judged) -> dict[str, float | None]:
    return {name: none_for_nan(metric.function.of(judged)) for name, metric in METRICS.items()}
