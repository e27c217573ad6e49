"""The networks against torchvision's own, and their weights through its own loader."""

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn

from core.config import ModelConfig
from core.errors import LightboxError
from core.models import MODELS, build_model
from core.models.classifier import Classifier, Preprocessing
from core.models.network import Network
from tests.tiny import count_parameters

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# torchvision's documentation, ImageNet-1K
PUBLISHED = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
             "resnet152": 60_192_808, "densenet121": 7_978_856, "densenet161": 28_681_000, "densenet169": 14_149_480,
             "densenet201": 20_013_928, "squeezenet1_0": 1_248_424, "squeezenet1_1": 1_235_496, "vgg16": 138_357_544}
OWN = {"own_resnet18": "resnet18", "own_resnet50": "resnet50"}
OTHERS = {"densenet264", "small_cnn", "cnn"}                  # of these nothing is published: closed forms below
QUICK = ("resnet18", "densenet121", "squeezenet1_0", "small_cnn", "cnn", "own_resnet18")
STEM = {"resnet18": "conv1.", "densenet121": "features.conv0.", "squeezenet1_1": "features.0.", "own_resnet18": "conv1."}
HEAD = {"resnet18": "fc.", "densenet121": "classifier.", "squeezenet1_1": "classifier.1.", "own_resnet18": "fc."}


def config(name: str, **changes) -> ModelConfig:
    return replace(ModelConfig(name=name), **changes)


