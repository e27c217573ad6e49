"""Grad-CAM: one image, what speaks for its answer at any layer, whether that map is true, and what if the image were another."""

import streamlit as st

from core import metrics
from core.errors import LightboxError
from core.metrics import MULTI_LABEL
from core.runs import Run, RunStore
from ui.activations import draw_activations
from ui.charts import show_probabilities
from ui.conflict import draw_conflict
from ui.explaining import classifier, warm_up_classifier
from ui.faithful import draw_faithful
from ui.judging import (
    answers_of,
    cell_chips,
    current_run,
    finding_chip,
    forget_on_change,
    number,
    one_finding,
    rows_of,
    split_chip,
    stored,
)
from ui.loaders import dataset
from ui.mistakes import choose
from ui.one_map import draw_map_controls, draw_pictures
from ui.picking import pick_image
from ui.shell import empty, escape, format_probability, link, next_step, page_header, run_chip, set_param, show_error
from ui.what_if import draw_controls

STYLE = """<style>
.st-key-strip { flex-wrap: nowrap; }
.st-key-strip_images { min-width: 0; overflow: hidden; }
.st-key-explain_controls { gap: .45rem; }
.st-key-what_if_head { border-top: 1px solid rgba(128, 134, 138, .28); padding-top: .4rem; min-height: 3rem; }
.st-key-what_if_cover_row, .st-key-what_if_letter_row { flex-wrap: nowrap; min-height: 2.6rem; }
@media (max-width: 700px) { .st-key-strip { flex-wrap: wrap; } }
</style>"""


def show(run: Run, split: str, finding: str | None, true: str, predicted: str) -> None:
    if split == "test" and stored(run, "test") is None:
        st.markdown("The test set of this run is shut. It is opened on the evaluate page, when all choices are made.")
        link("Go there", "evaluate", run=run.id, split="test")
        return
    found = answers_of(run, split)
    data = dataset(run.config.data)
    about = run.data()
    labels, probs, task, names = found.labels, found.probs, about["task"], about["class_names"]
    k = number(finding, len(names))
    if task == MULTI_LABEL:
        labels, probs = one_finding(labels, probs, k or 0)
        task, names = "binary-class", [f"no {names[k or 0]}", names[k or 0]]
    answers = metrics.predict(probs, task)
    rows = rows_of(run, split, found, data)
    positions = choose(labels, probs, answers, true=number(true, len(names)),
                       predicted=predicted if predicted in ("wrong", "all") else number(predicted, len(names)))
    if not len(positions):
        st.markdown("There is no such image: no mistakes here." if predicted == "wrong" else "There is no such image.")
        st.button("Show all images", type="primary", on_click=show_all)
        return
    warm_up_classifier(run.id)
    chosen = pick_image(data, rows, positions, found.image_ids, answers == labels)
    with st.spinner("Loading the network"):
        loaded = classifier(run.id)
    pictures, controls = st.columns([62, 38], gap="large")
    explained = int(answers[chosen]) if k is None else k
    with controls, st.container(key="explain_controls"):
        place = st.container()
        asked = draw_map_controls(run.id, loaded, explained)
        wanted = draw_controls()
    with pictures:
        now = draw_pictures(run.id, data, int(rows[chosen]), asked, wanted)
        link("See it in full resolution, with its patient", "errors", run=run.id, split=split, true="all", predicted="all",
             image=found.image_ids[chosen])
    with place:
        if labels[chosen] == answers[chosen]:
            st.markdown(f"Right: {escape(names[answers[chosen]])}.")
        else:
            st.markdown(f"Wrong: it is {escape(names[labels[chosen]])}, the answer was {escape(names[answers[chosen]])}, "
                        f"{format_probability(float(probs[chosen, answers[chosen]]))} sure.")
        several = about["task"] == MULTI_LABEL
        show_probabilities(about["class_names"], now.probs, true=None if several else int(labels[chosen]), limit=4,
                           threshold=0.5 if several or len(names) == 2 else None)
        if wanted:
            st.caption("The bars are those of the changed image.")
    for note in loaded.notes:
        st.caption(escape(note))
    draw_faithful(run, data, rows, asked.method, asked.layer, asked.target)
    draw_conflict(run, data)
    st.subheader("What the layer sees", anchor=False)
    if st.toggle("Feature maps and kernels", key="show_activations", persist_state="session"):
        draw_activations(run.id, now, asked, about["class_names"][asked.target])


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
    st.html(STYLE)
    try:
        show(run, split, *([None] * (3 - len(values))), *values)
    except LightboxError as error:
        show_error(error)
    next_step("Next: compare it with other runs", "compare", run=run_id)
