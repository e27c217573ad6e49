"""Weights of one's own: names as CheXNet's files have them, what does not fit is said, and nothing but numbers is let in."""

import json
import os
import pickle
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from core.config import ModelConfig
from core.errors import LightboxError
from core.models import build_model


def start(path, name: str = "small_cnn", classes: int = 2, size: int = 28, channels: int = 1, **changes):
    config = replace(ModelConfig(name=name, weights=f"file:{path}"), **changes)
    return build_model(config, classes=classes, size=size, channels=channels)


def refused(path, **options) -> LightboxError:
    with pytest.raises(LightboxError) as error:
        start(path, **options)
    return error.value


def small_state(classes: int = 2, seed: int = 1) -> dict:
    model = build_model(ModelConfig(name="small_cnn"), classes=classes, size=28, channels=1, seed=seed)
    return {key: value.clone() for key, value in model.network.state_dict().items()}


def old_name(key: str) -> str:
    """As torch before 0.4 wrote it: denselayer1.norm.1.weight."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))(\d)\.", r"\1.\2.", key)


@pytest.fixture(scope="module")
def chexnet():
    """Its network with random numbers: DenseNet-121, fourteen findings, a sigmoid after the linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return dict(torchvision.models.densenet121(weights=None, num_classes=14).state_dict())


@pytest.mark.parametrize("written", [
    lambda key: key,
    lambda key: "densenet121." + key,
    lambda key: "module.densenet121." + old_name(key).replace("classifier.", "classifier.0."),          # CheXNet's
    lambda key: "module." + key.replace("classifier.", "classifier.0."),
    lambda key: "network." + key])                                                                       # a Lightbox checkpoint
def test_names_of_chexnets_kind_are_found(chexnet, written, tmp_path):
    save_file({written(key): value for key, value in chexnet.items()}, tmp_path / "a.safetensors")
    model = start(tmp_path / "a.safetensors", "densenet121", classes=14, size=96, channels=3)
    own = model.network.state_dict()
    assert own.keys() == chexnet.keys() and all(torch.equal(own[key], value) for key, value in chexnet.items())
    counted = sum(not key.endswith("num_batches_tracked") for key in chexnet)
    assert model.notes[0] == f"{counted} of the {counted} tensors in a.safetensors were taken."
    assert len(model.notes) == 2 and "does not say how pixels were normalised" in model.notes[1]


def test_other_classes_gray_images_and_a_small_stem_take_what_fits_and_say_the_rest(chexnet, tmp_path):
    save_file({f"module.densenet121.{key}": value for key, value in chexnet.items()} | {"epoch.loss": torch.ones(1)},
              tmp_path / "a.safetensors")
    gray = start(tmp_path / "a.safetensors", "densenet121", size=96)
    own = gray.network.state_dict()
    assert torch.equal(own["features.conv0.weight"], chexnet["features.conv0.weight"].sum(1, keepdim=True))
    said = " ".join(gray.notes)
    assert "604 of the 607 tensors" in said
    assert "epoch.loss, module.densenet121.classifier.bias, module.densenet121.classifier.weight of the file have no" in said
    assert "colour filters of the first layer were added up" in said
    assert "classifier.weight, classifier.bias of this network are not in the file, or of another shape" in said

    small = start(tmp_path / "a.safetensors", "densenet121", size=28).network.state_dict()
    assert small["features.norm0.running_var"].eq(1).all()                    # of another convolution
    assert torch.equal(small["features.denseblock1.denselayer1.conv1.weight"],
                       chexnet["features.denseblock1.denselayer1.conv1.weight"])
    kept = start(tmp_path / "a.safetensors", "densenet121", size=96, blocks=3).network.state_dict()
    assert kept["features.norm5.weight"].shape == chexnet["features.norm5.weight"].shape
    assert torch.equal(kept["features.denseblock3.denselayer24.conv2.weight"],
                       chexnet["features.denseblock3.denselayer24.conv2.weight"])


def test_half_precision_is_read_as_float32(tmp_path):
    state = small_state()
    save_file({key: value.half() for key, value in state.items()}, tmp_path / "half.safetensors")
    own = start(tmp_path / "half.safetensors").network.state_dict()
    assert all(torch.equal(value, state[key].half().float()) for key, value in own.items())


