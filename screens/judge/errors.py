"""Errors: what a run gets wrong, where it looked, and what a person thinks of it."""

import numpy as np
import streamlit as st

from core.answers import thresholds_of_classes
from core.datasets import Dataset
from core.errors import LightboxError
from core.judge import thresholds
from core.marks import KINDS
from core.metrics import MULTI_LABEL
from core.runs import Run, RunStore
from ui import mistakes
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
    version,
    warm_up_classifier,
)
from ui.follow import follow
from ui.gallery import gallery
from ui.judging import (
    answers_of,
    cell_chips,
    current_run,
    finding_chip,
    forget_on_change,
    number,
    rows_of,
    split_chip,
    stored,
)
from ui.loaders import dataset, thumbnails
from ui.shell import (
    asked_param,
    choose_param,
    empty,
    escape,
    format_number,
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
.lb-others { max-height: 15rem; overflow-y: auto; }
.lb-others table { width: 100%; border-collapse: collapse; font-size: .86rem; }
.lb-others td { padding: 2px .6rem 2px 0; vertical-align: top; overflow-wrap: anywhere; }
.lb-others td:last-child { text-align: right; white-space: nowrap; padding-right: .2rem; }
.lb-others .right { color: light-dark(#0b6b57, #43bfa4); font-weight: 700; }
.lb-others .wrong { color: light-dark(#a8480a, #ee8a5a); font-weight: 700; }
</style>"""
PAGE = 200             # images on a page of the gallery
VIEWS = {"image": "Image", "gradcam": "Grad-CAM", "side": "Side by side"}
VIEWS_OF_PATIENT = 24  # at most so many images of a patient


def show(run: Run, runs: list[Run], split: str, finding: str | None, true: str, predicted: str, order: str, mark: str) -> None:
    if split == "test" and stored(run, "test") is None:
        st.markdown("The test set of this run is shut. It is opened on the evaluate page, when all choices are made.")
        link("Go there", "evaluate", run=run.id, split="test")
        return
    found = answers_of(run, split)
    data = dataset(run.config.data)
    said = mistakes.answers_for(run, found, finding)
    rows = rows_of(run, split, found, data)
    marks = mistakes.marks_of(run.config.data.dataset)
    positions = mistakes.choose(said.labels, said.probs, said.answers, true=number(true, len(said.names)), order=order,
                                seed=shuffle_seed(order), cut=said.cut, predicted=predicted if predicted in ("wrong", "all")
                                else number(predicted, len(said.names)))
    if mark != "any":
        positions = np.array([i for i in positions if mistakes.has_mark((marks or {}).get(found.image_ids[i]), mark)], np.int64)
    if not len(positions):
        show_nothing(true, predicted, said.names, mark)
        return
    warm_up_classifier(run.id)

    suspects = said.suspects() if order == "suspect" else None
    controls = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(words_about(said, positions), width="content", help=mistakes.ORDERS[order].help)
        mistakes.draw_confused(said.confused(), said.names)
        mistakes.draw_download(run.config.data.dataset, marks)
        page = 1
        if len(positions) > PAGE:                  # a new selection begins at its first page
            selection = "_".join(map(str, (run.id, split, finding, true, predicted, order, mark)))
            page = st.pagination(pages_of(len(positions), PAGE), key=f"page_{selection}")
    if suspects:
        st.caption(mistakes.suspicion(suspects, positions))
    chosen = st.query_params.get("image")
    selected = found.image_ids.index(chosen) if chosen in found.image_ids else None
    grid, drawer = st.columns([58, 42], gap="large") if selected is not None else (st.container(), None)
    with controls:
        view = choose_view()
    positions = positions[(page - 1) * PAGE:page * PAGE]
    captions = [caption(said, i, suspects, (marks or {}).get(found.image_ids[i])) for i in positions]
    edges = ["right" if said.labels[i] == said.answers[i] else "wrong" for i in positions]
    explained = said.answers if said.finding is None else np.full(len(said.answers), said.finding)
    with grid:
        clicked = show_gallery(run, data, rows[positions], captions, edges, view, explained[positions], said.names,
                               said.labels[positions], controls, selected=_place(positions, selected))
    if clicked is not None:
        st.query_params["image"] = str(data.table["image_id"].iloc[rows[positions[clicked]]])
        st.rerun()
    if drawer:
        st.html(STYLE)
        with drawer, st.container(key="drawer"):
            show_drawer(run, runs, split, data, rows, selected, said, found, marks, int(explained[selected]))


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


def words_about(said: mistakes.Answers, positions: np.ndarray) -> str:
    """The line above the gallery."""
    wrong = int((said.answers[positions] != said.labels[positions]).sum())
    words = (f"{wrong:,} mistake{'' if wrong == 1 else 's'} in {len(said.labels):,} images." if wrong == len(positions)
             else f"{len(positions):,} of {len(said.labels):,} images, {wrong:,} of them mistakes.")
    if len(said.names) == 2 and said.cut != 0.5:
        words += f" Answers at the threshold {format_number(said.cut)}, as chosen on validation."
    return words


def caption(said: mistakes.Answers, i: int, suspects, mark) -> str:
    """Label and answer of an image, what is suspected of it, and how a person marked it."""
    label, answer = said.labels[i], said.answers[i]
    words = f"{said.names[answer]}, {format_probability(float(said.probs[i, answer]), 0)}"
    lines = [words if label == answer else f"{said.names[label]} \u2192 {words}"]
    if suspects is not None and suspects.suspected[i]:
        lines.append(f"perhaps {said.names[suspects.likely[i]]}")
    if mark is not None:
        lines.append(f"\u25cf {KINDS.get(mark.kind, 'Note')}")
    return "\n".join(lines)


def show_gallery(run, data, rows, captions, edges, view, targets, names, labels, controls, *, selected) -> int | None:
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
    key = (data.fingerprint, data.size, data.resize, data.channels, rows.tobytes())
    common = {"captions": captions, "marks": edges, "tile": tile, "selected": selected}

    def pictures() -> np.ndarray:
        return data.images[rows]

    if view == "image":
        return gallery(pictures, key="errors", aria_label="Images with the true class and the answer", cache_key=key, **common)
    maps_key = (*key, run.id, version(run.id), layer, tuple(map(int, targets)))
    scale = _scales().get(maps_key)
    if scale is None:                              # drawn before: neither maps nor pictures are needed again
        scale = scale_of(maps_of(run.id, data, rows, targets, layer))
        _scales()[maps_key] = scale
        while len(_scales()) > 200:
            _scales().pop(next(iter(_scales())), None)
    peak, sentence = scale

    def drawn() -> np.ndarray:
        return overlays(pictures(), maps_of(run.id, data, rows, targets, layer), opacity / 100, peak, side=round(1.25 * tile))

    maps_key += (opacity, tile)
    if view == "gradcam":
        clicked = gallery(drawn, key="errors_maps", aria_label="Grad-CAM of the images", cache_key=maps_key, **common)
    else:
        left, right = st.columns(2, gap="small")
        with left:
            first = gallery(pictures, key="errors", aria_label="Images with the true class and the answer", cache_key=key,
                            **common)
        with right:
            clicked = gallery(drawn, key="errors_maps", aria_label="Grad-CAM of the images", cache_key=maps_key, **common)
        clicked = first if first is not None else clicked
    st.caption(sentence)
    for note in loaded.notes:
        st.caption(escape(note))
    return clicked


@st.cache_resource(show_spinner=False)
def _scales() -> dict:
    """What stands for a page of maps -> its scale, and the sentence about it."""
    return {}


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


def show_drawer(run, runs, split: str, data: Dataset, rows, i: int, said: mistakes.Answers, found, marks, explained: int) -> None:
    """Image `i` of the split in full resolution: the answer, where the network looked, and what else is known."""
    row, label, answer = int(rows[i]), said.labels[i], said.answers[i]
    facts = data.table.iloc[row]
    image_id = str(facts["image_id"])
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(escape(image_id), anchor=False, width="stretch")
        if st.button("Close", icon=":material/close:", type="tertiary"):
            st.query_params.pop("image", None)
            st.rerun()
    sure = format_probability(float(said.probs[i, answer]))
    if label == answer:
        st.markdown(f"Right: {escape(said.names[answer])}, {sure} sure.")
    else:
        st.markdown(f"Wrong: it is {escape(said.names[label])}, the answer was {escape(said.names[answer])}, {sure} sure.")
    class_names = run.data()["class_names"]
    pixels, mask = original_of(data, row)
    place = st.container()
    loaded = load(run)
    left, right = st.columns(2)
    with left:
        target = st.selectbox("Class to explain", range(len(class_names)), index=explained,
                              format_func=class_names.__getitem__, key=f"target_{run.id}_{row}")
    with right:
        layer = choose_layer(loaded, "drawer_layer")
    token = f"{data.fingerprint} {row}"
    cam = map_of(run.id, pixels, token, target, layer)
    with place:
        show_map(pixels, on_original(cam, *pixels.shape[:2], loaded.model.preprocessing.resize), key="large", outline=mask,
                 token=f"{token} {run.id} {loaded.epoch} {target} {layer}", height=330,
                 label=f"Image {image_id}, with the map of what speaks for {class_names[target]}")
    if loaded.epoch != found.epoch:
        st.caption(f"The answers are of epoch {found.epoch}, the map of epoch {loaded.epoch}.")
    if marks is not None:
        mistakes.draw_mark(run.config.data.dataset, image_id, marks.get(image_id))
    several = run.data()["task"] == MULTI_LABEL
    show_probabilities(class_names, found.probs[i], true=None if several else int(label), limit=5,
                       thresholds=thresholds_of_classes(thresholds.of(run), run.data()["task"], len(class_names)))
    show_patient(data, row, rows, said)
    mistakes.draw_nearest(run, data, row, class_names)
    mistakes.draw_others(mistakes.other_answers(run, runs, split, image_id, said.finding))
    st.markdown("**What is known of it**")
    known = [("Size", f"{pixels.shape[1]} x {pixels.shape[0]} px, {'gray' if pixels.shape[2] == 1 else 'colour'}")]
    known += [(name.replace("_", " ").capitalize(), value) for name, value in facts.items() if str(value) != "nan"]
    st.html(facts_html(known))


def show_patient(data: Dataset, row: int, rows: np.ndarray, said: mistakes.Answers) -> None:
    """All images of the same patient, this one first, with the answers that the run gave; nothing where there is no other."""
    views = mistakes.patient_views(data, row, VIEWS_OF_PATIENT)
    if not len(views):
        return
    table, place = data.table.iloc[views], {int(r): i for i, r in enumerate(rows)}
    patient, captions, edges = str(table["patient"].iat[0]), [], []
    for view, study, name, split in zip(views, table["study"], table["view"], table["split"]):
        i = place.get(int(view))
        what = f"{study} {name}".strip()
        captions.append(f"{what}\n{said.names[said.answers[i]]}".strip() if i is not None else f"{what}\n{split}".strip())
        edges.append(None if i is None else "right" if said.answers[i] == said.labels[i] else "wrong")
    st.markdown(f"**All {len(views)} images of patient {escape(patient)}**")
    images, key = thumbnails(data, views)
    clicked = gallery(images, key="patient", aria_label=f"Images of patient {patient}", cache_key=key, tile=92, captions=captions,
                      marks=edges, selected=0)
    if clicked is not None and edges[clicked]:
        st.query_params["image"] = str(table["image_id"].iat[clicked])
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
    chips = [*finding_chip(run), *cell_chips(run), mistakes.order_chip(), mistakes.mark_chip()]
    run_id, split, *values = page_header("Errors", run_chip(runs), split_chip(), *chips)
    try:
        show(run, runs, split, *([None] * (5 - len(values))), *values)
    except LightboxError as error:
        show_error(error)
    next_step("Next: see where the network looks", "gradcam", run=run_id, split=split)
