"""Rays through solids: the exact length of each ray of an image inside them.

A ray parallel to z through the pixel (u, v) meets the quadric of a solid where a quadratic in its depth s is negative,
a s^2 + 2 b s + c <= 0, with b linear and c quadratic in (u, v). So entry and exit are

    s = -b/a -+ sqrt(b^2 - a c) / a,

clipped by planes that are linear in (u, v): a dozen array operations, inside the box of the solid only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.datasets.phantom.solids import Solids

FLAT = 1e-5          # the smallest a: a cylinder seen along its axis is 300 radii deep, and its planes end it
FAR = np.float32(1e6)


class Grid(NamedTuple):
    """Where the pixels are: pixel (row i, column j) is the ray through u = left + j pitch, v = top + i pitch (mm)."""

    left: float
    top: float
    pitch: float
    height: int
    width: int

    def coarse(self, step: int) -> Grid:
        """Return the same field with pixels `step` times as large."""
        half = (step - 1) / 2 * self.pitch
        return Grid(self.left + half, self.top + half, self.pitch * step, -(-self.height // step), -(-self.width // step))

    def finer(self, step: int) -> Grid:
        """Return the same field with step x step rays in each pixel."""
        back = (step - 1) / (2 * step) * self.pitch
        return Grid(self.left - back, self.top - back, self.pitch / step, self.height * step, self.width * step)


class Path(NamedTuple):
    """How far rays run inside something: `length` (mm) over a window of the image, given by its (rows, columns) slices."""

    window: tuple[slice, slice]
    length: np.ndarray


class Rays:
    """All rays of a grid against many solids, which are already in the frame of the view (rays along z).

    What depends on the column only, or on the row only, is worked out here for all solids at once; the rest is done by `path`
    for each solid inside its window. Coordinates count from the middle of the window, so that float32 is exact enough.
    """

    def __init__(self, solids: Solids, grid: Grid):
        low, high = solids.corners[:, :, :2].min(1), solids.corners[:, :, :2].max(1)                 # (P, 2): u, v
        origin, size = np.array([grid.left, grid.top]), np.array([grid.width, grid.height])
        first = np.floor((low - origin) / grid.pitch).clip(0, size).astype(int)
        last = (np.ceil((high - origin) / grid.pitch) + 1).clip(0, size).astype(int)
        self.seen, self.apart = (last > first).all(1).tolist(), solids.apart.tolist()
        self.windows = np.stack([first[:, 1], last[:, 1], first[:, 0], last[:, 0]], 1).tolist()
        middle = origin + (first + last) / 2 * grid.pitch
        move = np.tile(np.eye(4), (len(solids), 1, 1))
        move[:, :2, 3] = middle
        q = move.transpose(0, 2, 1) @ solids.quadrics @ move
        a = np.where(np.abs(q[:, 2, 2]) > FLAT, q[:, 2, 2], FLAT)
        bu, bv, b1 = q[:, 2, 0], q[:, 2, 1], q[:, 2, 3]
        k = 1 / a ** 2
        u = (grid.left + grid.pitch * np.arange(grid.width) - middle[:, :1]).astype(np.float32)      # (P, W)
        v = (grid.top + grid.pitch * np.arange(grid.height) - middle[:, 1:]).astype(np.float32)      # (P, H)

        def column(values: np.ndarray) -> np.ndarray:
            return values.astype(np.float32)[:, None]
        # (b^2 - a c) / a^2 = across(u) + down(v) + twist(v) u, and the middle of the chord -b / a
        self.u, self.negative = u, (a < 0).tolist()
        self.across = u * (u * column(k * (bu * bu - a * q[:, 0, 0])) + column(2 * k * (bu * b1 - a * q[:, 0, 3])))
        self.down = v * (v * column(k * (bv * bv - a * q[:, 1, 1])) + column(2 * k * (bv * b1 - a * q[:, 1, 3])))
        self.down = (self.down + column(k * (b1 * b1 - a * q[:, 3, 3])))[:, :, None]
        self.twist = (v * column(2 * k * (bu * bv - a * q[:, 0, 1])))[:, :, None]
        self.middle_across, self.middle_down = u * column(-bu / a), (v * column(-bv / a) + column(-b1 / a))[:, :, None]

        planes = solids.planes @ move
        owner, which = np.nonzero((planes[:, :, :3] != 0).any(2))
        normal = planes[owner, which]
        along = np.where(np.abs(normal[:, 2]) < FLAT, FLAT, normal[:, 2])     # along the rays: the bound flips, -1e6 to 1e6
        self.plane_across = u[owner] * column(-normal[:, 0] / along)
        self.plane_down = (v[owner] * column(-normal[:, 1] / along) + column(-normal[:, 3] / along))[:, :, None]
        self.plane_is_exit = (along > 0).tolist()
        starts = np.searchsorted(owner, np.arange(len(solids) + 1))
        self.planes = [range(starts[i], starts[i + 1]) for i in range(len(solids))]

    def interval(self, i: int, window: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Return entry and exit depth of each ray of a window through solid i; entry >= exit where the ray misses.

        Seen nearly end-on, a cone or a waist has a < 0: inside is then *outside* of the two roots, and the planes leave one of
        the two pieces (the longer is taken; profiles have a station on each waist, so that there is no second).
        """
        r0, r1, c0, c1 = window
        half = self.twist[i, r0:r1] * self.u[i, c0:c1]
        half += self.across[i, c0:c1]
        half += self.down[i, r0:r1]
        negative = self.negative[i]
        if negative:
            missed = half < 0
        np.maximum(half, 0, out=half)
        np.sqrt(half, out=half)
        far = self.middle_across[i, c0:c1] + self.middle_down[i, r0:r1]
        near = far - half
        far += half
        if negative:
            low, high = np.where(missed, FAR, near), np.where(missed, FAR, far)
            near, far = np.full_like(near, -FAR), np.full_like(far, FAR)
        for m in self.planes[i]:
            bound = self.plane_across[m, c0:c1] + self.plane_down[m, r0:r1]
            if self.plane_is_exit[m]:
                np.minimum(far, bound, out=far)
            else:
                np.maximum(near, bound, out=near)
        if negative:
            behind = far - np.maximum(near, high) > np.minimum(far, low) - near
            near, far = np.where(behind, np.maximum(near, high), near), np.where(behind, far, np.minimum(far, low))
        return near, far

    def path(self, which: range | list, holes: range | list = ()) -> Path | None:
        """Return length of each ray inside the union of some solids, less what lies inside the union of others.

            |A - B| = |A or B| - |B|

        A union must not count twice where solids overlap. Each next solid adds its own length less what lies between the
        first entry and the last exit so far. Where there is a gap in between, that may take off too much: those rays are
        done again by `_merge`, so the length is exact for any set of solids.

        Args:
            which: the solids; those that overlap earlier ones are not `apart`
            holes: the solids that are taken away

        Returns:
            The path, float32, or None where no pixel can be touched.
        """
        which, holes = [i for i in which if self.seen[i]], [i for i in holes if self.seen[i]]
        if not which:
            return None
        windows = [self.windows[i] for i in which]
        row0, row1 = min(w[0] for w in windows), max(w[1] for w in windows)
        col0, col1 = min(w[2] for w in windows), max(w[3] for w in windows)
        window = (row0, row1, col0, col1)
        holes = [i for i in holes if _meet(self.windows[i], window) is not None]
        if holes:
            length = self._union(which + holes, window, set(holes)) - self._union(holes, window, set(holes))
            np.maximum(length, 0, out=length)                # rounding
        else:
            length = self._union(which, window, ())
        return Path((slice(row0, row1), slice(col0, col1)), length)

    def _union(self, which: list[int], window: tuple, overlapping: set) -> np.ndarray:
        """Length inside a union, over a window (row, row after the last, column, column after the last)."""
        if all(self.apart[i] and i not in overlapping for i in which[1:]):       # slices of one shaft: just add
            total = np.zeros((window[1] - window[0], window[3] - window[2]), np.float32)
            for i in which:
                here = _meet(self.windows[i], window)
                near, far = self.interval(i, here)
                far -= near
                total[_inside(here, window)] += np.maximum(far, 0, out=far)
            return total
        total = np.zeros((window[1] - window[0], window[3] - window[2]), np.float32)
        first, last = np.full(total.shape, FAR), np.full(total.shape, -FAR)
        parts = []
        for i in which:
            here = _meet(self.windows[i], window)
            near, far = self.interval(i, here)
            length = far - near
            np.maximum(length, 0, out=length)
            outside = length == 0
            np.copyto(near, FAR, where=outside)
            np.copyto(far, -FAR, where=outside)
            inside = _inside(here, window)
            f, b = first[inside], last[inside]
            if parts and (i in overlapping or not self.apart[i]):
                both = np.minimum(far, b)
                both -= np.maximum(near, f)
                length -= np.maximum(both, 0, out=both)
            np.minimum(f, near, out=f)
            np.maximum(b, far, out=b)
            parts.append((inside, near, far))
            total[inside] += length
        # too much can only have been taken off where a ray leaves the union and enters it again
        rows, columns = np.nonzero(last - first > total + np.float32(0.01))
        if len(rows) and len(parts) > 2:
            total[rows, columns] = _merge(parts, rows, columns)
        return total


