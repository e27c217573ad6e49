"""A frozen backbone: training its head through it, epoch after epoch, beside computing its features once.

    python -m bench.frozen [--images 192] [--size 224] [--epochs 10 30] [--models squeezenet1_1 resnet18] [--threads 1]

Three ways, in turns, in one process:

    plain     as a tutorial writes it: torchvision's network with frozen weights and a new last layer, DataLoader, PIL
              transforms, float32; each epoch trains and then validates
    through   core.trainers.classifier through the frozen backbone, float32
    kept      core.trainers.embedding, then core.trainers.classifier on the features: embedding included

An epoch of the first two is like any other, so a few are timed, after one that warms up, and multiplied; of the third way
all epochs are run and timed, from the first image to the last validation. Speed does not depend on the weights, nor on
what is in the pictures. Validation is float32 in every way.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader

from bench.machine import Meter, line, options_of
from bench.rivals import PlainDataset, steps
from core.config import RunConfig
from core.models import build_model
from core.trainers.batches import SplitData
from core.trainers.classifier import EpochRecord, TrainState, train
from core.trainers.embedding import embedded

BATCH = 32


@dataclass(frozen=True)
class Images:
    """images: (N, S, S, 3) uint8; labels: (N,); the first `n_val` are for validation."""

    images: np.ndarray
    labels: np.ndarray
    n_val: int

    def splits(self) -> tuple[SplitData, SplitData]:
        rows = np.arange(len(self.images))
        train, val = (SplitData(self.images, part, self.labels[part], token="bench")
                      for part in (rows[self.n_val:], rows[:self.n_val]))
        return train, val


def plain_seconds(name: str, of: Images, epochs: int) -> float:
    """Return the seconds of an epoch, the median of `epochs` after one to warm up."""
    network = torchvision.models.get_model(name, weights=None)
    network.requires_grad_(False).eval()           # eval: the running statistics of a frozen network stand still
    if name.startswith("squeezenet"):
        network.classifier[1] = head = nn.Conv2d(512, 2, 1)
    else:
        network.fc = head = nn.Linear(network.fc.in_features, 2)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)
    training = DataLoader(PlainDataset(of.images[of.n_val:], of.labels[of.n_val:]), BATCH, shuffle=True)
    validation = DataLoader(PlainDataset(of.images[:of.n_val], of.labels[:of.n_val]), BATCH)
    seconds = []
    for _ in range(epochs + 1):
        meter = Meter()
        for _ in steps(network, optimiser, training, "cpu"):
            pass
        with torch.no_grad():
            for batch, truth in validation:
                network(batch).argmax(dim=1).eq(truth).sum().item()
        seconds.append(meter.seconds())
    return statistics.median(seconds[1:])


def fresh(config: RunConfig) -> TrainState:
    model = build_model(config.model, classes=2, size=config.data.size, channels=3, task="binary-class")
    return TrainState.fresh(model, config)


def through_seconds(config: RunConfig, of: Images, epochs: int) -> float:
    config = config.with_(**{"train.epochs": epochs + 1})
    records = train(fresh(config), *of.splits(), config)
    return statistics.median([r.seconds for r in records if isinstance(r, EpochRecord)][1:])


def kept_seconds(config: RunConfig, of: Images, precision: str) -> tuple[float, float]:
    """Return the seconds of everything, and of the embedding alone."""
    state = fresh(config)
    with tempfile.TemporaryDirectory() as folder:
        meter = Meter()
        splits = embedded(state.model, *of.splits(), config, Path(folder), precision=precision)
        embedding = meter.seconds()
        for _ in train(state, *splits, config):
            pass
        return meter.seconds(), embedding


def main() -> None:
    parser = options_of(__doc__, images=16, size=64, epochs=[2], models=["squeezenet1_1"], timed=1)
    parser.add_argument("--images", type=int, default=192, help="for training; a quarter more for validation")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--models", nargs="+", default=["squeezenet1_1", "resnet18"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timed", type=int, default=2, help="epochs of the slow ways, after one to warm up")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(line())
    rng, n_val = np.random.default_rng(0), max(2, options.images // 4)
    images = rng.integers(0, 256, (options.images + n_val, options.size, options.size, 3), dtype=np.uint8)
    of = Images(images, rng.integers(0, 2, len(images)), n_val)
    print(f"{options.images} training and {n_val} validation images of {options.size} px in colour, batch {BATCH}, "
          f"threads: {options.threads}")
    quick_half = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    for name in options.models:
        config = RunConfig().with_(**{
            "model.name": name, "model.weights": "none", "model.freeze": "all", "model.stem": "standard",
            "data.size": options.size, "train.batch_size": BATCH, "train.precision": "float32"})
        plain = plain_seconds(name, of, options.timed)
        through = through_seconds(config, of, options.timed)
        print(f"{name}: an epoch takes {plain:.2f} s plainly, {through:.2f} s through ours "
              f"({plain / through:.2f} times less)", flush=True)
        for epochs in options.epochs:
            for precision in ("float32", "bfloat16") if quick_half else ("float32",):
                whole, embedding = kept_seconds(config.with_(**{"train.epochs": epochs}), of, precision)
                print(f"  {epochs:>3} epochs, kept, {precision:8}  {whole:6.2f} s, of which the features "
                      f"{embedding:.2f} s   {epochs * plain / whole:6.1f} times less than plain, "
                      f"{epochs * through / whole:6.1f} than through", flush=True)


if __name__ == "__main__":
    main()
