"""MODELS, the table of networks: what a form must know of each before it is built. No torch here.

A network of one's own is an entry in this table, and a function in core.models.build.BUILDERS that makes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.config import ModelConfig
from core.errors import LightboxError


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a network before it is built.

    Attributes:
        name: the key in MODELS, and what torchvision calls it where it has it
        title, description: for people
        family: which code builds it: a key of build.BUILDERS, or of backbones.FAMILIES, which knows its first
            and last layers
        parameters: trainable numbers as published, for 1000 classes, colour input, the standard stem and a
            linear head; of densenet264, whose number the paper does not give, small_cnn and cnn (with its
            knobs as they are) by their layers
        stages: dotted names of its feature maps from fine to coarse, relative to the Classifier; the last is
            Grad-CAM's default
        stage_names: what a config calls them for cut and freeze; a last map may have no name of its own
        smallest: least image side in pixels that the standard stem takes before a feature map vanishes
        weights_file: the file of ImageNet weights that torchvision's loader looks for; empty where there are
            none
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

    @property
    def torchvision_name(self) -> str:
        """Return what torchvision calls a network with the same weights."""
        return self.name.removeprefix("own_")


# What the layers of a family have in common, for people.
IDEAS = {
    "resnet": "A block adds its input to what its convolutions make of it (the shortcut), so they learn only the change: a "
              "block of zeros lets everything through, and gradients reach the first layers along the sums. Where the shape "
              "changes, a 1 x 1 convolution stands in the shortcut (He et al. 2016).",
    "densenet": "A layer of a dense block sees the maps of all layers before it and adds 32 of its own (48 in DenseNet-161); "
                "between two blocks a transition halves maps and resolution (Huang et al. 2017).",
    "squeezenet": "A fire module first squeezes many maps into few with 1 x 1 convolutions, then expands them with 1 x 1 and "
                  "3 x 3 ones side by side (Iandola et al. 2016).",
    "vgg": "Only 3 x 3 convolutions, two or three before each pooling: two of them see 5 x 5 pixels with fewer weights than "
           "one that large (Simonyan and Zisserman 2015).",
    "small_cnn": "",
    "cnn": "",
}


def _stages(names: str, addresses: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return dotted names of feature maps, and what they are called."""
    return tuple(f"network.{address}" for address in addresses.split()), tuple(names.split())


_RESNET = _stages("layer1 layer2 layer3 layer4", "layer1 layer2 layer3 layer4")
_DENSENET = _stages("denseblock1 denseblock2 denseblock3 denseblock4", "features.denseblock1 features.denseblock2 "
                    # the last with its norm has no name
                    "features.denseblock3 features.denseblock4 features")
