"""What a run was trained with, in tabs: its settings, its data, how it computes, its log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from core.runs.store import Run
from core.runs.summary import RunSummary
from pages.runs.ensembles import draw_members_fitted
from pages.shared import run_feed
from pages.shared.layout import escape

LOG_LINES = 60                     # of the log's end
ORDER = {True: "channels last", False: "channels first"}


def draw_settings(run: Run) -> None:
    table = pd.DataFrame(run_feed.changed_first(run.config))
    n = int(table.pop("changed").sum())
    st.caption(f"{n} setting{'s' if n != 1 else ''} differ{'' if n != 1 else 's'} from the default, listed first. "
               "The settings of a run never change: use \"Duplicate and edit\" for a new run with other ones.")
    st.caption(f"Code in the format of report R001: `{run.code}`")
    st.dataframe(table, hide_index=True, height=320, alt="Settings of this run and the defaults", column_config={
        "setting": "Setting", "value": "This run", "default": "Default"})


def draw_data(run: Run) -> None:
    data = run.data()
    if not data:
        st.caption("Available once the run has opened its images.")
        return
    n = data["n"]
    st.markdown(f"**{escape(data['title'])}**: {n['train']:,} training, {n['val']:,} validation and {n['test']:,} test images "
                f"of {data['size']} px, {'gray' if data['channels'] == 1 else 'colour'}.")
    st.markdown(escape(data.get("split_note", "")))
    times = run.times_test_opened()
    st.caption(f"Classes: {escape(', '.join(data['class_names']))}.{_positive(data)} "
               "The test set stays locked until you open it on the page "
               + (f"Evaluate; it was opened {times} time{'s' if times > 1 else ''}." if times else "Evaluate."))


def draw_hardware(run: Run) -> None:
    starts = run.records("start")
    if not starts:
        st.caption("Available once the run has started.")
        return
    start = starts[-1]
    how = start.get("how")
    if how is None:
        st.caption("The record of the start is damaged.")
        return
    device = escape(start.get("device", run.device))
    st.markdown(f"{start.get('parameters', 0):,} parameters on {device}, {escape(how['precision'])}, "
                f"{how['threads']} CPU thread{'s' if how['threads'] != 1 else ''}, "
                f"{ORDER[how['channels_last']]} in memory.")
    for note in start.get("notes", ()):
        st.markdown(escape(note))
    if how["tried"]:
        st.caption("Tried at the start to find the fastest configuration on this machine:")
        st.dataframe(pd.DataFrame([{"CPU threads": row["threads"], "Memory format": ORDER[row["channels_last"]],
                                    "Precision": row.get("precision", "float32"),
                                    "Images per second": round(row["images_per_second"])} for row in how["tried"]]),
                     hide_index=True, width="content", alt="Configurations and their speed")


def draw_log(run: Run) -> None:
    lines = run.log().splitlines()
    st.code("\n".join(lines[-LOG_LINES:]) or "The log is empty.", language=None, wrap_lines=True, height=320)


DETAILS = {"Settings": draw_settings, "Data": draw_data, "Hardware": draw_hardware, "Log": draw_log}
OF_ENSEMBLE = {"Members": draw_members_fitted, "Data": draw_data}      # nothing trained, so it has no hardware and no log


def details_of(rows: Sequence[RunSummary], run_id: str | None) -> dict[str, Callable[[Run], None]]:
    """Return the tabs of a run: title -> what draws it."""
    return OF_ENSEMBLE if any(row.id == run_id and row.ensemble for row in rows) else DETAILS


def _positive(data: dict) -> str:
    """Which of two classes sensitivity, precision, F1 and average precision of the curves are of."""
    return f" Positive class: {escape(data['class_names'][1])}." if data["task"] == "binary-class" else ""
