"""Judging a run: its predictions of a split, and what they are worth.

    predictions(run, split)      what is stored
    predict_split(run, split)    computed now, and stored
    judge(run, split, found)     every measure with its interval, baselines, alarms: of answers that one has
    evaluate(run, split)         all of it; of test it counts as opening

Validation is predicted when a run finishes. Test is predicted when somebody opens it, on purpose, and each opening is
counted: a test set that is looked at again and again becomes a validation set.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from core import metrics
from core.datasets import is_ready, open_dataset
from core.datasets.dataset import Dataset
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.baselines import kept_baseline, logistic_baseline
from core.evaluation.warnings import alarms
from core.files import Lock, write_atomic
from core.metrics import with_intervals
from core.metrics.groups import judge_groups
from core.runs import checkpoints
from core.runs.store import Run

LOGISTIC = "logistic regression on 16 x 16 pixels"
SHOWN = ("accuracy", "roc_auc", "cohen_kappa")          # of a baseline


@dataclass(frozen=True)
class Predictions:
    """What a run's best epoch says of a split.

    Args:
        labels: (N,) int64 or (N, L) int64
        probs: (N, K) float32 in [0, 1]
        image_ids: N names, as in the table of the data set
        epoch: whose weights these are; a run that trained on has newer ones
        patients: N names, "" where nobody is known; None where no patient is known, or the file is older than this
        studies: N names, of a patient's own where patients are known; as `patients`
    """
    labels: np.ndarray
    probs: np.ndarray
    image_ids: list[str]
    epoch: int
    patients: tuple[str, ...] | None = None
    studies: tuple[str, ...] | None = None


def predictions(run: Run, split: str) -> Predictions | None:
    """What is stored of a split, or None where it was not predicted yet or the file is damaged."""
    try:
        with np.load(run.folder / "predictions.npz", allow_pickle=False) as stored:
            return Predictions(stored[f"{split}_labels"], stored[f"{split}_probs"],
                               stored[f"{split}_image_ids"].tolist(), int(stored[f"{split}_epoch"]),
                               *(tuple(stored[name].tolist()) if (name := f"{split}_{what}") in stored else None
                                 for what in ("patients", "studies")))
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:                       # zipfile and zlib have errors of their own for a damaged file
        if type(error).__module__ in ("zipfile", "zlib"):
            return None
        raise


def predict_split(run: Run, split: str, data=None, progress: Callable[[str, int, int], None] | None = None,
                  device: str = "cpu") -> Predictions:
    """Predict a split with the weights of the run's best epoch and store the answer.

    Args:
        data: the run's open Dataset, if the caller has it
        progress: called with (sentence, images done, images); may raise to stop
        device: to compute on; a run that trains on a GPU predicts there too

    Raises:
        LightboxError: "checkpoint.missing" before the first epoch, "checkpoint.damaged", "run.data_changed"
    """
    from core.runs.classifiers import load_classifier
    from core.trainers.batches import Batches, Split
    from core.trainers.classifier import predict

    data = data or open_dataset(run.config.data, progress)
    known = run.data()
    if known and known["split_hash"] != data.split_hash:
        raise LightboxError("run.data_changed", "The images or their split have changed since this run was trained.",
                            "Put the old images back; otherwise its results cannot be compared.")
    loaded = load_classifier(run.id)
    part = Split.of(data, split)
    if not len(part):
        raise _nothing_in(split)
    model = loaded.model.to(device)
    for done, probs in predict(model, Batches(part, model.device), batch_size=64):
        if progress:
            progress(f"Predicting the {'validation' if split == 'val' else split} images", done, len(part))
    ids = data.table["image_id"].to_numpy()[part.indices].astype(str)
    found = with_people(Predictions(part.labels, probs, ids.tolist(), loaded.epoch), data)
    _store(run, split, found)
    return found


def with_people(found: Predictions, data: Dataset) -> Predictions:
    """The same with the patients and studies of the open set's table. An image that is not in it belongs to nobody."""
    table = data.table
    place = {name: i for i, name in enumerate(table["image_id"].astype(str))}
    rows = [place.get(name, -1) for name in found.image_ids]

    def column(name: str) -> list[str]:
        values = table[name].astype(str).tolist() if name in table else []
        return [values[i] if values and i >= 0 else "" for i in rows]
    patients, studies = column("patient"), column("study")
    studies = [f"{patient}/{study}" if study else "" for patient, study in zip(patients, studies)]
    return replace(found, patients=tuple(patients) if any(patients) else None, studies=tuple(studies) if any(studies) else None)


