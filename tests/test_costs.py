"""What a network costs: memory against a walk through the graph that autograd really keeps, time against a planted delay."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from core.config import ModelConfig
from core.errors import LightboxError
from core.models import MODELS, build_model
from core.models.costs import OPTIMISER_NUMBERS, build_on_meta, costs, latency, saved_bytes
from tests.tiny import count_parameters


def kept_by_the_graph(model, images: torch.Tensor) -> int:
    """Bytes of the different pieces of memory that hang on the nodes of the graph of one step on the CPU, found by walking it;
    what belongs to parameters, buffers or the images is there anyway."""
    loss = F.cross_entropy(model(images), torch.zeros(len(images), dtype=torch.long))
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers(), images)}
    pieces, nodes, seen = {}, [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [following for following, _ in node.next_functions]
        for name in dir(node):
            if name.startswith("_saved_"):
                value = getattr(node, name)
                for tensor in value if isinstance(value, (tuple, list)) else [value]:
                    if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in own:
                        pieces[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return sum(pieces.values())


@pytest.mark.parametrize("changes", [{"name": "resnet18"}, {"name": "resnet18", "freeze": "layer2"},
                                     {"name": "resnet18", "freeze": "all"}, {"name": "densenet121"},
                                     {"name": "squeezenet1_1", "head": "concat", "dropout": 0.5},
                                     {"name": "cnn", "cnn_layers": 3, "cnn_pool": "avg", "cnn_spatial_dropout": 0.5}])
def test_the_memory_of_a_step_is_what_autograd_keeps(changes):
    config, n, size = ModelConfig(**changes), 4, 32
    model = build_model(config, classes=3, size=size, channels=1).train()
    images = torch.rand(n, 1, size, size)
    real = kept_by_the_graph(model, images)
    counted = costs(config, 3, size, 1, batch_size=n)
    assert saved_bytes(model, images) == pytest.approx(real, rel=0.002)
    assert counted.activation_bytes * n == pytest.approx(real, rel=0.01), (counted.activation_bytes * n, real)


def test_a_frozen_backbone_keeps_next_to_nothing():
    whole, frozen = (costs(ModelConfig(freeze=freeze), 2, 64, 3) for freeze in ("none", "all"))
    assert frozen.activation_bytes < whole.activation_bytes / 100 and frozen.flops == whole.flops
    assert frozen.parameters == whole.parameters == whole.trainable > frozen.trainable == 512 * 2 + 2


def test_a_training_step_adds_up():
    config = ModelConfig("squeezenet1_1")
    found = {name: costs(config, 2, 32, 3, batch_size=8, optimiser=name) for name in OPTIMISER_NUMBERS}
    parameters = count_parameters(config, classes=2, size=32, channels=3)
    for name, moments in {"adamw": 2, "adam": 2, "sgd": 1}.items():       # Adam: mean and square; momentum: one velocity
        c = found[name]
        batch = 8 * 3 * 32 * 32 * 4 + 8 * c.activation_bytes
        assert c.parameters == c.trainable == parameters
        assert c.training_bytes == pytest.approx(4 * parameters * (2 + moments) + batch, abs=8)


def test_the_optimisers_keep_that_many_numbers():
    """Counted in PyTorch's own optimisers after a step."""
    makers = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)}
    for name, make in makers.items():
        p = torch.nn.Parameter(torch.ones(1000))
        optimiser = make([p])
        p.sum().backward()
        optimiser.step()
        kept = sum(t.numel() for t in optimiser.state[p].values() if isinstance(t, torch.Tensor))
        assert kept // 1000 == OPTIMISER_NUMBERS[name]


@pytest.mark.parametrize("name", {spec.family: name for name, spec in reversed(MODELS.items())}.values())
def test_a_network_of_every_family_is_counted_without_its_weights(name):
    c = costs(ModelConfig(name=name), 2, 64, 1, batch_size=2)
    assert c.trainable == c.parameters and min(c.flops, c.activation_bytes) > 0
    assert next(build_on_meta(ModelConfig(name=name), 2, 64, 1).parameters()).device.type == "meta"


def test_parameters_are_not_work_and_not_memory():
    """Report R000 took half the parameters for half the cost."""
    dense, res = (costs(ModelConfig(name=name), 2, 224, 3, batch_size=2) for name in ("densenet169", "resnet50"))
    assert dense.parameters < 0.6 * res.parameters and dense.activation_bytes > 1.5 * res.activation_bytes


def test_imagenet_weights_are_not_asked_for(monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *a, **k: pytest.fail("weights were loaded"))
    plain, pretrained = (costs(ModelConfig(weights=weights), 2, 64, 3) for weights in ("none", "imagenet"))
    assert plain == pretrained


def test_what_cannot_be_built_says_why():
    with pytest.raises(LightboxError, match="layer 7"):
        costs(replace(ModelConfig("cnn"), cnn_layers=8), 2, 64, 1)


def test_latency_is_the_median_without_the_first_two_runs():
    model = build_model(ModelConfig("squeezenet1_1"), classes=2, size=32, channels=1).train()
    delays, said = iter([0.3, 0.3, 0.02, 0.04, 0.2]), []
    model.register_forward_pre_hook(lambda module, inputs: time.sleep(next(delays)))
    seconds = latency(model, runs=3, progress=lambda phase, done, total: said.append((done, total)))
    assert 0.04 <= seconds < 0.15 and model.training and said[-1] == (5, 5)
