"""Test-time augmentation: a network sees an image several times, changed as in its training, and the mean is its prediction.

    p(x) = (f(x) + f(a_1(x)) + ... + f(a_{T-1}(x))) / T       f probabilities, a_t one random change

Draw 0 is the image as it is. Krizhevsky et al., ImageNet classification with deep convolutional neural networks, NeurIPS 2012,
section 4.1, averages ten crops and flips in this way; here the changes are the run's own, so that nothing comes up that it was
not trained on.

The changes of an image are drawn from its pixels and the seed: an image is changed alike in a data set, in whatever batch, and
when it is dropped on a page.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor, nn

from core.augment import active
from core.augment.images import augment
from core.config import AugmentConfig
from core.errors import LightboxError


def require_draws(config: AugmentConfig, draws: int) -> None:
    """Raise LightboxError "tta.draws" where there are none, "tta.nothing" where a run changes no image so that all are alike."""
    if draws < 1:
        raise LightboxError("tta.draws", f"Test-time augmentation needs one draw at least, not {draws}.",
                            "The first is the image as it is; 8 or 16 are usual.")
    if draws > 1 and not active(config):
        raise LightboxError("tta.nothing", "This run augments nothing, so there are no copies of an image to predict.",
                            "Choose a run that was trained with data augmentation, or predict without augmented copies.")


def augmented_probabilities(model: nn.Module, images: Tensor, config: AugmentConfig, draws: int, seed: int) -> Tensor:
    """Predict images by the mean over augmented copies: (N, C, S, S) float in [0, 1] of 8-bit pixels -> (N, K) float32.

    As `predict_augmented`, for pictures as `core.runs.classifiers.as_input` gives them. Of a network that sees V views side by
    side, (N, C, S, V S), each view is changed like an image of its own.
    """
    require_draws(config, draws)
    numbers, views, was_training, total = image_numbers(images), model.preprocessing.views, model.training, 0.0
    model.eval()
    try:
        with torch.no_grad():
            for number in range(draws):
                changed = _changed(images, views, config, (seed, number), numbers) if number else images
                total = total + model.probabilities(model(changed))
    finally:
        model.train(was_training)
    return total / draws


def _changed(images: Tensor, views: int, config: AugmentConfig, place: tuple[int, int], numbers: Tensor) -> Tensor:
    """Copies of images whose views lie side by side, each changed by itself; a view that is absent, and so black, stays black."""
    apart = torch.stack(images.chunk(views, dim=3), dim=1).flatten(0, 1)
    changed = augment(apart, config, place, (numbers[:, None] * views + torch.arange(views)).flatten())
    changed = changed * (apart.amax(dim=(1, 2, 3), keepdim=True) > 0) if views > 1 else changed
    return torch.cat(changed.unflatten(0, (-1, views)).unbind(dim=1), dim=3)


def image_numbers(images: Tensor) -> Tensor:
    """Return (N,) int64, a number for the pixels of each image: equal for equal images, wherever they come from.

    >>> black = torch.zeros(2, 1, 4, 4)
    >>> len(set(image_numbers(black).tolist())), len(set(image_numbers(torch.cat([black, black + 1])).tolist()))
    (1, 2)
    """
    pixels = (images * 255).round().to(torch.uint8).cpu().numpy()
    # 40 bits: the augmentations count several numbers for each image in 64
    digests = (hashlib.blake2b(np.ascontiguousarray(one), digest_size=5).digest() for one in pixels)
    return torch.tensor([int.from_bytes(digest, "big") for digest in digests], dtype=torch.int64)
