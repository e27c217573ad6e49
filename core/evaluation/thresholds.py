"""The thresholds of a run: chosen on validation by a rule of `core.metrics.operating_points` or by hand, and
frozen.

The test set is evaluated with the frozen threshold. Chosen on test it would fit the chance of these very
images, and its sensitivity would be a promise that the next hospital does not keep.

    threshold.json   {"thresholds": {"<class>": {"value", "rule", "wish", "epoch", "sought"}}}; wish: parameters of the rule

Of two classes either may be the positive one, such as the malignant one that MedMNIST calls 0. What is stored
then is always the threshold of class 1, and "sought" names the positive class: an image above t for class 0
is below 1 - t for class 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core.errors import LightboxError
from core.files import Damaged, Lock, read_json, write_json
from core.metrics import MULTI_LABEL
from core.metrics.operating_points import Threshold
from core.runs import checkpoints
from core.runs.shapes import THRESHOLDS
from core.runs.store import Run

DEFAULT = 0.5            # of two classes the more probable one


def of(run: Run) -> float | np.ndarray:
    """Return the threshold of a run's predictions: for `metrics.predict`, `metrics.evaluate`.

    Returns:
        two classes: that of class 1; several findings: (K,), or one float where nothing was chosen for any;
        0.5 where nothing was chosen, and always where the most probable of several classes is predicted

    Raises:
        LightboxError: "run.damaged" where threshold.json cannot be read
    """
    about = run.data()
    kept = all_frozen(run)
    if about.get("task") == MULTI_LABEL and kept:
        return np.array([kept[k].value if k in kept else DEFAULT for k in range(len(about["class_names"]))])
    return kept[1].value if about.get("task") == "binary-class" and 1 in kept else DEFAULT


def frozen(run: Run, k: int = 1) -> Threshold | None:
    """Return what was frozen for class or finding k; None where nothing was, or for the scores of another
    epoch."""
    if k == 0 and run.data().get("task") == "binary-class":
        of_the_other = all_frozen(run).get(1)
        return of_the_other and replace(of_the_other, value=1 - of_the_other.value)
    return all_frozen(run).get(k)


def all_frozen(run: Run) -> dict[int, Threshold]:
    """Return {class: Threshold}. A run with a better epoch since has other scores: its old thresholds no
    longer count."""
    kept = _read(run)["thresholds"]
    best = checkpoints.best_epoch(run.checkpoints) if kept else None
    return {int(k): Threshold(one["value"], one["rule"], one["wish"], "val", one["epoch"], one["sought"])
            for k, one in kept.items() if one["epoch"] == best}


def freeze(run: Run, threshold: Threshold, k: int = 1) -> None:
    """Freeze a threshold for class or finding k.

    Raises:
        LightboxError: "threshold.split" where it was not chosen on validation, "threshold.value",
            "threshold.epoch" where the run has no epoch or the scores are not those of its best one,
            "run.gone"
    """
    if threshold.split != "val":
        raise LightboxError("threshold.split", "A threshold can only be chosen on the validation images.",
                            "Choose it there; it then applies to the test images.")
    if not 0 <= threshold.value <= 1:
        raise LightboxError("threshold.value", f"The threshold was {threshold.value}.",
                            "It must lie between 0 and 1.")
    epoch = checkpoints.best_epoch(run.checkpoints)
    if epoch is None:
        raise LightboxError("threshold.epoch", "This run has not finished an epoch yet.",
                            "Wait for the first one.")
    if threshold.epoch not in (None, epoch):
        raise LightboxError("threshold.epoch",
                            f"These are the scores of epoch {threshold.epoch}; the best one is {epoch} now.",
                            "Open this page again, so that the best epoch predicts the validation images.")

    mirrored = k == 0 and run.data().get("task") == "binary-class"

    def put(known: dict) -> None:
        known["thresholds"]["1" if mirrored else str(k)] = {
            "value": float(1 - threshold.value if mirrored else threshold.value), "rule": threshold.rule,
            "wish": threshold.parameters, "epoch": epoch, "sought": k}
    _change(run, put)


def unfreeze(run: Run, k: int | None = None) -> None:
    """Forget what was frozen for class k, or for all of them; of two classes they are one. Nothing happens
    where nothing was."""
    k = None if run.data().get("task") == "binary-class" else k

    def drop(known: dict) -> None:
        known["thresholds"] = {} if k is None else {c: one for c, one in known["thresholds"].items()
                                                    if c != str(k)}
    _change(run, drop)


def _read(run: Run) -> dict:
    try:
        known = read_json(run.folder / "threshold.json", THRESHOLDS)
        classes = len(run.data().get("class_names", ()))
        if not set(known["thresholds"]) <= set(map(str, range(classes))):
            raise Damaged("a threshold of no class")
        return known
    except FileNotFoundError:
        return {"thresholds": {}}
    except Damaged:
        raise LightboxError("run.damaged", f"The file threshold.json of the run {run.id} cannot be read.",
                            "Delete that file and choose the threshold again.") from None


def _change(run: Run, change: Callable[[dict], None]) -> None:
    # "run.gone" before a lock is made in a folder that is no more
    run.written_state()
    with Lock(run.folder / "threshold.lock"):
        known = _read(run)
        change(known)
        write_json(run.folder / "threshold.json", known)
