"""The charts of the pages: arrays and records in, a picture out. No computing beyond thinning.

Curves are Vega-Lite, in Streamlit's own chart theme, so that both themes work. What stands many times on a page (bars of
probabilities, sparklines) is plain HTML and SVG: it costs the browser nothing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import streamlit as st

from pages.shared import theme
from pages.shared.layout import format_probability

POINTS = 500           # more than this makes an update of a live chart slow in the browser


def thin(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` of a curve. The lowest and the highest value of each stretch stay, and so every spike, and both ends.

    Args:
        x, y: (N,) numbers; x rises. Places where y is not finite are left out
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    there = np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) <= points:
        return x, y
    # Two points of each bin. The bins are as equal as they can be: `longer` of them have one place more than the others.
    size, longer = divmod(len(x) - 2, (points - 2) // 2)
    middle = 1 + longer * (size + 1)
    kept = [np.array([0, len(x) - 1])]
    for start, bins in ((1, y[1:middle].reshape(longer, size + 1)), (middle, y[middle:-1].reshape(-1, size))):
        first = start + bins.shape[1] * np.arange(len(bins))
        kept += [first + pick(bins, axis=1) for pick in (np.argmin, np.argmax) if len(bins)]
    kept = np.unique(np.concatenate(kept))
    return x[kept], y[kept]


def show_roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, key: str, colors: Sequence[str] | None = None,
             point: tuple[float, float] | None = None, point_label: str = "", height: int = 340) -> None:
    """Receiver operating characteristic: share of the sick found against share of the healthy called back.

    Args:
        curves: name -> (false positive rate, true positive rate), each (T,) in [0, 1]
        colors: one for each curve; by default the class colours in order
        point: the operating point (false positive rate, true positive rate)
    """
    thinned = {name: _thin_roc(np.asarray(fpr, float), np.asarray(tpr, float)) for name, (fpr, tpr) in curves.items()}
    table = pa.table({"fpr": np.concatenate([xs for xs, _ in thinned.values()] or [np.zeros(0)]),
                      "tpr": np.concatenate([ys for _, ys in thinned.values()] or [np.zeros(0)]),
                      "name": [name for name, (xs, _) in thinned.items() for _ in xs],
                      "order": [i for xs, _ in thinned.values() for i in range(len(xs))]})
    colors = list(colors or [theme.class_color(k) for k in range(len(curves))])
    spec = _roc_spec(list(curves), colors, point, point_label or "operating point", height)
    said = f" Operating point: sensitivity {point[1]:.2f}, specificity {1 - point[0]:.2f}." if point else ""
    st.vega_lite_chart(table, spec, key=key, width="stretch", alt=f"ROC curve of {', '.join(curves)}.{said}")


def show_precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, key: str, colors: Sequence[str],
                          point: tuple[float, float] | None = None, point_label: str = "", share: float | None = None,
                          height: int = 340) -> None:
    """Of those called, the share that is sick, against the share of the sick found.

    Args:
        curves: name -> (sensitivity, precision), each (T,) in [0, 1]
        point: the operating point (sensitivity, precision)
        share: of the sick among all: where guessing lies
    """
    thinned = {name: _thin_roc(*axes) for name, axes in curves.items()}
    table = pa.table({"found": np.concatenate([xs for xs, _ in thinned.values()]),
                      "right": np.concatenate([ys for _, ys in thinned.values()]),
                      "name": [name for name, (xs, _) in thinned.items() for _ in xs],
                      "order": [i for xs, _ in thinned.values() for i in range(len(xs))]})
    axis = {"values": [0, .2, .4, .6, .8, 1], "format": ".1f", "titlePadding": 4}
    unit = {"domain": [0, 1], "nice": False}
    across, up = ({"field": field, "type": "quantitative", "title": title, "scale": unit, "axis": axis}
                  for field, title in (("found", "sensitivity (found)"), ("right", "precision (right when called)")))
    rates = [{"field": field, "title": title, "format": ".3f"}
             for field, title in (("found", "sensitivity"), ("right", "precision"))]
    color = {"field": "name", "type": "nominal", "title": None, "scale": {"domain": list(curves), "range": list(colors)},
             "legend": None}
    layers = [{"mark": {"type": "line", "strokeWidth": 2},
               "encoding": {"color": color, "order": {"field": "order", "type": "quantitative"},
                            "tooltip": [{"field": "name", "title": "curve"}, *rates]}}]
    if share is not None:
        layers.insert(0, {"data": {"values": [{"found": x, "right": share} for x in (0, 1)]},
                          "mark": {"type": "line", "strokeDash": [4, 4], "color": theme.QUIET, "strokeWidth": 1}})
    if point:
        layers.append({"data": {"values": [{"found": point[0], "right": point[1], "what": point_label}]},
                       "mark": {"type": "point", "size": 110, "filled": True, "color": theme.ANSWERS["wrong"], "opacity": 1},
                       "encoding": {"tooltip": [{"field": "what", "title": "point"}, *rates]}})
    said = f" Operating point: sensitivity {point[0]:.2f}, precision {point[1]:.2f}." if point else ""
    st.vega_lite_chart(table, {"height": height, "padding": {"left": 0, "right": 6, "top": 6, "bottom": 0},
                               "encoding": {"x": across, "y": up}, "layer": layers}, key=key, width="stretch",
                       alt=f"Precision-recall curve of {', '.join(curves)}.{said}")


def _roc_spec(names: list[str], colors: list[str], point: tuple[float, float] | None, point_label: str, height: int) -> dict:
    """Vega-Lite of `show_roc`, whose data has the columns fpr, tpr, name, order. Written by hand: Altair takes 30 ms to make
    it and to check it, each time anything on the page changes."""
    axis = {"values": [0, .2, .4, .6, .8, 1], "format": ".1f", "titlePadding": 4}
    unit = {"domain": [0, 1], "nice": False}
    across, up = ({"field": field, "type": "quantitative", "title": title, "scale": unit, "axis": axis}
                  for field, title in (("fpr", "1 - specificity (false alarms)"), ("tpr", "sensitivity (found)")))
    legend = {"orient": "bottom-right", "labelLimit": 160, "offset": 8} if len(names) > 1 else None
    color = {"field": "name", "type": "nominal", "title": None, "scale": {"domain": names, "range": colors}, "legend": legend}
    rates = [{"field": field, "title": title, "format": ".3f"}
             for field, title in (("tpr", "sensitivity"), ("fpr", "1 - specificity"))]
    layers = [{"data": {"values": [{"fpr": 0, "tpr": 0}, {"fpr": 1, "tpr": 1}]},
               "mark": {"type": "line", "strokeDash": [4, 4], "color": theme.QUIET, "strokeWidth": 1}},
              {"mark": {"type": "line", "strokeWidth": 2},
               "encoding": {"color": color, "order": {"field": "order", "type": "quantitative"},
                            "tooltip": [{"field": "name", "title": "curve"}, *rates]}}]
    if point:
        layers.append({"data": {"values": [{"fpr": point[0], "tpr": point[1], "what": point_label}]},
                       "mark": {"type": "point", "size": 110, "filled": True, "color": theme.ANSWERS["wrong"], "opacity": 1},
                       "encoding": {"tooltip": [{"field": "what", "title": "point"}, *rates]}})
    return {"height": height, "padding": {"left": 0, "right": 6, "top": 6, "bottom": 0},
            "encoding": {"x": across, "y": up}, "layer": layers}


def _thin_roc(fpr: np.ndarray, tpr: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A staircase keeps its shape when every k-th corner stays, and both ends."""
    if len(fpr) <= points:
        return fpr, tpr
    kept = np.unique(np.linspace(0, len(fpr) - 1, points).round().astype(int))
    return fpr[kept], tpr[kept]


