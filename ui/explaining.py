"""Where a network looked: classifiers kept loaded, Grad-CAM of one image or of a page of them, and the picture that shows it.

N images, S pixels a side of the network's input, H x W pixels of an original. No torch at module level.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from core import checkpoints
from core.classifiers import SHIPPED, Loaded, as_input, load_classifier
from core.classifiers import classify as predict
from core.datasets import Dataset
from core.datasets.geometry import inner_size, scale
from core.errors import LightboxError
from core.explain import colour_scale, overlay
from core.runs import RunStore
from ui.gallery import pack
from ui.loaders import warm_up

HERE = Path(__file__).parent
BATCH = 16             # images in one step of Grad-CAM: small, so that the progress moves and a click is not kept waiting
LARGEST = 900          # pixels of the longer side of a picture that is sent to the browser
LAYER_HELP = "Early layers see fine detail, late ones what it means. Grad-CAM is meant for the last one."

_element = st.components.v2.component(
    "lightbox_map",
    html="<figure></figure>",
    css=(HERE / "explaining.css").read_text(),
    js=(HERE / "explaining.js").read_text(),
)


# ---------------------------------------------------------------------------------------------------------- classifiers

def classifier(address: str) -> Loaded:
    """A trained classifier, loaded once for everybody and anew when it has learned more. Raises as `load_classifier` does."""
    return _loaded(address, version(address))


def version(address: str) -> tuple:
    """Changes when the weights behind an address do: (best epoch, when they were written). Cheap, no torch."""
    folder = SHIPPED / address
    best = 0
    if not (folder / "meta.json").exists():
        run = RunStore().get(address)
        best = checkpoints.best_epoch(run.checkpoints) or 0
        folder = run.checkpoints / checkpoints.name_of(best)
    try:
        return str(folder), best, (folder / "meta.json").stat().st_mtime_ns
    except OSError:
        return str(folder), best, 0


@st.cache_resource(max_entries=6, show_spinner=False)
def _loaded(address: str, version: tuple) -> Loaded:
    return load_classifier(address)


def warm_up_classifier(address: str) -> None:
    """Load torch and a classifier in the background and use it once, so that the first answer does not wait for that."""
    _warming(address, version(address))


@st.cache_resource(max_entries=32, show_spinner=False)
def _warming(address: str, version: tuple) -> threading.Thread:
    torch_comes = warm_up()

    def load() -> None:
        torch_comes.join()
        try:
            model = _loaded(address, version).model
        except LightboxError:              # the page will find the same, and say it
            return
        size, channels = model.preprocessing.size, model.preprocessing.channels
        black = np.zeros((size, size, channels), np.uint8)
        predict(model, [black])
        _grad_cam(model, as_input(model, [black]), [0], None)

    thread = threading.Thread(target=load, name="warm-up-classifier", daemon=True)
    thread.start()
    return thread


# ----------------------------------------------------------------------------------------------------------------- maps

def _grad_cam(model, images, targets: Sequence[int], layer: str | None) -> np.ndarray:
    """(N, S, S) float32, in logits."""
    import torch

    from core.explain import grad_cam
    return grad_cam(model, images, torch.tensor(list(targets)), layer).cpu().numpy()


def map_of(address: str, picture: np.ndarray, token: str, target: int, layer: str) -> np.ndarray:
    """Grad-CAM of one picture (H, W, C) of any size, on the square that the network saw: (S, S) float32 in logits.

    Args:
        token: stands for the picture
    """
    return _map_of(address, version(address), token, target, layer, picture)


@st.cache_data(max_entries=128, show_spinner=False)
def _map_of(address: str, version: tuple, token: str, target: int, layer: str, _picture: np.ndarray) -> np.ndarray:
    model = _loaded(address, version).model
    return _grad_cam(model, as_input(model, [_picture]), [target], layer)[0]


def maps_of(address: str, data: Dataset, rows: Sequence[int], targets: Sequence[int], layer: str) -> np.ndarray:
    """Grad-CAM of many images of a data set: (N, S, S) float32 in logits. Shows its progress where it takes long."""
    key = (address, version(address), data.fingerprint, data.size, data.resize, data.channels)
    place, began, maps = st.empty(), time.monotonic(), []
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        maps.append(_maps_of(key, tuple(map(int, rows[part])), tuple(map(int, targets[part])), layer, data))
        if time.monotonic() - began > 0.3:
            place.progress(min(1.0, (start + BATCH) / len(rows)), f"Grad-CAM: {min(start + BATCH, len(rows))} of {len(rows)}")
    place.empty()
    return np.concatenate(maps)


@st.cache_data(max_entries=256, show_spinner=False)
def _maps_of(key: tuple, rows: tuple[int, ...], targets: tuple[int, ...], layer: str, _data: Dataset) -> np.ndarray:
    model = _loaded(*key[:2]).model
    return _grad_cam(model, as_input(model, list(_data.images[list(rows)])), targets, layer)


def original_of(data: Dataset, row: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Image and mask at full resolution, kept a while. Raises LightboxError when the file is gone or broken."""
    return _original_of((data.fingerprint, row), data)


