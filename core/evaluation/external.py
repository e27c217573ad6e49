"""A run judged on another data set: another hospital, a later year. External validation, as the literature
calls it.

    found = evaluate_external(run, "/data/other-hospital", {"covid": "PNEUMONIA"})
    found.result            the Evaluation of the other set, its intervals by the patients of that set
    found.own               the same metrics of the run's own test set, where it was opened, else of
    validation
    found.differences       own minus other, with intervals

Nothing is chosen on the other set: preprocessing, threshold and temperature are the run's, fixed on its own
validation images.

    Altman, Royston: What do we mean by validating a prognostic model? Stat Med 19, 2000
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from core import metrics
from core.config import Split
from core.datasets import Dataset, open_dataset
from core.datasets.positive import default_positive
from core.datasets.source import Progress
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.class_map import ClassMap, guess_map, map_labels
from core.evaluation.decision import chosen_for
from core.evaluation.external_predictions import (
    ExternalPredictions,
    keep_map,
    key_of,
    load_external,
    open_external,
    predict_external,
)
from core.evaluation.external_result import Difference, ExternalEvaluation, shared_notes, unlike_notes
from core.evaluation.likeness import likeness_of
from core.evaluation.predictions import Predictions, load_predictions, no_images
from core.evaluation.run_evaluation import Baseline, RunEvaluation
from core.evaluation.warnings import warnings_of
from core.metrics import METRICS, MULTI_LABEL, Evaluation
from core.metrics.calibration import apply_temperature
from core.metrics.estimates import PROPORTIONS, Estimates, estimate
from core.metrics.groups import evaluate_groups
from core.metrics.intervals import difference_interval
from core.runs import checkpoints
from core.runs.marks import read_marks
from core.runs.store import Run

COMPARED = (
    "accuracy",
    "roc_auc",
    "average_precision",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "cohen_kappa",
    "quadratic_kappa",
    "loss",
    "brier",
)



@dataclass(frozen=True)
class MarkUse:
    """What is done with people's marks of single images (core/runs/marks.py).

    Args:
        leave_out: images with a mark of these kinds are left out
        correct: where a mark says the right class, it counts instead of the label
    """

    leave_out: tuple[str, ...] = ()
    correct: bool = False


def evaluate_external(
    run: Run,
    on: str,
    asked: Mapping[str, str] | None = None,
    *,
    target: str = "",
    split: str = "",
    marks: MarkUse = MarkUse(),
    progress: Progress | None = None,
    each: Collection[str] | None = None,
    draws: int = 1000,
) -> ExternalEvaluation:
    """Judge a run on another data set: predict it where that was not done yet, and evaluate it.

    Args:
        on: name or path of the set
        asked: class of the set -> class of the run, "" leaves it out; what is not said is guessed. None takes
            what was chosen last for this set
        target: as in `open_external`
        split: only the images of this split of the set; "" takes all
        marks: what is done with marked images
        progress: called with (sentence, done, total); may raise to stop
        each, draws: as in `evaluate_predictions`

    Raises:
        LightboxError: "external.no_labels", "map.none", "map.class", "external.none" where no image is left,
            "split.empty", and as `open_external` and `predict_external`
    """
    data = open_external(run, on, target, progress)
    if not data.has_labels:
        raise LightboxError(
            "external.no_labels",
            f"{data.title} has no labels, so nothing can be judged on it.",
            "Its images can be predicted: python -m core predict RUN FOLDER.",
        )
    kept = load_external(run, key_of(data)) if asked is None else None
    classes = guess_map(
        data.class_names, run.data()["class_names"], kept.map if kept else asked
    )  # before all that takes time
    preds = predict_external(run, data, progress)
    if asked is not None:
        keep_map(run, preds.key, dict(asked))
    rows = np.arange(len(preds.labels)) if not split else _rows_of_split(run, data, split, progress)
    return evaluate_kept(run, preds, classes, rows=rows, marks=marks, each=each, draws=draws)


def evaluate_kept(
    run: Run,
    preds: ExternalPredictions,
    classes: ClassMap | None = None,
    *,
    rows: np.ndarray | None = None,
    marks: MarkUse = MarkUse(),
    each: Collection[str] | None = None,
    draws: int = 1000,
) -> ExternalEvaluation:
    """Evaluate predictions that are kept. Opens no images.

    Args:
        classes: None takes the map that was chosen last, else the guessed one
        rows: of the predictions, (n,) int64; None takes all

    Raises:
        LightboxError: as `evaluate_external`
    """
    about = run.data()
    task, names = about["task"], tuple(about["class_names"])
    classes = classes or guess_map(preds.class_names, names, preds.map)
    labels, rows, marked = _after_marks(preds, np.arange(len(preds.labels)) if rows is None else rows, marks)
    labels, kept, left_out, columns = map_labels(labels[rows], classes, task)
    rows, left_out = rows[kept], left_out | marked
    if not len(rows):
        raise LightboxError(
            "external.none",
            f"No image of {preds.title} can be judged with this run.",
            " ".join(classes.sentences()) or "None has a label.",
        )
    judged = Predictions(
        labels,
        preds.probs[rows][:, columns],
        preds.image_ids[rows].tolist(),
        preds.epoch,
        *(
            None if people is None or not (people[rows] != "").any() else tuple(people[rows].tolist())
            for people in (preds.patients, preds.studies)
        ),
    )
    threshold = thresholds.of(run)
    threshold = threshold[columns] if isinstance(threshold, np.ndarray) else threshold
    names = tuple(names[k] for k in columns)
    result = _evaluation(run, judged, task, names, threshold, each, draws)
    own_split, own = _own(run, task, names, columns, threshold, draws)
    differences = (
        {}
        if own is None
        else {
            name: _difference(own, result, name)
            for name in COMPARED
            if own.value(name) is not None and result.value(name) is not None
        }
    )
    shared, without = _shared(preds.shared[rows], judged, task, threshold, draws)
    likeness = likeness_of(preds.nearest[rows], preds.own_nearest) if len(preds.nearest) else None
    why_not = preds.why_not or (
        "" if likeness else "the run has too few validation images to say what is like them."
    )
    notes = [*shared_notes(preds, about, shared, len(rows)), *unlike_notes(likeness)]
    result = replace(result, warnings=(*notes, *warnings_of(result)))
    temperature, calibrated = _calibrated(run, judged, task)
    return ExternalEvaluation(
        preds,
        judged,
        result,
        classes,
        left_out,
        own,
        own_split,
        differences,
        likeness,
        why_not,
        shared,
        without,
        temperature,
        calibrated,
    )


def _after_marks(
    preds: ExternalPredictions, rows: np.ndarray, use: MarkUse
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Labels after corrections, the rows that stay, and how many were left out for a mark."""
    if not use.leave_out and not use.correct:
        return preds.labels, rows, {}
    marks, labels = read_marks(preds.dataset), preds.labels.copy()
    kinds = np.array([marks[name].kind if name in marks else "" for name in preds.image_ids])
    place = {name: k for k, name in enumerate(preds.class_names)}
    for row, name in enumerate(preds.image_ids if use.correct else ()):
        right = marks[name].label.split("|") if name in marks and marks[name].label else []
        numbers = [place[one] for one in right if one in place]
        if numbers and labels.ndim == 1:
            labels[row], kinds[row] = numbers[0], ""  # corrected: no reason to leave it out
        elif numbers:
            labels[row], kinds[row] = np.isin(np.arange(labels.shape[1]), numbers), ""
    out = np.isin(kinds[rows], use.leave_out) if use.leave_out else np.zeros(len(rows), bool)
    return labels, rows[~out], {"marked": int(out.sum())} if out.any() else {}


