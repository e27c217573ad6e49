"""Several networks as one: values over folds, scores of ways to combine them, how alike members are, weights, growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from core.charts import axes, palette
from core.charts.axes import Axis
from core.charts.chart import Chart, built_once, by_name, line_legend, position, table

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
