"""Training loops as others write them: what ours is compared with. The network is ours too, so that only the loop differs.

    images_per_second       the first day's: torchvision's transforms on PIL images, a DataLoader, float32, the layout that torch
                            gives by itself, Adam, and the loss read after every step. Nothing is made slow on purpose
    medmnist_per_second     the protocol of MedMNIST's own script: the same steps, and after each epoch all three parts, the
                            training images too, are evaluated; images trained on in the seconds of whole epochs

A ResNet has, up to 64 px, the stem of small images: a 3x3 convolution of stride 1, no pooling.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.machine import Meter, line


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


def plain_network(name: str, classes: int, channels: int, size: int) -> nn.Module:
    """torchvision's network, for gray images where asked, a ResNet or DenseNet with the small stem up to 64 px."""
    network = torchvision.models.get_model(name, num_classes=classes)
    stems = {"resnet": (network, "conv1", "maxpool"), "densenet": (getattr(network, "features", None), "conv0", "pool0")}
    if name.startswith("squeezenet"):
        network.features[0] = nn.Conv2d(channels, 64, 3, stride=2)
        return network
    holder, first, pool = stems[name.rstrip("0123456789")]
    if size <= 64:
        setattr(holder, first, nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False))
        setattr(holder, pool, nn.Identity())
    elif channels != 3:
        setattr(holder, first, nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False))
    return network


def images_per_second(images: np.ndarray, labels: np.ndarray, size: int, batch_size: int, seconds: float, *,
                      threads: int = 0, workers: int = 0, device: str = "cpu", warm_up: int = 2,
                      network: str = "resnet18") -> dict:
    """Train for some seconds and say how many images a second went through, loading included.

    Args:
        images: (N, H, W, C) or (N, H, W) uint8; N >= batch_size
        labels: (N,) int64
        size: pixels a side that the network sees
        seconds: after `warm_up` steps, in which memory is taken and kernels are chosen; at least two steps
        threads: of torch on the CPU; 0 leaves them as torch chose
        workers: processes of the DataLoader; 0 loads between the steps
        network: torchvision's name

    Returns:
        `Meter.rates`
    """
    if threads:
        torch.set_num_threads(threads)
    channels = images.shape[3] if images.ndim == 4 else 1
    model = plain_network(network, int(labels.max()) + 1, channels, size).to(device).train()
    loader = DataLoader(PlainDataset(images, labels, size), batch_size, shuffle=True, drop_last=True,
                        num_workers=workers, persistent_workers=workers > 0)
    done, meter, optimiser = 0, None, torch.optim.Adam(model.parameters(), lr=1e-3)
    while True:
        for _ in _steps(model, optimiser, loader, device):
            done += 1
            if done == warm_up:
                meter = Meter()
            if done >= warm_up + 2 and meter.seconds() > seconds:
                return meter.rates((done - warm_up) * batch_size)


def medmnist_per_second(parts: dict[str, tuple[np.ndarray, np.ndarray]], size: int, batch_size: int, seconds: float, *,
                        device: str = "cpu", network: str = "resnet18") -> dict:
    """Images of training a second, over whole epochs with their evaluation of "train", "val" and "test"; one step warms up."""
    images, labels = parts["train"]
    channels = images.shape[3] if images.ndim == 4 else 1
    model = plain_network(network, int(labels.max()) + 1, channels, size).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loaders = {name: DataLoader(PlainDataset(*part, size), batch_size) for name, part in parts.items()}
    training = DataLoader(PlainDataset(images, labels, size), batch_size, shuffle=True)
    next(_steps(model.train(), optimiser, training, device))
    meter, epochs = Meter(), 0
    while not epochs or meter.seconds() < seconds:
        model.train()
        for _ in _steps(model, optimiser, training, device):
            pass
        model.eval()
        for loader in loaders.values():
            with torch.no_grad():
                torch.cat([model(batch.to(device)).softmax(dim=1).cpu() for batch, _ in loader])
        epochs += 1
    return meter.rates(epochs * len(images))


def _steps(model: nn.Module, optimiser, loader: DataLoader, device: str) -> Iterator[float]:
    """One epoch of plain steps; yields the losses."""
    criterion = nn.CrossEntropyLoss()
    for batch, truth in loader:
        batch, truth = batch.to(device), truth.to(device)
        optimiser.zero_grad()
        loss = criterion(model(batch), truth)
        loss.backward()
        optimiser.step()
        yield loss.item()                                   # waits for the device, as a plain loop does


if __name__ == "__main__":
    print(line())
    generator = np.random.default_rng(0)
    for size, batch_size in ((28, 128), (224, 32)):
        images = generator.integers(0, 256, (256, size, size, 1), dtype=np.uint8)
        rates = images_per_second(images, generator.integers(0, 2, 256), size, batch_size, 5.0, threads=1)
        print(f"plain loop, ResNet-18, {size} px, batch {batch_size}, one thread: {rates['images_per_second']:.1f} images/s")
