"""How good each way to combine is, beside the best member and the mean member; and the chosen way looked into."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import members as charts
from core.evaluation.ensemble_scores import Score, best_of, mean_of, tie_count
from core.evaluation.member_predictions import MemberPredictions
from core.metrics import METRICS
from core.models.combine import WAYS
from pages.ensemble import cached
from pages.ensemble.cached import Choice
from pages.ensemble.choice import titles_of
from pages.shared.charts import show_chart
from pages.shared.layout import (
    asked_among,
    choose_param,
    escape,
    format_interval,
    format_number,
    get_param,
    set_param,
    show_error,
)
from pages.shared.widget_state import follow

SHOWN = ("roc_auc", "accuracy", "loss")
MEAN = "Mean member"
CROSS_FITTED = ("What is fitted (weights, greedy selection, stacking) is fitted on four fifths of the patients and scored on the "
                "last fifth, five times, so that no image is scored with weights that were fitted on it. Intervals are of 95 %, "
                "by patient. Test images play no part.")


def choose_metric() -> str:
    """Draw the choice of the metric, which stands in the address."""
    metric = get_param("metric") if get_param("metric") in SHOWN else SHOWN[0]
    st.segmented_control("Metric", SHOWN, format_func=lambda name: METRICS[name].title, label_visibility="collapsed",
                         **follow("ensemble_metric", metric, _take, "metric"))
    return metric


def choose_way(said: MemberPredictions) -> str:
    """Draw the choice of the way to combine, which stands in the address once it was chosen: experts are a mixture at first."""
    ways = cached.quick_ways(said)
    asked_among("way", "way to combine", WAYS)
    way = get_param("way") if get_param("way") in ways else ways[0]
    if len(ways) == 1:
        return way
    st.segmented_control("Way to combine", ways, format_func=lambda name: WAYS[name].title, label_visibility="collapsed",
                         **follow("ensemble_way", way, _take, "way"))
    st.markdown(escape(WAYS[way].about))
    return way


def _take(name: str, value: str | None) -> None:
    if value:
        choose_param(name, value)
        set_param(name, value)


# ----------------------------------------------------------------------------------------------------- scores

def draw_scores(choice: Choice, said: MemberPredictions, way: str, metric: str) -> None:
    """Draw the score of each member and of each way with its interval, and what is more than chance."""
    members = cached.member_scores(choice, said)
    ways = ready_ways(choice, said) if len(members) > 1 else []
    best, title = best_of(members, metric), METRICS[metric].title
    rows = [(MEAN, "member", mean_of(members, metric), None, None, len(said.labels))] if len(members) > 1 else []
    rows += [_row(one, name, "member", metric) for one, name in zip(members, titles_of(said.names))]
    rows += [_row(one, one.title, "way", metric) for one in ways]
    show_chart(charts.scores(title, rows, best.value(metric), WAYS[way].title, limits=METRICS[metric].range),
               key=f"ensemble_scores_{metric}")
    if way in {one.key for one in ways}:
        st.markdown(escape(cached.against_best(choice, said, way)))
    for one in cached.quick_ways(said):
        if not cached.is_ready(choice, said, one) and (one == way or one not in cached.ASKED):
            st.fragment(_follow, run_every=0.5)(choice, said, one, time.monotonic())
    st.caption(CROSS_FITTED)
    with st.expander("All numbers", key="ensemble_numbers"):
        st.dataframe(numbers([*members, *ways], members, said), hide_index=True, height="content", key="ensemble_table",
                     alt="Scores of members and of ways to combine")


def _row(score: Score, name: str, kind: str, metric: str) -> tuple:
    one = score.estimates[metric]
    return name, kind, one.value, one.low, one.high, one.n


def ready_ways(choice: Choice, said: MemberPredictions) -> list[Score]:
    """Return the scores that are known, or known at once; the others follow."""
    return [cached.way_score(choice, said, way) for way in cached.quick_ways(said) if cached.is_ready(choice, said, way)]


def _follow(choice: Choice, said: MemberPredictions, way: str, drawn: float) -> None:
    """Wait for a way that is computed beside the page, once that stands, and draw the page again when it is known."""
    if cached.is_known(choice, f"way {way}"):
        st.rerun()
    error = cached.start(choice, said, way) if time.monotonic() - drawn > 0.3 else None
    if error:
        show_error(error)
    else:
        st.caption(f"Computing {WAYS[way].title.lower()} ...")


def numbers(scores: Sequence[Score], members: Sequence[Score], said: MemberPredictions) -> pd.DataFrame:
    """Return a row for each member and each way: metrics with their intervals, and n."""
    rows = []
    for one in scores:
        found = {METRICS[name].title: format_interval(e.value, e.low, e.high) for name, e in one.estimates.items()}
        rows.append({"Name": one.title, **found, "Images": len(said.labels)})
    mean = {METRICS[name].title: format_number(mean_of(members, name)) for name in SHOWN}
    return pd.DataFrame([*rows[:len(members)], {"Name": MEAN, **mean, "Images": len(said.labels)}, *rows[len(members):]])


# ------------------------------------------------------------------------------------------------- inside a way

def draw_inside(choice: Choice, said: MemberPredictions, way: str) -> None:
    """Draw the weights of a way, how a selection grew, and ties."""
    names = titles_of(said.names)
    if way == "hard" and (n := tie_count(said)):
        st.markdown(f"{n:,} of {len(said.labels):,} images end in a tie, which goes to the class that comes first.")
    if WAYS[way].weighted:
        found = cached.fitted(choice, said, way)
        st.subheader("Weights", anchor=False, help="How much each member counts, fitted on all validation images.")
        show_chart(charts.weights("Weight", list(zip(names, found["weights"].tolist()))), key=f"ensemble_weights_{way}")
        if "curve" in found:
            st.subheader("How the selection grew", anchor=False, help="Members are added one after the other, each time the one "
                         "with which the mean is best; one may be added again. The ring: where it is kept.")
            added = [names[m] for m in found["order"]]
            show_chart(charts.growth(found["curve"].tolist(), added, int(found["kept"])), key="ensemble_growth")
    elif way == "stacking" and cached.is_ready(choice, said, way):
        _draw_coefficients(choice, said, names)


def _draw_coefficients(choice: Choice, said: MemberPredictions, names: Sequence[str]) -> None:
    """Draw how much stacking listens to each member: for two classes the coefficient, else the sum of their sizes."""
    coef = cached.fitted(choice, said, "stacking")["coef"]
    two = coef.shape == (1, len(names))
    values = coef[0] if two else abs(coef).sum(axis=0).reshape(len(names), -1).sum(axis=1)
    title = "Coefficient" if two else "Sum of the sizes of its coefficients"
    st.subheader("Coefficients", anchor=False, help="Of the logistic regression on the members' probabilities, fitted on all "
                 "validation images. Members that say the same share what one of them would get.")
    show_chart(charts.weights(title, list(zip(names, values.tolist()))), key="ensemble_coefficients")


def draw_without(choice: Choice, said: MemberPredictions, way: str, metric: str) -> None:
    """Draw what each member adds: the metric with it less the metric of the same way without it."""
    if len(said.names) < 2 or said.parts is not None or not cached.is_ready(choice, said, way):
        return
    st.subheader("What each member adds", anchor=False, help="The score of this way with all members, less its score when the "
                 "member is left out. Below zero: it would be better without.")
    what = f"without {way} {metric}"
    ready = cached.is_cheap(said, way, len(said.names)) or cached.is_known(choice, what)
    if not (ready or st.button("Compute", key="ensemble_without")):
        st.caption("Each member is left out once and everything is fitted again, which takes some seconds.")
        return
    whole, title = cached.way_score(choice, said, way).value(metric), METRICS[metric].title
    left = cached.without_each(choice, said, way, metric)
    if whole is None or None in left:
        st.caption(f"{title} is undefined on these images.")
        return
    sign = 1 if METRICS[metric].higher_is_better else -1
    gains = [sign * (whole - value) for value in left]
    show_chart(charts.weights(f"Gain in {title}", list(zip(titles_of(said.names), gains)), signed=True),
               key=f"ensemble_without_{way}_{metric}")