_SQUEEZENET_1_0 = _stages("fire4 fire8 fire9", "features.5 features.10 features.12")
_SQUEEZENET_1_1 = _stages("fire3 fire5 fire7 fire9", "features.4 features.7 features.10 features.12")
_VGG16 = _stages("conv1 conv2 conv3 conv4 conv5", "features.3 features.8 features.15 features.22 features.29")
_SMALL = _stages("conv1 conv2 conv3 conv4", "features.relu1 features.relu2 features.relu3 features.relu4")
_CNN = _stages(" ".join(f"layer{i}" for i in range(1, 11)), " ".join(f"layers.layer{i}" for i in range(1, 11)))

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (
    ModelSpec("resnet18", "ResNet-18",
              "18 layers with skip connections. Fast to train and robust: the one to begin with.",
              "resnet", 11_689_512, *_RESNET, 16, "resnet18-f37072fd.pth"),
    ModelSpec("resnet34", "ResNet-34",
              "ResNet-18 with twice the blocks.",
              "resnet", 21_797_672, *_RESNET, 16, "resnet34-b627a593.pth"),
    ModelSpec("resnet50", "ResNet-50",
              "50 layers in bottleneck blocks. More capacity at about twice the work.",
              "resnet", 25_557_032, *_RESNET, 16, "resnet50-0676ba61.pth"),
    ModelSpec("resnet101", "ResNet-101",
              "ResNet-50 with a deeper third stage. For large sets and a GPU.",
              "resnet", 44_549_160, *_RESNET, 16, "resnet101-63fe2227.pth"),
    ModelSpec("resnet152", "ResNet-152",
              "The deepest ResNet of the paper. On a few thousand images it seldom beats a shallow one.",
              "resnet", 60_192_808, *_RESNET, 16, "resnet152-394f9c45.pth"),
    ModelSpec("densenet121", "DenseNet-121",
              "Every layer gets the outputs of all earlier ones of its block. Few weights, much memory; often used for "
              "chest X-rays.",
              "densenet", 7_978_856, *_DENSENET, 29, "densenet121-a639ec97.pth"),
    ModelSpec("densenet161", "DenseNet-161",
              "A wider DenseNet: each layer adds 48 maps where the others add 32.",
              "densenet", 28_681_000, *_DENSENET, 29, "densenet161-8d451a50.pth"),
    ModelSpec("densenet169", "DenseNet-169",
              "DenseNet-121 with deeper late blocks; the baseline of the MURA bone X-rays.",
              "densenet", 14_149_480, *_DENSENET, 29, "densenet169-b2777c0a.pth"),
    ModelSpec("densenet201", "DenseNet-201",
              "DenseNet-169 with a deeper third block.",
              "densenet", 20_013_928, *_DENSENET, 29, "densenet201-c1103571.pth"),
    ModelSpec("densenet264", "DenseNet-264",
              "The deepest layout of the paper (6, 12, 64 and 48 layers). Nobody has published ImageNet weights for it.",
              "densenet", 33_337_704, *_DENSENET, 29, ""),
    ModelSpec("squeezenet1_0", "SqueezeNet 1.0",
              "The first SqueezeNet: as few weights as 1.1, more than twice the work.",
              "squeezenet", 1_248_424, *_SQUEEZENET_1_0, 21, "squeezenet1_0-b66bff10.pth"),
    ModelSpec("squeezenet1_1", "SqueezeNet 1.1",
              "A tenth of ResNet-18's weights and no dense layer. For slow machines.",
              "squeezenet", 1_235_496, *_SQUEEZENET_1_1, 17, "squeezenet1_1-b8a52dc0.pth"),
    ModelSpec("vgg16", "VGG-16",
              "Sixteen plain layers, no skip connections. Ten times ResNet-18's weights, most in two hidden layers of 4096.",
              "vgg", 138_357_544, *_VGG16, 32, "vgg16-397923af.pth"),
    ModelSpec("small_cnn", "Small CNN",
              "Four convolutions and one linear layer. For first lessons: short to read, trained in seconds.",
              "small_cnn", 226_440, *_SMALL, 16, ""),
    ModelSpec("cnn", "CNN builder",
              "A chain of convolutions whose sizes you choose: to see what depth, kernels and pooling do.",
              "cnn", 214_504, *_CNN, 16, ""),
    ModelSpec("own_resnet18", "ResNet-18, written by hand",
              "The same network as ResNet-18, in a page of readable code: core/models/resnet.py.",
              "resnet", 11_689_512, *_RESNET, 16, "resnet18-f37072fd.pth"),
    ModelSpec("own_resnet50", "ResNet-50, written by hand",
              "The same network as ResNet-50, in a page of readable code: core/models/resnet.py.",
              "resnet", 25_557_032, *_RESNET, 16, "resnet50-0676ba61.pth"),
)}


def uses_small_stem(config: ModelConfig, size: int) -> bool:
    """Return whether the first layers keep the resolution: as asked, or with "auto" up to 64 px."""
    return config.stem == "small" or (config.stem == "auto" and size <= 64)


def find_model(config: ModelConfig, size: int) -> ModelSpec:
    """Return the entry of a network.

    Raises LightboxError "model.unknown", "model.size" where images are too small for it.
    """
    if config.name not in MODELS:
        raise LightboxError("model.unknown", f"There is no network called {config.name}.",
                            f"There are: {', '.join(MODELS)}.")
    spec = MODELS[config.name]
    if size < spec.smallest and not uses_small_stem(config, size):
        raise LightboxError("model.size", f"{spec.title} with the standard stem needs images of at least "
                            f"{spec.smallest} px; these have {size} px.",
                            "Set model.stem to small or auto, or use larger images.")
    return spec
