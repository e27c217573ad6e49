"""The classifier: pixels in [0, 1] go in, logits come out. What must happen to the pixels first is inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from core.config import Task
from core.errors import LightboxError
from core.models.network import Network


@dataclass(frozen=True)
class Preprocessing:
    """What turns any picture into this classifier's input; it is saved with the weights.

    Attributes:
        size: side of the square input in pixels
        resize: "pad" | "stretch" | "crop", how a picture becomes square (core.datasets.geometry.fit)
        channels: 1 for gray, 3 for colour
        mean, std: of each channel, for pixels in [0, 1]; the classifier computes (x - mean) / std
        intensity: how images of more than 8 bits become 8 bits (core.datasets.folder.FolderOptions)
        views: V, images of a study or patient that lie side by side in the input; 1 for single images
        view_names: V names in the order of the input, where each view has a place of its own
    """

    size: int
    resize: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    intensity: str = ""
    views: int = 1
    view_names: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, S, V S) of one input."""
        return self.channels, self.size, self.size * self.views

    def facts(self) -> dict:
        """Return it for JSON, without what only inputs of several views have where there is one."""
        facts = asdict(self)
        return facts if self.views > 1 else {name: facts[name] for name in facts if name not in ("views", "view_names")}


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)   # of R, G, B in [0, 1]
GRAY_MEAN, GRAY_STD = (0.449,), (0.226,)                                      # the averages of the three

Statistics = tuple[tuple[float, ...], tuple[float, ...]]                      # mean and std of each channel

# What a config's `normalise` means: (channels, statistics of the training images or None) -> mean and std.
NORMALISATIONS: dict[str, Callable[[int, Statistics | None], Statistics]] = {
    "imagenet": lambda channels, own: (GRAY_MEAN, GRAY_STD) if channels == 1 else (IMAGENET_MEAN, IMAGENET_STD),
    "own": lambda channels, own: own or ((0.5,) * channels, (0.5,) * channels),
    "half": lambda channels, own: ((0.5,) * channels, (0.5,) * channels),
    "none": lambda channels, own: ((0.0,) * channels, (1.0,) * channels),
}


class Classifier(nn.Module):
    """A network with its preprocessing, its classes and the names of its feature maps.

    Attributes:
        network: the Network that does the work; its parameters have torchvision's names
        preprocessing: what its input must look like
        task: a member of Task
        class_names: K names in the order of the logits
        stages: dotted names of its feature maps from fine to coarse; Grad-CAM takes the last one by default
        stage_names: the same in words that a config uses for cut and freeze, such as "layer3"; they begin
            alike, and there may be fewer
        notes: sentences about how it was built that a person should know, such as weights that could not be
            used
    """

    def __init__(self, network: Network, preprocessing: Preprocessing, *, task: str, class_names: tuple[str, ...],
                 stages: tuple[str, ...], stage_names: tuple[str, ...] = (), notes: tuple[str, ...] = ()):
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.task, self.class_names, self.notes = task, tuple(class_names), tuple(notes)
        self.stages, self.stage_names = tuple(stages), tuple(stage_names)
        self._frozen: tuple[str, ...] = ()               # names within `network`
        # Not persistent: the numbers belong to `preprocessing`, and a weights file holds weights only.
        shape = (1, preprocessing.channels, 1, 1)
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(shape), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, C, S, S) float in [0, 1] -> (N, K) logits; of V views (N, C, S, V S).

        Raises TypeError for integers: divide uint8 by 255 first.
        """
        return self.head(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        """Return (N, C, S, S) float in [0, 1] -> features (N, F). Raises TypeError for integers.

        What is frozen is left out of the graph: nothing there needs a gradient, so autograd records nothing.
        """
        if not images.is_floating_point():
            raise TypeError(f"images are {images.dtype}; give floating point numbers in [0, 1]")
        return self.network.embed_pixels(images, self.mean, self.std)

    def head(self, features: Tensor) -> Tensor:
        """Return features (N, F) as `embed` gives them -> (N, K) logits."""
        return self.network.classify(features)

    def attention(self, images: Tensor) -> Tensor:
        """Return how much each view of a unit counts, (N, V) in [0, 1], 1 in sum; images as in `forward`.

        Raises LightboxError "model.views" for a network that does not pool views by attention.
        """
        if self.preprocessing.views == 1 or (weights := self.network.attention(self.embed(images))) is None:
            raise LightboxError("model.views", "This network does not pool views by attention, so they have no weights.",
                                "Train with model.views=attention and data.unit=study or patient.")
        return weights

    @property
    def features(self) -> int:
        """F, the numbers that the head gets of each image."""
        return self.network.width

    def penalty(self, logits: Tensor) -> Tensor | None:
        """Return what the network itself adds to the loss of a batch of (N, K) logits: a scalar, or None for nothing."""
        return self.network.penalty(logits)

    # --- what learns ---

    def freeze(self, upto: str) -> None:
        """Choose which part of the backbone keeps its weights; all else learns.

        A frozen part stays in evaluation mode whatever `train` says: the running statistics of its batch
        norms stand still and it drops nothing.

        Args:
            upto: "none"; "all" for the whole backbone; one of `stage_names` for everything from the first
                layer to that one

        Raises:
            LightboxError: "model.freeze" for a stage that this network does not have
        """
        if upto == "all":
            frozen = self.network.backbone()
        elif upto == "none":
            frozen = ()
        elif upto in self.stage_names:
            frozen = self.network.upto(self.stages[self.stage_names.index(upto)].removeprefix("network."))
        else:
            raise LightboxError("model.freeze", f"This network has no stage called {upto} that could be frozen.",
                                f"It can be {', '.join(('none', 'all', *self.stage_names))}.")
        self._frozen = tuple(frozen)
        self.network.requires_grad_(True)
        for name in self._frozen:
            self.network.get_submodule(name).requires_grad_(False)
        self.train(self.training)

    @property
    def frozen(self) -> bool:
        """Whether `freeze` holds the whole backbone, so that an image has the same features in every epoch."""
        return all(any(name == part or name.startswith(f"{part}.") for part in self._frozen)
                   for name in _that_learn(self.network))

    def train(self, mode: bool = True) -> Classifier:
        super().train(mode)
        for name in self._frozen:
            self.network.get_submodule(name).eval()
        return self

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the head."""
        return [p for name in self.network.head_parts for p in self.network.get_submodule(name).parameters()]

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return all others."""
        head = set(map(id, self.head_parameters()))
        return [p for p in self.parameters() if id(p) not in head]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return (N, K) logits -> (N, K) float32 in [0, 1]: several findings each for itself, else summing to 1."""
        # bfloat16 has eight bits: a softmax of it would not sum to 1
        logits = logits.float()
        return logits.sigmoid() if self.task == Task.MULTILABEL else logits.softmax(dim=1)

    def describe(self) -> dict:
        """Return what is needed to build it again, without its weights: what a checkpoint's meta has."""
        return {"preprocessing": self.preprocessing.facts(), "task": self.task, "class_names": list(self.class_names)}

    @property
    def device(self) -> torch.device:
        return self.mean.device


def _that_learn(network: Network) -> list[str]:
    """Dotted names of the modules of the backbone that training would change, or that act otherwise in training."""
    return [f"{part}.{name}".rstrip(".") for part in network.backbone() for name, module in
            network.get_submodule(part).named_modules()
            if module._parameters or module._buffers or isinstance(module, (nn.Dropout, nn.Dropout2d))]
