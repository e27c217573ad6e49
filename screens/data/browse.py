"""Browse: look at the images of a set, by split and class, page by page; a click shows one in full with its patient.

Everything that is looked at stands in the address: ?dataset= &target= &split= &class= &page= &image= and a parameter for each
column that can be filtered, so that a link shows somebody else the same.
"""

from dataclasses import replace

import streamlit as st

from core.config import DataConfig
from core.datasets import DATASETS, open_dataset
from core.datasets.source import SPLITS
from core.errors import LightboxError
from ui import browsing, loaders, theme
from ui.follow import follow
from ui.gallery import gallery
from ui.shell import (
    Chip,
    asked_param,
    choose_param,
    dataset_chip,
    escape,
    get_param,
    long_task,
    next_step,
    page_header,
    set_param,
    shorten,
    show_error,
)
from ui.viewer import viewer

ALL = "all"
PER_PAGE = {"120": "120 a page", "60": "60 a page", "240": "240 a page", "480": "480 a page"}     # the first is the default
ORDERS = {"set": "Set order", "random": "Random"}
RELATIVES = 60            # so many images of one patient are shown
OWN = {"dataset", "target", "split", "class", "px", "page", "image", "sort", "per", "run"}     # not for columns

STYLE = """
<style>
  .st-key-browse_body { flex-wrap: nowrap; align-items: flex-start; gap: 1.5rem; }
  div:has(> .st-key-browse_facts) { flex: 0 0 264px !important; width: 264px; }
  div:has(> .st-key-browse_images) { flex: 1 1 0 !important; min-width: 0; }
  div:has(> .st-key-browse_drawer) { flex: 0 0 400px !important; width: 400px; position: sticky; top: 3.6rem; }
  .st-key-browse_facts { gap: .6rem; }
  .st-key-browse_images { gap: .7rem; }
  .st-key-browse_drawer { gap: .5rem; max-height: calc(100vh - 4.4rem); overflow-y: auto; flex-wrap: nowrap; padding: 3px; }
  .st-key-browse_bar { row-gap: .3rem; }
  .st-key-browse_facts p { font-size: .84rem; line-height: 1.45; margin-bottom: .4rem; }
  .st-key-browse_facts [data-testid="stExpander"] { margin-top: .7rem; }
  .st-key-browse_facts summary p { margin-bottom: 0; }
  .lb-counts { width: 100%; border-collapse: collapse; font-size: .82rem; line-height: 1.3; }
  .lb-counts th, .lb-counts td { border: 0; padding: 3px 0 1px 6px; text-align: right; font-weight: 400; vertical-align: top; }
  .lb-counts th:first-child { padding-left: 0; text-align: left; overflow-wrap: anywhere; }
  .lb-counts thead th { opacity: .78; font-size: .76rem; white-space: nowrap; }
  .lb-counts i { display: inline-block; width: .55em; height: .55em; border-radius: 1px; margin-right: .3em; }
  .lb-counts .bar td { padding: 0 0 5px; }
  .lb-counts .bar div { display: flex; height: 5px; border-radius: 2px; overflow: hidden; gap: 1px; }
  .lb-counts .chosen th, .lb-counts .chosen td, .lb-counts .sum th, .lb-counts .sum td { font-weight: 600; }
  .lb-counts .sum th, .lb-counts .sum td { border-top: 1px solid rgba(128, 134, 138, .35); padding-top: 4px; }
  .st-key-browse_skipped .lb-facts { grid-template-columns: 1fr; max-height: 16rem; overflow-y: auto; }
  .st-key-browse_skipped dd { margin-bottom: .4rem; }
  @media (max-width: 1150px) {
    .st-key-browse_body { flex-wrap: wrap; }
    div:has(> .st-key-browse_facts) { flex: 1 1 100% !important; width: 100%; order: 3; }
    div:has(> .st-key-browse_drawer) { flex-basis: 340px !important; width: 340px; }
  }
  @media (max-width: 760px) {
    div:has(> .st-key-browse_images) { flex-basis: 100% !important; }
    div:has(> .st-key-browse_drawer) { flex-basis: 100% !important; order: -1; position: static; }
    .st-key-browse_drawer { max-height: none; }
  }
</style>
"""


