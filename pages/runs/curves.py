"""The curves of a training, which grow while one looks: which can be shown, and what goes into them."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.charts import curves
from core.charts.chart import thin
from core.charts.curves import BATCHES, TRAIN, TRAIN_DASH, VAL
from core.metrics import METRICS
from core.runs.store import Run, RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed, theme
from pages.shared.charts import line_style, show_chart
from pages.shared.layout import choose_param, distinct_titles, get_param, set_param
from pages.shared.widget_state import follow

OVERLAYS = 4                                 # earlier runs beside the one that is looked at
POINTS_BEHIND = 150                          # of a curve of an earlier run
MEASURED = {
    "running": ("Training: running average", "Training values are averaged over the epoch, on augmented images, while the "
                "weights still change. They are not quite comparable with the validation values."),
    "evaluated": ("Training: evaluated like validation", "After each epoch the training images are evaluated like the validation "
                  "images: not augmented, with the weights at the end of the epoch."),
}


@dataclass(frozen=True)
class Measure:
    """One curve that can be shown. `train` and `val` are its keys in the "epoch" records, `step` that in the
    "step" records.

    `is_metric`: evaluates predictions, and is drawn large; the others describe the training. `scale`: what
    the recorded number is multiplied by to be in the unit of the title.
    """
    title: str
    help: str
    train: str = ""
    val: str = ""
    step: str = ""
    higher_is_better: bool | None = None
    limits: tuple[float, float] = (0.0, math.inf)
    format: str = ".3f"
    is_metric: bool = False
    scale: float = 1.0


def _of(metric: str) -> Measure:
    m = METRICS[metric]
    return Measure("Loss" if metric == "loss" else m.title, m.help, f"train_{metric}", f"val_{metric}",
                   metric if metric in ("loss", "accuracy") else "",
                   m.higher_is_better, m.range, is_metric=True)


# In the order in which they are offered.
MEASURES: dict[str, Measure] = {m: _of(m) for m in ("loss", "roc_auc", "accuracy", *METRICS)} | {
    "lr": Measure("Learning rate", "Step size of the optimiser, following the schedule.", step="lr", format=".2~e"),
    "grad_norm": Measure("Gradient norm", "Norm of the gradient of the loss. Near 0 the network no longer learns; spikes mean "
                         "unstable steps.", step="grad_norm"),
    "images_per_second": Measure("Images per second", "Training images per second, over the last seconds.",
                                 step="images_per_second", format=".0f"),
    "memory_bytes": Measure("Device memory, GB", "Memory of the device that the training uses.", step="memory_bytes",
                            format=".2f", scale=1e-9),
    "device_use": Measure("Device utilisation, %", "Share of the time in which the device was computing.", step="device_use",
                          format=".0f", scale=100, limits=(0, 100)),
}
LOGARITHMIC = ("loss", "lr", "grad_norm")       # curves whose axis can be
ALWAYS = ("loss", "roc_auc", "accuracy", "lr", "grad_norm", "images_per_second")          # offered before anything is known


def offered(records: Sequence[Mapping]) -> list[str]:
    """Return the curves that a training has, in the order of MEASURES. Older runs recorded less."""
    last = {kind: next((r for r in reversed(records) if r["kind"] == kind), {}) for kind in ("step", "epoch")}
    first = next((r for r in records if r["kind"] == "epoch"), {})
    return [key for key, m in MEASURES.items() if key in ALWAYS
            or any(r.get(name) is not None for r in (first, last["epoch"]) for name in (m.train, m.val))
            or m.step and last["step"].get(m.step) is not None]


def choose_curves(records: Sequence[Mapping]) -> list[str]:
    """Let a person choose curves and return them: keys of MEASURES, in their order."""
    there = offered(records)
    chosen = [key for key in st.session_state.get("curves_shown", ALWAYS) if key in there]
    with st.popover("Curves", icon=":material/show_chart:", key="curves_choice",
                    on_change="rerun") as choice:
        groups = (("Metrics", True), ("Training", False)) if choice.open else ()
        for title, is_metric in groups:
            options = [key for key in there if MEASURES[key].is_metric == is_metric]
            st.pills(title, options, selection_mode="multi", format_func=lambda key: MEASURES[key].title,
                     help="  \n".join(f"**{MEASURES[key].title}**: {MEASURES[key].help}" for key in options),
                     **follow(f"curves_{is_metric}", [key for key in chosen if key in options], _set_curves, is_metric))
        if choice.open:
            drawn = looks()
            st.slider("Smoothing", 0.0, 0.95, step=0.05,
                      help="An exponential moving average: 0 shows the values as recorded, 0.9 averages about ten.",
                      **follow("curves_smoothing", drawn["smoothing"], drawn.__setitem__, "smoothing"))
            st.toggle("Logarithmic loss, learning rate and gradient norm", **follow(
                "curves_log", drawn["log"], drawn.__setitem__, "log"))
    return [key for key in there if key in chosen]


def looks() -> dict:
    """Return how this person's curves are drawn: smoothing, 0 to 0.95, and whether axes that can be logarithmic are."""
    return st.session_state.setdefault("curves_drawn", {"smoothing": 0.0, "log": False})


def _set_curves(is_metric: bool, keys: Sequence[str]) -> None:
    kept = [key for key in st.session_state.get("curves_shown", ALWAYS) if MEASURES[key].is_metric != is_metric]
    st.session_state["curves_shown"] = [*kept, *keys]


