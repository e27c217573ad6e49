"""Images per class and split as a table with bars, where a click filters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.shared import theme

HERE = Path(__file__).parent
SHORT = {"train": "Train", "val": "Val", "test": "Test"}

_element = st.components.v2.component(
    "lightbox_counts",
    html="<div class='scroll'><table></table></div>",
    css=(HERE / "counts.css").read_text(),
    js=(HERE / "counts.js").read_text(),
)


def counts_table(counts: pd.DataFrame, *, key: str, on_choose: Callable[[str | None, str | None], None],
                 chosen: str | None = None, split: str | None = None) -> None:
    """Show `Dataset.counts`; a click on a class, a split or a number chooses it, a second click clears it.

    Args:
        counts: classes (index, the last row is the total) x train, val, test, total in this order
        on_choose: called before the page runs again with the (class name, split) that shall be shown; None
            means all
        chosen, split: what is shown now
    """
    names, splits = [str(name) for name in counts.index[:-1]], list(theme.SPLITS)
    *rows, total = counts.to_numpy().tolist()            # at once: pandas takes a millisecond for each thing that it is asked

    def clicked() -> None:
        cell = read_cell(st.session_state[key].get("clicked"), len(names), len(splits))
        if cell:
            k, s = cell
            name, part = None if k is None else names[k], None if s is None else splits[s]
            on_choose(*((None, None) if (name, part) == (chosen, split) else (name, part)))

    _element(key=key, on_clicked_change=clicked, data={
        "names": names, "counts": [row[:-1] for row in rows], "totals": [row[-1] for row in rows], "all": total,
        "splits": [{"title": SHORT[s], "full": theme.SPLIT_TITLES[s], "color": theme.SPLITS[s]} for s in splits],
        "chosen": names.index(chosen) if chosen in names else None, "split": splits.index(split) if split in splits else None})


def read_cell(value: object, classes: int, splits: int) -> tuple[int | None, int | None] | None:
    """Check what the browser sent, [class, split] with -1 for all; None where that is no cell."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    if not all(isinstance(v, int) and -1 <= v < most for v, most in zip(value, (classes, splits))):
        return None
    return tuple(None if v == -1 else v for v in value)
