"""The same answers counted otherwise: by image, study and patient; by a column of the set's table; experts on their own part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import LightboxError
from core.evaluation import experts, thresholds
from core.evaluation.evaluate import RunEvaluation
from core.evaluation.predictions import Predictions
from core.metrics import METRICS, MULTI_LABEL, groups
from core.metrics.estimates import Estimates
from core.metrics.groups import GroupEvaluation, GroupRow
from core.runs.store import Run
from pages.shared import theme
from pages.shared.filters import EMPTY, Column, columns_of
from pages.shared.layout import escape, format_interval, show_error
from pages.shared.open_data import open_set
from pages.shared.predictions import by_people, rows_of, stamp, stored
from pages.shared.widget_state import follow

BANDS = 4                  # of a column of numbers: a quarter of the images in each
MANY = 8                   # a column of numbers with more of them than this is cut into bands
FEW = 10                   # with fewer images than this a group's numbers say little
SHOWN = ("accuracy", "roc_auc", "sensitivity", "specificity", "cohen_kappa")
SHOWN_OF_MANY = ("accuracy", "roc_auc", "balanced_accuracy", "cohen_kappa")
Evaluated = RunEvaluation | GroupEvaluation | GroupRow
NEVER = {"image_id", "path", "patient", "study", "split"}          # a group of one image, or of one person, is no group


def draw_breakdown(run: Run, split: str, found: Predictions, result: RunEvaluation, runs: Sequence[Run]) -> None:
    """The part "Groups" of the page Evaluate."""
    data = error = None
    try:
        data = open_set(run.config.data)                       # first, since old answers get their patients from it
    except LightboxError as refused:
        error = refused
    _draw_people(result, **by_people(run, split, found))
    st.header("By group", anchor=False, help="The images with one value of a column, judged by themselves. A network that is "
                 "good on the whole may be bad for some: for a part of the body, an age, a hospital.")
    try:
        if error is not None:
            raise error
        table = data.table.iloc[rows_of(run, split, found, data)]
    except LightboxError as refused:
        show_error(refused)
        return
    columns = _columns(table, data.target)
    same = {name: table[name].iloc[0] for name in table if name not in NEVER | {data.target, "label", "width", "height"}
            and len(table) and table[name].nunique() == 1 and table[name].iloc[0]}
    if same:
        st.caption("All of these images: " + ", ".join(f"{escape(name.replace('_', ' '))} {escape(value)}"
                                                       for name, value in same.items()) + ".")
    if not columns:
        st.markdown("The table of this set has no column that would cut these images into groups. A set that is read from a "
                    "table keeps all of its columns: age, sex, hospital, view.")
        return
    names = SHOWN if result.task in ("binary-class", MULTI_LABEL) else SHOWN_OF_MANY
    with st.container(horizontal=True, vertical_alignment="bottom"):
        column = columns[_choose("group_column", "Column", {name: c.title for name, c in columns.items()},
                                 "body_part" if "body_part" in columns else _plainest(columns))]
        measure = _choose("group_measure", "Measure in the picture", {m: METRICS[m].title for m in names}, "roc_auc")
    values = groups_of(table[column.name].to_numpy(), column)
    patients = table["patient"].to_numpy() if (table["patient"] != "").any() else None
    rows = _rows(run, split, found, result, column, values, patients, names)
    beside = st.container(horizontal=True, gap="medium")               # in a narrow window one below the other
    left, right = beside.container(width=400), beside.container(width=930)
    with left:
        _draw_dots(rows, measure, result.estimates[measure].value, column)
    with right:
        _draw_rows([({"group": row.group or EMPTY}, row) for row in rows], names, {"group": column.title},
                   f"groups_{column.name}", f"Measures by {column.title}")
        few = [row.group or EMPTY for row in rows if row.n < FEW]
        if few:
            st.caption(f"Fewer than {FEW} images: {escape(', '.join(few))}. One image more or less changes those visibly.")
    if not is_cut(column):
        _draw_experts(run, split, found, result, dict(zip(found.image_ids, values)), patients, runs, names, column)


# ------------------------------------------------------------------------------------------- by image, study and patient

def _draw_people(result: RunEvaluation, by_study: GroupEvaluation | None, by_patient: GroupEvaluation | None) -> None:
    by = {"image": result, "study": by_study, "patient": by_patient}
    st.header("By image, study and patient", anchor=False, help="A radiologist calls a study, not a picture. The "
                 "probabilities of all views of a study, or of a patient, are averaged, and the mean is the answer, as in MURA. "
                 "Kappa by image and kappa by study are different numbers: compare like with like.")
    rows = [({"group": f"by {name}"}, one) for name, one in by.items() if one]
    _draw_rows(rows, groups.GROUPED, {"group": "Counted"}, "by_people", "Measures by image, study and patient",
               "Images, studies or patients.", digits=3)
    missing = [name for name in ("study", "patient") if not by[name]]
    said = [f"No {' or '.join(missing)} has two of these images, or none is known."] if missing else []
    said += [f"By {name}, {by[name].left_out:,} of {by[name].n + by[name].left_out:,} are left out: their images have "
             "different labels." for name in ("study", "patient") if by[name] and by[name].left_out]
    if said:
        st.caption(" ".join(said))


# -------------------------------------------------------------------------------------------------------- by any column

def groups_of(values: np.ndarray, column: Column) -> list[str]:
    """The group of each value, as text: itself, or the quarter of the images in which a number lies, as "38 to 52"."""
    if not is_cut(column):
        return [str(value) for value in values]
    numbers = pd.Series(pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64, na_value=np.nan))
    number = pd.qcut(numbers, BANDS, labels=False, duplicates="drop")
    names = {k: f"{part.min():g} to {part.max():g}" for k, part in numbers.groupby(number)}
    return [names.get(k, "") for k in number]


def is_cut(column: Column) -> bool:
    """Whether a column is cut into bands: many numbers are, few, and words, are groups as they stand."""
    numbers = pd.to_numeric(pd.Series([value for value in column.values if value]), errors="coerce")
    return not column.values or (len(column.values) > MANY and bool(numbers.notna().all()))


def _columns(table: pd.DataFrame, target: str) -> dict[str, Column]:
    """Columns with few values, or with numbers. What is to be learned is left out: each of its groups would be one class."""
    return {name: column for name, column in columns_of(table).items()
            if name not in NEVER | {target, "label"} and (column.values or column.low is not None)}


def _plainest(columns: Mapping[str, Column]) -> str:
    """The column to begin with: the one with the fewest values."""
    return min(columns, key=lambda name: len(columns[name].values) or np.inf)


def _choose(name: str, label: str, options: Mapping[str, str], wish: str) -> str:
    kept = st.session_state.setdefault("groups_kept", {})
    if kept.get(name) not in options:
        kept[name] = wish if wish in options else next(iter(options))
    st.selectbox(label, list(options), format_func=options.get, width=220, **follow(name, kept[name], kept.__setitem__, name))
    return kept[name]


def _rows(run: Run, split: str, found: Predictions, result: RunEvaluation, column: Column, values: Sequence[str],
          patients: np.ndarray | None, names: Sequence[str]) -> list[GroupRow]:
    """The largest group first; of numbers the smallest, and those without a number last."""
    rows = _known_rows(str(run.folder), split, stamp(run), column.name, repr(thresholds.of(run)), tuple(names), found,
                       result.task, values, patients, thresholds.of(run))
    lowest = {row.group: float(row.group.split()[0]) if row.group else np.inf for row in rows} if is_cut(column) else {}
    return sorted(rows, key=lambda row: lowest.get(row.group, 0))


@st.cache_data(max_entries=256, show_spinner="Judging each group ...")
def _known_rows(folder: str, split: str, stamp: int, column: str, threshold: str, names: tuple[str, ...], _found: Predictions,
                _task: str, _values: Sequence[str], _patients: np.ndarray | None, _threshold) -> list[GroupRow]:
    return groups.breakdown(_found.labels, _found.probs, _task, _values, _patients, names=names, threshold=_threshold)


def _draw_dots(rows: Sequence[GroupRow], measure: str, overall: float | None, column: Column) -> None:
    """A dot and its interval for each group, and a line where all images together are."""
    shown = [{"group": row.group or EMPTY, "value": one.value, "low": one.low, "high": one.high, "n": row.n}
             for row in rows for one in [row.estimates[measure]] if one.value is not None]
    if not shown:
        st.markdown(f"{METRICS[measure].title} is undefined in each of these groups.")
        return
    up = {"field": "group", "type": "nominal", "sort": [row["group"] for row in shown], "title": None,
          "axis": {"labelLimit": 150, "ticks": False, "domain": False, "grid": False}}

    def across(field: str) -> dict:
        return {"field": field, "type": "quantitative", "title": METRICS[measure].title, "scale": {"zero": False, "padding": 8},
                "axis": {"tickCount": 5, "titlePadding": 4}}
    color = theme.CLASSES[2]
    layers = [{"mark": {"type": "rule", "strokeWidth": 2, "color": color, "opacity": .55},
               "encoding": {"x": across("low"), "x2": {"field": "high"}}},
              {"mark": {"type": "point", "filled": True, "size": 80, "color": color, "opacity": 1},
               "encoding": {"x": across("value"), "tooltip": [
                   {"field": "group", "title": column.title}, {"field": "n", "title": "images"},
                   {"field": "value", "title": METRICS[measure].title, "format": ".3f"},
                   {"field": "low", "format": ".3f"}, {"field": "high", "format": ".3f"}]}}]
    if overall is not None:
        layers.insert(0, {"data": {"values": [{"all": overall}]}, "encoding": {"y": None, "x": across("all"), "tooltip": [
            {"field": "all", "title": "all images", "format": ".3f"}]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "color": theme.QUIET}})
    st.vega_lite_chart({"height": 30 * len(shown) + 50, "padding": {"left": 0, "right": 6, "top": 6, "bottom": 0},
                        "data": {"values": shown}, "encoding": {"y": up}, "layer": layers}, key="group_dots", width="stretch",
                       alt=f"{METRICS[measure].title} by {column.title}: " + "; ".join(
                           f"{row['group']} {format_interval(row['value'], row['low'], row['high'])}" for row in shown))
    if overall is not None:
        st.caption(f"Bars are 95 % intervals. The dashed line is {METRICS[measure].title} of all images, {overall:.3f}.")


def _draw_rows(rows: Sequence[tuple[Mapping, Evaluated]], names: Sequence[str], heads: Mapping[str, str], key: str, label: str,
               of: str = "Images.", digits: int = 2) -> None:
    """A row each: what it is, n, n positive, and measures with their intervals."""
    estimates = [row.estimates for _, row in rows]
    positive = any(of[names[0]].n_positive is not None for of in estimates)
    frame = pd.DataFrame([{**named, "n": row.n,
                           **({"n_positive": row.estimates[names[0]].n_positive} if positive else {}),
                           **{name: format_interval(one.value, one.low, one.high, digits)
                              for name in names for one in [row.estimates[name]]}} for named, row in rows])
    st.dataframe(frame, hide_index=True, key=key, alt=label, height="content" if len(rows) <= 12 else 460, column_config={
        head: st.column_config.TextColumn(title, pinned=True) for head, title in heads.items()} | {
        "n": st.column_config.NumberColumn("n", format="%d", width=60, help=of),
        "n_positive": st.column_config.NumberColumn("n positive", format="%d", width=80,
                                                    help="Those of the class that is looked for.")} | {
        name: st.column_config.TextColumn(METRICS[name].title, alignment="right", help=(
            f"{METRICS[name].help} In brackets the 95 % interval: {_kind(estimates, name)}")) for name in names})


def _kind(estimates: Sequence[Estimates], name: str) -> str:
    kinds = dict.fromkeys(of[name].method for of in estimates if of[name].method)
    return (", ".join(kinds) or "none") + "."


# ------------------------------------------------------------------------------------------------- experts on their part

def _draw_experts(run: Run, split: str, found: Predictions, result: RunEvaluation, part_of: Mapping[str, str],
                  patients: np.ndarray | None, runs: Sequence[Run], names: Sequence[str], column: Column) -> None:
    others = {other.id: other for other in runs if other.id != run.id and _asks_the_same(other, result)}
    answers = {i: answer for i, other in others.items()
               if (answer := stored(other, split)) is not None and len(answer.image_ids) < len(found.image_ids)}
    known = experts.find_experts(part_of, {i: answer.image_ids for i, answer in answers.items()})
    if not known:
        return
    st.header("Every expert on its own part", anchor=False, help="Runs whose images are all of one group, beside this run on "
                 "the very same images. An expert that is scored on anything else looks like something else than it is.")
    rows = []
    for part, ids in known.items():
        for i in ids:
            ours, theirs = experts.same_images(found.image_ids, answers[i].image_ids)
            for name, judged, kept, of in (("this run", found, ours, run), (others[i].name, answers[i], theirs, others[i])):
                row, = _known_rows(str(of.folder), split, stamp(of), f"{run.id} and {i}", repr(thresholds.of(of)), tuple(names),
                                   _part(judged, kept), result.task, [part] * len(kept),
                                   None if patients is None else patients[ours], thresholds.of(of))
                rows.append(({"group": part, "network": name}, row))
    _draw_rows(rows, names, {"group": column.title, "network": "Run"}, "experts", "Experts on their own part")


def _part(found: Predictions, kept: np.ndarray) -> Predictions:
    return Predictions(found.labels[kept], found.probs[kept], [found.image_ids[i] for i in kept], found.epoch)


def _asks_the_same(other: Run, result: RunEvaluation) -> bool:
    about = other.data()
    return about.get("task") == result.task and about.get("class_names") == list(result.class_names)
