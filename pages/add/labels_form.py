"""The classes as a table to edit: new name, place, kept or left out; which one is positive; and what that makes of the counts.

The text of the edit (`labels.map`) is the one thing that is kept; the table and the menus show it.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.config import KNOBS, Task
from core.datasets.custom import AS_GUESSED
from core.datasets.label_rows import ClassRow, edit_of, rows_of
from core.datasets.labels import edit_target, parse_edit
from core.datasets.positive import guess_positive
from core.datasets.scan import edit_scan
from core.datasets.source import Target
from core.errors import LightboxError
from pages.add.options_form import form
from pages.add.read_options import Preview
from pages.shared.layout import escape, show_error
from pages.shared.widget_state import follow

MANY = 100            # classes: more are edited as text


def labels() -> dict[str, str]:
    """Return how this person edited the classes, as `CustomDataset.labels`."""
    return form().setdefault("labels", dict(AS_GUESSED))


def draw_labels(shown: Preview) -> Preview:
    """Draw the editor; return the preview with the classes as they are edited, or with what is wrong with the edit."""
    targets = shown.result.index.targets
    if not any((target.labels >= 0).any() for target in targets.values()):
        return shown
    with st.expander("Classes: rename, join, leave out, order, positive class", key="add_labels_editor"):
        if len(targets) > 1:
            st.selectbox("Task", list(targets), format_func=lambda name: targets[name].title,
                         help="Whose classes are edited; those of the others stay as they are.",
                         **follow("add_labels_target", labels()["target"] or next(iter(targets)), _take_target))
        target = targets.get(labels()["target"]) or next(iter(targets.values()))
        try:
            edited = edit_target(target, parse_edit(labels()["map"]))
            if len(target.class_names) <= MANY:
                _draw_table(target)
            _draw_positive(edited)
        except LightboxError as error:
            show_error(error)
        st.text_input("As text", help=f"As `--set labels.map=...` on the command line. {KNOBS['data.label_map'].help}",
                      **follow("add_labels_map", labels()["map"], labels().__setitem__, "map"))
    try:
        result = edit_scan(shown.result, labels())
    except LightboxError as error:
        return replace(shown, result=None, error=error)
    for one in result.index.understood:
        if one.code.startswith("labels."):
            st.caption(escape(one.text))
    return replace(shown, result=result, labels=dict(labels()))


def _take_target(name: str) -> None:
    form()["labels"] = AS_GUESSED | {"target": name}


def _draw_table(target: Target) -> None:
    edit = parse_edit(labels()["map"])
    rows, ordinal = rows_of(target, edit), edit_target(target, edit).task == Task.ORDINAL
    frame = pd.DataFrame([{"class": row.name, "images": row.images, "new": row.new, "place": row.place, "kept": row.kept}
                          for row in rows])
    key = f"add_labels_table_{abs(hash((target.class_names, labels()['map'])))}"      # another edit is another table

    def take() -> None:
        changes = st.session_state[key]["edited_rows"]
        _keep([replace(row, **_checked(row, changes.get(i, {}))) for i, row in enumerate(rows)], ordinal)
    st.data_editor(frame, key=key, on_change=take, hide_index=True, disabled=("class", "images"), num_rows="fixed",
                   width="stretch", column_config={
                       "class": st.column_config.TextColumn("Class", help="As it is stored."),
                       "images": st.column_config.NumberColumn("Images", format="%d", width="small"),
                       "new": st.column_config.TextColumn("New name", max_chars=100, help="Classes with one name are joined."),
                       "place": st.column_config.NumberColumn("Place", min_value=1, max_value=len(rows), step=1, width="small",
                                                              help="The order of the classes."),
                       "kept": st.column_config.CheckboxColumn("Kept", width="small", help="Images of a class that is not kept "
                                                               "are in no part.")})
    if target.labels.ndim == 1 and len({row.new for row in rows if row.kept}) > 2:
        st.toggle("Grades: the classes are steps of one scale, in this order", **follow(
            "add_labels_ordinal", ordinal, lambda on: _keep(rows, on)))


def _checked(row: ClassRow, change: dict) -> dict:
    """What the browser sent for a row, empty cells left out."""
    kinds = {"new": str, "place": int, "kept": bool}
    return {name: kinds[name](value) for name, value in change.items() if name in kinds and value is not None}


def _keep(rows: list[ClassRow], ordinal: bool) -> None:
    labels()["map"] = str(edit_of(rows, ordinal))


def _draw_positive(edited: Target) -> None:
    names = edited.class_names
    if len(names) != 2 or edited.labels.ndim == 2:
        return
    guess = guess_positive(names)
    words = {"": f"{names[1 if guess is None else guess]} ({'second' if guess is None else 'guessed'})"}
    chosen = labels()["positive"]
    st.selectbox("Positive class", list(dict.fromkeys(["", *names, chosen])),
                 format_func=lambda name: words.get(name, escape(name)),
                 help="The one that is looked for: sensitivity, PPV, F1 and average precision are of it.",
                 **follow("add_labels_positive", chosen, labels().__setitem__, "positive"))
