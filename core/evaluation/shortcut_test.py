"""Does a run read the letter instead of the bone? The same people again, with another letter or with none.

A letter that follows the label cannot be told from the finding by any measure on the set itself: training, validation and test
all have it. The phantom radiographs can be taken again, though: same bones, same day, same noise, only the letter is another.
A network that reads bones answers as before; one that reads letters follows the letter.

No torch at module level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from core import metrics
from core.datasets import open_dataset
from core.datasets.dataset import Dataset
from core.datasets.geometry import fit
from core.errors import LightboxError
from core.evaluation import thresholds
from core.runs.store import Run

if TYPE_CHECKING:
    from core.datasets.phantom import PhantomConfig

LOST = 0.1             # of accuracy, between a letter that agrees and a contrary one: what a hundred images can tell from chance
TOLERANCE = 0.07       # of the side, by which a region is widened: 15 of 224 px, as in the pointing game (Zhang et al. 2018)
BATCH = 16             # images that are taken at a time, so that the progress moves

# name -> what it is in words, and the settings of the phantom set that it changes
COUNTERS: dict[str, tuple[str, dict]] = {
    "agrees": ("Letter tells the label (R abnormal, L normal)", {"letters": 1.0, "contrary": False}),
    "none": ("No letter", {"letters": 0.0, "contrary": False, "markers": False}),
    "contrary": ("Letter tells the contrary (L abnormal, R normal)", {"letters": 1.0, "contrary": True}),
}


@dataclass(frozen=True)
class Answered:
    """How a run answers one form of the images: measures as `metrics.evaluate` names them, and the 95 % Wilson interval."""
    name: str
    title: str
    as_trained: bool
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    sensitivity: float | None
    specificity: float | None
    roc_auc: float | None


@dataclass(frozen=True)
class Conflict:
    """What a run answers to the same people with each letter, and the sentence about it.

    Attributes:
        rows: one for each of COUNTERS, before them one for the set itself where it is none of these
        reads: whether the letter decides
    """
    rows: tuple[Answered, ...]
    reads: bool
    sentence: str


def can_lie(data: Dataset) -> bool:
    """Whether the images can be taken again with another letter: phantom radiographs, normal or abnormal, no copies."""
    config = _config(data)
    return config is not None and data.target == "abnormality" and not config.copies


def conflict(run: Run, split: str = "val", data: Dataset | None = None,
             progress: Callable[[str, int, int], None] | None = None) -> Conflict:
    """Let the run's best epoch answer the images of a split again, with each letter.

    Args:
        split: "val"; "test" counts as opening it, since numbers of its images are shown
        data: the run's open Dataset, if the caller has it
        progress: called with (sentence, images done, images); may raise to stop

    Raises:
        LightboxError: "conflict.data" where the images cannot be taken again, "split.empty", and as `load_classifier` does
    """
    from core.runs.classifiers import classify, load_classifier
    data = data or open_dataset(run.config.data, progress)
    if not can_lie(data):
        raise LightboxError("conflict.data", "These images cannot be taken again with another letter.",
                            "Choose a run on phantom radiographs that learned normal or abnormal, without copies.")
    rows = data.indices(split)
    if not len(rows):
        raise LightboxError("split.empty", f"There are no {split} images in this set.", "Choose another split.")
    if split == "test":
        run.note_test_opened()
    model, own, answered = load_classifier(run.id).model, _config(data), []
    asked = {name: (title, dataclasses.replace(own, **changes)) for name, (title, changes) in COUNTERS.items()}
    if own not in [config for _, config in asked.values()]:      # a letter that only hints, or tells the side
        asked = {"own": ("Letters of this set", own)} | asked
    for k, (name, (title, config)) in enumerate(asked.items()):
        probs = []
        for start in range(0, len(rows), BATCH):
            probs.append(classify(model, taken_again(data, rows[start:start + BATCH], config)))
            if progress:
                progress("Taking the X-rays again with another letter", k * len(rows) + min(start + BATCH, len(rows)),
                         len(asked) * len(rows))
        found, _ = metrics.estimate(data.labels[rows], np.concatenate(probs), data.task, threshold=thresholds.of(run), each=(),
                                    names=("accuracy", "sensitivity", "specificity", "roc_auc"))
        answered.append(Answered(name, title, config == own, len(rows), found["accuracy"].value, found["accuracy"].interval,
                                 *(found[metric].value for metric in ("sensitivity", "specificity", "roc_auc"))))
    return judged(tuple(answered))


def taken_again(data: Dataset, rows: Sequence[int], config: PhantomConfig) -> list[np.ndarray]:
    """Images of a phantom set as another config makes them, (S, S, C) uint8 each. What was made is kept with the stores."""
    if config == _config(data):
        return list(data.images[list(rows)])
    from core.datasets.phantom import PhantomSource
    source = PhantomSource(config)
    with ThreadPoolExecutor(2) as pool:                          # the array work runs beside the rest of Python
        return list(pool.map(lambda i: fit(source.at_size(int(i), data.size), data.size, data.resize, data.channels), rows))


def judged(rows: tuple[Answered, ...]) -> Conflict:
    """The sentence about a run's answers to each of COUNTERS."""
    agrees, without, contrary = (next(row.accuracy for row in rows if row.name == name) for name in COUNTERS)
    reads = agrees - contrary > LOST
    disturbed = not reads and without - agrees > LOST and without - contrary > LOST
    return Conflict(rows, reads, f"This network {'reads' if reads else 'does not read'} the letter: its accuracy is {agrees:.2f} "
                    f"where the letter tells the label, {contrary:.2f} where it tells the contrary, {without:.2f} without one."
                    + (" It has no use for letters, but any letter disturbs it." if disturbed else ""))


# ----------------------------------------------------------------------------------------------- where what is in the images

def regions_of(data: Dataset, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """What is known to lie where in some images, on the square that the network sees: {"finding": (N, S, S) bool, "letters": }.

    Regions are widened by TOLERANCE: a map of a late layer is coarse, and who points next to a letter means the letter. Letters
    are of lead and printed marks as well. Kinds that no image has, and sets where nobody knows, are left out.
    """
    found: dict[str, list[np.ndarray]] = {}
    for i in rows:
        if hasattr(data.source, "picture"):
            shown = data.source.image(int(i))
            masks = {"finding": shown.mask, "letters": shown.marker}
        else:
            mask = data.mask(int(i))
            masks = {} if mask is None else {"finding": mask}
        for name, mask in masks.items():
            found.setdefault(name, []).append(_on_square(mask, data))
    return {name: np.stack(masks) for name, masks in found.items() if len(masks) == len(rows) and np.any(masks)}


def _on_square(mask: np.ndarray, data: Dataset) -> np.ndarray:
    square = fit(mask.astype(np.uint8)[..., None] * 255, data.size, data.resize, 1)[..., 0] > 32
    wide = 2 * max(1, round(TOLERANCE * data.size)) + 1
    return cv2.dilate(square.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))) > 0


def _config(data: Dataset) -> PhantomConfig | None:
    """The PhantomConfig behind a set, or None."""
    from core.datasets.phantom import PhantomSource
    return data.source.config if isinstance(data.source, PhantomSource) else None
