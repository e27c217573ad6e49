"""Errors: what a run gets wrong, where it looked, and how people mark the images."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.errors import LightboxError
from core.metrics.confident_learning import Suspects
from core.runs.marks import Mark
from core.runs.store import Run
from pages.errors import marks as marking
from pages.errors.details import draw_details
from pages.errors.map_gallery import MapSettings, Tiles, draw_images, draw_maps, draw_side_by_side
from pages.errors.map_places import PLACES, letters_known, shares_on
from pages.shared import error_order
from pages.shared.damaged import draw_damaged_runs
from pages.shared.error_order import SplitView
from pages.shared.heatmaps import choose_layer, classifier, warm_up_classifier
from pages.shared.layout import asked_among, choose_param, escape, format_percent, next_step, set_param, show_error
from pages.shared.picking import requested_image
from pages.shared.predictions import class_index
from pages.shared.selection import Selection, draw_selection, open_split
from pages.shared.widget_state import follow

PAGE = 200             # images on a page of the gallery
VIEWS = {"image": ("Image", draw_images), "gradcam": ("Grad-CAM", draw_maps),
         "side": ("Side by side", draw_side_by_side)}


def show(chosen: Selection) -> None:
    split = open_split(chosen)
    if split is None:
        return
    run, preds, data, view, rows = chosen.run, split.preds, split.data, split.view, split.rows
    order, mark = chosen.more
    marks = marking.marks_of(run.config.data.dataset)
    marks_by_image = marks or {}
    positions = error_order.select_images(view, **chosen.cell(len(view.names)), order=order, seed=shuffle_seed(order))
    if mark != "any":
        positions = np.array([i for i in positions
                              if marking.has_mark(marks_by_image.get(preds.image_ids[i]), mark)],
                             np.int64)
    opened = requested_image(preds.image_ids)
    explained = view.predicted if view.finding is None else np.full(len(view.predicted), view.finding)
    if not len(positions):
        show_nothing(chosen, view.names)
        return
    warm_up_classifier(run.id)
    positions, shares = by_place(run, data, rows, positions, explained, error_order.ORDERS[order].place)

    suspects = view.suspects() if order == "suspect" else None
    controls = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(error_order.selection_summary(view, positions), width="content",
                   help=error_order.ORDERS[order].help)
        error_order.draw_confused_pairs(view)
        marking.draw_download(run.config.data.dataset, marks)
        page = choose_page(len(positions), key=f"page_{chosen.key}")
    if suspects:
        st.caption(error_order.suspicion(suspects, positions))
    positions = positions[(page - 1) * PAGE:page * PAGE]
    with controls:
        mode = choose_view()
        maps = None if mode == "image" else choose_map_settings(run, view, positions, explained)
        tile = st.slider("Tile size", 64, 256, 128, 16, format="%d px", key="tile", persist_state="session",
                         width=140)
    place = np.flatnonzero(positions == opened)
    tiles = Tiles(data, rows[positions], tile=tile, selected=int(place[0]) if len(place) else None,
                  captions=[caption(view, i, suspects, marks_by_image.get(preds.image_ids[i]), shares.get(i, ""))
                            for i in positions],
                  marks=["right" if view.correct[i] else "wrong" for i in positions])
    grid, details = st.columns([58, 42], gap="large") if opened is not None else (st.container(), None)
    with grid, st.container(key="beside_details" if details else None):
        clicked = VIEWS[mode][1](tiles, maps)
        for note in classifier(run.id).notes if maps else ():
            st.caption(escape(note))
    if clicked is not None:
        st.query_params["image"] = preds.image_ids[positions[clicked]]
        st.rerun()
    if details:
        with details, st.container(key="details"):
            draw_details(run, chosen.runs, chosen.split, data, rows, opened, view, preds, marks, int(explained[opened]))


def by_place(run: Run, data: Dataset, rows: np.ndarray, positions: np.ndarray, explained: np.ndarray,
             place: str) -> tuple[np.ndarray, dict[int, str]]:
    """Positions by how much of their maps lies in a place of the image, the most first, and that share in words."""
    if not place or place == "letters" and not letters_known(data):
        if place:
            st.caption("Where letters lie is not known of these images: this is the order of the most confident errors.")
        return positions, {}
    shares = shares_on(place, run, data, rows[positions], explained[positions])
    ranked = np.argsort(-np.nan_to_num(shares, nan=-1), kind="stable")
    return positions[ranked], {int(i): f"{format_percent(share, 0)} {PLACES[place]}"
                               for i, share in zip(positions, shares) if np.isfinite(share)}


def choose_page(n: int, key: str) -> int:
    """Which page of the gallery, from 1. Another selection is another key, and begins at its first page."""
    return st.pagination(-(-n // PAGE), key=key) if n > PAGE else 1


def shuffle_seed(order: str) -> int:
    """Which random order; it stands in the address, so that a link shows the same one."""
    seed = class_index(st.query_params.get("seed"), 10_000) or 0
    if order == "random" and st.button("Shuffle again", icon=":material/shuffle:"):
        seed += 1
        st.query_params["seed"] = str(seed)
    return seed


def show_nothing(chosen: Selection, names: tuple[str, ...]) -> None:
    """The selection is empty: good news where it is a cell of errors."""
    true, predicted = class_index(chosen.true, len(names)), class_index(chosen.predicted, len(names))
    if chosen.more[1] != "any":
        sentence, label, cleared = ("No image here has this mark. To mark an image, click on it.",
                                    "Show all images, marked or not", ("mark", "true", "predicted"))
    elif predicted is not None:
        of = "" if true is None else f" of class {escape(names[true])}"
        sentence, label, cleared = (f"No image{of} was predicted {escape(names[predicted])}.",
                                    "Show all predictions",
                                    ("true", "predicted"))
    else:
        of = "" if true is None else f": every {escape(names[true])} was predicted {escape(names[true])}"
        sentence, label, cleared = f"No errors here{of}.", "Show the correct predictions", ("predicted",)
    st.markdown(sentence)
    if st.button(label, type="primary"):
        for name in cleared:
            set_param(name, "any" if name == "mark" else "all")
        st.rerun()


def caption(view: SplitView, i: int, suspects: Suspects | None, mark: Mark | None, share: str = "") -> str:
    """Label and prediction of an image, what its label may be instead, where its map lies, and how a person marked it."""
    lines = [error_order.caption(view, i), *([share] if share else [])]
    if suspects is not None and suspects.suspected[i]:
        lines.append(f"perhaps {view.names[suspects.likely[i]]}")
    if mark is not None:
        lines.append(f"\u25cf {marking.KINDS.get(mark.kind, 'Note')}")
    return "\n".join(lines)


def choose_map_settings(run: Run, view: SplitView, positions: np.ndarray,
                        explained: np.ndarray) -> MapSettings:
    """Opacity, layer and, where an image has one class, which class the maps explain."""
    with st.spinner("Loading the network"):
        loaded = classifier(run.id)
    opacity = st.slider("Opacity of the map", 0, 100, 60, 5, format="%d %%", key="opacity",
                        persist_state="session", width=180)
    layer, targets = choose_layer(loaded, "layer", width=240), explained[positions]
    if view.finding is None:
        titles: Mapping = {"predicted": "predicted class", "true": "true class"} | dict(enumerate(view.names))
        explain = st.selectbox("Class to explain", list(titles), key="explain", width=190,
                               format_func=titles.get)
        if explain == "true":
            targets = view.labels[positions]
        elif explain != "predicted":
            targets = np.full(len(positions), explain)
    return MapSettings(run.id, layer, tuple(map(int, targets)), opacity / 100)


def choose_view() -> str:
    """How the images are shown; it stands in the address, so that a link shows the maps at once."""
    return st.segmented_control("View", list(VIEWS), format_func=lambda name: VIEWS[name][0], required=True,
                                **follow("view", asked_among("view", "View", VIEWS) or "image", choose_param,
                                         "view"))


if chosen := draw_selection("Errors", "Train a small network, and its errors appear here.",
                            error_order.order_chip(), marking.mark_chip()):
    try:
        show(chosen)
    except LightboxError as error:
        show_error(error)
    draw_damaged_runs()
    next_step("Next: see where the network looks", "gradcam", run=chosen.run.id, split=chosen.split)
