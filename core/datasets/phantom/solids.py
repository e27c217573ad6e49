"""Convex solids: the one shape from which everything in the phantom is built.

A solid is a quadric cut by planes,

    x^T Q x <= 0  and  n_m . x + d_m <= 0 for every plane m,         x = (x, y, z, 1) in mm.

Ellipsoids, cylinders, cones, waisted shafts, boxes and any slice of them are of this kind, and stay so under rotation,
scaling and shear. How long a ray is inside them is worked out in rays.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Solids:
    """P convex solids.

    Args:
        quadrics: (P, 4, 4) symmetric float64, inside where x^T Q x <= 0
        planes: (P, M, 4) float64, inside where n . x + d <= 0; rows of zeros stand for no plane
        corners: (P, 8, 4) the corners of a box around each solid, to know which pixels it can touch
        apart: (P,) bool, True where the solid meets those before it only in a plane (the next slice of a shaft)
    """

    quadrics: np.ndarray
    planes: np.ndarray
    corners: np.ndarray
    apart: np.ndarray

    def __len__(self) -> int:
        return len(self.quadrics)

    def moved(self, matrix: np.ndarray, back: np.ndarray | None = None) -> Solids:
        """Return the solids after x -> matrix x, for an affine (4, 4) matrix; `back` is its inverse, where known."""
        if not len(self):
            return self
        back = np.linalg.inv(matrix) if back is None else back
        return Solids(back.T @ self.quadrics @ back, self.planes @ back, self.corners @ matrix.T, self.apart)

    def cut(self, *planes) -> Solids:
        """Return only what lies on the inner side of more planes, each (4,): n . x + d <= 0."""
        extra = np.broadcast_to(np.asarray(planes, float), (len(self), len(planes), 4))
        return Solids(self.quadrics, np.concatenate([self.planes, extra], 1), self.corners, self.apart)

    def take(self, which) -> Solids:
        """Return some of the solids, by mask or index."""
        return Solids(self.quadrics[which], self.planes[which], self.corners[which], self.apart[which])

    def overlapping(self) -> Solids:
        """Return the same solids, to be united with what comes before them."""
        return Solids(self.quadrics, self.planes, self.corners, np.zeros(len(self), bool))


def join(*groups: Solids) -> Solids:
    """Return all solids of several groups, with as many planes as the most cut one needs."""
    if len(groups) == 1:
        return groups[0]
    planes = np.zeros((sum(map(len, groups)), max(group.planes.shape[1] for group in groups), 4))
    start = 0
    for group in groups:
        planes[start:start + len(group), :group.planes.shape[1]] = group.planes
        start += len(group)
    return Solids(np.concatenate([group.quadrics for group in groups]), planes,
                  np.concatenate([group.corners for group in groups]), np.concatenate([group.apart for group in groups]))


def nothing() -> Solids:
    """Return no solid at all."""
    return Solids(np.zeros((0, 4, 4)), np.zeros((0, 2, 4)), np.zeros((0, 8, 4)), np.zeros(0, bool))


_CUBE = np.array([[x, y, z, 1] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
_BALL = np.diag([1.0, 1, 1, -1])


def frame(centre, along, across=(1, 0, 0)) -> np.ndarray:
    """Return (4, 4) matrix of a place: its z axis points `along`, its x axis as nearly `across` as a right angle allows."""
    z = np.array(along, float)
    z /= math.sqrt(z @ z)
    x = np.array(across, float)
    x -= (x @ z) * z
    if x @ x < 1e-6:                                         # across was parallel to along: any right angle will do
        x = np.array([z[1] * 0.8 - z[2] * 0.5, z[2] * 0.3 - z[0] * 0.8, z[0] * 0.5 - z[1] * 0.3])
    x /= math.sqrt(x @ x)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 2], matrix[:3, 3] = x, z, centre
    matrix[:3, 1] = z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]
    return matrix


def turn(axis: int, degrees: float) -> np.ndarray:
    """Return (4, 4) rotation about the x (0), y (1) or z (2) axis."""
    angle = np.deg2rad(degrees)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(4)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def shift(x: float, y: float, z: float) -> np.ndarray:
    """Return (4, 4) translation."""
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def scale(x: float, y: float, z: float) -> np.ndarray:
    """Return (4, 4) scaling."""
    return np.diag([x, y, z, 1.0])


def ellipsoid(centre, half, along=(0, 0, 1), across=(1, 0, 0)) -> Solids:
    """Return an ellipsoid with half axes (across, third, along) in mm."""
    matrix = frame(centre, along, across) @ scale(*half)
    return Solids(_BALL[None], np.zeros((1, 2, 4)), _CUBE[None], np.zeros(1, bool)).moved(matrix)


def box(centre, half, along=(0, 0, 1), across=(1, 0, 0)) -> Solids:
    """Return a box with half sides (across, third, along) in mm."""
    planes = np.zeros((1, 6, 4))
    planes[0, :, 3] = -1
    for m in range(6):
        planes[0, m, m // 2] = 1 if m % 2 else -1
    quadric = np.diag([0.0, 0, 0, -9])                       # everywhere: only the planes bound it
    return Solids(quadric[None], planes, _CUBE[None], np.zeros(1, bool)).moved(frame(centre, along, across) @ scale(*half))


def slices(length: float, at: np.ndarray, radius: np.ndarray, middle: np.ndarray, flat: float,
           offset: np.ndarray | None = None) -> Solids:
    """Return a shaft along z as slices that meet in planes, each with radius^2 quadratic in z, so a quadric.

    Args:
        length: mm from z = 0 to the last station
        at: (K,) stations as fractions of the length, rising
        radius: (K,) mm, half width along x at each station
        middle: (K - 1,) mm, half width half way between stations
        flat: half thickness along y over half width along x
        offset: (K,) mm, centre of the section along x

    Returns:
        K - 1 solids.
    """
    z = at * length
    offset = np.zeros(len(z)) if offset is None else offset
    lower, upper, h = z[:-1], z[1:], z[1:] - z[:-1]
    r0, r1, rm = radius[:-1] ** 2, radius[1:] ** 2, middle ** 2
    curve = 2 * (r0 + r1 - 2 * rm) / h ** 2                  # r^2(z) = r0 + slope (z - lower) + curve (z - lower)^2
    slope = (r1 - r0) / h - curve * h
    aside = offset[1:] - offset[:-1]
    lean = aside / h
    foot = offset[:-1] - lean * lower                        # centre(z) = foot + lean z
    q = np.zeros((len(h), 4, 4))
    q[:, 0, 0] = 1
    q[:, 0, 2] = q[:, 2, 0] = -lean
    q[:, 0, 3] = q[:, 3, 0] = -foot
    q[:, 1, 1] = 1 / flat ** 2
    q[:, 2, 2] = lean ** 2 - curve
    q[:, 2, 3] = q[:, 3, 2] = foot * lean - (slope - 2 * curve * lower) / 2
    q[:, 3, 3] = foot ** 2 - (r0 - slope * lower + curve * lower ** 2)
    planes = np.zeros((len(h), 2, 4))
    planes[:, 0, 2], planes[:, 0, 3] = -1, lower
    planes[:, 1, 2], planes[:, 1, 3] = 1, -upper
    widest = np.sqrt(np.maximum(np.maximum(r0, r1), rm)) * 1.02
    middle_of, half = np.zeros((len(h), 1, 4)), np.ones((len(h), 1, 4))
    middle_of[:, 0, 0], middle_of[:, 0, 2] = (offset[:-1] + offset[1:]) / 2, (lower + upper) / 2
    half[:, 0, 0], half[:, 0, 1], half[:, 0, 2] = widest + np.abs(aside) / 2, widest * flat, h / 2
    return Solids(q, planes, middle_of + _CUBE * half, np.arange(len(h)) > 0)
