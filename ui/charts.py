"""The charts of the pages: arrays and records in, a picture out. No computing beyond thinning.

Curves and bars are Altair, in Streamlit's own chart theme, so that both themes work. What stands many times on a page (bars of
probabilities, sparklines) is plain HTML and SVG: it costs the browser nothing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from ui import theme

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
    bins = np.array_split(np.arange(1, len(x) - 1), (points - 2) // 2)      # two points of each
    kept = {0, len(x) - 1} | {int(b[pick(y[b])]) for b in bins for pick in (np.argmin, np.argmax)}
    kept = np.array(sorted(kept))
    return x[kept], y[kept]


def show_learning_curve(records: Sequence[Mapping], title: str, *, key: str, train: str | None = None, val: str | None = None,
                        x: str = "epoch", domain: tuple[float, float] | None = None, best: float | None = None,
                        higher_is_better: bool | None = None, height: int = 230) -> None:
    """One measure over the training: the training split beside the validation split.

    Args:
        records: as a run reports them; those without the measure are skipped
        train, val: names of the measure in the records
        domain: lowest and highest value of the y axis; None fits the data
        best: where on the x axis to draw the line of the best epoch
        higher_is_better: said in the text for people who do not see the chart
    """
    frames, said = [], []
    for split, name in (("train", train), ("val", val)):
        pairs = [(r[x], r[name]) for r in records if name and r.get(name) is not None and x in r]
        if pairs:
            xs, ys = thin(*np.array(pairs, float).T)
            frames.append(pd.DataFrame({x: xs, "value": ys, "split": theme.SPLIT_TITLES[split]}))
            said.append(f"{theme.SPLIT_TITLES[split]} from {ys[0]:.3g} to {ys[-1]:.3g}")
    frame = pd.concat(frames) if frames else pd.DataFrame({x: [], "value": [], "split": []})
    few = len(frame) <= 60
    scale = alt.Scale(domain=domain, clamp=True) if domain else alt.Scale(zero=False)
    integers = {"format": "d", "tickMinStep": 1} if x in ("epoch", "step") else {}
    lines = alt.Chart(frame).mark_line(point=alt.OverlayMarkDef(size=22) if few else False, strokeWidth=2).encode(
        x=alt.X(f"{x}:Q", title=x, axis=alt.Axis(grid=False, **integers), scale=alt.Scale(nice=False)),
        y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5)),
        color=alt.Color("split:N", title=None, legend=alt.Legend(orient="top", direction="horizontal"), scale=_splits()),
        tooltip=[alt.Tooltip("split:N", title="split"), alt.Tooltip(f"{x}:Q"), alt.Tooltip("value:Q", format=".4f", title=title)])
    chart = lines
    if best is not None and frames:
        rule = alt.Chart(pd.DataFrame({x: [best], "what": ["best epoch, kept"]})).mark_rule(strokeDash=[3, 3], color=theme.QUIET)
        chart = rule.encode(x=f"{x}:Q", tooltip="what:N") + lines
    better = {True: " Higher is better.", False: " Lower is better.", None: ""}[higher_is_better]
    st.altair_chart(chart.properties(height=height, title=_title(title)), key=key, width="stretch",
                    alt=f"{title} by {x}: {'; '.join(said) or 'nothing yet'}.{better}")


def show_roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, key: str, colors: Sequence[str] | None = None,
             point: tuple[float, float] | None = None, point_label: str = "", height: int = 340) -> None:
    """Receiver operating characteristic: share of the sick found against share of the healthy called back.

    Args:
        curves: name -> (false positive rate, true positive rate), each (T,) in [0, 1]
        colors: one for each curve; by default the class colours in order
        point: the operating point (false positive rate, true positive rate)
    """
    frames = []
    for name, (fpr, tpr) in curves.items():
        xs, ys = _thin_roc(np.asarray(fpr, float), np.asarray(tpr, float))
        frames.append(pd.DataFrame({"fpr": xs, "tpr": ys, "name": name, "order": np.arange(len(xs))}))
    frame = pd.concat(frames) if frames else pd.DataFrame({"fpr": [], "tpr": [], "name": [], "order": []})
    colors = list(colors or [theme.class_color(k) for k in range(len(curves))])
    unit = alt.Scale(domain=(0, 1), nice=False)
    axis = alt.Axis(values=[0, .2, .4, .6, .8, 1], format=".1f")
    diagonal = alt.Chart(pd.DataFrame({"fpr": [0, 1], "tpr": [0, 1]})).mark_line(strokeDash=[4, 4], color=theme.QUIET,
                                                                                 strokeWidth=1).encode(x="fpr:Q", y="tpr:Q")
    lines = alt.Chart(frame).mark_line(strokeWidth=2, interpolate="linear").encode(
        x=alt.X("fpr:Q", title="1 - specificity (false alarms)", scale=unit, axis=axis),
        y=alt.Y("tpr:Q", title="sensitivity (found)", scale=unit, axis=axis),
        color=alt.Color("name:N", title=None, scale=alt.Scale(domain=list(curves), range=colors),
                        legend=alt.Legend(orient="bottom-right", labelLimit=160) if len(curves) > 1 else None),
        order="order:Q", tooltip=["name:N", alt.Tooltip("fpr:Q", format=".3f"), alt.Tooltip("tpr:Q", format=".3f")])
    chart = diagonal + lines
    if point:
        here = pd.DataFrame({"fpr": [point[0]], "tpr": [point[1]], "what": [point_label or "operating point"]})
        chart += alt.Chart(here).mark_point(size=110, filled=True, color=theme.ANSWERS["wrong"], opacity=1).encode(
            x="fpr:Q", y="tpr:Q", tooltip=["what:N", alt.Tooltip("tpr:Q", title="sensitivity", format=".3f"),
                                           alt.Tooltip("fpr:Q", title="1 - specificity", format=".3f")])
    said = f" Operating point: sensitivity {point[1]:.2f}, specificity {1 - point[0]:.2f}." if point else ""
    st.altair_chart(chart.properties(height=height), key=key, width="stretch",
                    alt=f"ROC curve of {', '.join(curves)}.{said}")


def _thin_roc(fpr: np.ndarray, tpr: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A staircase keeps its shape when every k-th corner stays, and both ends."""
    if len(fpr) <= points:
        return fpr, tpr
    kept = np.unique(np.linspace(0, len(fpr) - 1, points).round().astype(int))
    return fpr[kept], tpr[kept]


