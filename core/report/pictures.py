"""What a report shows of the network itself: its drawing, and its most confident mistakes beside their Grad-CAM maps."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from core.datasets import Dataset
from core.evaluation import thresholds
from core.metrics import MULTI_LABEL, predict
from core.report.contents import Contents
from core.report.figures import architecture, as_svg
from core.runs import checkpoints
from core.runs.classifiers import load_classifier
from core.runs.store import Run

if TYPE_CHECKING:
    from core.models.classifier import Classifier
    from core.runs.ensembles import Ensemble

MOST = 8               # mistakes in a report
SIDE = 224             # px of a picture: what is smaller is enlarged, without smoothing


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction; of several findings of an image, one of them.

    Args:
        image_id: as in the table of the data set
        said: what is true and what was predicted, in words
        probability: of what was predicted
        target: the class that was predicted, or the finding
        picture, map: JPEG, the square that the network sees and the same under its map; b"" where not at hand
    """
    image_id: str
    said: str
    probability: float
    target: int
    picture: bytes = b""
    map: bytes = b""


def mistakes(what: Contents, most: int = MOST) -> tuple[list[Mistake], int]:
    """Return the most confident mistakes, the most confident first, without pictures, and how many there are in all."""
    preds, names, task = what.preds, what.about["class_names"], what.about["task"]
    predicted, several = predict(preds.probs, task, thresholds.of(what.run)), task == MULTI_LABEL
    if several:
        wrong = np.argwhere((predicted != preds.labels) & (preds.labels >= 0))
        p = preds.probs[wrong[:, 0], wrong[:, 1]]
        sure = np.where(predicted[wrong[:, 0], wrong[:, 1]] == 1, p, 1 - p)
    else:
        rows = np.flatnonzero((predicted != preds.labels) & (preds.labels >= 0))
        wrong = np.stack([rows, predicted[rows]], 1)
        sure = preds.probs[rows, predicted[rows]]
    found = []
    for place in np.argsort(-sure, kind="stable")[:most]:
        i, k = wrong[place].tolist()
        said = f"{names[k]} {'predicted, but not there' if predicted[i, k] else 'missed'}" if several else (
            f"true {names[preds.labels[i]]}, predicted {names[k]}")
        found.append(Mistake(preds.image_ids[i], said, float(sure[place]), k))
    return found, len(wrong)


def with_pictures(found: list[Mistake], data: Dataset, model: Classifier | Ensemble) -> list[Mistake]:
    """Return the same with their pictures, those of images that are not in the set left out.

    A map is Grad-CAM of the predicted class at the last layer, each drawn up to its own maximum; of an ensemble the weighted mean
    of its members' maps.
    """
    from core.evaluation.maps import explain_pictures
    from core.explain.overlay import overlay
    place = {name: row for row, name in enumerate(data.table["image_id"].astype(str))}
    found = [one for one in found if one.image_id in place]
    images = [np.asarray(data.images[place[one.image_id]]) for one in found]
    if not found:
        return []
    maps = explain_pictures(model, images, [one.target for one in found])
    return [replace(one, picture=_jpeg(image), map=_jpeg(overlay(_large(image), cam)))
            for one, image, cam in zip(found, images, maps)]


def _large(image: np.ndarray) -> np.ndarray:
    times = max(1, round(SIDE / max(image.shape[:2])))
    return image.repeat(times, 0).repeat(times, 1)


def _jpeg(image: np.ndarray) -> bytes:
    image = _large(image) if max(image.shape[:2]) < SIDE // 2 else image
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return cv2.imencode(".jpg", image[..., ::-1] if image.ndim == 3 else image, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def as_address(picture: bytes) -> str:
    """Return a picture as an address that loads nothing."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


# --------------------------------------------------------------------------------------------- the network

def as_trained(run: Run) -> Classifier:
    """The network with the layers marked that its training changed; loaded for answers alone, none of them
    would be."""
    model = load_classifier(run.id).model.requires_grad_(True)
    model.freeze(run.config.model.freeze)
    return model


@dataclass(frozen=True)
class OfNetwork:
    """The drawing of a network as SVG ("" of an ensemble, which has several), its most confident mistakes with pictures where
    they are at hand, how many there are in all, and the epoch of the weights."""
    drawing: str
    mistakes: list[Mistake]
    all_mistakes: int
    epoch: int


_kept: dict[tuple, OfNetwork] = {}                 # maps cost most of a report, and a report is downloaded more than once
KEPT = 16


def of_network(what: Contents) -> OfNetwork:
    """Return it, made once for each version of predictions, threshold and weights.

    Raises:
        LightboxError: as `load_classifier`
    """
    file = what.run.folder / "predictions.npz"
    key = (str(what.run.folder), file.stat().st_mtime_ns if file.is_file() else 0, what.split,
           checkpoints.best_epoch(what.run.checkpoints), repr(thresholds.of(what.run)), what.data and what.data.fingerprint)
    if key not in _kept:
        model, drawing = _drawn(what.run)
        found, n = mistakes(what)
        if what.data is not None:
            found = with_pictures(found, what.data, model)
        _kept[key] = OfNetwork(drawing, found, n, checkpoints.best_epoch(what.run.checkpoints) or 0)
        while len(_kept) > KEPT:
            _kept.pop(next(iter(_kept)), None)
    return _kept[key]


def _drawn(run: Run) -> tuple[Classifier | Ensemble, str]:
    """A run's classifier, and its network as SVG; an ensemble is no single network."""
    from core.models.layers import stage_table
    if run.ensemble and not run.ensemble.is_soup:
        return load_classifier(run.id).model, ""
    model = as_trained(run)
    drawing = as_svg(architecture(stage_table(model)))
    return model.requires_grad_(False), drawing
