"""One image that somebody wants classified: a dropped file or a sample, the answer, and what was done to it on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.config import DataConfig
from core.datasets import Dataset, decode_image, describe_fit, fit, is_ready
from core.datasets.geometry import scale
from core.errors import LightboxError
from core.evaluation.decision import Chosen, Decision, chosen_for
from core.runs.classifiers import SHIPPED, ClassifierInfo, settings_of
from core.runs.classifiers import classify as predict
from core.runs.store import RunStore
from pages.shared.heatmaps import classifier, original_of, version
from pages.shared.layout import format_percent, format_probability
from pages.shared.open_data import dataset, thumbnails

STEP = 192             # pixels a side of the small pictures that show what was done


@dataclass(frozen=True, eq=False)
class Subject:
    """An image to classify.

    Args:
        name: of the file, or the image's id
        pixels: (H, W, 1 or 3) uint8, upright
        notes: what was done to the file's values, in sentences
        token: stands for the pixels
        truth: its label, where it is known
    """

    name: str
    pixels: np.ndarray
    notes: tuple[str, ...]
    token: str
    truth: str | None = None


def read_file(name: str, content: bytes) -> Subject:
    """A file that somebody dropped. Raises LightboxError as `decode_image` does."""
    picture = decode_image(content)
    return Subject(name, picture.pixels, picture.notes, hashlib.sha256(content).hexdigest())


def answer_of(address: str, subject: Subject) -> np.ndarray:
    """What a classifier says of it: (K,) probabilities."""
    return _answer_of(address, version(address), subject.token, subject.pixels)


@st.cache_data(max_entries=256, show_spinner=False)
def _answer_of(address: str, version: tuple, token: str, _pixels: np.ndarray) -> np.ndarray:
    return predict(classifier(address).model, [_pixels])[0]


def chosen_of(address: str) -> Chosen:
    """What was chosen for a classifier on validation. Raises LightboxError as `chosen_for` does."""
    files = [RunStore().root / "runs" / address / name for name in ("threshold.json", "predictions.npz")]
    written = [file.stat().st_mtime_ns if file.exists() else 0 for file in files]
    return _chosen_of(address, version(address), *written)


@st.cache_resource(max_entries=64, show_spinner=False)
def _chosen_of(address: str, version: tuple, threshold: int, answers: int) -> Chosen:
    return chosen_for(address)


def headline(names: Sequence[str], said: Decision) -> str:
    """The answer and how sure it is; of several findings those that are called, the surest first."""
    called = sorted(said.called, key=lambda k: -said.probs[k])
    return ", ".join(f"{names[k]}, {format_probability(float(said.probs[k]))}" if len(called) < 3 else names[k]
                     for k in called) or "No finding above its threshold"


def how_called(names: Sequence[str], chosen: Chosen, said: Decision) -> str:
    """What the lines in the bars are, where somebody chose them; "" where nobody did."""
    if not chosen.frozen or said.thresholds is None:
        return ""
    if chosen.task == "binary-class":
        k, = said.called
        return (f"It is called {names[k]} from {format_percent(float(said.thresholds[k]))} on: the line in the bar is the "
                f"threshold that was chosen on validation ({chosen.frozen[1].in_words(names)}).")
    return f"The lines are thresholds; {len(chosen.frozen)} of {len(names)} were chosen on validation, the others are 50 %."


def steps_of(subject: Subject, preprocessing) -> tuple[list[tuple[str, np.ndarray]], tuple[str, ...]]:
    """How an image became the network's input: three small pictures with titles, and sentences.

    Args:
        preprocessing: core.models.classifier.Preprocessing
    """
    p = preprocessing
    height, width = subject.pixels.shape[:2]
    shrink = min(1.0, STEP / max(height, width))
    read = scale(subject.pixels, max(1, round(height * shrink)), max(1, round(width * shrink)))
    square = fit(subject.pixels, STEP, p.resize, p.channels)
    seen, times = fit(subject.pixels, p.size, p.resize, p.channels), max(1, STEP // p.size)
    seen = np.repeat(np.repeat(seen, times, axis=0), times, axis=1)               # enlarged so that its pixels can be seen
    kind = "gray" if p.channels == 1 else "colour"
    return ([("as it was read", read), (f"square, {kind}", square), (f"what the network sees: {p.size} x {p.size} px", seen)],
            (*subject.notes, *describe_fit(subject.pixels.shape, p.size, p.resize, p.channels)))


# -------------------------------------------------------------------------------------------------------------- samples

@dataclass(frozen=True, eq=False)
class Samples:
    """Images to try: what a gallery shows, what stands for that (`cache_key`), and how to get one of them whole."""

    images: Sequence[np.ndarray]
    key: tuple
    open: Callable[[int], Subject]


def samples_of(info: ClassifierInfo, count: int = 12) -> Samples | None:
    """Images that a classifier has not learned from: those that came with it, else some of each class of its set's validation
    split where that is prepared. None where there are none."""
    files = sorted((SHIPPED / info.address / "samples").glob("*.*")) if info.shipped else []
    if files:
        subjects = [_shipped_sample(str(file), file.stat().st_mtime_ns, info.class_names) for file in files]
        return Samples([subject.pixels for subject in subjects], tuple(subject.token for subject in subjects),
                       subjects.__getitem__)
    config = _data_of(info.address, info.shipped)
    if config is None or not _ready(config):
        return None
    data = dataset(config)
    rows = spread(data, count)
    return Samples(*thumbnails(data, rows), lambda i: _row(data, int(rows[i])))


def spread(data: Dataset, count: int) -> np.ndarray:
    """Some rows of the validation split, as many of each class as of the others, in an order that gives nothing away."""
    rows = data.indices("val")
    labels = data.labels[rows] if data.labels.ndim == 1 else data.labels[rows].argmax(axis=1)
    each = -(-count // len(data.class_names))
    groups = [rows[labels == k] for k in range(len(data.class_names))]
    chosen = np.concatenate([g[np.linspace(0, len(g) - 1, min(each, len(g))).astype(int)] for g in groups if len(g)])
    return np.random.default_rng(0).permutation(chosen)[:count]


def _row(data: Dataset, row: int) -> Subject:
    label = data.labels[row]
    truth = (data.class_names[label] if data.labels.ndim == 1 else
             ", ".join(name for name, has in zip(data.class_names, label) if has) or "no finding")
    return Subject(str(data.table["image_id"].iloc[row]), original_of(data, row)[0], (), f"{data.fingerprint} {row}", truth)


@st.cache_resource(max_entries=64, show_spinner=False)
def _shipped_sample(file: str, written: int, class_names: tuple[str, ...]) -> Subject:
    """A sample of weights/<name>/samples; "normal-2.jpg" is of the class normal."""
    content = open(file, "rb").read()
    subject = read_file(file.rsplit("/", 1)[-1], content)
    label = subject.name.rsplit(".", 1)[0].rsplit("-", 1)[0].lower()
    truth = next((name for name in class_names if name.lower().replace(" ", "-") == label), None)
    return Subject(subject.name, subject.pixels, (), subject.token, truth)


@st.cache_data(ttl=10, show_spinner=False)
def _ready(config: DataConfig) -> bool:
    return is_ready(config)


@st.cache_data(max_entries=64, show_spinner=False)
def _data_of(address: str, shipped: bool) -> DataConfig | None:
    """The data that a classifier was trained on."""
    try:
        return settings_of(address).data
    except (OSError, ValueError, KeyError, LightboxError):
        return None
