"""What every page has: the line at its top, the link at its foot, errors, progress, numbers as text.

The address is the truth for what a page shows: `?dataset=phantom&run=...`. A chip reads its value from there,
else from what this person chose last, else takes its default, and writes it back, so that the address can be
sent to somebody.

Streamlit's own `bind="query-params"` does less: it writes what a widget shows ("Phantom radiographs") and not
what it stands for, so that a run would be addressed by a title that others share; it takes a value that is
the default out of the address, and passes over one that is unknown without a word; and one cannot change it
with a link. `persist_state="session"` keeps what does not stand in the address.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.errors import LightboxError
from pages.shared.widget_state import follow

PAGES = Path(__file__).parents[1]


def page_file(page: str) -> str:
    """Return the file of a page: "train" -> "train/page.py". Raises KeyError where there is none."""
    if not (PAGES / page / "page.py").exists():
        raise KeyError(f"there is no page {page}")
    return f"{page}/page.py"


# ------------------------------------------------------------------------------------------------ the address

def asked_param(name: str) -> str | None:
    """Return `?name=` of the address.

    A click made before the browser has heard of the last choice comes with the address from before it. For
    two seconds after a choice that address is not believed; a step back in the browser comes later than that.
    """
    asked = st.query_params.get(name)
    before, chosen, when = st.session_state.get(f"chosen_{name}", (None, None, -math.inf))
    return chosen if asked == before and time.monotonic() - when < 2 else asked


def asked_among(name: str, label: str, options: Container[str]) -> str | None:
    """Return `?name=` of the address where it is one of `options`. Of anything else a sentence says that
    there is none."""
    asked = asked_param(name)
    if asked and asked not in options:
        st.warning(_unknown(label, asked))
        return None
    return asked or None


def _unknown(label: str, asked: str) -> str:
    return f"There is no {label.lower()} called {escape(shorten(asked))}. It may have been deleted, or the link is wrong."


def choose_param(name: str, value: str) -> None:
    """Write into the address what a person chose just now."""
    st.session_state[f"chosen_{name}"] = st.query_params.get(name), value, time.monotonic()
    st.query_params[name] = value


def get_param(name: str, default: str | None = None) -> str | None:
    """Return `?name=` of the address, else what was chosen last in this session, else `default`."""
    return asked_param(name) or st.session_state.get(f"last_{name}") or default


def set_param(name: str, value: str | None) -> None:
    """Write `?name=` into the address and remember it for the other pages. None takes it out."""
    set_params({name: value})


def set_params(values: Mapping[str, str | None]) -> None:
    """Write several parameters as `set_param` does, at once: each message to the browser may be a step of its history."""
    for name, value in values.items():
        st.session_state[f"last_{name}"] = value
        if value is None:
            st.query_params.pop(name, None)
    if new := {name: value for name, value in values.items() if value is not None and st.query_params.get(name) != value}:
        st.query_params.update(new)


@dataclass(frozen=True)
class Chip:
    """One thing that a page looks at, shown in its top line and changed there.

    Args:
        name: of the parameter in the address
        label: what it is, for the tooltip and for people who do not see it
        options: value -> what is shown
        default: None is the first option
        free: whether a value that is not among the options may be typed
        width: in pixels
    """

    name: str
    label: str
    options: Mapping[str, str]
    default: str | None = None
    free: bool = False
    width: int = 210


def page_header(title: str, *chips: Chip) -> tuple[str | None, ...]:
    """Draw the line at the top of a page: a small title and the chips. Returns their values in order, None
    without options.

    For a value in the address that is not among the options a sentence says so, and the default is shown.
    """
    unknown = []
    with st.container(key="page_header", horizontal=True, vertical_alignment="center", gap="small"):
        st.title(title, anchor=False, width="content")
        values = tuple(_draw_chip(chip, unknown) for chip in chips)
    set_params({chip.name: value for chip, value in zip(chips, values) if value is not None})
    for sentence in unknown:
        st.warning(sentence)
    return values


def _draw_chip(chip: Chip, unknown: list[str]) -> str | None:
    options = dict(chip.options)
    if not options and not chip.free:
        return None
    value = get_param(chip.name)
    if value and value not in options and chip.free:
        options[value] = value
    elif value and value not in options:
        if chip.name in st.query_params:
            unknown.append(_unknown(chip.label, value))
        value = None
    value = value or chip.default or next(iter(options))
    shown = distinct_titles(options)
    st.selectbox(chip.label, list(options), format_func=lambda v: shown.get(v, v), accept_new_options=chip.free,
                 label_visibility="collapsed", width=chip.width, **follow(f"chip_{chip.name}", value, _set_chip, chip.name))
    return value


def distinct_titles(options: Mapping[str, str]) -> dict[str, str]:
    """Return value -> title, all different: the browser sends back the title, so of two alike only one could
    be chosen. Those that are alike get the end of their value."""
    count: dict[str, int] = {}
    for text in options.values():
        count[text] = count.get(text, 0) + 1
    return {value: f"{text} [{value[-4:]}]" if count[text] > 1 else text for value, text in options.items()}


def _set_chip(name: str, value: str | None) -> None:
    if value:
        choose_param(name, value)
        set_param(name, value)


def dataset_chip() -> Chip:
    """Return the chip of the data set: one that has a name, or the path of a folder or .npz file, which may
    be typed."""
    from core.datasets import list_datasets
    return Chip("dataset", "Data set", {info.name: info.title for info in list_datasets()}, default="phantom", free=True,
                width=240)


def run_chip(runs: list) -> Chip:
    """Return the chip of the run: one of `runs` (core.runs.store.Run), the newest first."""
    return Chip("run", "Run", {run.id: run.name for run in runs}, width=400)


# ------------------------------------------------------------------------------------------ from page to page

def next_step(label: str, page: str, **query: str | None) -> None:
    """Draw the link at the foot of a page: `next_step("Next: train", "train", dataset=name)`."""
    with st.container(key="next_step", horizontal=True, horizontal_alignment="right"):
        link(label, page, icon=":material/arrow_forward:", **query)


def link(label: str, page: str, icon: str | None = None, **query: str | None) -> None:
    """Draw a link to a page with its parameters."""
    st.page_link(page_file(page), label=label, icon=icon, icon_position="right" if icon else "left",
                 query_params={name: value for name, value in query.items() if value is not None})


def go(page: str, **query: str | None) -> None:
    """Leave for another page now. Ends this run of the script."""
    for name, value in query.items():
        st.session_state[f"last_{name}"] = value
    st.switch_page(page_file(page), query_params={name: value for name, value in query.items() if value is not None})


def empty(sentence: str, label: str, page: str, **query: str | None) -> None:
    """Draw what an empty page shows: one sentence, and the button that changes that."""
    with st.container(horizontal_alignment="center", key=f"empty_{page}"):
        st.space("large")
        st.markdown(sentence, width="content")
        if st.button(label, type="primary", key=f"empty_{page}_go"):
            go(page, **query)
        st.space("large")


# ----------------------------------------------------------------------------------------- when it goes wrong

def show_error(error: LightboxError) -> None:
    """Draw what happened and what to do, in the place where it happened."""
    st.error(f"{escape(error.message)} {escape(error.hint)}".strip())


_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:^=&\"'/@])")


def escape(text: object) -> str:
    """Return text for Markdown that is shown exactly as it is: for what comes from a file or was typed."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def shorten(text: str, length: int = 60) -> str:
    """Return at most `length` characters; the middle goes, because paths differ at their ends."""
    return text if len(text) <= length else f"{text[:length // 3]} ... {text[-(length - length // 3 - 5):]}"


