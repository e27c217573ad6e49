"""The training loop of a classifier, as a generator.

    state = TrainState.fresh(model, config)
    for record in train(state, train_split, val_split, config):
        ...                                   # a page draws it, a test checks it, the worker writes it down

It yields the records of records.py: a Tick after every step and every batch of validation, so that the caller
can stop between any two of them; a StepRecord about twice a second; an EpochRecord after each validation.
Closing the generator is the way to stop; `state` is then where the training stands, and a generator made from
that state goes on with the next step.

What a step is made of stands in files of their own: sampling.py (which images), losses.py (towards what),
optim.py (how far), validation.py (how good it is then), state.py (what a resume needs). The test split is not
here: this file never receives it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from core.augment import active
from core.config import ModelConfig, RunConfig
from core.config.optim import require_cycles
from core.errors import LightboxError
from core.trainers.augmenting import augment_inputs
from core.trainers.batches import Batches, SplitData
from core.trainers.distributed import Group, has_dropout
from core.trainers.losses import Objective, build_objective, known_images, plain_loss
from core.trainers.optim import lr_at, set_lr
from core.trainers.records import EpochRecord, Record, StepRecord, Tick
from core.trainers.sampling import mixture, plan_epoch
from core.trainers.state import TrainState
from core.trainers.throughput import Clock
from core.trainers.validation import (
    check_finite,
    count_predictions,
    is_better,
    notes_on,
    predict,
    score,
    stops_early,
    tracked_images,
)

__all__ = ["EpochRecord", "StepRecord", "Tick", "TrainState", "is_better", "predict", "score", "train"]


def train(state: TrainState, train_split: SplitData, val_split: SplitData, config: RunConfig, *, precision: str = "float32",
          channels_last: bool = True, compiled: bool = False, group: Group | None = None) -> Iterator[Record]:
    """Train from where `state` stands to the last epoch, or to the early stop.

    Args:
        state: changed in place; its model is on the device to train on and has a `task`
        train_split, val_split: of images, or both of the features of a frozen backbone; then only the head is
            computed
        precision: "float32" or "bfloat16"; validation is always float32
        channels_last: order of the numbers in memory; changes the speed only
        compiled: let PyTorch rewrite the forward and backward pass of a step (torch.compile)
        group: the processes that train together; each calls this function with the same arguments and yields
            as often

    Yields:
        a Tick, StepRecord or EpochRecord

    Raises:
        LightboxError: "train.empty" for a split without images, "train.loss" for a loss that does not fit the
            task, "train.cycles" for more cycles than epochs, "train.parts" for batches too small for several
            processes, "train.nan" when the loss is no longer a number; `state` must then not be saved

    >>> from core.models import build_model
    >>> images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1), dtype=np.uint8)
    >>> labels = np.arange(24) % 2
    >>> splits = [SplitData(images, rows, labels[rows]) for rows in (np.arange(16), np.arange(16, 24))]
    >>> config = RunConfig().with_(**{"model.name": "small_cnn", "train.epochs": 2})
    >>> model = build_model(config.model, classes=2, size=16, channels=1, task="binary-class")
    >>> records = train(TrainState.fresh(model, config), *splits, config)
    >>> [(record.epoch, sum(record.predicted)) for record in records if isinstance(record, EpochRecord)]
    [(1, 8), (2, 8)]
    """
    for split, name in ((train_split, "training"), (val_split, "validation")):
        if len(split) < 2:
            raise LightboxError("train.empty", f"The {name} split has {len(split)} images.",
                                "Choose other shares for the split, or more images.")
    require_cycles(config.optim, config.train.epochs)
    model, task = state.model, state.model.task
    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    state.match_layout()
    train_batches, val_batches = Batches(train_split, device), Batches(val_split, device)
    objective = build_objective(config.train, task, train_split.labels, len(model.class_names), device)
    learner = Learner(state, train_batches, config, objective, precision == "bfloat16", channels_last, compiled,
                      group or Group())
    tracked = tracked_images(val_split.labels)

    epochs, batch_size, monitor = config.train.epochs, config.train.batch_size, config.train.monitor
    first_epoch = plan_epoch(train_split.labels, config.train, 0)
    steps = len(first_epoch)
    learner.group.check(model, min((len(batch) for batches in first_epoch for batch in batches), default=0))
    clock = Clock(steps * epochs, state.epoch * steps + state.step)

    while state.epoch < epochs and not stops_early(state.epoch, state.best, config.train):
        epoch, begun = state.epoch, time.perf_counter()
        plan = plan_epoch(train_split.labels, config.train, epoch)[state.step:]
        yield from _learn_epoch(learner, plan, steps, clock)

        learner.group.sync_buffers(model)
        trained = sum(len(positions) for portions in plan for positions in portions)
        trained_seconds = time.perf_counter() - begun
        loss, correct, objected = (state.total / state.count).tolist()
        check_finite(loss + objected)
        on_train = {"loss": loss, "accuracy": None if config.train.mixup else correct}
        if config.train.measure_train:
            on_train, _ = yield from _evaluate(model, train_batches, batch_size, epoch)
        on_val, probs = yield from _evaluate(model, val_batches, batch_size, epoch)

        better = is_better(on_val, state.best, monitor)
        if better:
            state.best = {"epoch": epoch + 1, **on_val}
        seconds = time.perf_counter() - begun
        state.seconds += seconds
        state.epoch, state.step = epoch + 1, 0
        state.total, state.count = torch.zeros_like(state.total), 0
        yield EpochRecord(
            epoch=epoch + 1, lr=lr_at(config.optim, (epoch + 1) * steps - 1, steps * epochs, steps),
            train=on_train, measured="evaluated" if config.train.measure_train else "running",
            val=on_val, monitor=monitor, is_best=better, predicted=count_predictions(probs, task),
            tracked=probs[tracked].astype(float).round(4).tolist(),
            images_per_second=trained / trained_seconds if plan else None,
            seconds=seconds, seconds_left=seconds * (epochs - state.epoch), notes=notes_on(on_val, monitor))


def _learn_epoch(learner: Learner, plan: list[list[np.ndarray]], steps: int, clock: Clock) -> Iterator[Tick | StepRecord]:
    """Do the steps that are left of an epoch, `plan`, of `steps` in all."""
    state, config = learner.state, learner.config
    model, device, epoch = state.model, learner.device, state.epoch
    model.freeze(frozen_in(config.model, epoch))
    model.train()
    state.total = state.total.to(device, torch.float32 if device.type == "mps" else torch.float64)
    learner.open(epoch, plan)
    for portions in plan:
        lr = lr_at(config.optim, epoch * steps + state.step, steps * config.train.epochs, steps)
        set_lr(state.optimiser, lr)
        tally, grad_norm = learner.step(epoch * steps + state.step, portions)
        images = sum(map(len, portions))
        known = known_images(learner.batches.split.labels[np.concatenate(portions)])
        state.total, state.count, state.step = state.total + tally, state.count + known, state.step + 1
        clock.tick(images)
        if not clock.report_due() and state.step < steps:
            yield Tick("train", epoch + 1, state.step, steps)
            continue
        # the one wait for the device, about twice a second
        loss, correct, objected = (tally / known).tolist()
        check_finite(loss + objected)
        yield StepRecord(epoch + 1, state.step, steps, loss, objected, None if config.train.mixup else correct, lr,
                         float(_grad_norm(model) if grad_norm is None else grad_norm),
                         clock.images_per_second(), clock.seconds_left())


def _evaluate(model: nn.Module, batches: Batches, batch_size: int, epoch: int) -> Generator[Tick, None, tuple[dict, np.ndarray]]:
    """Predict a split, with a Tick after each batch; return all metrics and the probabilities."""
    for done, probs in predict(model, batches, batch_size):
        yield Tick("validate", epoch + 1, done, len(batches.split))
    return score(batches.split.labels, probs, model.task), probs


def frozen_in(config: ModelConfig, epoch: int) -> str:
    """Return what `Classifier.freeze` gets in an epoch, counted from 0: a function of the epoch, so a resume needs no memory."""
    return "none" if config.unfreeze_epoch and epoch >= config.unfreeze_epoch else config.freeze


class Learner:
    """Moves the weights by one step at a time. Nothing in it waits for the device."""

    def __init__(self, state: TrainState, batches: Batches, config: RunConfig, objective: Objective, half: bool,
                 channels_last: bool, compiled: bool, group: Group):
        self.state, self.batches, self.config, self.objective, self.group = state, batches, config, objective, group
        self.embedded, self.device, self.seed = batches.split.embedded, batches.device, config.train.seed
        self.views = state.model.preprocessing.views
        self.half, self.compiled, self.channels_last = half, compiled, channels_last and not self.embedded
        self.augmenting = bool(active(config.augment)) and not self.embedded
        self.stochastic = has_dropout(state.model)
        forward = state.model.head if self.embedded else state.model
        self.forward = group.wrap(state.model, torch.compile(forward) if compiled else forward)

    def open(self, epoch: int, plan: list[list[np.ndarray]]) -> None:
        """Begin an epoch, or what is left of it: its steps, for each its batches, for each its positions in the split."""
        mine = [self.group.share(batch) for batches in plan for batch in batches]
        self.epoch, self.coming = epoch, self.batches(mine, epoch=epoch)

    def step(self, step: int, batches: list[np.ndarray]) -> tuple[Tensor, Tensor | None]:
        """Add up the gradients of the batches of a step, then move.

        Each batch counts by its share of the step, so that a batches of b images a step give what one batch
        of a b images gives (but for batch norm, which sees b images at a time).

        Args:
            step: since the start of the training
            batches: the positions of each

        Returns:
            (3,) sums over the images of the step, on the device: cross-entropy, correct predictions,
                objective; and the length of
            the gradient where it was needed
        """
        model, optimiser, positions = self.state.model, self.state.optimiser, np.concatenate(batches)
        weight = self.objective.weight(self.batches.split.labels[positions])
        known = known_images(self.batches.split.labels[positions])
        tally = torch.zeros_like(self.state.total)
        optimiser.zero_grad(set_to_none=True)
        with _seeded((self.seed, step, self.group.rank), self.device) if self.stochastic else contextlib.nullcontext():
            for part, batch in enumerate(batches):
                self.group.share(batch)                       # says how large the whole of what comes is
                loss, sums = self._loss(len(batch), (self.seed, self.epoch, step, part), weight, len(positions), known)
                # the group takes the mean of the gradients, the step is a sum
                (loss * self.group.size).backward()
                tally += sums
        norm = None
        if self.config.optim.clip:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), self.config.optim.clip)
        optimiser.step()
        return self.group.sum(tally), norm

    def _loss(self, n: int, place: tuple[int, ...], weight: float, count: int, known: float) -> tuple[Tensor, Tensor]:
        """What this process's part of the next batch, of n images, adds to the objective of a step of `count`; its (3,) sums.

        known: `known_images` of the step
        """
        images, labels = next(self.coming)
        if self.augmenting:
            images = augment_inputs(images, self.views, self.config.augment, place[:2], self.batches.rows)
        share, others = 1.0, labels
        if self.config.train.mixup:
            share, partner = mixture(self.config.train.mixup, n, place)
            partner = torch.from_numpy(self.group.share(partner)).to(self.device, non_blocking=True)
            images = torch.lerp(self.group.whole(images)[partner], images, share)
            others = self.group.whole(labels)[partner]
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits = self.forward(images)
        logits, targets = logits.float(), self.objective.targets
        loss = self.objective(logits, torch.lerp(targets(others), targets(labels), share)).sum() / weight
        if (penalty := self.state.model.penalty(logits)) is not None and len(images):
            loss = loss + penalty * (len(images) / count)
        with torch.no_grad():
            plain = torch.lerp(plain_loss(logits, others), plain_loss(logits, labels), share).sum()
            return loss, torch.stack((plain, _correct(logits, labels), loss * known)).to(self.state.total)


@contextlib.contextmanager
def _seeded(place: tuple[int, int, int], device: torch.device) -> Iterator[None]:
    """Dropout only knows the global random state: set it for one step from (seed, step, rank), and put it back."""
    seed, step, rank = place
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed((seed * 1_000_003 + step) * 2 + 1 + (rank << 53))
        yield


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the number of correct predictions in a batch; with several findings, each image counts by its share.

    What is not known counts as no image, see `known_images`.
    """
    if labels.ndim == 2:
        return (((logits > 0) == labels.bool()) & (labels >= 0)).float().mean(dim=1).sum()
    return (logits.argmax(dim=1) == labels).float().sum()


def _grad_norm(model: nn.Module) -> Tensor:
    """Length of the gradient over all weights: near 0 nothing is learned, very large and the steps are wild."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))) if grads else torch.zeros(())
