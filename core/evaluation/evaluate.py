"""The evaluation of a run: every metric with its interval, baselines, warnings.

    evaluate(run, split)                       predict a split where needed and evaluate it; of test it counts as opening
    evaluate_predictions(run, split, preds)    the same of predictions that one has: opens and counts nothing

Validation is predicted when a run finishes. Test is predicted when somebody opens it, on purpose, and each
opening is counted: a test set that is looked at again and again becomes a validation set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from core import metrics
from core.datasets.dataset import Dataset
from core.evaluation import thresholds
from core.evaluation.baselines import kept_baseline, logistic_baseline
from core.evaluation.copies import CopyEvaluation, evaluate_copies
from core.evaluation.data_state import data_note
from core.evaluation.predictions import (
    Predictions,
    load_predictions,
    no_images,
    predict_split,
    ready_dataset,
    with_patients,
)
from core.evaluation.run_evaluation import LOGISTIC, Baseline, RunEvaluation
from core.evaluation.warnings import warnings_of
from core.metrics import METRICS, MULTI_LABEL
from core.metrics.estimates import Estimates, estimate
from core.metrics.groups import GroupEvaluation, evaluate_groups
from core.runs import checkpoints
from core.runs.store import Run


def evaluate(run: Run, split: str = "val",
             progress: Callable[[str, int, int], None] | None = None) -> RunEvaluation:
    """Predict a split where that was not done yet, and evaluate it. For test this counts as opening it.

    Args:
        progress: as in `predict_split`

    Raises:
        LightboxError: "split.empty", and as `predict_split` and `core.metrics.input.check`
    """
    about = run.data()
    if about and not about["n"][split]:
        raise no_images(split)
    if split == "test":
        run.note_test_opened()
    preds, data = load_predictions(run, split), ready_dataset(run)
    if preds is None or preds.epoch != checkpoints.best_epoch(run.checkpoints):
        preds = predict_split(run, split, data, progress)
    return with_data_note(evaluate_predictions(run, split, preds, data), run, preds)


def with_data_note(result: RunEvaluation, run: Run, preds: Predictions) -> RunEvaluation:
    """Return the same with what has changed about the images since the training or the predictions, as its first warning."""
    note = data_note(run, preds)
    return replace(result, data_note=note, warnings=(note, *result.warnings)) if note else result


def evaluate_predictions(run: Run, split: str, preds: Predictions, data: Dataset | None = None, *,
                         fit: bool = True,
                         groups: bool = True, each: Collection[str] | None = None,
                         draws: int = 1000) -> RunEvaluation:
    """Evaluate predictions that one has.

    Args:
        data: the run's open set, for what stored predictions lack: patients, and the logistic baseline where
            it was never made
        fit: whether to fit that baseline now, which takes seconds on large sets; without it, only a kept one
            is shown
        groups: whether to evaluate by study and patient too, see `evaluate_by_group`
        each: metrics of each class; None takes all, see core/metrics/estimates.py
        draws: of the bootstrap

    Raises:
        LightboxError: as `core.metrics.input.check`
    """
    about, threshold = run.data(), thresholds.of(run)
    if data is not None and preds.patients is None and preds.studies is None:
        preds = with_patients(preds, data)
    found = metrics.evaluate(preds.labels, preds.probs, about["task"], about["class_names"], threshold,
                             preds.patients,
                             each=METRICS if each is None else each, draws=draws)
    result = RunEvaluation(**vars(found), run=run.id, split=split, epoch=preds.epoch, untrained=_untrained(about),
                           **(evaluate_by_group(run, preds, draws=draws) if groups else {}))
    if split == "test":
        result = replace(result, times_test_opened=run.times_test_opened(),
                         validation=_validation(run, preds.epoch, draws))
    if data is not None:
        result = replace(result, copies=evaluate_copies(preds, data, split, about["task"], found.estimates, threshold,
                                                        draws=draws))
    return with_baselines(run, result, preds, data if fit else None)


def _untrained(about: Mapping) -> tuple[str, ...]:
    """Classes without a training image; older runs noted no counts. Where all images were predicted out of fold none is a
    training image of all folds, and each network has seen those of the other folds."""
    counts = about.get("counts", {}).get("train", ())
    return tuple(name for name, n in zip(about["class_names"], counts) if not n) if any(counts) else ()


def with_copies(run: Run, result: RunEvaluation, copies: CopyEvaluation | None) -> RunEvaluation:
    """Return the same with what a search for copies found since, and with the warning about it."""
    result = replace(result, copies=copies)
    return replace(result, warnings=tuple(warnings_of(result, epochs=len(run.records("epoch")))))


def _validation(run: Run, epoch: int, draws: int) -> Estimates:
    """Accuracy and ROC AUC of the same epoch on validation; empty where they are not known."""
    val = load_predictions(run, "val")
    if val is None or val.epoch != epoch:
        return {}
    found, _ = estimate(val.labels, val.probs, run.data()["task"], val.patients, each=(),
                        names=("accuracy", "roc_auc"),
                        threshold=thresholds.of(run), draws=draws)
    return found


def with_baselines(run: Run, result: RunEvaluation, preds: Predictions,
                   data: Dataset | None) -> RunEvaluation:
    """Return the same with baselines, and with the warnings that depend on them: again, when the logistic one
    was fitted since.

    Args:
        data: the run's open set, on which the logistic baseline is fitted where it was not; None shows it
            only where it was
    """
    result = replace(result, baselines=tuple(_baselines(run.data(), result.split, preds.labels, data)))
    return replace(result, warnings=tuple(warnings_of(result, epochs=len(run.records("epoch")))))


def evaluate_by_group(run: Run, preds: Predictions, *, draws: int = 1000, pool: str = "mean",
                      positive: int = 1) -> dict[str, GroupEvaluation | None]:
    """Return {"by_study", "by_patient"}: the probabilities of the images of each, pooled as `core.metrics.groups.by_group` does,
    evaluated like an image."""
    task, threshold = run.data()["task"], thresholds.of(run)

    def of(groups: tuple[str, ...] | None, unit: str) -> GroupEvaluation | None:
        return groups and evaluate_groups(preds.labels, preds.probs, task, groups, unit, preds.patients,
                                          threshold=threshold, draws=draws, pool=pool, positive=positive)
    return {"by_study": of(preds.studies, "study"), "by_patient": of(preds.patients, "patient")}


def _baselines(about: Mapping, split: str, labels: np.ndarray, data: Dataset | None) -> list[Baseline]:
    """Always predicting the most frequent class, and the logistic regression where it is known or can be
    fitted."""
    task, classes, images = about["task"], len(about["class_names"]), len(labels)
    majority, _ = metrics.majority_baseline(labels, classes)
    uniform = np.full((images, classes), 0.5 if task == MULTI_LABEL else 1 / classes)
    rows = [Baseline("majority", majority, metrics.roc_auc(labels, uniform, task), 0.0,
                     metrics.wilson_interval(majority * images, images))]
    probs = logistic_baseline(data, split) if data is not None else kept_baseline(about, split)
    if probs is not None and probs.shape == (images, classes):
        values = metrics.measure(labels, probs, task)
        accuracy, _ = estimate(labels, probs, task, names=["accuracy"], each=())
        rows.append(Baseline(LOGISTIC, values["accuracy"], values["roc_auc"], values["cohen_kappa"],
                             accuracy["accuracy"].interval))
    return rows
