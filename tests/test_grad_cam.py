"""Grad-CAM against the grad-cam package and against closed forms."""

import copy
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from core.explain import grad_cam
from tests.explained import Tiny, pictures, torchvision_model, with_positive_maps


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
