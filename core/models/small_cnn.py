"""A network for first lessons: four convolutions, each followed by a ReLU, and one linear layer.

    32 px: conv1 -> 16 maps of 32 -> conv2 -> 32 of 16 -> conv3 -> 64 of 8 -> conv4 -> 128 of 4 -> averages ->
    K logits
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

FILTERS = (16, 32, 64, 128)


class SmallCNN(nn.Module):
    """Images (N, 3, S, S) -> logits (N, K). A maximum of 2x2 halves the map between two convolutions.

    Args:
        classes: K
    """

    def __init__(self, classes: int):
        super().__init__()
        self.features, inputs = nn.Sequential(OrderedDict()), 3
        for i, filters in enumerate(FILTERS, start=1):
            if i > 1:
                self.features.add_module(f"pool{i - 1}", nn.MaxPool2d(2))
            self.features.add_module(f"conv{i}", nn.Conv2d(inputs, filters, 3, padding=1))
            self.features.add_module(f"relu{i}", nn.ReLU())
            inputs = filters
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.avgpool(self.features(images)), 1))
