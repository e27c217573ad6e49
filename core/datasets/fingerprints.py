"""Options of reading as a part of fingerprints, and what the listing of files tells: shared by folders, MURA and tables."""

from __future__ import annotations

import hashlib
from dataclasses import field, fields
from typing import Any

from core.datasets.walk import ListedFile


def later(default: Any) -> Any:
    """Return a field of read options that came after the first stores: at its default it is in no fingerprint."""
    return field(default=default, metadata={"later": True})


def skipped_files(files: list[ListedFile]) -> list[dict]:
    """Return the files that cannot be used, as `Index.skipped` has them."""
    return [{"path": f.path.encode("utf-8", "replace").decode(), "reason": f.fault} for f in files if f.fault]


def left_out_note(count: int) -> list[str]:
    """Return a note about files that are no images by their names, or nothing."""
    many = "files were left out: by their names they are" if count > 1 else "file was left out: by its name it is"
    return [f"{count:,} {many} not {'images' if count > 1 else 'an image'}."] if count else []


def options_text(options: object) -> str:
    """Return read options as text for a fingerprint.

    Their classes were called ...Reading when the first stores were made, and the keys of those stores must not change: a field
    made by `later` stands there only where it is not at its default.

    >>> from core.datasets.folder import FolderOptions
    >>> options_text(FolderOptions())
    "FolderReading(pattern='', ordinal=False)"
    """
    values = [(f, getattr(options, f.name)) for f in fields(options)]
    shown = (f"{f.name}={value!r}" for f, value in values if not (f.metadata.get("later") and value == f.default))
    return f"{type(options).__qualname__}({', '.join(shown)})".replace("Options(", "Reading(", 1)


def fingerprint_of(files: list[ListedFile], options: object, key: str = "") -> str:
    """Return the SHA-256 over name, size and time of change of every file, and over the read options (a dataclass)."""
    lines = "\n".join([options_text(options) + key, *(f"{f.path}\t{f.size}\t{f.changed}" for f in files)])
    return hashlib.sha256(lines.encode("utf-8", "replace")).hexdigest()
