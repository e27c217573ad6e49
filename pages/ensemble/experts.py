"""Experts: each on its own part and on the others, beside the one network for all parts; and the gate that guesses the part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import probabilities
from core.errors import LightboxError
from core.evaluation.ensemble_scores import PartScore, score
from core.evaluation.ensembles import combine
from core.evaluation.gate import fit_gate, gate_confusion, gate_of
from core.evaluation.member_choices import for_all_parts
from core.evaluation.member_predictions import MemberPredictions
from core.evaluation.members import config_of
from core.metrics import METRICS
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.ensemble import cached
from pages.ensemble.cached import Choice
from pages.shared.charts import show_chart
from pages.shared.layout import escape, format_interval, link, show_error
from pages.shared.open_data import open_set

KNOWN, LEARNED = "Mixture, known part", "Mixture, learned gate"


def draw_experts(choice: Choice, said: MemberPredictions, entries: Sequence[RunSummary], column: str, metric: str) -> bool:
    """Draw the table of experts and parts, and the gate. Return whether the gate is to be learned."""
    words = column.replace("_", " ")
    st.header("Each expert on its own part and on the others", anchor=False,
              help=f"Each network was trained on one {words}. On its own it should be best; on the others it shows what "
              "it does not know. All numbers of a column are on the same images.")
    learned = st.toggle(f"A gate that guesses the {words} from the image", key="ensemble_learned", persist_state="session",
                        help=f"For images of which the {words} is not known. A logistic regression on the image at 32 px, "
                        "fitted on training images; all experts then count, by its probabilities.")
    others = [(KNOWN, cached.way_score(choice, said, "experts").probs)]
    gate = _learned_gate(choice, said, column) if learned else None
    if gate is not None:
        others.append((LEARNED, combine("experts", said, {"gate": gate})))
    others += _network_for_all(said, entries, choice)
    scores = cached.part_scores(choice, said, others, f"{[name for name, _ in others]}")
    st.dataframe(table(scores, metric), hide_index=True, height="content", key="ensemble_parts",
                 alt=f"{METRICS[metric].title} of each network on each {words}")
    st.caption(f"{METRICS[metric].title} with its 95 % interval, on validation images. An arrow marks an expert on its own part.")
    _draw_overall(said, others, metric)
    if len(others) < 2 + (gate is not None):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("There is no network for all parts of this split to compare with.", width="content")
            config = config_of(choice.members)
            settings = {name: str(value) for name, value in config.changed().items() if name != "data.dataset"}
            link("Train one", "train", icon=":material/play_arrow:", dataset=config.data.dataset, **settings)
    if gate is not None:
        _draw_gate(said, gate, words)
    return learned


def _network_for_all(said: MemberPredictions, entries: Sequence[RunSummary], choice: Choice) -> list[tuple[str, np.ndarray]]:
    """The best network for all parts, as far as it has predicted the same images."""
    expert = next((one for one in entries if one.id == choice.members[0].run), None)
    one = for_all_parts(entries, expert) if expert else None
    probs = cached.network_for_all(RunStore().get(one.id), said) if one else None
    return [] if probs is None else [(f"All parts: {one.name}", probs)]


def table(scores: Sequence[PartScore], metric: str) -> pd.DataFrame:
    """Return a row for each network and a column for each part, whose head has its number of images."""
    rows: dict[str, dict[str, str]] = {}
    for one in scores:
        found = one.estimates[metric]
        mark = "→ " if one.own else ""
        head = f"{one.part}, {found.n:,} images"
        rows.setdefault(one.network, {"Network": one.network})[head] = mark + format_interval(found.value, found.low, found.high)
    return pd.DataFrame(list(rows.values()))


def _draw_overall(said: MemberPredictions, others: Sequence[tuple[str, np.ndarray]], metric: str) -> None:
    """Draw what the networks for all parts reach on all images together."""
    said_of = []
    for name, probs in others:
        found = score(said, probs, name, name).estimates[metric]
        said_of.append(f"{name} {format_interval(found.value, found.low, found.high)}")
    st.markdown(escape(f"On all {len(said.labels):,} validation images together: {'; '.join(said_of)}."))


def _learned_gate(choice: Choice, said: MemberPredictions, column: str) -> np.ndarray | None:
    def fitted() -> np.ndarray:
        data = open_set(config_of(choice.members).data)
        with st.spinner("Fitting the gate on training images"):
            return gate_of(data, said.image_ids, fit_gate(data, column, choice.members))
    try:
        return cached.once(choice, "gate", fitted)
    except LightboxError as error:
        show_error(error)
        return None


def _draw_gate(said: MemberPredictions, gate: np.ndarray, words: str) -> None:
    matrix = gate_confusion(gate, said.parts)
    names = [member.part.replace("|", " or ") for member in said.members]
    st.subheader("Confusion matrix of the gate", anchor=False, help="True part down, the expert with the largest weight across.")
    left, _ = st.columns([50, 50])
    with left:
        show_chart(probabilities.confusion(matrix, names), key="ensemble_gate")
    right = int(np.trace(matrix))
    st.caption(f"The gate finds the {words} of {right:,} of {matrix.sum():,} validation images ({right / matrix.sum():.1%}).")
