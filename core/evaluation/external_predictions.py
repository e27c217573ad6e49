"""What a run predicts for all images of another data set: computed once, kept beside the run, and read again.

    runs/<id>/external/<key>/predictions.npz    image_ids, labels (of the set), probs, nearest, own_nearest,
    shared, patients, studies
                             about.json         which set, its classes, the map that was chosen, the epoch,
                             the SHA-256 of the arrays

The key is made of the set's fingerprint and target, so a set that changes is predicted anew; so is one whose
files are damaged, and one for which the run has a better epoch since. The features of the images are computed
first (and kept in LIGHTBOX_HOME/features, so who is stopped goes on there); head and distance to the training
images come from them.

N images, K classes of the run, V validation images of the run's own set.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.config import DataConfig, home
from core.datasets import Dataset, open_dataset, open_source
from core.datasets.intensity import in_words
from core.datasets.source import Progress
from core.errors import LightboxError
from core.evaluation.class_map import guess_map
from core.evaluation.external_features import beside_own_set, by_all_members, by_head, network_of_features
from core.evaluation.predictions import Predictions, with_patients
from core.files import Lock, disk_errors, write_atomic, write_json
from core.files.shapes import Damaged, read_json
from core.runs import checkpoints
from core.runs.store import Run

ARRAYS = ("image_ids", "labels", "probs", "nearest", "own_nearest", "shared", "patients", "studies")


@dataclass(frozen=True, eq=False)
class ExternalPredictions:
    """A run's predictions for another data set.

    Args:
        key: of its folder
        dataset, title, target, class_names, fingerprint: of the set; `dataset` is its name or path
        epoch: whose weights these are
        map: class of the set -> class of the run or "" where it is left out, as a person chose it; {} is
            guessed
        image_ids: (N,) text
        labels: (N,) or (N, L) int64 in the set's own classes, -1 where not known
        probs: (N, K) float32 in [0, 1]
        nearest, own_nearest: (N,), (V,) cosine similarity to the nearest training image; empty where it was
            not measured
        why_not: the reason, where it was not measured
        shared: (N,) text: the split of the run's own set that has an image with the same pixels, "" where
            none has
        patients, studies: (N,) text, or None where none is known
        read: how images of more than 8 bits were read, where that is as in training and not as the set says
    """

    key: str
    dataset: str
    title: str
    target: str
    class_names: tuple[str, ...]
    fingerprint: str
    epoch: int
    map: dict[str, str]
    why_not: str
    image_ids: np.ndarray
    labels: np.ndarray
    probs: np.ndarray
    nearest: np.ndarray
    own_nearest: np.ndarray
    shared: np.ndarray
    patients: np.ndarray | None
    studies: np.ndarray | None
    read: str = ""

    @property
    def has_labels(self) -> bool:
        """Whether any label is known."""
        return bool((self.labels >= 0).any())


# of about.json; all but the last are fields of ExternalPredictions. The first such files have no "read"
SHAPE = {"dataset": str, "title": str, "target": str, "class_names": list[str], "fingerprint": str,
         "epoch": range(1_000_000), "map": dict[str, str], "why_not": str, "read?": str, "sha256": str}
FACTS = [name for name in SHAPE if name not in ("read?", "sha256")]


def open_external(run: Run, on: str, target: str = "", progress: Progress | None = None) -> Dataset:
    """Open a data set as a run's network needs it: its size, resize, channels and reading of more than 8 bits;
    all images are test images.

    Args:
        on: a name or a path
        target: which labels, where the set has several; "" takes the run's own target where the set has it,
            else the first whose classes fit, else the first

    Raises:
        LightboxError: as `open_dataset`; "run.empty" for a run that has not begun
    """
    about = run.data()
    if not about:
        raise LightboxError("run.empty", "This run has not begun yet.", "Wait for its first epoch.")
    config = DataConfig(
        on, target=target, size=about["size"], resize=about["resize"], channels=about["channels"]
    )
    if about.get("unit"):                # studies or patients, with the same views in the same places
        own = run.config.data
        names = own.view_column and f"{own.view_column.partition(':')[0]}:{'|'.join(about['view_names'])}"
        config = replace(config, unit=own.unit, views=about["views"], view_column=names, incomplete=own.incomplete)
    how = {"external": True, "intensity": _intensity_of(run)}
    data = open_dataset(config, progress, **how)
    names = [name for name, _ in data.targets]
    if target or len(names) < 2:
        return data
    first, *others = sorted(names, key=lambda name: name != about.get("target"))
    if first == about.get("target"):
        return open_dataset(replace(config, target=first), progress, **how)
    for name in (first, *others):
        opened = open_dataset(replace(config, target=name), progress, **how)
        try:
            guess_map(opened.class_names, about["class_names"])
            return opened
        except LightboxError:
            continue
    return data


def _intensity_of(run: Run) -> str | None:
    """How images of more than 8 bits were read for a run; None where that is not known: as the other set says."""
    known = run.data().get("intensity")
    if known is None:  # an older run, which did not write it down
        try:
            source = open_source(run.config.data)
        except LightboxError:
            return None
        known = source and source.intensity
    return known


def predict_external(run: Run, data: Dataset, progress: Progress | None = None) -> ExternalPredictions:
    """Predict all images of a set with a run's best epoch and keep the result; what was kept of the same
    images is read.

    Args:
        data: as `open_external` gives it
        progress: called with (sentence, done, total); may raise to stop, and the features that were computed
            are kept

    Raises:
        LightboxError: "checkpoint.missing", "checkpoint.damaged", "embedding.room", "embedding.nan",
            "disk.full"
    """
    from core.runs.classifiers import load_classifier
    from core.trainers.batches import SplitData
    from core.trainers.embedding import plain_features

    key = key_of(data)
    kept = load_external(run, key)
    if kept is not None and kept.epoch == checkpoints.best_epoch(run.checkpoints):
        return kept
    loaded = load_classifier(run.id)
    rows = np.arange(len(data))
    part = replace(SplitData.of(data, "test"), indices=rows, labels=data.labels)
    lead, config = network_of_features(run, loaded.model)
    features = plain_features(lead, part, config, home() / "features", progress, data.title[:40])
    nearest, own, shared, why_not = beside_own_set(run, lead, config, data, features, progress)
    probs = by_head(lead, features) if lead is loaded.model else by_all_members(loaded.model, data, progress)
    people = with_patients(
        Predictions(data.labels, np.empty((0, 0)), data.table["image_id"].tolist(), loaded.epoch), data
    )
    made = ExternalPredictions(
        key,
        data.config.dataset,
        data.title,
        data.target,
        data.class_names,
        data.fingerprint,
        loaded.epoch,
        kept.map if kept is not None else {},
        why_not,
        data.table["image_id"].to_numpy(str),
        data.labels,
        probs,
        nearest,
        own,
        shared,
        *(None if names is None else np.array(names) for names in (people.patients, people.studies)),
        read="" if data.source.intensity == open_source(data.config).intensity else in_words(data.source.intensity),
    )
    _store(run, made)
    return made


# ---------------------------------------------------------------------------------------- kept beside the run


def key_of(data: Dataset) -> str:
    """Return the name of the folder of a set's predictions."""
    return hashlib.sha256(json.dumps([data.fingerprint, data.target]).encode()).hexdigest()[:16]


