"""Evaluate: how good a run is, in numbers."""

import streamlit as st

from core import metrics
from core.errors import LightboxError
from core.metrics import METRICS, MULTI_LABEL
from core.runs import Run, RunStore
from ui import theme
from ui.charts import show_roc
from ui.confusion import confusion
from ui.judging import (
    answers_of,
    measures,
    number,
    one_finding,
    roc_curves,
    show_headline,
    show_notes,
    show_per_class,
    split_chip,
)
from ui.shell import empty, get_param, go, next_step, page_header, run_chip, set_param, show_error


def show(run: Run, split: str) -> None:
    found = answers_of(run, split)
    result = measures(run, split, found)
    show_headline(result)
    show_notes(result["notes"])
    labels, probs, task, names, k = found.labels, found.probs, result["task"], result["class_names"], None
    beside = st.container(horizontal=True, gap="large")              # on a narrow screen one below the other
    left, right = beside.container(width=720), beside.container(width=600)
    if task == MULTI_LABEL:
        with left:
            k = choose_finding(names)
        labels, probs = one_finding(labels, probs, k)
        task, names = "binary-class", [f"no {names[k]}", names[k]]
    matrix = metrics.confusion_matrix(labels, metrics.predict(probs, task), len(names))
    with left:
        st.subheader("Confusion matrix", anchor=False, help="Rows are the truth, columns the answers; shares are of the row. "
                     "A click on a cell shows its images.")
        cell = confusion(matrix, names, key=f"matrix_{run.id}_{split}_{k}")
        if cell:
            go("errors", run=run.id, split=split, true=str(cell[0]), predicted=str(cell[1]),
               finding=None if k is None else str(k))
        show_per_class(result, key="per_class")
    with right:
        show_curves(labels, probs, task, names, matrix, k)


def choose_finding(names: list[str]) -> int:
    """Which of several findings the matrix and the curve are about; it stands in the address."""
    before = number(get_param("finding"), len(names)) or 0
    k = st.selectbox("Finding", range(len(names)), index=before, format_func=names.__getitem__, width=300)
    set_param("finding", str(k))
    return k


def show_curves(labels, probs, task, names, matrix, k: int | None) -> None:
    st.subheader("ROC curve", anchor=False, help=f"{METRICS['roc_auc'].help} The curve shows every threshold at once: how many "
                 "are found, against how many false alarms that costs.")
    curves = roc_curves(labels, probs, task, names)
    point = None
    if task == "binary-class" and curves:
        point = (1 - metrics.specificity(matrix)[1], metrics.sensitivity(matrix)[1])
    if not curves:
        st.markdown("There is no curve: every image here has the same class.")
        return
    show_roc({names[c]: curve for c, curve in curves.items()}, key=f"roc_{k}", point=point,
             colors=[theme.class_color(c if k is None else k) for c in curves], point_label="threshold 0.5")
    if point:
        st.caption(f"The dot is the threshold 0.5: sensitivity {point[1]:.3f}, specificity {1 - point[0]:.3f}.")
    elif len(curves) > 1:
        st.caption("Each class against all the others.")


runs = RunStore().list()
if not runs:
    page_header("Evaluate")
    empty("There is no run yet. Train a small network; it takes a few minutes.", "Train a network", "train")
else:
    run_id, split = page_header("Evaluate", run_chip(runs), split_chip())
    try:
        show(next(run for run in runs if run.id == run_id), split)
    except LightboxError as error:
        show_error(error)
    next_step("Next: look at its mistakes", "errors", run=run_id, split=split)
