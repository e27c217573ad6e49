"""Schedules against torch's schedulers and the reports' tables; which weight is in which group."""

import math
import warnings

import pytest
import torch

from core.config import ModelConfig, OptimConfig
from core.config.optim import cycle_ends
from core.models import build_model
from core.trainers.optim import build_optimiser, lr_at, set_lr

EPOCHS, EACH = 20, 7                          # steps_per_epoch
STEPS = EPOCHS * EACH
S = torch.optim.lr_scheduler


def theirs(make, epochwise=False) -> list[float]:
    """Learning rates of all steps by one of torch's schedulers, which is told of each step or of each epoch."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler, rates = make(optimiser), []
    for step in range(STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if not epochwise or (step + 1) % EACH == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler.step()
    return rates


@pytest.mark.parametrize("config, make, epochwise", [
    ({"schedule": "constant"}, lambda o: S.ConstantLR(o, factor=1.0), False),
    ({"schedule": "cosine"}, lambda o: S.CosineAnnealingLR(o, T_max=STEPS), False),
    ({"schedule": "step"}, lambda o: S.MultiStepLR(o, [STEPS // 2, STEPS * 3 // 4], gamma=0.1), False),
    ({"schedule": "step"}, lambda o: S.MultiStepLR(o, [10, 15], gamma=0.1), True),
    ({"schedule": "every", "every": 5, "factor": 0.5}, lambda o: S.StepLR(o, 5, 0.5), True),          # R000
    ({"schedule": "every", "every": 7, "factor": 0.1}, lambda o: S.StepLR(o, 7, 0.1), True),          # R004
    ({"schedule": "cyclic", "cycles": 5}, lambda o: S.CosineAnnealingWarmRestarts(o, T_0=STEPS // 5), False),
    ({"schedule": "cyclic", "cycles": 1}, lambda o: S.CosineAnnealingLR(o, T_max=STEPS), False),
    ({"schedule": "one_cycle"}, lambda o: S.OneCycleLR(o, 0.3, total_steps=STEPS, cycle_momentum=False), False),
])
def test_schedules_against_torch(config, make, epochwise):
    config = OptimConfig(lr=0.3, warmup=0.0, **config)
    ours = [lr_at(config, step, STEPS, EACH) for step in range(STEPS)]
    assert ours == pytest.approx(theirs(make, epochwise), rel=1e-9, abs=1e-12)
    assert len(set(ours)) > 1 or config.schedule == "constant"


def test_the_rate_of_report_r000_in_each_of_its_15_epochs():
    config = OptimConfig(lr=1e-4, schedule="every", every=5, factor=0.5, warmup=0.0)
    for epoch in range(15):
        steps = range(epoch * 11, (epoch + 1) * 11)
        assert {lr_at(config, step, 15 * 11, 11) for step in steps} == {(1e-4, 5e-5, 2.5e-5)[epoch // 5]}


def test_the_warm_up_rises_in_a_straight_line_as_torchs_does():
    linear = theirs(lambda o: S.LinearLR(o, start_factor=1 / 14, total_iters=13))       # a tenth of the steps
    ours = [lr_at(OptimConfig(lr=0.3, warmup=0.1, schedule="constant"), step, STEPS, EACH) for step in range(STEPS)]
    assert ours == pytest.approx(linear)
    assert math.isclose(lr_at(OptimConfig(lr=1.0, warmup=0.1, schedule="cosine"), 14, STEPS, EACH), 1.0)


def test_one_cycle_has_a_rise_of_its_own_and_takes_no_warm_up():
    with_, without = (OptimConfig(lr=0.3, schedule="one_cycle", warmup=w) for w in (0.2, 0.0))
    assert [lr_at(with_, s, STEPS, EACH) for s in range(STEPS)] == [lr_at(without, s, STEPS, EACH) for s in range(STEPS)]


def test_a_cycle_ends_with_a_whole_epoch_where_the_epochs_do_not_divide():
    config = OptimConfig(lr=1.0, warmup=0.2, schedule="cyclic", cycles=3)                 # 20 epochs: 7, 6 and 7
    rates = [lr_at(config, step, STEPS, EACH) for step in range(STEPS)]
    assert [step // EACH for step, rate in enumerate(rates) if rate == 1.0] == [0, 7, 13]
    assert all(rates[end * EACH - 1] == min(rates[max(0, end - 6) * EACH:end * EACH]) < 0.01 for end in (7, 13, 20))
    assert cycle_ends(20, 3) == (7, 13, 20) and cycle_ends(3, 9) == (1, 2, 3)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "every", "one_cycle", "cyclic"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10])
def test_a_short_training_has_a_rate_too(schedule, steps):
    for step in range(steps):
        assert 0 <= lr_at(OptimConfig(lr=1.0, schedule=schedule), step, steps, 1) <= 1


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_the_groups_hold_every_weight_once_with_its_rate_and_decay(name):
    model = build_model(ModelConfig(name="resnet18"), classes=2, size=28, channels=1)
    model.freeze("all")                       # what is frozen is in a group all the same
    optimiser = build_optimiser(model, OptimConfig(name=name, weight_decay=0.05, backbone_lr=0.1))
    held = [p for group in optimiser.param_groups for p in group["params"]]
    assert len(held) == len(set(map(id, held))) == len(list(model.parameters()))
    set_lr(optimiser, 0.2)
    head = set(map(id, model.head_parameters()))
    for group in optimiser.param_groups:
        for p in group["params"]:
            assert group["lr"] == pytest.approx(0.2 if id(p) in head else 0.02)
            assert group["weight_decay"] == (0.05 if p.ndim > 1 else 0.0)
