"""Cross-validation by one click: a run for each fold, with everything else as in the form."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.errors import LightboxError
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from core.runs.sweep import cross_validation
from pages.shared import config_form, preview
from pages.train.queue_button import draw_queue_button
from pages.train.sweep import duration, queue_all

OFFERED = (3, 4, 5, 10)
USUAL = 5
HELP = ("Divides all images that are not test into k folds. Each fold is validation once, for a network that was trained on the "
        "others: k results instead of one, which show how much a result depends on which images it was measured on. Classes "
        "have like shares in each fold.")
TOGETHER = {"image": "Images are dealt one by one: a patient may be in several folds.",
            "study": "All images of a study stay in one fold."}


def draw_cross_validation(ahead: preview.RunPreview, devices: list[dict], rows: Sequence[RunSummary]) -> None:
    """Draw the choice of k and the button; say how many runs that is and how long they take."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="cross_validation"):
        folds = st.segmented_control("Cross-validation: folds", OFFERED, default=USUAL, key="cross_validation_folds",
                                     persist_state="session", help=HELP) or USUAL
        try:
            configs = cross_validation(config_form.read(), folds)
        except LightboxError:                              # shown where the form is
            return
        draw_queue_button(f"Queue {folds} folds", "queue_folds", create_folds, icon=":material/view_week:", width="content",
                          disabled=ahead.refusal is not None)
    n = (ahead.counts["train"] or 0) + (ahead.counts["val"] or 0)
    seconds, unknown = preview.time_of_all(configs, devices, round(n * (folds - 1) / folds), rows)
    st.caption(f"{folds} runs, each validated on another fold, stratified by class. "
               f"{TOGETHER.get(configs[0].data.split, 'All images of a patient stay in one fold.')} "
               f"{duration(folds, seconds, unknown)}")


def create_folds(store: RunStore) -> str:
    """Queue a run for each fold, with one tag. Return the first one's id."""
    folds = st.session_state.get("cross_validation_folds") or USUAL
    return queue_all(store, cross_validation(config_form.read(), folds), "folds")
