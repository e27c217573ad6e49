"""Groups of images dealt out so that each part gets its share of every class; and weights of the classes.

N images, K classes, G groups (patients, studies, copies).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.datasets.source import one_hot


def stratified_group_split(group: np.ndarray, labels: np.ndarray, shares: dict, rng: np.random.Generator) -> np.ndarray:
    """Assign groups to splits so that each split gets its share, of every class too, and no group is divided.

    Groups with the same labels lie together, large ones first, otherwise in random order. Each goes to the split that is
    furthest behind its share of the images assigned so far. That keeps every split within one group of its share at any point
    of the row, so also within every class, as far as groups hold one class each.

    Args:
        group: (N,) anything that can be compared; equal values stay together
        labels: (N,) int64 or (N, K) int64
        shares: share of the images for each split; they sum to 1

    Returns:
        (N,) of the keys of `shares`
    """
    number, _ = pd.factorize(group)
    size = np.bincount(number)
    classes = _classes_of_groups(number, labels)
    rare_first = classes[:, np.argsort(one_hot(labels, classes.shape[1]).sum(axis=0), kind="stable")]
    order = np.lexsort((rng.permutation(len(size)), -size, *rare_first.T[::-1]))

    share, assigned, total = list(shares.values()), [0] * len(shares), 0
    place = np.empty(len(size), np.int64)
    for g, n in zip(order.tolist(), size[order].tolist()):
        total += n
        behind = [f * total - a for f, a in zip(share, assigned)]
        s = behind.index(max(behind))
        place[g] = s
        assigned[s] += n
    return np.array(list(shares), dtype=object)[place[number]]


def stratified_subset(group: np.ndarray, labels: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Choose a share of the images with whole groups and like shares of each class. A smaller share is a subset of a larger one.

    Groups with the same labels are put in random order and get marks from 0 to 1, as far apart as they are large. All groups
    in the order of their marks are one fixed row of which any beginning holds each class as often as the whole does.

    Args:
        group: (N,) equal values stay together
        labels: (N,) int64 or (N, K) int64
        fraction: 0 < fraction <= 1; at least one group is kept

    Returns:
        (N,) bool
    """
    number, _ = pd.factorize(group)
    size = np.bincount(number)
    stratum = np.unique(_classes_of_groups(number, labels), axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((rng.permutation(len(size)), stratum))
    ends, images = np.cumsum(size[order]), np.bincount(stratum, size)
    before = np.concatenate([[0], np.cumsum(images)])[stratum[order]]
    mark = np.empty(len(size))
    mark[order] = (ends - before - rng.random(len(size)) * size[order]) / images[stratum[order]]
    row = np.argsort(mark, kind="stable")
    middle = np.cumsum(size[row]) - size[row] / 2
    kept = np.zeros(len(size), bool)
    kept[row[middle <= fraction * len(number)]] = True
    kept[row[0]] = True
    return kept[number]


def _classes_of_groups(number: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (G, K) bool: which classes the images of a group show. `number` (N,) is the group of each image."""
    present = one_hot(labels, labels.max() + 1)
    shown = np.zeros((number.max() + 1, present.shape[1]), bool)
    for k in range(present.shape[1]):
        shown[number[present[:, k] > 0], k] = True
    return shown


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return (K,) float64, n / (K n_k), as scikit-learn's "balanced"; for several findings n_negative / n_positive of each.

    A class without images gets weight 0: its loss never occurs.

    >>> balanced_weights(np.array([0, 0, 0, 1]), 2).round(2).tolist()
    [0.67, 2.0]
    """
    if labels.ndim == 2:
        positive, negative = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
        return np.divide(negative, positive, out=np.zeros(classes), where=positive > 0)
    n = np.bincount(labels, minlength=classes)
    return np.divide(len(labels), classes * n, out=np.zeros(classes), where=n > 0)
