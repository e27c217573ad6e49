"""What a network costs: parameters, multiply-adds, memory, time.

Four different things, and none of them follows from another.

    costs     counted on PyTorch's meta device: shapes without numbers, so ResNet-152 needs no memory and no patience
    latency   measured on this machine
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from core.config import ModelConfig
from core.models.build import build_model
from core.models.classifier import Classifier
from core.models.layers import FLOAT, layer_table, totals

# Numbers that an optimiser keeps for each trained parameter: Adam two running means, SGD with momentum one.
OPTIMISER_NUMBERS = {"adamw": 2, "adam": 2, "sgd": 1}


@dataclass(frozen=True)
class Costs:
    """Of one network.

    Attributes:
        parameters, trainable: numbers that it holds, and those of them that training changes
        flops: multiply-adds to classify one image
        activation_bytes: what a training step in float32 keeps of each image for the backward pass, a batch's
            share
        training_bytes: the whole of a training step: parameters, gradients, the optimiser's numbers, the
            batch, and what is kept of it. A program needs some hundred megabytes more for itself, and work
            space for single layers
    """

    parameters: int
    trainable: int
    flops: int
    activation_bytes: int
    training_bytes: int


def costs(config: ModelConfig, classes: int, size: int, channels: int, batch_size: int = 32, optimiser: str = "adamw",
          views: int = 1) -> Costs:
    """Count what `build_model` would make.

    Raises LightboxError as that does; weights are neither made nor loaded.

    Args:
        classes: K, the number of logits
        size: side of the images in pixels
        channels: 1 or 3
        batch_size: images in a step, 2 or more
        optimiser: a key of OPTIMISER_NUMBERS
        views: of a unit; an image is then all of them
    """
    model = build_on_meta(config, classes, size, channels, views)
    sums = totals(layer_table(model))
    with torch.device("meta"):
        kept = saved_bytes(model.train(), torch.empty(batch_size, channels, size, size * views))
    numbers = sums.parameters + (1 + OPTIMISER_NUMBERS[optimiser]) * sums.trainable + batch_size * channels * size**2 * views
    return Costs(sums.parameters, sums.trainable, sums.flops, kept // batch_size, numbers * FLOAT + kept)


def build_on_meta(config: ModelConfig, classes: int, size: int, channels: int, views: int = 1) -> Classifier:
    """Return the network with shapes but without numbers, frozen as the config says."""
    with torch.device("meta"):
        return build_model(dataclasses.replace(config, weights="none"), classes=classes, size=size, channels=channels,
                           views=views)


def saved_bytes(model: Classifier, images: Tensor) -> int:
    """Return the bytes that autograd keeps between the forward and the backward pass of one step.

    Each piece of memory counts once, however often it is needed. Parameters and images do not count: they are
    there anyway.
    """
    own = {_memory(tensor) for tensor in (*model.parameters(), *model.buffers(), images)}
    # holds the tensors, so that no memory is freed and its number used again
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _memory(tensor) not in own:
            kept[_memory(tensor)] = tensor
        return tensor
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(images)
        F.cross_entropy(logits, torch.zeros(len(images), dtype=torch.long, device=images.device))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def latency(model: Classifier, size: int | None = None, batch_size: int = 1, runs: int = 7,
            progress: Callable[[str, int, int], None] | None = None) -> float:
    """Measure the median seconds an image takes to classify, where the model lies, in evaluation mode, after two runs.

    On a CPU it is one core that works: with several, other programs on the machine would decide the result.

    Args:
        model: its mode is left as it was
        size: side of the images in pixels; by default that of the model's preprocessing
        batch_size: images at a time: 1 is how long one waits for a prediction
        runs: how often it is measured
        progress: called as progress(phase, done, total)
    """
    size, training = size or model.preprocessing.size, model.training
    images = torch.zeros(batch_size, model.preprocessing.channels, size, size * model.preprocessing.views, device=model.device)
    times, threads = [], torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        model.eval()
        with torch.inference_mode():
            for n in range(runs + 2):
                began = time.perf_counter()
                model(images).sum().item()          # reading the number waits for a GPU
                times.append(time.perf_counter() - began)
                if progress:
                    progress("Measuring", n + 1, runs + 2)
    finally:
        torch.set_num_threads(threads)
        model.train(training)
    return statistics.median(times[2:]) / batch_size


def _memory(tensor: Tensor) -> int:
    """The piece of memory that a tensor looks at, by number.

    Tensors without numbers have pieces of their own too.
    """
    return tensor.untyped_storage()._cdata
