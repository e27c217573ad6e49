"""Grad-CAM against the grad-cam package, against closed forms, and what it must not leave behind."""

import copy
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from core.config import ModelConfig
from core.explain import feature_maps, grad_cam
from core.models import build_model


def pictures(n: int, size: int = 96, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Smooth random blobs in [0, 1]: maps of plain noise would be nearly constant."""
    coarse = torch.rand(n, channels, 6, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def torchvision_model(name: str) -> nn.Module:
    """Random weights, and batch norms as after training, so that each does something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = torchvision.models.get_model(name, weights=None, num_classes=10)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                with torch.no_grad():
                    module.bias.normal_(0, 0.1)
    return model.eval()


def theirs(model: nn.Module, images: torch.Tensor, targets: torch.Tensor, layer: str) -> np.ndarray:
    """The package's map, which it brings to [0, 1] by its own minimum and maximum."""
    with GradCAM(model=model, target_layers=[model.get_submodule(layer)]) as cam:
        return cam(input_tensor=images, targets=[ClassifierOutputTarget(int(target)) for target in targets])


def correlations(ours: torch.Tensor, other: np.ndarray) -> list[float]:
    assert all(m.std() > 0 for m in ours) and all(m.std() > 0 for m in other), "a map of zeros proves nothing"
    return [float(np.corrcoef(a.numpy().ravel(), b.ravel())[0, 1]) for a, b in zip(ours, other)]


def without_inplace_relu(model: nn.Module) -> nn.Module:
    """A DenseNet whose ReLU after `features` writes elsewhere: the same function, a hook's tensor stays as it was."""
    model = copy.deepcopy(model)
    model.forward = types.MethodType(
        lambda self, x: self.classifier(F.adaptive_avg_pool2d(F.relu(self.features(x)), (1, 1)).flatten(1)), model)
    return model


def with_positive_maps(model: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """For each image the class whose map is largest: with random weights some maps are zero everywhere."""
    classes = torch.arange(10)[:, None].expand(10, len(images))
    return torch.stack([grad_cam(model, images, c, layer).amax(dim=(1, 2)) for c in classes]).argmax(0)


@pytest.mark.parametrize("name, layer", [
    ("resnet18", "layer4"), ("resnet18", "layer3"), ("resnet18", "layer2.0.conv1"), ("resnet50", "layer4"),
    ("squeezenet1_1", "features"), ("squeezenet1_1", "features.7"), ("densenet121", "features.denseblock4"),
    ("densenet121", "features.denseblock3")])
def test_equals_the_grad_cam_package(name, layer):
    model, images = torchvision_model(name), pictures(3)
    targets = with_positive_maps(model, images, layer)
    ours, other = grad_cam(model, images, targets, layer), theirs(model, images, targets, layer)
    assert min(correlations(ours, other)) > 0.9999
    low, high = ours.amin((1, 2), keepdim=True), ours.amax((1, 2), keepdim=True)
    np.testing.assert_allclose((ours - low) / (high - low), other, atol=2e-2)      # it rescales before its resize


def test_densenets_map_is_the_one_before_its_in_place_relu():
    """torchvision runs F.relu(features, inplace=True). The package's hook keeps that very tensor, so it reads the map
    after the ReLU. On a copy of the model with an ordinary ReLU we must agree."""
    model, images = torchvision_model("densenet121"), pictures(4)
    targets = with_positive_maps(model, images, "features")
    ours = grad_cam(model, images, targets, "features")
    assert min(correlations(ours, theirs(without_inplace_relu(model), images, targets, "features"))) > 0.9999
    assert torch.allclose(ours, grad_cam(model, images, targets, "features.norm5"))   # the same tensor
    assert max(correlations(ours, theirs(model, images, targets, "features"))) < 0.99   # the trap is real


class Tiny(nn.Module):
    """Two maps, averaged, and a linear layer: Grad-CAM is its weights times its maps, over the number of places."""

    def __init__(self, classes=2):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(2, classes, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -2.0]).view(2, 1, 1, 1))
            self.fc.weight.copy_(torch.tensor([[3.0, 1.0], [-1.0, 0.5]])[:classes])

    def forward(self, images):
        return self.fc(self.drop(self.conv(images)).mean(dim=(2, 3)))


