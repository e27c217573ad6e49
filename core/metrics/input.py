"""Labels and probabilities, checked before anything is computed from them."""

from __future__ import annotations

import numpy as np

from core.errors import LightboxError
from core.metrics.confusion import MULTI_LABEL, TASKS


def check(labels: np.ndarray, probs: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as int64 and probabilities as float64, or raise one sentence that says what does not fit.

    Raises:
        LightboxError: metrics.task, .shape, .empty, .nan, .probs or .labels
    """
    labels, probs = np.asarray(labels), np.asarray(probs)
    if task not in TASKS:
        raise LightboxError("metrics.task", f"There is no task called {task!r}.",
                            f"It can be {'; '.join(TASKS)}.")
    if probs.ndim != 2 or probs.shape[1] < (1 if task == MULTI_LABEL else 2):
        raise LightboxError("metrics.shape", f"The probabilities have the shape {probs.shape}.",
                            "They need one row per image and one column per class; two classes have two columns.")
    wanted = probs.shape if task == MULTI_LABEL else probs.shape[:1]
    if labels.shape != wanted:
        raise LightboxError("metrics.shape",
                            f"Labels have the shape {labels.shape}, probabilities {probs.shape}.",
                            f"For this task the labels must have the shape {wanted}.")
    if not len(probs):
        raise LightboxError("metrics.empty", "There are no images to evaluate.",
                            "Choose a split that has some.")
    probs = probs.astype(np.float64, copy=False)
    if not np.isfinite(probs).all():
        raise LightboxError("metrics.nan", "Some probabilities are not numbers (NaN or infinite).",
                            "The training has diverged: start again with a lower learning rate.")
    if probs.min() < 0 or probs.max() > 1:
        raise LightboxError("metrics.probs",
                            f"The probabilities range from {probs.min():.3g} to {probs.max():.3g}.",
                            "They must lie between 0 and 1: apply softmax or sigmoid to the logits first.")
    # bfloat16 is good for three digits
    if task != MULTI_LABEL and abs(probs.sum(axis=1) - 1).max() > 0.02:
        raise LightboxError("metrics.probs", "The probabilities of an image do not sum to 1.",
                            "Apply softmax to the logits first.")
    if not np.array_equal(labels, labels.astype(np.int64)):
        raise LightboxError("metrics.labels", "Some labels are not whole numbers.",
                            "A label is the index of its class.")
    labels = labels.astype(np.int64, copy=False)
    top = 1 if task == MULTI_LABEL else probs.shape[1] - 1
    if labels.min() < (-1 if task == MULTI_LABEL else 0) or labels.max() > top:
        raise LightboxError("metrics.labels", f"The labels range from {labels.min()} to {labels.max()}.",
                            f"They must lie between 0 and {top}" + (", or be -1: not known." if task == MULTI_LABEL else "."))
    return labels, probs
