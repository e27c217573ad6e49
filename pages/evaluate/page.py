"""Evaluate: how good a run is, in numbers, and how far they can be believed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from core.errors import LightboxError
from core.evaluation.evaluate import RunEvaluation
from core.evaluation.predictions import Predictions
from core.metrics import METRICS
from core.runs.store import Run, RunStore
from pages.evaluate.calibration import draw_calibration
from pages.evaluate.confusion import confusion
from pages.evaluate.groups import draw_breakdown
from pages.evaluate.metrics import show_alarms, show_all, show_classes, show_headline
from pages.evaluate.studies import draw_studies
from pages.evaluate.threshold import draw_threshold
from pages.shared import theme
from pages.shared.charts import show_precision_recall, show_roc
from pages.shared.downloads import draw_take_away
from pages.shared.layout import (
    asked_among,
    asked_param,
    choose_param,
    empty,
    escape,
    get_param,
    go,
    next_step,
    page_header,
    run_chip,
    set_param,
    show_error,
)
from pages.shared.predictions import (
    Judgement,
    answers_of,
    current_run,
    finding_chip,
    fit_baseline,
    forget_on_change,
    judge,
    measures,
    split_chip,
)
from pages.shared.widget_state import follow

MATRIX_BESIDE = 5          # classes: a larger matrix takes more than half of the page


@dataclass(frozen=True)
class Looked:
    """What the page looks at."""
    run: Run
    split: str
    found: Predictions
    judged: Judgement

    @cached_property
    def result(self) -> RunEvaluation:
        """Every measure with its interval."""
        return measures(self.run, self.split, self.found)


def show_overview(at: Looked) -> None:
    """The confusion matrix, whose cells open their images, and the curves behind it."""
    judged, k = at.judged, at.judged.finding
    few = len(judged.names) <= MATRIX_BESIDE
    beside = st.container(horizontal=True, gap="medium")             # on a narrow screen one below the other
    wide = 500 if len(judged.names) <= 3 else 610 if few else 780
    left, right = beside.container(width=wide), beside.container(width=1240 - wide, key="judged_curves")
    with left:
        st.header("Confusion matrix", anchor=False, help="Rows are the truth, columns the answers; shares are of the row. "
                     "A click on a cell shows its images.")
        cell = confusion(judged.matrix, judged.names, key=f"matrix_{at.run.id}_{at.split}_{k}")
        if cell:
            go("errors", run=at.run.id, split=at.split, true=str(cell[0]), predicted=str(cell[1]),
               finding=None if k is None else str(k))
        show_classes(at.result, key="per_class")
    with right:
        show_curves(judged, few)


def show_curves(judged: Judgement, beside: bool) -> None:
    """Those of the order of the scores, side by side or one below the other."""
    if not judged.curves:
        st.header("ROC curve", anchor=False)
        st.markdown("There is no curve: every image here has the same class.")
        return
    places = st.columns(2, gap="medium") if beside else (st.container(), st.container())
    with places[0]:
        show_roc_of(judged)
    with places[1]:
        show_precision_recall_of(judged)


def show_roc_of(judged: Judgement) -> None:
    st.header("ROC curve", anchor=False, help=f"{METRICS['roc_auc'].help} The curve shows every threshold at once: how many "
                 "are found, against how many false alarms that costs.")
    point = judged.point
    show_roc(named(judged, judged.curves), key=f"roc_{judged.finding}", point=point, colors=colors_of(judged),
             point_label=f"threshold {judged.threshold:.2g}" if point else "")
    if point:
        st.caption(f"The dot is the threshold {judged.threshold:.2g}: sensitivity {point[1]:.3f}, "
                   f"specificity {1 - point[0]:.3f}.")
    elif len(judged.curves) > 1:
        st.caption("Each class against all the others.")


def show_precision_recall_of(judged: Judgement) -> None:
    st.header("Precision and recall", anchor=False, help="Of the images that are called, how many are right, against how many "
                 "are found (recall is another word for sensitivity). Where a finding is rare, this curve falls long before the "
                 "ROC curve does.")
    point = judged.pr_point
    show_precision_recall(named(judged, judged.pr_curves), key=f"pr_{judged.finding}", point=point, colors=colors_of(judged),
                          point_label=f"threshold {judged.threshold:.2g}" if point else "", share=judged.share)
    if judged.share is not None:
        st.caption((f"At the dot the precision is {point[1]:.3f}. " if point else "") +
                   f"Guessing: {judged.share:.3f}, the share of {escape(judged.names[1])} among these images.")


def named(judged: Judgement, curves: dict) -> dict:
    return {judged.names[c]: curve for c, curve in curves.items()}


def colors_of(judged: Judgement) -> list[str]:
    return [theme.class_color(c if judged.finding is None else judged.finding) for c in judged.curves]


class Section(NamedTuple):
    title: str
    draw: Callable[[Looked], None]


SECTIONS = {
    "overview": Section("Matrix and curves", show_overview),
    "threshold": Section("Threshold", lambda at: draw_threshold(at.run, at.split, at.found)),
    "calibration": Section("Calibration", lambda at: draw_calibration(at.run, at.split, at.found)),
    "measures": Section("All measures", lambda at: show_all(measures(at.run, at.split, at.found, each=True))),
    "groups": Section("Groups and patients", lambda at: draw_breakdown(at.run, at.split, at.found, at.result, runs)),
    "growth": Section("Learning curve and image size", lambda at: draw_studies(at.run, at.split, runs)),
}


def choose_section() -> Section:
    """Which part of the page; it stands in the address. Only that part is drawn."""
    asked_among("section", "part of this page", SECTIONS)
    asked = get_param("section")
    before = SECTIONS[asked if asked in SECTIONS else "overview"].title
    tabs = st.tabs([section.title for section in SECTIONS.values()], **follow("evaluate_section", before, take_section))
    return next(((section, tab) for section, tab in zip(SECTIONS.values(), tabs) if tab.open))


def take_section(title: str) -> None:
    name = next((name for name, section in SECTIONS.items() if section.title == title), "overview")
    choose_param("section", name)
    set_param("section", name)


def show(run: Run, split: str, finding: str | None) -> Looked:
    found = answers_of(run, split)
    at = Looked(run, split, found, judge(run, split, found, finding))
    show_alarms([warning.text for warning in at.result.warnings])
    with show_headline(at.result):
        draw_take_away(run, split)
    section, tab = choose_section()
    with tab:
        section.draw(at)
    return at


st.html(Path(__file__).with_suffix(".css"))
runs = RunStore().list()
if not runs:
    page_header("Evaluate")
    empty("There is no run yet. Train a small network; it takes a few minutes.", "Train a network", "train")
else:
    chosen, asked = current_run(runs), {name: asked_param(name) for name in ("run", "split", "finding", "section")}
    forget_on_change(chosen, "finding", "true", "predicted", "sought")
    run_id, split, *finding = page_header("Evaluate", run_chip(runs), split_chip(), *finding_chip(chosen))
    given = {"run": (run_id,), "split": (split,), "finding": finding, "section": SECTIONS}
    astray = any(value and value not in given[name] for name, value in asked.items())
    shown = None
    try:
        shown = show(next(run for run in runs if run.id == run_id), split, finding[0] if finding else None)
    except LightboxError as error:
        show_error(error)
    next_step("Next: look at its mistakes", "errors", run=run_id, split=split)
    if shown and not astray:              # what was said of a wrong address must not be drawn over
        fit_baseline(shown.run, shown.split, shown.result)
