"""What a classifier says of one image, with what was chosen for it on validation: the threshold and the temperature.

    chosen = chosen_for("20261121-0352-k3f9")
    chosen.decide(probs).called                      the classes that the image is called
    chosen.decide(probs, calibrated=True).probs      probabilities that are meant as they are said

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
    """What is said of one image.

    Args:
        probs: (K,) in [0, 1]
        called: the classes that it is called: one, or any number of findings
        thresholds: (K,) above which a class is called; None where the likeliest of several classes is the answer
    """
    probs: np.ndarray
    called: tuple[int, ...]
    thresholds: np.ndarray | None


@dataclass(frozen=True)
class Chosen:
    """What was chosen for a classifier before it saw the image.

    Args:
        task: one of core.metrics.TASKS
        threshold: for `core.metrics.confusion.predict`; 0.5 where nothing was chosen
        frozen: class -> how its threshold was chosen
        temperature: fitted on the validation answers of the same epoch; None where there are none, or none mends them
        images: how many validation images it was fitted on
    """
    task: str
    threshold: float | np.ndarray = thresholds.DEFAULT
    frozen: dict[int, Threshold] = field(default_factory=dict)
    temperature: float | None = None
    images: int = 0

    def decide(self, probs: np.ndarray, calibrated: bool = False) -> Decision:
        """Apply it to an image's probabilities (K,).

        The temperature changes how sure an answer is, not what two classes or a finding are called: a threshold is a score like
        any other, so it is brought to the same temperature.
        """
        probs = np.asarray(probs, np.float64)
        answer = predict(probs[None], self.task, self.threshold)[0]
        called = tuple(np.flatnonzero(answer).tolist()) if self.task == MULTI_LABEL else (int(answer),)
        lines = thresholds_of_classes(self.threshold, self.task, len(probs))
        if calibrated and self.temperature is not None:
            probs = apply_temperature(probs[None], self.temperature, self.task)[0]
            lines = None if lines is None else apply_temperature(lines[None], self.temperature, self.task)[0]
        return Decision(probs, called, lines)


def chosen_for(address: str) -> Chosen:
    """What was chosen for a classifier: nothing for one that came with the app.

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
    """That of the stored answers on validation, and how many there are."""
    found = load_predictions(run, "val")
    if found is None or found.epoch != checkpoints.best_epoch(run.checkpoints):
        return None, 0
    try:
        t = temperature(found.labels, found.probs, run.data()["task"])
    except LightboxError:                          # a network that diverged: there is nothing to mend
        return None, 0
    return (t if COLDEST * 1.01 < t < HOTTEST / 1.01 else None), len(found.labels)
