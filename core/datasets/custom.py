"""Sets that a person has added: a name, where the images lie and how they are read. The images stay where they are.

    LIGHTBOX_HOME/sets/<name>.json      {"title": ..., "kind": ..., "path": ..., "reading": {...}, "found": {...}}

A set is never changed once it is saved: a run that names it means the same images for ever. Another reading is another set.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config import home
from core.errors import LightboxError
from core.files import Lock, disk_errors, write_json

NAME = re.compile(r"[a-z0-9-]{1,60}")
MAX_BYTES = 1_000_000      # of a description: a few hundred bytes are usual


@dataclass(frozen=True)
class OwnSet:
    """What a person has said about images of their own.

    Args:
        name: its address, [a-z0-9-]{1,60}, other than those of DATASETS
        title: what a person reads, up to 100 characters
        kind: a row of `core.datasets.formats.KINDS`
        path: absolute; "" where the images are made and not read
        reading: fields of the kind's reading, as JSON
        found: what was there when it was added, for lists: "task", "class_names", "counts" (split -> images). It may have changed
            since, and does not make another set
    """

    name: str
    title: str
    kind: str
    path: str
    reading: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict, compare=False)


def save_own(own: OwnSet) -> None:
    """Keep a set under its name.

    Raises LightboxError "own.name" for a name that is none, "own.exists" where another set has it (the same set again is no
    mistake), "own.kind" for an unknown kind, or "disk.full".
    """
    from core.datasets import DATASETS
    from core.datasets.formats import KINDS
    if not NAME.fullmatch(own.name):
        raise LightboxError("own.name", f"{own.name[:80]!r} cannot be the name of a set.",
                            "Use up to 60 small letters, digits and hyphens.")
    if own.name in DATASETS:
        raise LightboxError("own.exists", f"A set that comes with Lightbox is called {own.name}.", "Choose another name.")
    if own.kind not in KINDS:
        raise LightboxError("own.kind", f"There is no kind of set called {own.kind!r}.", f"There are: {', '.join(KINDS)}.")
    own = dataclasses.replace(own, title=" ".join(own.title.split())[:100] or own.name)
    file = _file(own.name)
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with Lock(file.parent / "sets.lock"):
            there = load_own(own.name) if file.exists() else None
            if there and there != OwnSet(**json.loads(json.dumps(vars(own)))):
                raise LightboxError("own.exists", f"There is already a set called {own.name}: {there.title}.",
                                    "Choose another name, or remove that set first.")
            if not there:
                write_json(file, {key: value for key, value in vars(own).items() if key != "name"})


def list_own() -> list[OwnSet]:
    """All sets that were added, by title. A description that was damaged is left out; `load_own` says what is wrong with it."""
    found = []
    for file in (home() / "sets").glob("*.json"):
        try:
            found.append(load_own(file.stem))
        except LightboxError:
            continue
    return sorted((own for own in found if own), key=lambda own: (own.title.lower(), own.name))


def load_own(name: str) -> OwnSet | None:
    """The set of a name; None where nobody has added one. Raises LightboxError "own.damaged"."""
    if not NAME.fullmatch(name):
        return None
    file = _file(name)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError("too long")
        facts = json.loads(file.read_bytes())
        texts = [facts[key] for key in ("title", "kind", "path")]
        reading, found = facts["reading"], facts.get("found", {})
        if not all(isinstance(text, str) for text in texts) or not isinstance(reading, dict) or not isinstance(found, dict):
            raise TypeError("wrong kinds of values")
        return OwnSet(name, *texts, reading, found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LightboxError("own.damaged", f"The description of the set {name} cannot be read.",
                            "Remove the set and add its images again; they are still where they were.") from error


def remove_own(name: str) -> None:
    """Forget a set. Only its description goes, never an image. Raises LightboxError "own.unknown"."""
    file = _file(name)
    if not NAME.fullmatch(name) or not file.exists():
        raise LightboxError("own.unknown", f"There is no set called {name[:80]!r}.", "It may have been removed already.")
    file.unlink(missing_ok=True)


def free_name(title: str) -> str:
    """A name for a title that no set has yet: "My knees!" -> "my-knees", or "my-knees-2" where that is taken."""
    from core.datasets import DATASETS
    stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50].strip("-") or "images"
    name, n = stem, 1
    while name in DATASETS or _file(name).exists():
        n += 1
        name = f"{stem}-{n}"
    return name


def _file(name: str) -> Path:
    return home() / "sets" / f"{name}.json"
