"""The table of a network's layers: what each is, what it puts out, what it holds and what it costs.

    layer_table   a Classifier -> one Layer for each module that does something, in the order in which they run
    totals        their sums
    stage_table   the same layers in groups, as the network's stages are named: what a drawing shows

Nothing is computed: the network runs on PyTorch's meta device, where tensors have shapes but no numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call

from core.models.classifier import Classifier

FLOAT = 4             # bytes of a float32


@dataclass(frozen=True)
class Layer:
    """One row of the table, for one image.

    Attributes:
        name: dotted, relative to the Classifier; as in the keys of its weights
        kind: the class of the module, "Conv2d"
        output_shape: (channels, height, width) or (features,) without the batch; () for a layer that does not
            run
        parameters: numbers that it holds and training could change
        trainable: whether it has parameters and training does change them
        flops: multiply-adds. Tools that count multiplications and additions apart, such as
            torch.utils.flop_counter, give twice as many. Counted are convolutions and linear layers, as in
            the papers; all else is small in comparison
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: bool
    flops: int


@dataclass(frozen=True)
class Totals:
    """Sums over a table: parameters, those that are trained and those that stand still, multiply-adds, and the bytes in
    float32 of what all layers put out for one image. What a training step keeps is less: core/models/costs.py."""

    parameters: int
    trainable: int
    frozen: int
    flops: int
    activation_bytes: int


@dataclass(frozen=True)
class Stage:
    """A part of a network between two sizes or names, as it is drawn.

    Attributes:
        name: "stem", the stage's own name as a config says it ("layer1"), or "head"
        layers: its rows
        shape: what its last layer puts out
        depth: convolutions and linear layers in it
    """

    name: str
    layers: tuple[Layer, ...]
    shape: tuple[int, ...]
    depth: int

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def frozen(self) -> bool:
        """Whether it has parameters and none of them is trained."""
        held = [layer for layer in self.layers if layer.parameters]
        return bool(held) and not any(layer.trainable for layer in held)


def _multiply_adds(module: nn.Module, output: Tensor) -> int:
    """Of one image.

    A convolution makes each number of its output from kernel x kernel x channels of its input.
    """
    if isinstance(module, nn.Conv2d):
        return output[0].numel() * prod(module.kernel_size) * module.in_channels // module.groups
    if isinstance(module, nn.Linear):
        return output[0].numel() * module.in_features
    return 0


def layer_table(model: Classifier, size: int | None = None) -> list[Layer]:
    """Return every module that computes, in the order in which it first runs; if it runs more often, its work is added up.

    Args:
        model: on any device, in any mode; it is left as it was
        size: side of the image in pixels; by default that of the model's preprocessing
    """
    return _look(model, size)[0]


def stage_table(model: Classifier, size: int | None = None) -> list[Stage]:
    """Return the same layers in groups: the stem before the first stage, each stage with what leads to it, and the head."""
    layers, shapes = _look(model, size)
    words = dict(zip(model.stages, model.stage_names))
    return [replace(stage, name=words.get(stage.name, stage.name.rpartition(".")[2]))
            for stage in by_stage(layers, model.stages, shapes)]


def _look(model: Classifier, size: int | None) -> tuple[list[Layer], dict[str, tuple[int, ...]]]:
    """The table, and what each module puts out, those that only pass on to others included."""
    size, channels, views = size or model.preprocessing.size, model.preprocessing.channels, model.preprocessing.views
    names = {module: name for name, module in model.named_modules()}
    shapes, work, order = {}, dict.fromkeys(names, 0), []

    def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if module not in shapes:
            order.append(module)
        shapes[module] = tuple(output.shape[1:])
        work[module] += _multiply_adds(module, output) * len(output)          # of one image; it may have several views

    hooks = [module.register_forward_hook(note) for module in names]
    modes = {module: module.training for module in names}
    state = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    try:
        model.eval()                              # one image is no batch for batch norm
        with torch.no_grad():
            functional_call(model, state, torch.empty(1, channels, size, size * views, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    idle = [module for module in names if module not in shapes and module._parameters]
    layers = [Layer(names[module], type(module).__name__, shapes.get(module, ()), _count(module),
                    any(p.requires_grad for p in module.parameters(recurse=False)), work[module])
              for module in (*order, *idle) if not _passes_on(module)]
    return layers, {names[module]: shape for module, shape in shapes.items()}


def totals(layers: Sequence[Layer]) -> Totals:
    """Return the sums of a table. A layer is trained as a whole or not at all."""
    parameters = sum(layer.parameters for layer in layers)
    trainable = sum(layer.parameters for layer in layers if layer.trainable)
    return Totals(parameters, trainable, parameters - trainable, sum(layer.flops for layer in layers),
                  sum(prod(layer.output_shape) * FLOAT for layer in layers if layer.output_shape))


def by_stage(layers: Sequence[Layer], stages: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> list[Stage]:
    """Put layers into groups.

    Args:
        layers: as `layer_table` gives them
        stages: dotted names from fine to coarse, as in Classifier.stages; a layer belongs to the longest that
            it lies in
        shapes: what the stages put out
    """
    # "features" holds the others
    outer = [stage for stage in stages if any(other.startswith(f"{stage}.") for other in stages)]

    def home(layer: Layer, among: Sequence[str]) -> str:
        inside = [stage for stage in among if f"{layer.name}.".startswith(f"{stage}.")]
        return max(inside, key=len, default="")

    homes = [home(layer, [stage for stage in stages if stage not in outer]) for layer in layers]
    weighted = {stage for stage, layer in zip(homes, layers) if layer.flops}
    groups: dict[str, list[Layer]] = {}
    for n, layer in enumerate(layers):
        later = next(filter(None, homes[n:]), "")
        # what leads to a stage is drawn with it, also to the first, where that is only what follows its convolution
        group = later if any(homes[:n + 1]) or later not in weighted else "stem"
        groups.setdefault((group if later else home(layer, outer)) or "head", []).append(layer)
    return [Stage(name, tuple(rows), shapes.get(name) or _hands_on(rows, layers, shapes), sum(row.flops > 0 for row in rows))
            for name, rows in groups.items()]


def _hands_on(rows: Sequence[Layer], layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """What a group of rows puts out: the output of the largest module that ends with its last row and lies in it whole."""
    outside = [layer.name for layer in layers if layer not in rows]
    last = next((row.name for row in reversed(rows) if row.output_shape), "")
    parts = last.split(".")
    whole = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
    return next((shapes[name] for name in whole
                 if name in shapes and not any(other.startswith(f"{name}.") for other in outside)), ())


def _passes_on(module: nn.Module) -> bool:
    """Whether a module only passes on to others: it has children, and no parameters of its own."""
    return any(True for _ in module.children()) and not module._parameters


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))
