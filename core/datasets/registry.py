"""DATASETS, the table of data sets that come with Lightbox: the phantoms and MedMNIST. A new one is a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.config import DataConfig, Split, Task
from core.datasets import medmnist
from core.datasets.phantom import SEVEN_PARTS, PhantomSource
from core.datasets.source import Progress, Source


@dataclass(frozen=True)
class DatasetInfo:
    """What a person may want to know of a data set before opening it.

    Args:
        counts: images of each split, None where that is not known before opening; of a custom data set as it was when added,
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
    """A row of DATASETS: how to describe it, cheaply, and how to get at its images (None: they are not on this disk)."""

    info: Callable[[], DatasetInfo]
    source: Callable[[DataConfig], Source | None]
    fetch: Callable[[DataConfig, Progress | None], object] | None = None


def split_counts(counts: tuple[int | None, ...] = (None, None, None)) -> dict[str, int | None]:
    """Return numbers of images by split."""
    return dict(zip((split.value for split in Split), counts))


def _phantom(name: str, source: Source) -> Entry:
    def info() -> DatasetInfo:
        return DatasetInfo(name, source.title, source.description, Task.BINARY, source.licence, ("normal", "abnormal"),
                           split_counts(), available=True)

    return Entry(info, lambda data: PhantomSource(source.config, source.name, source.title))


def _medmnist(name: str) -> Entry:
    facts = medmnist.INFO[name]

    def info() -> DatasetInfo:
        available = medmnist.find_file(name, 28) is not None
        how = "" if available else f"It is downloaded from {medmnist.ZENODO} when it is first opened."
        return DatasetInfo(name, facts.title, facts.description, facts.task, facts.licence, facts.class_names,
                           split_counts(facts.counts), available, how)

    def source(data: DataConfig) -> Source | None:
        path = medmnist.find_file(name, data.size)
        return medmnist.MedMnist(path, name) if path else None

    return Entry(info, source, lambda data, progress: medmnist.download(name, data.size, progress))


DATASETS: dict[str, Entry] = {
    "phantom": _phantom("phantom", PhantomSource()),
    "phantom-mura": _phantom("phantom-mura", PhantomSource(SEVEN_PARTS, "phantom-mura", "Phantom radiographs, seven parts")),
    **{name: _medmnist(name) for name in medmnist.INFO},
}
