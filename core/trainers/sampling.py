"""Which images an epoch shows, in which order, and which of them are mixed.

All of it follows from the seed and the place.
"""

from __future__ import annotations

import numpy as np

from core.config import TrainConfig
from core.trainers.batches import in_portions, shuffled


def plan_epoch(labels: np.ndarray, config: TrainConfig, epoch: int) -> list[list[np.ndarray]]:
    """Return the steps of an epoch: for each its batches, for each batch its positions within the training split.

    Args:
        labels: (N,) or (N, K) of the training split

    Returns:
        ceil(N / batch_size / accumulate) steps of up to `accumulate` batches; the last one may have fewer. A
            last batch of
        one image is left out, because batch norm has no variance for it.
    """
    portions = SAMPLERS[config.sampling](labels, config.batch_size, config.seed, epoch)
    return [portions[i:i + config.accumulate] for i in range(0, len(portions), config.accumulate)]


def balanced(labels: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return N positions drawn with replacement, so that each class is expected equally often.

    An image with several findings counts as one of its rarest; images without any are a class of their own.
    """
    classes = rarest_finding(labels) if labels.ndim == 2 else labels
    _, place, count = np.unique(classes, return_inverse=True, return_counts=True)
    chance = 1 / count[place]
    drawn = np.random.default_rng((seed, epoch)).choice(len(labels), len(labels), p=chance / chance.sum())
    return [part for part in in_portions(drawn, batch_size) if len(part) > 1]


def rarest_finding(labels: np.ndarray) -> np.ndarray:
    """Return (N, K) of 0, 1 and -1 (not known) -> (N,): the finding of each image that the fewest images have.

    -1 where there is none.
    """
    has = labels == 1
    return np.where(has.any(axis=1), np.where(has, has.sum(axis=0), len(labels) + 1).argmin(axis=1), -1)


SAMPLERS = {
    "shuffle": lambda labels, batch_size, seed, epoch: shuffled(len(labels), batch_size, seed, epoch),
    "balanced": balanced,
}


def mixture(alpha: float, n: int, place: tuple[int, ...]) -> tuple[float, np.ndarray]:
    """Return how the images of a batch are mixed: image i becomes share * image i + (1 - share) * image partner[i].

    share ~ Beta(alpha, alpha), one number for a batch; Zhang et al., mixup: Beyond Empirical Risk
    Minimization, ICLR 2018, and as their program does, the partners are the same batch in another order.

    Args:
        place: (seed, epoch, step, batch within the step), all that it depends on

    Returns:
        share in [0, 1]; partner (n,) int64
    """
    generator = np.random.default_rng(place)
    return float(generator.beta(alpha, alpha)), generator.permutation(n)
