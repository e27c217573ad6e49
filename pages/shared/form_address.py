"""The form of a run in the address: `?train.epochs=20&model.name=densenet121`.

What differs from the defaults stands there, in the words of `python -m core train --set`, so that a refresh or a link that
was sent to somebody brings it back. An address that this session has written is never read again: that of a click made
before the browser had heard of the last change is older than the form.
"""

from __future__ import annotations

import streamlit as st

from core.config import KNOBS, SECTIONS, ModelConfig, RunConfig
from core.errors import LightboxError
from core.models.registry import find_model
from pages.shared import config_form
from pages.shared.layout import escape, shorten

LENGTH = 1500                  # characters that all settings together may take of the address; browsers and mails cut long ones
KEPT = 100                     # addresses of this session that are remembered
BEGINNINGS = tuple(f"{section}." for section in SECTIONS)
NAME = "name"


def follow_address(filled: bool = False) -> None:
    """Fill the form from the address where that is new, say what in it is not understood, and write the form into it.

    Args:
        filled: whether the address has just filled it otherwise, with a recipe or a run, which its settings then change
    """
    given = {name: value for name, value in st.query_params.items() if name == NAME or name.startswith(BEGINNINGS)}
    known = st.session_state.setdefault("addresses_of_the_form", [])
    if given and given not in known:
        known.append(given)
        sentences = fill(given, keep=filled)
        st.session_state["address_not_understood"] = sentences, settings()[0]
    written, left_out = settings()
    sentences, since = st.session_state.get("address_not_understood", ((), None))
    if sentences and written == since:                     # until the person goes on
        st.warning(escape(" ".join(sentences)))
    if written != given:
        others = {name: st.query_params.get_all(name) for name in st.query_params if name not in given}
        st.query_params.from_dict(others | written)
    if written not in known:
        known.append(written)
    del known[:-KEPT]
    if left_out:
        labels = ", ".join(KNOBS[name].label.lower() if name in KNOBS else name for name in left_out)
        st.caption(escape(f"Too long for the address, so a refresh of this page forgets it: {labels}."))


def settings() -> tuple[dict[str, str], list[str]]:
    """Return (setting -> text of all that differs from its default, settings for which the address has no room)."""
    written, left_out, room = {}, [], LENGTH
    for name in (*KNOBS, NAME):
        text = _text(name)
        if not text:
            continue
        room -= len(name) + len(text) + 2
        if room < 0:
            left_out.append(name)
            room += len(name) + len(text) + 2
        else:
            written[name] = text
    return written, left_out


def _text(name: str) -> str:
    """A setting as the address has it, "" where it has its default, or a value that is not allowed."""
    value = config_form.value_of(name)
    if name == NAME:
        return str(value)
    if KNOBS[name].group == "header" or value == config_form.default_of(name) or name == "data.target" and value == next(
            iter(config_form.options_of(name)), value):
        return ""
    try:
        return str(RunConfig().with_(**{name: value}).get(name))
    except LightboxError:                                  # shown beside the form
        return ""


def fill(given: dict[str, str], keep: bool = False) -> list[str]:
    """Put settings of an address into the form, and defaults where it says nothing, but for `keep`. Return a sentence for each
    that is not understood."""
    sentences = []
    for name, knob in KNOBS.items():
        if not keep and knob.group != "header":
            config_form.put(name, config_form.default_of(name))
    for name, text in given.items():
        try:
            if len(text) > LENGTH:
                raise LightboxError("config.value", f"{shorten(name)} is too long.")
            if name != NAME and (name not in KNOBS or KNOBS[name].group == "header"):
                raise LightboxError("config.field", f"There is no setting called {shorten(name)}.")
            if name == "model.name":
                find_model(ModelConfig(text), KNOBS["data.size"].high)
            config_form.put(name, text if name == NAME else RunConfig().with_(**{name: text}).get(name))
        except LightboxError as error:
            sentences.append(f"{error.message} {error.hint}".strip())
    if sentences:
        shown = [shorten(sentence, 200) for sentence in sentences[:3]]
        more = [f"So are {len(sentences) - 3} more."] if len(sentences) > 3 else []
        return ["The address was not understood in full, and defaults were taken instead.", *shown, *more]
    return []
