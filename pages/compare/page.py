"""Compare: all runs in a table, two of them on the same images, and published numbers beside one's own."""

import streamlit as st

from core.errors import LightboxError
from core.evaluation import leaderboard
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.compare.charts import draw_against_cost, draw_curves, draw_legend
from pages.compare.choice import draw_controls, with_intervals
from pages.compare.folds import draw_folds
from pages.compare.leaderboard import draw_board
from pages.compare.reported import draw_reported
from pages.compare.table_check import draw_check_table
from pages.compare.two_runs import draw_two_runs
from pages.shared.damaged import draw_damaged_runs
from pages.shared.downloads import draw_comparison_downloads, draw_table_downloads
from pages.shared.layout import Chip, asked_among, choose_param, empty, get_param, next_step, page_header, set_param, show_error
from pages.shared.predictions import show_data_note, split_chip
from pages.shared.run_sets import ALL, data_sets, trained_runs
from pages.shared.widget_state import follow

VIEWS = {"two": "Two runs", "curves": "Curves", "folds": "Cross-validation", "cost": "Accuracy and cost", "away": "Download",
         "reported": "Published vs yours", "check": "Check a published table"}


def show(entries: list[RunSummary], data: str, split: str, view: str) -> None:
    """The table of runs, and below it what was asked for about the picked ones."""
    left, board, bar = draw_controls(entries, data)
    if not left:
        st.caption("No run matches. Remove a word or a tag.")
        return
    lines, picked = draw_board(left, board, bar)
    for one in dict.fromkeys(one.id for line in picked[:2] for one in line.runs[:1]):
        show_data_note(store.get(one))
    if view == "cost":
        draw_against_cost(lines, picked)
    elif view == "away":
        draw_comparison_downloads([store.get(one.id) for line in picked for one in line.runs], split)
        draw_table_downloads([store.get(one.id) for line in lines for one in line.runs], split)
    elif not picked:
        st.markdown("Pick runs in the table: two for a paired test, up to six for curves.")
    elif view == "curves":
        draw_legend(picked)
        draw_curves(store, picked, split)
    elif len(picked) < 2:
        st.markdown("Pick a second run of the same data set to compare the two.")
    else:
        seeds = {one.id: line.runs for line in leaderboard.group_seeds(entries) for one in line.runs}
        if len(picked) > 2:
            st.caption("The tests compare A and B, the first two picked. Click a row to unpick it.")
        draw_legend(picked[:2])
        draw_two_runs(*(store.get(line.first.id) for line in picked[:2]), split, seeds)


def choose_view() -> str:
    asked_among("view", "part of this page", VIEWS)
    view = get_param("view") if get_param("view") in VIEWS else "two"
    st.segmented_control("What to look at", list(VIEWS), format_func=VIEWS.get, label_visibility="collapsed",
                         **follow("compare_view", view, take_view))
    set_param("view", view)
    return view


def take_view(view: str | None) -> None:
    if view:
        choose_param("view", view)
        set_param("view", view)


store = RunStore()
entries = trained_runs(store)
chosen = (get_param("runs") or "").split(",")
chips = [Chip("of", "Data set", data_sets(entries, chosen), width=260), split_chip()] if entries else []
data, split = page_header("Compare", *chips) or (None, "val")
view = choose_view()
try:
    if view == "check":
        draw_check_table()
    elif view == "reported":
        draw_reported([store.get(one.id) for one in entries if one.was_trained])     # the reports have single networks
    elif view == "folds" and entries:
        draw_folds(store, [one for one in entries if data in (None, ALL, one.data_title)])
    elif entries:
        show(with_intervals(store, entries), data, split, view)
    else:
        empty("There are no runs to compare yet. Train two small networks; it takes a few minutes.",
              "Train a network", "train")
except LightboxError as error:
    show_error(error)
draw_damaged_runs()
next_step("Next: classify your own image", "classify")
