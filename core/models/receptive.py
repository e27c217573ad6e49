"""How much of the image one unit of a map sees, and the plan of the CNN builder: sums only, no import of torch.

For layers l = 1, 2 ... with kernel k, stride s and p rows of padding above and on the left (Araujo, Norris,
Sim: Computing Receptive Fields of Convolutional Neural Networks, Distill 2019, equations 2 and 3, written
forwards):

    field_l = field_(l-1) + (k - 1) jump_(l-1)               pixels a side that one unit depends on
    jump_l  = jump_(l-1) s                                   pixels between the fields of two neighbours
    start_l = start_(l-1) + ((k - 1) / 2 - p) jump_(l-1)     centre of the first unit's field
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from core.config import ModelConfig
from core.errors import LightboxError

KERNELS = {                                # i counts the layers from 1, L is their number
    "constant": lambda i, L: 3,
    "funnel_out": lambda i, L: 2 * i + 1,                       # 3, 5, 7 ...
    "funnel_in": lambda i, L: 2 * (L + 1 - i) + 1,              # ... 7, 5, 3
}
FILTERS = {
    "constant": lambda i: 64,
    "funnel_out": lambda i: 2 ** (i + 4),                       # 32, 64, 128 ...
    # 128, 64, 32 ... 1, and then there is none left
    "funnel_in": lambda i: 2 ** (8 - i) if i <= 8 else 0,
}


@dataclass(frozen=True)
class Step:
    """One convolution or pooling of a chain of layers, and what its output is.

    Attributes:
        name: of the layer that it belongs to, "layer1"
        kind: "convolution" | "pooling"
        kernel, stride: pixels a side of its window, and between windows
        channels: maps that it puts out
        size: pixels a side of each map
        field, jump, start: as the module says, in pixels of the image; a centre of 0 is the middle of the
            first pixel
        parameters, multiply_adds: of one image; a pooling has none
    """

    name: str
    kind: str
    kernel: int
    stride: int
    channels: int
    size: int
    field: int
    jump: int
    start: float
    parameters: int = 0
    multiply_adds: int = 0

    def window(self, unit: int) -> tuple[float, float]:
        """First and last edge, in pixels, of what the unit of that number (0 to size - 1) sees along one side. It may reach
        past the image: there it sees padding."""
        centre = self.start + unit * self.jump + 0.5
        return centre - self.field / 2, centre + self.field / 2


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return (before, after) of the padding "same" of Keras: the output has ceil(size / stride), an odd pixel goes after."""
    total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def chain(layers: Iterable[tuple[str, str, int, int, int]], size: int, channels: int) -> tuple[Step, ...]:
    """Follow an image of `size` pixels a side and `channels` through layers (name, kind, kernel, stride, filters), padded with
    "same". A pooling keeps its maps, whatever its filters."""
    field, jump, start, steps = 1, 1, 0.0, []
    for name, kind, kernel, stride, filters in layers:
        before, _ = same_padding(size, kernel, stride)
        start += ((kernel - 1) / 2 - before) * jump
        field += (kernel - 1) * jump
        jump *= stride
        size = math.ceil(size / stride)
        weights = kernel**2 * channels * filters if kind == "convolution" else 0
        channels = filters if kind == "convolution" else channels
        steps.append(Step(name, kind, kernel, stride, channels, size, field, jump, start,
                          weights + (filters if weights else 0), weights * size**2))
    return tuple(steps)


def plan(config: ModelConfig, size: int, channels: int) -> tuple[Step, ...]:
    """Return the layers of the network `cnn` as its knobs say, each a convolution and, with a window above 1, a pooling.

    Args:
        config: its fields cnn_layers, cnn_kernels, cnn_filters, cnn_pool_size and cnn_pool_stride, and cut,
            which leaves out layers at the end and changes no other
        size: side of the square images in pixels
        channels: 1 or 3

    Raises:
        LightboxError: "model.size" where a pooling would have to make a map of one pixel smaller, or a layer
            would have no filter; it says at which layer. "model.cut" for a cut that it does not have
    """
    layers, side = [], size
    for i in range(1, _layers_kept(config) + 1):
        name, filters = f"layer{i}", FILTERS[config.cnn_filters](i)
        if not filters:
            raise LightboxError("model.size", f"The filters vanish at layer {i}: layer {i - 1} has one, and each layer has half "
                                "as many as the one before.", f"Use {i - 1} convolutions or fewer, or another filter growth.")
        layers.append((name, "convolution", KERNELS[config.cnn_kernels](i, config.cnn_layers), 1, filters))
        if config.cnn_pool_size > 1:
            if side == 1 and config.cnn_pool_stride > 1:
                raise LightboxError("model.size", f"The map vanishes at layer {i}: from {size} px, it has 1 x 1 pixel after "
                                    f"layer {i - 1} already, and the pooling of layer {i} would make it smaller.",
                                    f"Use {i - 1} convolutions or fewer, a smaller pooling stride, or larger images.")
            side = math.ceil(side / config.cnn_pool_stride)
            layers.append((name, "pooling", config.cnn_pool_size, config.cnn_pool_stride, 0))
    return chain(layers, size, channels)


def _layers_kept(config: ModelConfig) -> int:
    """How many layers the cut leaves: all up to a stage such as layer3, or a number that counts as Python's slices do."""
    names, cut = [f"layer{i}" for i in range(1, config.cnn_layers + 1)], config.cut.strip()
    if not cut or cut in names:
        return names.index(cut) + 1 if cut else len(names)
    kept = len(names[:int(cut)]) if cut.lstrip("-").isdecimal() else 0
    if not kept:
        raise LightboxError("model.cut", f"This network cannot be cut at {cut}.",
                            f"Its stages are {', '.join(names)}; a number can be 1 to {len(names)}. Empty: no cut.")
    return kept
