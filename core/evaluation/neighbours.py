"""Which training images does a network find similar? The nearest neighbours in feature space.

The features f of an image are the input of the head: two images with the same features get the same
prediction. So the training images nearest to an error show what it was confused with, that a label is wrong,
or that the same patient is in training. Near means a high cosine similarity, which leaves out how strongly a
network responds:

    s(f, g) = f . g / (|f| |g|)                              in [-1, 1]

M training images, F features. Imports torch when it is asked something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core.config import home
from core.runs.store import Run


def training_features(run: Run, data, model, progress: Callable[[str, int, int], None] | None = None,
                      *, make: bool = True) -> np.ndarray | None:
    """Return features (M, F) float32 of a run's training images, in the order of `training_rows(data)`.

    Kept in LIGHTBOX_HOME/features, so they are computed once for each network; who is stopped goes on there
    the next time.

    Args:
        data: the run's open Dataset
        model: its Classifier, as `load_classifier` gives it
        progress: called with (sentence, images done, images); may raise to stop
        make: False only looks whether they are there, and returns None where not

    Raises:
        LightboxError: "embedding.room", "disk.full", "disk.not_allowed", "embedding.nan"
    """
    from core.trainers.batches import SplitData
    from core.trainers.embedding import kept_features, plain_features
    rows, folder = training_rows(data), home() / "features"
    split = replace(SplitData.of(data, "train"), indices=rows, labels=data.labels[rows])
    if not make:
        return kept_features(model, split, run.config, folder)
    return plain_features(model, split, run.config, folder, progress)


def training_rows(data) -> np.ndarray:
    """Return the rows that a run learned from, each once: (M,) int64 in rising order."""
    return np.unique(data.indices("train"))


def features_of(model, images: list[np.ndarray]) -> np.ndarray:
    """Return features (N, F) float32 of images of any size, each (H, W, 1 or 3) uint8."""
    import torch

    from core.runs.classifiers import as_input
    with torch.no_grad():
        return model.embed(as_input(model, images)).float().cpu().numpy()


def nearest(features: np.ndarray, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are most similar to a query, the nearest first.

    Args:
        features: (M, F)
        query: (F,)
        count: how many at most

    Returns:
        positions (n,) int64 in 0..M-1 and similarities (n,) in [-1, 1], n = min(count, M); among equals the
        earlier row first. A row of zeros has similarity 0.

    >>> nearest(np.array([[1., 0.], [0., 1.], [2., 2.]]), np.array([0., 3.]), 2)[0].tolist()
    [1, 2]
    """
    length = np.sqrt(np.einsum("mf,mf->m", features, features)) * np.linalg.norm(query)
    similarity = np.divide(features @ query, length, out=np.zeros(len(features), np.float32),
                           where=length > 0)
    order = np.argsort(-similarity, kind="stable")[:count]
    return order, np.clip(similarity[order], -1, 1)
