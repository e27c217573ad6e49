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

from core.config import DataConfig, ModelConfig, RunConfig
from core.datasets import DATASETS, Dataset, is_ready, open_source
from core.errors import LightboxError
from core.models import MODELS, uses_small_stem
from core.runs.classifiers import settings_of
from core.runs.device import machine, resolve
from core.runs.recipes import targets_of
from core.runs.store import RunStore
from pages.shared import open_data
from pages.shared.layout import format_seconds
from pages.shared.preflight import Facts, cautions
from pages.shared.run_feed import Row

# What MURA and the phantoms always have.
TARGETS = {"abnormality": "Normal or abnormal", "body_part": "Part of the body"}


@dataclass(frozen=True)
class Outlook:
    """What the page says beside the form. Sentences are plain text.

    Args:
        data: the open set, None while its images are not prepared
        counts: images of each split, None where that is not known yet
        steps: in one epoch, None where that is not known yet
        parameters, trainable: numbers of the network, and those of them that learn; `exact` says whether they were counted or
            are the published ones
        flops: multiply-adds for one image, None until they are counted
        step_bytes: what a training step keeps in memory, None until that is counted
        time, why: how long in words, and how that is known
        cautions: what the person should know before pressing the button
    """
    config: RunConfig
    data: Dataset | None
    counts: dict[str, int | None]
    steps: int | None
    parameters: int
    trainable: int
    exact: bool
    flops: int | None
    step_bytes: float | None
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
    data = open_data.open_set(config.data) if ready(config.data) else None
    if data is not None:
        counts = {split: len(data.indices(split)) for split in ("train", "val", "test")}
    elif config.data.dataset in DATASETS and config.data.split in ("auto", "official") and not config.data.folds \
            and config.data.train_fraction == 1:
        counts = dict(DATASETS[config.data.dataset].info().counts)
    else:
        counts = dict.fromkeys(("train", "val", "test"))
    steps = math.ceil(counts["train"] / config.train.batch_size) if counts["train"] else None
    counted = _costs(config, data)
    published = MODELS[config.model.name].parameters
    time, why = time_hint(config, device, counts["train"] or 0, rows, counted and counted.flops)
    facts = Facts(config, data, counts["train"], counted and counted.step_bytes,
                  next((d.get("memory_bytes") for d in devices if d["device"] == device), None))
    return Outlook(config, data, counts, steps, counted.parameters if counted else published,
                   counted.trainable if counted else published, counted is not None and data is not None,
                   counted and counted.flops, counted and counted.step_bytes(config.train.batch_size), device, time, why,
                   cautions(facts))


def time_hint(config: RunConfig, device: str, n_train: int, rows: Sequence[Row], flops: int | None = None) -> tuple[str, str]:
    """How long a run may take, from earlier runs on this machine.

    Args:
        flops: multiply-adds of its network for an image, where they are known: then another network's speed will do

    Returns:
        ("3 min 20 s", how that is known); ("-", why) where nothing like it was trained here
    """
    alike = _alike(config, device, rows)
    if not n_train and rows:
        return "-", "The time depends on the number of images, which is known once they are prepared."
    if not alike:
        guess = _guess(config, device, n_train, rows, flops) if flops else None
        return guess or ("-", "How long it takes, the first epoch will tell: no run with this network and size was trained here "
                              "yet.")
    epoch = alike.seconds * n_train / alike.n_train
    return format_seconds(epoch * config.train.epochs), \
        f"About {format_seconds(epoch)} an epoch, at the speed of the run of {alike.when} with this network and size."


def time_of_all(configs: Sequence[RunConfig], devices: list[dict], n_train: int, rows: Sequence[Row]) -> tuple[float, int]:
    """Seconds that several runs may take one after the other, and how many of them are unknown and not in that sum."""
    total, unknown = 0.0, 0
    for config in configs:
        alike = _alike(config, resolve(config.train.device, devices), rows)
        if alike and n_train:
            total += alike.seconds * n_train / alike.n_train * config.train.epochs
        else:
            unknown += 1
    return total, unknown


