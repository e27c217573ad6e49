"""What the tests of layouts share: folders written in a line, read as the command line does, and compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import cv2
import numpy as np

from core.config import DataConfig
from core.datasets import open_source
from core.datasets.archive import unpack
from core.datasets.scan import ScanResult, scan_source
from core.errors import LightboxError

CASES = Path(os.environ.get("LIGHTBOX_TEST_CASES") or Path(__file__).parents[2] / "shared" / "cases")
PIXELS = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (24, 24), np.uint8))[1].tobytes()


def read(path: Path) -> ScanResult:
    """Return what `python -m core datasets PATH --json` prints. Raises LightboxError."""
    source = open_source(DataConfig(str(path)))
    if source is None:
        unpack(Path(path))
        source = open_source(DataConfig(str(path)))
    return scan_source(source)


def read_json(path: Path) -> tuple[dict, LightboxError | None]:
    """Return that as JSON, or {} and the error."""
    try:
        return json.loads(json.dumps(read(path).to_json())), None
    except LightboxError as error:
        return {}, error


def layout(root: Path, images: str | list[str], **tables: str | bytes) -> Path:
    """Write images (names with blanks between, or a list) and tables (labels__csv="...") into a folder and return it."""
    for name in images.split() if isinstance(images, str) else images:
        texts(root, {name: PIXELS})
    texts(root, {name.replace("__", "."): text for name, text in tables.items()})
    return root


def texts(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write files, path below `root` -> content."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def rows(header: str, lines) -> str:
    """Return a table's text: the header, then each line (a text, or cells)."""
    return "\n".join([header, *(line if isinstance(line, str) else ",".join(map(str, line)) for line in lines)]) + "\n"


def run_alone(code: str, *arguments: Path) -> list[float]:
    """Run Python code that prints numbers, in a process of its own; return these, then its processor time in seconds and the
    most memory that it had, in MB. Not ru_maxrss: a child inherits that of whoever started it."""
    ending = ("\nimport time; from pathlib import Path as P"
              "\nprint(time.process_time(), int(P('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) / 1024)")
    done = subprocess.run([sys.executable, "-c", code + ending, *map(str, arguments)], cwd=Path(__file__).parents[1],
                          capture_output=True, text=True, check=True)
    return list(map(float, done.stdout.split()))


def classes_of(found: dict) -> list[str]:
    target = next(iter(found["targets"].values()))
    return [name for name in target["counts"] if name != "total"]


def _plain(names) -> set[str]:
    return {unicodedata.normalize("NFC", str(name)) for name in names}


def _splits(found: dict) -> set[str]:
    """Return the splits with an image: the counts of every target have them as columns."""
    total = next(iter(found["targets"].values()))["counts"]["total"]
    return {split for split, count in total.items() if split in ("train", "val", "test") and count}


def _words(found: dict) -> str:
    return " ".join([*found["notes"], *(one["text"] for one in found["understood"])])


# key of EXPECT.json -> whether the reading `found` is what is wanted
CHECKS = {
    "images": lambda found, wanted: found["images"] == wanted,
    "images_any": lambda found, wanted: found["images"] in wanted,
    "classes": lambda found, wanted: _plain(classes_of(found)) == _plain(wanted),
    "classes_any": lambda found, wanted: any(_plain(classes_of(found)) == _plain(one) for one in wanted),
    "findings": lambda found, wanted: _plain(classes_of(found)) == _plain(wanted),
    "order": lambda found, wanted: classes_of(found) == list(wanted),
    "task": lambda found, wanted: next(iter(found["targets"].values()))["task"] == wanted,
    "task_hint": lambda found, wanted: (next(iter(found["targets"].values()))["task"] == wanted
                                        or any("ordinal" in one["text"] + one["option"] for one in found["understood"])),
    "patients": lambda found, wanted: found["patients"] == wanted,
    "patients_in": lambda found, wanted: found["patients"] in wanted,
    "splits": lambda found, wanted: _splits(found) == set(wanted),
    "split_counts": lambda found, wanted: wanted == {
        split: count for split, count in next(iter(found["targets"].values()))["counts"]["total"].items() if split != "total"},
    "counts": lambda found, wanted: wanted == {
        name: row["total"] for name, row in next(iter(found["targets"].values()))["counts"].items() if name in wanted},
    "note": lambda found, wanted: bool(found["notes"]) if wanted is True else wanted.lower() in _words(found).lower(),
    "no_note": lambda found, wanted: wanted.lower() not in _words(found).lower(),
    "codes": lambda found, wanted: set(wanted) <= {one["code"] for one in found["understood"]},
    "left_out": lambda found, wanted: wanted.items() <= found["left_out"].items(),
    "label_not": lambda found, wanted: not any("offset" in target["title"] and len(target["counts"]) > 4
                                               for target in found["targets"].values()),
    "message_or": lambda found, wanted: found["images"] == wanted or bool(found["notes"] or found["understood"]),
}
UNCHECKED = {"why", "path", "path2", "message", "audit", "error"}


def differences(path: Path, expect: dict) -> list[str]:
    """Return what is read otherwise than a person expects, one line each; none where all is right.

    Args:
        expect: keys of CHECKS; "message": True allows a LightboxError where "path2" is then read; "error": the code wanted
    """
    unknown = set(expect) - set(CHECKS) - UNCHECKED
    assert not unknown, f"unknown keys {unknown}"
    found, error = read_json(path / expect["path"] if "path" in expect else path)
    if "error" in expect:
        return [] if error and error.code == expect["error"] else [f"error: {error!r}, expected {expect['error']}"]
    if error and expect.get("message") and "path2" in expect:
        found, error = read_json(path / expect["path2"])
    elif error and (expect.get("message") or "message_or" in expect or expect.get("images") == 0):
        return [] if error.hint else [f"the error {error} says not what to do"]
    if error:
        return [f"not read: {error.code}: {error}"]
    wrong = []
    for key, wanted in expect.items():
        if key in CHECKS and not CHECKS[key](found, wanted):
            wrong.append(f"{key}: expected {wanted!r}, found "
                         f"{ {k: v for k, v in found.items() if k != 'skipped'} }")
    return wrong
