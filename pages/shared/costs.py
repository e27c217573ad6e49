"""What networks cost, counted and measured once for everybody, on Network and on Compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:                                     # core.models.costs imports torch
    from core.models.costs import Costs


@st.cache_resource(show_spinner=False)
def known_costs() -> dict[tuple, Costs | str]:
    """Return (network, classes, size, channels) -> its costs for one image, or why it cannot be built."""
    return {}


@st.cache_resource(show_spinner=False)
def known_times() -> dict[tuple, float]:
    """(network, classes, size, channels) -> measured seconds."""
    return {}
