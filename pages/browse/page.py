"""Browse: look at the images of a set, filtered, searched and sorted, page by page; a click shows one in full with its patient.

Everything that is looked at stands in the address: ?dataset= &target= &split= &class= &page= &image= &q= &sort= &rows= and a
parameter for each column that is filtered, so that a link shows somebody else the same.
"""

from dataclasses import replace
from pathlib import Path

import streamlit as st

from core.config import DataConfig, Split
from core.datasets import DATASETS, open_dataset
from core.errors import LightboxError
from pages.browse import overview
from pages.browse.counts import counts_table
from pages.shared import browsing, open_data, theme
from pages.shared.filters import EMPTY, NO_FINDING, Column, chip_columns
from pages.shared.gallery import gallery
from pages.shared.layout import (
    Chip,
    asked_param,
    choose_param,
    dataset_chip,
    escape,
    get_param,
    link,
    long_task,
    next_step,
    page_header,
    set_param,
    shorten,
    show_error,
)
from pages.shared.viewer import viewer
from pages.shared.widget_state import follow

ALL = "all"
PER_PAGE = {"120": "120 images", "60": "60 images", "240": "240 images", "480": "480 images"}     # the first is the default
IN_STUDY = 4              # images that a study is thought to have: so many fewer studies stand on a page
RELATIVES = 60            # so many images of one patient are shown
OWN = {"dataset", "target", "split", "class", "px", "page", "image", "sort", "per", "run", "q", "rows"}     # not for columns


def size_chip(sizes: tuple[int, ...], first: int) -> tuple[Chip, ...]:
    """At how many pixels the images are prepared; no chip where there is only one way."""
    options = {str(s): f"{s} px" for s in sizes}
    return (Chip("px", "Image size", options, default=str(first), width=98),) if len(sizes) > 1 else ()


def column_chip(column: Column) -> Chip:
    values = {v or EMPTY: v or EMPTY for v in column.values}
    return Chip(param_of(column.name), column.title, {ALL: f"{column.title}: all"} | values, width=132)


def forget(*names: str) -> None:
    for name in names:
        set_param(name, None)


def write(name: str, value: str | None) -> None:
    """Write into the address, or take out of it, what a person chose just now."""
    choose_param(name, value or "")
    if not value:
        st.query_params.pop(name, None)


def to_page(number: int) -> None:
    st.query_params["page"] = str(number)


def to_image(image_id: str | None) -> None:
    if image_id is None:
        st.query_params.pop("image", None)
    else:
        st.query_params["image"] = image_id


def take_cell(name: str | None, split: str | None) -> None:
    """A click on the counts: the chips follow."""
    for param, value in (("class", name or every), ("split", split or ALL)):
        choose_param(param, value)
        set_param(param, value)


def choose(name: str, label: str, options: dict[str, str], width: int = 125) -> str:
    """How the grid is laid out: like a chip, but what is usual does not stand in the address."""
    return st.selectbox(label, list(options), format_func=options.get, label_visibility="collapsed", width=width,
                        **follow(f"browse_{name}", layout_of(name, options), choose_param, name))


def layout_of(name: str, options: dict[str, str]) -> str:
    """The value of a parameter in the address, where it is one of the options; otherwise the first of them."""
    value = asked_param(name)
    return value if value in options else next(iter(options))


def param_of(column: str) -> str:
    """The parameter of a column; one that is called like a parameter of the page gets another name."""
    return f"column.{column}" if column in OWN or column.startswith("column.") else column


def draw_filter(column: Column) -> None:
    """The widget that suits a column: a choice of few values, a range of numbers, or a text to look for."""
    asked, name = asked_param(param_of(column.name)) or "", param_of(column.name)
    if column.values:
        options = ["", *(v or EMPTY for v in column.values)]
        st.selectbox(column.title, options, format_func=lambda v: v or "All", **follow(
            f"browse_filter_{name}", asked if asked in options else "", write, name))
    elif column.low is not None:
        low, high, step = (int(column.low), int(column.high), 1) if column.whole else (column.low, column.high, None)
        found = browsing.limits(asked, low, high)
        st.slider(column.title, low, high, step=step, **follow(f"browse_filter_{name}", found, write_range, name, low, high))
    else:
        st.text_input(column.title, placeholder="The value, or a part of it", **follow(
            f"browse_filter_{name}", asked, write, name))


def write_range(name: str, low: float, high: float, chosen: tuple[float, float]) -> None:
    write(name, None if tuple(chosen) == (low, high) else f"{chosen[0]:g}..{chosen[1]:g}")


st.html(Path(__file__).with_suffix(".css"))
name = get_param("dataset", "phantom")
subject = st.session_state.get("browse_subject")                  # (set, task) that this person saw last
if subject and subject[0] != name:
    forget("px", "target")

