"""Three ways to make an image square, side by side, with what each does to it."""

from __future__ import annotations

import base64
from html import escape

import cv2
import numpy as np

from core.datasets.geometry import fit, inner_size
from pages.shared.layout import format_percent

LONGEST = 320          # pixels of the longer side of the original as it is shown: twice its size on the page
WAYS = {"stretch": "Stretch", "pad": "Pad", "crop": "Crop"}


def fits_html(pixels: np.ndarray, size: int, chosen: str | None = None) -> str:
    """Return HTML that shows an image as it is, and stretched, padded and cropped to a square.

    A dashed frame on the original shows what a crop keeps.

    Args:
        pixels: (H, W, C) uint8, C = 1 or 3
        size: pixels a side of the square
        chosen: the way that these images are prepared, which is marked
    """
    height, width, channels = pixels.shape
    longer, side = max(height, width), min(height, width)
    shown = fit_longest(pixels, LONGEST)
    left, top = (50 * (1 - side / s) for s in (width, height))
    frame = f"<i style='left:{left:.2f}%;right:{left:.2f}%;top:{top:.2f}%;bottom:{top:.2f}%'></i>" if height != width else ""
    figures = [_figure(shown, 100 * width / longer, "Original", f"{width:,} x {height:,} px", frame)]
    for way, title in WAYS.items():
        mark = " (used here)" if way == chosen else ""
        figures.append(_figure(fit(pixels, size, way, channels), 100, title + mark,
                               cost_of(height, width, size, way)))
    return f"<div class='lb-fits'>{''.join(figures)}</div>"


def cost_of(height: int, width: int, size: int, resize: str) -> str:
    """Return what one way of making a height x width image square does to it."""
    if height == width:
        return "already square"
    longer, shorter = max(height, width), min(height, width)
    if resize == "stretch":
        return f"stretched {'horizontally' if height > width else 'vertically'} by {longer / shorter:.2f}"
    if resize == "crop":
        return f"{format_percent(1 - shorter / longer, 0)} of the image is cut off"
    inner = inner_size(height, width, size, resize)
    return f"{format_percent(1 - inner[0] * inner[1] / size**2, 0)} black bars"


def fit_longest(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Shrink (H, W, C) uint8, keeping its aspect ratio, until its longer side has `longest` pixels."""
    height, width, channels = pixels.shape
    share = longest / max(height, width)
    if share >= 1:
        return pixels
    to = max(1, round(width * share)), max(1, round(height * share))
    return cv2.resize(pixels, to, interpolation=cv2.INTER_AREA).reshape(to[1], to[0], channels)


def data_uri(pixels: np.ndarray) -> str:
    """Return (H, W, C) uint8 as a PNG data URI."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2] == 3 else pixels
    png = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _figure(pixels: np.ndarray, width: float, title: str, words: str, over: str = "") -> str:
    return (f"<figure><div class='picture' style='width:{width:.1f}%'><img src='{data_uri(pixels)}' "
            f"alt='{escape(f'{title}: {words}')}'>{over}</div>"
            f"<figcaption><b>{escape(title)}</b>{escape(words).replace(' %', '&nbsp;%')}</figcaption></figure>")
