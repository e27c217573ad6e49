"""Predicted probabilities: histogram by true class, reliability diagram, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from core.charts import axes, palette
from core.charts.chart import DIAGONAL, NAMES, SQUARE, Chart, built_once, one_each, position, table

if TYPE_CHECKING:
    import altair as alt

LEFT = {"minExtent": 42, "maxExtent": 42, "titlePadding": 6}       # of two charts that stand in line
SHAPES = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "triangle-left",
          "triangle-right")


def histogram(labels: np.ndarray, scores: np.ndarray, names: Sequence[str], positive: int = 1, *, threshold: float,
              bins: int = 30) -> Chart:
    """Return how often each predicted probability of the positive one of two classes occurs, by true class.

    Args:
        labels: (N,) 0 or 1
        scores: (N,) in [0, 1], the probability of the positive class
        names: of both classes
        threshold: from which the positive class is predicted, drawn as a line
    """
    edges = np.linspace(0, 1, bins + 1)
    counts = [np.histogram(scores[labels == k], edges)[0] for k in (0, 1)]
    rows = pa.table({"low": np.tile(edges[:-1], 2), "high": np.tile(edges[1:], 2),
                     "n": np.concatenate(counts), "class": [name for name in names for _ in range(bins)]})
    said = "; ".join(f"{name}: {np.sum(labels == k)} images, median {np.median(scores[labels == k]):.2f}"
                     for k, name in enumerate(names) if np.any(labels == k))
    return Chart(_histogram_spec(tuple(names), names[positive]), {"bins": rows, "threshold": pa.table({"x": [threshold]})},
                 f"Histogram of the predicted probability of {names[positive]} by true class. {said}. "
                 f"Threshold {threshold:.3g}.",
                 {"x_axis": axes.shares(),
                  "y_axis": axes.linear([0, *map(max, counts)], limits=(0, np.inf), integers=True)})


@built_once
def _histogram_spec(names: tuple[str, ...], positive: str) -> alt.LayerChart:
    import altair as alt
    colors = [palette.class_color(k) for k in (0, 1)]
    color = alt.Color("class:N", title="True class", scale=one_each(names, colors),
                      legend=alt.Legend(orient="top", labelLimit=160))
    x = partial(position, "x", title=f"Predicted probability of {positive}", grid=False)
    # The second class has a dashed outline: where both lie over each other, each edge can still be seen.
    bars = table("bins").transform_filter("datum.n > 0").mark_bar(opacity=0.45, strokeWidth=1.2).encode(
        x=x("low"), x2="high:Q", y=position("y", "n", "Images"), y2=alt.datum(0), color=color,
        stroke=alt.Stroke("class:N", legend=None, scale=one_each(names, colors)),
        strokeDash=alt.StrokeDash("class:N", legend=None, scale=one_each(names, ((1, 0), (3, 2)))),
        tooltip=[alt.Tooltip("class:N", title="True class"), alt.Tooltip("n:Q", title="Images"),
                 alt.Tooltip("low:Q", title="From", format=".3f"),
                 alt.Tooltip("high:Q", title="To", format=".3f")])
    line = table("threshold").mark_rule(strokeDash=[5, 3], strokeWidth=1.5, color=palette.QUIET).encode(
        x=x("x"), tooltip=alt.Tooltip("x:Q", title="Threshold", format=".3f"))
    return alt.layer(bars, line)


class Bins(NamedTuple):
    """One line of a reliability diagram. All but the first two are (B,), over bins of equal width."""

    name: str
    color: str
    predicted: np.ndarray        # mean predicted probability
    observed: np.ndarray         # share that is positive, and the limits of its interval
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray                # images; a bin without any is left out


def reliability(series: Sequence[Bins], *, alt: str, of: str = "", horizontal: bool = True,
                legend: bool = False,
                height: int = 300) -> Chart:
    """Return a reliability diagram: the observed frequency over the predicted probability, a point a bin.

    Args:
        of: whose probability it is
        horizontal: whether the x axis has labels; not where `bin_counts` stands below
    """
    rows = [{"series": one.name, "predicted": float(one.predicted[i]), "observed": float(one.observed[i]),
             "low": float(one.low[i]), "high": float(one.high[i]), "n": int(one.n[i])}
            for one in series for i in np.flatnonzero(one.n)]
    spec = _reliability_spec(tuple(one.name for one in series), tuple(one.color for one in series), of,
                             horizontal,
                             legend)
    return Chart(spec, {"points": pa.Table.from_pylist(rows), "baseline": DIAGONAL}, alt,
                 {"x_axis": axes.shares(), "y_axis": axes.shares()}, height=height, paper=SQUARE)


@built_once
def _reliability_spec(names: tuple[str, ...], colors: tuple[str, ...], of: str, horizontal: bool,
                      legend: bool) -> alt.LayerChart:
    import altair as alt
    across = f"Predicted probability{of and f' of {of}'}"
    numbers = range(len(names))
    shown = alt.Legend(orient="top", labelLimit=160, columns=2, symbolLimit=NAMES) if legend else None
    color = alt.Color("series:N", title=None, legend=shown, scale=one_each(names, colors))
    shape = alt.Shape("series:N", title=None, legend=shown,
                      scale=one_each(names, [SHAPES[k % len(SHAPES)] for k in numbers]))
    dash = alt.StrokeDash("series:N", legend=None, scale=one_each(names, [palette.dash(k) for k in numbers]))
    across = across if horizontal else None
    hidden = {} if horizontal else {"labels": False, "ticks": False}
    x = partial(position, "x", title=across, **hidden)
    y = partial(position, "y", title="Observed frequency", **LEFT)
    tooltip = [alt.Tooltip("series:N", title="Probabilities"), alt.Tooltip("n:Q", title="Images"),
               *(alt.Tooltip(f"{name}:Q", title=title, format=".3f") for name, title in (
                   ("predicted", "Predicted probability, mean"), ("observed", "Observed frequency"),
                   ("low", "95 % from"), ("high", "95 % to")))]
    diagonal = table("baseline").mark_line(strokeDash=[4, 4], color=palette.QUIET, strokeWidth=1)
    points = table("points").encode(x=x("predicted"), color=color, tooltip=tooltip)
    intervals = points.mark_rule(strokeWidth=1.5, opacity=0.6).encode(y=y("low"), y2="high:Q")
    lines = points.mark_line(strokeWidth=1, opacity=0.5).encode(y=y("observed"), strokeDash=dash)
    size = alt.Size("n:Q", legend=None, scale=alt.Scale(range=[25, 220]))         # many images, a large point
    dots = points.mark_point(filled=True, opacity=1).encode(y=y("observed"), shape=shape, size=size)
    return alt.layer(diagonal.encode(x=x("x"), y=y("y")), intervals, lines, dots)


def bin_counts(edges: np.ndarray, counts: np.ndarray, *, of: str = "", height: int = 88) -> Chart:
    """Return how many images each bin of a reliability diagram has, to stand below it.

    Args:
        edges: (B + 1,) in [0, 1]
        counts: (B,) images
    """
    middle = (edges[:-1] + edges[1:]) / 2
    rows = pa.table({"low": edges[:-1], "high": edges[1:], "middle": middle, "n": counts})
    said = f"Images per bin: {', '.join(str(int(n)) for n in counts)}."
    return Chart(_bin_counts_spec(of), {"bins": rows}, said,
                 {"x_axis": axes.shares(),
                  "y_axis": axes.linear([0, *counts], limits=(0, np.inf), count=3, integers=True, room=0.25)},
                 height=height)


@built_once
def _bin_counts_spec(of: str) -> alt.LayerChart:
    import altair as alt
    across = f"Predicted probability{of and f' of {of}'}"
    y, flush = position("y", "n", "Images", **LEFT), {"labelFlush": True}     # as wide as the diagram above
    bars = table("bins").mark_rect(color=palette.QUIET).encode(
        x=position("x", "low", across, grid=False, **flush), x2="high:Q", y=y, y2=alt.datum(0),
        tooltip=alt.Tooltip("n:Q", title="Images"))
    numbers = table("bins").transform_filter("datum.n > 0").mark_text(dy=-7, fontSize=10).encode(
        x=position("x", "middle", across, grid=False, **flush), y=y, text="n:Q")
    return alt.layer(bars, numbers)


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Chart:
    """Return a confusion matrix: true classes down, predicted across; dark is a large share of the row.

    Args:
        matrix: (K, K) images
        names: K; they must differ
    """
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cells = pa.table({"true": [name for name in names for _ in names], "predicted": list(names) * len(names),
                      "n": matrix.ravel(), "share": share.ravel()})
    said = "; ".join(f"{true} predicted as {predicted}: {matrix[i, j]}" for i, true in enumerate(names)
                     for j, predicted in enumerate(names) if matrix[i, j])
    side = 45 * len(names) + 30
    return Chart(_confusion_spec(tuple(names)), {"cells": cells}, f"Confusion matrix. {said}.",
                 height=side + 60, paper=(side, side))


@built_once
def _confusion_spec(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt

    def place(make: type, field: str, title: str, **axis):
        return make(f"{field}:N", title=title, sort=list(names), scale=alt.Scale(paddingInner=0.04),
                    axis=alt.Axis(ticks=False, domain=False, labelLimit=140, **axis))
    base = table("cells").encode(
        x=place(alt.X, "predicted", "Predicted class", labelAngle=-30), y=place(alt.Y, "true", "True class"),
        tooltip=[alt.Tooltip("true:N", title="True class"),
                 alt.Tooltip("predicted:N", title="Predicted class"),
                 alt.Tooltip("n:Q", title="Images"),
                 alt.Tooltip("share:Q", title="Share of the true class", format=".1%")])
    color = alt.Color("share:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=["#eef4f6", "#0b4f5e"]))
    ink = alt.condition("datum.share > 0.5", alt.value("#ffffff"), alt.value("#15191c"))
    return alt.layer(base.mark_rect().encode(color=color),
                     base.mark_text(fontSize=11).encode(text=alt.Text("n:Q", format=","), color=ink))
