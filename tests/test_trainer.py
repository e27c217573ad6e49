"""The loop against a plain one, a resume against an unbroken run, and each switch of training against what it should do."""

import copy
import inspect
import json
import random

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn
from torch.overrides import TorchFunctionMode

from core.errors import LightboxError
from core.metrics import METRICS
from core.models import build_model
from core.models.classifier import Classifier, Preprocessing
from core.models.network import Network
from core.trainers.batches import Batches, Split, shuffled
from core.trainers.classifier import TrainState, frozen_in, train
from core.trainers.measures import answers, is_better, predict, stops_early, strip, why_it_ended
from core.trainers.sampling import mixture, plan_epoch, rarest_finding
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
    config = tiny_config("x", **{"optim.warmup": 0, "optim.weight_decay": 0.0, "optim.lr": 1e-2})
    ours, records = learn(config, splits)

    model = small(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
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
        torch.testing.assert_close(ours_p, plain_p, rtol=1e-4, atol=1e-5)
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
    _, records = learn(tiny_config("x", **{"train.epochs": 12, "optim.lr": 0.02}), splits)
    assert epochs_of(records)[0]["val_loss"] > 2 * epochs_of(records)[-1]["val_loss"]
    assert max(r["val_roc_auc"] for r in records if r["kind"] == "epoch") > 0.95


def small(config, *, norm=True, task="binary-class", classes=2, size=28) -> Classifier:
    """A convolution, a norm, a hidden layer with dropout: all that a resume must keep, and quick."""
    torch.manual_seed(config.train.seed)
    layers = {"conv": nn.Conv2d(1, 4, 3, stride=2, bias=not norm), "norm": nn.BatchNorm2d(4) if norm else nn.Identity(),
              "relu": nn.ReLU(),
              "pool": nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten()), "drop": nn.Dropout(config.model.dropout),
              "fc": nn.Linear(64, classes)}
    network = Network(layers, trunk=("conv", "norm", "relu"), pool=("pool",), head=("drop", "fc"), width=64)
    return Classifier(network, Preprocessing(size, "pad", 1, (0.5,), (0.5,)), task=task,
                      class_names=tuple(map(str, range(classes))), stages=("network.norm",), stage_names=("norm",))


def learn(config, splits, model=None, **how):
    """Train the small network to the end: state, records."""
    state = TrainState.fresh(model or small(config), config)
    return state, list(train(state, *splits, config, **how))


def epochs_of(records):
    return [r for r in records if r["kind"] == "epoch"]


def as_in_a_file(tensors: dict) -> dict:
    """Copies without a memory of channels_last."""
    return {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}


def resumed(config, splits, stop_after: int):
    """Train the small network, stop after so many records, go on from what a checkpoint keeps, in a new process's place."""
    broken, state = [], TrainState.fresh(small(config), config)
    loop = train(state, *splits, config)
    for record in loop:
        broken.append(record)
        if len(broken) == stop_after:
            loop.close()
            break
    weights, moments = (as_in_a_file(part) for part in state.tensors())
    meta = json.loads(json.dumps(state.meta()))
    again = TrainState.fresh(small(config), config)
    with torch.no_grad():
        for p in again.model.parameters():
            p.fill_(7.0)                                                 # nothing of the start may be left
    again.load(weights, moments, meta)
    records = list(train(again, *splits, config))
    return again, epochs_of(broken) + epochs_of(records)


OPTIMISERS, SCHEDULES = ("adamw", "adam", "sgd"), ("constant", "cosine", "step", "every", "one_cycle")
EVERYTHING = {"model.dropout": 0.5, "augment.rotate": 10.0, "augment.flip": 0.5, "train.mixup": 0.4,
              "train.sampling": "balanced", "train.accumulate": 2, "model.freeze": "all", "model.unfreeze_epoch": 2,
              "optim.backbone_lr": 0.1, "optim.clip": 0.5, "train.label_smoothing": 0.1, "train.class_weights": True}


