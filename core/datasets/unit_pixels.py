"""The pixels of studies and patients: their images side by side, (S, V S), made once from the store of the images.

    LIGHTBOX_HOME/stores/<key>/images.npy      (U, S, V S, C) uint8

N images, U units, V views of a unit at most, S pixels a side, C channels.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.config import DataConfig
from core.datasets.dataset import Dataset
from core.datasets.geometry import fit
from core.datasets.source import Progress, Source
from core.datasets.store import store_folder
from core.errors import LightboxError
from core.files import Lock, disk_errors

if TYPE_CHECKING:
    from core.datasets.units import Units

VERSION = 1            # raise it when units are put together otherwise
CHUNK = 32 * 10**6     # bytes that are copied at a time
LARGEST = 1024         # pixels a side of a view in the picture of a unit's originals


def unit_fingerprint(fingerprint: str, data: DataConfig) -> str:
    """Return a text that changes when the images or how they are put together do; "" for images that are not known yet."""
    facts = json.dumps([VERSION, fingerprint, data.unit, data.view_column, data.views, data.incomplete])
    return f"{data.unit}-{hashlib.sha256(facts.encode()).hexdigest()[:32]}" if fingerprint else ""


def units_file(title: str, fingerprint: str, data: DataConfig) -> Path:
    """Return where the pictures of the units are kept, made or not; fingerprint: of the images."""
    return store_folder(title, unit_fingerprint(fingerprint, data), data.size, data.resize, data.channels) / "images.npy"


def unit_pictures(opened: Dataset, units: Units, progress: Progress | None) -> np.ndarray:
    """Return (U, S, V S, C) uint8, mapped; made where it is missing. Of a set without pixels none.

    Args:
        opened: of the single images
        progress: called with (what is being done, done, total); what it raises stops the work

    Raises LightboxError "disk.full", "store.damaged".
    """
    height, width, channels = opened.images.shape[1:]
    if not len(opened.images):
        return np.empty((0, height, width * units.views, channels), np.uint8)
    path = units_file(opened.source.title, opened.fingerprint, opened.config)
    shape = (len(units.rows), height, width * units.views, channels)
    progress = progress or (lambda sentence, done, total: None)
    if (found := _load(path, shape)) is not None:
        return found
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path.with_suffix(".lock"))
        while not lock.acquire():
            progress("Another window puts the views side by side", 0, 0)
            time.sleep(0.2)
        try:
            if _load(path, shape) is None:
                _write(path, opened.images, units.rows, shape, progress)
        finally:
            lock.release()
    found = _load(path, shape)
    if found is None:
        raise LightboxError("store.damaged", f"{path} is not what was written there.", "The disk may be failing.")
    return found


def _load(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        return found if (found.shape, found.dtype) == (shape, np.uint8) else None
    except (OSError, ValueError, EOFError):
        return None


def _write(path: Path, images: np.ndarray, rows: np.ndarray, shape: tuple[int, ...], progress: Progress) -> None:
    need, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if free < need + 10**8:
        raise LightboxError("disk.full", f"The views side by side need {need / 1e9:.1f} GB; {path.parent.parent} has "
                            f"{free / 1e9:.1f} GB left.", "Free some space, or choose a smaller image size or fewer views.")
    part, step = path.with_suffix(".part"), max(1, CHUNK // int(np.prod(shape[1:])))
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with open(part, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for start in range(0, len(rows), step):
            progress("Putting the views side by side", start, len(rows))
            file.write(side_by_side(images, rows[start:start + step]).tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def side_by_side(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the images of units side by side: (N, S, S, C), (B, V) int64 -> (B, S, V S, C); -1 is black."""
    views = np.where((rows < 0)[..., None, None, None], np.uint8(0), images[np.maximum(rows, 0)])
    return np.concatenate(list(views.swapaxes(0, 1)), axis=2)


class UnitSource(Source):
    """The source of the images, asked for units: what it returns of unit u are its views side by side, each brought to a square
    as the store does, so that a map of the network's input fits it.

    Args:
        of_images: where the images come from
        table: a row a unit
        known: fingerprint of the units
    """

    def __init__(self, of_images: Source, units: Units, table: pd.DataFrame, known: str):
        self.of_images, self.units, self.table, self.known = of_images, units, table, known
        self.name, self.title, self.description = of_images.name, of_images.title, of_images.description
        self.licence, self.body_parts, self.intensity = of_images.licence, of_images.body_parts, of_images.intensity

    def original(self, i: int) -> np.ndarray:
        return self._joined(i, [self.of_images.original(int(row)) if row >= 0 else None for row in self.units.rows[i]])

    def at_size(self, i: int, longest: int) -> np.ndarray:
        return self._joined(i, [self.of_images.at_size(int(row), longest) if row >= 0 else None for row in self.units.rows[i]])

    def mask(self, i: int) -> np.ndarray | None:
        """Return where the finding is in the picture of `original`; None where that is not known of any view."""
        masks = [self.of_images.mask(int(row)) if row >= 0 else None for row in self.units.rows[i]]
        if all(mask is None for mask in masks):
            return None
        shown = [None if mask is None else mask.astype(np.uint8)[..., None] * 255 for mask in masks]
        return self._joined(i, shown, self._side(i))[..., 0] > 127

    def fingerprint(self) -> str:
        return self.known

    def _side(self, i: int) -> int:
        shapes = [self.of_images.original(int(row)).shape[:2] for row in self.units.rows[i] if row >= 0]
        return min(LARGEST, max(max(shape) for shape in shapes))

    def _joined(self, i: int, pictures: list[np.ndarray | None], side: int = 0) -> np.ndarray:
        there = [picture for picture in pictures if picture is not None]
        side = side or min(LARGEST, max(max(picture.shape[:2]) for picture in there))
        channels = max(picture.shape[2] for picture in there)
        black = np.zeros((side, side, channels), np.uint8)
        resize = self.units.images.config.resize
        squares = [black if picture is None else fit(picture, side, resize, channels) for picture in pictures]
        return np.concatenate(squares, axis=1)
