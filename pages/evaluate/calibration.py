"""Calibration: are predicted probabilities observed frequencies? The reliability diagram, its error, and
temperature scaling.

The temperature is always fitted on validation. On validation itself the calibrated numbers are those of the
images that it was fitted on; how well it works is seen on test.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import probabilities
from core.evaluation.predictions import Predictions
from core.metrics import METRICS, MULTI_LABEL
from core.metrics.calibration import (
    COLDEST,
    HOTTEST,
    Reliability,
    apply_temperature,
    ece_by_chance,
    reliability,
    temperature,
    top_label,
)
from core.metrics.operating_points import one_class
from core.runs.store import Run
from pages.shared import theme
from pages.shared.charts import heading, show_chart
from pages.shared.layout import format_interval, format_number, format_percent
from pages.shared.positive_class import positive_class
from pages.shared.predictions import BY_PREDICTIONS, stored_predictions

PARTS = ("as predicted", "calibrated")
TOP = -1                      # of several classes: the predicted class, whichever it is, instead of one class


def draw_calibration(run: Run, split: str, preds: Predictions, k: int | None = None) -> None:
    """The diagram beside what it comes to.

    Args:
        preds: the predictions on `split`
        k: the class, or finding, whose probability is looked at; None: that of the section Threshold, and of
            several classes the predicted one, whichever it is
    """
    about = run.data()
    task, names = about["task"], about["class_names"]
    st.header("Calibration", anchor=False,
              help="Of all images with a predicted probability of 0.8, eight in ten should have the class. A "
                   "network may rank images well and still be far too confident.")
    k = class_of(about) if k is None else k
    val = stored_predictions(run, "val")
    t = None if val is None else fitted(run, val)
    result = compared(run, preds, k, t)
    color = theme.QUIET if k == TOP else theme.class_color(k)
    of = "the predicted class" if k == TOP else names[k]
    left, right = st.columns((5, 6), gap="large")
    with left:
        show_diagram(result["diagrams"], color, of, key=f"reliability_{k}")
    with right:
        st.markdown("  \n".join(sentences(result, t, split, task == MULTI_LABEL)))
        show_numbers(result)
        with st.expander("Numbers of the bins"):
            show_bins(result["diagrams"][0])


def class_of(about: dict) -> int:
    """Return the class whose probability is looked at."""
    several = about["task"] != MULTI_LABEL and len(about["class_names"]) > 2
    return TOP if several else positive_class(about)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def fitted(run: Run, val: Predictions) -> float:
    """Return the temperature of the predictions on validation."""
    return temperature(val.labels, val.probs, run.data()["task"])


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=BY_PREDICTIONS)
def compared(run: Run, preds: Predictions, k: int, t: float | None) -> dict:
    """Return, before and after the temperature, "diagrams" [Reliability], "loss" and "brier" [float], all
    of one or two; and "n", "by_chance": see `ece_by_chance`."""
    labels, before, task = preds.labels, preds.probs.astype(np.float64), run.data()["task"]
    both = [before] if t is None else [before, apply_temperature(before, t, task)]
    pairs = [top_label(labels, probs) if k == TOP else one_class(labels, probs, task, k) for probs in both]
    return {"diagrams": [reliability(*one) for one in pairs], "n": len(pairs[0][1]),
            "by_chance": ece_by_chance(pairs[0][1]),
            **{name: [METRICS[name].function(labels, probs, task) for probs in both]
               for name in ("loss", "brier")}}


def sentences(result: dict, t: float | None, split: str, findings: bool) -> list[str]:
    """What the numbers come to."""
    ece, (mean, limit) = result["diagrams"][0].ece, result["by_chance"]
    verdict = "**not well calibrated**" if ece > limit else "**consistent with perfect calibration**"
    lines = [f"The expected calibration error (ECE) is {format_number(ece)}. With perfect calibration it "
             f"would be {format_number(mean)} on average for {result['n']:,} images, by chance alone, and "
             f"above {format_number(limit)} in 5 % of samples. The probabilities are {verdict}."]
    if t is None:
        return lines + ["There are no predictions on validation to fit a temperature on."]
    if t <= COLDEST * 1.01:
        return lines + ["No temperature can be fitted: every validation image is predicted correctly, so "
                        "none is over-confident."]
    if t >= HOTTEST / 1.01:
        return lines + ["No temperature can be fitted: on validation the scores carry no information about "
                        "the classes."]
    lines.append(f"{confidence_in_words(t)}: the temperature fitted on validation is **T = {t:.2f}**; all "
                 "logits are divided by it. The most probable class stays the same."
                 + (" All findings share one temperature, so a single finding may get worse." if findings
                    else ""))
    if split == "val":
        lines.append("Here the calibrated numbers are of the images that the temperature was fitted on. The "
                     "test set tells how well it works.")
    return lines


def confidence_in_words(t: float) -> str:
    """Return what a temperature says of a network. Markdown."""
    if t > 1.05:
        return "**Over-confident**"
    return "**Under-confident**" if t < 0.95 else "About right"


def show_numbers(result: dict) -> None:
    parts = PARTS[:len(result["diagrams"])]
    frame = pd.DataFrame({"": parts, "ECE": [format_number(one.ece) for one in result["diagrams"]],
                          **{METRICS[name].title: [format_number(v) for v in result[name]]
                             for name in ("loss", "brier")}})
    help_of = {"ECE": "Expected calibration error: mean difference of predicted probability and observed "
                      "frequency. 0 is best.",
               **{METRICS[name].title: METRICS[name].help for name in ("loss", "brier")}}
    st.dataframe(frame, hide_index=True, key="calibration_numbers",
                 alt="Calibration error, cross-entropy and Brier score, as predicted and calibrated",
                 column_config={"": st.column_config.TextColumn("Probabilities", width=150)} | {
                     name: st.column_config.TextColumn(name, help=text, alignment="right") for name,
                     text in help_of.items()})


def show_bins(diagram: Reliability) -> None:
    """A row for each bin that has images."""
    rows = [{"from": format_percent(low, 0), "to": format_percent(high, 0), "images": int(n),
             "predicted": format_percent(p),
             "observed": format_interval(observed, *limits, digits=2)}
            for low, high, n, p, observed,
            *limits in zip(diagram.edges[:-1], diagram.edges[1:], diagram.n, diagram.predicted,
                                                          diagram.observed, diagram.low, diagram.high) if n]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="calibration_bins",
                 alt="For each bin: images, mean predicted probability, observed frequency with its 95 % "
                     "interval")


def show_diagram(diagrams: Sequence[Reliability], color: str, of: str, *, key: str) -> None:
    """The observed frequency over the predicted probability, with 95 % intervals, and below it the images
    of each bin."""
    hues = dict(zip(PARTS[:len(diagrams)], (color, theme.ACCENT)))
    series = [probabilities.Bins(part, hues[part], one.predicted, one.observed, one.low, one.high, one.n)
              for part, one in zip(PARTS, diagrams)]
    first = diagrams[0]
    fullest = int(np.argmax(first.n))
    with st.container(gap="xxsmall"):
        st.html(heading("Observed against predicted probability", hues))
        show_chart(probabilities.reliability(series, of=of, horizontal=False, alt=(
            f"Reliability diagram of {of}, expected calibration error {first.ece:.3f}. The fullest bin has "
            f"{first.n[fullest]} images: predicted {first.predicted[fullest]:.2f}, observed "
            f"{first.observed[fullest]:.2f}.")), key=key)
        show_chart(probabilities.bin_counts(first.edges, first.n, of=of), key=f"{key}_n")
