"""Cross-validations: a metric of each fold, mean and spread, and whether one network is better than another."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.charts import members
from core.errors import LightboxError
from core.evaluation.cross_validation import Series, comparable, describe, find_series
from core.metrics import METRICS
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed
from pages.shared.charts import show_chart
from pages.shared.layout import asked_among, choose_param, empty, escape, format_number, get_param, go, set_param, show_error
from pages.shared.widget_state import follow

USUAL = "roc_auc"
HELP = ("Each fold's network on the fold that it was not trained on. The spread over folds is that of images and of training "
        "together; it is no confidence interval, because training sets overlap.")


def draw_folds(store: RunStore, runs: Sequence[RunSummary]) -> None:
    """Draw every cross-validation that one of these runs is a fold of; those of its folds that wait are known from all runs."""
    ids = {run.id for run in runs}
    found = [series for series in find_series(run_feed.all_runs(store)) if any(run and run.id in ids for run in series.runs)]
    if not found:
        empty("No run here is a fold of a cross-validation. One click on Train trains all folds.", "Cross-validate a network",
              "train")
        return
    metric = _choose_metric()
    for place, group in enumerate(comparable(found)):
        _draw_group(store, group, metric, place)


def _choose_metric() -> str:
    asked_among("metric", "metric", METRICS)
    metric = get_param("metric") if get_param("metric") in METRICS else USUAL
    st.selectbox("Metric", list(METRICS), format_func=lambda name: METRICS[name].title, width=260,
                 help=METRICS[metric].help, **follow("compare_folds_metric", metric, _take_metric))
    set_param("metric", metric)
    return metric


def _take_metric(metric: str | None) -> None:
    if metric:
        choose_param("metric", metric)
        set_param("metric", metric)


def _draw_group(store: RunStore, group: Sequence[Series], metric: str, place: int) -> None:
    """Draw series of the same folds: the table, the tests as sentences, the values as lines."""
    result, title = describe(group, metric), METRICS[metric].title
    s = "" if len(group) == 1 else "s"
    st.header(f"{result['folds']} folds, {len(group)} network{s}", anchor=False, help=HELP)
    st.dataframe(_frame(result), hide_index=True, height="content", key=f"folds_{place}", alt=f"{title} of each fold")
    images = ", ".join(f"{n:,}" for n in result["n"])
    st.caption(f"Validation images of each fold: {images}, together {sum(result['n']):,}. SD: standard deviation over the folds.")
    left, right = st.columns([42, 58], gap="large")
    with left:
        values = [(series["name"], series["values"]) for series in result["series"]]
        show_chart(members.folds(title, values, limits=METRICS[metric].range), key=f"folds_chart_{place}")
    with right:
        for test in [*result["tests"], *filter(None, [result["friedman"]])]:
            st.markdown(escape(test["sentence"]))
        if len(group) < 2:
            st.markdown("Cross-validate a second network with the same folds to compare the two.")
        for note in result["notes"]:
            st.caption(escape(note))
        for k, series in enumerate(group):
            _draw_missing(store, series, f"{place}_{k}")


def _frame(result: dict) -> pd.DataFrame:
    """A row for each network: its values, mean and spread."""
    rows = []
    for series in result["series"]:
        values = {f"Fold {k + 1}": format_number(value) for k, value in enumerate(series["values"])}
        mean, sd = format_number(series["mean"]), format_number(series["sd"])
        rows.append({"Network": series["name"], "Mean": mean, "SD": sd, **values, "Images": series["n"]})
    return pd.DataFrame(rows)


def _draw_missing(store: RunStore, series: Series, key: str) -> None:
    """Draw the click that trains the folds that nobody has trained yet."""
    if not series.missing:
        return
    s = "" if len(series.missing) == 1 else "s"
    if st.button(escape(f"Train {len(series.missing)} missing fold{s} of {series.name}"), key=f"train_folds_{key}",
                 icon=":material/play_arrow:"):
        try:
            made = [store.create(series.config_of(fold)) for fold in series.missing]
        except LightboxError as error:
            show_error(error)
            return
        store.recover()
        go("runs", run=made[0].id)
