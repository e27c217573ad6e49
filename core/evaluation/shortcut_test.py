"""Does a network use the letter as a shortcut? The same patients again, with another letter or with none.

No metric on the set itself can separate a letter that follows the label from the finding: training,
validation and test all have it. But phantom radiographs can be generated again: same bones, same noise, only
another letter. A network that looks at bones predicts as before; one that relies on the shortcut follows the
letter.

No torch at module level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from core import metrics
from core.datasets import open_dataset
from core.datasets.dataset import Dataset
from core.datasets.geometry import fit, fit_views
from core.errors import LightboxError
from core.evaluation import thresholds
from core.metrics.confusion import predict
from core.metrics.paired_tests import AccuracyTest, AUCTest, delong_test, mcnemar
from core.runs.ensembles import note_test_opened
from core.runs.store import Run

if TYPE_CHECKING:
    from core.datasets.phantom import PhantomConfig

# of ROC AUC or accuracy, between an agreeing and a contrary letter: less is of no importance, and a test that cannot exclude
# as much cannot tell
DROP = 0.1
# of the side, by which a region is widened: 15 of 224 px, as in the pointing game (Zhang et al. 2018)
TOLERANCE = 0.07
FEWEST = 10            # images of either class, for a test of the ranking, which is by normal approximation
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
        verdict: "reads"; "reverse", it follows the letter the other way round; "no"; "unknown", it cannot be told
    """
    rows: tuple[LetterResult, ...]
    reads: bool
    sentence: str
    verdict: str


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
        note_test_opened(run)
    model, own, results, said = load_classifier(run.id).model, _config(data), [], {}
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
        said[name] = np.concatenate(probs)
        found, _ = metrics.estimate(data.labels[rows], said[name], data.task,
                                    threshold=thresholds.of(run), each=(),
                                    names=("accuracy", "sensitivity", "specificity", "roc_auc"))
        results.append(LetterResult(name, title, config == own, len(rows), found["accuracy"].value,
                                    found["accuracy"].interval,
                                 *(found[metric].value
                                   for metric in ("sensitivity", "specificity", "roc_auc"))))
    people = data.table["patient"].to_numpy()[rows]
    return conclude(tuple(results), data.labels[rows], said, data.task, thresholds.of(run), people)


def retaken(data: Dataset, rows: Sequence[int], config: PhantomConfig) -> list[np.ndarray]:
    """Generate images of a phantom set with another config, (S, S, C) uint8 each."""
    if config == _config(data):
        return list(data.images[list(rows)])
    from core.datasets.phantom import PhantomSource
    source = PhantomSource(config)
    with ThreadPoolExecutor(2) as pool:                          # the array work releases the GIL
        return list(pool.map(lambda i: fit(source.at_size(int(i), data.size), data.size, data.resize,
                                           data.channels), rows))


def conclude(rows: tuple[LetterResult, ...], labels: np.ndarray, probs: Mapping[str, np.ndarray], task: str,
             threshold: float = 0.5, groups: np.ndarray | None = None) -> ShortcutTest:
    """Draw the conclusion: does the ranking of the images change with the letter, and if not, the predictions at the threshold?

    Agreeing and contrary letters are of the same images, so DeLong's paired test compares the rankings and McNemar's the
    predictions. What neither shows is only called absent where the interval of the difference excludes DROP.

    Args:
        rows: one for each of CONDITIONS at least
        labels: (N,) 0 or 1
        probs: name of a condition -> (N, 2)
        groups: (N,) the patient of each image
    """
    agrees, contrary = (probs[name] for name in ("agrees", "contrary"))
    ranking = delong_test(labels == 1, agrees[:, 1], contrary[:, 1], groups)
    if ranking is not None and np.bincount(labels, minlength=2).min() < FEWEST:
        ranking = replace(ranking, low=None, high=None)
    own = [row.name for row in rows if row.as_trained] or list(CONDITIONS)
    apart = ranking is not None and any(_ranks(labels, probs[name], groups) for name in own)
    at_threshold = mcnemar(*(predict(p, task, threshold) == labels for p in (agrees, contrary)), groups)
    verdict, by = _followed(ranking, at_threshold, apart)
    strange = verdict in ("reads", "reverse") and own == ["none"]      # trained without letters: they can only disturb it
    verdict = "no" if strange else verdict
    values = {row.name: row.accuracy if by == "accuracy" or row.roc_auc is None else row.roc_auc for row in rows}
    numbers = (f"its {by} is {values['agrees']:.2f} where the letter matches the label, {values['contrary']:.2f} where it "
               f"contradicts it, {values['none']:.2f} without one.")
    return ShortcutTest(rows, verdict in ("reads", "reverse"), " ".join(filter(None, (
        f"{WORDS[verdict]}: {numbers}", _why(verdict, ranking, apart, strange, values),
        _one_sided(agrees, contrary, task, threshold)))), verdict)


