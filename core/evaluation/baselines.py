"""A simple baseline: logistic regression on the image shrunk to 16 x 16 pixels.

    logistic_baseline(data, split)      its probabilities, (N, K); fitted on the training images when first asked, then kept
    kept_baseline(about, split)         the same where it was fitted before, without opening the set

256 gray values without shape, position or texture. A network that is no better has learned brightness,
framing or borders, or nothing.

    LIGHTBOX_HOME/baselines/<key>.npz     weights (256, K), offsets (K,), mean and scale (256,), <split>_probs (N, K)

The key stands for the pixels, the split and the task, so that no baseline outlives its images.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.config import home
from core.datasets.dataset import Dataset
from core.files import Lock, write_atomic
from core.metrics.confusion import MULTI_LABEL

SIDE = 16               # px
# training images that are looked at, drawn by a fixed seed; more change the third digit
MOST = 5_000
STRENGTH = 0.01         # scikit-learn's C: the inverse of how strongly the weights are held near zero
STEPS = 200


def logistic_baseline(data: Dataset, split: str) -> np.ndarray | None:
    """Fit the baseline where it was not, and return its probabilities on a split.

    Returns:
        (N, K) in [0, 1], in the order of `data.indices(split)`; None where the training images show one class
        only, or the split has no image
    """
    about = {"fingerprint": data.fingerprint, "split_hash": data.split_hash, "target": data.target,
             "label_edit": data.label_edit}
    known = kept_baseline(about, split)
    if known is not None:
        return known
    rows = data.indices(split)
    if not len(rows):
        return None
    path = _path(about)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Lock(path.with_suffix(".lock")):
        arrays = _read(path) or _fit(data)
        if arrays is None:
            return None
        arrays[f"{split}_probs"] = _predict(arrays, small(data.images, rows), data.task)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomic(path, buffer.getvalue())
    return arrays[f"{split}_probs"]


def kept_baseline(about: Mapping, split: str) -> np.ndarray | None:
    """Return what `logistic_baseline` has kept, without opening the set.

    Args:
        about: with "fingerprint", "split_hash", "target" and "label_edit", as `Run.data()` has them
    """
    if not {"fingerprint", "split_hash", "target"} <= about.keys():
        return None
    return (_read(_path(about)) or {}).get(f"{split}_probs")


def small(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Shrink images to SIDE x SIDE by the mean over areas, colours averaged: (len(rows), SIDE^2) float32 in
    [0, 1]."""
    import cv2
    found = np.empty((len(rows), SIDE * SIDE), np.float32)
    for i, row in enumerate(rows):
        gray = np.asarray(images[row]).mean(axis=2, dtype=np.float32)
        found[i] = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel() / 255
    return found


# ------------------------------------------------------------------------------------------------ small parts

def _fit(data: Dataset) -> dict[str, np.ndarray] | None:
    rows = data.part("train")                   # kept for the split, whatever a run draws from it
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST])
    labels, classes = data.labels[rows], len(data.class_names)
    if not len(rows) or (data.task != MULTI_LABEL and len(np.unique(labels)) < 2):
        return None
    pixels = small(data.images, rows)
    mean, scale = pixels.mean(axis=0), np.maximum(pixels.std(axis=0), 1 / 255)
    pixels = (pixels - mean) / scale
    if data.task == MULTI_LABEL:
        known = labels >= 0
        fitted = [_binary(pixels[known[:, k]], labels[known[:, k], k]) for k in range(classes)]
        weights, offsets = np.stack([w for w, _ in fitted], axis=1), np.array([b for _, b in fitted])
    else:
        weights, offsets = _multinomial(pixels, labels, classes)
    return {"weights": weights.astype(np.float32), "offsets": offsets.astype(np.float32), "mean": mean,
            "scale": scale}


def _binary(pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (256,) and offset of the log odds. A finding that all or none have gets its prevalence,
    smoothed."""
    if not len(labels) or labels.min() == labels.max():
        share = (labels.sum() + 0.5) / (len(labels) + 1)
        return np.zeros(pixels.shape[1]), float(np.log(share / (1 - share)))
    model = _regression(pixels, labels)
    return model.coef_[0], float(model.intercept_[0])


def _multinomial(pixels: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (256, K) and offsets (K,) of the softmax. A class without training images is never
    predicted."""
    model = _regression(pixels, labels)
    weights, offsets = np.zeros((pixels.shape[1], classes)), np.full(classes, -50.0)
    if len(model.classes_) == 2:
        weights[:, model.classes_[1]], offsets[model.classes_] = model.coef_[0], (0.0, model.intercept_[0])
    else:
        weights[:, model.classes_], offsets[model.classes_] = model.coef_.T, model.intercept_
    return weights, offsets


def _regression(pixels: np.ndarray, labels: np.ndarray):
    from sklearn.linear_model import LogisticRegression
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")              # a few steps short of the optimum is good enough
        return LogisticRegression(C=STRENGTH, max_iter=STEPS).fit(pixels, labels)


def _predict(arrays: Mapping[str, np.ndarray], pixels: np.ndarray, task: str) -> np.ndarray:
    scores = ((pixels - arrays["mean"]) / arrays["scale"]) @ arrays["weights"] + arrays["offsets"]
    if task == MULTI_LABEL:
        return (1 / (1 + np.exp(-np.clip(scores, -50, 50)))).astype(np.float32)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def _path(about: Mapping) -> Path:
    key = "\n".join(str(about[part]) for part in ("fingerprint", "split_hash", "target"))
    if about.get("label_edit"):
        key += f"\n{about['label_edit']}"
    return home() / "baselines" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"


def _read(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except Exception:                                # not there yet, or damaged: it is made again
        return None
