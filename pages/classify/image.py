"""One image to classify: an uploaded file or a sample, the prediction, and the preprocessing in pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st

from core.config import DataConfig
from core.datasets import Dataset, decode_image, describe_fit, is_ready
from core.datasets.geometry import fit_views, scale
from core.errors import LightboxError
from core.evaluation.batch import ImageFile
from core.evaluation.decision import Chosen, Decision, chosen_for
from core.runs.classifiers import SHIPPED, ClassifierInfo, decode_for, settings_of
from core.runs.store import RunStore
from pages.shared.heatmaps import original_of, version
from pages.shared.layout import format_percent, format_probability
from pages.shared.open_data import dataset, thumbnails

STEP = 192             # pixels a side of the small pictures of the preprocessing


@dataclass(frozen=True, eq=False)
class InputImage:
    """What is classified.

    Args:
        name: of the file, or the image's id
        pixels: (H, W, 1 or 3) uint8, upright
        notes: how the file's values were converted, in sentences
        token: stands for the pixels
        truth: its label, where known
        content: the file, where it can be read in several ways
        frames: how many it has
        values: the least and the most of a file of more than 8 bits
    """

    name: str
    pixels: np.ndarray
    notes: tuple[str, ...]
    token: str
    truth: str | None = None
    content: bytes = b""
    frames: int = 1
    values: tuple[float, float] | None = None

    @property
    def has_choice(self) -> bool:
        """Whether it can be read in several ways."""
        return self.frames > 1 or self.values is not None


def read_file(name: str, content: bytes) -> InputImage:
    """Decode an uploaded file. Raises LightboxError as `decode_image` does."""
    picture = decode_image(content)
    image = InputImage(name, picture.pixels, picture.notes, hashlib.sha256(content).hexdigest(), frames=picture.frames,
                       values=picture.values)
    return replace(image, content=content) if image.has_choice else image


def open_file(file: ImageFile) -> InputImage:
    """Decode one of many files. Raises LightboxError as `decode_image` does, or what is known to be wrong with the file."""
    if file.fault:
        raise LightboxError("image.unreadable", file.fault)
    if isinstance(file.data, bytes):
        return read_file(file.name, file.data)
    picture = decode_image(file.data)
    token = hashlib.sha256(f"{file.data} {picture.pixels.shape}".encode() + picture.pixels.tobytes()).hexdigest()
    return InputImage(file.name, picture.pixels, picture.notes, token)


def choose_calibration(rule: Chosen) -> bool:
    """Whether calibrated probabilities are shown. Nothing to choose where no temperature was fitted."""
    if rule.temperature is None:
        return False
    return st.toggle("Calibrated probabilities", key="calibrated", persist_state="session",
                     help=f"Temperature scaling: all logits are divided by T = {rule.temperature:.2f}, "
                          f"fitted on {rule.images:,} validation images, so that of all images with 80 % "
                          "eight in ten have the class. The predicted class stays the same. The page "
                          "Evaluate shows how well it works, under Calibration.")


def read_as(image: InputImage, model, intensity: str | None, frame: int) -> InputImage:
    """Decode an uploaded file anew, as a classifier's images of training were or as a person asks. The last answer is kept.

    Args:
        model: the classifier
        intensity: as FolderOptions; None as in training
        frame: which one of several, from 0

    Raises LightboxError as `decode_image` does.
    """
    trained = model.preprocessing.intensity
    key = image.token, trained, intensity, frame
    if st.session_state.get("image_read", ("",))[0] != key:
        picture = decode_for(model, image.content, intensity, frame)
        chosen = trained if intensity is None else intensity
        st.session_state["image_read"] = key, replace(
            image, pixels=picture.pixels, notes=picture.notes, token=f"{image.token} {chosen} {frame}", values=picture.values)
    return st.session_state["image_read"][1]


def decision_rule(address: str) -> Chosen:
    """Return thresholds and temperature of a classifier, chosen on validation. Raises LightboxError as
    `chosen_for` does."""
    files = [RunStore().root / "runs" / address / name for name in ("threshold.json", "predictions.npz")]
    written = [file.stat().st_mtime_ns if file.exists() else 0 for file in files]
    return _decision_rule(address, version(address), *written)


@st.cache_resource(max_entries=64, show_spinner=False)
def _decision_rule(address: str, version: tuple, threshold: int, predictions: int) -> Chosen:
    return chosen_for(address)


def headline(names: Sequence[str], decision: Decision) -> str:
    """The predicted class and its probability; of several findings those above their threshold, the most
    probable first."""
    predicted = sorted(decision.predicted, key=lambda k: -decision.probs[k])
    if not predicted:
        return "No finding above its threshold"
    if len(predicted) > 2:
        return ", ".join(names[k] for k in predicted)
    return ", ".join(f"{names[k]}, {format_probability(float(decision.probs[k]))}" for k in predicted)


def threshold_note(names: Sequence[str], rule: Chosen, decision: Decision) -> str:
    """What the lines in the bars are, where thresholds were chosen; "" where none was."""
    if not rule.frozen or decision.thresholds is None:
        return f"Positive class: {names[1]}." if rule.task == "binary-class" else ""
    if rule.task == "binary-class":
        k, = decision.predicted
        return ("The line in the bar is the threshold chosen on validation "
                f"({rule.frozen[1].in_words(names)}): {names[k]} is predicted above "
                f"{format_percent(float(decision.thresholds[k]))}. Positive class: {names[1]}.")
    return (f"The lines are thresholds; {len(rule.frozen)} of {len(names)} were chosen on validation, the "
            "others are 50 %.")


def preprocessing_steps(image: InputImage,
                        preprocessing) -> tuple[list[tuple[str, np.ndarray]], tuple[str, ...]]:
    """Return how an image becomes the network's input: three small pictures with titles, and sentences.

    Args:
        preprocessing: core.models.classifier.Preprocessing
    """
    p = preprocessing
    height, width = image.pixels.shape[:2]
    views = p.views if width == p.views * height else 1                  # of a study, side by side
    shrink = min(1.0, STEP / max(height, width))
    read = scale(image.pixels, max(1, round(height * shrink)), max(1, round(width * shrink)))
    square = fit_views(image.pixels, STEP, p.resize, p.channels, views)
    seen, times = fit_views(image.pixels, p.size, p.resize, p.channels, views), max(1, STEP // p.size)
    # enlarged so that its pixels can be seen
    seen = np.repeat(np.repeat(seen, times, axis=0), times, axis=1)
    kind = "gray" if p.channels == 1 else "colour"
    return ([("original", read), (f"square, {kind}", square), (f"input: {p.size} x {p.size} px", seen)],
            (*image.notes, *_views_in_words(p, views),
             *describe_fit((height, width // views, image.pixels.shape[2]), p.size, p.resize, p.channels)))


def _views_in_words(preprocessing, views: int) -> list[str]:
    """How many of the views of a study there are, for a network that sees several."""
    if preprocessing.views == 1:
        return []
    if views == 1:
        return [f"This network sees up to {preprocessing.views} views of one study: this image is one, and the others are "
                f"missing. A picture {preprocessing.views} times as wide as high is taken for all of them side by side."]
    return [f"The {views} views of one study lie side by side."]


# ---------------------------------------------------------------------------------------------------- samples

@dataclass(frozen=True, eq=False)
class Samples:
    """Images to try: thumbnails, what stands for them (`cache_key`), and how to open one in full
    resolution."""

    images: Sequence[np.ndarray]
    key: tuple
    open: Callable[[int], InputImage]


def samples_of(info: ClassifierInfo, count: int = 12) -> Samples | None:
    """Return images that a classifier was not trained on: those shipped with it, else some of each class
    of the validation split, where that is prepared. None where there are none."""
    files = sorted((SHIPPED / info.address / "samples").glob("*.*")) if info.shipped else []
    if files:
        images = [_shipped_sample(str(file), file.stat().st_mtime_ns, info.class_names) for file in files]
        return Samples([image.pixels for image in images], tuple(image.token for image in images),
                       images.__getitem__)
    config = _data_of(info.address, info.shipped)
    if config is None or not _ready(config):
        return None
    data = dataset(config)
    rows = spread(data, count)
    return Samples(*thumbnails(data, rows), lambda i: _row(data, int(rows[i])))


def spread(data: Dataset, count: int) -> np.ndarray:
    """Return some rows of the validation split, as many of each class, in random order."""
    rows = data.indices("val")
    labels = data.labels[rows] if data.labels.ndim == 1 else data.labels[rows].argmax(axis=1)
    each = -(-count // len(data.class_names))
    groups = [rows[labels == k] for k in range(len(data.class_names))]
    chosen = np.concatenate([g[np.linspace(0, len(g) - 1, min(each, len(g))).astype(int)] for g in groups
                             if len(g)])
    return np.random.default_rng(0).permutation(chosen)[:count]


def _row(data: Dataset, row: int) -> InputImage:
    label = data.labels[row]
    truth = (data.class_names[label] if data.labels.ndim == 1 else
             ", ".join(name for name, has in zip(data.class_names, label) if has == 1) or "no finding")
    return InputImage(str(data.table["image_id"].iloc[row]), original_of(data, row)[0], (),
                      f"{data.fingerprint} {row}", truth)


@st.cache_resource(max_entries=64, show_spinner=False)
def _shipped_sample(file: str, written: int, class_names: tuple[str, ...]) -> InputImage:
    """Read a sample of weights/<name>/samples; "normal-2.jpg" is of class normal."""
    path = Path(file)
    image, label = read_file(path.name, path.read_bytes()), path.stem.rsplit("-", 1)[0].lower()
    truth = next((name for name in class_names if name.lower().replace(" ", "-") == label), None)
    return replace(image, notes=(), truth=truth)


@st.cache_data(ttl=10, show_spinner=False)
def _ready(config: DataConfig) -> bool:
    return is_ready(config)


@st.cache_data(max_entries=64, show_spinner=False)
def _data_of(address: str, shipped: bool) -> DataConfig | None:
    """The data set that a classifier was trained on."""
    try:
        return settings_of(address).data
    except (OSError, ValueError, KeyError, LightboxError):
        return None
