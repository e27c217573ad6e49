"""Folded networks give the maps of plain ones, whatever their batch norms and however they are written, and never an old one."""

from __future__ import annotations

import copy
import gc
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.explain import explain, grad_cam
from core.explain.folded import _KEPT, Folding, _Later, can_fold
from tests.test_grad_cam import pictures, same, torchvision_model, trace

pytestmark = pytest.mark.skipif(not can_fold(torch.device("cpu")), reason="needs torch with oneDNN")
TARGETS = torch.tensor([0, 1])


@pytest.fixture(autouse=True)
def every_size(monkeypatch):
    monkeypatch.setattr("core.explain.passes.FOLD_FROM", 0)


@pytest.fixture
def fused(monkeypatch) -> list[str]:
    """What each convolution that was computed folded had behind it."""
    from core.explain.folded import _Step
    seen, compute = [], _Step.compute

    def spy(step):
        seen.append("norm " * bool(step.norm) + "sum " * (len(step.reads) > 1) + "relu" * step.relu)
        return compute(step)
    monkeypatch.setattr(_Step, "compute", spy)
    return seen


def both(model: nn.Module, images: torch.Tensor, layer: str, monkeypatch, targets=TARGETS) -> tuple[torch.Tensor, torch.Tensor]:
    """The folded map and the plain one."""
    before = trace(model)
    folded = grad_cam(model, images, targets, layer)
    assert same(trace(model), before), "left exactly as it was"
    with monkeypatch.context() as patch:
        patch.setattr("core.explain.passes.FOLD_FROM", float("inf"))
        return folded, grad_cam(model, images, targets, layer)


def equal(folded: torch.Tensor, plain: torch.Tensor) -> None:
    assert plain.std(dim=(1, 2)).max() > 0, "a map without contrast proves nothing"
    torch.testing.assert_close(folded, plain, rtol=0, atol=1e-5 * float(plain.max()))


@pytest.mark.parametrize("name, layer", [("resnet18", "layer4"), ("resnet18", "layer2.0.conv1"), ("resnet18", "layer3.0.bn2"),
                                         ("squeezenet1_1", "features.7"), ("densenet121", "features.denseblock4"),
                                         ("mobilenet_v2", "features.18"), ("shufflenet_v2_x1_0", "conv5")])
def test_the_map_is_the_same(name, layer, monkeypatch, fused):
    equal(*both(torchvision_model(name), pictures(2, 64), layer, monkeypatch, torch.tensor([8, 9])))
    assert fused, "nothing was folded"


def test_a_resnet_walks_once_through_each_map(fused):
    grad_cam(torchvision_model("resnet18"), pictures(2, 64), TARGETS, "layer4")
    assert fused.count("norm relu") == 9 and fused.count("norm sum relu") == 8 and fused.count("norm ") == 3 and len(fused) == 20


# --- networks as people write them ---

