"""DenseNets and ResNets as the tables of their papers show them: a row for each part, its output size, and the blocks in it.

    block_table   read off the layers of a built network; nothing of it is written down here

Huang et al., CVPR 2017, https://arxiv.org/abs/1608.06993, table 1; He et al., CVPR 2016,
https://arxiv.org/abs/1512.03385, table 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from core.models.classifier import Classifier
from core.models.layers import Layer, layer_table

# First word of a part's name in the network -> what the table calls it. A ResNet's stages are conv2_x to conv5_x in the paper.
PARTS = {"denseblock": "Dense block {n}", "transition": "Transition {n}", "layer": "Stage {n} (conv{next}_x)"}
KINDS = {"MaxPool2d": "{k} x {k} max pool, stride {s}", "AvgPool2d": "{k} x {k} avg pool, stride {s}"}
IN_BLOCK = r"\b(?:denseblock|layer)\d+\.(\w+)\."         # denseblock1.denselayer2.conv1, layer1.0.conv1; not transition1.conv
SHORTCUT = "downsample"           # convolutions beside a ResNet's blocks, which the paper's table does not name


@dataclass(frozen=True)
class BlockRow:
    """A row of the table.

    Attributes:
        name: "Convolution", "Pooling", "Dense block 1", "Transition 1", "Stage 1 (conv2_x)" or "Classification"
        size: side of what it puts out, in pixels
        what: "[1 x 1, 128; 3 x 3, 32]", the convolutions of a block with their channels, or the layers of a part without blocks
        blocks: how many of them stand one after the other; 0 in a part without blocks
    """

    name: str
    size: int
    what: str
    blocks: int = 0


def block_table(model: Classifier, size: int | None = None) -> list[BlockRow]:
    """Return the parts of a DenseNet or ResNet, from the image to the classes.

    Args:
        size: side of the image in pixels; by default that of the model's preprocessing
    """
    modules, groups = dict(model.named_modules()), {}
    for layer in layer_table(model, size):
        if layer.output_shape:
            groups.setdefault(_part(layer), []).append(layer)
    return [_row(name, layers, modules) for name, layers in groups.items() if _words(layers, modules)]


def _part(layer: Layer) -> str:
    """The row that a layer belongs to."""
    match = re.search(rf"\b({'|'.join(PARTS)})(\d+)\.", layer.name)
    if match:
        return PARTS[match[1]].format(n=match[2], next=int(match[2]) + 1)
    if len(layer.output_shape) < 3 or layer.output_shape[1:] == (1, 1):
        return "Classification"
    return "Pooling" if layer.kind in KINDS else "Convolution" if layer.kind == "Conv2d" else ""


def _row(name: str, layers: Sequence[Layer], modules: dict[str, nn.Module]) -> BlockRow:
    inside = [match[1] for layer in layers if (match := re.search(IN_BLOCK, layer.name))]
    side = 1 if name == "Classification" else layers[-1].output_shape[-1]
    if not inside:
        return BlockRow(name, side, ", ".join(_words(layers, modules)))
    first = [layer for layer in layers if f".{inside[0]}." in layer.name and SHORTCUT not in layer.name]
    return BlockRow(name, side, f"[{'; '.join(_words(first, modules))}]", len(dict.fromkeys(inside)))


def _words(layers: Sequence[Layer], modules: dict[str, nn.Module]) -> list[str]:
    """What the table says of layers; norms and activations it leaves out."""
    said = []
    for layer in layers:
        module = modules[layer.name]
        if isinstance(module, nn.Conv2d):
            stride = f", stride {module.stride[0]}" if module.stride[0] > 1 and not re.search(IN_BLOCK, layer.name) else ""
            said.append(f"{module.kernel_size[0]} x {module.kernel_size[0]}, {module.out_channels}{stride}")
        elif layer.kind in KINDS:
            said.append(KINDS[layer.kind].format(k=module.kernel_size, s=module.stride))
        elif layer.kind == "AdaptiveAvgPool2d":
            said.append("global avg pool")
        elif isinstance(module, nn.Linear):
            said.append(f"{module.out_features}-way linear")
    return said
