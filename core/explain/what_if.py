"""What would the network predict if the image were changed? Changes of one image, each a row of a table.

A map shows what a network used; a change tests it. If the prediction depends on a letter at the edge,
covering the letter changes the probability and rotating the bone does not.

H x W pixels, C channels; images are uint8, or float in [0, 1], and stay what they are.

Places are shares of the image: x from its left edge (0) to its right (1), y from its top (0) to its bottom
(1).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

LETTERS = string.ascii_uppercase
# pixels: a letter is drawn at this height and then brought to the one that is asked for
GLYPH = 128


# Functions on (H, W, C) float32 in [0, 1]. They may go beyond [0, 1]: `change` cuts that off.

def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turn about the middle, counter-clockwise; what comes in from outside is black, what goes out is lost."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR).reshape(image.shape)


def blur(image: np.ndarray, percent: float) -> np.ndarray:
    """Blur with a Gaussian; its standard deviation is `percent` of the longer side.

    The edge pixels are repeated outwards.
    """
    sigma = percent / 100 * max(image.shape[:2])
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).reshape(image.shape)


def brightness(image: np.ndarray, added: float) -> np.ndarray:
    """Add the same to every pixel."""
    return image + np.float32(added)


def noise(image: np.ndarray, deviation: float) -> np.ndarray:
    """Add Gaussian noise of this standard deviation, the same at each call, so that only what one changes changes."""
    drawn = np.random.default_rng(0).standard_normal(image.shape[:2] + (1,), np.float32)
    return image + np.float32(deviation) * drawn


def invert(image: np.ndarray, on: bool) -> np.ndarray:
    """Invert the image, 1 - image: bones become dark, as on some viewers."""
    return 1 - image if on else image


def letter(image: np.ndarray, text: str, x: float, y: float, side: float) -> np.ndarray:
    """Paste a white letter whose middle is at (x, y).

    Args:
        text: one of LETTERS
        side: its height, a share of the image's longer side
    """
    height = max(3, round(side * max(image.shape[:2])))
    stamp = _glyph(text)
    stamp = cv2.resize(stamp, (max(2, round(stamp.shape[1] * height / stamp.shape[0])), height), interpolation=cv2.INTER_AREA)
    there, part = _window(image.shape, x, y, *stamp.shape)
    weight = stamp[part][..., None]
    image = image.copy()
    image[there] = (1 - weight) * image[there] + weight
    return image


def cover(image: np.ndarray, x: float, y: float, side: float, gray: float | None = None) -> np.ndarray:
    """Cover a square whose middle is at (x, y).

    Args:
        side: a share of the image's longer side
        gray: what it is filled with, in [0, 1]; None takes the mean of the image, channel by channel
    """
    pixels = max(1, round(side * max(image.shape[:2])))
    there, _ = _window(image.shape, x, y, pixels, pixels)
    filled = image.copy()
    filled[there] = image.mean(axis=(0, 1)) if gray is None else gray
    return filled


@dataclass(frozen=True)
class Change:
    """One thing that can be done to an image.

    Attributes:
        title: as a control is called; help: what it does, in a sentence
        function: image, value or keywords -> image
        neutral: the value that changes nothing
        low, high, step, unit: of the value, where it is a number; unit is a format such as "%d deg"
        placed: whether it takes keywords (x, y, side, ...) instead of a value: it has a place that can be
            dragged
    """

    title: str
    help: str
    function: Callable[..., np.ndarray]
    neutral: Any = None
    low: float = 0
    high: float = 0
    step: float = 0
    unit: str = ""
    placed: bool = False


# In this order: a turned patient is imaged blurred, exposed, with noise; letters and covers lie on the finished film.
CHANGES: dict[str, Change] = {
    "rotate": Change("Rotate", "Rotates the image about its centre, counter-clockwise. What enters from outside is black.",
                     rotate, 0, -180, 180, 5, "%d deg"),
    "blur": Change("Blur", "Gaussian blur; its standard deviation as a share of the side. Fine texture disappears first.",
                   blur, 0.0, 0.0, 5.0, 0.25, "%.2f %%"),
    "brightness": Change("Brightness", "Added to every pixel; black is 0, white is 1.",
                         brightness, 0.0, -0.5, 0.5, 0.05, "%+.2f"),
    "noise": Change("Noise", "Gaussian noise: its standard deviation, where black is 0 and white is 1.",
                    noise, 0.0, 0.0, 0.5, 0.02, "%.2f"),
    "invert": Change("Invert", "Black becomes white and white black.", invert, False),
    "letter": Change("Paste a letter", "A white letter as radiographers place on films. Drag it on the image.", letter,
                     placed=True),
    "cover": Change("Cover a square", "Hides a part of the image. If the prediction stays, it does not depend on that part "
                    "alone. "
                    "Drag it on the image.", cover, placed=True),
}


def change(image: np.ndarray, wanted: Mapping[str, Any], views: int = 1) -> np.ndarray:
    """Return an image after some changes, in the order of CHANGES.

        change(image, {"rotate": 15, "cover": {"x": 0.2, "y": 0.1, "side": 0.25}})

    Args:
        image: (H, W, C) uint8, or float in [0, 1]
        wanted: name -> value, or the keywords of a placed change; None and neutral values change nothing
        views: that lie side by side in the image; each is turned and blurred by itself, and one that is black stays black

    Returns:
        An array of the same shape and type. It is the input itself where nothing changes.

    Raises:
        KeyError: a change that is not in CHANGES
        ValueError: another type or shape
    """
    if unknown := set(wanted) - set(CHANGES):
        raise KeyError(f"no change called {sorted(unknown)}; there are {', '.join(CHANGES)}")
    if image.ndim != 3 or image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"image must be (H, W, C), uint8 or float, not {image.dtype} of {image.shape}")
    steps = [(row, wanted[name]) for name, row in CHANGES.items() if is_change(name, wanted.get(name))]
    if not steps:
        return image
    scale = 255 if image.dtype == np.uint8 else 1
    pixels = image.astype(np.float32) / scale
    apart = np.split(pixels, views, axis=1)
    for row, value in steps:
        if row.placed:
            apart = np.split(row.function(np.concatenate(apart, axis=1), **value), views, axis=1)
        else:
            apart = [row.function(view, value) for view in apart]
    there = [bool(view.any()) for view in np.split(image, views, axis=1)]
    pixels = np.concatenate([view if views == 1 or seen else np.zeros_like(view) for view, seen in zip(apart, there)], axis=1)
    pixels = pixels.clip(0, 1) * scale
    return (np.rint(pixels) if scale == 255 else pixels).astype(image.dtype)


def is_change(name: str, value: Any) -> bool:
    """Return whether a value of CHANGES[name] changes anything."""
    return value is not None and (CHANGES[name].placed or value != CHANGES[name].neutral)


def _glyph(text: str) -> np.ndarray:
    """A letter as (GLYPH, w) float32 in [0, 1] without a margin. Raises ValueError for what is no letter."""
    if len(text) != 1 or text not in LETTERS:
        raise ValueError(f"a letter is one of {LETTERS}, not {text!r}")
    canvas = np.zeros((2 * GLYPH, 2 * GLYPH), np.uint8)
    cv2.putText(canvas, text, (GLYPH // 4, 3 * GLYPH // 2), cv2.FONT_HERSHEY_DUPLEX, GLYPH / 24, 255, 14, cv2.LINE_AA)
    rows, columns = np.flatnonzero(canvas.any(1)), np.flatnonzero(canvas.any(0))
    tight = canvas[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].astype(np.float32) / 255
    return cv2.resize(tight, (round(tight.shape[1] * GLYPH / tight.shape[0]), GLYPH), interpolation=cv2.INTER_AREA)


def _window(shape: tuple[int, ...], x: float, y: float, height: int, width: int) -> tuple[tuple, tuple]:
    """Where a stamp of height x width with its middle at (x, y) lies in the image, and which part of it is inside."""
    places, parts = [], []
    for centre, length, size in ((y, shape[0], height), (x, shape[1], width)):
        start = round(centre * length - size / 2)
        first, last = max(0, start), min(length, start + size)
        places.append(slice(first, max(first, last)))
        parts.append(slice(first - start, max(first, last) - start))
    return tuple(places), tuple(parts)
