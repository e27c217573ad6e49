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
        selected: the place of the one that is looked at
    """
    data: Dataset
    rows: np.ndarray
    captions: Sequence[str]
    marks: Sequence[str]
    tile: int
    selected: int | None

    def key(self) -> tuple:
        """Stands for the pixels."""
        return self.data.fingerprint, self.data.size, self.data.resize, self.data.channels, self.rows.tobytes()

    def pictures(self) -> np.ndarray:
        return self.data.images[self.rows]

    def draw(self, pictures: Callable[[], np.ndarray], name: str, label: str, key: tuple) -> int | None:
        return gallery(pictures, key=name, aria_label=label, cache_key=key, captions=self.captions, marks=self.marks,
                       tile=self.tile, selected=self.selected)


@dataclass(frozen=True)
class Explained:
    """What the maps show: of which network and layer, for which class of each image, and how strong they are drawn, in [0, 1]."""
    address: str
    layer: str
    targets: tuple[int, ...]
    opacity: float


def draw_images(tiles: Tiles) -> int | None:
    """The images. Returns the place that was clicked."""
    return tiles.draw(tiles.pictures, "errors", "Images with the true class and the answer", tiles.key())


def draw_maps(tiles: Tiles, asked: Explained) -> int | None:
    """The images under their maps, all on one scale. Returns the place that was clicked."""
    peak, sentence = _scale(tiles, asked)
    clicked = _draw_overlays(tiles, asked, peak)
    st.caption(sentence)
    return clicked


def draw_side_by_side(tiles: Tiles, asked: Explained) -> int | None:
    """The images, and beside them the same under their maps. Returns the place that was clicked."""
    peak, sentence = _scale(tiles, asked)
    with st.container(key="side_by_side"):
        left, right = st.columns(2, gap="small")
    with left:
        first = draw_images(tiles)
    with right:
        second = _draw_overlays(tiles, asked, peak)
    st.caption(sentence)
    return first if first is not None else second


def _draw_overlays(tiles: Tiles, asked: Explained, peak: float | None) -> int | None:
    def drawn() -> np.ndarray:
        return overlays(tiles.pictures(), _maps(tiles, asked), asked.opacity, peak, side=round(1.25 * tiles.tile))
    return tiles.draw(drawn, "errors_maps", "Grad-CAM of the images", (*_key(tiles, asked), asked.opacity, tiles.tile))


def _scale(tiles: Tiles, asked: Explained) -> tuple[float | None, str]:
    """`scale_of` these maps. What was drawn before needs neither maps nor pictures again."""
    key, kept = _key(tiles, asked), _scales()
    scale = kept.get(key)
    if scale is None:
        kept[key] = scale = scale_of(_maps(tiles, asked))
        while len(kept) > SCALES:
            kept.pop(next(iter(kept)), None)
    return scale


def _maps(tiles: Tiles, asked: Explained) -> np.ndarray:
    return maps_of(asked.address, tiles.data, tiles.rows, asked.targets, asked.layer)


def _key(tiles: Tiles, asked: Explained) -> tuple:
    return *tiles.key(), asked.address, version(asked.address), asked.layer, asked.targets


@st.cache_resource(show_spinner=False)
def _scales() -> dict:
    """What stands for a page of maps -> its scale, and the sentence about it."""
    return {}