def show_class_bars(counts: pd.DataFrame, *, key: str, select: bool = False) -> tuple[str, str] | None:
    """Images per class as bars, stacked by split.

    Args:
        counts: classes (index) x splits (columns train, val, test), as `Dataset.counts` gives it; a row or column "total" is left out
        select: whether a click on a bar is reported

    Returns:
        (class name, split) of the bar that is chosen, or None.
    """
    splits = [s for s in theme.SPLITS if s in counts]
    classes = [str(c) for c in counts.index if c != "total"]
    frame = pd.DataFrame([{"class": str(c), "split": theme.SPLIT_TITLES[s], "name": s, "images": int(counts.loc[c, s]), "order": i}
                          for c in counts.index if c != "total" for i, s in enumerate(splits)])
    chart = alt.Chart(frame).mark_bar(height={"band": .72}, cursor="pointer" if select else "default").encode(
        y=alt.Y("class:N", title=None, sort=classes, axis=alt.Axis(labelLimit=170, ticks=False, domain=False)),
        x=alt.X("images:Q", title="images", axis=alt.Axis(tickCount=4, format=",d")),
        color=alt.Color("split:N", title=None, sort=None, scale=_splits(), legend=alt.Legend(orient="top")),
        order="order:Q", tooltip=["class:N", "split:N", alt.Tooltip("images:Q", format=",d")])
    if select:
        picked = alt.selection_point(name="bar", fields=["class", "name"], empty=True)
        chart = chart.add_params(picked).encode(opacity=alt.condition(picked, alt.value(1), alt.value(.35)))
    said = "; ".join(f"{c}: " + ", ".join(f"{theme.SPLIT_TITLES[s]} {int(counts.loc[c, s]):,}" for s in splits)
                     for c in counts.index if c != "total")
    event = st.altair_chart(chart.properties(height=max(90, 30 * len(classes) + 56)), key=key, width="stretch", alt=f"Images: {said}.",
                            on_select="rerun" if select else "ignore")
    chosen = event.selection.get("bar", []) if select else []
    return (chosen[0]["class"], chosen[0]["name"]) if chosen and {"class", "name"} <= set(chosen[0]) else None


