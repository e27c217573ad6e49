"""What moves the weights: optimisers and learning-rate schedules, each in a table."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from core.config import OptimConfig
from core.config.optim import cycle_ends

# fused: one pass over each tensor instead of one for each operation; on the CPU 21 -> 6 ms for ResNet-18's 11 million weights.
OPTIMISERS = {
    "adamw": lambda weights, c: torch.optim.AdamW(weights, lr=c.lr, weight_decay=c.weight_decay, fused=True),
    "adam": lambda weights, c: torch.optim.Adam(weights, lr=c.lr, weight_decay=c.weight_decay, fused=True),
    "sgd": lambda weights, c: torch.optim.SGD(weights, lr=c.lr, momentum=c.momentum, weight_decay=c.weight_decay, fused=True),
}


def build_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Return the optimiser of all weights, frozen ones too: they have no gradient and stay, and may learn later.

    Weight decay spares biases and the scales of normalisation, which it would only push to zero. Each group
    has an "lr_scale", the share of the learning rate that it gets: `config.backbone_lr` for the backbone, 1
    for the head.
    """
    groups = []
    for weights, scale in ((model.backbone_parameters(), config.backbone_lr), (model.head_parameters(), 1.0)):
        weights = list(weights)
        groups += [{"params": [p for p in weights if p.ndim > 1], "lr_scale": scale},
                   {"params": [p for p in weights if p.ndim <= 1], "lr_scale": scale, "weight_decay": 0.0}]
    return OPTIMISERS[config.name]([group for group in groups if group["params"]], config)


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Give each group its share of the learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_scale"]


# --- schedules ---

@dataclass(frozen=True)
class Place:
    """Where in a training a step stands: `step` of `steps`, both counted without the warm-up; `epoch` with it. `each` is the
    steps of an epoch."""
    step: int
    steps: int
    epoch: int
    each: int = 1

    @property
    def share(self) -> float:
        return self.step / max(1, self.steps)


def _step(place: Place, config: OptimConfig) -> float:
    """Times 0.1 at 50 % and at 75 %, as in MedMNIST's experiments."""
    return 1.0 if place.share < 0.5 else 0.1 if place.share < 0.75 else 0.01


def _one_cycle(place: Place, config: OptimConfig) -> float:
    """Up from 1/25 in 30 % of the steps, then down to 1/25 of a ten thousandth, each along half a cosine.

    Smith, A disciplined approach to neural network hyper-parameters, 2018, with the numbers of torch's
    OneCycleLR.
    """
    low, top, last = 1 / 25, 0.3 * place.steps - 1, max(place.steps - 1, 1)
    if place.step <= top and top > 0:
        return _along_cosine(low, 1.0, place.step / top)
    return _along_cosine(1.0, low / 1e4, (place.step - top) / (last - top))


def _cyclic(place: Place, config: OptimConfig) -> float:
    """Half a cosine from 1 to 0 in each cycle, then 1 again:

        lr = lr0 (1 + cos(pi t / T)) / 2        t steps since the cycle began, of T that it has

    Loshchilov & Hutter, SGDR: Stochastic gradient descent with warm restarts, ICLR 2017, eq. 5 with a smallest rate of 0 and
    cycles of one length, as in Huang et al., Snapshot ensembles: Train 1, get M for free, ICLR 2017, eq. 2. A cycle ends with
    a whole epoch, so that the checkpoint of that epoch is its snapshot.
    """
    ends = (0, *(epoch * place.each for epoch in cycle_ends(place.steps // place.each, config.cycles)))
    number = bisect.bisect_right(ends, place.step)
    begun = ends[number - 1]
    end = ends[number] if number < len(ends) else place.steps
    return _along_cosine(1.0, 0.0, (place.step - begun) / (end - begun))


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Schedule:
    """One row of SCHEDULES.

    factor: (place, config) -> what the learning rate is multiplied by
    warms_up: False where the schedule has a rise of its own, and the warm-up is left out
    """
    factor: Callable[[Place, OptimConfig], float]
    warms_up: bool = True


SCHEDULES = {
    "constant": Schedule(lambda place, c: 1.0),
    # Loshchilov & Hutter 2017, eq. 5, one cycle
    "cosine": Schedule(lambda place, c: _along_cosine(1.0, 0.0, place.share)),
    "step": Schedule(_step),
    "every": Schedule(lambda place, c: c.factor ** (place.epoch // c.every)),
    "one_cycle": Schedule(_one_cycle, warms_up=False),
    "cyclic": Schedule(_cyclic, warms_up=False),
}


def lr_at(config: OptimConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate of step 0 <= step < steps: a straight rise during the warm-up, then the schedule.

    A formula of the step alone, so that a resumed run needs nothing but its place. "every" counts its epochs
    from the start of the training; the others spread over what the warm-up leaves.
    """
    schedule = SCHEDULES[config.schedule]
    warm = round(config.warmup * steps) if schedule.warms_up else 0
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * schedule.factor(Place(step - warm, steps - warm, step // steps_per_epoch, steps_per_epoch), config)
