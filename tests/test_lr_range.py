"""The learning-rate finder against closed forms, and on a network that really learns by its suggestion."""

import json
import math

import numpy as np
import pytest
import torch

from core.__main__ import main
from core.errors import LightboxError
from core.models import build_model
from core.trainers.batches import SplitData
from core.trainers.classifier import TrainState, train
from core.trainers.lr_finder import WORSE, find_lr, range_test, suggest
from tests import trained
from tests.tiny import tiny_arrays, tiny_config, tiny_npz

one_thread = trained.one_thread          # fixture


def quadratic(curvature: float, floor: float = 1.0):
    """Gradient descent on floor + c/2 w^2: w becomes (1 - lr c) w, which shrinks exactly for lr < 2 / c."""
    weight = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([weight], lr=0.0)

    def step(i: int, lr: float) -> float:
        optimiser.param_groups[0]["lr"] = lr
        loss = floor + 0.5 * curvature * weight.square()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


@pytest.mark.parametrize("curvature", [2.0, 20.0, 2000.0])
def test_a_quadratic_is_stable_up_to_two_over_its_curvature(curvature):
    records = list(range_test(quadratic(curvature, floor=0.1 * curvature)))
    largest, found = 2 / curvature, suggest(records)
    lr, loss = (np.array([r[key] for r in records]) for key in ("lr", "loss"))
    assert (np.diff(loss)[lr[:-1] < largest * 0.999] <= 1e-12).all()             # every stable step goes down
    assert largest < lr[-1] < 12 * largest and len(records) < 100                  # and it ends soon after they no longer are
    assert largest / 200 < found.lr < largest                                     # the best single step is 1 / c
    assert f"{found.lr:g}" in found.sentence and "diverges" in found.sentence


def test_the_rates_rise_by_a_factor_and_the_mean_is_the_closed_form():
    losses = np.random.default_rng(0).random(40)
    records = list(range_test(lambda i, lr: losses[i], low=1e-4, high=1.0, steps=40))
    np.testing.assert_allclose([r["lr"] for r in records], np.logspace(-4, 0, 40))
    weights = [0.9 ** np.arange(i, -1, -1) for i in range(40)]
    np.testing.assert_allclose([r["smooth"] for r in records],
                               [(w * losses[:i + 1]).sum() / w.sum() for i, w in enumerate(weights)])
    assert [r["step"] for r in records] == list(range(1, 41)) and {r["steps"] for r in records} == {40}


def test_it_ends_once_the_loss_is_four_times_the_lowest_and_at_the_first_that_is_no_number():
    records = list(range_test(lambda i, lr: 1.0 if i < 30 else 100.0))
    assert len(records) == 31 and records[-1]["smooth"] > WORSE > records[-2]["smooth"]
    assert len(list(range_test(lambda i, lr: math.nan if i == 17 else 1.0))) == 17
    assert list(range_test(lambda i, lr: math.inf)) == []


def test_the_steepest_place_of_a_known_curve():
    """A smooth step down around 1e-3, up again near 1: the steepest place is 1e-3, but for the delay of the mean."""
    def loss(i, lr):
        return 2 - 1 / (1 + (1e-3 / lr) ** 2) + (lr / 0.5) ** 4 + 0.01 * math.sin(7 * i)
    found = suggest(list(range_test(loss)))
    assert 1e-3 <= found.lr < 5e-3
    assert 1e-2 <= found.tenth * 10 < 0.5
    assert found.lr == float(f"{found.lr:.1e}")


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_curve_that_never_falls_has_no_suggestion(noise):
    for seed in range(20):
        chance = np.random.default_rng(seed)
        found = suggest(list(range_test(lambda i, lr, chance=chance: 0.7 + noise * chance.normal() * 0.5 + lr)))
        assert found.lr is None and found.tenth is None and "At no rate" in found.sentence


def test_one_that_never_rises_again_has_no_careful_choice():
    found = suggest(list(range_test(lambda i, lr: 1 / (1 + lr / 1e-3) + 0.01 * math.sin(7 * i))))
    assert 5e-4 < found.lr < 5e-3 and found.tenth is None and "does not rise again" in found.sentence


def test_one_that_flies_off_at_once_has_none_either():
    found = suggest(list(range_test(lambda i, lr: 10.0 ** i)))
    assert found.lr is None and "diverged" in found.sentence


@pytest.fixture(scope="module")
def split():
    images, labels = tiny_arrays(96)
    return SplitData(images[..., None], np.arange(96), labels)


def build(config):
    return build_model(config.model, classes=2, size=28, channels=1, task="binary-class", seed=0)


def test_on_a_network_the_model_and_the_random_state_stay_as_they_were(split):
    config = tiny_config("x", **{"model.name": "small_cnn", "model.dropout": 0.3, "optim.name": "sgd", "augment.rotate": 5.0})
    model = build(config).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    records = list(find_lr(model, split, config))
    assert torch.equal(torch.rand(3), expected) and not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert 30 < len(records) <= 100 and records[-1]["lr"] > 1e-3
    assert list(find_lr(model, split, config, steps=12)) == list(find_lr(model, split, config, steps=12))


def test_a_training_at_the_suggestion_learns_and_one_far_below_does_not(split):
    config = tiny_config("x", **{"model.name": "small_cnn", "train.epochs": 4, "optim.warmup": 0.0})
    found = suggest(list(find_lr(build(config), split, config)))
    assert found.lr is not None, found.sentence
    last = {}
    for lr in (found.lr, found.lr / 1000):
        trial = config.with_(**{"optim.lr": lr})
        *_, last[lr] = train(TrainState.fresh(build(trial), trial), split, split, trial)
    assert last[found.lr].val["roc_auc"] > 0.9
    assert last[found.lr].val["loss"] < 0.7 * last[found.lr / 1000].val["loss"]


def test_labels_that_are_noise_give_no_suggestion_where_nothing_can_learn(split):
    config = tiny_config("x", **{"model.freeze": "all"})
    model = build(config)
    model.freeze("all")
    for parameter in model.head_parameters():
        torch.nn.init.zeros_(parameter)
    features = SplitData(np.zeros((96, model.features), np.float32), split.indices, np.tile([0, 1], 48), copies=1)
    found = suggest(list(find_lr(model, features, config)))
    assert found.lr is None


def test_what_cannot_be_tested_is_said(split):
    config = tiny_config("x")
    model = build(config)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(LightboxError) as error:
        list(find_lr(model, split, config))
    assert error.value.code == "finder.nan"
    with pytest.raises(LightboxError, match="0 images"):
        list(find_lr(model, SplitData(split.images, np.arange(0), np.arange(0)), config))


def test_the_command_prints_the_curve_and_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    monkeypatch.setattr("core.runs.device.machine", lambda: {"devices": [{"device": "cpu"}]})
    words = ["find-lr", "--dataset", str(tiny_npz(tmp_path)), "--model", "small_cnn", "--size", "28",
             "--seed", "1", "--device", "cpu", "--set",
             "train.batch_size=16", "--set", "train.threads=1"]
    assert main([*words, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    assert lines[0]["kind"] == "phase" and [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    assert lines[-1] == {"kind": "suggestion", **vars(suggest(steps))}
    (way,) = json.loads((tmp_path / "speed.json").read_text()).values()      # it asked how to compute, as a training does
    assert way["threads"] == 1 and any("Timing" in line.get("phase", "") for line in lines)
    assert main([*words, "--set", "train.loss=ordinal", "--set", "optim.lr=x"]) == 2
    assert "optim.lr is 'x'" in capsys.readouterr().err
