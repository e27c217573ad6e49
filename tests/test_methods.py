"""The methods of core.explain against grad-cam and captum on three architectures, against closed forms, and without a trace."""

import copy
import threading
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum import attr as captum
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
from torch import nn

from core.config import ModelConfig
from core.explain import METHODS, explain, grad_cam
from core.explain.activations import activations, contributions, kernels
from core.explain.input_gradients import integrated_gradients
from core.explain.passes import feature_maps, maps_at, without_trace
from core.explain.perturbation import occlusion
from core.models import build_model
from tests.explained import Noisy, Overheard, Tiny, mixed, pictures, same, torchvision_model, trace

# denseblock4: after it torchvision's DenseNet has an in-place ReLU, see core.explain.gradcam; so both read A before the norm.
LAYERS = {"resnet18": "layer4", "squeezenet1_1": "features.7", "densenet121": "features.denseblock4"}
ARCHITECTURES = list(LAYERS.items())
PACKAGE = {"grad_cam": GradCAM, "grad_cam_pp": GradCAMPlusPlus, "hires_cam": HiResCAM, "layer_cam": LayerCAM}


@pytest.fixture(scope="module")
def models():
    """Each architecture with random weights, no in-place ReLU module (captum's hooks want none), and logits of the size of
    trained ones: the grad-cam package adds 1e-6 to numbers that are smaller still in a network that knows nothing."""
    made = {name: torchvision_model(name) for name in LAYERS}
    for name, model in made.items():
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        last = model.classifier[1] if name == "squeezenet1_1" else getattr(model, "fc", None) or model.classifier
        with torch.no_grad():
            last.weight.mul_(100)
    return made


IMAGES, TARGETS, OTHERS = pictures(2, 64), torch.tensor([3, 7]), torch.tensor([0, 1])


def grad_cam_package(method: type, model: nn.Module, layer: str) -> torch.Tensor:
    """The package's map before it divides by the largest value, at the images' size."""
    targets = [ClassifierOutputTarget(int(target)) for target in TARGETS]
    with method(model=model, target_layers=[model.get_submodule(layer)]) as cam:
        cam(input_tensor=IMAGES, targets=targets)
        kept = cam.activations_and_grads
        maps = kept.activations[0].numpy()
        gradients = kept.gradients[0].numpy() if kept.gradients else None
        raw = cam.get_cam_image(IMAGES, model.get_submodule(layer), targets, maps, gradients, False)
    return enlarged(torch.from_numpy(np.asarray(raw)).relu())


