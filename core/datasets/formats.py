"""The kinds of places where a person's own images lie: how each is recognised, what there is to say about it, who reads it.

KINDS is the table; a new kind is a row. What a row needs is imported when it is used, so that a list of sets stays quick.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.datasets.source import Source
from core.errors import LightboxError

TABLES = (".csv", ".tsv", ".txt")
ARCHIVES = (".zip",)


@dataclass(frozen=True)
class Kind:
    """A row of KINDS.

    Args:
        title: what a person reads
        load: gives the reading (a frozen dataclass of plain values, each with a default) and the builder of the source
    """

    title: str
    load: Callable[[], tuple[type, Callable[[Path, Any], Source]]]

    @property
    def reading(self) -> type:
        return self.load()[0]

    def build(self, path: Path, reading: Any) -> Source:
        return self.load()[1](path, reading)


@dataclass(frozen=True)
class NpzReading:
    """An .npz file in MedMNIST's layout says itself how it is read."""


def _folder() -> tuple:
    from core.datasets.folder import Folder, FolderReading
    return FolderReading, Folder


def _table() -> tuple:
    from core.datasets.table import Table, TableReading
    return TableReading, Table


def _mura() -> tuple:
    from core.datasets.mura import Mura, MuraReading
    return MuraReading, Mura


def _npz() -> tuple:
    return NpzReading, lambda path, reading: open_npz(path)


def _phantom() -> tuple:
    from core.datasets.phantom import PhantomConfig, PhantomSource
    return PhantomConfig, lambda path, reading: PhantomSource(reading)


KINDS: dict[str, Kind] = {
    "folder": Kind("Class folders", _folder),
    "table": Kind("Table and images", _table),
    "mura": Kind("MURA layout", _mura),
    "npz": Kind(".npz file", _npz),
    "phantom": Kind("Phantom radiographs", _phantom),
}


def open_npz(path: Path) -> Source:
    """An .npz file: one of the MedMNIST sets where it is called like one and fits, otherwise what its arrays say."""
    from core.datasets import medmnist
    from core.datasets.npz import Npz
    known = medmnist.set_of(path)
    return medmnist.MedMnist(path, known, str(path)) if known else Npz(path)


def find(path: Path | str) -> tuple[str, Path]:
    """(kind, path to read) of what lies at a path: a table inside a folder is found, a zip is unpacked first.

    Raises:
        LightboxError: "dataset.unknown" where nothing is there, "dataset.unsupported" for a file of another kind,
            "table.which" for a folder with several tables, or what is wrong with a zip
    """
    try:
        path = Path(path).expanduser()
        if path.is_dir():
            return _find_in_folder(path)
        if path.is_file():
            ending = path.suffix.lower()
            if ending in ARCHIVES:
                from core.datasets.archive import unpack
                return _find_in_folder(unpack(path))
            if ending == ".npz":
                return "npz", path
            if ending in TABLES:
                return "table", path
            raise LightboxError("dataset.unsupported", f"{path.name} is not a kind of data set that is read.",
                                "Give a folder with one subfolder for each class, a table (.csv, .tsv, .txt) with the names of "
                                "image files, a .zip of either, or an .npz file in MedMNIST's layout.")
    except (OSError, ValueError) as error:      # a name too long or with a zero byte
        reason = getattr(error, "strerror", None) or "it holds a sign that no path can have"
        raise LightboxError("dataset.unknown", f"{str(path)[:200]!r} cannot be opened: {reason}.", "Check the path.") from error
    raise LightboxError("dataset.unknown", f"There is no folder or file {str(path)[:200]!r}.",
                        "Check the path; it may lie on a disk that is not connected.")


def _find_in_folder(path: Path) -> tuple[str, Path]:
    from core.datasets.folder import SPLIT_FOLDERS, subfolders, unwrap
    from core.datasets.mura import is_mura
    if is_mura(path):
        return "mura", path
    inner = unwrap(path)
    below = subfolders(inner)
    parts = [inner / name for name in below if name.lower() in SPLIT_FOLDERS]
    if any(len(subfolders(part)) > 1 for part in parts):
        return "folder", path
    places = [path]                    # a download may be wrapped into folders that hold nothing else
    while len(places) < 5 and len(inside := subfolders(places[-1])) == 1:
        places.append(places[-1] / inside[0])
    files = next(filter(None, map(_readable, places)), [])      # the outermost of them that holds any
    tables = [file for file in files if file.suffix.lower() in TABLES]
    arrays = [file for file in files if file.suffix.lower() == ".npz"]
    if len(tables) == 1:
        return "table", tables[0]
    if len(below) < 2 and tables:
        raise LightboxError("table.which", f"In {path} there are {len(tables)} tables: "
                            f"{', '.join(file.name for file in tables[:8])}.", "Give the path of the one with the labels.")
    if len(below) < 2 and len(arrays) == 1:
        return "npz", arrays[0]
    return "folder", path


def _readable(folder: Path) -> list[Path]:
    """The tables and .npz files in a folder, sorted; a .txt only where no other table is."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix.lower() in (*TABLES, ".npz")
                   and not file.name.lower().startswith((".", "readme", "licen")))
    return [file for file in files if file.suffix.lower() != ".txt"] or files


def reading_from(kind: str, values: Mapping[str, Any]) -> Any:
    """The reading of a kind with some fields changed, from JSON or from words of a command line.

    Args:
        kind: a row of KINDS
        values: field -> value; a text is read as the field's type, a tuple of texts from a list or from text with commas

    Raises LightboxError "own.kind", "own.reading" for a field or a value that does not fit, or what the reading itself refuses.
    """
    if kind not in KINDS:
        raise LightboxError("own.kind", f"There is no kind of set called {kind[:80]!r}.", f"There are: {', '.join(KINDS)}.")
    reading = KINDS[kind].reading
    fields = {f.name: f for f in dataclasses.fields(reading)}
    taken = {}
    for name, value in values.items():
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise LightboxError("own.reading", f"{KINDS[kind].title} has no setting called {str(name)[:80]!r}.",
                                f"There are: {known}.")
        taken[name] = _as_field(name, value, fields[name].default)
    return reading(**taken)


def reading_to(reading: Any) -> dict[str, Any]:
    """A reading as JSON: only the fields that are not at their default."""
    default = type(reading)()
    facts = {f.name: getattr(reading, f.name) for f in dataclasses.fields(reading)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()
            if value != getattr(default, name)}


def _as_field(name: str, value: Any, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is tuple:
            values = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
            if not all(isinstance(part, (str, int, float)) for part in values):
                raise TypeError(values)
            return tuple(values)
        if kind is bool and isinstance(value, str):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
        if kind in (int, float) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
            if kind(float(value)) != float(value):
                raise ValueError(value)
            return kind(float(value))
        if not isinstance(value, kind):
            raise TypeError(value)
        return value
    except (ValueError, TypeError, KeyError, OverflowError):
        raise LightboxError("own.reading", f"{name} is {str(value)[:80]!r}.", f"It must be like {default!r}.") from None
