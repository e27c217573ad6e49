"""All runs: a click on one shows it above."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.evaluation.leaderboard import ungrouped
from core.runs.summary import RunSummary
from pages.shared.layout import choose_param, set_param
from pages.shared.run_table import RUNS, choose, draw_csv, draw_table, sort_rows, sorting


def draw_all_runs(rows: Sequence[RunSummary], run_id: str | None) -> None:
    """Draw the table of all runs, at first the newest on top."""
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    with bar:
        left = choose(RUNS, rows)
    if not left:
        st.caption("No run matches. Remove a word or a tag.")
        return
    by = sorting(RUNS)
    lines = sort_rows(ungrouped(left), *by)
    draw_table(RUNS, lines, {run_id: ("\u2713", "")}, _show, sorted_by=by, verb="Show")
    with bar:
        draw_csv(RUNS, lines)


def _show(run_id: str) -> None:
    choose_param("run", run_id)
    set_param("run", run_id)
