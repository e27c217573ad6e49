"""Training as others write it: what ours is compared with, in bench.training. The network is the same, so that the loop differs.

    plain       torchvision's transforms on PIL images, a DataLoader, float32, the layout that torch gives by itself,
                Adam, and the loss read after every step. Nothing is made slow on purpose
    medmnist    the protocol of MedMNIST's own script: the same steps, and after each epoch all three parts, the training
                images too, are evaluated
    fastai      as their documentation writes it, with the loader of `plain`; what costs time for nothing in so short a
    lightning   run is off: progress bars, logging, checkpoints. Neither is a part of Lightbox: pip install fastai lightning

Each way trains for some seconds after a warm-up and returns `Meter.rates` of the images that went through.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.machine import Meter


@dataclass(frozen=True)
class Task:
    """What is trained: torchvision's name of the network, uint8 images (N, S, S, C), labels (N,), and for how long."""

    network: str
    images: np.ndarray
    labels: np.ndarray
    batch_size: int
    seconds: float
    device: str = "cpu"

    @property
    def size(self) -> int:
        return self.images.shape[1]

    def part(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        return self.images[:n], self.labels[:n]


class PlainDataset(Dataset):
    """uint8 images (N, S, S, C) as tensors: through PIL, one at a time."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self.images, self.labels = images, labels
        half = [0.5] * images.shape[3]
        self.transform = transforms.Compose(
            [transforms.ToPILImage(), transforms.ToTensor(), transforms.Normalize(half, half)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[i]), int(self.labels[i])


def plain_network(name: str, classes: int, channels: int, size: int) -> nn.Module:
    """Return torchvision's network for so many channels; up to 64 px with a 3x3 stem of stride 1 and no pooling."""
    network = torchvision.models.get_model(name, num_classes=classes)
    if name.startswith("squeezenet"):
        network.features[0] = nn.Conv2d(channels, 64, 3, stride=2)
        return network
    holder, first, pool = ((network.features, "conv0", "pool0") if name.startswith("densenet")
                           else (network, "conv1", "maxpool"))
    if size <= 64:
        setattr(holder, first, nn.Conv2d(channels, 64, 3, padding=1, bias=False))
        setattr(holder, pool, nn.Identity())
    elif channels != 3:
        setattr(holder, first, nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False))
    return network


def network_of(task: Task) -> nn.Module:
    return plain_network(task.network, int(task.labels.max()) + 1, task.images.shape[3], task.size).to(task.device)


def steps(model: nn.Module, optimiser, loader: DataLoader, device: str) -> Iterator[float]:
    """Train for an epoch of plain steps; yield the losses."""
    criterion = nn.CrossEntropyLoss()
    for batch, truth in loader:
        batch, truth = batch.to(device), truth.to(device)
        optimiser.zero_grad()
        loss = criterion(model(batch), truth)
        loss.backward()
        optimiser.step()
        yield loss.item()                                   # waits for the device, as a plain loop does


def plain(task: Task, warm_up: int = 2) -> dict:
    model = network_of(task).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(PlainDataset(task.images, task.labels), task.batch_size, shuffle=True, drop_last=True)
    done, meter = 0, None
    while True:
        for _ in steps(model, optimiser, loader, task.device):
            done += 1
            if done == warm_up:
                meter = Meter()
            if done >= warm_up + 2 and meter.seconds() > task.seconds:
                return meter.rates((done - warm_up) * task.batch_size)


def medmnist(task: Task) -> dict:
    """Whole epochs; validation and test are an eighth and a quarter of training, about as in MedMNIST's sets."""
    model, n = network_of(task), len(task.images)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loaders = [DataLoader(PlainDataset(*task.part(part)), task.batch_size) for part in (n, n // 8, n // 4)]
    training = DataLoader(PlainDataset(task.images, task.labels), task.batch_size, shuffle=True)
    next(steps(model.train(), optimiser, training, task.device))
    meter, epochs = Meter(), 0
    while not epochs or meter.seconds() < task.seconds:
        for _ in steps(model.train(), optimiser, training, task.device):
            pass
        model.eval()
        for loader in loaders:
            with torch.no_grad():
                torch.cat([model(batch.to(task.device)).softmax(dim=1).cpu() for batch, _ in loader])
        epochs += 1
    return meter.rates(epochs * n)


class Watch:
    """Counts whole epochs after the first; `rates` are known when the seconds are over."""

    def __init__(self, task: Task):
        self.task, self.meter, self.epochs, self.rates = task, None, 0, None
        n = len(task.images) // task.batch_size * task.batch_size
        self.loaders = (DataLoader(PlainDataset(*task.part(n)), task.batch_size, shuffle=True),
                        DataLoader(PlainDataset(*task.part(1)), task.batch_size))
        self.images = n

    def epoch_is_over(self) -> bool:
        self.epochs += self.meter is not None
        if self.epochs and self.meter.seconds() > self.task.seconds:
            self.rates = self.meter.rates(self.epochs * self.images)
        self.meter = self.meter or Meter()
        return self.rates is not None


def fastai(task: Task) -> dict:
    import fastai.callback.progress  # noqa: F401  it gives the Learner its no_bar
    from fastai.callback.core import Callback
    from fastai.data.core import DataLoaders
    from fastai.learner import CancelFitException, Learner
    from fastai.optimizer import Adam
    watch = Watch(task)

    class Stop(Callback):
        def after_train(self):
            if watch.epoch_is_over():
                raise CancelFitException

    learner = Learner(DataLoaders(*watch.loaders, device=torch.device(task.device)), network_of(task),
                      loss_func=nn.CrossEntropyLoss(), opt_func=Adam)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1000, 1e-3, cbs=Stop())
    return watch.rates


def lightning(task: Task) -> dict:
    import lightning as L
    watch = Watch(task)

    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.criterion = network_of(task), nn.CrossEntropyLoss()

        def training_step(self, batch, index):
            return self.criterion(self.network(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

        def on_train_epoch_end(self):
            self.trainer.should_stop = watch.epoch_is_over()

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    trainer = L.Trainer(accelerator="cpu" if task.device == "cpu" else "gpu", max_epochs=1000, min_epochs=2,
                        logger=False, enable_checkpointing=False, enable_progress_bar=False,
                        enable_model_summary=False)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        trainer.fit(Model(), watch.loaders[0])
    return watch.rates
