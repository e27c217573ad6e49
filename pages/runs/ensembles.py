"""An ensemble on the page Runs: what it is, its members, what was fitted; and of a member, which ensembles it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import members as charts
from core.evaluation.member_table import MemberRow, auc_of, coefficients_of, member_rows
from core.metrics import METRICS
from core.metrics.estimates import Estimate
from core.runs.ensembles import fitted_of
from core.runs.members import EPOCH
from core.runs.run import Run
from core.runs.summary import RunSummary
from pages.shared.charts import show_chart
from pages.shared.layout import escape, format_interval, format_number, format_seconds, go, link, shorten

NAME = 60                # characters of a member's name
SHOWN = 6                # ensembles of a member that are named


def draw_ensemble(run: Run, row: RunSummary) -> None:
    """Draw what an ensemble is: how it combines, what it reaches, its members with a link to each."""
    spec, rows = run.ensemble, member_rows(run)
    st.markdown(escape(spec.about), width="content")
    for one in rows:
        if one.problem:
            st.warning(escape(one.problem))
    with st.container(horizontal=True, gap="medium", key="run_numbers"):
        for label, value, help in _headline(rows, row):
            st.metric(label, value, help=help, width="content")
    st.subheader("Members", anchor=False, help="ROC AUC of each is on its own validation images, of one part or one fold where "
                 "it learned only that, with its 95 % interval and the number of images.")
    with st.container(key="members", gap="xsmall"):
        for one in rows:
            _draw_member(one)
        _draw_line(f"**{escape(spec.title)}**", f"{run.config.data.size} px", "", _auc(auc_of(run, EPOCH)))


def _headline(rows: Sequence[MemberRow], row: RunSummary) -> list[tuple[str, str, str]]:
    fitted = " What was fitted was fitted on other patients of validation." if row.ensemble in (
        "weighted", "greedy", "stacking", "mlp", "rank") else ""
    return [("Members", str(len(rows)), "Networks that predict together."),
            *((METRICS[name].title, format_number(row.value(name)), f"{METRICS[name].help} On the validation images.{fitted}")
              for name in ("roc_auc", "accuracy")),
            ("Time of all members", format_seconds(row.seconds), "Training and validation, summed over the members.")]


def _draw_member(one: MemberRow) -> None:
    name = shorten(one.member.name, NAME)
    what = ", ".join(filter(None, (one.network, f"{one.size} px" if one.size else "", one.images))) or "deleted"
    weight = "" if one.weight is None else f"weight {one.weight:.2f}"
    _draw_line(name, what, weight, _auc(one.auc), run_id=one.member.run if one.network else "")


def _draw_line(name: str, what: str, weight: str, auc: str, run_id: str = "") -> None:
    cells = st.columns([34, 30, 12, 34], vertical_alignment="center", gap="small")
    with cells[0]:
        if run_id:
            link(escape(name), "runs", run=run_id)
        else:
            st.markdown(name)
    for place, text in zip(cells[1:], (what, weight, auc)):
        if text:
            place.markdown(escape(text))


def _auc(auc: Estimate) -> str:
    return "ROC AUC " + (f"{format_interval(auc.value, auc.low, auc.high)}, n {auc.n:,}" if auc.n else "not known")


def draw_memberships(run: Run, rows: Sequence[RunSummary]) -> None:
    """Draw the ensembles that a run is a member of, with a link to each; nothing where it is of none."""
    found = [row for row in rows if run.id in row.members]
    if not found:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="member_of"):
        st.markdown("Member of", width="content")
        for row in found[:SHOWN]:
            link(escape(shorten(row.name, NAME)), "runs", run=row.id)
        if len(found) > SHOWN:
            st.caption(f"and {len(found) - SHOWN} more", width="content")


def losing(run_id: str, rows: Sequence[RunSummary]) -> str:
    """Return a sentence on which ensembles lose a member when a run is deleted, "" where none does. A soup needs its members no
    more."""
    names = [shorten(row.name, NAME) for row in rows if run_id in row.members and not row.has_weights]
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (f"It is a member of {', '.join(names[:SHOWN])}{more}. What {'these have' if len(names) > 1 else 'it has'} predicted "
            "stays, but new images can no longer be predicted.")


def draw_open(run: Run) -> None:
    """Draw the button that opens the members on the page Ensemble."""
    if st.button("Open in Ensemble", key="run_open_ensemble", icon=":material/hub:",
                 help="Its members beside each other: how they disagree, what each adds, other ways to combine them."):
        go("ensemble", members=",".join(member.address for member in run.ensemble.members))


def draw_members_fitted(run: Run) -> None:
    """Draw the members as a table, and what was fitted on validation."""
    spec, rows = run.ensemble, member_rows(run)
    st.caption(f"{escape(spec.about)} Code of the run: `{run.code}`")
    st.dataframe(pd.DataFrame([{
        "Member": one.member.name, "Run": one.member.run, "Epoch": one.member.epoch, "Network": one.network or "deleted",
        "Size": one.size or None, "Images": one.images or "all", "Weight": one.weight, "ROC AUC": one.auc.value,
        "n": one.auc.n or None, "Weights (SHA-256)": one.member.sha256[:12]} for one in rows]), hide_index=True,
        key="members_table", height="content", alt="Members of this ensemble", column_config={
            "Weight": st.column_config.NumberColumn(format="%.3f"), "ROC AUC": st.column_config.NumberColumn(format="%.3f"),
            "Size": st.column_config.NumberColumn(format="%d px")})
    fitted = {} if spec.is_soup else fitted_of(run)
    names = [group[0].name if len(group) == 1 else f"{group[0].name} and {len(group) - 1} more folds" for group in spec.columns]
    if "weights" in fitted:
        st.markdown("**Weights** fitted on validation")
        show_chart(charts.weights("Weight", list(zip(names, fitted["weights"].tolist()))), key="run_weights")
    if "curve" in fitted:
        added = [names[m] for m in fitted["order"].astype(int)]
        show_chart(charts.growth(fitted["curve"].tolist(), added, int(fitted["kept"])), key="run_growth")
    if found := coefficients_of(spec, fitted):
        title, values = found
        st.markdown("**Coefficients** of the logistic regression, fitted on validation")
        show_chart(charts.weights(title, list(zip(names, values))), key="run_coefficients")
    if not fitted and not spec.is_soup:
        st.caption("Nothing was fitted: this way needs no labels.")
    elif spec.on_features or spec.how in ("mlp", "rank", "experts"):
        numbers = sum(value.size for value in fitted.values())
        what = ", ".join(name.replace("_", " ") for name in fitted)
        st.caption(f"{numbers:,} numbers were fitted on validation: {escape(what)}.")
