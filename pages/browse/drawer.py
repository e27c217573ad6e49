"""One image in full: its pixels, its finding outlined, ways to make it square, its patient, its metadata."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from core.datasets import Dataset
from core.errors import LightboxError
from pages.shared import open_data, theme
from pages.shared.gallery import gallery
from pages.shared.image_facts import class_text, encode, facts_html
from pages.shared.layout import escape, shorten, show_error
from pages.shared.resize_preview import fits_html
from pages.shared.viewer import viewer

RELATED = 60            # so many images of one patient are shown


def draw_drawer(data: Dataset, key: tuple, row: int) -> None:
    """The image in `row`. `key` stands for the data set in a cache."""
    image_id = data.table["image_id"].iat[row]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{escape(shorten(image_id, 34))}**", width="stretch")
        st.button("Close", key="browse_close", icon=":material/close:", shortcut="Esc", type="tertiary", on_click=show_image,
                  args=(None,))
    shape = None
    try:
        shape = _draw_image(data, key, row, image_id)
    except LightboxError as error:
        show_error(error)
    _draw_patient(data, row)
    st.html(facts_html(table_facts(data, row, shape)))


def show_image(image_id: str | None) -> None:
    """Open an image by its address, or close the drawer."""
    if image_id is None:
        st.query_params.pop("image", None)
    else:
        st.query_params["image"] = image_id


def _draw_image(data: Dataset, key: tuple, row: int, image_id: str) -> tuple[int, ...]:
    outlined = bool(st.session_state.get("browse_outline"))
    image, kind, shape, has_finding = full_image(data, key, row, outlined)
    viewer(image, kind, key="browse_viewer", alt=f"Image {image_id}, {class_text(data, row)}")
    with st.container(horizontal=True, gap="medium"):
        if has_finding:
            st.toggle("Outline the finding", key="browse_outline", persist_state="session",
                      help="Outlines every pixel that the finding changed. This is known exactly, because Lightbox generated "
                           "the image.")
        compares = st.toggle("Compare resizing", key="browse_fits", persist_state="session",
                             help="Networks take square images. This compares the ways to make one: stretch, pad and crop.")
    if compares:
        st.html(_fits_of(data, key, row))
    return shape


def _draw_patient(data: Dataset, row: int) -> None:
    related = patient_rows(data.table, row)
    if len(related) < 2:
        return
    st.markdown(f"All {len(related):,} images of this patient" if len(related) <= RELATED else
                f"{RELATED} of the {len(related):,} images of this patient")
    related = related[:RELATED]
    pixels, token = open_data.thumbnails(data, related)
    clicked = gallery(pixels, key="browse_patient", aria_label="Images of the same patient", tile=72, cache_key=token,
                      captions=[data.table["view"].iat[r] or class_text(data, r) for r in related],
                      selected=next((k for k, r in enumerate(related) if r == row), None))
    if clicked is not None and related[clicked] != row:
        show_image(data.table["image_id"].iat[related[clicked]])
        st.rerun()


def patient_rows(table: pd.DataFrame, row: int) -> np.ndarray:
    """Return all rows of the patient of `row`, itself among them; only `row` where the patient is unknown."""
    patient = table["patient"].iat[row]
    return np.flatnonzero((table["patient"] == patient).to_numpy()) if patient else np.array([row])


@st.cache_resource(max_entries=2, show_spinner=False)
def _fits_of(_data: Dataset, key: tuple, row: int) -> str:
    return fits_html(_data.original(row), _data.size, _data.resize)


@st.cache_data(max_entries=64, show_spinner=False)
def full_image(_data: Dataset, key: tuple, row: int, outlined: bool) -> tuple[bytes, str, tuple[int, ...], bool]:
    """Return one image at full resolution: encoded, its MIME type, its shape (H, W, C), and whether it has a
    mask to outline.

    Raises LightboxError where the file cannot be read any more.
    """
    sequential = getattr(_data.source, "sequential", False)        # an .npz is a stream: what the store has need not be sought
    in_store = sequential and max(_data.source.shape[:2]) == min(_data.source.shape[:2]) == _data.size
    pixels = np.asarray(_data.images[row]) if in_store else _data.original(row)
    mask = _data.mask(row)
    has_finding = mask is not None and bool(mask.any())
    kind, image = encode(outline(pixels, mask) if outlined and has_finding else pixels)
    return image, kind, pixels.shape, has_finding


def outline(pixels: np.ndarray, mask: np.ndarray, color: str = "#63bccb") -> np.ndarray:
    """Draw a line round a mask: (H, W, C) uint8 and (H, W) bool -> (H, W, 3) uint8."""
    drawn = np.repeat(pixels, 3 // pixels.shape[2], axis=2).copy()
    width = max(1, round(max(mask.shape) / 300))
    around = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2 * width)
    inner = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width)
    drawn[(around > 0) & (inner == 0)] = [int(color[i:i + 2], 16) for i in (1, 3, 5)]
    return drawn


def table_facts(data: Dataset, row: int, shape: tuple[int, ...] | None) -> list[tuple[str, str]]:
    """Return what is known of one image: class, split, size of the original, and its row of the table."""
    record = data.table.iloc[row].to_dict()
    facts = [("Class", class_text(data, row)), ("Split", theme.SPLIT_TITLES.get(record.pop("split"), ""))]
    if shape:
        height, width, channels = shape
        facts.append(("Original", f"{width:,} x {height:,} px, {'gray' if channels == 1 else 'colour'}"))
    same = record.get("path") == record.get("image_id")
    return facts + [(column.replace("_", " ").capitalize(), value) for column, value in record.items()
                    if column != "image_id" and not (column == "path" and same)]
