"""An .npz file in MedMNIST's layout: {train,val,test}_images and {train,val,test}_labels.

The headers are read first: type, shape and size are known and bounded before anything is allocated. Images are then read as a
stream, one after the other, so that a file of 16 GB needs no more memory than one of 1 MB. Pickled objects, which could run
code, are refused.

n images of a split, H x W pixels, C channels, L findings.
"""

from __future__ import annotations

import hashlib
import math
import struct
import threading
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.config import Split, Task
from core.datasets.external import NO_LABELS, unlabelled_target
from core.datasets.source import Index, Progress, Source, Target
from core.errors import LightboxError

MAX_BYTES = 64 * 10**9      # the largest official set, pathmnist at 224 px, has 16 GB
MAX_IMAGES = 1_000_000      # the official ones have up to 236,386
MAX_LABELS = 20_000_000     # images times findings; chestmnist has 1,569,680
MAX_CLASSES = 1000
LAYOUT = "Needed are train_images (n, H, W) or (n, H, W, 3) uint8 and train_labels (n,), (n, 1) or (n, L) integers; the same " \
         "with val_ and test_ for the other splits. An external test set has test_images alone, with test_labels or without."
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error, NotImplementedError, RuntimeError)
BAD_HEADER = (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError)
EXTERNAL = (Split.TEST.value,)      # test images alone, with test_labels or without
ARRAYS = {f"{split}_{what}" for split in Split for what in ("images", "labels")}


@dataclass(frozen=True)
class Header:
    """The header of one array in the file. `offset` is where its values start, in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int


def read_headers(path: Path) -> dict[str, Header]:
    """Read the headers of the arrays that matter, by name, without their values.

    Raises LightboxError "npz.not_npz", "npz.broken", "npz.object", "npz.layout" or "npz.too_large".
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.removesuffix(".npy") in ARRAYS]
            names = [info.filename.removesuffix(".npy") for info in infos]
            for name in names:
                if names.count(name) > 1:
                    raise LightboxError("npz.broken", f"{path.name} holds {name} twice.", "Save it again.")
            return {name: _read_header(path, archive, info, name) for name, info in zip(names, infos)}
    except LightboxError:
        raise
    except FileNotFoundError:
        raise LightboxError("npz.not_npz", f"There is no file {path}.", "Check the path.") from None
    except zipfile.BadZipFile as error:
        starts_as_zip = path.open("rb").read(2) == b"PK"
        code, what = ("npz.broken", "is cut off or damaged") if starts_as_zip else ("npz.not_npz", "is not an .npz file")
        raise LightboxError(code, f"{path.name} {what}.", "Download it again, or save it with numpy.savez.") from error
    except (*BROKEN, *BAD_HEADER, MemoryError) as error:
        reason = "the header of one of its arrays cannot be read" if isinstance(error, BAD_HEADER) else _in_one_line(error)
        raise LightboxError("npz.broken", f"{path.name} is damaged: {reason}.", "Download or save it again.") from error


def _read_header(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Header:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file, max_header_size=10_000)
        header = Header(shape, dtype, file.tell())
    if dtype.hasobject:
        raise LightboxError("npz.object", f"{name} in {path.name} holds Python objects. They could run code and are never read.",
                            "Save it as an array of numbers.")
    if fortran and len(shape) > 1:
        raise LightboxError("npz.layout", f"{name} in {path.name} is stored column by column.",
                            "Save numpy.ascontiguousarray(...) of it.")
    size = math.prod(map(int, shape)) * dtype.itemsize
    if size > MAX_BYTES:
        raise LightboxError("npz.too_large", f"{name} in {path.name} claims {size / 1e9:,.0f} GB; the limit is "
                            f"{MAX_BYTES / 1e9:.0f} GB.", "Use smaller images or fewer of them.")
    if size + header.offset != info.file_size:
        raise LightboxError("npz.broken", f"{name} in {path.name} says {size:,} bytes and holds "
                            f"{info.file_size - header.offset:,}.", "Download or save it again.")
    return header


