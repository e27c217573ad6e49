"""What a layer responds to: its feature maps of an image, what each of them contributes to a class, and its kernels.

Shapes: images (N, C, H, W) in [0, 1], a layer's maps (N, F, h, w).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.explain.passes import gradients_at, maps_at, module_of, without_trace


def activations(model: nn.Module, images: Tensor, layer: str | None = None) -> np.ndarray:
    """Return the feature maps of a layer: (N, F, h, w) float32, in the layer's own unit.

    Raises as `grad_cam` does.
    """
    with without_trace(model, images):
        return maps_at(model, images, layer)[0].cpu().numpy()


def contributions(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
                  against: Tensor | None = None) -> np.ndarray:
    """Return what each map of a layer contributes to a class in Grad-CAM: alpha_k sum_ij A_k[i, j], (N, F) float32 in logits.

    Added up over the maps it is the sum of Grad-CAM before its relu. Arguments as in `grad_cam`.
    """
    with without_trace(model, images):
        maps, gradient = gradients_at(model, images, targets, layer, against)
        return (gradient.mean(dim=(2, 3)) * maps.sum(dim=(2, 3))).cpu().numpy()


@dataclass(frozen=True)
class Kernels:
    """The weights of a convolution.

    Attributes:
        name: dotted name of the convolution
        weights: (F, C, h, w) float32: F maps out, C maps in (divided by the groups)
    """

    name: str
    weights: np.ndarray


def kernels(model: nn.Module, layer: str) -> Kernels | None:
    """Return the kernels of a layer: its own, or those of the last convolution inside it, or None where there is none.

    The last by the order in which the modules were made, which is that of their use in all networks here.

    Raises:
        KeyError: no layer of that name; the message lists those that there are
    """
    inside = [(name, module) for name, module in module_of(model, layer).named_modules() if isinstance(module, nn.Conv2d)]
    if not inside:
        return None
    name, conv = inside[-1]
    with torch.no_grad():
        return Kernels(f"{layer}.{name}".strip("."), conv.weight.float().cpu().numpy().copy())
