"""What a network predicts on a whole split, how good that is, and which epoch was the best."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from core import metrics
from core.config import TrainConfig
from core.errors import LightboxError
from core.trainers.batches import Batches, in_portions

TRACKED = 8      # validation images whose probabilities are written down after each epoch


def predict(model: nn.Module, batches: Batches, batch_size: int) -> Iterator[tuple[int, np.ndarray | None]]:
    """Predict the probabilities of a whole split, in its order, in float32 and evaluation mode.

    Yields:
        (images done, None) after each batch, at last (N, (N, K) float32 in [0, 1])
    """
    was_training = model.training
    forward = model.head if batches.split.embedded else model
    model.eval()
    try:
        parts, done = [], 0
        # No gradients, so a batch may be larger than in training; not on the CPU, where it must end soon to be stopped.
        portions = in_portions(np.arange(len(batches.split)), batch_size * (1 if batches.device.type == "cpu" else 4))
        for images, _ in batches(portions):
            # Left again before each yield: the caller must not find gradients switched off.
            with torch.no_grad():
                parts.append(model.probabilities(forward(images)))
            done += len(images)
            yield done, None
        yield done, torch.cat(parts).cpu().numpy()
    finally:
        model.train(was_training)


def score(labels: np.ndarray, probs: np.ndarray, task: str) -> dict:
    """Return every metric of METRICS, None where it is undefined. Raises LightboxError "train.nan"."""
    check_finite(0.0 if np.isfinite(probs).all() else math.nan)
    return metrics.measure(labels, probs, task)


def notes_on(values: dict, monitor: str) -> list[str]:
    """Return sentences about the metrics that are undefined in a validation."""
    decides = "The best epoch is chosen by the loss."
    notes = []
    if values["roc_auc"] is None:
        notes.append("ROC AUC is undefined here, because a class has no image in this split."
                     + (f" {decides}" if monitor == "roc_auc" else ""))
    if monitor != "roc_auc" and values[monitor] is None:
        notes.append(f"{metrics.METRICS[monitor].title} is undefined here. {decides}")
    return notes


def is_better(new: dict, best: dict, monitor: str = "roc_auc") -> bool:
    """Return whether a validation beats the best so far: by the monitored metric, or by the loss where that decides nothing."""
    if not best:
        return True
    a, b = new.get(monitor), best.get(monitor)
    if a is None or b is None or a == b:
        return new["loss"] < best["loss"]
    return (a > b) == metrics.METRICS[monitor].higher_is_better


def stops_early(epoch: int, best: dict, config: TrainConfig) -> bool:
    """Return whether the best of `epoch` finished epochs lies `config.patience` of them back.

    It follows from these alone.
    """
    return bool(config.patience and best and epoch - best["epoch"] >= config.patience)


def why_it_ended(epoch: int, best: dict, config: TrainConfig) -> str:
    """Return why a training that nobody stopped ended, for the run's page."""
    if stops_early(epoch, best, config) and epoch < config.epochs:
        back = f"{config.patience} epochs" if config.patience > 1 else "an epoch"
        return (f"Stopped early after epoch {epoch} of {config.epochs}: {metrics.METRICS[config.monitor].title} did not improve "
                f"for {back}. Best epoch: {best['epoch']}.")
    return f"Best epoch: {best['epoch']} of {epoch}."


def count_predictions(probs: np.ndarray, task: str) -> list[int]:
    """Return how often each class is predicted, or each finding: K numbers."""
    predicted = metrics.predict(probs, task)
    return (predicted.sum(axis=0) if predicted.ndim == 2 else np.bincount(predicted, minlength=probs.shape[1])).tolist()


def tracked_images(labels: np.ndarray, count: int = TRACKED) -> np.ndarray:
    """Return the positions of up to `count` images of a split, the classes in turn, always the same ones.

    Of several findings each image shows its first; those without any are a class of their own.

    >>> tracked_images(np.array([0, 0, 0, 1, 1, 2]), 4).tolist()
    [0, 3, 5, 1]
    """
    classes = labels
    if labels.ndim == 2:
        classes = np.where((labels == 1).any(axis=1), labels.argmax(axis=1), labels.shape[1])
    turn = np.zeros(len(classes), dtype=np.int64)              # how many of its class come before an image
    for k in np.unique(classes):
        turn[classes == k] = np.arange((classes == k).sum())
    return np.lexsort((classes, turn))[:count]


def check_finite(value: float) -> None:
    """Raise LightboxError "train.nan" for what is not a number."""
    if not math.isfinite(value):
        raise LightboxError("train.nan", "The loss is no longer a number, so the training was stopped.",
                            "The learning rate is probably too high: try a tenth of it. The last good checkpoint is kept.")
