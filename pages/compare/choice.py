"""Which runs are compared: those of a data set, of a leaderboard, with certain words and tags; and which
columns their table has."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.evaluation import leaderboard
from core.evaluation.leaderboard import BOARDS
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared.layout import asked_among, asked_param, choose_param, escape, get_param, set_param, shorten
from pages.shared.run_sets import ALL, trained_runs
from pages.shared.run_table import ABOUT, MORE, RunTable, choose, kept
from pages.shared.widget_state import follow

TABLE = RunTable("compare", ("data", "seconds", "n", "test", "tags"), ("roc_auc", "cohen_kappa", "accuracy"),
                 ("val:roc_auc", None), (*ABOUT, *MORE), only_wide=("data", "seconds"))
NONE = "none"                   # in the address: no run is picked
SECONDS = 0.5                    # for intervals, before the page is drawn
BY_TEST = ("Sorted by test. Choosing a network by its test result makes the test set a second validation "
           "set, and the result of the winner optimistic. Report the winner on images that nobody has used yet.")


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
