"""Grad-CAM: one image, what speaks for its answer at any layer, whether that map is true, and what if the image were another."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.errors import LightboxError
from core.evaluation import thresholds
from core.metrics.confusion import thresholds_of_classes
from core.runs.store import Run, RunStore
from pages.gradcam.activations import draw_activations
from pages.gradcam.one_map import draw_map_controls, draw_pictures, make_maps
from pages.gradcam.sanity_checks import draw_faithful
from pages.gradcam.shortcut_test import draw_conflict
from pages.gradcam.what_if import draw_controls
from pages.shared import error_order
from pages.shared.charts import show_probabilities
from pages.shared.heatmaps import classifier, warm_up_classifier
from pages.shared.layout import empty, escape, format_number, link, next_step, page_header, run_chip, set_param, show_error
from pages.shared.open_data import dataset
from pages.shared.picking import pick_image
from pages.shared.predictions import (
    answers_of,
    cell_chips,
    current_run,
    finding_chip,
    forget_on_change,
    is_shut,
    number,
    rows_of,
    split_chip,
)


def show(run: Run, split: str, finding: str | None, true: str, predicted: str) -> list[Callable[[], None]]:
    """The page. Returns what takes long, for its end: by then everything else stands there and can be used."""
    if is_shut(run, split):
        return []
    found = answers_of(run, split)
    data = dataset(run.config.data)
    about = run.data()
    said = error_order.answers_for(run, found, finding)
    names, right = said.names, said.labels == said.answers
    rows = rows_of(run, split, found, data)
    positions = error_order.choose(said.labels, said.probs, said.answers, true=number(true, len(names)), cut=said.cut,
                                predicted=predicted if predicted in ("wrong", "all") else number(predicted, len(names)))
    if not len(positions):
        st.markdown("There is no such image: no mistakes here." if predicted == "wrong" else "There is no such image.")
        st.button("Show all images", type="primary", on_click=show_all)
        return []
    warm_up_classifier(run.id)
    chosen = pick_image(data, rows, positions, found.image_ids, right)
    with st.spinner("Loading the network"):
        loaded = classifier(run.id)
    pictures, controls = st.columns([62, 38], gap="large")
    several, answer = said.finding is not None, int(said.answers[chosen])
    explained = said.finding if several else answer
    with controls, st.container(key="explain_controls"):
        place = st.container()
        asked = draw_map_controls(run.id, loaded, explained)
        wanted = draw_controls()
    with pictures:
        now = draw_pictures(run.id, data, int(rows[chosen]), asked, wanted, thresholds.of(run))
        to_come = st.container()
        link("See it in full resolution, with its patient", "errors", run=run.id, split=split, true="all", predicted="all",
             image=found.image_ids[chosen])
    with place:
        st.markdown(error_order.sentence(said, chosen))
        show_probabilities(about["class_names"], now.probs, true=None if several else int(said.labels[chosen]), limit=4,
                           always=[asked.target, explained],
                           thresholds=thresholds_of_classes(thresholds.of(run), about["task"], len(about["class_names"])))
        if len(names) == 2 and said.cut != 0.5:
            st.caption(f"{escape(names[1])} is the answer from {format_number(said.cut)} on, as chosen on validation.")
        if wanted:
            st.caption("The bars are those of the changed image.")
    for note in loaded.notes:
        st.caption(escape(note))
    later = [draw_faithful(run, data, rows, asked), draw_conflict(run, data)]
    st.header("What the layer sees", anchor=False)
    if st.toggle("Feature maps and kernels", key="show_activations", persist_state="session"):
        draw_activations(run.id, now, asked, about["class_names"][asked.target])

    def make_missing() -> None:
        with to_come:
            make_maps(run.id, asked, now)
    return [work for work in (make_missing if now.missing else None, *later) if work]


def show_all() -> None:
    set_param("true", "all")
    set_param("predicted", "all")


runs = RunStore().list()
if not runs:
    page_header("Grad-CAM")
    empty("There is no run yet. Train a small network; then its answers are explained here.", "Train a network", "train")
else:
    run = current_run(runs)
    forget_on_change(run, "true", "predicted", "finding", "target", "against", "layer", "image")
    run_id, split, *values = page_header("Grad-CAM", run_chip(runs), split_chip(), *finding_chip(run), *cell_chips(run))
    st.html(Path(__file__).with_suffix(".css"))
    page, later = st.container(), []
    try:
        with page:
            later = show(run, split, *([None] * (3 - len(values))), *values)
    except LightboxError as error:
        show_error(error)
    next_step("Next: compare it with other runs", "compare", run=run_id)
    for work in later:
        try:
            work()
        except LightboxError as error:
            with page:
                show_error(error)