def _rows_of_split(run: Run, data: Dataset, split: str, progress: Progress | None) -> np.ndarray:
    """Rows of the images that are in one split of the set: its own where it has one, else as it would be
    split by default; of the run's own set as it was trained."""
    own = data.fingerprint == run.data().get("fingerprint")
    config = run.config.data if own else data.config
    opened = open_dataset(replace(config, target=data.target), progress)
    rows = opened.indices(split)
    if not len(rows):
        raise no_images(split)
    return rows


def _evaluation(
    run: Run,
    judged: Predictions,
    task: str,
    names: tuple[str, ...],
    threshold: float | np.ndarray,
    each: Collection[str] | None,
    draws: int,
) -> RunEvaluation:
    people = judged.patients
    positive = default_positive(run.data())
    found = metrics.evaluate(
        judged.labels,
        judged.probs,
        task,
        names,
        threshold,
        people,
        each=METRICS if each is None or not positive else each,
        draws=draws,
    )
    groups = {
        f"by_{unit}": of
        and evaluate_groups(
            judged.labels, judged.probs, task, of, unit, people, threshold=threshold, draws=draws
        )
        for unit, of in (("study", judged.studies), ("patient", people))
    }
    majority, _ = metrics.majority_baseline(judged.labels, len(names))
    base = Baseline("majority", majority, None, 0.0, metrics.wilson_interval(majority * found.n, found.n))
    result = RunEvaluation(
        **vars(found), run=run.id, split="external", epoch=judged.epoch, baselines=(base,), **groups
    )
    return result.for_positive(positive)


