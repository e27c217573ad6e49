"""torchvision's networks, and two written here, made fit for small images, gray images, other classes, heads and cuts.

    ResNet       He et al., CVPR 2016, https://arxiv.org/abs/1512.03385
    DenseNet     Huang et al., CVPR 2017, https://arxiv.org/abs/1608.06993
    SqueezeNet   Iandola et al., 2016, https://arxiv.org/abs/1602.07360
    VGG          Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556

All parameters keep torchvision's names: its weights load here, and what is saved here loads there if shapes
agree. Differences from torchvision, all of them:

    small stem   a 3x3 convolution of stride 1 and no pooling before the first block (VGG has such a convolution already)
    gray input   the first convolution takes one channel
    dropout      as the config says, before the last linear layer and, in a VGG, between its hidden ones
    SqueezeNet   no ReLU on the logits; its last convolution works on averages, which is the same and less work
    cut, blocks  layers may be left out, and the head may be another
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.func import functional_call

from core.config import ModelConfig
from core.errors import LightboxError
from core.models.heads import HEADS, average
from core.models.network import Built, Network
from core.models.registry import ModelSpec
from core.models.resnet import ResNet
from core.models.small_cnn import SmallCNN
from core.models.weights import ADDED_UP, fitting, imagenet_state, load_file, take

# Those that torchvision has no function for: name -> (classes) -> a network in its style.
MAKERS: dict[str, Callable[[int], nn.Module]] = {
    "densenet264": lambda classes: torchvision.models.DenseNet(32, (6, 12, 64, 48), 64, num_classes=classes),
    "own_resnet18": lambda classes: ResNet(18, classes),
    "own_resnet50": lambda classes: ResNet(50, classes),
    "small_cnn": SmallCNN,
}


class PooledConv(nn.Conv2d):
    """SqueezeNet's last layer: its 1x1 convolution on averages, which equals the average of its maps.

    The weight keeps the shape (K, F, 1, 1) that torchvision's file has.
    """

    def __init__(self, features: int, classes: int):
        super().__init__(features, classes, 1)

    def forward(self, features: Tensor) -> Tensor:   # (N, F) -> (N, K)
        return super().forward(features[:, :, None, None]).flatten(1)


# --- stems: (network, small, channels) changes the first layers in place ---

def _resnet_stem(network: nn.Module, small: bool, channels: int) -> None:
    if small or channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 3 if small else 7, stride=1 if small else 2, padding=1 if small else 3,
                                  bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        network.maxpool = nn.Identity()


def _densenet_stem(network: nn.Module, small: bool, channels: int) -> None:
    if small or channels != 3:
        network.features.conv0 = nn.Conv2d(channels, network.features.conv0.out_channels, 3 if small else 7,
                                           stride=1 if small else 2, padding=1 if small else 3, bias=False)
        nn.init.kaiming_normal_(network.features.conv0.weight)
    if small:
        network.features.pool0 = nn.Identity()


def _squeezenet_stem(network: nn.Module, small: bool, channels: int) -> None:
    if small or channels != 3:
        # Version 1.1 begins with 3x3 already, so ImageNet's weights fit its small stem as well.
        old = network.features[0]
        network.features[0] = nn.Conv2d(channels, old.out_channels, 3 if small else old.kernel_size, stride=1 if small else 2,
                                        padding=1 if small else 0)
        nn.init.kaiming_uniform_(network.features[0].weight)
        nn.init.zeros_(network.features[0].bias)


def _vgg_stem(network: nn.Module, small: bool, channels: int) -> None:
    if channels != 3:
        network.features[0] = nn.Conv2d(channels, 64, 3, padding=1)
        nn.init.kaiming_normal_(network.features[0].weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(network.features[0].bias)
    if small:
        network.features[4] = nn.Identity()              # the first of five poolings


def _small_cnn_stem(network: nn.Module, small: bool, channels: int) -> None:
    if channels != 3:
        network.features.conv1 = nn.Conv2d(channels, network.features.conv1.out_channels, 3, padding=1)


@dataclass(frozen=True)
class Family:
    """Where the parts of a family are, in torchvision's names.

    Attributes:
        stem: changes the first layers for little images and for gray ones: (network, small, channels)
        first: its first convolution
        trunk: what is called one after the other, images -> maps
        last: its own linear layer
        hidden: what its own head has between pooling and dropout, and where the pooling is not the average
        extra: parts without weights that torchvision's forward has as functions: name -> constructor
    """

    stem: Callable[[nn.Module, bool, int], None]
    first: str
    trunk: tuple[str, ...]
    last: str
    hidden: tuple[str, ...] = ()
    extra: dict[str, Callable[[], nn.Module]] = field(default_factory=dict)


FAMILIES = {
    "resnet": Family(_resnet_stem, "conv1", ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"), "fc"),
    # torchvision's ReLU after the last norm works in place; here it leaves the map alone that Grad-CAM explains.
    "densenet": Family(_densenet_stem, "features.conv0", ("features", "relu"), "classifier", extra={"relu": nn.ReLU}),
    "squeezenet": Family(_squeezenet_stem, "features.0", ("features",), "classifier.1"),
    "vgg": Family(_vgg_stem, "features.0", ("features",), "classifier.6",
                  hidden=("avgpool", "flatten", *(f"classifier.{i}" for i in range(5))), extra={"flatten": nn.Flatten}),
    "small_cnn": Family(_small_cnn_stem, "features.conv1", ("features",), "fc"),
}


def build_backbone(spec: ModelSpec, *, config: ModelConfig, classes: int, size: int, small: bool, channels: int,
                   seed: int) -> Built:
    """Return the network of that name with `classes` outputs; see `core.models.build_model`."""
    family = FAMILIES[spec.family]
    with torch.random.fork_rng(devices=[]):              # torchvision draws from the global generator
        torch.default_generator.manual_seed(seed)        # torch.manual_seed would reseed the GPU as well
        plain = _plain(spec, classes)
        family.stem(plain, small, channels)
        notes = _keep_blocks(plain, spec, config)
        trunk, whole, cut_notes = _cut(plain, spec, config)
        own_head = config.head == "linear" and (not config.cut or whole and not family.hidden)
        network = (_with_its_own_head if own_head else _with_head)(plain, family, trunk, config, classes, channels)
    notes += cut_notes
    if family.hidden and not own_head:
        notes.append(f"{spec.title}'s two hidden layers of 4096 are left out: its maps are pooled for this head.")
    if config.weights == "imagenet":
        notes += _load_imagenet(network, spec, config, channels)
    elif config.weights.startswith("file:"):
        notes += load_file(network, Path(config.weights.removeprefix("file:")).expanduser(), spec.title)
    named = [(stage, name) for stage, name in zip(spec.stages, spec.stage_names) if _has(network, stage)]
    rest = [stage for stage in spec.stages[len(spec.stage_names):] if _has(network, stage)]
    stages = tuple(stage for stage, _ in named) + tuple(rest) or (f"network.{trunk[-1]}",)
    return Built(network, tuple(notes), stages, tuple(name for _, name in named))


def _plain(spec: ModelSpec, classes: int) -> nn.Module:
    """The network as torchvision makes it."""
    if spec.name in MAKERS:
        return MAKERS[spec.name](classes)
    return torchvision.models.get_model(spec.name, weights=None, num_classes=classes)


# --- what of the backbone is kept ---

def _keep_blocks(plain: nn.Module, spec: ModelSpec, config: ModelConfig) -> list[str]:
    """Leave out the last blocks of a DenseNet and the last layers of the last block that is kept, as the survey in report
    R004 did. The batch norm at the end is then new."""
    if not config.blocks and not config.block_layers:
        return []
    if spec.family != "densenet":
        raise LightboxError("model.blocks", f"A {spec.title} has no dense blocks to keep.",
                            "Set model.blocks and model.block_layers to 0, or choose a DenseNet.")
    count = config.blocks or 4
    last = plain.features.get_submodule(f"denseblock{count}")
    if config.block_layers > len(last):
        raise LightboxError("model.blocks", f"Block {count} of {spec.title} has {len(last)} layers, not {config.block_layers}.",
                            f"model.block_layers can be 1 to {len(last)} here, or 0 for all.")
    layers = config.block_layers or len(last)
    if count == 4 and layers == len(last):
        return []
    for name in list(last.keys())[layers:]:
        del last[name]
    for i in range(count, 4):
        delattr(plain.features, f"transition{i}")
        delattr(plain.features, f"denseblock{i + 1}")
    first = last["denselayer1"]
    width = first.norm1.num_features + layers * first.conv2.out_channels
    plain.features.norm5 = nn.BatchNorm2d(width)
    plain.classifier = nn.Linear(width, plain.classifier.out_features)
    return [f"Kept: {count} dense block{'s' if count > 1 else ''}, {layers} layer{'s' if layers > 1 else ''} in the last. "
            "The normalisation after it is new."]


def _cut(plain: nn.Module, spec: ModelSpec, config: ModelConfig) -> tuple[tuple[str, ...], bool, list[str]]:
    """Leave out what comes after the cut; returns the trunk that is left, whether that is all of it, and sentences.

    A number counts the outermost modules of torchvision's network as Python's slices do, `children()[:cut]`,
    which is how fastai cuts. SqueezeNet has two, `features` and `classifier`: 1 and -1 are its whole
    backbone, and from 2 on ImageNet's classifier is kept as well, whose thousand outputs are then the
    features.
    """
    family, cut = FAMILIES[spec.family], config.cut.strip()
    if not cut:
        return family.trunk, True, []
    stages = {name: stage.removeprefix("network.") for stage, name in zip(spec.stages, spec.stage_names)
              if _has(plain, stage.removeprefix("network."))}
    if cut in stages:
        part, _, inside = stages[cut].partition(".")
        before = len(list(plain.get_submodule(part).children()))
        if inside:
            _keep_upto(plain.get_submodule(part), inside)
        trunk = family.trunk[:family.trunk.index(part) + 1]
        whole = trunk == family.trunk and before == len(list(plain.get_submodule(part).children()))
        return trunk, whole, _whole(family, config) if whole else []

    children = [name for name, _ in plain.named_children()]
    possible = children if spec.family == "squeezenet" else children[:-1]     # a linear layer gives no maps
    number = int(cut) if cut.lstrip("-").isdecimal() else 0
    kept = children[:number] if number else []
    if not kept or len(kept) > len(possible):
        last = len(children) - len(possible) or 1
        raise LightboxError("model.cut", f"{spec.title} cannot be cut at {cut}.",
                            f"Its stages are {', '.join(stages)}. A number can be {_range(1, len(possible))}"
                            f"{' or more' if spec.family == 'squeezenet' else ''}, or {_range(1 - len(children), -last)}. "
                            "Empty means no cut.")
    if "classifier" in kept:
        plain.classifier[0].p = config.dropout
        if plain.classifier[1].out_channels != 1000:
            plain.classifier[1] = nn.Conv2d(plain.classifier[1].in_channels, 1000, 1)
            nn.init.normal_(plain.classifier[1].weight, std=0.01)
            nn.init.zeros_(plain.classifier[1].bias)
        return tuple(kept), False, [f"The cut {cut} keeps {spec.title}'s own classifier: its 1000 outputs are the features here."]
    if set(kept) == set(family.trunk) - set(family.extra):
        return family.trunk, True, _whole(family, config)
    return tuple(kept), False, [f"The cut {cut} keeps the network's own average pooling as well."] if "avgpool" in kept else []


def _whole(family: Family, config: ModelConfig) -> list[str]:
    if family.hidden and config.head == "linear":
        # the hidden layers go with any cut, which another note says
        return []
    return [f"The cut {config.cut} removes nothing: it is the whole backbone, the same as no cut."]


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _keep_upto(part: nn.Module, name: str) -> None:
    """Leave out the children of a part that come after one."""
    names = [child for child, _ in part.named_children()]
    for after in names[names.index(name) + 1:]:
        delattr(part, after)


def _has(network: nn.Module, address: str) -> bool:
    try:
        network.get_submodule(address.removeprefix("network."))
    except AttributeError:
        return False
    return True


# --- the head ---

def _with_its_own_head(plain: nn.Module, family: Family, trunk: tuple[str, ...], config: ModelConfig, classes: int,
                       channels: int) -> Network:
    """The head that the network has at torchvision: average, dropout, one linear layer; in a VGG hidden layers before it."""
    parts = dict(plain.named_children()) | {name: make() for name, make in family.extra.items()}
    old = plain.get_submodule(family.last)
    if isinstance(old, nn.Conv2d):
        # torchvision puts a ReLU on the class maps. No logit could then fall below zero: a sigmoid would never say less
        # than one half, and a class whose map is negative everywhere has no gradient and never comes back.
        width, new = old.in_channels, PooledConv(old.in_channels, classes)
        with torch.no_grad():
            new.weight.copy_(old.weight)                 # as torchvision drew it
            new.bias.zero_()
    else:
        width, new = old.in_features, nn.Linear(old.in_features, classes)
        if family.last == "classifier":
            nn.init.zeros_(new.bias)                     # as DenseNet's
    name, _, inside = family.last.partition(".")
    hidden = [module.removeprefix(f"{name}.") for module in family.hidden if module.startswith(f"{name}.")]
    for module in (plain.get_submodule(f"{name}.{key}") for key in hidden):
        if isinstance(module, nn.Dropout):
            module.p = config.dropout
    parts[name] = new if not inside else nn.Sequential(
        OrderedDict({key: plain.get_submodule(f"{name}.{key}") for key in hidden} | {inside: new}))
    parts |= {"pool": average(), "dropout": nn.Dropout(config.dropout)}
    pool = family.hidden or ("pool",)
    return _network(parts, trunk, pool, ("dropout", family.last), width)


def _with_head(plain: nn.Module, family: Family, trunk: tuple[str, ...], config: ModelConfig, classes: int,
               channels: int) -> Network:
    """One of HEADS on pooled maps."""
    head = HEADS[config.head]
    parts = dict(plain.named_children()) | {name: make() for name, make in family.extra.items()}
    width = head.times * _maps(parts, trunk, channels)
    parts |= {"pool": head.pool(), "head": head.layers(width, classes, config.dropout)}
    return _network(parts, trunk, ("pool",), ("head",), width)


def _network(parts: dict[str, nn.Module], trunk: tuple[str, ...], pool: tuple[str, ...], head: tuple[str, ...],
             width: int) -> Network:
    used = {name.partition(".")[0] for name in (*trunk, *pool, *head)}
    return Network({name: part for name, part in parts.items() if name in used}, trunk=trunk, pool=pool, head=head, width=width)


def _maps(parts: dict[str, nn.Module], trunk: tuple[str, ...], channels: int) -> int:
    """How many maps a trunk gives: it is followed on the meta device, where tensors have shapes but no numbers."""
    maps = torch.empty(1, channels, 64, 64, device="meta")
    with torch.no_grad():
        for part in (parts[name] for name in trunk):
            training = part.training
            maps = functional_call(part.eval(), {k: v.to("meta") for k, v in part.state_dict().items()}, (maps,))
            part.train(training)
    return maps.shape[1]


# --- ImageNet's weights ---

def _load_imagenet(network: Network, spec: ModelSpec, config: ModelConfig, channels: int) -> list[str]:
    """Take over what fits; the head never does. Returns sentences about what is new or changed."""
    state = imagenet_state(spec)
    head = tuple(f"{name}." for name in network.head_parts)
    fit = fitting(network, {name: tuple(value.shape) for name, value in state.items()}, leave=head)
    take(network, fit, state.__getitem__)
    notes = ["The last layer is new: it had ImageNet's thousand classes." if config.head == "linear" else
             "The head is new: ImageNet's weights have no such head."]
    first = FAMILIES[spec.family].first
    if f"{first}.weight" not in fit:
        notes.append("The first layer is new: ImageNet's 7x7 filters do not fit the small stem.")
    elif channels == 1:
        notes.append(ADDED_UP)
    return notes
