"""The loop against a plain one, a resume against an unbroken run, schedules and weights against other libraries."""

import copy
import inspect
import math
import random

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from core.config import OptimConfig
from core.errors import LightboxError
from core.models import build_model
from core.trainers.batches import Batches, Split, shuffled
from core.trainers.classifier import TrainState, is_better, predict, train
from core.trainers.optim import lr_at
from tests.tiny import tiny_arrays, tiny_config


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def splits():
    images, labels = tiny_arrays(90)
    images = images[..., None]
    return (Split(images, np.arange(0, 66), labels[:66]), Split(images, np.arange(66, 90), labels[66:]))


def build(config, classes=2, task="binary-class"):
    return build_model(config.model, classes=classes, size=28, channels=1, task=task, seed=config.train.seed)


def run(config, splits, state=None, steps=None):
    """Train; stop after a number of records where given. Returns state and records."""
    state = state or TrainState.fresh(build(config), config)
    records, loop = [], train(state, *splits, config)
    for record in loop:
        records.append(record)
        if steps is not None and len(records) >= steps:
            loop.close()
            break
    return state, records


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_equals_a_plain_loop_written_with_torch_alone(splits):
    config = tiny_config("x", **{"optim.warmup": 0, "optim.weight_decay": 0.0, "optim.lr": 1e-3, "model.name": "resnet18"})
    ours, records = run(config, splits)

    model = build(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    train_split = splits[0]
    images = torch.from_numpy(train_split.images[train_split.indices]).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(train_split.labels)
    steps = 5 * 3                                                       # 66 images in portions of 16 are 5 steps
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    for epoch in range(3):
        losses = []
        for positions in shuffled(66, 16, config.train.seed, epoch):
            loss = torch.nn.functional.cross_entropy(model(images[positions]), labels[positions])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            scheduler.step()
            losses.append((float(loss.detach()), len(positions)))
    for ours_p, plain_p in zip(ours.model.parameters(), model.parameters()):
        torch.testing.assert_close(ours_p, plain_p, rtol=2e-3, atol=2e-5)
    mean = sum(loss * n for loss, n in losses) / sum(n for _, n in losses)
    assert records[-1]["train_loss"] == pytest.approx(mean, rel=1e-3)


def test_validation_numbers_equal_scikit_learn(splits):
    state, records = run(tiny_config("x"), splits)
    *_, (_, probs) = predict(state.model, Batches(splits[1], torch.device("cpu")), 16)
    last = records[-1]
    assert last["val_roc_auc"] == pytest.approx(roc_auc_score(splits[1].labels, probs[:, 1]))
    assert last["val_accuracy"] == pytest.approx((probs.argmax(1) == splits[1].labels).mean())
    assert last["val_loss"] == pytest.approx(log_loss(splits[1].labels, probs.astype(np.float64), labels=[0, 1]), rel=1e-4)


def test_it_learns_the_planted_square(splits):
    _, records = run(tiny_config("x", **{"train.epochs": 8, "model.name": "resnet18"}), splits)
    assert max(r["val_roc_auc"] for r in records if r["kind"] == "epoch") > 0.95


@pytest.mark.parametrize("changes", [
    {"optim.name": "adamw", "optim.schedule": "cosine", "model.dropout": 0.5, "augment.rotate": 10.0, "augment.flip": 0.5},
    {"optim.name": "adam", "optim.schedule": "step"},
    {"optim.name": "sgd", "optim.schedule": "constant", "optim.lr": 0.01, "train.class_weights": True},
])
def test_a_resume_ends_in_the_same_bits(splits, changes):
    config = tiny_config("x", **changes)
    whole, whole_records = run(config, splits)
    chance = random.Random(1)
    for _ in range(3):
        broken, _ = run(config, splits, steps=chance.randrange(1, len(whole_records)))
        weights, moments = ({k: v.clone() for k, v in part.items()} for part in broken.tensors())
        meta = copy.deepcopy(broken.meta())
        again = TrainState.fresh(build(config), config)
        again.load(weights, moments, meta)
        resumed, records = run(config, splits, state=again)
        assert same(whole.model, resumed.model)
        assert records[-1]["train_loss"] == whole_records[-1]["train_loss"]
        assert resumed.best == whole.best


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(splits):
    a, b = run(tiny_config("x"), splits)[0], run(tiny_config("x"), splits)[0]
    c = run(tiny_config("x", **{"train.seed": 1}), splits)[0]
    assert same(a.model, b.model) and not same(a.model, c.model)


def test_global_randomness_is_left_alone(splits):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    run(tiny_config("x", **{"model.dropout": 0.5, "augment.shift": 0.1, "train.epochs": 1}), splits)
    assert torch.equal(torch.rand(3), expected)


def test_several_findings_use_one_sigmoid_each(splits):
    images, _ = tiny_arrays(60)
    labels = np.random.default_rng(0).integers(0, 2, (60, 3))
    split = Split(images[..., None], np.arange(60), labels)
    config = tiny_config("x", **{"train.epochs": 1})
    state = TrainState.fresh(build(config, classes=3, task="multi-label, binary-class"), config)
    *_, last = train(state, split, split, config)
    *_, (_, probs) = predict(state.model, Batches(split, torch.device("cpu")), 16)
    assert last["val_roc_auc"] == pytest.approx(np.mean([roc_auc_score(labels[:, k], probs[:, k]) for k in range(3)]))
    assert not np.allclose(probs.sum(axis=1), 1)


def test_an_undefined_auc_is_none_and_said_and_the_loss_decides(splits):
    one_class = Split(splits[1].images, splits[1].indices, np.zeros_like(splits[1].labels))
    _, records = run(tiny_config("x"), (splits[0], one_class))
    epochs = [r for r in records if r["kind"] == "epoch"]
    assert all(r["val_roc_auc"] is None for r in epochs) and "undefined" in epochs[0]["notes"][0]
    assert is_better({"roc_auc": None, "loss": 1.0}, {"roc_auc": None, "loss": 2.0})
    assert is_better({"roc_auc": 0.9, "loss": 5.0}, {"roc_auc": 0.8, "loss": 0.1})


def test_a_loss_that_is_no_number_ends_in_words(splits):
    config = tiny_config("x", **{"optim.name": "sgd", "optim.lr": 10.0, "train.epochs": 20, "optim.warmup": 0.0})
    state = TrainState.fresh(build(config), config)
    with torch.no_grad():
        next(state.model.parameters()).fill_(float("nan"))
    with pytest.raises(LightboxError, match="no longer a number") as error:
        list(train(state, *splits, config))
    assert error.value.code == "train.nan" and not state.is_sound()


def test_an_empty_split_ends_in_words(splits):
    empty = Split(splits[0].images, np.arange(0), np.arange(0))
    with pytest.raises(LightboxError, match="validation split has 0 images"):
        list(train(TrainState.fresh(build(tiny_config("x")), tiny_config("x")), splits[0], empty, tiny_config("x")))


def test_the_trainer_has_no_way_to_the_test_split():
    assert list(inspect.signature(train).parameters)[:3] == ["state", "train_split", "val_split"]
    assert "test" not in inspect.signature(train).parameters


def test_every_image_is_seen_once_an_epoch_and_a_lone_last_one_never():
    order = np.concatenate(shuffled(66, 16, 0, 0))
    assert sorted(order) == list(range(66))
    assert [len(p) for p in shuffled(33, 16, 0, 0)] == [16, 16]           # batch norm cannot learn from one image
    assert not np.array_equal(order, np.concatenate(shuffled(66, 16, 0, 1)))


def test_schedules_against_torch():
    weight = torch.nn.Parameter(torch.zeros(1))
    for name, scheduler in (
            ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=40)),
            ("step", lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [20, 30], gamma=0.1)),
            ("constant", lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0))):
        optimiser = torch.optim.SGD([weight], lr=0.3)
        theirs, config = scheduler(optimiser), OptimConfig(lr=0.3, schedule=name, warmup=0.0)
        for step in range(40):
            assert lr_at(config, step, 40, 4) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12), (name, step)
            optimiser.step()
            theirs.step()


def test_the_warm_up_rises_in_a_straight_line():
    config = OptimConfig(lr=1.0, warmup=0.1, schedule="constant")
    assert [lr_at(config, s, 50, 5) for s in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert math.isclose(lr_at(OptimConfig(lr=1.0, warmup=0.1, schedule="cosine"), 5, 50, 5), 1.0)


def test_bfloat16_ends_near_float32(splits):
    config = tiny_config("x", **{"train.epochs": 6, "model.name": "resnet18"})
    state = TrainState.fresh(build(config), config)
    records = list(train(state, *splits, config, precision="bfloat16"))
    assert max(r["val_roc_auc"] for r in records if r["kind"] == "epoch") > 0.9
    assert all(p.dtype == torch.float32 for p in state.model.parameters())
