"""Evaluate: how good a run is, in numbers, and how far they can be believed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import curves
from core.errors import LightboxError
from core.evaluation.predictions import Predictions
from core.evaluation.run_evaluation import RunEvaluation
from core.metrics import METRICS
from core.runs.store import Run
from pages.evaluate.calibration import draw_calibration
from pages.evaluate.confusion import confusion
from pages.evaluate.copies import draw_copies
from pages.evaluate.external import OWN, draw_external, on_chip
from pages.evaluate.groups import draw_breakdown
from pages.evaluate.metrics import show_all, show_classes, show_headline, show_warnings
from pages.evaluate.results import Overview, await_baseline, evaluation_of, overview_of
from pages.evaluate.studies import draw_studies
from pages.evaluate.threshold import draw_threshold
from pages.shared import theme
from pages.shared.charts import show_chart
from pages.shared.damaged import draw_damaged_runs
from pages.shared.downloads import draw_downloads
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
from pages.shared.positive_class import choose_positive_class, positive_class
from pages.shared.predictions import (
    clear_on_run_change,
    current_run,
    finding_chip,
    list_runs,
    predictions_of,
    split_chip,
)
from pages.shared.widget_state import follow

BESIDE = 5          # classes: a larger matrix takes more than half of the page

@dataclass(frozen=True)
class Shown:
    """What the page shows."""
    run: Run
    split: str
    preds: Predictions
    overview: Overview

    @cached_property
    def result(self) -> RunEvaluation:
        """Every metric with its interval, of the positive class that is chosen."""
        return self.of_positive(each=False)

    def of_positive(self, each: bool) -> RunEvaluation:
        """The same; `each` for each class too, which the other class than the run's needs."""
        k = positive_class(self.run.data())
        return evaluation_of(self.run, self.split, self.preds, each=each or k != 1).for_positive(k)


def show_overview(at: Shown) -> None:
    """The confusion matrix, whose cells open their images, and the curves."""
    overview, k = at.overview, at.overview.finding
    few = len(overview.names) <= BESIDE
    width = 780
    if few:
        width = 500 if len(overview.names) <= 3 else 610
    beside = st.container(horizontal=True, gap="medium")             # on a narrow screen one below the other
    left, right = beside.container(width=width), beside.container(width=1240 - width, key="curves")
    with left:
        st.header("Confusion matrix", anchor=False,
                  help="Rows are the true class, columns the predicted class; percentages are of the row. "
                       "Click a cell to see its images.")
        cell = confusion(overview.matrix, overview.names, overview.positive, key=f"matrix_{at.run.id}_{at.split}_{k}")
        if cell:
            go("errors", run=at.run.id, split=at.split, true=str(cell[0]), predicted=str(cell[1]),
               finding=None if k is None else str(k))
        show_classes(at.result, key="per_class")
    with right:
        show_curves(overview, few)


def show_curves(overview: Overview, beside: bool) -> None:
    """ROC and precision-recall, side by side or one below the other."""
    if not overview.roc:
        st.header("ROC curve", anchor=False)
        st.markdown("No curve: all images have the same class.")
        return
    places = st.columns(2, gap="medium") if beside else (st.container(), st.container())
    with places[0]:
        show_roc_of(overview)
    with places[1]:
        show_precision_recall_of(overview)


def show_roc_of(overview: Overview) -> None:
    st.header("ROC curve", anchor=False,
              help=f"{METRICS['roc_auc'].help} The curve shows all thresholds at once: sensitivity against "
                   "the false positive rate.")
    point = overview.roc_point
    show_chart(curves.roc(by_name(overview, overview.roc), colors_of(overview), point=point,
                          point_label=label_of(overview)),
               key=f"roc_{overview.finding}")
    if point:
        st.caption(f"The diamond is the threshold {overview.threshold:.2g}: sensitivity for "
                   f"{escape(overview.names[overview.positive])} {point[1]:.3f}, specificity {1 - point[0]:.3f}.")
    elif len(overview.roc) > 1:
        st.caption("Each class against all others.")


