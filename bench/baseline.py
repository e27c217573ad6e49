"""The training loop as one would write it on the first day: what ours is compared with.

torchvision's transforms on PIL images, a DataLoader, float32, the layout that torch gives by itself, Adam, and the loss
read after every step. The network is the same as ours: ResNet-18, up to 64 px with the stem of small images (a 3x3
convolution of stride 1, no pooling), so that only the loop differs. Nothing is made slow on purpose.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class PlainDataset(Dataset):
    """uint8 images (N, H, W, C) or (N, H, W) as tensors: through PIL, one at a time."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, size: int):
        self.images, self.labels = images, labels
        channels = images.shape[3] if images.ndim == 4 else 1
        steps = [transforms.ToPILImage()]
        if images.shape[1:3] != (size, size):
            steps.append(transforms.Resize((size, size)))
        self.transform = transforms.Compose(
            steps + [transforms.ToTensor(), transforms.Normalize([0.5] * channels, [0.5] * channels)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(np.array(self.images[i])), int(self.labels[i])      # a copy: the map is read-only


def plain_resnet18(classes: int, channels: int, size: int) -> nn.Module:
    network = torchvision.models.resnet18(num_classes=classes)
    if size <= 64:
        network.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return network


def images_per_second(images: np.ndarray, labels: np.ndarray, size: int, steps: int, batch_size: int, threads: int, *,
                      workers: int = 0, device: str = "cpu", warm_up: int = 2) -> float:
    """Train for some steps and say how many images a second went through, loading included.

    Args:
        images: (N, H, W, C) or (N, H, W) uint8; N >= batch_size
        labels: (N,) int64
        size: pixels a side that the network sees
        steps: measured steps; `warm_up` more go before them, while memory is taken and kernels are chosen
        threads: of torch on the CPU, put back afterwards
        workers: processes of the DataLoader; 0 loads between the steps
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        channels = images.shape[3] if images.ndim == 4 else 1
        network = plain_resnet18(int(labels.max()) + 1, channels, size).to(device).train()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        criterion = nn.CrossEntropyLoss()
        loader = DataLoader(PlainDataset(images, labels, size), batch_size, shuffle=True, drop_last=True,
                            num_workers=workers, persistent_workers=workers > 0)
        done, start, total = 0, 0.0, 0.0
        while True:
            for batch, truth in loader:
                batch, truth = batch.to(device), truth.to(device)
                optimiser.zero_grad()
                loss = criterion(network(batch), truth)
                loss.backward()
                optimiser.step()
                total += loss.item()              # waits for the device, as a plain loop does
                done += 1
                if done == warm_up:
                    start = time.perf_counter()
                if done == warm_up + steps:
                    return steps * batch_size / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    from bench.machine import line

    print(line())
    generator = np.random.default_rng(0)
    for size, batch_size, steps in ((28, 128, 10), (224, 32, 3)):
        images = generator.integers(0, 256, (256, size, size, 1), dtype=np.uint8)
        speed = images_per_second(images, generator.integers(0, 2, 256), size, steps, batch_size, threads=1)
        print(f"plain loop, ResNet-18, {size} px, batch {batch_size}, one thread: {speed:.1f} images/s")