# -------------------------------------------------------------------------------------------- what takes long

def is_stopped(key: str) -> bool:
    """Return whether a person stopped the `long_task` with this key, and has not continued it."""
    return bool(st.session_state.get(f"stopped_{key}"))


@contextmanager
def long_task(sentence: str, key: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show progress, time left and a Stop button for work in the script itself.

        with long_task("Preparing Phantom radiographs", key="phantom_64") as progress:
            open_dataset(config, progress)            # calls progress(phase, done, total) now and then

    Stop ends the script at the next call of `progress` (by an exception of Streamlit's own that passes
    through the work). The page then shows a sentence and a Continue button, and runs no further. What the
    work kept, it keeps.
    """
    stopped = f"stopped_{key}"
    if is_stopped(key):
        with st.container(horizontal_alignment="center"):
            st.space("large")
            st.markdown(f"{escape(sentence)}: stopped. Finished work is kept.", width="content")
            st.button("Continue", type="primary", key=f"{stopped}_go", on_click=st.session_state.pop, args=(stopped, None))
        st.stop()
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, escape(sentence))
        st.button("Stop", key=f"{stopped}_stop", on_click=st.session_state.__setitem__, args=(stopped, True))
    began = last = time.monotonic()
    phase_now = ""

    def progress(phase: str, done: int, total: int) -> None:
        nonlocal began, last, phase_now
        now = time.monotonic()
        if phase != phase_now:
            phase_now, began = phase, now              # each phase has its own speed
        elif now - last < 0.2 and done < total:
            return
        last = now
        share = min(1.0, done / total) if total else 0.0
        text = escape(phase)
        if total:
            text += f": {done:,} of {total:,}"
        if share > 0.02 and now - began > 1:
            text += f", {format_seconds((now - began) * (1 - share) / share)} left"
        bar.progress(share, text)

    yield progress
    place.empty()


def upload_limit() -> str:
    """Say how large a file may be that is sent through the browser: the one limit in .streamlit/config.toml."""
    return f"Up to {st.get_option('server.maxUploadSize')} MB a file."


# ---------------------------------------------------------------------------------------------------- numbers

def format_number(value: float | None, digits: int = 3) -> str:
    """Format a number: 0.9134 -> "0.913"; None and NaN, where a number is not defined, -> "-"."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def format_percent(value: float | None, digits: int = 1) -> str:
    """Format a share: 0.9134 -> "91.3 %"."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def format_probability(p: float | None, digits: int = 1) -> str:
    """Format a probability of a network, never certain: 0.9134 -> "91.3 %", 0.99999 -> "> 99.9 %", 0.0 -> "<
    0.1 %"."""
    text, step = format_percent(p, digits), 10 ** -digits
    if text == f"{100:.{digits}f} %":
        return f"> {100 - step:.{digits}f} %"
    return f"< {step:.{digits}f} %" if text == f"{0:.{digits}f} %" else text


def format_interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """Format a number with its interval: "0.913 (0.881 to 0.940)"."""
    if value is None or low is None or high is None:
        return format_number(value, digits)
    return f"{format_number(value, digits)} ({format_number(low, digits)} to {format_number(high, digits)})"


def format_seconds(seconds: float | None) -> str:
    """Format a duration: 130 -> "2 min 10 s"; 0.25 -> "0.3 s"; 8000 -> "2 h 13 min"."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def format_bytes(count: float) -> str:
    """Format a size in powers of 1000, as disks are sold: 6_200_000_000 -> "6.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def format_ago(seconds: float) -> str:
    """Format how long ago something was: "just now", "5 min ago", "3 h ago", "2 days ago"."""
    for length, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= length:
            n = int(seconds // length)
            return f"{n} {unit}{'s' if unit == 'day' and n > 1 else ''} ago"
    return "just now"
