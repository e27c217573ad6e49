"""`Chart`: the Vega-Lite that altair wrote once, and the data of this moment.

To build a chart with altair and to check it takes 5 to 10 ms, too long for what is drawn anew twice a second.
So a builder runs once for the same options (names, colours, titles) and its Vega-Lite is kept. What changes
is put in afterwards: tables by their name, as Arrow, and axes as the parameters `x_axis` and `y_axis`, to
which the scales refer.

Names of classes, runs and columns are values in those tables, never names of fields, in which Vega-Lite gives
dots and brackets a meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from core.charts.axes import Axis

if TYPE_CHECKING:
    import altair as alt

NAMES = 12             # of classes that a legend shows, one for each colour of the palette: 200 would push the chart off the page
POINTS = 500           # more than this makes an update of a live chart slow in the browser
PADDING = {"left": 0, "right": 6, "top": 6, "bottom": 2}
SQUARE = (300, 300)
DIAGONAL = pa.table({"x": [0.0, 1.0], "y": [0.0, 1.0]})


@dataclass(frozen=True)
class Chart:
    """What is drawn, ready for a browser or for `core.charts.save`.

    Args:
        spec: Vega-Lite without data, shared by all charts of its kind: never changed
        tables: name in `spec` -> data
        axes: parameters that `spec` refers to
        alt: what is seen, in words, for people who do not see it
        height: on a page, in px, with axes and legend; as wide as its column
        paper: width and height in a report, in px, of what lies between the axes
    """

    spec: Mapping[str, Any]
    tables: Mapping[str, pa.Table]
    alt: str
    axes: Mapping[str, Axis] = field(default_factory=dict)
    height: int = 250
    paper: tuple[int, int] = (360, 220)

    def vega_lite(self) -> dict:
        """Return the whole Vega-Lite but for its width, with tables of Arrow as its data sets."""
        params = [{"name": name, "value": axis.as_param()} for name, axis in self.axes.items()]
        return {"padding": PADDING, "height": self.height, "params": params, "datasets": dict(self.tables),
                **self.spec}


def built_once(build: Callable[..., alt.TopLevelMixin]) -> Callable[..., dict]:
    """Let an altair builder run once for the same options; the result is its Vega-Lite, checked by altair."""
    @lru_cache(maxsize=256)
    @wraps(build)
    def spec(*options) -> dict:
        made = build(*options).to_dict()
        return {key: value for key, value in made.items() if key not in ("$schema", "config")}
    return spec


def table(name: str) -> alt.Chart:
    """Return an empty chart whose data is the table of this name."""
    import altair as alt
    return alt.Chart(alt.NamedData(name))


def position(channel: str, name: str, title: str | None = None, *, log: bool = False,
             **axis) -> alt.X | alt.Y:
    """Return an x or y whose domain, ticks and labels are those of the parameter `x_axis` or `y_axis`.

    Args:
        channel: "x" or "y"
        name: of the column, of numbers
        log: whether the axis is logarithmic
        axis: more of altair's options of an axis
    """
    import altair as alt
    param = f"{channel}_axis"
    scale = alt.Scale(domain=alt.expr(f"{param}.domain"), nice=False, type="log" if log else alt.Undefined)
    style = {"values": alt.expr(f"{param}.ticks"),
             "titlePadding": 4, "labelOverlap": False, "labelFlush": False,
             "labelExpr": f"{param}.labels[indexof({param}.ticks, datum.value)]"}
    return getattr(alt, channel.upper())(f"{name}:Q", title=title, scale=scale, axis=alt.Axis(**style | axis))


def row_labels(name: str, names: Sequence[str]) -> alt.Y:
    """Return a y with a row for each name in a column, in their order from top to bottom."""
    import altair as alt
    style = alt.Axis(labelLimit=150, ticks=False, domain=False, grid=False, labelFlush=False)
    return alt.Y(f"{name}:N", title=None, sort=list(names), axis=style)


def one_each(names: Sequence[str], values: Sequence) -> alt.Scale:
    """Return the scale that gives each name the value that stands at its place."""
    import altair as alt
    return alt.Scale(type="ordinal", domain=list(names),
                     range=[list(v) if isinstance(v, tuple) else v for v in values])


def by_name(field: str, names: Sequence[str], colors: Sequence[str], dashes: Sequence[tuple[int, ...]],
            legend: alt.Legend | None) -> dict:
    """Return colour and dash of lines that differ by the name in a column, with one legend for both."""
    import altair as alt
    return {"color": alt.Color(f"{field}:N", title=None, legend=legend, scale=one_each(names, colors)),
            "strokeDash": alt.StrokeDash(f"{field}:N", title=None, legend=legend,
                                         scale=one_each(names, dashes))}


def line_legend(**options) -> alt.Legend:
    """Return a legend that shows a piece of each line, long enough to see its dash. Of more than NAMES it counts the rest."""
    import altair as alt
    return alt.Legend(symbolType="stroke", symbolSize=300, symbolStrokeWidth=2, symbolLimit=NAMES, **options)


def listed(names: Iterable[str]) -> str:
    """Return names for a sentence, the first NAMES of them.

    >>> listed(map(str, range(200)))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 188 more'
    """
    names = list(names)
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def thin(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `points` of a curve: the lowest and the highest value of each stretch, so every spike,
    and both ends.

    Args:
        x, y: (N,) numbers; x rises. Places where y is not finite are left out
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) <= points:
        return x, y
    # Two points of each bin. The bins are as equal as they can be: `longer` of them have one place more than
    # the others.
    size, longer = divmod(len(x) - 2, (points - 2) // 2)
    middle = 1 + longer * (size + 1)
    kept = [np.array([0, len(x) - 1])]
    for start, bins in ((1, y[1:middle].reshape(longer, size + 1)), (middle, y[middle:-1].reshape(-1, size))):
        first = start + bins.shape[1] * np.arange(len(bins))
        kept += [first + pick(bins, axis=1) for pick in (np.argmin, np.argmax) if len(bins)]
    kept = np.unique(np.concatenate(kept))
    return x[kept], y[kept]


def thin_staircase(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `points` corners of a staircase, evenly by their order, and both ends: it keeps its
    shape."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) <= points:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, points).round().astype(int))
    return x[kept], y[kept]
