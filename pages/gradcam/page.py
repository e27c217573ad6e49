"""Grad-CAM: one image, the evidence for a class at any layer, whether such a map can be trusted, and what
if the image were another."""

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from core.errors import LightboxError
from core.evaluation import thresholds
from core.metrics.confusion import thresholds_of_classes
from pages.gradcam.activations import draw_activations
from pages.gradcam.one_map import Explanation, MapRequest, draw_map_controls, draw_pictures, make_maps
from pages.gradcam.sanity_checks import draw_sanity_checks
from pages.gradcam.shortcut_test import draw_shortcut_test
from pages.gradcam.what_if import draw_controls
from pages.shared import error_order
from pages.shared.charts import show_probabilities
from pages.shared.damaged import draw_damaged_runs
from pages.shared.heatmaps import classifier, warm_up_classifier
from pages.shared.layout import escape, format_number, link, next_step, set_param, show_error
from pages.shared.members import choose_network, draw_members
from pages.shared.picking import pick_image
from pages.shared.selection import Selection, draw_selection, open_split


def show(chosen: Selection) -> list[Callable[[], None]]:
    """The page. Returns what takes long, for its end: by then everything else stands there and can be
    used."""
    split = open_split(chosen)
    if split is None:
        return []
    run, preds, data, view, rows = chosen.run, split.preds, split.data, split.view, split.rows
    cell = chosen.cell(len(view.names))
    positions = error_order.select_images(view, **cell)
    if not len(positions) and cell["predicted"] == "wrong":
        positions = error_order.select_images(view, true=cell["true"], predicted="all", order="unsure")
        if len(positions):
            st.caption("No errors here: each of these images is predicted correctly. The least confident prediction comes first.")
    if not len(positions):
        st.markdown("There is no such image.")
        st.button("Show all images", type="primary", on_click=show_all)
        return []
    warm_up_classifier(run.id)
    image = pick_image(data, rows, positions, preds.image_ids, view.correct)
    with st.spinner("Loading the network"):
        loaded = classifier(run.id)
    names, threshold = loaded.model.class_names, thresholds.of(run)
    multi_label = view.finding is not None
    explained = view.finding if multi_label else int(view.predicted[image])
    pictures, controls = st.columns([62, 38], gap="large")
    with controls, st.container(key="explain_controls"):
        place = st.container()
        address = choose_network(run)
        request = draw_map_controls(address, classifier(address), explained)
        changes = draw_controls()
    with pictures:
        explanation = draw_pictures(address, data, int(rows[image]), request, changes, threshold)
        maps_to_come = st.container()
        link("Full resolution and all images of the patient", "errors", run=run.id, split=chosen.split, true="all",
             predicted="all",
             image=preds.image_ids[image])
    with place:
        st.markdown(error_order.description(view, image))
        show_probabilities(names, explanation.probs, true=None if multi_label else int(view.labels[image]),
                           limit=4,
                           always=[request.target, explained],
                           thresholds=thresholds_of_classes(threshold, run.data()["task"], len(names)))
        if len(view.names) == 2 and view.threshold != 0.5:
            cut = view.threshold if view.positive else 1 - view.threshold
            st.caption(f"Predicted {escape(view.names[view.positive])} above {format_number(cut)}, the "
                       "threshold chosen on validation.")
        if changes:
            st.caption("The bars are those of the changed image.")
    for note in loaded.notes:
        st.caption(escape(note))
    if not request.layer:
        later = [draw_shortcut_test(run, data)]
        st.caption("Layers, sanity checks and activations are of one network: choose a member.")
        draw_members(run, explanation.pixels, explanation.token, request.target, "gradcam_members")
    else:
        later = [draw_sanity_checks(run, data, rows, request, address), draw_shortcut_test(run, data)]
        show_activations(address, explanation, request, names)

    def make_missing() -> None:
        with maps_to_come:
            make_maps(address, request, explanation)
    return [work for work in (make_missing if explanation.missing else None, *later) if work]


def show_activations(address: str, explanation: Explanation, request: MapRequest, names: Sequence[str]) -> None:
    """The feature maps of the chosen layer, where they are asked for."""
    st.header("Activations", anchor=False,
              help="The feature maps that the chosen layer computes from this image, and the kernels that "
                   "compute them.")
    if st.toggle("Feature maps and kernels", key="show_activations", persist_state="session"):
        draw_activations(address, explanation, request, names[request.target])


def show_all() -> None:
    set_param("true", "all")
    set_param("predicted", "all")


if chosen := draw_selection("Grad-CAM", "Train a small network, and its predictions are explained here.",
                            forget=("target", "against", "layer", "image", "member")):
    st.html(Path(__file__).with_suffix(".css"))
    page, later = st.container(), []
    try:
        with page:
            later = show(chosen)
    except LightboxError as error:
        show_error(error)
    draw_damaged_runs()
    next_step("Next: compare it with other runs", "compare", run=chosen.run.id)
    for work in later:
        try:
            work()
        except LightboxError as error:
            with page:
                show_error(error)
