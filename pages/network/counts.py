"""A network, counted for the images at hand. Counting needs torch, which starts in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.config import ModelConfig, RunConfig
from core.datasets import Dataset
from pages.shared import open_data, preview

if TYPE_CHECKING:                                     # core.models.layers imports torch
    from core.models.costs import Costs
    from core.models.layers import Layer, Stage, Totals


@dataclass(frozen=True)
class Images:
    """What the network is given. `data` is None before the set is prepared; the rest is then a guess."""

    data: Dataset | None
    classes: int
    size: int
    channels: int
    views: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(classes, size, channels), as costs of one view are counted."""
        return self.classes, self.size, self.channels

    def sample(self) -> np.ndarray:
        """(S, S, C) uint8: the first training image; plain gray where there is none yet."""
        rows = preview.sample(self.data, 1) if self.data is not None else ()
        return (np.asarray(self.data.images[int(rows[0])]) if len(rows)
                else np.full((self.size, self.size, 1), 70, np.uint8))


@dataclass(frozen=True)
class Counts:
    """The layers of a network, its stages, and what they add up to."""

    layers: list[Layer]
    stages: list[Stage]
    totals: Totals
    costs: Costs


def images_of(config: RunConfig) -> Images:
    """Return what the chosen data set gives the network. Raises LightboxError where there is no such set."""
    if preview.ready(config.data):
        data = open_data.open_set(config.data)
        return Images(data, len(data.class_names), data.size, data.channels, data.views)
    views = 1 if config.data.unit == "image" else config.data.views
    return Images(None, 2, config.data.size, config.data.channels or 3, views)


def torch_is_ready() -> bool:
    """Return whether torch is imported; if not, say so and run the page again when it is."""
    thread = open_data.warm_up()
    thread.join(0.05)
    if thread.is_alive():
        st.fragment(_wait, run_every=0.7)()
    return not thread.is_alive()


def _wait() -> None:
    if open_data.warm_up().is_alive():
        st.caption("Starting PyTorch ... (once per server)")
    else:
        st.rerun()


@st.cache_data(max_entries=128, show_spinner=False)
def count(model: ModelConfig, classes: int, size: int, channels: int, batch_size: int,
          optimiser: str, views: int = 1) -> Counts:
    """Count a network. Raises LightboxError where it cannot be built."""
    from core.models.costs import build_on_meta, costs
    from core.models.layers import layer_table, stage_table, totals
    network = build_on_meta(model, classes, size, channels, views)
    layers = layer_table(network)
    return Counts(layers, stage_table(network), totals(layers),
                  costs(model, classes, size, channels, max(2, batch_size), optimiser, views))


def short(count: float) -> str:
    """Return a count with its unit: 11,689,512 -> "11.7 M"; 264 -> "264"."""
    for unit, size in ((" G", 1e9), (" M", 1e6), (" k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:g}"
