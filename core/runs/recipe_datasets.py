"""Which data sets a recipe was made for, told from their names and options without opening them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.datasets import DATASETS, mura
from core.datasets.custom import list_custom_datasets, load_custom_dataset
from core.datasets.moved import where
from core.errors import LightboxError

TARGETS = ("abnormality", "body_part")        # of MURA and of phantoms


def targets_of(dataset: str) -> tuple[str, ...]:
    """Return the tasks of MURA and of phantoms, by name or path; () for every other data set."""
    try:
        if dataset in DATASETS:
            return TARGETS if dataset.startswith("phantom") else ()
        if custom := load_custom_dataset(dataset):
            has = {"abnormality": custom.options.get("abnormal", True),
                   "body_part": len(custom.options.get("parts") or TARGETS) > 1}
            return tuple(filter(has.get, TARGETS)) if custom.format in ("mura", "phantom") else ()
        return TARGETS if mura.is_mura(Path(dataset).expanduser()) else ()
    except (LightboxError, OSError, ValueError):
        return ()


def parts_of(dataset: str, only: str = "") -> tuple[str, ...]:
    """Return the parts of the body that a set of MURA, or of phantoms, was narrowed to, by its options or by `data.only`; () for
    all that it has."""
    custom = None if dataset in DATASETS else load_custom_dataset(dataset)
    parts = tuple(custom.options.get("parts") or ()) if custom and custom.format in ("mura", "phantom") else ()
    return named_parts(only) or parts


def named_parts(only: str) -> tuple[str, ...]:
    """Return the parts of the body that `data.only` names, () where it names another column or nothing.

    >>> named_parts("body_part:elbow|wrist"), named_parts("side:L")
    (('elbow', 'wrist'), ())
    """
    column, _, values = only.partition(":")
    return tuple(values.split("|")) if column == "body_part" else ()


def mura_parts(dataset: str) -> tuple[str, ...]:
    """Return the parts of the body whose images a set of MURA has, by its name or path; () for every other data set, and where
    its folder is not at hand."""
    try:
        custom = None if dataset in DATASETS else load_custom_dataset(dataset)
        if dataset in DATASETS or custom and custom.format != "mura":
            return ()
        path = where(Path(custom.path if custom else dataset).expanduser())
        return mura.Mura(path, mura.MuraOptions(parts_of(dataset))).body_parts if mura.is_mura(path) else ()
    except (LightboxError, OSError, ValueError):
        return ()


def is_simulated(dataset: str) -> bool:
    """Return whether a data set is one of phantoms: generated, or exported and brought back in MURA's layout."""
    try:
        custom = None if dataset in DATASETS else load_custom_dataset(dataset)
        if dataset.startswith("phantom") or custom and custom.format == "phantom":
            return True
        root = None if dataset in DATASETS else mura.find_root(Path(custom.path if custom else dataset).expanduser())
        return root is not None and mura.is_simulated(root)
    except (LightboxError, OSError, ValueError):
        return False


def is_kind(needs: str, dataset: str) -> bool:
    """Return whether a data set is of the kind that a recipe needs; any custom one may be "covid"."""
    if needs == "medmnist":
        return dataset in DATASETS and not dataset.startswith("phantom")
    return needs == "covid"


def datasets_for(needs: str, stand_in: str) -> Iterator[tuple[str, str]]:
    """Yield (name, title) of the data sets that a recipe was made for: added ones, else its stand-in.

    Args:
        needs, stand_in: see `core.runs.recipes.Recipe`
    """
    added = [(custom.name, custom.title) for custom in list_custom_datasets() if custom.format == needs]
    yield from added
    if not added and stand_in:
        yield stand_in, DATASETS[stand_in].info().title
