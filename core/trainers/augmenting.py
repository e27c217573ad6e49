"""Augmentation of what a network gets: a batch of images, or of units whose views lie side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from core.augment.images import augment
from core.config import AugmentConfig
from core.models.views import join_views, split_views


def augment_inputs(images: Tensor, views: int, config: AugmentConfig, seed_epoch: tuple[int, int], indices: Tensor) -> Tensor:
    """Return changed copies of a batch, each view of a unit changed like an image of its own; a view that is black stays black.

    Args:
        images: (N, C, S, V S) float in [0, 1]
        views: V; 1 for single images
        config, seed_epoch: as of `core.augment.images.augment`
        indices: (N,) int64, the row of each unit in the set
    """
    if views == 1:
        return augment(images, config, seed_epoch, indices)
    apart = split_views(images)
    numbers = (indices.to(images.device)[:, None] * views + torch.arange(views, device=images.device)).flatten()
    there = apart.amax(dim=(1, 2, 3), keepdim=True) > 0
    return join_views(augment(apart, config, seed_epoch, numbers) * there, views)
