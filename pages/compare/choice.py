"""Which runs are compared: those of a data set, of a leaderboard, with certain words and tags; and which
columns their table has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.evaluation import leaderboard
from core.evaluation.leaderboard import BOARDS
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed
from pages.shared.layout import asked_among, asked_param, choose_param, escape, get_param, set_param, shorten
from pages.shared.run_table import ABOUT, MORE, RunTable, choose, kept
from pages.shared.widget_state import follow

TABLE = RunTable("compare", ("data", "seconds", "n", "test", "tags"), ("roc_auc", "cohen_kappa", "accuracy"),
                 ("val:roc_auc", None), (*ABOUT, *MORE), only_wide=("data", "seconds"))
ALL, NONE = "all", "none"         # in the address: every data set; no run is picked
SECONDS = 0.5                    # for intervals, before the page is drawn
BY_TEST = ("Sorted by test. Choosing a network by its test result makes the test set a second validation "
           "set, and the result of the winner optimistic. Report the winner on images that nobody has used yet.")


def trained_runs(store: RunStore) -> list[RunSummary]:
    """Every run with a finished epoch, newest first, under its data set; under data set and classes where a set has runs of
    several tasks, whose numbers must not stand in one ranking."""
    runs = [run for run in run_feed.all_runs(store) if run.epoch]
    tasks: dict[str, set] = {}
    for run in runs:
        tasks.setdefault(run.data_title, set()).add(run.class_names)
    return [replace(run, data_title=f"{run.data_title}: {_listed(run.class_names)}") if len(tasks[run.data_title]) > 1 else run
            for run in runs]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def with_intervals(store: RunStore, runs: list[RunSummary]) -> list[RunSummary]:
    """The same with the intervals of some more runs. They are computed once for each run, and this takes half
    a second at most: while some are missing the page goes on with them by itself."""
    waiting = [(run, split) for run in runs for split in run.unscored]
    if not waiting:
        return runs
    began = time.monotonic()
    for run, split in waiting:
        leaderboard.score(store.get(run.id), split)
        if time.monotonic() - began > SECONDS:
            break
    runs = trained_runs(store)
    if left := sum(len(run.unscored) for run in runs):
        st.fragment(_go_on, run_every=1.0)(left, time.monotonic())
    return runs


def _go_on(left: int, drawn: float) -> None:
    st.caption(f"Computing intervals: {left:,} runs left.")
    if time.monotonic() - drawn > 0.9:
        st.rerun()


def data_sets(entries: Sequence[RunSummary]) -> dict[str, str]:
    """Value of a chip -> what it says: the data sets that have runs, and all of them. First, and so shown
    where none is chosen, is that of the runs that the address picks, all where these are of several, else
    that of the run one comes from."""
    picked = (get_param("runs") or "").split(",")
    first = [one for one in entries if one.id in picked] or [one for one in entries
                                                             if one.id == get_param("run")]
    names = list(dict.fromkeys(one.data_title for one in [*first, *entries]))
    every = {ALL: "All data sets"} if len(names) > 1 else {}
    shown = {name: name for name in names}
    return every | shown if len({one.data_title for one in first}) > 1 else shown | every


def say_unknown(entries: Sequence[RunSummary]) -> None:
    """A sentence for each run that the address picks and that is not there."""
    known = {NONE, *(one.id for one in entries)}
    for one in dict.fromkeys((asked_param("runs") or "").split(",")):
        if one and one not in known:
            st.warning(f"There is no run called {escape(shorten(one))}. It may have been deleted, or the link "
                       "is wrong.")


def draw_controls(entries: Sequence[RunSummary],
                  data: str | None) -> tuple[list[RunSummary], str, DeltaGenerator]:
    """One row: which board, whether seeds are grouped, by what it is sorted, words, columns, tags.

    Returns:
        The runs that are left, the board, and the row itself
    """
    chosen = kept(TABLE)
    say_unknown(entries)
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    with bar:
        asked_among("board", "choice of runs", BOARDS)
        board = get_param("board") if get_param("board") in BOARDS else "all"
        st.segmented_control("Which runs", list(BOARDS), format_func=lambda key: BOARDS[key][0],
                             label_visibility="collapsed",
                             **follow("compare_board", board, take_board),
                             help="The two leaderboards of report R001, but sorted by validation: R001 sorted "
                                  "by test.")
        st.toggle("Group seeds", **follow("compare_fold", chosen["fold"], chosen.__setitem__, "fold"),
                  help="Shows runs that differ only in their seed as one row: their mean, and the standard "
                       "deviation (SD) between seeds, which shows how much the seed matters.")
        st.toggle("Sort by test", **follow("compare_test", chosen["test"], chosen.__setitem__, "test"),
                  help="Off: runs are sorted by validation, and test is only shown.")
        here = [one for one in entries if data in (None, ALL, one.data_title)]
        left = choose(TABLE, here, len(entries))
    if chosen["test"]:
        st.warning(BY_TEST)
    return left, board, bar


def take_board(board: str | None) -> None:
    if board in BOARDS:
        choose_param("board", board)
        set_param("board", board)
