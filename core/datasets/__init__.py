"""Where images come from, how they are kept and how they are split.

    data = open_dataset(DataConfig("breastmnist", size=28))
    data.counts()                 # classes x splits
    data.images[data.indices("train")[0]]      # (28, 28, 1) uint8

DATASETS is the table of sets that come with Lightbox; a person adds others under names of their own (core/datasets/custom.py). A
path can stand wherever a name can: of a folder, a table, a zip or an .npz file (core/datasets/formats.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.config import DataConfig
from core.datasets import medmnist
from core.datasets.custom import OwnSet, list_own, load_own
from core.datasets.dataset import Dataset
from core.datasets.decode import Picture, decode_image
from core.datasets.formats import ARCHIVES, KINDS, find, reading_from
from core.datasets.geometry import describe_fit, fit
from core.datasets.source import Index, Progress, Source, Target
from core.datasets.splits import make_split
from core.datasets.store import is_stored, open_store
from core.errors import LightboxError

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "Index", "Picture", "Source", "Target", "decode_image", "describe_fit", "fit",
           "is_ready", "list_datasets", "open_dataset", "open_source"]


@dataclass(frozen=True)
class DatasetInfo:
    """What a person may want to know of a set before opening it.

    Args:
        counts: images of each split, None where that is not known before opening; of a set of one's own as it was when added,
            with "not split" where it makes no split
        available: whether it can be opened without a download
        how_to_get: what happens, or what to do, where it is not; empty where it is
    """

    name: str
    title: str
    description: str
    task: str
    licence: str
    class_names: tuple[str, ...]
    counts: dict[str, int | None]
    available: bool
    how_to_get: str = ""


@dataclass(frozen=True)
class Entry:
    """A row of DATASETS: how to describe a set, cheaply, and how to get at its images (None: they are not on this disk)."""

    info: Callable[[], DatasetInfo]
    source: Callable[[DataConfig], Source | None]
    fetch: Callable[[DataConfig, Progress | None], object] | None = None


def _phantom(name: str) -> Entry:
    def source(data: DataConfig | None = None) -> Source:
        from core.datasets.phantom import SEVEN_PARTS, PhantomSource
        return PhantomSource(SEVEN_PARTS, name, "Phantom radiographs, seven parts") if name == "phantom-mura" else PhantomSource()

    def info() -> DatasetInfo:
        made = source()
        return DatasetInfo(name, made.title, made.description, "binary-class", made.licence, ("normal", "abnormal"),
                           dict.fromkeys(("train", "val", "test")), available=True)

    return Entry(info, source)


def _medmnist(name: str) -> Entry:
    facts = medmnist.SETS[name]

    def info() -> DatasetInfo:
        there = medmnist.find_file(name, 28) is not None
        how = "" if there else f"It is downloaded when it is first opened, from {medmnist.ZENODO}."
        return DatasetInfo(name, facts.title, facts.description, facts.task, facts.licence, facts.class_names,
                           dict(zip(("train", "val", "test"), facts.counts)), there, how)

    def source(data: DataConfig) -> Source | None:
        path = medmnist.find_file(name, data.size)
        return medmnist.MedMnist(path, name) if path else None

    return Entry(info, source, lambda data, progress: medmnist.download(name, data.size, progress))


DATASETS: dict[str, Entry] = ({name: _phantom(name) for name in ("phantom", "phantom-mura")}
                             | {name: _medmnist(name) for name in medmnist.SETS})


def list_datasets() -> list[DatasetInfo]:
    """Every set that has a name, in the table's order, then those that were added. Cheap: nothing is opened."""
    return [entry.info() for entry in DATASETS.values()] + [_own_info(own) for own in list_own()]


