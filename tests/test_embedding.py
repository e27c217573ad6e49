"""Kept features against the backbone itself, a head on them against one trained through it, and every way to lose them."""

import dataclasses
import json
import os

import numpy as np
import pytest
import torch

from core.augment.images import augment
from core.errors import LightboxError
from core.models import build_model
from core.trainers import embedding
from core.trainers.batches import SplitData
from core.trainers.classifier import TrainState, train
from core.trainers.embedding import backbone_hash, embedded, may_embed
from core.trainers.records import EpochRecord
from tests import trained
from tests.tiny import tiny_arrays, tiny_config

one_thread = trained.one_thread          # fixture

FROZEN = {"model.name": "small_cnn", "model.freeze": "all", "train.epochs": 5, "optim.lr": 0.01, "model.dropout": 0.2}
CHANGED = {"augment.rotate": 10.0, "augment.noise": 0.5, "train.copies": 5}


@pytest.fixture(scope="module")
def splits():
    images, labels = tiny_arrays(90)
    images = images[..., None]
    return tuple(SplitData(images, rows, labels[rows], token="tiny") for rows in (np.arange(66), np.arange(66, 90)))


@pytest.fixture(scope="module")
def few(splits):
    return tuple(dataclasses.replace(split, indices=split.indices[:n], labels=split.labels[:n])
                 for split, n in zip(splits, (12, 8)))


def build(config):
    model = build_model(config.model, classes=2, size=28, channels=1, task="binary-class", seed=config.train.seed)
    model.freeze(config.model.freeze)
    return model


def run(config, splits, model=None):
    state = TrainState.fresh(model or build(config), config)
    return state.model, [r for r in train(state, *splits, config) if isinstance(r, EpochRecord)]


def through_the_backbone(model, split, copy=None, config=None):
    """(N, F), one image at a time."""
    rows = []
    for i in split.indices:
        image = torch.from_numpy(split.images[i].copy()).permute(2, 0, 1)[None].float() / 255
        if copy is not None:
            image = augment(image, config.augment, (config.train.seed, copy), torch.tensor([i]))
        with torch.no_grad():
            rows.append(model.eval().embed(image)[0])
    return torch.stack(rows).numpy()


# ------------------------------------------------------------------------------------------------------ what is in them

def test_features_equal_the_backbone_s_image_by_image(splits, tmp_path):
    config = tiny_config("x", **FROZEN | {"model.name": "squeezenet1_1"})
    model = build(config).train()
    found = embedded(model, *splits, config, tmp_path)
    for split, before in zip(found, splits):
        assert split.embedded and split.copies == 1 and split.images.dtype == np.float32
        assert split.images.shape == (len(before), model.features)
        np.testing.assert_allclose(split.images, through_the_backbone(model, before), atol=1e-5)
        np.testing.assert_array_equal(split.indices, before.indices)
        np.testing.assert_array_equal(split.labels, before.labels)


def test_each_copy_is_changed_as_its_epoch_would_and_validation_is_not(splits, tmp_path):
    config = tiny_config("x", **FROZEN | CHANGED | {"train.copies": 3, "train.measure_train": True})
    model = build(config)
    train_split, val_split = embedded(model, *splits, config, tmp_path)
    n = len(splits[0])
    assert train_split.copies == 3 and train_split.images.shape[0] == 4 * n      # the unchanged ones, to be measured
    for copy in range(3):
        np.testing.assert_allclose(train_split.images[copy * n:(copy + 1) * n],
                                   through_the_backbone(model, splits[0], copy, config), atol=1e-5)
    np.testing.assert_allclose(train_split.images[3 * n:], through_the_backbone(model, splits[0]), atol=1e-5)
    np.testing.assert_allclose(val_split.images, through_the_backbone(model, splits[1]), atol=1e-5)
    assert not np.allclose(train_split.images[:n], train_split.images[n:2 * n], atol=1e-3)


def test_no_more_copies_than_epochs(splits, tmp_path):
    config = tiny_config("x", **FROZEN | CHANGED | {"train.copies": 64, "train.epochs": 2})
    assert embedded(build(config), *splits, config, tmp_path)[0].copies == 2


