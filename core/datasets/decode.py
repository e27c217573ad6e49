"""Decoding: the one door for images. Bytes come out as plain uint8 pixels, or as one clear sentence.

The store decodes training images here and the classify page decodes a dropped file here, so both follow the same rules, whatever
the format (docs/formats.md has each format, depth and kind of colour):

    format       by the first bytes, never by the name
    size         read from the header and bounded before anything is decoded
    frames       the first one, unless another is asked for
    orientation  turned upright as the camera noted it (EXIF)
    depth        8 bits stay as they are; more are scaled linearly, by the file's own window or by a range of its values
    alpha        laid over black
    palette, CMYK and other colour spaces become RGB
    gray         a colour image whose three channels are equal is gray

Everything that was done to an image is in its notes. All of it happens in worker processes with limits (core/decoding/pool.py):
what a person brings may end one of those, never this process.
"""

from __future__ import annotations

import contextlib
import stat
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.decoding.note import MAX_BYTES, MAX_PIXELS, Note, too_large
from core.decoding.pool import pool
from core.errors import LightboxError

__all__ = ["MAX_BYTES", "MAX_PIXELS", "DecodedImage", "collect_notes", "count_frames", "decode_image", "read_file", "split_frame",
           "warm"]


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A decoded image.

    Args:
        pixels: (H, W, C) uint8, C = 1 gray or 3 red, green, blue; upright
        notes: how the file's values were converted, in plain sentences with a `code` each; empty for an ordinary 8-bit image
    """

    pixels: np.ndarray
    notes: tuple[Note, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames the file has that can be asked for."""
        return max((int(note.facts.get("frames", 1)) for note in self.notes), default=1)

    @property
    def values(self) -> tuple[float, float] | None:
        """The least and the most of the file's values, where it has more than 8 bits: `intensity` matters. None elsewhere."""
        return next(((note.facts["least"], note.facts["most"]) for note in self.notes if "least" in note.facts), None)


def decode_image(data: bytes | Path, *, intensity: str = "", window: tuple[float, float] | None = None,
                 frame: int = 0) -> DecodedImage:
    """Decode an image file by the rules above.

    Args:
        data: the file's bytes, or its path; x.dcm#frame=2 is the second frame of x.dcm
        intensity: for more than 8 bits: "" as the file asks, else by its range; "percentiles" (0.1 and 99.9); "whole range";
            a window as text, "40 400"; "own window", which takes `window`
        window: (centre, width) in the file's values
        frame: which one of several, from 0

    Raises:
        LightboxError:
            "image.not_an_image": the content is not an image, whatever its name
            "image.unsupported": a format or variant that is not read, such as PDF
            "image.broken": damaged or cut off
            "image.no_pixels": a DICOM file without an image
            "image.no_frame", "image.option": what was asked for does not exist
            "image.too_large": more than MAX_PIXELS or MAX_BYTES, or more memory than decoding may have
            "image.too_slow", "image.crashed": the worker had to be ended, or ended itself
            "image.unreadable": the file does not exist or may not be opened
    """
    request = {"path": None, "bytes": 0, "intensity": intensity, "window": window, "frame": frame}
    if isinstance(data, Path):
        data, number = split_frame(data)
        request["frame"] = number or frame
        _check_file(data, MAX_BYTES)
        answer, pixels = pool().ask(request | {"path": str(data.absolute())})
    else:
        if len(data) > MAX_BYTES:
            raise too_large(f"The file has {len(data) / 1e6:,.0f} MB")
        answer, pixels = pool().ask(request | {"bytes": len(data)}, data)
    if pixels is None:
        raise LightboxError(*answer["error"])
    notes = tuple(Note(code, sentence, **facts) for code, sentence, facts in answer["notes"])
    for taken in getattr(_collected, "lists", ()):
        taken.extend(notes)
    return DecodedImage(pixels, notes)


_collected = threading.local()


@contextlib.contextmanager
def collect_notes() -> Iterator[list[Note]]:
    """Collect the notes of all images that this thread decodes inside, for who gets pixels only."""
    notes: list[Note] = []
    _collected.lists = (*getattr(_collected, "lists", ()), notes)
    try:
        yield notes
    finally:
        _collected.lists = _collected.lists[:-1]


def warm() -> None:
    """Start a worker where there is none, without waiting for it, so that the first file need not wait either."""
    pool().warm()


def read_file(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. A folder, a pipe or a device is refused before it is opened."""
    _check_file(path, limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _check_file(path: Path, limit: int) -> None:
    try:
        facts = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(facts.st_mode):
        raise LightboxError("image.unreadable", f"{path.name} is not a file.", "Choose an image file.")
    if facts.st_size > limit:
        raise too_large(f"The file has {facts.st_size / 1e6:,.0f} MB")


def _unreadable(path: Path, error: Exception) -> LightboxError:
    reason = getattr(error, "strerror", None) or str(error)
    return LightboxError("image.unreadable", f"{path.name} cannot be opened: {reason}.",
                         "Check that it exists and that you may read it.")


FRAME = "#frame="


def split_frame(path: Path) -> tuple[Path, int]:
    """Return the file of a path and the number of the frame that it names, from 0.

    >>> split_frame(Path("x.dcm#frame=3"))[1], split_frame(Path("x.dcm"))[1]
    (2, 0)
    """
    name, mark, number = path.name.rpartition(FRAME)
    return (path.with_name(name), max(0, int(number) - 1)) if mark and name and number.isdecimal() else (path, 0)


FRAMES = (b"\x28\x00\x08\x00IS", b"\x28\x00\x08\x00", b"\x00\x28\x00\x08IS")     # NumberOfFrames: explicit, implicit, big-endian
HEAD = 65_536


def count_frames(path: Path) -> int:
    """Return how many frames a DICOM file has, by its first 64 kB, without decoding: for lists of many files.

    1 for every other file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):      # opening a pipe would wait for ever
            return 1
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return 1
    if head[128:132] != b"DICM":
        return 1
    for mark in FRAMES:
        at = head.find(mark)
        if at < 0:
            continue
        form, start = (">H", at + 6) if mark[0] == 0 else ("<H", at + 6) if mark.endswith(b"IS") else ("<I", at + 4)
        length = struct.unpack_from(form, head.ljust(HEAD + 16, b"\0"), start)[0]
        text = head[start + struct.calcsize(form):][:length].strip(b" \0")
        if length <= 12 and text.isdigit():
            return max(1, int(text))
    return 1