def check_layout(path: Path, headers: dict[str, Header]) -> tuple[str, ...]:
    """Return the splits that the file holds.

    Raises LightboxError "npz.layout" where it is not MedMNIST's layout, "npz.too_large".
    """
    splits = tuple(s.value for s in Split if f"{s}_images" in headers or f"{s}_labels" in headers)
    problem = _layout_problem(headers, splits)
    if problem:
        raise LightboxError("npz.layout", f"{path.name}: {problem}.", LAYOUT)
    count = sum(headers[f"{split}_images"].shape[0] for split in splits)
    numbers = sum(math.prod(headers[f"{split}_labels"].shape) for split in splits if f"{split}_labels" in headers)
    if count > MAX_IMAGES or numbers > MAX_LABELS:
        raise LightboxError("npz.too_large", f"{path.name} claims {count:,} images and {numbers:,} labels; the limits are "
                            f"{MAX_IMAGES:,} and {MAX_LABELS:,}.", "Keep only the images you need.")
    if not headers[f"{splits[0]}_images"].shape[0]:
        what = "training" if splits[0] == Split.TRAIN else "test"
        raise LightboxError("npz.layout", f"{path.name}: there are no {what} images.", LAYOUT)
    return tuple(s for s in splits if headers[f"{s}_images"].shape[0])


def _layout_problem(headers: dict[str, Header], splits: tuple[str, ...]) -> str:
    """Return the first thing that is not as in MedMNIST, "" where nothing is."""
    if "train" not in splits and splits != EXTERNAL:
        return "there are no train_images"
    return next(filter(None, (_split_problem(headers, split) for split in splits)), "")


def _split_problem(headers: dict[str, Header], split: str) -> str:
    first = "train" if "train_images" in headers or "train_labels" in headers else split
    needed = ("images", "labels") if first == "train" else ("images",)
    for what in needed:
        for part in (split, first):
            if f"{part}_{what}" not in headers:
                return f"{part}_{what} is missing"
    images = headers[f"{split}_images"]
    problem = _image_problem(images, headers[f"{first}_images"])
    if problem:
        return f"{split}_images {problem}"
    if f"{split}_labels" not in headers:                # a test set alone may come without
        return ""
    labels = headers[f"{split}_labels"]
    problem = _label_problem(labels, headers[f"{first}_labels"])
    if problem:
        return f"{split}_labels {problem}"
    if labels.shape[0] != images.shape[0]:
        return f"{split} has {images.shape[0]:,} images and {labels.shape[0]:,} labels"
    return ""


def _image_problem(images: Header, train: Header) -> str:
    """Return what is wrong with an array of images, "" where nothing is."""
    if images.dtype != np.uint8:
        return f"are {images.dtype}, not uint8"
    if len(images.shape) == 4 and images.shape[3] not in (1, 3):
        return f"have the shape {images.shape}: volumes are not supported, only images of 1 or 3 channels"
    if len(images.shape) not in (3, 4) or 0 in images.shape[1:]:
        return f"have the shape {images.shape}"
    if images.shape[1:] != train.shape[1:]:
        return f"are {images.shape[1:]}, train_images {train.shape[1:]}"
    return ""


def _label_problem(labels: Header, train: Header) -> str:
    if labels.dtype.kind not in "iub":
        return f"are {labels.dtype}, not integers"
    if len(labels.shape) not in (1, 2) or labels.shape[1:] == (0,) or labels.shape[1:] != train.shape[1:]:
        return f"have the shape {labels.shape}"
    return ""


