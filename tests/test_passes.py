"""A pass that leaves no trace: whatever the network does, and whichever layer is explained."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.config import ModelConfig
from core.explain import feature_maps, grad_cam
from core.models import build_model
from tests.explained import Noisy, Overheard, Tiny, mixed, pictures, same, torchvision_model, trace, with_positive_maps


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
