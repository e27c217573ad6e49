"""Heads, cuts, kept blocks, freezing: the numbers of report R004, slices as Python makes them, gradients that are not there."""

from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from core.config import ModelConfig
from core.errors import LightboxError
from core.explain import grad_cam
from core.models import MODELS, build_model

FAMILIES = ("resnet50", "densenet121", "squeezenet1_0", "squeezenet1_1", "vgg16", "small_cnn", "cnn")
SMALL = {"classes": 2, "size": 28, "channels": 1}


def built(name: str, classes: int = 2, size: int = 64, channels: int = 3, meta: bool = True, **changes):
    with torch.device("meta" if meta else "cpu"):
        return build_model(replace(ModelConfig(name=name), **changes), classes=classes, size=size, channels=channels)


def counts(model) -> tuple[int, int]:
    """(all, trained) parameters."""
    return tuple(sum(p.numel() for p in model.parameters() if learns <= p.requires_grad) for learns in (False, True))


def test_the_totals_of_r004_come_out():
    """SqueezeNet 1.0 with its head at two classes, frozen: 1,263,808 parameters, 528,384 trained, 735,424 not; and its rows."""
    model = built("squeezenet1_0", stem="standard", size=224, head="concat", freeze="all", dropout=0.5)
    assert counts(model) == (1_263_808, 528_384) and 1_263_808 - 528_384 == 735_424
    rows = [(type(m).__name__, sum(p.numel() for p in m.parameters())) for m in model.network.head]
    assert rows == [("BatchNorm1d", 2048), ("Dropout", 0), ("Linear", 524_288), ("ReLU", 0), ("BatchNorm1d", 1024),
                    ("Dropout", 0), ("Linear", 1024)]
    assert [m.p for m in model.network.head if isinstance(m, nn.Dropout)] == [0.25, 0.5]


def test_the_concat_head_joins_averages_and_maxima():
    model = built("small_cnn", meta=False, head="concat").eval()
    images = torch.rand(2, 3, 64, 64)
    maps = model.network.maps((images - 0.5) / 0.5)
    expected = torch.cat((maps.flatten(2).sum(2) / 64, maps.flatten(2).max(2).values), dim=1)         # of 8 x 8 places
    torch.testing.assert_close(model.embed(images), expected)


def test_the_mlp_has_hidden_layers_of_1024_and_512():
    model = built("densenet169", head="mlp", dropout=0.3)
    shapes = [tuple(m.weight.shape) for m in model.network.head if isinstance(m, nn.Linear)]
    assert shapes == [(1024, 1664), (512, 1024), (2, 512)]
    assert [m.p for m in model.network.head if isinstance(m, nn.Dropout)] == [0.3, 0.3]


@pytest.mark.parametrize("head", ["linear", "mlp", "concat"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_network_takes_every_head_and_embeds_before_it(name, head):
    model = built(name, head=head).eval()
    images = torch.empty(2, 3, 64, 64, device="meta")
    features = model.embed(images)
    assert features.shape == (2, model.features) and model.head(features).shape == model(images).shape == (2, 2)
    head_numbers = sum(p.numel() for p in model.head_parameters())
    assert head_numbers + sum(p.numel() for p in model.backbone_parameters()) == counts(model)[0] and head_numbers > 0


def test_the_logits_are_the_heads_of_the_features():
    model = built("squeezenet1_1", meta=False).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(images), model.head(model.embed(images)))


# --- cuts ---

@pytest.mark.parametrize("cut, features", [("-1", 512), ("1", 512), ("", 512), ("2", 1000), ("20", 1000)])
def test_all_cuts_of_r004_build_as_slices_of_the_children(cut, features):
    """fastai's body is children()[:cut]: of SqueezeNet's two, the second ends with a thousand averages."""
    model = built("squeezenet1_0", meta=False, cut=cut, head="concat", stem="standard").eval()
    with torch.random.fork_rng(devices=[]):
        body = nn.Sequential(*list(torchvision.models.squeezenet1_0(weights=None).children())[:int(cut) if cut else 1]).eval()
    body.load_state_dict({key: value for (key, _), value in zip(body.state_dict().items(), [
        value for key, value in model.network.state_dict().items() if not key.startswith("head.")], strict=True)})
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = body((images - 0.5) / 0.5)
        expected = torch.cat((maps.mean((2, 3)), maps.amax((2, 3))), dim=1)
        torch.testing.assert_close(model.embed(images), expected)
    assert model.features == 2 * features
    said = " ".join(model.notes)
    assert ("same as no cut" in said) == (cut in ("-1", "1")) and ("1000 outputs" in said) == (cut in ("2", "20"))


@pytest.mark.parametrize("cut, children", [("layer2", 6), ("6", 6), ("-4", 6), ("1", 1), ("-1", 9), ("layer4", 8)])
def test_a_resnet_is_cut_at_a_stage_or_at_a_number(cut, children):
    model = built("resnet18", meta=False, cut=cut, stem="standard").eval()
    body = nn.Sequential(*list(torchvision.models.resnet18(weights=None).children())[:children]).eval()
    theirs = [value for key, value in model.network.state_dict().items() if not key.startswith(("head.", "fc."))]
    body.load_state_dict(dict(zip(body.state_dict(), theirs, strict=True)))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.embed(images), body((images - 0.5) / 0.5).mean((2, 3)))
    assert all(model.get_submodule(stage) for stage in model.stages)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_stage_can_be_a_cut_and_be_frozen(name):
    whole = built(name)
    for i, stage in enumerate(whole.stage_names):
        model = built(name, cut=stage, freeze=stage).eval()
        assert model.stage_names == whole.stage_names[:i + 1]
        assert model(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 2)
        assert len(model.backbone_parameters()) < len(whole.backbone_parameters()) or stage == whole.stage_names[-1]
        assert model.frozen and all(p.requires_grad for p in model.head_parameters())


