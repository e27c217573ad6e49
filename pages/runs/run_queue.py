"""The queue: waiting runs in their order, and buttons to change it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from core.errors import LightboxError
from core.runs.store import RunStore
from core.runs.summary import RunSummary
from pages.shared import run_feed
from pages.shared.layout import escape, format_seconds, show_error

SHOWN = 8              # as many have buttons at once


def draw_queue(store: RunStore, rows: Sequence[RunSummary]) -> None:
    """Draw the queue: for each run its place and buttons; when all will be finished; and buttons to stop or
    clear it."""
    if error := st.session_state.pop("queue_refusal", None):
        show_error(error)
    known, waiting = {row.id: row for row in rows}, store.queue.waiting()
    training = [row for row in rows if row.state in ("starting", "running")]
    if not waiting and not training:
        st.caption("No run is waiting or training. Runs queued on the page Train appear here in their order.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_when_done(store, rows, len(waiting), len(training)), width="stretch")
        with st.popover("Stop all", icon=":material/stop_circle:"):
            st.markdown(f"Removes {len(waiting)} waiting run{'s' if len(waiting) != 1 else ''} from the queue and stops the "
                        "training ones. Each can be resumed.")
            st.button("Stop all runs", key="queue_stop_all", type="primary", on_click=_attempt, args=(_stop_all, store))
        if waiting:
            with st.popover("Clear the queue", icon=":material/playlist_remove:"):
                st.markdown("Running trainings continue. The waiting runs are removed before they start; each can be resumed.")
                st.button("Clear", key="queue_clear", type="primary", on_click=_attempt, args=(store.stop_waiting,))
    shown = waiting if st.session_state.get("queue_all") else waiting[:SHOWN]
    first_of: set[str] = set()
    for place, (run_id, device) in enumerate(shown, start=1):
        row, is_first = known.get(run_id), device not in first_of
        first_of.add(device)
        with st.container(horizontal=True, vertical_alignment="center", key=f"queue_{run_id}"):
            about = f"{escape(row.name)}, {row.epochs} epochs on {escape(device)}" if row else escape(run_id)
            st.markdown(f"{place}. {about}" + "".join(f" :gray-badge[{escape(tag)}]" for tag in (row.tags if row else ())),
                        width="stretch")
            for name, icon, what, does in (("first", "vertical_align_top", "To the front", store.queue.move_first),
                                           ("up", "arrow_upward", "Move up", store.queue.move_up)):
                st.button(what, key=f"queue_{name}_{run_id}", icon=f":material/{icon}:", disabled=is_first, on_click=_attempt,
                          args=(does, run_id))
            st.button("Remove", key=f"queue_remove_{run_id}", icon=":material/close:", on_click=_attempt,
                      args=(_remove, store, run_id), help="It can be resumed later.")
    if len(waiting) > SHOWN:
        st.toggle(f"Show all {len(waiting)}", key="queue_all")


def _when_done(store: RunStore, rows: Sequence[RunSummary], waiting: int, training: int) -> str:
    counts = " and ".join(f"{n} run{'s' if n > 1 else ''} {verb}"
                        for n, verb in ((training, "training"), (waiting, "waiting")) if n)
    seconds, unknown = run_feed.seconds_of_queue(store, rows)
    if unknown == waiting + training:
        return f"{counts}. Time unknown: nothing similar has been trained on this machine yet."
    end = time.strftime("%H:%M %Z" if seconds < 12 * 3600 else "%d %b %H:%M %Z", time.localtime(time.time() + seconds))
    more = f", not counting {unknown} run{'s' if unknown > 1 else ''} of unknown length" if unknown else ""
    return f"{counts}. Finished in about **{format_seconds(seconds)}**, at {end}{more}."


def _attempt(action, *args) -> None:
    try:
        action(*args)
    except LightboxError as error:
        st.session_state["queue_refusal"] = error


def _remove(store: RunStore, run_id: str) -> None:
    store.queue.remove(run_id)                   # also where its folder is no more
    store.get(run_id).stop()


def _stop_all(store: RunStore) -> None:
    """First what waits, so that nothing new begins when what trains has ended."""
    store.stop_waiting()
    for row in run_feed.all_runs(store):
        if row.state in ("starting", "running"):
            store.get(row.id).stop()