class Npz(Source):
    """Images from an .npz file. They can only be read in order, so `sequential` is True; going back starts the stream again."""

    sequential = True

    def __init__(self, path: Path):
        self.path = Path(path)
        self.name, self.title = str(self.path), self.path.stem
        self.description = "Images from a local file in MedMNIST's layout."
        self.task, self.class_names = "", ()      # a subclass that knows them says so; otherwise the labels do
        self.headers = read_headers(self.path)
        self.splits = check_layout(self.path, self.headers)
        self._lock, self._stream, self._next = threading.Lock(), None, (0, 0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        height, width, *channels = self.headers[f"{self.splits[0]}_images"].shape[1:]
        return height, width, channels[0] if channels else 1

    @property
    def counts(self) -> dict[str, int]:
        return {split: self.headers[f"{split}_images"].shape[0] for split in self.splits}

    def fingerprint(self) -> str:
        """Return a hash of the checksums that the file carries of its arrays: quick, and equal wherever the content is equal."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                facts = sorted((i.filename, i.file_size, i.CRC) for i in archive.infolist())
        except BROKEN as error:
            raise self._broken(error) from error
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def scan(self, progress: Progress | None = None) -> Index:
        places = [(split, i) for split, n in self.counts.items() for i in range(n)]
        self.table = pd.DataFrame({
            "image_id": [f"{split}-{i:06d}" for split, i in places], "patient": "", "study": "", "view": "",
            "path": [f"{split}_images[{i}]" for split, i in places], "split": [split for split, _ in places]})
        if f"{self.splits[0]}_labels" not in self.headers:
            return Index(self.table, {"label": unlabelled_target(len(places))}, notes=[NO_LABELS])
        labels = np.concatenate([self._labels(split) for split in self.splits])
        task, names, notes = self._classes(labels)
        return Index(self.table, {"label": Target("label", "Label", task, names, labels)}, notes=notes)

    def original(self, i: int) -> np.ndarray:
        for split, n in self.counts.items():
            if i < n:
                break
            i -= n
        else:
            raise IndexError(i)
        height, width, channels = self.shape
        with self._lock:
            try:
                data = self._read(split, i, height * width * channels)
            except BROKEN as error:
                self.close()
                raise self._broken(error) from error
        return np.frombuffer(data, np.uint8).reshape(height, width, channels)

    def _read(self, split: str, i: int, size: int) -> bytes:
        """Return the bytes of image i of a split, by going on in the stream where that is possible."""
        if self._stream is None or self._next[0] != split or self._next[1] > i:
            self.close()
            self._archive = zipfile.ZipFile(self.path)
            self._stream = self._archive.open(f"{split}_images.npy")
            self._stream.seek(self.headers[f"{split}_images"].offset)
            self._next = split, 0
        if i > self._next[1]:
            self._stream.seek((i - self._next[1]) * size, 1)
        data = self._stream.read(size)
        if len(data) != size:
            raise EOFError(f"{split}_images ends early")
        self._next = split, i + 1
        return data

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._archive.close()
            self._stream = None

    def _labels(self, split: str) -> np.ndarray:
        """(n,) or (n, L) int64."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{split}_labels.npy") as file:
                labels = np.lib.format.read_array(file, allow_pickle=False)
        except BROKEN as error:
            raise self._broken(error) from error
        labels = labels.reshape(self.headers[f"{split}_labels"].shape)
        if labels.min(initial=0) < 0:
            raise LightboxError("npz.labels", f"{self.path.name}: {split}_labels hold the negative number {labels.min()}.",
                                "Labels count from 0.")
        labels = labels.astype(np.int64)
        return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels

    def _classes(self, labels: np.ndarray) -> tuple[str, tuple[str, ...], list[str]]:
        """Return task, class names and notes, from the labels alone or checked against what the subclass knows."""
        high, multilabel = int(labels.max()), labels.ndim == 2
        if multilabel and high > 1:
            raise LightboxError("npz.labels", f"{self.path.name}: multi-label labels are 0 or 1, not {high}.", LAYOUT)
        if not multilabel and high >= MAX_CLASSES:
            raise LightboxError("npz.labels", f"{self.path.name}: the label {high:,} would make {high + 1:,} classes; "
                                f"the limit is {MAX_CLASSES:,}.", "Number the classes 0, 1, 2 and so on.")
        if not multilabel and labels.min() == high:
            raise LightboxError("npz.labels", f"{self.path.name}: all labels are {high}.", "At least two classes are needed.")
        count = labels.shape[1] if multilabel else high + 1
        if self.class_names:
            known = len(self.class_names)
            fits = count == known if multilabel else count <= known
            if not fits or multilabel != (self.task == Task.MULTILABEL):
                raise LightboxError("npz.labels", f"{self.path.name}: its labels are not those of {self.title}.",
                                    "Give the file another name if it is another data set.")
            return self.task, self.class_names, []
        task = Task.BINARY if count == 2 else Task.MULTICLASS
        if multilabel:
            task = Task.MULTILABEL
        return task, tuple(map(str, range(count))), ["The file has no class names: the classes are shown as numbers."]

    def _broken(self, error: Exception) -> LightboxError:
        return LightboxError("npz.broken", f"{self.path.name} is damaged: {_in_one_line(error)}.", "Download or save it again.")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:150].rstrip(".") or type(error).__name__