class Net(nn.Module):
    """A first convolution, a middle, a last one (the layer that is asked: only what comes before it is folded), a head."""

    def __init__(self, norm: nn.Module | None = None, bias: bool = False):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.first, self.norm, self.second = nn.Conv2d(3, 8, 3, padding=1, bias=bias), norm, nn.Conv2d(8, 8, 3, padding=1)
            self.last, self.fc = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 2)
            for tensor in () if norm is None else (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                if tensor is not None:
                    tensor.data.uniform_(0.3, 1.5)

    def forward(self, x):
        return self.fc(self.last(self.middle(self.first(x))).mean((2, 3)))

    def middle(self, x):
        return F.relu(self.norm(x))


class TwoReaders(Net):
    def middle(self, x):
        y = self.norm(x)
        return F.relu(y) + x * y


class NormTwice(Net):
    def middle(self, x):
        return self.norm(self.norm(self.norm(x)).relu_())


class ConvTwice(Net):
    def middle(self, x):
        return self.norm(self.second(torch.relu(self.norm(self.second(x)))))


class NormsInTurn(Net):
    """One convolution, two batch norms behind it."""
    def middle(self, x):
        mean, var = self.norm.running_mean, self.norm.running_var
        of_this_batch = F.batch_norm(self.second(x), mean.clone(), var.clone(), training=True)
        return self.norm(self.second(x)) - F.batch_norm(self.second(x), var, mean, eps=0.1) + of_this_batch


class Overwrites(Net):
    """What a convolution reads is changed before its result is used: only the plain pass can know."""
    def middle(self, x):
        x = x.clone()
        y = self.second(x)
        x.zero_()
        return self.norm(y)


class InPlaceAliases(Net):
    def middle(self, x):
        view = x[:, :4]
        F.relu_(x)
        return self.norm(x.add_(1)) + F.pad(view, (0, 0, 0, 0, 0, 4))


class SumsOfAllKinds(Net):
    def middle(self, x):
        a, b = self.norm(x), self.second(x)
        c = torch.add(a, b, alpha=2) + 1 + x.mean((2, 3), keepdim=True)
        d = self.second(x)
        d += d
        return (c + self.second(x)).add_(self.second(c)) + torch.add(x, self.norm(d)) + sum([self.second(x), x])


class AsksForMemory(Net):
    def middle(self, x):
        assert x.data_ptr() and len(x.numpy())
        return self.norm(x)


class OddShapes(Net):
    def middle(self, x):
        y = F.conv2d(x, self.second.weight, padding="same", dilation=2)
        z = F.conv2d(input=x, weight=self.second.weight, stride=[1], padding=1)
        z = z + F.conv2d(x, self.second.weight[:, :1], None, 1, 1, 1, 8)
        return self.norm(y + z) + F.conv2d(x[0], self.second.weight, None, 1, 1)


NETS = [Net, TwoReaders, NormTwice, ConvTwice, NormsInTurn, Overwrites, InPlaceAliases, SumsOfAllKinds, AsksForMemory, OddShapes]


@pytest.mark.parametrize("net", NETS)
def test_however_it_is_written(net, monkeypatch):
    equal(*both(net(nn.BatchNorm2d(8)).eval(), pictures(2, 24), "last", monkeypatch))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("norm", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": None}, {"eps": 0.5}])
def test_whatever_the_batch_norm(norm, bias, monkeypatch):
    model = Net(nn.BatchNorm2d(8, **norm), bias).train()                       # its flags say train: it is explained in eval
    model.norm.requires_grad_(False)
    equal(*both(model, pictures(2, 24), "last", monkeypatch))


# --- never an old map ---

CHANGES = {
    "in place": lambda model: model.first.weight.mul_(-1),
    "through .data, which nobody counts": lambda model: model.first.weight.data.mul_(-1),
    "other memory": lambda model: setattr(model.first.weight, "data", -model.first.weight.data),
    "another parameter": lambda model: setattr(model.first, "weight", nn.Parameter(-model.first.weight)),
    "a buffer": lambda model: model.norm.running_var.add_(3),
    "a buffer through .data": lambda model: model.norm.running_mean.data.add_(1),
    "another batch norm": lambda model: setattr(model, "norm", nn.BatchNorm2d(8).eval()),
    "its eps": lambda model: setattr(model.norm, "eps", 2.0),
    "a state dict": lambda model: model.load_state_dict({key: value * 2 for key, value in model.state_dict().items()}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_network_gives_the_map_of_a_new_one(change):
    model, images = Net(nn.BatchNorm2d(8)).eval(), pictures(2, 24)
    before = grad_cam(model, images, TARGETS, "last")
    assert torch.equal(grad_cam(model, images, TARGETS, "last"), before)
    with torch.no_grad():
        CHANGES[change](model)
    after = grad_cam(model, images, TARGETS, "last")
    assert torch.equal(after, grad_cam(copy.deepcopy(model), images, TARGETS, "last")) and not torch.allclose(after, before)


def test_what_is_kept_goes_with_the_network():
    gc.collect()
    before, model = len(_KEPT), Net(nn.BatchNorm2d(8)).eval()
    grad_cam(model, pictures(2, 24), TARGETS, "last")
    assert len(_KEPT) == before + 2
    del model
    gc.collect()
    assert len(_KEPT) == before


# --- manners ---

def test_float32_and_bfloat16_in_many_threads_at_a_time():
    model, images = torchvision_model("resnet18"), pictures(2, 32)
    _KEPT.clear()
    expected, found = {half: explain("grad_cam", copy.deepcopy(model), images, TARGETS, "layer3", half=half)
                       for half in (False, True)}, []

    def work(half: bool) -> None:
        for _ in range(3):
            found.append(torch.equal(explain("grad_cam", model, images, TARGETS, "layer3", half=half), expected[half]))
    threads = [threading.Thread(target=work, args=(half,)) for half in (False, True) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 18


def test_a_tensor_without_numbers_finds_them_anywhere():
    """Somebody's hook keeps a result: it can be used when folding is over, and in another thread."""
    model, kept = Net(nn.BatchNorm2d(8)).eval(), []
    model.first.register_forward_hook(lambda module, inputs, output: kept.append(output))
    images = pictures(1, 8)
    with torch.no_grad():
        with Folding():
            model(images)
        model(images)
        waiting, plain = kept
        assert isinstance(waiting, _Later) and type(plain) is torch.Tensor and waiting.shape == plain.shape
        torch.testing.assert_close(waiting * 1, plain, rtol=0, atol=1e-5)
        waiting.clamp_(min=0)
        torch.testing.assert_close(waiting + 0, plain.relu(), rtol=0, atol=1e-5)


def test_one_image_is_not_folded_and_two_are(monkeypatch):
    monkeypatch.undo()                                                         # the real threshold
    model, images, folds = torchvision_model("squeezenet1_1"), torch.rand(2, 3, 224, 224), []
    monkeypatch.setattr(Folding, "__enter__", lambda self: folds.append(1))
    monkeypatch.setattr(Folding, "__exit__", lambda self, *error: None)
    grad_cam(model, images[:1], TARGETS[:1], "features.3")
    assert not folds
    grad_cam(model, images, TARGETS, "features.3")
    assert folds
