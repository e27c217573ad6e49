"""What was understood of the images at a path: a sentence a line, each with the click that changes it, beside some of them."""

from __future__ import annotations

from html import escape as html_escape
from typing import Any

import streamlit as st

from core.datasets.scan import ScanResult
from core.datasets.source import Understood
from core.errors import LightboxError
from pages.add.options_form import draw_option, form, has_option, put
from pages.add.read_options import Preview, sample_rows
from pages.shared.layout import escape
from pages.shared.resize_preview import data_uri, fit_longest

CLICKS = {"take": "Take them in", "join": "Join them", "together": "Read as findings", "one_of": "Read as classes",
          "pattern": "Use these"}
THUMB = 160            # pixels of the longer side: twice its size on the page
SHOWN = 6              # images


def draw_understood(shown: Preview) -> None:
    """The sentences, most important first, and a strip of images."""
    result = shown.result
    st.header("What was understood", anchor=False)
    st.html(strip_of(str(shown.path), repr(shown.options), result.source, result))
    said = result.index.understood or [Understood("images", f"{len(result.index.table):,} images were found.")]
    with st.container(key="add_understood"):
        for k, one in enumerate(said):
            draw_sentence(shown, one, k)


def draw_sentence(shown: Preview, one: Understood, k: int) -> None:
    changing = form().get("changing") == one.option != ""
    with st.container(horizontal=True, vertical_alignment="center", key=f"add_line_{k}"):
        st.markdown(escape(one.text), width="content")
        if one.value and has_option(shown, one.option):
            st.button(CLICKS.get(one.option, "Change"), key=f"add_click_{k}", type="tertiary", on_click=click,
                      args=(shown, one))
        elif has_option(shown, one.option):
            st.button("Done" if changing else "Change", key=f"add_change_{k}", type="tertiary", on_click=form().__setitem__,
                      args=("changing", "" if changing else one.option))
    if changing and k == first_line(shown, one.option):
        with st.container(border=True):
            draw_option(shown, one.option, prefix="add_here_")


def first_line(shown: Preview, option: str) -> int:
    """Return the first line whose sentence speaks of an option: its widget stands there, once."""
    return next(k for k, one in enumerate(shown.result.index.understood) if one.option == option)


def click(shown: Preview, one: Understood) -> None:
    """Set an option as a sentence offers it: a kind of files is added to those taken in, a switch is thrown."""
    value = getattr(shown.options, one.option)
    if one.option == "pattern":
        form()["way"] = "own"
    if isinstance(value, tuple):
        put(one.option, [*value, one.value])
    else:
        put(one.option, one.value == "true" if isinstance(value, bool) else one.value)


@st.cache_data(ttl=600, max_entries=32, show_spinner=False)
def strip_of(path: str, options: str, _source: Any, _result: ScanResult) -> str:
    """Return HTML of some images, one of each class first, with their class below."""
    target = next(iter(_result.index.targets.values()))
    figures = []
    for row in sample_rows(_result, SHOWN):
        label = target.labels[row]
        names = [target.class_names[k] for k in ((label > 0).nonzero()[0] if target.labels.ndim == 2 else [label])]
        words = html_escape("no label" if (label < 0).all() else ", ".join(names) or "no finding")
        try:
            picture = f"<img src='{data_uri(fit_longest(_source.original(row), THUMB))}' alt='An image: {words}'>"
        except LightboxError:
            picture = "<span class='unread'>not read</span>"
        figures.append(f"<figure>{picture}<figcaption>{words}</figcaption></figure>")
    return f"<div class='lb-strip'>{''.join(figures)}</div>"
