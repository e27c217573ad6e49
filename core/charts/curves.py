"""Curves: ROC, precision-recall, training by epoch, the search for a learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from core.charts import axes, palette
from core.charts.chart import (
    NAMES,
    SQUARE,
    Chart,
    built_once,
    by_name,
    line_legend,
    listed,
    one_each,
    position,
    table,
    thin_staircase,
)

if TYPE_CHECKING:
    import altair as alt

TRAIN, VAL, BATCHES = "training", "validation", "single batches"
TRAIN_DASH = (6, 2)
FEW = 40                      # epochs up to which each has a dot of its own
SHORT = 18                    # letters of names of which two fit into a line of a legend

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Plane(NamedTuple):
    """What stands beside two rates, and whether there is room to the left of a point or to its right."""

    x: str
    y: str
    room: str


ROC = Plane("False positive rate (1 - specificity)", "True positive rate (sensitivity)", "right")
PRECISION_RECALL = Plane("Recall (sensitivity)", "Precision (PPV)", "left")


def roc(curves: Curves, colors: Sequence[str], *, point: tuple[float, float] | None = None,
        point_label: str = "threshold", labels: Mapping[str, str] | None = None, height: int = 340) -> Chart:
    """Return ROC curves (receiver operating characteristic): true over false positive rate at all thresholds.

    Args:
        curves: name -> (false positive rate, true positive rate), each (T,) in [0, 1]
        colors: one for each curve
        point: the operating point (false positive rate, true positive rate)
        labels: name -> what the legend calls it; without them a single curve has no legend

    >>> chart = roc({"ill": ([0, 0, .5, 1], [0, .8, 1, 1])}, [palette.class_color(1)], point=(.5, 1))
    >>> chart.alt
    'ROC curve of ill. Operating point: sensitivity 1.00, specificity 0.50.'
    >>> from core.charts.save import as_svg
    >>> as_svg(chart).startswith("<svg")
    True
    """
    alt = f"ROC curve of {listed(curves)}."
    if point:
        alt += f" Operating point: sensitivity {point[1]:.2f}, specificity {1 - point[0]:.2f}."
    return _rates(ROC, curves, colors, labels, (0, 1), point, point_label, alt, height)


def precision_recall(curves: Curves, colors: Sequence[str], *, point: tuple[float, float] | None = None,
                     point_label: str = "threshold", prevalence: float | None = None,
                     labels: Mapping[str, str] | None = None, height: int = 340) -> Chart:
    """Return precision-recall curves.

    Args:
        curves: name -> (recall, precision), each (T,) in [0, 1]
        point: the operating point (recall, precision)
        prevalence: share of the positive class: the precision of guessing
        colors, labels: as for `roc`
    """
    alt = f"Precision-recall curve of {listed(curves)}."
    if point:
        alt += f" Operating point: recall {point[0]:.2f}, precision {point[1]:.2f}."
    guessing = (None, None) if prevalence is None else (prevalence, prevalence)
    return _rates(PRECISION_RECALL, curves, colors, labels, guessing, point, point_label, alt, height)


def _rates(plane: Plane, curves: Curves, colors: Sequence[str], labels: Mapping[str, str] | None,
           guessing: tuple[float | None, float | None], point: tuple[float, float] | None, point_label: str,
           alt: str, height: int) -> Chart:
    named = {(labels or {}).get(name, name): thin_staircase(*curve) for name, curve in curves.items()}
    curve = long_table(named, "x", "y", "class")
    points = [{"x": point[0], "y": point[1], "what": point_label}] if point else []
    columns = pa.schema({"x": pa.float64(), "y": pa.float64(), "what": pa.string()})
    tables = {"curve": curve.append_column("order", pa.array(np.arange(len(curve)))),
              "baseline": pa.table({"x": [0.0, 1.0], "y": pa.array(guessing, pa.float64())}),
              "point": pa.Table.from_pylist(points, columns)}
    legend = len(curves) > 1 or labels is not None
    in_a_row = 1 if max(map(len, named)) > SHORT else 2
    if legend:
        height += 18 * math.ceil(min(len(named), NAMES) / in_a_row)
    return Chart(_rates_spec(plane, tuple(named), tuple(colors), in_a_row if legend else 0), tables, alt,
                 {"x_axis": axes.shares(), "y_axis": axes.shares()}, height=height, paper=SQUARE)


@built_once
def _rates_spec(plane: Plane, names: tuple[str, ...], colors: tuple[str, ...],
                in_a_row: int) -> alt.LayerChart:
    import altair as alt
    shown = line_legend(orient="bottom", columns=in_a_row, labelLimit=260) if in_a_row else None
    rates = [alt.Tooltip("y:Q", title=plane.y, format=".3f"), alt.Tooltip("x:Q", title=plane.x, format=".3f")]
    looks = by_name("class", names, colors, [palette.dash(k) for k in range(len(names))], shown)
    baseline = table("baseline").mark_line(strokeDash=[4, 4], color=palette.QUIET, strokeWidth=1)
    lines = table("curve").mark_line(strokeWidth=2).encode(
        **looks, order="order:Q", tooltip=[alt.Tooltip("class:N", title="Class"), *rates])
    dot = table("point").mark_point(
        shape="diamond", size=170, filled=True, opacity=1, stroke=palette.QUIET, color=colors[0],
    ).encode(tooltip=[alt.Tooltip("what:N", title="Operating point"), *rates])
    beside = {"dx": -10, "align": "right"} if plane.room == "left" else {"dx": 10, "align": "left"}
    label = table("point").mark_text(dy=alt.expr("datum.y < 0.1 ? -14 : 16"), **beside).encode(text="what:N")
    layers = alt.layer(baseline, lines, dot, label)
    return layers.encode(x=position("x", "x", plane.x), y=position("y", "y", plane.y))


def training(title: str, lines: Curves, *, epochs: float, behind: Curves | None = None,
             best: int | None = None, limits: tuple[float, float] = (-math.inf, math.inf),
             format: str = ".3f", large: bool = True, legend: bool = False,
             higher_is_better: bool | None = None, height: int = 190, log: bool = False) -> Chart:
    """Return one metric of a training by epoch; it can be drawn while the run is still learning.

    Args:
        title: of the metric
        lines: any of TRAIN, VAL and BATCHES -> (epoch, value)
        epochs: right end of the x axis, so that a curve grows into it and the axis stands still
        behind: name of an earlier run -> (epoch, value), drawn in gray with a dash for each
        best: the epoch whose weights are kept; it gets a ring
        limits: lowest and highest value that the metric can have
        format: d3's, of a value in the tooltip
        large: whether it is a metric of the predictions; the others are drawn finer
        legend: whether the chart says by itself what its lines are, and what its y axis is
        log: whether the y axis is logarithmic; what is not above zero is left out then
    """
    if log:
        lines, behind = _above_zero(lines), _above_zero(behind or {})
    behind = {name: curve for name, curve in (behind or {}).items() if len(curve[0])}
    shown = {name: lines[name] for name in (BATCHES, TRAIN, VAL) if name in lines and len(lines[name][0])}
    by_epoch = {name: curve for name, curve in shown.items() if name != BATCHES}
    epoch, value = map(np.asarray, by_epoch.get(VAL, ([], [])))
    parts = {"curve": behind | shown,
             "dots": {name: curve for name, curve in by_epoch.items() if len(curve[0]) <= FEW},
             "best": {VAL: (epoch[epoch == best], value[epoch == best])}}
    spec = _training_spec(title, tuple(behind), bool(by_epoch), tuple(shown) if legend else (), format, large, log)
    values = joined([ys for _, ys in (behind | shown).values()])
    return Chart(
        spec, {name: long_table(part, "epoch", "value", "line") for name, part in parts.items()},
        f"{title} by epoch. {_in_words(shown | behind, best, higher_is_better)}",
        {"x_axis": axes.linear([0, epochs], integers=True, room=0, count=6),
         "y_axis": axes.log(values, count=max(3, height // 36)) if log else
         axes.linear(values, limits=limits, count=max(3, height // 36))}, height=height)


def _above_zero(lines: Curves) -> Curves:
    return {name: tuple(np.asarray(part)[np.asarray(ys) > 0] for part in (xs, ys)) for name, (xs, ys) in lines.items()}


def _in_words(lines: Curves, best: int | None, higher_is_better: bool | None) -> str:
    """What the lines of a training show, for who cannot see them."""
    said = "; ".join(f"{name}: {ys[0]:.3g} at first, {ys[-1]:.3g} now" for name, (_, ys) in lines.items())
    better = {True: " Higher is better.", False: " Lower is better.", None: ""}[higher_is_better]
    marked = f" The best epoch is {best}." if best else ""
    return f"{said or 'Nothing yet'}.{better}{marked}"


def smooth(values: np.ndarray, factor: float) -> np.ndarray:
    """Return an exponential moving average of a curve, of the same length: each value counts `factor` times as much as the next.

        s_t = sum_i factor^(t - i) x_i / sum_i factor^(t - i),  i = 0 ... t

    NaN stays NaN and counts for nothing.

    >>> smooth(np.array([1.0, 0.0, 0.0]), 0.5).round(3).tolist()
    [1.0, 0.333, 0.143]
    """
    total = weight = 0.0
    smoothed = np.empty(len(values))
    for i, value in enumerate(values):
        if np.isnan(value):
            smoothed[i] = value
            continue
        total, weight = factor * total + value, factor * weight + 1.0
        smoothed[i] = total / weight
    return smoothed


@built_once
def _training_spec(title: str, behind: tuple[str, ...], by_epoch: bool, legend: tuple[str, ...], format: str,
                   large: bool, log: bool) -> alt.LayerChart:
    import altair as alt
    names = (*behind, BATCHES, TRAIN, VAL)
    train, val = palette.SPLITS["train"], palette.SPLITS["val"]
    colors = (*[palette.QUIET] * len(behind), train, train, val)
    dashes = (*[palette.dash(k) for k in range(len(behind))], (1, 0), TRAIN_DASH, (1, 0))
    widths = (*[1.5 if large else 1] * len(behind), 1, 2, 2)
    opacities = (*[0.75 if large else 0.5] * len(behind), 0.45 if by_epoch else 0.9, 1, 1)
    shown = line_legend(orient="top", values=list(legend)) if legend else None
    tooltip = [alt.Tooltip("line:N", title="Line"), alt.Tooltip("epoch:Q", title="Epoch", format=".4~g"),
               alt.Tooltip("value:Q", title=title, format=format)]
    looks = by_name("line", names, colors, dashes, shown)
    lines = table("curve").mark_line().encode(
        **looks,
        strokeWidth=alt.StrokeWidth("line:O", legend=None, scale=one_each(names, widths)),
        opacity=alt.Opacity("line:O", legend=None, scale=one_each(names, opacities)))
    dots = table("dots").mark_point(filled=True, size=22, opacity=1).encode(color=looks["color"])
    ring = table("best").mark_point(size=150, strokeWidth=2, filled=False, opacity=1, color=val)
    titles = ("Epoch", title) if legend else (None, None)
    return alt.layer(lines, dots, ring).encode(
        tooltip=tooltip, x=position("x", "epoch", titles[0], grid=False), y=position("y", "value", titles[1], log=log))


def runs(title: str, lines: Sequence[tuple[str, str, np.ndarray, np.ndarray]], colors: Mapping[str, str], *,
         height: int = 190) -> Chart:
    """Return one metric of several runs by epoch.

    Args:
        lines: (name, name with its seed, epoch (N,), value (N,)); those of one name look alike
        colors: name -> colour
    """
    curve = pa.table({"epoch": joined([xs for *_, xs, _ in lines]), "value": joined([ys for *_, ys in lines]),
                      "run": pa.array([name for name, _, xs, _ in lines for _ in xs], pa.string()),
                      "seed": pa.array([seed for _, seed, xs, _ in lines for _ in xs], pa.string())})
    said = "; ".join(f"{seed} ends at {ys[-1]:.3g}" for _, seed, _, ys in lines if len(ys))
    spec = _runs_spec(title, tuple(colors), tuple(colors.values()), len(curve) <= 3 * FEW)
    return Chart(spec, {"curve": curve}, f"{title} by epoch: {said or 'nothing yet'}.",
                 {"x_axis": axes.linear(curve["epoch"].to_numpy(), integers=True, room=0),
                  "y_axis": axes.linear(curve["value"].to_numpy(), count=5)}, height=height)


@built_once
def _runs_spec(title: str, names: tuple[str, ...], colors: tuple[str, ...], dots: bool) -> alt.Chart:
    import altair as alt
    point = alt.OverlayMarkDef(size=18) if dots else False
    return table("curve").mark_line(strokeWidth=2, point=point).encode(
        x=position("x", "epoch", "Epoch", grid=False), y=position("y", "value"), detail="seed:N",
        **by_name("run", names, colors, [palette.dash(k) for k in range(len(names))], None),
        tooltip=[alt.Tooltip("seed:N", title="Run"), alt.Tooltip("epoch:Q", title="Epoch"),
                 alt.Tooltip("value:Q", title=title, format=".4f")])


def learning_rates(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray,
                   marks: Mapping[str, float], *, height: int = 190) -> Chart:
    """Return the loss at each learning rate of a range test (Smith, WACV 2017), of each step and smoothed.

    Args:
        rates, losses, smoothed: (N,) each; what flies off to the top goes out of the picture
        marks: what it is -> learning rate, an upright line each: the first dashed, the second solid
    """
    start, lowest = smoothed[:10].max(), min(losses.min(), smoothed.min())
    top = min(max(losses.max(), smoothed.max()), start + max(start - lowest, 0.1 * abs(start)))
    curve = pa.table({"rate": rates, "loss": np.clip(losses, lowest, top),
                      "smoothed": np.clip(smoothed, lowest, top)})
    shown = {what: rate for what, rate in marks.items() if rates[0] <= rate <= max(rates[-1], rates[0] * 10)}
    lines = pa.table({"rate": pa.array(shown.values(), pa.float64()), "what": pa.array(shown, pa.string())})
    words = "".join(f" {what.capitalize()}: {rate:g}." for what, rate in marks.items())
    said = (f"Training loss from {smoothed[0]:.3g} at a learning rate of {rates[0]:.0e} "
            f"to {smoothed[-1]:.3g} at {rates[-1]:.1e}, lowest {smoothed.min():.3g} at "
            f"{rates[smoothed.argmin()]:.1e}.{words}")
    return Chart(_range_test_spec(tuple(marks)), {"curve": curve, "marks": lines}, said,
                 {"x_axis": axes.log([*rates, *shown.values()], powers=True, room=0, count=8),
                  "y_axis": axes.linear([lowest, top], room=0.02)}, height=height)


@built_once
def _range_test_spec(marks: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    train = palette.SPLITS["train"]
    tooltip = [alt.Tooltip("rate:Q", title="Learning rate", format=".2e"),
               alt.Tooltip("smoothed:Q", title="Cross-entropy, smoothed", format=".4f"),
               alt.Tooltip("loss:Q", title="Cross-entropy", format=".4f")]
    x = position("x", "rate", "Learning rate", log=True, grid=False)
    each = table("curve").mark_line(strokeWidth=1, opacity=0.55, color=train).encode(
        x=x, y=position("y", "loss", "Cross-entropy"))
    smooth = table("curve").mark_line(strokeWidth=2, color=train).encode(
        x=x, y=position("y", "smoothed", "Cross-entropy"), tooltip=tooltip)
    n = len(marks)
    looks = by_name("what", marks, (palette.QUIET, palette.ACCENT)[:n], ((3, 3), (1, 0))[:n], None)
    rules = table("marks").mark_rule(strokeWidth=1.5).encode(
        x=x, **looks, tooltip=[alt.Tooltip("what:N", title="Mark"),
                               alt.Tooltip("rate:Q", title="Learning rate", format=".2e")])
    return alt.layer(each, smooth, rules)


def long_table(curves: Curves, x: str, y: str, name: str) -> pa.Table:
    """Return curves as rows of x, y and the curve's name, in their order."""
    names = np.repeat(np.array(list(curves), object), [len(xs) for xs, _ in curves.values()])
    return pa.table({x: joined([xs for xs, _ in curves.values()]),
                     y: joined([ys for _, ys in curves.values()]), name: pa.array(names, pa.string())})


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return arrays one after the other; without any, an empty one of numbers."""
    return np.concatenate([np.zeros(0), *(np.asarray(part, float) for part in parts)])
