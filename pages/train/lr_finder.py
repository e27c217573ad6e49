"""The learning-rate finder on the page Train: a button, the curve while it grows, and the rate that it
suggests.

`python -m core find-lr` makes the steps in a process of its own; its lines are read here. A fragment shows
what has come: the form stays usable meanwhile, and Stop works at once. (A click inside a fragment does not
interrupt a running fragment, so work in the script itself, as `pages.shared.layout.long_task` does it, could
not be stopped from here.)
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import streamlit as st

from core.charts import curves
from core.config import KNOBS, RunConfig
from pages.shared import config_form, theme
from pages.shared.charts import heading, show_chart
from pages.shared.layout import escape, format_seconds

NICE = 10                # the browser and the app go first
UNWATCHED = 300.0        # seconds without a viewer after which a search is stopped: its tab was closed
HELP = ("Trains a copy of the network for about a hundred steps while the learning rate rises, until the "
        "loss diverges. A good learning rate is where the loss falls fastest.")
# What the search does not depend on.
IRRELEVANT = {"optim.lr", "optim.schedule", "optim.every", "optim.factor", "optim.warmup", "train.epochs",
              "train.patience",
         "train.monitor", "train.measure_train", "train.copies", "train.compile", "model.unfreeze_epoch"}


class Search:
    """A process that searches for a learning rate, and its results so far.

    Attributes:
        settings: that it depends on, as text
        records: of the steps, {"lr", "loss", "smooth", "step", "steps"}
        phase, done, total: what it does before the first step
        suggestion: {"lr", "tenth", "sentence"} at the end, else None
        error: why there is none; empty when all went well or it was stopped
    """

    def __init__(self, config: RunConfig):
        self.settings, self.records, self.suggestion, self.error = relevant(config), [], None, ""
        self.phase, self.done, self.total = "Starting", 0, 0
        self.stopped, self.watched, self.first = False, time.monotonic(), math.inf
        self._stderr = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            _command(config), cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self._stderr, text=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
        if hasattr(os, "setpriority"):                   # not on Windows
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
        self._reader = threading.Thread(target=self._read, name="find-lr", daemon=True)
        self._reader.start()

    @property
    def live(self) -> bool:
        return self._reader.is_alive()

    def stop(self) -> None:
        self.stopped = True
        self._process.terminate()
        self._reader.join(5)

    def seconds_left(self) -> float | None:
        """At most; None before the second step."""
        if len(self.records) < 2:
            return None
        step, steps = self.records[-1]["step"], self.records[-1]["steps"]
        return (time.monotonic() - self.first) / (len(self.records) - 1) * (steps - step)

    def _read(self) -> None:
        for line in self._process.stdout:
            try:
                record = json.loads(line)
                kind = record.pop("kind")
            except (ValueError, KeyError, AttributeError):
                continue
            if kind == "step":
                self.first = min(self.first, time.monotonic())
                self.records.append(record)
            elif kind == "phase":
                self.phase, self.done, self.total = record["phase"], record["done"], record["total"]
            elif kind == "suggestion":
                self.suggestion = record
            if time.monotonic() - self.watched > UNWATCHED:
                self._process.terminate()
        if self._process.wait() and not self.stopped:
            self.error = self._failure()

    def _failure(self) -> str:
        """The last line of the process's error output, without the error code."""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no error message"
        if self._process.returncode == 2 and last.endswith("]"):       # a sentence, then its code
            return last.rpartition(" [")[0]
        return f"The search failed: {last[:300]}"


def relevant(config: RunConfig) -> str:
    """Return the settings that a search depends on, as text."""
    return json.dumps({name: config.get(name) for name in KNOBS if name not in IRRELEVANT})


def _command(config: RunConfig) -> list[str]:
    """The search as a command, with what differs from the defaults."""
    command = [sys.executable, "-m", "core", "find-lr", "--json", "--dataset", config.data.dataset]
    for name, value in config.changed().items():
        if name != "data.dataset":
            command += ["--set", f"{name}={value}"]
    return command


# ------------------------------------------------------------------------------------------------ on the page

def draw_finder(config: RunConfig) -> None:
    """Draw the button, and below it the curve and the suggestion.

    Args:
        config: as the form has it now, checked; its learning rate is marked in the chart
    """
    search = st.session_state.get("lr_search")
    live = search is not None and search.live
    st.fragment(_draw, run_every=0.5 if live else None)(config, live)


def _draw(config: RunConfig, live: bool) -> None:
    search: Search | None = st.session_state.get("lr_search")
    if live and not search.live:
        st.rerun()                               # it has ended: the whole page, so that polling ends
    if live:
        _draw_progress(search)
    elif st.button("Find a learning rate", key="find_lr", icon=":material/search:", help=HELP):
        st.session_state["lr_search"] = Search(config)
        st.rerun()
    if search is None:
        return
    if search.error:
        st.error(escape(search.error))
    if search.records:
        show_curve(search.records, config.optim.lr, search.suggestion and search.suggestion["lr"])
    if search.live:
        return
    if search.stopped:
        st.caption("Stopped early, so there is no suggestion.")
    if search.suggestion:
        _draw_suggestion(search, config)


def _draw_progress(search: Search) -> None:
    search.watched = time.monotonic()
    if search.records:
        step, steps = search.records[-1]["step"], search.records[-1]["steps"]
        left = search.seconds_left()
        text = f"Step {step} of at most {steps}" + (f", {format_seconds(left)} left" if left is not None else "")
        share = step / steps
    else:
        text = search.phase + (f": {search.done:,} of {search.total:,}" if search.total else "")
        share = search.done / search.total if search.total else 0.0
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(1.0, share), escape(text))
        if st.button("Stop", key="find_lr_stop"):
            search.stop()
            st.rerun()


def _draw_suggestion(search: Search, config: RunConfig) -> None:
    suggestion = search.suggestion
    st.markdown(escape(suggestion["sentence"]))
    if search.settings != relevant(config):
        st.caption("The form has changed since: search again before you use this learning rate.")
    with st.container(horizontal=True):
        for key, help in (("lr", "Where the loss falls fastest."),
                          ("tenth", "More cautious: a tenth of the rate at which the loss is lowest.")):
            rate = suggestion[key]
            if rate is not None and rate != config.optim.lr and (key == "lr" or rate != suggestion["lr"]):
                if st.button(f"Use {rate:g}", key=f"find_lr_use_{key}", help=help):
                    config_form.put("optim.lr", rate)
                    st.rerun()


def show_curve(records: list[dict], current: float, suggested: float | None) -> None:
    """Show the loss over the learning rate, of each step and smoothed; the form's rate and the suggestion."""
    lr, loss, smooth = (np.array([record[key] for record in records], float)
                        for key in ("lr", "loss", "smooth"))
    marks = {"in the form": current}
    hues = {"in the form": theme.QUIET}
    if suggested is not None:
        marks["suggested"] = suggested
        hues[f"suggested: {suggested:g}"] = theme.ACCENT
    with st.container(gap="xxsmall"):
        st.html(heading("Loss at each learning rate", hues))
        show_chart(curves.learning_rates(lr, loss, smooth, marks), key="find_lr_curve")
