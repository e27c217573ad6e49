"""Signs that are not anatomy: a lead letter, a printed hospital name, the framing and the exposure of a site.

The letter is metal on the detector: it takes part in the X-ray (render.py adds its attenuation before the exposure), so it is
blurred, scattered into and developed like everything else. The name is printed into the finished image, as archives do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from core.datasets.phantom.rays import Grid

LEAD_THICKNESS = 0.8              # mm
HEIGHT, STROKE = 0.085, 0.19      # of the letter, as a share of the field's longer side; of its strokes, as a share of that


@dataclass(frozen=True)
class Place:
    """Where a letter lies: its middle in mm, how far it is turned in radians, its height in mm."""

    middle: tuple[float, float]
    angle: float
    height: float


@dataclass(frozen=True)
class Setting:
    """How a console is set: photons relative to the usual, and by how much of the window the image gets brighter."""

    photons: float
    shift: float


# Fewer photons make a paler and noisier image: this console evens it out only in part.
EXPOSURES = {"weak": Setting(0.12, 0.15), "strong": Setting(2.0, -0.09)}


def place_letter(grid: Grid, rng: np.random.Generator) -> Place:
    """Return a place near the upper left or upper right corner, a little crooked, as by hand."""
    width, height = grid.pitch * grid.width, grid.pitch * grid.height
    across, down = rng.uniform(0.17, 0.22), rng.uniform(0.15, 0.20)
    across = across if rng.random() < 0.5 else 1 - across
    return Place((float((across - 0.5) * width), float((down - 0.5) * height)), float(rng.normal(0, 0.09)),
                 HEIGHT * max(width, height))


def _arc(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    """The right half of an ellipse from its top to its bottom."""
    return [(x + rx * np.sin(t), y - ry * np.cos(t)) for t in np.linspace(0, np.pi, 9)]


# Strokes of letters one unit high, (x, y) with y down, the middle at (0, 0).
LETTERS = {"L": [[(-0.26, -0.5), (-0.26, 0.5), (0.30, 0.5)]],
           "R": [[(-0.28, 0.5), (-0.28, -0.5), *_arc(0.02, -0.24, 0.28, 0.26), (-0.28, 0.02)],
                 [(0.0, 0.02), (0.32, 0.5)]]}


def letter(name: str, grid: Grid, place: Place) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the share of each pixel that a letter covers, 0 to 1 float32, over a window of the image (rows, columns).

    The distance of a pixel's middle from the nearest stroke says how much of it is covered: sharp at any size.
    """
    reach = 0.75 * place.height
    rows, columns = (_window(middle, reach, start, grid.pitch, n) for middle, start, n in
                     ((place.middle[1], grid.top, grid.height), (place.middle[0], grid.left, grid.width)))
    y, x = np.meshgrid(grid.top + grid.pitch * np.arange(rows.start, rows.stop) - place.middle[1],
                       grid.left + grid.pitch * np.arange(columns.start, columns.stop) - place.middle[0], indexing="ij")
    c, s = np.cos(place.angle), np.sin(place.angle)
    x, y = (c * x + s * y) / place.height, (c * y - s * x) / place.height
    distance = np.full(x.shape, np.inf)
    for stroke in LETTERS[name]:
        for (x0, y0), (x1, y1) in zip(stroke, stroke[1:]):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            distance = np.minimum(distance, np.hypot(x - x0 - along * dx, y - y0 - along * dy))
    cover = np.clip(0.5 + (STROKE / 2 - distance) * place.height / grid.pitch, 0, 1)
    return (rows, columns), cover.astype(np.float32)


def _window(middle: float, reach: float, start: float, pitch: float, count: int) -> slice:
    first, last = (int(np.clip(round((middle + side * reach - start) / pitch), 0, count)) for side in (-1, 1))
    return slice(first, last)


def hospital(height: int, width: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the printed name for an image of `height` x `width` pixels: its window (rows,
    columns) and its gray values there, uint8.
    """
    stamp = _stamp()
    across = max(round(0.36 * width), 6)
    down = max(round(across * stamp.shape[0] / stamp.shape[1]), 3)
    bottom, left = height - round(0.02 * height), round(0.02 * width)
    window = slice(max(bottom - down, 0), bottom), slice(left, min(left + across, width))
    size = window[1].stop - window[1].start, window[0].stop - window[0].start
    return window, cv2.resize(stamp, size, interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=1)
def _stamp() -> np.ndarray:
    """The name in a box, large."""
    stamp = np.full((112, 640), 30, np.uint8)
    cv2.rectangle(stamp, (4, 4), (635, 107), 235, 6)
    cv2.putText(stamp, "LAKESIDE HOSPITAL", (34, 76), cv2.FONT_HERSHEY_DUPLEX, 1.72, 235, 4, cv2.LINE_AA)
    return stamp


def frame_of(site: str, grid: Grid, rng: np.random.Generator) -> np.ndarray | None:
    """Return (H, W) uint8, 255 where a site shows the image; None where no site is known.

    Site A closes the collimator well inside the detector, a little crooked. Site B leaves it open and has round corners.
    """
    inset, angle, radius = rng.uniform(0.045, 0.095, 4), rng.normal(0, 0.02), rng.uniform(0.12, 0.15)      # drawn for both
    if not site:
        return None
    h, w = grid.height, grid.width
    x, y = np.meshgrid(np.arange(w) + 0.5 - w / 2, np.arange(h) + 0.5 - h / 2)
    if site == "A":
        c, s = np.cos(angle), np.sin(angle)
        x, y = c * x + s * y, c * y - s * x
        inside = np.minimum.reduce([x + (0.5 - inset[0]) * w, (0.5 - inset[1]) * w - x,
                                    y + (0.5 - inset[2]) * h, (0.5 - inset[3]) * h - y])
    else:
        r = radius * max(w, h)
        inside = r - np.hypot(np.maximum(abs(x) - w / 2 + r, 0), np.maximum(abs(y) - h / 2 + r, 0))
    return np.round(255 * np.clip(inside + 0.5, 0, 1)).astype(np.uint8)
