"""The preview of a run before it is queued: images, steps, parameters, time, warnings.

It is read from what is there already (an open pixel store, earlier runs); nothing is prepared or downloaded
for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.config import DataConfig, ModelConfig, RunConfig, Task
from core.datasets import DATASETS, Dataset, is_ready, open_source
from core.datasets.external import require_training
from core.errors import LightboxError
from core.models import MODELS, uses_small_stem
from core.runs.classifiers import settings_of
from core.runs.device import machine, resolve
from core.runs.preflight import require_possible
from core.runs.recipe_datasets import targets_of
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import open_data
from pages.shared.filters import columns_of
from pages.shared.layout import format_seconds
from pages.shared.preflight import TARGETS, Facts, warnings_of

LONG_ENOUGH = 2.0     # seconds: in a shorter epoch most of the time is no arithmetic
ALIKE = 10            # times: how many more or fewer multiply-adds an image a network may have whose speed says something


@dataclass(frozen=True)
class RunPreview:
    """What stands beside the form. Sentences are plain text.

    Attributes:
        data: the open set, None before its images are prepared
        counts: images of each split, None if not known yet
        steps: in one epoch, None if not known yet
        parameters, trainable: of the network; `exact` says whether they were counted or are the published
            ones
        flops: multiply-adds for one image, None until they are counted
        step_bytes: memory of a training step, None until that is counted
        time, time_note: how long in words, and how that is known
        warnings: of the checks in pages/shared/preflight.py
        refusal: why it cannot be queued, None where it can
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
    time_note: str
    warnings: tuple[str, ...]
    refusal: LightboxError | None = None


def preview_run(config: RunConfig, rows: Sequence[RunSummary], devices: list[dict]) -> RunPreview:
    """Return what is known of a run.

    Args:
        rows: earlier runs, newest first
        devices: of this machine

    Raises:
        LightboxError: what is wrong with the data, the split or the device; the run would fail with the same
            error
    """
    device = resolve(config.train.device, devices)
    data = open_data.open_set(config.data) if ready(config.data) else None
    known = data if data is not None else open_data.look(config.data)
    if known is not None:
        require_training(known)
        counts = {split: len(known.indices(split)) for split in ("train", "val", "test")}
    elif _has_published_counts(config.data):
        counts = dict(DATASETS[config.data.dataset].info().counts)
    else:
        counts = dict.fromkeys(("train", "val", "test"))
    steps = math.ceil(counts["train"] / config.train.batch_size) if counts["train"] else None
    refusal = refusal_of(config)
    counted = _costs(config, data) if refusal is None else None
    published = MODELS[config.model.name].parameters
    time, note = time_hint(config, device, counts["train"] or 0, rows, counted and counted.flops)
    facts = Facts(config, data, counts["train"], counted and counted.step_bytes,
                  next((d.get("memory_bytes") for d in devices if d["device"] == device), None),
                  open_data.original_size(config.data.dataset))
    return RunPreview(config, data, counts, steps, counted.parameters if counted else published,
                      counted.trainable if counted else published, counted is not None and data is not None,
                      counted and counted.flops, counted and counted.step_bytes(config.train.batch_size),
                      device, time, note, warnings_of(facts), refusal)


def refusal_of(config: RunConfig) -> LightboxError | None:
    """Return why a run cannot work, as far as that is known at once: before torch is imported, nothing of its network is."""
    try:
        require_possible(config, open_data.look, with_network=open_data.torch_is_here())
    except LightboxError as error:
        return error
    return None


def _has_published_counts(data: DataConfig) -> bool:
    return (data.dataset in DATASETS and data.split in ("auto", "official") and not data.folds
            and data.train_fraction == 1 and not data.bootstrap)


def time_hint(config: RunConfig, device: str, n_train: int, rows: Sequence[RunSummary],
              flops: int | None = None) -> tuple[str, str]:
    """Estimate how long a run takes, from earlier runs on this machine.

    Args:
        flops: multiply-adds of its network for an image, if known: then another network's speed will do

    Returns:
        ("3 min 20 s", how that is known); ("-", why not) where nothing like it was trained here
    """
    similar = _similar(config, device, rows)
    if not n_train and rows:
        return "-", "The time depends on the number of images, which is known once they are prepared."
    if not similar:
        guess = _guess(config, device, n_train, rows, flops) if flops else None
        return guess or ("-", "We will know the time after the first epoch: this network has not been "
                              "trained here at this image size.")
    epoch = similar.epoch_seconds * n_train / similar.n_train
    return (format_seconds(epoch * config.train.epochs),
            f"About {format_seconds(epoch)} per epoch, as in the run of {similar.when} with this network and "
            "image size.")


def time_of_all(configs: Sequence[RunConfig], devices: list[dict], n_train: int,
                rows: Sequence[RunSummary]) -> tuple[float, int]:
    """Return the seconds that several runs take together, and how many are unknown and not in that sum."""
    total, unknown = 0.0, 0
    for config in configs:
        similar = _similar(config, resolve(config.train.device, devices), rows)
        if similar and n_train:
            total += similar.epoch_seconds * n_train / similar.n_train * config.train.epochs
        else:
            unknown += 1
    return total, unknown


def _similar(config: RunConfig, device: str, rows: Sequence[RunSummary]) -> RunSummary | None:
    """The latest run with the same network and trained layers: its epochs took as long as this one's would."""
    small = uses_small_stem(config.model, config.data.size)
    for row in rows:
        same = (row.network == config.model.name and row.size == config.data.size
                and row.small_stem == small and row.device == device)
        if row.was_trained and row.epoch_seconds and row.n_train and same and _trained_of(row.id) in (None, _trained(config)):
            return row
    return None


