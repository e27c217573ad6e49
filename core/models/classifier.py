"""The classifier: pixels in [0, 1] go in, logits come out. What must happen to the pixels first is inside."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Preprocessing:
    """What turns any picture into this classifier's input; it is saved with the weights.

    Attributes:
        size: side of the square input in pixels
        resize: "pad" | "stretch" | "crop", how a picture becomes square (core.datasets.geometry.fit)
        channels: 1 for gray, 3 for colour
        mean, std: of each channel, for pixels in [0, 1]; the classifier computes (x - mean) / std
    """

    size: int
    resize: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Classifier(nn.Module):
    """A network with its preprocessing, its classes and the names of its feature maps.

    Attributes:
        network: the module that does the work; its parameters have torchvision's names
        preprocessing: what its input must look like
        task: "binary-class" | "multi-class" | "multi-label, binary-class" | "ordinal-regression"
        class_names: K names in the order of the logits
        stages: dotted names of its feature maps from fine to coarse; Grad-CAM takes the last one by default
        notes: sentences about how it was built that a person should know, such as weights that could not be used
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, *, task: str, class_names: tuple[str, ...],
                 stages: tuple[str, ...], notes: tuple[str, ...] = ()):
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.task, self.class_names, self.stages, self.notes = task, tuple(class_names), tuple(stages), tuple(notes)
        # Not persistent: the numbers belong to `preprocessing`, and a weights file holds weights only.
        shape = (1, preprocessing.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(shape), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) float in [0, 1] -> (N, K) logits. Raises TypeError for integers: divide uint8 by 255 first."""
        if not images.is_floating_point():
            raise TypeError(f"images are {images.dtype}; give floating point numbers in [0, 1]")
        return self.network((images - self.mean) / self.std)

    def probabilities(self, logits: Tensor) -> Tensor:
        """(N, K) logits -> (N, K) float32 in [0, 1]: several findings each for itself, else summing to 1."""
        logits = logits.float()                       # bfloat16 has eight bits: a softmax of it would not sum to 1
        return logits.sigmoid() if self.task == "multi-label, binary-class" else logits.softmax(dim=1)

    @property
    def device(self) -> torch.device:
        return self.mean.device
