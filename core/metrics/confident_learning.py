"""Which labels may be wrong? Confident learning: out-of-sample predictions against the labels.

Northcutt, Jiang & Chuang, JAIR 70, 2021, https://arxiv.org/abs/1911.00068. A network is more confident in
some classes than in others, so a fixed threshold would suspect one class and spare the next. Each class j
gets its own: the mean confidence in j of the images labelled j,

    t_j = mean of p_j over the images labelled j                                                    (eq. 2)

An image is confidently of class j when p_j >= t_j, of several such classes the most probable. The confident
joint counts

    C_ij = images labelled i and confidently of class j                                             (eq. 1)

and what lies off its diagonal is suspected. Scaled so that its rows add up to the labels that there are, C
estimates how often each label stands on an image of each class: Q_ij, eq. 3.

It only works with predictions for images that were not trained on, as those of validation and test; and its
results are suspicions: a hard image looks much like a mislabelled one. A person has to look.

N images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Suspects:
    """The result of confident learning on N labels.

    Args:
        suspected: (N,) bool
        likely: (N,) int64, the class that the image is confidently of; its label where it is of none
        margin: (N,) in [-1, 1], probability of the label less that of the likeliest other class; low is
            suspicious
        thresholds: (K,) t_j in [0, 1]; NaN for a class that no image has
        counts: (K, K) int64, the confident joint: labelled i, confidently j
        joint: (K, K), Q_ij: estimated share of images that are labelled i and of class j; sums to 1
    """
    suspected: np.ndarray
    likely: np.ndarray
    margin: np.ndarray
    thresholds: np.ndarray
    counts: np.ndarray
    joint: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """(N,) positions, the most suspicious first: the suspected by margin (lowest first), then the others.

        The normalised margin of the paper's section 3.2 ("prune by noise rate" ranks by it).
        """
        return np.lexsort((self.margin, ~self.suspected))

    @property
    def noise(self) -> float:
        """Estimated share of labels that are wrong: what lies off the diagonal of the joint."""
        return float(1 - np.trace(self.joint))


def find_suspects(labels: np.ndarray, probs: np.ndarray) -> Suspects:
    """Find labels that a network's predictions contradict.

    Args:
        labels: (N,) int64 in 0..K-1; several findings: one at a time, as two classes
        probs: (N, K) in [0, 1], of images that the network was not trained on

    >>> labels, p = np.array([0, 0, 0, 1, 1, 1]), np.array([.1, .2, .95, .9, .8, .9])
    >>> find_suspects(labels, np.stack([1 - p, p], axis=1)).suspected.tolist()
    [False, False, True, False, False, False]
    """
    n, k = probs.shape
    rows, truth = np.arange(n), np.eye(k, dtype=bool)[labels]
    sizes = truth.sum(axis=0)
    thresholds = np.divide((probs * truth).sum(axis=0), sizes, out=np.full(k, np.nan), where=sizes > 0)
    # rounding: a class of one image reaches its own mean. NaN: never
    above = probs >= thresholds - 1e-9
    likely = np.where(above.any(axis=1), np.where(above, probs, -1.0).argmax(axis=1), labels)
    counts = np.bincount((labels * k + likely)[above.any(axis=1)], minlength=k * k).reshape(k, k)
    others = np.where(truth, -1.0, probs).max(axis=1)
    # eq. 3: each row of C brought to the number of its labels; a row without counts keeps its labels on the
    # diagonal.
    kept = np.where(counts.sum(axis=1, keepdims=True) > 0, counts, np.eye(k))
    joint = kept / kept.sum(axis=1, keepdims=True) * sizes[:, None] / max(n, 1)
    return Suspects(likely != labels, likely.astype(np.int64), probs[rows, labels] - others, thresholds,
                    counts, joint)
