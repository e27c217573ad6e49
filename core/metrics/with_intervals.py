"""Every measure with its 95 % interval and what it is made of: what `evaluate` answers under "measures".

    judge(labels, probs, task, patients)     ({measure: cell}, [{measure: cell} of each class])

A cell is {"value", "low", "high", "n", "n_positive", "interval"}, and for a share also "k" and "of": k right ones of so many.
"interval" says where low and high come from:

    "Wilson"                a share of independent images
    "Wilson, by patient"    a share, where patients have several images: these count for as many as they are worth
    "Wilson, by image"      the share of right answers to several findings: those of an image hang together
    "bootstrap by patient"  patients drawn again
    "bootstrap by image"    images drawn again: no patients are known, or each has one
    "bootstrap by study"    studies drawn again, where each is judged as one and no patients are known
    "Newcombe"              ROC AUC of a perfect order, of which draws give the same value again and again
    "DeLong"                ROC AUC of a class with so few images that draws miss it; images count as independent
    None                    no interval: the value is undefined, or all draws say the same
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from core.metrics import METRICS, roc_auc_interval
from core.metrics.ranking import auc_interval
from core.metrics.resampling import (
    Prepared,
    as_numbers,
    degrees_of_freedom,
    limits,
    of_each_class,
    overall,
    resample,
    wilson_by_patient,
)

# share -> (which images are asked, which of them are right), both (N,) bool, from truth and answer of one class
SHARES: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "accuracy": lambda true, said: (np.ones(len(true), bool), true == said),
    "sensitivity": lambda true, said: (true, said),
    "specificity": lambda true, said: (~true, ~said),
    "precision": lambda true, said: (said, true),
    "npv": lambda true, said: (~said, ~true),
}
MEDMNIST = {"medmnist_auc": "roc_auc", "medmnist_acc": "accuracy"}      # as its evaluator: ACC always at the threshold 0.5


def judge(labels: np.ndarray, probs: np.ndarray, task: str, patients: Sequence | None = None, *,
          each: Collection[str] | None = None,
          names: Sequence[str] | None = None, threshold: float | np.ndarray = 0.5, draws: int = 1000,
          seed: int = 0) -> tuple[dict[str, dict], list[dict[str, dict]]]:
    """Measures as cells, for JSON: over all classes, and of each class against the rest.

    Args:
        labels, probs, task, threshold: as in `core.metrics`
        patients: N names; None where they are not known, "" for an image of which it is not known
        each: keys of METRICS, of which each class by itself is judged too; None takes `names`. Those of SHARES need no draws
        names: keys of METRICS; None takes all
        draws, seed: of the bootstrap

    Returns:
        all keys of METRICS and of MEDMNIST, or `names`; "n_positive" is the number of images of class 1, or with any finding;
        None over several classes, where each is positive in its turn
        `each` for each of the K classes, without the measures that are not about one class; empty where it is empty

    Raises:
        LightboxError: as `core.metrics.check`
    """
    judged = Prepared(labels, probs, task, threshold)
    asked = list(METRICS) if names is None else list(names)
    patients = _repeated(patients)
    of_one = asked if each is None else [name for name in asked if name in each]
    functions = overall(asked) | of_each_class([name for name in of_one if name not in SHARES], judged.classes)
    drawn, freedom = resample(judged, patients, functions, draws=draws, seed=seed), degrees_of_freedom(judged, patients)
    n_positive = (int(judged.truth.any(axis=1).sum()) if judged.findings else int(judged.truth[:, 1].sum())
                  if task == "binary-class" else None)
    cells = {name: _cell(name, METRICS[name].function.of(judged), drawn[name], freedom, len(judged.labels), n_positive, patients)
             for name in asked}
    for name in cells:
        cells[name] |= _of_share(name, judged, patients)
    if "roc_auc" in cells:
        cells["roc_auc"] |= _without_draws(cells["roc_auc"], lambda: roc_auc_interval(judged.labels, judged.probs, task))
    if names is None:
        plain = judged if np.all(np.asarray(threshold) == 0.5) else Prepared(labels, probs, task)
        right = {"value": _known(METRICS["accuracy"].function.of(plain))} | _of_share("accuracy", plain, patients)
        cells |= {"medmnist_auc": dict(cells["roc_auc"]), "medmnist_acc": cells["accuracy"] | right}
    return cells, [_of_class(judged, k, {name: drawn[name, "each"][:, k] if (name, "each") in drawn else None
                                         for name in of_one if METRICS[name].function.each}, patients)
                   for k in range(judged.classes if of_one else 0)]


def cell(value: float | None, between: tuple[float, float] | None, n: int, n_positive: int | None, kind: str) -> dict:
    """One measure as JSON; no interval where there are no limits, or where they are one point."""
    low, high = between if value is not None and between and between[0] < between[1] else (None, None)
    return {"value": value, "low": low, "high": high, "n": n, "n_positive": n_positive,
            "interval": None if low is None else kind}


# ------------------------------------------------------------------------------------------------------------- small parts

def _repeated(patients: Sequence | None) -> np.ndarray | None:
    """The patients as numbers, or None where none of them has two images: then images are patients."""
    codes = None if patients is None else as_numbers(patients)
    return codes if codes is not None and codes.max(initial=-1) + 1 < len(codes) else None


def _known(value) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _cell(name: str, value, drawn: np.ndarray | None, freedom: float, n: int, n_positive: int | None,
          patients: np.ndarray | None) -> dict:
    return cell(_known(value), None if drawn is None else limits(name, value, drawn, freedom), n, n_positive,
                "bootstrap by image" if patients is None else "bootstrap by patient")


def _of_class(judged: Prepared, k: int, drawn: dict[str, np.ndarray | None], patients: np.ndarray | None) -> dict:
    n, n_positive = len(judged.labels), int(judged.truth[:, k].sum())
    freedom = degrees_of_freedom(judged, patients, k)
    row = {name: _cell(name, METRICS[name].function.each(judged, [k])[..., 0], values, freedom, n, n_positive, patients)
           for name, values in drawn.items()}
    for name in SHARES.keys() & row.keys():
        row[name] |= _share(name, judged, k, patients)
    if "roc_auc" in row:
        row["roc_auc"] |= _without_draws(row["roc_auc"],
                                            lambda: auc_interval(judged.truth[:, [k]], judged.probs[:, [k]]))
    return row


def _of_share(name: str, judged: Prepared, patients: np.ndarray | None) -> dict:
    """What is added to the cell of a measure that is a share of images; {} for the others, such as means over classes."""
    if name in ("accuracy", "micro_f1") and not judged.findings:        # with one class per image they are the same
        return _wilson(judged.answers == judged.labels, patients)
    if name == "accuracy":
        right = judged.answers == judged.labels                         # answers about one image, or patient, hang together
        of = np.arange(len(right)) if patients is None else patients
        return _wilson(right.ravel(), np.repeat(of, right.shape[1])) | {
            "interval": "Wilson, by image" if patients is None else "Wilson, by patient"}
    return _share(name, judged, 1, patients) if name in SHARES and judged.task == "binary-class" else {}


def _share(name: str, judged: Prepared, k: int, patients: np.ndarray | None) -> dict:
    said = judged.answers[:, k] == 1 if judged.findings else judged.answers == k
    asked, right = SHARES[name](judged.truth[:, k], said)
    return _wilson(right[asked], None if patients is None else patients[asked])


def _wilson(right: np.ndarray, patients: np.ndarray | None) -> dict:
    """The part of a cell that a share knows better than the draws."""
    found = {"k": int(right.sum()), "of": len(right)}
    if not len(right):
        return found | {"low": None, "high": None, "interval": None}
    low, high = wilson_by_patient(right, patients)
    return found | {"low": low, "high": high, "interval": "Wilson" if patients is None else "Wilson, by patient"}


def _without_draws(found: dict, delong: Callable[[], tuple[float, float] | None]) -> dict:
    """All draws of a perfect order are perfect, and draws may miss a rare class: then `core.metrics.ranking.auc_interval`."""
    if found["value"] is None or found["low"] is not None or (between := delong()) is None:
        return {}
    return {"low": between[0], "high": between[1], "interval": "Newcombe" if found["value"] in (0.0, 1.0) else "DeLong"}
