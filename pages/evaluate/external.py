"""A run judged on another data set: which set, which class is which, and both sets side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from core.datasets import list_datasets
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.class_map import NO_FINDING, guess_map
from core.evaluation.external import COMPARED, MarkUse, evaluate_kept
from core.evaluation.external_predictions import (
    ExternalPredictions,
    external_titles,
    keep_map,
    load_external,
    open_external,
    predict_external,
)
from core.evaluation.external_result import ExternalEvaluation
from core.files import to_csv
from core.metrics import METRICS, MULTI_LABEL
from core.runs import checkpoints
from core.runs.marks import KINDS, marks_file, read_marks
from core.runs.store import Run
from pages.evaluate.confusion import confusion
from pages.evaluate.metrics import show_classes, show_warnings
from pages.evaluate.results import Overview, overview_of
from pages.shared.layout import (
    Chip,
    asked_param,
    choose_param,
    escape,
    format_interval,
    format_number,
    long_task,
    set_param,
    shorten,
)

OWN, NEW = "own", "new"
LEAVE_OUT = "leave out"
MANY = 30                     # classes of a set that are mapped on the page; of more, on the command line


def on_chip(run: Run) -> Chip:
    """On which images a run is judged: its own, those of a set that it was judged on before, or another one."""
    titles = {key: shorten(title, 40) for key, title in external_titles(run).items()}
    return Chip("on", "Judged on", {OWN: "Its own images"} | titles | {NEW: "Another data set ..."}, width=170)


def draw_external(run: Run, on: str, finding: str | None, draw_curves: Callable[[Overview, bool], None]) -> None:
    """Draw the choice of a set, or what is known of one.

    Args:
        on: a value of `on_chip` other than OWN
        draw_curves: draws ROC and precision-recall of an Overview

    Raises:
        LightboxError: what is wrong with the set, the run, or the map of classes
    """
    if checkpoints.best_epoch(run.checkpoints) is None:
        st.info("This run has not finished an epoch yet, so there is nothing to judge.")
        return
    if on == NEW:
        _draw_choice(run)
        return
    preds = _kept(run, on)
    if preds is None or preds.epoch != checkpoints.best_epoch(run.checkpoints):
        st.info("The predictions for this set are damaged, or of an earlier epoch.")
        if preds is not None:
            _judge_button(run, preds.dataset, preds.target, "Predict it again")
        else:
            _draw_choice(run)
        return
    if not preds.has_labels:
        _draw_predictions(run, preds)
        return
    _draw_map(run, preds)
    _draw_result(run, preds, _draw_marks(preds), finding, draw_curves)


# ---------------------------------------------------------------------------------------------- which data set

def _draw_choice(run: Run) -> None:
    st.markdown("**Judge this run on another data set**: another hospital, a later year. Its own size, resize, "
                "threshold and temperature stay as they are; nothing is chosen on the other set.")
    titles = {info.name: info.title for info in list_datasets() if info.available}
    asked = asked_param("set")                          # a link may name it
    names = list(dict.fromkeys([*titles, *([asked] if asked else [])]))
    on = st.selectbox("Data set", names, index=names.index(asked) if asked else None,
                      format_func=lambda name: titles.get(name, name), accept_new_options=True, key="external_set",
                      placeholder="A name, or the path of a folder, table, zip or .npz file")
    if on:
        _judge_button(run, on, "", "Judge the run on it")


def _judge_button(run: Run, on: str, target: str, label: str) -> None:
    """The button, and the work: with progress and Stop, and what was computed is kept."""
    judging = f"external_{run.id}"
    if st.session_state.get(judging) == on:
        with long_task(f"Judging on {shorten(on)}", key=judging) as progress:
            preds = predict_external(run, open_external(run, on, target, progress), progress)
        st.session_state.pop(judging)
        choose_param("on", preds.key)
        set_param("on", preds.key)
        st.rerun()
    st.button(label, type="primary", key=f"{judging}_go", on_click=st.session_state.__setitem__, args=(judging, on))


# ---------------------------------------------------------------------------------------------- which class is which

def _draw_map(run: Run, preds: ExternalPredictions) -> None:
    """A line for each class of the set: which class of the run it is. What was guessed can be changed."""
    ours, theirs = tuple(run.data()["class_names"]), list(preds.class_names)
    if preds.labels.ndim == 2 and run.data()["task"] != MULTI_LABEL and NO_FINDING not in theirs:
        theirs.append(NO_FINDING)
    try:
        pairs, fault = guess_map(preds.class_names, ours, preds.map).pairs, None
    except LightboxError as error:
        pairs, fault = {}, error
    if len(theirs) > MANY:
        st.caption(f"The set has {len(theirs)} classes. Map them with python -m core evaluate {run.id} --on D --map a=b.")
        return
    with st.expander("Classes of this set", expanded=fault is not None, key=f"external_classes_{preds.key}"):
        with st.form(f"external_map_{run.id}_{preds.key}", border=False):
            st.caption("Which class of the run each class of the set is. Images of a class that is left out are not judged.")
            columns, chosen = st.columns(min(4, len(theirs))), {}
            for k, name in enumerate(theirs):
                now = pairs.get(name)
                chosen[name] = columns[k % len(columns)].selectbox(
                    shorten(name, 40), (LEAVE_OUT, *ours), index=0 if now is None else 1 + ours.index(now),
                    key=f"external_map_{run.id}_{preds.key}_{k}")
            if st.form_submit_button("Use these classes"):
                keep_map(run, preds.key, {name: "" if to == LEAVE_OUT else to for name, to in chosen.items()
                                          if name != NO_FINDING or to != LEAVE_OUT})
                st.rerun()


def _draw_marks(preds: ExternalPredictions) -> MarkUse:
    """What is done with marked images; nothing to choose where none is marked."""
    marks = read_marks(preds.dataset)
    kinds = [kind for kind in KINDS if any(mark.kind == kind for mark in marks.values())]
    corrected = sum(bool(mark.label) for mark in marks.values())
    out, correct = (), False
    if kinds:
        out = st.pills("Leave out images marked", kinds, format_func=KINDS.get, selection_mode="multi",
                       key=f"external_marked_{preds.key}")
    if corrected:
        correct = st.toggle(f"Take the {corrected:,} corrected label{'s' if corrected > 1 else ''}",
                            key=f"external_corrected_{preds.key}")
    return MarkUse(tuple(out), correct)


# ---------------------------------------------------------------------------------------------- what comes out

def _draw_result(run: Run, preds: ExternalPredictions, marks: MarkUse, finding: str | None,
                 draw_curves: Callable[[Overview, bool], None]) -> None:
    external = _evaluated(run, preds, marks)
    show_warnings(external.result.warnings)
    if external.result.positive_class:
        st.caption(f"Positive class: {escape(external.result.positive_class)}.")
    st.html(_table_html(external))
    for sentence in external.sentences():
        st.caption(escape(sentence))
    for name, one in external.without_shared.items():
        st.caption(escape(f"{METRICS[name].title} without the images that it was trained on: "
                          f"{format_interval(one.value, one.low, one.high)} (n = {one.n:,})."))
    if external.temperature:
        values = ", ".join(f"{METRICS[name].title.lower()} {format_number(value)}" for name, value in external.calibrated.items())
        st.caption(escape(f"With the run's temperature ({external.temperature:.2f}): {values}."))
    left, right = st.columns([45, 55], gap="large")
    if external.judged.probs.shape[1] != len(run.data()["class_names"]):
        with left:
            show_classes(external.result, key=f"external_classes_table_{preds.key}")
        return
    overview = overview_of(run, f"external-{preds.key}-{hash((str(external.classes.pairs), marks))}", external.judged, finding,
                          external.result.positive)
    with left:
        st.header("Confusion matrix", anchor=False, help="Rows are the true class, columns the predicted class.")
        confusion(overview.matrix, overview.names, overview.positive, key=f"external_matrix_{preds.key}_{overview.finding}")
        show_classes(external.result, key=f"external_classes_table_{preds.key}")
    with right:
        draw_curves(overview, True)


def _table_html(external: ExternalEvaluation) -> str:
    """The metrics of both sets and their difference, a row each."""
    own = {"": "", "test": "Its own test set", "val": "Its own validation"}[external.own_split]
    rows = []
    for name in COMPARED:
        one = external.result.estimates[name]
        if one.value is None:
            continue
        cells = [METRICS[name].title, format_interval(one.value, one.low, one.high)]
        if external.own:
            other, gap = external.own.estimates[name], external.differences.get(name)
            cells += [format_interval(other.value, other.low, other.high),
                      format_interval(gap.value, gap.low, gap.high) if gap else "-"]
        rows.append(cells)
    rows.append(["Images", f"{external.result.n:,}", *([f"{external.own.n:,}", ""] if external.own else [])])
    head = ["", shorten(external.predictions.title, 40), *([own, "Difference"] if own else [])]
    return pd.DataFrame(rows, columns=head).to_html(index=False, border=0, classes="lb-external", justify="left", escape=True)


def _draw_predictions(run: Run, preds: ExternalPredictions) -> None:
    """A set without labels: what the run predicts, to look at and to download."""
    st.markdown(f"**{escape(preds.title)}** has no labels, so nothing can be judged on it. This is what the run predicts for "
                f"its {len(preds.probs):,} images.")
    names = run.data()["class_names"]
    called = preds.probs > 0.5 if run.data()["task"] == MULTI_LABEL else np.eye(len(names))[preds.probs.argmax(axis=1)]
    st.dataframe(pd.DataFrame({"class": names, "predicted": called.sum(axis=0).astype(int)}), hide_index=True, width="content")
    rows = ([name, *(f"{p:.6f}" for p in row)] for name, row in zip(preds.image_ids, preds.probs))
    text = to_csv(["image_id", *(f"prob_{name}" for name in names)], rows)
    st.download_button("Download the predictions (CSV)", text, f"{run.id}-{preds.key}.csv", "text/csv")


def _version(run: Run, key: str) -> tuple:
    """What changes when the files of a set's predictions do."""
    files = (run.folder / "external" / key / name for name in ("about.json", "predictions.npz"))
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


def _kept(run: Run, key: str) -> ExternalPredictions | None:
    return _load(run, (str(run.folder), key, _version(run, key)))


@st.cache_resource(max_entries=16, show_spinner=False)
def _load(_run: Run, known_by: tuple) -> ExternalPredictions | None:
    return load_external(_run, known_by[1])


def _evaluated(run: Run, preds: ExternalPredictions, marks: MarkUse) -> ExternalEvaluation:
    changed = marks_file(preds.dataset)
    known_by = (str(run.folder), preds.key, _version(run, preds.key), repr(thresholds.of(run)), marks, run.times_test_opened(),
                changed.stat().st_mtime_ns if changed.exists() else 0)
    return _evaluate(run, preds, marks, known_by)


@st.cache_resource(max_entries=32, show_spinner="Evaluating: all metrics with their intervals ...")
def _evaluate(_run: Run, _preds: ExternalPredictions, _marks: MarkUse, known_by: tuple) -> ExternalEvaluation:
    return evaluate_kept(_run, _preds, marks=_marks)
