"""A data set so small that a whole run takes a second: a bright square says which class it is."""

from pathlib import Path

import numpy as np

from core.config import ModelConfig, RunConfig


def tiny_arrays(n: int = 96, size: int = 28, seed: int = 0, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """images (n, size, size) uint8 of noise, labels (n,) int64; class k has a square whose place depends on k."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 160, (n, size, size), dtype=np.uint8), rng.integers(0, classes, n)
    for image, label in zip(images, labels):
        image[4:10, 4 + 6 * label:10 + 6 * label] = 255
    return images, labels


def tiny_npz(folder: Path, n: int = 96, classes: int = 2) -> Path:
    """The same as an .npz in MedMNIST's layout: n training images, a quarter of that for val and test."""
    arrays = {}
    for seed, (split, count) in enumerate((("train", n), ("val", n // 4), ("test", n // 4))):
        images, labels = tiny_arrays(count, seed=seed, classes=classes)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels[:, None].astype(np.uint8)}
    path = folder / "tiny.npz"
    np.savez(path, **arrays)
    return path


def tiny_config(path: Path | str, **changes) -> RunConfig:
    """A run of a few steps on one CPU thread, in float32: what the probe would take depends on how busy the machine is."""
    return RunConfig().with_(**{"data.dataset": str(path), "data.size": 28, "model.name": "squeezenet1_1", "optim.lr": 1e-3,
                                "train.epochs": 3, "train.batch_size": 16, "train.device": "cpu", "train.threads": 1,
                                "train.precision": "float32", **changes})


def count_parameters(config: ModelConfig, *, classes: int, size: int, channels: int) -> int:
    """How many numbers the network of `build_model` has, frozen ones included, without making them."""
    from core.models.costs import build_on_meta
    return sum(parameter.numel() for parameter in build_on_meta(config, classes, size, channels).parameters())
