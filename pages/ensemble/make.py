"""The form that makes a run of the ensemble, and where to go with it."""

from __future__ import annotations

import streamlit as st

from core.errors import LightboxError
from core.evaluation.ensembles import TITLES, default_name, make_ensemble
from core.runs.members import SOUPS, EnsembleSpec
from core.runs.store import RunStore
from pages.ensemble.cached import Choice
from pages.shared.layout import escape, link, long_task, show_error

NEXT = {"evaluate": "Evaluate", "errors": "Errors", "gradcam": "Grad-CAM", "classify": "Classify"}
MOST_DRAWS = 32
ABOUT = {"soup": "Soup: averages the weights, not the predictions: one network, as quick as one member. Members must have the "
                 "same layers and come from the same weights.",
         "greedy_soup": "Greedy soup: adds a member's weights only where validation gets better (Wortsman et al., ICML 2022)."}


def draw_form(choice: Choice, way: str, column: str, learned: bool) -> None:
    """Draw name, options and button; after it was pressed the links."""
    st.header("Make it a run", anchor=False, help="An ensemble is a run like any other: it has predictions, a card, and a place "
              "in every table. Its members are found by the hash of their weights.")
    hows = [way] if column else [way, *SOUPS]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="ensemble_form"):
        how = st.selectbox("Combination", hows, format_func=TITLES.get, key="ensemble_how", width=240,
                           help=" ".join(ABOUT.values()))
        how = how if how in hows else way
        draws = 0
        if how not in SOUPS:
            draws = st.number_input("Augmented copies", 0, MOST_DRAWS, 0, key="ensemble_draws", width=170,
                                    help="Test-time augmentation: each member sees so many augmented copies of an image, by its "
                                    "own data augmentation, and their mean counts. 0: the image alone.")
        on_features = how == "stacking" and st.toggle(
            "On features", key="ensemble_features", help="Stacks the members' features, the numbers before the last layer, "
            "instead of their probabilities.")
        is_experts = how == "experts"
        spec = EnsembleSpec(how, choice.members, column if is_experts else "", learned and is_experts, draws, on_features)
        name = st.text_input("Name", placeholder=default_name(spec), key="ensemble_name", width=340)
        pressed = st.button("Make this ensemble a run", type="primary", icon=":material/merge:", key="ensemble_make")
    if pressed:
        _make(spec, name)
    _draw_links()


def _make(spec: EnsembleSpec, name: str) -> None:
    try:
        with long_task("Making the ensemble", key="making_ensemble") as progress:
            run = make_ensemble(spec.members, spec.how, name=name.strip(), gate=spec.gate, learned=spec.learned, draws=spec.draws,
                                on_features=spec.on_features, progress=progress)
    except LightboxError as error:
        show_error(error)
        return
    st.session_state["ensemble_made"] = run.id


def _draw_links() -> None:
    """Draw where to go with the ensemble that was made last in this session."""
    made = st.session_state.get("ensemble_made")
    store = RunStore()
    if not made or not (store.root / "runs" / made).is_dir():
        return
    with st.container(horizontal=True, vertical_alignment="center", key="ensemble_links"):
        st.markdown(f":material/check: {escape(store.get(made).name)} is a run now.", width="content")
        for page, title in NEXT.items():
            link(title, page, run=made)