def test_closed_form():
    images = pictures(2, 6, channels=1)
    maps = grad_cam(Tiny(), images, torch.tensor([0, 1]), "conv")
    # alpha_k = w_ck / (h w); A_0 = x, A_1 = -2 x. Class 0: (3 - 2) x / 36. Class 1: (-1 - 1) x / 36 < 0: relu gives 0.
    torch.testing.assert_close(maps[0], images[0, 0] / 36)
    assert torch.equal(maps[1], torch.zeros(6, 6)) and maps.dtype == torch.float32


def test_closed_form_for_a_resnet_head():
    """After global average pooling and one linear layer alpha_k = w_ck / (h w): Selvaraju et al., section 3.1."""
    model, images, maps = torchvision_model("resnet18"), pictures(2, 64), {}
    targets = with_positive_maps(model, images, "layer4")
    model.layer4.register_forward_hook(lambda module, inputs, output: maps.update(a=output.detach()))
    with torch.no_grad():
        model(images)
    small = torch.einsum("nk,nkhw->nhw", model.fc.weight[targets], maps["a"]).relu() / 4
    expected = F.interpolate(small[:, None], size=(64, 64), mode="bilinear", align_corners=False)[:, 0].detach()
    torch.testing.assert_close(grad_cam(model, images, targets, "layer4"), expected, rtol=1e-4, atol=1e-6)


def test_each_image_has_its_own_target_and_a_batch_equals_one_by_one():
    model, images = torchvision_model("resnet18"), pictures(4)
    targets = with_positive_maps(model, images, "layer4")
    batch = grad_cam(model, images, targets, "layer4")
    alone = torch.cat([grad_cam(model, images[i:i + 1], targets[i:i + 1], "layer4") for i in range(4)])
    torch.testing.assert_close(batch, alone, rtol=1e-4, atol=1e-6)
    same = grad_cam(model, images[:1].repeat(2, 1, 1, 1), torch.tensor([0, 3]), "layer4")
    assert not torch.allclose(same[0], same[1])


def test_the_map_has_the_shape_of_an_image_that_is_not_square():
    images = pictures(2)[:, :, :64, :]
    assert grad_cam(torchvision_model("resnet18"), images, torch.tensor([0, 1]), "layer3").shape == (2, 64, 96)


# --- nothing is left behind ---

