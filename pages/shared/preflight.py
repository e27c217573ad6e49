"""What a person should know before a run is queued that could work: core/runs/preflight.py knows which cannot.

CHECKS is the table. Each looks at the same facts and returns a sentence, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.augment import caveats
from core.config import RunConfig
from core.datasets import Dataset
from core.datasets.groups import copied_sentence
from core.datasets.inspection import copied_counts
from core.datasets.source import one_hot
from core.errors import LightboxError
from core.models import MODELS
from core.runs.classifiers import classes_of, is_shipped, settings_of
from core.runs.preflight import imagenet_file
from core.runs.recipe_datasets import is_simulated, targets_of
from pages.shared.layout import format_bytes

# What decides which images are held back. A fraction of training only leaves some out.
SPLIT = ("data.split", "data.split_seed", "data.val_fraction", "data.test_fraction", "data.folds",
         "data.fold")
MAJORITY = 0.7               # from this fraction of one class on, accuracy says little
# Tasks that MURA and the phantoms always have.
TARGETS = {"abnormality": "Normal or abnormal", "body_part": "Body part"}
MEMORY = 0.85                # of a device's memory, what a step may take


@dataclass(frozen=True)
class Facts:
    """What is known of a run before it begins.

    Attributes:
        data: the open set, None before its images are prepared
        n_train: training images, None if not known yet
        step_bytes: batch size -> bytes of a training step, None if not counted
        memory_bytes: of the device, None if not known
        original: longer side of the images as they came, None where they differ
    """
    config: RunConfig
    data: Dataset | None = None
    n_train: int | None = None
    step_bytes: Callable[[int], float] | None = None
    memory_bytes: int | None = None
    original: int | None = None

    @cached_property
    def majority(self) -> tuple[str, float] | None:
        """(the majority class of the training images, its fraction); None for several labels or unknown images."""
        if self.data is None or self.data.labels.ndim != 1 or not self.n_train:
            return None
        counts = np.bincount(self.data.labels[self.data.indices("train")],
                             minlength=len(self.data.class_names))
        return self.data.class_names[counts.argmax()], counts.max() / counts.sum()


def warnings_of(facts: Facts) -> tuple[str, ...]:
    """Return the sentences that apply, the most serious first."""
    return tuple(filter(None, (check(facts) for check in CHECKS)))


def lacks_imagenet(config: RunConfig) -> bool:
    """Return whether a run starts from ImageNet weights that are not on this disk, but can be downloaded."""
    file = imagenet_file(config.model.name)
    return config.model.weights == "imagenet" and file is not None and not file.exists()


def knows_task(config: RunConfig, data: Dataset | None = None) -> bool:
    """Return whether a run starts from weights that were trained for the very same task: there is nothing to learn.

    Args:
        data: the open set, where it is at hand: then phantoms that were exported or added anew are known as phantoms
    """
    weights = config.model.weights.removeprefix("run:")
    if weights == config.model.weights:
        return False
    try:
        before = settings_of(weights)
        same_set = before.data.dataset == config.data.dataset or data is not None and (
            is_simulated(before.data.dataset) and is_simulated(config.data.dataset)
            and set(data.class_names) <= set(classes_of(weights)))
    except LightboxError:                                  # it was deleted; core/runs/preflight.py says so
        return False
    same_set = same_set and before.model.name == config.model.name
    return same_set and _task(before) == _task(config) and before.data.label_map == config.data.label_map


def _task(config: RunConfig) -> str:
    return config.data.target or next(iter(targets_of(config.data.dataset)), "")


def _knows_task(f: Facts) -> str | None:
    if not knows_task(f.config, f.data):
        return None
    weights = f.config.model.weights.removeprefix("run:")
    others = [TARGETS[name] for name in targets_of(f.config.data.dataset) if name != _task(f.config)]
    longer = "" if is_shipped(weights) else " To go on with that run, use Train longer on the page Runs."
    return ("These weights have been trained for this very task, so there is next to nothing left to learn. To see a network "
            f"learn, start from random weights{f', or choose the task {others[0]}' if others else ''}.{longer}")


def _memory(f: Facts) -> str | None:
    batch = f.config.train.batch_size
    if not f.step_bytes or not f.memory_bytes or f.step_bytes(batch) <= MEMORY * f.memory_bytes:
        return None
    powers = (2**k for k in range(11, 0, -1))
    fits = [n for n in powers if n < batch and f.step_bytes(n) <= MEMORY * f.memory_bytes]
    advice = (f"A batch size of {fits[0]} fits; gradient accumulation makes up for it." if fits else
              "Choose smaller images.")
    return (f"A step with {batch} images needs about {format_bytes(f.step_bytes(batch))}; the device has "
            f"{format_bytes(f.memory_bytes)}. {advice}")


def _earlier_run(f: Facts) -> str | None:
    config = f.config
    if not config.model.weights.startswith("run:"):
        return None
    before = settings_of(config.model.weights.removeprefix("run:"))
    if before.model.name != config.model.name:
        return (f"The initial weights are those of a {MODELS[before.model.name].title}: of a "
                f"{MODELS[config.model.name].title} only the layers that are alike can start from them.")
    if any(before.get(name) != config.get(name) for name in SPLIT):
        return ("The earlier run had another split, so it may have been trained on images that are "
                "validation or test images here: the results of this run would be too optimistic.")
    return None


def _no_imagenet(f: Facts) -> str | None:
    if not lacks_imagenet(f.config):
        return None
    file, title = imagenet_file(f.config.model.name), MODELS[f.config.model.name].title
    return (f"ImageNet weights for {title} are not on this machine. The run downloads them, or fails without "
            f"a network connection. The file belongs here: {file}.")


def _frozen_random(f: Facts) -> str | None:
    if f.config.model.weights == "none" and f.config.model.freeze != "none":
        return ("The frozen layers start from random weights and stay random: only the head trains, on "
                "meaningless features. Start from ImageNet weights or a run, or freeze nothing.")
    return None


def _unfreeze(f: Facts) -> str | None:
    if f.config.model.freeze != "none" and f.config.model.unfreeze_epoch >= f.config.train.epochs:
        return (f"Unfreezing after {f.config.model.unfreeze_epoch} epochs never happens: the run has "
                f"{f.config.train.epochs} epochs.")
    return None


def _patience(f: Facts) -> str | None:
    if f.config.train.patience >= f.config.train.epochs:
        return (f"Early stopping after {f.config.train.patience} epochs never happens: the run has "
                f"{f.config.train.epochs} epochs.")
    return None


def _snapshots(f: Facts) -> str | None:
    train, optim = f.config.train, f.config.optim
    if not train.snapshots:
        return None
    if train.snapshots > train.epochs:
        return f"{train.snapshots} snapshots are more than the run has epochs: each of the {train.epochs} epochs is kept."
    if train.patience and train.patience < train.epochs:
        return ("Early stopping may end the run before its last snapshots: only those up to the last epoch are kept.")
    if optim.schedule == "cyclic" and optim.cycles != train.snapshots:
        return (f"Snapshots are best taken where a cycle ends: with {optim.cycles} cycles, choose {optim.cycles} snapshots.")
    return None


def _batch_size(f: Facts) -> str | None:
    if f.n_train and f.config.train.batch_size > f.n_train:
        return (f"The batch size of {f.config.train.batch_size} is larger than the training set "
                f"({f.n_train:,} images): an epoch is one step.")
    return None


def _enlarged(f: Facts) -> str | None:
    if f.original is None or f.original >= f.config.data.size:
        return None
    return (f"The images have {f.original} px: enlarged to {f.config.data.size} px they show no more and take about "
            f"{(f.config.data.size / f.original) ** 2:.0f} times as long.")


def _imbalance(f: Facts) -> str | None:
    train = f.config.train
    if f.majority is None or f.majority[1] < MAJORITY:
        return None
    name, fraction = f.majority
    finding = f"{fraction:.0%} of the training images are {name}: always predicting {name} reaches that accuracy. "
    if train.monitor == "accuracy":
        return finding + "Choose the best epoch by ROC AUC or Cohen's kappa, not by accuracy."
    if not train.class_weights and train.sampling == "shuffle":
        return finding + "Class weights or balanced sampling counteract this."
    return None


def _balanced_twice(f: Facts) -> str | None:
    if f.config.train.class_weights and f.config.train.sampling == "balanced":
        return "Class weights and balanced sampling both compensate for rare classes: use only one of them."
    return None


def _no_order(f: Facts) -> str | None:
    task, train = f.data.task if f.data is not None else "", f.config.train
    if task in ("multi-class", "multi-label, binary-class"):
        if train.monitor == "quadratic_kappa":
            return "Quadratic kappa needs ordered classes, such as grades of a disease. These have no order."
    return None


def _augmentation(f: Facts) -> str | None:
    sentences = caveats(f.config.augment, f.data is not None and f.data.channels == 1)
    if not sentences:
        return None
    more = len(sentences) - 1
    return sentences[0] + (f" The page Augment has {more} more warning{'s' if more > 1 else ''}." if more else "")


def _patients(f: Facts) -> str | None:
    if f.config.data.split in ("image", "study"):
        return ("This split ignores patients: images of one patient may be in both training and test, and "
                "the results will be too optimistic. Fine as a demonstration, not for a report.")
    return None


def _untrained(f: Facts) -> str | None:
    if f.data is None or not f.n_train:
        return None
    classes = one_hot(f.data.labels, len(f.data.class_names))
    learned, total = classes[f.data.indices("train")].sum(axis=0), classes.sum(axis=0)
    names = [name for name, n, of in zip(f.data.class_names, learned, total) if of and not n]
    return (f"No training image is of {', '.join(names)}: the network cannot learn what it never sees." if names else
            None)


def _copies(f: Facts) -> str | None:
    counts = copied_counts(f.data) if f.data is not None else None
    part, (copied, n) = max((counts or {"test": (0, 0)}).items(), key=lambda item: item[1][0])
    return f"{copied_sentence(copied, n, part)} The page Split can keep copies together." if copied else None


CHECKS: tuple[Callable[[Facts], str | None], ...] = (
    _memory, _earlier_run, _knows_task, _no_imagenet, _frozen_random, _unfreeze, _patience, _snapshots, _no_order, _imbalance,
    _balanced_twice, _batch_size, _enlarged, _augmentation, _untrained, _copies, _patients)
