"""Outliers: images that are blank, tiny, or far from the others in size, shape or brightness.

Far is measured in robust z scores, (x - median) / (1.4826 median |x - median|): for a normal distribution 1.4826 makes it the
ordinary z, and outliers do not stretch the scale. (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.datasets.dataset import Dataset
from core.datasets.inspection.duplicates import PixelSummary

FAR = 6.0             # robust z
BLANK = 2.0           # standard deviation of the gray values, of 255
TINY = 32             # pixels of the shorter side
MOST = 500            # outliers that are listed
# The least spread that counts, so that in a set of equal images one pixel more is no outlier.
LEAST = {"brightness": 5.0, "size": 0.1, "shape": 0.05}      # gray values; log2 of the area; log2 of width / height


@dataclass(frozen=True)
class Outlier:
    """An image that stands out.

    Args:
        kind: "blank", "tiny", "size", "shape" or "brightness"
        why: in words
        z: absolute robust z score; 0 for blank and tiny
    """

    row: int
    kind: str
    why: str
    z: float = 0.0


def robust_z(values: np.ndarray, least: float) -> np.ndarray:
    """Return (N,) float64 robust z scores. `least` is the smallest spread that counts; NaN stays NaN.

    >>> robust_z(np.array([1.0, 2.0, 3.0, 100.0]), least=0.1).round(1).tolist()
    [-1.0, -0.3, 0.3, 65.8]
    """
    if not np.isfinite(values).any():
        return np.full(len(values), np.nan)
    median = np.nanmedian(values)
    return (values - median) / max(1.4826 * np.nanmedian(np.abs(values - median)), least)


def find_outliers(data: Dataset, summary: PixelSummary) -> tuple[Outlier, ...]:
    """Return at most MOST outliers, one an image: blank and tiny ones first, then the farthest.

    Size and shape only where the pixels of the originals are known.
    """
    blank = summary.spread < BLANK
    first = [Outlier(int(row), "blank", f"blank: all gray values are near {summary.mean[row]:.0f}")
             for row in np.flatnonzero(blank)]
    usual = np.median(summary.mean)
    far = _far("brightness", np.where(blank, np.nan, summary.mean), ("darker", "brighter"),
               lambda row: f"mean gray value {summary.mean[row]:.0f}, usual {usual:.0f}")
    if {"width", "height"} <= set(data.table):
        width, height = (np.array([float(v) if v.isdigit() and int(v) else np.nan for v in data.table[column]])
                         for column in ("width", "height"))
        if np.isfinite(width).any():
            tiny, sizes = _sizes(width, height)
            first += tiny
            far += sizes
    listed: dict[int, Outlier] = {}
    for outlier in (*first, *sorted(far, key=lambda o: -o.z)):
        listed.setdefault(outlier.row, outlier)
    return tuple(listed.values())[:MOST]


def _sizes(width: np.ndarray, height: np.ndarray) -> tuple[list[Outlier], list[Outlier]]:
    """Return tiny images, and those that are far in size or shape. Pixels of the originals, NaN where unknown."""
    shorter = np.minimum(width, height)
    tiny = (shorter < TINY) & (np.nanmedian(shorter) >= 2 * TINY)             # where all are small, none is tiny
    usual = f"usual {np.nanmedian(width):.0f} x {np.nanmedian(height):.0f}"

    def describe(row: int) -> str:
        return f"{width[row]:.0f} x {height[row]:.0f} px"

    far = []
    for kind, values, words in (("size", np.log2(width * height), ("smaller", "larger")),
                                ("shape", np.log2(width / height), ("taller and narrower", "wider and flatter"))):
        far += _far(kind, np.where(tiny, np.nan, values), words, lambda row: f"{describe(row)}, {usual}")
    return [Outlier(int(row), "tiny", f"tiny: {describe(row)}") for row in np.flatnonzero(tiny)], far


def _far(kind: str, values: np.ndarray, words: tuple[str, str], describe) -> list[Outlier]:
    """Return the rows whose robust z is larger than FAR; `words` for less and for more than the others."""
    z = robust_z(values, LEAST[kind])
    return [Outlier(int(row), kind, f"{words[int(z[row] > 0)]} than the others: {describe(row)}", float(abs(z[row])))
            for row in np.flatnonzero(np.abs(z) > FAR)]
