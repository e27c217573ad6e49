"""What the pages draw: `show_chart` puts a chart of core/charts onto a page, in Streamlit's light or dark theme.

Bars of probabilities and sparklines stand many times on a page and have no axes: they are plain HTML and SVG, which
costs the browser nothing, and not altair's.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from core.charts.chart import NAMES, Chart
from pages.shared import theme
from pages.shared.layout import format_probability


def show_chart(chart: Chart, *, key: str) -> None:
    """Draw a chart as wide as its column; a sentence where it has no data. Altair built its Vega-Lite once; its data go to the
    browser as Arrow."""
    if not any(table.num_rows for table in chart.tables.values()):
        st.caption("There is nothing to draw yet.")
        return
    # `alt` is what a screen reader says; Vega's own labels of each layer of marks say less, some nothing.
    spec = chart.vega_lite() | {"config": {"mark": {"aria": False}}}
    st.vega_lite_chart(spec, key=key, width="stretch", alt=chart.alt)


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


def line_style(color: str, dash: Sequence[int] = (1, 0), height: int = 2, opacity: float = 1) -> str:
    """Return CSS that draws a piece of a chart's line in a legend beside it."""
    ends = np.cumsum(dash)
    stops = ", ".join(f"{color if i % 2 == 0 else 'transparent'} {end - part}px {end}px"
                      for i, (part, end) in enumerate(zip(dash, ends)))
    return f"height:{height}px;opacity:{opacity};background:repeating-linear-gradient(90deg, {stops})"


def heading(title: str, colors: Mapping[str, str] = {}) -> str:
    """HTML of a chart's name with what its colours mean, in one line above: it takes less room than a legend.

    Args:
        colors: what -> its colour, in CSS; neither comes from a file
    """
    shown = list(colors.items())[:NAMES]
    keys = "".join(f"<span><i style='background:{color}'></i>{what}</span>" for what, color in shown)
    keys += f"<span>and {len(colors) - NAMES} more</span>" if len(colors) > NAMES else ""
    return f"<div class='lightbox-heading'>{html.escape(title)}{keys}</div>"
