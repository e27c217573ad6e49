"""Data sets opened: by name or path to a source, to a pixel store, to a `Dataset` with a target and a split."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.config import DataConfig
from core.datasets.archive import unpack, unpacked
from core.datasets.custom import AS_GUESSED, CustomDataset, list_custom_datasets, load_custom_dataset
from core.datasets.dataset import Dataset
from core.datasets.external import external_split, is_external
from core.datasets.formats import FORMATS, detect_format, is_archive, parse_options
from core.datasets.groups import copy_groups
from core.datasets.inspection import NAME, inspect
from core.datasets.labels import AS_STORED, read_labels
from core.datasets.moved import is_gone, is_there, note_moved, where
from core.datasets.registry import DATASETS, DatasetInfo, split_counts
from core.datasets.source import Index, Progress, Source, Target
from core.datasets.splits import make_split
from core.datasets.store import is_stored, open_store, store_folder
from core.datasets.unit_pixels import units_file
from core.datasets.units import as_units
from core.errors import LightboxError


def list_datasets() -> list[DatasetInfo]:
    """Return all data sets that have a name: the built-in ones, then the custom ones. Cheap: nothing is opened."""
    return [entry.info() for entry in DATASETS.values()] + [_custom_info(custom) for custom in list_custom_datasets()]


def _custom_info(custom: CustomDataset) -> DatasetInfo:
    title = FORMATS[custom.format].title if custom.format in FORMATS else custom.format
    available = not custom.path or not is_gone(Path(custom.path))
    summary = custom.summary
    return DatasetInfo(
        custom.name, custom.title, f"{title}: {custom.path}" if custom.path else title, summary.get("task", ""), "",
        tuple(summary.get("class_names", ())), split_counts() | summary.get("counts", {}), available,
        "" if available else f"{custom.path} was not found; it may be on a disk that is not connected.")


def open_source(data: DataConfig) -> Source | None:
    """Return the source that `data.dataset` names: a row of DATASETS, a custom data set, or a path.

    None: known, but it has to be downloaded or unpacked first, as `open_dataset` does.

    Raises LightboxError "dataset.unknown", "dataset.unsupported", or what the source itself finds wrong.
    """
    if data.dataset in DATASETS:
        return DATASETS[data.dataset].source(data)
    if custom := load_custom_dataset(data.dataset):
        path = where(Path(custom.path))
        if custom.path and not is_there(path):
            raise LightboxError("dataset.moved", f"The images of {custom.title} were in {custom.path}; nothing is there now: "
                                "they were moved, or the disk is not connected.",
                                f"Say where they are {_how_to_move(custom.name)}")
        source = FORMATS[custom.format].build(path, parse_options(custom.format, custom.options))
        source.name, source.title = custom.name, custom.title
        return source
    old = Path(data.dataset).expanduser()
    path = where(old)
    try:
        exists = path.exists()
    except (OSError, ValueError):      # a name too long or with a zero byte: `detect_format` says so
        exists = True
    if exists:
        if is_archive(path) and unpacked(path) is None:
            return None
        name, place = detect_format(path)
        source = FORMATS[name].build(place, FORMATS[name].options())
        source.name = data.dataset
        if path != old:                # the same store as before
            source.title = {path.name: old.name, path.stem: old.stem}.get(source.title, source.title)
        return source
    if old.is_absolute():
        raise LightboxError("dataset.unknown", f"There is no data set, folder or file called {data.dataset[:200]!r}. If it was "
                            "there, it was moved, or its disk is not connected.",
                            f"Say where it is {_how_to_move(data.dataset[:200])}")
    names = [*DATASETS, *(custom.name for custom in list_custom_datasets())]
    near = difflib.get_close_matches(data.dataset, names, n=1)
    raise LightboxError("dataset.unknown", f"There is no data set, folder or file called {data.dataset[:200]!r}.",
                        f"Did you mean {near[0]}?" if near else f"Data sets: {', '.join(names)}.")


def _how_to_move(dataset: str) -> str:
    return f"on the page Browse, or with python -m core datasets moved {dataset} NEW."


def place_of(dataset: str) -> str:
    """Return the path that a data set or a run names; "" for a built-in or generated set."""
    custom = None if dataset in DATASETS else load_custom_dataset(dataset)
    if dataset in DATASETS or custom and not custom.path:
        return ""
    return custom.path if custom else str(Path(dataset).expanduser())


def move_dataset(dataset: str, new: Path | str) -> int:
    """Point a data set, or a path that runs name, to the place where its images are now; returns how many are there.

    Raises:
        LightboxError: "moved.there", "moved.nowhere"; "moved.other" where there are other classes than before; and what the
            source finds wrong there
    """
    old, new = place_of(dataset), Path(new).expanduser().absolute()
    if not old:
        raise LightboxError("moved.there", f"{dataset[:80]} has no place on this disk.", "Only images of your own can move.")
    custom = load_custom_dataset(dataset)
    if not is_there(new):
        raise LightboxError("moved.nowhere", f"There is no folder or file {str(new)[:200]}.", "Check the path.")
    if custom:
        source = FORMATS[custom.format].build(new, parse_options(custom.format, custom.options))
    else:
        name, place = detect_format(new)
        source = FORMATS[name].build(place, FORMATS[name].options())
    index = source.scan()
    known, found = tuple(custom.summary.get("class_names", ())) if custom else (), next(iter(index.targets.values())).class_names
    if known and known != found:
        raise LightboxError("moved.other", f"{new} has other classes than before: {', '.join(found[:6])} instead of "
                            f"{', '.join(known[:6])}.", "Give the folder with the same images, or add these as another set.")
    note_moved(old, new)
    return len(index.table)


def is_ready(data: DataConfig) -> bool:
    """Return whether opening is instant, because the pixels are in the store, and copies are searched where the split needs
    them. False also for what does not exist."""
    try:
        source = open_source(data)
        if source is None or not is_stored(source, data.size, data.resize, data.channels):
            return False
        if data.unit != "image" and not units_file(source.title, source.fingerprint(), data).is_file():
            return False
        folder = store_folder(source.title, source.fingerprint(), data.size, data.resize, data.channels)
        return not data.needs_copies or (folder / NAME).is_file()
    except LightboxError:
        return False


def open_dataset(data: DataConfig, progress: Progress | None = None, *, external: bool = False,
                 intensity: str | None = None) -> Dataset:
    """Open a data set: find or download it, make its pixel store where that is missing, choose the target, split it.

    Args:
        data: which data set, at which size, with which target and split
        progress: called with (what is being done, done, total); may raise to stop, and what was decoded is kept
        external: take all images as test images, whatever split the set has
        intensity: how images of more than 8 bits are read (FolderOptions); None is as the set says

    Raises:
        LightboxError: whatever is wrong with the data set or the request; "dataset.target" for an unknown target

    >>> from core.config import DataConfig
    >>> data = open_dataset(DataConfig(folder, size=16))        # 24 images in the folders normal and fracture
    >>> data.images.shape, data.class_names
    ((24, 16, 16, 1), ('normal', 'fracture'))
    """
    source = open_source(data)
    if source is None:
        _fetch(data, progress)
        source = open_source(data)
    if intensity not in (None, source.intensity):
        source.read_intensity(intensity)
    store = open_store(source, data.size, data.resize, data.channels, progress)
    return _with_labels(data, source, store.index, store.images, store.fingerprint, external, progress)


def look_ahead(data: DataConfig) -> Dataset | None:
    """Return the data set as it will be opened, labels and split, where no pixel need be read for that: prepared ones with their
    pixels, others without (`images` is empty). None: it has to be fetched first, or its split needs a search for copies.

    Raises LightboxError as `open_dataset` does.
    """
    source = open_source(data)
    if is_ready(data):
        return open_dataset(data)
    if source is None or data.needs_copies:
        return None
    pixels = np.empty((0, data.size, data.size, data.channels or 3), np.uint8)
    return _with_labels(data, source, source.scan(), pixels, "")


def _with_labels(data: DataConfig, source: Source, index: Index, images: np.ndarray, fingerprint: str, external: bool = False,
                 progress: Progress | None = None) -> Dataset:
    """Choose the target, read its labels, split."""
    name = data.target or next(iter(index.targets))
    if name not in index.targets:
        raise LightboxError("dataset.target", f"{source.title} has no target called {name!r}.",
                            f"Targets: {', '.join(index.targets)}.")
    target, understood = read_labels(index.targets[name], *labels_of(data, name, name == next(iter(index.targets))))
    opened = Dataset(
        name=source.name, title=source.title, description=source.description, licence=source.licence,
        task=target.task, target=target.name, targets=tuple((t.name, t.title) for t in index.targets.values()),
        class_names=target.class_names, images=images, labels=target.labels, table=index.table,
        size=data.size, resize=data.resize, channels=images.shape[3], fingerprint=fingerprint,
        split_hash="", split_note="", skipped=tuple(index.skipped), notes=tuple(index.notes), source=source, config=data,
        understood=tuple(index.understood + understood), label_edit=_edit_from(index.targets[name], target))
    if data.unit != "image":
        opened = as_units(opened, progress)
    table, labels = opened.table, opened.labels
    if external or is_external(table, labels, data.split):
        split = external_split(table, labels, target.class_names)
    else:
        split = make_split(table, labels, target.class_names, data, _copies(opened, progress))
    note = f"{opened.units.note} {split.note}" if opened.units else split.note
    return replace(opened, table=table.assign(split=split.split), split_hash=split.hash, split_note=note, times=split.times)


def labels_of(data: DataConfig, target: str, first: bool) -> tuple[list[str], str]:
    """Return the edits of the classes, of the set and then of `data`, and the positive class, as `read_labels` takes them.

    Args:
        target: whose classes they are; first: whether it is the set's first
    """
    custom = load_custom_dataset(data.dataset)
    kept = custom.labels if custom else AS_GUESSED
    if kept["target"] != target if kept["target"] else not first:
        kept = AS_GUESSED | {"positive": AS_STORED if kept["positive"] == AS_STORED else ""}
    return [kept["map"], data.label_map], data.positive or kept["positive"]


def _edit_from(stored: Target, target: Target) -> str:
    """Return what tells labels apart from those that the store has: "" for the very same."""
    if stored.class_names == target.class_names and stored.labels is target.labels:
        return ""
    return hashlib.sha256(repr(target.class_names).encode() + target.labels.tobytes()).hexdigest()[:16]


def _copies(opened: Dataset, progress: Progress | None) -> np.ndarray | None:
    """Return the group of copies of each image, (N,), where the split needs them."""
    if not opened.config.needs_copies:
        return None
    return copy_groups(len(opened), inspect(opened, progress).duplicates)


def _fetch(data: DataConfig, progress: Progress | None) -> None:
    """Bring a known data set onto this disk: download it, or unpack it."""
    if data.dataset in DATASETS:
        DATASETS[data.dataset].fetch(data, progress)
    else:
        unpack(where(Path(data.dataset).expanduser()), progress)