def test_the_model_stays_in_its_mode_and_its_statistics_stand_still(splits, tmp_path):
    config = tiny_config("x", **FROZEN | {"model.name": "resnet18"})
    model = build(config).train()
    modes, before = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    embedded(model, *splits, config, tmp_path)
    assert torch.equal(torch.rand(2), expected) and [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


# -------------------------------------------------------------------------------------------------- what is learned of them

# concat has a batch norm: it blows up the rounding of features that are nearly the same for all images, as a SqueezeNet of
# random numbers has them, and Adam moves a weight whose gradient is nothing but rounding as far as any other: so another network.
@pytest.mark.parametrize("changes", [
    {"model.name": "squeezenet1_1"},
    {"model.name": "resnet18", "optim.name": "adam", "train.class_weights": True, "train.epochs": 3},
    {"train.sampling": "balanced", "train.accumulate": 2, "model.head": "concat", "optim.name": "sgd"},
    CHANGED,
    CHANGED | {"train.measure_train": True, "model.head": "mlp"},
], ids=lambda changes: " ".join(map(str, changes.values())) or "plain")
def test_the_head_equals_one_that_was_trained_through_the_frozen_backbone(splits, tmp_path, changes):
    config = tiny_config("x", **FROZEN | changes)
    slow, slow_records = run(config, splits)
    model = build(config)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    quick, quick_records = run(config, embedded(model, *splits, config, tmp_path), model)
    moved = 0
    for (name, a), b in zip(slow.state_dict().items(), quick.state_dict().values()):
        torch.testing.assert_close(b, a, atol=1e-4, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
        moved += not torch.equal(b, start[name])
    assert moved >= 2                                                       # the head did learn, and the rest did not
    assert all(torch.equal(p, start[name]) for name, p in quick.named_parameters() if not p.requires_grad)
    for a, b in zip(slow_records, quick_records, strict=True):
        for key in ("train_loss", "train_accuracy", "val_loss", "val_roc_auc", "val_accuracy"):
            assert b.to_json()[key] == pytest.approx(a.to_json()[key], abs=2e-4), key


def test_fewer_copies_than_epochs_come_again(splits, tmp_path):
    """With two copies the third epoch is as if it were the first again: no epoch through the backbone is."""
    config = tiny_config("x", **FROZEN | CHANGED | {"train.copies": 2})
    model = build(config)
    train_split, _ = embedded(model, *splits, config, tmp_path)
    from core.trainers.batches import Batches
    order = [np.arange(len(train_split))]
    given = Batches(train_split, torch.device("cpu"))
    (zero, _), (one, _), (two, _) = (next(given(order, epoch=epoch)) for epoch in (0, 1, 2))
    assert torch.equal(zero, two) and not torch.equal(zero, one)


@pytest.mark.parametrize("changes, may", [({}, True), ({"model.freeze": "none"}, False), ({"model.unfreeze_epoch": 2}, False),
                                          ({"train.mixup": 0.4}, False)])
def test_when_it_may_be_done(changes, may):
    config = tiny_config("x", **FROZEN | changes)
    assert may_embed(build(config), config) is may


# ------------------------------------------------------------------------------------------------------------- earlier run

def computed(monkeypatch) -> list[int]:
    """Counts the images that go through a backbone."""
    seen, real = [], embedding._Maker._features

    def count(self, images, rows, block, device):
        seen.append(len(images))
        return real(self, images, rows, block, device)
    monkeypatch.setattr(embedding._Maker, "_features", count)
    return seen


def test_a_second_run_finds_them_and_says_so(few, tmp_path, monkeypatch):
    seen, config = computed(monkeypatch), tiny_config("x", **FROZEN)
    first, _ = embedded(build(config), *few, config, tmp_path)
    assert sum(seen) == 20 and first.note.startswith("The backbone is frozen: its features were computed once, in ")
    other = config.with_(**{"optim.lr": 1e-4, "train.epochs": 9, "train.copies": 7, "model.dropout": 0.0, "model.head": "mlp"})
    second, _ = embedded(build(other), *few, other, tmp_path)
    assert sum(seen) == 20 and "earlier run" in second.note
    np.testing.assert_array_equal(first.images, second.images)
    assert {file.suffix for file in tmp_path.iterdir()} == {".npy", ".json", ".lock"}


@pytest.mark.parametrize("change", ["pixels", "rows", "unnamed pixels", "weights", "statistics", "stem", "preprocessing",
                                    "augmentation", "strength", "seed", "copies", "precision", "layout"])
def test_whatever_the_numbers_depend_on_makes_them_anew(few, tmp_path, monkeypatch, change):
    base = {**FROZEN, "model.name": "resnet18"} | CHANGED | {"train.copies": 2}
    how = {}
    config = tiny_config("x", **base)
    model, again = build(config), build(config)
    embedded(model, *few, config, tmp_path)
    seen, (train_split, val_split) = computed(monkeypatch), few
    embedded(again, *few, config, tmp_path)
    assert seen == []
    if change == "pixels":
        train_split = dataclasses.replace(train_split, token="others")
    elif change == "unnamed pixels":
        train_split = dataclasses.replace(train_split, token="")
    elif change == "rows":
        train_split = dataclasses.replace(train_split, indices=train_split.indices[::-1])
    elif change == "weights":
        with torch.no_grad():
            again.backbone_parameters()[0].view(-1)[0] += 1e-3
    elif change == "statistics":
        next(b for name, b in again.named_buffers() if "running_mean" in name)[0] += 1e-3
    elif change == "stem":
        config = config.with_(**{"model.stem": "standard"})
        again = build(config)
    elif change == "preprocessing":
        again.preprocessing = dataclasses.replace(again.preprocessing, mean=(0.4,))
    elif change in ("precision", "layout"):
        how = {"precision": {"precision": "bfloat16"}, "layout": {"channels_last": False}}[change]
    else:
        config = config.with_(**{"augmentation": {"augment.flip": 0.5}, "strength": {"augment.noise_scale": 0.1},
                                 "seed": {"train.seed": 1}, "copies": {"train.copies": 3}}[change])
    embedded(again, train_split, val_split, config, tmp_path, **how)
    assert sum(seen) >= 12, change


def test_the_head_is_no_part_of_the_backbone_s_hash():
    config = tiny_config("x", **FROZEN | {"model.head": "concat"})
    model = build(config)
    before = backbone_hash(model)
    for part in model.network.head_parts:
        for value in model.network.get_submodule(part).state_dict().values():
            value += 1
    assert backbone_hash(model) == before != backbone_hash(build(config.with_(**{"model.head": "linear"})))


# ------------------------------------------------------------------------------------------- stopped, damaged, no room

class Stop(Exception):
    pass


def stop_after(n):
    """A progress that stops at its n-th call."""
    calls = []

    def progress(sentence, done, total):
        calls.append((sentence, done, total))
        if len(calls) == n:
            raise Stop
    progress.calls = calls
    return progress


@pytest.mark.parametrize("rows", [0, 0.1, 1], ids=["whole", "torn in a row", "torn in a batch"])
def test_what_was_stopped_goes_on_there_and_ends_in_the_same_bits(few, tmp_path, monkeypatch, rows):
    monkeypatch.setitem(embedding.MOST, "cpu", (5, 2**20))
    config = tiny_config("x", **FROZEN | CHANGED | {"train.copies": 2})
    whole, _ = embedded(build(config), *few, config, tmp_path / "whole")
    stop = stop_after(6)                                              # 12 images are 3 batches: in the second copy
    with pytest.raises(Stop):
        embedded(build(config), *few, config, tmp_path, stop)
    assert stop.calls[-1][1:] == (12 + 10, 24) and "training images" in stop.calls[-1][0]
    part, = tmp_path.glob("*.part")
    with open(part, "ab") as file:
        file.write(b"x" * int(rows * 4 * whole.images.shape[1]))
    seen = computed(monkeypatch)
    again, _ = embedded(build(config), *few, config, tmp_path)
    assert sum(seen) == 24 - (12 + 10) + 8
    np.testing.assert_array_equal(again.images, whole.images)


@pytest.mark.parametrize("how", ["flipped bit", "cut", "empty", "no note", "broken note", "another shape", "not an array"])
def test_what_is_damaged_is_made_anew(few, tmp_path, monkeypatch, how):
    config = tiny_config("x", **FROZEN)
    before, _ = embedded(build(config), *few, config, tmp_path)
    kept = before.images.copy()
    for file in list(tmp_path.glob("*.npy")):
        raw = bytearray(file.read_bytes())
        if how == "flipped bit":
            raw[len(raw) // 2] ^= 1
        elif how == "cut":
            raw = raw[:-4]
        elif how == "empty":
            raw = b""
        elif how == "not an array":
            raw[:6] = b"broken"
        elif how == "no note":
            file.with_suffix(".json").unlink()
        elif how == "broken note":
            file.with_suffix(".json").write_text("{")
        else:
            np.save(file, np.zeros((3, 2), np.float32))
            raw = file.read_bytes()
            note = json.loads(file.with_suffix(".json").read_text())
            file.with_suffix(".json").write_text(json.dumps(note | {"sha256": embedding.sha256(file)}))
        file.unlink()
        file.write_bytes(raw)
    seen = computed(monkeypatch)
    after, _ = embedded(build(config), *few, config, tmp_path)
    assert sum(seen) == 20
    np.testing.assert_array_equal(after.images, kept)


def test_the_folder_stays_within_its_limit_and_the_oldest_go(few, tmp_path, monkeypatch):
    config = tiny_config("x", **FROZEN)
    model = build(config)
    one = 20 * model.features * 4
    monkeypatch.setattr(embedding, "LIMIT_BYTES", 3.5 * one)
    known: set[str] = set()

    def features_of(number: int) -> str:
        made, _ = embedded(model, *(dataclasses.replace(s, token=str(number)) for s in few), config, tmp_path)
        for file in [file for file in tmp_path.iterdir() if file.stem not in known]:
            os.utime(file, (number, number))                           # of the second that has its number
        known.update(file.stem for file in tmp_path.iterdir())
        return made.note
    for number in range(1, 5):
        assert "computed once, in" in features_of(number)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 3.5 * one
    assert "earlier run" in features_of(4) and "earlier run" in features_of(2)
    assert "computed once, in" in features_of(1)                       # that was the oldest, and went


def test_without_room_the_training_goes_through_the_backbone_and_says_so(few, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "LIMIT_BYTES", 1000)
    config = tiny_config("x", **FROZEN)
    train_split, val_split = embedded(build(config), *few, config, tmp_path)
    assert not train_split.embedded and not val_split.embedded and "room for" in train_split.note
    assert train_split.images is few[0].images


def test_a_backbone_that_gives_no_numbers_ends_in_words(few, tmp_path):
    config = tiny_config("x", **FROZEN)
    model = build(config)
    with torch.no_grad():
        model.backbone_parameters()[0].fill_(float("nan"))
    with pytest.raises(LightboxError) as error:
        embedded(model, *few, config, tmp_path)
    assert error.value.code == "embedding.nan"
