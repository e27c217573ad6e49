"""Maps of pictures for any classifier: of one network, or of an ensemble the weighted mean of its members' maps.

N pictures, S pixels a side of the classifier's input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.explain import explain
from core.runs.classifiers import as_input
from core.runs.ensembles import Ensemble


def explain_pictures(model, pictures: list[np.ndarray], targets: Sequence[int], layer: str | None = None, *,
                     method: str = "grad_cam", against: Sequence[int] | None = None,
                     progress: Callable[[int, int], None] | None = None, half: bool = False) -> np.ndarray:
    """Return the maps of pictures of any size, (N, S, S) float32 in the method's unit.

    Each member of an ensemble explains the picture as it sees it, at `layer` where all have the same layers, else at its last
    one. Its map, brought to S x S, counts as much as the member does. A map of a mean of logits is the mean of the maps; of a
    mean of probabilities, a vote or a stacking model this is a summary of what the members looked at.

    Args:
        model: a Classifier, or an Ensemble
        pictures: each (H, W, 1 or 3) uint8
        targets, layer, method, against, progress, half: as `core.explain.explain` takes them

    Raises KeyError and ValueError as `explain` does.
    """
    import torch
    import torch.nn.functional as F
    targets, layer = torch.tensor(list(targets)), layer or None
    versus = None if against is None else torch.tensor(list(against))
    if not isinstance(model, Ensemble):
        return explain(method, model, as_input(model, pictures), targets, layer, against=versus, progress=progress,
                       half=half).cpu().numpy()
    weights, size, total = model.weights(pictures), model.preprocessing.size, 0.0
    networks = len(model.networks)
    for i, network in enumerate(model.networks):
        def within(done: int, all_: int, i: int = i) -> None:
            progress(i * all_ + done, networks * all_)
        maps = explain(method, network, as_input(network, pictures), targets, layer if model.stages else None, against=versus,
                       progress=within if progress else None, half=half)
        maps = F.interpolate(maps[:, None].float(), (size, size), mode="bilinear", align_corners=False)[:, 0].cpu().numpy()
        total = total + weights[:, i, None, None].astype(np.float32) * maps
    return total
