"""Which class is the positive one, against the rest: the finding in the address, or the class that is
chosen."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.datasets.positive import default_positive
from core.metrics import MULTI_LABEL
from pages.shared.layout import choose_param, get_param, set_param
from pages.shared.predictions import class_index
from pages.shared.widget_state import follow


def positive_class(about: Mapping) -> int:
    """Return the positive class of the address, else the default. `about`: what a run knows of its data."""
    names = about["class_names"]
    if about["task"] == MULTI_LABEL:
        return class_index(get_param("finding"), len(names)) or 0
    chosen = class_index(get_param("sought"), len(names))
    return default_positive(about) if chosen is None else chosen


def choose_positive_class(about: Mapping, key: str) -> int:
    """A menu of the classes; nothing to choose among findings, of which the address has one."""
    names, chosen = about["class_names"], positive_class(about)
    if about["task"] == MULTI_LABEL:
        return chosen

    def set_class(k: int) -> None:
        choose_param("sought", str(k))
        set_param("sought", str(k))
    return st.selectbox("Positive class", range(len(names)),
                        format_func=lambda k: f"Positive class: {names[k]}",
                        width=300, label_visibility="collapsed",
                        **follow(f"positive_class_{key}", chosen, set_class))

