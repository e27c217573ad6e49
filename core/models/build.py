"""From a config to a classifier."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.config import ModelConfig
from core.errors import LightboxError
from core.models.backbones import build_backbone
from core.models.classifier import NORMALISATIONS, Classifier, Preprocessing, Statistics
from core.models.cnn import build_cnn
from core.models.network import Built
from core.models.registry import find_model, uses_small_stem
from core.models.views import build_views

# Family of a network -> what makes it; all others are torchvision's or in its style.
BUILDERS: dict[str, Callable[..., Built]] = {"cnn": build_cnn}


def build_model(config: ModelConfig, *, classes: int, size: int, channels: int, resize: str = "pad", seed: int = 0,
                task: str = "multi-class", class_names: tuple[str, ...] = (),
                preprocessing: Preprocessing | None = None, statistics: Statistics | None = None, views: int = 1,
                view_names: tuple[str, ...] = ()) -> Classifier:
    """Build a classifier in training mode on the CPU, frozen as the config says.

    The same arguments give the same weights.

    The caller's random state is left as it was.

    Args:
        config: weights "imagenet" loads through torchvision, "file:<path>" from a safetensors file. "none"
            and "run:<id>" start from random numbers: for a run, and for any saved classifier, the caller
            loads the state afterwards and gives its `preprocessing`
        classes: K, the number of logits (two for binary-class)
        size: side of the square images in pixels, 16 to 512
        channels: 1 for gray, 3 for colour
        seed: of the random weights
        task: a member of Task; it decides between softmax and sigmoid
        class_names: K names; empty names them by their number
        preprocessing: what a saved classifier expects; None derives it from the other arguments
        statistics: mean and std of each channel of the training images in [0, 1], for normalise "own";
            without them 0.5 and 0.5, for those who only want to know sizes
        views: V, images of a unit side by side in the input, pooled as config.views says; 1 for single images
        view_names: their names, where each has a place of its own

    Raises:
        LightboxError: "model.unknown", "model.size" (too small for the standard stem), "model.cut",
            "model.blocks", "model.freeze", "weights.unknown", "weights.unavailable", "weights.missing",
            "weights.broken", "weights.unlike"

    >>> import torch
    >>> model = build_model(ModelConfig("small_cnn"), classes=2, size=28, channels=1, class_names=("normal", "abnormal"))
    >>> model(torch.rand(3, 1, 28, 28)).shape
    torch.Size([3, 2])
    >>> model.stages[-1]
    'network.features.relu4'
    """
    spec = find_model(config, size)
    if config.weights not in ("none", "imagenet") and not config.weights.startswith(("run:", "file:")):
        raise LightboxError("weights.unknown", f"A network cannot start from {config.weights!r}.",
                            "model.weights can be none, imagenet, run:<id of a run> or file:<path>.")
    builder = BUILDERS.get(spec.family, build_backbone)
    if preprocessing:
        views, view_names = preprocessing.views, preprocessing.view_names
    if views > 1:
        builder = partial(build_views, builder, views=views)
    built = builder(spec, config=config, classes=classes, size=size, small=uses_small_stem(config, size),
                       channels=channels, seed=seed)
    notes = list(built.notes)
    if not preprocessing:
        kind = config.normalise
        if kind == "auto":
            kind = "imagenet" if config.weights == "imagenet" else "half"
        mean, std = NORMALISATIONS[kind](channels, statistics)
        preprocessing = Preprocessing(size, resize, channels, mean, std, views=views, view_names=view_names)
        if kind == "imagenet" and channels == 1:
            notes.append("Gray images are normalised with the average of ImageNet's three means and deviations "
                         f"({mean[0]}, {std[0]}).")
        if config.weights.startswith("file:") and config.normalise == "auto":
            notes.append("A file of weights does not say how pixels were normalised: they are normalised by 0.5 and 0.5 here. "
                         "CheXNet used ImageNet's normalisation.")
    model = Classifier(built.network, preprocessing, task=task, class_names=class_names or tuple(map(str, range(classes))),
                       stages=spec.stages if built.stages is None else built.stages,
                       stage_names=spec.stage_names if built.stage_names is None else built.stage_names, notes=tuple(notes))
    model.freeze(config.freeze)
    if config.freeze != "none" and config.weights == "none":
        model.notes += ("The frozen layers keep their random initial weights.",)
    return model
