"""Does the prediction depend on what a map marks? Remove it (deletion), or show only it (insertion).

Shapes: N images of C channels and H x W pixels in [0, 1], K classes, maps (N, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.explain.passes import lit, score, without_trace

STEPS = 12         # of a curve


def edges(images: Tensor) -> np.ndarray:
    """Return the gradient norm of the gray values (Sobel), (N, H, W) >= 0: what an edge detector shows, without a network."""
    across = torch.tensor([[1., 0, -1], [2, 0, -2], [1, 0, -1]], dtype=images.dtype, device=images.device)
    gray = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    gradient = F.conv2d(gray, torch.stack([across, across.T])[:, None])
    return gradient.square().sum(1).sqrt().cpu().numpy()


def centre(images: Tensor) -> np.ndarray:
    """Return maps that are highest in the middle and fall to the corners, (N, H, W)."""
    n, _, h, w = images.shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    return torch.exp(-(x ** 2 + y ** 2)).expand(n, h, w).numpy()


def random_places(images: Tensor, seed: int = 0) -> np.ndarray:
    """Return random blobs as wide as those of a late feature map, (N, H, W): no map is noise of single pixels."""
    drawn = torch.rand(len(images), 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(drawn, size=images.shape[2:], mode="bicubic")[:, 0].numpy()


BASELINES: dict[str, Callable[[Tensor], np.ndarray]] = {"random places": random_places, "the centre": centre, "the edges": edges}


@torch.no_grad()
def deletion_and_insertion(model: nn.Module, images: Tensor, targets: Tensor, maps: Any, *,
                           against: Tensor | None = None, steps: int = STEPS,
                           without: Tensor | None = None,
                           progress: Callable[[int, int], None] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of the class while pixels are removed, or shown, in the order of a map.

    Petsiuk et al., BMVC 2018, https://arxiv.org/abs/1806.07421. A removed pixel shows the blurred image: a
    black hole would be a sign of its own that no training image had. Pixels of equal value go in random order.

    Args:
        maps: (N, H, W); the highest value goes, or comes, first
        against: (N,) other classes: the probability of the class where only these two are possible, 1 / (1 +
            exp(y_b - y_a))
        steps: T, in which all pixels go
        without: (N, C, H, W), what is left without any pixel; None is the image blurred by a tenth of its
            side

    Returns:
        deletion, insertion: (N, T + 1) probabilities in [0, 1] after 0, 1/T ... 1 of the pixels went, or came
    """
    without = blurred(images) if without is None else without
    if (there := lit(model, images)) is not None:
        without = without * there                # a view that is missing stays so
    n, _, h, w = images.shape
    flat = np.asarray(maps, np.float32).reshape(n, -1)
    shuffled = np.random.default_rng(0).permutation(flat.shape[1])
    order = shuffled[np.argsort(-flat[:, shuffled], axis=1, kind="stable")]
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(h * w)[None], axis=1)
    rank = torch.from_numpy(rank.reshape(n, 1, h, w)).to(images.device)
    curves = np.empty((2, n, steps + 1))
    with without_trace(model, images):
        for t in range(steps + 1):
            first = rank < round(h * w * t / steps)
            curves[0, :, t] = _probability(model, torch.where(first, without, images), targets, against)
            curves[1, :, t] = _probability(model, torch.where(first, images, without), targets, against)
            if progress:
                progress(t + 1, steps + 1)
    return curves[0], curves[1]


def blurred(images: Tensor) -> Tensor:
    """Blur each image with a Gaussian of a tenth of its longer side: gray values stay, details go."""
    sigma = max(images.shape[2:]) / 10
    reach = min(math.ceil(2.5 * sigma), *(side - 1 for side in images.shape[2:]))
    kernel = torch.exp(-torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device) ** 2 / (2 * sigma ** 2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel, groups=images.shape[1]), kernel.transpose(2, 3), groups=images.shape[1])


def _probability(model: nn.Module, images: Tensor, targets: Tensor, against: Tensor | None = None) -> np.ndarray:
    logits = model(images)
    if against is not None:
        return score(logits, targets, against).sigmoid().float().cpu().numpy()
    logits = logits if logits.dim() == 2 else logits[:, None]
    # a classifier knows its task; several findings have a sigmoid each
    if hasattr(model, "probabilities"):
        probs = model.probabilities(logits)
    else:
        probs = logits.softmax(1) if logits.shape[1] > 1 else logits.sigmoid()
    return probs.gather(1, torch.as_tensor(targets, device=probs.device)[:, None])[:, 0].float().cpu().numpy()


def area(curves: np.ndarray) -> np.ndarray:
    """Return the area under curves over the share of the pixels: (..., T + 1) probabilities -> (...) in [0, 1].

    >>> float(area(np.array([0.0, 0.5, 1.0])))
    0.5
    """
    return (curves[..., 1:] + curves[..., :-1]).mean(-1) / 2
