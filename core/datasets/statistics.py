"""Statistics of a data set: sizes of the originals, gray values, the average image of each class.

All of it is read from the mapped store in small pieces, so memory stays flat however many images there are. Where reading all
would take long, images are taken at even intervals, and each result says how many.

N images of S x S pixels in C channels, G groups (classes or splits).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.config import Split
from core.datasets.dataset import Dataset

# Nothing is kept on the disk: 100,000 images of 28 px take 0.2 s for their gray values and 0.1 s for their averages, and the
# budget below, which is 10,000 images of 224 px, 0.8 s and 0.3 s of one core.
BUDGET = 5 * 10**8         # pixel values that are read for one answer
PIECE = 4 * 10**6          # pixel values in memory at a time
MOST = 60_000              # images at a time, so that a sum of squares of uint8 fits into 32 bits


@dataclass(frozen=True)
class Group:
    """Images that belong together: a class, a split. `name` is what a person reads, `rows` (n,) int64 their rows."""

    name: str
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class GrayValues:
    """The histogram of gray values of each group.

    Args:
        counts: (G, 256) int64, all channels together
        read: (G,) int64 images that were counted
    """

    counts: np.ndarray
    read: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """(G, 256) float64 in [0, 1]; the row of a group sums to 1, that of an empty one is 0."""
        return self.counts / np.maximum(1, self.counts.sum(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Averages:
    """The average image of each group and how far its images spread round it.

    Args:
        mean: (G, S, S, C) float32 in [0, 255]
        spread: (G, S, S, C) float32: the standard deviation (of these images, divided by n), in the same unit
        read: (G,) int64 images that were averaged; a group without images has 0 everywhere
    """

    mean: np.ndarray
    spread: np.ndarray
    read: np.ndarray


def groups_by(data: Dataset, by: str, rows: np.ndarray | None = None) -> tuple[Group, ...]:
    """Divide a data set, or some of its rows, by "class" or by "split".

    With several findings an image is in the group of each of its findings, and in "no finding" where it has none.

    Raises ValueError for another `by`.
    """
    rows = np.arange(len(data)) if rows is None else np.sort(rows)
    if by == "split":
        split = data.table["split"].to_numpy()[rows]
        return tuple(Group(name, rows[split == name]) for name in Split)
    if by != "class":
        raise ValueError(f"groups are made by class or by split, not by {by!r}")
    labels = data.labels[rows]
    if labels.ndim == 1:
        groups = [Group(name, rows[labels == k]) for k, name in enumerate(data.class_names)]
        return (*groups, Group("no label", rows[labels < 0])) if (labels < 0).any() else tuple(groups)
    return (*(Group(name, rows[labels[:, k] == 1]) for k, name in enumerate(data.class_names)),
            Group("no finding", rows[~(labels == 1).any(axis=1)]))


def gray_values(data: Dataset, groups: Sequence[Group], budget: int = BUDGET) -> GrayValues:
    """Count the gray values of each group; at most `budget` pixel values are read."""
    counts, read = np.zeros((len(groups), 256), np.int64), np.zeros(len(groups), np.int64)
    for g, rows in enumerate(_even(data, groups, budget)):
        for piece in _pieces(data, rows):
            counts[g] += np.bincount(piece.ravel(), minlength=256)
        read[g] = len(rows)
    return GrayValues(counts, read)


def averages(data: Dataset, groups: Sequence[Group], budget: int = BUDGET) -> Averages:
    """Return mean and standard deviation of each pixel over the images of each group; at most `budget` pixel values are read.

        mean = sum x / n        spread = sqrt(sum x^2 / n - mean^2)

    The sums are whole numbers and exact; only the last line is rounded.
    """
    shape = data.images.shape[1:]
    mean, spread = (np.zeros((len(groups), *shape), np.float32) for _ in range(2))
    read = np.zeros(len(groups), np.int64)
    for g, rows in enumerate(_even(data, groups, budget)):
        total, squares = (np.zeros(shape, np.int64) for _ in range(2))
        for piece in _pieces(data, rows):
            total += piece.sum(axis=0, dtype=np.uint32)
            squares += np.einsum("nhwc,nhwc->hwc", wide := piece.astype(np.uint32), wide)
        n = read[g] = len(rows)
        if n:
            mean[g] = total / n
            spread[g] = np.sqrt((n * squares - total**2) / n**2)      # n sum x^2 - (sum x)^2: whole numbers, never below 0
    return Averages(mean, spread, read)


def channel_statistics(images: np.ndarray, rows: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation (divided by n) of each channel over all pixels of some images, in [0, 1].

    All of them are read, a few at a time. The sums are whole numbers and exact; only the last line is rounded.

    Args:
        images: (M, S, S, C) uint8, the store
        rows: (n,) int64, one at least
    """
    channels = images.shape[3]
    counts = np.zeros((channels, 256), np.int64)
    step = max(1, PIECE // int(np.prod(images.shape[1:])))
    for first in range(0, len(rows), step):
        piece = images[rows[first:first + step]]
        for c in range(channels):
            counts[c] += np.bincount(piece[..., c].ravel(), minlength=256)
    values, n = np.arange(256), counts.sum(axis=1)
    total, squares = counts @ values, counts @ values**2
    # Python's integers have no end: n sum x^2 passes 2^63 at some 10^7 pixels.
    spread = [math.sqrt(int(m) * int(q) - int(t)**2) / int(m) for m, t, q in zip(n, total, squares)]
    return tuple((total / n / 255).tolist()), tuple(s / 255 for s in spread)


def original_sizes(table: pd.DataFrame, rows: np.ndarray | None = None) -> np.ndarray:
    """Return (n, 2) int64, width and height in pixels of the originals that are known; an old store knows none."""
    known = table if rows is None else table.iloc[rows]
    columns = [pd.to_numeric(known[name], errors="coerce").to_numpy(np.float64, na_value=np.nan) for name in ("width", "height")]
    sizes = np.stack(columns, axis=1)
    return sizes[np.isfinite(sizes).all(axis=1)].astype(np.int64)


def histogram(values: np.ndarray, bins: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return (B,) counts and (B + 1,) edges over the whole range of `values`, B <= bins.

    Whole numbers get bins of a whole width, so that no bin is emptier than its neighbours only because fewer numbers fall
    into it. Without values: no bins.

    >>> histogram(np.array([1, 2, 2, 4]))[0].tolist()
    [1, 2, 0, 1]
    """
    values = np.asarray(values)
    if not len(values):
        return np.zeros(0, np.int64), np.zeros(1)
    low, high = values.min(), values.max()
    if values.dtype.kind in "iu":
        width = max(1, -(-int(high - low + 1) // bins))
        count = -(-int(high - low + 1) // width)
        edges = low - 0.5 + width * np.arange(count + 1)
    else:
        edges = np.linspace(low, high, bins + 1) if high > low else np.array([low - 0.5, low + 0.5])
    return np.histogram(values, edges)[0], edges


def _even(data: Dataset, groups: Sequence[Group], budget: int) -> Iterator[np.ndarray]:
    """Yield the rows of each group that are read: all, or as many as the budget allows a group, at even intervals."""
    filled = sum(len(group.rows) > 0 for group in groups)
    most = max(1, budget // int(np.prod(data.images.shape[1:])) // max(1, filled))
    for group in groups:
        n = len(group.rows)
        yield group.rows if n <= most else group.rows[np.arange(most) * n // most]


def _pieces(data: Dataset, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield (n, S, S, C) uint8, a few images at a time."""
    step = min(MOST, max(1, PIECE // int(np.prod(data.images.shape[1:]))))
    for first in range(0, len(rows), step):
        yield data.images[rows[first:first + step]]