def load_external(run: Run, key: str) -> ExternalPredictions | None:
    """Read what is kept under a key; None where nothing is, or it is damaged."""
    folder = _folder(run, key)
    try:
        about = read_json(folder / "about.json", SHAPE)
        raw = (folder / "predictions.npz").read_bytes()
        if hashlib.sha256(raw).hexdigest() != about["sha256"]:
            return None
        with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
            arrays = {name: stored[name] if name in stored else None for name in ARRAYS}
        facts = {"read": about.get("read", "")} | {name: about[name] for name in FACTS}
        _check(facts, arrays)
        return ExternalPredictions(key=key, **facts | {"class_names": tuple(facts["class_names"])}, **arrays)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ):
        return None


def _check(facts: dict, arrays: dict) -> None:
    """Raise ValueError where the arrays do not belong together."""
    n, labels = len(arrays["image_ids"]), arrays["labels"]
    lengths = {len(arrays[name]) for name in ("labels", "probs", "shared")}
    lengths |= {len(arrays[name]) for name in ("patients", "studies") if arrays[name] is not None}
    lengths |= {len(arrays["nearest"])} - {0}
    if lengths != {n} or labels.ndim == 2 and labels.shape[1] != len(facts["class_names"]):
        raise ValueError("the arrays do not fit together")
    if labels.ndim == 1 and labels.max(initial=-1) >= len(facts["class_names"]):
        raise ValueError("a label has no class")


def list_external(run: Run) -> list[ExternalPredictions]:
    """Return what is kept of all sets, by title; damaged ones are left out and computed anew when they are
    asked for."""
    keys = [folder.name for folder in (run.folder / "external").glob("*") if folder.is_dir()]
    return sorted(
        filter(None, (load_external(run, key) for key in keys)), key=lambda one: (one.title.lower(), one.key)
    )


def external_titles(run: Run) -> dict[str, str]:
    """Return key -> title of all sets that are kept, by title, without reading the arrays."""
    titles = {}
    for file in (run.folder / "external").glob("*/about.json"):
        try:
            titles[file.parent.name] = read_json(file, SHAPE)["title"]
        except (OSError, Damaged):
            continue
    return dict(sorted(titles.items(), key=lambda item: (item[1].lower(), item[0])))


def keep_map(run: Run, key: str, chosen: dict[str, str]) -> None:
    """Remember how a person mapped the classes of a set; {} goes back to guessing. Nothing happens where
    nothing is kept."""
    folder = _folder(run, key)
    with Lock(run.folder / "external.lock"):
        try:
            about = read_json(folder / "about.json", SHAPE)
        except (OSError, Damaged):
            return
        if about["map"] != chosen:
            write_json(folder / "about.json", about | {"map": chosen})


def _folder(run: Run, key: str) -> Path:
    return run.folder / "external" / key


def _store(run: Run, made: ExternalPredictions) -> None:
    run.written_state()  # "run.gone" before anything is made in a folder that is no more
    folder, buffer = _folder(run, made.key), io.BytesIO()
    np.savez_compressed(
        buffer, **{name: getattr(made, name) for name in ARRAYS if getattr(made, name) is not None}
    )
    with disk_errors(folder), Lock(run.folder / "external.lock"):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "predictions.npz", buffer.getvalue())
        write_json(
            folder / "about.json",
            {name: getattr(made, name) for name in (*FACTS, "read")}
            | {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()},
        )