def test_the_same_seed_with_a_file_leaves_the_random_state_alone(tmp_path):
    save_file({"features.conv1.weight": torch.ones(16, 1, 3, 3)}, tmp_path / "one.safetensors")
    before = torch.get_rng_state()
    model = start(tmp_path / "one.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    other = build_model(ModelConfig(name="small_cnn"), classes=2, size=28, channels=1).network.state_dict()
    for key, value in model.network.state_dict().items():
        assert value.eq(1).all() if key == "features.conv1.weight" else torch.equal(value, other[key])
    assert "1 of the 1 tensors" in model.notes[0] and "and 6 more of this network are not in the file" in model.notes[1]


def test_a_file_that_is_not_there_says_what_to_give(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        error = refused(path)
        assert error.code == "weights.missing" and str(path) in str(error)


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def header(described: dict, data: bytes = b"") -> bytes:
    text = json.dumps(described).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_what_is_no_safe_file_of_finite_numbers_is_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    path, state = tmp_path / "bad.safetensors", small_state()
    save_file(state, path)
    good = path.read_bytes()
    torch.save(state, path)
    pth = path.read_bytes()
    first = {"features.conv1.weight": {"dtype": "F32", "shape": [16, 1, 3, 3], "data_offsets": [0, 576]}}
    bad = {"empty": b"", "short": b"abc", "half": good[:len(good) // 2], "cut header": good[:40], "pth": pth,
           "pickle": pickle.dumps(Bomb(), protocol=2), "a header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
           "a list": struct.pack("<Q", 2) + b"[]", "no dtype": header({"a": {}}), "numbers": header({"a": 1}),
           "integers": header({"features.conv1.weight": {**first["features.conv1.weight"], "dtype": "I64"}}, bytes(1152)),
           "too little data": header(first, bytes(10)), "deep": struct.pack("<Q", 200_000) + b"[" * 200_000}
    for what, data in bad.items():
        path.write_bytes(data)
        assert refused(path).code == "weights.broken", what
    for value in (float("nan"), float("inf")):
        save_file({**state, "fc.bias": torch.tensor([0.0, value])}, path)
        error = refused(path)
        assert error.code == "weights.broken" and "fc.bias holds a number that is not finite" in str(error)
    save_file({**state, "fc.bias": torch.tensor([0.0, 1e300], dtype=torch.float64)}, path)            # infinite as float32
    assert refused(path).code == "weights.broken"
    save_file({**state, "module.fc.bias": torch.zeros(2)}, path)
    assert "two of its tensors stand for fc.bias" in str(refused(path))
    assert not (tmp_path / "exploded").exists()


def test_a_file_that_is_too_large_is_refused_by_its_size_alone(tmp_path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(5 * 2**30)                                              # a hole: nothing is written
    assert "5.0 GB" in str(refused(path))


def test_another_networks_file_fits_nowhere(tmp_path):
    save_file({"encoder.block.weight": torch.ones(3)}, tmp_path / "a.safetensors")
    error = refused(tmp_path / "a.safetensors")
    assert error.code == "weights.unlike" and "encoder.block.weight" in str(error)


def test_networks_of_which_there_are_no_imagenet_weights_say_so():
    for name in ("densenet264", "small_cnn", "cnn"):
        with torch.device("meta"), pytest.raises(LightboxError, match="no ImageNet weights") as error:
            build_model(ModelConfig(name=name, weights="imagenet"), classes=2, size=64, channels=1)
        assert error.value.code == "weights.unavailable"
    with torch.device("meta"), pytest.raises(LightboxError, match="cannot start from"):
        build_model(ModelConfig(weights="imagenette"), classes=2, size=64, channels=1)


# --- a run: its start from the training images, a file, another run ---

@pytest.fixture
def store(monkeypatch):
    from core.runs.store import RunStore
    monkeypatch.setattr("core.runs.store.machine", lambda: {"devices": [{"device": "cpu", "name": "CPU", "memory_bytes": 1}]})
    return RunStore()


@pytest.mark.parametrize("channels", [1, 3])
def test_own_normalisation_is_the_mean_and_deviation_of_the_training_images(store, tmp_path, channels):
    from core.datasets import open_dataset
    from core.runs.initial_weights import build_for_run
    from tests.tiny import tiny_config, tiny_npz
    config = tiny_config(tiny_npz(tmp_path), **{"model.name": "small_cnn", "model.normalise": "own", "data.channels": channels})
    data = open_dataset(config.data)
    model = build_for_run(store.create(config), data)
    pixels = np.asarray(data.images[data.indices("train")], dtype=np.float64) / 255
    np.testing.assert_allclose(model.preprocessing.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(model.preprocessing.std, pixels.std((0, 1, 2)), rtol=1e-12)
    assert len(model.preprocessing.mean) == channels
    normalised = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - model.mean) / model.std
    assert abs(float(normalised.mean())) < 1e-4 and float(normalised.std()) == pytest.approx(1, abs=1e-3)


def test_channel_statistics_are_exact_where_a_float_would_not_be():
    from core.datasets.statistics import channel_statistics
    images = np.random.default_rng(0).integers(0, 256, (300, 130, 130, 3), dtype=np.uint8)       # more than one piece
    images[..., 1] = 255
    mean, std = channel_statistics(images, np.arange(1, 300, 2))
    chosen = images[1::2].astype(np.float64)
    np.testing.assert_allclose(mean, chosen.mean((0, 1, 2)) / 255, rtol=1e-13)
    np.testing.assert_allclose(std, chosen.std((0, 1, 2)) / 255, rtol=1e-10, atol=1e-15)
    assert mean[1] == 1 and std[1] == 0


def test_an_earlier_run_gives_what_fits_another_head_and_cut_and_its_normalisation(store, tmp_path):
    from core.datasets import open_dataset
    from core.runs.classifiers import load_classifier
    from core.runs.initial_weights import build_for_run
    from core.worker import queue_worker
    from tests.tiny import tiny_config, tiny_npz
    path = tiny_npz(tmp_path)
    first = store.create(tiny_config(path, **{"model.name": "small_cnn", "model.normalise": "own", "train.epochs": 1}))
    store.queue.claim("cpu")
    queue_worker.train_run(first, store.root)
    before = load_classifier(first.id).model
    config = tiny_config(path, **{"model.name": "small_cnn", "model.weights": f"run:{first.id}", "model.head": "mlp",
                                  "model.cut": "conv3", "model.freeze": "all"})
    model = build_for_run(store.create(config), open_dataset(config.data))
    assert model.preprocessing.mean == before.preprocessing.mean and model.frozen
    for key, value in model.network.features.state_dict().items():
        assert torch.equal(value, before.network.features.state_dict()[key])
    assert "6 of 12 tensors do not fit" in " ".join(model.notes)
    other = config.with_(**{"model.name": "resnet18", "model.cut": ""})
    with pytest.raises(LightboxError, match="none of its weights fit"):
        build_for_run(store.create(other), open_dataset(other.data))
