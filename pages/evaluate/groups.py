"""The same predictions by image, study and patient; by a column of the set's table; experts on their own
part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import comparisons
from core.errors import LightboxError
from core.evaluation import experts, thresholds
from core.evaluation.predictions import Predictions
from core.evaluation.run_evaluation import RunEvaluation
from core.metrics import METRICS, MULTI_LABEL, groups
from core.metrics.estimates import Estimates
from core.metrics.groups import GroupEvaluation, GroupRow
from core.runs.store import Run
from pages.evaluate.results import grouped_evaluation, with_patients
from pages.shared.charts import show_chart
from pages.shared.filters import EMPTY, Column, columns_of
from pages.shared.layout import escape, format_interval, show_error
from pages.shared.open_data import open_set
from pages.shared.predictions import BY_THRESHOLD, dataset_rows, stored_predictions

BANDS = 4                  # quartiles of a column of numbers
MANY = 8                   # a column with more numbers than this is cut into quartiles
FEW = 10                   # with fewer images than this a group's metrics mean little
SHOWN = ("accuracy", "roc_auc", "sensitivity", "specificity", "cohen_kappa")
SHOWN_OF_MANY = ("accuracy", "roc_auc", "balanced_accuracy", "cohen_kappa")
Evaluated = RunEvaluation | GroupEvaluation | GroupRow
# a group of one image, or of one patient, is no group
NEVER = {"image_id", "path", "patient", "study", "split"}


@dataclass(frozen=True)
class Subject:
    """What is broken down.

    Args:
        result: of all images
        metrics: names of those that are shown for each group
        patients: (N,) of the images of the predictions; None where they are unknown
    """
    run: Run
    split: str
    preds: Predictions
    result: RunEvaluation
    metrics: tuple[str, ...]
    patients: np.ndarray | None = None


def draw_breakdown(run: Run, split: str, preds: Predictions, result: RunEvaluation,
                   runs: Sequence[Run]) -> None:
    """The section "Groups and patients"."""
    table = error = None
    try:
        # first, since old predictions get their patients from it
        data = open_set(run.config.data)
        table = data.table.iloc[dataset_rows(run, split, preds, data)]
    except LightboxError as refused:
        error = refused
    _draw_by_patient(run, split, with_patients(run, preds), result)
    st.header("By group", anchor=False,
              help="Metrics of the images with one value of a column. A network that is good overall may be "
                   "poor for some: for a body part, an age group, a hospital.")
    if error is not None:
        show_error(error)
        return
    _draw_constant_columns(table, data.target)
    columns = _columns(table, data.target)
    if not columns:
        st.markdown("The table of this data set has no column to group these images by. A set that is read "
                    "from a CSV keeps all its columns: age, sex, hospital, view.")
        return
    names = SHOWN if result.task in ("binary-class", MULTI_LABEL) else SHOWN_OF_MANY
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = columns[_choose("group_column", "Column", {name: c.title for name, c in columns.items()},
                                 "body_part" if "body_part" in columns else _fewest_values(columns))]
        metric = _choose("group_measure", "Metric in the chart", {m: METRICS[m].title for m in names},
                         "roc_auc")
    values = groups_of(table[column.name].to_numpy(), column)
    patients = table["patient"].to_numpy() if (table["patient"] != "").any() else None
    subject = Subject(run, split, preds, result, names, patients)
    rows = _rows(subject, column, values)
    # in a narrow window one below the other
    beside = st.container(horizontal=True, gap="medium")
    left, right = beside.container(width=400), beside.container(width=930)
    with left:
        _draw_dots(rows, metric, result.estimates[metric].value, column)
    with right:
        _draw_rows([({"group": row.group or EMPTY}, row) for row in rows], names, {"group": column.title},
                   f"groups_{column.name}", f"Metrics by {column.title}")
        if result.task == "binary-class":
            st.caption(f"Sensitivity, precision and average precision are of {escape(result.positive_class)}.")
        few = [row.group or EMPTY for row in rows if row.n < FEW]
        if few:
            st.caption(f"Fewer than {FEW} images: {escape(', '.join(few))}. A single image changes their "
                       "metrics visibly.")
    if not is_cut(column):
        _draw_experts(subject, dict(zip(preds.image_ids, values)), runs, column)


def _draw_constant_columns(table: pd.DataFrame, target: str) -> None:
    """What all images have in common."""
    names = [name for name in table if name not in NEVER | {target, "label", "width", "height"}]
    same = {name: table[name].iloc[0] for name in names
            if len(table) and table[name].nunique() == 1 and table[name].iloc[0]}
    if same:
        st.caption("All images: " + ", ".join(f"{escape(name.replace('_', ' '))} {escape(value)}"
                                              for name, value in same.items()) + ".")


# -------------------------------------------------------------------------------- by image, study and patient

def _draw_by_patient(run: Run, split: str, preds: Predictions, result: RunEvaluation) -> None:
    st.header("By image, study and patient", anchor=False,
              help="A radiologist reads a study, not a single image. Here the probabilities of all images of "
                   "a study, or of a patient, become one: their mean, as in MURA, or the largest of the positive class, for "
                   "what shows in one view only. Kappa by image and kappa by study "
                   "are different numbers: compare like with like.")
    pool = "mean"
    if preds.studies is not None or preds.patients is not None:
        pool = st.segmented_control("Probabilities of a study or patient", list(groups.POOLS), default="mean", required=True,
                                    format_func=lambda key: groups.POOLS[key][0], key="group_pool", persist_state="session")
    found = grouped_evaluation(run, split, preds, pool, result.positive)
    by_study, by_patient = (of and result.positive == 0 and of.for_positive(0) or of for of in found.values())
    by = {"image": result, "study": by_study, "patient": by_patient}
    if (unit := run.config.data.unit) != "image":            # what one prediction of this run is for
        by = {unit: result} | ({"patient": by_patient} if unit == "study" else {})
    rows = [({"group": f"by {name}"}, one) for name, one in by.items() if one]
    _draw_rows(rows, groups.GROUPED, {"group": "Unit"}, "by_patient", "Metrics by image, study and patient",
               "Images, studies or patients.", digits=3)
    missing = [name for name, one in by.items() if not one]
    notes = []
    if missing:
        notes = [f"No {' or '.join(missing)} has more than one of these images, or they are unknown."]
    notes += [f"By {name}, {one.left_out:,} of {one.n + one.left_out:,} are excluded: their images have "
              "different labels."
              for name, one in (("study", by_study), ("patient", by_patient)) if one and one.left_out]
    if notes:
        st.caption(" ".join(notes))


# ---------------------------------------------------------------------------------------------- by any column

def groups_of(values: np.ndarray, column: Column) -> list[str]:
    """Return the group of each value, as text: itself, or the quartile in which a number lies, as "38 to
    52"."""
    if not is_cut(column):
        return [str(value) for value in values]
    numbers = pd.to_numeric(pd.Series(values), errors="coerce")
    numbers = pd.Series(numbers.to_numpy(np.float64, na_value=np.nan))
    number = pd.qcut(numbers, BANDS, labels=False, duplicates="drop")
    names = {k: f"{part.min():g} to {part.max():g}" for k, part in numbers.groupby(number)}
    return [names.get(k, "") for k in number]


