"""Block tables of DenseNet and ResNet: read off the networks, they are those of the papers as R000 and R002 printed them."""

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.config import ModelConfig
from core.models import MODELS, build_model
from core.models.blocks import block_table
from core.models.costs import build_on_meta
from core.models.layers import layer_table, totals
from core.models.registry import IDEAS
from core.models.resnet import BasicBlock
from pages.network.block_tables import table_of

# Report R000, figure 2 (Huang et al., table 1), and report R002 (He et al., table 1): layers or blocks of the four parts.
DENSENET = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 264: (6, 12, 64, 48)}
RESNET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
FLOPS = {18: 1.8, 34: 3.6, 50: 3.8, 101: 7.6, 152: 11.3}          # G, as R002 printed them


def built(name: str):
    return build_on_meta(ModelConfig(name, stem="standard"), 1000, 224, 3)


@pytest.mark.parametrize("depth", DENSENET)
def test_a_densenet_has_the_blocks_and_output_sizes_of_the_report(depth):
    rows = block_table(built(f"densenet{depth}"))
    assert [(row.name, row.size) for row in rows] == [
        ("Convolution", 112), ("Pooling", 56), ("Dense block 1", 56), ("Transition 1", 28), ("Dense block 2", 28),
        ("Transition 2", 14), ("Dense block 3", 14), ("Transition 3", 7), ("Dense block 4", 7), ("Classification", 1)]
    assert tuple(row.blocks for row in rows if row.blocks) == DENSENET[depth]
    assert {row.what for row in rows if row.blocks} == {"[1 x 1, 128; 3 x 3, 32]"}     # growth rate 32, 4 x 32 before it
    assert rows[0].what == "7 x 7, 64, stride 2" and rows[3].what == "1 x 1, 128, 2 x 2 avg pool, stride 2"
    assert rows[-1].what == "global avg pool, 1000-way linear"


@pytest.mark.parametrize("depth", RESNET)
def test_a_resnet_has_the_blocks_and_output_sizes_of_the_paper(depth):
    rows = block_table(built(f"resnet{depth}"))
    assert [(row.name, row.size) for row in rows] == [("Convolution", 112), ("Pooling", 56), *(
        (f"Stage {n} (conv{n + 1}_x)", 112 // 2**n) for n in range(1, 5)), ("Classification", 1)]
    assert tuple(row.blocks for row in rows if row.blocks) == RESNET[depth]
    widths = (64, 128, 256, 512)
    assert [row.what for row in rows if row.blocks] == [
        f"[3 x 3, {w}; 3 x 3, {w}]" if depth < 50 else f"[1 x 1, {w}; 3 x 3, {w}; 1 x 1, {4 * w}]" for w in widths]
    if depth in (18, 50):
        assert block_table(built(f"own_resnet{depth}")) == rows


@pytest.mark.parametrize("depth", FLOPS)
def test_the_work_of_a_resnet_is_that_of_the_paper_where_its_strides_are(depth):
    """torchvision's bottleneck halves the map one convolution later than the paper; moved back, the paper's number comes out."""
    model = getattr(torchvision.models, f"resnet{depth}")().to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, 224, 224, device="meta"))
    ours = built(f"resnet{depth}")
    assert 2 * totals(layer_table(ours)).flops == counter.get_total_flops()
    if depth >= 50:
        for stage in (ours.network.layer2, ours.network.layer3, ours.network.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    assert totals(layer_table(ours)).flops / 1e9 == pytest.approx(FLOPS[depth], rel=0.02)


def test_another_image_has_other_sizes_and_the_same_blocks():
    rows = block_table(built("densenet121"), 320)
    assert [row.size for row in rows] == [160, 80, 80, 40, 40, 20, 20, 10, 10, 1]
    half = block_table(build_on_meta(ModelConfig("densenet121", blocks=2), 2, 224, 3))
    assert [row.blocks for row in half if row.blocks] == [6, 12]


def test_the_page_shows_a_column_for_each_network():
    densenets, resnets = table_of("densenet"), table_of("resnet")
    assert list(densenets.columns[2:]) == ["DenseNet-121", "DenseNet-161", "DenseNet-169", "DenseNet-201", "DenseNet-264"]
    assert list(resnets.columns[2:]) == [f"ResNet-{depth}" for depth in RESNET]
    assert list(dict.fromkeys(densenets["Output"])) == ["112 x 112", "56 x 56", "28 x 28", "14 x 14", "7 x 7", "1 x 1", ""]
    third = densenets.set_index("Layer").loc["Dense block 3"]
    assert [third[f"DenseNet-{depth}"] for depth in DENSENET] == [f"[1 x 1, 128; 3 x 3, 32] x {n[2]}" for n in DENSENET.values()]
    assert resnets.set_index("Layer").loc["Multiply-adds", "ResNet-18"] == "1.81 G"


def test_what_is_said_of_a_family_is_true_of_its_layers():
    assert {spec.family for spec in MODELS.values()} == set(IDEAS) and all(IDEAS[f] for f in ("resnet", "densenet", "squeezenet"))
    block, x = BasicBlock(8, 8, 1).eval(), torch.rand(2, 8, 5, 5)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    assert (block(x) == x).all()                                     # a block of zeros lets everything through
    for name, growth in (("densenet121", 32), ("densenet161", 48)):
        layers = build_model(ModelConfig(name), classes=2, size=32, channels=1).network.features.denseblock1
        inputs = [layer.conv1.in_channels for layer in layers.values()]
        assert {b - a for a, b in zip(inputs, inputs[1:])} == {growth}
