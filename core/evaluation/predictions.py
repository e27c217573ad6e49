"""The predictions of a run on a split: made, stored in the run's folder, and read again.

    predictions.npz    <split>_labels, <split>_probs, <split>_image_ids, <split>_epoch, <split>_patients, <split>_studies
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from core.config import Task
from core.datasets import is_ready, open_dataset
from core.datasets.dataset import Dataset
from core.errors import LightboxError
from core.files import Damaged, Lock, read_file, write_atomic
from core.runs.store import Run

MOST_BYTES = 2 * 10**9         # of predictions.npz
# What reading the members of a damaged zip of arrays raises, deep inside numpy and zlib: tests/fuzz_home.py looks for more.
BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, SyntaxError, MemoryError, NotImplementedError,
          OverflowError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError)


@dataclass(frozen=True)
class Predictions:
    """What a run's best epoch predicts for a split.

    Args:
        labels: (N,) int64 or (N, L) int64
        probs: (N, K) float32 in [0, 1]
        image_ids: N names, as in the table of the data set
        epoch: whose weights these are; a run that trained on has newer ones
        patients: N names, "" where unknown; None where no patient is known, or the file is older than this
        studies: N names, of a patient's own where patients are known; as `patients`
        fingerprint: of the images when they were predicted; "" in files older than this
    """
    labels: np.ndarray
    probs: np.ndarray
    image_ids: list[str]
    epoch: int
    patients: tuple[str, ...] | None = None
    studies: tuple[str, ...] | None = None
    fingerprint: str = ""


def load_predictions(run: Run, split: str) -> Predictions | None:
    """Read what is stored of a split; None where it was not predicted yet or the file is damaged, which
    `damaged_predictions` tells apart."""
    try:
        return _read(run, split)
    except (FileNotFoundError, Damaged):
        return None


def damaged_predictions(run: Run, split: str) -> LightboxError | None:
    """Return "predictions.damaged" where something is stored of a split, or of none, that cannot be read."""
    try:
        _read(run, split)
    except FileNotFoundError:
        return None
    except Damaged:
        return LightboxError("predictions.damaged", f"The stored predictions of the run {run.id} are damaged.",
                             "They are computed again from its weights; of the test set, when it is opened.")
    return None


def _read(run: Run, split: str) -> Predictions:
    """Raises FileNotFoundError where nothing is stored of a split, `Damaged` for what are no predictions of this run."""
    raw, about = read_file(run.folder / "predictions.npz", MOST_BYTES), run.data()
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
            if not any(name.startswith(f"{split}_") for name in stored.files):
                raise FileNotFoundError(split)
            names = ["labels", "probs", "image_ids", "epoch", "patients", "studies", "fingerprint"]
            found = {name: stored[f"{split}_{name}"] for name in names if f"{split}_{name}" in stored}
    except FileNotFoundError:
        raise
    except BROKEN as error:
        raise Damaged(str(error)) from None
    try:
        return _checked(found, about)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise Damaged(str(error)) from None


def _checked(found: dict[str, np.ndarray], about: Mapping) -> Predictions:
    labels, probs, ids, epoch = (found[name] for name in ("labels", "probs", "image_ids", "epoch"))
    _check_numbers(labels, probs, about)
    for name in {"image_ids", "patients", "studies"} & set(found):
        if found[name].dtype.kind != "U" or found[name].shape != probs.shape[:1]:
            raise Damaged(f"the {name} are not one text an image")
        "\n".join(found[name].tolist()).encode()                    # half a pair of surrogates is no text
    if len(set(ids.tolist())) != len(ids) or epoch.dtype.kind not in "iu" or epoch.shape or not 0 <= epoch < 10**7:
        raise Damaged("images stand there twice, or the epoch is none")
    people = (tuple(found[name].tolist()) if name in found else None for name in ("patients", "studies"))
    fingerprint = found.get("fingerprint", np.array(""))
    return Predictions(labels.astype(np.int64, copy=False), probs, ids.tolist(), int(epoch), *people,
                       str(fingerprint) if fingerprint.dtype.kind == "U" and not fingerprint.shape else "")


def _check_numbers(labels: np.ndarray, probs: np.ndarray, about: Mapping) -> None:
    """Raise Damaged where these are no labels and probabilities of a run."""
    several = about.get("task") == Task.MULTILABEL
    classes = len(about.get("class_names", ())) or probs.shape[-1]
    if probs.ndim != 2 or probs.dtype.kind != "f" or probs.shape[1] != classes:
        raise Damaged("the probabilities have another shape than the classes")
    if not len(probs) or not np.isfinite(probs).all() or probs.min() < 0 or probs.max() > 1:
        raise Damaged("the probabilities are no probabilities")
    if labels.dtype.kind not in "iu" or labels.shape != (probs.shape if several else probs.shape[:1]):
        raise Damaged("the labels have another shape than the probabilities")
    if labels.min() < -1 or labels.max() >= (2 if several else classes):
        raise Damaged("a label is no class")


def predict_split(run: Run, split: str, data: Dataset | None = None,
                  progress: Callable[[str, int, int], None] | None = None,
                  device: str = "cpu") -> Predictions:
    """Predict a split with the weights of the run's best epoch and store the result.

    Args:
        data: the run's open Dataset, if the caller has it
        progress: called with (sentence, images done, images); may raise to stop
        device: to compute on; a run that trains on a GPU predicts there too

    Raises:
        LightboxError: "checkpoint.missing" before the first epoch, "checkpoint.damaged", "run.data_changed",
            "split.empty"
    """
    from core.runs.classifiers import load_classifier
    if (spec := run.ensemble) and not spec.is_soup:
        from core.evaluation.ensembles import predict_ensemble
        return predict_ensemble(run, split, progress)
    from core.trainers.batches import Batches, SplitData
    from core.trainers.classifier import predict

    data = data or open_dataset(run.config.data, progress)
    known = run.data()
    if known and known["split_hash"] != data.split_hash:
        raise LightboxError("run.data_changed",
                            "The images or their split have changed since this run was trained.",
                            "Restore the old images; otherwise its results cannot be compared.")
    loaded = load_classifier(run.id)
    part = SplitData.of(data, split)
    if not len(part):
        raise no_images(split)
    model = loaded.model.to(device)
    for done, probs in predict(model, Batches(part, model.device), batch_size=64):
        if progress:
            progress(f"Predicting the {'validation' if split == 'val' else split} images", done, len(part))
    ids = data.table["image_id"].to_numpy()[part.indices].astype(str)
    preds = with_patients(Predictions(part.labels, probs, ids.tolist(), loaded.epoch, fingerprint=data.fingerprint), data)
    store_predictions(run, split, preds)
    return preds


def no_images(split: str) -> LightboxError:
    """Return the error of a split without images."""
    return LightboxError("split.empty", f"This data set has no {split} images.", "Choose another split.")


def with_patients(preds: Predictions, data: Dataset) -> Predictions:
    """Return the same with patients and studies from the data set's table. An image that is not in it belongs
    to nobody."""
    table = data.table
    place = {name: i for i, name in enumerate(table["image_id"].astype(str))}
    rows = [place.get(name, -1) for name in preds.image_ids]

    def column(name: str) -> list[str]:
        values = table[name].astype(str).tolist() if name in table else []
        return [values[i] if values and i >= 0 else "" for i in rows]
    patients, studies = column("patient"), column("study")
    studies = [f"{patient}/{study}" if study else "" for patient, study in zip(patients, studies)]
    return replace(preds, patients=tuple(patients) if any(patients) else None, studies=tuple(studies)
                   if any(studies) else None)


def ready_dataset(run: Run) -> Dataset | None:
    """Open the run's data set where that takes no time and its images are still those that it was trained on;
    else None."""
    config = run.config.data
    try:
        data = open_dataset(config) if is_ready(config) else None
    except LightboxError:
        return None
    return data if data is not None and data.split_hash == run.data().get("split_hash") else None


def store_predictions(run: Run, split: str, preds: Predictions) -> None:
    """Keep predictions of a split in the run's folder, beside those of the other one."""
    with Lock(run.folder / "predictions.lock"):
        arrays = {}
        for other in ("val", "test"):
            known = preds if other == split else load_predictions(run, other)
            if known is None:
                continue
            arrays |= {f"{other}_labels": known.labels, f"{other}_probs": known.probs,
                       f"{other}_image_ids": np.array(known.image_ids),
                       f"{other}_epoch": np.array(known.epoch), f"{other}_fingerprint": np.array(known.fingerprint)}
            arrays |= {f"{other}_{what}": np.array(people) for what, people in
                       (("patients", known.patients), ("studies", known.studies)) if people is not None}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomic(run.folder / "predictions.npz", buffer.getvalue())