# ------------------------------------------------------------------------------------------------- find it, open it

try:
    sizes, there = browsing.sizes_of(name)
except LightboxError as error:
    page_header("Browse", dataset_chip())
    show_error(error)
    st.stop()
asked = get_param("px")
first = int(asked) if asked in map(str, sizes) else browsing.first_size(name, sizes, there)

if not there:
    page_header("Browse", dataset_chip(), *size_chip(sizes, first))
    config, fetching = DataConfig(name, size=first), f"browse_fetch_{name}_{first}"
    info = DATASETS[name].info()
    st.space("small")
    st.markdown(f"{escape(info.description)}\n\n"
                f"{escape(browsing.download_words(info.title, info.counts, first, info.licence))}")
    if st.session_state.get(fetching):
        try:
            with long_task(f"Fetching {info.title}", key=fetching) as progress:
                open_dataset(config, progress)
            st.session_state.pop(fetching)
            browsing.sizes_of.clear()
            st.rerun()
        except LightboxError as error:
            st.session_state.pop(fetching)
            show_error(error)
    label = f"Download {info.title} ({first} px)"
    st.button(label, type="primary", key=f"{fetching}_go", on_click=st.session_state.__setitem__, args=(fetching, True))
    st.caption("After that it is on this computer and opens without a network.")
    st.stop()

opened = st.session_state.get("browse_opened") == (name, first)
top, headed = st.container(), False
try:
    if not opened and not browsing.is_ready(DataConfig(name, size=first)):
        with top:
            page_header("Browse", dataset_chip(), *size_chip(sizes, first))
            headed = True
        open_data.open_set(DataConfig(name, size=first))             # with progress and a Stop button; ends here if it must
        st.session_state["browse_opened"] = name, first
        st.rerun()
    data = open_data.open_set(DataConfig(name, size=first))
except LightboxError as error:
    if not headed:
        with top:
            page_header("Browse", dataset_chip(), *size_chip(sizes, first))
    show_error(error)
    next_step("Next: split these images honestly", "split", dataset=name)
    st.stop()
st.session_state["browse_opened"] = name, first
tasks = dict(data.targets)
if get_param("target") in tasks and get_param("target") != data.target:
    data = open_data.open_set(DataConfig(name, size=first, target=get_param("target")))

# --------------------------------------------------------------------------------------------- what is looked at: the chips

known_by = browsing.stands_for(data)
counts, columns, rows_of = browsing.facts_of(data, known_by)
shown_as_chips = chip_columns(columns, data.target)
every = ALL if ALL not in data.class_names else "*"                # a class may be called "all"
classes = {every: "All classes"} | {c: c for c in data.class_names}
if data.labels.ndim == 2:
    classes |= {"-": "No finding"}
where = dataset_chip()
titles = dict(where.options) if name in where.options else where.options | {name: data.title}       # a path is too long to show
chips = [replace(where, options=titles, width=205),
         *([Chip("target", "Task", tasks, width=170)] if len(tasks) > 1 else []),
         Chip("split", "Split", {ALL: "All splits"} | {s.value: theme.SPLIT_TITLES[s].capitalize() for s in Split}, width=125),
         Chip("class", "Class", classes, width=140),
         *(column_chip(column) for column in shown_as_chips.values()),
         *size_chip(sizes, first)]
if subject and subject != (name, data.target):                     # what was chosen for another set may mean nothing here
    forget(*(chip.name for chip in chips[1:] if get_param(chip.name) not in chip.options))
    forget(*(param_of(column) for column in columns if browsing.finds_nothing(data, column, asked_param(param_of(column)))))
st.session_state["browse_subject"] = name, data.target
with top:
    values = dict(zip((chip.name for chip in chips), page_header("Browse", *chips)))

split = None if values["split"] == ALL else values["split"]
label = {every: None, "-": NO_FINDING}.get(values["class"], 0)
if label == 0:
    label = data.class_names.index(values["class"])
asked_of = {column: values.get(param_of(column)) or asked_param(param_of(column)) for column in columns}
asked_of = {column: asked for column, asked in asked_of.items() if asked and not (column in shown_as_chips and asked == ALL)}

body = st.container(key="browse_body", horizontal=True, wrap=True)
facts, images = body.container(key="browse_facts"), body.container(key="browse_images")

# -------------------------------------------------------------------------------------------------------------- the grid

