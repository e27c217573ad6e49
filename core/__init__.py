"""Lightbox's core: PyTorch and arrays, no user interface. Usable from a notebook, a script or a cluster.

    from core import RunConfig, build_model, open_dataset, train

    config = RunConfig().with_(**{"data.dataset": "phantom", "train.epochs": 3})
    data = open_dataset(config.data)
    model = build_model(config, data)
    for record in train(model, data, config):
        print(record.epoch, record.val["roc_auc"])

Everything is imported when it is first used: pages import `core` and must not wait for torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.config import RunConfig
    from core.datasets import Dataset
    from core.models.classifier import Classifier
    from core.trainers.records import EpochRecord

__version__ = "0.1.0"
__all__ = ["RunConfig", "build_model", "evaluate", "explain", "open_dataset", "train"]      # noqa: F822 - see __getattr__

_HOMES = {"RunConfig": ("core.config", "RunConfig"), "open_dataset": ("core.datasets", "open_dataset"),
          "build_model": ("core.runs.initial_weights", "build_for")}


def __getattr__(name: str):          # PEP 562
    if name == "explain":            # the package: explain.grad_cam(model, images, targets)
        return import_module("core.explain")
    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def train(model: Classifier, data: Dataset, config: RunConfig) -> Iterator[EpochRecord]:
    """Train a classifier on the device that it is on, and yield what each epoch reached.

    The weights of `model` change while the records are drawn. Nothing is written to the disk: that is what runs are for
    (core.runs.RunStore). For single steps, precision and resuming see core.trainers.classifier.train.

    Args:
        model: as `build_model(config, data)` gives it
        data: an open set; its training split is learned, its validation split is evaluated, its test split is not touched
        config: optim, augment and train play a part

    Raises:
        LightboxError: as core.trainers.classifier.train does
    """
    from core.trainers import classifier
    from core.trainers.batches import SplitData
    state = classifier.TrainState.fresh(model, config)
    for record in classifier.train(state, SplitData.of(data, "train"), SplitData.of(data, "val"), config):
        if isinstance(record, classifier.EpochRecord):
            yield record


def evaluate(model: Classifier, data: Dataset, split: str = "val", batch_size: int = 64) -> dict[str, float | None]:
    """Return every metric of a classifier on a split: name of core.metrics.METRICS -> value, None where it is undefined.

    Intervals, groups and thresholds are for runs: core.evaluation.evaluate.
    """
    from core.trainers.batches import Batches, SplitData
    from core.trainers.validation import predict, score
    images = SplitData.of(data, split)
    *_, (_, probs) = predict(model, Batches(images, model.device), batch_size)
    return score(images.labels, probs, model.task)
