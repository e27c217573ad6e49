"""Labels and scores of every task for the tests of metrics, and the bootstrap as a loop, to compare with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from core.metrics import MULTI_LABEL

TASKS = {"binary-class": 2, "multi-class": 5, MULTI_LABEL: 4, "ordinal-regression": 5}
KINDS = ("smooth", "tied", "extreme")


def sample(task: str, kind: str, n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of unequal classes and scores that know a little of them: smooth, on a coarse grid, or nearly 0 and 1."""
    r, k = np.random.default_rng(seed), TASKS[task]
    if task == MULTI_LABEL:
        labels = (r.random((n, k)) < [0.5, 0.3, 0.1, 0.7]).astype(np.int64)
        logits = r.normal(size=(n, k)) + labels
    else:
        labels = r.choice(k, n, p=np.arange(1, k + 1) / (k * (k + 1) / 2))
        logits = r.normal(size=(n, k)) + np.eye(k)[labels]
    logits = logits * 60 if kind == "extreme" else logits
    probs = 1 / (1 + np.exp(-logits)) if task == MULTI_LABEL else np.exp(logits - logits.max(1, keepdims=True))
    probs = probs if task == MULTI_LABEL else probs / probs.sum(1, keepdims=True)
    if kind == "tied":
        probs = np.round(probs * 8) / 8 if task == MULTI_LABEL else _grid(probs)
    return labels, probs


def _grid(probs: np.ndarray) -> np.ndarray:
    """Rows of sixteenths that still sum to 1; the rest goes to the first column."""
    rows = np.floor(probs * 16) / 16
    rows[:, 0] += 1 - rows.sum(axis=1)
    return rows


every = pytest.mark.parametrize("task, kind", [(t, k) for t in TASKS for k in KINDS])


def loop_bootstrap(metric: Callable, labels: np.ndarray, probs: np.ndarray, task: str, *, draws: int,
                   seed: int = 0) -> tuple[float, float]:
    """The percentile interval of Efron & Tibshirani, one resample after the other."""
    generator = np.random.default_rng(seed)
    rows = (generator.integers(0, len(labels), len(labels)) for _ in range(draws))
    return tuple(np.quantile([metric(labels[again], probs[again], task) for again in rows], (0.025, 0.975)).tolist())
