"""A test that takes long: a button, once it was pressed the work at the end of the page, then the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.shared.layout import long_task

KEPT = 64              # results


@dataclass(frozen=True)
class SlowTest:
    """What stands on the page, and what is done.

    Args:
        key: stands for the result, which is kept as long as the server lives
        title: of the progress bar
        text, button, help: what is offered
        work: called with a progress function, returns the result
        show: draws a result
    """
    key: tuple
    title: str
    text: str
    button: str
    help: str
    work: Callable[[Callable[[str, int, int], None]], Any]
    show: Callable[[Any], None]

    def draw(self) -> Callable[[], None] | None:
        """Draw the result, or the button. Returns what is still to be done, for the end of the page."""
        started = f"slow_test_{abs(hash(self.key))}"
        if st.session_state.pop(f"stopped_{started}", False):          # Stop ends the test, not the page
            st.session_state.pop(started, None)
        results, place = _results(), st.empty()

        def run() -> None:
            with place.container(), long_task(self.title, key=started) as progress:
                results[self.key] = self.work(progress)
            while len(results) > KEPT:
                results.pop(next(iter(results)), None)
            st.session_state.pop(started, None)
            with place.container():
                self.show(results[self.key])

        if self.key not in results and st.session_state.get(started):
            return run
        with place.container():
            if self.key in results:
                self.show(results[self.key])
                return None
            st.markdown(self.text)
            st.button(self.button, key=f"{started}_go", on_click=st.session_state.__setitem__,
                      args=(started, True), help=self.help)
        return None


@st.cache_resource(show_spinner=False)
def _results() -> dict[tuple, Any]:
    return {}
