"""Published numbers of a report beside those of a run, with known problems of the published ones."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.evaluation import reported
from core.evaluation.report_tables import tables_of
from core.runs.recipes import GROUPS, RECIPES
from core.runs.store import Run
from pages.shared.layout import escape, format_interval, format_number, go
from pages.shared.predictions import predictions_version
from pages.shared.widget_state import follow

IMAGES = {"R000": "MURA's elbows, shoulders and wrists", "R001": "MURA", "R002": "sets of MedMNIST",
          "R004": "the chest X-rays of COVID-19 patients"}
PRINTED_HELP = "As published. With Wilson's 95 % interval where the number of images is known."
OBTAINED_HELP = ("Your run, with its 95 % bootstrap interval (by patient). On test if it has been opened, otherwise on "
                 "validation.")


def draw_reported(runs: Sequence[Run]) -> None:
    """A recipe of the reports beside a run of one's own; the run whose settings come nearest is proposed.

    Args:
        runs: those that have answers, the newest first
    """
    keys, by_id = _keys(), {run.id: run for run in runs}
    kept = st.session_state.setdefault("reported_shown", {"recipe": "", "run": ""})
    if kept["run"] not in by_id:
        kept["run"] = next(iter(by_id), "")
    if kept["recipe"] not in keys:
        kept["recipe"] = _closest_of(by_id[kept["run"]]) if kept["run"] else keys[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("Published result", keys, format_func=_title, width=380,
                     **follow("reported_recipe", kept["recipe"], kept.__setitem__, "recipe"),
                     help="The runs of the four reports. Each is a recipe on the page Train.")
        if by_id:
            st.selectbox("Your run", list(by_id), format_func=lambda i: by_id[i].name, width=380,
                         **follow("reported_run", kept["run"], _take_run, kept, by_id))
        if st.button("Train this recipe", icon=":material/play_arrow:", key="reported_train",
                     help="Opens the page Train with these settings."):
            go("train", recipe=kept["recipe"])
    _draw_side_by_side(kept["recipe"], by_id.get(kept["run"]))


def _draw_side_by_side(key: str, run: Run | None) -> None:
    """The numbers of a recipe beside those of a run, and what is known to be wrong with the former."""
    rows, split = _rows(key, str(run.folder) if run else "", predictions_version(run) if run else 0, run)
    other = run is not None and _of_other_images(run, key)
    if other and any(row.obtained is not None for row in rows):
        st.warning(f"The published numbers are on {IMAGES[RECIPES[key].report]}, yours on "
                   f"{escape(run.data().get('title', 'other images'))}: they are not comparable.")
    text = st.column_config.TextColumn
    st.dataframe(_frame(rows, split, compare=not other), hide_index=True,
                 height="content" if len(rows) < 12 else 420,
                 key="reported_table", alt="Published numbers and yours", column_config={
                     "Of": text(width=100, help="The part of the report's images."),
                     "Metric": text(width=130),
                     "Published": text(width=160, help=PRINTED_HELP, alignment="right"),
                     "Yours": text(width=160, help=OBTAINED_HELP, alignment="right"),
                     "Published n": text(width=75, help="Images behind the published number.",
                                         alignment="right"),
                     "n": text(width=60, help="Images behind your number.", alignment="right"),
                     "Published value": text(help="Whether it lies within the interval of your run.")})
    if run:
        if split and all(row.obtained is None for row in rows):
            st.caption("None of these numbers is on your run's data set, so there is nothing to compare.")
        of = {"test": "Your numbers are on the test images. ",
              "val": "Your numbers are on validation: test is locked. "}
        st.caption(of.get(split, "Your run has no predictions yet. ") + _settings_in_words(run, key))
    with st.container(gap="xxsmall"):
        st.markdown("**Problems of the published numbers**")
        st.markdown("\n".join(f"- {escape(note)}" for note in reported.notes_of(key)))
    _draw_tables(RECIPES[key].report)


def _draw_tables(report: str) -> None:
    """The other tables of a report, whole, each with its problems."""
    st.header(f"Further tables of {GROUPS[report]}", anchor=False,
              help="As printed. No run stands beside them: they are about other images, or about no run at all.")
    for number, table in enumerate(tables_of(report)):
        with st.container(gap="xsmall"):
            st.markdown(f"**{escape(table.title)}**")
            st.dataframe(pd.DataFrame(table.rows, columns=list(table.columns)), hide_index=True, height="content",
                         width="content", key=f"printed_{report}_{number}", alt=table.title, column_config={
                             name: st.column_config.TextColumn(alignment="right") for name in table.columns[1:]})
            if table.notes:
                st.markdown("\n".join(f"- {escape(note)}" for note in table.notes))


def _settings_in_words(run: Run, key: str) -> str:
    """How the settings of a run differ from those of a recipe."""
    differing = reported.in_words(run.config, key)
    if not differing:
        dataset = run.config.data.dataset.rsplit("/", 1)[-1]
        return f"Your run has the settings of this recipe, on {escape(dataset)}."
    more = f"; and {len(differing) - 6} more." if len(differing) > 6 else "."
    return f"Your run differs from the recipe: {escape('; '.join(differing[:6]))}{more}"


def _frame(rows: Sequence[reported.Side], split: str, compare: bool = True) -> pd.DataFrame:
    """split: of the run's numbers, which each row says. compare: whether to say if a published value lies in the interval of the
    run, which only makes sense for the same images."""
    on = {"test": "test", "val": "validation, not test"}.get(split, "")
    inside = {True: f"inside your interval ({on})", False: f"outside your interval ({on})", None: ""}
    frame = pd.DataFrame([{
        "Of": row.what, "Metric": row.title,
        "Published": format_interval(row.printed, row.printed_low, row.printed_high)
        if row.printed_low is not None
        else format_number(row.printed), "Published n": f"{row.printed_n:,}" if row.printed_n else "",
        "Yours": "" if row.obtained is None else format_interval(row.obtained, row.low, row.high),
        "n": f"{row.n:,}" if row.n else "", "Published value": inside[row.inside]} for row in rows])
    if not compare:
        frame = frame.drop(columns="Published value")
    if all(row.obtained is None for row in rows):
        frame = frame.drop(columns=["Yours", "n", "Published value"], errors="ignore")
    return frame if any(row.printed_n for row in rows) else frame.drop(columns="Published n")


@st.cache_data(max_entries=64, show_spinner=False)
def _rows(key: str, folder: str, version: int, _run: Run | None) -> tuple[list[reported.Side], str]:
    return reported.side_by_side(key, _run)


def _keys() -> list[str]:
    """The recipes of the reports that have numbers."""
    return [key for key, recipe in RECIPES.items() if recipe.report and recipe.reported]


def _title(key: str) -> str:
    return f"{GROUPS[RECIPES[key].report].split(',')[0]}: {RECIPES[key].title}"


def _closest_of(run: Run) -> str:
    """The recipe with numbers that a run comes nearest to, of those of the same images where there are
    any."""
    keys = _keys()
    return reported.closest(run.config, [key for key in keys if not _of_other_images(run, key)] or keys)[0]


def _of_other_images(run: Run, key: str) -> bool:
    return reported.of_other_images(RECIPES[key], run.config.data.dataset, run.data().get("title", ""))


def _take_run(kept: dict, by_id: dict[str, Run], run_id: str) -> None:
    kept.update(run=run_id, recipe=_closest_of(by_id[run_id]))