def judge(run: Run, split: str, found: Predictions, data: Dataset | None = None, *, fit: bool = True, groups: bool = True,
          each: Collection[str] | None = None, draws: int = 1000) -> dict:
    """What answers that one has are worth. Opens nothing and counts nothing.

    Args:
        found: the run's answers to `split`
        data: the run's open set, for what the stored answers lack: patients, and the logistic baseline where it was never made
        fit: whether to fit that baseline now, which takes seconds on large sets; without it, only a kept one is shown
        groups: whether to judge studies and patients too, see `grouped`
        each: measures of each class by itself; None takes all, see core/metrics/with_intervals.py
        draws: of the bootstrap

    Returns:
        `metrics.evaluate` at the run's threshold, in whose "per_class" each row has "measures" too, and
        run, split, epoch
        threshold: float, or a list of one for each finding
        measures: {each of METRICS, "medmnist_auc", "medmnist_acc": cell}, see core/metrics/with_intervals.py
        baselines: [{"name": "majority" or LOGISTIC, "accuracy", "roc_auc", "cohen_kappa", "accuracy_interval"}]
        by_study, by_patient: {"n", "images", "left_out", "accuracy", "roc_auc", "cohen_kappa": cells}; None where images are all
            there is
        alarms: sentences, see core/evaluation/warnings.py
        times_test_opened, of test; and validation: {"accuracy", "roc_auc": cells} of the same epoch there, {} where not known
    """
    about = run.data()
    task, names = about["task"], tuple(about["class_names"])
    if data is not None and found.patients is None and found.studies is None:
        found = with_people(found, data)
    labels, probs, threshold = found.labels, found.probs, thresholds.of(run)
    result = metrics.evaluate(labels, probs, task, names, threshold)
    cells, of_classes = with_intervals.judge(labels, probs, task, found.patients, each=each, threshold=threshold, draws=draws)
    result |= {"run": run.id, "split": split, "epoch": found.epoch, "measures": cells,
               "threshold": threshold.tolist() if isinstance(threshold, np.ndarray) else threshold,
               "accuracy_interval": _limits(cells["accuracy"]), "roc_auc_interval": _limits(cells["roc_auc"]),
               **(grouped(run, found, draws=draws) if groups else {})}
    result["notes"] = metrics.notes_of(result)                  # once more, with the interval that knows of patients
    for row, of_class in zip(result["per_class"], of_classes):
        row["measures"] = of_class
        row |= {f"{name}_interval": _limits(of_class[name]) for name in ("sensitivity", "specificity")}
    if split == "test":
        result |= {"times_test_opened": run.times_test_opened(), "validation": {}}
        beside = predictions(run, "val")
        if beside is not None and beside.epoch == found.epoch:
            result["validation"], _ = with_intervals.judge(beside.labels, beside.probs, task, beside.patients, each=(),
                                                     names=("accuracy", "roc_auc"), threshold=threshold, draws=draws)
    return with_baselines(run, result, found, data if fit else None)


