"""Preflight: which runs cannot work, known before they are queued. The page Train, a grid and `python -m core train` ask here.

    require_possible(config)        raises what the run would fail with
    mend_of(config, error)          what one click may change so that it does not

CHECKS is the table. Labels and split are read, no pixel is and no number of a weight: a network is built on
PyTorch's meta device, of a file of weights only names and shapes count.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import ORDERED, SPLIT_NAMES, ModelConfig, RunConfig
from core.config.optim import require_cycles
from core.datasets import Dataset, look_ahead
from core.datasets.external import require_training
from core.errors import LightboxError
from core.models import MODELS
from core.runs.device import machine, resolve
from core.runs.initial_weights import check_views, no_fit, weight_shapes

if TYPE_CHECKING:
    from core.models.classifier import Classifier

RANDOM = {"model.weights": "none", "model.freeze": "none"}         # what is frozen must have been trained before


@dataclass(frozen=True)
class Plan:
    """A run that may be made.

    Args:
        ahead: labels and split, as `look_ahead` gives them; None where they are not known yet
        with_network: whether the network may be built, which imports torch
    """
    config: RunConfig
    ahead: Dataset | None
    with_network: bool = True

    @cached_property
    def network(self) -> Classifier:
        """What will be trained, with shapes but without numbers. Raises LightboxError as `build_model` does."""
        channels = self.config.data.channels or (self.ahead.channels if self.ahead is not None else 3)
        return _network(replace(self.config.model, weights="none"), len(self.ahead.class_names) if self.ahead is not None else 2,
                        self.config.data.size, channels, self.views)

    @property
    def views(self) -> int:
        """V, the views of a unit; as asked for where the set is not known."""
        asked = 1 if self.config.data.unit == "image" else self.config.data.views
        return self.ahead.views if self.ahead is not None else asked


@dataclass(frozen=True)
class Mend:
    """What one click changes. label: of the button; changes: dotted setting -> value."""
    label: str
    changes: Mapping[str, Any]


def require_possible(config: RunConfig, look: Callable[..., Dataset | None] = look_ahead, *, with_network: bool = True) -> None:
    """Raise the LightboxError that a run would fail with, where that is sure; the hint says what to do instead.

    Args:
        look: DataConfig -> the data set as far as it is known; a page gives one that remembers
        with_network: whether the network may be built, which imports torch

    >>> require_possible(RunConfig())
    >>> try:
    ...     require_possible(RunConfig().with_(**{"model.cut": "layer9"}))
    ... except LightboxError as error:
    ...     error.code, mend_of(RunConfig(), error).changes
    ('model.cut', {'model.cut': ''})
    """
    resolve(config.train.device, machine()["devices"])
    plan = Plan(config, look(config.data), with_network)
    for check in CHECKS:
        check(plan)


def split_possible(configs: Iterable[RunConfig], look: Callable[..., Dataset | None] = look_ahead, *,
                   with_network: bool = True) -> tuple[list[RunConfig], list[tuple[RunConfig, LightboxError]]]:
    """Return the runs that can be queued, and those that cannot with what they would fail with; in order.

    Args:
        look, with_network: as for `require_possible`
    """
    known: dict[tuple, LightboxError | None] = {}
    possible, refused = [], []
    for config in configs:
        train, optim = config.train, config.optim                                        # all that a check looks at
        key = config.data, config.model, train.loss, train.device, train.epochs, optim.schedule, optim.cycles
        if key not in known:
            try:
                known[key] = require_possible(config, look, with_network=with_network)
            except LightboxError as error:
                known[key] = error
        if known[key]:
            refused.append((config, known[key]))
        else:
            possible.append(config)
    return possible, refused


def mend_of(config: RunConfig, error: LightboxError, **how: Any) -> Mend | None:
    """Return the first of MENDS that a refused run would not be refused with for the same reason; None where none helps.

    Args:
        how: as for `require_possible`
    """
    for code, mend, applies in MENDS:
        if error.code.startswith(code) and applies(config):
            try:
                require_possible(config.with_(**mend.changes), **how)
            except LightboxError as still:
                if still.code == error.code:
                    continue
            return mend
    return None


# --- the checks ---

def _has_images(plan: Plan) -> None:
    if plan.ahead is None:
        return
    require_training(plan.ahead)
    for split in ("train", "val"):
        if len(plan.ahead.indices(split)) < 2:
            raise LightboxError("train.empty", f"The {SPLIT_NAMES[split]} split has {len(plan.ahead.indices(split))} images.",
                                "Choose other shares for the split, or more images.")
    labels = plan.ahead.labels[plan.ahead.indices("train")]
    if labels.ndim == 1 and len(np.unique(labels)) < 2:
        raise LightboxError("train.one_class", f"All training images are of the class {plan.ahead.class_names[labels[0]]}: there "
                            "is nothing to tell apart.", "Choose another split, or images of more classes.")


def _loss_fits(plan: Plan) -> None:
    if plan.ahead is not None and plan.config.train.loss == "ordinal" and plan.ahead.task not in ORDERED:
        raise LightboxError("train.loss", "The ordinal loss needs classes that have an order, such as grades of a disease.",
                            "Use cross-entropy or the focal loss for this task.")


def _cycles_fit(plan: Plan) -> None:
    require_cycles(plan.config.optim, plan.config.train.epochs)


def _network_exists(plan: Plan) -> None:
    check_views(plan.config)
    if plan.with_network:
        plan.network  # noqa: B018 - built here, or refused


def _weights_fit(plan: Plan) -> None:
    weights, spec = plan.config.model.weights, MODELS.get(plan.config.model.name)
    kind, _, source = weights.partition(":")
    if spec and weights == "imagenet" and not spec.weights_file:
        raise LightboxError("weights.unavailable", f"There are no ImageNet weights for {spec.title}: nobody has published any.",
                            "Start from random weights, or use a network that has some, such as densenet201 or resnet18.")
    if kind == "run" and (shapes := weight_shapes(source)) and plan.with_network:
        from core.models.weights import fitting
        network = plan.network.network
        if not fitting(network, shapes) and not fitting(network.one_view, shapes):
            raise no_fit(source, plan.config.model.name)
    if kind == "file" and plan.with_network:
        from core.models.weights import match_file
        match_file(plan.network.network.one_view, Path(source).expanduser(), spec.title)
    if weights not in ("none", "imagenet") and kind not in ("run", "file"):
        raise LightboxError("weights.unknown", f"A network cannot start from {weights!r}.",
                            "model.weights can be none, imagenet, run:<id of a run> or file:<path>.")


CHECKS: tuple[Callable[[Plan], None], ...] = (_has_images, _loss_fits, _cycles_fit, _network_exists, _weights_fit)


@lru_cache(maxsize=64)
def _network(model: ModelConfig, classes: int, size: int, channels: int, views: int) -> Classifier:
    from core.models.costs import build_on_meta
    return build_on_meta(model, classes, size, channels, views)


# --- what helps ---

def imagenet_file(network: str) -> Path | None:
    """Return where torchvision's loader looks for a network's ImageNet weights; None where it has none."""
    name = MODELS[network].weights_file if network in MODELS else ""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    return torch_home / "hub" / "checkpoints" / name if name else None


def _has_imagenet(config: RunConfig) -> bool:
    file = imagenet_file(config.model.name)
    return config.model.weights != "imagenet" and file is not None and file.exists()


def _always(config: RunConfig) -> bool:
    return True


def _mends(codes: str, label: str, changes: Mapping[str, Any], applies: Callable[[RunConfig], bool] = _always) -> list[tuple]:
    return [(code, Mend(label, changes), applies) for code in codes.split()]


# (beginning of an error's code, what helps, whether that is to be had): the first that helps is offered.
MENDS: list[tuple[str, Mend, Callable[[RunConfig], bool]]] = [
    *_mends("weights. checkpoint.", "Start from ImageNet weights instead", {"model.weights": "imagenet"}, _has_imagenet),
    *_mends("weights. checkpoint. run.gone classifier.", "Start from random weights instead", RANDOM),
    *_mends("model.size", "Use the stem for small images", {"model.stem": "small"}),
    *_mends("model.size", "Pool with stride 1", {"model.cnn_pool_stride": 1}),
    *_mends("model.size", "Use 64 filters everywhere", {"model.cnn_filters": "constant"}),
    *_mends("model.size", "Use images of 64 px", {"data.size": 64}),
    *_mends("model.cut", "Cut nothing", {"model.cut": ""}),
    *_mends("model.blocks", "Keep all dense blocks", {"model.blocks": 0, "model.block_layers": 0}),
    *_mends("model.freeze", "Freeze nothing", {"model.freeze": "none"}),
    *_mends("train.loss", "Use cross-entropy", {"train.loss": "auto"}),
    *_mends("train.cycles", "Use one cycle", {"optim.cycles": 1}),
    *_mends("device.unknown", "Use the best device here", {"train.device": "auto"}),
    *_mends("dataset.target", "Take the first task", {"data.target": ""}),
    *_mends("split.only split.too_few", "Take all images, not only some", {"data.only": ""}),
    *_mends("split.no_official", "Split by patient", {"data.split": "patient"}),
    *_mends("train.external train.empty train.one_class", "Split these images anew", {"data.split": "patient"}),
    *_mends("split.fold train.out_of_fold", "Take the first fold", {"data.fold": 0}),
    *_mends("split.fold split.too_few train.empty", "Use no folds", {"data.folds": 0, "data.fold": 0}),
    *_mends("split.too_few train.empty train.one_class", "Hold out a quarter for validation, none for test",
            {"data.val_fraction": 0.25, "data.test_fraction": 0.0}),
    *_mends("split.too_few train.empty train.one_class", "Use all training images", {"data.train_fraction": 1.0}),
    *_mends("model.views", "Name the views by the column view", {"data.view_column": "view"}),
    *_mends("model.views", "Pool the views by attention", {"model.views": "attention"}),
    *_mends("units.none", "Mask the views that are missing", {"data.incomplete": "mask"}),
    *_mends("units.", "Take the first views, whatever their names", {"data.view_column": "", "model.views": "mean"}),
    *_mends("labels.", "Take the classes as they are", {"data.label_map": "", "data.positive": ""}),
]
