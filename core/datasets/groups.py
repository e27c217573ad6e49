"""Images that belong together: of a patient, of a study, copies of one another.

N images.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from core.config import SPLIT_NAMES


def groups_of(table: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) a name for each image's "patient" or "study", and (N,) bool where that is not known.

    An image whose patient (study) is not known is one of its own. Studies are distinguished by patient too, because in many data
    sets each patient has a "study1".
    """
    names = table[column].to_numpy(dtype=object)
    unknown = names == ""
    if column == "study":
        names = table["patient"].to_numpy(dtype=object) + "\0" + names
    return np.where(unknown, "\0" + table["image_id"].to_numpy(dtype=object), names), unknown


def shared_with_train(split: np.ndarray, group: np.ndarray, part: str) -> np.ndarray:
    """Return the rows of `part` whose group has images in training too, (n,) int64 in rising order."""
    rows = np.flatnonzero(split == part)
    return rows[pd.Index(group[rows]).isin(pd.unique(group[split == "train"]))]


def copy_groups(images: int, pairs: Iterable) -> np.ndarray:
    """Return (N,) int64, a number for each image's group of copies; an image without a copy is alone in its group.

    A copy of a copy is in the same group, so that a group is never torn by the copy in its middle.

    Args:
        pairs: of rows, each with `a` and `b`, as `core.datasets.inspection.DuplicatePair`

    >>> from core.datasets.inspection import DuplicatePair
    >>> copy_groups(5, [DuplicatePair(0, 3, "exact", 0), DuplicatePair(3, 4, "near", 2)]).tolist()
    [0, 1, 2, 0, 0]
    """
    rows = np.array([(pair.a, pair.b) for pair in pairs], np.int64).reshape(-1, 2)
    return _components(images, rows)


def join_groups(*groups: np.ndarray) -> np.ndarray:
    """Return (N,) int64: the groups that keep together whatever one of `groups`, (N,) each, keeps together.

    >>> join_groups(np.array(["p", "p", "q", "r"]), np.array([0, 1, 1, 2])).tolist()
    [0, 0, 0, 1]
    """
    edges = []
    for group in groups:
        first, number = np.unique(group, return_index=True, return_inverse=True)[1:]
        edges.append(np.column_stack([np.arange(len(group)), first[number.reshape(-1)]]))
    return _components(len(groups[0]), np.concatenate(edges))


def copied_sentence(copied: int, n: int, part: str) -> str:
    """Return how many of the n images of "val" or "test" have a copy in training.

    >>> copied_sentence(920, 1311, "test")
    '920 of 1,311 test images (70.2%) have a copy in training.'
    """
    images = f"{SPLIT_NAMES[part]} images"
    if not copied:
        return f"None of the {n:,} {images} has a copy in training."
    return f"{copied:,} of {n:,} {images} ({copied / n:.1%}) ha{'ve' if copied > 1 else 's'} a copy in training."


def contradicting_groups(copies: np.ndarray, labels: np.ndarray) -> int:
    """Return how many groups of copies hold images with different labels; what is not known (-1) differs from nothing."""
    code = pd.factorize(copies)[0]
    rows = labels.reshape(len(labels), -1)
    beyond = rows.max(initial=0) + 1
    low = np.full((code.max(initial=-1) + 1, rows.shape[1]), beyond)
    high = np.full(low.shape, -1)
    np.minimum.at(low, code, np.where(rows < 0, beyond, rows))
    np.maximum.at(high, code, rows)
    return int((low < high).any(axis=1).sum())


def _components(n: int, edges: np.ndarray) -> np.ndarray:
    from scipy.sparse import coo_array  # a tenth of a second, and few splits need it
    from scipy.sparse.csgraph import connected_components
    matrix = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    number = connected_components(matrix, directed=False)[1]
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)      # numbered as they come
    return np.argsort(np.argsort(first))[inverse.reshape(-1)].astype(np.int64)