def _own(
    run: Run,
    task: str,
    names: tuple[str, ...],
    columns: np.ndarray,
    threshold: float | np.ndarray,
    draws: int,
) -> tuple[str, Evaluation | None]:
    """The run's own test set where it was opened, else validation, of the same epoch. Opens nothing."""
    positive = default_positive(run.data())
    for split in (Split.TEST, Split.VAL):
        own = load_predictions(run, split)
        if own is not None and len(own.labels) and own.epoch == checkpoints.best_epoch(run.checkpoints):
            labels = own.labels[:, columns] if task == MULTI_LABEL else own.labels
            return split.value, metrics.evaluate(
                labels,
                own.probs[:, columns],
                task,
                names,
                threshold,
                own.patients,
                each=PROPORTIONS if positive else METRICS,
                draws=draws,
            ).for_positive(positive)
    return "", None


def _difference(own: Evaluation, other: Evaluation, name: str) -> Difference:
    a, b = own.estimates[name], other.estimates[name]
    if a.interval is None or b.interval is None:
        return Difference(a.value - b.value)
    return Difference(a.value - b.value, *difference_interval(a.value, a.interval, b.value, b.interval))


def _shared(
    shared: np.ndarray, judged: Predictions, task: str, threshold: float | np.ndarray, draws: int
) -> tuple[dict[str, int], Estimates]:
    counts = {str(split): int(n) for split, n in zip(*np.unique(shared[shared != ""], return_counts=True))}
    new = shared != "train"
    if not 0 < new.sum() < len(shared):
        return counts, {}
    people = None if judged.patients is None else np.array(judged.patients)[new]
    found, _ = estimate(
        judged.labels[new],
        judged.probs[new],
        task,
        people,
        names=("accuracy", "roc_auc"),
        each=(),
        threshold=threshold,
        draws=draws,
    )
    return counts, found


def _calibrated(run: Run, judged: Predictions, task: str) -> tuple[float | None, dict[str, float]]:
    """The run's temperature, and what the probabilities are worth with it."""
    t = chosen_for(run.id).temperature
    if t is None or len(judged.probs.T) < 2 and task != MULTI_LABEL:
        return None, {}
    values = metrics.measure(judged.labels, apply_temperature(judged.probs, t, task), task)
    return t, {name: values[name] for name in ("loss", "brier")}
