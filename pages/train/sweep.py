"""The panel that makes a grid of runs out of the form: several values for some settings, a run for each combination."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.augment import PRESETS
from core.errors import LightboxError
from core.models import MODELS
from core.runs.store import RunStore
from core.runs.sweep import ALL, LIMIT, expand
from pages.shared import config_form, preview, run_table
from pages.shared.layout import escape, format_seconds, show_error
from pages.shared.run_feed import Row
from pages.shared.widget_state import follow

SHOWN = 6                      # names of runs that are listed; the rest is counted

# What a grid may vary, with values to begin with. Others can be typed where the setting is a number.
FIELDS: dict[str, tuple] = {
    "model.name": tuple(MODELS), "data.size": config_form.SIZES, "optim.lr": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    "train.seed": (0, 1, 2, 3, 4),
    "data.train_fraction": (0.1, 0.25, 0.5, 1.0), "augment": tuple(PRESETS), "data.fold": (ALL,),
    "model.weights": ("none", "imagenet"), "model.freeze": ("none", "all"), "model.head": ("linear", "mlp", "concat"),
    "model.cut": ("", "-1", "1", "2", "20"), "model.normalise": ("none", "own", "imagenet"),
    "train.batch_size": (4, 8, 16, 32, 64, 128),
    "optim.name": ("adam", "adamw", "sgd"), "optim.schedule": ("constant", "cosine", "step", "one_cycle"),
    "train.loss": ("auto", "focal"), "train.class_weights": (False, True), "train.sampling": ("shuffle", "balanced"),
    "data.split": ("patient", "image"), "train.epochs": (5, 10, 20, 50),
}
TITLES = {"augment": "Random changes", "data.fold": "Folds"}
USUAL = ("model.name", "data.size", "train.seed")          # shown from the start


def draw_grid(ahead: preview.Outlook, devices: list[dict], rows: list[Row]) -> None:
    """Choose the fields, then their values; how many runs that is and how long they take; the button that queues them."""
    with st.expander(f"Grid: several values for some settings{_size_of(_chosen())}", key="grid"):
        fields = st.multiselect("Vary", list(FIELDS), format_func=_title, **follow("grid_fields", _fields(), _take_fields),
                                help="A run is queued for each combination of the values that are chosen below. What is not "
                                     "varied is as in the form.")
        for name in fields:
            _draw_values(name)
        try:
            configs = expand(config_form.read(), _chosen())
        except LightboxError as error:
            show_error(error)
            return
        if len(configs) < 2:
            st.caption("Choose two values or more.")
            return
        seconds, unknown = preview.time_of_all(configs, devices, ahead.counts["train"] or 0, rows)
        st.markdown(f"**{len(configs)} runs**, {_how_long(len(configs), seconds, unknown)}, one after the other.")
        st.caption(escape("; ".join(config.name for config in configs[:SHOWN])
                          + (f"; and {len(configs) - SHOWN} more" if len(configs) > SHOWN else "")))
        token = st.session_state.setdefault("grid_token", secrets.token_hex(8))
        st.button(f"Queue grid of {len(configs)}", key="queue_grid", icon=":material/grid_on:", width="stretch", on_click=_queue,
                  args=(token,))


def _draw_values(name: str) -> None:
    if name == "data.fold":
        st.caption(f"All {config_form.value_of('data.folds')} folds, each once as validation." if config_form.value_of("data.folds") else
                   "Say under What how many folds there are.")
        return
    chosen = _values_of(name)
    default = config_form.knob_of(name).default if name != "augment" else ""
    typed = isinstance(default, int | float) and not isinstance(default, bool)
    st.multiselect(_title(name), [*FIELDS[name], *(v for v in chosen if v not in FIELDS[name])], accept_new_options=typed,
                   format_func=lambda value: _in_words(name, value), **follow(f"grid_{name}", chosen, _take_values, name))


def _in_words(name: str, value: Any) -> str:
    return PRESETS[value].title if name == "augment" and value in PRESETS else config_form.in_words(name, value)


def _title(name: str) -> str:
    return TITLES.get(name) or config_form.knob_of(name).metadata["label"]


def _how_long(count: int, seconds: float, unknown: int) -> str:
    if unknown == count:
        return "for a time that the first of them will tell"
    known = f"about {format_seconds(seconds)}"
    return known + (f" for {count - unknown} of them (the others are of a kind that was not trained here yet)" if unknown else "")


def _size_of(chosen: Mapping[str, list]) -> str:
    sizes = [str(len(values)) for values in chosen.values() if len(values) > 1]
    return f" ({' x '.join(sizes)})" if sizes else ""


# ------------------------------------------------------------------------------------------------------------------- the values

def _kept() -> dict[str, list]:
    return st.session_state.setdefault("grid_of_runs", {})


def _fields() -> list[str]:
    return st.session_state.setdefault("grid_varies", list(USUAL))


def _values_of(name: str) -> list:
    return _kept().get(name, [])


def _chosen() -> dict[str, list]:
    """Field -> values, of the fields that are varied."""
    return {name: [ALL] if name == "data.fold" else _values_of(name) for name in _fields()}


def _take_fields(fields: list[str]) -> None:
    st.session_state["grid_varies"] = list(fields)


def _take_values(name: str, values: list) -> None:
    _kept()[name] = list(values)


def _queue(token: str) -> None:
    """Put all runs of the grid into the queue, with one tag, by which the page Runs then shows them. A second click of the same
    button makes none."""
    if token != st.session_state.get("grid_token"):
        st.session_state["queue_made"] = st.session_state.get("queue_last")
        return
    st.session_state["grid_token"] = secrets.token_hex(8)
    store, first, tag = RunStore(), None, f"grid-{token[:4]}"
    try:
        for config in expand(config_form.read(), _chosen(), LIMIT):
            run = store.create(config)
            first = first or run.id
            run.annotate(tags=[tag])
        run_table.show_only(tag)
        st.session_state["queue_last"] = st.session_state["queue_made"] = first
    except LightboxError as error:
        st.session_state["queue_error"] = error
    finally:
        store.recover()                             # those that were made before the disk was full are trained
