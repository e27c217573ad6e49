"""Settings of the optimiser."""

from __future__ import annotations

from dataclasses import dataclass

from core.config.knob import knob


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
        "one_cycle: rises for 30 % of the training, then falls to almost nothing.",
        choices={"constant": "Constant", "cosine": "Cosine", "step": "Step (÷10 at 50 % and 75 %)",
                 "every": "Step every few epochs", "one_cycle": "One cycle"},  group="training")
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
        high=0.5, step=0.01, hidden_if={"optim.schedule": "one_cycle"})
    clip: float = knob(
        0.0, "Gradient clipping", "Largest norm of the gradient. 0: no clipping.", low=0.0, high=1000.0)
