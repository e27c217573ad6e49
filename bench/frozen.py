"""A frozen backbone: training its head through it, epoch after epoch, beside computing its features once.

    python -m bench.frozen [--images 192] [--size 224] [--epochs 10 30] [--models squeezenet1_1 resnet18] [--threads 1]

Three ways, in turns, in one process:

    plain     as a tutorial writes it: torchvision's network with frozen weights and a new last layer, DataLoader, PIL transforms,
              float32, the layout that torch gives by itself; each epoch trains and then validates
    through   core.trainers.classifier through the frozen backbone, float32
    kept      core.trainers.embedding, then core.trainers.classifier on the features: embedding included, nothing found again

An epoch of the first two is like any other, so a few are timed, after one that warms up, and multiplied; of the third way all
epochs are run and timed, from the first image to the last validation. ImageNet's weights are taken where this machine has
them; speed does not depend on them, nor on what is in the pictures. Validation is float32 in every way.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader

from bench.baseline import PlainDataset
from bench.machine import line
from core.config import RunConfig
from core.models import MODELS, build_model
from core.trainers.batches import SplitData
from core.trainers.classifier import EpochRecord, TrainState, train
from core.trainers.embedding import embedded, may_embed

BATCH = 32


def plain_seconds(name: str, images: np.ndarray, labels: np.ndarray, n_val: int, size: int, epochs: int) -> float:
    """Seconds of an epoch, the median of `epochs` after one to warm up."""
    network = torchvision.models.get_model(name, weights=None)
    network.requires_grad_(False).eval()                       # eval: the running statistics of a frozen network stand still
    if name.startswith("squeezenet"):
        network.classifier[1] = head = nn.Conv2d(512, 2, 1)
    else:
        network.fc = head = nn.Linear(network.fc.in_features, 2)
    optimiser, criterion = torch.optim.Adam(head.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    training = DataLoader(PlainDataset(images[n_val:], labels[n_val:], size), BATCH, shuffle=True)
    validation = DataLoader(PlainDataset(images[:n_val], labels[:n_val], size), BATCH)
    seconds = []
    for _ in range(epochs + 1):
        begun = time.perf_counter()
        for batch, truth in training:
            optimiser.zero_grad()
            loss = criterion(network(batch), truth)
            loss.backward()
            optimiser.step()
            loss.item()
        with torch.no_grad():
            for batch, truth in validation:
                network(batch).argmax(dim=1).eq(truth).sum().item()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


def ours(config: RunConfig, images: np.ndarray, labels: np.ndarray, n_val: int) -> tuple[TrainState, tuple[SplitData, SplitData]]:
    """A fresh training, its model on the CPU and frozen as the config says."""
    rows = np.arange(len(images))
    splits = tuple(SplitData(images, part, labels[part], token="bench") for part in (rows[n_val:], rows[:n_val]))
    model = build_model(config.model, classes=2, size=config.data.size, channels=3, task="binary-class")
    assert may_embed(model, config), "the whole backbone must be frozen"
    return TrainState.fresh(model, config), splits


def through_seconds(config: RunConfig, images: np.ndarray, labels: np.ndarray, n_val: int, epochs: int) -> float:
    state, splits = ours(config.with_(**{"train.epochs": epochs + 1}), images, labels, n_val)
    records = train(state, *splits, config.with_(**{"train.epochs": epochs + 1}))
    return statistics.median([r.seconds for r in records if isinstance(r, EpochRecord)][1:])


def kept_seconds(config: RunConfig, images: np.ndarray, labels: np.ndarray, n_val: int, precision: str) -> tuple[float, float]:
    """Seconds of everything, and of the embedding alone."""
    state, splits = ours(config, images, labels, n_val)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        splits = embedded(state.model, *splits, config, Path(folder), precision=precision)
        embedding = time.perf_counter() - begun
        for _ in train(state, *splits, config):
            pass
        return time.perf_counter() - begun, embedding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=192, help="for training; a quarter more for validation")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--models", nargs="+", default=["squeezenet1_1", "resnet18"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timed", type=int, default=2, help="epochs of the slow ways that are timed, after one to warm up")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(line())
    n_val = max(2, options.images // 4)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (options.images + n_val, options.size, options.size, 3), dtype=np.uint8)
    labels = rng.integers(0, 2, len(images))
    print(f"{options.images} training and {n_val} validation images of {options.size} px in colour, batch {BATCH}, "
          f"{options.threads} thread{'s' if options.threads > 1 else ''}")
    precisions = ("float32", "bfloat16") if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ("float32",)
    for name in options.models:
        there = (Path(torch.hub.get_dir()) / "checkpoints" / MODELS[name].weights_file).exists()
        config = RunConfig().with_(**{"model.name": name, "model.weights": "imagenet" if there else "none", "model.freeze": "all",
                                      "model.stem": "standard", "data.size": options.size, "train.batch_size": BATCH,
                                      "train.precision": "float32"})
        facts = (images, labels, n_val)
        plain = plain_seconds(name, *facts, options.size, options.timed)
        through = through_seconds(config, *facts, options.timed)
        print(f"\n{name}, weights {config.model.weights}: an epoch takes {plain:.2f} s plainly, {through:.2f} s through ours "
              f"({plain / through:.2f} times less)", flush=True)
        for epochs in options.epochs:
            for precision in precisions:
                whole, embedding = kept_seconds(config.with_(**{"train.epochs": epochs}), *facts, precision)
                print(f"  {epochs:>3} epochs, kept, {precision:8}  {whole:6.2f} s, of which the features {embedding:.2f} s   "
                      f"{epochs * plain / whole:6.1f} times less than plain, {epochs * through / whole:6.1f} than through",
                      flush=True)


if __name__ == "__main__":
    main()
