"""Where do maps point, for images whose truth is known? Shares of their heat in regions, and in which they are highest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.explain.similarity import heat

RING = 0.1         # width of the border ring, of the side


def energy(maps: Any, regions: Any) -> np.ndarray:
    """Return the share of each map's heat that lies in its region, (N,) in [0, 1]; NaN where the map or the region is empty.

    Wang et al., CVPR Workshops 2020, section 4.2 (energy-based pointing game),
    https://arxiv.org/abs/1910.01279

    Args:
        maps: (N, H, W)
        regions: (N, H, W) or (H, W) bool
    """
    hot, inside = heat(maps), np.broadcast_to(np.asarray(regions, bool), np.shape(maps))
    total = hot.sum((1, 2))
    share = np.divide((hot * inside).sum((1, 2)), total, out=np.full(len(hot), np.nan), where=total > 0)
    return np.where(inside.any((1, 2)), share, np.nan)


def pointing_game(maps: Any, regions: Any) -> np.ndarray:
    """Return whether each map is highest inside its region, (N,) of 0 and 1; NaN where the map or the region is empty.

    Where several places are highest, the share of them. Zhang et al., IJCV 2018,
    https://arxiv.org/abs/1608.00507"""
    hot = heat(maps)
    highest = hot == hot.max((1, 2), keepdims=True)
    hits = energy(highest, regions)
    return np.where(hot.any((1, 2)), hits, np.nan)


def border_ring(height: int, width: int, share: float = RING) -> np.ndarray:
    """Return the border ring, (H, W) bool: the outermost `share` of the shorter side on all four sides."""
    ring, wide = np.ones((height, width), bool), max(1, round(share * min(height, width)))
    ring[wide:-wide, wide:-wide] = False
    return ring


@dataclass(frozen=True)
class Place:
    """How much of the maps lies in a kind of region, over the images that have one.

    Attributes:
        images: how many have a map and such a region
        energy: mean share of the heat in it; area: mean share of the image that it covers, what an even map
            would have
        pointing: share of the maps that are highest in it
    """
    images: int
    energy: float
    area: float
    pointing: float

    @property
    def lift(self) -> float:
        """Heat relative to an even map."""
        return self.energy / self.area


def places(maps: Any, regions: Mapping[str, Any]) -> dict[str, Place]:
    """Return `energy` and `pointing_game` for each kind of region {name: (N, H, W) or (H, W) bool}.

    Kinds that no image has are left out.
    """
    result = {}
    for name, region in regions.items():
        region = np.broadcast_to(np.asarray(region, bool), np.shape(maps))
        shares = energy(maps, region)
        there = np.isfinite(shares)
        if there.any():
            result[name] = Place(int(there.sum()), float(shares[there].mean()), float(region[there].mean()),
                                float(pointing_game(maps, region)[there].mean()))
    return result
