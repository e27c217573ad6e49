"""Errors: what a run gets wrong, where it looked, and what a person thinks of it."""

import numpy as np
import streamlit as st

from core.errors import LightboxError
from core.runs.store import Run, RunStore
from pages.errors import marks as marking
from pages.errors.drawer import choose_layer, draw_drawer
from pages.errors.map_gallery import Explained, Tiles, draw_images, draw_maps, draw_side_by_side
from pages.shared import error_order
from pages.shared.heatmaps import classifier, warm_up_classifier
from pages.shared.layout import asked_among, choose_param, empty, escape, next_step, page_header, run_chip, set_param, show_error
from pages.shared.open_data import dataset
from pages.shared.picking import asked_image
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
from pages.shared.widget_state import follow

PAGE = 200             # images on a page of the gallery
VIEWS = {"image": "Image", "gradcam": "Grad-CAM", "side": "Side by side"}


def show(run: Run, runs: list[Run], split: str, finding: str | None, true: str, predicted: str, order: str, mark: str) -> None:
    if is_shut(run, split):
        return
    found = answers_of(run, split)
    data = dataset(run.config.data)
    said = error_order.answers_for(run, found, finding)
    rows = rows_of(run, split, found, data)
    marks = marking.marks_of(run.config.data.dataset)
    positions = error_order.choose(said.labels, said.probs, said.answers, true=number(true, len(said.names)), order=order,
                                seed=shuffle_seed(order), cut=said.cut, predicted=predicted if predicted in ("wrong", "all")
                                else number(predicted, len(said.names)))
    if mark != "any":
        positions = np.array([i for i in positions if marking.has_mark((marks or {}).get(found.image_ids[i]), mark)], np.int64)
    chosen = asked_image(found.image_ids)
    if not len(positions):
        show_nothing(true, predicted, said.names, mark)
        return
    warm_up_classifier(run.id)

    suspects = said.suspects() if order == "suspect" else None
    controls = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(error_order.words_about(said, positions), width="content", help=error_order.ORDERS[order].help)
        error_order.draw_confused(said.confused(), said.names)
        marking.draw_download(run.config.data.dataset, marks)
        page = 1
        if len(positions) > PAGE:                  # a new selection begins at its first page
            selection = "_".join(map(str, (run.id, split, finding, true, predicted, order, mark)))
            page = st.pagination(-(-len(positions) // PAGE), key=f"page_{selection}")
    if suspects:
        st.caption(error_order.suspicion(suspects, positions))
    grid, drawer = st.columns([58, 42], gap="large") if chosen is not None else (st.container(), None)
    explained = said.answers if said.finding is None else np.full(len(said.answers), said.finding)
    positions = positions[(page - 1) * PAGE:page * PAGE]
    captions = [caption(said, i, suspects, (marks or {}).get(found.image_ids[i])) for i in positions]
    edges = ["right" if said.labels[i] == said.answers[i] else "wrong" for i in positions]
    place = np.flatnonzero(positions == chosen)
    with controls:
        view = choose_view()
        asked = None if view == "image" else ask_for_maps(run, said, positions, explained)
        tile = st.slider("Tile", 64, 256, 128, 16, format="%d px", key="tile", persist_state="session", width=140)
    tiles = Tiles(data, rows[positions], captions, edges, tile, int(place[0]) if len(place) else None)
    with grid:
        clicked = (draw_images(tiles) if view == "image" else draw_maps(tiles, asked) if view == "gradcam"
                   else draw_side_by_side(tiles, asked))
        for note in classifier(run.id).notes if asked else ():
            st.caption(escape(note))
    if clicked is not None:
        st.query_params["image"] = found.image_ids[positions[clicked]]
        st.rerun()
    if drawer:
        with drawer, st.container(key="drawer"):
            draw_drawer(run, runs, split, data, rows, chosen, said, found, marks, int(explained[chosen]))


def shuffle_seed(order: str) -> int:
    """Which random order; it stands in the address, so that a link shows the same one."""
    seed = number(st.query_params.get("seed"), 10_000) or 0
    if order == "random" and st.button("Shuffle again", icon=":material/shuffle:"):
        seed += 1
        st.query_params["seed"] = str(seed)
    return seed


def show_nothing(true: str, predicted: str, names: tuple[str, ...], mark: str) -> None:
    """The chosen cell is empty: good news where it is a cell of mistakes."""
    if mark != "any":
        st.markdown("No image here has this mark. Images are marked in the drawer that a click on one opens.")
        if st.button("Show all images, marked or not", type="primary"):
            set_param("mark", "any")
            set_param("predicted", "all")
            set_param("true", "all")
            st.rerun()
        return
    t, p = number(true, len(names)), number(predicted, len(names))
    if p is None:
        said = "No mistakes here"
        said += "." if t is None else f": every {escape(names[t])} was answered {escape(names[t])}."
    else:
        said = f"No image{'' if t is None else f' of {escape(names[t])}'} was answered {escape(names[p])}."
    st.markdown(said)
    if st.button("Show the right answers" if p is None else "Show all answers", type="primary"):
        set_param("predicted", "all")
        if p is not None:
            set_param("true", "all")
        st.rerun()


def caption(said: error_order.Answers, i: int, suspects, mark) -> str:
    """Label and answer of an image, what is suspected of it, and how a person marked it."""
    lines = [error_order.caption(said, i)]
    if suspects is not None and suspects.suspected[i]:
        lines.append(f"perhaps {said.names[suspects.likely[i]]}")
    if mark is not None:
        lines.append(f"\u25cf {marking.KINDS.get(mark.kind, 'Note')}")
    return "\n".join(lines)


def ask_for_maps(run: Run, said: error_order.Answers, positions: np.ndarray, explained: np.ndarray) -> Explained:
    """Opacity, layer and, where an image has one class, which class the maps explain."""
    with st.spinner("Loading the network"):
        loaded = classifier(run.id)
    opacity = st.slider("Opacity of the map", 0, 100, 60, 5, format="%d %%", key="opacity", persist_state="session", width=180)
    layer, targets = choose_layer(loaded, "layer", width=240), explained[positions]
    if said.finding is None:
        titles = {"answer": "the answer", "true": "the true class"} | dict(enumerate(said.names))
        explain = st.selectbox("Explains", list(titles), key="explain", width=190, format_func=titles.get)
        targets = (targets if explain == "answer" else said.labels[positions] if explain == "true"
                   else np.full(len(positions), explain))
    return Explained(run.id, layer, tuple(map(int, targets)), opacity / 100)


def choose_view() -> str:
    """How the images are shown; it stands in the address, so that a link shows the maps at once."""
    return st.segmented_control("View", list(VIEWS), format_func=VIEWS.get, required=True,
                                **follow("view", asked_among("view", "View", VIEWS) or "image", choose_param, "view"))


runs = RunStore().list()
if not runs:
    page_header("Errors")
    empty("There is no run yet. Train a small network; then its mistakes are shown here.", "Train a network", "train")
else:
    run = current_run(runs)
    forget_on_change(run, "true", "predicted", "finding")
    chips = [*finding_chip(run), *cell_chips(run), error_order.order_chip(), marking.mark_chip()]
    run_id, split, *values = page_header("Errors", run_chip(runs), split_chip(), *chips)
    try:
        show(run, runs, split, *([None] * (5 - len(values))), *values)
    except LightboxError as error:
        show_error(error)
    next_step("Next: see where the network looks", "gradcam", run=run_id, split=split)
