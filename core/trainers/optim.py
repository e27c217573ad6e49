"""What moves the weights: losses, optimisers and learning-rate schedules, each in a table."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import OptimConfig
from core.datasets.splits import balanced_weights

# The rate's factor, for t in [0, 1] the share of the steps that are done.
SCHEDULES = {
    "constant": lambda t: 1.0,
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t)),                  # Loshchilov and Hutter 2017, eq. 5, one cycle
    "step": lambda t: 1.0 if t < 0.5 else 0.1 if t < 0.75 else 0.01,        # as in MedMNIST's experiments
}

OPTIMISERS = {
    "adamw": lambda weights, c: torch.optim.AdamW(weights, lr=c.lr, weight_decay=c.weight_decay),
    "adam": lambda weights, c: torch.optim.Adam(weights, lr=c.lr, weight_decay=c.weight_decay),
    "sgd": lambda weights, c: torch.optim.SGD(weights, lr=c.lr, momentum=c.momentum, weight_decay=c.weight_decay),
}

# (logits (B, K), labels, class weights (K,) or None) -> mean loss of the batch.
LOSSES = {
    "multi-label, binary-class": lambda logits, labels, weights:
        F.binary_cross_entropy_with_logits(logits, labels.float(), pos_weight=weights),
    "binary-class": lambda logits, labels, weights: F.cross_entropy(logits, labels, weight=weights),
    "multi-class": lambda logits, labels, weights: F.cross_entropy(logits, labels, weight=weights),
    "ordinal-regression": lambda logits, labels, weights: F.cross_entropy(logits, labels, weight=weights),
}


def lr_at(config: OptimConfig, step: int, steps: int) -> float:
    """The learning rate of step 0 <= step < steps: a straight rise during the warm-up, then the schedule.

    A formula of the step alone, so that a resumed run needs nothing but its place.
    """
    warm = round(config.warmup * steps)
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * SCHEDULES[config.schedule]((step - warm) / max(1, steps - warm))


def build_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser; weight decay spares biases and the scales of normalisation, which it would only push to zero."""
    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [{"params": [p for p in weights if p.ndim > 1]},
              {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0}]
    return OPTIMISERS[config.name]([g for g in groups if g["params"]], config)


def weight_tensor(labels: np.ndarray, classes: int, device: torch.device) -> Tensor:
    """`balanced_weights` as (K,) float32 on a device."""
    return torch.tensor(balanced_weights(labels, classes), dtype=torch.float32, device=device)
