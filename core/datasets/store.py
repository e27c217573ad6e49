"""The pixel store: every image of a source decoded once, brought to one size, and kept as uint8 in a file that is mapped.

    LIGHTBOX_HOME/stores/<key>/images.npy           (N, S, S, C) uint8, C order
                               table.csv            a row an image, all text; width and height are those of the original
                               labels_<target>.npy  (N,) or (N, K) int64
                               meta.json            targets, what was left out, notes; written last
    LIGHTBOX_HOME/stores/<key>.part/                the same while it is made; progress.json says how far, and sizes.u32 has
                                                    width and height of each row that was decoded
    LIGHTBOX_HOME/stores/<key>.lock                 held by who makes it

One store serves all targets and splits of a source. It is made in a folder beside and renamed when whole, so a store is
there or it is not. Images are appended in order; a maker that is stopped or killed leaves what it has, and the next one goes
on from there.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from core.config import Split, Task, home
from core.datasets.decode import collect_notes
from core.datasets.decode_many import count_notes, decode_all, sentences
from core.datasets.geometry import fit
from core.datasets.source import COLUMNS, Index, Progress, Source, Target, Understood
from core.errors import LightboxError
from core.files import Damaged, Lock, disk_errors, read_json, sha256, write_atomic, write_json

# Raise FORMAT when decoding or geometry changes: old stores are then made anew. A new column in the table is no reason: the
# pixels of an old store are right, and nobody should wait for 36,808 images because a number beside them is not known.
FORMAT = 1
COUNT = range(10**12)
META = {"shape": [COUNT], "targets": [{"name": str, "title": str, "task": Task, "class_names": [str]}],
        "skipped": [{"path": str, "reason": str}], "notes": [str],
        "understood?": [{"code": str, "text": str, "option?": str, "value?": str}], "left_out?": {"*": COUNT},
        "sha256?": dict[str, str]}
MEASURED = ("width", "height")      # columns that the store adds: pixels of the original; "" where that is not known
CHUNK_BYTES = 16 * 10**6       # finished pixels in flight, so that memory stays flat
SPARE = 100 * 10**6            # bytes that stay free on the disk


@dataclass(frozen=True, eq=False)
class Store:
    """A store that is open.

    Args:
        images: (N, S, S, C) uint8, mapped
        index: table, targets and labels, what was skipped, notes
        fingerprint: of the source when it was opened
    """

    images: np.ndarray
    index: Index
    fingerprint: str


def store_folder(title: str, fingerprint: str, size: int, resize: str, channels: int) -> Path:
    """Return where a store lies, made or not. The name is readable in front and unique behind."""
    facts = json.dumps([FORMAT, fingerprint, size, resize, channels])
    readable = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "images"
    return home() / "stores" / f"{readable}-{size}-{resize}-{channels}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def is_stored(source: Source, size: int, resize: str, channels: int) -> bool:
    """Return whether `open_store` would find it ready."""
    return (store_folder(source.title, source.fingerprint(), size, resize, channels) / "meta.json").is_file()


def open_store(source: Source, size: int, resize: str, channels: int, progress: Progress | None = None) -> Store:
    """Open the store of a source; make it first where it is missing or damaged.

    Args:
        channels: 1, 3, or 0 for what the images have (3 as soon as one is in colour)
        progress: called with (sentence, done, total); what it raises stops the work, and what was decoded is kept

    Raises:
        LightboxError: from the source; "disk.full"; "store.no_images" where not one image could be read
    """
    fingerprint = source.fingerprint()
    folder = store_folder(source.title, fingerprint, size, resize, channels)
    progress = progress or (lambda sentence, done, total: None)
    store = _load(folder, fingerprint)
    if store is None:
        lock = Lock(folder.with_name(folder.name + ".lock"))
        with disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _wait_for(lock, folder, progress)
        try:
            store = _load(folder, fingerprint)      # somebody else may have made it while we waited
            if store is None:
                shutil.rmtree(folder, ignore_errors=True)      # damaged; who has it mapped keeps it until they let go
                with disk_errors(folder):
                    _make(source, folder, size, resize, channels, progress)
                store = _load(folder, fingerprint)
        finally:
            lock.release()
    source.table = store.index.table
    return store


def _wait_for(lock: Lock, folder: Path, progress: Progress) -> None:
    """Acquire the lock. While another tab or process has it, show how far that one is."""
    state = _Progress(0, 1)
    while not lock.acquire():
        with contextlib.suppress(FileNotFoundError, Damaged):      # not begun, or just done
            state = read_json(_part(folder) / "progress.json", _Progress)
        progress("Another window is preparing these images", state.done, state.total)
        time.sleep(0.2)


def _part(folder: Path) -> Path:
    return folder.with_name(folder.name + ".part")


def _load(folder: Path, fingerprint: str) -> Store | None:
    """Return the store, or None where it is missing or anything about it does not fit together."""
    try:
        meta = read_json(folder / "meta.json", META, most=10**9)
        if any(sha256(folder / name) != known for name, known in meta.get("sha256", {}).items()):
            return None
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False, na_filter=False)
        targets = {}
        for t in meta["targets"]:
            labels = np.load(folder / f"labels_{t['name']}.npy", allow_pickle=False)
            targets[t["name"]] = Target(t["name"], t["title"], t["task"], tuple(t["class_names"]), labels)
            if not _fit(targets[t["name"]], len(images)):
                return None
        for column in MEASURED:      # a store from before they were kept
            if column not in table:
                table[column] = ""
        if (not targets or images.shape != tuple(meta["shape"]) or images.dtype != np.uint8 or images.ndim != 4
                or len(table) != len(images) or not set(COLUMNS) <= set(table) or not table["image_id"].is_unique
                or not set(table["split"]) <= {"", *Split}):
            return None
        understood = [Understood(**one) for one in meta.get("understood", [])]
        index = Index(table, targets, meta["skipped"], meta["notes"], understood, meta.get("left_out", {}))
        return Store(images, index, fingerprint)
    except Exception:                            # whatever is wrong, in pandas, numpy or the file system: it is made anew
        return None


def _fit(target: Target, images: int) -> bool:
    """Whether the labels are those of so many images, and of these classes."""
    labels, classes = target.labels, len(target.class_names)
    several = target.task == Task.MULTILABEL
    if labels.dtype.kind != "i" or labels.shape != ((images, classes) if several else (images,)):
        return False
    return not len(labels) or labels.min() >= -1 and labels.max() < (2 if several else classes)


@dataclass
class _Progress:
    """How far a store is. Kept in progress.json, so that somebody else can go on.

    Args:
        total: images of the source
        channels: of the store
        done: images that were looked at
        written: images in images.npy; the others could not be read
        skipped: {"row": ..., "reason": ...} of each of the others
        noted: of how many images decoding said what, by code (decode_many.py)
    """

    total: int = field(metadata={"shape": COUNT})
    channels: int
    done: int = field(default=0, metadata={"shape": COUNT})
    written: int = field(default=0, metadata={"shape": COUNT})
    skipped: list[dict] = field(default_factory=list, metadata={"shape": [{"row": COUNT, "reason": str}]})
    noted: dict[str, int] = field(default_factory=dict, metadata={"shape": {"*": COUNT}})


class _Coloured(Exception):
    """A colour image came while gray was expected."""


def _make(source: Source, folder: Path, size: int, resize: str, channels: int, progress: Progress) -> None:
    progress("Listing the images", 0, 0)
    index = source.scan(progress)
    part = _part(folder)
    part.mkdir(exist_ok=True)
    total = len(index.table)
    state = _read_state(part, size, total) or _Progress(total, channels or 1)
    try:
        state = _append_all(source, part, size, resize, state, progress, channels)
    except LightboxError as error:
        if error.code != "disk.full":      # the source is broken: what was made from it is worth nothing
            shutil.rmtree(part)
        raise
    if not state.written:
        raise LightboxError("store.no_images", f"None of the {total:,} images could be read. The first one: "
                            f"{state.skipped[0]['reason']}", "Look at the files in an image viewer.")
    _finish(source, index, state, part, size, resize)
    os.rename(part, folder)


def _finish(source: Source, index: Index, state: _Progress, part: Path, size: int, resize: str) -> None:
    """Write what belongs to the images that were read."""
    bad = [s["row"] for s in state.skipped]
    good = np.setdiff1d(np.arange(state.total), bad)
    table = _with_sizes(index.table, part, state.total).iloc[good].reset_index(drop=True)
    write_atomic(part / "table.csv", table.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\n"))
    for target in index.targets.values():
        np.save(part / f"labels_{target.name}.npy", target.labels[good])
    files = [f"labels_{target.name}.npy" for target in index.targets.values()]
    skipped = index.skipped + [{"path": index.table["path"].iloc[s["row"]], "reason": s["reason"]} for s in state.skipped]
    said = sentences(state.noted, len(good))
    write_json(part / "meta.json", {
        "title": source.title, "size": size, "resize": resize, "shape": [len(good), size, size, state.channels],
        "targets": [{"name": t.name, "title": t.title, "task": t.task, "class_names": t.class_names}
                    for t in index.targets.values()],
        "skipped": skipped, "notes": index.notes + [one.text for one in said],
        "understood": [asdict(one) for one in (*index.understood, *said)],
        "left_out": index.left_out, "sha256": {name: sha256(part / name) for name in files}})
    (part / "sizes.u32").unlink()
    (part / "progress.json").unlink()


def _with_sizes(table: pd.DataFrame, part: Path, total: int) -> pd.DataFrame:
    """Add what was measured while decoding. Columns of these names that the data set has itself are kept beside it."""
    sizes = np.fromfile(part / "sizes.u32", "<u4").reshape(total, len(MEASURED))
    table = table.rename(columns={column: f"{column} (as listed)" for column in MEASURED})
    return table.assign(**{column: np.where(values > 0, values.astype(str), "") for column, values in zip(MEASURED, sizes.T)})


def _read_state(part: Path, size: int, total: int) -> _Progress | None:
    """Return how far somebody was who was stopped here, None where that does not fit the images wanted and the pixels there."""
    try:
        state = read_json(part / "progress.json", _Progress)
        pixels = state.written * size * size * state.channels
        sound = state.written + len(state.skipped) == state.done <= total and state.channels in (1, 3)
        sound = sound and {s["row"] for s in state.skipped} <= set(range(total))
        return state if sound and state.total == total and (part / "images.npy").stat().st_size > pixels else None
    except (Damaged, OSError):
        return None


def _append_all(source: Source, part: Path, size: int, resize: str, state: _Progress, progress: Progress,
                wanted: int) -> _Progress:
    """Decode the missing images; begin again with three channels where a colour image comes, mostly one of the first."""
    try:
        _append(source, part, size, resize, state, progress, wanted)
        return state
    except _Coloured:
        state = _Progress(state.total, 3)
    _append(source, part, size, resize, state, progress, wanted)
    return state


def _append(source: Source, part: Path, size: int, resize: str, state: _Progress, progress: Progress, wanted: int) -> None:
    """Decode the images from state.done on, in order, and append them to images.npy, keeping `state` up to date."""
    total, row_bytes = state.total, size * size * state.channels
    need, free = (total - state.done) * row_bytes + SPARE, shutil.disk_usage(part).free
    if free < need:
        raise LightboxError("disk.full", f"These images need {need / 1e9:.1f} GB; {part.parent} has {free / 1e9:.1f} GB left.",
                            "Free some space, choose a smaller image size, or set LIGHTBOX_HOME to another disk.")
    enough = size if resize == "pad" else 2 * size      # longer side; for others the shorter side decides

    def decode(i: int) -> tuple[np.ndarray, tuple[int, int], Counter] | str:
        """Return pixels, the original's width and height, and what decoding said; or why there are none."""
        try:
            with collect_notes() as notes:
                pixels = source.at_size(i, enough)
        except LightboxError as error:
            if not error.code.startswith("image."):      # one bad image is left out; a broken source is not a data set
                raise
            return str(error)
        if pixels.shape[2] == 3 and not wanted and state.channels == 1:
            raise _Coloured
        return fit(pixels, size, resize, state.channels), source.original_size(i, pixels), count_notes(notes)

    path, resumed = part / "images.npy", state.done > 0
    # The memory map writes the header and makes room for all images. Pixels go through write(), which notices a full disk.
    shape = (total, size, size, state.channels)
    offset = open_memmap(path, mode="r+" if resumed else "w+", dtype=np.uint8, shape=shape).offset
    (part / "sizes.u32").touch()      # not there in what an older version began: then those sizes are not known
    source.prepare(enough, progress)
    progress("Preparing the images", state.done, total)
    with open(path, "r+b") as file, open(part / "sizes.u32", "r+b" if resumed else "w+b") as sizes:
        file.seek(offset + state.written * row_bytes)      # what came after the last note is not trusted
        sizes.truncate(state.done * 4 * len(MEASURED))
        sizes.seek(0, os.SEEK_END)

        def save() -> None:
            for written in (file, sizes):      # first what was decoded, then the note that it is there
                written.flush()
                os.fsync(written.fileno())
            write_json(part / "progress.json", asdict(state))

        def write(results: list) -> None:
            good = [r for r in results if not isinstance(r, str)]
            file.write(b"".join(pixels.tobytes() for pixels, *_ in good))
            state.noted = dict(sum((r[2] for r in good), Counter(state.noted)))
            sizes.write(np.array([(0, 0) if isinstance(r, str) else r[1] for r in results], "<u4").tobytes())
            state.skipped += [{"row": state.done + k, "reason": r} for k, r in enumerate(results) if isinstance(r, str)]
            state.written += len(good)
            state.done += len(results)

        try:
            decode_all(decode, write, save, state, max(4, CHUNK_BYTES // row_bytes), 1 if source.sequential else None, progress)
        except _Coloured:
            raise
        except BaseException:      # stopped: keep what there is
            save()
            raise
        if state.written < total:      # fewer rows than the header says
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, _header(path, state.written))
            if file.tell() != offset:
                raise AssertionError("the header of an .npy file changed its length")
            file.truncate(offset + state.written * row_bytes)
            file.flush()
            os.fsync(file.fileno())


def _header(path: Path, rows: int) -> dict:
    """Return the header of the first rows of an .npy file. Its map is closed on return: Windows shortens no mapped file."""
    return np.lib.format.header_data_from_array_1_0(np.load(path, mmap_mode="r")[:rows])
