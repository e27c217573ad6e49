"""What if the letter lied? The same phantom patients with another letter or none, and how a run answers them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from core.datasets import Dataset
from core.evaluation import thresholds
from core.evaluation.shortcut_test import Conflict, can_lie, conflict
from core.metrics import METRICS
from core.runs.store import Run
from pages.shared.heatmaps import version
from pages.shared.layout import format_interval, format_number, long_task

MEASURES = ("roc_auc", "sensitivity", "specificity")


def draw_conflict(run: Run, data: Dataset) -> Callable[[], None] | None:
    """A button, and once it was pressed the sentence and a row for each letter. Nothing where images cannot be taken again.

    Returns what takes long and is still to be done, for the end of the page.
    """
    if not can_lie(data):
        return None
    st.header("What if the letter lied?", anchor=False)
    key = (run.id, version(run.id), data.fingerprint, data.split_hash, thresholds.of(run))
    asked = f"conflict_{run.id}"
    if st.session_state.pop(f"stopped_{asked}", False):          # Stop ends the work, not the page
        st.session_state.pop(asked, None)
    place = st.empty()
    if key in _kept():
        with place.container():
            _show(_kept()[key], run)
        return None
    if st.session_state.get(asked):
        return partial(_take_again, run, data, key, asked, place)
    with place.container():
        st.markdown("These people do not exist, so their X-rays can be taken again: the same bones on the same day, with another "
                    "letter or with none. A network that reads bones answers as before; one that reads the letter follows it.")
        st.button("Take the X-rays again", key=f"{asked}_go", on_click=st.session_state.__setitem__, args=(asked, True),
                  help="All validation images, three times; about a minute the first time. The test set stays shut.")
    return None


def _take_again(run: Run, data: Dataset, key: tuple, asked: str, place) -> None:
    with place.container(), long_task("Generating images again", key=asked) as progress:
        _kept()[key] = conflict(run, data=data, progress=progress)
    st.session_state.pop(asked, None)
    with place.container():
        _show(_kept()[key], run)


def _show(found: Conflict, run: Run) -> None:
    box, icon = (st.error, ":material/cancel:") if found.reads else (st.success, ":material/check_circle:")
    box(found.sentence, icon=icon)
    frame = pd.DataFrame([{
        "letter": row.title + (", as it was trained" if row.as_trained else ""), "n": row.n,
        "accuracy": format_interval(row.accuracy, *row.accuracy_interval, digits=2),
        **{name: format_number(getattr(row, name), 2) for name in MEASURES}} for row in found.rows])
    columns = {"letter": st.column_config.TextColumn("The same validation images", width="medium"),
               "n": st.column_config.NumberColumn("n", width=60)}
    columns |= {name: st.column_config.TextColumn(METRICS[name].title + (" (95 %: Wilson)" if name == "accuracy" else ""),
                                                  help=METRICS[name].help, alignment="right")
                for name in ("accuracy", *MEASURES)}
    st.dataframe(frame, hide_index=True, column_config=columns, key=f"conflict_table_{run.id}", height="content",
                 alt=found.sentence)


@st.cache_resource(show_spinner=False)
def _kept() -> dict[tuple, Conflict]:
    """What runs answered, as long as the server lives: a few lines each."""
    return {}
