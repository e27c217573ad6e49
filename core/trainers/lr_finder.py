"""The learning-rate range test: which rates make the loss fall, seen in a hundred steps.

    for record in find_lr(model, split, config):      # {"lr", "loss", "smooth"} of each step
        ...
    suggest(records).lr

The rate rises from step to step by the same factor, from so little that nothing moves to so much that the
loss diverges. Where the loss falls fastest is a good rate to train with.

Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, section 3.3,
https://arxiv.org/abs/1506.01186; there the
rate rises in a straight line, here by a factor, so that each power of ten gets as many steps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from core.config import RunConfig
from core.errors import LightboxError
from core.trainers.batches import Batches, SplitData
from core.trainers.classifier import Learner, frozen_in
from core.trainers.distributed import Group
from core.trainers.losses import build_objective, known_images
from core.trainers.optim import set_lr
from core.trainers.sampling import plan_epoch
from core.trainers.state import TrainState

LOW, HIGH, STEPS = 1e-7, 10.0, 100
MEMORY = 0.9             # share of the past in the smoothed loss: it remembers about ten steps
WORSE = 4.0              # so many times the lowest smoothed loss is too much, and the test ends
STILL = 10               # first steps, which hardly move a weight: their losses show how much batches differ
SPAN = 3                 # steps to either side over which a slope is measured
NOISE = 4.0              # standard errors that a fall must exceed to be one


def range_test(step: Callable[[int, float], float], *, low: float = LOW, high: float = HIGH,
               steps: int = STEPS) -> Iterator[dict]:
    """Raise the rate from `low` to `high` and watch the loss.

        lr_i     = low (high / low)^(i / (steps - 1))
        smooth_i = sum_j<=i b^(i-j) loss_j / sum_j<=i b^(i-j),  b = MEMORY

    Args:
        step: (i, lr) -> the loss, a number, before a step with this rate is made

    Yields:
        {"kind": "step", "step": from 1, "steps", "lr", "loss", "smooth"}; ends after the step in which
            `smooth` exceeds WORSE
        times its lowest, or before the first loss that is no number
    """
    total, lowest = 0.0, math.inf
    for i in range(steps):
        lr = low * (high / low) ** (i / (steps - 1))
        loss = step(i, lr)
        if not math.isfinite(loss):
            return
        total = MEMORY * total + (1 - MEMORY) * loss
        smooth = total / (1 - MEMORY ** (i + 1))
        yield {"kind": "step", "step": i + 1, "steps": steps, "lr": lr, "loss": loss, "smooth": smooth}
        if smooth > WORSE * lowest:
            return
        lowest = min(lowest, smooth)


def find_lr(model: nn.Module, train_split: SplitData, config: RunConfig, *, precision: str = "float32",
            channels_last: bool = True, low: float = LOW, high: float = HIGH, steps: int = STEPS) -> Iterator[dict]:
    """`range_test` of a classifier: steps as in the training, with its loss, optimiser, changes of images and frozen layers.

    Args:
        model: a Classifier on the device to compute on. A copy learns; the model and the caller's random
            state stay as they are
        train_split: of images, or of features as `core.trainers.embedding` gives them
        config: its learning rate and schedule play no part
        precision, channels_last: as in `core.trainers.classifier.train`

    Raises:
        LightboxError: "train.empty" for a split without images, "train.loss" for a loss that does not fit the
            task, "finder.nan" where the loss is no number before anything was learned
    """
    if len(train_split) < 2:
        raise LightboxError("train.empty", f"The training split has {len(train_split)} images.",
                            "Choose other shares for the split, or more images.")
    trial = copy.deepcopy(model)
    device = next(trial.parameters()).device
    trial.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    trial.freeze(frozen_in(config.model, 0))
    trial.train()
    steps_an_epoch = len(plan_epoch(train_split.labels, config.train, 0))
    objective = build_objective(config.train, model.task, train_split.labels, len(model.class_names), device)
    state = TrainState.fresh(trial, config)
    state.total = state.total.to(device, torch.float32 if device.type == "mps" else torch.float64)
    learner = Learner(state, Batches(train_split, device), config, objective, precision == "bfloat16", channels_last, False,
                      Group())
    plan: list[list[np.ndarray]] = []

    def step(i: int, lr: float) -> float:
        if i % steps_an_epoch == 0:
            plan[:] = plan_epoch(train_split.labels, config.train, i // steps_an_epoch)
            learner.open(i // steps_an_epoch, plan)
        set_lr(state.optimiser, lr)
        batches = plan[i % steps_an_epoch]
        sums, _ = learner.step(i, batches)
        known = known_images(train_split.labels[np.concatenate(batches)])
        return float(sums[2]) / known                         # waits for the device: a hundred steps may

    none = True
    for record in range_test(step, low=low, high=high, steps=steps):
        none = False
        yield record
    if none:
        raise LightboxError("finder.nan", "The loss is not a number before anything is learned.",
                            "Start from other weights, or set train.precision to float32.")


@dataclass(frozen=True)
class Suggestion:
    """What a curve says.

    Args:
        lr: where the smoothed loss falls fastest; None where it never falls
        tenth: a tenth of the rate at which it is lowest, an older and often more careful rule; None likewise,
            and where the loss is lowest at the end
        sentence: in words
    """
    lr: float | None
    tenth: float | None
    sentence: str


def suggest(records: Sequence[dict]) -> Suggestion:
    """Read a learning rate off the curve that `range_test` yielded.

    A fall counts only where it is more than the losses of the first STILL steps, in which nothing is learned
    yet, differ among themselves: NOISE standard errors of their mean and of the smoothed loss, and a
    hundredth of the loss.
    """
    if len(records) < STILL + 2 * SPAN:
        return Suggestion(None, None, "The loss diverged after a few steps, at rates that are too low to change anything: check "
                          "the images and the initial weights.")
    lr, loss, smooth = (np.array([record[key] for record in records], float) for key in ("lr", "loss", "smooth"))
    still = loss[:STILL]
    error = still.std(ddof=1) * math.sqrt(1 / STILL + (1 - MEMORY) / (1 + MEMORY))
    lowest = int(smooth.argmin())
    fall = still.mean() - smooth[lowest]
    if lowest < STILL or fall <= max(NOISE * error, 0.01 * abs(still.mean())):
        return Suggestion(None, None, "At no rate did the loss fall by more than it varies from batch to batch, so there is no "
                          "rate to suggest. Perhaps batches are too small, too many layers are frozen, or the labels are random.")
    places = np.arange(STILL, max(lowest, STILL + 1))
    before, after = np.maximum(places - SPAN, 0), np.minimum(places + SPAN, len(smooth) - 1)
    steepest = places[((smooth[after] - smooth[before]) / (after - before)).argmin()]
    steep, low = _rounded(lr[steepest]), _rounded(lr[lowest])
    falls = f"The loss falls fastest at a rate of about {steep:g}."
    if len(records) == records[-1]["steps"] and lowest >= len(records) - STILL:
        return Suggestion(steep, None, f"{falls} Even at {_rounded(lr[-1]):g} it does not rise again, so this curve does not "
                          "show which rate is too high.")
    tenth = _rounded(low / 10)
    ended = f", and beyond {_rounded(lr[-1]):g} it diverges" if len(records) < records[-1]["steps"] else ""
    return Suggestion(steep, tenth, f"{falls} It is lowest at {low:g}{ended}. A tenth of the rate where it is "
                                    f"lowest, {tenth:g}, is the cautious choice.")


def _rounded(lr: float) -> float:
    """Two digits are more than such a curve can tell."""
    return float(f"{lr:.1e}")
