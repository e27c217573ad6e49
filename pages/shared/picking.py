"""Which image of a run is shown: the one in the address, else the first of a selection; a filmstrip, next
and previous."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.datasets import Dataset
from pages.shared.gallery import gallery
from pages.shared.layout import choose_param, escape, shorten
from pages.shared.open_data import thumbnails

LENGTH = 15             # images in the filmstrip


def requested_image(image_ids: Sequence[str]) -> int | None:
    """Return the position of `?image=` among the images of a split; None where it is none of them.

    A sentence says so, except of an image that was shown here before: then another run or split was chosen
        since.
    """
    requested = st.query_params.get("image")
    if requested in image_ids:
        st.session_state["image_shown"] = requested
        return image_ids.index(requested)
    if requested and requested == st.session_state.get("image_shown"):
        st.query_params.pop("image", None)
    elif requested:
        st.warning(f"There is no image called {escape(shorten(requested))} among the {len(image_ids):,} of "
                   "this split.")
    return None


def pick_image(data: Dataset, rows: np.ndarray, positions: np.ndarray, image_ids: Sequence[str],
               correct: np.ndarray) -> int:
    """Draw the filmstrip and return the position of the image that is shown.

    Args:
        rows: (N,) rows of the data set, for the N images of a split
        positions: (n,) the selected ones of the N, in the order in which to look at them; n >= 1
        image_ids: N names; `?image=` is one of them, also one that is not selected
        correct: (N,) bool, whether the prediction is correct
    """
    requested = requested_image(image_ids)
    position = int(positions[0]) if requested is None else requested
    places = np.flatnonzero(positions == position)
    place = int(places[0]) if len(places) else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="filmstrip"):
        _step("Previous", ":material/chevron_left:", image_ids, positions,
              None if place is None else place - 1)
        _step("Next", ":material/chevron_right:", image_ids, positions, 0 if place is None else place + 1)
        with st.container(key="filmstrip_images"):
            clicked = _filmstrip(data, rows, positions, place, correct)
        st.caption(f"{place + 1:,} of {len(positions):,}" if place is not None
                   else f"not among these {len(positions):,}",
                   width="content")
    if clicked is not None and clicked != position:
        choose_param("image", image_ids[clicked])
        st.rerun()
    return position


def _step(label: str, icon: str, image_ids: Sequence[str], positions: np.ndarray, place: int | None) -> None:
    there = place is not None and 0 <= place < len(positions)
    st.button(label, icon=icon, key=f"pick_{label}", disabled=not there, on_click=choose_param,
              args=("image", image_ids[positions[place]]) if there else ())


def _filmstrip(data: Dataset, rows: np.ndarray, positions: np.ndarray, place: int | None,
               correct: np.ndarray) -> int | None:
    """The images around the present one. They stay while one goes through a stretch of them."""
    first = (place or 0) // LENGTH * LENGTH
    part = positions[first:first + LENGTH]
    images, key = thumbnails(data, rows[part])
    clicked = gallery(images, key="filmstrip_gallery", aria_label="Images of this selection", cache_key=key,
                      tile=44,
                      marks=["right" if correct[i] else "wrong" for i in part],
                      selected=None if place is None else place - first)
    return int(part[clicked]) if clicked is not None else None
