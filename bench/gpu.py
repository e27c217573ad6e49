"""Training on a CUDA GPU: images a second, the share of the chip's peak, and what the loop costs beyond the bare step.

    python -m bench.gpu [--networks resnet18 resnet50 densenet121 densenet169] [--sizes 28 224] [--seconds 5] [--rounds 3]

    medmnist   bench/baseline.py: the protocol of MedMNIST's own script, one process (ResNet-18 at 28 px only)
    bare       forward, loss, backward and optimiser on one batch that lies on the GPU; bfloat16, channels_last, nothing else
    loop       core.trainers.classifier with its loading, sums and records, on images that lie on the GPU as uint8; a step in
               bfloat16. Nobody listens; the app adds what bench.training prints as the share of reporting

The ways take turns. The peak is the largest product or convolution rate in bfloat16 that this GPU reaches here.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np
import torch
from torch.nn import functional as F

from bench.machine import Meter, line
from bench.training import peak, products
from core.config import RunConfig
from core.models import build_model
from core.trainers.batches import SplitData
from core.trainers.classifier import EpochRecord, StepRecord, TrainState, train
from core.trainers.compute import prepare
from core.trainers.optim import build_optimiser

BATCH = {28: 512, 64: 512, 224: 64}
IMAGES = {28: 32_768, 64: 16_384, 224: 4_096}
WARM_UP = 20                 # steps: cuDNN times its algorithms, memory is taken


def config_of(network: str, size: int) -> RunConfig:
    return RunConfig().with_(**{"data.size": size, "model.name": network, "train.epochs": 1000, "train.batch_size": BATCH[size],
                                "train.precision": "bfloat16"})


def model_of(config: RunConfig, device: torch.device):
    model = build_model(config.model, classes=2, size=config.data.size, channels=1, task="binary-class")
    return model.to(device, memory_format=torch.channels_last)


def bare(config: RunConfig, images: np.ndarray, labels: np.ndarray, device: torch.device, seconds: float) -> float:
    """Images a second of the step alone."""
    model, batch = model_of(config, device).train(), config.train.batch_size
    optimiser = build_optimiser(model, config.optim)
    pixels = torch.from_numpy(images[:batch]).to(device).permute(0, 3, 1, 2).float() / 255
    truth, steps, meter = torch.from_numpy(labels[:batch]).to(device), 0, None
    while True:
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(pixels)
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), truth).backward()
        optimiser.step()
        steps += 1
        if steps == WARM_UP:
            torch.cuda.synchronize(device)
            meter = Meter()
        elif steps > WARM_UP and steps % 10 == 0:             # one wait in ten steps: the loop waits twice a second
            torch.cuda.synchronize(device)
            if meter.seconds() > seconds:
                return meter.rates((steps - WARM_UP) * batch)["images_per_second"]


def loop(config: RunConfig, images: np.ndarray, labels: np.ndarray, device: torch.device, seconds: float) -> float:
    """Images a second of the training loop, between its "step" records, each of which waits for the device."""
    split, val = SplitData(images, np.arange(len(images)), labels), SplitData(images, np.arange(2), labels[:2])
    steps, at, meter = 0, 0, None
    for record in train(TrainState.fresh(model_of(config, device), config), split, val, config, precision="bfloat16"):
        if isinstance(record, EpochRecord) or getattr(record, "phase", "") == "validate":
            continue
        steps += 1
        if isinstance(record, StepRecord) and steps > WARM_UP:
            if meter is None:
                meter, at = Meter(), steps
            elif meter.seconds() > seconds:
                return meter.rates((steps - at) * config.train.batch_size)["images_per_second"]
    sys.exit("The training ended before it could be timed.")


def medmnist(images: np.ndarray, labels: np.ndarray, size: int, seconds: float, device: str) -> float:
    from bench.baseline import medmnist_per_second
    part = slice(0, 4096)                                    # its epoch in small: 4,096 images and the same shares
    parts = {"train": (images[part], labels[part]), "val": (images[:512], labels[:512]), "test": (images[:1024], labels[:1024])}
    return medmnist_per_second(parts, size, 128, seconds, device=device)["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet18", "resnet50", "densenet121", "densenet169"])
    parser.add_argument("--sizes", type=int, nargs="+", choices=BATCH, default=[28, 224])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("There is no CUDA GPU here, so there is nothing to measure.")
    print(line())
    device, rng = torch.device("cuda:0"), np.random.default_rng(0)
    prepare(device, 1, "bfloat16")
    most = peak(1, "bfloat16", str(device))
    print(f"Largest rate of a bfloat16 product or convolution: {most / 1e12:.0f} TFLOP/s")
    for size in options.sizes:
        images = rng.integers(0, 256, (IMAGES[size], size, size, 1), dtype=np.uint8)
        labels = rng.integers(0, 2, len(images))
        for network in options.networks:
            config = config_of(network, size)
            turns = [tuple(way(config, images, labels, device, options.seconds) for way in (bare, loop))
                     for _ in range(options.rounds)]
            step, ours = (statistics.median(column) for column in zip(*turns))
            share = statistics.median(b / a for a, b in turns)
            print(f"{network:12} {size:>4} px, batch {BATCH[size]}: bare step {step:9.0f} images/s, loop {ours:9.0f} "
                  f"({100 * share:.0f} % of the bare step), {100 * ours * products(network, size) / most:.1f} % of the peak",
                  flush=True)
            if network == "resnet18" and size == 28:
                theirs = medmnist(images, labels, size, options.seconds, str(device))
                print(f"{network:12} {size:>4} px: MedMNIST's protocol {theirs:9.0f} images/s; the loop is {ours / theirs:.1f} "
                      "times as fast", flush=True)


if __name__ == "__main__":
    main()
