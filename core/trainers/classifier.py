"""The training loop of a classifier, as a generator. All of it is here.

    state = TrainState.fresh(model, config)
    for record in train(state, train_split, val_split, config):
        ...                                   # a page draws it, a test checks it, the worker writes it down

It yields plain records. "tick" comes after every step and every batch of validation, so that the caller can stop between any
two of them; "step" about twice a second with numbers; "epoch" after each validation. Closing the generator is the way to
stop; `state` is then where the training stands, and a generator made from that state goes on with the next step.

The test split is not here: this file never receives it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from core import metrics
from core.augment import active
from core.augment.images import augment
from core.config import RunConfig
from core.errors import LightboxError
from core.trainers.batches import Batches, Split, in_portions, shuffled
from core.trainers.optim import LOSSES, build_optimiser, lr_at, weight_tensor

REPORT_SECONDS = 0.5        # between two "step" records: each reads the loss back from the device, which waits for it


@dataclass
class TrainState:
    """Where a training stands: everything that the next step depends on, besides config and data.

    All chance is a function of (seed, epoch, step, image), so there is no random state to keep.

    Args:
        epoch: epochs finished
        step: steps done of the next epoch
        total: (2,) sum of the losses and of the right answers over the images of those steps, on the device: reading it
            waits for the device, so that is done only when somebody asks
        count: how many images those were
        best: {"epoch", "roc_auc", "accuracy", "loss"} of the best epoch so far, {} before the first
        seconds: of training so far, over all resumes
    """
    model: nn.Module
    optimiser: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    count: int = 0
    best: dict = field(default_factory=dict)
    seconds: float = 0.0

    @staticmethod
    def fresh(model: nn.Module, config: RunConfig) -> TrainState:
        """At the start. Move the model to its device before."""
        return TrainState(model, build_optimiser(model, config.optim))

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(weights, optimiser state) as flat dicts of tensors that live on; copy them to keep them."""
        slots = self.optimiser.state_dict()["state"]
        moments = {f"{i}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
                   for i, slot in slots.items() for name, value in slot.items() if value is not None}
        return self.model.state_dict(), moments

    def meta(self) -> dict:
        """The rest, as JSON."""
        return {"epoch": self.epoch, "step": self.step, "total": self.total.tolist(), "count": self.count,
                "best": self.best, "seconds": self.seconds}

    def is_sound(self) -> bool:
        """Whether every number so far was one; otherwise the state must not be saved."""
        return bool(torch.isfinite(self.total).all())

    def load(self, weights: dict[str, Tensor], moments: dict[str, Tensor], meta: dict) -> None:
        """Stand again where `tensors` and `meta` were taken, bit for bit."""
        self.model.load_state_dict(weights)
        slots: dict[int, dict] = {}
        for name, value in moments.items():
            i, _, key = name.partition(".")
            slots.setdefault(int(i), {})[key] = value
        self.optimiser.load_state_dict({"state": slots, "param_groups": self.optimiser.state_dict()["param_groups"]})
        self.epoch, self.step = meta["epoch"], meta["step"]
        self.total, self.count = torch.tensor(meta["total"], dtype=torch.float64), meta["count"]
        self.best, self.seconds = dict(meta["best"]), meta["seconds"]


