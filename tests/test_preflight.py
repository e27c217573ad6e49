"""What is refused before it is queued fails when it is tried, with the same error; what is not refused works."""

import cv2
import numpy as np
import pytest
from safetensors.torch import save_file

from core.config import RunConfig
from core.datasets import look_ahead, open_dataset
from core.errors import LightboxError
from core.runs import preflight
from core.runs.device import resolve
from core.runs.initial_weights import build_for
from core.runs.store import RunStore
from core.trainers import classifier
from core.trainers.batches import SplitData
from tests.followed import CPU
from tests.tiny import tiny_config, tiny_npz

WORKS = {"plain": {}, "the weights that came along": {"model.weights": "run:phantom-body-part"}, "a cut": {"model.cut": "fire5"},
         "frozen": {"model.freeze": "all", "model.weights": "run:phantom-body-part"},
         "some of the weights": {"model.name": "squeezenet1_0", "model.weights": "run:phantom-body-part"},
         "five folds": {"data.folds": 5, "data.fold": 4, "data.split": "image"}, "a focal loss": {"train.loss": "focal"},
         "a cycle an epoch": {"optim.schedule": "cyclic", "optim.cycles": 3}}
FAILS = {"weights of another network": {"model.name": "resnet18", "model.weights": "run:phantom-body-part"},
         "a run that is gone": {"model.weights": "run:20200101-000000-0000"}, "no file": {"model.weights": "file:/nowhere.st"},
         "a file of another network": {"model.weights": "file:{folder}/other.safetensors"},
         "no weights at all": {"model.weights": "file:{folder}/tiny.npz"}, "nonsense": {"model.weights": "best"},
         "nobody's weights": {"model.name": "small_cnn", "model.weights": "imagenet"},
         "a cut beyond": {"model.cut": "fire12"}, "a layer that is not there": {"model.freeze": "layer9"},
         "a layer behind the cut": {"model.cut": "fire3", "model.freeze": "fire7"}, "no dense blocks": {"model.blocks": 2},
         "too small": {"model.name": "densenet121", "model.stem": "standard"},
         "poolings without end": {"model.name": "cnn", "model.cnn_layers": 8},
         "filters without end": {"model.name": "cnn", "model.cnn_layers": 10, "model.cnn_filters": "funnel_in",
                                 "model.cnn_pool_stride": 1},
         "no order": {"data.dataset": "{folder}/three/tiny.npz", "train.loss": "ordinal"},
         "no such set": {"data.dataset": "nope"},
         "more cycles than epochs": {"optim.schedule": "cyclic", "optim.cycles": 4},
         "no such device": {"train.device": "cuda:7"}, "no such task": {"data.target": "age"},
         "no such fold": {"data.folds": 1}, "all folds at once": {"data.folds": 3, "data.fold": -1, "data.split": "image"},
         "no such class": {"data.label_map": "7=seven"}, "no class left": {"data.label_map": "0=a, 1=a"},
         "only tests": {"data.dataset": "{folder}/tests.npz"}, "one to validate": {"data.dataset": "{folder}/one.npz"},
         "no official split": {"data.dataset": "{folder}/whole.npz", "data.split": "official"}}


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(preflight, "machine", lambda: CPU)          # to look for a GPU in each new home takes seconds
    monkeypatch.setattr("core.runs.store.machine", lambda: CPU)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    (folder / "three").mkdir()
    arrays = dict(np.load(tiny_npz(folder)))
    tiny_npz(folder / "three", classes=3)
    np.savez(folder / "whole.npz", **{name: array for name, array in arrays.items() if "train" in name})
    np.savez(folder / "tests.npz", **{name: array for name, array in arrays.items() if "test" in name})
    np.savez(folder / "one.npz", **arrays | {name: arrays[name][:1] for name in ("val_images", "val_labels")})
    import torch
    save_file({"layer.weight": torch.zeros(3, 3)}, folder / "other.safetensors")
    return folder


def made(folder, changes) -> RunConfig:
    return tiny_config(folder / "tiny.npz", **{name: value.format(folder=folder) if isinstance(value, str) else value
                                               for name, value in changes.items()})