@pytest.mark.parametrize("changes", [
    *({"optim.name": name, "optim.schedule": schedule, "optim.every": 2} for name in OPTIMISERS for schedule in SCHEDULES),
    *({key: value} for key, value in EVERYTHING.items() if key != "model.unfreeze_epoch"),
    *({"optim.name": name} | EVERYTHING for name in OPTIMISERS),
    {"train.loss": "focal", "train.measure_train": True},
], ids=lambda changes: "-".join(map(str, changes.values()))[:40])
def test_a_resume_ends_in_the_same_bits(splits, changes):
    config = tiny_config("x", **{"train.epochs": 4, "train.batch_size": 9, "optim.lr": 0.01} | changes)
    whole, records = learn(config, splits)
    chance = random.Random(1)
    for _ in range(2):
        again, epochs = resumed(config, splits, chance.randrange(1, len(records)))
        assert same(whole.model, again.model)
        clocks = {"seconds", "seconds_left", "images_per_second"}
        assert [{k: v for k, v in e.items() if k not in clocks} for e in epochs] == [
            {k: v for k, v in e.items() if k not in clocks} for e in epochs_of(records)]
        assert again.best == whole.best


def test_a_resume_of_a_whole_network_ends_in_the_same_bits(splits):
    config = tiny_config("x", **{"model.dropout": 0.5, "augment.rotate": 10.0, "train.epochs": 2})
    whole, records = run(config, splits)
    broken, _ = run(config, splits, steps=8)
    again = TrainState.fresh(build(config), config)
    again.load(*(as_in_a_file(part) for part in broken.tensors()), copy.deepcopy(broken.meta()))
    assert same(whole.model, run(config, splits, state=again)[0].model)


def test_a_checkpoint_that_numbered_its_weights_still_resumes(splits):
    """Before the groups of backbone and head the moments were named after their number, decayed weights first."""
    config = tiny_config("x", **{"train.epochs": 2})
    state = TrainState.fresh(small(config), config)
    loop = train(state, *splits, config)
    for record in loop:
        if record["kind"] == "epoch":
            loop.close()
            break
    weights, moments = (as_in_a_file(part) for part in state.tensors())
    named = list(state.model.named_parameters())
    order = [n for n, p in named if p.ndim > 1] + [n for n, p in named if p.ndim <= 1]
    numbered = {f"{order.index(name.rpartition('.')[0])}.{name.rpartition('.')[2]}": v for name, v in moments.items()}
    meta = state.meta() | {"total": [0.0, 0.0], "best": {"epoch": 1, "roc_auc": 0.0, "accuracy": 0.5, "loss": 0.7}}
    again = TrainState.fresh(small(config), config)
    again.load(weights, numbered, meta)
    list(train(again, *splits, config))
    assert same(again.model, learn(config, splits)[0].model)
    assert again.best["epoch"] == 2 and "cohen_kappa" in again.best


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


def test_the_optimisers_state_of_another_network_is_refused(splits):
    config = tiny_config("x", **{"train.epochs": 1})
    state, _ = learn(config, splits)
    weights, moments = state.tensors()
    name = next(name for name, value in moments.items() if value.ndim > 1)
    for wrong in ({name: moments[name][:1]}, {f"network.elsewhere.{name.rpartition('.')[2]}": moments[name]}):
        with pytest.raises(LightboxError, match="does not fit") as error:
            TrainState.fresh(small(config), config).load(weights, wrong, state.meta())
        assert error.value.code == "checkpoint.unlike"


