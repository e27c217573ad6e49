"""The training loop as a student would write it, in plain PyTorch. `python -m docs.plain_loop`

`core.trainers.classifier.train` ends in the same weights, which tests/test_trainer.py proves. What it adds: validation and
the best epoch, a record of every step, stop and resume to the same bits, mixed precision, augmentation on the device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def train_plainly(model: nn.Module, images: Tensor, labels: Tensor, epochs: list[list[Tensor]], lr: float) -> list[float]:
    """Train with AdamW, cross-entropy and a rate that falls as half a cosine; return the mean loss of each epoch.

    Args:
        images: (N, C, H, W) float32 in [0, 1]
        labels: (N,) int64
        epochs: for each epoch its batches, and for each batch which images are in it, (B,) int64
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=sum(map(len, epochs)))
    means = []
    model.train()
    for batches in epochs:
        total = 0.0
        for batch in batches:
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            scheduler.step()
            total += loss.item() * len(batch)
        means.append(total / sum(map(len, batches)))
    return means


if __name__ == "__main__":
    torch.manual_seed(0)
    images, labels = torch.rand(96, 1, 28, 28), torch.randint(0, 2, (96,))
    images[labels == 1, :, 4:10, 4:10] = 1                       # a bright square says which class it is
    model = nn.Sequential(nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 2))
    epochs = [list(torch.randperm(96).split(16)) for _ in range(5)]
    for epoch, loss in enumerate(train_plainly(model, images, labels, epochs, lr=1e-2), 1):
        print(f"epoch {epoch}: training loss {loss:.3f}")