def theirs(name: str, seed: int = 7, **kwargs) -> nn.Module:
    """torchvision's own model, batch norm statistics as after training, no ReLU on SqueezeNet's logits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = torchvision.models.get_model(name, weights=None, **kwargs)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    if name.startswith("squeezenet"):
        model.classifier[2] = nn.Identity()
    return model.eval()


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    """An empty TORCH_HOME, and a network that is down."""
    def down(url, *args, **kwargs):
        raise URLError("the network is down")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", down)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def stand_in(folder: Path, name: str) -> dict:
    """Random weights in a file as torchvision offers it; for DenseNet with the old names and the old format."""
    state = theirs(OWN.get(name, name)).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))(\d)\.", r"\1.\2.", key): value for key, value in state.items()
           if not (name.startswith("densenet") and key.endswith("num_batches_tracked"))}
    torch.save(old, folder / MODELS[name].weights_file, _use_new_zipfile_serialization=not name.startswith("densenet"))
    return state


def test_all_are_judged():
    assert set(MODELS) == set(PUBLISHED) | set(OWN) | OTHERS


@pytest.mark.parametrize("name", [*PUBLISHED, *OWN])
def test_has_as_many_parameters_as_published(name):
    counted = count_parameters(config(name), classes=1000, size=224, channels=3)
    assert counted == PUBLISHED[OWN.get(name, name)] == MODELS[name].parameters


@pytest.mark.parametrize("name", ["densenet121", "densenet169", "densenet201", "densenet264"])
def test_densenets_are_as_large_as_their_paper_makes_them(name):
    """Huang et al., table 1, growth k = 32: a layer is batch norm, 1x1 to 4k, batch norm, 3x3 to k; a transition batch norm and
    1x1 to half. No library at hand has densenet264, so the sum for its row is compared; the same sum gives the published
    numbers of the others."""
    rows = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32),
            "densenet264": (6, 12, 64, 48)}
    k, width, total = 32, 64, 3 * 64 * 49 + 2 * 64
    for block, layers in enumerate(rows[name]):
        for _ in range(layers):
            total += 2 * width + width * 4 * k + 2 * 4 * k + 4 * k * k * 9
            width += k
        if block < 3:
            total += 2 * width + width * (width // 2)
            width //= 2
    total += 2 * width + (width + 1) * 1000
    assert count_parameters(config(name), classes=1000, size=224, channels=3) == total == MODELS[name].parameters


@pytest.mark.parametrize("name, filters", [("small_cnn", (16, 32, 64, 128)), ("cnn", (64,) * 5)])
def test_plain_networks_are_as_large_as_their_layers(name, filters):
    total = sum(9 * a * b + b for a, b in zip((3, *filters), filters)) + (filters[-1] + 1) * 1000
    assert count_parameters(config(name), classes=1000, size=224, channels=3) == total == MODELS[name].parameters


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_have_torchvisions_names_and_shapes(name):
    with torch.device("meta"):
        ours = build_model(config(name), classes=1000, size=224, channels=3).network.state_dict()
        expected = torchvision.models.get_model(name, weights=None).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.parametrize("name", [*PUBLISHED, *OWN])
def test_the_weights_file_is_the_one_that_torchvision_looks_for(name):
    weights = torchvision.models.get_model_weights(OWN.get(name, name))
    assert weights.IMAGENET1K_V1.url.endswith("/" + MODELS[name].weights_file)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "squeezenet1_0", "own_resnet18", "own_resnet50"])
def test_gives_the_same_logits_as_torchvision(name):
    preprocessing = Preprocessing(224, "pad", 3, tuple(IMAGENET_MEAN), tuple(IMAGENET_STD))
    model = build_model(config(name), classes=1000, size=224, channels=3, preprocessing=preprocessing)
    other = theirs(OWN.get(name, name))
    model.network.load_state_dict(other.state_dict())
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = other(torchvision.transforms.functional.normalize(images, IMAGENET_MEAN, IMAGENET_STD))
        assert expected.std() > 1e-3
        torch.testing.assert_close(model.eval()(images), expected, rtol=1e-5, atol=1e-5)


def test_vgg_gives_the_same_logits_as_torchvision():
    """With fewer filters and hidden numbers: the real one has 138 million weights, and the same code."""
    from core.models.backbones import FAMILIES, _with_its_own_head
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = torchvision.models.vgg.make_layers([8, "M", 8, "M", 512, "M"])
        with torch.device("meta"):
            other = torchvision.models.VGG(features, init_weights=False).eval()
        for i, (a, b) in enumerate(((512 * 49, 16), (16, 16), (16, 5))):
            other.classifier[3 * i] = nn.Linear(a, b)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, state = other(images), {k: v.clone() for k, v in other.state_dict().items()}
        ours = _with_its_own_head(other, FAMILIES["vgg"], ("features",), config("vgg16"), 5, 3).eval()
        ours.load_state_dict(state)
        torch.testing.assert_close(ours(images), expected)


@pytest.mark.parametrize("size, channels", [(16, 1), (65, 3)])                    # the least of either stem
@pytest.mark.parametrize("name", [name for name in MODELS if name != "cnn"])     # its maps are what its knobs make them
def test_no_feature_map_vanishes(name, size, channels):
    sides = []
    with torch.device("meta"):
        model = build_model(config(name), classes=3, size=size, channels=channels).eval()
        for stage in model.stages:
            model.get_submodule(stage).register_forward_hook(lambda module, inputs, output: sides.append(output.shape[2]))
        assert model(torch.empty(1, channels, size, size)).shape == (1, 3)
    assert sides == sorted(sides, reverse=True) and sides[-1] >= 2


def test_the_small_stem_keeps_the_resolution_as_the_field_does_at_28_px():
    model, sides = build_model(config("resnet18"), classes=2, size=28, channels=1).eval(), []
    for stage in model.stages:
        model.get_submodule(stage).register_forward_hook(lambda module, inputs, output: sides.append(output.shape[2]))
    model(torch.rand(1, 1, 28, 28))
    assert sides == [28, 14, 7, 4]              # He et al., section 4.2, for 32 px: 32, 16, 8, (4)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "cnn"])
def test_the_standard_stem_says_which_size_it_needs(name):
    smallest = MODELS[name].smallest
    with torch.device("meta"):                                # a map that vanishes raises there as well
        model = build_model(config(name, stem="standard"), classes=2, size=smallest, channels=1).eval()
        assert model(torch.empty(1, 1, smallest, smallest)).shape == (1, 2)
    if smallest > 16:
        with torch.device("meta"), pytest.raises(RuntimeError):
            model(torch.empty(1, 1, smallest - 1, smallest - 1))
        with pytest.raises(LightboxError, match=f"at least {smallest} px") as error:
            build_model(config(name, stem="standard"), classes=2, size=smallest - 1, channels=1)
        assert error.value.code == "model.size"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(LightboxError, match="squeezenet1_1") as error:
        build_model(config("resnet1"), classes=2, size=28, channels=1)
    assert error.value.code == "model.unknown"


@pytest.mark.parametrize("name", STEM)
def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone(name):
    def build(seed):
        return build_model(config(name), classes=2, size=28, channels=1, seed=seed).state_dict()

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert all(torch.equal(value, first[key]) for key, value in build(0).items())
    assert not torch.equal(build(1)[f"network.{STEM[name]}weight"], first[f"network.{STEM[name]}weight"])


@pytest.mark.parametrize("name, small, expected", [           # He et al., ICCV 2015: sqrt(2 / fan)
    ("resnet18", True, (2 / (64 * 9)) ** 0.5), ("resnet18", False, (2 / (64 * 49)) ** 0.5),         # fan out
    ("densenet121", True, (2 / 9) ** 0.5), ("densenet121", False, (2 / 49) ** 0.5),                 # fan in
    ("squeezenet1_1", True, (2 / 9) ** 0.5), ("squeezenet1_1", False, (2 / 9) ** 0.5)])
def test_new_layers_start_as_torchvisions_do(name, small, expected):
    state = build_model(config(name), classes=500, size=64 if small else 96, channels=1).network.state_dict()
    assert state[f"{STEM[name]}weight"].std() == pytest.approx(expected, rel=0.15)      # of 576 numbers
    head, other = state[f"{HEAD[name]}weight"], theirs(name, num_classes=500).state_dict()[f"{HEAD[name]}weight"]
    assert head.std() == pytest.approx(float(other.std()), rel=0.02)
    assert state[f"{HEAD[name]}bias"].eq(0).all() == (name != "resnet18")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("name", STEM)
def test_imagenet_weights_go_where_they_fit(name, small, channels, torch_home):
    state = stand_in(torch_home, name)
    model = build_model(config(name, weights="imagenet"), classes=2, size=64 if small else 96, channels=channels)
    fresh = [HEAD[name]]
    if small and name != "squeezenet1_1":
        fresh += [STEM[name], STEM[name].replace("conv", "norm"), "bn1."]
    loaded = 0
    for key, value in model.network.state_dict().items():
        if key.startswith(tuple(fresh)) or key.endswith("num_batches_tracked"):
            continue
        expected = state[key].sum(1, keepdim=True) if channels == 1 and key == f"{STEM[name]}weight" else state[key]
        assert torch.equal(value, expected), key
        loaded += 1
    assert loaded >= len([key for key in state if not key.endswith("num_batches_tracked")]) - 7
    if len(fresh) > 1:                                        # no statistics of another convolution
        norm = "features.norm0" if name == "densenet121" else "bn1"
        assert model.network.get_submodule(norm).running_mean.eq(0).all()
    said = " ".join(model.notes)
    assert "last layer is new" in said
    assert ("7x7" in said) == (small and not name.startswith("squeezenet"))
    assert ("0.449, 0.226" in said) == (channels == 1)
    assert model.preprocessing.mean == ((0.449,) if channels == 1 else tuple(IMAGENET_MEAN))


@pytest.mark.parametrize("name", STEM)
def test_a_gray_network_equals_the_colour_one_on_repeated_gray(name, torch_home):
    stand_in(torch_home, name)
    gray = build_model(config(name, weights="imagenet"), classes=4, size=96, channels=1).eval()
    colour = build_model(config(name, weights="imagenet"), classes=4, size=96, channels=3,
                         preprocessing=Preprocessing(96, "pad", 3, (0.449,) * 3, (0.226,) * 3)).eval()
    head = HEAD[name].rstrip(".")
    colour.network.get_submodule(head).load_state_dict(gray.network.get_submodule(head).state_dict())
    images = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(gray(images), colour(images.repeat(1, 3, 1, 1)), rtol=1e-4, atol=1e-5)


def test_weights_that_cannot_be_fetched_say_where_to_put_the_file(torch_home, capfd):
    with pytest.raises(LightboxError) as error:
        build_model(config("resnet18", weights="imagenet"), classes=2, size=96, channels=1)
    assert error.value.code == "weights.unavailable"
    assert str(torch_home / "resnet18-f37072fd.pth") in str(error.value)
    assert capfd.readouterr().out == ""                       # stdout is for results


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["TORCH_HOME"] + "/exploded",)


def test_a_file_that_is_not_these_weights_is_refused_and_not_run(torch_home):
    file = torch_home / MODELS["resnet18"].weights_file
    stand_in(torch_home, "resnet18")
    good = file.read_bytes()
    torch.save(theirs("squeezenet1_1").state_dict(), file)
    other = file.read_bytes()
    torch.save(theirs("resnet18", num_classes=10).state_dict() | {"conv1.weight": torch.zeros(64, 3, 5, 5)}, file)
    shape = file.read_bytes()
    torch.save([1, 2], file)
    unlike, code = file.read_bytes(), pickle.dumps({"fc": Bomb()}, protocol=2)
    for bad in (b"", b"not weights at all", good[:len(good) // 2], other, shape, unlike, code):
        file.write_bytes(bad)
        with pytest.raises(LightboxError) as error:
            build_model(config("resnet18", weights="imagenet"), classes=2, size=96, channels=3)
        assert error.value.code == "weights.broken" and str(file) in str(error.value)
    assert not (torch_home.parent.parent / "exploded").exists()


def test_the_real_squeezenet_weights_load(real_data, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(real_data / "torch_home"))
    model = build_model(config("squeezenet1_1", weights="imagenet"), classes=2, size=224, channels=3).eval()
    other = torchvision.models.squeezenet1_1(weights="IMAGENET1K_V1").eval()
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = other.features(torchvision.transforms.functional.normalize(images, IMAGENET_MEAN, IMAGENET_STD))
        ours = model.network.features((images - model.mean) / model.std)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_normalises_its_own_input_and_saves_only_weights():
    nothing = Network({"same": nn.Identity()}, trunk=("same",), pool=(), head=("same",), width=12)
    model = Classifier(nothing, Preprocessing(2, "pad", 3, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)), task="multi-class",
                       class_names=("a",), stages=())
    images = torch.full((1, 3, 2, 2), 0.7)
    torch.testing.assert_close(model(images)[0, :, 0, 0], torch.tensor([1.2, 2.0, 0.2]))
    assert model.state_dict() == {}
    with pytest.raises(TypeError, match="floating point"):
        model(torch.ones(1, 3, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize("task", ["binary-class", "multi-class", "ordinal-regression", "multi-label, binary-class"])
def test_probabilities_follow_the_task(task):
    model = build_model(config("squeezenet1_1"), classes=2, size=16, channels=1, task=task)
    probs = model.probabilities(torch.tensor([[0.0, 2.0]], dtype=torch.bfloat16))
    expected = [0.5, 0.880797] if task.startswith("multi-label") else [0.119203, 0.880797]    # 1 / (1 + e^-2)
    torch.testing.assert_close(probs, torch.tensor([expected]))


@pytest.mark.parametrize("name", QUICK)
def test_dropout_hides_features_in_training_only_and_renames_nothing(name):
    plain = build_model(config(name), classes=2, size=28, channels=1)
    model = build_model(config(name, dropout=0.5), classes=2, size=28, channels=1)
    assert model.state_dict().keys() == plain.state_dict().keys()
    images = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), plain.eval()(images))
        for module in model.modules():                        # all in eval mode but what drops
            module.training = isinstance(module, nn.Dropout)
        assert not torch.equal(model(images), model(images))


def test_squeezenets_logits_can_be_negative():
    model = build_model(config("squeezenet1_1"), classes=50, size=32, channels=1).eval()
    with torch.no_grad():
        assert (model(torch.rand(4, 1, 32, 32)) < 0).float().mean() > 0.2


def test_the_table_costs_no_import_of_torch():
    code = "import sys, core.models; assert core.models.MODELS and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)