def is_cut(column: Column) -> bool:
    """Whether a column is cut into quartiles: many numbers are; few, and words, are groups as they stand."""
    numbers = pd.to_numeric(pd.Series([value for value in column.values if value]), errors="coerce")
    return not column.values or (len(column.values) > MANY and bool(numbers.notna().all()))


def _columns(table: pd.DataFrame, target: str) -> dict[str, Column]:
    """Columns with few values, or with numbers. The target is left out: each of its groups would be one
    class."""
    return {name: column for name, column in columns_of(table).items()
            if name not in NEVER | {target, "label"} and (column.values or column.low is not None)}


def _fewest_values(columns: Mapping[str, Column]) -> str:
    """The column to begin with."""
    return min(columns, key=lambda name: len(columns[name].values) or np.inf)


def _choose(name: str, label: str, options: Mapping[str, str], default: str) -> str:
    return st.selectbox(label, list(options), list(options).index(default), format_func=options.get,
                        width=220, key=name,
                        persist_state="session")


def _rows(subject: Subject, column: Column, values: Sequence[str]) -> list[GroupRow]:
    """The largest group first; of numbers the smallest, and those without a number last."""
    rows = _breakdown(subject.run, subject.split, subject.preds, subject.metrics, column.name, values,
                      subject.patients, subject.result.positive)
    if not is_cut(column):
        return rows
    return sorted(rows, key=lambda row: float(row.group.split()[0]) if row.group else np.inf)


@st.cache_data(max_entries=256, show_spinner="Evaluating each group ...", hash_funcs=BY_THRESHOLD)
def _breakdown(run: Run, split: str, preds: Predictions, metrics: Sequence[str], name: str,
               _values: Sequence[str],
               _patients: np.ndarray | None, positive: int) -> list[GroupRow]:
    """`core.metrics.groups.breakdown`. `name` stands for the values."""
    return groups.breakdown(preds.labels, preds.probs, run.data()["task"], _values, _patients, names=metrics,
                            threshold=thresholds.of(run), positive=positive)


