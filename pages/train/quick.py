"""The first button on a machine without a GPU: a quick network on the chosen images, while the default of the form takes half an
hour there."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.config import RunConfig
from core.errors import LightboxError
from core.models import MODELS
from core.runs.preflight import require_possible
from core.runs.recipes import apply
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import config_form, open_data, preflight, preview
from pages.shared.layout import escape, format_seconds
from pages.train.queue_button import draw_queue_button

SPEED, AT = 58.0, 64          # training images of so many pixels a second, on two shared cores (docs/figures.md)


def draw_quick(devices: list[dict], rows: Sequence[RunSummary]) -> bool:
    """Draw the button, where there is no GPU and nothing was changed in the form. Return whether it stands there."""
    if devices[0]["device"] != "cpu":
        return False
    try:
        form = config_form.read()
        config = quick_config()
        data = open_data.look(config.data)
        refused = preview.refusal_of(config) or preflight.knows_task(config, data)
    except LightboxError:                                  # shown beside the form
        return False
    if refused or any(not name.startswith("data.") for name in form.changed()):
        return False
    time = time_of(config, len(data.indices("train")) if data is not None else 0, devices, rows)
    with st.container(key="quick", horizontal=True, vertical_alignment="center", gap="medium"):
        draw_queue_button(f"Train a quick network{time and f' ({escape(time)})'}", "queue_quick", create_quick, type="primary",
                          icon=":material/bolt:", width="content")
        st.caption(escape(f"There is no GPU here. A {MODELS[config.model.name].title} that has seen X-rays before, at "
                          f"{config.data.size} px for {config.train.epochs} epochs. Or choose for yourself below."))
    return True


def quick_config() -> RunConfig:
    """Return the run: the images and the split of the form, no image enlarged, everything else as the recipe has it. Raises
    LightboxError for what is not allowed in the form."""
    config = apply(config_form.read(), "quick")
    original = open_data.original_size(config.data.dataset) or config.data.size
    return config.with_(**{"data.size": max(16, min(config.data.size, original))})


def create_quick(store: RunStore) -> str:
    """Queue it. Raises LightboxError where it cannot work, or cannot be written."""
    config = quick_config()
    require_possible(config, open_data.look)
    return store.create(config).id


def time_of(config: RunConfig, n_train: int, devices: list[dict], rows: Sequence[RunSummary]) -> str:
    """Return how long it takes, by earlier runs here; else by SPEED, from half of that to twice as much. "" without images."""
    known, _ = preview.time_hint(config, devices[0]["device"], n_train, rows) if n_train else ("-", "")
    if known != "-":
        return f"about {known}"
    seconds = n_train * config.train.epochs / SPEED * (config.data.size / AT) ** 2
    least, most = _rounded(seconds / 2), _rounded(2 * seconds)
    return "" if not n_train else f"{least} to {most}" if least != most else f"about {least}"


def _rounded(seconds: float) -> str:
    """To ten seconds below a minute, else to a minute."""
    return format_seconds(max(10, round(seconds, -1)) if seconds < 55 else 60 * max(1, round(seconds / 60)))
