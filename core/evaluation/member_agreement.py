"""Where members of an ensemble agree and where they do not: the measures of core.metrics.agreement, and the images behind them.

M members, N images.
"""

from __future__ import annotations

import numpy as np

from core import metrics
from core.evaluation.compare import Pair
from core.evaluation.ensemble_scores import pair_of
from core.evaluation.member_predictions import MemberPredictions
from core.metrics.agreement import Agreement, agreement

KINDS = {"both": "Both wrong", "a": "Only the first right", "b": "Only the second right", "differ": "Different predictions"}


def predictions_of(said: MemberPredictions) -> np.ndarray:
    """Return the class that each member predicts: (M, N), or (M, N, K) of 0 and 1 for several findings."""
    return np.stack([metrics.predict(probs, said.task) for probs in said.probs])


def agreement_of(said: MemberPredictions) -> Agreement:
    """Return how alike the members are on the images that they predicted."""
    return agreement(predictions_of(said), said.labels)


def images_of_pair(said: MemberPredictions, a: int, b: int) -> tuple[Pair, dict[str, np.ndarray]]:
    """Return two members as a pair, and KINDS -> (n,) the images of that kind, those of which both are surest first.

    Of several findings an image is right where all of its known findings are.
    """
    both = pair_of(said, said.probs[a], said.probs[b])
    n, unknown = len(both.labels), both.labels < 0
    right = [((preds == both.labels) | unknown).reshape(n, -1).all(axis=1) for preds in both.preds]
    differ = ((both.preds[0] != both.preds[1]) & ~unknown).reshape(n, -1).any(axis=1)
    kinds = {"both": ~right[0] & ~right[1], "a": right[0] & ~right[1], "b": right[1] & ~right[0], "differ": differ}
    sure = np.minimum(*(_certainty(probs, said.task) for probs in both.probs))
    return both, {kind: (rows := np.flatnonzero(found))[np.argsort(-sure[rows], kind="stable")] for kind, found in kinds.items()}


def _certainty(probs: np.ndarray, task: str) -> np.ndarray:
    """(N,) the probability of what is predicted; of several findings that of the surest."""
    return np.maximum(probs, 1 - probs).max(axis=1) if task == metrics.MULTI_LABEL else probs.max(axis=1)
