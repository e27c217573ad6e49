"""How the members disagree: a measure of each pair, on how many images how many are right, and the images of a pair."""

from __future__ import annotations

import html

import pandas as pd
import streamlit as st

from core.errors import LightboxError
from core.evaluation.member_agreement import KINDS, images_of_pair
from core.evaluation.member_predictions import MemberPredictions
from core.metrics import MULTI_LABEL
from core.metrics.agreement import MEASURES, Agreement
from core.runs.store import Run
from pages.ensemble import cached
from pages.ensemble.cached import Choice
from pages.ensemble.choice import LETTERS
from pages.ensemble.pair_matrix import pair_matrix
from pages.shared.gallery import gallery
from pages.shared.layout import choose_param, format_number, format_probability, get_param, go, set_param, show_error
from pages.shared.open_data import open_set, thumbnails
from pages.shared.widget_state import follow

PAGE = 48              # images of the gallery
OPENS = {"errors": "Errors", "gradcam": "Grad-CAM"}
ALIKE = {"kappa": (0, 1), "q": (0, 1), "disagreement": (1, 0), "double_fault": (0, 1)}      # what colours a cell least and most


def draw_disagreement(choice: Choice, said: MemberPredictions, runs: list[Run]) -> None:
    """Draw the matrix of a measure, the counts and, once a cell was clicked, its images.

    Args:
        runs: one of each column, which a click on an image opens
    """
    st.header("How the members disagree", anchor=False, help="Members that make the same mistakes gain nothing from each other.")
    if len(said.names) < 2:
        st.markdown("One member has nobody to disagree with.")
        return
    found = cached.agreement(choice, said)
    left, right = st.columns([58, 42], gap="large")
    with left:
        measure = _choose_measure()
        pair = _draw_matrix(found, said, measure)
    with right:
        _draw_counts(found, said)
    if pair:
        draw_images(said, runs, *pair)
    else:
        st.caption("Click on a cell to see the images of two members.")


def _choose_measure() -> str:
    measure = get_param("measure") if get_param("measure") in MEASURES else "kappa"
    st.segmented_control("Measure", list(MEASURES), format_func=lambda name: MEASURES[name][0], label_visibility="collapsed",
                         **follow("ensemble_measure", measure, _take, "measure"))
    st.caption(MEASURES[measure][1])
    return measure


def _take(name: str, value: str | None) -> None:
    if value:
        choose_param(name, value)
        set_param(name, value)


def _draw_matrix(found: Agreement, said: MemberPredictions, measure: str) -> tuple[int, int] | None:
    """Draw the table and return the pair that is looked at."""
    count, values = len(said.names), getattr(found, measure)
    low, high = ALIKE[measure]
    before = _pair_of(get_param("pair"), count)
    what = "findings" if said.task == MULTI_LABEL else "images"
    clicked = pair_matrix(values, LETTERS[:count], (values - low) / (high - low), key="ensemble_pairs", selected=before,
                          label=f"{MEASURES[measure][0]} of each two members")
    names = "".join(f"<div><b>{LETTERS[k]}</b> {html.escape(name)}</div>" for k, name in enumerate(said.names))
    st.html(f"<div style='font-size:0.85rem'>{names}</div>")
    mean = found.mean(measure)
    st.caption(f"Mean of all pairs {format_number(mean, 2)}, on {found.n:,} {what}.")
    if clicked and clicked != before:
        text = "".join(LETTERS[k] for k in clicked)
        choose_param("pair", text)
        set_param("pair", text)
        st.rerun()
    return before


def _pair_of(text: str | None, count: int) -> tuple[int, int] | None:
    """The pair that the address names, such as "AC"."""
    places = tuple(LETTERS.find(letter) for letter in text or "")
    fits = len(places) == 2 and places[0] != places[1] and all(0 <= place < count for place in places)
    return places if fits else None


