"""The read options of each format as widgets: what a column means, how the patient is read from a name."""

from __future__ import annotations

import streamlit as st

from core.datasets.delimited import DELIMITERS, ENCODINGS, NONE
from core.datasets.formats import FORMATS
from core.datasets.mura import PARTS
from core.datasets.table_options import SEPARATORS
from pages.add.read_options import Preview, columns_table
from pages.shared.layout import shorten
from pages.shared.widget_state import follow

ROLES = {      # field -> (label, help)
    "patient": ("Patient", "All images of a patient go to the same split: the network is tested on people it has never seen."),
    "study": ("Study", "One examination, with several views. Study numbers may start again for each patient."),
    "view": ("View", "The projection, such as PA or lateral."),
    "split": ("Split", "A column with train, val and test, if the data set has an official split."),
}
ORDINAL = ("The classes are steps of one scale, such as grades 0 to 4: being off by one step is a smaller error than being off "
           "by four.")


def form() -> dict:
    """What this person chose for the path: {"kind": format, "title": ..., "values": {field: value}}."""
    return st.session_state.setdefault("add_form", {"kind": None, "title": None, "values": {}})


def put(field: str, value) -> None:
    form()["values"][field] = list(value) if isinstance(value, (list, tuple)) else value


def choose(field: str, label: str, options: list, value, words=str, **more) -> None:
    """A selectbox for one read option."""
    options = list(dict.fromkeys([*options, value]))
    st.selectbox(label, options, format_func=words, **more, **follow(f"add_{field}", value, put, field))


def draw_table(shown: Preview) -> None:
    if shown.table:
        draw_columns(shown)
    options = shown.options
    folder, delimiter, encoding = st.columns([2, 1, 1])
    with folder:
        st.text_input("Folder with the images", help="Files are searched here and in all folders below.",
                      **follow("add_folder", options.folder, put, "folder"))
    with delimiter:
        choose("delimiter", "Delimiter", list(DELIMITERS), options.delimiter, lambda d: DELIMITERS.get(d, d),
               help="The character between two cells of a row.")
    with encoding:
        choose("encoding", "Encoding", list(ENCODINGS), options.encoding, lambda e: ENCODINGS.get(e, "detect"),
               help="How characters are stored. If names look garbled, try another.")
    if shown.table:
        st.caption(f"{shown.table.files_found:,} of {shown.table.rows:,} rows name an existing file.")
        rows = columns_table(shown)
        st.dataframe(rows, hide_index=True, alt="How each column of the table was read", column_config={
            "role": st.column_config.TextColumn(help="What it is used for; other columns can be filtered and sorted by."),
            "distinct": st.column_config.NumberColumn(width="small", help="Number of distinct values."),
            "empty": st.column_config.NumberColumn(width="small", help="Number of empty cells."),
            "examples": st.column_config.TextColumn(width="large")})
        with st.expander("First rows of the table"):
            st.dataframe(shown.table.first, hide_index=True, alt="First rows of the table")


def draw_columns(shown: Preview) -> None:
    """What each column means, and what its values mean."""
    options, columns = shown.options, [column.name for column in shown.table.columns]

    def or_none(name: str) -> str:
        return "none" if name == NONE else shorten(name)

    file, labels = st.columns([1, 2])
    with file:
        choose("file", "Image file", columns, options.file, or_none,
               help="The column with the file names: a path, a part of it or the bare name; the extension may differ.")
    with labels:
        st.multiselect("Labels", columns, format_func=shorten,
                       help="What the network learns to predict. Several columns are several tasks.",
                       **follow("add_labels", list(options.labels), put, "labels"))
    for (role, (label, help)), column in zip(ROLES.items(), st.columns(4)):
        with column:
            choose(role, label, [NONE, *columns], getattr(options, role), or_none, help=help)
    separator, nothing, switches = st.columns([1, 1, 2], vertical_alignment="bottom")
    with separator:
        choose("separator", "Separator", [NONE, *SEPARATORS], options.separator, or_none, accept_new_options=True,
               help="The character between several findings in one cell: an image can then have several (multi-label).")
    with nothing:
        if options.separator != NONE:
            st.text_input("Word for no finding", help="The text in the cells of images without any finding.",
                          **follow("add_nothing", "" if options.nothing == NONE else options.nothing, put_nothing))
    with switches, st.container(horizontal=True):
        st.toggle("Ordinal classes", help=ORDINAL, **follow("add_ordinal", options.ordinal, put, "ordinal"))
        if len(options.labels) > 1:
            st.toggle("One multi-label task", help="Each 0/1 column is one finding, and an image may have several.",
                      **follow("add_together", options.together, put, "together"))


def put_nothing(word: str) -> None:
    put("nothing", word.strip() or NONE)


PATIENTS = {"known": "Known patterns", "own": "Custom pattern", "none": "Not in the names"}


def draw_folder(shown: Preview) -> None:
    pattern = form()["values"].get("pattern", "")
    given = "own" if pattern else "known"
    way = form().get("way") or ("none" if pattern == NONE else given)
    how, order = st.columns([2, 1], vertical_alignment="bottom")
    with how:
        st.segmented_control("Patient ID from file names", list(PATIENTS), format_func=PATIENTS.get, required=True,
                             help="All images of a patient go to the same split. Known patterns are those of MURA, ChestX-ray14, "
                             "the chest X-rays of Kermany et al. and the knees of the OAI.", **follow("add_way", way, take_way))
    with order:
        st.toggle("Ordinal classes", help=ORDINAL, **follow("add_ordinal", bool(form()["values"].get("ordinal")), put, "ordinal"))
    if way == "own":
        st.text_input("Pattern", placeholder=r"(?P<patient>person\d+)_", help="A regular expression for the path below the class "
                      "folder, with the named groups patient, study and view: "
                      r"(?P<patient>\d+)(?P<view>[LR]) reads 9003175 and L from 9003175L.png.",
                      **follow("add_pattern", pattern, put, "pattern"))
    if shown.names is not None:
        st.caption("Examples of what is read from the names:")
        st.dataframe(shown.names, hide_index=True, alt="What is read from some of the names")


def take_way(way: str) -> None:
    form()["way"] = way
    put("pattern", {"none": NONE}.get(way, ""))


def draw_mura(shown: Preview) -> None:
    st.multiselect("Body parts", PARTS, placeholder="All seven",
                   **follow("add_parts", list(shown.options.parts), put, "parts"))
    st.toggle("Include abnormal images", help="Without them a network can only learn the body part.",
              **follow("add_abnormal", shown.options.abnormal, put, "abnormal"))


def draw_npz(shown: Preview) -> None:
    st.markdown("There is nothing to choose: the file itself defines images, labels and split.")


WIDGETS = {"table": draw_table, "folder": draw_folder, "mura": draw_mura, "npz": draw_npz}


def draw_options(shown: Preview) -> None:
    title, kind = st.columns([2, 1], vertical_alignment="center")
    with title:
        st.header(f"{FORMATS[shown.format].title}: read options", anchor=False)
    if len(shown.formats) > 1:
        with kind:
            st.selectbox("Format", shown.formats, format_func=lambda k: FORMATS[k].title, label_visibility="collapsed",
                         **follow("add_kind", shown.format, form().__setitem__, "kind"))
    WIDGETS[shown.format](shown)
