"""Learning curve and image size study: runs that differ in nothing else, as a curve and as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core import metrics
from core.charts import comparisons
from core.config import KNOBS
from core.evaluation import studies
from core.evaluation.studies import NATIVE, STUDIES, Member, Point
from core.metrics import METRICS
from core.runs.store import Run, RunStore
from pages.shared import run_feed, theme
from pages.shared.charts import show_chart
from pages.shared.layout import escape, format_interval, format_number, link
from pages.shared.predictions import BY_PREDICTIONS, stored_predictions
from pages.shared.widget_state import follow

OFFERED = ("accuracy", "roc_auc", "cohen_kappa", "quadratic_kappa")


def draw_studies(run: Run, split: str, runs: Sequence[Run]) -> None:
    """The learning curve and the resolution study that a run belongs to; where there is none, how to get
    one."""
    if run.ensemble:
        st.markdown("An ensemble is not trained, so it is no point of a learning curve. Choose a run that was: its members, for "
                    "example.")
        link("See its members", "runs", run=run.id)
        return
    known = _members(runs)
    this = known.get(run.id)
    if this is None:
        return
    by_id = {other.id: other for other in runs}
    st.caption("What is gained from more training images, or larger ones? A curve joins runs that differ in "
               "nothing else.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = _choose_metric(this)
        _choose_runs(this, known)
    for column, study in zip(st.columns(2, gap="large"), STUDIES):
        with column:
            st.header(STUDIES[study].title, anchor=False, help=STUDIES[study].help)
            _draw_study(this, study, _chosen(this, known, study), split, metric, by_id)


def _draw_study(this: Member, study: str, members: Sequence[Member], split: str, metric: str,
                runs: dict[str, Run]) -> None:
    if not studies.is_study(members, study):
        label = KNOBS["data.train_fraction" if study == "images" else "data.size"].label
        st.markdown(f"No other run differs from this one in its {label.lower()} alone. A grid of runs makes "
                    f"some: choose several values of \"{label}\", and two or three seeds.")
        link("Train a grid of runs", "train", dataset=this.config.data.dataset)
        return
    values = {member.id: _value(runs[member.id], split, metric) for member in members}
    points = studies.fold(members, study, values)
    missing = sum(value is None for value in values.values())
    if not points:
        st.markdown("None of these runs has predictions on this split yet. Show validation, or open the test "
                    "set of each run.")
        return
    _draw_curve(points, study, metric, f"study_{study}")
    _draw_table(points, study, metric, f"study_{study}_table")
    notes = ["Several seeds: mean and standard deviation (SD) over seeds. One run: its 95 % interval."]
    if missing:
        notes.append(f"{missing} of {len(members)} runs are missing: they have no predictions on this split.")
    if differ := studies.also_differ(members, study):
        notes.append(f"These runs also differ in {escape(', '.join(differ))}, so the curve does not show the "
                     f"effect of {STUDIES[study].across} alone.")
    st.caption(" ".join(notes))


# --------------------------------------------------------------------------------------------- which, of what

def _choose_metric(this: Member) -> str:
    offered = [m for m in OFFERED if m != "quadratic_kappa" or this.run.task == "ordinal-regression"]
    return st.selectbox("Metric", offered, offered.index("roc_auc"), format_func=lambda m: METRICS[m].title,
                        width=220,
                        label_visibility="collapsed", key="study_metric", persist_state="session")


def _chosen(this: Member, known: dict[str, Member], study: str) -> list[Member]:
    """The runs that somebody chose, if they chose any; else those that differ in what the study varies
    alone."""
    ids = _picked(this)
    if not ids:
        return studies.members(this, known.values(), study)
    picked = {m.id: m for m in [this, *(known[i] for i in ids if i in known)]}
    return sorted(picked.values(), key=lambda m: (m.x(study), m.kind, m.config.train.seed, m.id))


def _picked(this: Member) -> list[str]:
    return st.session_state.setdefault("study_runs", {}).setdefault(this.id, [])


def _choose_runs(this: Member, known: dict[str, Member]) -> None:
    """Runs that differ in more than one thing may be added to a curve; a note says in what."""
    options = [m.id for m in known.values() if m.id != this.id and studies.comparable(this, m)]
    if not options:
        return
    with st.popover("Choose runs", icon=":material/checklist:", key="study_choice",
                    on_change="rerun") as choice:
        if choice.open:
            st.multiselect("Runs beside this one", options,
                           format_func=lambda i: f"{known[i].run.name} [{i[-4:]}]", width=420,
                           placeholder="All that differ in one setting alone",
                           help="If empty, a curve takes all runs that differ from this one only in what it "
                                "shows, and in the seed. Only runs with the same images and classes can be "
                                "chosen.",
                           **follow(f"study_runs_{this.id}", [i for i in _picked(this) if i in options],
                                    st.session_state["study_runs"].__setitem__, this.id))


def _members(runs: Sequence[Run]) -> dict[str, Member]:
    """Id -> member, of the runs whose data are known."""
    by_id = {run.id: run for run in runs}
    return {row.id: Member(row, _native(by_id[row.id])) for row in run_feed.all_runs(RunStore())
            if row.n and row.id in by_id}


@st.cache_resource(max_entries=2000, show_spinner=False, hash_funcs={
    Run: lambda run: (str(run.folder), (run.folder / "data.json").exists())})
def _native(run: Run) -> int | None:
    return studies.native_side(run)


@st.cache_data(max_entries=2000, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def _value(run: Run, split: str, metric: str) -> tuple | None:
    """Value, low, high, from stored predictions; None where there are none. Nothing is predicted or opened
    here."""
    preds = stored_predictions(run, split)
    if preds is None:
        return None
    estimates, _ = metrics.estimate(preds.labels, preds.probs, run.data()["task"], preds.patients,
                                    names=[metric], each=(),
                                    draws=400)
    return estimates[metric].value, estimates[metric].low, estimates[metric].high


# ----------------------------------------------------------------------------------------- chart and table

def _color(kind: str, place: int) -> str:
    """Native sizes in the colour of a class, the rest in quieter ones."""
    if kind == NATIVE:
        return theme.CLASSES[2]
    return theme.QUIET if place < 2 else theme.CLASSES[5]


def _draw_curve(points: Sequence[Point], study: str, metric: str, key: str) -> None:
    """A line for each kind through the means; a dot for each run; a bar for the spread of each mean."""
    kinds = list(dict.fromkeys(point.kind for point in points))
    means = pd.DataFrame([{"x": p.x, "kind": p.kind, "mean": p.mean, "runs": len(p.values),
                           "low": p.mean - p.spread if p.spread is not None else p.low,
                           "high": p.mean + p.spread if p.spread is not None else p.high} for p in points])
    each = pd.DataFrame([{"x": p.x, "kind": p.kind, "value": value}
                         for p in points if len(p.values) > 1 for value in p.values.values()],
                        columns=["x", "kind", "value"])
    colors = {kind: _color(kind, place) for place, kind in enumerate(kinds)}
    values = "; ".join(f"{p.kind}, {p.x:,}: {METRICS[metric].title} {p.mean:.3f}" for p in points)
    show_chart(comparisons.study(means, each, METRICS[metric].title, STUDIES[study].across, colors,
                                 f"{STUDIES[study].title}: {values}", limits=METRICS[metric].range), key=key)


def _value_in_words(point: Point) -> str:
    if point.spread is None:
        return format_interval(point.mean, point.low, point.high)
    return f"{point.mean:.3f}, SD {format_number(point.spread)}"


def _draw_table(points: Sequence[Point], study: str, metric: str, key: str) -> None:
    frame = pd.DataFrame([{
        "x": p.x, "kind": p.kind, "runs": len(p.values),
        "value": _value_in_words(p)} for p in points])
    if frame["kind"].nunique() == 1 and study == "images":
        frame = frame.drop(columns="kind")
    st.dataframe(frame, key=key, hide_index=True, alt=f"{STUDIES[study].title} in numbers", column_config={
        "x": st.column_config.NumberColumn("Training images" if study == "images" else "Size (px)",
                                           format="%d"),
        "kind": st.column_config.TextColumn("Images",
                                            help="native: the originals have at least this size. upsampled: "
                                                 "they are smaller and were enlarged, which adds no detail."),
        "runs": st.column_config.NumberColumn("Runs", help="Repeats with other seeds."),
        "value": st.column_config.TextColumn(METRICS[metric].title, help=METRICS[metric].help)})