def size_chip(sizes: tuple[int, ...], first: int) -> tuple[Chip, ...]:
    """At how many pixels the images are prepared; no chip where there is only one way."""
    options = {str(s): f"{s} px" for s in sizes}
    return (Chip("px", "Image size", options, default=str(first), width=98),) if len(sizes) > 1 else ()


def forget(*names: str) -> None:
    for name in names:
        set_param(name, None)


def to_page(number: int) -> None:
    st.query_params["page"] = str(number)


def to_image(image_id: str | None) -> None:
    if image_id is None:
        st.query_params.pop("image", None)
    else:
        st.query_params["image"] = image_id


def choose(name: str, label: str, options: dict[str, str]) -> str:
    """How the grid is laid out: like a chip, but what is usual does not stand in the address."""
    value = asked_param(name)
    return st.selectbox(label, list(options), format_func=options.get, label_visibility="collapsed", width=125,
                        **follow(f"browse_{name}", value if value in options else next(iter(options)), choose_param, name))


st.html(STYLE)
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
top = st.container()
try:
    if not opened and not browsing.is_ready(DataConfig(name, size=first)):
        with top:
            page_header("Browse", dataset_chip(), *size_chip(sizes, first))
        loaders.dataset(DataConfig(name, size=first))              # with progress and a Stop button; ends here if it must
        st.session_state["browse_opened"] = name, first
        st.rerun()
    data = loaders.dataset(DataConfig(name, size=first))
except LightboxError as error:
    show_error(error)
    st.stop()
st.session_state["browse_opened"] = name, first
tasks = dict(data.targets)
if get_param("target") in tasks and get_param("target") != data.target:
    data = loaders.dataset(DataConfig(name, size=first, target=get_param("target")))

# --------------------------------------------------------------------------------------------- what is looked at: the chips

known_by = browsing.stands_for(data)
counts, columns, rows_of = browsing.facts_of(data, known_by)
columns = {column: values for column, values in columns.items() if column not in OWN}
every = ALL if ALL not in data.class_names else "*"                # a class may be called "all"
classes = {every: "All classes"} | {c: c for c in data.class_names}
if data.labels.ndim == 2:
    classes |= {"-": "No finding"}
where = dataset_chip()
titles = dict(where.options) if name in where.options else where.options | {name: data.title}       # a path is too long to show
chips = [replace(where, options=titles, width=205),
         *([Chip("target", "Task", tasks, width=170)] if len(tasks) > 1 else []),
         Chip("split", "Split", {ALL: "All splits"} | {s: theme.SPLIT_TITLES[s].capitalize() for s in SPLITS}, width=125),
         Chip("class", "Class", classes, width=140),
         *(Chip(column, column.replace("_", " ").capitalize(),
                {ALL: f"{column.replace('_', ' ').capitalize()}: all"} | {v: v or "(empty)" for v in values}, width=132)
           for column, values in columns.items()),
         *size_chip(sizes, first)]
if subject and subject != (name, data.target):                     # what was chosen for another set may mean nothing here
    forget(*(chip.name for chip in chips[1:] if get_param(chip.name) not in chip.options))
st.session_state["browse_subject"] = name, data.target
with top:
    values = dict(zip((chip.name for chip in chips), page_header("Browse", *chips)))

split = None if values["split"] == ALL else values["split"]
label = {every: None, "-": browsing.NO_FINDING}.get(values["class"], 0)
if label == 0:
    label = data.class_names.index(values["class"])
filters = tuple((column, values[column]) for column in columns if values[column] != ALL)

body = st.container(key="browse_body", horizontal=True, wrap=True)
facts, images = body.container(key="browse_facts"), body.container(key="browse_images")

# -------------------------------------------------------------------------------------------------------------- the grid

