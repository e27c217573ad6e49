"""The gate of a mixture of experts: which expert, or how much of each, for an image.

    known      the part of the image is known: its expert alone
    learned    a logistic regression on the image at GATE_SIDE px guesses the part; all experts count, by its probabilities

It is fitted on training images. How often it is right is counted on validation images: `gate_confusion`.

M experts, N images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.datasets.dataset import Dataset
from core.errors import LightboxError
from core.models.combine import Fitted, fit_logistic
from core.runs.ensembles import gate_pixels, gate_weights
from core.runs.members import Member

MOST = 5_000            # training images, drawn by a fixed seed
STRENGTH = 0.01         # scikit-learn's C


def columns_of_values(members: Sequence[Member]) -> dict[str, int]:
    """Return value of the gate's column -> the column of its expert."""
    return {value: member.column for member in members for value in member.part.split("|")}


def fit_gate(data: Dataset, column: str, members: Sequence[Member]) -> Fitted:
    """Fit a gate on the training images that have an expert.

    Args:
        data: opened with all values of the column
        column: of its table

    Returns:
        "gate_coef" (M, GATE_SIDE^2), "gate_intercept" (M,), "gate_mean" and "gate_scale" (GATE_SIDE^2,)

    Raises LightboxError "ensemble.gate" where no training image has an expert.
    """
    expert = columns_of_values(members)
    rows = data.indices("train")
    known = data.table[column].astype(str).to_numpy()
    rows = rows[[known[row] in expert for row in rows]]
    if not len(rows):
        raise LightboxError("ensemble.gate", f"No training image has a known {column}.", "Use experts for another column.")
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST])
    pixels = np.stack([gate_pixels(data.images[row]) for row in rows])
    mean, scale = pixels.mean(axis=0), np.maximum(pixels.std(axis=0), 1 / 255)
    of = np.array([expert[known[row]] for row in rows])
    coef, intercept = fit_logistic((pixels - mean) / scale, of, len(members), "multi-class", STRENGTH)
    if len(members) == 2:                     # one score says both
        coef, intercept = np.concatenate([np.zeros_like(coef), coef]), np.concatenate([[0.0], intercept])
    return {"gate_coef": coef, "gate_intercept": intercept, "gate_mean": mean, "gate_scale": scale}


def gate_of(data: Dataset, image_ids: Sequence[str], fitted: Fitted) -> np.ndarray:
    """Return the weights that a learned gate gives the experts for images of a set: (N, M), rows that sum to 1."""
    row = {name: i for i, name in enumerate(data.table["image_id"].astype(str))}
    return gate_weights(np.stack([gate_pixels(data.images[row[name]]) for name in image_ids]), fitted)


def known_gate(parts: np.ndarray, experts: int) -> np.ndarray:
    """Return (N, M) of 0 and 1 for images whose part is known.

    >>> known_gate(np.array([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return (parts[:, None] == np.arange(experts)).astype(float)


def gate_confusion(gate: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Count how often images of each part (row) are sent to each expert (column), that with the largest weight: (M, M)."""
    matrix = np.zeros((gate.shape[1],) * 2, np.int64)
    np.add.at(matrix, (parts, gate.argmax(axis=1)), 1)
    return matrix