def show_probabilities(class_names: Sequence[str], probs: Sequence[float], *, true: int | None = None,
                       thresholds: Sequence[float] | None = None, limit: int = 12, always: Sequence[int] = ()) -> None:
    """What the network says of one image: a bar for each class, the most probable first."""
    st.html(probability_bars(class_names, probs, true=true, thresholds=thresholds, limit=limit, always=always))


def probability_bars(class_names: Sequence[str], probs: Sequence[float], *, true: int | None = None,
                     thresholds: Sequence[float] | None = None, limit: int = 12, always: Sequence[int] = ()) -> str:
    """HTML of `show_probabilities`. Two classes keep their order, more are sorted.

    Args:
        class_names: K names, shown exactly as they are
        probs: (K,) in [0, 1]
        true: the right class, which is marked
        thresholds: (K,), drawn as a line through each bar: see `core.metrics.confusion.thresholds_of_classes`
        limit: of so many classes; the rest is said in a line
        always: classes that are shown beyond that, however little they get
    """
    order = list(range(len(probs)) if len(probs) <= 2 else np.argsort(-np.asarray(probs, float), kind="stable"))
    shown = [k for place, k in enumerate(order) if place < limit or k in always]
    rows = []
    for k in shown:
        p = float(probs[k])
        mark = " <small>(true)</small>" if k == true else ""
        long = 100 * min(1, max(0, p)) if math.isfinite(p) else 0
        line = "" if thresholds is None else f"<i style='left:{100 * float(thresholds[k]):.2f}%'></i>"
        bar = f"<b style='width:{long:.2f}%;background:{theme.class_color(int(k))}'></b>"
        name = html.escape(str(class_names[k]))
        rows.append(f"<span>{name}{mark}</span><div>{bar}{line}</div><span>{html.escape(format_probability(p))}</span>")
    rest = len(probs) - len(shown)
    less = " with less" if len(shown) <= limit else ""
    more = f"<p>and {rest} {'class' if rest == 1 else 'classes'}{less}</p>" if rest > 0 else ""
    return f"<div class='lightbox-bars'>{''.join(rows)}{more}</div>"


