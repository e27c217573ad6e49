"""The note and the tags of a run: saved at once, and nobody's text is lost without a warning."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.errors import LightboxError
from core.runs.run import TAGS, TEXT_LENGTH
from core.runs.store import Run
from pages.shared.layout import escape, show_error
from pages.shared.widget_state import follow


def draw_notes(run: Run, known_tags: Sequence[str]) -> None:
    """Draw the editor. What is typed is saved when the field is left.

    It shows what this person wrote or has seen last, so that another window never changes a text under one's
    hands; where the file holds something else by now, a warning says so, and a click shows it.

    Args:
        known_tags: of all runs, to choose from
    """
    notes = run.notes()
    seen = _seen().setdefault(run.id, notes.text)
    if error := st.session_state.pop("note_error", None):
        show_error(error)
    st.multiselect("Tags", list(dict.fromkeys([*notes.tags, *known_tags])), accept_new_options=True, max_selections=TAGS,
                   placeholder="Choose tags, or type a new one", **follow(f"tags_{run.id}", list(notes.tags),
                                                                                         _save_tags, run),
                   help=f"Up to {TAGS}. The table of all runs can be filtered by tags.")
    st.text_area("Note", height=160, max_chars=TEXT_LENGTH, placeholder="What is special about this run, what it showed",
                 **follow(f"note_{run.id}", seen, _save_text, run),
                 help="Saved as soon as you leave the field.")
    lost = st.session_state.get("note_lost", {}).get(run.id)
    if lost is not None:
        st.warning(f"Another window had changed this note in the meantime. Yours is saved; the other one was: "
                   f"{escape(lost) or 'empty'}")
    elif notes.text != seen:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(f"Another window has changed this note to: {escape(notes.text) or 'empty'}")
            st.button("Load it", key="note_reload", on_click=_seen().__setitem__, args=(run.id, notes.text))


def _seen() -> dict[str, str]:
    """Return run -> the text that this session shows."""
    return st.session_state.setdefault("notes_seen", {})


def _save_text(run: Run, text: str) -> None:
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


def _save_tags(run: Run, tags: Sequence[str]) -> None:
    try:
        run.annotate(tags=tags)
    except LightboxError as error:
        st.session_state["note_error"] = error
