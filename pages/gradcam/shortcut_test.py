"""Shortcut test: the same phantom patients with another lead letter or none, and what a run predicts for
them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core.datasets import Dataset
from core.evaluation import thresholds
from core.evaluation.shortcut_test import ShortcutTest, can_test, run_shortcut_test
from core.metrics import METRICS
from core.runs.store import Run
from pages.gradcam.slow_test import SlowTest
from pages.shared.heatmaps import version
from pages.shared.layout import format_interval, format_number

SHOWN = ("roc_auc", "sensitivity", "specificity")


def draw_shortcut_test(run: Run, data: Dataset) -> Callable[[], None] | None:
    """A button, and once it was pressed the sentence and a row for each letter. Nothing where images cannot
    be generated anew. Returns what takes long and is still to be done, for the end of the page."""
    if not can_test(data):
        return None
    st.header("Shortcut test: does it read the letter?", anchor=False)
    key = ("shortcut", run.id, version(run.id), data.fingerprint, data.split_hash, thresholds.of(run))
    return SlowTest(
        key, title="Generating the images with other letters", button="Run the shortcut test",
        text="These images are simulated, so they can be generated again: the same bones and exposure, with "
             "another lead letter or none. A network that looks at bones predicts the same; one that reads "
             "the letter follows it.",
        help="All validation images, three times; about a minute the first time. The test set stays locked.",
        work=lambda progress: run_shortcut_test(run, data=data, progress=progress),
        show=lambda result: _show(result, run)).draw()


def _show(result: ShortcutTest, run: Run) -> None:
    box, icon = {"no": (st.success, ":material/check_circle:"), "unknown": (st.info, ":material/help:")}.get(
        result.verdict, (st.error, ":material/cancel:"))
    box(result.sentence, icon=icon)
    frame = pd.DataFrame([{
        "letter": row.title + (", as in training" if row.as_trained else ""), "n": row.n,
        "accuracy": format_interval(row.accuracy, *row.accuracy_interval, digits=2),
        **{name: format_number(getattr(row, name), 2) for name in SHOWN}} for row in result.rows])
    columns = {"letter": st.column_config.TextColumn("Letter on the validation images", width="medium"),
               "n": st.column_config.NumberColumn("n", width=60, help="Images.")}
    columns |= {name: st.column_config.TextColumn(METRICS[name].title, alignment="right",
                                                  help=METRICS[name].help + (
        " In brackets the 95 % interval (Wilson)." if name == "accuracy" else ""))
                for name in ("accuracy", *SHOWN)}
    st.dataframe(frame, hide_index=True, column_config=columns, key=f"shortcut_table_{run.id}",
                 height="content",
                 alt=result.sentence)
