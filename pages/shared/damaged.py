"""What cannot be read, beside what can: runs and data sets whose files are damaged; and images that were moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import streamlit as st

from core.datasets.custom import damaged_custom_datasets, remove_custom_dataset
from core.datasets.moved import is_gone
from core.datasets.opening import move_dataset, place_of
from core.errors import LightboxError
from core.runs.store import RunStore
from pages.shared import run_feed
from pages.shared.layout import escape, shorten, show_error

GONE = ("dataset.moved", "dataset.unknown", "data.gone")        # codes of images that may have been moved


def draw_damaged_runs(remove: bool = False) -> None:
    """Say which runs are left out and why; nothing where all can be read. `remove` offers to delete them."""
    store = RunStore()

    def delete(run_id: str) -> None:
        store.delete(next(run for run in store.folders() if run.id == run_id))
    _draw(run_feed.damaged_runs(store), "run", delete if remove else None)


def draw_damaged_sets(remove: bool = False) -> None:
    """Say which data sets are left out and why, like `draw_damaged_runs`."""
    _draw(damaged_custom_datasets(), "data set", remove_custom_dataset if remove else None)


def _draw(wrong: Mapping[str, LightboxError], what: str, remove: Callable[[str], None] | None) -> None:
    if not wrong:
        return
    n, name = len(wrong), what.replace(" ", "_")
    many = f"{n} {what}s are damaged and are" if n > 1 else f"One {what} is damaged and is"
    with st.expander(f"{many} left out", icon=":material/warning:", key=f"damaged_{name}"):
        for one, error in list(wrong.items())[:50]:
            said, button = st.columns([5, 1], vertical_alignment="center")
            said.markdown(f"**{escape(shorten(one))}** {escape(error)}")
            if remove and button.button("Remove", key=f"damaged_{name}_{one}"):
                try:
                    remove(one)
                    st.rerun()
                except LightboxError as refused:
                    show_error(refused)


def draw_moved(dataset: str) -> None:
    """Offer to point a data set to where its images are now; nothing where they are where they were."""
    try:
        old = place_of(dataset)
    except LightboxError:
        return
    if not old or not Path(old).is_absolute() or not is_gone(Path(old)):
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"moved_{dataset}"):
        new = st.text_input("Where are these images now?", key=f"moved_to_{dataset}", placeholder="/path/to/images",
                            help=f"They were in {old}. Runs and saved sets keep that name; from now on their images "
                                 "are read from the new place.").strip()
        if st.button("Use this place", key=f"moved_go_{dataset}") and new:
            try:
                n = move_dataset(dataset, new)
                st.cache_data.clear()
                st.toast(f"{n:,} images are there.")
                st.rerun()
            except LightboxError as error:
                show_error(error)
