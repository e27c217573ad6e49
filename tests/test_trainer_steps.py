"""Each switch of a training step against what it should do to the weights."""


import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from core.trainers.batches import shuffled
from core.trainers.classifier import TrainState, frozen_in, train
from core.trainers.records import EpochRecord, StepRecord, Tick
from core.trainers.sampling import mixture, plan_epoch, rarest_finding
from tests import trained
from tests.tiny import tiny_config
from tests.trained import EVERYTHING, epochs_of, learn, small

one_thread, splits = trained.one_thread, trained.splits          # fixtures


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
        assert [r.step for r in in_one if isinstance(r, StepRecord)] and \
            [r.steps for r in in_one if isinstance(r, StepRecord)] == [r.steps for r in in_parts if isinstance(r, StepRecord)]
        for one, other in zip(epochs_of(in_one), epochs_of(in_parts)):
            assert other.train["loss"] == pytest.approx(one.train["loss"], rel=1e-5)


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
        if isinstance(record, EpochRecord):
            stands = {k for k, v in model.state_dict().items() if torch.equal(v, start[k])}
            backbone = {k for k in start if "conv" in k or "norm" in k}
            assert stands == (backbone if record.epoch < 3 else set())
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
    assert all(r.accuracy is None for r in records if isinstance(r, StepRecord)) and records[-1].train["accuracy"] is None
    _, records = learn(tiny_config("x", **{"train.mixup": 0.4, "train.epochs": 1, "train.measure_train": True}), splits)
    assert 0 <= records[-1].train["accuracy"] <= 1


def test_every_image_is_seen_once_an_epoch_and_a_lone_last_one_never():
    order = np.concatenate(shuffled(66, 16, 0, 0))
    assert sorted(order) == list(range(66))
    assert [len(p) for p in shuffled(33, 16, 0, 0)] == [16, 16]           # batch norm cannot learn from one image
    assert not np.array_equal(order, np.concatenate(shuffled(66, 16, 0, 1)))


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
        while isinstance(record := next(loop), Tick) and record.phase == "train":
            assert watch.seen == [], record
            quiet += 1
        assert isinstance(record, StepRecord) and "tolist" in watch.seen and quiet >= 3
