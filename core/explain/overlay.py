"""Drawing a map on its image. The image stays gray; only the map has colour."""

from __future__ import annotations

import cv2
import numpy as np


def overlay(image: np.ndarray, cam: np.ndarray, opacity: float = 0.6, peak: float | None = None, *,
            signed: bool = False) -> np.ndarray:
    """Draw a map over an image: the larger the map, the brighter and the more opaque its colour.

        v   = min(cam / peak, 1)
        out = (1 - opacity v) image + opacity v colour(v)

    So where the map is zero the image shows as it is, and a map of zeros changes nothing. A signed map takes
    |v| in both formulas but for the side of the colours.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8
        cam: (h, w) float, >= 0 unless `signed`; brought to (H, W) by bilinear interpolation
        opacity: 0 shows the image alone, 1 hides it where the map is at its peak
        peak: the value that gets the brightest colour, in the map's unit. None takes the map's own maximum;
            give one number for several maps that should be compared, and say on the page which it was
        signed: negative values count; they get the cold colours of `coloured`

    Returns:
        (H, W, 3) uint8, RGB

    Raises:
        ValueError: wrong type or shape, a map that is not finite, or negative though it is not
            signed, opacity or peak out of range
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.ndim == 3 and image.shape[2] not in (1, 3):
        raise ValueError(f"image must be uint8 of shape (H, W, 1) or (H, W, 3), not {image.dtype} of {image.shape}")
    cam = np.asarray(cam, dtype=np.float32)
    if cam.ndim != 2 or not np.isfinite(cam).all() or cam.min() < 0 and not signed:
        raise ValueError("cam must be (h, w) with finite numbers that are not negative, unless it is signed")
    if not 0 <= opacity <= 1 or peak is not None and not 0 < peak < np.inf:
        raise ValueError("opacity must lie between 0 and 1, peak must be positive")

    image = image.reshape(image.shape[:2] + (-1,))
    height, width = image.shape[:2]
    rgb = np.broadcast_to(image, (height, width, 3))
    peak = float(np.abs(cam).max()) if peak is None else peak
    if peak == 0 or opacity == 0:
        return rgb.copy()
    value = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)      # OpenCV wants (W, H)
    value = np.clip(value / np.float32(peak), -1, 1)
    alpha = np.float32(opacity) * np.abs(value)[..., None]
    return np.rint((1 - alpha) * rgb + alpha * coloured(value)).astype(np.uint8)


def coloured(value: np.ndarray) -> np.ndarray:
    """Return the colour of each value from -1 to 1: (..., 3) uint8, RGB.

    Below zero: the scale with red and blue exchanged.
    """
    colour = colour_scale()[np.rint(np.abs(value) * 255).astype(np.uint8)]
    return np.where((np.asarray(value) < 0)[..., None], colour[..., ::-1], colour) if np.min(value, initial=0) < 0 else colour


def colour_scale(n: int = 256, signed: bool = False) -> np.ndarray:
    """Return the colours from 0 to the peak, or with `signed` from the lowest to the peak, for a legend: (n, 3) uint8, RGB.

    Inferno (Smith and van der Walt, SciPy 2015): its lightness rises evenly from black, so equal steps look
    equal, also in print and to people who see colours differently. A rainbow shows edges where the map has
    none.
    """
    if signed:
        return coloured(np.linspace(-1, 1, n))
    steps = np.rint(np.linspace(0, 255, n)).astype(np.uint8)
    return cv2.applyColorMap(steps[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1].copy()   # OpenCV gives BGR
