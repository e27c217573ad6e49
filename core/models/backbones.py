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
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from core.config import ModelConfig
from core.errors import LightboxError
from core.files import disk_errors
from core.models import ModelSpec
from core.models.network import Built, Network

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)   # of R, G, B in [0, 1]
GRAY_MEAN, GRAY_STD = (0.449,), (0.226,)                                      # the means of the three


@dataclass(frozen=True)
class Family:
    """Where the parts of a family are, in torchvision's names.

    Attributes:
        stem: changes the first layers for little images and for gray ones: (network, small, channels)
        first: first convolution and, where it has one, the normalisation after it
        trunk: what is called one after the other, images -> maps
        last: the linear layer; before it come the average of each map and dropout
        extra: parts without weights that torchvision's forward has as a function
        stem_fits: whether ImageNet's first convolution fits the small stem
    """

    stem: Callable
    first: tuple[str, ...]
    trunk: tuple[str, ...]
    last: str
    extra: tuple[tuple[str, Callable], ...] = ()
    stem_fits: bool = False


class PooledConv(nn.Conv2d):
    """SqueezeNet's last layer: its 1x1 convolution on averages, which equals the average of its maps.

    The weight keeps the shape (K, F, 1, 1) that torchvision's file has.
    """

    def __init__(self, features: int, classes: int):
        super().__init__(features, classes, 1)

    def forward(self, features: Tensor) -> Tensor:   # (N, F) -> (N, K)
        return super().forward(features[:, :, None, None]).flatten(1)


# --- one function a family: change the stem ---

def _resnet_stem(network: nn.Module, small: bool, channels: int) -> None:
    if small:
        network.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")


def _densenet_stem(network: nn.Module, small: bool, channels: int) -> None:
    filters = network.features.conv0.out_channels
    if small:
        network.features.conv0 = nn.Conv2d(channels, filters, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(network.features.conv0.weight)
        network.features.pool0 = nn.Identity()
    elif channels != 3:
        network.features.conv0 = nn.Conv2d(channels, filters, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.features.conv0.weight)


def _squeezenet_stem(network: nn.Module, small: bool, channels: int) -> None:
    old = network.features[0]
    if small or channels != 3:
        # Version 1.1 begins with 3x3 already, so ImageNet's weights fit its small stem as well.
        network.features[0] = nn.Conv2d(channels, old.out_channels, 3 if small else old.kernel_size,
                                        stride=1 if small else 2, padding=1 if small else 0)
        nn.init.kaiming_uniform_(network.features[0].weight)
        nn.init.zeros_(network.features[0].bias)


FAMILIES = {
    "resnet": Family(_resnet_stem, ("conv1", "bn1"),
                     ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"), "fc"),
    "densenet": Family(_densenet_stem, ("features.conv0", "features.norm0"), ("features", "relu"), "classifier",
                       extra=(("relu", nn.ReLU),)),
    "squeezenet": Family(_squeezenet_stem, ("features.0",), ("features",), "classifier.1", stem_fits=True),
}


def build_backbone(spec: ModelSpec, *, config: ModelConfig, classes: int, size: int, small: bool, channels: int,
                   seed: int) -> Built:
    """torchvision's network of that name with `classes` outputs; see `core.models.build_model`."""
    family = FAMILIES[spec.family]
    with torch.random.fork_rng(devices=[]):              # torchvision draws from the global generator
        torch.default_generator.manual_seed(seed)        # torch.manual_seed would reseed the GPU as well
        plain = torchvision.models.get_model(spec.name, weights=None, num_classes=classes)
        family.stem(plain, small, channels)
        network = _in_parts(plain, family, classes, config.dropout)
    if config.weights != "imagenet":
        return Built(network, (0.5,) * channels, (0.5,) * channels)

    state, lost = imagenet_state(spec), [family.last]
    notes = ["The last layer is new: ImageNet's thousand classes are not the classes here."]
    if small and not family.stem_fits:
        lost += family.first
        notes.append("The first layer is new: ImageNet's 7x7 filters do not fit the small stem.")
    elif channels == 1:
        # For a gray pixel R = G = B = g, and sum_c w_c g is (sum_c w_c) g.
        first = f"{family.first[0]}.weight"
        state[first] = state[first].sum(dim=1, keepdim=True)
        notes.append("The colour filters of the first layer were added up for gray images.")
    if channels == 1:
        notes.append("Gray images are normalised with the average of ImageNet's three means and deviations "
                     f"({GRAY_MEAN[0]}, {GRAY_STD[0]}).")
    _load(network, state, tuple(f"{name}." for name in lost), spec)
    mean, std = (GRAY_MEAN, GRAY_STD) if channels == 1 else (IMAGENET_MEAN, IMAGENET_STD)
    return Built(network, mean, std, tuple(notes))


def _in_parts(plain: nn.Module, family: Family, classes: int, dropout: float) -> Network:
    """torchvision's network as a Network, with a last layer of its own."""
    parts = dict(plain.named_children())
    parts |= {name: make() for name, make in family.extra}
    parts |= {"pool": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1)), "dropout": nn.Dropout(dropout)}
    old = plain.get_submodule(family.last)
    if isinstance(old, nn.Conv2d):
        # torchvision puts a ReLU on the class maps. No logit could then fall below zero: a sigmoid would never say less
        # than one half, and a class whose map is negative everywhere has no gradient and never comes back.
        features, new = old.in_channels, PooledConv(old.in_channels, classes)
        with torch.no_grad():
            new.weight.copy_(old.weight)                 # as torchvision drew it
            new.bias.zero_()
    else:
        features, new = old.in_features, nn.Linear(old.in_features, classes)
        if family.last == "classifier":
            nn.init.zeros_(new.bias)
    name, _, inside = family.last.partition(".")
    parts[name] = nn.Sequential(OrderedDict({inside: new})) if inside else new
    parts = {key: part for key, part in parts.items() if key != "avgpool"}
    return Network(parts, trunk=family.trunk, pool=("pool",), head=("dropout", family.last), width=features)


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
