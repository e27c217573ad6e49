"""Judging a run: its predictions of a split, and what they are worth.

Validation is predicted when a run finishes. Test is predicted when somebody opens it, on purpose, and each opening is
counted: a test set that is looked at again and again becomes a validation set.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core import checkpoints, metrics
from core.datasets import open_dataset
from core.errors import LightboxError
from core.files import Lock, write_atomic
from core.runs import Run


@dataclass(frozen=True)
class Predictions:
    """What a run's best epoch says of a split.

    Args:
        labels: (N,) int64 or (N, L) int64
        probs: (N, K) float32 in [0, 1]
        image_ids: N names, as in the table of the data set
        epoch: whose weights these are; a run that trained on has newer ones
    """
    labels: np.ndarray
    probs: np.ndarray
    image_ids: list[str]
    epoch: int


def predictions(run: Run, split: str) -> Predictions | None:
    """What is stored of a split, or None where it was not predicted yet or the file is damaged."""
    try:
        with np.load(run.folder / "predictions.npz", allow_pickle=False) as stored:
            return Predictions(stored[f"{split}_labels"], stored[f"{split}_probs"],
                               stored[f"{split}_image_ids"].tolist(), int(stored[f"{split}_epoch"]))
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
    from core.classifiers import load_classifier
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
    found = Predictions(part.labels, probs, ids.tolist(), loaded.epoch)
    _store(run, split, found)
    return found


def evaluate(run: Run, split: str = "val", progress: Callable[[str, int, int], None] | None = None) -> dict:
    """The measures of a run on a split, as `metrics.evaluate` gives them, with "run", "split" and "epoch".

    For the test split this counts as opening it.
    """
    about = run.data()
    if about and not about["n"][split]:
        raise _nothing_in(split)
    if split == "test":
        run.note_test_opened()
    found = predictions(run, split)
    if found is None or found.epoch != checkpoints.best_epoch(run.checkpoints):
        found = predict_split(run, split, progress=progress)
    return {"run": run.id, "split": split, "epoch": found.epoch,
            **metrics.evaluate(found.labels, found.probs, about["task"], tuple(about["class_names"])),
            **({"times_test_opened": run.times_test_opened()} if split == "test" else {})}


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
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomic(path, buffer.getvalue())