def _own_info(own: OwnSet) -> DatasetInfo:
    kind = KINDS[own.kind].title if own.kind in KINDS else own.kind
    there = not own.path or Path(own.path).exists()
    counts = dict.fromkeys(("train", "val", "test")) | own.found.get("counts", {})
    return DatasetInfo(own.name, own.title, f"{kind}: {own.path}" if own.path else kind, own.found.get("task", ""), "",
                       tuple(own.found.get("class_names", ())), counts, there,
                       "" if there else f"{own.path} is not there; it may lie on a disk that is not connected.")


def open_source(data: DataConfig) -> Source | None:
    """The source that `data.dataset` names: a row of DATASETS, a set that was added, or a path. None: known, but it has to be
    downloaded or unpacked first, as `open_dataset` does.

    Raises LightboxError "dataset.unknown", "dataset.unsupported", or what the source itself finds wrong.
    """
    if data.dataset in DATASETS:
        return DATASETS[data.dataset].source(data)
    if own := load_own(data.dataset):
        reading = reading_from(own.kind, own.reading)
        source = KINDS[own.kind].build(Path(own.path), reading)
        source.name, source.title = own.name, own.title
        return source
    path = Path(data.dataset).expanduser()
    try:
        there = path.exists()
    except (OSError, ValueError):      # a name too long or with a zero byte: `find` says so
        there = True
    if there:
        if _is_packed(path):
            from core.datasets.archive import unpacked
            if unpacked(path) is None:
                return None
        kind, place = find(path)
        source = KINDS[kind].build(place, KINDS[kind].reading())
        source.name = data.dataset
        return source
    names = [*DATASETS, *(own.name for own in list_own())]
    near = difflib.get_close_matches(data.dataset, names, n=1)
    raise LightboxError("dataset.unknown", f"There is no data set, folder or file called {data.dataset[:200]!r}.",
                        f"Did you mean {near[0]}?" if near else f"Named sets: {', '.join(names)}.")


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() in ARCHIVES and path.is_file()


def _fetch(data: DataConfig, progress: Progress | None) -> None:
    """Bring a known set onto this disk: download it, or unpack it."""
    if data.dataset in DATASETS:
        DATASETS[data.dataset].fetch(data, progress)
    else:
        from core.datasets.archive import unpack
        unpack(Path(data.dataset).expanduser(), progress)


def is_ready(data: DataConfig) -> bool:
    """Whether opening is instant, because the pixels are in the store. False also for what does not exist."""
    try:
        source = open_source(data)
        return source is not None and is_stored(source, data.size, data.resize, data.channels)
    except LightboxError:
        return False


def open_dataset(data: DataConfig, progress: Progress | None = None) -> Dataset:
    """Open a set: find it (or download it), make its pixel store where that is missing, choose the target, split it.

    Args:
        data: which set, at which size, which target, split how
        progress: called with (what is being done, done, total); may raise to stop, and what was decoded is kept

    Raises:
        LightboxError: whatever is wrong with the set or the request, in words; "dataset.target" for an unknown target
    """
    source = open_source(data)
    if source is None:
        _fetch(data, progress)
        source = open_source(data)
    store = open_store(source, data.size, data.resize, data.channels, progress)
    index = store.index
    name = data.target or next(iter(index.targets))
    if name not in index.targets:
        raise LightboxError("dataset.target", f"{source.title} has no task called {name!r}.",
                            f"There are: {', '.join(index.targets)}.")
    target = index.targets[name]
    split = make_split(index.table, target.labels, target.class_names, data)
    return Dataset(
        name=source.name, title=source.title, description=source.description, licence=source.licence,
        task=target.task, target=target.name, targets=tuple((t.name, t.title) for t in index.targets.values()),
        class_names=target.class_names, images=store.images, labels=target.labels, table=index.table.assign(split=split.split),
        size=data.size, resize=data.resize, channels=store.images.shape[3], fingerprint=store.fingerprint,
        split_hash=split.hash, split_note=split.note, skipped=tuple(index.skipped), notes=tuple(index.notes), source=source,
        config=data)
