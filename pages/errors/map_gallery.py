"""A page of images, of their maps, or of both beside each other: tiles that can be clicked. N images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.datasets import Dataset
from pages.shared.gallery import gallery
from pages.shared.heatmap_image import overlays, scale_of
from pages.shared.heatmaps import maps_of, version

SCALES = 200           # so many pages of maps are remembered by their scale


@dataclass(frozen=True)
class Tiles:
    """What is shown.

    Args:
        rows: (N,) of the data set
        captions, marks: N of each, as `pages.shared.gallery.gallery` takes them
        tile: CSS pixels a side
        selected: the place of the one that is opened
    """
    data: Dataset
    rows: np.ndarray
    captions: Sequence[str]
    marks: Sequence[str]
    tile: int
    selected: int | None

    def key(self) -> tuple:
        """Stands for the pixels."""
        data = self.data
        return data.fingerprint, data.size, data.resize, data.channels, self.rows.tobytes()

    def images(self) -> np.ndarray:
        return self.data.images[self.rows]

    def draw(self, images: Callable[[], np.ndarray], name: str, label: str, key: tuple) -> int | None:
        return gallery(images, key=name, aria_label=label, cache_key=key, captions=self.captions,
                       marks=self.marks,
                       tile=self.tile, selected=self.selected)


@dataclass(frozen=True)
class MapSettings:
    """Of which network and layer the maps are, for which class of each image, and how strong they are
    drawn, in [0, 1]."""
    address: str
    layer: str
    targets: tuple[int, ...]
    opacity: float


def draw_images(tiles: Tiles, settings: MapSettings | None = None) -> int | None:
    """The images. Returns the place that was clicked."""
    return tiles.draw(tiles.images, "errors", "Images with true and predicted class", tiles.key())


def draw_maps(tiles: Tiles, settings: MapSettings) -> int | None:
    """The images under their maps, all on one scale. Returns the place that was clicked."""
    peak, sentence = _scale(tiles, settings)
    clicked = _draw_overlays(tiles, settings, peak)
    st.caption(sentence)
    return clicked


def draw_side_by_side(tiles: Tiles, settings: MapSettings) -> int | None:
    """The images, and beside them the same under their maps. Returns the place that was clicked."""
    peak, sentence = _scale(tiles, settings)
    with st.container(key="side_by_side"):
        left, right = st.columns(2, gap="small")
    with left:
        first = draw_images(tiles)
    with right:
        second = _draw_overlays(tiles, settings, peak)
    st.caption(sentence)
    return first if first is not None else second


def _draw_overlays(tiles: Tiles, settings: MapSettings, peak: float | None) -> int | None:
    def drawn() -> np.ndarray:
        return overlays(tiles.images(), _maps(tiles, settings), settings.opacity, peak,
                        side=round(1.25 * tiles.tile))
    return tiles.draw(drawn, "errors_maps", "Grad-CAM of the images",
                      (*_key(tiles, settings), settings.opacity, tiles.tile))


def _scale(tiles: Tiles, settings: MapSettings) -> tuple[float | None, str]:
    """`scale_of` these maps. What was drawn before needs neither maps nor images again."""
    key, scales = _key(tiles, settings), _scales()
    if key not in scales:
        scales[key] = scale_of(_maps(tiles, settings))
        while len(scales) > SCALES:
            scales.pop(next(iter(scales)), None)
    return scales[key]


def _maps(tiles: Tiles, settings: MapSettings) -> np.ndarray:
    return maps_of(settings.address, tiles.data, tiles.rows, settings.targets, settings.layer)


def _key(tiles: Tiles, settings: MapSettings) -> tuple:
    return *tiles.key(), settings.address, version(settings.address), settings.layer, settings.targets


@st.cache_resource(show_spinner=False)
def _scales() -> dict:
    """What stands for a page of maps -> its scale, and the sentence about it."""
    return {}
