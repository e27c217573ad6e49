"""Images that stand out: blank, tiny, or far from the others in size, shape or brightness.

Far is measured in robust z scores, (x - median) / (1.4826 median |x - median|): for a normal distribution 1.4826 makes it the
ordinary z, and odd images themselves do not stretch the scale. (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.duplicates import Look
from core.datasets.dataset import Dataset

FAR = 6.0             # robust z
BLANK = 2.0           # standard deviation of the gray values, of 255
TINY = 32             # pixels of the shorter side
MOST = 500            # odd images that are listed
# The least spread that is taken for real, so that in a set of equal images one pixel more is not odd.
LEAST = {"brightness": 5.0, "size": 0.1, "shape": 0.05}      # gray values; log2 of the area; log2 of width / height


@dataclass(frozen=True)
class Odd:
    """An image that stands out. kind: blank, tiny, size, shape or brightness; why: in words; far: robust z, 0 for blank, tiny."""

    row: int
    kind: str
    why: str
    far: float = 0.0


def robust_z(values: np.ndarray, least: float) -> np.ndarray:
    """(N,) float64. `least` is the smallest spread that is believed; NaN stays NaN."""
    if not np.isfinite(values).any():
        return np.full(len(values), np.nan)
    middle = np.nanmedian(values)
    return (values - middle) / max(1.4826 * np.nanmedian(np.abs(values - middle)), least)


def odd_images(data: Dataset, look: Look) -> tuple[Odd, ...]:
    """Blank and tiny ones first, then the farthest. Size and shape only where the originals' pixels are known."""
    blank = look.spread < BLANK
    found = [Odd(int(row), "blank", f"blank: all gray values lie near {look.mean[row]:.0f}") for row in np.flatnonzero(blank)]
    far = []
    z = robust_z(np.where(blank, np.nan, look.mean), LEAST["brightness"])
    middle = np.median(look.mean)
    far += [Odd(int(row), "brightness", f"{'brighter' if z[row] > 0 else 'darker'} than the others: mean gray value "
                f"{look.mean[row]:.0f}, usual {middle:.0f}", float(abs(z[row]))) for row in np.flatnonzero(np.abs(z) > FAR)]
    if {"width", "height"} <= set(data.table):
        width, height = (np.array([float(v) if v.isdigit() and int(v) else np.nan for v in data.table[c]])
                         for c in ("width", "height"))
        if not np.isfinite(width).any():
            width, height = np.full(len(data), 1e3), np.full(len(data), 1e3)      # nothing is known: nothing is odd
        shorter = np.minimum(width, height)
        tiny = (shorter < TINY) & (np.nanmedian(shorter) >= 2 * TINY)             # a set of small images is none of tiny ones
        found += [Odd(int(row), "tiny", f"tiny: {width[row]:.0f} x {height[row]:.0f} px") for row in np.flatnonzero(tiny)]
        for kind, values, words in (("size", np.log2(width * height), ("smaller", "larger")),
                                    ("shape", np.log2(width / height), ("taller and narrower", "wider and flatter"))):
            z = robust_z(np.where(tiny, np.nan, values), LEAST[kind])
            usual = np.nanmedian(width), np.nanmedian(height)
            far += [Odd(int(row), kind, f"{words[int(z[row] > 0)]} than the others: {width[row]:.0f} x {height[row]:.0f} px, "
                        f"usual {usual[0]:.0f} x {usual[1]:.0f}", float(abs(z[row]))) for row in np.flatnonzero(np.abs(z) > FAR)]
    seen, listed = set(), []
    for odd in (*found, *sorted(far, key=lambda o: -o.far)):
        if odd.row not in seen:
            seen.add(odd.row)
            listed.append(odd)
    return tuple(listed[:MOST])
