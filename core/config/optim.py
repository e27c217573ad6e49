"""Settings of the optimiser."""

from __future__ import annotations

from dataclasses import dataclass

from core.config.knob import knob
from core.errors import LightboxError


def cycle_ends(epochs: int, cycles: int) -> tuple[int, ...]:
    """Return the last epoch, counted from 1, of each of so many cycles of equal length, as well as whole epochs allow: the
    j-th ends with epoch j epochs / cycles, rounded, a half up. With more cycles than epochs each epoch is one.

    >>> cycle_ends(10, 5), cycle_ends(10, 3), cycle_ends(2, 5)
    ((2, 4, 6, 8, 10), (3, 7, 10), (1, 2))
    """
    cycles = min(cycles, epochs)
    return tuple((2 * j * epochs + cycles) // (2 * cycles) for j in range(1, cycles + 1))


def require_cycles(config: OptimConfig, epochs: int) -> None:
    """Raise LightboxError "train.cycles" where a cyclic schedule has more cycles than there are epochs."""
    if config.schedule == "cyclic" and config.cycles > epochs:
        raise LightboxError("train.cycles", f"{config.cycles} cycles of the learning rate do not fit into {epochs} "
                            f"epoch{'s' if epochs > 1 else ''}: a cycle has one epoch at least.",
                            "Choose fewer cycles or more epochs.")


@dataclass(frozen=True)
class OptimConfig:
    """How the weights are updated."""

    name: str = knob(
        "adamw", "Optimiser", "The rule that turns gradients into updates of the weights.",
        choices={"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}, group="training")
    lr: float = knob(
        1e-3, "Learning rate", "Size of an update. Too large: the loss jumps or becomes NaN. Too small: it "
        "hardly falls.", low=1e-7, high=10.0, group="training", grid=(0.0001, 0.0003, 1e-3, 0.003, 0.01))
    momentum: float = knob(
        0.9, "Momentum", "Fraction of the last update that SGD keeps.", low=0.0, high=0.999, step=0.01,
        group="training", shown_if={"optim.name": "sgd"})
    schedule: str = knob(
        "cosine", "Schedule", "How the learning rate changes. cosine: falls smoothly to zero. step: divided "
        "by 10 at 50 % and 75 % of the training. every: multiplied by a factor every few epochs (StepLR). "
        "one_cycle: rises for 30 % of the training, then falls to almost nothing. cyclic: falls to zero and starts anew, "
        "several times; a snapshot at the end of each cycle is a network of its own.",
        choices={"constant": "Constant", "cosine": "Cosine", "step": "Step (÷10 at 50 % and 75 %)",
                 "every": "Step every few epochs", "one_cycle": "One cycle", "cyclic": "Cosine with restarts"},
        group="training")
    cycles: int = knob(
        5, "Cycles", "How often the learning rate falls to zero; each cycle has as many epochs.", low=1, high=100,
        group="training", grid=(2, 3, 5), shown_if={"optim.schedule": "cyclic"})
    every: int = knob(
        5, "Step size", "Epochs between two steps of the learning rate.", low=1, high=1000, unit="epochs",
        group="training", shown_if={"optim.schedule": "every"})
    factor: float = knob(
        0.5, "Step factor", "Each step multiplies the learning rate by this.", low=0.01, high=1.0,
        group="training", shown_if={"optim.schedule": "every"})
    backbone_lr: float = knob(
        1.0, "Backbone learning rate", "As a fraction of the head's. Less than 1 preserves what pretrained "
        "layers know.", low=0.0001, high=1.0, group="model", hidden_if={"model.weights": "none"})
    weight_decay: float = knob(
        0.01, "Weight decay", "Pulls the weights towards zero.", low=0.0, high=1.0,
        grid=(0.0, 0.0001, 1e-3, 0.01))
    warmup: float = knob(
        0.05, "Warm-up", "Fraction of the training in which the learning rate rises from zero.", low=0.0,
        high=0.5, step=0.01, hidden_if={"optim.schedule": "*cycl*"})
    clip: float = knob(
        0.0, "Gradient clipping", "Largest norm of the gradient. 0: no clipping.", low=0.0, high=1000.0)