@pytest.mark.parametrize("changes", [{}, {"train.class_weights": True, "train.label_smoothing": 0.1}, {"train.loss": "focal"}])
def test_accumulated_batches_equal_one_large_one(splits, changes):
    """66 images: 16 x 4 in a step of 64 and a last one of 2; 12 x 4 in a step of 48 and a last one of 12 + 6."""
    for batch, times in ((16, 4), (12, 4)):
        config = tiny_config("x", **{"optim.name": "sgd", "optim.lr": 0.1, **changes})
        large = config.with_(**{"train.batch_size": batch * times})
        parts = config.with_(**{"train.batch_size": batch, "train.accumulate": times})
        (a, in_one), (b, in_parts) = (learn(c, splits, small(c, norm=False)) for c in (large, parts))
        for p, q in zip(a.model.parameters(), b.model.parameters()):
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)
        assert not torch.allclose(next(a.model.parameters()), next(small(config, norm=False).parameters()), atol=1e-3)
        assert [r["step"] for r in in_one if "steps" in r] and \
            [r["steps"] for r in in_one if r["kind"] == "step"] == [r["steps"] for r in in_parts if r["kind"] == "step"]
        for one, other in zip(epochs_of(in_one), epochs_of(in_parts)):
            assert other["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)


def test_a_step_is_clipped_to_its_length(splits):
    """With SGD without momentum and decay a step is lr times the gradient: its length is known."""
    changes = {"optim.name": "sgd", "optim.lr": 1.0, "optim.momentum": 0.0, "optim.weight_decay": 0.0, "optim.warmup": 0.0,
               "optim.schedule": "constant", "train.epochs": 1, "train.batch_size": 64, "train.class_weights": True}
    for clip in (1e-3, 0.0):
        config = tiny_config("x", **{**changes, "optim.clip": clip})
        model = small(config, norm=False)
        before = [p.detach().clone() for p in model.parameters()]
        loop = train(TrainState.fresh(model, config), *splits, config)
        next(loop)
        moved = float(torch.cat([(p.detach() - q).ravel() for p, q in zip(model.parameters(), before)]).norm())
        loop.close()
        assert moved == pytest.approx(clip, rel=1e-3) if clip else moved > 0.01


def test_frozen_weights_stand_still_until_their_epoch(splits):
    config = tiny_config("x", **{"model.freeze": "all", "model.unfreeze_epoch": 2, "train.epochs": 3, "optim.backbone_lr": 0.01})
    model = small(config)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    state = TrainState.fresh(model, config)
    for record in train(state, *splits, config):
        if record["kind"] == "epoch":
            stands = {k for k, v in model.state_dict().items() if torch.equal(v, start[k])}
            backbone = {k for k in start if "conv" in k or "norm" in k}
            assert stands == (backbone if record["epoch"] < 3 else set())
    assert [frozen_in(config.model, e) for e in range(4)] == ["all", "all", "none", "none"]
    assert frozen_in(config.with_(**{"model.unfreeze_epoch": 0}).model, 99) == "all"


def test_the_backbone_moves_by_its_share_of_the_rate(splits):
    """Plain SGD, one step: a share of 0.01 moves the backbone a hundredth as far, and the head as far as before."""
    changes = {"optim.name": "sgd", "optim.momentum": 0.0, "optim.weight_decay": 0.0, "optim.warmup": 0.0, "train.batch_size": 64}
    moved = []
    for share in (1.0, 0.01):
        config = tiny_config("x", **{**changes, "optim.backbone_lr": share})
        model = small(config)
        before = {k: p.detach().clone() for k, p in model.named_parameters()}
        loop = train(TrainState.fresh(model, config), *splits, config)
        next(loop)
        moved.append({k: p.detach() - before[k] for k, p in model.named_parameters()})
        loop.close()
    for name in moved[0]:
        expected = moved[0][name] * (1.0 if "fc" in name else 0.01)
        torch.testing.assert_close(moved[1][name], expected, rtol=0.01, atol=1e-7)


def test_balanced_sampling_draws_every_class_equally_often():
    config = tiny_config("x", **{"train.sampling": "balanced", "train.batch_size": 50}).train
    labels = np.repeat([0, 1, 2], [900, 80, 20])
    drawn = np.concatenate([p for e in range(20) for step in plan_epoch(labels, config, e) for p in step])
    assert len(drawn) == 20_000
    share = np.bincount(labels[drawn]) / len(drawn)
    np.testing.assert_allclose(share, 1 / 3, atol=0.015)                              # 4 standard errors
    times = np.bincount(drawn, minlength=1000)[labels == 2]
    assert times.min() > 200                                                          # each of the 20 about 333 times
    again, other = (np.concatenate(plan_epoch(labels, config, e)[0]) for e in (0, 1))
    assert np.array_equal(again, np.concatenate(plan_epoch(labels, config, 0)[0])) and not np.array_equal(again, other)


def test_of_several_findings_the_rarest_names_the_class():
    labels = np.array([[1, 0, 0]] * 6 + [[1, 1, 0]] * 2 + [[1, 1, 1]] + [[0, 0, 0]] * 3)
    assert rarest_finding(labels).tolist() == [0] * 6 + [1] * 2 + [2] + [-1] * 3
    config = tiny_config("x", **{"train.sampling": "balanced"}).train
    drawn = np.concatenate([p for e in range(500) for step in plan_epoch(labels, config, e) for p in step])
    np.testing.assert_allclose(np.unique(rarest_finding(labels)[drawn], return_counts=True)[1] / len(drawn), 0.25, atol=0.03)


def test_mixtures_come_from_a_beta_and_from_their_place_alone():
    shares = np.array([mixture(0.4, 5, (0, e, s, 0))[0] for e in range(20) for s in range(100)])
    expected = scipy.stats.beta(0.4, 0.4)
    assert scipy.stats.kstest(shares, expected.cdf).pvalue > 0.01
    share, partner = mixture(0.4, 5, (0, 1, 2, 0))
    assert sorted(partner) == list(range(5))
    again = mixture(0.4, 5, (0, 1, 2, 0))
    assert share == again[0] and np.array_equal(partner, again[1])


def test_mixed_steps_are_steps_on_mixed_images_and_labels(splits):
    """An epoch of plain SGD, done again with torch alone: images and one-hot labels mixed, cross-entropy with probabilities."""
    config = tiny_config("x", **{"optim.name": "sgd", "optim.momentum": 0.0, "optim.weight_decay": 0.0, "optim.warmup": 0.0,
                                 "optim.schedule": "constant", "optim.lr": 0.5, "train.batch_size": 22, "train.mixup": 1.0,
                                 "train.epochs": 2})
    model, plain = small(config), small(config)
    list(train(TrainState.fresh(model, config), *splits, config))
    for epoch in range(2):
        for step, (positions,) in enumerate(plan_epoch(splits[0].labels, config.train, epoch)):
            images = torch.from_numpy(splits[0].images[splits[0].indices[positions]]).permute(0, 3, 1, 2).float() / 255
            truth = torch.eye(2)[splits[0].labels[positions]]
            share, partner = mixture(1.0, 22, (config.train.seed, epoch, epoch * 3 + step, 0))
            logits = plain(share * images + (1 - share) * images[partner])
            plain.zero_grad()
            nn.functional.cross_entropy(logits, share * truth + (1 - share) * truth[partner]).backward()
            with torch.no_grad():
                for p in plain.parameters():
                    p -= 0.5 * p.grad
    for p, q in zip(model.parameters(), plain.parameters()):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


def test_with_mixup_there_is_no_running_accuracy(splits):
    _, records = learn(tiny_config("x", **{"train.mixup": 0.4, "train.epochs": 1}), splits)
    assert all(r["accuracy"] is None for r in records if r["kind"] == "step") and records[-1]["train_accuracy"] is None
    _, records = learn(tiny_config("x", **{"train.mixup": 0.4, "train.epochs": 1, "train.measure_train": True}), splits)
    assert 0 <= records[-1]["train_accuracy"] <= 1


@pytest.mark.parametrize("monitor", ["roc_auc", "loss", "accuracy", "cohen_kappa", "macro_f1"])
def test_the_best_epoch_is_the_best_by_the_monitored_measure(splits, monitor):
    config = tiny_config("x", **{"train.monitor": monitor, "train.epochs": 6, "optim.lr": 0.05})
    state, records = learn(config, splits)
    values = [(r[f"val_{monitor}"], r["val_loss"]) for r in epochs_of(records)]
    better = METRICS[monitor].higher_is_better
    best = max(range(6), key=lambda e: (values[e][0] if better else -values[e][0], -values[e][1], -e))
    assert state.best["epoch"] == best + 1 and state.best[monitor] == values[best][0]
    assert [r["epoch"] for r in epochs_of(records) if r["is_best"]][-1] == best + 1
    assert all(r["monitor"] == monitor for r in epochs_of(records))


def test_better_is_by_the_measure_then_by_the_loss():
    def of(value, loss):
        return {"cohen_kappa": value, "loss": loss}
    assert is_better(of(0.3, 9.0), of(0.2, 0.1), "cohen_kappa") and not is_better(of(0.2, 0.1), of(0.3, 9.0), "cohen_kappa")
    assert is_better(of(0.3, 0.1), of(0.3, 0.2), "cohen_kappa") and not is_better(of(0.3, 0.2), of(0.3, 0.2), "cohen_kappa")
    assert is_better(of(None, 0.1), of(0.3, 0.2), "cohen_kappa") and not is_better(of(0.3, 0.3), of(None, 0.2), "cohen_kappa")
    assert is_better(of(0.1, 0.1), {"epoch": 3, "roc_auc": 0.9, "accuracy": 0.9, "loss": 0.2}, "cohen_kappa")    # an old best
    assert is_better(of(0.1, 0.1), of(0.2, 0.2), "loss") and not is_better(of(0.1, 0.2), of(0.2, 0.1), "loss")
    assert is_better(of(0.0, 9.0), {}, "cohen_kappa")


def test_an_early_stop_comes_when_it_must_and_survives_a_resume(splits):
    """A high rate on small batches: the loss of validation soon stops falling."""
    config = tiny_config("x", **{"train.patience": 2, "train.monitor": "loss", "train.epochs": 50, "optim.name": "sgd",
                                 "optim.lr": 0.3, "optim.schedule": "constant", "train.batch_size": 4})
    state, records = learn(config, splits)
    losses = [r["val_loss"] for r in epochs_of(records)]
    assert len(losses) == state.epoch < 50 and state.epoch == np.argmin(losses) + 3
    assert all(min(losses[:e]) > min(losses[:e + 2]) for e in range(1, len(losses) - 2))       # and not before
    assert stops_early(state.epoch, state.best, config.train)
    assert list(train(state, *splits, config)) == []                          # nothing is left to do
    for stop in (1, len(records) // 2, len(records) - 1):
        again, epochs = resumed(config, splits, stop)
        assert again.epoch == state.epoch and same(again.model, state.model)
    reason = why_it_ended(state.epoch, state.best, config.train)
    assert f"after epoch {state.epoch} of 50" in reason and f"Best epoch: {state.best['epoch']}" in reason
    assert why_it_ended(50, {"epoch": 50}, config.train) == "Best epoch: 50 of 50."


def test_training_measures_in_evaluation_mode_are_those_of_validation(splits):
    """Both splits are the same images: then all the numbers must be the same, dropout and augmentation or not."""
    config = tiny_config("x", **{"train.measure_train": True, "model.dropout": 0.5, "augment.rotate": 90.0, "train.epochs": 2})
    _, records = learn(config, (splits[0], splits[0]))
    for record in epochs_of(records):
        assert record["measured"] == "evaluated"
        assert {m: record[f"train_{m}"] for m in METRICS} == {m: record[f"val_{m}"] for m in METRICS}
    _, records = learn(config.with_(**{"train.measure_train": False}), (splits[0], splits[0]))
    last = epochs_of(records)[-1]
    assert last["measured"] == "running" and last["train_loss"] != last["val_loss"]


def test_measuring_the_training_images_changes_nothing_else(splits):
    config = tiny_config("x", **{"model.dropout": 0.5})
    plain, measured = (learn(config.with_(**{"train.measure_train": on}), splits)[0] for on in (False, True))
    assert same(plain.model, measured.model)


def test_an_epoch_record_has_every_measure_the_answers_and_the_strip(splits):
    state, records = learn(tiny_config("x"), splits)
    last = epochs_of(records)[-1]
    *_, (_, probs) = predict(state.model, Batches(splits[1], torch.device("cpu")), 16)
    for name, metric in METRICS.items():
        assert last[f"val_{name}"] == metric.function(splits[1].labels, probs, "binary-class"), name
    assert last["predicted"] == np.bincount(probs.argmax(axis=1), minlength=2).tolist() and sum(last["predicted"]) == 24
    np.testing.assert_allclose(last["strip"], probs[strip(splits[1].labels)], atol=1e-4)
    json.dumps(records, allow_nan=False)
    step = [r for r in records if r["kind"] == "step"][-1]
    assert 0 <= step["accuracy"] <= 1 and step["objective"] == pytest.approx(step["loss"])


def test_the_strip_takes_the_classes_in_turn():
    labels = np.array([0, 0, 0, 0, 2, 2, 0, 1, 0])
    assert strip(labels).tolist() == [0, 7, 4, 1, 5, 2, 3, 6]
    assert labels[strip(labels, 3)].tolist() == [0, 1, 2]
    findings = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    assert strip(findings, 4).tolist() == [1, 3, 0, 2]
    assert answers(np.array([[0.9, 0.6], [0.2, 0.7]]), "multi-label, binary-class") == [1, 2]


def test_what_is_recorded_as_loss_is_cross_entropy_whatever_is_made_small(splits):
    """The first step of two runs sees the same images with the same weights: the same loss, another objective."""
    first = {}
    for name, changes in {"plain": {}, "focal": {"train.loss": "focal"}, "smooth": {"train.label_smoothing": 0.3}}.items():
        config = tiny_config("x", **{"train.batch_size": 66, "train.epochs": 1, **changes})
        first[name] = next(r for r in learn(config, splits)[1] if r["kind"] == "step")
    assert len({round(r["loss"], 5) for r in first.values()}) == 1
    assert len({round(r["objective"], 5) for r in first.values()}) == 3


def test_a_penalty_of_the_network_is_made_small_and_not_recorded_as_loss(splits):
    config = tiny_config("x", **{"train.batch_size": 66, "train.epochs": 1, "optim.weight_decay": 0.0})
    model = small(config)
    model.penalty = lambda logits: 10 * model.network.fc.weight.square().sum() + logits.square().mean()
    state, records = learn(config, splits, model)
    step = next(r for r in records if r["kind"] == "step")
    plain = next(r for r in learn(config, splits)[1] if r["kind"] == "step")
    assert step["loss"] == pytest.approx(plain["loss"]) and step["objective"] > step["loss"] + 1
    norms = [float(small(config).network.fc.weight.norm().detach()), float(state.model.network.fc.weight.norm().detach())]
    assert norms[1] < norms[0]


def test_a_penalty_is_the_same_in_parts(splits):
    """Of a batch in parts each part brings its share of the penalty: of the weights and of the mean activity."""
    ends = []
    for changes in ({"train.batch_size": 64}, {"train.batch_size": 16, "train.accumulate": 4}):
        config = tiny_config("x", **{"optim.name": "sgd", "optim.lr": 0.05, **changes})
        model = small(config, norm=False)
        model.penalty = lambda logits, fc=model.network.fc: 0.1 * fc.weight.square().sum() + logits.square().mean()
        ends.append(learn(config, splits, model)[0].model)
    for p, q in zip(*(m.parameters() for m in ends)):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


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
        features.append(Split(rows, split.indices, split.labels, copies=1))
    cached, short = learn(config, features, model)
    torch.testing.assert_close(cached.model.state_dict(), through.model.state_dict(), rtol=1e-4, atol=1e-4)
    for one, other in zip(epochs_of(records), epochs_of(short)):
        for m in ("train_loss", "val_loss", "val_roc_auc", "val_cohen_kappa"):
            assert other[m] == pytest.approx(one[m], abs=1e-4)
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


def test_bfloat16_ends_near_float32(splits):
    config = tiny_config("x", **{"train.epochs": 12, "optim.lr": 0.02})
    state, records = learn(config, splits, precision="bfloat16")
    assert max(r["val_roc_auc"] for r in epochs_of(records)) > 0.9
    assert all(p.dtype == torch.float32 for p in state.model.parameters())
    assert not same(state.model, learn(config, splits)[0].model)


class Watch(TorchFunctionMode):
    """Notes each call that would make the host wait for the device, or ask how many elements it found there.

    Not __int__: the augmentation makes its key of seed and epoch so, from a tensor that never leaves the host.
    """
    WAITS = {"item", "tolist", "__bool__", "__float__", "__index__", "cpu", "numpy", "nonzero", "masked_select", "unique"}

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in self.WAITS:
            self.seen.append(function.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("changes", [{}, EVERYTHING, {"optim.name": "sgd", "train.loss": "ordinal"}, {"train.loss": "focal"}],
                         ids=["plain", "everything", "ordinal", "focal"])
def test_between_two_reports_nothing_waits_for_the_device(splits, changes):
    """66 images in batches of 8: only the record of the last step and the end of the epoch read numbers back."""
    config = tiny_config("x", **{"train.batch_size": 8, "train.epochs": 1, **changes})
    with Watch() as watch:
        loop, quiet = train(TrainState.fresh(small(config), config), *splits, config), 0
        next(loop)                                                    # opens the batches first
        watch.seen.clear()
        while (record := next(loop))["kind"] == "tick" and record["phase"] == "train":
            assert watch.seen == [], record
            quiet += 1
        assert record["kind"] == "step" and "tolist" in watch.seen and quiet >= 3
