"""The buttons that put runs into the queue.

A button carries a token that is good for one press: the second click of a double click, which comes with the
token of the first, makes no other run but leads to the one that is there already.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import streamlit as st

from core.errors import LightboxError
from core.runs.preflight import require_possible
from core.runs.store import RunStore
from pages.shared import config_form, open_data


def draw_queue_button(label: str, key: str, create: Callable[[RunStore], str], **look: Any) -> None:
    """Draw a button whose press calls `create`, which returns the id of the run to show."""
    token = st.session_state.setdefault(f"{key}_token", secrets.token_hex(8))
    st.button(label, key=key, on_click=press, args=(key, token, create), **{"width": "stretch"} | look)


def create_run(store: RunStore) -> str:
    """Queue the run that the form describes. Raises LightboxError where it cannot work, or cannot be written."""
    config = config_form.read()
    require_possible(config, open_data.look)
    return store.create(config).id


def queued_run() -> str | None:
    """Return the id of the run that the last press made; once."""
    return st.session_state.pop("queue_made", None)


def queue_error() -> LightboxError | None:
    """Return why the last press made no run; once."""
    return st.session_state.pop("queue_error", None)


def press(key: str, token: str, create: Callable[[RunStore], str]) -> None:
    """Make the runs of a button; see `draw_queue_button`."""
    if token != st.session_state.get(f"{key}_token"):
        st.session_state["queue_made"] = st.session_state.get("queue_last")
        return
    st.session_state[f"{key}_token"] = secrets.token_hex(8)
    store = RunStore()
    try:
        st.session_state["queue_last"] = st.session_state["queue_made"] = create(store)
    except LightboxError as error:
        st.session_state["queue_error"] = error
    finally:
        store.recover()                             # those that were made before the disk was full are trained
