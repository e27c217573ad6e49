"""Open the data set that Browse shows: choose a size, offer a download, prepare it with progress."""

from __future__ import annotations

import streamlit as st

from core.config import DataConfig
from core.datasets import DATASETS, Dataset, is_ready, open_dataset
from core.errors import LightboxError
from pages.shared import open_data
from pages.shared.damaged import draw_damaged_sets, draw_moved
from pages.shared.layout import (
    Chip,
    dataset_chip,
    escape,
    format_bytes,
    get_param,
    long_task,
    next_step,
    page_header,
    show_error,
)

GOOD = 128                       # enough for a thumbnail that one likes to look at
FAIR = 64                        # enough where it spares a wait


def open_or_offer(name: str) -> tuple[Dataset, tuple[Chip, ...]]:
    """Return the open data set and the chip of its sizes, if there are several.

    Where it is not on this disk its download is offered, where it cannot be opened the reason is shown: the
    page ends there.
    """
    try:
        sizes, on_disk = open_data.sizes_of(name)
    except LightboxError as error:
        page_header("Browse", dataset_chip())
        show_error(error)
        draw_moved(name)
        draw_damaged_sets()
        st.stop()
    asked = get_param("px")
    size = int(asked) if asked in map(str, sizes) else first_size(name, sizes, on_disk)
    chips = _size_chip(sizes, size)
    if not on_disk:
        page_header("Browse", dataset_chip(), *chips)
        _offer_download(name, size)
        st.stop()
    return _open(name, size, chips), chips


def _size_chip(sizes: tuple[int, ...], size: int) -> tuple[Chip, ...]:
    options = {str(s): f"{s} px" for s in sizes}
    return (Chip("px", "Image size", options, default=str(size), width=98),) if len(sizes) > 1 else ()


def first_size(dataset: str, sizes: tuple[int, ...], on_disk: bool) -> int:
    """Return the size that a page opens with: one that is prepared already, else one that is good to look at;
    the smallest for what has to be downloaded, so that nobody waits unasked."""
    if not on_disk:
        return sizes[0]
    ready = [s for s in sizes if s >= FAIR and is_ready(DataConfig(dataset, size=s))]
    return max(ready or [s for s in sizes if s <= GOOD])


def _offer_download(name: str, size: int) -> None:
    """What a download would bring, before it is asked for; and the download."""
    info, asked = DATASETS[name].info(), f"browse_fetch_{name}_{size}"
    count = sum(n or 0 for n in info.counts.values())
    gray = count * size * size
    st.space("small")
    st.markdown(escape(info.description))
    st.markdown(escape(
        f"{info.title} has not been downloaded yet. It has {count:,} images of {size} x {size} px: {format_bytes(gray)} "
        f"uncompressed in gray, {format_bytes(3 * gray)} in colour; the file is smaller. "
        f"Licence: {info.licence or 'unknown'}."))
    if st.session_state.get(asked):                   # until it is done: one can stop, and go on
        try:
            with long_task(f"Downloading {info.title}", key=asked) as progress:
                open_dataset(DataConfig(name, size=size), progress)
            st.session_state.pop(asked)
            open_data.sizes_of.clear()
            st.rerun()
        except LightboxError as error:
            st.session_state.pop(asked)
            show_error(error)
    st.button(f"Download {info.title} ({size} px)", type="primary", key=f"{asked}_go",
              on_click=st.session_state.__setitem__, args=(asked, True))
    st.caption("Once downloaded, it opens offline.")


def _open(name: str, size: int, chips: tuple[Chip, ...]) -> Dataset:
    """Open a data set, with the task that the address asks for. What must be prepared shows progress below
    the page's header."""
    config = DataConfig(name, size=size)
    prepared = st.session_state.get("browse_opened") == (name, size) or is_ready(config)
    if not prepared:
        page_header("Browse", dataset_chip(), *chips)
    try:
        data = open_data.open_set(config)             # with progress and a Stop button; ends here if it must
        target = get_param("target")
        if target in dict(data.targets) and target != data.target:
            data = open_data.open_set(DataConfig(name, size=size, target=target))
    except LightboxError as error:
        if prepared:
            page_header("Browse", dataset_chip(), *chips)
        show_error(error)
        draw_moved(name)
        draw_damaged_sets()
        next_step("Next: split the images", "split", dataset=name)
        st.stop()
    st.session_state["browse_opened"] = name, size
    if not prepared:
        st.rerun()
    return data
