"""The network that a run starts with: random weights, ImageNet's, a file's, or those of another run or classifier.

    build_for(config, data)         with everything that the weights bring along
    weight_shapes("20261121-0352-k3f9")     what they hold, without loading them

What imports torch is imported inside functions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from core.config import ModelConfig, RunConfig
from core.datasets.statistics import channel_statistics
from core.errors import LightboxError
from core.models.registry import MODELS
from core.runs import checkpoints
from core.runs.classifiers import SHIPPED, build_saved, is_shipped, load_classifier, run_of, settings_of, split_address
from core.runs.run import Run
from core.runs.states import LIVE, State

if TYPE_CHECKING:
    from core.models.classifier import Classifier

Found = TypeVar("Found")


def build_for_run(run: Run, data, saved: checkpoints.Checkpoint | None = None) -> Classifier:
    """Build the network that a run starts with, see `build_for`. With the checkpoint from which it goes on, the run from which
    it once started is needed no more."""
    try:
        return build_for(run.config, data)
    except LightboxError as error:
        if saved is None or error.code != "weights.gone":
            raise
        return build_saved(run.config.model, saved.meta["classifier"])


def build_for(config: RunConfig, data) -> Classifier:
    """Build the network that a run starts with, on the CPU: random, ImageNet's weights, a file's, or another run's best epoch.

    Args:
        config: of the run
        data: the open Dataset that it will learn

    Raises LightboxError as `build_model` and `load_classifier` do.
    """
    from core.models import build_model
    from core.models.classifier import Preprocessing
    check_views(config)
    before, preprocessing, statistics = None, None, None
    if config.model.weights.startswith("run:"):
        source = config.model.weights.removeprefix("run:")
        if not is_shipped(source):
            _require_weights(_or_gone(run_of, source))
        before = _or_gone(load_classifier, source)
        p = before.model.preprocessing
        if config.model.normalise == "auto" and p.channels == data.channels:
            # what its weights know
            preprocessing = Preprocessing(data.size, data.resize, data.channels, p.mean, p.std, views=data.views,
                                          view_names=data.units.names if data.units else ())
    if config.model.normalise == "own":
        mean, std = channel_statistics(data.images, data.indices("train"))
        # images of one gray value have none
        statistics = mean, tuple(max(s, 1 / 255) for s in std)
    model = build_model(config.model, classes=len(data.class_names), size=data.size, channels=data.channels,
                        resize=data.resize, seed=config.train.seed, task=data.task, class_names=data.class_names,
                        preprocessing=preprocessing, statistics=statistics, views=data.views,
                        view_names=data.units.names if data.units else ())
    model.preprocessing = dataclasses.replace(model.preprocessing, intensity=data.source.intensity)
    if before:
        model.notes = (*model.notes, *before.notes, *_take_over(model, before.model, config.model))
    return model


def check_views(config: RunConfig) -> None:
    """Raise LightboxError "model.views" where a network has parallel inputs and the views have no names."""
    if config.data.unit != "image" and config.model.views.startswith("parallel") and not config.data.view_column:
        raise LightboxError("model.views", "Parallel inputs need views with names: each has an input of its own.",
                            "Name them by a column, data.view_column=view, or pool the views: model.views=attention.")


def weight_shapes(address: str) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of what a network may take over from a classifier, read from the start of its file alone; {} where a
    run waits or trains, so that nobody knows yet.

    Raises LightboxError "weights.gone", "weights.ensemble", "checkpoint.missing", "weights.broken".
    """
    from core.models.weights import header
    if is_shipped(address):
        folder = SHIPPED / address
    else:
        run = _or_gone(run_of, address)
        _require_weights(run)
        if run.status().state in LIVE | {State.QUEUED}:
            return {}
        finished = checkpoints.snapshots(run.checkpoints)
        if not finished:
            raise LightboxError("checkpoint.missing", "This run has not finished an epoch yet.", "Choose another run.")
        wanted = split_address(address)[1] or checkpoints.best_epoch(run.checkpoints)
        folder = run.checkpoints / checkpoints.name_of(wanted if wanted in finished else finished[-1])
    shapes = header(folder / "weights.safetensors")
    return {name.removeprefix("network."): shape for name, shape in shapes.items() if name.startswith("network.")}


def _require_weights(run: Run) -> None:
    """Raise LightboxError "weights.ensemble" for several networks that predict together; a soup is one network."""
    if run.ensemble and not run.ensemble.is_soup:
        raise LightboxError("weights.ensemble", f"{run.name} is an ensemble: it has no weights of its own to start from.",
                            f"Start from one of its members, such as run:{run.ensemble.members[0].run}.")


def no_fit(address: str, network: str) -> LightboxError:
    """Return the error of a network that no weight of a classifier fits."""
    theirs = MODELS[settings_of(address).model.name].title
    return LightboxError("weights.unlike", f"The initial weights are those of a different network, a {theirs}: none of its "
                         f"weights fit a {MODELS[network].title}.",
                         "Choose the same network as in that run, or other initial weights.")


def _or_gone(find: Callable[[str], Found], run_id: str) -> Found:
    """What `find` gives for the run that another one starts from. Raises LightboxError "weights.gone"."""
    try:
        return find(run_id)
    except LightboxError as error:
        if error.code != "run.gone":
            raise
        raise LightboxError("weights.gone", f"The run it starts from was deleted: there is no run {run_id}.",
                            "Start a copy with other weights.") from None


def _take_over(model: Classifier, before: Classifier, config: ModelConfig) -> list[str]:
    """Copy all weights that fit from another classifier; returns a sentence about those that do not."""
    from core.models.weights import COUNTER, fitting, left_over, take
    theirs = before.network.state_dict()
    if model.network.one_view is not model.network and before.preprocessing.views == 1:      # the same start for each backbone
        theirs = {f"{part}.{name}": value for part in model.network.trunk_parts for name, value in theirs.items()}
    fit = fitting(model.network, {name: tuple(value.shape) for name, value in theirs.items()})
    if not fit:
        raise no_fit(config.weights.removeprefix("run:"), config.name)
    take(model.network, fit, theirs.__getitem__)
    new = left_over(model.network, fit)
    fit = [name for name in fit if not name.endswith(COUNTER)]
    return [f"{len(new)} of {len(new) + len(fit)} tensors do not fit the earlier run and start from random weights: "
            "the classes, head, cut, channels or first layers differ."] if new else []
