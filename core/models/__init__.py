"""Which networks there are, and how one becomes a classifier.

    MODELS            the table: name -> facts for a form and the function that builds it; costs no import of torch
    build_model       config -> a Classifier that takes pixels in [0, 1] and normalises them itself
    count_parameters  the same network's size, without making its weights

A network of one's own is an entry in MODELS with a `build` of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.config import ModelConfig
from core.errors import LightboxError

if TYPE_CHECKING:       # for readers and type checkers; torch is imported when a network is built
    from core.models.classifier import Classifier, Preprocessing


def _torchvision(spec: ModelSpec, **options) -> Any:
    from core.models.backbones import build_backbone

    return build_backbone(spec, **options)


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a network before it is built.

    Attributes:
        name: the key in MODELS, and what torchvision calls it
        title, description: for people
        family: the key in backbones.FAMILIES that knows its first and last layers
        parameters: trainable numbers as published, for 1000 classes, colour input and the standard stem
        stages: dotted names of its feature maps from fine to coarse, relative to the Classifier; the last is
            Grad-CAM's default
        stage_names: what a config calls them for cut and freeze; a last map may have no name of its own
        smallest: least image side in pixels that the standard stem takes before a feature map vanishes
        weights_file: the file of ImageNet weights that torchvision's loader looks for
        build: makes the network; called by build_model
    """

    name: str
    title: str
    description: str
    family: str
    parameters: int
    stages: tuple[str, ...]
    stage_names: tuple[str, ...]
    smallest: int
    weights_file: str
    build: Callable = field(default=_torchvision, repr=False)


_RESNET = (tuple(f"network.layer{i}" for i in (1, 2, 3, 4)), tuple(f"layer{i}" for i in (1, 2, 3, 4)))
_DENSENET = (tuple(f"network.features.denseblock{i}" for i in (1, 2, 3, 4)) + ("network.features",),
             tuple(f"denseblock{i}" for i in (1, 2, 3, 4)))
_SQUEEZENET_1_1 = (("network.features.4", "network.features.7", "network.features.10", "network.features"),
                   ("fire3", "fire5", "fire7", "fire9"))

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (
    ModelSpec("resnet18", "ResNet-18",
              "18 layers with shortcuts. Quick to train and hard to break: the one to begin with.",
              "resnet", 11_689_512, *_RESNET, 16, "resnet18-f37072fd.pth"),
    ModelSpec("resnet50", "ResNet-50",
              "50 layers in narrow-wide-narrow blocks. More capacity at about twice the work.",
              "resnet", 25_557_032, *_RESNET, 16, "resnet50-0676ba61.pth"),
    ModelSpec("densenet121", "DenseNet-121",
              "Every layer sees all earlier ones of its block. Few weights, much memory; often chosen for chest films.",
              "densenet", 7_978_856, *_DENSENET, 29, "densenet121-a639ec97.pth"),
    ModelSpec("densenet169", "DenseNet-169",
              "DenseNet-121 with deeper late blocks; the baseline of the MURA bone X-rays.",
              "densenet", 14_149_480, *_DENSENET, 29, "densenet169-b2777c0a.pth"),
    ModelSpec("squeezenet1_1", "SqueezeNet 1.1",
              "A tenth of ResNet-18's weights and no dense layer. For slow machines.",
              "squeezenet", 1_235_496, *_SQUEEZENET_1_1, 17, "squeezenet1_1-b8a52dc0.pth"),
)}


def build_model(config: ModelConfig, *, classes: int, size: int, channels: int, resize: str = "pad", seed: int = 0,
                task: str = "multi-class", class_names: tuple[str, ...] = (),
                preprocessing: Preprocessing | None = None) -> Classifier:
    """A classifier in training mode on the CPU. The same arguments give the same weights.

    The random state of the caller is left as it was.

    Args:
        config: weights "imagenet" loads through torchvision. "none" and "run:<id>" start from random numbers: for a
            run, and for any saved classifier, the caller loads the state afterwards and gives its `preprocessing`
        classes: K, the number of logits (two for binary-class)
        size: side of the square images in pixels, 16 to 512
        channels: 1 for gray, 3 for colour
        seed: of the random start
        task: MedMNIST's word for the task; it decides between softmax and sigmoid
        class_names: K names; empty names them by their number
        preprocessing: what a saved classifier expects; None derives it from the other arguments

    Raises:
        LightboxError: "model.unknown", "model.size" (too small for the standard stem),
            "weights.unavailable", "weights.broken"
    """
    from core.models.classifier import Classifier, Preprocessing

    spec = _spec(config, size)
    built = spec.build(spec, config=config, classes=classes, size=size, small=uses_small_stem(config, size),
                       channels=channels, seed=seed)
    preprocessing = preprocessing or Preprocessing(size, resize, channels, built.mean, built.std)
    class_names = class_names or tuple(map(str, range(classes)))
    model = Classifier(built.network, preprocessing, task=task, class_names=class_names, stages=spec.stages,
                       stage_names=spec.stage_names, notes=built.notes)
    model.freeze(config.freeze)
    return model


def count_parameters(config: ModelConfig, *, classes: int, size: int, channels: int) -> int:
    """How many trainable numbers `build_model` would make. No weights are made or loaded; needs torch."""
    import dataclasses

    import torch

    with torch.device("meta"):                       # shapes without memory
        model = build_model(dataclasses.replace(config, weights="none"), classes=classes, size=size, channels=channels)
    return sum(parameter.numel() for parameter in model.parameters())


def uses_small_stem(config: ModelConfig, size: int) -> bool:
    """Whether the first layers keep the resolution: as asked, or by itself up to 64 px."""
    return config.stem == "small" or (config.stem == "auto" and size <= 64)


def _spec(config: ModelConfig, size: int) -> ModelSpec:
    if config.name not in MODELS:
        raise LightboxError("model.unknown", f"There is no network called {config.name}.",
                            f"There are: {', '.join(MODELS)}.")
    spec = MODELS[config.name]
    if size < spec.smallest and not uses_small_stem(config, size):
        raise LightboxError("model.size", f"{spec.title} with the standard stem needs images of at least "
                            f"{spec.smallest} px; these have {size} px.",
                            "Set model.stem to small or auto, or take larger images.")
    return spec