@st.cache_data(max_entries=32, show_spinner=False)
def _original_of(key: tuple, _data: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    return _data.original(key[1]), _data.mask(key[1])


def on_original(cam: np.ndarray, height: int, width: int, resize: str) -> np.ndarray:
    """A map of the network's square brought back to the picture that it was made from, (h, w) in the picture's proportions.

    What `core.datasets.geometry.fit` did is undone: black bars are cut off; what a crop left out has no map and gets zeros.
    """
    size = len(cam)
    if resize == "crop":
        side = min(height, width)
        canvas = np.zeros((round(size * height / side), round(size * width / side)), cam.dtype)
        top, left = (canvas.shape[0] - size) // 2, (canvas.shape[1] - size) // 2
        canvas[top:top + size, left:left + size] = cam
        return canvas
    inner = inner_size(height, width, size, resize)
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    return cam[top:top + inner[0], left:left + inner[1]]


def scale_of(maps: np.ndarray) -> tuple[float | None, str]:
    """The value that gets the brightest colour in all of these maps (N, S, S), and the sentence that says so.

    It is the largest value of all but the strongest twentieth of the maps: one that is far above the others would leave
    all of them dark. Up to twenty maps it is the largest of all.
    """
    largest = maps.reshape(len(maps), -1).max(axis=1, initial=0)
    if not largest.any():
        return None, "Nothing at this layer speaks for the class that is explained: the maps are empty."
    peak = float(np.quantile(largest, 0.95, method="higher")) or float(largest.max())
    above = int((largest > peak).sum())
    more = f"; {above} {'maps go' if above > 1 else 'map goes'} beyond" if above else ""
    return peak, f"All maps are drawn on one scale: the brightest colour is {peak:.2g} logits for the class explained{more}."


def overlays(images: np.ndarray, maps: np.ndarray, opacity: float, peak: float | None, side: int, key: tuple) -> np.ndarray:
    """Images (N, S, S, C) with their maps (N, S, S), at most `side` pixels: (N, s, s, 3) uint8. `key` stands for both."""
    return _overlays(key, opacity, peak, min(side, images.shape[1]), images, maps)


@st.cache_data(max_entries=32, show_spinner=False)
def _overlays(key: tuple, opacity: float, peak: float | None, side: int, _images: np.ndarray, _maps: np.ndarray) -> np.ndarray:
    return np.stack([overlay(scale(image, side, side), cam, opacity if peak else 0.0, peak)
                     for image, cam in zip(_images, _maps)])


def stage_names(stages: Sequence[str]) -> dict[str, str]:
    """Layers from fine to coarse with what a person reads: "network.layer4" -> "layer4 (4 of 4)"."""
    return {name: f"{name.removeprefix('network.')} ({i} of {len(stages)})" for i, name in enumerate(stages, 1)}


# ---------------------------------------------------------------------------------------------------------- the picture

def show_map(image: np.ndarray, cam: np.ndarray | None, *, key: str, token: str, label: str, peak: float | None = None,
             outline: np.ndarray | None = None, height: int = 460) -> None:
    """One image with its map over it; opacity and outline are changed in the browser, at once, without the server.

    The browser draws what `core.explain.overlay` draws: the map comes as colours whose alpha is cam / peak, and the opacity
    of the whole is the slider's.

    Args:
        image: (H, W, 1 or 3) uint8
        cam: (h, w) float >= 0, in the image's proportions; None shows the image alone
        token: stands for image, map and outline
        label: what is shown, for people who do not see it
        peak: value of the brightest colour, in logits; None takes the map's own largest
        outline: (H, W) bool, where the finding truly is; a checkbox draws its edge
        height: the most that the picture takes on the screen, in CSS pixels
    """
    peak = peak or (float(cam.max()) if cam is not None else 0.0)
    header, pixels = _picture_bytes(token, peak, image, cam, outline)
    header = header | {"label": label, "height": height, "peak": f"{peak:.2g} logits" if peak > 0 else "",
                       "empty": cam is not None and not peak > 0, "id": f"{token} {peak}"}
    _element(data=pack(header, pixels), key=key)


@st.cache_data(max_entries=32, show_spinner=False)
def _picture_bytes(token: str, peak: float, _image: np.ndarray, _cam: np.ndarray | None,
                   _outline: np.ndarray | None) -> tuple[dict, bytes]:
    """Header and the bytes of the image followed by those of the map."""
    height, width = _image.shape[:2]
    header = {"width": width, "ratio": width / height,
              "colours": [f"rgb({r},{g},{b})" for r, g, b in colour_scale(16).tolist()]}
    shrink = min(1.0, LARGEST / max(height, width))
    image = scale(_image, max(1, round(height * shrink)), max(1, round(width * shrink)))
    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.shape[2] == 3 else image
    exact = max(image.shape[:2]) <= 256
    encoded = cv2.imencode(".png" if exact else ".jpg", image, [] if exact else [cv2.IMWRITE_JPEG_QUALITY, 93])[1].tobytes()
    header |= {"kind": "image/png" if exact else "image/jpeg", "length": len(encoded), "outline": outline_path(_outline)}
    if _cam is None or not peak > 0:
        return header, encoded
    # Brought to 320 pixels here: the browser would interpolate colours, which is not the colour of the value between.
    grow = max(1.0, 320 / max(_cam.shape))
    cam = cv2.resize(np.asarray(_cam, np.float32), (round(_cam.shape[1] * grow), round(_cam.shape[0] * grow)))
    value = np.rint(np.clip(cam / peak, 0, 1) * 255).astype(np.uint8)
    coloured = np.dstack([colour_scale()[value][..., ::-1], value])
    return header | {"map": True}, encoded + cv2.imencode(".png", coloured, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def outline_path(mask: np.ndarray | None) -> str:
    """The edge of a mask as an SVG path in a box of 1000 x 1000; empty where there is nothing."""
    if mask is None or not mask.any():
        return ""
    height, width = mask.shape
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    parts = []
    for contour in contours:
        points = (contour[:, 0] + 0.5) * (1000 / width, 1000 / height)
        parts.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points) + "Z")
    return "".join(parts)


def pages_of(n: int, size: int) -> int:
    """How many pages of `size` images n images fill; at least one."""
    return max(1, math.ceil(n / size))
