"""The loop against a plain one: the numbers that it must give, the seeds that decide them, and what it refuses in words."""

import inspect

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from core.errors import LightboxError
from core.trainers.batches import Batches, SplitData, shuffled
from core.trainers.classifier import TrainState, train
from core.trainers.records import EpochRecord
from core.trainers.validation import predict
from docs.plain_loop import train_plainly
from tests import trained
from tests.tiny import tiny_arrays, tiny_config
from tests.trained import build, epochs_of, learn, run, same, small

one_thread, splits = trained.one_thread, trained.splits          # fixtures


def test_equals_a_plain_loop_written_with_torch_alone(splits):
    config = tiny_config("x", **{"optim.warmup": 0, "optim.weight_decay": 0.0, "optim.lr": 1e-2})
    ours, records = learn(config, splits)

    model = small(config)
    train_split = splits[0]
    images = torch.from_numpy(train_split.images[train_split.indices]).permute(0, 3, 1, 2).float() / 255
    epochs = [list(shuffled(66, 16, config.train.seed, epoch)) for epoch in range(3)]
    losses = train_plainly(model, images, torch.from_numpy(train_split.labels), epochs, lr=1e-2)
    for ours_p, plain_p in zip(ours.model.parameters(), model.parameters()):
        torch.testing.assert_close(ours_p, plain_p, rtol=1e-4, atol=1e-5)
    assert records[-1].train["loss"] == pytest.approx(losses[-1], rel=1e-3)


def test_validation_numbers_equal_scikit_learn(splits):
    state, records = run(tiny_config("x"), splits)
    *_, (_, probs) = predict(state.model, Batches(splits[1], torch.device("cpu")), 16)
    last = records[-1]
    assert last.val["roc_auc"] == pytest.approx(roc_auc_score(splits[1].labels, probs[:, 1]))
    assert last.val["accuracy"] == pytest.approx((probs.argmax(1) == splits[1].labels).mean())
    assert last.val["loss"] == pytest.approx(log_loss(splits[1].labels, probs.astype(np.float64), labels=[0, 1]), rel=1e-4)


def test_it_learns_the_planted_square(splits):
    _, records = learn(tiny_config("x", **{"train.epochs": 12, "optim.lr": 0.02}), splits)
    assert epochs_of(records)[0].val["loss"] > 2 * epochs_of(records)[-1].val["loss"]
    assert max(r.val["roc_auc"] for r in records if isinstance(r, EpochRecord)) > 0.95


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(splits):
    a, b = run(tiny_config("x"), splits)[0], run(tiny_config("x"), splits)[0]
    c = run(tiny_config("x", **{"train.seed": 1}), splits)[0]
    assert same(a.model, b.model) and not same(a.model, c.model)


def test_what_is_dropped_follows_from_the_seed_and_the_step_alone(splits):
    """Whatever the global random state is; and other steps drop other features."""
    config, ends, dropped = tiny_config("x", **{"model.dropout": 0.5, "train.epochs": 1}), [], []
    for state_before in (1, 2):
        model = small(config)
        model.network.drop.register_forward_hook(lambda m, x, out: dropped.append((out == 0)[0]) if m.training else None)
        torch.manual_seed(state_before)
        ends.append(learn(config, splits, model)[0].model)
    assert same(*ends)
    masks = torch.stack(dropped[:5]).float()                     # of the five steps, the first image
    assert masks.std(dim=0).mean() > 0.3


def test_global_randomness_is_left_alone(splits):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    run(tiny_config("x", **{"model.dropout": 0.5, "augment.shift": 0.1, "train.epochs": 1}), splits)
    assert torch.equal(torch.rand(3), expected)


def test_several_findings_use_one_sigmoid_each(splits):
    images, _ = tiny_arrays(60)
    labels = np.random.default_rng(0).integers(0, 2, (60, 3))
    split = SplitData(images[..., None], np.arange(60), labels)
    config = tiny_config("x", **{"train.epochs": 1})
    state = TrainState.fresh(build(config, classes=3, task="multi-label, binary-class"), config)
    *_, last = train(state, split, split, config)
    *_, (_, probs) = predict(state.model, Batches(split, torch.device("cpu")), 16)
    assert last.val["roc_auc"] == pytest.approx(np.mean([roc_auc_score(labels[:, k], probs[:, k]) for k in range(3)]))
    assert not np.allclose(probs.sum(axis=1), 1)


def test_a_head_on_features_computed_once_equals_the_head_trained_through_the_frozen_backbone(splits):
    config = tiny_config("x", **{"model.freeze": "all", "train.epochs": 4, "optim.lr": 0.01})
    through, records = learn(config, splits)
    model = small(config)
    model.freeze("all")
    model.train()
    features = []
    for split in splits:
        (images, _), = Batches(split, torch.device("cpu"))([np.arange(len(split))])
        with torch.no_grad():
            rows = model.embed(images).numpy()
        features.append(SplitData(rows, split.indices, split.labels, copies=1))
    cached, short = learn(config, features, model)
    torch.testing.assert_close(cached.model.state_dict(), through.model.state_dict(), rtol=1e-4, atol=1e-4)
    for one, other in zip(epochs_of(records), epochs_of(short)):
        for m in ("train_loss", "val_loss", "val_roc_auc", "val_cohen_kappa"):
            assert other.to_json()[m] == pytest.approx(one.to_json()[m], abs=1e-4)
    moved = (through.model.network.fc.weight - small(config).network.fc.weight).abs().max()
    assert moved > 0.01


def test_an_unfit_loss_ends_in_words(splits):
    config = tiny_config("x", **{"train.loss": "ordinal"})
    with pytest.raises(LightboxError) as error:
        learn(config, splits, small(config, task="multi-class"))
    assert error.value.code == "train.loss"
    learn(config.with_(**{"train.epochs": 1}), splits)                       # two classes are allowed


def test_a_loss_that_is_no_number_ends_in_words(splits):
    config = tiny_config("x", **{"optim.name": "sgd", "optim.lr": 10.0, "train.epochs": 20, "optim.warmup": 0.0})
    state = TrainState.fresh(build(config), config)
    with torch.no_grad():
        next(state.model.parameters()).fill_(float("nan"))
    with pytest.raises(LightboxError, match="no longer a number") as error:
        list(train(state, *splits, config))
    assert error.value.code == "train.nan" and not state.is_sound()


def test_an_empty_split_ends_in_words(splits):
    empty = SplitData(splits[0].images, np.arange(0), np.arange(0))
    with pytest.raises(LightboxError, match="validation split has 0 images"):
        list(train(TrainState.fresh(build(tiny_config("x")), tiny_config("x")), splits[0], empty, tiny_config("x")))


def test_the_trainer_has_no_way_to_the_test_split():
    assert list(inspect.signature(train).parameters)[:3] == ["state", "train_split", "val_split"]
    assert "test" not in inspect.signature(train).parameters


def test_bfloat16_ends_near_float32(splits):
    config = tiny_config("x", **{"train.epochs": 12, "optim.lr": 0.02})
    state, records = learn(config, splits, precision="bfloat16")
    assert max(r.val["roc_auc"] for r in epochs_of(records)) > 0.9
    assert all(p.dtype == torch.float32 for p in state.model.parameters())
    assert not same(state.model, learn(config, splits)[0].model)
