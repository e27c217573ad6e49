"""The CNN builder against sums done by hand, Keras's rules for "same" padding, and gradients for what a unit sees."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from core.config import ModelConfig
from core.errors import LightboxError
from core.models import build_model
from core.models.cnn import Pool, l2_penalty
from core.models.receptive import chain, plan, same_padding
from tests.tiny import count_parameters, tiny_arrays

# R001's run "cl_5 kg_funnel_in fg_constant lp_avg gp_avg sd_05 fcd_05" at its size, with its pooling of 2 x 2 and stride 1.
R001 = ModelConfig(name="cnn", cnn_layers=5, cnn_kernels="funnel_in", cnn_filters="constant", cnn_pool="avg", cnn_pool_size=2,
                   cnn_pool_stride=1, cnn_global_pool="avg", cnn_spatial_dropout=0.5, dropout=0.5)


def cnn(**changes) -> ModelConfig:
    return ModelConfig(name="cnn", **{f"cnn_{name}": value for name, value in changes.items()})


# ------------------------------------------------------------------------------------------------------------ numbers and growth

def test_r001s_network_has_the_parameters_that_one_counts_by_hand():
    by_hand = ((11 * 11 * 3 * 64 + 64)            # 23,296: 64 kernels of 11 x 11 on three colours, and a bias each
               + (9 * 9 * 64 * 64 + 64)           # 331,840
               + (7 * 7 * 64 * 64 + 64)           # 200,768
               + (5 * 5 * 64 * 64 + 64)           # 102,464
               + (3 * 3 * 64 * 64 + 64)           # 36,928
               + (64 * 2 + 2))                    # 130: the head
    assert by_hand == 695_426 == count_parameters(R001, classes=2, size=224, channels=3)
    seen = plan(R001, 224, 3)
    assert [step.kernel for step in seen if step.kind == "convolution"] == [11, 9, 7, 5, 3]
    # With stride 1 each window adds its size less one: 1 + 10+8+6+4+2 for the kernels + 5 for the pooling.
    assert seen[-1].field == 36 and seen[-1].size == 224 and seen[-1].jump == 1


@pytest.mark.parametrize("kernels, expected", [("constant", [3] * 7), ("funnel_out", [3, 5, 7, 9, 11, 13, 15]),
                                               ("funnel_in", [15, 13, 11, 9, 7, 5, 3])])
@pytest.mark.parametrize("filters, counts", [("constant", [64] * 7), ("funnel_out", [32, 64, 128, 256, 512, 1024, 2048]),
                                             ("funnel_in", [128, 64, 32, 16, 8, 4, 2])])
def test_growth_is_as_r001_writes_it_and_the_built_network_has_it(kernels, expected, filters, counts):
    config = cnn(layers=7, kernels=kernels, filters=filters, pool_stride=1)
    convolutions = [step for step in plan(config, 32, 1) if step.kind == "convolution"]
    assert [step.kernel for step in convolutions] == expected and [step.channels for step in convolutions] == counts
    with torch.device("meta"):
        model = build_model(config, classes=4, size=32, channels=1)
    built = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.kernel_size[0] for conv in built] == expected and [conv.out_channels for conv in built] == counts
    inputs = [1, *counts]
    closed = sum(k * k * a * b + b for k, a, b in zip(expected, inputs, counts)) + counts[-1] * 4 + 4
    assert sum(p.numel() for p in model.parameters()) == closed
    assert sum(step.parameters for step in convolutions) == closed - counts[-1] * 4 - 4


@pytest.mark.parametrize("size, stride", [(28, 2), (28, 1), (64, 3), (29, 2), (17, 4)])
@pytest.mark.parametrize("window", [2, 3, 5])
def test_the_plan_says_the_sizes_that_the_network_has(size, window, stride):
    config = cnn(layers=2, kernels="funnel_out", pool_size=window, pool_stride=stride)
    model, shapes = build_model(config, classes=2, size=size, channels=1).eval(), []
    for stage in model.stages:
        model.get_submodule(stage).register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        model(torch.rand(1, 1, size, size))
    pools = [step for step in plan(config, size, 1) if step.kind == "pooling"]
    assert shapes == [(step.channels, step.size, step.size) for step in pools]
    assert shapes[0][1] == math.ceil(size / stride)                  # Keras: "same" gives ceil(size / stride)


@pytest.mark.parametrize("changes, where", [({"layers": 8}, "layer 7"), ({"layers": 4, "pool_stride": 4}, "layer 4"),
                                            ({"layers": 9, "filters": "funnel_in", "pool_stride": 1}, "layer 9")])
def test_what_vanishes_is_said_with_its_layer_before_anything_is_built(changes, where, monkeypatch):
    monkeypatch.setattr(nn, "Conv2d", lambda *args, **kwargs: pytest.fail("a layer was built"))
    with pytest.raises(LightboxError, match=f"at {where}") as error:
        build_model(cnn(**changes), classes=2, size=64, channels=1)      # 1 px after six layers of stride 2, three of 4
    assert error.value.code == "model.size" and error.value.hint


def test_one_layer_less_does_not_vanish():
    assert plan(cnn(layers=6), 64, 1)[-1].size == 1 == plan(cnn(layers=3, pool_stride=4), 64, 1)[-1].size


# --------------------------------------------------------------------------------------------------------------------- pooling

def pooled_by_hand(map_: np.ndarray, kind: str, window: int, stride: int) -> np.ndarray:
    """Each window cut out and reduced, where padding is no pixel at all: how Keras defines "same" (its documentation)."""
    size = len(map_)
    out = math.ceil(size / stride)
    before = max(0, (out - 1) * stride + window - size) // 2
    edges = [(max(0, i * stride - before), min(size, i * stride - before + window)) for i in range(out)]
    reduce = {"max": np.max, "avg": np.mean, "min": np.min}[kind]
    return np.array([[reduce(map_[a:b, c:d]) for c, d in edges] for a, b in edges])


@pytest.mark.parametrize("kind", ["max", "avg", "min"])
@pytest.mark.parametrize("size", [1, 5, 6])
@pytest.mark.parametrize("window, stride", [(2, 1), (2, 2), (3, 1), (3, 2), (5, 4), (2, 4), (4, 3)])
def test_pooling_pads_as_keras_does_and_padding_does_not_count(kind, size, window, stride):
    maps = np.random.default_rng(size).normal(size=(2, 3, size, size)).astype(np.float32) - 3        # below zero: 0 would win
    ours = Pool(kind, window, stride)(torch.from_numpy(maps)).numpy()
    for n in range(2):
        for c in range(3):
            np.testing.assert_allclose(ours[n, c], pooled_by_hand(maps[n, c], kind, window, stride), rtol=1e-5)


def test_same_padding_puts_the_odd_pixel_after():
    assert same_padding(4, 2, 1) == (0, 1) and same_padding(5, 3, 2) == (1, 1) and same_padding(8, 5, 1) == (2, 2)
    assert same_padding(6, 2, 2) == (0, 0) and same_padding(6, 3, 2) == (0, 1) and same_padding(4, 1, 4) == (0, 0)


@pytest.mark.parametrize("kind, expected", [("max", 8.0), ("avg", 3.0), ("min", 0.0)])
def test_global_pooling_takes_the_whole_map(kind, expected):
    model = build_model(cnn(layers=1, global_pool=kind, pool_size=1), classes=2, size=16, channels=1)
    maps = torch.zeros(1, 64, 2, 2)
    maps[0, :, 0, 0], maps[0, :, 1, 1] = 8.0, 4.0
    pooled = model.network.get_submodule(model.network.pool_parts[0])(maps)
    assert torch.equal(pooled, torch.full((1, 64), expected))


# ------------------------------------------------------------------------------------------------------------ the receptive field

@pytest.mark.parametrize("changes", [
    {"layers": 3}, {"layers": 3, "pool_stride": 1}, {"layers": 2, "kernels": "funnel_in", "pool_size": 3, "pool_stride": 2},
    {"layers": 2, "kernels": "funnel_out", "pool_size": 5, "pool_stride": 3}, {"layers": 4, "pool_size": 1},
    {"layers": 2, "pool_size": 2, "pool_stride": 4}])
def test_the_field_is_where_the_gradient_is_not_zero(changes):
    """All weights positive and pooling by the mean: nothing cancels, and no pixel of the field is without influence."""
    size = 63
    config = cnn(pool="avg", **changes)
    model = build_model(config, classes=2, size=size, channels=1)
    steps = plan(config, size, 1)
    for conv in (module for module in model.modules() if isinstance(module, nn.Conv2d)):
        nn.init.constant_(conv.weight, 1 / conv.weight[0].numel())
    image = torch.full((1, 1, size, size), 0.9, requires_grad=True)
    maps = model.network.maps(image)
    unit = steps[-1].size // 2
    maps[0, 0, unit, unit].backward()
    rows = np.flatnonzero(image.grad[0, 0].abs().sum(dim=1).numpy())
    first, last = steps[-1].window(unit)
    assert rows[0] == max(0, math.ceil(first)) and rows[-1] + 1 == min(size, last), (rows, first, last)
    if first >= 0 and last <= size:
        assert len(rows) == steps[-1].field


def test_the_field_follows_the_recurrence_and_a_published_example():
    # Araujo et al., Distill 2019, table 1: VGG-16 has a receptive field of 212 and an effective stride of 32.
    layers, n = [], 0
    for convolutions in (2, 2, 3, 3, 3):
        layers += [(f"conv{n}", "convolution", 3, 1, 64)] * convolutions + [(f"pool{n}", "pooling", 2, 2, 0)]
    last = chain(layers, 224, 3)[-1]
    assert (last.field, last.jump, last.size) == (212, 32, 7)


# ----------------------------------------------------------------------------------------------------------------- the rest of it

def test_l2_is_what_keras_adds():
    """Worked out: weights 1, 2, 3, 4 give 30; outputs 1, 2 and 3, 0 give 14 over two images."""
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
    head[1].weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    head[1].bias.data = torch.tensor([100.0, 100.0])
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert l2_penalty([head], logits, 0.01, 0.1).item() == pytest.approx(0.01 * 30 + 0.1 * 14 / 2)


def test_the_classifier_gives_the_penalty_only_where_it_was_asked_for():
    model = build_model(cnn(layers=1, l2_kernel=0.5, l2_activity=0.25), classes=3, size=16, channels=1)
    logits = model(torch.rand(4, 1, 16, 16))
    weight = next(module for module in model.modules() if isinstance(module, nn.Linear)).weight
    expected = 0.5 * weight.square().sum() + 0.25 * logits.square().sum(dim=1).mean()
    torch.testing.assert_close(model.penalty(logits), expected)
    (gradient,) = torch.autograd.grad(model.penalty(logits), weight, retain_graph=True)
    (activity,) = torch.autograd.grad(0.25 * logits.square().sum() / 4, weight)
    torch.testing.assert_close(gradient, activity + weight)          # d (w^2 / 2) / d w = w
    for other in (cnn(layers=1), ModelConfig(name="squeezenet1_1", cnn_l2_kernel=0.5)):
        assert build_model(other, classes=3, size=16, channels=1).penalty(logits) is None


def test_spatial_dropout_hides_whole_maps_in_training_only():
    model = build_model(cnn(layers=1, spatial_dropout=0.5, pool_size=1), classes=2, size=16, channels=1).train()
    with torch.no_grad():
        maps = model.network.maps(torch.rand(8, 1, 16, 16) + 0.1)
        hidden = (maps == 0).flatten(2).all(dim=2).float().mean().item()
        plain = (model.eval().network.maps(torch.rand(8, 1, 16, 16) + 0.1) == 0).flatten(2).all(dim=2).float().mean().item()
    assert hidden - plain > 0.1 and plain < 0.5
    drops = [module for module in model.modules() if isinstance(module, nn.Dropout2d)]
    assert len(drops) == 1 and drops[0].p == 0.5


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build_model(cnn(), classes=2, size=64, channels=1, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    again, other = (build_model(cnn(), classes=2, size=64, channels=1, seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(value, first[key]) for key, value in again.items())
    assert not all(torch.equal(value, first[key]) for key, value in other.items())


@pytest.mark.parametrize("pool", ["max", "avg", "min"])
def test_it_learns(pool):
    """A bright square or none: with every kind of pooling the loss gets far below ln 2, where R001's stayed."""
    images, labels = tiny_arrays(64)
    x, y = torch.from_numpy(images)[:, None, :16, :16].float() / 255, torch.from_numpy(labels)
    x[:, 0, 4:10, 4:10] = 0.3                                       # so that class 0 has no square at all
    model = build_model(cnn(layers=2, filters="funnel_out", pool=pool), classes=2, size=16, channels=1)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.35, f"{pool}: {loss.item():.3f}"
