"""Ensemble: several networks that predict together. Who they are, whether it helps, where they disagree; and a run of it."""

from __future__ import annotations

import streamlit as st

from core.config import RunConfig
from core.errors import LightboxError
from core.evaluation import member_choices
from core.evaluation.member_predictions import MemberPredictions
from core.runs.recipes import apply
from core.runs.store import Run, RunStore
from core.runs.summary import RunSummary
from core.runs.sweep import expand
from pages.ensemble import cached, choice, disagreement, experts, flow, make, ways
from pages.shared import open_data
from pages.shared.damaged import draw_damaged_runs
from pages.shared.layout import Chip, escape, get_param, go, next_step, page_header, show_error
from pages.shared.run_sets import ALL, data_sets, trained_runs

SEEDS = (0, 1, 2)


def draw_empty(entries: list[RunSummary]) -> None:
    """Invite: three seeds of a small network, or two more seeds of the one that there is."""
    config = entries[0].config if entries else apply(RunConfig(), "quick")
    seeds = [config.train.seed + k for k in (1, 2)] if entries else list(SEEDS)
    label = f"Train {len(seeds)} more seeds of it" if entries else "Train three seeds of a small network"
    sentence = (f"An ensemble needs two members, and there is one: {escape(entries[0].name)}." if entries else
                "There are no networks to combine yet.")
    with st.container(horizontal_alignment="center", key="ensemble_empty"):
        st.space("large")
        st.markdown(sentence, width="content")
        if st.button(label, type="primary", key="ensemble_seeds"):
            train_seeds(config, seeds)
        st.space("large")


def train_seeds(config: RunConfig, seeds: list[int]) -> None:
    """Queue a run for each seed and show the first of them."""
    store = RunStore()
    try:
        runs = [store.create(one) for one in expand(config, {"train.seed": seeds}, look=open_data.look)]
    except LightboxError as error:
        show_error(error)
        return
    store.recover()
    go("runs", run=runs[0].id)


def draw_results(chosen: list[str], column: str) -> tuple[cached.Choice, MemberPredictions] | None:
    """Return what the members predict, or say why that cannot be."""
    if not chosen:
        st.markdown("Pick members in the table: two networks of the same split, or one for each part.")
        return None
    picked = cached.choice_of(chosen, column)
    if picked.error:
        show_error(picked.error)
        return None
    if picked.reasons:
        choice.draw_differences(picked.reasons)
        return None
    if len(picked.members) < 2:
        st.markdown("Pick a second member.")
        return None
    return picked, cached.said_by(picked)


def show(entries: list[RunSummary], all_entries: list[RunSummary]) -> None:
    chosen = choice.picked(entries)
    column = choice.chosen_column(entries, chosen)
    choice.say_unknown(all_entries)
    left, right = st.columns([46, 54], gap="large")
    with left:
        choice.draw_choice(store, entries, chosen)
    with right:
        st.header("How good together", anchor=False, help="On the validation images, which every member predicted.")
        found = draw_results(chosen, column)
        if not found:
            return
        picked, said = found
        metric = ways.choose_metric()
        scores = st.container()
    way = draw_way(picked, said, column, metric)
    with scores:
        ways.draw_scores(picked, said, way, metric)
    disagreement.draw_disagreement(picked, said, [run for run, _ in runs_of(picked)])
    learned = bool(column) and experts.draw_experts(picked, said, entries, column, metric)
    make.draw_form(picked, way, column if way == "experts" else "", learned)


def runs_of(picked: cached.Choice) -> list[tuple[Run, int]]:
    """One run of each column, with its epoch: of the folds of one config the first."""
    first = {member.column: member for member in reversed(picked.members)}
    return [(store.get(first[column].run), first[column].epoch) for column in sorted(first)]


def draw_way(picked: cached.Choice, said: MemberPredictions, column: str, metric: str) -> str:
    st.header("How they are combined", anchor=False)
    if len(said.names) == 1:
        st.markdown("These are the folds of one config: each validation image is predicted by the network that was not trained "
                    "on it. As a run that is *out of fold*, with predictions of all images that are not test.")
    way = ways.choose_way(said)
    left, right = st.columns([58, 42], gap="large")
    with left:
        flow.draw_flow(said, runs_of(picked), way, column)
        ways.draw_without(picked, said, way, metric)
    with right:
        ways.draw_inside(picked, said, way)
    return way


store = RunStore()
every = member_choices.candidates(trained_runs(store))
picks = [one.partition("@")[0] for one in (get_param("members") or "").split(",")]
chips = [Chip("of", "Data set", {name: title for name, title in data_sets(every, picks).items() if name != ALL}, width=260)]
(data,) = page_header("Ensemble", *chips)
try:
    if len(every) < 2:
        draw_empty(every)
    else:
        show([one for one in every if one.data_title == data], every)
except LightboxError as error:
    show_error(error)
draw_damaged_runs()
next_step("Next: classify your own image", "classify")
