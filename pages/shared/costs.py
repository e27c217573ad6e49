"""What networks cost, counted and measured once for everybody, on Network and on Compare.

A place is (ModelConfig, classes, size, channels): what the cost of one image depends on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from core.config import ModelConfig
from core.errors import LightboxError
from core.models import MODELS
from pages.shared.layout import long_task

if TYPE_CHECKING:                                     # core.models.costs imports torch
    from core.models.costs import Costs

Place = tuple[ModelConfig, int, int, int]


@st.cache_resource(show_spinner=False)
def known_costs() -> dict[Place, Costs | str]:
    """Return place -> its costs for one image, or why the network cannot be built."""
    return {}


@st.cache_resource(show_spinner=False)
def known_times() -> dict[Place, float]:
    """Return place -> measured seconds."""
    return {}


def count_costs(places: Iterable[Place]) -> None:
    """Fill `known_costs` for those places that are not counted yet."""
    missing = [place for place in dict.fromkeys(places) if place not in known_costs()]
    if not missing:
        return
    with long_task("Counting parameters and multiply-adds", key="count_costs") as progress:
        from core.models.costs import costs
        for n, place in enumerate(missing):
            progress(f"Counting {MODELS[place[0].name].title}", n, len(missing))
            try:
                known_costs()[place] = costs(*place, batch_size=64)
            except LightboxError as error:
                known_costs()[place] = error.message


def measure_times(places: Iterable[Place]) -> None:
    """Fill `known_times` with the seconds for one image on one core of this machine, with random weights."""
    from core.models import build_model
    from core.models.costs import latency
    places = list(dict.fromkeys(places))
    with long_task("Measuring", key="measure_times") as progress:
        for n, (model, classes, size, channels) in enumerate(places):
            progress(f"Measuring {MODELS[model.name].title}", n, len(places))
            network = build_model(replace(model, weights="none"), classes=classes, size=size, channels=channels)
            known_times()[model, classes, size, channels] = latency(network)
