"""Estimates beside each other: of groups, of two runs, of studies, and scores against what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from core.charts import axes, palette
from core.charts.axes import Axis
from core.charts.chart import Chart, built_once, by_name, line_legend, one_each, position, row_labels, table

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
                     "high": _floats(highs), "n": list(counts)})
    line = pa.table({"value": _floats([] if overall is None else [overall])})
    ends = [v for v in (*values, *lows, *highs, overall) if v is not None]
    said = "; ".join(f"{group} {_interval(value, low, high)}" for group, value, low, high, _ in rows)
    return Chart(_estimates_spec(title, by, groups), {"groups": dots, "overall": line},
                 f"{title} by {by}: {said}.",
                 {"x_axis": axes.linear(ends, limits=limits)}, height=30 * len(rows) + 50)


@built_once
def _estimates_spec(title: str, by: str, groups: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    base = table("groups").encode(y=row_labels("group", groups), tooltip=[
        alt.Tooltip("group:N", title=by), alt.Tooltip("n:Q", title="Images"),
        alt.Tooltip("value:Q", title=title, format=".3f"),
        alt.Tooltip("low:Q", title="95 % from", format=".3f"),
        alt.Tooltip("high:Q", title="95 % to", format=".3f")])
    overall = table("overall").mark_rule(strokeDash=[4, 4], color=palette.QUIET).encode(
        x=position("x", "value", title), tooltip=alt.Tooltip("value:Q", title="All images", format=".3f"))
    intervals = base.mark_rule(strokeWidth=2, color=palette.ACCENT, opacity=0.55).encode(
        x=position("x", "low", title), x2="high:Q")
    dots = base.mark_point(filled=True, size=80, color=palette.ACCENT, opacity=1)
    return alt.layer(overall, intervals, dots.encode(x=position("x", "value", title)))


def differences(rows: Sequence[tuple[str, float, float, float, bool]]) -> Chart:
    """Return differences between run A and run B with their intervals, beside zero.

    Args:
        rows: (metric, A minus B, lowest, highest, whether it is significant)
    """
    names, values, lows, highs, significant = zip(*rows)
    points = pa.table({"metric": list(names), "difference": _floats(values), "low": _floats(lows),
                       "high": _floats(highs),
                       "result": ["significant" if yes else "not significant" for yes in significant]})
    reach = 1.1 * max(0.02, *(abs(end) for end in (*lows, *highs)))
    said = "; ".join(f"{name} {value:+.3f}, {low:+.3f} to {high:+.3f}" for name, value, low, high, _ in rows)
    return Chart(_differences_spec(names), {"differences": points, "zero": pa.table({"x": [0.0]})},
                 f"Difference A minus B: {said}.",
                 {"x_axis": axes.linear([-reach, reach], room=0, signed=True, count=7)},
                 height=30 * len(rows) + 50)


@built_once
def _differences_spec(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    title = "B is better \u2190 difference A \u2212 B with its 95 % interval \u2192 A is better"
    x = partial(position, "x", title=title, grid=False)
    results = ("significant", "not significant")
    color = alt.Color("result:N", legend=None, scale=one_each(results, (palette.ACCENT, palette.QUIET)))
    shape = alt.Shape("result:N", legend=None, scale=one_each(results, ("circle", "diamond")))
    base = table("differences").encode(
        y=row_labels("metric", names), color=color,
        tooltip=[alt.Tooltip("metric:N", title="Metric"),
                 alt.Tooltip("difference:Q", title="A minus B", format="+.3f"),
                 alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
                 alt.Tooltip("high:Q", title="95 % to", format="+.3f"),
                 alt.Tooltip("result:N", title="Paired test")])
    zero = table("zero").mark_rule(strokeDash=[4, 4], color=palette.QUIET).encode(x=x("x"))
    intervals = base.mark_rule(strokeWidth=3).encode(x=x("low"), x2="high:Q")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(x=x("difference"), shape=shape)
    return alt.layer(zero, intervals, dots)


def study(means: pd.DataFrame, each: pd.DataFrame, title: str, across: str, colors: Mapping[str, str],
          alt: str, *, limits: tuple[float, float] = (-math.inf, math.inf)) -> Chart:
    """Return a metric over what a study varies: a line through the means, a small dot for each run.

    Args:
        means: x, kind, mean, low, high, runs
        each: x, kind, value
        title: of the metric
        across: what is varied; its axis is logarithmic with a tick at each value of x
        colors: kind of images -> colour; the first line is solid, the others are dashed
    """
    places = sorted(set(means["x"]))
    x = Axis(axes.log(places, room=0.12).domain, tuple(map(float, places)), tuple(f"{x:,}" for x in places))
    values = pd.concat([means[["mean", "low", "high"]].stack(), each["value"]])
    return Chart(_study_spec(title, across, tuple(colors), tuple(colors.values())),
                 {"means": _arrow(means), "runs": _arrow(each)}, alt,
                 {"x_axis": x, "y_axis": axes.linear(values, limits=limits)})


@built_once
def _study_spec(title: str, across: str, kinds: tuple[str, ...], colors: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    x = position("x", "x", across, log=True, grid=False, labelOverlap=True)
    y = partial(position, "y", title=title)
    legend = line_legend(orient="top", offset=2) if len(kinds) > 1 else None
    looks = by_name("kind", kinds, colors, [palette.dash(k) for k in range(len(kinds))], legend)
    first = [alt.Tooltip("kind:N", title="Images"), alt.Tooltip("x:Q", title=across, format=",d")]
    base = table("means").encode(
        x=x, color=looks["color"],
        tooltip=[*first, alt.Tooltip("mean:Q", title=title, format=".3f"),
                 alt.Tooltip("runs:Q", title="Runs")])
    intervals = base.mark_rule(strokeWidth=2, opacity=0.55).encode(y=y("low"), y2="high:Q")
    lines = base.mark_line(strokeWidth=2).encode(y=y("mean"), strokeDash=looks["strokeDash"])
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(y=y("mean"))
    each = table("runs").mark_point(size=26, opacity=0.8).encode(
        x=x, y=y("value"), color=looks["color"],
        tooltip=[*first, alt.Tooltip("value:Q", title=f"{title} of one run", format=".3f")])
    return alt.layer(intervals, lines, dots, each)


def cost(points: pd.DataFrame, x_title: str, y_title: str, *, alt: str, log_y: bool = False,
         limits: tuple[float, float] = (-math.inf, math.inf), height: int = 210) -> Chart:
    """Return what networks or runs reach, or cost, against a cost on a logarithmic axis: a labelled dot each.

    Args:
        points: x, y, low and high of an interval or NaN, label beside the dot or "", color, name, and details
            for the tooltip; the last is drawn on top
        log_y: whether y is a cost too
        limits: lowest and highest value that y can have
    """
    if log_y:
        y = axes.log(points["y"], count=4, room=0.1)
    else:
        y = axes.linear(points[["y", "low", "high"]].to_numpy(), limits=limits, count=4, room=0.1)
    return Chart(_cost_spec(x_title, y_title, log_y), {"points": _arrow(points)}, alt,
                 {"x_axis": axes.log(points["x"], count=4, room=0.1), "y_axis": y}, height=height)


@built_once
def _cost_spec(x_title: str, y_title: str, log_y: bool) -> alt.LayerChart:
    import altair as alt
    y = partial(position, "y", title=y_title, log=log_y, grid=not log_y)
    base = table("points").encode(x=position("x", "x", x_title, log=True, grid=False))
    colored = base.encode(
        color=alt.Color("color:N", scale=None),
        tooltip=[alt.Tooltip("name:N", title="Name"), alt.Tooltip("details:N", title="Details"),
                 alt.Tooltip("x:Q", title=x_title, format=".3~s"),
                 alt.Tooltip("y:Q", title=y_title, format=".3~s")])
    intervals = colored.mark_rule(strokeWidth=1.5, opacity=0.55).encode(y=y("low"), y2="high:Q")
    dots = colored.mark_point(filled=True, size=65, opacity=1).encode(y=y("y"))
    labels = base.mark_text(align="left", dx=7, dy=-6, fontSize=11).encode(y=y("y"), text="label:N")
    return alt.layer(intervals, dots, labels)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def _floats(values: Sequence[float | None]) -> pa.Array:
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
