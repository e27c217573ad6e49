"""What people think of single images: mislabelled, unclear or interesting, with a note.

Kept for each data set.

A wrong label, an unreadable film or a fine example is a fact about the image, whatever network stumbled over
it. So marks belong to the set, and every run on it shows them.

    LIGHTBOX_HOME/marks/<set>.json    {"dataset": ..., "marks": {image_id: {"kind": ..., "note": ..., "changed": ...}}}
                        <set>.lock    held while a mark is written

Each change reads the file anew under the lock and replaces it in one step: of two tabs that mark at the same
moment, both marks stay; of two that change the same thing of the same image, the later one.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from core.config import home
from core.errors import LightboxError
from core.files import Damaged, Lock, disk_errors, read_json, to_csv, write_json
from core.files.shapes import TIME

KINDS = {"mislabelled": "Mislabelled", "unclear": "Unclear", "interesting": "Interesting"}
NOTE_LENGTH = 500                                    # characters
SHAPE = {"marks": {"*": {"kind": ("", *KINDS), "note": str, "label?": str, "changed": TIME}}}
COLUMNS = ("dataset", "image_id", "mark", "note", "label", "changed")


@dataclass(frozen=True)
class Mark:
    """kind: a key of KINDS, or "" for a note alone; changed: seconds since 1970; label: the right class,
    several findings joined by "|", "" where nobody said."""
    kind: str = ""
    note: str = ""
    changed: float = 0.0
    label: str = ""


def marks_file(dataset: str, root: Path | None = None) -> Path:
    """Return the file of a set.

    `dataset` may be a path: the end of its name is shown, a hash tells it from others.
    """
    name = re.sub(r"[^A-Za-z0-9-]+", "_", Path(dataset).name)[:40]
    return Path(root or home()) / "marks" / f"{name}-{hashlib.sha256(dataset.encode()).hexdigest()[:8]}.json"


def read_marks(dataset: str, root: Path | None = None) -> dict[str, Mark]:
    """Return image_id -> its mark, in the order in which they were first made.

    Raises LightboxError "marks.damaged": the file is there and cannot be read. It is then never written over.
    """
    path = marks_file(dataset, root)
    try:
        stored = read_json(path, SHAPE)["marks"]
        return {image_id: Mark(m["kind"], m["note"], float(m["changed"]), m.get("label", ""))
                for image_id, m in stored.items()}
    except FileNotFoundError:
        return {}
    except Damaged:
        raise LightboxError("marks.damaged", f"The marks of this set in {path} cannot be read.",
                            "Put the file back from a copy, or move it away to start again.") from None


def put_mark(dataset: str, image_id: str, kind: str | None = None, note: str | None = None,
             root: Path | None = None, label: str | None = None) -> Mark:
    """Mark an image, write a note or the right label; what is None stays as it is.

    "" for all takes the mark away.

    Returns what stands there now. Raises LightboxError "marks.kind", "marks.note", "marks.damaged",
    "disk.full".
    """
    if kind and kind not in KINDS:
        raise LightboxError("marks.kind", f"{kind[:40]!r} is not a mark.", f"It can be {', '.join(KINDS)}.")
    if note is not None and len(note) > NOTE_LENGTH:
        raise LightboxError("marks.note", f"The note has {len(note):,} characters.", f"It may have {NOTE_LENGTH:,}.")
    path = marks_file(dataset, root)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with Lock(path.with_suffix(".lock")):
        marks = read_marks(dataset, root)
        before = marks.get(image_id, Mark())
        mark = Mark(before.kind if kind is None else kind, before.note if note is None else note.strip(),
                    time.time(), before.label if label is None else label)
        if mark.kind or mark.note or mark.label:
            marks[image_id] = mark
        else:
            marks.pop(image_id, None)
        write_json(path, {"dataset": dataset, "marks": {name: asdict(m) for name, m in marks.items()}})
    return mark


def marks_csv(dataset: str, root: Path | None = None) -> str:
    """Return all marks of a set as CSV with the columns COLUMNS; `changed` in UTC.

    Raises LightboxError "marks.damaged".
    """
    return to_csv(COLUMNS, [(dataset, image_id, mark.kind, mark.note, mark.label,
                             time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(mark.changed)))
                            for image_id, mark in read_marks(dataset, root).items()])
