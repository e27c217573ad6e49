"""What the pages open, kept open for everybody: data sets, torch, and what this machine is.

Kept by names and values, never by a person's session: thirty tabs share one mapped store. A server does none
of this when it starts: the first page would come later by what the import of torch takes.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import OrderedDict

import numpy as np
import streamlit as st

from core.config import DataConfig, home
from core.datasets import DATASETS, Dataset, is_ready, look_ahead, open_dataset, open_source
from core.errors import LightboxError
from core.runs.device import machine
from pages.shared.layout import escape, format_bytes, long_task, shorten, show_error

SIZES = (28, 64, 128, 224)       # pixels a side at which data sets are prepared; MedMNIST's
KEPT = 8               # data sets that stay open; the pixels are mapped, so each costs its table and labels


def dataset(data: DataConfig) -> Dataset:
    """Open a data set for a page that has nothing else to show: where it cannot be opened, the page says why
    and ends here."""
    try:
        return open_set(data)
    except LightboxError as error:
        show_error(error)
        st.stop()


def open_set(data: DataConfig) -> Dataset:
    """Open a data set. The first time it is prepared, with progress, time left and a Stop button.

    Raises LightboxError where it cannot be opened; the page goes on, and keeps its foot.
    """
    key = (data, _stamp(data))
    opened = _opened()
    if key not in opened:
        if is_ready(data):
            opened[key] = open_dataset(data)
        else:
            with long_task(f"Preparing {shorten(data.dataset)}", key=f"open_{data.dataset}_{data.size}") as progress:
                opened[key] = open_dataset(data, progress)
        while len(opened) > KEPT:
            opened.popitem(last=False)
    return opened[key]


def look(data: DataConfig) -> Dataset | None:
    """Return a data set as far as it is known without its pixels: see `core.datasets.look_ahead`. It is remembered.

    Raises LightboxError where it cannot be opened.
    """
    if is_ready(data):
        return open_set(data)
    key, known = (data, _stamp(data)), _looked()
    if key not in known:
        with st.spinner("Reading the labels"):
            known[key] = look_ahead(data)
        while len(known) > KEPT:
            known.popitem(last=False)
    return known[key]


def thumbnails(data: Dataset, rows: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Return the pixels of some rows and what stands for them: `images, cache_key` of
    `pages.shared.gallery.gallery`."""
    rows = np.asarray(rows, np.int64)
    return data.images[rows], (data.fingerprint, data.size, data.resize, data.channels, rows.tobytes())


@st.cache_data(ttl=30, show_spinner=False)
def sizes_of(dataset: str) -> tuple[tuple[int, ...], bool]:
    """Return at which sizes a data set can be shown without being enlarged, and whether it is on this disk.

    Raises LightboxError where there is no such data set.
    """
    longest = original_size(dataset)
    if longest is None:
        # a zip is unpacked when it is opened, a named set is asked for first
        return SIZES, dataset not in DATASETS or open_source(DataConfig(dataset)) is not None
    return tuple(s for s in SIZES if s <= longest) or SIZES[:1], True


@st.cache_data(ttl=30, show_spinner=False)
def original_size(dataset: str) -> int | None:
    """Return the longer side of the images in pixels; None where they differ, or are not on this disk.

    Raises LightboxError where there is no such data set.
    """
    source = open_source(DataConfig(dataset, size=SIZES[-1]))      # of several files the largest
    return max(source.shape[:2]) if hasattr(source, "shape") else None


@st.cache_data(ttl=10, show_spinner="Checking the path")
def look_at(path: str) -> str:
    """Return in a sentence what there is at a path, without decoding it. Raises LightboxError where it cannot
    be used."""
    source = open_source(DataConfig(path))
    if source is None:
        return "Will be unpacked when opened." if path.lower().endswith(".zip") else "Will be downloaded when opened."
    index = source.scan()
    target = next(iter(index.targets.values()))
    return f"{len(index.table):,} images in {len(target.class_names)} classes: {shorten(', '.join(target.class_names), 80)}."


@st.cache_resource(show_spinner=False)
def _opened() -> OrderedDict:
    return OrderedDict()


@st.cache_resource(show_spinner=False)
def _looked() -> OrderedDict:
    return OrderedDict()


def fingerprint_of(data: DataConfig) -> str:
    """Return the fingerprint of a set's source as it is now, "" where it must be fetched first. Raises LightboxError."""
    return _stamp(data)


def _stamp(data: DataConfig) -> str:
    """Return the fingerprint of the source: a folder that changes is opened anew.

    Looks at most every ten seconds, and less often where looking takes long: a folder of 100,000 files is
    listed in a second, and who pages through it should not wait for that. So looking takes at most a
    hundredth of the time.
    """
    known, now = _stamps(), time.monotonic()
    if data not in known or now > known[data][1]:
        source = open_source(data)
        stamp = source.fingerprint() if source else ""
        known[data] = stamp, now + max(10, 100 * (time.monotonic() - now))
        while len(known) > 100:
            known.pop(next(iter(known)), None)
    return known[data][0]


@st.cache_resource(show_spinner=False)
def _stamps() -> dict[DataConfig, tuple[str, float]]:
    """data -> its fingerprint, and until when that is believed."""
    return {}


def torch_is_here() -> bool:
    """Return whether torch is imported; `warm_up` sees to it in the background."""
    return not warm_up().is_alive() and "torch" in sys.modules


@st.cache_resource(show_spinner=False)
def warm_up() -> threading.Thread:
    """Import torch and torchvision in the background, once for the whole server. They take seconds; a page
    that will need them calls this at its top, and by the time of the first click they are there."""
    def load() -> None:
        import torch  # noqa: F401
        import torchvision  # noqa: F401
    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread


@st.cache_resource(show_spinner=False)
def _machine() -> dict:
    """Ask `core.runs.device.machine` once, in a thread: {"machine": ..., "error": ..., "thread": ...}."""
    result: dict = {}

    def look() -> None:
        try:
            result["machine"] = machine()
        except LightboxError as error:
            result["error"] = error
    result["thread"] = threading.Thread(target=look, name="machine", daemon=True)
    result["thread"].start()
    result["thread"].join(0.05)            # known from last time: no need to show that we look
    return result


def show_machine() -> None:
    """Draw this machine in one line: what it trains on, memory, free disk."""
    if _machine()["thread"].is_alive():
        st.fragment(_wait_for_machine, run_every=0.7)()
    else:
        st.caption(machine_line())


def _wait_for_machine() -> None:
    if _machine()["thread"].is_alive():
        st.caption("This machine: looking for a GPU ...")
    else:
        st.rerun()


def machine_line() -> str:
    """Return the Markdown of `show_machine`."""
    result = _machine()
    if "error" in result:
        return escape(str(result["error"]))
    best = result["machine"]["devices"][0]
    kind = "no GPU found, training runs on" if best["device"] == "cpu" else "training runs on"
    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = format_bytes(shutil.disk_usage(folder).free)
    memory = f" with {escape(format_bytes(best['memory_bytes']))} of memory" if best["memory_bytes"] else ""
    return f"This machine: {kind} {escape(best['name'])}{memory}; {escape(free)} of disk space free"
