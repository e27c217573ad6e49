"""A grid of any images that can be clicked: one sheet with all of them, one element in the page.

An element for each image is slow: the browser decodes, lays out and asks for each one alone. So all tiles are
put on one sheet (a sprite), sent once, and each tile is a window on its place of the sheet. The bytes that go
to the browser are

    4 bytes   length of the header, little-endian
    header    JSON: columns, pitch, captions, marks ...
    sheet     PNG or JPEG

N images of S x S pixels, C channels. The sheet has a border of repeated pixels round each tile: without it a
browser that scales the sheet mixes in the neighbour's edge.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from core.datasets.geometry import fit

HERE = Path(__file__).parent
MARKS = {None: "", "right": "right", "wrong": "wrong"}
LOSSLESS = 32          # up to this many pixels a side a tile is kept exactly (PNG); above, JPEG is smaller and quicker
QUALITY = 92           # of JPEG, with full colour resolution: maps keep their hue

_element = st.components.v2.component(
    "lightbox_gallery",
    html="<div class='gallery' role='listbox'></div>",
    css=(HERE / "gallery.css").read_text(),
    js=(HERE / "gallery.js").read_text(),
)


def gallery(images: np.ndarray | Sequence[np.ndarray] | Callable[[], Sequence[np.ndarray]], *, key: str, aria_label: str,
            captions: Sequence[str] | None = None, marks: Sequence[str | None] | None = None, tile: int = 96,
            selected: int | None = None, cache_key: object = None, breaks: Sequence[int] = ()) -> int | None:
    """Draw images as a grid of tiles and return which one was clicked, or chosen by keyboard.

    Args:
        images: (N, S, S, C) uint8, or N images (H, W, C) of any size; C = 1 or 3. Not square: black bars are
            added. Or a function that makes them, called only while their sheet is not cached: give a
            `cache_key`, and N captions
        key: name of this grid, unique on the page
        aria_label: what the grid shows, for people who do not see it
        captions: a text under each tile, shown exactly as it is; at most three lines
        marks: "right", "wrong" or None for each tile: a coloured edge with a sign
        tile: side of a tile on the screen, in CSS pixels
        selected: index of the tile that is drawn as chosen
        cache_key: anything hashable that stands for these images (a data set's fingerprint and the row
            numbers); without it the pixels themselves are hashed
        breaks: indices of tiles that begin a new row

    Returns:
        The index that was clicked just now, once; None in every other run.

    Raises:
        ValueError: captions or marks of another length, or a mark that is not known
    """
    n = len(captions) if callable(images) else len(images)
    for name, values in (("captions", captions), ("marks", marks)):
        if values is not None and len(values) != n:
            raise ValueError(f"{n} images but {len(values)} {name}")
    if marks is not None and not set(marks) <= set(MARKS):
        raise ValueError(f"a mark is one of {tuple(MARKS)}, not {set(marks) - set(MARKS)}")
    if not n:
        return None
    sheet, layout = _sheet(images, _token(images) if cache_key is None else repr(cache_key), tile)
    header = layout | {"tile": tile, "label": aria_label, "captions": [str(c) for c in captions] if captions is not None else [],
                       "marks": list(marks) if marks is not None else [], "breaks": [int(i) for i in breaks]}
    header["id"] = hashlib.sha256(json.dumps(header).encode()).hexdigest()    # same id: the browser keeps what it shows
    state = st.session_state.get(key)
    just = _index(state.get("clicked") if state else None, n)
    header["selected"] = just if just is not None else selected
    result = _element(data=pack(header, sheet), key=key, on_clicked_change=lambda: None)
    return _index(result.clicked, n)


def pack(header: dict, sheet: bytes) -> bytes:
    """Return the bytes for the browser, as the module says."""
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + sheet


def draw_sheet(images: np.ndarray | Sequence[np.ndarray], side: int) -> tuple[np.ndarray, dict]:
    """Put tiles of `side` pixels on one sheet.

    Returns:
        (H, W, C) uint8 and where the tiles are: n, columns, rows, side, pitch (distance of two tiles),
        border, all in pixels. Tile i begins at x = (i % columns) * pitch + border, y = (i // columns) * pitch
        + border.
    """
    channels = max(image.shape[-1] for image in images)
    border = 2
    pitch = -(-(side + 2 * border) // 8) * 8            # a multiple of 8: no block of a JPEG holds two tiles
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    sheet = np.zeros((rows * pitch, columns * pitch, channels), np.uint8)
    for i, image in enumerate(images):
        small = fit(_folded(np.asarray(image)), side, "pad", channels)
        x, y = i % columns * pitch, i // columns * pitch
        after = pitch - side - border
        sheet[y:y + pitch, x:x + pitch] = np.pad(small, ((border, after), (border, after), (0, 0)), mode="edge")
    return sheet, {"n": len(images), "columns": columns, "rows": rows, "side": side, "pitch": pitch, "border": border}


def _folded(image: np.ndarray) -> np.ndarray:
    """Return three or more views that lie side by side, (S, V S, C), as a block of rows: a strip would be too small to see."""
    side, views = image.shape[0], image.shape[1] // image.shape[0]
    if views < 3 or image.shape[1] != views * side:
        return image
    columns = math.ceil(math.sqrt(views))
    image = np.pad(image, ((0, 0), (0, -views % columns * side), (0, 0)))
    return np.concatenate(np.split(image, image.shape[1] // (columns * side), axis=1), axis=0)


@st.cache_data(max_entries=64, show_spinner=False)
def _sheet(_images, token: str, tile: int) -> tuple[bytes, dict]:
    """Return the encoded sheet and its layout. Few tiles are sent twice as sharp, for fine screens."""
    _images = _images() if callable(_images) else _images
    largest = max(max(image.shape[:2]) for image in _images)
    side = min(largest, tile * 2 if len(_images) <= 60 else round(tile * 1.25))
    sheet, layout = draw_sheet(_images, side)
    pixels = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR) if sheet.shape[2] == 3 else sheet
    if side <= LOSSLESS:
        encoded, kind = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1], "image/png"
    else:
        encoded, kind = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                                                      cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444])[1], "image/jpeg"
    return encoded.tobytes(), layout | {"kind": kind, "sheet": hashlib.sha256(encoded.tobytes()).hexdigest()}


def _token(images: np.ndarray | Sequence[np.ndarray]) -> str:
    """Return a hash of all pixels and shapes."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(str(image.shape).encode())
        digest.update(np.ascontiguousarray(image))
    return digest.hexdigest()


def _index(value: object, n: int) -> int | None:
    """Return what the browser sent, if it is the number of a tile. It may be anything, so it is checked."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < n else None
