"""Errors: what a run gets wrong, and where it looked."""

import numpy as np
import streamlit as st

from core import metrics
from core.datasets import Dataset
from core.errors import LightboxError
from core.metrics import MULTI_LABEL
from core.runs import Run, RunStore
from ui.browsing import facts_html
from ui.charts import show_probabilities
from ui.explaining import (
    LAYER_HELP,
    classifier,
    map_of,
    maps_of,
    on_original,
    original_of,
    overlays,
    pages_of,
    scale_of,
    show_map,
    stage_names,
    warm_up_classifier,
)
from ui.follow import follow
from ui.gallery import gallery
from ui.judging import (
    ORDERS,
    answers_of,
    cell_chips,
    choose,
    current_run,
    finding_chip,
    forget_on_change,
    number,
    one_finding,
    rows_of,
    split_chip,
    stored,
)
from ui.loaders import dataset, thumbnails
from ui.shell import (
    Chip,
    asked_param,
    choose_param,
    empty,
    escape,
    format_probability,
    link,
    next_step,
    page_header,
    run_chip,
    set_param,
    show_error,
)

STYLE = """<style>
/* The drawer stays in sight while the gallery beside it is scrolled. */
[data-testid="stColumn"]:has(.st-key-drawer) {
  position: sticky; top: 3.75rem; align-self: flex-start; max-height: calc(100vh - 4.5rem); overflow-y: auto;
}
/* On a telephone, where columns stand below each other, it comes first: below the gallery nobody would see it open. */
@media (max-width: 640px) {
  [data-testid="stColumn"]:has(.st-key-drawer) { position: static; max-height: none; order: -1; }
}
</style>"""
PAGE = 60              # images on a page of the gallery: Grad-CAM of so many takes a second or two
VIEWS = {"image": "Image", "gradcam": "Grad-CAM", "side": "Side by side"}
OTHERS = 24            # at most so many other images of a patient


def show(run: Run, split: str, finding: str | None, true: str, predicted: str, order: str) -> None:
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
    positions = choose(labels, probs, answers, true=number(true, len(names)), order=order, seed=shuffle_seed(order),
                       predicted=predicted if predicted in ("wrong", "all") else number(predicted, len(names)))
    if not len(positions):
        show_nothing(true, predicted, names)
        return
    warm_up_classifier(run.id)

    controls = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    wrong = int((answers[positions] != labels[positions]).sum())
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{len(positions):,} of {len(labels):,} images, {wrong:,} of them mistakes.", width="content")
        page = 1
        if len(positions) > PAGE:                  # a new selection begins at its first page
            selection = "_".join(map(str, (run.id, split, finding, true, predicted, order)))
            page = st.pagination(pages_of(len(positions), PAGE), key=f"page_{selection}")
    chosen = st.query_params.get("image")
    selected = found.image_ids.index(chosen) if chosen in found.image_ids else None
    grid, drawer = st.columns([62, 38], gap="large") if selected is not None else (st.container(), None)
    with controls:
        view = choose_view()
    positions = positions[(page - 1) * PAGE:page * PAGE]
    captions = [caption(names, labels[i], answers[i], probs[i]) for i in positions]
    marks = ["right" if labels[i] == answers[i] else "wrong" for i in positions]
    explained = answers if k is None else np.full(len(answers), k)
    with grid:
        clicked = show_gallery(run, data, rows[positions], captions, marks, view, explained[positions], names, labels[positions],
                               controls, selected=_place(positions, selected))
    if clicked is not None:
        st.query_params["image"] = str(data.table["image_id"].iloc[rows[positions[clicked]]])
        st.rerun()
    if drawer:
        st.html(STYLE)
        with drawer, st.container(key="drawer"):
            show_drawer(run, data, int(rows[selected]), labels[selected], answers[selected], probs[selected], names,
                        found.probs[selected], explained[selected], found.epoch)


def shuffle_seed(order: str) -> int:
    """Which random order; it stands in the address, so that a link shows the same one."""
    seed = number(st.query_params.get("seed"), 10_000) or 0
    if order == "random" and st.button("Shuffle again", icon=":material/shuffle:"):
        seed += 1
        st.query_params["seed"] = str(seed)
    return seed


def show_nothing(true: str, predicted: str, names: list[str]) -> None:
    """The chosen cell is empty: good news where it is a cell of mistakes."""
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


def caption(names: list[str], label: int, answer: int, probs: np.ndarray) -> str:
    said = f"{names[answer]}, {format_probability(float(probs[answer]), 0)}"
    return said if label == answer else f"{names[label]} \u2192 {said}"


def show_gallery(run, data, rows, captions, marks, view, targets, names, labels, controls, *, selected) -> int | None:
    """The images, or their maps, or both beside each other. Returns the place that was clicked."""
    with controls:
        opacity = layer = None
        if view != "image":
            loaded = load(run)
            opacity = st.slider("Opacity of the map", 0, 100, 60, 5, format="%d %%", key="opacity", persist_state="session",
                                width=180)
            layer = choose_layer(loaded, "layer", width=240)
            explain = st.selectbox("Explains", ["answer", "true", *range(len(names))], key="explain", width=190,
                                   format_func=lambda v: {"answer": "the answer", "true": "the true class"}.get(v)
                                   or names[v]) if len(names) == len(loaded.model.class_names) else "answer"
            targets = targets if explain == "answer" else labels if explain == "true" else np.full(len(rows), explain)
        tile = st.slider("Tile", 64, 256, 128, 16, format="%d px", key="tile", persist_state="session", width=140)
    images, key = thumbnails(data, rows)
    common = {"captions": captions, "marks": marks, "tile": tile, "selected": selected}
    if view == "image":
        return gallery(images, key="errors", aria_label="Images with the true class and the answer", cache_key=key, **common)
    maps = maps_of(run.id, data, rows, targets, layer)
    peak, sentence = scale_of(maps)
    map_key = (key, run.id, loaded.epoch, layer, tuple(map(int, targets)))
    drawn = overlays(images, maps, opacity / 100, peak, side=round(1.25 * tile))
    map_key += (opacity, tile)
    if view == "gradcam":
        clicked = gallery(drawn, key="errors_maps", aria_label="Grad-CAM of the images", cache_key=map_key, **common)
    else:
        left, right = st.columns(2, gap="small")
        with left:
            first = gallery(images, key="errors", aria_label="Images with the true class and the answer", cache_key=key, **common)
        with right:
            clicked = gallery(drawn, key="errors_maps", aria_label="Grad-CAM of the images", cache_key=map_key, **common)
        clicked = first if first is not None else clicked
    st.caption(sentence)
    for note in loaded.notes:
        st.caption(escape(note))
    return clicked