def enlarged(maps: torch.Tensor) -> torch.Tensor:
    return F.interpolate(maps[:, None].float(), size=IMAGES.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def equal(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 2e-4) -> None:
    """The raw numbers, not only their shape."""
    assert theirs.flatten(1).std(dim=1).min() > 0, "a map without contrast proves nothing"
    torch.testing.assert_close(ours, theirs.detach().float(), rtol=0, atol=tolerance * float(theirs.detach().abs().max()))


@pytest.mark.parametrize("name, layer", ARCHITECTURES)
@pytest.mark.parametrize("method", PACKAGE)
def test_a_cam_equals_the_grad_cam_package_number_for_number(models, name, layer, method):
    theirs = grad_cam_package(PACKAGE[method], models[name], layer)
    equal(explain(method, models[name], IMAGES, TARGETS, layer), theirs, 1e-3 if method == "grad_cam_pp" else 2e-4)


@pytest.mark.parametrize("name, layer", ARCHITECTURES)
def test_grad_cam_equals_captum(models, name, layer):
    theirs = captum.LayerGradCam(models[name], models[name].get_submodule(layer)).attribute(
        IMAGES, target=TARGETS, relu_attributions=True)
    equal(explain("grad_cam", models[name], IMAGES, TARGETS, layer), enlarged(theirs[:, 0]))


@pytest.mark.parametrize("name, layer", ARCHITECTURES)
def test_eigen_cam_equals_the_grad_cam_packages_projection_up_to_its_sign(models, name, layer):
    maps = activations(models[name], IMAGES, layer)
    theirs = torch.from_numpy(get_2d_projection(maps))
    agrees = (theirs.flatten(1) * torch.from_numpy(maps - maps.mean((2, 3), keepdims=True)).sum(1).flatten(1)).sum(1) > 0
    ours = explain("eigen_cam", models[name], IMAGES, TARGETS, layer)
    equal(ours, enlarged(torch.where(agrees[:, None, None], theirs, -theirs).relu()), 1e-3)
    assert torch.equal(ours, explain("eigen_cam", models[name], IMAGES, OTHERS, layer, against=TARGETS)), "it knows no class"


@pytest.mark.parametrize("name, layer", [("resnet18", "layer1"), ("squeezenet1_1", "features.2"),
                                         ("densenet121", "features.norm0")])
def test_score_cam_equals_the_grad_cam_package(models, name, layer, monkeypatch):
    # The package stretches a map from corner pixel to corner pixel, everything here from edge to edge.
    monkeypatch.setattr(nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear", align_corners=False))
    equal(explain("score_cam", models[name], IMAGES, TARGETS, layer), grad_cam_package(ScoreCAM, models[name], layer), 1e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_occlusion_equals_captum(models, name):
    gray = IMAGES.mean((2, 3), keepdim=True).expand_as(IMAGES)
    theirs = captum.Occlusion(models[name]).attribute(IMAGES, (3, 24, 24), strides=(3, 22, 22), baselines=gray, target=TARGETS)
    equal(occlusion(models[name], IMAGES, TARGETS, window=24, stride=22), theirs[:, 0])


@pytest.mark.parametrize("name", LAYERS)
def test_integrated_gradients_equal_captum(models, name):
    model, images = copy.deepcopy(models[name]).double(), IMAGES.double()       # in float32 a rounding may switch a ReLU
    theirs = captum.IntegratedGradients(model).attribute(images, target=TARGETS, n_steps=3, method="riemann_middle")
    equal(integrated_gradients(model, images, TARGETS, steps=3).float(), theirs.sum(1))


@pytest.mark.parametrize("name", LAYERS)
def test_guided_backpropagation_equals_captum(models, name, monkeypatch):
    model = models[name]
    if name == "densenet121":                      # captum guides ReLU modules only, and the last one there is a function
        last = nn.ReLU()
        model.add_module("last_relu", last)
        monkeypatch.setattr(model, "forward", types.MethodType(
            lambda self, x: self.classifier(self.last_relu(self.features(x)).mean((2, 3))), model))
    theirs = captum.GuidedBackprop(model).attribute(IMAGES, target=TARGETS)
    equal(explain("guided_backprop", model, IMAGES, TARGETS), theirs.sum(1))


@pytest.mark.parametrize("method", ["grad_cam", "guided_backprop"])          # up to the layer, and all the way
def test_bfloat16_gives_nearly_the_same_map(method, monkeypatch):
    model = build_model(ModelConfig(name="resnet18"), classes=2, size=32, channels=1).eval()
    images, targets, layer = pictures(1, 32, 1), torch.tensor([1]), "network.layer2"
    ours = explain(method, model, images, targets, layer)
    monkeypatch.setattr("core.explain.passes.bfloat16_is_fast", lambda device: True)
    half = explain(method, model, images, targets, layer, half=True)
    assert not torch.is_autocast_enabled("cpu") and half.dtype == torch.float32 and ours.any()
    assert not torch.equal(half, ours) and np.corrcoef(half.ravel(), ours.ravel())[0, 1] > 0.98
    monkeypatch.setattr("core.explain.passes.bfloat16_is_fast", lambda device: False)
    assert torch.equal(explain(method, model, images, targets, layer, half=True), ours)
    with without_trace(model, images), torch.autocast("cpu", torch.bfloat16):          # Score-CAM's later passes want it, too
        maps_at(model, images, layer)
        assert torch.is_autocast_enabled("cpu")


def test_float32_and_bfloat16_in_many_threads_at_a_time():
    """Two pages ask for maps of the same network."""
    model, images, targets = torchvision_model("resnet18"), pictures(2, 32), torch.tensor([0, 1])
    expected = {half: explain("grad_cam", model, images, targets, "layer3", half=half) for half in (False, True)}
    equal_maps = []

    def work(half: bool) -> None:
        for _ in range(3):
            equal_maps.append(torch.equal(explain("grad_cam", model, images, targets, "layer3", half=half), expected[half]))
    threads = [threading.Thread(target=work, args=(half,)) for half in (False, True) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal_maps == [True] * 18


def test_channels_lie_side_by_side_for_gray_images_too():
    """A gray image lies both ways at once. If it does not say which is meant, the whole network is computed the slow way."""
    for channels in (1, 3):
        model, seen = build_model(ModelConfig(name="resnet18"), classes=2, size=32, channels=channels).eval(), []
        model.network.layer2.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        explain("grad_cam", model, pictures(2, 32, channels), torch.tensor([0, 1]), "network.layer3")
        assert seen[0].is_contiguous(memory_format=torch.channels_last) and not seen[0].is_contiguous()


# --- closed forms ---

@pytest.mark.parametrize("method", METHODS)
def test_the_difference_of_two_classes_is_that_of_their_logits(method):
    """A network whose first logit is the difference already must give the same map."""
    model, images = Tiny(), pictures(2, 12, channels=1)
    with torch.no_grad():
        model.conv.weight.abs_()
    whole = explain(method, model, images, torch.tensor([0, 1]), "conv", against=torch.tensor([1, 0]))
    with torch.no_grad():
        first, second = model.fc.weight.clone()
        model.fc.weight.copy_(torch.stack([first - second, second - first]))
    torch.testing.assert_close(whole, explain(method, model, images, torch.tensor([0, 1]), "conv"), rtol=1e-4, atol=1e-6)
    assert whole.any()


def test_integrated_gradients_add_up_to_the_change_of_the_logit():
    model, images = torchvision_model("squeezenet1_1"), pictures(1, 64)
    with torch.no_grad():
        change = (model(images) - model(images * 0))[0, 3]
    assert float(integrated_gradients(model, images, TARGETS[:1], steps=64).sum()) == pytest.approx(float(change), rel=0.02)


def test_occlusion_of_a_linear_network_is_what_each_square_gives():
    images = torch.ones(1, 1, 6, 6)
    images[0, 0, 0, 0] = 10
    cam = occlusion(Tiny(), images, torch.tensor([0]), window=2, stride=2, cover=0.0)[0]        # y = mean of the image
    expected = torch.full((6, 6), 4 / 36)
    expected[:2, :2] = 13 / 36
    torch.testing.assert_close(cam, expected)
    assert occlusion(Tiny(), images, torch.tensor([1]), window=2, stride=2, cover=0.0).max() < 0, "signed"


def test_hires_cam_shows_only_what_was_used_where_grad_cam_does_not():
    """A network that looks at the left half of its maps: the example of Draelos and Carin, section 3."""
    class Left(Tiny):
        def forward(self, images):
            return self.fc(self.conv(images)[..., :3].mean(dim=(2, 3)))
    images = torch.ones(1, 1, 6, 6)
    hires, plain = (explain(method, Left(), images, torch.tensor([0]), "conv")[0] for method in ("hires_cam", "grad_cam"))
    assert hires[:, :3].min() > 0 and not hires[:, 3:].any() and plain.min() > 0


# --- manners ---

@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_behind(method):
    for model in (mixed(Noisy()), mixed(torchvision_model("squeezenet1_1"))):
        images = pictures(2, 24, channels=1 if isinstance(model, Tiny) else 3).requires_grad_()
        before, pixels = trace(model), images.detach().clone()
        maps = explain(method, model, images, torch.tensor([0, 1]), "conv" if isinstance(model, Tiny) else "features.0")
        assert same(trace(model), before) and images.grad is None and torch.equal(images, pixels)
        assert maps.shape == images[:, 0].shape and maps.dtype == torch.float32 and not maps.requires_grad
        assert METHODS[method].signed or maps.min() >= 0


@pytest.mark.parametrize("method", METHODS)
def test_another_thread_may_predict_meanwhile(method):
    images = pictures(1, 6, channels=1)
    torch.testing.assert_close(explain(method, Overheard(), images, torch.tensor([0]), "conv"),
                               explain(method, Tiny(), images, torch.tensor([0]), "conv"))


@pytest.mark.parametrize("method", METHODS)
def test_progress_rises_to_the_end_and_may_stop_the_work(method, monkeypatch):
    monkeypatch.setattr("core.explain.methods.CHUNK", 2)
    monkeypatch.setattr("core.explain.passes.BATCH", 5)
    model, images, targets, seen = Tiny(), pictures(3, 12, channels=1), torch.zeros(3, dtype=torch.int64), []
    batches = []
    model.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    whole = explain(method, model, images, targets, "conv", progress=lambda *done: seen.append(done))
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1 and max(batches) <= 5
    alone = torch.cat([explain(method, model, images[i:i + 1], targets[i:i + 1], "conv") for i in range(3)])
    torch.testing.assert_close(whole, alone)

    def stop(done, total):
        raise InterruptedError
    before = trace(model)
    with pytest.raises(InterruptedError):
        explain(method, model, images, targets, "conv", progress=stop)
    assert same(trace(model), before)


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_fit_is_refused(method):
    images = pictures(2, 8, channels=1)
    for targets in ([0, 2], [0], [0.5, 1.0]):
        with pytest.raises(ValueError, match="targets"):
            explain(method, Tiny(), images, torch.tensor(targets), "conv")
    if METHODS[method].by_class:
        with pytest.raises(ValueError, match="targets"):
            explain(method, Tiny(), images, torch.tensor([0, 1]), "conv", against=torch.tensor([0, 5]))
    if METHODS[method].layered:
        with pytest.raises(KeyError, match="conv"):
            explain(method, Tiny(), images, torch.tensor([0, 1]), "nowhere")


def test_an_unknown_method_lists_those_that_there_are():
    with pytest.raises(KeyError, match="grad_cam.*occlusion"):
        explain("guess", Tiny(), pictures(1, 8, channels=1), torch.tensor([0]))


def test_every_method_says_what_it_is():
    assert len(METHODS) == 9
    for method in METHODS.values():
        assert "https://" in method.source and method.equation.count("{") == method.equation.count("}") and method.unit
        assert method.function.__name__ in METHODS and len({m.title for m in METHODS.values()}) == len(METHODS)


# --- activations and kernels ---

def test_activations_are_what_the_layer_gives(models):
    model, seen = models["resnet18"], {}
    handle = model.layer2.register_forward_hook(lambda module, inputs, output: seen.update(a=output.detach().clone()))
    with torch.no_grad():
        model(IMAGES)
    handle.remove()
    found = activations(model, IMAGES, "layer2")
    np.testing.assert_allclose(found, seen["a"].numpy(), atol=1e-4)
    assert found.shape[1:] == feature_maps(model, IMAGES)["layer2"]


def test_contributions_add_up_to_grad_cam_before_its_relu(models):
    model = models["densenet121"]
    found = contributions(model, IMAGES, TARGETS, "features.denseblock4", against=OTHERS)
    maps = activations(model, IMAGES, "features.denseblock4")
    assert found.shape == maps.shape[:2]
    ours = (found / maps.sum((2, 3)))[..., None, None] * maps                   # alpha_k A_k
    equal(enlarged(torch.from_numpy(ours.sum(1)).relu()), grad_cam(model, IMAGES, TARGETS, "features.denseblock4",
                                                                   against=OTHERS), 1e-3)


def test_kernels_are_the_layers_own_or_those_of_its_last_convolution(models):
    model = models["resnet18"]
    first = kernels(model, "conv1")
    assert first.name == "conv1" and first.weights.shape == (64, 3, 7, 7)
    np.testing.assert_array_equal(first.weights, model.conv1.weight.detach().numpy())
    assert kernels(model, "layer2").name == "layer2.1.conv2" and kernels(model, "layer2").weights.shape == (128, 128, 3, 3)
    assert kernels(model, "bn1") is None
    with pytest.raises(KeyError, match="layer1"):
        kernels(model, "layer7")