def test_a_cut_that_is_the_whole_backbone_is_the_same_network():
    a, b = (build_model(ModelConfig(name="resnet18", cut=cut), **SMALL).state_dict() for cut in ("", "layer4"))
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name, cut", [("resnet18", "10"), ("resnet18", "20"), ("resnet18", "-10"), ("resnet18", "0"),
                                       ("resnet18", "fire3"), ("densenet121", "2"), ("vgg16", "3"), ("squeezenet1_0", "-2")])
def test_a_cut_that_there_is_not_names_those_that_there_are(name, cut):
    with pytest.raises(LightboxError, match=f"cannot be cut at {cut}.*{MODELS[name].stage_names[0]}.*number can be 1") as error:
        built(name, cut=cut)
    assert error.value.code == "model.cut"


# --- a DenseNet with its first blocks and layers ---

def test_a_densenet_keeps_its_first_blocks_and_layers():
    """Two blocks, six layers in the last: the survey's best. 64 + 6 x 32 = 256, halved, + 6 x 32 = 320 maps."""
    model = built("densenet121", blocks=2, block_layers=6)
    assert model.features == 320 and model.stage_names == ("denseblock1", "denseblock2")
    assert [len(model.network.features.get_submodule(f"denseblock{i}")) for i in (1, 2)] == [6, 6]
    with torch.device("meta"):
        other = torchvision.models.DenseNet(32, (6, 6), 64, num_classes=2)
    assert counts(model)[0] + (49 - 9) * 3 * 64 == counts(other)[0]                   # the small stem has 3x3, not 7x7


def test_kept_blocks_take_imagenets_weights_but_never_its_last_norm(monkeypatch):
    """With three blocks DenseNet-121 has 1024 maps, just as many as with four: the norm fits in shape and not in meaning."""
    import core.models.backbones
    state = torchvision.models.densenet121(weights=None).state_dict()
    state = {key: value + 1 if value.is_floating_point() else value for key, value in state.items()}
    monkeypatch.setattr(core.models.backbones, "imagenet_state", lambda spec: state)
    model = built("densenet121", meta=False, blocks=3, weights="imagenet", size=96)
    own = model.network.state_dict()
    assert own["features.norm5.weight"].shape == state["features.norm5.weight"].shape and own["features.norm5.weight"].eq(1).all()
    same = [key for key in own if key.startswith("features.") and torch.equal(own[key], state[key])]
    assert {key for key in own if key.startswith("features.") and "norm5" not in key} == set(same) - {
        "features.norm5.num_batches_tracked"}
    assert "normalisation after it is new" in " ".join(model.notes)


@pytest.mark.parametrize("name, changes", [("resnet18", {"blocks": 2}), ("squeezenet1_1", {"block_layers": 3}),
                                           ("cnn", {"blocks": 1}), ("densenet121", {"blocks": 1, "block_layers": 7})])
