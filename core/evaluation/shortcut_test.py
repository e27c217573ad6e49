"""Does a network use the letter as a shortcut? The same patients again, with another letter or with none.

No metric on the set itself can separate a letter that follows the label from the finding: training,
validation and test all have it. But phantom radiographs can be generated again: same bones, same noise, only
another letter. A network that looks at bones predicts as before; one that relies on the shortcut follows the
letter.

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

# of accuracy, between an agreeing and a contrary letter: what a hundred images can separate from chance
DROP = 0.1
# of the side, by which a region is widened: 15 of 224 px, as in the pointing game (Zhang et al. 2018)
TOLERANCE = 0.07
BATCH = 16             # images that are generated at a time, so that the progress moves

# name -> what it is in words, and the settings of the phantom set that it changes
CONDITIONS: dict[str, tuple[str, dict]] = {
    "agrees": ("Letter matches the label (R abnormal, L normal)", {"letters": 1.0, "contrary": False}),
    "none": ("No letter", {"letters": 0.0, "contrary": False, "markers": False}),
    "contrary": ("Letter contradicts the label (L abnormal, R normal)", {"letters": 1.0, "contrary": True}),
}


@dataclass(frozen=True)
class LetterResult:
    """Metrics of a run on one version of the images, with the 95 % Wilson interval of the accuracy."""
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
class ShortcutTest:
    """Results of a run on the same patients with each letter, and the conclusion.

    Attributes:
        rows: one for each of CONDITIONS, before them one for the set itself where it is none of these
        reads: whether the network relies on the letter
    """
    rows: tuple[LetterResult, ...]
    reads: bool
    sentence: str


def can_test(data: Dataset) -> bool:
    """Return whether the images can be generated again with another letter: phantom radiographs, normal or
    abnormal, no copies."""
    config = _config(data)
    return config is not None and data.target == "abnormality" and not config.copies


def run_shortcut_test(run: Run, split: str = "val", data: Dataset | None = None,
             progress: Callable[[str, int, int], None] | None = None) -> ShortcutTest:
    """Evaluate the run's best epoch on the images of a split again, with each letter.

    Args:
        split: "val"; "test" counts as opening it
        data: the run's open Dataset, if the caller has it
        progress: called with (sentence, images done, images); may raise to stop

    Raises:
        LightboxError: "conflict.data" where the images cannot be generated again, "split.empty", and as
            `load_classifier` does
    """
    from core.runs.classifiers import classify, load_classifier
    data = data or open_dataset(run.config.data, progress)
    if not can_test(data):
        raise LightboxError("conflict.data", "These images cannot be generated again with another letter.",
                            "Choose a run on phantom radiographs without duplicates that predicts normal or abnormal.")
    rows = data.indices(split)
    if not len(rows):
        raise LightboxError("split.empty", f"This data set has no {split} images.", "Choose another split.")
    if split == "test":
        run.note_test_opened()
    model, own, results = load_classifier(run.id).model, _config(data), []
    conditions = {name: (title, dataclasses.replace(own, **changes))
                  for name, (title, changes) in CONDITIONS.items()}
    # a letter that only hints, or tells the side
    if own not in [config for _, config in conditions.values()]:
        conditions = {"own": ("Letters of this data set", own)} | conditions
    for k, (name, (title, config)) in enumerate(conditions.items()):
        probs = []
        for start in range(0, len(rows), BATCH):
            probs.append(classify(model, retaken(data, rows[start:start + BATCH], config)))
            if progress:
                progress("Generating the X-rays with another letter",
                         k * len(rows) + min(start + BATCH, len(rows)),
                         len(conditions) * len(rows))
        found, _ = metrics.estimate(data.labels[rows], np.concatenate(probs), data.task,
                                    threshold=thresholds.of(run), each=(),
                                    names=("accuracy", "sensitivity", "specificity", "roc_auc"))
        results.append(LetterResult(name, title, config == own, len(rows), found["accuracy"].value,
                                    found["accuracy"].interval,
                                 *(found[metric].value
                                   for metric in ("sensitivity", "specificity", "roc_auc"))))
    return conclude(tuple(results))


def retaken(data: Dataset, rows: Sequence[int], config: PhantomConfig) -> list[np.ndarray]:
    """Generate images of a phantom set with another config, (S, S, C) uint8 each."""
    if config == _config(data):
        return list(data.images[list(rows)])
    from core.datasets.phantom import PhantomSource
    source = PhantomSource(config)
    with ThreadPoolExecutor(2) as pool:                          # the array work releases the GIL
        return list(pool.map(lambda i: fit(source.at_size(int(i), data.size), data.size, data.resize,
                                           data.channels), rows))


def conclude(rows: tuple[LetterResult, ...]) -> ShortcutTest:
    """Draw the conclusion from the results with each of CONDITIONS."""
    agrees, without, contrary = (next(row.accuracy for row in rows if row.name == name)
                                 for name in CONDITIONS)
    reads = agrees - contrary > DROP
    disturbed = not reads and without - agrees > DROP and without - contrary > DROP
    return ShortcutTest(rows, reads,
                        f"This network {'relies' if reads else 'does not rely'} on the letter: its accuracy is {agrees:.2f} "
                    f"where the letter matches the label, {contrary:.2f} where it contradicts it, {without:.2f} without one."
                    + (" It does not use letters, but any letter disturbs it." if disturbed else ""))


# -------------------------------------------------------------------------------- where what is in the images

def regions_of(data: Dataset, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Return where things are known to lie in some images, on the square that the network sees: {"finding":
    (N, S, S) bool, "letters": }.

    Regions are widened by TOLERANCE: a map of a late layer is coarse, and who points next to a letter means
    the letter. Letters are of lead and printed marks as well. Kinds that no image has, sets where nobody knows,
    and the finding where the network predicts the body part are left out.
    """
    predicts_part = data.target == "body_part"
    found: dict[str, list[np.ndarray]] = {}
    for i in rows:
        if hasattr(data.source, "marker_mask"):
            image = data.source.image(int(i))
            masks = {"finding": image.mask, "letters": image.marker}
        else:
            mask = data.mask(int(i))
            masks = {} if mask is None else {"finding": mask}
        if predicts_part:
            masks.pop("finding", None)
        for name, mask in masks.items():
            found.setdefault(name, []).append(_on_square(mask, data))
    return {name: np.stack(masks) for name, masks in found.items()
            if len(masks) == len(rows) and np.any(masks)}


def _on_square(mask: np.ndarray, data: Dataset) -> np.ndarray:
    square = fit(mask.astype(np.uint8)[..., None] * 255, data.size, data.resize, 1)[..., 0] > 32
    wide = 2 * max(1, round(TOLERANCE * data.size)) + 1
    return cv2.dilate(square.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))) > 0


def _config(data: Dataset) -> PhantomConfig | None:
    """The PhantomConfig behind a set, or None."""
    from core.datasets.phantom import PhantomSource
    return data.source.config if isinstance(data.source, PhantomSource) else None
