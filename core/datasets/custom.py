"""Custom data sets: a name, where the images lie and with which options they are read. The images stay where they are.

    LIGHTBOX_HOME/sets/<name>.json      {"title": ..., "kind": ..., "path": ..., "reading": {...}, "found": {...},
                                         "labels": {"map": ..., "positive": ..., "target": ...}}

A saved data set never changes: a run that names it means the same images for ever. Other read options are another data set.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config import home
from core.datasets.formats import format_of, parse_options
from core.datasets.labels import AS_STORED
from core.datasets.registry import DATASETS
from core.errors import LightboxError
from core.files import Damaged, Lock, disk_errors, read_json, write_json
from core.files.shapes import fit_shape

NAME = re.compile(r"[a-z0-9-]{1,60}")
MAX_BYTES = 1_000_000      # of a description: a few hundred bytes are usual
COUNT = range(10**12)
SHAPE = {"title": str, "kind": str, "path": str, "reading": dict, "found?": dict,
         "labels?": {"map": str, "positive": str, "target": str}}
SUMMARY = {"task?": str, "class_names?": list[str], "counts?": dict[str, COUNT]}
AS_GUESSED = {"map": "", "positive": "", "target": ""}
OLD = AS_GUESSED | {"positive": AS_STORED}
KEYS = {"title": "title", "format": "kind", "path": "path", "options": "reading", "summary": "found",
        "labels": "labels"}      # field -> JSON key


@dataclass(frozen=True)
class CustomDataset:
    """A data set that a person has added.

    Args:
        name: its address, [a-z0-9-]{1,60}, other than those of DATASETS
        title: what a person reads, up to 100 characters
        format: a row of `core.datasets.formats.FORMATS`
        path: absolute; "" where the images are generated and not read
        options: fields of the format's read options, as JSON
        summary: what was there when it was added, for lists: "task", "class_names", "counts" (split -> images). The files may
            have changed since; it is no part of what the data set is
        labels: how the classes of one target are edited: "map" and "positive" as in `core.datasets.labels.read_labels`,
            "target" ("" is the first); a set that was added before there was such a thing has its classes as stored
    """

    name: str
    title: str
    format: str
    path: str
    options: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict, compare=False)
    labels: dict[str, str] = field(default_factory=lambda: dict(AS_GUESSED))

    def to_json(self) -> dict[str, Any]:
        """Return what its file holds."""
        return json.loads(json.dumps({key: getattr(self, name) for name, key in KEYS.items()}))

    @staticmethod
    def from_json(name: str, values: dict[str, Any]) -> CustomDataset:
        """Read what `to_json` gave. Raises Damaged for anything else; a summary that is damaged is left out."""
        values = fit_shape(values, SHAPE)
        try:
            found = fit_shape(values.get("found", {}), SUMMARY)
        except Damaged:
            found = {}
        if not values["title"].strip() or "\0" in values["path"]:
            raise Damaged("a title or a path is empty")
        values = {"labels": OLD} | values | {"found": found}
        return CustomDataset(name, **{field: values[key] for field, key in KEYS.items()})


def save_custom_dataset(custom: CustomDataset) -> None:
    """Save a data set under its name. Saving the same one again is no mistake.

    Raises LightboxError "custom.name" for an invalid name, "custom.exists" where another data set has it, "custom.format" for an
    unknown format, or "disk.full".
    """
    if not NAME.fullmatch(custom.name):
        raise LightboxError("custom.name", f"{custom.name[:80]!r} cannot be the name of a data set.",
                            "Use up to 60 lower-case letters, digits and hyphens.")
    if custom.name in DATASETS:
        raise LightboxError("custom.exists", f"A built-in data set is called {custom.name}.", "Choose another name.")
    format_of(custom.format)
    custom = dataclasses.replace(custom, title=" ".join(custom.title.split())[:100] or custom.name)
    file = _file(custom.name)
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with Lock(file.parent / "sets.lock"):
            saved = load_custom_dataset(custom.name) if file.exists() else None
            if saved is None:
                write_json(file, custom.to_json())
            elif saved != CustomDataset.from_json(custom.name, custom.to_json()):
                raise LightboxError("custom.exists", f"There is already a data set called {custom.name}: {saved.title}.",
                                    "Choose another name, or remove that data set first.")


def list_custom_datasets() -> list[CustomDataset]:
    """Return all data sets that were added, by title. Damaged ones are left out: `damaged_custom_datasets` says why."""
    return sorted((one for one in _all().values() if isinstance(one, CustomDataset)),
                  key=lambda custom: (custom.title.lower(), custom.name))


def damaged_custom_datasets() -> dict[str, LightboxError]:
    """Return name -> what is wrong with it, for each that `list_custom_datasets` leaves out."""
    return {name: one for name, one in sorted(_all().items()) if isinstance(one, LightboxError)}


def _all() -> dict[str, CustomDataset | LightboxError]:
    found = {}
    for file in (home() / "sets").glob("*.json"):
        try:
            custom = load_custom_dataset(file.stem)
            if custom:
                parse_options(custom.format, custom.options)      # an option that there is not, a format that there is not
                found[file.stem] = custom
        except LightboxError as error:
            found[file.stem] = error
    return found


def load_custom_dataset(name: str) -> CustomDataset | None:
    """Return the data set of a name; None where nobody has added one. Raises LightboxError "custom.damaged"."""
    if not NAME.fullmatch(name):
        return None
    file = _file(name)
    try:
        return CustomDataset.from_json(name, read_json(file, SHAPE, MAX_BYTES))
    except FileNotFoundError:
        return None
    except Damaged as error:
        raise LightboxError("custom.damaged", f"The description of the data set {name} cannot be read.",
                            "Remove the data set and add its images again; they are still where they were.") from error


def remove_custom_dataset(name: str) -> None:
    """Remove a data set from the list. Only its description goes, never an image. Raises LightboxError "custom.unknown"."""
    file = _file(name)
    if not NAME.fullmatch(name) or not file.exists():
        raise LightboxError("custom.unknown", f"There is no data set called {name[:80]!r}.", "It may have been removed already.")
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise LightboxError("custom.unknown", f"{file} cannot be removed: {error.strerror}.", "Remove it by hand.") from error


def free_name(title: str) -> str:
    """Return a name for a title that no data set has yet: "My knees!" -> "my-knees", or "my-knees-2" where that is taken."""
    stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50].strip("-") or "images"
    name, n = stem, 1
    while name in DATASETS or _file(name).exists():
        n += 1
        name = f"{stem}-{n}"
    return name


def _file(name: str) -> Path:
    return home() / "sets" / f"{name}.json"