with images:
    bar = st.container(key="browse_bar", horizontal=True, vertical_alignment="center", gap="small")
    with bar:
        order = choose("sort", "Order", ORDERS)
        per_page = int(choose("per", "Images a page", PER_PAGE))
        tile = st.slider("Size of the thumbnails", 48, 256, 112, 8, key="browse_tile", persist_state="session", format="%d px",
                         label_visibility="collapsed", width=130)
    rows = browsing.chosen_rows(data, known_by, split, label, filters, order)
    chosen = rows_of.get(st.query_params.get("image"))
    page = browsing.parse_page(st.query_params.get("page"))
    if "page" not in st.query_params and chosen is not None:       # a link to an image opens the page where it stands
        page = browsing.page_of(chosen, rows, per_page) or 1
    looked = name, data.target, split, label, filters, order, per_page
    before = st.session_state.get("browse_looked", (None, None))
    if before[0] not in (None, looked) and before[1] == st.query_params.get("page"):
        page = 1                                                   # other images: begin at their beginning
    last = browsing.pages(len(rows), per_page)
    page = min(max(page, 1), last)
    if page > 1 or "page" in st.query_params:
        st.query_params["page"] = str(page)
    st.session_state["browse_looked"] = looked, st.query_params.get("page")
    part = browsing.page_slice(page, len(rows), per_page)
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
        pixels, token = loaders.thumbnails(data, shown)
        selected = next((k for k, row in enumerate(shown) if row == chosen), None)
        said = f"Images {part.start + 1:,} to {part.stop:,} of {len(rows):,}"
        just = gallery(pixels, key="browse_grid", aria_label=said, captions=[browsing.class_text(data, row) for row in shown],
                       tile=tile, selected=selected, cache_key=token)
        if just is not None:
            chosen = int(shown[just])
            to_image(data.table["image_id"].iat[chosen])
    else:
        st.space("medium")
        st.markdown("No image fits all of these filters.")
        st.button("Show all images", key="browse_clear", on_click=forget, args=("split", "class", *columns))

# ------------------------------------------------------------------------------------------------------- counts, and what to know

with facts:
    st.html(browsing.counts_html(counts, values["class"] if label is not None else None))
    st.markdown("\n\n".join(map(escape, (data.split_note, *data.notes))))
    if data.skipped:
        count = f"{len(data.skipped):,} file{'s' if len(data.skipped) > 1 else ''} could not be read"
        with st.expander(count, key="browse_skipped"):
            st.html(browsing.skipped_html(data.skipped))
    with st.expander(f"About {escape(shorten(data.title, 28))}"):
        where = "" if name in DATASETS else f"\n\n{escape(name)}"
        st.markdown(f"{escape(data.description)}{where}\n\nLicence: {escape(data.licence or 'not known')}.")
        st.caption(f"Shown at {data.size} x {data.size} px ({data.resize}); a click shows the original.")

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
            if has_finding:
                st.toggle("Outline the finding", key="browse_outline", persist_state="session",
                          help="The line goes round every place that the finding changed. It is known exactly, because the "
                               "image was made by this app.")
        except LightboxError as error:
            show_error(error)
            shape = None
        relatives = browsing.patient_rows(data.table, chosen)
        if len(relatives) > 1:
            st.markdown(f"All {len(relatives):,} images of this patient" if len(relatives) <= RELATIVES else
                        f"{RELATIVES} of the {len(relatives):,} images of this patient")
            relatives = relatives[:RELATIVES]
            pixels, token = loaders.thumbnails(data, relatives)
            other = gallery(pixels, key="browse_patient", aria_label="Images of the same patient", tile=80, cache_key=token,
                            captions=[data.table["view"].iat[r] or browsing.class_text(data, r) for r in relatives],
                            selected=next((k for k, row in enumerate(relatives) if row == chosen), None))
            if other is not None and relatives[other] != chosen:
                to_image(data.table["image_id"].iat[relatives[other]])
                st.rerun()
        st.html(browsing.facts_html(browsing.table_facts(data, chosen, shape)))

next_step("Next: train on these images", "train", dataset=name)
