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

import csv
import hashlib
import io
import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.config import home
from core.datasets.geometry import fit
from core.datasets.source import COLUMNS, Index, Progress, Source, Target
from core.errors import LightboxError
from core.files import Lock, disk_errors, write_atomic, write_json

# Raise FORMAT when decoding or geometry changes: old stores are then made anew. A new column in the table is no reason: the
# pixels of an old store are right, and nobody should wait for 36,808 images because a number beside them is not known.
FORMAT = 1
MEASURED = ("width", "height")      # columns that the store adds: pixels of the original; "" where that is not known
SAVE_EVERY = 1.0               # seconds between two notes of progress; a kill loses no more than this
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
    """Where a store lies, there or not. The name is readable in front and unique behind."""
    facts = json.dumps([FORMAT, fingerprint, size, resize, channels])
    readable = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "images"
    return home() / "stores" / f"{readable}-{size}-{resize}-{channels}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def is_stored(source: Source, size: int, resize: str, channels: int) -> bool:
    """Whether `open_store` would find it ready."""
    return (store_folder(source.title, source.fingerprint(), size, resize, channels) / "meta.json").is_file()


def open_store(source: Source, size: int, resize: str, channels: int, progress: Progress | None = None) -> Store:
    """Map the store of a source; make it first where it is missing or damaged.

    Args:
        channels: 1, 3, or 0 for what the images have (3 as soon as one is coloured)
        progress: called with (sentence, done, total); what it raises stops the making, and what was decoded is kept

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
    """Take the lock. While another tab or process has it, show how far that one is."""
    while not lock.acquire():
        state = _read_json(_part(folder) / "progress.json") or {}
        progress("Another window is preparing these images", state.get("done", 0), state.get("total", 0))
        time.sleep(0.2)


def _part(folder: Path) -> Path:
    return folder.with_name(folder.name + ".part")


def _load(folder: Path, fingerprint: str) -> Store | None:
    """The store, or None where it is missing or anything about it does not fit together."""
    meta = _read_json(folder / "meta.json")
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False, na_filter=False)
        targets = {}
        for t in meta["targets"]:
            labels = np.load(folder / f"labels_{t['name']}.npy", allow_pickle=False)
            targets[t["name"]] = Target(t["name"], t["title"], t["task"], tuple(t["class_names"]), labels)
            if len(labels) != len(images):
                return None
        for column in MEASURED:      # a store from before they were kept
            if column not in table:
                table[column] = ""
        if images.shape != tuple(meta["shape"]) or len(table) != len(images) or not set(COLUMNS) <= set(table):
            return None
        return Store(images, Index(table, targets, meta["skipped"], meta["notes"]), fingerprint)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _make(source: Source, folder: Path, size: int, resize: str, channels: int, progress: Progress) -> None:
    progress("Listing the images", 0, 0)
    index = source.scan(progress)
    part = _part(folder)
    part.mkdir(exist_ok=True)
    total = len(index.table)

    def fresh(channels: int) -> dict:
        return {"done": 0, "written": 0, "skipped": [], "channels": channels, "total": total}

    state = _read_json(part / "progress.json")      # somebody may have been stopped here
    if not _goes_on(state, part, size, total):
        state = fresh(channels or 1)
    try:
        _append(source, part, size, resize, state, progress, wanted=channels)
    except _Coloured:      # begin again with three channels: happens in the first images of a coloured set
        state = fresh(3)
        _append(source, part, size, resize, state, progress, wanted=channels)
    except LightboxError as error:
        if error.code != "disk.full":      # the source is broken: what was made from it is worth nothing
            shutil.rmtree(part)
        raise

    bad = {s["row"] for s in state["skipped"]}
    if len(bad) == total:
        raise LightboxError("store.no_images", f"None of the {total:,} images could be read. The first one: "
                            f"{state['skipped'][0]['reason']}", "Look at the files in an image viewer.")
    good = np.array([i for i in range(total) if i not in bad])
    table = _with_sizes(index.table, part, total).iloc[good].reset_index(drop=True)
    write_atomic(part / "table.csv", table.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\n"))
    for target in index.targets.values():
        np.save(part / f"labels_{target.name}.npy", target.labels[good])
    skipped = index.skipped + [{"path": index.table["path"].iloc[s["row"]], "reason": s["reason"]} for s in state["skipped"]]
    write_json(part / "meta.json", {
        "title": source.title, "size": size, "resize": resize, "shape": [len(good), size, size, state["channels"]],
        "targets": [{"name": t.name, "title": t.title, "task": t.task, "class_names": t.class_names}
                    for t in index.targets.values()],
        "skipped": skipped, "notes": index.notes})
    (part / "sizes.u32").unlink()
    (part / "progress.json").unlink()
    os.rename(part, folder)


def _with_sizes(table: pd.DataFrame, part: Path, total: int) -> pd.DataFrame:
    """The table with what was measured while decoding. Columns of these names that the set has itself are kept beside it."""
    sizes = np.fromfile(part / "sizes.u32", "<u4").reshape(total, len(MEASURED))
    table = table.rename(columns={column: f"{column} (as listed)" for column in MEASURED})
    return table.assign(**{column: np.where(values > 0, values.astype(str), "") for column, values in zip(MEASURED, sizes.T)})


def _goes_on(state: dict | None, part: Path, size: int, total: int) -> bool:
    """Whether a note of progress fits the images wanted and the pixels that lie there."""
    try:
        pixels = state["written"] * size * size * state["channels"]
        return state["total"] == total and (part / "images.npy").stat().st_size > pixels
    except (TypeError, KeyError, OSError):
        return False


class _Coloured(Exception):
    """A coloured image came while gray was expected."""


def _append(source: Source, part: Path, size: int, resize: str, state: dict, progress: Progress, wanted: int) -> None:
    """Decode images state["done"] ... state["total"] in order and append them to images.npy, noting progress in `state`."""
    total, channels = state["total"], state["channels"]
    head = _header((total, size, size, channels))
    need = (total - state["done"]) * size * size * channels + SPARE
    free = shutil.disk_usage(part).free
    if free < need:
        raise LightboxError("disk.full", f"These images need {need / 1e9:.1f} GB; {part.parent} has {free / 1e9:.1f} GB left.",
                            "Free some space, choose a smaller image size, or set LIGHTBOX_HOME to another disk.")

    def one(i: int) -> tuple[np.ndarray, tuple[int, int]] | str:
        try:
            pixels = source.at_size(i, enough)
        except LightboxError as error:
            if not error.code.startswith("image."):      # one bad image is left out; a broken source is not a set
                raise
            return str(error)
        if pixels.shape[2] == 3 and not wanted and channels == 1:
            raise _Coloured
        return fit(pixels, size, resize, channels), source.original_size(i, pixels)

    enough = size if resize == "pad" else 2 * size      # longer side; for others the shorter side decides
    most = max(4, CHUNK_BYTES // (size * size * channels))
    chunk = min(16, most)
    workers = 1 if source.sequential else os.cpu_count() or 1
    source.prepare(enough, progress)
    mode = "r+b" if state["done"] else "w+b"
    (part / "sizes.u32").touch()      # not there in what a version before this one began: then those sizes are not known
    with ThreadPoolExecutor(workers) as pool, open(part / "images.npy", mode) as file, open(part / "sizes.u32", mode) as sizes:
        file.write(head)
        file.truncate(len(head) + state["written"] * size * size * channels)      # what came after the last note is not trusted
        file.seek(0, os.SEEK_END)
        sizes.truncate(state["done"] * 4 * len(MEASURED))
        sizes.seek(0, os.SEEK_END)
        saved = 0.0
        progress("Preparing the images", state["done"], total)

        def save() -> None:
            for written in (file, sizes):      # first what was decoded, then the note that it is there
                written.flush()
                os.fsync(written.fileno())
            write_json(part / "progress.json", state)

        try:
            while state["done"] < total:
                began = time.monotonic()
                rows = range(state["done"], min(total, state["done"] + chunk))
                results = list(pool.map(one, rows) if workers > 1 else map(one, rows))
                good = [r for r in results if not isinstance(r, str)]
                file.write(b"".join(pixels.tobytes() for pixels, _ in good))
                sizes.write(np.array([(0, 0) if isinstance(r, str) else r[1] for r in results], "<u4").tobytes())
                state["skipped"] += [{"row": i, "reason": r} for i, r in zip(rows, results) if isinstance(r, str)]
                state["written"] += len(good)
                state["done"] = rows.stop
                seconds = time.monotonic() - began      # half a second a chunk: smooth progress, prompt stop, little overhead
                chunk = min(most, chunk * 2) if seconds < 0.3 else max(4, chunk // 2) if seconds > 0.8 else chunk
                if time.monotonic() - saved > SAVE_EVERY or state["done"] == total:
                    save()
                    saved = time.monotonic()
                progress("Preparing the images", state["done"], total)
        except _Coloured:
            raise
        except BaseException:      # stopped: keep what there is
            save()
            raise
        file.seek(0)
        file.write(_header((state["written"], size, size, channels), len(head)))      # now the true number is known
        file.flush()
        os.fsync(file.fileno())


def _header(shape: tuple[int, ...], length: int | None = None) -> bytes:
    """The head of an .npy file. numpy leaves room for a longer count of rows, so that it can be replaced in place."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    if length is not None and file.tell() != length:
        raise AssertionError("the head of an .npy file changed its length")
    return file.getvalue()


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