def choose_view() -> str:
    """How the images are shown; it stands in the address, so that a link shows the maps at once."""
    asked = asked_param("view")
    return st.segmented_control("View", list(VIEWS), format_func=VIEWS.get, required=True,
                                **follow("view", asked if asked in VIEWS else "image", choose_param, "view"))


def load(run: Run):
    with st.spinner("Loading the network"):
        return classifier(run.id)


def choose_layer(loaded, key: str, width: int | str = "stretch") -> str:
    names = stage_names(loaded.model.stages)
    return st.selectbox("Layer", list(names), index=len(names) - 1, format_func=names.get, key=key, width=width,
                        help=LAYER_HELP)


def show_drawer(run, data: Dataset, row: int, label, answer, probs, names, all_probs, explained: int, epoch: int) -> None:
    """One image in full resolution: the answer, where the network looked, and what else is known."""
    facts = data.table.iloc[row]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(escape(facts["image_id"]), anchor=False, width="stretch")
        if st.button("Close", icon=":material/close:", type="tertiary"):
            st.query_params.pop("image", None)
            st.rerun()
    if label == answer:
        st.markdown(f"Right: {escape(names[answer])}, {format_probability(float(probs[answer]))} sure.")
    else:
        st.markdown(f"Wrong: it is {escape(names[label])}, the answer was {escape(names[answer])}, "
                    f"{format_probability(float(probs[answer]))} sure.")
    class_names = run.data()["class_names"]
    several = run.data()["task"] == MULTI_LABEL
    show_probabilities(class_names, all_probs, true=None if several else int(label), limit=5,
                       threshold=0.5 if several or len(names) == 2 else None)
    pixels, mask = original_of(data, row)
    place = st.container()
    loaded = load(run)
    left, right = st.columns(2)
    with left:
        target = st.selectbox("Class to explain", range(len(class_names)), index=int(explained),
                              format_func=class_names.__getitem__, key=f"target_{run.id}_{row}")
    with right:
        layer = choose_layer(loaded, "drawer_layer")
    token = f"{data.fingerprint} {row}"
    cam = map_of(run.id, pixels, token, target, layer)
    with place:
        show_map(pixels, on_original(cam, *pixels.shape[:2], loaded.model.preprocessing.resize), key="large", outline=mask,
                 token=f"{token} {run.id} {loaded.epoch} {target} {layer}", height=400,
                 label=f"Image {facts['image_id']}, with the map of what speaks for {class_names[target]}")
    link("Explain this image, and change it", "gradcam", run=run.id, split=facts["split"], image=facts["image_id"])
    if loaded.epoch != epoch:
        st.caption(f"The answers are of epoch {epoch}, the map of epoch {loaded.epoch}.")
    known = [(name.replace("_", " ").capitalize(), value) for name, value in facts.items() if str(value) != "nan"]
    st.caption(f"{pixels.shape[1]} x {pixels.shape[0]} px, {'gray' if pixels.shape[2] == 1 else 'colour'}")
    st.html(facts_html(known))
    show_patient(data, row)


def show_patient(data: Dataset, row: int) -> None:
    """Other images of the same patient, where the set knows its patients."""
    patient = data.table["patient"].iloc[row]
    others = np.flatnonzero(data.table["patient"].to_numpy() == patient) if patient else np.array([], int)
    others = others[others != row][:OTHERS]
    if not len(others):
        return
    st.markdown(f"Other images of patient {escape(patient)}")
    images, key = thumbnails(data, others)
    table = data.table.iloc[others]
    clicked = gallery(images, key="patient", aria_label=f"Other images of patient {patient}", cache_key=key, tile=84,
                      captions=[f"{study} {view}".strip() for study, view in zip(table["study"], table["view"])])
    if clicked is not None and table["split"].iloc[clicked] == data.table["split"].iloc[row]:
        st.query_params["image"] = str(table["image_id"].iloc[clicked])
        st.rerun()


def _place(positions: np.ndarray, selected: int | None) -> int | None:
    found = np.flatnonzero(positions == selected) if selected is not None else []
    return int(found[0]) if len(found) else None


runs = RunStore().list()
if not runs:
    page_header("Errors")
    empty("There is no run yet. Train a small network; then its mistakes are shown here.", "Train a network", "train")
else:
    run = current_run(runs)
    forget_on_change(run, "true", "predicted", "finding")
    chips = [*finding_chip(run), *cell_chips(run), Chip("order", "Order", ORDERS, width=250)]
    run_id, split, *values = page_header("Errors", run_chip(runs), split_chip(), *chips)
    try:
        show(run, split, *([None] * (4 - len(values))), *values)
    except LightboxError as error:
        show_error(error)
    next_step("Next: why it said so", "gradcam", run=run_id, split=split)
