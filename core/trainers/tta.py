"""Test-time augmentation of a whole split. What is done to an image: core/augment/tta.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from core.augment.tta import augmented_probabilities, require_draws
from core.config import AugmentConfig
from core.trainers.batches import Batches, SplitData, in_portions

BATCH = 64
Progress = Callable[[str, int, int], None]


def predict_augmented(model: nn.Module, split: SplitData, config: AugmentConfig, draws: int, seed: int,
                      progress: Progress | None = None) -> np.ndarray:
    """Predict the images of a split by the mean over augmented copies.

    Args:
        model: a Classifier; left in the mode in which it was
        split: of images, not of features
        config: of the run, `config.augment`
        draws: T, of which the first is the image as it is
        seed: of the run
        progress: called with (sentence, images done, images); may raise to stop

    Returns:
        (N, K) float32 in [0, 1]

    Raises:
        LightboxError: "tta.draws", "tta.nothing"
    """
    require_draws(config, draws)
    parts, done = [], 0
    for images, _ in Batches(split, next(model.parameters()).device)(in_portions(np.arange(len(split)), BATCH)):
        parts.append(augmented_probabilities(model, images, config, draws, seed).cpu().numpy())
        done += len(images)
        if progress:
            progress(f"Predicting {draws} augmented copies of each image", done, len(split))
    return np.concatenate(parts) if parts else np.empty((0, len(model.class_names)), np.float32)