def with_baselines(run: Run, result: dict, found: Predictions, data: Dataset | None) -> dict:
    """A result of `judge` with baselines and the alarms that look at them: again, when the logistic one was fitted since.

    Args:
        data: the run's open set, on which the logistic baseline is fitted where it was not; None shows it only where it was
    """
    about = run.data()
    result = result | {"baselines": _baselines(about, result["split"], found.labels, about["task"], data)}
    return result | {"alarms": alarms(result, epochs=len(run.records("epoch")), validation=result.get("validation"),
                                      times_opened=result.get("times_test_opened", 0))}


def grouped(run: Run, found: Predictions, *, draws: int = 1000) -> dict:
    """{"by_study", "by_patient"} as `judge` answers them: the mean over the images of each, judged like an image."""
    task, threshold = run.data()["task"], thresholds.of(run)

    def of(groups: tuple[str, ...] | None, kind: str) -> dict | None:
        return groups and judge_groups(found.labels, found.probs, task, groups, kind, found.patients, threshold=threshold,
                                       draws=draws)
    return {"by_study": of(found.studies, "study"), "by_patient": of(found.patients, "patient")}


def evaluate(run: Run, split: str = "val", progress: Callable[[str, int, int], None] | None = None) -> dict:
    """Predict a split where that was not done yet, and judge it: see `judge`. For test this counts as opening it.

    Args:
        progress: as in `predict_split`
    """
    about = run.data()
    if about and not about["n"][split]:
        raise _nothing_in(split)
    if split == "test":
        run.note_test_opened()
    found, data = predictions(run, split), data_at_hand(run)
    if found is None or found.epoch != checkpoints.best_epoch(run.checkpoints):
        found = predict_split(run, split, data, progress)
    return judge(run, split, found, data)


def data_at_hand(run: Run) -> Dataset | None:
    """The run's open set, where that takes no time and its images are still those that it was trained on."""
    config = run.config.data
    try:
        data = open_dataset(config) if is_ready(config) else None
    except LightboxError:
        return None
    return data if data is not None and data.split_hash == run.data().get("split_hash") else None


def _baselines(about: dict, split: str, labels: np.ndarray, task: str, data: Dataset | None) -> list[dict]:
    """What a network must beat: the most frequent answer, and the logistic regression where it is known or can be fitted."""
    classes = len(about["class_names"])
    majority, _ = metrics.majority_baseline(labels, classes)
    even = np.full((len(labels), classes), 0.5 if task == metrics.MULTI_LABEL else 1 / classes)
    images = len(labels)
    rows = [{"name": "majority", "accuracy": majority, "roc_auc": metrics.roc_auc(labels, even, task), "cohen_kappa": 0.0,
             "accuracy_interval": list(metrics.wilson_interval(majority * images, images))}]
    probs = logistic_baseline(data, split) if data is not None else kept_baseline(about, split)
    if probs is not None and probs.shape == (len(labels), classes):
        rows.append({"name": LOGISTIC, **{name: metrics.METRICS[name].function(labels, probs, task) for name in SHOWN},
                     "accuracy_interval": list(metrics.accuracy_interval(labels, probs, task))})
    return rows


def _limits(cell: dict) -> list[float] | None:
    return None if cell["low"] is None else [cell["low"], cell["high"]]


def _nothing_in(split: str) -> LightboxError:
    return LightboxError("split.empty", f"There are no {split} images in this set.", "Choose another split.")


def _store(run: Run, split: str, found: Predictions) -> None:
    path = run.folder / "predictions.npz"
    with Lock(run.folder / "predictions.lock"):
        arrays = {}
        for other in ("val", "test"):
            known = found if other == split else predictions(run, other)
            if known is not None:
                arrays |= {f"{other}_labels": known.labels, f"{other}_probs": known.probs,
                           f"{other}_image_ids": np.array(known.image_ids), f"{other}_epoch": np.array(known.epoch)}
                arrays |= {f"{other}_{what}": np.array(people) for what, people in
                           (("patients", known.patients), ("studies", known.studies)) if people is not None}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomic(path, buffer.getvalue())