def show_sparkline(values: Sequence[float | None], label: str, *, color: str = theme.SPLITS["val"],
                   domain: tuple[float, float] | None = None) -> None:
    """A curve as small as a word. `label` says it for people who do not see it; None and NaN are left out."""
    st.image(sparkline(values, color=color, domain=domain), alt=label, width="stretch")


def sparkline(values: Sequence[float | None], *, color: str = theme.SPLITS["val"], domain: tuple[float, float] | None = None,
              width: int = 280, height: int = 40) -> str:
    """SVG of `show_sparkline`; `domain` is the lowest and highest value, by default of the values themselves."""
    found = [(i, float(v)) for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    low, high = domain or (min((v for _, v in found), default=0), max((v for _, v in found), default=1))
    across, up = (width - 8) / max(1, len(values) - 1), (height - 8) / ((high - low) or 1)
    points = [(4 + i * across, height - 4 - (min(max(v, low), high) - low) * up) for i, v in found]
    if points:
        path, (x, y) = " ".join(f"{x:.1f},{y:.1f}" for x, y in points), points[-1]
        drawn = (f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='1.8' stroke-linejoin='round'/>"
                 f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{color}'/>")
    else:
        y = height - 4
        drawn = f"<line x1='4' x2='{width - 4}' y1='{y}' y2='{y}' stroke='{theme.QUIET}' stroke-dasharray='2 4'/>"
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
            f"viewBox='0 0 {width} {height}'>{drawn}</svg>")


def heading(title: str, colors: Mapping[str, str] = {}) -> str:
    """HTML of a chart's name with what its colours mean, in one line above: it takes less room than a legend.

    Args:
        colors: what -> its colour, in CSS; neither comes from a file
    """
    keys = "".join(f"<span><i style='background:{color}'></i>{what}</span>" for what, color in colors.items())
    return f"<div class='lightbox-heading'>{html.escape(title)}{keys}</div>"
