"""What the pages open, kept open for everybody: data sets, torch, and what this machine is.

Kept by names and values, never by a person's session: thirty tabs share one mapped store.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import OrderedDict

import numpy as np
import streamlit as st

from core.config import DataConfig, home
from core.datasets import Dataset, is_ready, open_dataset, open_source
from core.errors import LightboxError
from core.runs.device import machine
from pages.shared.layout import escape, format_bytes, long_task, shorten, show_error

KEPT = 8               # data sets that stay open; the pixels are mapped, so each costs its table and labels


def dataset(data: DataConfig) -> Dataset:
    """`open_set` for a page that has nothing else to show: where the set cannot be opened, it says why and ends here."""
    try:
        return open_set(data)
    except LightboxError as error:
        show_error(error)
        st.stop()


def open_set(data: DataConfig) -> Dataset:
    """An open data set. The first time its store is made, with progress, time left and a Stop button.

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


def thumbnails(data: Dataset, rows: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Pixels of some rows and what stands for them: `images, cache_key` of `pages.shared.gallery.gallery`."""
    rows = np.asarray(rows, np.int64)
    return data.images[rows], (data.fingerprint, data.size, data.resize, data.channels, rows.tobytes())


@st.cache_data(ttl=10, show_spinner="Looking ...")
def look_at(path: str) -> str:
    """What there is at a path, in a sentence, without decoding it. Raises LightboxError where it cannot be used."""
    source = open_source(DataConfig(path))
    if source is None:
        return "It is unpacked when it is opened." if path.lower().endswith(".zip") else "It is downloaded when it is opened."
    index = source.scan()
    target = next(iter(index.targets.values()))
    return f"{len(index.table):,} images in {len(target.class_names)} classes: {shorten(', '.join(target.class_names), 80)}."


@st.cache_resource(show_spinner=False)
def _opened() -> OrderedDict:
    return OrderedDict()


def _stamp(data: DataConfig) -> str:
    """The fingerprint of the source: a folder that changes is opened anew.

    Looks at most every ten seconds, and less often where looking takes long: a folder of 100,000 files is listed in a second,
    and who pages through it should not wait for that. So looking takes at most a hundredth of the time.
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


@st.cache_resource(show_spinner=False)
def warm_up() -> threading.Thread:
    """Import torch and torchvision in the background, once for the whole server. They take seconds; a page that will need
    them calls this at its top, and by the time of the first click they are there."""
    def load() -> None:
        import torch  # noqa: F401
        import torchvision  # noqa: F401
    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread


@st.cache_resource(show_spinner=False)
def _looking() -> dict:
    """What `core.runs.device.machine` says, asked once in a thread: {"found": ..., "error": ..., "thread": ...}."""
    answer: dict = {}

    def look() -> None:
        try:
            answer["found"] = machine()
        except LightboxError as error:
            answer["error"] = error
    answer["thread"] = threading.Thread(target=look, name="machine", daemon=True)
    answer["thread"].start()
    answer["thread"].join(0.05)            # known from last time: no need to show that we look
    return answer


def show_machine() -> None:
    """This machine in one line: what it trains on, memory, free disk."""
    if _looking()["thread"].is_alive():
        st.fragment(_wait_for_machine, run_every=0.7)()
    else:
        st.caption(machine_line())


def _wait_for_machine() -> None:
    if _looking()["thread"].is_alive():
        st.caption("This machine: looking for a GPU ...")
    else:
        st.rerun()


def machine_line() -> str:
    """Markdown of `show_machine`."""
    answer = _looking()
    if "error" in answer:
        return escape(str(answer["error"]))
    best = answer["found"]["devices"][0]
    kind = {"cpu": "no GPU found, training runs on"}.get(best["device"], "training runs on")
    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = format_bytes(shutil.disk_usage(folder).free)
    memory = f" with {escape(format_bytes(best['memory_bytes']))} of memory" if best["memory_bytes"] else ""
    return f"This machine: {kind} {escape(best['name'])}{memory}; {escape(free)} free on the disk"
