"""Several runs in one picture: their curves over each other, and what they reached against what they cost."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import comparisons, curves
from core.charts.chart import thin
from core.evaluation.leaderboard import RunGroup
from core.metrics import METRICS
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed, theme
from pages.shared.charts import line_style, show_chart
from pages.shared.costs import Place, count_costs, known_costs, known_times, measure_times
from pages.shared.layout import escape, format_interval
from pages.shared.predictions import roc_curves, stored_predictions
from pages.shared.widget_state import follow

CURVES = {"val_loss": "Loss on validation", "val_roc_auc": "ROC AUC on validation",
          "val_accuracy": "Accuracy on validation",
          "train_loss": "Loss on training"}
LETTERS = "ABCDEF"


def _keys(picked: Sequence[RunGroup]) -> dict[str, str]:
    """What each picked line is called in a chart -> its colour. On this page no class is drawn, so runs take
    those colours."""
    return {f"{letter}  {line.name}": theme.class_color(k)
            for k, (letter, line) in enumerate(zip(LETTERS, picked))}


def draw_legend(picked: Sequence[RunGroup]) -> None:
    """Which run is A, which is B, their colours and dashes."""
    signs = "".join(f"<span><i style='{line_style(color, theme.dash(k), height=3)}'></i>{html.escape(name)}</span>"
                    for k, (name, color) in enumerate(_keys(picked).items()))
    st.html(f"<div class='lightbox-legend'>{signs}</div>")


# ----------------------------------------------------------------------------------------------------- curves

def draw_curves(store: RunStore, picked: Sequence[RunGroup], split: str) -> None:
    """The learning curves of the picked runs over each other, and their ROC curves. Of a folded line, every
    seed is drawn."""
    keys = _keys(picked)
    left, right = st.columns([58, 42], gap="large")
    with left:
        if untrained := [line.name for line in picked if not line.first.was_trained]:
            st.caption(f"No learning curve, because an ensemble is not trained: {escape(', '.join(untrained))}.")
        columns = st.columns(2)
        for n, (key, title) in enumerate(CURVES.items()):
            with columns[n % 2]:
                _draw_curve(store, picked, keys, key, title)
    with right:
        _draw_roc(store, picked, keys, split)


def _draw_curve(store: RunStore, picked: Sequence[RunGroup], keys: dict[str, str], key: str,
                title: str) -> None:
    lines = []
    for name, line in zip(keys, picked):
        for one in (one for one in line.runs if one.was_trained):
            run = store.get(one.id)
            run_feed.follow(run)
            xs, ys = thin(*run_feed.curve(run, "epoch", key), 200)
            lines.append((name, f"{name}, seed {one.config.train.seed}", xs, ys))
    with st.container(gap=None):
        st.markdown(f"**{title}**")
        show_chart(curves.runs(title, lines, keys), key=f"compare_{key}")


def _draw_roc(store: RunStore, picked: Sequence[RunGroup], keys: dict[str, str], split: str) -> None:
    names = picked[0].first.class_names
    if not names:
        return                                       # what the run learned is no longer known
    same = [(name, line) for name, line in zip(keys, picked) if line.first.class_names == names]
    st.header(f"ROC curves on {'test' if split == 'test' else 'validation'}", anchor=False, help=(
        f"{METRICS['roc_auc'].help} The curve shows every threshold at once. Of grouped seeds, the first one is drawn."))
    k = 1
    if len(names) != 2:
        kept = st.session_state.setdefault("compare_class", {"k": 0})
        kept["k"] = min(kept["k"], len(names) - 1)
        st.selectbox("Class", range(len(names)), format_func=names.__getitem__, width=260,
                     **follow("compare_roc_class", kept["k"], kept.__setitem__, "k"),
                     help="Each class against the rest.")
        k = kept["k"]
    drawn, missing = {}, []
    for name, line in same:
        run = store.get(line.first.id)
        found = stored_predictions(run, split)
        one = roc_curves(found.labels, found.probs, run.data().get("task", ""),
                         names).get(k) if found is not None else None
        if one is None:
            missing.append(name)
        else:
            drawn[name] = one
    if drawn:                                        # called by their letters: the names stand above
        show_chart(curves.roc({name[0]: curve for name, curve in drawn.items()},
                              [keys[name] for name in drawn], height=430),
             key=f"compare_roc_{split}")
    if missing:
        st.caption(f"Not drawn, because there are no predictions for this split: {escape(', '.join(missing))}.")
    others = len(picked) - len(same)
    if others:
        st.caption(f"{others} of the picked runs have other classes and are not drawn here.")


# ------------------------------------------------------------------------------------------- against the cost

def _place(one: RunSummary) -> Place:
    return one.config.model, len(one.class_names), one.config.data.size, one.channels


def places_of(one: RunSummary, every: Mapping[str, RunSummary]) -> list[Place]:
    """Return the networks that a run asks about an image: its own, those of all members of an ensemble; none where one of these
    was deleted.

    Args:
        every: id -> run, of all runs
    """
    if one.has_weights:
        return [_place(one)]
    there = [every[member] for member in one.members if member in every]
    return [_place(member) for member in there] if len(there) == len(one.members) else []


COSTS = {
    "parameters": ("Parameters", "Learned weights of the network; of an ensemble those of all members.",
                   lambda one, places: _sum(_counted(place, "parameters") for place in places)),
    "flops": ("Multiply-adds", "To classify one image, by all members of an ensemble.",
              lambda one, places: _sum(_counted(place, "flops") for place in places * max(1, one.draws))),
    "seconds": ("Training time, s", "Training and validation, of all members of an ensemble. Not comparable between machines.",
                lambda one, places: one.seconds),
    "latency": ("Time for one image, s", "Inference for one image on one core of this machine: median of seven, summed over the "
                "members of an ensemble.",
                lambda one, places: _sum(known_times().get(place) for place in places * max(1, one.draws))),
}


def _counted(place: Place, name: str) -> float | None:
    found = known_costs().get(place)
    return None if found is None or isinstance(found, str) else float(getattr(found, name))


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum, None where one of them is not known, or there are none."""
    values = list(values)
    return None if not values or None in values else float(sum(values))


