"""Estimates beside each other: of groups, of the difference of two runs, of studies, and scores against what
they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from core.charts import axes, palette
from core.charts.chart import Chart, built_once, by_name, line_legend, one_each, position, table

if TYPE_CHECKING:
    import altair as alt

Estimates = Sequence[tuple[str, float, float, float, int]]


def estimates(rows: Estimates, title: str, by: str, *, overall: float | None = None,
              limits: tuple[float, float] = (-math.inf, math.inf)) -> Chart:
    """Return a metric of each group as a dot with its interval.

    Args:
        rows: (group, value, lowest, highest, images), from top to bottom
        title: of the metric
        by: what makes the groups
        overall: the metric of all images, a dashed line
        limits: lowest and highest value that the metric can have
    """
    groups, values, lows, highs, counts = zip(*rows)
    dots = pa.table({"group": list(groups), "value": _floats(values), "low": _floats(lows),
                     "high": _floats(highs),
                     "n": list(counts)})
    line = pa.table({"value": _floats([] if overall is None else [overall])})
    ends = [v for v in (*values, *lows, *highs, overall) if v is not None]
    said = "; ".join(f"{group} {_interval(value, low, high)}" for group, value, low, high, _ in rows)
    return Chart(_estimates_spec(title, by, groups), {"groups": dots, "overall": line},
                 f"{title} by {by}: {said}.",
                 {"x_axis": axes.linear(ends, limits=limits)}, height=30 * len(rows) + 50)


@built_once
def _estimates_spec(title: str, by: str, groups: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    y = alt.Y("group:N", sort=list(groups), title=None,
              axis=alt.Axis(labelLimit=150, ticks=False, domain=False, labelFlush=False, grid=False))
    base = table("groups").encode(y=y, tooltip=[
        alt.Tooltip("group:N", title=by), alt.Tooltip("n:Q", title="Images"),
        alt.Tooltip("value:Q", title=title, format=".3f"),
        alt.Tooltip("low:Q", title="95 % from", format=".3f"),
        alt.Tooltip("high:Q", title="95 % to", format=".3f")])
    overall = table("overall").mark_rule(strokeDash=[4, 4], color=palette.QUIET).encode(
        x=position("x", "value", title), tooltip=alt.Tooltip("value:Q", title="All images", format=".3f"))
    intervals = base.mark_rule(strokeWidth=2, color=palette.ACCENT, opacity=0.55).encode(
        x=position("x", "low", title), x2="high:Q")
    dots = base.mark_point(filled=True, size=80, color=palette.ACCENT,
                           opacity=1).encode(x=position("x", "value", title))
    return alt.layer(overall, intervals, dots)


def differences(rows: Sequence[tuple[str, float, float, float, bool]]) -> Chart:
    """Return differences between run A and run B with their intervals, beside zero.

    Args:
        rows: (metric, A minus B, lowest, highest, whether it is significant)
    """
    names, values, lows, highs, sure = zip(*rows)
    reach = 1.1 * max(0.02, *(abs(end) for end in (*lows, *highs)))
    points = pa.table({"metric": list(names), "difference": _floats(values), "low": _floats(lows),
                       "high": _floats(highs),
                       "result": ["significant" if yes else "not significant" for yes in sure]})
    said = "; ".join(f"{name} {value:+.3f}, {low:+.3f} to {high:+.3f}" for name, value, low, high, _ in rows)
    return Chart(_differences_spec(names), {"differences": points, "zero": pa.table({"x": [0.0]})},
                 f"Difference A minus B: {said}.", {"x_axis": axes.linear([-reach, reach], room=0,
                                                                          signed=True, count=7)},
                 height=30 * len(rows) + 50)


@built_once
def _differences_spec(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    title = "B is better \u2190 difference A \u2212 B with its 95 % interval \u2192 A is better"
    results = ["significant", "not significant"]
    color = alt.Color("result:N", legend=None, scale=one_each(results, (palette.ACCENT, palette.QUIET)))
    shape = alt.Shape("result:N", legend=None, scale=one_each(results, ("circle", "diamond")))
    base = table("differences").encode(
        y=alt.Y("metric:N", title=None, sort=list(names), axis=alt.Axis(ticks=False, domain=False, labelFlush=False)),
        color=color,
        tooltip=[alt.Tooltip("metric:N", title="Metric"),
                 alt.Tooltip("difference:Q", title="A minus B", format="+.3f"),
                 alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
                 alt.Tooltip("high:Q", title="95 % to", format="+.3f"),
                 alt.Tooltip("result:N", title="Paired test")])
    zero = table("zero").mark_rule(strokeDash=[4, 4], color=palette.QUIET).encode(x=position("x", "x", title,
                                                                                             grid=False))
    intervals = base.mark_rule(strokeWidth=3).encode(x=position("x", "low", title, grid=False), x2="high:Q")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x=position("x", "difference", title,
                                                                              grid=False), shape=shape)
    return alt.layer(zero, intervals, dots)


def study(means: pd.DataFrame, each: pd.DataFrame, title: str, across: str, colors: Mapping[str, str],
          alt: str, *,
          limits: tuple[float, float] = (-math.inf, math.inf)) -> Chart:
    """Return a metric over what a study varies: a line for each kind of images through the means, a small dot
    for each run.

    Args:
        means: x, kind, mean, low, high, runs
        each: x, kind, value
        title: of the metric
        across: what is varied; its axis is logarithmic with a tick at each value of x
        colors: kind -> colour; the first line is solid, the others are dashed
    """
    places = sorted(set(means["x"]))
    x = axes.log(places, room=0.12)
    labels = tuple(f"{place:,}" for place in places)
    spec = _study_spec(title, across, tuple(colors), tuple(colors.values()))
    values = pd.concat([means[["mean", "low", "high"]].stack(), each["value"]])
    tables = {name: pa.Table.from_pandas(frame, preserve_index=False) for name,
              frame in (("means", means), ("runs", each))}
    return Chart(spec, tables, alt, {"x_axis": axes.Axis(x.domain, tuple(map(float, places)), labels),
                                     "y_axis": axes.linear(values, limits=limits)})


@built_once
def _study_spec(title: str, across: str, kinds: tuple[str, ...], colors: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    legend = line_legend(orient="top", offset=2) if len(kinds) > 1 else None
    looks = by_name("kind", kinds, colors, [palette.dash(k) for k in range(len(kinds))], legend)
    first = [alt.Tooltip("kind:N", title="Images"), alt.Tooltip("x:Q", title=across, format=",d")]
    base = table("means").encode(x=position("x", "x", across, log=True, grid=False, labelOverlap=True),
                                 color=looks["color"])
    intervals = base.mark_rule(strokeWidth=2, opacity=0.55).encode(y=position("y", "low", title), y2="high:Q")
    lines = base.mark_line(strokeWidth=2).encode(y=position("y", "mean", title),
                                                 strokeDash=looks["strokeDash"])
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=position("y", "mean", title),
        tooltip=[*first, alt.Tooltip("mean:Q", title=title, format=".3f"),
                 alt.Tooltip("runs:Q", title="Runs")])
    each = table("runs").mark_point(size=26, opacity=0.8).encode(
        x=position("x", "x", across, log=True, grid=False, labelOverlap=True), color=looks["color"],
        y=position("y", "value", title),
        tooltip=[*first, alt.Tooltip("value:Q", title=f"{title} of one run", format=".3f")])
    return alt.layer(intervals, lines, dots, each)


def cost(points: pd.DataFrame, x_title: str, y_title: str, *, alt: str,
         limits: tuple[float, float] = (-math.inf, math.inf),
         log_y: bool = False, height: int = 210) -> Chart:
    """Return what networks or runs reach, or cost, against a cost on a logarithmic axis: a labelled dot each.

    Args:
        points: x, y, low and high of an interval or NaN, label beside the dot or "", color, name and details
            for the tooltip
        log_y: whether y is a cost too
    """
    y = axes.log(points["y"], count=4, room=0.1) if log_y else axes.linear(
        points[["y", "low", "high"]].to_numpy(), limits=limits, count=4, room=0.1)
    return Chart(_cost_spec(x_title, y_title, log_y), {"points": pa.Table.from_pandas(points,
                                                                                      preserve_index=False)},
                 alt,
                 {"x_axis": axes.log(points["x"], count=4, room=0.1), "y_axis": y}, height=height)


@built_once
def _cost_spec(x_title: str, y_title: str, log_y: bool) -> alt.LayerChart:
    import altair as alt
    up = {"title": y_title, "log": log_y, "grid": not log_y}
    base = table("points").encode(x=position("x", "x", x_title, log=True, grid=False),
                                  color=alt.Color("color:N", scale=None))
    tooltip = [alt.Tooltip("name:N", title="Name"), alt.Tooltip("details:N", title="Details"),
               alt.Tooltip("x:Q", title=x_title, format=".3~s"),
               alt.Tooltip("y:Q", title=y_title, format=".3~s")]
    return alt.layer(base.mark_rule(strokeWidth=1.5, opacity=0.55).encode(y=position("y", "low", **up),
                                                                          y2="high:Q"),
                     base.mark_point(filled=True, size=65, opacity=1).encode(y=position("y", "y", **up),
                                                                             tooltip=tooltip),
                     base.mark_text(align="left", dx=7, dy=-6, fontSize=11).encode(
                         y=position("y", "y", **up), text="label:N", color=alt.Undefined))


def _floats(values: Sequence[float | None]) -> pa.Array:
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
