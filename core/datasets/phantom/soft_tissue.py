"""Soft tissue: tubes and ellipsoids under one skin; muscle is the same shape, thinner by the fat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.datasets.phantom.bones import between
from core.datasets.phantom.solids import Solids, frame, join, slices
from core.datasets.phantom.solids import ellipsoid as solid_ellipsoid


class SoftTissue:
    """Collects the solids under one surface.

    Args:
        thick: soft tissue of the patient relative to the average; widths grow with its root, as its cross-section does
        less: mm that the surface lies under the skin
    """

    def __init__(self, thick: float, less: float):
        self.grow, self.less, self.parts = np.sqrt(thick), less, []

    def tube(self, start, end, profile, flat: float, turned: np.ndarray | None = None) -> None:
        """Add a tube from `start` to `end` (3,), mm, with half widths at some fractions of its length; flat: depth over width."""
        at, radius = np.array(profile, float).T
        radius = np.maximum(radius * self.grow - self.less, 0.1)
        middle = np.sqrt(np.maximum(between(at, radius ** 2), 0.01))
        start, end = np.asarray(start, float), np.asarray(end, float)
        solids = slices(float(np.linalg.norm(end - start)), at, radius, middle, flat).moved(frame(start, end - start))
        self.parts.append((solids if turned is None else solids.moved(turned)).overlapping())

    def ellipsoid(self, centre, half, along=(0, 1, 0)) -> None:
        """Add an ellipsoid with half axes (across, third, along), mm."""
        self.parts.append(solid_ellipsoid(centre, np.asarray(half, float) * self.grow - self.less, along))

    @property
    def solids(self) -> Solids:
        return join(*self.parts)


def skin_and_muscle(build: Callable[[SoftTissue], None], thick: float, fat: float) -> tuple[Solids, Solids]:
    """Return the surface that `build` draws, and the same one `fat` mm deeper in the average patient."""
    surfaces = SoftTissue(thick, 0.0), SoftTissue(thick, fat * thick)
    for surface in surfaces:
        build(surface)
    return surfaces[0].solids, surfaces[1].solids
