"""Which image of a run: that of the address, else the first that is asked for; a strip of them, the next and the one before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.datasets import Dataset
from pages.shared.gallery import gallery
from pages.shared.layout import choose_param, escape, shorten
from pages.shared.open_data import thumbnails

STRIP = 15             # images in the strip


def asked_image(image_ids: Sequence[str]) -> int | None:
    """The position of `?image=` of the address among the images of a split; None where it is none of them.

    A sentence says so, except of an image that was shown here before: then another run or split was chosen since.
    """
    asked = st.query_params.get("image")
    if asked in image_ids:
        st.session_state["image_shown"] = asked
        return image_ids.index(asked)
    if asked and asked == st.session_state.get("image_shown"):
        st.query_params.pop("image", None)
    elif asked:
        st.warning(f"There is no image called {escape(shorten(asked))} among the {len(image_ids):,} of this split.")
    return None


def pick_image(data: Dataset, rows: np.ndarray, positions: np.ndarray, image_ids: Sequence[str], right: np.ndarray) -> int:
    """Draw the strip and return the position of the image that is shown.

    Args:
        rows: (N,) rows of the data set, for the N images of a split
        positions: (n,) those of the N that are asked for, in the order in which they are worth looking at; n >= 1
        image_ids: N names; `?image=` is one of them, also one that is not among the n
        right: (N,) bool, whether the answer is right
    """
    asked = asked_image(image_ids)
    position = int(positions[0]) if asked is None else asked
    found = np.flatnonzero(positions == position)
    place = int(found[0]) if len(found) else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="strip"):
        _step("Previous", ":material/chevron_left:", image_ids, positions, None if place is None else place - 1)
        _step("Next", ":material/chevron_right:", image_ids, positions, 0 if place is None else place + 1)
        with st.container(key="strip_images"):
            clicked = _strip(data, rows, positions, place or 0, place is not None, right)
        st.caption(f"{place + 1:,} of {len(positions):,}" if place is not None else f"not among these {len(positions):,}",
                   width="content")
    if clicked is not None and clicked != position:
        choose_param("image", image_ids[clicked])
        st.rerun()
    return position


def _step(label: str, icon: str, image_ids: Sequence[str], positions: np.ndarray, place: int | None) -> None:
    there = place is not None and 0 <= place < len(positions)
    st.button(label, icon=icon, key=f"pick_{label}", disabled=not there, on_click=choose_param,
              args=("image", image_ids[positions[place]]) if there else ())


def _strip(data: Dataset, rows: np.ndarray, positions: np.ndarray, place: int, chosen: bool, right: np.ndarray) -> int | None:
    """The images about the present one. It stays where it is while one goes through a stretch of them."""
    first = place // STRIP * STRIP
    part = positions[first:first + STRIP]
    images, key = thumbnails(data, rows[part])
    clicked = gallery(images, key="strip_gallery", aria_label="Images of this selection", cache_key=key, tile=44,
                      marks=["right" if right[i] else "wrong" for i in part], selected=place - first if chosen else None)
    return int(part[clicked]) if clicked is not None else None
