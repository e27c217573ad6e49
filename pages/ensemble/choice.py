"""Which runs are the members: suggestions by one click, and the table of runs in which a click picks one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.evaluation import leaderboard, member_choices
from core.evaluation.cross_validation import find_series
from core.evaluation.members import Difference
from core.runs import checkpoints
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import theme
from pages.shared.layout import asked_param, choose_param, escape, get_param, link, set_param, shorten
from pages.shared.run_table import ABOUT, RunTable, choose, draw_table, sort_rows, sorting

TABLE = RunTable("ensemble", ("details",), ("roc_auc", "accuracy"), ("val:roc_auc", None), ABOUT, only_wide=("details",))
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST = 20                        # members; more say nothing new and are slow to predict with
NONE = "none"                    # in the address: nothing is picked
SNAPSHOTS = 20                   # runs that are looked at for kept epochs


def picked(entries: Sequence[RunSummary]) -> list[str]:
    """Return the addresses (RUN or RUN@EPOCH) that are picked: those of the address, else the best five by validation."""
    asked = get_param("members")
    if asked == NONE:
        return []
    known = {one.id for one in entries}
    chosen = [one for one in dict.fromkeys((asked or "").split(",")) if one.partition("@")[0] in known][:MOST]
    return chosen or [one.id for one in member_choices.best_by_validation(entries)]


def say_unknown(entries: Sequence[RunSummary]) -> None:
    """Say which runs of the address are not there, or cannot be members."""
    known = {NONE, "", *(one.id for one in entries)}
    for one in dict.fromkeys((asked_param("members") or "").split(",")):
        if one.partition("@")[0] not in known:
            st.warning(f"{escape(shorten(one))} cannot be a member: it was deleted, trains just now, is an ensemble itself, "
                       "or the link is wrong.")


def pick(addresses: Sequence[str], way: str = "") -> None:
    """Write into the address which runs are members, and how they are combined where they were picked for that."""
    if way:
        choose_param("way", way)
        set_param("way", way)
    text = ",".join(list(addresses)[:MOST]) or NONE
    choose_param("members", text)
    set_param("members", text)


def draw_choice(store: RunStore, entries: Sequence[RunSummary], chosen: Sequence[str]) -> None:
    """Draw the suggestions and the table."""
    st.header("Members", anchor=False, help="The networks that predict together. They need the same task and the same split: an "
              "image that one of them was trained on is no test of the others.")
    with st.container(horizontal=True, gap="small", key="ensemble_suggestions"):
        _draw_suggestions(entries)
        _draw_snapshots(store, entries)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        left = choose(TABLE, entries)
    by = sorting(TABLE)
    rows = sort_rows(leaderboard.ungrouped(left), *by)
    marks = {one.partition("@")[0]: (LETTERS[k % len(LETTERS)], theme.class_color(k)) for k, one in enumerate(chosen)}
    draw_table(TABLE, rows, marks, lambda run_id: _toggle(run_id, chosen), sorted_by=by, without=("data",))
    epochs = [one for one in chosen if "@" in one]
    if epochs:
        st.caption(f"Of these {len(epochs)} members an earlier epoch is taken: "
                   f"{escape(', '.join(one.partition('@')[2] for one in epochs))}.")


def titles_of(names: Sequence[str]) -> list[str]:
    """Return what members are called in a chart: their letter and as much of their name as there is room for; all different."""
    return [f"{LETTERS[k % len(LETTERS)]}  {shorten(name, 24)}" for k, name in enumerate(names)]


def _toggle(run_id: str, chosen: Sequence[str]) -> None:
    """A click on a line takes it in or out."""
    rest = [one for one in chosen if one.partition("@")[0] != run_id]
    pick(rest if len(rest) < len(chosen) else [*chosen, run_id])


def _draw_suggestions(entries: Sequence[RunSummary]) -> None:
    best = member_choices.best_by_validation(entries)
    if len(best) > 1:
        _suggest(f"Best {len(best)} by validation", [one.id for one in best], "best", ":material/leaderboard:")
    for column in member_choices.columns_of_experts(entries):
        found = member_choices.one_for_each_part(entries, column)
        _suggest(f"One for each {column.replace('_', ' ')} ({len(found)})", [one.id for one in found], f"each_{column}",
                 ":material/category:", "experts")
    for k, series in enumerate(one for one in find_series(entries) if one.complete):
        _suggest(f"{series.folds} folds of {shorten(series.name, 40)}", [run.id for run in series.runs], f"series_{k}",
                 ":material/view_week:")
    _suggest("None", [], "none", ":material/close:")


def _suggest(label: str, addresses: Sequence[str], key: str, icon: str, way: str = "") -> None:
    st.button(escape(label), key=f"ensemble_pick_{key}", icon=icon, on_click=pick, args=(addresses, way))


def _draw_snapshots(store: RunStore, entries: Sequence[RunSummary]) -> None:
    """Offer the kept epochs of one run. Folders are looked at only while the menu is open."""
    with st.popover("Snapshots of a run", icon=":material/history:", key="ensemble_snapshots", on_change="rerun") as menu:
        if not menu.open:
            return
        found = {one.id: epochs for one in entries[:SNAPSHOTS]
                 if len(epochs := checkpoints.snapshots(store.get(one.id).checkpoints)) > 1}
        for one in entries:
            if one.id in found:
                _suggest(f"{len(found[one.id])} epochs of {one.name}", [f"{one.id}@{epoch}" for epoch in found[one.id]],
                         f"snapshots_{one.id}", ":material/history:")
        if not found:
            st.markdown("No run has kept several epochs. Set Snapshots on the page Train to keep some.")


def draw_differences(reasons: Sequence[Difference]) -> None:
    """Say why the members cannot be combined, each with the click that trains the run that is missing."""
    for k, one in enumerate(reasons[:6]):
        with st.container(horizontal=True, vertical_alignment="center", key=f"ensemble_differs_{k}"):
            st.warning(escape(one.text), width="stretch")
            if one.settings:
                link("Train the missing run", "train", icon=":material/play_arrow:", **train_query(one))
    if len(reasons) > 6:
        st.caption(f"And {len(reasons) - 6} more reasons.")


def train_query(one: Difference) -> dict[str, str]:
    """Return the address of the page Train for a run that is missing: its settings, as the form has them."""
    settings = {name: value for name, value in one.settings.items() if value != "all"}      # all folds have a button there
    config = one.config.with_(**settings)
    return {"dataset": config.data.dataset} | {name: str(value) for name, value in config.changed().items()
                                               if name != "data.dataset"}


def chosen_column(entries: Sequence[RunSummary], chosen: Sequence[str]) -> str:
    """Return the column whose values the picked runs are experts for; "" where they are none."""
    configs = {one.id: one.config for one in entries}
    return member_choices.expert_column([configs[one.partition("@")[0]] for one in chosen]) if chosen else ""


