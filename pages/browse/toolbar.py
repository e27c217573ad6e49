"""The line above the grid of Browse: search, filters on any column, order, how the grid is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pages.browse import rows
from pages.shared.filters import EMPTY, Column
from pages.shared.layout import asked_param, choose_param, escape, shorten
from pages.shared.widget_state import follow

TILE = 112                # side of a thumbnail on the screen, pixels
PER_PAGE = {"120": "120 images", "60": "60 images", "240": "240 images", "480": "480 images"}     # the first is the default
# Parameters of the page: a column that is called like one of them gets another name in the address.
OWN = {"dataset", "target", "split", "class", "px", "page", "image", "sort", "per", "run", "q", "rows"}


@dataclass(frozen=True)
class Toolbar:
    """What is chosen in the line above the grid.

    Args:
        words: what is searched for
        order: as pages.shared.filters.arrange takes it
        tile: side of a thumbnail on the screen, pixels
    """

    words: str
    order: str
    by_study: bool
    per_page: int
    tile: int


def param_of(column: str) -> str:
    """Return the parameter of a column in the address."""
    return f"column.{column}" if column in OWN or column.startswith("column.") else column


def set_filter(name: str, value: str | None) -> None:
    """Write what a person chose just now into the address, or take it out."""
    choose_param(name, value or "")
    if not value:
        st.query_params.pop(name, None)


def draw_toolbar(columns: Mapping[str, Column], as_chips: Mapping[str, Column], study_column: str | None) -> Toolbar:
    """Draw the line and return what is chosen.

    Args:
        columns: all that can be filtered and sorted by
        as_chips: those that have a chip in the header
        study_column: "study", "patient" or None: what images can be grouped by
    """
    words = asked_param("q") or ""
    st.text_input("Search", placeholder="Search all columns", icon=":material/search:", label_visibility="collapsed", width=170,
                  help="Finds images whose class or row of the table contains all of these words.",
                  **follow("browse_q", words, set_filter, "q"))
    _draw_more_filters({name: column for name, column in columns.items() if name not in as_chips})
    order = _choose_order(columns)
    by_study = study_column is not None and asked_param("rows") == study_column
    tile = _draw_view(study_column, by_study)
    return Toolbar(words, order, by_study, int(_asked("per", PER_PAGE)), tile)


def draw_active_filters(columns: Mapping[str, Column], filters: Mapping[str, str], words: str) -> None:
    """A button for each filter that no chip shows, which removes it."""
    active = [(f"browse_drop_{name}", rows.filter_text(columns[name], asked), param_of(name)) for name, asked in filters.items()]
    if words:
        active.append(("browse_drop_q", f"Search {words}", "q"))
    if not active:
        return
    with st.container(key="browse_asked", horizontal=True, vertical_alignment="center"):
        for key, text, param in active:
            st.button(escape(shorten(text, 50)), icon=":material/close:", key=key, help="Remove this filter",
                      on_click=set_filter, args=(param, None))


def _asked(name: str, options: Mapping[str, str]) -> str:
    """The value of a parameter in the address where it is one of the options; otherwise the first of them."""
    value = asked_param(name)
    return value if value in options else next(iter(options))


def _choose(name: str, label: str, options: Mapping[str, str], width: int) -> str:
    """How the grid is laid out: like a chip, but the default does not stand in the address."""
    return st.selectbox(label, list(options), format_func=options.get, label_visibility="collapsed", width=width,
                        **follow(f"browse_{name}", _asked(name, options), choose_param, name))


def _choose_order(columns: Mapping[str, Column]) -> str:
    orders = {"set": "Original order", "random": "Random", "class": "By class"}
    orders |= {name: f"By {column.title.lower()}" for name, column in columns.items()}
    by = (asked_param("sort") or "").removeprefix("-")
    if by in orders:
        orders[f"-{by}"] = f"{orders[by]}, descending"
    order = _choose("sort", "Order", orders, 140)
    if order not in ("set", "random"):
        descending = order.startswith("-")
        st.button("", icon=f":material/arrow_{'downward' if descending else 'upward'}:", key="browse_turn", type="tertiary",
                  help="Sort in ascending order" if descending else "Sort in descending order", on_click=choose_param,
                  args=("sort", by if descending else f"-{by}"))
    return order


def _draw_view(study_column: str | None, by_study: bool) -> int:
    """Size and number of the thumbnails. Returns the size."""
    with st.popover("View", icon=":material/tune:", key="browse_view", on_change="rerun") as popover:
        if popover.open:
            st.slider("Thumbnail size", 48, 256, TILE, 8, format="%d px", key="browse_tile", persist_state="session")
            st.caption("Images per page")
            _choose("per", "Images per page", PER_PAGE, 160)
            if study_column:
                st.toggle(f"One {study_column} per row", help=f"All images of a {study_column} stand side by side.", **follow(
                    "browse_rows", by_study, lambda on: set_filter("rows", study_column if on else None)))
    return st.session_state.get("browse_tile", TILE)


# -------------------------------------------------------------------------------------- filters on any column

def _draw_more_filters(columns: Mapping[str, Column]) -> None:
    if not columns:
        return
    listed = sorted(columns.values(), key=_kind)
    titles = {column.name: column.title for column in listed}
    with st.popover("More filters", icon=":material/filter_list:", key="browse_more", on_change="rerun") as popover:
        if popover.open:
            name = st.selectbox("Column", list(titles), format_func=titles.get, key="browse_column",
                                help="A column of the data set's table. Width and height are those of the original, in pixels.")
            _draw_filter(columns[name])


def _kind(column: Column) -> int:
    """Columns of few values first, then numbers, then text."""
    if column.values:
        return 0
    return 1 if column.low is not None else 2


def _draw_filter(column: Column) -> None:
    """The widget that suits a column: a choice of few values, a range of numbers, or a text to search for."""
    param = param_of(column.name)
    asked, key = asked_param(param) or "", f"browse_filter_{param}"
    if column.values:
        options = ["", *(value or EMPTY for value in column.values)]
        st.selectbox(column.title, options, format_func=lambda value: value or "All",
                     **follow(key, asked if asked in options else "", set_filter, param))
    elif column.low is not None:
        low, high = (int(column.low), int(column.high)) if column.whole else (column.low, column.high)
        st.slider(column.title, low, high, step=1 if column.whole else None,
                  **follow(key, rows.limits(asked, low, high), _set_range, param, low, high))
    else:
        st.text_input(column.title, placeholder="The value, or a part of it", **follow(key, asked, set_filter, param))


def _set_range(param: str, low: float, high: float, chosen: tuple[float, float]) -> None:
    set_filter(param, None if tuple(chosen) == (low, high) else f"{chosen[0]:g}..{chosen[1]:g}")
