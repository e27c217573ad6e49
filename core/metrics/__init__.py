"""How good are the answers? Arrays in, numbers out; NumPy only.

    evaluate(labels, probs, task, class_names)   everything at once, ready for JSON, with notes in plain sentences
    measure(labels, probs, task)                 the single numbers alone, quickly: after each epoch of a training
    METRICS                                      the table of single numbers: meaning, equation, range, function

In this order: input, checked; numbers, one function each; table; intervals; summary, which is `evaluate`. What others need of
`core.metrics.confusion` and `core.metrics.ranking` is offered from here too.

The letters of the shapes: N images, K classes (or K findings, where an image may have several).

    labels     (N,) int64 in 0..K-1, or (N, K) int64 of 0 and 1 for "multi-label, binary-class"
    probs      (N, K) in [0, 1]: softmax, so that a row sums to 1, or sigmoids for "multi-label, binary-class"
    task       MedMNIST's words, one of TASKS
    matrix     (K, K) counts, a row for each true and a column for each answered class; (K, 2, 2) for several findings

There are three families. Accuracy, sensitivity, precision, F1, kappa and Matthews judge the *answers* and are all read off
the confusion matrix: core/metrics/confusion.py. ROC AUC and average precision judge the *order* in which the scores put the images,
before any threshold: core/metrics/ranking.py. Cross-entropy and the Brier score judge the *probabilities* themselves.

What cannot be known is None (in arrays: NaN), never a number: the ROC AUC of a class that has no image, the precision
of a class that was never answered. A mean over classes is given only where every class has its value.

Intervals of this package are at 95 % and take the images as independent of each other. Several images of one patient are not:
`core.metrics.resampling` knows of patients.
"""

from core.metrics.confusion import (
           MULTI_LABEL,
           TASKS,
           confusion_matrix,
           majority_baseline,
           one_against_rest,
           precision,
           predict,
           sensitivity,
           specificity,
)
from core.metrics.input import check
from core.metrics.intervals import accuracy_interval, bootstrap_interval, roc_auc_interval, wilson_interval
from core.metrics.numbers import Judged, accuracy, cross_entropy, roc_auc
from core.metrics.ranking import pr_curve, roc_curve
from core.metrics.summary import evaluate, notes_of
from core.metrics.table import METRICS, Metric, measure

__all__ = ["METRICS", "MULTI_LABEL", "TASKS", "Judged", "Metric", "accuracy", "accuracy_interval", "bootstrap_interval", "check",
           "confusion_matrix", "cross_entropy", "evaluate", "majority_baseline", "measure", "notes_of", "one_against_rest",
           "pr_curve", "precision", "predict", "roc_auc", "roc_auc_interval", "roc_curve", "sensitivity", "specificity",
           "wilson_interval"]
