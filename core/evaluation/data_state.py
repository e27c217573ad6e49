"""Whether the images are still those that a run was trained on, and that its stored predictions are of.

    data_note(run, preds)      None, or a Note with one of CODES

Cheap where nothing has changed: the fingerprint of the source (names, sizes and times of its files) is compared with
those that data.json and predictions.npz keep. Only where it differs the images themselves are looked at.
"""

from __future__ import annotations

import numpy as np

from core.config import DataConfig
from core.datasets import Dataset, is_ready, open_dataset, open_source
from core.datasets.store import store_folder
from core.datasets.unit_pixels import unit_fingerprint
from core.errors import LightboxError
from core.evaluation.predictions import Predictions
from core.metrics.evaluation import Note
from core.runs.ensembles import member_problems
from core.runs.store import Run

CODES = {"ensemble.member": "a member of the ensemble was deleted or changed",
         "data.gone": "the images cannot be opened now",
         "data.split_changed": "other images, or others in training, validation or test",
         "data.labels_changed": "labels of the predicted images are others",
         "data.pixels_changed": "pixels are others",
         "data.files_changed": "files are others by size or time; what is in them is not known until they are prepared"}
OLD = "The numbers here are old: they are those of the images as they were."
PIECE, MOST = 256, 4 * 10**8         # images compared at a time; bytes that are compared at all


def data_note(run: Run, preds: Predictions | None = None, fingerprint: str | None = None) -> Note | None:
    """Return what has changed about the images since a run was trained, or its predictions were made.

    Args:
        preds: stored predictions whose labels are compared with those of now
        fingerprint: of the source now, where the caller knows it

    Returns:
        None where nothing has, or nothing is known: the run has not started, or its set must be downloaded first
    """
    if problems := member_problems(run):
        return Note("ensemble.member", f"{problems[0]} The numbers here are those that were kept; it predicts nothing new.")
    about, config = run.data(), run.config.data
    if not about:
        return None
    try:
        now = _fingerprint(config) if fingerprint is None else fingerprint
        now = now if config.unit == "image" else unit_fingerprint(now, config)
        trained, predicted = about["fingerprint"], preds.fingerprint if preds else ""
        if not now or now == trained and predicted in ("", now):
            return None
        since = "this run was trained" if now != trained else "these predictions were made"
        if not is_ready(config):
            return Note("data.files_changed", f"Files of this data set have changed since {since}. {OLD}")
        return _compared(about, config, open_dataset(config), preds, since, trained if now != trained else predicted)
    except LightboxError as error:
        return Note("data.gone", f"{error.message} The numbers here are those that were kept.")


def _fingerprint(config: DataConfig) -> str:
    source = open_source(config)
    return source.fingerprint() if source else ""


def _compared(about: dict, config: DataConfig, data: Dataset, preds: Predictions | None, since: str,
              before: str) -> Note | None:
    if data.split_hash != about["split_hash"]:
        return Note("data.split_changed", f"The images or their split have changed since {since}{_gone(data, preds)}. {OLD}")
    changed = 0 if preds is None else _relabelled(data, preds)
    if changed:
        return Note("data.labels_changed",
                    f"{changed:,} of the {len(preds.labels):,} images here were labelled differently when {since}. {OLD}")
    same = _same_content(data, before)
    if same is None:
        return Note("data.files_changed", f"Files of this data set have changed since {since}. {OLD}")
    return None if same else Note("data.pixels_changed", f"Pixels or labels have changed since {since}. {OLD}")


def _gone(data: Dataset, preds: Predictions | None) -> str:
    if preds is None:
        return ""
    n = len(set(preds.image_ids) - set(data.table["image_id"].astype(str)))
    return f": {n:,} of the {len(preds.image_ids):,} images here are no longer there under their names" if n else ""


def _relabelled(data: Dataset, preds: Predictions) -> int:
    """How many predicted images have another label now."""
    row = {name: i for i, name in enumerate(data.table["image_id"].astype(str))}
    rows = np.array([row.get(name, -1) for name in preds.image_ids])
    if (rows < 0).any() or preds.labels.shape[1:] != data.labels.shape[1:]:
        return 0
    return int((data.labels[rows] != preds.labels).reshape(len(rows), -1).any(axis=1).sum())


def _same_content(data: Dataset, before: str) -> bool | None:
    """Whether pixels and labels are those of an earlier fingerprint, such as those of a copied folder; None where that is not
    known any more."""
    config = data.config
    folder, now = (store_folder(data.title, of, config.size, config.resize, config.channels) for of in (before, data.fingerprint))
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        labels, stored = (np.load(place / f"labels_{data.target}.npy", allow_pickle=False) for place in (folder, now))
    except Exception:                        # never made, deleted or damaged
        return None
    if images.nbytes > MOST:
        return None
    if images.shape != data.images.shape or not np.array_equal(labels, stored):
        return False
    return all(np.array_equal(images[k:k + PIECE], data.images[k:k + PIECE]) for k in range(0, len(images), PIECE))