def _alike(config: RunConfig, device: str, rows: Sequence[Row]) -> Row | None:
    """The latest run whose epochs took as long as those of this one would: the same network, as much of it learning."""
    small = uses_small_stem(config.model, config.data.size)
    for row in rows:
        same = (row.network, row.size, row.small_stem, row.device) == (config.model.name, config.data.size, small, device)
        if row.seconds and row.n_train and same and _learns(row.id) in (None, _what_learns(config)):
            return row
    return None


def _guess(config: RunConfig, device: str, n_train: int, rows: Sequence[Row], flops: int) -> tuple[str, str] | None:
    """The time from another network's speed: as many multiply-adds a second. None where there is no run to go by, or where a
    part is frozen, which makes an epoch shorter by more than can be said."""
    if config.model.freeze != "none":
        return None
    for row in rows:
        theirs = _flops_of(row.id) if row.seconds and row.n_train and row.device == device else None
        if theirs:
            epoch = row.seconds / row.n_train / theirs * flops * n_train
            return (f"~ {format_seconds(epoch * config.train.epochs)}",
                    "A guess that may be off by a factor of two: as many multiply-adds a second as in the run of "
                    f"{row.when}, which had another network or size.")
    return None


@st.cache_data(max_entries=256, show_spinner=False)
def _flops_of(run_id: str) -> int | None:
    """Multiply-adds of an earlier run's network for an image, None where a part was frozen or the run is gone."""
    try:
        run = RunStore().get(run_id)
        config, data = run.config, run.data()
        if config.model.freeze != "none" or not data:
            return None
        return _count(config.model, len(data["class_names"]), data["size"], data["channels"], config.optim.name).flops
    except LightboxError:
        return None


def _learns(run_id: str) -> tuple | None:
    """How much of an earlier run's network learned, None where its settings are gone."""
    try:
        return _what_learns(settings_of(run_id))
    except LightboxError:
        return None


def _what_learns(config: RunConfig) -> tuple:
    return config.model.freeze, config.model.unfreeze_epoch, config.model.cut, config.model.blocks


def targets(data: DataConfig) -> tuple[tuple[str, str], ...]:
    """(name, title) of what can be learned from a set; () where that is not known before its images are prepared."""
    try:
        return open_data.open_set(data).targets if ready(data) else tuple(
            (name, TARGETS[name]) for name in targets_of(data.dataset))
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


@dataclass(frozen=True)
class _Counted:
    parameters: int
    trainable: int
    flops: int
    image_bytes: int         # of a training step, for each image of the batch
    other_bytes: int         # of a training step, however many images there are

    def step_bytes(self, batch_size: int) -> float:
        return self.other_bytes + self.image_bytes * batch_size


def _costs(config: RunConfig, data: Dataset | None) -> _Counted | None:
    """What the network costs; None while that cannot be counted: it needs torch, and nobody waits for it here. While the images
    are not prepared, for as many classes as the set is known to have, else two, and for colour unless gray was chosen.

    Raises LightboxError where the network cannot be built like that.
    """
    if open_data.warm_up().is_alive() or "torch" not in sys.modules:
        return None
    if data is not None:
        classes, channels = len(data.class_names), data.channels
    else:
        known = DATASETS[config.data.dataset].info().class_names if config.data.dataset in DATASETS else ()
        classes, channels = len(known) or 2, config.data.channels or 3
    return _count(config.model, classes, config.data.size, channels, config.optim.name)


@st.cache_data(max_entries=128, show_spinner=False)
def _count(model: ModelConfig, classes: int, size: int, channels: int, optimiser: str) -> _Counted:
    from core.models.costs import costs
    found = costs(model, classes, size, channels, batch_size=2, optimiser=optimiser)
    each = found.activation_bytes + 4 * channels * size**2               # the image itself is there as float32
    return _Counted(found.parameters, found.trainable, found.flops, each, found.training_bytes - 2 * each)
