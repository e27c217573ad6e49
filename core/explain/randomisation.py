"""Does a map depend on what the network has learned? Random weights must give another map.

Shapes: N images of C channels and H x W pixels in [0, 1], maps (N, H, W).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.explain.methods import explain
from core.explain.similarity import heat, spearman, ssim

BLOCKS = 6         # into which the layers are divided when their weights become random

# (sentence, done, all); may raise, which stops the work
Progress = Callable[[str, int, int], None]
Explainer = str | Callable[[nn.Module, Tensor, Tensor, str | None], Tensor]


@dataclass(frozen=True)
class Randomised:
    """Similarity of the maps of a network that becomes random, from its last layer down to its first, to the trained one's.

    Attributes:
        blocks: (B + 1,) names: "trained", then the lowest layer whose weights are random by then
        spearman, ssim: (B + 1,) means over the images; 1 at first
    """
    blocks: tuple[str, ...]
    spearman: np.ndarray
    ssim: np.ndarray


def randomisation(model: nn.Module, images: Tensor, targets: Tensor, method: Explainer, layer: str | None = None, *,
                  seed: int = 0, progress: Progress | None = None) -> Randomised:
    """Make the weights random block by block from the top down, and the maps again (cascading randomisation).

    A method that shows what the network has learned must then show something else. One that does not only
    looks at the image, as an edge detector does.
    Adebayo et al., NeurIPS 2018, https://arxiv.org/abs/1810.03292

    The numbers of each tensor are drawn anew from a normal distribution with that tensor's own mean and
    deviation, so that the activations keep their size; running means of batch norms stay.

    Args:
        model: left as it is; a copy becomes random
        method: a key of METHODS, or a function (model, images, targets, layer) -> (N, H, W)
        seed: of the random weights
    """
    trained = maps_of(method, model, images, targets, layer)
    randomised, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    blocks = _from_the_top(randomised)
    names, alike = ["trained"], [(spearman(trained, trained), ssim(trained, trained))]
    for done, block in enumerate(blocks, 1):
        for _, module in block:
            for tensor in module.parameters(recurse=False):
                drawn = torch.randn(tensor.shape, generator=generator).to(tensor)
                tensor.data = tensor.data.mean() + tensor.data.std(correction=0) * drawn
        maps = maps_of(method, randomised, images, targets, layer)
        names.append(block[-1][0].removeprefix("network."))
        alike.append((spearman(trained, maps), ssim(trained, maps)))
        if progress:
            progress("Making the weights random", done, len(blocks))
    means = np.array(alike)[:, :, heat(trained).any((1, 2))].mean(2) if heat(trained).any() else np.zeros((len(names), 2))
    return Randomised(tuple(names), means[:, 0], means[:, 1])


def _from_the_top(model: nn.Module) -> list[list[tuple[str, nn.Module]]]:
    """The layers that have weights, last first, in at most BLOCKS groups; the first group is the layer of the logits."""
    layers = [(name, module) for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    layers.reverse()
    rest = layers[1:]
    cuts = np.linspace(0, len(rest), min(BLOCKS - 1, len(rest)) + 1).round().astype(int)
    return [layers[:1], *(rest[a:b] for a, b in zip(cuts, cuts[1:]))]


def maps_of(method: Explainer, model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None) -> np.ndarray:
    """Return the maps of a method, by name or as a function: (N, H, W) float32."""
    maps = (method(model, images, targets, layer) if callable(method) else explain(method, model, images, targets, layer))
    return maps.detach().cpu().numpy().astype(np.float32)
