"""The decision of a classifier on one image, with the threshold and temperature that were chosen on
validation.

    chosen = chosen_for("20261121-0352-k3f9")
    chosen.decide(probs).predicted                   the predicted classes
    chosen.decide(probs, calibrated=True).probs      calibrated probabilities

Nothing is chosen here, and nothing is learned from the image: both were fixed before it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.predictions import load_predictions
from core.metrics.calibration import COLDEST, HOTTEST, apply_temperature, temperature
from core.metrics.confusion import MULTI_LABEL, predict, thresholds_of_classes
from core.metrics.operating_points import Threshold
from core.runs import checkpoints
from core.runs.classifiers import is_shipped, task_of
from core.runs.store import Run, RunStore


@dataclass(frozen=True)
class Decision:
    """The decision on one image.

    Args:
        probs: (K,) in [0, 1]
        predicted: the predicted classes: one, or any number of findings
        thresholds: (K,) above which a class is predicted; None where the most probable of several classes is
    """
    probs: np.ndarray
    predicted: tuple[int, ...]
    thresholds: np.ndarray | None


@dataclass(frozen=True)
class Chosen:
    """What was chosen for a classifier before it saw the image.

    Args:
        task: one of core.metrics.TASKS
        threshold: for `core.metrics.confusion.predict`; 0.5 where nothing was chosen
        frozen: class -> how its threshold was chosen
        temperature: fitted on the validation predictions of the same epoch; None where there are none, or no
            temperature helps
        images: how many validation images it was fitted on
    """
    task: str
    threshold: float | np.ndarray = thresholds.DEFAULT
    frozen: dict[int, Threshold] = field(default_factory=dict)
    temperature: float | None = None
    images: int = 0

    def decide(self, probs: np.ndarray, calibrated: bool = False) -> Decision:
        """Decide on an image from its probabilities (K,).

        The temperature changes the confidence, not the decision between two classes or about a finding: a
        threshold is a score like any other, so it is brought to the same temperature.
        """
        probs = np.asarray(probs, np.float64)
        pred = predict(probs[None], self.task, self.threshold)[0]
        predicted = tuple(np.flatnonzero(pred).tolist()) if self.task == MULTI_LABEL else (int(pred),)
        lines = thresholds_of_classes(self.threshold, self.task, len(probs))
        if calibrated and self.temperature is not None:
            probs = apply_temperature(probs[None], self.temperature, self.task)[0]
            lines = None if lines is None else apply_temperature(lines[None], self.temperature, self.task)[0]
        return Decision(probs, predicted, lines)


def chosen_for(address: str) -> Chosen:
    """Return what was chosen for a classifier: nothing for one that came with the app.

    Args:
        address: as in `core.runs.classifiers.load_classifier`

    Raises:
        LightboxError: "run.gone", "run.damaged" where threshold.json cannot be read
    """
    if is_shipped(address):
        return Chosen(task_of(address))
    run = RunStore().get(address)
    return Chosen(task_of(address), thresholds.of(run), thresholds.all_frozen(run), *_temperature(run))


def _temperature(run: Run) -> tuple[float | None, int]:
    """The temperature of the stored predictions on validation, and how many there are."""
    found = load_predictions(run, "val")
    if found is None or found.epoch != checkpoints.best_epoch(run.checkpoints):
        return None, 0
    try:
        t = temperature(found.labels, found.probs, run.data()["task"])
    except LightboxError:                          # a network that diverged: there is nothing to mend
        return None, 0
    return (t if COLDEST * 1.01 < t < HOTTEST / 1.01 else None), len(found.labels)
