"""Where images lie that were moved: a saved data set and a run name the old place for ever, and here stands the new one.

    LIGHTBOX_HOME/moved.json      {"/old/place": "/new/place"}, for folders and files, and all that lies below them
"""

from __future__ import annotations

from pathlib import Path

from core.config import home
from core.errors import LightboxError
from core.files import Damaged, Lock, disk_errors, read_json, write_json


def is_there(path: Path) -> bool:
    """Return whether something is at a path; False for one that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def where(path: Path) -> Path:
    """Return where the images of a path lie now: there, or in the place to which they were moved."""
    if is_there(path):
        return path
    moved = _read()
    for part in (path, *path.parents):
        if str(part) in moved:
            place = Path(moved[str(part)]) / path.relative_to(part)
            return place if is_there(place) else path
    return path


def is_gone(path: Path) -> bool:
    """Return whether nothing is at a path, nor at the place to which it was moved."""
    return not is_there(where(path))


def note_moved(old: Path | str, new: Path | str) -> None:
    """Note that what was at `old` is at `new` now. Raises LightboxError "moved.there" or "moved.nowhere"."""
    old, new = Path(old).expanduser().absolute(), Path(new).expanduser().absolute()
    if is_there(old):
        raise LightboxError("moved.there", f"{old} is still there.", "Only what is gone can be pointed to another place.")
    if not is_there(new):
        raise LightboxError("moved.nowhere", f"There is no folder or file {str(new)[:200]}.", "Check the path.")
    file = home() / "moved.json"
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with Lock(file.with_suffix(".lock")):
            write_json(file, _read() | {str(old): str(new)})


def _read() -> dict[str, str]:
    """A damaged file says nothing: then the images are gone, which is said where they are wanted."""
    try:
        return read_json(home() / "moved.json", {"*": str})
    except (FileNotFoundError, Damaged):
        return {}
