"""Are these images like those that a run was trained on? The distance to the nearest training image in
feature space.

Images of another hospital can lie where the network never learned anything, and it says nothing about that:
its probabilities are as sure as ever. So each image is compared with the training images by the cosine of the
network's features (as in neighbours.py), s_max = max_m s(f, g_m), and counts as unlike where s_max is below
what 95 % of the run's own validation images reach. Of images like its own, one in twenty is unlike by chance:
shares far above that are a warning.

    Sun, Ming, Zhu, Li: Out-of-distribution detection with deep nearest neighbors. ICML 2022 (here with k = 1)

M training images, N others, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LIKE_SHARE = 0.95  # of the run's own validation images that count as like
FEWEST = 20  # validation images: a limit from fewer would be chance
PIECE = 4 * 10**7  # similarities in memory at a time, 160 MB


@dataclass(frozen=True)
class Likeness:
    """How many images are unlike those that a run knows.

    Args:
        n, unlike: images, and those of them whose nearest training image is further than `limit`
        limit: cosine similarity in [-1, 1]
        median, own_median: of the similarities here, and of the run's own validation images
        own_n: how many validation images the limit was read from
    """

    n: int
    unlike: int
    limit: float
    median: float
    own_median: float
    own_n: int

    @property
    def share(self) -> float:
        """Of the images that are unlike, in [0, 1]."""
        return self.unlike / max(self.n, 1)

    def sentence(self) -> str:
        """Return it with how it was measured."""
        return (
            f"{self.unlike:,} of {self.n:,} images ({self.share:.1%}) are unlike the training images: the "
            "cosine distance of their features to the nearest training image is more than "
            f"{1 - self.limit:.2g}, within which {LIKE_SHARE:.0%} of {self.own_n:,} own validation images lie. "
            f"By chance it would be {1 - LIKE_SHARE:.0%}."
        )

    def as_dict(self) -> dict:
        """Return it for JSON."""
        return vars(self) | {"share": self.share}


def likeness_of(nearest: np.ndarray, own: np.ndarray) -> Likeness | None:
    """Return the share of unlike images; None where the run has too few validation images to say what is
    like.

    Args:
        nearest: (N,) similarity of each image to its nearest training image
        own: (V,) the same of the run's own validation images
    """
    if len(own) < FEWEST or not len(nearest):
        return None
    limit = float(np.quantile(own, 1 - LIKE_SHARE, method="lower"))
    return Likeness(
        len(nearest),
        int((nearest < limit).sum()),
        limit,
        float(np.median(nearest)),
        float(np.median(own)),
        len(own),
    )


def nearest_similarity(
    features: np.ndarray, training: np.ndarray, progress: Callable[[str, int, int], None] | None = None
) -> np.ndarray:
    """Return the cosine similarity of each image to the training image that is nearest to it, (N,) float32 in
    [-1, 1].

    Args:
        features: (N, F)
        training: (M, F), M > 0
        progress: called with (sentence, images done, images); may raise to stop

    >>> nearest_similarity(np.array([[2., 0.], [-1., 1.]]), np.array([[1., 0.], [0., 3.]])).round(3).tolist()
    [1.0, 0.707]
    """
    known, found = _unit(training), np.empty(len(features), np.float32)
    step = max(1, PIECE // len(known))
    for start in range(0, len(features), step):
        if progress:
            progress("Looking for the nearest training images", start, len(features))
        found[start : start + step] = (_unit(features[start : start + step]) @ known.T).max(axis=1)
    return np.clip(found, -1, 1)


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32)
    length = np.sqrt(np.einsum("nf,nf->n", features, features))[:, None]
    return np.divide(features, length, out=np.zeros_like(features), where=length > 0)


def shared_pixels(images: np.ndarray, own: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Return for each image the split of an image of the own set that has the same pixels, "" where none has,
    (N,) text.

    Where several have, training counts first. An image of one gray value says nothing and is never counted.

    Args:
        images, own: (N, S, S, C), (M, S, S, C) uint8
        split: (M,) of the own images

    >>> a = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    >>> shared_pixels(a, a[::-1], np.array(["test", "train"])).tolist()
    ['train', 'test']
    """
    if images.shape[1:] != own.shape[1:]:
        return np.full(len(images), "", "<U5")
    where: dict[bytes, str] = {}
    for part in ("", "test", "val", "train"):  # the last one counts
        where |= dict.fromkeys((_digest(own[row]) for row in np.flatnonzero(split == part)), part or "unused")
    return np.array(
        [where.get(_digest(image), "") if image.min() < image.max() else "" for image in images], dtype="<U6"
    )


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
