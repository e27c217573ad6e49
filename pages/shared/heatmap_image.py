"""A map on its image: in what scale it is drawn, many at once as thumbnails, and one as a picture that the
browser can fade.

N images, S pixels a side of the network's input, H x W pixels of an original. No torch at module level.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import streamlit as st

from core.datasets.geometry import inner_size, scale
from core.explain import METHODS, colour_scale, overlay
from core.explain.overlay import coloured
from pages.shared.gallery import pack
from pages.shared.heatmaps import HALF_FROM

HERE = Path(__file__).parent
LARGEST = 900          # pixels of the longer side of a picture that is sent to the browser
# What all pictures with maps share; it stands before the code of each.
OVERLAY_CSS, OVERLAY_JS = (HERE / "overlay.css").read_text(), (HERE / "overlay.js").read_text()

_element = st.components.v2.component(
    "lightbox_map",
    html="<figure></figure>",
    css=OVERLAY_CSS + (HERE / "heatmap_image.css").read_text(),
    js=OVERLAY_JS + (HERE / "heatmap_image.js").read_text(),
)


def on_original(cam: np.ndarray, height: int, width: int, resize: str) -> np.ndarray:
    """Bring a map of the network's square back to the picture that it was made from: (h, w) in the picture's
    proportions.

    What `core.datasets.geometry.fit` did is undone: black bars are cut off; what a crop left out has no map
    and gets zeros.
    """
    size = len(cam)
    if cam.shape[1] > size:                      # of several views
        if cam.shape[1] * height == size * width:
            return cam
        cam = cam[:, :size]
    if resize == "crop":
        side = min(height, width)
        canvas = np.zeros((round(size * height / side), round(size * width / side)), cam.dtype)
        top, left = (canvas.shape[0] - size) // 2, (canvas.shape[1] - size) // 2
        canvas[top:top + size, left:left + size] = cam
        return canvas
    inner = inner_size(height, width, size, resize)
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    return cam[top:top + inner[0], left:left + inner[1]]


def scale_of(maps: np.ndarray, method: str = "grad_cam") -> tuple[float | None, str]:
    """Return the value of the brightest colour in all of these maps (N, S, S), and a sentence with it and its
    unit.

    It is the largest value of all but the strongest twentieth of the maps: one that is far above the others
        would leave
    all of them dark. Up to twenty maps it is the largest of all.
    """
    largest = np.abs(maps).reshape(len(maps), -1).max(axis=1, initial=0)
    way = METHODS[method]
    if not largest.any():
        return None, "No evidence for the class at this layer: the maps are empty."
    peak = float(np.quantile(largest, 0.95, method="higher")) or float(largest.max())
    above = int((largest > peak).sum())
    sentence = f"All maps have the same scale: the brightest colour is {peak:.2g} {way.unit}"
    sentence += " for the explained class" if way.by_class else ", the same for every class"
    if above:
        sentence += f"; {above} {'maps exceed' if above > 1 else 'map exceeds'} it"
    sentence += "."
    if way.signed:
        sentence += " Cold colours are evidence against it."
    if _in_half(maps.shape[-1]):
        sentence += " Computed in bfloat16 for speed, with an error of a few percent of that."
    return peak, sentence


def _in_half(size: int) -> bool:
    import torch

    from core.explain.passes import bfloat16_is_fast
    return size >= HALF_FROM and bfloat16_is_fast(torch.device("cpu"))


def overlays(images: Sequence[np.ndarray], maps: Sequence[np.ndarray], opacity: float, peak: float | None,
             side: int) -> np.ndarray:
    """Return N images (S, S, C) with their maps (S, S), at most `side` pixels: (N, s, s, 3) uint8. Drawn
    at that size: a thumbnail shows no more. Without a peak the maps are empty, and the images stay as they
    are."""
    height, width = images[0].shape[:2]
    shrink = min(1.0, side / max(height, width))
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    return np.stack([overlay(scale(image, *size), cam, opacity if peak else 0.0, peak, signed=True)
                     for image, cam in zip(images, maps)])


# ------------------------------------------------------------------------------------------------ the picture

def show_map(image: np.ndarray, cam: np.ndarray | None, *, key: str, token: str, label: str,
             peak: float | None = None,
             outline: np.ndarray | None = None, height: int = 460, method: str = "grad_cam") -> None:
    """Draw one image with its map over it; opacity and outline are changed in the browser, at once, without
    the server.

    The browser draws what `core.explain.overlay` draws: the map comes as colours whose alpha is cam / peak,
    and the opacity of the whole is the slider's.

    Args:
        image: (H, W, 1 or 3) uint8
        cam: (h, w) float, in the image's proportions; None shows the image alone
        token: stands for image, map and outline
        label: what is shown, for people who do not see it
        peak: value of the brightest colour, in the method's unit; None takes the map's own largest
        outline: (H, W) bool, where the finding truly is; a checkbox draws its edge
        height: the most that the picture takes on the screen, in CSS pixels
        method: a key of core.explain.METHODS, which made the map
    """
    peak = peak or (float(np.abs(cam).max()) if cam is not None else 0.0)
    parts, header = _picture_parts(f"{token} {method}", peak, image, cam, outline)
    signed = METHODS[method].signed
    header = header | {"label": label, "height": height,
                       "high": f"{peak:.2g} {METHODS[method].unit}" if peak > 0 else "",
                       "low": f"\u2212{peak:.2g}" if signed else "0", "colours": colours(signed),
                       "empty": cam is not None and not peak > 0, "id": f"{token} {method} {peak}"}
    _element(data=pack_parts(header, parts), key=key)


@st.cache_data(max_entries=32, show_spinner=False)
def _picture_parts(token: str, peak: float, _image: np.ndarray, _cam: np.ndarray | None,
                   _outline: np.ndarray | None) -> tuple[list[tuple[str, bytes]], dict]:
    """The image and its map, encoded, and the part of the header that belongs to them."""
    height, width = _image.shape[:2]
    shrink = min(1.0, LARGEST / max(height, width))
    image = scale(_image, max(1, round(height * shrink)), max(1, round(width * shrink)))
    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.shape[2] == 3 else image
    exact = max(image.shape[:2]) <= 256
    encoded = cv2.imencode(".png" if exact else ".jpg", image,
                           [] if exact else [cv2.IMWRITE_JPEG_QUALITY, 93])[1].tobytes()
    parts = [("image/png" if exact else "image/jpeg", encoded)]
    if _cam is not None and peak > 0:
        parts.append(("image/png", map_png(_cam, peak)))
    return parts, {"width": width, "ratio": width / height, "outline": outline_path(_outline)}


def pack_parts(header: dict, parts: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a header and encoded pictures (type, bytes) in one piece, as overlay.js reads them."""
    header = header | {"parts": [{"kind": kind, "length": len(content)} for kind, content in parts]}
    return pack(header, b"".join(content for _, content in parts))


def map_png(cam: np.ndarray, peak: float) -> bytes:
    """Return a map as a PNG of colours whose alpha is |cam| / peak. Brought to 320 pixels first: the
    browser would interpolate colours, which is not the colour of the value between."""
    grow = max(1.0, 320 / max(cam.shape))
    cam = cv2.resize(np.asarray(cam, np.float32), (round(cam.shape[1] * grow), round(cam.shape[0] * grow)))
    value = np.clip(cam / peak, -1, 1)
    pixels = np.dstack([coloured(value)[..., ::-1], np.rint(np.abs(value) * 255).astype(np.uint8)])
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def colours(signed: bool) -> list[str]:
    """Return the colour scale from its lowest value to its highest, for the bar below a picture."""
    return [f"rgb({r},{g},{b})" for r, g, b in colour_scale(32, signed).tolist()]


def outline_path(mask: np.ndarray | None) -> str:
    """Return the edge of a mask as an SVG path in a box of 1000 x 1000; empty where there is nothing."""
    if mask is None or not mask.any():
        return ""
    height, width = mask.shape
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    parts = []
    for contour in contours:
        points = (contour[:, 0] + 0.5) * (1000 / width, 1000 / height)
        parts.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points) + "Z")
    return "".join(parts)
