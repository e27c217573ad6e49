"""The table of metrics: what a page shows beside each number, and how to compute it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.metrics.confusion import f1, npv, precision, sensitivity, specificity
from core.metrics.functions import (
    Sample,
    accuracy,
    average_precision,
    balanced_accuracy,
    brier,
    cross_entropy,
    kappa,
    macro_f1,
    macro_precision,
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
    """One row of METRICS."""

    title: str
    help: str                       # one sentence, for a tooltip
    equation: str                   # LaTeX
    # (labels, probs, task, threshold=0.5) -> float | None; made by `functions.metric`
    function: Callable
    range: tuple[float, float] = (0, 1)
    higher_is_better: bool = True


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        "Accuracy",
        "Share of correct predictions; compare it with always predicting the most frequent class.",
        r"\frac{\text{correct}}{n}", accuracy),
    "roc_auc": Metric(
        "ROC AUC", "Probability that a positive image scores higher than a negative one: 0.5 is guessing.",
        r"P(s_+ > s_-) + \tfrac12 P(s_+ = s_-)", roc_auc),
    "average_precision": Metric(
        "Average precision",
        "Area under the precision-recall curve: guessing gives the prevalence of the class.",
        r"\sum_t (S_t - S_{t-1}) P_t", average_precision),
    "balanced_accuracy": Metric(
        "Balanced accuracy",
        "Mean sensitivity of all classes (macro recall), so that a rare class counts as much as a common one.",
        r"\frac1K \sum_k \frac{TP_k}{TP_k + FN_k}", balanced_accuracy),
    "sensitivity": Metric(
        "Sensitivity", "Share of the positive images that are predicted positive; also called recall.",
        r"\frac{TP}{TP + FN}", of_rate(sensitivity)),
    "specificity": Metric(
        "Specificity", "Share of the negative images that are predicted negative.",
        r"\frac{TN}{TN + FP}", of_rate(specificity)),
    "precision": Metric(
        "Precision (PPV)",
        "Share of the positive predictions that are correct; it falls when the finding is rare.",
        r"\frac{TP}{TP + FP}", of_rate(precision)),
    "npv": Metric(
        "NPV", "Negative predictive value: share of the negative predictions that are correct.",
        r"\frac{TN}{TN + FN}", of_rate(npv)),
    "f1": Metric(
        "F1 (binary)",
        "Harmonic mean of precision and sensitivity of the positive class; beyond two classes the mean over "
        "classes.",
        r"\frac{2\,TP}{2\,TP + FP + FN}", of_rate(f1)),
    "macro_f1": Metric(
        "Macro F1", "Mean F1 of all classes, so that a rare class counts as much as a frequent one.",
        r"\frac1K \sum_k F1_k", macro_f1),
    "macro_precision": Metric(
        "Macro precision", "Mean precision of all classes, so that a rare class counts as much as a frequent one.",
        r"\frac1K \sum_k \frac{TP_k}{TP_k + FP_k}", macro_precision),
    "micro_f1": Metric(
        "Micro F1",
        "F1 of the pooled counts of all classes; with one class per image it equals the accuracy.",
        r"\frac{2 \sum_k TP_k}{\sum_k (2\,TP_k + FP_k + FN_k)}", micro_f1),
    "weighted_f1": Metric(
        "Weighted F1",
        "Mean F1 of all classes weighted by their number of images: a rare class hardly counts.",
        r"\frac1n \sum_k n_k F1_k", weighted_f1),
    "cohen_kappa": Metric(
        "Cohen's kappa", "Agreement with the labels beyond chance: 0 is chance, 1 is full agreement.",
        r"\frac{p_o - p_c}{1 - p_c}", kappa, (-1, 1)),
    "quadratic_kappa": Metric(
        "Quadratic kappa",
        "Cohen's kappa for ordered grades: an error of two grades costs four times an error of one.",
        r"1 - \frac{\sum (i-j)^2 o_{ij}}{\sum (i-j)^2 e_{ij}}", quadratic_kappa, (-1, 1)),
    "matthews": Metric(
        "Matthews correlation",
        "Correlation of predictions and labels: 0 is chance, 1 is full agreement, also for rare "
        "findings.",
        r"\frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP+FN)(FP+TN)(TP+FP)(FN+TN)}}", matthews_correlation,
        (-1, 1)),
    "loss": Metric(
        "Cross-entropy", "The loss that training minimises, in nats; it punishes confident mistakes.",
        r"-\frac1n \sum_i \ln p_{i, y_i}", cross_entropy, (0, float("inf")), False),
    "brier": Metric(
        "Brier score",
        "Mean squared error of the probabilities: 0 is confident and right, 1 confident and wrong.",
        r"\frac{1}{2n} \sum_i \sum_k (p_{ik} - y_{ik})^2", brier, higher_is_better=False),
}


def measure(labels: np.ndarray, probs: np.ndarray, task: str,
            threshold: float | np.ndarray = 0.5) -> dict[str, float | None]:
    """Compute every metric of METRICS, without intervals; None where one is undefined.

    Args:
        labels, probs, task, threshold: as in `core.metrics`

    Raises:
        LightboxError: as `core.metrics.input.check`

    >>> found = measure(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.6, .4], [.3, .7], [.6, .4]]), "binary-class")
    >>> found["accuracy"], found["specificity"], found["sensitivity"], found["quadratic_kappa"]
    (0.75, 1.0, 0.5, None)
    """
    return metrics_of(Sample(labels, probs, task, threshold))


def metrics_of(sample: Sample) -> dict[str, float | None]:
    """Compute the same of a Sample."""
    return {name: none_for_nan(one.function.of_sample(sample)) for name, one in METRICS.items()}
