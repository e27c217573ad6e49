"""A network as a table, before anything is trained: its stages or its layers, with what they put out and cost."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from core.commands.options import JSON, Command, argument, set_argument, settings
from core.commands.output import print_result
from core.config import RunConfig
from core.errors import LightboxError

MOST_CLASSES = 100_000


def network(options: Namespace) -> None:
    """Print the stages of a network, or each layer, its totals, and what its family has in common."""
    from core.models import MODELS
    from core.models.blocks import block_table
    from core.models.costs import build_on_meta
    from core.models.layers import layer_table, stage_table, totals
    from core.models.registry import IDEAS
    changes = {"model.name": options.model, "data.size": options.size} | settings(options.set)
    if not 1 <= options.classes <= MOST_CLASSES:
        raise LightboxError("network.classes", f"A network for {options.classes:,} classes cannot be shown.",
                            f"Give 1 to {MOST_CLASSES:,}.")
    config = RunConfig().with_(**{name: value for name, value in changes.items() if value is not None})
    model = build_on_meta(config.model, options.classes, config.data.size, config.data.channels or 3)
    layers, stages = layer_table(model), stage_table(model)
    found, spec = totals(layers), MODELS[config.model.name]
    if options.layers:
        rows = [[one.name, one.kind, _shape(one.output_shape), f"{one.parameters:,}", "yes" if one.trainable else "no",
                 f"{one.flops:,}"] for one in layers]
    else:
        rows = [[one.name, f"{one.depth} layer{'s' if one.depth > 1 else ''}", _shape(one.shape), f"{one.parameters:,}",
                 "no" if one.frozen else "yes", f"{sum(layer.flops for layer in one.layers):,}"] for one in stages]
    blocks = [] if options.layers else block_table(model)
    head = ["layer" if options.layers else "stage", "", "output", "parameters", "trained", "multiply-adds"]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    lines = ["  ".join(cell.ljust(width) if k < 3 else cell.rjust(width) for k, (cell, width) in enumerate(zip(row, widths)))
             for row in (head, *rows)]
    words = [f"{spec.title}, {options.classes} classes, {config.data.size} px. {spec.description}", IDEAS[spec.family],
             *map(str.rstrip, lines),
             *(f"{one.name}: {one.size} x {one.size}, {one.what}{f' x {one.blocks}' if one.blocks else ''}" for one in blocks
               if any(each.blocks for each in blocks)),
             f"{found.parameters:,} parameters: {found.trainable:,} trained, {found.frozen:,} frozen; "
             f"{found.flops:,} multiply-adds an image."]
    print_result(options, {"model": config.model.name, "size": config.data.size, "totals": asdict(found),
                           "layers": list(map(asdict, layers)), "blocks": list(map(asdict, blocks)),
                           "stages": [{"name": one.name, "depth": one.depth, "output_shape": one.shape,
                                       "parameters": one.parameters, "frozen": one.frozen} for one in stages]},
                 filter(None, words))


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "-"


COMMANDS = (
    Command("network", "print a network's stages or layers with their output sizes, parameters and multiply-adds", network, (
        argument("--model", help="default: resnet18"), argument("--size", help="pixels a side; default: 64"),
        argument("--classes", type=int, default=2), argument("--layers", action="store_true", help="each layer, not each stage"),
        set_argument("model.field=value"), JSON)),
)
