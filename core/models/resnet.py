"""A ResNet written by hand, in one page: blocks with a shortcut, stacked.

    He et al., Deep Residual Learning for Image Recognition, CVPR 2016, https://arxiv.org/abs/1512.03385,
    table 1

A block computes y = relu(F(x) + x) (eq. 1): F only has to learn what must change, and the gradient reaches
early layers through the sum. Names of parameters and results are torchvision's, so its weights fit here. As
there, a bottleneck halves the map in its 3x3 convolution, where the paper does so in the 1x1 before it.

N images, C channels, S pixels a side, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Depth counts convolutions and the linear layer: 18 = 1 + 2 (2 + 2 + 2 + 2) + 1, and 50 = 1 + 3 (3 + 4 + 6 + 3) + 1.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Keeps the size of a map, or halves it with stride 2. No bias: the batch norm that follows has one."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """None where x can be added as it is; else a 1x1 convolution that gives it the shape of F(x) (eq. 2)."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut; for depths 18 and 34."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, width, stride)

    # (N, inputs, S, S) -> (N, width, S / stride, S / stride)
    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 to fewer channels, 3x3 there, 1x1 back to four times as many; for depths 50, 101 and 152."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = convolution(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, 4 * width, stride)

    # (N, inputs, S, S) -> (N, 4 width, S / stride, S / stride)
    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Images (N, 3, S, S) -> logits (N, K).

    At 224 px the maps have 112, 56 (layer1), 28, 14 and 7 pixels a side.

    Args:
        depth: 18, 34, 50, 101 or 152
        classes: K
    """

    def __init__(self, depth: int, classes: int):
        super().__init__()
        block = BasicBlock if depth < 50 else Bottleneck
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for i, count in enumerate(BLOCKS[depth]):                 # each stage: half the side, twice the width
            width, blocks = 64 * 2**i, []
            for j in range(count):
                blocks.append(block(inputs, width, stride=2 if i > 0 and j == 0 else 1))
                inputs = block.expansion * width
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)
        # He et al., ICCV 2015: the gradient keeps its size
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))
