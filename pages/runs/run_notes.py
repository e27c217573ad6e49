"""The note and the tags of a run: written down at once, and nobody's words are lost without being told."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.errors import LightboxError
from core.runs.run import TAGS, TEXT_LENGTH
from core.runs.store import Run
from pages.shared.layout import escape, show_error
from pages.shared.widget_state import follow


def draw_notes(run: Run, known_tags: Sequence[str]) -> None:
    """The editor. What is typed is saved when the field is left.

    It shows what this person wrote or has seen last, so that another window never changes a text under one's hands; where the
    file says something else by now, that is said, and shown at a click.

    Args:
        known_tags: of all runs, to choose from
    """
    notes = run.notes()
    seen = _seen().setdefault(run.id, notes.text)
    if error := st.session_state.pop("note_error", None):
        show_error(error)
    st.multiselect("Tags", list(dict.fromkeys([*notes.tags, *known_tags])), accept_new_options=True, max_selections=TAGS,
                   placeholder="Words to find it by: choose, or type a new one", **follow(f"tags_{run.id}", list(notes.tags),
                                                                                         _take_tags, run),
                   help=f"Up to {TAGS}. The table of all runs can be narrowed to the runs with a tag.")
    st.text_area("Note", height=160, max_chars=TEXT_LENGTH, placeholder="What is special about this run, what it showed",
                 **follow(f"note_{run.id}", seen, _take_text, run),
                 help="Saved as soon as you leave the field. The settings of the run do not change by it.")
    lost = st.session_state.get("note_lost", {}).get(run.id)
    if lost is not None:
        st.warning(f"Another window had changed this note meanwhile. Yours is kept; the other one was: {escape(lost) or 'empty'}")
    elif notes.text != seen:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(f"Another window has changed this note. It now says: {escape(notes.text) or 'nothing'}")
            st.button("Show that one", key="note_reload", on_click=_seen().__setitem__, args=(run.id, notes.text))


def _seen() -> dict[str, str]:
    """Run -> the text that this session shows."""
    return st.session_state.setdefault("notes_seen", {})


def _take_text(run: Run, text: str) -> None:
    try:
        before = run.annotate(text=text).text
    except LightboxError as error:
        st.session_state["note_error"] = error
        return
    lost = st.session_state.setdefault("note_lost", {})
    lost.pop(run.id, None)
    if before not in (_seen().get(run.id), text):
        lost[run.id] = before
    _seen()[run.id] = text


def _take_tags(run: Run, tags: Sequence[str]) -> None:
    try:
        run.annotate(tags=tags)
    except LightboxError as error:
        st.session_state["note_error"] = error
