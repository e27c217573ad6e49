"""Where a network looked: loaded classifiers, and the maps of one image or of a page of them. Cached.

N images, S pixels a side of the network's input, H x W pixels of an original. No torch at module level.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.errors import LightboxError
from core.evaluation.maps import explain_pictures
from core.explain import METHODS
from core.runs import checkpoints
from core.runs.classifiers import SHIPPED, Loaded, load_classifier, split_address
from core.runs.classifiers import classify as predict
from core.runs.store import RunStore
from pages.shared.layout import long_task
from pages.shared.open_data import warm_up

BATCH = 8              # images in one step: with more, feature maps leave the CPU's cache and it gets slower
# pixels a side from which many maps at once are computed in bfloat16: below it gains nothing
HALF_FROM = 64
BY_PIXELS = {Dataset: lambda data: (data.fingerprint, data.size, data.resize, data.channels)}
LAYER_HELP = "Early layers respond to fine detail, late ones to objects. Grad-CAM is meant for the last one."


# ------------------------------------------------------------------------------------------------ classifiers

def classifier(address: str) -> Loaded:
    """Return a trained classifier, loaded once for everybody and anew when it has better weights. Raises
    as `load_classifier`."""
    return _loaded(address, version(address))


def version(address: str) -> tuple:
    """Return what changes when the weights behind an address do: (folder, best epoch, when written).
    Cheap, no torch."""
    folder = SHIPPED / address
    best = 0
    if not (folder / "meta.json").exists():
        run_id, epoch = split_address(address)
        run = RunStore().get(run_id)
        best = epoch or checkpoints.best_epoch(run.checkpoints) or 0
        folder = run.checkpoints / checkpoints.name_of(best)
    try:
        return str(folder), best, (folder / "meta.json").stat().st_mtime_ns
    except OSError:
        return str(folder), best, 0


@st.cache_resource(max_entries=6, show_spinner=False)
def _loaded(address: str, version: tuple) -> Loaded:
    loaded = load_classifier(address)
    for network in getattr(loaded.model, "networks", (loaded.model,)):
        to_channels_last(network)
    return loaded


def to_channels_last(model):
    """Lay a network's weights out so that its convolutions take up to half as long on a CPU. The same
    network; returns it."""
    import torch
    return model.to(memory_format=torch.channels_last)


def warm_up_classifier(address: str) -> None:
    """Load torch and a classifier in the background and use it once, so that the first prediction does not
    wait for that."""
    _warming(address, version(address))


@st.cache_resource(max_entries=32, show_spinner=False)
def _warming(address: str, version: tuple) -> threading.Thread:
    torch_import = warm_up()

    def load() -> None:
        torch_import.join()
        try:
            model = _loaded(address, version).model
        except LightboxError:              # the page will meet the same error, and show it
            return
        channels, *side = model.preprocessing.input_shape
        black = np.zeros((*side, channels), np.uint8)
        predict(model, [black])
        _explain(model, [black], [0], None)

    thread = threading.Thread(target=load, name="warm-up-classifier", daemon=True)
    thread.start()
    return thread


def probs_of(address: str, pixels: np.ndarray, token: str) -> np.ndarray:
    """Return the (K,) probabilities that a classifier predicts for a picture (H, W, C); `token` stands for
    its pixels."""
    return _probs_of(address, version(address), token, pixels)


@st.cache_data(max_entries=512, show_spinner=False)
def _probs_of(address: str, version: tuple, token: str, _pixels: np.ndarray) -> np.ndarray:
    return predict(classifier(address).model, [_pixels])[0]


# ------------------------------------------------------------------------------------------------------- maps

def map_of(address: str, picture: np.ndarray, token: str, target: int, layer: str, method: str = "grad_cam",
           against: int | None = None) -> np.ndarray:
    """Return the map of one picture (H, W, C) of any size, on the square that the network sees: (S, S)
    float32 in the method's unit. A method that needs many passes shows its progress, with a button to stop
    it.

    Args:
        token: stands for the picture
        method: a key of core.explain.METHODS
        against: explain the difference to this class
    """
    loaded = classifier(address)
    return _maps(loaded, (*version(address), token), lambda rows: [picture],
                 [0], [target], layer, method, None if against is None else [against])[0]


def is_quick(address: str, token: str, target: int, layer: str, method: str = "grad_cam",
             against: int | None = None) -> bool:
    """Whether `map_of` gives its map at once: the method needs few passes, or the map was made before."""
    return not METHODS[method].many or _cache().get(
        _key((*version(address), token), 0, False, method, layer, target, against)) is not None


def maps_of(address: str, data: Dataset, rows: Sequence[int], targets: Sequence[int], layer: str,
            method: str = "grad_cam",
            against: Sequence[int] | None = None, progress: Callable[[str, int, int], None] | None = None) -> np.ndarray:
    """Return maps of many images of a data set: (N, S, S) float32 in the method's unit. Shows its progress
    where it takes long, or calls `progress`.

    From HALF_FROM pixels on in bfloat16 where that is quick, with an error of a few percent of the peak;
    `scale_of` says so.
    """
    loaded = classifier(address)
    images_key = (*version(address), data.fingerprint, data.size, data.resize, data.channels)
    return _maps(loaded, images_key, lambda rows: list(data.images[list(rows)]),
                 rows, targets, layer, method, against, half=data.size >= HALF_FROM, progress=progress)


def _maps(loaded: Loaded, images_key: tuple, pictures: Callable[[list[int]], list[np.ndarray]], rows: Sequence[int],
          targets: Sequence[int],
          layer: str, method: str, against: Sequence[int] | None, half: bool = False,
          progress: Callable[[str, int, int], None] | None = None) -> np.ndarray:
    """Maps of images, from the cache where they were made before.

    `images_key` and a row stand for an image; pictures(rows) are their pixels.
    """
    of = METHODS[method]
    against = against if against is not None and of.by_class else [None] * len(rows)
    keys = [_key(images_key, row, half, method, layer, target, versus) for row, target,
            versus in zip(rows, targets, against)]
    cache = _cache()
    maps = [cache.get(key) for key in keys]
    missing = [i for i, cam in enumerate(maps) if cam is None]
    parts = [missing[start:start + BATCH] for start in range(0, len(missing), BATCH)]

    def step(part: list[int], progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        return _explain(loaded.model, pictures([int(rows[i]) for i in part]), [targets[i] for i in part], layer,
                        method,
                        None if against[part[0]] is None else [against[i] for i in part], progress, half)

    def keep(part: list[int], cams: np.ndarray) -> None:
        for i, cam in zip(part, cams):
            maps[i] = cache.put(keys[i], cam)

    if missing and of.many:
        with long_task(of.title, key=f"map_{method}") as report:
            for start, part in enumerate(parts):
                keep(part, step(part,
                                partial(_report_part, report, of.title, start * BATCH, len(part),
                                        len(missing))))
    elif missing:
        with nullcontext(progress) if progress else _quiet_progress() as report:
            for n, (part, cams) in enumerate(zip(parts, in_parallel(step, parts)), 1):
                keep(part, cams)
                report(of.title, min(n * BATCH, len(missing)), len(missing))
    return np.stack(maps) if maps else np.zeros((0, *loaded.model.preprocessing.input_shape[1:]), np.float32)


def _key(images_key: tuple, row: int, half: bool, method: str, layer: str, target: int,
         versus: int | None) -> tuple:
    """What stands for a map: all that it depends on."""
    of = METHODS[method]
    classes = (int(target), versus) if of.by_class else ()
    return images_key, int(row), half, method, layer if of.layered else None, *classes


def in_parallel(step: Callable[[list[int]], np.ndarray], parts: Sequence[list[int]]) -> Iterator[np.ndarray]:
    """Yield `step` of each part, in order, computed on all cores: each core has parts of its own and waits
    for no other.

    Threads that share a batch wait for each other at every layer; where another program takes a core, that
    costs most of the time. What was not begun when the caller leaves (a click starts the page anew) is left
    out.
    """
    futures = [_workers().submit(step, part) for part in parts]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


@st.cache_resource(show_spinner=False)
def _workers() -> ThreadPoolExecutor:
    """A thread for each core; each computes alone."""
    import torch
    cores = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    before, started = torch.get_num_threads(), threading.Barrier(cores + 1)

    def start() -> None:
        # of this thread, and of those that torch meets for the first time from now on
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(cores, "explain")
    for _ in range(cores):
        pool.submit(start)
    started.wait()
    torch.set_num_threads(before)          # others begin as before
    return pool


def _report_part(report: Callable[[str, int, int], None], title: str, start: int, images: int,
                 all_images: int,
                 done: int, total: int) -> None:
    """Report `done` of `total` passes for some images, those after the first `start`, as passes for all
    images."""
    each = total // images
    report(title, start * each + done, all_images * each)


def _explain(model, pictures: list[np.ndarray], targets: Sequence[int], layer: str | None, method: str = "grad_cam",
             against: Sequence[int] | None = None, progress: Callable[[int, int], None] | None = None,
             half: bool = False) -> np.ndarray:
    """(N, S, S) float32, in the method's unit."""
    return explain_pictures(model, pictures, targets, layer, method=method, against=against, progress=progress, half=half)


