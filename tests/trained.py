"""A small network that trains in an instant, and what the tests of the training loop share."""


import numpy as np
import pytest
import torch
from torch import nn

from core.models import build_model
from core.models.classifier import Classifier, Preprocessing
from core.models.network import Network
from core.trainers.batches import SplitData
from core.trainers.classifier import TrainState, train
from core.trainers.records import EpochRecord
from tests.tiny import tiny_arrays

EVERYTHING = {"model.dropout": 0.5, "augment.rotate": 10.0, "augment.flip": 0.5, "train.mixup": 0.4,
              "train.sampling": "balanced", "train.accumulate": 2, "model.freeze": "all", "model.unfreeze_epoch": 2,
              "optim.backbone_lr": 0.1, "optim.clip": 0.5, "train.label_smoothing": 0.1, "train.class_weights": True}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def splits():
    images, labels = tiny_arrays(90)
    images = images[..., None]
    return (SplitData(images, np.arange(0, 66), labels[:66]), SplitData(images, np.arange(66, 90), labels[66:]))


def build(config, classes=2, task="binary-class"):
    return build_model(config.model, classes=classes, size=28, channels=1, task=task, seed=config.train.seed)


def run(config, splits, state=None, steps=None):
    """Train; stop after a number of records where given. Returns state and records."""
    state = state or TrainState.fresh(build(config), config)
    records, loop = [], train(state, *splits, config)
    for record in loop:
        records.append(record)
        if steps is not None and len(records) >= steps:
            loop.close()
            break
    return state, records


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def small(config, *, norm=True, task="binary-class", classes=2, size=28) -> Classifier:
    """A convolution, a norm, a hidden layer with dropout: all that a resume must keep, and quick."""
    torch.manual_seed(config.train.seed)
    layers = {"conv": nn.Conv2d(1, 4, 3, stride=2, bias=not norm), "norm": nn.BatchNorm2d(4) if norm else nn.Identity(),
              "relu": nn.ReLU(),
              "pool": nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten()), "drop": nn.Dropout(config.model.dropout),
              "fc": nn.Linear(64, classes)}
    network = Network(layers, trunk=("conv", "norm", "relu"), pool=("pool",), head=("drop", "fc"), width=64)
    return Classifier(network, Preprocessing(size, "pad", 1, (0.5,), (0.5,)), task=task,
                      class_names=tuple(map(str, range(classes))), stages=("network.norm",), stage_names=("norm",))


def learn(config, splits, model=None, **how):
    """Train the small network to the end: state, records."""
    state = TrainState.fresh(model or small(config), config)
    return state, list(train(state, *splits, config, **how))


def epochs_of(records):
    return [r for r in records if isinstance(r, EpochRecord)]
