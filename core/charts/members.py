"""Several networks as one: values over folds, scores of ways to combine them, weights of members, greedy selection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from core.charts import axes, palette
from core.charts.axes import Axis
from core.charts.chart import Chart, built_once, by_name, line_legend, one_each, position, row_labels, table

if TYPE_CHECKING:
    import altair as alt


def folds(title: str, values: Sequence[tuple[str, Sequence[float | None]]], *,
          limits: tuple[float, float] = (-math.inf, math.inf)) -> Chart:
    """Return a metric of each fold, a line for each network: lines that run side by side differ less by chance than they seem.

    Args:
        title: of the metric
        values: (network, k values); None where a fold has none
        limits: lowest and highest value that the metric can have
    """
    count = max(len(each) for _, each in values)
    rows = [(name, k + 1, value) for name, each in values for k, value in enumerate(each) if value is not None]
    names, at, found = (list(column) for column in zip(*rows)) if rows else ([], [], [])
    numbers = tuple(range(1, count + 1))
    said = "; ".join(f"{name} {_listed(each)}" for name, each in values)
    return Chart(_folds_spec(title, tuple(name for name, _ in values)),
                 {"folds": pa.table({"network": names, "fold": pa.array(at, pa.int64()),
                                     "value": pa.array(found, pa.float64())})},
                 f"{title} of each fold: {said}.",
                 {"x_axis": Axis((0.8, count + 0.2), tuple(map(float, numbers)), tuple(map(str, numbers))),
                  "y_axis": axes.linear(found, limits=limits)})


@built_once
def _folds_spec(title: str, names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    legend = line_legend(orient="top", offset=2, columns=1, labelLimit=400) if len(names) > 1 else None
    colors = [palette.class_color(k) for k in range(len(names))]
    looks = by_name("network", names, colors, [palette.dash(k) for k in range(len(names))], legend)
    base = table("folds").encode(
        x=position("x", "fold", "Fold", grid=False), y=position("y", "value", title),
        tooltip=[alt.Tooltip("network:N", title="Network"), alt.Tooltip("fold:Q", title="Fold", format="d"),
                 alt.Tooltip("value:Q", title=title, format=".4f")])
    return alt.layer(base.mark_line(strokeWidth=2).encode(**looks),
                     base.mark_point(filled=True, size=50, opacity=1).encode(color=looks["color"]))


def _listed(values: Sequence[float | None]) -> str:
    return ", ".join("-" if value is None else f"{value:.3f}" for value in values)


# --- ways to combine ---

KINDS = {"member": "Members", "way": "Ways to combine"}
Rows = Sequence[tuple[str, str, float | None, float | None, float | None, int]]


def scores(title: str, rows: Rows, best: float | None, chosen: str = "", *,
           limits: tuple[float, float] = (-math.inf, math.inf)) -> Chart:
    """Return the score of each member and of each way to combine them, a dot with its interval.

    Args:
        title: of the metric
        rows: (name, a key of KINDS, value, lowest, highest, images), from top to bottom
        best: the best member's score, a dashed line
        chosen: name of the way whose dot is larger
    """
    rows = [row for row in rows if row[2] is not None]
    names, kinds, values, lows, highs, counts = ([list(column) for column in zip(*rows)] if rows else [[]] * 6)
    points = pa.table({"name": names, "kind": [KINDS[kind] for kind in kinds], "value": _floats(values), "low": _floats(lows),
                       "high": _floats(highs), "n": pa.array(counts, pa.int64()), "chosen": [name == chosen for name in names]})
    ends = [end for end in (*values, *lows, *highs, best) if end is not None]
    said = "; ".join(f"{name} {_interval(value, low, high)}" for name, value, low, high in zip(names, values, lows, highs))
    return Chart(_scores_spec(title, tuple(names)), {"scores": points, "best": pa.table({"value": _floats([best])})},
                 f"{title} of members and of ways to combine them: {said}.", {"x_axis": axes.linear(ends, limits=limits)},
                 height=25 * len(rows) + 66)


@built_once
def _scores_spec(title: str, names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt
    color = alt.Color("kind:N", title=None, legend=alt.Legend(orient="top", offset=2),
                      scale=one_each(tuple(KINDS.values()), (palette.QUIET, palette.ACCENT)))
    base = table("scores").encode(y=row_labels("name", names), color=color, tooltip=[
        alt.Tooltip("name:N", title="Name"), alt.Tooltip("n:Q", title="Images", format=","),
        alt.Tooltip("value:Q", title=title, format=".4f"), alt.Tooltip("low:Q", title="95 % from", format=".3f"),
        alt.Tooltip("high:Q", title="95 % to", format=".3f")])
    best = table("best").mark_rule(strokeDash=[4, 4], color=palette.QUIET).encode(
        x=position("x", "value", title), tooltip=alt.Tooltip("value:Q", title="Best member", format=".4f"))
    intervals = base.mark_rule(strokeWidth=2, opacity=0.6).encode(x=position("x", "low", title), x2="high:Q")
    dots = base.mark_point(filled=True, opacity=1).encode(
        x=position("x", "value", title), size=alt.condition("datum.chosen", alt.value(150), alt.value(60)))
    return alt.layer(best, intervals, dots)


def weights(title: str, values: Sequence[tuple[str, float]], signed: bool = False) -> Chart:
    """Return how much each member counts, a bar each.

    Args:
        title: of the axis
        values: (member, weight), from top to bottom
        signed: whether they are differences, written with their sign and one digit more
    """
    names, found = [name for name, _ in values], [value for _, value in values]
    digits = "+.3f" if signed else ".2f"
    said = "; ".join(f"{name} {value:{digits}}" for name, value in values)
    return Chart(_weights_spec(title, tuple(names), digits), {"weights": pa.table({"member": names, "weight": _floats(found)})},
                 f"{title}: {said}.", {"x_axis": axes.linear([0.0, *found], room=0.16, signed=signed)},
                 height=25 * len(values) + 50)


@built_once
def _weights_spec(title: str, names: tuple[str, ...], digits: str) -> alt.LayerChart:
    import altair as alt
    base = table("weights").encode(y=row_labels("member", names), x=position("x", "weight", title), tooltip=[
        alt.Tooltip("member:N", title="Member"), alt.Tooltip("weight:Q", title=title, format=digits)])
    written = base.encode(text=alt.Text("weight:Q", format=digits))
    return alt.layer(base.mark_bar(color=palette.ACCENT, height=14),
                     written.transform_filter("datum.weight >= 0").mark_text(align="left", dx=4, fontSize=11),
                     written.transform_filter("datum.weight < 0").mark_text(align="right", dx=-4, fontSize=11))


def growth(losses: Sequence[float], added: Sequence[str], kept: int) -> Chart:
    """Return how a greedy selection grew: the cross-entropy after each member, and a ring where it is kept.

    Args:
        losses: after 1, 2, ... members
        added: name of the member that was added at each
        kept: how many are kept
    """
    numbers = list(range(1, len(losses) + 1))
    curve = pa.table({"count": pa.array(numbers, pa.int64()), "loss": _floats(losses), "added": list(added),
                      "kept": [number == kept for number in numbers]})
    x = axes.linear([1, len(losses)], integers=True, room=0.03)
    return Chart(_growth_spec(), {"growth": curve},
                 f"Cross-entropy on validation after each member of the greedy selection: from {losses[0]:.3f} with the first to "
                 f"{losses[kept - 1]:.3f} with {kept}, which are kept.", {"x_axis": x, "y_axis": axes.linear(losses)}, height=210)


@built_once
def _growth_spec() -> alt.LayerChart:
    import altair as alt
    base = table("growth").encode(
        x=position("x", "count", "Members selected", grid=False), y=position("y", "loss", "Cross-entropy"),
        tooltip=[alt.Tooltip("count:Q", title="Members", format="d"), alt.Tooltip("added:N", title="Added"),
                 alt.Tooltip("loss:Q", title="Cross-entropy", format=".4f")])
    ring = base.transform_filter("datum.kept").mark_point(filled=False, size=160, strokeWidth=2.5, color=palette.ACCENT)
    return alt.layer(base.mark_line(strokeWidth=2, color=palette.SPLITS["val"]),
                     base.mark_point(filled=True, size=28, color=palette.SPLITS["val"], opacity=1), ring)


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _floats(values: Sequence[float | None]) -> pa.Array:
    return pa.array([None if value is None else float(value) for value in values], pa.float64())
