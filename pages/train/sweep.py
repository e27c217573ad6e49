"""Queue a grid of runs from the form: several values for some settings, a run for each combination."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.augment import PRESETS
from core.config import KNOBS, RunConfig
from core.datasets import list_datasets
from core.errors import LightboxError
from core.runs.preflight import split_possible
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from core.runs.sweep import ALL, EACH, LIMIT, SERIES, expand
from pages.shared import config_form, open_data, preview, run_table
from pages.shared.layout import escape, format_seconds, show_error
from pages.shared.widget_state import follow
from pages.train.queue_button import draw_queue_button

SHOWN = 6                                                  # names of runs that are listed; the rest is counted
FIRST = ("model.name", "data.size", "train.seed")          # varied unless others are chosen
TITLES = {"augment": "Data augmentation", "data.fold": "All folds"}


def draw_grid(ahead: preview.RunPreview, devices: list[dict], rows: list[RunSummary]) -> None:
    """Draw the choice of settings and values; say how many runs that is and how long they take; queue
    them.
    """
    with st.expander(f"Grid of runs{_size_of(_chosen())}", key="grid"):
        st.pills("Readers for an ensemble", list(SERIES), format_func=lambda key: SERIES[key].title, **follow(
            "grid_series", _series(), _fill), help="Fills the fields below. " + " ".join(
                f"{series.title}: {series.help}" for series in SERIES.values()))
        st.session_state.setdefault("grid_fields", list(FIRST))
        fields = st.multiselect("Vary", _fields(), format_func=_title, key="grid_fields",
                                persist_state="session", help="Queues one run for each combination of the "
                                "values chosen below. All other settings are as in the form.")
        for name in fields:
            _draw_values(name)
        try:
            configs = expand(config_form.read(), _chosen(), look=open_data.look)
        except LightboxError as error:
            show_error(error)
            return
        if len(configs) < 2:
            st.caption("Choose at least two values.")
            return
        seconds, unknown = preview.time_of_all(configs, devices, ahead.counts["train"] or 0, rows)
        st.markdown(f"**{len(configs)} runs**, one after the other. {duration(len(configs), seconds, unknown)}")
        names = [config.name for config in configs[:SHOWN]]
        more = [f"and {len(configs) - SHOWN} more"] if len(configs) > SHOWN else []
        st.caption(escape("; ".join(names + more)))
        possible = draw_refused(configs)
        other = "the other " if len(possible) < len(configs) else ""
        draw_queue_button(f"Queue {other}{len(possible) or len(configs)} run{'s' if len(possible) != 1 else ''}", "queue_grid",
                          create_runs, type="primary", icon=":material/grid_on:", disabled=not possible)


def draw_refused(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Say which runs of the grid cannot work, and return the others."""
    possible, refused = split_possible(configs, open_data.look, with_network=open_data.torch_is_here())
    for config, error in refused[:1]:
        show_error(LightboxError(error.code, f"{len(refused)} of {len(configs)} runs cannot work: {config.name}. {error.message}",
                                 error.hint))
    return possible


def is_grid() -> bool:
    """Return whether values are chosen for more than one run: then the button for all of them is the primary one."""
    try:
        return len(expand(config_form.read(), _chosen(), look=open_data.look)) > 1
    except LightboxError:                                  # said where the grid is
        return False


def create_runs(store: RunStore) -> str:
    """Queue all runs of the grid that can work. Return the first one's id."""
    return queue_all(store, expand(config_form.read(), _chosen(), LIMIT, open_data.look), "grid")


def queue_all(store: RunStore, configs: Sequence[RunConfig], what: str) -> str:
    """Queue those runs that can work, with one tag that begins with `what`, by which the page Runs then shows them. Return the
    first one's id.
    """
    first, tag = "", f"{what}-{secrets.token_hex(2)}"
    possible, refused = split_possible(configs, open_data.look)
    if not possible:
        raise refused[0][1]
    for config in possible:
        run = store.create(config)
        first = first or run.id
        run.annotate(tags=[tag])
    run_table.show_only(run_table.RUNS, tag)
    return first


def _series() -> str | None:
    """The series that the fields below hold, None where they hold another grid."""
    chosen = {name: tuple(values) for name, values in _chosen().items() if values}
    return next((key for key, series in SERIES.items() if chosen == dict(series.values)), None)


def _fill(key: str | None) -> None:
    """Fill the fields with a series; without one they are empty again."""
    for name in _chosen():
        st.session_state[f"grid_{name}"] = []
    values = SERIES[key].values if key else {}
    st.session_state["grid_fields"] = list(values or FIRST)
    for name, given in values.items():
        st.session_state[f"grid_{name}"] = list(given)


def _fields() -> list[str]:
    """What a grid may vary: an augmentation preset, all folds, each setting with a menu, a switch or a number."""
    menus = {"model.name", "data.dataset", "data.target"}
    names = [name for name, knob in KNOBS.items() if name in menus or knob.choices or knob.offered
             or not isinstance(knob.default, str) and not name.startswith("augment.")]
    return [*names, "augment"]


def _options(name: str) -> list:
    if name == "augment":
        return list(PRESETS)
    if isinstance(KNOBS[name].default, bool):
        return [False, True]
    if name == "data.dataset":
        return [info.name for info in list_datasets() if info.available]
    options = list(KNOBS[name].grid or config_form.options_of(name) or [config_form.value_of(name)])
    if name == "data.only":
        columns = dict.fromkeys(value.partition(":")[0] for value in options if ":" in value)
        options = [*(f"{column}:{EACH}" for column in columns), *options]
    return options


def _draw_values(name: str) -> None:
    if name == "data.fold":
        folds = config_form.value_of("data.folds")
        st.caption(f"One run for each of the {folds} folds." if folds else "First set the number of folds "
                                                                           "under Data.")
        return
    default = KNOBS[name].default if name in KNOBS else ""
    typed = isinstance(default, int | float) and not isinstance(default, bool)
    st.multiselect(_title(name), _options(name), accept_new_options=typed, key=f"grid_{name}",
                   persist_state="session", format_func=lambda value: _words(name, value))


def _chosen() -> dict[str, list]:
    """Return setting -> values, of the settings that are varied."""
    return {name: [ALL] if name == "data.fold" else st.session_state.get(f"grid_{name}", [])
            for name in st.session_state.get("grid_fields", FIRST)}


def _words(name: str, value: Any) -> str:
    if name == "data.only" and value.endswith(f":{EACH}"):
        return f"each {value.partition(':')[0].replace('_', ' ')}"
    return PRESETS[value].title if name == "augment" else config_form.words(name, value)


def _title(name: str) -> str:
    return TITLES.get(name) or KNOBS[name].label


def duration(count: int, seconds: float, unknown: int) -> str:
    """Return how long so many runs take together, of which some are unknown."""
    if unknown == count:
        return "We will know how long they take after the first one."
    if unknown:
        return f"About {format_seconds(seconds)} for {count - unknown} of them; the others are new to this machine."
    return f"About {format_seconds(seconds)} in total."


def _size_of(chosen: Mapping[str, list]) -> str:
    sizes = [str(len(values)) for values in chosen.values() if len(values) > 1]
    return f" ({' x '.join(sizes)})" if sizes else ""
