"""The confusion matrix as a table whose cells can be clicked: rows are the true class, columns the predicted
class.

A table, and not a picture of one: it can be read aloud, walked through with the Tab key, and has the page's
    own colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.metrics.confusion import positive_last

HERE = Path(__file__).parent

_element = st.components.v2.component(
    "lightbox_confusion",
    html="<div class='scroll'><table></table></div>",
    css=(HERE / "confusion.css").read_text(),
    js=(HERE / "confusion.js").read_text(),
)


def confusion(matrix: np.ndarray, class_names: Sequence[str], positive: int = 1, *, key: str,
              selected: tuple[int, int] | None = None,
              label: str = "Confusion matrix") -> tuple[int, int] | None:
    """Show counts and the percentage of each row.

    Args:
        matrix: (K, K) whole numbers; [t, p] images of class t predicted as p
        class_names: K names, shown exactly as they are
        positive: of two classes the positive one, which is shown last, as everywhere
        selected: the cell that is drawn as chosen

    Returns:
        (true, predicted) of the cell that was clicked just now, once; None in every other run.
    """
    matrix = np.asarray(matrix)
    k = len(class_names)
    if matrix.shape != (k, k):
        raise ValueError(f"{k} classes but a matrix of shape {matrix.shape}")
    shown, names = positive_last(matrix, class_names, positive)
    turned = k == 2 and positive == 0                 # what the browser says is in the order in which it is shown

    def place(cell: tuple[int, int] | None) -> tuple[int, int] | None:
        return (1 - cell[0], 1 - cell[1]) if cell and turned else cell
    state = st.session_state.get(key)
    just = place(_cell(state.get("clicked") if state else None, k))
    result = _element(key=key, on_clicked_change=lambda: None, data={
        "counts": shown.astype(int).tolist(), "names": [str(name) for name in names], "label": label,
        "selected": list(place(just or selected) or ()) or None})
    return place(_cell(result.clicked, k))


def _cell(value: object, k: int) -> tuple[int, int] | None:
    """What the browser sent, if it names a cell."""
    if (isinstance(value, (list, tuple)) and len(value) == 2
            and all(isinstance(v, int) and 0 <= v < k for v in value)):
        return int(value[0]), int(value[1])
    return None
