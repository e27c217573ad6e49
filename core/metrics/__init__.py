"""How good are the predictions? Arrays in, numbers out; NumPy, and SciPy's special functions.

    evaluate(labels, probs, task, class_names)   an Evaluation: every metric with its interval, per class, notes
    measure(labels, probs, task)                 the numbers alone, quickly: after each epoch of a training
    METRICS                                      the table of metrics: meaning, equation, range, function

In the order in which they are built: input, confusion, ranking, functions, table, intervals, resampling,
estimates, evaluation.

The letters of the shapes: N images, K classes (or K findings, where an image may have several).

    labels     (N,) int64 in 0..K-1, or (N, K) int64 of 0 and 1 for "multi-label, binary-class", -1 where not known
    probs      (N, K) in [0, 1]: softmax, so that a row sums to 1, or sigmoids for "multi-label, binary-class"
    preds      (N,) or (N, K) int64: the predicted classes
    task       MedMNIST's words, one of TASKS
    matrix     (K, K) counts, a row for each true and a column for each predicted class; (K, 2, 2) for several findings

A finding of an image that is not known (-1) counts in no metric: each finding's are over its known labels, sums
over all findings are over all known labels.

There are three families. Accuracy, sensitivity, precision, F1, kappa and Matthews are of the *predicted
classes* and are all read off the confusion matrix: core/metrics/confusion.py. ROC AUC and average precision
are of the *ranking* of the images by score, before any threshold: core/metrics/ranking.py. Cross-entropy and
the Brier score are of the *probabilities* themselves.

What is undefined is None (in arrays: NaN), never a number: the ROC AUC of a class without images, the
precision of a class that is never predicted. A mean over classes is given only where every class has its
value.

>>> import numpy as np
>>> labels, probs = np.array([0, 0, 1, 1]), np.array([[.9, .1], [.6, .4], [.65, .35], [.2, .8]])
>>> evaluate(labels, probs, "binary-class", ["normal", "abnormal"], draws=50).value("roc_auc")
0.75
"""

from core.metrics.confusion import (
    MULTI_LABEL,
    TASKS,
    confusion_matrix,
    is_known,
    majority_baseline,
    one_against_rest,
    precision,
    predict,
    sensitivity,
    specificity,
)
from core.metrics.estimates import Estimate, estimate
from core.metrics.evaluation import Evaluation, evaluate
from core.metrics.functions import Sample, accuracy, cross_entropy, roc_auc
from core.metrics.input import check
from core.metrics.intervals import roc_auc_interval, wilson_interval
from core.metrics.ranking import pr_curve, roc_curve
from core.metrics.table import METRICS, Metric, measure

__all__ = ["METRICS", "MULTI_LABEL", "TASKS", "Estimate", "Evaluation", "Metric", "Sample", "accuracy",
           "check",
           "confusion_matrix", "cross_entropy", "estimate", "evaluate", "is_known", "majority_baseline", "measure",
           "one_against_rest",
           "pr_curve", "precision", "predict", "roc_auc", "roc_auc_interval", "roc_curve", "sensitivity",
           "specificity",
           "wilson_interval"]