def train(state: TrainState, train_split: Split, val_split: Split, config: RunConfig, *, precision: str = "float32",
          channels_last: bool = True) -> Iterator[dict]:
    """Train from where `state` stands to the last epoch.

    Args:
        state: changed in place; its model is on the device to train on and has a `task`
        precision: "float32" or "bfloat16"; validation is always float32
        channels_last: order of the numbers in memory; changes the speed only

    Yields:
        {"kind": "tick", "phase": "train" | "validate", "epoch", "step", "steps"}: epoch counts from 1
        {"kind": "step", "epoch", "step", "steps", "loss", "lr", "grad_norm", "images_per_second", "seconds_left"}
        {"kind": "epoch", "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_roc_auc" (None
            where it is undefined), "images_per_second", "seconds", "seconds_left", "is_best", "notes"}

    Raises:
        LightboxError: "train.empty" for a split without images, "train.nan" when the loss is no longer a number;
            `state` must then not be saved
    """
    for split, name in ((train_split, "training"), (val_split, "validation")):
        if len(split) < 2:
            raise LightboxError("train.empty", f"The {name} split has {len(split)} images.",
                                "Choose other shares for the split, or more images.")
    model, task = state.model, state.model.task
    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    train_batches, val_batches = Batches(train_split, device), Batches(val_split, device)
    classes = len(model.class_names)
    weights = weight_tensor(train_split.labels, classes, device) if config.train.class_weights else None
    half = precision == "bfloat16"
    augmenting = bool(active(config.augment))
    stochastic = any(isinstance(m, nn.Dropout) and m.p > 0 for m in model.modules())

    seed, epochs, batch_size = config.train.seed, config.train.epochs, config.train.batch_size
    steps = len(shuffled(len(train_split), batch_size, seed, 0))
    clock = Clock(steps * epochs, state.epoch * steps + state.step)

    for epoch in range(state.epoch, epochs):
        begun = time.perf_counter()
        model.train()
        portions = shuffled(len(train_split), batch_size, seed, epoch)[state.step:]
        state.total = state.total.to(device, torch.float32 if device.type == "mps" else torch.float64)
        for positions, (images, labels) in zip(portions, train_batches(portions)):
            step = epoch * steps + state.step
            lr = lr_at(config.optim, step, steps * epochs)
            for group in state.optimiser.param_groups:
                group["lr"] = lr
            with _seeded(seed, step, device) if stochastic else contextlib.nullcontext():
                if augmenting:
                    images = augment(images, config.augment, (seed, epoch), torch.from_numpy(train_split.indices[positions]))
                if channels_last:
                    images = images.contiguous(memory_format=torch.channels_last)
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    logits = model(images)
                loss = LOSSES[task](logits.float(), labels, weights)
                state.optimiser.zero_grad(set_to_none=True)
                loss.backward()
            state.optimiser.step()

            with torch.no_grad():
                state.total = state.total + torch.stack((loss * len(positions), _correct(logits, labels))).to(state.total)
            state.count += len(positions)
            state.step += 1
            clock.tick(len(positions))
            if clock.report_due() or state.step == steps:
                _check_finite(float(loss.detach()))                   # the one wait for the device, about twice a second
                yield {"kind": "step", "epoch": epoch + 1, "step": state.step, "steps": steps, "loss": float(loss.detach()),
                       "lr": lr, "grad_norm": _grad_norm(model), "images_per_second": clock.images_per_second(),
                       "seconds_left": clock.seconds_left()}
            else:
                yield {"kind": "tick", "phase": "train", "epoch": epoch + 1, "step": state.step, "steps": steps}

        trained_seconds = time.perf_counter() - begun
        loss_sum, right = state.total.tolist()
        _check_finite(loss_sum)
        probs = None
        for done, probs in predict(model, val_batches, batch_size):
            yield {"kind": "tick", "phase": "validate", "epoch": epoch + 1, "step": done, "steps": len(val_split)}
        val = score(val_split.labels, probs, task)
        _check_finite(val["loss"])
        record = {
            "kind": "epoch", "epoch": epoch + 1, "lr": lr_at(config.optim, (epoch + 1) * steps - 1, steps * epochs),
            "train_loss": loss_sum / state.count,
            "train_accuracy": right / (state.count * (classes if train_split.labels.ndim == 2 else 1)),
            "val_loss": val["loss"], "val_accuracy": val["accuracy"], "val_roc_auc": val["roc_auc"],
            "images_per_second": sum(map(len, portions)) / trained_seconds if portions else None,
            "seconds": time.perf_counter() - begun, "is_best": is_better(val, state.best), "notes": val["notes"]}
        if record["is_best"]:
            state.best = {"epoch": epoch + 1, "roc_auc": val["roc_auc"], "accuracy": val["accuracy"], "loss": val["loss"]}
        state.seconds += record["seconds"]
        state.epoch, state.step = epoch + 1, 0
        state.total, state.count = torch.zeros_like(state.total), 0
        record["seconds_left"] = record["seconds"] * (epochs - state.epoch)
        yield record


