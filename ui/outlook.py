"""What a run will be like, before it is queued: how many images, how many steps, how large a network, how long.

All of it is read from what is there already (an open pixel store, earlier runs); nothing is prepared or downloaded for it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.augment import doubts
from core.classifiers import settings_of
from core.config import DataConfig, ModelConfig, RunConfig
from core.datasets import DATASETS, Dataset, is_ready, open_source
from core.device import machine, resolve
from core.errors import LightboxError
from core.models import MODELS, count_parameters, uses_small_stem
from core.runs import RunStore
from ui import loaders
from ui.live import Row
from ui.shell import format_seconds

# What decides which images are held back. A share of training only leaves some out.
WHO_IS_WHERE = ("split", "split_seed", "val_fraction", "test_fraction", "folds", "fold")


@dataclass(frozen=True)
class Outlook:
    """What the page says beside the form. Sentences are plain text.

    Args:
        data: the open set, None while its images are not prepared
        counts: images of each split, None where that is not known yet
        steps: in one epoch, None where that is not known yet
        parameters: of the network; `exact` says whether they were counted or are the published ones
        time, why: how long in words, and how that is known
        cautions: what the person should know before pressing the button
    """
    config: RunConfig
    data: Dataset | None
    counts: dict[str, int | None]
    steps: int | None
    parameters: int
    exact: bool
    device: str
    time: str
    why: str
    cautions: tuple[str, ...]


def look_ahead(config: RunConfig, rows: Sequence[Row], devices: list[dict]) -> Outlook:
    """Put together what is known of a run.

    Args:
        rows: earlier runs, newest first
        devices: of this machine

    Raises:
        LightboxError: what is wrong with the data, the split or the device; the run would fail with the same sentence
    """
    device = resolve(config.train.device, devices)
    data = loaders.open_set(config.data) if ready(config.data) else None
    if data is not None:
        counts = {split: len(data.indices(split)) for split in ("train", "val", "test")}
    elif config.data.dataset in DATASETS and config.data.split in ("auto", "official") and not config.data.folds \
            and config.data.train_fraction == 1:
        counts = dict(DATASETS[config.data.dataset].info().counts)
    else:
        counts = dict.fromkeys(("train", "val", "test"))
    steps = math.ceil(counts["train"] / config.train.batch_size) if counts["train"] else None
    parameters, exact = _parameters(config, data)
    time, why = time_hint(config, device, counts["train"] or 0, rows)
    gray = data is not None and data.channels == 1
    return Outlook(config, data, counts, steps, parameters, exact, device, time, why, tuple(_cautions(config, gray)))


def time_hint(config: RunConfig, device: str, n_train: int, rows: Sequence[Row]) -> tuple[str, str]:
    """How long a run may take, from earlier runs on this machine.

    Returns:
        ("3 min 20 s", how that is known); ("-", why) where nothing like it was trained here
    """
    small = uses_small_stem(config.model, config.data.size)
    alike = [row for row in rows if row.seconds and row.n_train
             and (row.network, row.size, row.small_stem, row.device) == (config.model.name, config.data.size, small, device)]
    if not alike:
        return "-", "How long it takes, the first epoch will tell: no run with this network and size was trained here yet."
    if not n_train:
        return "-", "The time depends on the number of images, which is known once they are prepared."
    epoch = alike[0].seconds * n_train / alike[0].n_train
    return format_seconds(epoch * config.train.epochs), \
        f"About {format_seconds(epoch)} an epoch, at the speed of the run of {alike[0].when} with this network and size."


def targets(data: DataConfig) -> tuple[tuple[str, str], ...]:
    """(name, title) of what can be learned from a set; () while its images are not prepared."""
    try:
        return loaders.open_set(data).targets if ready(data) else ()
    except LightboxError:
        return ()


def sample(data: Dataset, n: int = 12) -> np.ndarray:
    """Rows of `n` training images, the same each time: classes in turn, so that none is missing."""
    rows = data.indices("train")
    classes = data.labels[rows] if data.labels.ndim == 1 else data.labels[rows].argmax(axis=1)
    queues = [rows[classes == k] for k in np.unique(classes)]
    turns = [queue[i] for i in range(n) for queue in queues if i < len(queue)]
    return np.array(turns[:n], np.int64)


@st.cache_data(ttl=3, show_spinner=False)
def ready(data: DataConfig) -> bool:
    """Whether the images are prepared. Raises LightboxError where there is no such set; looks at most every three seconds."""
    open_source(data)
    return is_ready(data)


@st.cache_resource(show_spinner="Looking once what this machine can train on")
def devices() -> list[dict]:
    """The devices of this machine, the best first."""
    return machine()["devices"]


def name_of(device: str, known: list[dict]) -> str:
    """A device in words: "cuda:0" -> "NVIDIA H200 (cuda:0)", "cpu" -> "2 CPU cores". `known` is what `devices` lists."""
    name = next((d["name"] for d in known if d["device"] == device), device)
    return name if device in ("cpu", "mps", name) else f"{name} ({device})"


def waiting_on(device: str) -> int:
    """How many runs wait for a device."""
    return sum(waits_for == device for _, waits_for in RunStore().queue.waiting())


def _parameters(config: RunConfig, data: Dataset | None) -> tuple[int, bool]:
    """Trainable numbers of the network, and whether they were counted: that needs torch, and nobody waits for it here."""
    if data is None or loaders.warm_up().is_alive() or "torch" not in sys.modules:
        return MODELS[config.model.name].parameters, False
    return _count(config.model, len(data.class_names), config.data.size, data.channels), True


@st.cache_data(max_entries=64, show_spinner=False)
def _count(model: ModelConfig, classes: int, size: int, channels: int) -> int:
    return count_parameters(model, classes=classes, size=size, channels=channels)


def _cautions(config: RunConfig, gray: bool):
    if config.model.weights.startswith("run:"):
        before = settings_of(config.model.weights.removeprefix("run:"))
        if before.model.name != config.model.name:
            yield (f"The earlier run is a {MODELS[before.model.name].title}: its weights do not fit a "
                   f"{MODELS[config.model.name].title}. Choose the same network, or start from random numbers.")
        elif any(getattr(before.data, name) != getattr(config.data, name) for name in WHO_IS_WHERE):
            yield ("The earlier run had another split, so it may have learned from images that are validation or test images "
                   "here: the numbers of this run would be too good.")
    if sentences := doubts(config.augment, gray):
        more = len(sentences) - 1
        yield sentences[0] + (f" The page Augment has {more} more such remark{'s' if more > 1 else ''} on these changes." if more
                              else "")
    if config.data.split in ("image", "study"):
        yield ("This split ignores patients: images of one patient may be in training and test, and the numbers will be too "
               "good. Fine to show that, not to report it.")