def choose_others(run_id: str, rows: Sequence[RunSummary], store: RunStore) -> dict[str, Run]:
    """Let a person choose earlier runs to draw behind: name -> run. They stand in the address as
    ?with=<id>,<id>.

    Args:
        run_id: the run that is looked at
        rows: all runs, newest first; those on the same data are offered first
    """
    here = next((row for row in rows if row.id == run_id), None)
    trained = sorted((row for row in rows if row.id != run_id and row.curve), key=lambda row: row.dataset != (
        here and here.dataset))
    names = distinct_titles({row.id: f"{row.name} ({row.when})" for row in trained})
    chosen = [one for one in (get_param("with") or "").split(",") if one in names][:OVERLAYS]
    with st.popover("Compare with", icon=":material/stacked_line_chart:",
                    disabled=not names, help="Draws the curves of earlier runs behind.", key="curves_behind",
                    on_change="rerun") as behind:
        if behind.open:
            st.multiselect("Earlier runs", list(names), format_func=lambda one: names.get(one, one), max_selections=OVERLAYS,
                           placeholder=f"Up to {OVERLAYS}", width=420, **follow(f"with_{run_id}", chosen, _set_others),
                           help="Runs on the same data set come first. The choice is part of the link to this page.")
    return {names[one]: store.get(one) for one in chosen}


def _set_others(ids: Sequence[str]) -> None:
    if ids:
        choose_param("with", ",".join(ids))
    else:
        st.session_state.pop("chosen_with", None)
    set_param("with", ",".join(ids) or None)


def show_curves(run: Run, records: Sequence[Mapping], chosen: Sequence[str], others: Mapping[str, Run], *, epochs: float,
                is_metric: bool) -> None:
    """Draw the chosen curves beside each other: metrics large, those of the training small.

    Args:
        chosen: keys of MEASURES
        others: name -> an earlier run, drawn faintly behind
        epochs: right end of the x axis, so that a curve grows into it and the axis stands still
    """
    shown = [key for key in chosen if MEASURES[key].is_metric == is_metric]
    best = (run_feed.best_epoch(records) or {}).get("epoch") if is_metric else None
    end = max([epochs, *(run_feed.place(run_feed.follow(other)) for other in others.values())])
    per_row, height = 5, 84
    if is_metric:
        per_row = 4 if len(shown) == 4 else 3
        height = 190 if len(shown) <= per_row else 150
    for start in range(0, len(shown), per_row):
        columns = st.columns(max(3, min(per_row, len(shown))) if len(shown) != 2 else 2)
        for column, key in zip(columns, shown[start:start + per_row]):
            with column:
                _show(run, MEASURES[key], key, others, end, best, height)


def legend(others: Sequence[str], measured: str | None, smoothing: float = 0.0) -> str:
    """Return HTML of the legend of all curves.

    Args:
        others: names of the earlier runs
        measured: "running" or "evaluated": how the training values came about; None where that is unknown
    """
    def sign(style: str, words: str, explained: str = "") -> str:
        tip = f" title='{html.escape(explained, quote=True)}'" if explained else ""
        return f"<span{tip}><i style='{style}'></i>{html.escape(words)}</span>"

    train, val = theme.SPLITS["train"], theme.SPLITS["val"]
    how = MEASURED.get(measured)
    signs = [sign(line_style(train, TRAIN_DASH), TRAIN, how[1] if how else ""),
             sign(line_style(train, height=1, opacity=.6), BATCHES), sign(line_style(val), VAL),
             sign(f"width:9px;height:9px;border:2px solid {val};border-radius:50%", "best epoch, saved")]
    signs += [sign(line_style(theme.QUIET, theme.dash(k)), name) for k, name in enumerate(others)]
    if smoothing:
        signs.append(f"<span>smoothed, {smoothing:.2f}</span>")
    if how:
        signs.append(f"<span title='{html.escape(how[1], quote=True)}'><u>{how[0]}</u></span>")
    return f"<div class='lightbox-legend'>{''.join(signs)}</div>"


def _show(run: Run, measure: Measure, key: str, others: Mapping[str, Run], epochs: float, best: int | None, height: int) -> None:
    lines = {TRAIN: run_feed.curve(run, "epoch", measure.train), VAL: run_feed.curve(run, "epoch", measure.val),
             BATCHES: thin(*run_feed.curve(run, "step", measure.step))}
    behind = {name: thin(*_behind(other, measure), POINTS_BEHIND) for name, other in others.items()}
    better = {True: " Higher is better.", False: " Lower is better.", None: ""}[measure.higher_is_better]
    if smoothing := looks()["smoothing"]:
        lines, behind = ({name: (xs, curves.smooth(ys, smoothing)) for name, (xs, ys) in some.items()}
                         for some in (lines, behind))
    with st.container(gap=None):
        st.markdown(f"**{measure.title}**", help=measure.help + better)
        show_chart(curves.training(
            measure.title, _scaled(lines, measure.scale), behind=_scaled(behind, measure.scale), epochs=epochs, best=best,
            limits=measure.limits, format=measure.format, large=measure.is_metric,
            higher_is_better=measure.higher_is_better, height=height, log=looks()["log"] and key in LOGARITHMIC),
            key=f"curve_{key}")


def _behind(run: Run, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
    """The line of an earlier run: validation, or the batches of what validation does not have."""
    return run_feed.curve(run, "epoch", measure.val) if measure.val else run_feed.curve(run, "step", measure.step)


def _scaled(lines: Mapping[str, tuple[np.ndarray, np.ndarray]], scale: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: (xs, ys * scale) for name, (xs, ys) in lines.items()}
