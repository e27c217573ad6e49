"""What a person should know before pressing the button: a sentence for each thing that seldom ends well.

CAUTIONS is the table. Each entry looks at the same facts and says a sentence, or nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from core.augment import caveats
from core.config import RunConfig
from core.datasets import Dataset
from core.models import MODELS
from core.runs.classifiers import settings_of
from pages.shared.layout import format_bytes

# What decides which images are held back. A share of training only leaves some out.
WHO_IS_WHERE = ("split", "split_seed", "val_fraction", "test_fraction", "folds", "fold")
MAJORITY = 0.7               # from this share of one class on, accuracy says little
ROOM = 0.85                  # of a device's memory, what a step may take


@dataclass(frozen=True)
class Facts:
    """What is known of a run before it begins.

    Attributes:
        data: the open set, None while its images are not prepared
        n_train: training images, None where that is not known yet
        step_bytes: batch size -> bytes of a training step, None where they were not counted
        memory_bytes: of the device, None where that is not known
    """
    config: RunConfig
    data: Dataset | None = None
    n_train: int | None = None
    step_bytes: Callable[[int], float] | None = None
    memory_bytes: int | None = None

    @cached_property
    def majority(self) -> tuple[str, float] | None:
        """(the most frequent class of the training images, its share); None for several findings or unknown images."""
        if self.data is None or self.data.labels.ndim != 1 or not self.n_train:
            return None
        counts = np.bincount(self.data.labels[self.data.indices("train")], minlength=len(self.data.class_names))
        return self.data.class_names[counts.argmax()], counts.max() / counts.sum()


def cautions(facts: Facts) -> tuple[str, ...]:
    """The sentences that apply, the gravest first."""
    return tuple(sentence for caution in CAUTIONS if (sentence := caution(facts)))


def imagenet_file(network: str) -> Path | None:
    """Where torchvision's loader looks for ImageNet's weights of a network; None where it has none."""
    name = MODELS[network].weights_file if network in MODELS else ""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints" / name if name else None


def lacks_imagenet(config: RunConfig) -> bool:
    """Whether a run starts from ImageNet's weights that are not on this disk."""
    file = imagenet_file(config.model.name)
    return config.model.weights == "imagenet" and not (file and file.exists())


def _memory(f: Facts) -> str | None:
    batch = f.config.train.batch_size
    if not f.step_bytes or not f.memory_bytes or f.step_bytes(batch) <= ROOM * f.memory_bytes:
        return None
    fits = next((n for n in (2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2) if n < batch
                 and f.step_bytes(n) <= ROOM * f.memory_bytes), None)
    said = (f"A step with {batch} images takes about {format_bytes(f.step_bytes(batch))}; the device has "
            f"{format_bytes(f.memory_bytes)}.")
    return said + (f" Batches of {fits} fit; with Accumulate they count as a larger one." if fits else " Take smaller images.")


def _earlier(f: Facts) -> str | None:
    config = f.config
    if not config.model.weights.startswith("run:"):
        return None
    before = settings_of(config.model.weights.removeprefix("run:"))
    if before.model.name != config.model.name:
        return (f"The earlier run is a {MODELS[before.model.name].title}: its weights do not fit a "
                f"{MODELS[config.model.name].title}. Choose the same network, or start from random numbers.")
    if any(getattr(before.data, name) != getattr(config.data, name) for name in WHO_IS_WHERE):
        return ("The earlier run had another split, so it may have learned from images that are validation or test images "
                "here: the numbers of this run would be too good.")
    return None


def _no_imagenet(f: Facts) -> str | None:
    if not lacks_imagenet(f.config):
        return None
    file, title = imagenet_file(f.config.model.name), MODELS[f.config.model.name].title
    if file is None:
        return f"There are no ImageNet weights for {title}: the run would fail."
    return (f"ImageNet's weights for {title} are not on this machine. The run fetches them, or fails where there is no network. "
            f"The file belongs here: {file}.")


def _frozen(f: Facts) -> str | None:
    if f.config.model.weights == "none" and f.config.model.freeze != "none":
        return ("What is frozen starts from random numbers and stays so: only the head learns, on features that nothing was "
                "learned for. Start from ImageNet's weights or a run, or freeze nothing.")
    return None


def _unfrozen(f: Facts) -> str | None:
    if f.config.model.freeze != "none" and f.config.model.unfreeze_epoch >= f.config.train.epochs:
        return (f"Unfreeze after {f.config.model.unfreeze_epoch} epochs never comes: the training has {f.config.train.epochs}.")
    return None


def _patience(f: Facts) -> str | None:
    if f.config.train.patience >= f.config.train.epochs:
        return (f"Stop early after {f.config.train.patience} epochs never comes: the training has {f.config.train.epochs}.")
    return None


def _batch(f: Facts) -> str | None:
    if f.n_train and f.config.train.batch_size > f.n_train:
        return f"A batch of {f.config.train.batch_size} is more than the {f.n_train:,} training images: an epoch is one step."
    return None


def _one_class(f: Facts) -> str | None:
    train = f.config.train
    if f.majority is None or f.majority[1] < MAJORITY:
        return None
    name, share = f.majority
    said = f"{share:.0%} of the training images are {name}: a network that always says so is right that often. "
    if train.monitor == "accuracy":
        return said + "Choose the best epoch by ROC AUC or Cohen's kappa, not by accuracy."
    if not train.class_weights and train.sampling == "shuffle":
        return said + "Class weights or balanced sampling keep it from learning just that."
    return None


def _twice(f: Facts) -> str | None:
    if f.config.train.class_weights and f.config.train.sampling == "balanced":
        return "Class weights and balanced sampling do the same: together, rare classes count twice over. Take one of them."
    return None


def _order(f: Facts) -> str | None:
    task, train = f.data.task if f.data is not None else "", f.config.train
    if task in ("multi-class", "multi-label, binary-class"):
        if train.loss == "ordinal":
            return "The ordinal loss needs classes in an order, such as grades of a disease. These have none."
        if train.monitor == "quadratic_kappa":
            return "Quadratic kappa counts how many grades an answer is off. These classes have no order."
    return None


def _changes(f: Facts) -> str | None:
    gray = f.data is not None and f.data.channels == 1
    if not (sentences := caveats(f.config.augment, gray)):
        return None
    more = len(sentences) - 1
    return sentences[0] + (f" The page Augment has {more} more such remark{'s' if more > 1 else ''} on these changes." if more
                           else "")


def _patients(f: Facts) -> str | None:
    if f.config.data.split in ("image", "study"):
        return ("This split ignores patients: images of one patient may be in training and test, and the numbers will be too "
                "good. Fine to show that, not to report it.")
    return None


CAUTIONS: tuple[Callable[[Facts], str | None], ...] = (
    _memory, _earlier, _no_imagenet, _frozen, _unfrozen, _patience, _order, _one_class, _twice, _batch, _changes, _patients)