def predict(model: nn.Module, batches: Batches, batch_size: int) -> Iterator[tuple[int, np.ndarray | None]]:
    """Probabilities of a whole split, in its order, float32 and in evaluation mode.

    Yields:
        (images done, None) after each batch, at last (N, (N, K) float32 in [0, 1])
    """
    was_training = model.training
    model.eval()
    try:
        parts, done = [], 0
        # No gradients, so a batch may be larger than in training; not on the CPU, where it must end soon to be stopped.
        portions = in_portions(np.arange(len(batches.split)), batch_size * (1 if batches.device.type == "cpu" else 4))
        for images, _ in batches(portions):
            # Left again before each yield: the caller must not find gradients switched off.
            with torch.no_grad():
                parts.append(model.probabilities(model(images)))
            done += len(images)
            yield done, None
        yield done, torch.cat(parts).cpu().numpy()
    finally:
        model.train(was_training)


def score(labels: np.ndarray, probs: np.ndarray, task: str) -> dict:
    """loss, accuracy and roc_auc (None where it is undefined) of a validation, with sentences about what is undefined."""
    if not np.isfinite(probs).all():
        _check_finite(math.nan)
    roc_auc = metrics.roc_auc(labels, probs, task)
    notes = [] if roc_auc is not None else ["ROC AUC is undefined here, because a class has no image in this split. "
                                            "The best epoch is chosen by the loss."]
    return {"loss": metrics.cross_entropy(labels, probs, task), "accuracy": metrics.accuracy(labels, probs, task),
            "roc_auc": roc_auc, "notes": notes}


def is_better(new: dict, best: dict) -> bool:
    """Higher ROC AUC; where it is equal or undefined, lower loss."""
    if not best:
        return True
    a, b = new["roc_auc"], best["roc_auc"]
    return a > b if a is not None and b is not None and a != b else new["loss"] < best["loss"]


class Clock:
    """Images per second and time left, over the last seconds, so that a slow start does not spoil them."""

    def __init__(self, steps: int, done: int):
        self.left = steps - done
        self.marks = [(time.perf_counter(), 0, self.left)]      # (time, images so far, steps left)
        self.images, self.reported = 0, time.perf_counter()

    def tick(self, images: int) -> None:
        self.images += images
        self.left -= 1

    def report_due(self) -> bool:
        now = time.perf_counter()
        if now - self.reported < REPORT_SECONDS:
            return False
        self.reported = now
        self.marks = [*self.marks[-20:], (now, self.images, self.left)]
        return True

    def _span(self) -> tuple[float, int, int]:
        (t0, i0, l0), now = self.marks[0], time.perf_counter()
        return max(now - t0, 1e-9), self.images - i0, l0 - self.left

    def images_per_second(self) -> float:
        seconds, images, _ = self._span()
        return images / seconds

    def seconds_left(self) -> float:
        seconds, _, steps = self._span()
        return self.left * seconds / max(steps, 1)


@contextlib.contextmanager
def _seeded(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Dropout only knows the global random state: set it for one step from (seed, step), and put it back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed((seed * 1_000_003 + step) * 2 + 1)
        yield


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    """How many answers of a batch are right; for several findings, over all of them."""
    if labels.ndim == 2:
        return ((logits > 0) == labels.bool()).sum()
    return (logits.argmax(dim=1) == labels).sum()


def _grad_norm(model: nn.Module) -> float:
    """Length of the gradient over all weights: near 0 nothing is learned, very large and the steps are wild."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))) if grads else 0.0


def _check_finite(value: float) -> None:
    if not math.isfinite(value):
        raise LightboxError("train.nan", "The loss is no longer a number, so the training was stopped.",
                            "The learning rate is probably too high: try a tenth of it. The last good checkpoint is kept.")
