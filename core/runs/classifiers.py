"""Trained classifiers, wherever they come from: a run's best epoch, or weights/ that came with the app.

Both are the same files: weights.safetensors, and a meta with the preprocessing, the classes and the checksum.
So `load_classifier("20261121-0352-k3f9")` and `load_classifier("phantom-body-part")` give the same kind of
object; "20261121-0352-k3f9@7" is that run after its seventh epoch, where that was kept. What imports torch is
imported inside functions: pages list classifiers without it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.config import ModelConfig, RunConfig, Task
from core.datasets.decode import DecodedImage, Note, decode_image
from core.datasets.geometry import fit, fit_views
from core.datasets.intensity import in_words, intensity_text
from core.errors import LightboxError
from core.files import Damaged, read_json
from core.runs import checkpoints
from core.runs.store import Run, RunStore

if TYPE_CHECKING:
    import torch

    from core.models.classifier import Classifier, Preprocessing
    from core.runs.ensembles import Ensemble

META = {"meta": {"title": str, "dataset": str, "model": {"name": str},
                 "classifier": {"class_names": list[str], "task": Task, "preprocessing": {"size": range(1, 10**5)}}}}
SHIPPED = Path(__file__).parents[2] / "weights"
SNAPSHOT = re.compile(r"(.+)@(\d{1,9})")


@dataclass(frozen=True)
class ClassifierInfo:
    """What is known of a classifier without loading it. `address` is what `load_classifier` takes."""
    address: str
    title: str
    class_names: tuple[str, ...]
    size: int
    shipped: bool
    dataset: str
    network: str            # a key of core.models.MODELS
    card: str = ""          # the model card in Markdown, without its title; empty for a run


def shipped_classifiers() -> list[ClassifierInfo]:
    """Return those that came with the app. No torch."""
    classifiers = []
    for file in sorted(SHIPPED.glob("*/meta.json")):
        folder = file.parent
        try:
            meta = read_json(file, META)["meta"]
            classifiers.append(ClassifierInfo(folder.name, meta["title"], tuple(meta["classifier"]["class_names"]),
                                        meta["classifier"]["preprocessing"]["size"], True, meta["dataset"],
                                        meta["model"]["name"], (folder / "card.md").read_text().partition("\n")[2]))
        except (OSError, ValueError):
            continue
    return classifiers


def list_classifiers() -> list[ClassifierInfo]:
    """Return those that came with the app, then runs with a finished epoch, newest first. No torch."""
    classifiers = shipped_classifiers()
    for run in RunStore().list():
        data = run.data()
        if data and checkpoints.snapshots(run.checkpoints):
            classifiers.append(ClassifierInfo(run.id, run.name, tuple(data["class_names"]), data["size"], False, data["dataset"],
                                        run.config.model.name))
    return classifiers


def split_address(address: str) -> tuple[str, int | None]:
    """Return the run of an address, and the epoch where it names one.

    >>> split_address("20261121-0352-k3f9@7"), split_address("20261121-0352-k3f9")
    (('20261121-0352-k3f9', 7), ('20261121-0352-k3f9', None))
    """
    match = SNAPSHOT.fullmatch(address)
    return (match[1], int(match[2])) if match else (address, None)


def run_of(address: str) -> Run:
    """Return the run of an address, of whichever epoch. Raises LightboxError "run.gone"."""
    return RunStore().get(split_address(address)[0])


def settings_of(address: str) -> RunConfig:
    """Return the settings that a classifier was trained with. Raises LightboxError "run.gone"."""
    if is_shipped(address):
        return RunConfig.from_json(json.dumps(_shipped(address, "config.json", {})))
    return run_of(address).config


def task_of(address: str) -> str:
    """Return what a classifier predicts, a member of Task. No torch. Raises LightboxError "run.gone"."""
    if is_shipped(address):
        return _shipped(address, "meta.json", META)["meta"]["classifier"]["task"]
    return _data_of(run_of(address))["task"]


def classes_of(address: str) -> tuple[str, ...]:
    """Return the classes that a classifier tells apart. No torch. Raises LightboxError "run.gone"."""
    if is_shipped(address):
        return tuple(_shipped(address, "meta.json", META)["meta"]["classifier"]["class_names"])
    return tuple(_data_of(run_of(address))["class_names"])


def _shipped(address: str, name: str, shape: dict) -> dict:
    try:
        return read_json(SHIPPED / address / name, shape)
    except (FileNotFoundError, Damaged):
        raise LightboxError("classifier.damaged", f"The file {name} of the classifier {address} is damaged.",
                            "Put its folder back from a copy.") from None


def _data_of(run: Run) -> dict:
    if not (data := run.data()):
        raise LightboxError("checkpoint.missing", "This run has not finished an epoch yet.",
                            "Wait for the first one, or choose another run.")
    return data


def is_shipped(address: str) -> bool:
    """Return whether it came with the app."""
    return bool(address) and "/" not in address and (SHIPPED / address / "meta.json").exists()


@dataclass(frozen=True)
class Loaded:
    """A classifier in evaluation mode on the CPU, the epoch that its weights are of, and what was wrong on the way. The model of
    an ensemble is a `core.runs.ensembles.Ensemble`, which predicts but has no layers of its own."""
    model: Classifier | Ensemble
    epoch: int
    notes: tuple[str, ...]


def load_classifier(address: str) -> Loaded:
    """Load and check a classifier.

    Args:
        address: a run's id, of which the best epoch is taken; a run's id and an epoch that was kept, as in
            "20261121-0352-k3f9@7"; or the name of a folder in weights/

    Raises:
        LightboxError: "classifier.unknown", "run.gone", "checkpoint.missing", "checkpoint.damaged"
    """
    if is_shipped(address):
        saved, notes = checkpoints.load(SHIPPED / address, with_resume=False), []
        config = ModelConfig(**saved.meta["model"])
    else:
        (_, epoch), run = split_address(address), run_of(address)
        if run.ensemble and not run.ensemble.is_soup:
            from core.runs.ensembles import load_ensemble
            return Loaded(*load_ensemble(run))
        if epoch is None:
            saved, notes = checkpoints.load_best(run.checkpoints)
        else:
            saved, notes = checkpoints.load_epoch(run.checkpoints, epoch), []
        config = run.config.model
    try:
        model = build_saved(config, saved.meta["classifier"])
        model.load_state_dict(saved.weights)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LightboxError("checkpoint.unlike", f"The weights of {address} do not fit the network in its settings.",
                            "Its config.json or a checkpoint was changed: put the file back from a copy, or train "
                            "again.") from error
    return Loaded(model.eval().requires_grad_(False), saved.epoch, tuple(notes))


def as_input(model: Classifier, pictures: list[np.ndarray]) -> torch.Tensor:
    """Turn pictures of any size, each (H, W, 1 or 3) uint8, into the classifier's input: (N, C, S, S) float32 in [0, 1].

    The same geometry as the pixel store's, so a dropped file is seen exactly as a training image was.

    For a classifier of V views a picture V times as wide as high is its views side by side, black where one is missing; so is one
    of the height S that is a whole number of squares. Any other picture is one view, and the others are missing.

    Raises LightboxError "classify.views" for a single picture where the views have names.
    """
    import torch
    p = model.preprocessing
    if p.views > 1:
        pictures = [_views_of(picture, p) for picture in pictures]
        pixels = np.zeros((len(pictures), p.size, max(one.shape[1] for one in pictures), p.channels), np.uint8)
        for row, picture in zip(pixels, pictures):
            row[:, :picture.shape[1]] = picture
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).to(model.device)
    pixels = np.stack([fit(picture, p.size, p.resize, p.channels) for picture in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).to(model.device)


def _views_of(picture: np.ndarray, p: Preprocessing) -> np.ndarray:
    """Return (S, v S, C) uint8: the views of a picture, each fitted."""
    height, width = picture.shape[:2]
    if height == p.size and width % height == 0 and width > height:
        views = width // height
    else:
        views = p.views if width == p.views * height else 1
    if views == 1 and p.view_names:
        raise LightboxError("classify.views", f"This network has an input for each of the views {', '.join(p.view_names)}: one "
                            "image alone is not enough.", f"Put the {p.views} views side by side in one picture of squares, in "
                            "this order, black where one is missing.")
    seen = fit_views(picture, p.size, p.resize, p.channels, views)
    return np.pad(seen, ((0, 0), (0, p.size * max(0, p.views - views)), (0, 0)))


def decode_for(model: Classifier, data: bytes | Path, intensity: str | None = None, frame: int = 0) -> DecodedImage:
    """Decode an image as the images were on which a classifier was trained, or otherwise; which is among its notes.

    Args:
        data: the file's bytes, or its path
        intensity: as in FolderOptions; None as in training
        frame: which one of several, from 0

    Raises LightboxError as `decode_image` does.
    """
    trained = model.preprocessing.intensity
    chosen = trained if intensity is None else intensity_text(intensity)
    picture = decode_image(data, intensity=chosen, frame=frame)
    if picture.values is None or chosen == trained == "":
        return picture
    note = (Note("intensity", f"It was read {in_words(chosen)}, as in training.") if chosen == trained else
            Note("intensity.other", f"It was read {in_words(chosen)}; in training images were read {in_words(trained)}."))
    return dataclasses.replace(picture, notes=(*picture.notes, note))


def classify(model: Classifier, pictures: list[np.ndarray]) -> np.ndarray:
    """Return probabilities of pictures of any size: (N, K) float32 in [0, 1]. An ensemble asks each of its members."""
    import torch

    from core.runs.ensembles import Ensemble
    if isinstance(model, Ensemble):
        return model.classify(pictures)
    with torch.no_grad():
        return model.probabilities(model(as_input(model, pictures))).cpu().numpy()


def build_saved(config: ModelConfig, described: dict) -> Classifier:
    """Return a classifier as it was when its weights were saved, still without them."""
    from core.models import build_model
    from core.models.classifier import Preprocessing
    p = described["preprocessing"]
    p = Preprocessing(p["size"], p["resize"], p["channels"], tuple(p["mean"]), tuple(p["std"]), str(p.get("intensity", "")),
                      int(p.get("views", 1)), tuple(p.get("view_names", ())))
    return build_model(dataclasses.replace(config, weights="none"), classes=len(described["class_names"]), size=p.size,
                       channels=p.channels, resize=p.resize, task=described["task"],
                       class_names=tuple(described["class_names"]), preprocessing=p)