def _meet(one: tuple, other: tuple) -> tuple[int, int, int, int] | None:
    """The window that two windows share, or None."""
    r0, r1, c0, c1 = max(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), min(one[3], other[3])
    return (r0, r1, c0, c1) if r0 < r1 and c0 < c1 else None


def _inside(here: tuple, window: tuple) -> tuple[slice, slice]:
    """A window as slices of an array that covers a larger one."""
    return slice(here[0] - window[0], here[1] - window[0]), slice(here[2] - window[2], here[3] - window[2])


def _merge(parts: list, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Length of the union of intervals at n pixels, (n,): sort by entry, then count what is new of each.

    parts: K of (window, near, far); rows, cols: (n,) the pixels, rows rising.
    """
    near, far = np.full((len(parts), len(rows)), FAR), np.full((len(parts), len(rows)), -FAR)
    for k, ((r, c), n, f) in enumerate(parts):
        here = (rows >= r.start) & (rows < r.stop) & (cols >= c.start) & (cols < c.stop)
        at = rows[here] - r.start, cols[here] - c.start
        near[k, here], far[k, here] = n[at], f[at]
    order = np.argsort(near, 0)
    near, far = np.take_along_axis(near, order, 0), np.take_along_axis(far, order, 0)
    reached = np.maximum.accumulate(far, 0)
    near[1:] = np.maximum(near[1:], reached[:-1])
    return np.maximum(far - near, 0).sum(0)