def _guess(config: RunConfig, device: str, n_train: int, rows: Sequence[RunSummary],
           flops: int) -> tuple[str, str] | None:
    """The time from other networks' speed: as many multiply-adds a second. None where no network of about as many was trained
    on this device long enough to tell, or where layers are frozen, which makes an epoch shorter by an unknown factor."""
    if config.model.freeze != "none":
        return None
    rates = []
    for row in rows:
        measured = row.was_trained and row.device == device and row.n_train and (row.epoch_seconds or 0) >= LONG_ENOUGH
        theirs = _flops_of(row.id) if measured else None
        if theirs and 1 / ALIKE <= theirs / flops <= ALIKE:
            rates.append(row.epoch_seconds / row.n_train / theirs)
    if not rates:
        return None
    whole = flops * n_train * config.train.epochs
    low, high = min(rates) * whole / 2, max(rates) * whole * 2
    runs = f"{len(rates)} runs" if len(rates) > 1 else "a run"
    return (f"{format_seconds(low)} to {format_seconds(high)}",
            f"A rough estimate from the speed of {runs} with another network or image size. We will know after the first epoch.")


@st.cache_data(max_entries=256, show_spinner=False)
def _flops_of(run_id: str) -> int | None:
    """Multiply-adds per image of an earlier run, None where layers were frozen or the run is gone."""
    try:
        run = RunStore().get(run_id)
        config, data = run.config, run.data()
        if config.model.freeze != "none" or not data:
            return None
        return _count(config.model, len(data["class_names"]), data["size"], data["channels"],
                      config.optim.name, data.get("views", 1)).flops
    except LightboxError:
        return None


def _trained_of(run_id: str) -> tuple | None:
    """Which layers an earlier run trained, None where its settings are gone."""
    try:
        return _trained(settings_of(run_id))
    except LightboxError:
        return None


def _trained(config: RunConfig) -> tuple:
    data = config.data
    views = () if data.unit == "image" else (data.unit, data.view_column, data.views, config.model.views)
    return config.model.freeze, config.model.unfreeze_epoch, config.model.cut, config.model.blocks, *views


def targets(data: DataConfig) -> tuple[tuple[str, str], ...]:
    """Return (name, title) of the tasks of a data set; () if not known before its images are prepared."""
    try:
        return open_data.open_set(data).targets if ready(data) else tuple(
            (name, TARGETS[name]) for name in targets_of(data.dataset))
    except LightboxError:
        return ()


def column_values(data: DataConfig) -> dict[str, tuple[str, ...]]:
    """Return column -> its values, of those with few, as `data.only` may name them; {} before its images are prepared."""
    try:
        table = open_data.open_set(data).table if ready(data) else None
    except LightboxError:
        return {}
    if table is None:
        return {}
    apart = {"image_id", "path", "patient", "study"}
    return {name: column.values for name, column in columns_of(table).items() if column.values and name not in apart}


def two_classes(data: DataConfig) -> tuple[str, ...]:
    """Return the classes of a data set where there are two; () otherwise, and before its images are prepared."""
    try:
        opened = open_data.open_set(data) if ready(data) else None
    except LightboxError:
        return ()
    return opened.class_names if opened is not None and opened.task == Task.BINARY else ()


def sample(data: Dataset, n: int = 12) -> np.ndarray:
    """Return rows of `n` training images, the same each time: classes in turn, so that none is missing."""
    rows = data.indices("train")
    classes = data.labels[rows] if data.labels.ndim == 1 else data.labels[rows].argmax(axis=1)
    queues = [rows[classes == k] for k in np.unique(classes)]
    turns = [queue[i] for i in range(n) for queue in queues if i < len(queue)]
    return np.array(turns[:n], np.int64)


@st.cache_data(ttl=3, show_spinner=False)
def ready(data: DataConfig) -> bool:
    """Return whether the images are prepared. Raises LightboxError for no such data set."""
    open_source(data)
    return is_ready(data)


@st.cache_resource(show_spinner="Detecting the devices of this machine (once)")
def devices() -> list[dict]:
    """Return the devices of this machine, the best first."""
    return machine()["devices"]


def name_of(device: str, known: list[dict]) -> str:
    """Return a device in words: "cuda:0" -> "NVIDIA H200 (cuda:0)". `known` is what `devices` lists."""
    name = next((d["name"] for d in known if d["device"] == device), device)
    return name if device in ("cpu", "mps", name) else f"{name} ({device})"


def waiting_on(device: str) -> int:
    """Return how many runs wait for a device."""
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
    """What the network costs; None before torch is imported. Before the images are prepared, for as many
    classes as the data set is known to have, else two, and for colour unless gray was chosen.

    Raises LightboxError where such a network cannot be built.
    """
    if not open_data.torch_is_here():
        return None
    if data is not None:
        classes, channels = len(data.class_names), data.channels
    else:
        known = DATASETS[config.data.dataset].info().class_names if config.data.dataset in DATASETS else ()
        classes, channels = len(known) or 2, config.data.channels or 3
    asked = 1 if config.data.unit == "image" else config.data.views
    views = data.views if data is not None else asked
    return _count(config.model, classes, config.data.size, channels, config.optim.name, views)


@st.cache_data(max_entries=128, show_spinner=False)
def _count(model: ModelConfig, classes: int, size: int, channels: int, optimiser: str, views: int = 1) -> _Counted:
    from core.models.costs import costs
    c = costs(model, classes, size, channels, batch_size=2, optimiser=optimiser, views=views)
    each = c.activation_bytes + 4 * channels * size**2 * views               # the image itself is there as float32
    return _Counted(c.parameters, c.trainable, c.flops, each, c.training_bytes - 2 * each)
