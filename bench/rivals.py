"""The same training in fastai and in Lightning, as their documentation writes it. Used by bench/training.py.

Both get the DataLoader of the plain loop (PIL transforms), the same network, Adam and cross-entropy, float32, as they do by
themselves. What costs time for nothing in so short a run is off: progress bars, logging, checkpoints, the sanity check.

Neither is a part of Lightbox: `pip install fastai lightning` in an environment of its own; without them a sentence is printed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from bench.baseline import PlainDataset, plain_network
from bench.machine import Meter


def loaders(images: np.ndarray, labels: np.ndarray, size: int, batch_size: int) -> tuple[DataLoader, DataLoader]:
    """For training and for validation; validation is one image, because only training is timed."""
    return (DataLoader(PlainDataset(images, labels, size), batch_size, shuffle=True, drop_last=True),
            DataLoader(PlainDataset(images[:1], labels[:1], size), batch_size))


def fastai(images: np.ndarray, labels: np.ndarray, size: int, batch_size: int, network: str, seconds: float) -> dict:
    """`Meter.rates` of whole epochs after the first."""
    import fastai.callback.progress  # noqa: F401  it gives the Learner its no_bar
    from fastai.callback.core import Callback
    from fastai.data.core import DataLoaders
    from fastai.learner import CancelFitException, Learner
    from fastai.optimizer import Adam

    class Watch(Callback):
        meter, epochs = None, 0

        def after_train(self):
            self.epochs += self.meter is not None
            if self.epochs and self.meter.seconds() > seconds:
                self.rates = self.meter.rates(self.epochs * len(training) * batch_size)
                raise CancelFitException
            self.meter = self.meter or Meter()

    training, validation = loaders(images, labels, size, batch_size)
    watch = Watch()
    learner = Learner(DataLoaders(training, validation, device=torch.device("cpu")), plain_network(network, 2, 1, size),
                      loss_func=nn.CrossEntropyLoss(), opt_func=Adam)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1000, 1e-3, cbs=watch)
    return watch.rates


def lightning(images: np.ndarray, labels: np.ndarray, size: int, batch_size: int, network: str, seconds: float) -> dict:
    """`Meter.rates` of whole epochs after the first."""
    import lightning as L

    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.criterion = plain_network(network, 2, 1, size), nn.CrossEntropyLoss()
            self.meter, self.epochs = None, 0

        def training_step(self, batch, index):
            return self.criterion(self.network(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

        def on_train_epoch_end(self):
            self.epochs += self.meter is not None
            if self.epochs and self.meter.seconds() > seconds:
                self.rates = self.meter.rates(self.epochs * len(training) * batch_size)
                self.trainer.should_stop = True
            self.meter = self.meter or Meter()

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    training, _ = loaders(images, labels, size, batch_size)
    model = Model()
    trainer = L.Trainer(accelerator="cpu", max_epochs=1000, min_epochs=2, logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        trainer.fit(model, training)
    return model.rates


def rival(run, network: str, size: int, batch_size: int, images: np.ndarray, labels: np.ndarray, seconds: float,
          folder: Path) -> dict:
    """Its rates, or a sentence where it is not installed."""
    os.chdir(folder)                                        # whatever they write, they write there
    try:
        return run(images, labels, size, batch_size, network, seconds)
    except ImportError as error:
        return {"absent": f"{run.__name__} cannot be imported here ({error}): pip install {run.__name__}"}
