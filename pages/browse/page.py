"""Browse: the images of a data set, filtered, searched and sorted, page by page; a click opens one in full.

Everything that is looked at stands in the address: ?dataset= &target= &split= &class= &page= &image= &q=
&sort= &rows= and a parameter for each column that is filtered, so that a link shows somebody else the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st

from core.config import Split
from core.datasets import DATASETS, Dataset
from core.datasets.groups import copied_sentence
from core.datasets.inspection import copied_counts
from pages.browse import overview
from pages.browse.counts import counts_table
from pages.browse.drawer import draw_drawer, show_image
from pages.browse.opening import open_or_offer
from pages.browse.rows import (
    Query,
    cache_key,
    captions_of,
    matches_nothing,
    overview_of,
    page_of,
    pages,
    parse_page,
    part_of_page,
    select,
    skipped_facts,
    study_column,
)
from pages.browse.toolbar import Toolbar, draw_active_filters, draw_toolbar, param_of
from pages.shared import open_data, theme
from pages.shared.damaged import draw_damaged_sets
from pages.shared.filters import EMPTY, NO_FINDING, Column, chip_columns
from pages.shared.gallery import gallery
from pages.shared.image_facts import facts_html
from pages.shared.layout import (
    Chip,
    asked_param,
    choose_param,
    dataset_chip,
    escape,
    get_param,
    link,
    next_step,
    page_header,
    set_param,
    shorten,
)
from pages.shared.widget_state import follow

ALL = "all"
NONE = "-"                # of several findings: images without any
STUDY_IMAGES = 4          # images that a study is thought to have: so many fewer studies stand on a page


@dataclass(frozen=True)
class Selection:
    """The (n,) rows that are looked at, in their order; where studies begin; the part on this page."""

    rows: np.ndarray
    starts: np.ndarray | None
    page: int
    last_page: int
    part: slice
    breaks: list[int]


def forget(*names: str) -> None:
    for name in names:
        set_param(name, None)


def go_to_page(number: int) -> None:
    st.query_params["page"] = str(number)


# ------------------------------------------------------------------------------------ the chips of the header

def any_class(data: Dataset) -> str:
    """The value of the class chip that takes all; a class may be called "all"."""
    return ALL if ALL not in data.class_names else "*"


def chips_of(name: str, data: Dataset, columns: Mapping[str, Column], size_chip: tuple[Chip, ...]) -> list[Chip]:
    where = dataset_chip()
    titles = dict(where.options) if name in where.options else where.options | {name: data.title}    # a path is too long to show
    tasks = dict(data.targets)
    splits = {ALL: "All splits"} | {s.value: theme.SPLIT_TITLES[s].capitalize() for s in Split}
    classes = {any_class(data): "All classes"} | {c: c for c in data.class_names}
    if data.labels.ndim == 2 or (data.labels < 0).any():
        classes[NONE] = "No finding" if data.labels.ndim == 2 else "No label"
    chips = [replace(where, options=titles, width=205)]
    if len(tasks) > 1:
        chips.append(Chip("target", "Task", tasks, width=170))
    chips += [Chip("split", "Split", splits, width=125), Chip("class", "Class", classes, width=140)]
    for column in columns.values():
        values = {value or EMPTY: value or EMPTY for value in column.values}
        chips.append(Chip(param_of(column.name), column.title, {ALL: f"{column.title}: all"} | values, width=132))
    return [*chips, *size_chip]


def forget_other_set(data: Dataset, chips: list[Chip], columns: Mapping[str, Column]) -> None:
    """What was chosen for another data set or task may mean nothing here."""
    forget(*(chip.name for chip in chips[1:] if get_param(chip.name) not in chip.options))
    forget(*(param_of(column) for column in columns if matches_nothing(data, column, asked_param(param_of(column)))))


def set_class_and_split(data: Dataset, name: str | None, split: str | None) -> None:
    """A click on the counts: the chips follow."""
    for param, value in (("class", name or any_class(data)), ("split", split or ALL)):
        choose_param(param, value)
        set_param(param, value)


def label_of(data: Dataset, value: str) -> int | None:
    """The class number of the class chip, as pages.shared.filters.select_rows takes it."""
    if value in data.class_names:
        return data.class_names.index(value)
    return NO_FINDING if value == NONE else None


# --------------------------------------------------------------------------------------------------- the grid

def select_page(data: Dataset, key: tuple, query: Query, toolbar: Toolbar, opened: int | None) -> Selection:
    """The rows that match, and the page of the address. Other images begin at their first page; a link to an
    image opens the page where it stands."""
    rows, starts = select(data, key, query)
    count, unit = (len(rows), toolbar.per_page) if starts is None else (len(starts), toolbar.per_page // STUDY_IMAGES)
    asked = st.query_params.get("page")
    page = parse_page(asked)
    if asked is None and opened is not None:
        page = page_of(opened, rows, unit, starts) or 1
    looked_at = key, query, toolbar.per_page
    before, page_before = st.session_state.get("browse_looked", (None, None))
    if before not in (None, looked_at) and page_before == asked:
        page = 1
    last = pages(count, unit)
    page = min(max(page, 1), last)
    if page > 1 or asked is not None:
        go_to_page(page)
    st.session_state["browse_looked"] = looked_at, st.query_params.get("page")
    return Selection(rows, starts, page, last, *part_of_page(page, len(rows), unit, starts))


def draw_pager(selection: Selection, total: int) -> None:
    page, last = selection.page, selection.last_page
    st.markdown(f"**{len(selection.rows):,}** of {total:,} images", width="content")
    if last == 1:
        return
    with st.container(key="browse_pager", horizontal=True, horizontal_alignment="right", vertical_alignment="center",
                      gap="small", wrap=False):
        st.button("Previous", icon=":material/chevron_left:", key="browse_previous", shortcut="P", on_click=go_to_page,
                  args=(page - 1,), disabled=page == 1, type="tertiary")
        st.number_input("Page", 1, last, label_visibility="collapsed", width=75, **follow("browse_page", page, go_to_page))
        st.markdown(f"of {last:,}", width="content")
        st.button("Next", icon=":material/chevron_right:", icon_position="right", key="browse_next", shortcut="N",
                  on_click=go_to_page, args=(page + 1,), disabled=page == last, type="tertiary")


def draw_grid(data: Dataset, selection: Selection, toolbar: Toolbar, opened: int | None) -> int | None:
    """The thumbnails of a page. Returns the row that was clicked just now, else `opened`."""
    shown = selection.rows[selection.part]
    pixels, token = open_data.thumbnails(data, shown)
    clicked = gallery(
        pixels, key="browse_grid", tile=toolbar.tile, cache_key=token, breaks=selection.breaks,
        aria_label=f"Images {selection.part.start + 1:,} to {selection.part.stop:,} of {len(selection.rows):,}",
        captions=captions_of(data, shown, toolbar.by_study),
        selected=next((k for k, row in enumerate(shown) if row == opened), None))
    if clicked is None:
        return opened
    show_image(data.table["image_id"].iat[shown[clicked]])
    return int(shown[clicked])


# ----------------------------------------------------------------------------------- counts, and what to know

def draw_summary(name: str, data: Dataset, key: tuple, counts, query: Query, rows: np.ndarray) -> None:
    """Left of the grid: counts, an overview of the selected images, what to know about the data set."""
    chosen = data.class_names[query.label] if query.label not in (None, NO_FINDING) else None
    counts_table(counts, key="browse_counts", split=query.split, chosen=chosen,
                 on_choose=lambda class_name, split: set_class_and_split(data, class_name, split))
    view = st.segmented_control("Overview of the selected images", list(overview.VIEWS), key="browse_overview",
                                format_func=overview.VIEWS.get, default="sizes", required=True, persist_state="session",
                                label_visibility="collapsed", width="stretch")
    clicked = overview.show_overview(data, key, rows, query.without_order(), view)
    if clicked is not None:
        set_class_and_split(data, data.class_names[clicked] if clicked < len(data.class_names) else NONE, query.split)
        st.rerun()
    copied = [copied_sentence(*of, part) for part, of in (copied_counts(data) or {}).items()]
    labels = [one.text for one in data.understood if one.code.startswith("labels.")]
    st.markdown("\n\n".join(map(escape, (data.split_note, *copied, *labels, *data.notes))))
    if data.skipped:
        count = len(data.skipped)
        with st.expander(f"{count:,} file{'s' if count > 1 else ''} could not be read", key="browse_skipped"):
            st.html(facts_html(skipped_facts(data.skipped)))
    with st.expander(f"About {escape(shorten(data.title, 28))}"):
        at = "" if name in DATASETS else f"\n\n{escape(name)}"
        st.markdown(f"{escape(data.description)}{at}\n\nLicence: {escape(data.licence or 'unknown')}.")
        st.caption(f"Thumbnails are {data.size} x {data.size} px ({data.resize}); click one to see the original.")
    link("Add your own images", "add", icon=":material/add:")


# --------------------------------------------------------------------------------------------------- the page

def draw_page() -> None:
    name = get_param("dataset", "phantom")
    seen = st.session_state.get("browse_subject")                  # (data set, task) that this person saw last
    if seen and seen[0] != name:
        forget("px", "target")
    data, size_chip = open_or_offer(name)
    key = cache_key(data)
    counts, columns, row_of = overview_of(data, key)
    as_chips = chip_columns(columns, data.target)
    chips = chips_of(name, data, as_chips, size_chip)
    if seen and seen != (name, data.target):
        forget_other_set(data, chips, columns)
    st.session_state["browse_subject"] = name, data.target
    chosen = dict(zip((chip.name for chip in chips), page_header("Browse", *chips)))
    filters = {column: chosen.get(param_of(column)) or asked_param(param_of(column)) for column in columns}
    filters = {column: asked for column, asked in filters.items() if asked and not (column in as_chips and asked == ALL)}
    split = None if chosen["split"] == ALL else chosen["split"]

    body = st.container(key="browse_body", horizontal=True, wrap=True)
    summary, images = body.container(key="browse_facts"), body.container(key="browse_images")
    opened = row_of.get(st.query_params.get("image"))
    with images:
        bar = st.container(key="browse_bar", horizontal=True, vertical_alignment="center", gap="small")
        with bar:
            toolbar = draw_toolbar(columns, as_chips, study_column(data, key))
        draw_active_filters(columns, {c: asked for c, asked in filters.items() if c not in as_chips}, toolbar.words)
        query = Query(split, label_of(data, chosen["class"]), tuple(filters.items()), " ".join(toolbar.words.split()),
                      toolbar.order, toolbar.by_study)
        selection = select_page(data, key, query, toolbar, opened)
        with bar:
            draw_pager(selection, len(data))
        if len(selection.rows):
            opened = draw_grid(data, selection, toolbar, opened)
        else:
            st.space("medium")
            st.markdown("No images match these filters.")
            st.button("Clear filters", key="browse_clear", on_click=forget,
                      args=("split", "class", "q", *map(param_of, columns)))
        if opened is None and "image" in st.query_params:
            st.warning(f"There is no image called {escape(shorten(st.query_params['image']))} in this data set.")
    with summary:
        draw_summary(name, data, key, counts, query, selection.rows)
    if opened is not None:
        with body.container(key="browse_drawer"):
            draw_drawer(data, key, opened)
    draw_damaged_sets()
    next_step("Next: split the images", "split", dataset=name)


st.html(Path(__file__).with_suffix(".css"))
draw_page()
