"""The formats in which a person's own images may lie: how each is detected, which read options it has, who reads it.

FORMATS is the table; a new format is a row.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.datasets import medmnist, tarball
from core.datasets.archive import unpack
from core.datasets.file_index import FileIndex, list_images
from core.datasets.folder import Folder, FolderOptions
from core.datasets.image_names import other_format
from core.datasets.level_words import SPLIT_WORDS
from core.datasets.levels import read_levels
from core.datasets.masks import find_masks
from core.datasets.mura import Mura, MuraOptions, is_mura
from core.datasets.npz import Npz
from core.datasets.phantom import PhantomConfig, PhantomSource
from core.datasets.source import Source
from core.datasets.table import Table, TableOptions
from core.datasets.table_files import find_plan
from core.datasets.table_places import TABLES, tables_below
from core.datasets.walk import subfolders, unwrap
from core.errors import LightboxError

ARCHIVES = (".zip", *tarball.SUFFIXES)
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Format:
    """A row of FORMATS.

    Args:
        title: what a person reads
        options: the class of its read options: a frozen dataclass of plain values, each with a default
        build: makes the source from a path and such options
    """

    title: str
    options: type
    build: Callable[[Path, Any], Source]


@dataclass(frozen=True)
class NpzOptions:
    """Read options of an .npz file in MedMNIST's layout: none, since the file itself says what it holds."""


def open_npz(path: Path) -> Source:
    """Open an .npz file: as one of the MedMNIST sets where its name is one of theirs, otherwise as its arrays say."""
    known = medmnist.set_of(path)
    return medmnist.MedMnist(path, known, str(path)) if known else Npz(path)


FORMATS: dict[str, Format] = {
    "folder": Format("Class folders", FolderOptions, Folder),
    "table": Format("Table and images", TableOptions, Table),
    "mura": Format("MURA layout", MuraOptions, Mura),
    "npz": Format(".npz file", NpzOptions, lambda path, options: open_npz(path)),
    "phantom": Format("Phantom radiographs", PhantomConfig, lambda path, options: PhantomSource(options)),
}


def format_of(name: str) -> Format:
    """Return a row of FORMATS. Raises LightboxError "custom.format" for an unknown one."""
    if name not in FORMATS:
        raise LightboxError("custom.format", f"There is no format called {name[:80]!r}.", f"Formats: {', '.join(FORMATS)}.")
    return FORMATS[name]


def is_archive(path: Path) -> bool:
    """Return whether a path is a file that has to be unpacked."""
    return path.name.lower().endswith(ARCHIVES) and path.is_file()


def detect_format(path: Path | str) -> tuple[str, Path]:
    """Return (format, path to read) of what lies at a path. A table inside a folder is found; a zip is unpacked first.

    Raises:
        LightboxError: "dataset.unknown" where nothing is there, "dataset.unsupported" for a file of another type,
            "table.which" for a folder with several tables, or what is wrong with a zip
    """
    try:
        path = Path(path).expanduser()
        if path.is_dir():
            return _detect_in_folder(path)
        if path.is_file():
            suffix = path.suffix.lower()
            if is_archive(path):
                return _detect_in_folder(unpack(path))
            if suffix == ".npz":
                return "npz", path
            if suffix in TABLES:
                return "table", path
            what, todo = other_format(path.name) or ("", "")
            raise LightboxError("dataset.unsupported", f"{path.name} is {f'a {what}, ' if what else ''}not in a supported "
                                "data set format.", f"{todo}{' ' if todo else ''}Give a folder with one subfolder per class, "
                                "a table (.csv, .tsv, .txt, .xlsx) with the names of image files, a .zip or .tar.gz of either, "
                                "or an .npz file in MedMNIST's layout.")
    except (OSError, ValueError) as error:      # a name too long or with a zero byte
        reason = getattr(error, "strerror", None) or "it has a character that no path can have"
        raise LightboxError("dataset.unknown", f"{str(path)[:200]!r} cannot be opened: {reason}.", "Check the path.") from error
    raise LightboxError("dataset.unknown", f"There is no folder or file {str(path)[:200]!r}.",
                        "Check the path; it may be on a disk that is not connected.")


def _detect_in_folder(path: Path) -> tuple[str, Path]:
    """Return the format of a folder. Tables that name its images come first; class folders stand on beside others."""
    if is_mura(path):
        return "mura", path
    plan = _plan(path)
    if plan:
        return "table", plan
    inner = unwrap(path)
    below = subfolders(inner)
    places = [path]                    # a download may be wrapped in folders that hold nothing else
    while len(places) < 5 and len(inside := subfolders(places[-1])) == 1:
        places.append(places[-1] / inside[0])
    arrays = [file for place in places for file in sorted(place.glob("*.npz"))]
    splits = any(len(subfolders(inner / name)) > 1 for name in below if name.lower() in SPLIT_WORDS)
    if len(below) < 2 and not splits and len(set(arrays)) == 1:
        return "npz", arrays[0]
    return "folder", path


def _plan(path: Path) -> Path | None:
    """Return the one table of a folder, or the folder where several are read together; None where none is of use."""
    tables = tables_below(path)
    if not tables:
        return None
    index = FileIndex(list_images(path))
    plan = find_plan(path, tables, lambda: index)
    if plan is None or plan.rank < 2 and _has_classes(path):
        return None
    return plan.parts[0][0] if len(plan.paths) == 1 else path


def _has_classes(path: Path) -> bool:
    """Return whether a level of folders is that of classes."""
    files = list_images(unwrap(path))
    helpers = find_masks(files).kind
    folders = Counter(tuple(file.rpartition("/")[0].split("/")) for file in files if "/" in file and file not in helpers)
    return any(level.role == "class" for level in read_levels(folders))


def parse_options(name: str, values: Mapping[str, Any]) -> Any:
    """Return the read options of a format with some fields set, from JSON or from words of a command line.

    Args:
        name: a row of FORMATS
        values: field -> value; a text is read as the field's type, a tuple of texts from a list or a text with commas

    Raises LightboxError "custom.format", "custom.option" for a field or a value that does not fit, or what the options refuse.

    >>> parse_options("folder", {"ordinal": "yes"}).ordinal
    True
    """
    chosen = format_of(name)
    fields = {f.name: f for f in dataclasses.fields(chosen.options)}
    parsed = {}
    for key, value in values.items():
        if key not in fields:
            raise LightboxError("custom.option", f"{chosen.title} has no option called {str(key)[:80]!r}.",
                                f"Options: {', '.join(fields) or 'none'}.")
        parsed[key] = _as_field(key, value, fields[key].default)
    return chosen.options(**parsed)


def options_to_json(options: Any) -> dict[str, Any]:
    """Return read options as JSON: only the fields that are not at their default."""
    default = type(options)()
    values = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
            if value != getattr(default, name)}


def _as_field(name: str, value: Any, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            values = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
            if not all(isinstance(part, (str, int, float)) for part in values):
                raise TypeError(values)
            return tuple(values)
        kind = type(default)
        if kind is bool and isinstance(value, str):
            return BOOLEANS[value.lower()]
        if kind in (int, float) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
            if kind(float(value)) != float(value):
                raise ValueError(value)
            return kind(float(value))
        if not isinstance(value, kind):
            raise TypeError(value)
        return value
    except (ValueError, TypeError, KeyError, OverflowError):
        raise LightboxError("custom.option", f"{name} is {str(value)[:80]!r}.", f"Expected a value like {default!r}.") from None