def trace(model: nn.Module) -> list:
    """Everything of a model, and around it, that a careless explanation could change."""
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()]
    return [hooks, [m.training for m in model.modules()], [b.clone() for b in model.buffers()],
            [(p.requires_grad, p.grad, p.detach().clone()) for p in model.parameters()],
            torch.get_rng_state(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()]


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def mixed(model: nn.Module) -> nn.Module:
    """As in the middle of fine-tuning: training, some batch norms held, some weights frozen, some with a gradient."""
    model.train()
    for i, module in enumerate(model.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.training = bool(i % 2)
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(bool(i % 3))
        parameter.grad = torch.full_like(parameter, 0.5) if i % 3 == 1 else None
    return model


class Noisy(Tiny):
    def forward(self, images):
        return super().forward(images + 0 * torch.rand_like(images))


@pytest.mark.parametrize("name, layer", [("densenet121", "features"), ("resnet18", None), ("noisy", "conv"),
                                         ("squeezenet1_1", "features.3")])
def test_leaves_the_model_and_the_random_state_alone(name, layer):
    model = mixed(Noisy() if name == "noisy" else torchvision_model(name))
    images = pictures(2, 64, channels=1 if isinstance(model, Tiny) else 3).requires_grad_()
    before = trace(model)
    assert grad_cam(model, images, torch.tensor([0, 1]), layer).grad_fn is None
    assert same(trace(model), before) and images.grad is None


class Broken(Tiny):
    def forward(self, images):
        super().forward(images)
        raise RuntimeError("out of memory")


@pytest.mark.parametrize("model, targets, layer, error", [
    (Broken(), [0, 1], "conv", RuntimeError), (Broken(), [0, 1], None, RuntimeError),
    (Tiny(), [0, 2], "conv", ValueError), (Tiny(), [0, -1], "conv", ValueError),
    (Tiny(), [0], "conv", ValueError), (Tiny(), [0.0, 1.0], "conv", ValueError),
    (Tiny(), [0, 1], "fc", ValueError), (Tiny(), [0, 1], "nonsense", KeyError), (Tiny(), [0, 1], "", ValueError)])
def test_leaves_everything_alone_when_it_fails(model, targets, layer, error):
    model = mixed(model)
    before = trace(model)
    with pytest.raises(error):
        grad_cam(model, pictures(2, 8, channels=1), torch.tensor(targets), layer)
    assert same(trace(model), before)


@pytest.mark.parametrize("around", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_works_inside_every_gradient_mode(around):
    model, targets = torchvision_model("resnet18"), torch.tensor([1, 2])
    expected = grad_cam(model, pictures(2), targets, "layer4")
    with around():
        images = pictures(2)                                  # born here: an inference tensor under inference_mode
        before = trace(model)
        maps = grad_cam(model, images, targets, "layer4")
        assert same(trace(model), before)
    torch.testing.assert_close(maps, expected)


def test_the_trunk_keeps_no_activations():
    """What comes before the layer is computed without gradients, what comes after with them."""
    model, seen = torchvision_model("resnet18"), {}
    for name in ("layer1", "layer3", "layer4"):
        def look(module, inputs, output, name=name):
            seen[name] = output.requires_grad
        model.get_submodule(name).register_forward_hook(look)
    grad_cam(model, pictures(1), torch.tensor([0]), "layer3")
    assert seen == {"layer1": False, "layer3": False, "layer4": True}


# --- any module, any layer ---

class Overheard(Tiny):
    """While this one is being explained, somebody else predicts with it in another thread."""

    def forward(self, images):
        logits = super().forward(images)
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=lambda: setattr(self, "heard", self(images[:1] * 0 + 1)))
            thread.start()
            thread.join()
        return logits


def test_a_prediction_in_another_thread_is_not_drawn_in():
    model, images = Overheard(), pictures(2, 6, channels=1)
    torch.testing.assert_close(grad_cam(model, images, torch.tensor([0, 0]), "conv"), images[:, 0] / 36)
    torch.testing.assert_close(model.heard.detach(), torch.tensor([[1.0, -2.0]]))


def test_an_unknown_layer_lists_those_that_there_are():
    with pytest.raises(KeyError, match="conv.*drop.*fc"):
        grad_cam(Tiny(), pictures(1, 8, channels=1), torch.tensor([0]), "layer9")


def test_without_a_layer_the_last_map_is_taken():
    model, images = torchvision_model("resnet18"), pictures(2)
    targets = with_positive_maps(model, images, "layer4")                             # not avgpool: its map is 1x1
    assert torch.equal(grad_cam(model, images, targets), grad_cam(model, images, targets, "layer4"))
    ours = build_model(ModelConfig(name="densenet121"), classes=2, size=32, channels=1)
    targets = torch.tensor([0, 1])
    images = pictures(2, 32, channels=1)
    assert torch.equal(grad_cam(ours, images, targets), grad_cam(ours, images, targets, "network.features"))


def test_feature_maps_are_named_with_their_shapes_and_nothing_is_left():
    model = mixed(torchvision_model("resnet18"))
    before = trace(model)
    maps = feature_maps(model, pictures(2, 64))
    assert same(trace(model), before)
    assert maps["conv1"] == (64, 32, 32) and maps["layer4"] == (512, 2, 2) and list(maps)[-1] == "layer4"
    assert "avgpool" not in maps and "fc" not in maps


class Shared(nn.Module):
    """One convolution used twice, and an in-place change of its output each time."""

    def __init__(self, inplace):
        super().__init__()
        self.conv, self.inplace = nn.Conv2d(1, 1, 1), inplace
        with torch.no_grad():
            self.conv.weight.fill_(2.0), self.conv.bias.fill_(-0.5)

    def forward(self, images):
        x = F.relu(self.conv(images), inplace=self.inplace)
        x = F.relu(self.conv(x), inplace=self.inplace)
        return (x ** 2).sum(dim=(2, 3))                       # (N, 1): a single logit


@pytest.mark.parametrize("inplace", [True, False])
def test_of_a_layer_used_twice_the_last_use_counts_whatever_happens_in_place(inplace):
    images = pictures(1, 4, channels=1)
    a = 2 * F.relu(2 * images - 0.5) - 0.5                    # the second output, before its ReLU
    expected = (2 * a.relu()).mean() * a                      # dy/dA = 2 relu(A)
    torch.testing.assert_close(grad_cam(Shared(inplace), images, torch.tensor([0]))[0], expected.relu()[0, 0])


class Overwritten(Tiny):
    """What goes into the layer comes out of it, and is overwritten afterwards."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()

    def forward(self, images):
        features = self.conv(images)
        logits = self.fc(self.layer(features).mean(dim=(2, 3)))
        features.zero_()
        return logits


class Gated(Tiny):
    """Needs the images once more after the layer."""

    def forward(self, images):
        return self.fc((self.conv(images) * images).mean(dim=(2, 3)))


def test_a_layer_whose_input_is_overwritten_later():
    images = pictures(1, 6, channels=1)
    torch.testing.assert_close(grad_cam(Overwritten(), images, torch.tensor([0]), "layer"), images[:, 0] / 36)


def test_images_from_inference_mode_may_be_needed_in_the_backward_pass():
    model = Gated()
    with torch.inference_mode():
        images = pictures(1, 6, channels=1)
        maps = grad_cam(model, images, torch.tensor([0]), "conv")       # alpha_k = w_ck mean(x) / 36, as A_k meets x
    torch.testing.assert_close(maps, images[:, 0] * images.mean() / 36)


class FrozenTrunk(Tiny):
    def forward(self, images):
        with torch.no_grad():
            features = self.conv(images)
        return self.fc(features.mean(dim=(2, 3)))


def test_a_model_that_switches_gradients_off_around_its_trunk():
    images = pictures(1, 6, channels=1)
    torch.testing.assert_close(grad_cam(FrozenTrunk(), images, torch.tensor([0]), "conv"), images[:, 0] / 36)


class SideBranch(Tiny):
    def __init__(self):
        super().__init__()
        self.side, self.unused = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

    def forward(self, images):
        self.side(images)
        return super().forward(images)


@pytest.mark.parametrize("layer, message", [("side", "not depend"), ("unused", "not used"), ("fc", "shape \\(1, 2\\)")])
def test_a_layer_that_cannot_be_explained_says_why(layer, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(SideBranch(), pictures(1, 8, channels=1), torch.tensor([0]), layer)


def test_bfloat16_and_channels_last_give_the_same_map_in_float32():
    model, images = torchvision_model("resnet18"), pictures(2)
    targets = with_positive_maps(model, images, "layer4")
    expected = grad_cam(model, images, targets, "layer4")
    model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    torch.testing.assert_close(grad_cam(model, images, targets, "layer4"), expected, rtol=1e-4, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        mixed_precision = grad_cam(model, images, targets, "layer4")
    half = grad_cam(model.bfloat16(), images.bfloat16(), targets, "layer4")
    for maps in (mixed_precision, half):
        assert maps.dtype == torch.float32 and min(correlations(expected, maps.numpy())) > 0.99


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu_the_map_is_the_same():
    model, images, targets = torchvision_model("resnet18"), pictures(2), torch.tensor([1, 2])
    expected = grad_cam(model, images, targets, "layer4")
    before = torch.cuda.get_rng_state()
    maps = grad_cam(model.cuda(), images.cuda(), targets, "layer4")
    assert maps.is_cuda and torch.equal(torch.cuda.get_rng_state(), before)
    torch.testing.assert_close(maps.cpu(), expected, rtol=1e-2, atol=1e-4)


def test_torch_is_imported_only_when_a_map_is_computed():
    code = ("import sys, core.explain; from core.explain.overlay import overlay; assert 'torch' not in sys.modules\n"
            "import core.explain.gradcam; from core.explain import grad_cam; assert grad_cam.__name__ == 'grad_cam'")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
