"""The read options of each format as widgets: what a folder or a column means, how the patient is read from a name.

OPTIONS is the table: a new option is a row. An option is drawn in the form, and again below the sentence that it changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import streamlit as st

from core.datasets.delimited import DELIMITERS, ENCODINGS, NONE
from core.datasets.formats import FORMATS
from core.datasets.levels import ROLES
from core.datasets.masks import WORDS
from core.datasets.mura import PARTS, SPLIT_OF
from core.datasets.table_options import SEPARATORS
from pages.add.read_options import Preview, columns_table, values_of
from pages.shared.intensity import HELP, draw_intensity
from pages.shared.layout import escape, shorten
from pages.shared.widget_state import follow

ORDINAL = ("The classes are steps of one scale, such as grades 0 to 4: being off by one step is a smaller error than being off "
           "by four.")
PATTERN = ("A regular expression for the path below the class folder, with the named groups patient, study, view and label: "
           r"(?P<patient>\d+)(?P<view>[LR]) reads 9003175 and L from 9003175L.png.")
PATIENTS = {"known": "Known patterns", "own": "Custom pattern", "none": "Not in the names"}


@dataclass(frozen=True)
class Option:
    """One read option as a widget.

    Args:
        kind: "column" or "columns" of the table, "text", "list" (words with commas), "toggle", "menu", "several", "levels",
            "intensity"
        choices: value -> its words
        row: options of one row stand side by side; those of row 9 stand under More options
        shown: whether it has any effect
    """

    label: str
    help: str
    kind: str
    choices: Mapping = field(default_factory=dict)
    row: int = 0
    shown: Callable[[Preview], bool] = lambda shown: True


def _has_table(shown: Preview) -> bool:
    return shown.table is not None


def _several_labels(shown: Preview) -> bool:
    return len(shown.options.labels) > 1


def _splits_cells(shown: Preview) -> bool:
    return shown.options.separator not in ("", NONE)


def _may_be_deep(shown: Preview) -> bool:
    said = shown.result.index.understood if shown.result else ()
    return bool(shown.options.intensity) or any(one.option == "intensity" for one in said)


INTENSITY = Option("Intensities", HELP, "intensity", row=9, shown=_may_be_deep)
TABLE = {
    "file": Option("Image file", "The column with the file names: a path, a part of it or the bare name; the extension may "
                   "differ.", "column", row=1, shown=_has_table),
    "labels": Option("Labels", "What the network learns to predict. Several columns are several tasks.", "columns", row=1,
                     shown=_has_table),
    "patient": Option("Patient", "All images of a patient go to the same split: the network is tested on people it has never "
                      "seen.", "column", row=2, shown=_has_table),
    "study": Option("Study", "One examination, with several views. Study numbers may start again for each patient.", "column",
                    row=2, shown=_has_table),
    "view": Option("View", "The projection, such as PA or lateral.", "column", row=2, shown=_has_table),
    "split": Option("Split", "A column with train, val and test, if the data set has an official split.", "column", row=2,
                    shown=_has_table),
    "separator": Option("Separator", "The character between several findings in one cell: an image can then have several "
                        "(multi-label).", "menu", {NONE: "none", **{s: s for s in SEPARATORS}}, row=3, shown=_has_table),
    "nothing": Option("Word for no finding", "The text in the cells of images without any finding.", "text", row=3,
                      shown=_splits_cells),
    "ordinal": Option("Ordinal classes", ORDINAL, "toggle", row=3),
    "together": Option("One multi-label task", "Each 0/1 column is one finding, and an image may have several.", "toggle", row=3,
                       shown=_several_labels),
    "one_of": Option("One class a row", "Exactly one of the label columns is 1 in each row: they are the classes of one task.",
                     "toggle", row=3, shown=_several_labels),
    "folder": Option("Folder with the images", "Files are searched here and in all folders below.", "text", row=4),
    "delimiter": Option("Delimiter", "The character between two cells of a row.", "menu", DELIMITERS, row=4),
    "encoding": Option("Encoding", "How characters are stored. If names look garbled, try another.", "menu", ENCODINGS, row=4),
    "uncertain": Option("Uncertain (-1)", "What -1 in a column of findings means (the policies of CheXpert).", "menu",
                        {"": "as guessed", "ignore": "ignored in loss and metrics", "zeros": "no (zeros)", "ones": "yes (ones)",
                         "class": "a class of its own"}, row=9),
    "blanks": Option("Empty cells", "What an empty cell in a column of findings means.", "menu",
                     {"": "as guessed", "no": "no", "unknown": "not known", "leave out": "leave the row out"}, row=9),
    "missing": Option("Missing labels", "What nan, NA or ? as a label means.", "menu",
                      {"": "as guessed", "leave out": "leave the row out", "class": "a class of its own"}, row=9),
    "repeats": Option("Several rows an image", "What is done with rows about one image that differ.", "menu",
                      {"": "as guessed", "unite": "it has all of them", "leave out": "leave the image out",
                       "majority": "the most frequent", "any": "the first"}, row=9),
    "threshold": Option("Threshold", "Makes two classes of a measurement: below this number, and from it on.", "text", row=9),
    "bands": Option("Bands", "Makes classes of a measurement: a number of bands with as many images each, or limits such as "
                    "0 12 60.", "text", row=9),
    "filled": Option("Empty or not", "Two classes: whether the cell of the label is empty.", "toggle", row=9),
    "header": Option("Header", "Whether the first line names the columns.", "menu",
                     {"": "as guessed", "yes": "yes", "no": "no"}, row=9),
    "names": Option("Names of the columns", "For a table without a header: names separated by commas.", "list", row=9),
    "tables": Option("Tables read together", "Files that are read as one table, separated by commas.", "list", row=9),
    "more_files": Option("More columns of files", "Further columns with images of the same row.", "columns", row=9),
    "pattern": Option("Pattern for file names", "A regular expression with (?P<label>...) or (?P<patient>...), where the names "
                      "of the files say what no column does.", "text", row=9),
    "as_typed": Option("Keep 1 and 1.0 apart", "Values are taken as they are typed.", "toggle", row=9),
    "intensity": INTENSITY,
}
FOLDER = {
    "levels": Option("Folders", "What each level of folders is.", "levels", ROLES, row=1),
    "pattern": Option("Patient ID from file names", "All images of a patient go to the same split. Known patterns are those of "
                      "twenty public collections, such as MURA, ChestX-ray14, Kermany, BreakHis and BIDS.", "pattern", row=2),
    "ordinal": Option("Ordinal classes", ORDINAL, "toggle", row=2),
    "take": Option("Take in", "Files that are otherwise left out.", "several", {k: w[1] for k, w in WORDS.items()}, row=9),
    "only": Option("Only files like", "Patterns such as *_frontal.png, separated by commas; others are left out.", "text", row=9),
    "leave_out": Option("Without files like", "Patterns such as *_lateral.png, separated by commas.", "text", row=9),
    "join": Option("Join classes that look alike", "Class folders whose names differ only in case or blanks are one class.",
                   "toggle", row=9),
    "intensity": INTENSITY,
}
MURA = {
    "parts": Option("Body parts", "Which of MURA's body parts to read; none chosen is all seven.", "several",
                    {part: part for part in PARTS}, row=1),
    "folders": Option("Folders", "Stanford's training images are in train; those of valid, of other patients, become the test "
                      "split. With train alone, all splits are made from it; report R000's table does so.", "several",
                      {folder: folder for folder in SPLIT_OF}, row=1),
    "abnormal": Option("Include abnormal images", "Without them a network can only learn the body part.", "toggle", row=1),
}
OPTIONS = {"table": TABLE, "folder": FOLDER, "mura": MURA}


def form() -> dict:
    """What this person chose for the path: {"kind": format, "title": ..., "values": {field: value}}."""
    return st.session_state.setdefault("add_form", {"kind": None, "title": None, "values": {}})


def put(name: str, value) -> None:
    form()["values"][name] = list(value) if isinstance(value, (list, tuple)) else value


def _put_text(name: str, text: str) -> None:
    put(name, text.strip() or (NONE if name == "nothing" else ""))


def _put_list(name: str, text: str) -> None:
    put(name, [word.strip() for word in text.split(",") if word.strip()])


def _put_level(roles: list[str], k: int, role: str) -> None:
    put("levels", [role if j == k else each for j, each in enumerate(roles)])


def has_option(shown: Preview, name: str) -> bool:
    """Return whether the format has such an option, and it has an effect here."""
    option = OPTIONS.get(shown.format, {}).get(name)
    return option is not None and name in {f.name for f in dataclasses.fields(shown.options)} and option.shown(shown)


def draw_option(shown: Preview, name: str, prefix: str = "add_") -> None:
    """One read option as its widget. `prefix` tells two widgets of one option apart."""
    option, value = OPTIONS[shown.format][name], getattr(shown.options, name)
    label, key = option.label, f"{prefix}{name}"
    columns = [column.name for column in shown.table.columns] if _has_table(shown) else []

    def column_words(column: str) -> str:
        return "none" if column == NONE else shorten(column)

    match option.kind:
        case "column":
            given = columns if name == "file" else [NONE, *columns]
            st.selectbox(label, list(dict.fromkeys([*given, value])), format_func=column_words, help=option.help,
                         **follow(key, value, put, name))
        case "columns":
            st.multiselect(label, columns, format_func=shorten, help=option.help, **follow(key, list(value), put, name))
        case "menu":
            st.selectbox(label, list(dict.fromkeys([*option.choices, value])), format_func=lambda v: option.choices.get(v, v),
                         help=option.help, accept_new_options=name == "separator", **follow(key, value, put, name))
        case "several":
            st.multiselect(label, list(option.choices), format_func=option.choices.get, help=option.help,
                           placeholder="None" if name == "take" else "All", **follow(key, list(value), put, name))
        case "toggle":
            st.toggle(label, help=option.help, **follow(key, bool(value), put, name))
        case "list":
            st.text_input(label, help=option.help, **follow(key, ", ".join(value), _put_list, name))
        case "intensity":
            draw_intensity(key, label, value, partial(put, name), partial(values_of, shown.result))
        case "levels":
            draw_levels(shown, key)
        case "pattern":
            draw_pattern(option, key)
        case _:
            st.text_input(label, help=option.help, **follow(key, "" if value == NONE and name == "nothing" else value,
                                                            _put_text, name))


def draw_pattern(option: Option, key: str) -> None:
    pattern = form()["values"].get("pattern", "")
    way = form().get("way") or {"": "known", NONE: "none"}.get(pattern, "own")
    st.segmented_control(option.label, list(PATIENTS), format_func=PATIENTS.get, required=True, help=option.help,
                         **follow(f"{key}_way", way, take_way))
    if way == "own":
        st.text_input("Pattern", placeholder=r"(?P<patient>person\d+)_", help=PATTERN, **follow(key, pattern, put, "pattern"))


def take_way(way: str) -> None:
    form()["way"] = way
    put("pattern", {"none": NONE}.get(way, ""))


def draw_levels(shown: Preview, key: str) -> None:
    """The tree of folders, a line a level, each with what it was taken for."""
    if not shown.levels:
        st.caption("All images lie in one folder.")
        return
    roles = [level.role for level in shown.levels]
    for k, level in enumerate(shown.levels):
        words, role = st.columns([3, 2], vertical_alignment="center")
        indent = "&nbsp;" * 4 * k
        words.markdown(f"{indent}:material/folder: {escape(level.shown())}")
        with role:
            st.selectbox(f"Folder level {k + 1}", list(ROLES), format_func=lambda r: ROLES[r][:1].upper() + ROLES[r][1:],
                         label_visibility="collapsed", **follow(f"{key}_{k}", level.role, _put_level, roles, k))


def draw_options(shown: Preview) -> None:
    """All read options of a format, the usual ones first."""
    title, kind = st.columns([2, 1], vertical_alignment="center")
    with title:
        st.header(f"{FORMATS[shown.format].title}: read options", anchor=False)
    if len(shown.formats) > 1:
        with kind:
            st.selectbox("Format", shown.formats, format_func=lambda k: FORMATS[k].title, label_visibility="collapsed",
                         **follow("add_kind", shown.format, form().__setitem__, "kind"))
    names = [name for name in OPTIONS.get(shown.format, {}) if has_option(shown, name)]
    if not names:
        st.markdown("There is nothing to choose: the file itself defines images, labels and split.")
    for row in sorted({OPTIONS[shown.format][name].row for name in names} - {9}):
        here = [name for name in names if OPTIONS[shown.format][name].row == row]
        for name, column in zip(here, st.columns(len(here), vertical_alignment="bottom")):
            with column:
                draw_option(shown, name)
    if shown.table:
        draw_columns(shown)
    if shown.names is not None:
        st.caption("Examples of what is read from the names:")
        st.dataframe(shown.names, hide_index=True, alt="What is read from some of the names")
    more = [name for name in names if OPTIONS[shown.format][name].row == 9]
    if more:
        with st.expander("More options"):
            places = [place for _ in range(0, len(more), 3) for place in st.columns(3, vertical_alignment="bottom")]
            for name, column in zip(more, places):
                with column:
                    draw_option(shown, name)


def draw_columns(shown: Preview) -> None:
    """What each column of the table was taken for, and its first rows."""
    st.caption(f"{shown.table.files_found:,} of {shown.table.rows:,} rows name an existing file.")
    st.dataframe(columns_table(shown), hide_index=True, alt="How each column of the table was read", column_config={
        "role": st.column_config.TextColumn(help="What it is used for; other columns can be filtered and sorted by."),
        "distinct": st.column_config.NumberColumn(width="small", help="Number of distinct values."),
        "empty": st.column_config.NumberColumn(width="small", help="Number of empty cells."),
        "examples": st.column_config.TextColumn(width="large")})
    with st.expander("First rows of the table"):
        st.dataframe(shown.table.first, hide_index=True, alt="First rows of the table")