def show_bars(values: Sequence[float], edges: Sequence[float], title: str, *, key: str, alt_text: str, height: int = 140) -> None:
    """A histogram: (B,) values over (B + 1,) edges."""
    frame = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "n": values})
    chart = alt.Chart(frame).mark_rect(color=theme.QUIET).encode(
        x=alt.X("from:Q", title=title, axis=alt.Axis(grid=False, tickCount=5), scale=alt.Scale(nice=False, zero=False)), x2="to:Q",
        y=alt.Y("n:Q", title=None, axis=alt.Axis(tickCount=3, grid=False), scale=alt.Scale(zero=True)),
        y2=alt.datum(0), tooltip=[alt.Tooltip("from:Q"), alt.Tooltip("to:Q"), alt.Tooltip("n:Q")])
    st.altair_chart(chart.properties(height=height), key=key, width="stretch", alt=alt_text)


def show_probabilities(class_names: Sequence[str], probs: Sequence[float], *, true: int | None = None,
                       threshold: float | None = None, limit: int = 12) -> None:
    """What the network says of one image: a bar for each class, the most probable first."""
    st.html(probability_bars(class_names, probs, true=true, threshold=threshold, limit=limit))


def probability_bars(class_names: Sequence[str], probs: Sequence[float], *, true: int | None = None,
                     threshold: float | None = None, limit: int = 12) -> str:
    """HTML of `show_probabilities`. Two classes keep their order, more are sorted.

    Args:
        class_names: K names, shown exactly as they are
        probs: (K,) in [0, 1]
        true: the right class, which is marked
        threshold: drawn as a line through the bars
        limit: of so many classes; the rest is said in a line
    """
    order = range(len(probs)) if len(probs) <= 2 else np.argsort(-np.asarray(probs, float), kind="stable")
    line = "" if threshold is None else (f"<i style='position:absolute;left:{100 * threshold:.2f}%;top:-2px;bottom:-2px;"
                                         "border-left:2px solid currentColor;opacity:.75'></i>")
    rows = []
    for k in list(order)[:limit]:
        p = float(probs[k]) if math.isfinite(float(probs[k])) else 0.0
        mark = " <span title='the right answer' style='opacity:.8'>(true)</span>" if k == true else ""
        rows.append(
            "<div style='display:grid;grid-template-columns:minmax(5rem,11rem) 1fr 4.2rem;gap:.6rem;align-items:center;margin:.28rem 0'>"
            f"<div style='overflow-wrap:anywhere;line-height:1.2'>{html.escape(str(class_names[k]))}{mark}</div>"
            "<div style='position:relative;height:.85rem;background:rgba(128,134,138,.2);border-radius:3px'>"
            f"<div style='width:{100 * min(1, max(0, p)):.2f}%;height:100%;background:{theme.class_color(int(k))};border-radius:3px'></div>"
            f"{line}</div><div style='text-align:right;font-variant-numeric:tabular-nums'>{100 * p:.1f} %</div></div>")
    rest = len(probs) - limit
    more = f"<div style='opacity:.75;font-size:.85rem'>and {rest} classes with less</div>" if rest > 0 else ""
    return f"<div>{''.join(rows)}{more}</div>"


def sparkline(values: Sequence[float | None], label: str, *, color: str = theme.SPLITS["val"], width: int = 160, height: int = 34,
              low: float | None = None, high: float | None = None) -> str:
    """A curve as small as a word, as SVG. `label` says it for people who do not see it; None and NaN are gaps."""
    found = [(i, float(v)) for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    name = html.escape(label, quote=True)
    open_tag = (f"<svg role='img' aria-label=\"{name}\" width='{width}' height='{height}' viewBox='0 0 {width} {height}' "
                "preserveAspectRatio='none' style='display:block;max-width:100%'>")
    if not found:
        return f"{open_tag}<line x1='0' x2='{width}' y1='{height - 3}' y2='{height - 3}' stroke='{theme.QUIET}' stroke-dasharray='2 4'/></svg>"
    low = min(v for _, v in found) if low is None else low
    high = max(v for _, v in found) if high is None else high
    across, up = (width - 6) / max(1, len(values) - 1), (height - 6) / ((high - low) or 1)
    points = [(3 + i * across, height - 3 - (v - low) * up) for i, v in found]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (f"{open_tag}<polyline points='{path}' fill='none' stroke='{color}' stroke-width='1.8' stroke-linejoin='round'/>"
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.6' fill='{color}'/></svg>")


def _splits() -> alt.Scale:
    return alt.Scale(domain=[theme.SPLIT_TITLES[s] for s in theme.SPLITS], range=list(theme.SPLITS.values()))


def _title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, anchor="start", fontSize=13, fontWeight=600)
