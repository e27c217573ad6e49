"""Explanations from predictions alone: change the image, and see what that does to the logit.

Slow, and without gradients.

Arguments as in core.explain.gradcam. `progress(done, total)` is called after each batch of at most
`passes.BATCH` images with the passes done and needed; what it raises passes through and stops the work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.explain.passes import (
    Progress,
    channels_last,
    in_batches,
    lit,
    maps_at,
    score,
    side_by_side,
    upsampled,
    views_of,
    without_trace,
)

# the window of `occlusion` goes this often into a side of the image, and moves by half of its own
WINDOWS = 7


def score_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
              against: Tensor | None = None, progress: Progress | None = None) -> Tensor:
    """Return Score-CAM: each feature map of a layer masks the image; the logit of the masked image gives its weight.

        H_k     = A_k brought to the image's size and to 0 .. 1                       (eq. 5)
        alpha   = softmax_k y(x * H_k)                                                (algorithm 1)
        L       = relu(sum_k alpha_k A_k)                                             (eq. 4)

    Returns (N, H, W) in the unit of the layer's maps, >= 0. One pass a channel.
    Wang et al., CVPR Workshops 2020, https://arxiv.org/abs/1910.01279
    """
    with without_trace(model, images):
        maps, logits = maps_at(model, images, layer)                                  # (N, F, h, w)
        maps = side_by_side(maps, len(images))
        # refuses classes that do not exist
        score(logits, targets, against)
        y = torch.zeros(maps.shape[:2], device=maps.device)
        for i, part in in_batches(*maps.shape[:2], progress):
            shown = upsampled(maps[i, part], images)                                    # (B, H, W)
            low, high = shown.amin((1, 2), keepdim=True), shown.amax((1, 2), keepdim=True)
            shown = (shown - low) / (high - low).clamp_min(1e-8)
            y[i, part] = _scores(model, images[i] * shown[:, None], i, targets, against)
        alpha = y.softmax(dim=1)[..., None, None]
        return upsampled((alpha * maps).sum(dim=1).relu(), images)


def occlusion(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
              against: Tensor | None = None, progress: Progress | None = None, window: int | None = None,
              stride: int | None = None, cover: float | None = None) -> Tensor:
    """Return occlusion maps: cover a square of the image, move it along, and see how far the logit falls.

        L[i, j] = mean over the squares that cover (i, j) of  y(x) - y(x covered)

    Zeiler and Fergus, ECCV 2014, section 4.2, https://arxiv.org/abs/1311.2901

    Args:
        layer: not used, as no layer is looked into
        window: side of the square in pixels; None takes a seventh of the image's shorter side
        stride: how far it moves; None takes half the window
        cover: brightness of the square in [0, 1]; None takes the mean of each channel of the image

    Returns (N, H, W) in logits: positive where what is there is evidence for the class, negative where it is
    evidence against it.
    """
    height, width = images.shape[2:]
    window = window or max(1, round(min(height, width) / WINDOWS))
    stride = stride or max(1, window // 2)
    side = width // views_of(model)                             # a square lies in one view
    places = [(top, left) for top in range(0, height - window + stride, stride)
              for view in range(0, width, side) for left in range(view, view + side - window + stride, stride)]
    with without_trace(model, images):
        whole = score(model(channels_last(images)), targets, against).float()
        there = lit(model, images)
        fallen, covered = torch.zeros((2, *images[:, 0].shape), device=images.device)     # (N, H, W) each
        for i, part in in_batches(len(images), len(places), progress):
            paint = images[i].mean(dim=(1, 2))[:, None, None] if cover is None else cover
            batch = images[i].repeat(part.stop - part.start, 1, 1, 1)
            squares = [(slice(top, top + window), slice(left, min(left + window, (left // side + 1) * side)))
                       for top, left in places[part]]
            for picture, (rows, columns) in zip(batch, squares):
                picture[:, rows, columns] = paint
            if there is not None:
                batch *= there[i]                       # a view that is missing is not covered
            for y, (rows, columns) in zip(_scores(model, batch, i, targets, against), squares):
                fallen[i, rows, columns] += whole[i] - y
                covered[i, rows, columns] += 1
        return fallen / covered


def _scores(model: nn.Module, batch: Tensor, i: int, targets: Tensor, against: Tensor | None) -> Tensor:
    """y of many changed versions of image i."""
    def same(classes: Tensor) -> Tensor:
        return torch.as_tensor(classes)[i].expand(len(batch))
    return score(model(channels_last(batch)), same(targets), None if against is None else same(against)).float()