@contextmanager
def _quiet_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for work that is mostly too short to need one."""
    place, began = st.empty(), time.monotonic()

    def report(phase: str, done: int, total: int) -> None:
        if time.monotonic() - began > 0.3:
            place.progress(min(1.0, done / total), f"{phase}: {done} of {total}")
    yield report
    place.empty()


class MapCache:
    """The maps used last, up to `limit` bytes of them. Not st.cache_data: it takes whole calls, with no
    progress inside."""

    def __init__(self, limit: int):
        self._limit, self._bytes, self._lock = limit, 0, threading.Lock()
        self._maps: OrderedDict[tuple, np.ndarray] = OrderedDict()         # the one used last at the end

    def get(self, key: tuple) -> np.ndarray | None:
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
            return self._maps.get(key)

    def put(self, key: tuple, cam: np.ndarray) -> np.ndarray:
        # a part of a batch would hold all of it
        cam = cam.copy()
        cam.flags.writeable = False                                        # everybody gets the same array
        with self._lock:
            old = self._maps.pop(key, None)
            self._maps[key] = cam
            self._bytes += cam.nbytes - (0 if old is None else old.nbytes)
            while self._bytes > self._limit and len(self._maps) > 1:
                self._bytes -= self._maps.popitem(last=False)[1].nbytes
        return cam


@st.cache_resource(show_spinner=False)
def _cache() -> MapCache:
    return MapCache(limit=256 * 2**20)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=BY_PIXELS)
def original_of(data: Dataset, row: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return image and mask at full resolution. Raises LightboxError when the file is gone or broken."""
    return data.original(row), data.mask(row)


def choose_layer(loaded: Loaded, key: str, width: int | str = "stretch") -> str:
    """A menu of the network's stages, from fine to coarse, the last one by default. Returns a dotted name; "" for the last layer
    of each member of an ensemble whose members have other layers, where there is nothing to choose."""
    stages = loaded.model.stages
    if not stages:
        return ""
    titles = {name: f"{name.removeprefix('network.')} ({i} of {len(stages)})" for i,
              name in enumerate(stages, 1)}
    return st.selectbox("Layer", list(titles), index=len(titles) - 1, format_func=titles.get, key=key,
                        width=width,
                        help=LAYER_HELP)
