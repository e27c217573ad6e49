"""Everything that the answers of a run are worth, and what a careful reader would say about the numbers."""

from __future__ import annotations

import numpy as np

from core.errors import LightboxError
from core.metrics.confusion import MULTI_LABEL, counts, f1, majority_baseline, npv, precision, sensitivity, specificity
from core.metrics.input import check
from core.metrics.intervals import accuracy_interval, roc_auc_interval, wilson_interval
from core.metrics.numbers import Judged, none_for_nan
from core.metrics.ranking import binary_auc
from core.metrics.table import numbers_of

FEW = 10            # with fewer images than this a class gets a warning beside its numbers


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
    result = numbers_of(judged)
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
        rows.append({"class": names[k], "n": tp + fn} | {name: none_for_nan(values[k]) for name, values in rates.items()} | {
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


def _list(limits: tuple | None) -> list | None:
    return None if limits is None else list(limits)


def _names(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
