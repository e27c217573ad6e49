"""torchvision's networks, made fit for small images, gray images and other classes.

    ResNet       He et al., CVPR 2016, https://arxiv.org/abs/1512.03385
    DenseNet     Huang et al., CVPR 2017, https://arxiv.org/abs/1608.06993
    SqueezeNet   Iandola et al., 2016, https://arxiv.org/abs/1602.07360 (version 1.1)

All parameters keep torchvision's names: its weights load here, and what is saved here loads there if shapes agree.
Differences from torchvision, all of them:

    small stem   a 3x3 convolution of stride 1 and no pooling before the first block (SqueezeNet: its 3x3, stride 1)
    gray input   the first convolution takes one channel
    dropout      before the last linear layer (SqueezeNet has its own place for it)
    SqueezeNet   no ReLU on the logits
"""

from __future__ import annotations

import contextlib
import pickle
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from core.config import ModelConfig
from core.errors import LightboxError
from core.files import disk_errors
from core.models import ModelSpec

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)   # of R, G, B in [0, 1]
GRAY_MEAN, GRAY_STD = (0.449,), (0.226,)                                      # the means of the three


@dataclass(frozen=True)
class Built:
    """A network, the mean and std of the pixels that it expects, and what a person should know about it."""

    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...]


class DroppedLinear(nn.Linear):
    """A linear layer that hides features from itself in training: one layer, so that parameters keep their names."""

    def __init__(self, features: int, classes: int, dropout: float):
        super().__init__(features, classes)
        self.dropout = dropout

    def forward(self, features: Tensor) -> Tensor:   # (N, F) -> (N, K)
        return super().forward(F.dropout(features, self.dropout, self.training))


# --- one function a family: change the stem, put in the head ---

def _resnet(network: nn.Module, classes: int, small: bool, channels: int, dropout: float) -> None:
    if small:
        network.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.fc = DroppedLinear(network.fc.in_features, classes, dropout)


def _densenet(network: nn.Module, classes: int, small: bool, channels: int, dropout: float) -> None:
    if small:
        network.features.conv0 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.features.conv0.weight)
        network.features.pool0 = nn.Identity()
    elif channels != 3:
        network.features.conv0 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.features.conv0.weight)
    network.classifier = DroppedLinear(network.classifier.in_features, classes, dropout)
    nn.init.zeros_(network.classifier.bias)


def _squeezenet(network: nn.Module, classes: int, small: bool, channels: int, dropout: float) -> None:
    if small or channels != 3:
        # Its first convolution is 3x3 already, so ImageNet's weights fit the small stem as well.
        network.features[0] = nn.Conv2d(channels, 64, 3, stride=1 if small else 2, padding=1 if small else 0)
        nn.init.kaiming_uniform_(network.features[0].weight)
        nn.init.zeros_(network.features[0].bias)
    network.classifier[0] = nn.Dropout(dropout)
    # torchvision puts a ReLU on the class maps. No logit could then fall below zero: a sigmoid would never say less
    # than one half, and a class whose map is negative everywhere has no gradient and never comes back.
    network.classifier[2] = nn.Identity()


@dataclass(frozen=True)
class Family:
    """Where a family's first and last layers are, and how they are changed."""

    adapt: Callable
    stem: tuple[str, str] | tuple[str]   # first convolution and, where it has one, the normalisation after it
    head: str
    stem_fits: bool                      # whether ImageNet's first convolution fits the small stem


FAMILIES = {
    "resnet": Family(_resnet, ("conv1", "bn1"), "fc", False),
    "densenet": Family(_densenet, ("features.conv0", "features.norm0"), "classifier", False),
    "squeezenet": Family(_squeezenet, ("features.0",), "classifier.1", True),
}


def build_backbone(spec: ModelSpec, *, config: ModelConfig, classes: int, small: bool, channels: int,
                   seed: int) -> Built:
    """torchvision's network of that name with `classes` outputs; see `core.models.build_model`."""
    family = FAMILIES[spec.family]
    with torch.random.fork_rng(devices=[]):              # torchvision draws from the global generator
        torch.default_generator.manual_seed(seed)        # torch.manual_seed would reseed the GPU as well
        network = torchvision.models.get_model(spec.name, weights=None, num_classes=classes)
        family.adapt(network, classes, small, channels, config.dropout)
    if config.weights != "imagenet":
        return Built(network, (0.5,) * channels, (0.5,) * channels, ())

    state, lost = imagenet_state(spec), [family.head]
    notes = ["The last layer is new: ImageNet's thousand classes are not the classes here."]
    if small and not family.stem_fits:
        lost += family.stem
        notes.append("The first layer is new: ImageNet's 7x7 filters do not fit the small stem.")
    elif channels == 1:
        # For a gray pixel R = G = B = g, and sum_c w_c g is (sum_c w_c) g.
        first = f"{family.stem[0]}.weight"
        state[first] = state[first].sum(dim=1, keepdim=True)
        notes.append("The colour filters of the first layer were added up for gray images.")
    if channels == 1:
        notes.append("Gray images are normalised with the average of ImageNet's three means and deviations "
                     f"({GRAY_MEAN[0]}, {GRAY_STD[0]}).")
    _load(network, state, tuple(f"{name}." for name in lost), spec)
    mean, std = (GRAY_MEAN, GRAY_STD) if channels == 1 else (IMAGENET_MEAN, IMAGENET_STD)
    return Built(network, mean, std, tuple(notes))


def imagenet_state(spec: ModelSpec) -> dict[str, Tensor]:
    """ImageNet's weights by torchvision's loader: from TORCH_HOME, or fetched and checked against the hash in the name.

    IMAGENET1K_V1 for all: ResNet-50's second version had a newer recipe, and comparing it with others compares recipes.

    Raises:
        LightboxError: "weights.unavailable" where there is no file and none can be fetched, "weights.broken" where the
            file is not what it should be
    """
    weights = torchvision.models.get_model_weights(spec.name).IMAGENET1K_V1
    path = Path(torch.hub.get_dir()) / "checkpoints" / spec.weights_file
    try:
        with disk_errors(path), contextlib.redirect_stdout(sys.stderr):      # stdout is for results
            state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        if path.exists():
            raise _broken(spec, path) from error
        raise LightboxError("weights.unavailable", f"The ImageNet weights of {spec.title} are not on this machine and "
                            f"could not be fetched.", f"Fetch {weights.url} elsewhere and put it there: {path} "
                            "(TORCH_HOME sets the folder), or start from random weights.") from error
    if not isinstance(state, dict):
        raise _broken(spec, path)
    # DenseNet's files are older than the rule that a module's name has no dot: denselayer1.norm.1.weight
    return {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.", r"\1\2.", str(key)): value
            for key, value in state.items()}


def _load(network: nn.Module, state: dict[str, Tensor], lost: tuple[str, ...], spec: ModelSpec) -> None:
    """Load all but the layers whose names begin as in `lost`. Old files have no batch counters; all else must be."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / spec.weights_file
    try:
        kept = {key: value for key, value in state.items() if not key.startswith(lost)}
        missing, unexpected = network.load_state_dict(kept, strict=False)
    except (RuntimeError, AttributeError) as error:    # another shape; not a tensor
        raise _broken(spec, path) from error
    if unexpected or any(not key.startswith(lost) and not key.endswith("num_batches_tracked") for key in missing):
        raise _broken(spec, path)


def _broken(spec: ModelSpec, path: Path) -> LightboxError:
    return LightboxError("weights.broken", f"{path} does not hold the ImageNet weights of {spec.title}.",
                         "Delete the file; it is fetched again where there is a network.")
