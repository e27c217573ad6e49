"""The choice of how the intensities of DICOM and images of more than 8 bits are read, as widgets."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.datasets.intensity import OWN, parse_intensity
from pages.shared.widget_state import follow

HELP = ("What becomes black and what white in DICOM and images of more than 8 bits. As the file asks: by its own window, else by "
        "its range. Percentiles: from 0.1 to 99.9 %, so that a few bright pixels do not darken the rest.")
WORDS = {"": "As the file asks", "percentiles": "Percentiles 0.1 to 99.9", "whole range": "Whole range", OWN: "Own window"}


def words_of(intensity: str) -> str:
    """Return a way of reading in words: as in WORDS, a window by its numbers."""
    way, window = parse_intensity(intensity)
    return f"Window {window[0]:,.6g}, width {window[1]:,.6g}" if window else WORDS[way]


def window_over(values: tuple[float, float]) -> tuple[float, float]:
    """Return centre and width of the window from the least to the most of some values.

    >>> window_over((0, 4096))
    (2048.0, 4096.0)
    """
    least, most = values
    return (least + most) / 2, float(most - least) or 1.0


def draw_intensity(key: str, label: str, value: str, put: Callable[[str], None], values: Callable[[], tuple[float, float]],
                   trained: str | None = None) -> None:
    """Draw a menu, and below it the centre and the width of a window of one's own.

    Args:
        value: as FolderOptions.intensity
        put: takes the new value
        values: gives the range from which a window of one's own begins
        trained: how images of training were read, which is named so; None where there is no training
    """
    own = parse_intensity(value)[0] == OWN and value != trained

    def take(way: str) -> None:
        put(_text(*window_over(values())) if way == OWN else way)

    def words(way: str) -> str:
        text = WORDS.get(way) or words_of(way)
        return f"As in training: {text[:1].lower()}{text[1:]}" if way == trained else text

    known = [] if trained is None else [trained]
    st.selectbox(label, list(dict.fromkeys([*known, *WORDS])), format_func=words, help=HELP,
                 **follow(key, OWN if own else value, take))
    if own:
        centre, width = parse_intensity(value)[1]
        left, right = st.columns(2)
        with left:
            st.number_input("Centre", format="%.6g", step=width / 20, **follow(f"{key}_centre", centre,
                                                                               lambda new: put(_text(new, width))))
        with right:
            st.number_input("Width", format="%.6g", step=width / 20, min_value=1e-9, **follow(
                f"{key}_width", width, lambda new: put(_text(centre, new))))


def _text(centre: float, width: float) -> str:
    return f"{centre:.12g} {width:.12g}"