with images:
    bar = st.container(key="browse_bar", horizontal=True, vertical_alignment="center", gap="small")
    with bar:
        words = asked_param("q") or ""
        st.text_input("Search", placeholder="Search all columns", icon=":material/search:", label_visibility="collapsed",
                      width=215,
                      help="Images whose row of the table, or whose class, contains all of these words.",
                      **follow("browse_q", words, write, "q"))
        first_those = sorted(columns.values(), key=lambda c: 0 if c.values else 1 if c.low is not None else 2)
        more = {column.name: column.title for column in first_those if column.name not in shown_as_chips}
        if more:
            with st.popover("More filters", icon=":material/filter_list:", key="browse_more", on_change="rerun") as place:
                if place.open:
                    column = st.selectbox("Column", list(more), format_func=more.get, key="browse_column", help="Of the set's "
                                          "table. Width and height are those of the original, in pixels.")
                    draw_filter(columns[column])
        orders = {"set": "Set order", "random": "Random", "class": "By class"}
        orders |= {name_: f"By {column.title.lower()}" for name_, column in columns.items()}
        asked_order = (asked_param("sort") or "").removeprefix("-")
        orders |= {f"-{asked_order}": f"{orders[asked_order]}, down"} if asked_order in orders else {}
        order = choose("sort", "Order", orders, 150)
        if order not in ("set", "random"):
            turned = order.startswith("-")
            st.button("", icon=f":material/arrow_{'downward' if turned else 'upward'}:", key="browse_turn", type="tertiary",
                      help="Smallest first" if turned else "Largest first", on_click=choose_param,
                      args=("sort", asked_order if turned else f"-{asked_order}"))
        tile = st.session_state.setdefault("browse_tile_kept", 112)
        per_page = int(layout_of("per", PER_PAGE))
        of_studies = browsing.knows_studies(data, known_by)
        by_study = of_studies is not None and asked_param("rows") == of_studies
        with st.popover("View", icon=":material/tune:", key="browse_view", on_change="rerun") as place:
            if place.open:
                st.slider("Size of the thumbnails", 48, 256, step=8, format="%d px", **follow(
                    "browse_tile", tile, st.session_state.__setitem__, "browse_tile_kept"))
                st.caption("Images on a page")
                choose("per", "Images a page", PER_PAGE, 160)
            if place.open and of_studies:
                st.toggle(f"One row for each {of_studies}", help=f"All images of a {of_studies} stand side by side.",
                          **follow("browse_rows", by_study, lambda on: write("rows", of_studies if on else None)))
    asked_more = [(column, asked) for column, asked in asked_of.items() if column not in shown_as_chips]
    if asked_more or words:
        with st.container(key="browse_asked", horizontal=True, vertical_alignment="center"):
            for column, asked in asked_more:
                st.button(escape(shorten(browsing.value_words(columns[column], asked), 50)), icon=":material/close:",
                          key=f"browse_drop_{column}", help="Remove this filter", on_click=write, args=(param_of(column), None))
            if words:
                st.button(f"Search {escape(shorten(words, 40))}", icon=":material/close:", key="browse_drop_q",
                          help="Remove this filter", on_click=write, args=("q", None))
    wanted = browsing.Chosen(split, label, tuple(asked_of.items()), " ".join(words.split()), order, by_study)
    rows, starts = browsing.chosen_rows(data, known_by, wanted)
    count, unit = (len(rows), per_page) if starts is None else (len(starts), per_page // IN_STUDY)
    chosen = rows_of.get(st.query_params.get("image"))
    page = browsing.parse_page(st.query_params.get("page"))
    if "page" not in st.query_params and chosen is not None:       # a link to an image opens the page where it stands
        page = browsing.page_of(chosen, rows, unit, starts) or 1
    looked = name, data.target, wanted, per_page
    before = st.session_state.get("browse_looked", (None, None))
    if before[0] not in (None, looked) and before[1] == st.query_params.get("page"):
        page = 1                                                   # other images: begin at their beginning
    last = browsing.pages(count, unit)
    page = min(max(page, 1), last)
    if page > 1 or "page" in st.query_params:
        st.query_params["page"] = str(page)
    st.session_state["browse_looked"] = looked, st.query_params.get("page")
    part, breaks = browsing.part_of_page(page, len(rows), unit, starts)
    shown = rows[part]
    with bar:
        st.markdown(f"**{len(rows):,}** of {len(data):,} images", width="content")
        if last > 1:
            with st.container(key="browse_pager", horizontal=True, horizontal_alignment="right", vertical_alignment="center",
                              gap="small", wrap=False):
                st.button("Previous", icon=":material/chevron_left:", key="browse_previous", shortcut="P", on_click=to_page,
                          args=(page - 1,), disabled=page == 1, type="tertiary")
                st.number_input("Page", 1, last, label_visibility="collapsed", width=100, **follow("browse_page", page, to_page))
                st.markdown(f"of {last:,}", width="content")
                st.button("Next", icon=":material/chevron_right:", icon_position="right", key="browse_next", shortcut="N",
                          on_click=to_page, args=(page + 1,), disabled=page == last, type="tertiary")
    if len(rows):
        pixels, token = open_data.thumbnails(data, shown)
        selected = next((k for k, row in enumerate(shown) if row == chosen), None)
        said = f"Images {part.start + 1:,} to {part.stop:,} of {len(rows):,}"
        just = gallery(pixels, key="browse_grid", aria_label=said, captions=browsing.captions_of(data, shown, by_study),
                       tile=tile, selected=selected, cache_key=token, breaks=breaks)
        if just is not None:
            chosen = int(shown[just])
            to_image(data.table["image_id"].iat[chosen])
    else:
        st.space("medium")
        st.markdown("No image fits all of these filters.")
        st.button("Show all images", key="browse_clear", on_click=forget, args=("split", "class", "q", *map(param_of, columns)))

# ------------------------------------------------------------------------------------------------------- counts, and what to know

with facts:
    counts_table(counts, key="browse_counts", take=take_cell, split=split,
                 chosen=None if label in (None, NO_FINDING) else values["class"])
    view = st.segmented_control("What to show of the images that are chosen", list(overview.VIEWS), key="browse_overview",
                                format_func=overview.VIEWS.get, default="sizes", required=True, persist_state="session",
                                label_visibility="collapsed", width="stretch")
    clicked = overview.show_overview(data, known_by, rows, browsing.set_of(wanted), view)
    if clicked is not None:
        take_cell(data.class_names[clicked] if clicked < len(data.class_names) else "-", split)
        st.rerun()
    st.markdown("\n\n".join(map(escape, (data.split_note, *data.notes))))
    if data.skipped:
        said = f"{len(data.skipped):,} file{'s' if len(data.skipped) > 1 else ''} could not be read"
        with st.expander(said, key="browse_skipped"):
            st.html(browsing.skipped_html(data.skipped))
    with st.expander(f"About {escape(shorten(data.title, 28))}"):
        at = "" if name in DATASETS else f"\n\n{escape(name)}"
        st.markdown(f"{escape(data.description)}{at}\n\nLicence: {escape(data.licence or 'not known')}.")
        st.caption(f"Shown at {data.size} x {data.size} px ({data.resize}); a click shows the original.")
    link("Add your own images", "add", icon=":material/add:")

# --------------------------------------------------------------------------------------------------------- one image, in full

if chosen is None and "image" in st.query_params:
    images.warning(f"There is no image called {escape(shorten(st.query_params['image']))} in this set.")
if chosen is not None:
    image_id = data.table["image_id"].iat[chosen]
    with body.container(key="browse_drawer"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{escape(shorten(image_id, 34))}**", width="stretch")
            st.button("Close", key="browse_close", icon=":material/close:", shortcut="Esc", type="tertiary", on_click=to_image,
                      args=(None,))
        try:
            outlined = bool(st.session_state.get("browse_outline"))
            picture, kind, shape, has_finding = browsing.full_image(data, known_by, chosen, outlined)
            viewer(picture, kind, key="browse_viewer", alt=f"Image {image_id}, {browsing.class_text(data, chosen)}")
            with st.container(horizontal=True, gap="medium"):
                if has_finding:
                    st.toggle("Outline the finding", key="browse_outline", persist_state="session",
                              help="The line goes round every place that the finding changed. It is known exactly, because the "
                                   "image was made by this app.")
                fits = st.toggle("Made square", key="browse_fits", persist_state="session",
                                 help="A network takes squares. This compares the ways to make one: stretch, pad and crop.")
            if fits:
                st.html(browsing.fits_of(data, known_by, chosen))
        except LightboxError as error:
            show_error(error)
            shape = None
        relatives = browsing.patient_rows(data.table, chosen)
        if len(relatives) > 1:
            st.markdown(f"All {len(relatives):,} images of this patient" if len(relatives) <= RELATIVES else
                        f"{RELATIVES} of the {len(relatives):,} images of this patient")
            relatives = relatives[:RELATIVES]
            pixels, token = open_data.thumbnails(data, relatives)
            other = gallery(pixels, key="browse_patient", aria_label="Images of the same patient", tile=72, cache_key=token,
                            captions=[data.table["view"].iat[r] or browsing.class_text(data, r) for r in relatives],
                            selected=next((k for k, row in enumerate(relatives) if row == chosen), None))
            if other is not None and relatives[other] != chosen:
                to_image(data.table["image_id"].iat[relatives[other]])
                st.rerun()
        st.html(browsing.facts_html(browsing.table_facts(data, chosen, shape)))

next_step("Next: split these images honestly", "split", dataset=name)