def test_blocks_that_there_are_not_are_refused(name, changes):
    with pytest.raises(LightboxError) as error:
        built(name, **changes)
    assert error.value.code == "model.blocks"


# --- freezing ---

def one_step(model) -> dict:
    """State before and after a step of training on random images."""
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    model.train()
    nn.functional.cross_entropy(model(torch.rand(8, 1, 28, 28)), torch.tensor([0, 1] * 4)).backward()
    optimiser.step()
    return {key: torch.equal(value, before[key]) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name, upto, still", [
    ("resnet18", "all", ("conv1.", "bn1.", "layer")), ("resnet18", "layer2", ("conv1.", "bn1.", "layer1.", "layer2.")),
    ("densenet121", "denseblock2", ("features.conv0.", "features.norm0.", "features.denseblock1.", "features.transition1.",
                                    "features.denseblock2.")),
    ("resnet18", "none", ()), ("cnn", "layer2", ("layers.layer1.", "layers.layer2."))])
def test_what_is_frozen_stands_still_and_the_rest_moves(name, upto, still):
    model = build_model(ModelConfig(name=name, freeze=upto), **SMALL)
    same = one_step(model)
    frozen = {key for key in same if key.startswith(tuple(f"network.{part}" for part in still))} if still else set()
    assert all(same[key] for key in frozen) and bool(frozen) == bool(still)
    moving = [key for key in same if key not in frozen and not key.endswith(("bias", "conv0.weight"))]
    assert sum(same[key] for key in moving) < 0.02 * len(moving)              # a ReLU may be dead
    assert model.frozen == (upto == "all")


def test_a_frozen_backbone_builds_no_graph_and_can_still_be_explained():
    model = build_model(ModelConfig(name="squeezenet1_1", freeze="all"), **SMALL)
    images = torch.rand(2, 1, 28, 28)
    features = model.embed(images)
    assert features.grad_fn is None and model.head(features).requires_grad
    free = build_model(ModelConfig(name="squeezenet1_1"), **SMALL)
    for layer in (None, "network.features.4"):
        maps = grad_cam(model, images, torch.tensor([0, 1]), layer)
        assert torch.equal(maps, grad_cam(free, images, torch.tensor([0, 1]), layer)) and maps.max() > 0
    assert features.requires_grad is False and not model.network.features.training


def test_a_frozen_backbone_gives_the_same_features_in_training_mode():
    """Hidden layers with dropout count as well: a VGG has two of them before its last layer."""
    model = built("vgg16", freeze="all", dropout=0.5).train()
    assert model.frozen and not any(m.training for m in model.network.classifier[:-1]) and model.network.classifier[-1].training
    assert model.network.dropout.training and not built("vgg16", freeze="conv5").frozen
    model = build_model(ModelConfig(name="cnn", freeze="all", cnn_spatial_dropout=0.5), **SMALL).train()
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(model.embed(images), model.embed(images))


def test_thawing_makes_everything_learn_again():
    model = build_model(ModelConfig(name="resnet18", freeze="layer3"), **SMALL)
    model.freeze("none")
    assert all(p.requires_grad for p in model.parameters()) and all(m.training for m in model.modules()) and not model.frozen
    model.eval().freeze("all")
    assert not any(m.training for m in model.modules())                       # what was in evaluation mode stays there


def test_a_stage_that_cannot_be_frozen_names_those_that_can():
    with pytest.raises(LightboxError, match="none, all, layer1, layer2") as error:
        built("resnet18", cut="layer2", freeze="layer3")
    assert error.value.code == "model.freeze"


# --- normalisation ---

@pytest.mark.parametrize("normalise, weights, expected", [
    ("imagenet", "none", ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))), ("half", "none", ((0.5,) * 3, (0.5,) * 3)),
    ("none", "none", ((0.0,) * 3, (1.0,) * 3)), ("auto", "none", ((0.5,) * 3, (0.5,) * 3)),
    ("own", "none", ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))])
def test_pixels_are_normalised_as_asked(normalise, weights, expected):
    with torch.device("meta"):
        model = build_model(ModelConfig(name="small_cnn", normalise=normalise), classes=2, size=28, channels=3,
                            statistics=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    assert (model.preprocessing.mean, model.preprocessing.std) == expected
