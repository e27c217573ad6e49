"""The table of runs on Compare: which order, and which runs are picked for all that is below.

The order comes from validation. Columns of test stand beside it, of runs whose test set somebody has opened,
and sort only after a person has said so.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.evaluation import leaderboard
from core.evaluation.leaderboard import BOARDS, RunGroup
from core.runs.summary import RunSummary
from pages.compare.choice import NONE, TABLE, take_board
from pages.shared import theme
from pages.shared.layout import choose_param, escape, get_param, set_param
from pages.shared.run_table import draw_csv, draw_table, kept, sort_rows, sorting

PICKS = 6                        # runs that can be picked: more lines in one chart cannot be told apart
LETTERS = "ABCDEF"


def draw_board(runs: Sequence[RunSummary], board: str, bar) -> tuple[list[RunGroup], list[RunGroup]]:
    """Draw the table, and into the container `bar` the button that saves it. Returns its rows, and those that
    are picked, in the order in which they were."""
    chosen = kept(TABLE)
    by = sorting(TABLE)
    if metric := BOARDS[board][1]:
        by = f"{'test' if chosen['test'] else 'val'}:{metric}", True
    rows = leaderboard.group_seeds(runs) if chosen["fold"] else leaderboard.ungrouped(runs)
    rows = sort_rows(rows, *by)[:BOARDS[board][2] or None]
    picked = _picked(rows)
    ids = [row.first.id for row in picked]
    marks = {one: (letter, theme.class_color(k)) for k, (one, letter) in enumerate(zip(ids, LETTERS))}
    without = () if len({run.data_title for run in runs}) > 1 else ("data",)
    draw_table(TABLE, rows, marks, lambda run_id: _pick(run_id, ids), sorted_by=by,
               on_sort=lambda: take_board("all"), without=without)
    positive = {run.class_names[1]: None for row in rows for run in row.runs if len(run.class_names) == 2}
    if positive:
        st.caption(f"Positive class: {escape(', '.join(positive))}. Sensitivity, precision, F1 and average precision are of it.")
    with bar:
        draw_csv(TABLE, rows, without)
    return rows, picked


def _picked(rows: Sequence[RunGroup]) -> list[RunGroup]:
    """Rows that the address names; without any the best that has another one of the same images and classes,
    and that one."""
    of = {run.id: row for row in rows for run in row.runs}
    asked = get_param("runs")
    chosen = list({of[one].first.id: of[one] for one in (asked or "").split(",")
                   if one in of}.values())[:PICKS]
    if chosen or asked == NONE:
        return chosen
    known: dict[tuple, RunGroup] = {}
    for row in sorted(rows, key=lambda row: "val" not in row.first.scores):      # first those that have predictions to compare
        before = known.setdefault((row.first.split_hash, row.first.class_names), row)
        if before is not row:
            return [before, row]
    return list(rows[:1])


def _pick(run_id: str, now: Sequence[str]) -> None:
    """A click on a line takes it in or out. The oldest goes where there are too many."""
    ids = [one for one in now if one != run_id] if run_id in now else [*now, run_id][-PICKS:]
    choose_param("runs", ",".join(ids) or NONE)
    set_param("runs", ",".join(ids) or NONE)
