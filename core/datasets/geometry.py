"""Resizing: the one function by which an image becomes a square of a given size.

The pixel store, a dropped file and a sample all go through `fit`, so a network meets the same geometry in training and in use.

H x W pixels, S the side of the square, C channels (1 gray, 3 colour).
"""

from __future__ import annotations

import cv2
import numpy as np

RESIZE = ("pad", "stretch", "crop")


def fit(pixels: np.ndarray, size: int, resize: str = "pad", channels: int = 1) -> np.ndarray:
    """Bring an image to `size` pixels a side.

        pad      the longer side becomes `size`, black bars fill the rest evenly; shape and content are kept
        stretch  both sides become `size`; the shape is distorted
        crop     the middle square is cut out; what lies outside is lost

    Colour becomes gray by luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); gray becomes colour by repeating.

    Args:
        pixels: (H, W, C) uint8
        size: S, in pixels
        resize: one of RESIZE
        channels: 1 or 3

    Returns:
        (S, S, channels) uint8. It may be the input itself where nothing is to be done.

    Raises:
        ValueError: an unknown way to resize, or a number of channels other than 1 and 3

    >>> fit(np.zeros((300, 200, 3), np.uint8), 64).shape
    (64, 64, 1)
    """
    if resize not in RESIZE or channels not in (1, 3):
        raise ValueError(f"resize is one of {RESIZE} and channels 1 or 3, not {resize!r} and {channels!r}")
    if channels == 1 and pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    if resize == "crop":
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top:top + side, left:left + side]
    height, width = inner_size(*pixels.shape[:2], size, resize)
    pixels = scale(pixels, height, width)
    if (height, width) != (size, size):
        top, left = (size - height) // 2, (size - width) // 2
        square = np.zeros((size, size, pixels.shape[2]), np.uint8)
        square[top:top + height, left:left + width] = pixels
        pixels = square
    return np.repeat(pixels, channels // pixels.shape[2], axis=2) if channels != pixels.shape[2] else pixels


def fit_views(pixels: np.ndarray, size: int, resize: str = "pad", channels: int = 1, views: int = 1) -> np.ndarray:
    """Bring views that lie side by side to `size` pixels a side, each by itself: (H, V W, C) -> (S, V S, channels).

    With one view it is `fit`.

    >>> fit_views(np.zeros((300, 400, 1), np.uint8), 64, views=2).shape
    (64, 128, 1)
    """
    parts = [fit(part, size, resize, channels) for part in np.split(pixels, views, axis=1)]
    return np.concatenate(parts, axis=1) if views > 1 else parts[0]


def inner_size(height: int, width: int, size: int, resize: str) -> tuple[int, int]:
    """Return height and width of the image itself inside the square, in pixels; below `size` only where bars are added."""
    if resize != "pad":
        return size, size
    longer = max(height, width)
    return max(1, round(height * size / longer)), max(1, round(width * size / longer))


def scale(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W, C) uint8 to (height, width, C).

    A side that shrinks takes the mean over the area that each new pixel covers: every old pixel counts, so thin lines do not
    vanish and fine texture does not turn into false patterns. A side that grows is interpolated linearly. Where one side
    shrinks and the other grows, the shrinking comes first.
    """
    for (h, w), how in (((min(height, pixels.shape[0]), min(width, pixels.shape[1])), cv2.INTER_AREA),
                        ((height, width), cv2.INTER_LINEAR)):
        if pixels.shape[:2] != (h, w):
            pixels = cv2.resize(pixels, (w, h), interpolation=how).reshape(h, w, -1)     # cv2 wants (width, height)
    return pixels


def describe_fit(shape: tuple[int, int, int], size: int, resize: str = "pad", channels: int = 1) -> tuple[str, ...]:
    """Return what `fit` does to an image of `shape` (H, W, C), in plain sentences.

    >>> describe_fit((300, 200, 1), 30)
    ('Reduced from 200 x 300 to 20 x 30 px (width x height).', 'Black bars left and right fill it to 30 x 30 px.')
    """
    height, width, has = shape
    steps = []
    if channels == 1 and has == 3:
        steps.append("Colour was converted to gray (0.299 red + 0.587 green + 0.114 blue).")
    if resize == "crop" and height != width:
        side = min(height, width)
        share = 1 - side / max(height, width)
        steps.append(f"The middle {side:,} x {side:,} px were cropped; {share:.0%} of the image was lost.")
        height = width = side
    inner = inner_size(height, width, size, resize)
    if inner != (height, width):
        verb = "Reduced" if inner[0] <= height and inner[1] <= width else "Enlarged" if inner >= (height, width) else "Resized"
        distorted = " This distorts its shape." if resize == "stretch" and height != width else ""
        steps.append(f"{verb} from {width:,} x {height:,} to {inner[1]} x {inner[0]} px (width x height).{distorted}")
    if inner != (size, size):
        where = "left and right" if inner[1] < size else "above and below"
        steps.append(f"Black bars {where} fill it to {size} x {size} px.")
    if channels == 3 and has == 1:
        steps.append("The gray values were copied to red, green and blue.")
    return tuple(steps) or (f"Nothing: it already has {size} x {size} px.",)