def _followed(ranking: AUCTest | None, at_threshold: AccuracyTest, apart: bool) -> tuple[str, str]:
    """Return the verdict, and by which number: the ranking's, unless only the predictions at the threshold show that the letter
    is followed. Who tells nothing apart follows any change of the pixels."""
    if ranking is not None and not apart:
        return "unknown", "ROC AUC"
    verdict = "unknown" if ranking is None else _verdict(ranking.difference, ranking.low, ranking.high)
    if verdict in ("no", "unknown"):
        predicted = _verdict(at_threshold.difference, at_threshold.low, at_threshold.high)
        if predicted in ("reads", "reverse"):
            return predicted, "accuracy"
    return verdict, "accuracy" if ranking is None else "ROC AUC"


WORDS = {"reads": "This network relies on the letter", "no": "This network does not rely on the letter",
         "reverse": "This network relies on the letter, the other way round",
         "unknown": "Whether this network relies on the letter cannot be told"}


def _verdict(difference: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:          # no spread at all, or too few patients to know one
        return "unknown"
    if low > 0 and difference > DROP / 2:
        return "reads"
    if high < 0 and difference < -DROP / 2:
        return "reverse"
    return "no" if max(-low, high) <= DROP else "unknown"


def _ranks(labels: np.ndarray, probs: np.ndarray, groups: np.ndarray | None) -> bool:
    """Whether the network ranks the images of one condition otherwise than chance does."""
    chance = delong_test(labels == 1, probs[:, 1], np.zeros(len(labels)), groups)
    if chance is None:
        return False
    return abs(chance.difference) > DROP if chance.p is None else chance.p < 0.05      # no spread: all or nothing is in order


def _why(verdict: str, ranking: AUCTest | None, apart: bool, strange: bool, values: Mapping[str, float]) -> str:
    if strange:
        return "It was trained without letters; these, which it never saw, disturb it."
    if verdict == "no" and min(values["none"] - values["agrees"], values["none"] - values["contrary"]) > DROP:
        return "It does not use letters, but any letter disturbs it."
    if verdict != "unknown":
        return ""
    if ranking is None or ranking.low is None:
        return "There are too few images, or only images of one class."
    if not apart:
        return "It does not tell normal from abnormal yet, so any change of the pixels may change its order of the images."
    return (f"With these images the difference may be anything from {ranking.low:.2f} to {ranking.high:.2f}: more are needed.")


def _one_sided(agrees: np.ndarray, contrary: np.ndarray, task: str, threshold: float) -> str:
    """A sentence where almost all images are predicted alike, so that the accuracy hides what the ranking shows."""
    share = float(np.mean([predict(p, task, threshold) == 1 for p in (agrees, contrary)]))
    if 0.05 < share < 0.95:
        return ""
    which = "abnormal" if share > 0.5 else "normal"
    return (f"At its threshold, {threshold:.2f}, it calls {max(share, 1 - share):.0%} of the images {which}: "
            "the accuracy says little.")


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
    square = fit_views(mask.astype(np.uint8)[..., None] * 255, data.size, data.resize, 1, data.views)[..., 0] > 32
    wide = 2 * max(1, round(TOLERANCE * data.size)) + 1
    return cv2.dilate(square.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))) > 0


def _config(data: Dataset) -> PhantomConfig | None:
    """The PhantomConfig behind a set, or None."""
    from core.datasets.phantom import PhantomSource
    return data.source.config if isinstance(data.source, PhantomSource) else None
