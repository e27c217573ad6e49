"""Class activation maps from one pass: a layer's maps A, weighed by what they do to the score y of a class.

Arguments and result are the same for all:

    model     run in eval mode; left exactly as it was (no hooks, no .grad, same modes, flags and random state)
    images    (N, C, H, W) float32 in [0, 1]
    targets   (N,) int64, the class to explain for each image; 0 for a model with a single logit. y is its logit, before
              softmax or sigmoid
    layer     dotted name of the layer; None is the last feature map: the last of `model.stages` where the model has
              them (a tuple of names), else the last of `feature_maps`. Of a layer used often, the last use counts
    against   (N,) int64: a class to compare with. y is then the difference of the two logits
    returns   (N, H, W) float32, not rescaled, so that maps can be compared. Computed at the layer's resolution, then
              brought to the images' by bilinear interpolation
    raises    KeyError: no layer of that name; the message lists those that there are.
              ValueError: the layer gives no (N, F, h, w) map, or y does not depend on it; targets that do not fit

A is the output of the layer as the layer returned it; what a later operation does to it in place changes a
copy. This matters for DenseNet, where torchvision applies an in-place ReLU to the output of `features`: A is
the map before that ReLU, after the last batch norm, and may be negative.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.explain.passes import gradients_at, maps_at, on_images, score, without_trace


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
             against: Tensor | None = None) -> Tensor:
    """Return Grad-CAM: how much each place of a feature map is evidence for a class, in logits, >= 0.

        alpha_k = mean_ij dy / dA_k[i, j]          (eq. 1)
        L       = relu(sum_k alpha_k A_k)          (eq. 2)

    Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391

    >>> from core.config import ModelConfig
    >>> from core.models import build_model
    >>> model = build_model(ModelConfig("small_cnn"), classes=2, size=32, channels=1)
    >>> maps = grad_cam(model, torch.rand(3, 1, 32, 32), torch.tensor([0, 1, 1]))
    >>> maps.shape, bool((maps >= 0).all())
    (torch.Size([3, 32, 32]), True)
    """
    with without_trace(model, images):
        maps, gradient = gradients_at(model, images, targets, layer, against)
        alpha = gradient.mean(dim=(2, 3), keepdim=True)                # (N, F, 1, 1)
        return on_images((alpha * maps).sum(dim=1).relu(), images)


def grad_cam_pp(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
                against: Tensor | None = None) -> Tensor:
    """Return Grad-CAM++: as Grad-CAM, but a few places with evidence for the class count as much as many; in logits, >= 0.

        a_k[i, j] = g^2 / (2 g^2 + (sum_ab A_k[a, b]) g^3) = 1 / (2 + (sum_ab A_k[a, b]) g)     (eq. 19, with y in exp(y))
        alpha_k   = sum_ij a_k[i, j] relu(g)                                                    (eq. 5)
        L         = relu(sum_k alpha_k A_k),       g = dy / dA_k[i, j]                          (eq. 6)

    The paper takes A after a ReLU. Where A may be negative, the denominator can pass through zero; there a is
    taken as 0.
    Chattopadhay et al., WACV 2018, https://arxiv.org/abs/1710.11063
    """
    with without_trace(model, images):
        maps, gradient = gradients_at(model, images, targets, layer, against)
        below = 2 + maps.sum(dim=(2, 3), keepdim=True) * gradient
        share = torch.where(below.abs() > 1e-6, 1 / below, 0)
        alpha = (share * gradient.relu()).sum(dim=(2, 3), keepdim=True)
        return on_images((alpha * maps).sum(dim=1).relu(), images)


def hires_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
              against: Tensor | None = None) -> Tensor:
    """Return HiRes-CAM: each place weighted with its own gradient instead of the map's mean, in logits, >= 0.

        L = relu(sum_k dy / dA_k * A_k)

    At the last layer before average pooling and one linear layer it equals Grad-CAM; at earlier ones
    Grad-CAM's mean may highlight places that the network did not use, and this does not.
    Draelos and Carin, 2020, https://arxiv.org/abs/2011.08891
    """
    with without_trace(model, images):
        maps, gradient = gradients_at(model, images, targets, layer, against)
        return on_images((gradient * maps).sum(dim=1).relu(), images)


def layer_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
              against: Tensor | None = None) -> Tensor:
    """Return Layer-CAM: only evidence for the class counts, each place by itself, so early layers work too; in logits, >= 0.

        L = relu(sum_k relu(dy / dA_k) * A_k)

    Jiang et al., IEEE TIP 2021, https://doi.org/10.1109/TIP.2021.3089943
    """
    with without_trace(model, images):
        maps, gradient = gradients_at(model, images, targets, layer, against)
        return on_images((gradient.relu() * maps).sum(dim=1).relu(), images)


def eigen_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
              against: Tensor | None = None) -> Tensor:
    """Return Eigen-CAM: what varies most over the places of a layer; in the unit of its maps, >= 0.

    The same for every class.

        A = U S V^T  (h w places x F channels, less the mean of each channel);   L = relu(A v_1)

    v_1 has no sign of its own: it is taken so that places where the layer is more active get the larger
    values.
    `targets` and `against` are only checked. Muhammad and Yeasin, IJCNN 2020,
    https://arxiv.org/abs/2008.00299
    """
    with without_trace(model, images):
        maps, logits = maps_at(model, images, layer)
        score(logits, targets, against)
        places = maps.flatten(2).transpose(1, 2).double()              # (N, h w, F)
        centred = places - places.mean(dim=1, keepdim=True)
        # the smaller of the two squares has the same values
        wide = centred.shape[1] <= centred.shape[2]
        square = centred @ centred.transpose(1, 2) if wide else centred.transpose(1, 2) @ centred
        values, vectors = torch.linalg.eigh(square)                    # ascending
        first = vectors[..., -1] * values[:, -1:].clamp_min(0).sqrt() if wide else (centred @ vectors[..., -1:])[..., 0]
        agrees = (first * centred.sum(dim=2)).sum(dim=1, keepdim=True)
        cam = (first * torch.where(agrees < 0, -1.0, 1.0)).relu()
        return on_images(cam.float().view(len(maps), *maps.shape[2:]), images)