def _draw_counts(found: Agreement, said: MemberPredictions) -> None:
    count = len(said.names)
    what = "Findings" if said.task == MULTI_LABEL else "Images"
    words = {0: "none", count: "all"}
    frame = pd.DataFrame({"Members that are right": [words.get(k, str(k)) for k in range(count + 1)], what: found.right,
                          "Share": [f"{100 * n / max(found.n, 1):.1f} %" for n in found.right]})
    st.dataframe(frame, hide_index=True, height="content", key="ensemble_right",
                 alt="On how many images how many members are right")
    rescued, lost = int(found.right[count // 2 + 1:count].sum()), int(found.right[1:(count + 1) // 2].sum())
    st.caption(f"A majority is right on {rescued:,} {what.lower()} that some member gets wrong, and wrong on {lost:,} that some "
               "member gets right.")


# ----------------------------------------------------------------------------------------------------- images

def draw_images(said: MemberPredictions, runs: list[Run], a: int, b: int) -> None:
    """Draw the images of two members: both wrong, only one right, different; a click opens one on another page."""
    both, rows = images_of_pair(said, a, b)
    kept = st.session_state.setdefault("ensemble_images", {"kind": "both", "opens": "errors"})
    kinds = {kind: f"{_named(KINDS[kind], a, b)}: {len(rows[kind]):,}" for kind in KINDS}
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="ensemble_kinds"):
        st.segmented_control("Which images", list(kinds), format_func=kinds.get, label_visibility="collapsed",
                             **follow("ensemble_kind", kept["kind"], _keep, kept, "kind"))
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.markdown("A click opens", width="content")
            st.segmented_control("Page", list(OPENS), format_func=OPENS.get, label_visibility="collapsed",
                                 **follow("ensemble_opens", kept["opens"], _keep, kept, "opens"))
    chosen = rows[kept["kind"]][:PAGE]
    if not len(chosen):
        st.markdown("There is no such image.")
        return
    try:
        data = open_set(runs[a].config.data)
    except LightboxError as error:
        show_error(error)
        return
    ids = both.image_ids[chosen]
    places = pd.Index(data.table["image_id"].astype(str)).get_indexer(ids)
    if (places < 0).any():
        show_error(LightboxError("run.data_changed", "Some of these images are no longer in the data set.", "Restore them."))
        return
    images, cache_key = thumbnails(data, places)
    clicked = gallery(images, key="ensemble_gallery", aria_label=f"{kinds[kept['kind']]}", tile=132, cache_key=cache_key,
                      captions=[_caption(said, both, (a, b), row) for row in chosen])
    if len(rows[kept["kind"]]) > PAGE:
        st.caption(f"The first {PAGE} of {len(rows[kept['kind']]):,}, the most confident first.")
    if clicked is not None:
        of = a if kept["kind"] != "a" else b                     # the one that is wrong
        go(kept["opens"], run=runs[of].id, split="val", true="all", predicted="all", image=str(ids[clicked]))


def _named(kind: str, a: int, b: int) -> str:
    return kind.replace("the first", LETTERS[a]).replace("the second", LETTERS[b])


def _keep(kept: dict, name: str, value: str | None) -> None:
    kept[name] = value or kept[name]


def _caption(said: MemberPredictions, both, pair: tuple[int, int], row: int) -> str:
    """True class, and what each of the two says; of several findings how many are wrong."""
    labels = both.labels[row]
    if said.task == MULTI_LABEL:
        wrong = [int(((preds[row] != labels) & (labels >= 0)).sum()) for preds in both.preds]
        return "\n".join(f"{LETTERS[k]}: {n} findings wrong" for k, n in zip(pair, wrong))
    names = said.class_names
    lines = [f"{LETTERS[k]}: {names[preds[row]]}, {format_probability(float(probs[row, preds[row]]), 0)}"
             for k, preds, probs in zip(pair, both.preds, both.probs)]
    return "\n".join([f"true {names[labels]}" if labels >= 0 else "label unknown", *lines])
