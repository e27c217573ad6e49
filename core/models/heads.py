"""Heads: what turns maps into features, and features into logits.

    linear   average of each map -> dropout -> one linear layer
    mlp      average -> 1024 -> 512 -> K, ReLU and dropout after each hidden layer (report R001)
    concat   average and maximum of each map -> batch norm -> dropout -> 512 -> ReLU -> batch norm -> dropout -> K (report
             R004). It is the head that fastai puts on a backbone: half the dropout before the hidden layer, no biases

N images of a batch, F' maps, F features, K classes. A head of one's own is an entry in HEADS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class AverageAndMaximum(nn.Module):
    """(N, F', h, w) -> (N, 2 F'): all averages, then all maxima."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat((maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))), dim=1)


def average() -> nn.Module:
    """Return (N, F', h, w) -> (N, F')."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))


def linear(features: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))


def mlp(features: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, 1024), nn.ReLU(), nn.Dropout(dropout),
                         nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(dropout),
                         nn.Linear(512, classes))


def concat(features: int, classes: int, dropout: float) -> nn.Sequential:
    head = nn.Sequential(nn.BatchNorm1d(features), nn.Dropout(dropout / 2), nn.Linear(features, 512, bias=False), nn.ReLU(),
                         nn.BatchNorm1d(512), nn.Dropout(dropout), nn.Linear(512, classes, bias=False))
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return head


@dataclass(frozen=True)
class Head:
    """A head's pooling, and its layers: (features, classes, dropout) -> a module (N, F) -> (N, K)."""

    pool: Callable[[], nn.Module]
    layers: Callable[[int, int, float], nn.Sequential]
    times: int = 1          # F / F'


HEADS = {"linear": Head(average, linear), "mlp": Head(average, mlp), "concat": Head(AverageAndMaximum, concat, times=2)}
