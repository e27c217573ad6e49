"""The table of layers against torchvision's own modules, PyTorch's counter of operations, and published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.config import ModelConfig
from core.models import MODELS, build_model
from core.models.layers import layer_table, stage_table, totals


def meta(name: str, classes: int = 1000, size: int = 224, channels: int = 3, **changes):
    with torch.device("meta"):
        return build_model(replace(ModelConfig(name=name), **changes), classes=classes, size=size, channels=channels)


def theirs(name: str) -> tuple[dict[str, tuple], nn.Module]:
    """What each leaf of torchvision's model puts out last, in the order in which they first run; on the meta device too, where
    the shapes are PyTorch's own."""
    shapes: dict[str, tuple] = {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None).eval()
        for key, module in model.named_modules():
            if not list(module.children()):
                module.register_forward_hook(lambda m, i, out, key=key: shapes.__setitem__(key, tuple(out.shape[1:])))
        model(torch.empty(1, 3, 224, 224))
    return shapes, model


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "squeezenet1_0"])
def test_shapes_parameters_and_work_are_torchvisions(name):
    shapes, other = theirs(name)
    table = {layer.name.removeprefix("network."): layer for layer in layer_table(meta(name))}
    weights = {key: sum(p.numel() for p in module.parameters()) for key, module in other.named_modules()
               if not list(module.children())}
    holders = [key for key, count in weights.items() if count]
    assert [key for key in table if table[key].parameters] == [key for key in shapes if key in holders]     # the same order
    for key in holders:
        assert table[key].parameters == weights[key], key
        if not key.startswith(("classifier", "fc")):                    # SqueezeNet's head works on pooled maps here
            assert table[key].output_shape == shapes[key], key
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        other(torch.empty(1, 3, 224, 224))
    sums = totals(layer_table(meta(name)))
    # It counts a multiplication and an addition as two. SqueezeNet: its 1x1 head on 13 x 13 maps is one vector here.
    spared = 2 * 512 * 1000 * (13 * 13 - 1) if name == "squeezenet1_0" else 0
    assert 2 * sums.flops == counter.get_total_flops() - spared
    assert sums.parameters == sum(weights.values()) == sums.trainable and sums.frozen == 0


# He et al., CVPR 2016, table 1: multiply-adds for one image of 224 x 224.
@pytest.mark.parametrize("name, published", [("resnet18", 1.8e9), ("resnet34", 3.6e9), ("resnet50", 3.8e9), ("resnet101", 7.6e9),
                                             ("resnet152", 11.3e9)])
def test_multiply_adds_are_the_published_ones(name, published):
    model = meta(name)
    if MODELS[name].parameters > 25_000_000:
        # torchvision has the stride in the 3x3 convolution of a bottleneck, the paper in the 1x1 before it: 3 to 8 % less work.
        for module in model.modules():
            if isinstance(module, torchvision.models.resnet.Bottleneck):
                module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    assert totals(layer_table(model)).flops == pytest.approx(published, rel=0.03)


def test_a_layer_that_runs_twice_has_one_row_and_its_work_counts_twice():
    table = [layer for layer in layer_table(meta("resnet18")) if layer.name == "network.layer1.0.relu"]
    assert len(table) == 1
    model = meta("resnet18")
    block = model.network.layer1[0]
    block.conv2 = block.conv1
    (row,) = [layer for layer in layer_table(model) if layer.name == "network.layer1.0.conv1"]
    assert row.flops == 2 * 56 * 56 * 64 * 64 * 9 and row.parameters == 64 * 64 * 9
    with torch.device("meta"):
        block.conv1 = nn.Conv2d(64, 64, 3, padding=1, groups=4)         # each filter sees a quarter of the channels
    (row,) = [layer for layer in layer_table(model) if layer.name == "network.layer1.0.conv1"]
    assert row.flops == 56 * 56 * 64 * 16 * 9


def test_the_table_leaves_the_network_as_it_was():
    model = build_model(ModelConfig(freeze="layer1"), classes=2, size=28, channels=1).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    layer_table(model, 64)
    assert [module.training for module in model.modules()] == modes and True in modes and False in modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert model(torch.rand(2, 1, 28, 28)).device.type == "cpu"


# R004, the summary that fastai printed: SqueezeNet 1.0 without its last layer, and fastai's head for two classes.
def test_r004s_summary_comes_out():
    model = meta("squeezenet1_0", classes=2, size=320, head="concat", freeze="all")
    table = layer_table(model)
    sums = totals(table)
    assert (sums.parameters, sums.trainable, sums.frozen) == (1_263_808, 528_384, 735_424)
    first = next(layer for layer in table if layer.kind == "Conv2d")
    assert first.output_shape == (96, 157, 157) and not first.trainable
    fires = [stage.shape[1] for stage in stage_table(model) if len(stage.shape) == 3]
    assert {78, 39, 19} <= set(fires)
    head = [(layer.kind, layer.parameters) for layer in table if layer.trainable]
    assert head == [("BatchNorm1d", 2048), ("Linear", 524_288), ("BatchNorm1d", 1024), ("Linear", 1024)]


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("densenet161", "densenet169", "densenet201")])
def test_stages_hold_every_layer_once_and_in_order(name):
    model = meta(name, classes=3, size=64, channels=1)
    stages = stage_table(model)
    assert [layer for stage in stages for layer in stage.layers] == layer_table(model)
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names) and names[-1] == "head" and stages[-1].shape == (3,)
    assert [name for name in names if name in model.stage_names] == list(model.stage_names)
    sides = [stage.shape[1] for stage in stages[:-1] if len(stage.shape) == 3]
    assert sides == sorted(sides, reverse=True)


def test_a_stage_is_as_large_as_what_it_hands_on_and_says_that_it_is_frozen():
    stages = {stage.name: stage for stage in stage_table(meta("densenet121", freeze="denseblock2"))}
    # Huang et al., CVPR 2017, table 1; the channels follow from 64 + 6 x 32 = 256, half of it + 12 x 32 = 512 ...
    assert [stages[f"denseblock{i}"].shape for i in (1, 2, 3, 4)] == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (1024, 7, 7)]
    assert [stages[f"denseblock{i}"].depth for i in (1, 2, 3, 4)] == [12, 25, 49, 33]       # with the transition before
    small = [(stage.name, stage.depth) for stage in stage_table(meta("small_cnn"))]
    assert small == [("conv1", 1), ("conv2", 1), ("conv3", 1), ("conv4", 1), ("head", 1)]
    assert [stage.depth for stage in stage_table(meta("vgg16"))] == [2, 2, 3, 3, 3, 3]    # as in the paper, configuration D
    fire = stage_table(meta("squeezenet1_0"))[0]                      # its stem ends with a Fire module: two halves side by side
    assert fire.shape == (128, 54, 54)                                # Iandola et al., 2016, table 1: 128 maps; 54 after pooling
    assert [stage.frozen for stage in stages.values()][:5] == [True, True, True, False, False]
