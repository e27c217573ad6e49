"""Images of another set through a run's networks: probabilities, and how far their features lie from the training images.

N images, K classes of the run, F features.
"""

from __future__ import annotations

import numpy as np

from core.config import RunConfig, home
from core.datasets import Dataset, open_dataset
from core.datasets.source import Progress
from core.errors import LightboxError
from core.evaluation.likeness import nearest_similarity, shared_pixels
from core.runs.store import Run, RunStore

BATCH = 1024  # features in one pass through the head
PICTURES = 64  # images that the members of an ensemble see at a time


def network_of_features(run: Run, model) -> tuple:
    """Return (network, settings) by whose features images are compared: of an ensemble the member with the largest images."""
    from core.runs.ensembles import Ensemble

    if not isinstance(model, Ensemble):
        return model, run.config
    member = model.spec.members[model.networks.index(model.lead)]
    return model.lead, RunStore().get(member.run).config


def by_all_members(model, data: Dataset, progress: Progress | None) -> np.ndarray:
    """Return (N, K) float32 from images, which each member of an ensemble sees in its own way."""
    from core.runs.classifiers import classify

    found = []
    for start in range(0, len(data), PICTURES):
        found.append(classify(model, list(data.images[start : start + PICTURES])))
        if progress:
            progress(f"Asking {len(model.networks)} members", min(start + PICTURES, len(data)), len(data))
    return np.concatenate(found)


def by_head(model, features: np.ndarray) -> np.ndarray:
    """Return (N, K) float32 from features (N, F), by the head."""
    import torch

    found = []
    with torch.no_grad():
        for start in range(0, len(features), BATCH):
            part = torch.from_numpy(np.array(features[start : start + BATCH])).to(model.device)
            found.append(model.probabilities(model.head(part)).cpu().numpy())
    return np.concatenate(found)


def beside_own_set(
    run: Run, model, config: RunConfig, data: Dataset, features: np.ndarray, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return (nearest, own_nearest, shared, why_not): what can only be said with the images that the run was trained
    on."""
    from core.trainers.batches import SplitData
    from core.trainers.embedding import plain_features

    none = np.empty(0, np.float32), np.empty(0, np.float32), np.full(len(data), "", "<U5")
    try:
        own = open_dataset(run.config.data, progress)
    except LightboxError as error:
        return *none, f"The images that the run was trained on cannot be opened: {error.message}"
    if own.split_hash != run.data().get("split_hash"):
        return *none, "The images that the run was trained on have changed since."
    shared = shared_pixels(data.images, own.images, own.table["split"].to_numpy(dtype=object))
    if not len(own.indices("train")):
        return *none[:2], shared, ("Every image of its own set was predicted out of fold, so none is a training image of the "
                                   "ensemble.")
    try:
        training, validation = (
            plain_features(model, SplitData.of(own, split), config, home() / "features", progress, name)
            for split, name in (("train", "training"), ("val", "validation"))
        )
    except LightboxError as error:
        return *none[:2], shared, error.message
    return (
        nearest_similarity(features, training, progress),
        nearest_similarity(validation, training, progress),
        shared,
        "",
    )
