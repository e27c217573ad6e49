"""A widget that shows a value which lives elsewhere: in the form of a run, in the address.

The browser sends the values of *all* widgets with every click. Who clicks twice before the page has answered
(a slow line, a busy machine) sends, with the second click, what the other widgets held before the first one
changed them, and Streamlit takes that for an edit: a recipe was undone by the next field that was filled in.
So a widget is a new one, with a new key, whenever the program changes its value, and counts as edited only
when it holds something else than it held before: what a widget sends that is gone already is ignored.

What stands in a popover the browser does not draw before it is opened, and then it no longer knows the value:
nothing would be chosen, and a click would lose what was. So such a widget is drawn only while its popover is
open:

    with st.popover("Columns", key="columns", on_change="rerun") as columns:
        if columns.open:
            st.pills(..., **follow(...))

Its label must stay the same: with another one it is another popover, and closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def follow(name: str, value: Any, on_edit: Callable[..., None], *args: Any) -> dict[str, Any]:
    """Return the keywords `key`, `on_change` and `args` for a widget that shows `value`.

        st.number_input("Epochs", **follow("epochs", form["epochs"], put, "epochs"))

    Args:
        name: of the widget: its first key, and the stem of those that follow
        value: what it shows now
        on_edit: called as `on_edit(*args, new)` when the person has changed it. What it does not keep goes
            back to `value`.
    """
    held, versions = _held(), st.session_state.setdefault("versions_of_widgets", {})
    key = _key(name, versions.get(name, 0))
    if key in held and held[key] != value:
        versions[name] = versions.get(name, 0) + 1
        key = _key(name, versions[name])
    held[key] = value
    if _may_be_unknown(key) or st.session_state[key] != value:
        st.session_state[key] = list(value) if isinstance(value, list) else value
    return {"key": key, "on_change": _edited, "args": (key, on_edit, *args)}


def begin_run() -> None:
    """Note that a run of the script has begun. Call it first."""
    st.session_state["runs_begun"] = st.session_state.get("runs_begun", 0) + 1


def count_run() -> None:
    """Note that a run of the script has come to its end. Call it last."""
    st.session_state["runs_finished"] = st.session_state.get("runs_finished", 0) + 1


def _may_be_unknown(key: str) -> bool:
    """Return whether the browser may not have heard the value of a widget: it is new, or back from another
    page, or from a run without it that ended by st.stop (the browser forgets the widget, session_state does
    not), and not two runs have come to their end since. A click interrupts a run, what that run had sent may
    never arrive, and the browser would then show and send back Streamlit's own default, such as the least
    number that is allowed."""
    since, drawn = (st.session_state.setdefault(name, {}) for name in ("widgets_since", "widgets_drawn"))
    finished, begun = (st.session_state.get(name, 0) for name in ("runs_finished", "runs_begun"))
    if key not in st.session_state or drawn.get(key, begun) < begun - 1:
        since[key] = finished
    drawn[key] = begun
    return finished - since.get(key, finished) < 2


def _key(name: str, version: int) -> str:
    return f"{name}~{version}" if version else name


def _held() -> dict[str, Any]:
    """Return key -> what that widget held last, those that are gone included."""
    return st.session_state.setdefault("held_by_widgets", {})


def _edited(key: str, on_edit: Callable[..., None], *args: Any) -> None:
    new, held = st.session_state[key], _held()
    if new != held.get(key):
        held[key] = new
        on_edit(*args, new)