def _draw_dots(rows: Sequence[GroupRow], name: str, overall: float | None, column: Column) -> None:
    """A dot and its interval for each group, and a line where all images together are."""
    shown = [(row.group or EMPTY, one.value, one.low, one.high, row.n)
             for row in rows for one in [row.estimates[name]] if one.value is not None]
    metric = METRICS[name]
    if not shown:
        st.markdown(f"{metric.title} is undefined in each of these groups.")
        return
    show_chart(comparisons.estimates(shown, metric.title, column.title, overall=overall, limits=metric.range),
               key="group_dots")
    if overall is not None:
        st.caption(f"Bars are 95 % intervals. The dashed line is the {metric.title} of all images, "
                   f"{overall:.3f}.")


def _draw_rows(rows: Sequence[tuple[Mapping, Evaluated]], names: Sequence[str], heads: Mapping[str, str],
               key: str, label: str, of: str = "Images.", digits: int = 2) -> None:
    """A row each: what it is, n, n positive, and metrics with their intervals."""
    estimates = [row.estimates for _, row in rows]
    positive = any(of[names[0]].n_positive is not None for of in estimates)
    frame = pd.DataFrame([{**named, "n": row.n,
                           **({"n_positive": row.estimates[names[0]].n_positive} if positive else {}),
                           **{name: format_interval(one.value, one.low, one.high, digits)
                              for name in names for one in [row.estimates[name]]}} for named, row in rows])
    st.dataframe(frame, hide_index=True, key=key, alt=label, height="content" if len(rows) <= 12 else 460,
                 column_config={
        head: st.column_config.TextColumn(title, pinned=True) for head, title in heads.items()} | {
        "n": st.column_config.NumberColumn("n", format="%d", width=60, help=of),
        "n_positive": st.column_config.NumberColumn("n positive", format="%d", width=80,
                                                    help="Those of the positive class.")} | {
        name: st.column_config.TextColumn(METRICS[name].title, alignment="right", help=(
            f"{METRICS[name].help} In brackets the 95 % interval: {_kinds(estimates, name)}"))
            for name in names})


def _kinds(estimates: Sequence[Estimates], name: str) -> str:
    kinds = dict.fromkeys(of[name].method for of in estimates if of[name].method)
    return (", ".join(kinds) or "none") + "."


# -------------------------------------------------------------------------------------- experts on their part

def _draw_experts(subject: Subject, part_of: Mapping[str, str], runs: Sequence[Run], column: Column) -> None:
    """Runs on one group only, beside this run on the same images. `part_of`: image id -> its group."""
    run, preds = subject.run, subject.preds
    others = {other.id: other for other in runs if other.id != run.id
              and _same_classes(other, subject.result)}
    stored = {i: stored_predictions(other, subject.split) for i, other in others.items()}
    stored = {i: theirs for i, theirs in stored.items() if theirs
              and len(theirs.image_ids) < len(preds.image_ids)}
    known = experts.find_experts(part_of, {i: theirs.image_ids for i, theirs in stored.items()})
    if not known:
        return
    st.header("Each expert on its own part", anchor=False,
              help="Runs whose images are all of one group, beside this run on the very same images. On "
                   "other images they would not be comparable.")
    rows = []
    for part, ids in known.items():
        for i in ids:
            ours, theirs = experts.same_images(preds.image_ids, stored[i].image_ids)
            patients = None if subject.patients is None else subject.patients[ours]
            for name, of, all_preds, kept in (("this run", run, preds, ours),
                                              (others[i].name, others[i], stored[i], theirs)):
                row, = _breakdown(of, subject.split, _subset(all_preds, kept), subject.metrics,
                                  f"{run.id} and {i}",
                                  [part] * len(kept), patients, subject.result.positive)
                rows.append(({"group": part, "network": name}, row))
    _draw_rows(rows, subject.metrics, {"group": column.title, "network": "Run"}, "experts",
               "Experts on their own part")


def _subset(preds: Predictions, kept: np.ndarray) -> Predictions:
    return Predictions(preds.labels[kept], preds.probs[kept], [preds.image_ids[i] for i in kept], preds.epoch)


def _same_classes(other: Run, result: RunEvaluation) -> bool:
    about = other.data()
    return about.get("task") == result.task and about.get("class_names") == list(result.class_names)
