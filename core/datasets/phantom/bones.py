"""A bone: a shell of cortex around spongy bone, with a canal of yellow marrow in the thick-walled shaft.

The shell is what lies in the outer solids and not in the inner ones, so a bone is three unions of solids, one inside the
other. Shafts are drawn as profiles: how wide the bone and how thick its cortex is at a few places along its axis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.datasets.phantom.solids import Solids, ellipsoid, frame, join, nothing, slices


@dataclass(frozen=True)
class Bone:
    """One bone, in mm, in the frame of its body part.

    outer: all of it; inner: less the cortex; canal: less the spongy bone too
    outer_cuts, inner_cuts: solids that are hollowed out of the outer and inner solids (a joint's socket)
    far: far from the detector and so blurred; it may be traced coarsely
    """

    name: str
    outer: Solids
    inner: Solids
    canal: Solids
    outer_cuts: Solids
    inner_cuts: Solids
    far: bool = False

    def moved(self, matrix: np.ndarray) -> Bone:
        """Return the bone after an affine (4, 4) map."""
        back = np.linalg.inv(matrix)
        return self.each(lambda solids: solids.moved(matrix, back))

    def cut(self, *planes) -> Bone:
        """Return the part of the bone on the inner side of planes (4,): n . x + d <= 0, in its outer, inner and canal solids."""
        return replace(self, outer=self.outer.cut(*planes), inner=self.inner.cut(*planes), canal=self.canal.cut(*planes))

    def each(self, change) -> Bone:
        """Return the bone with all its groups of solids changed by one function."""
        return Bone(self.name, change(self.outer), change(self.inner), change(self.canal),
                    change(self.outer_cuts), change(self.inner_cuts), self.far)

    def hollowed(self, outer: Solids, inner: Solids) -> Bone:
        """Return the bone with a socket: `inner` is the larger of two solids, so that a rim of cortex is left around `outer`."""
        return replace(self, outer_cuts=join(self.outer_cuts, outer), inner_cuts=join(self.inner_cuts, inner))


def fuse(name: str, *bones: Bone) -> Bone:
    """Return one bone of several parts that overlap, listed from the shaft outwards."""
    first, *rest = bones
    groups = [[getattr(first, g)] + [getattr(b, g).overlapping() for b in rest]
              for g in ("outer", "inner", "canal", "outer_cuts", "inner_cuts")]
    return Bone(name, *(join(*group) for group in groups))


def between(at: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return values half way between the stations of a smooth curve through (at, y): cubic Hermite with three-point slopes."""
    h = at[1:] - at[:-1]
    rise = (y[1:] - y[:-1]) / h
    slope = np.empty_like(y)
    slope[1:-1] = (rise[:-1] * h[1:] + rise[1:] * h[:-1]) / (h[:-1] + h[1:])
    slope[0], slope[-1] = rise[0], rise[-1]
    return (y[:-1] + y[1:]) / 2 + h * (slope[:-1] - slope[1:]) / 8


def shaft(name: str, start, end, profile, *, flat: float = 1.0, across=(1, 0, 0), closed: tuple[bool, bool] = (True, True),
          rng: np.random.Generator | None = None, wobble: float = 0.015) -> Bone:
    """Build a bone along an axis.

    Args:
        start, end: (3,) mm
        profile: stations (fraction of the length, half width, thickness of the cortex[, sideways shift]), in mm
        flat: half thickness over half width
        across: the direction of the width, made square to the axis
        closed: whether cortex covers the face at the start and at the end (it does not where the image ends)
        rng: makes each bone its own; `wobble` is the standard deviation of the width, relative

    Returns:
        A bone whose canal opens where the cortex is thicker than 1.5 mm.
    """
    start, end = np.asarray(start, float), np.asarray(end, float)
    table = np.array([row if len(row) == 4 else (*row, 0.0) for row in profile], float)
    at, radius, cortex, offset = table.T
    if rng is not None:
        radius = radius * (1 + wobble * rng.standard_normal(len(radius)))
    length = float(np.linalg.norm(end - start))
    place = frame(start, end - start, across)
    middle = np.sqrt(np.maximum(between(at, radius ** 2), 0.05))
    cortex_between = (cortex[:-1] + cortex[1:]) / 2
    outer = slices(length, at, radius, middle, flat, offset)

    inside, inside_middle = np.maximum(radius - cortex, 0), np.maximum(middle - cortex_between, 0)
    limits = at.copy()
    if closed[0]:
        limits[0] += cortex[0] / length
    if closed[1]:
        limits[-1] -= cortex[-1] / length
    inner_flat = max(flat * (1 - (1 / flat - 1) * cortex.mean() / radius.max()), 0.3 * flat)      # equal walls
    inner = slices(length, limits, inside, inside_middle, inner_flat, offset)
    real = inside_middle > 0.2
    inner = inner.take(real)

    opening, opening_middle = _opening(cortex), _opening(cortex_between)
    wall = inside ** 2 * (1 - opening ** 2)
    # between stations the wall is a parabola too: this keeps it from falling below nothing
    square = inside_middle ** 2 - np.maximum(inside_middle ** 2 * (1 - opening_middle ** 2), (wall[:-1] + wall[1:]) / 4)
    canal = slices(length, limits, inside * opening, np.sqrt(np.maximum(square, 0)), inner_flat, offset)
    canal = canal.take(real & (opening_middle > 0.05))
    back = np.linalg.inv(place)
    return Bone(name, outer.moved(place, back), inner.moved(place, back), canal.moved(place, back), nothing(), nothing())


def _opening(cortex: np.ndarray) -> np.ndarray:
    """Share of the inner width that is canal, 0 to 1: none under 1.5 mm of cortex, nearly all above 2.4 mm."""
    t = ((cortex - 1.4) / 1.0).clip(0, 1)
    return 0.97 * t * t * (3 - 2 * t)


def pebble(name: str, centre, half, *, along=(0, 0, 1), across=(1, 0, 0), cortex: float = 1.0,
           rng: np.random.Generator | None = None, wobble: float = 0.03) -> Bone:
    """Build a rounded bone or a knob of one: an ellipsoid with half axes (across, third, along) in mm, and its shell."""
    half = np.asarray(half, float)
    if rng is not None:
        half = half * (1 + wobble * rng.standard_normal(3))
    return Bone(name, ellipsoid(centre, half, along, across), ellipsoid(centre, half - cortex, along, across),
                nothing(), nothing(), nothing())
