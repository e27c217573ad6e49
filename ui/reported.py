"""What a report printed and what a run obtained, side by side, with what is wrong in the printed numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core import reported
from core.recipes import GROUPS, RECIPES
from core.runs import Run
from ui.follow import follow
from ui.judging import stamp
from ui.shell import escape, format_interval, format_number, go

PRINTED_HELP = "As the report prints it. The interval is Wilson's at 95 %, where it is known how many images there were."
OBTAINED_HELP = ("Of your run, with its 95 % interval: the images drawn again with replacement, those of a patient together. "
                 "On the test images where somebody has opened them, otherwise on validation.")


def draw_reported(runs: Sequence[Run]) -> None:
    """A recipe of the reports beside a run of one's own; the run whose settings come nearest is proposed.

    Args:
        runs: those that have answers, the newest first
    """
    keys = [key for key, recipe in RECIPES.items() if recipe.report and recipe.reported]
    by_id = {run.id: run for run in runs}
    kept = st.session_state.setdefault("reported_shown", {"recipe": "", "run": ""})
    if kept["run"] not in by_id:
        kept["run"] = next(iter(by_id), "")
    if kept["recipe"] not in keys:
        kept["recipe"] = _closest_of(by_id[kept["run"]]) if kept["run"] else keys[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Printed by", keys, format_func=_title, width=380,
                     **follow("reported_recipe", kept["recipe"], kept.__setitem__, "recipe"),
                     help="The runs of the four reports. Each is a recipe on the page Train.")
        if by_id:
            st.selectbox("Your run", list(by_id), format_func=lambda i: by_id[i].name, width=380,
                         **follow("reported_run", kept["run"], _take_run, kept, by_id))
        if st.button("Train this recipe", icon=":material/play_arrow:", key="reported_train",
                     help="Opens the page Train with these settings."):
            go("train", recipe=kept["recipe"])
    key, run = kept["recipe"], by_id.get(kept["run"])
    rows, split = _rows(key, str(run.folder) if run else "", stamp(run) if run else 0, run)
    st.dataframe(_frame(rows), hide_index=True, height="content" if len(rows) < 12 else 420, key="reported_table",
                 alt="Printed and obtained numbers", column_config={
                     "Printed": st.column_config.TextColumn(help=PRINTED_HELP, alignment="right"),
                     "Obtained": st.column_config.TextColumn(help=OBTAINED_HELP, alignment="right"),
                     "Printed n": st.column_config.NumberColumn(help="Images that the printed number was made of."),
                     "n": st.column_config.NumberColumn(help="Images that your number was made of."),
                     "The printed number": st.column_config.TextColumn(help="Whether it lies in the interval of your run.")})
    if run:
        if split and all(row.obtained is None for row in rows):
            st.caption("None of these numbers is of your run's data set, so nothing stands beside them.")
        differing = reported.in_words(run.config, key)
        of = {"test": "Your numbers are of the test images. ", "val": "Your numbers are of validation: test is shut. "}
        st.caption(of.get(split, "Your run has no answers yet. ")
                   + (f"Your run has the settings of this recipe, on {escape(run.config.data.dataset.rsplit('/', 1)[-1])}."
                      if not differing else "Your run differs from the recipe: " + escape("; ".join(differing[:6]))
                      + (f"; and {len(differing) - 6} more." if len(differing) > 6 else ".")))
    with st.container(gap="xxsmall"):
        st.markdown("**What is wrong in the printed numbers**")
        st.markdown("\n".join(f"- {escape(note)}" for note in reported.notes_of(key)))


def _frame(rows: Sequence[reported.Side]) -> pd.DataFrame:
    said = {True: "inside your interval", False: "outside your interval", None: ""}
    frame = pd.DataFrame([{
        "Of": row.what, "Measure": row.title,
        "Printed": format_interval(row.printed, row.printed_low, row.printed_high) if row.printed_low is not None
        else format_number(row.printed), "Printed n": row.printed_n,
        "Obtained": "" if row.obtained is None else format_interval(row.obtained, row.low, row.high), "n": row.n,
        "The printed number": said[row.inside]} for row in rows])
    if all(row.obtained is None for row in rows):
        frame = frame.drop(columns=["Obtained", "n", "The printed number"])
    return frame if any(row.printed_n for row in rows) else frame.drop(columns="Printed n")


@st.cache_data(max_entries=64, show_spinner=False)
def _rows(key: str, folder: str, stamp: int, _run: Run | None) -> tuple[list[reported.Side], str]:
    return reported.side_by_side(key, _run)


def _title(key: str) -> str:
    return f"{GROUPS[RECIPES[key].report].split(',')[0]}: {RECIPES[key].title}"


def _closest_of(run: Run) -> str:
    key = reported.closest(run.config)[0]
    return key if RECIPES[key].reported else next(k for k, recipe in RECIPES.items() if recipe.reported)


def _take_run(kept: dict, by_id: dict[str, Run], run_id: str) -> None:
    kept.update(run=run_id, recipe=_closest_of(by_id[run_id]))