def first_step(config: RunConfig) -> None:
    """What a trainer does up to its first step, without asking before."""
    resolve(config.train.device, CPU["devices"])
    data = open_dataset(config.data)
    preflight.require_training(data)
    state = classifier.TrainState.fresh(build_for(config, data), config)
    next(iter(classifier.train(state, SplitData.of(data, "train"), SplitData.of(data, "val"), config)))


@pytest.mark.parametrize("why", WORKS)
def test_what_is_not_refused_works(folder, why):
    config = made(folder, WORKS[why])
    preflight.require_possible(config)
    first_step(config)


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("why", FAILS)
def test_what_is_refused_would_fail_with_the_same_error(folder, why, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    config = made(folder, FAILS[why])
    if opened:
        with pytest.raises(LightboxError) as failed:
            first_step(config)
    with pytest.raises(LightboxError) as refused:
        preflight.require_possible(config)
    assert refused.value.hint and (not opened or failed.value.code == refused.value.code)
    mend = preflight.mend_of(config, refused.value)
    assert (mend is None) == (why == "no such set"), refused.value.code
    if mend:
        preflight.require_possible(config.with_(**mend.changes))


def test_images_of_one_class_are_refused(tmp_path):
    arrays = dict(np.load(tiny_npz(tmp_path)))
    arrays["train_labels"][:] = 1
    np.savez(tmp_path / "one.npz", **arrays)
    with pytest.raises(LightboxError, match="All training images are of the class 1"):
        preflight.require_possible(tiny_config(tmp_path / "one.npz"))


def test_labels_and_split_are_the_same_before_and_after_the_images_are_prepared(tmp_path):
    data = tiny_config(tiny_npz(tmp_path, n=40), **{"data.split": "image", "data.label_map": "0=ill, 1=well"}).data
    before = look_ahead(data)
    after = open_dataset(data)
    assert len(before.images) == 0 and len(after.images) == 60
    assert (before.split_hash, before.class_names) == (after.split_hash, after.class_names)
    assert after.class_names == ("well", "ill")
    assert before.labels.tolist() == after.labels.tolist()


def test_the_command_refuses_before_there_is_a_run(folder, tmp_path, monkeypatch, capsys):
    from core.__main__ import main
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    monkeypatch.setattr("core.runs.store.start_worker", lambda root, device: pytest.fail("a trainer was started"))
    train = ["train", "--dataset", str(folder / "tiny.npz"), "--size", "28", "--queue"]
    assert main(["train", "--dataset", "nope"]) == 2 and "no data set" in capsys.readouterr().err
    assert main([*train, "--set", "model.weights=run:phantom-body-part"]) == 2
    said = capsys.readouterr().err
    assert "a SqueezeNet 1.1: none of its weights fit a ResNet-18. Choose the same" in said
    assert main([*train, "--grid", "model.name=resnet18,squeezenet1_1", "--set", "model.weights=run:phantom-body-part"]) == 2
    assert "In the run ResNet-18" in capsys.readouterr().err and not RunStore().list()


def test_a_folder_in_the_folder_where_one_stands_is_found_by_the_trainer_in_another(folder, tmp_path, monkeypatch, capsys):
    from core.__main__ import main
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("core.runs.store.start_worker", lambda root, device: None)
    monkeypatch.chdir(tmp_path)
    for name in ("wards", "phantom"):                     # the second is a known set, which it stays
        for label in ("ill", "well"):
            (tmp_path / name / label).mkdir(parents=True)
            for k in range(20):
                cv2.imwrite(str(tmp_path / name / label / f"{k}.png"), np.full((20, 20), 3 * k + 90 * (label == "ill"), np.uint8))
        assert main(["train", "--dataset", name, "--size", "28", "--queue"]) == 0
        run = RunStore().get(capsys.readouterr().out.split()[-1])
        assert run.config.data.dataset == (str(tmp_path / "wards") if name == "wards" else "phantom")
    assert main(["train", "--set", "data.dataset=wards", "--size", "28", "--grid", "data.dataset=wards,./wards", "--queue"]) == 0
    assert RunStore().get(capsys.readouterr().out.split()[-1]).config.data.dataset == str(tmp_path / "wards")
