"""Can we trust these heat-maps? A map is a claim about a network, and claims can be tested.

    randomisation        does the map depend on what the network has learned? (core.explain.randomisation)
    deletion, insertion  does the prediction depend on what the map marks? (core.explain.deletion)
    shift_stability      does the map stay on what it marks when the image is moved by a few pixels?
    run_checks           all of it for some images, with where the maps point (core.explain.localization) and how similar those of
                         another seed are (core.explain.similarity); core.explain.verdict says what it means

Shapes: N images of C channels and H x W pixels in [0, 1], maps (N, H, W). Of a signed map only evidence for
the class counts as heat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.explain.deletion import BASELINES, area, deletion_and_insertion
from core.explain.localization import Place, border_ring, places
from core.explain.methods import explain
from core.explain.passes import views_of
from core.explain.randomisation import Explainer, Progress, Randomised, maps_of, randomisation
from core.explain.similarity import heat, map_similarity

SHIFT = 0.03       # of the side: 3 px of 96, less than a place of a late feature map


def shift_stability(model: nn.Module, images: Tensor, targets: Tensor, method: Explainer, layer: str | None = None, *,
                    maps: Any = None, progress: Progress | None = None) -> float | None:
    """Return the mean rank correlation of the maps with those of the images moved by SHIFT to the left, right, up and down.

    The maps are moved back, and compared where both images have pixels. None where no map shows anything.

    Args:
        maps: those of the images as they are, where the caller has them
    """
    maps = maps_of(method, model, images, targets, layer) if maps is None else np.asarray(maps)
    far, values = max(1, round(SHIFT * max(images.shape[2:]))), []
    inner = (slice(None), slice(far, -far), slice(far, -far))
    for done, (down, right) in enumerate(((0, far), (0, -far), (far, 0), (-far, 0)), 1):
        moved = _moved(images, far, down, right, views_of(model))
        back = np.roll(maps_of(method, model, moved, targets, layer), (-down, -right), (1, 2))
        values.append(map_similarity(maps[inner], back[inner]))
        if progress:
            progress("Moving the images", done, 4)
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def _moved(images: Tensor, far: int, down: int, right: int, views: int) -> Tensor:
    """The images, or each of the views that lie side by side in them, moved by at most `far` pixels; the edge repeats."""
    apart = torch.cat(images.chunk(views, dim=3))
    h, w = apart.shape[2:]
    moved = F.pad(apart, (far,) * 4, mode="replicate")[:, :, far - down:far - down + h, far - right:far - right + w]
    return torch.cat(moved.chunk(views), dim=3)


@dataclass(frozen=True)
class CheckResults:
    """What all checks of some maps gave.

    Attributes:
        images: N; empty: of how many of them the map shows nothing
        randomised: see `randomisation`
        deletion, insertion: "the map" and the names of BASELINES -> (T + 1,) mean probability
        gain: by how much the map's insertion less deletion (areas) beats the best baseline, in probability
        best_baseline: that one's name
        shifts: see `shift_stability`; seeds: similarity to the maps of a network from another seed, None
            where there is none
        places: see `places`
    """
    images: int
    empty: int
    randomised: Randomised
    deletion: dict[str, np.ndarray]
    insertion: dict[str, np.ndarray]
    gain: float
    best_baseline: str
    shifts: float | None
    seeds: float | None = None
    places: dict[str, Place] = field(default_factory=dict)


def run_checks(model: nn.Module, images: Tensor, targets: Tensor, method: Explainer, layer: str | None = None, *,
               against: Tensor | None = None, regions: Mapping[str, Any] | None = None, other: nn.Module | None = None,
               progress: Progress | None = None) -> CheckResults:
    """Run all checks on the maps of some images.

    Args:
        images: (N, C, H, W) in [0, 1]; sixteen are enough
        targets: (N,) the classes that are explained
        method, layer: as `randomisation` has them
        against: (N,) other classes: check the evidence for the ones in contrast with the others
        regions: {name: (N, H, W) or (H, W) bool} where the truth is known; the border ring is always looked
            at
        other: a network that was trained the same way from another seed
        progress: called now and then; may raise to stop
    """
    report = progress or (lambda sentence, done, total: None)
    report("Making the maps", 0, 1)
    if against is not None:
        method = _contrast_with(method, against)
    maps = maps_of(method, model, images, targets, layer)
    randomised = randomisation(model, images, targets, method, layer, progress=progress)
    deletion, insertion, scores = {}, {}, {}
    orders = {"the map": maps} | {name: order(images) for name, order in BASELINES.items()}
    for k, (name, order) in enumerate(orders.items()):
        def report_pixels(done: int, total: int, k: int = k) -> None:
            report("Removing and showing what is marked", k * total + done, len(orders) * total)

        deleted, inserted = deletion_and_insertion(model, images, targets, order, against=against, progress=report_pixels)
        deletion[name], insertion[name] = deleted.mean(0), inserted.mean(0)
        scores[name] = float((area(inserted) - area(deleted)).mean())
    best = max(BASELINES, key=scores.__getitem__)
    shifts = shift_stability(model, images, targets, method, layer, maps=maps, progress=progress)
    seeds = None if other is None else map_similarity(maps, maps_of(method, other, images, targets, layer))
    ring = {"border ring": border_ring(*images.shape[2:])}
    return CheckResults(len(images), int((~heat(maps).any((1, 2))).sum()), randomised, deletion, insertion,
                       scores["the map"] - scores[best], best, shifts, seeds, places(maps, (dict(regions or {})) | ring))


def _contrast_with(method: Explainer, against: Tensor) -> Explainer:
    """Return the method for the difference of two classes, of the same images in the same order."""
    function = method if callable(method) else partial(explain, method)
    return lambda model, images, targets, layer: function(model, images, targets, layer, against=against)
