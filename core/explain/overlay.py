"""Drawing a map on its image. The image stays gray; only the map has colour."""

from __future__ import annotations

import cv2
import numpy as np


def overlay(image: np.ndarray, cam: np.ndarray, opacity: float = 0.6, peak: float | None = None) -> np.ndarray:
    """An image with a map over it: the larger the map, the brighter and the more opaque its colour.

        v   = min(cam / peak, 1)
        out = (1 - opacity v) image + opacity v colour(v)

    So where the map is zero the image shows as it is, and a map of zeros changes nothing.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8
        cam: (h, w) float, >= 0; brought to (H, W) by bilinear interpolation
        opacity: 0 shows the image alone, 1 hides it where the map is at its peak
        peak: the value that gets the brightest colour, in the map's unit. None takes the map's own maximum; give one
            number for several maps that should be compared, and say on the page which it was

    Returns:
        (H, W, 3) uint8, RGB

    Raises:
        ValueError: wrong type or shape, a negative or not finite map, opacity or peak out of range
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.ndim == 3 and image.shape[2] not in (1, 3):
        raise ValueError(f"image must be uint8 of shape (H, W, 1) or (H, W, 3), not {image.dtype} of {image.shape}")
    cam = np.asarray(cam, dtype=np.float32)
    if cam.ndim != 2 or not np.isfinite(cam).all() or cam.min() < 0:
        raise ValueError("cam must be (h, w) with finite numbers that are not negative")
    if not 0 <= opacity <= 1 or peak is not None and not 0 < peak < np.inf:
        raise ValueError("opacity must lie between 0 and 1, peak must be positive")

    image = image.reshape(image.shape[:2] + (-1,))
    height, width = image.shape[:2]
    rgb = np.broadcast_to(image, (height, width, 3))
    peak = float(cam.max()) if peak is None else peak
    if peak == 0 or opacity == 0:
        return rgb.copy()
    value = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)      # OpenCV wants (W, H)
    value = np.minimum(value / np.float32(peak), 1)
    colour = colour_scale()[np.rint(value * 255).astype(np.uint8)]                # (H, W, 3)
    alpha = np.float32(opacity) * value[..., None]
    return np.rint((1 - alpha) * rgb + alpha * colour).astype(np.uint8)


def colour_scale(n: int = 256) -> np.ndarray:
    """The colours from 0 to the peak, for a legend: (n, 3) uint8, RGB.

    Inferno (Smith and van der Walt, SciPy 2015): its lightness rises evenly from black, so equal steps look equal, also
    in print and to people who see colours differently. A rainbow shows edges where the map has none.
    """
    steps = np.rint(np.linspace(0, 255, n)).astype(np.uint8)
    return cv2.applyColorMap(steps[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1].copy()   # OpenCV gives BGR
