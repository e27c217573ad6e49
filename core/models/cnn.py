"""The CNN builder: a chain of convolutions whose kernels, filters and pooling are knobs.

It is the network of report R001, which its authors built in Keras: convolution, ReLU, spatial dropout and
pooling, L times; then global pooling and a head. All windows are padded as Keras pads with "same". What the
knobs mean in numbers (sizes, receptive field, parameters) is in core/models/receptive.py, which this follows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import ModelConfig
from core.errors import LightboxError
from core.models.heads import HEADS, average
from core.models.network import Built, Network
from core.models.receptive import plan, same_padding
from core.models.registry import ModelSpec
from core.models.weights import imagenet_state, load_file


class Pool(nn.Module):
    """Local pooling with the padding of Keras's "same": (N, C, S, S) -> (N, C, ceil(S / stride), ceil(S / stride)).

    What is padded never counts: it is never the largest or the smallest value, and a mean is over the pixels
    that are there.

    Args:
        kind: "max" | "avg" | "min"; the smallest value is minus the largest of all values with their sign
            turned
        size, stride: pixels a side of the window, and between windows
    """

    def __init__(self, kind: str, size: int, stride: int):
        super().__init__()
        self.kind, self.size, self.stride = kind, size, stride

    def forward(self, maps: Tensor) -> Tensor:
        return POOLS[self.kind](self, maps)

    def _pad(self, maps: Tensor, value: float) -> Tensor:
        (top, bottom), (left, right) = (same_padding(side, self.size, self.stride) for side in maps.shape[2:])
        return F.pad(maps, (left, right, top, bottom), value=value)

    def _max(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(self._pad(maps, float("-inf")), self.size, self.stride)

    def _min(self, maps: Tensor) -> Tensor:
        return -self._max(-maps)

    def _avg(self, maps: Tensor) -> Tensor:
        there = self._pad(torch.ones_like(maps[:1, :1]), 0.0)
        mean = partial(F.avg_pool2d, kernel_size=self.size, stride=self.stride)
        # share of each window that lies on the map
        return mean(self._pad(maps, 0.0)) / mean(there)

    def extra_repr(self) -> str:
        return f"{self.kind}, size={self.size}, stride={self.stride}"


POOLS = {"max": Pool._max, "avg": Pool._avg, "min": Pool._min}
GLOBAL_POOLS = {"max": lambda maps: maps.amax((2, 3)), "avg": lambda maps: maps.mean((2, 3)),
                "min": lambda maps: maps.amin((2, 3))}


class GlobalPool(nn.Module):
    """One number a map, its largest, mean or smallest: (N, C, S, S) -> (N, C)."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def forward(self, maps: Tensor) -> Tensor:
        return GLOBAL_POOLS[self.kind](maps)

    def extra_repr(self) -> str:
        return self.kind


class CNN(Network):
    """The whole network, which knows what L2 adds to the loss: `l2` are its factors on the kernel and on the activity."""

    l2: tuple[float, float] = (0.0, 0.0)

    def penalty(self, logits: Tensor) -> Tensor | None:
        return l2_penalty([self.get_submodule(name) for name in self.head_parts], logits, *self.l2) if any(self.l2) else None


def build_cnn(spec: ModelSpec, *, config: ModelConfig, classes: int, size: int, small: bool, channels: int, seed: int) -> Built:
    """Return the network that the knobs `cnn_` describe; see `core.models.build_model`.

    Its parts are `layers` (layer1 ... layerL), `pool` and `head`. There is no stem, so `small` changes
    nothing. The concat head brings its own pooling.

    Raises:
        LightboxError: "model.size", before anything is built, as `core.models.receptive.plan` does;
            "model.cut", "model.blocks", "weights.unavailable" for what this network does not have
    """
    if config.blocks or config.block_layers:
        raise LightboxError("model.blocks", f"A {spec.title} has no dense blocks to keep.",
                            "Set model.blocks and model.block_layers to 0, or choose a DenseNet.")
    steps, head = plan(config, size, channels), HEADS[config.head]
    width = steps[-1].channels * head.times
    with torch.random.fork_rng(devices=[]):              # layers draw from the global generator
        torch.default_generator.manual_seed(seed)
        parts = {"layers": build_trunk(config, size, channels),
                 "pool": GlobalPool(config.cnn_global_pool) if head.pool is average else head.pool(),
                 "head": head.layers(width, classes, config.dropout)}
    network = CNN(parts, trunk=("layers",), pool=("pool",), head=("head",), width=width)
    network.l2 = config.cnn_l2_kernel, config.cnn_l2_activity
    names, notes = tuple(name for name, _ in parts["layers"].named_children()), []
    if config.weights == "imagenet":
        imagenet_state(spec)                             # says that there are none
    elif config.weights.startswith("file:"):
        notes = load_file(network, Path(config.weights.removeprefix("file:")).expanduser(), spec.title)
    return Built(network, tuple(notes), tuple(f"network.layers.{name}" for name in names), names)


def build_trunk(config: ModelConfig, size: int, channels: int) -> nn.Sequential:
    """Return the convolutions: (N, channels, size, size) -> (N, C, S, S), in blocks called layer1, layer2 ...

    Weights are drawn for ReLU (He et al., ICCV 2015) from torch's global generator; biases start at 0.

    Raises:
        LightboxError: "model.size", before anything is built, as `core.models.receptive.plan` does
    """
    trunk: OrderedDict[str, nn.Sequential] = OrderedDict()
    for step in plan(config, size, channels):
        if step.kind == "convolution":
            conv = nn.Conv2d(channels, step.channels, step.kernel, padding=step.kernel // 2)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            trunk[step.name] = nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(inplace=True)))
            if config.cnn_spatial_dropout:
                trunk[step.name].add_module("dropout", nn.Dropout2d(config.cnn_spatial_dropout))
            channels = step.channels
        else:
            trunk[step.name].add_module("pool", Pool(config.cnn_pool, step.kernel, step.stride))
    return nn.Sequential(trunk)


def l2_penalty(head: Iterable[nn.Module], logits: Tensor, kernel: float, activity: float) -> Tensor:
    """Return what L2 adds to the loss, as Keras's kernel_regularizer and activity_regularizer do.

        kernel * sum(w^2) over the weights of the head's linear layers, without biases
        + activity * sum(logits^2) / N

    Args:
        head: modules, of which every nn.Linear counts
        logits: (N, K)

    Returns:
        A scalar in float32.
    """
    linear = [module for part in head for module in part.modules() if isinstance(module, nn.Linear)]
    weights = [layer.weight.float().square().sum() for layer in linear]
    return kernel * torch.stack(weights).sum() + activity * logits.float().square().sum() / len(logits)
