"""A measure of each pair of members as a table whose cells can be clicked, read aloud and walked through by keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

HERE = Path(__file__).parent

_element = st.components.v2.component(
    "lightbox_pair_matrix",
    html="<div class='scroll'><table></table></div>",
    css=(HERE / "pair_matrix.css").read_text(),
    js=(HERE / "pair_matrix.js").read_text(),
)


def pair_matrix(values: np.ndarray, names: Sequence[str], shade: np.ndarray, *, key: str, label: str,
                selected: tuple[int, int] | None = None) -> tuple[int, int] | None:
    """Show a value for each pair of members.

    Args:
        values: (M, M), NaN where undefined and on the diagonal
        names: M short names, shown exactly as they are
        shade: (M, M) in [0, 1]: how much alike the two are, which is how strongly a cell is coloured
        label: what it shows, for people who do not see it
        selected: the pair that is drawn as chosen

    Returns:
        (a, b) of the cell that was clicked just now, once; None in every other run.
    """
    texts = [["" if a == b else "-" if np.isnan(values[a, b]) else f"{values[a, b]:.2f}" for b in range(len(names))]
             for a in range(len(names))]
    result = _element(key=key, on_clicked_change=lambda: None, data={
        "texts": texts, "names": list(names), "label": label, "selected": list(selected or ()) or None,
        "shade": np.nan_to_num(np.clip(shade, 0, 1)).round(3).tolist()})
    return _pair(result.clicked, len(names))


def _pair(value: object, count: int) -> tuple[int, int] | None:
    """What the browser sent, if it names two members. It may be anything, so it is checked."""
    whole = (isinstance(value, list | tuple) and len(value) == 2
             and all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < count for one in value))
    return (value[0], value[1]) if whole and value[0] != value[1] else None