def show_precision_recall_of(overview: Overview) -> None:
    st.header("Precision-recall curve", anchor=False,
              help="Precision (PPV): the proportion of flagged images that are positive. Recall: another "
                   "word for sensitivity. Where positives are rare, this curve shows false positives that the "
                   "ROC curve hides.")
    point = overview.pr_point
    show_chart(curves.precision_recall(by_name(overview, overview.pr), colors_of(overview), point=point,
                                       point_label=label_of(overview), prevalence=overview.prevalence),
               key=f"pr_{overview.finding}")
    if overview.prevalence is not None:
        precision = f"The diamond has a precision of {point[1]:.3f}. " if point else ""
        st.caption(f"{precision}Chance level: {overview.prevalence:.3f}, the prevalence of "
                   f"{escape(overview.names[overview.positive])} here.")


def label_of(overview: Overview) -> str:
    return "" if overview.threshold is None else f"threshold {overview.threshold:.2g}"


def by_name(overview: Overview, curves: dict) -> dict:
    return {overview.names[c]: curve for c, curve in curves.items()}


def colors_of(overview: Overview) -> list[str]:
    return [theme.class_color(c if overview.finding is None else overview.finding) for c in overview.roc]


class Section(NamedTuple):
    title: str
    draw: Callable[[Shown], None]


SECTIONS = {
    "overview": Section("Matrix and curves", show_overview),
    "threshold": Section("Threshold", lambda at: draw_threshold(at.run, at.split, at.preds)),
    "calibration": Section("Calibration", lambda at: draw_calibration(at.run, at.split, at.preds)),
    "measures": Section("All metrics",
                        lambda at: show_all(at.of_positive(each=True))),
    "groups": Section("Groups and patients",
                      lambda at: draw_breakdown(at.run, at.split, at.preds, at.result, runs)),
    "growth": Section("Learning curve and image size", lambda at: draw_studies(at.run, at.split, runs)),
}


def choose_section() -> tuple[Section, DeltaGenerator]:
    """Which part of the page; it stands in the address. Only that part is drawn."""
    asked_among("section", "section", SECTIONS)
    asked = get_param("section")
    before = SECTIONS[asked if asked in SECTIONS else "overview"].title
    tabs = st.tabs([section.title for section in SECTIONS.values()],
                   **follow("evaluate_section", before, set_section))
    return next((section, tab) for section, tab in zip(SECTIONS.values(), tabs) if tab.open)


def set_section(title: str) -> None:
    name = next((name for name, section in SECTIONS.items() if section.title == title), "overview")
    choose_param("section", name)
    set_param("section", name)


def show(run: Run, split: str, finding: str | None) -> Shown:
    preds = predictions_of(run, split)
    at = Shown(run, split, preds, overview_of(run, split, preds, finding, positive_class(run.data())))
    show_warnings(at.result.warnings)
    if at.result.positive_class:
        choose_positive_class(run.data(), "headline")
    with show_headline(at.result):
        draw_downloads(run, split)
    draw_copies(at.result.copies, run.config.data.dataset)
    section, tab = choose_section()
    with tab:
        section.draw(at)
    return at


st.html(Path(__file__).with_suffix(".css"))
runs = list_runs()
if not runs:
    page_header("Evaluate")
    empty("There are no runs yet. Train a small network; it takes a few minutes.", "Train a network", "train")
    draw_damaged_runs()
else:
    chosen = current_run(runs)
    asked = {name: asked_param(name) for name in ("run", "split", "finding", "section", "on")}
    clear_on_run_change(chosen, "finding", "true", "predicted", "sought", "on")
    run_id, on, split, *finding = page_header("Evaluate", run_chip(runs), on_chip(chosen), split_chip(),
                                              *finding_chip(chosen))
    given = {"run": (run_id,), "on": (on,), "split": (split,), "finding": finding, "section": SECTIONS}
    invalid = any(value and value not in given[name] for name, value in asked.items())
    shown = None
    try:
        run, k = next(run for run in runs if run.id == run_id), finding[0] if finding else None
        if on == OWN:
            shown = show(run, split, k)
        else:
            draw_external(run, on, k, show_curves)
    except LightboxError as error:
        show_error(error)
    draw_damaged_runs()
    next_step("Next: look at its errors", "errors", run=run_id, split=split)
    if shown and not invalid:              # a warning about the address must not be drawn over
        await_baseline(shown.run, shown.split, shown.result)