def draw_against_cost(lines: Sequence[RunGroup], picked: Sequence[RunGroup]) -> None:
    """A measure on validation against four costs, a point a line of the table."""
    entries = [one for line in lines for one in line.runs]
    every = {one.id: one for one in run_feed.all_runs(RunStore())}
    places = {one.id: places_of(one, every) for one in entries}
    asked = [place for one in entries for place in places[one.id]]
    count_costs(place for one in entries if one.class_names for place in places[one.id])
    kept = st.session_state.setdefault("compare_cost", {"measure": "roc_auc"})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        offered = [m for m in METRICS if any(line.estimate(m)[0] is not None for line in lines)]
        kept["measure"] = kept["measure"] if kept["measure"] in offered else (offered or ["roc_auc"])[0]
        st.selectbox("Metric on validation", offered, format_func=lambda m: METRICS[m].title, width=240,
                     **follow("compare_cost_measure", kept["measure"], kept.__setitem__, "measure"))
        if any(place not in known_times() for place in asked):
            if st.button("Measure inference time", icon=":material/timer:",
                         help="Runs each network a few times on one "
                         "core of this machine, with random weights, on which the time does not depend."):
                st.session_state["compare_measuring"] = True
        if st.session_state.get("compare_measuring"):
            measure_times(place for place in asked if place not in known_times())
            st.session_state.pop("compare_measuring")
            st.rerun()
    frame = _frame(lines, picked, kept["measure"], places)
    columns = st.columns(2)
    for n, (name, (title, help, _)) in enumerate(COSTS.items()):
        with columns[n % 2]:
            _draw_cost(frame.dropna(subset=[name, "value"]), name, title, help, kept["measure"])
    st.caption("Bars are 95 % intervals; for grouped seeds, the standard deviation between seeds. Costs are "
               "on logarithmic scales. None of the four determines another: a network with few parameters "
               "may be slow."
               + (" Results on different data sets are not comparable." if frame["data"].nunique() > 1
                  else ""))


def _frame(lines: Sequence[RunGroup], picked: Sequence[RunGroup], measure: str,
           places: Mapping[str, list[Place]]) -> pd.DataFrame:
    rows = []
    for line in lines:
        value, low, high = line.estimate(measure)
        folded = line.over_seeds(measure)
        if len(line.runs) > 1 and folded and folded["sd"] is not None:
            low, high = value - folded["sd"], value + folded["sd"]
        place = picked.index(line) if line in picked else None
        row = {"run": line.name, "data": line.first.data_title, "value": value, "low": low, "high": high,
               "letter": "" if place is None else LETTERS[place],
               "hue": theme.QUIET if place is None else theme.class_color(place),
               "said": format_interval(value, low, high)}
        for name, (_, _, of) in COSTS.items():
            known = [x for x in (of(one, places[one.id]) for one in line.runs) if x is not None]
            row[name] = float(np.mean(known)) if known else None
        rows.append(row)
    # what is picked is drawn last, A on top
    rows.sort(key=lambda row: (row["letter"] != "", -LETTERS.find(row["letter"])))
    return pd.DataFrame(rows).astype({name: float for name in (*COSTS, "value", "low", "high")})


def _letters(frame: pd.DataFrame, name: str) -> list[str]:
    """What is written beside each dot. Dots of one cost whose letters would lie on each other share a sign,
    as "A B"."""
    near = 0.08 * max(frame["high"].fillna(frame["value"]).max() - frame["low"].fillna(frame["value"]).min(),
                      1e-9)
    signs = dict.fromkeys(frame.index, "")
    for i, row in frame[frame["letter"] != ""].sort_values("letter").iterrows():
        under = next((k for k, sign in signs.items() if sign and frame.at[k, name] == row[name]
                      and abs(frame.at[k, "value"] - row["value"]) < near), i)
        signs[under] = f"{signs[under]} {row['letter']}".strip()
    return list(signs.values())


def _draw_cost(frame: pd.DataFrame, name: str, title: str, help: str, measure: str) -> None:
    with st.container(gap=None):
        st.markdown(f"**{title}**", help=help)
        if frame.empty:
            st.caption("Click the button above to measure the times.")
            return
        points = pd.DataFrame({"x": frame[name], "y": frame["value"], "low": frame["low"],
                               "high": frame["high"],
                               "label": _letters(frame, name), "color": frame["hue"], "name": frame["run"],
                               "details": frame["data"] + ": " + frame["said"]})
        said = "; ".join(f"{row['run']} {row[name]:.3g} and {row['said']}" for _, row in frame.iterrows())
        show_chart(comparisons.cost(points, title, METRICS[measure].title, limits=METRICS[measure].range,
                              alt=f"{METRICS[measure].title} against {title}: {said}."),
                   key=f"compare_cost_{name}")
