"""One colour for each meaning, on every page and in both themes.

Each colour has a contrast of at least 3 to 1 on the light and on the dark background, so that one table serves both; the
tests check that, and that people who do not see red or green can tell training from validation from test, and right from
wrong. Gray values of images are never coloured; only maps are.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

SPLITS = {"train": "#2f86d1", "val": "#d97a1e", "test": "#7a7f87"}
SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test"}
ANSWERS = {"right": "#1a9a7f", "wrong": "#d65f2a"}
CLASSES = ("#8b5fd0", "#b5881c", "#2296a4", "#61693f", "#c44f86", "#2da184",
           "#136e9a", "#a0694b", "#9889d6", "#789f52", "#b0413a", "#216f65")
STATES = {                  # of a run -> (word, colour of Streamlit's badges)
    "queued": ("Waiting", "gray"), "starting": ("Starting", "blue"), "running": ("Training", "blue"),
    "stopping": ("Stopping", "gray"), "stopped": ("Stopped", "gray"), "finished": ("Finished", "green"),
    "failed": ("Failed", "orange"), "interrupted": ("Interrupted", "orange"),
}
QUIET = "#8a9097"           # axes, the diagonal, a baseline: what is there to compare with


STYLE = "\n".join(Path(__file__).with_name(f"{name}.css").read_text()
                  for name in ("theme", "streamlit", "charts", "image_facts", "resize_preview"))


def apply() -> None:
    """Put the rules of style that the theme in .streamlit/config.toml cannot express into the page.

    A page adds its own: `st.html(Path(__file__).with_suffix(".css"))`.
    """
    st.html(f"<style>{STYLE}</style>")


def class_color(k: int) -> str:
    """The colour of class k, the same on every page. From the thirteenth class on they come again."""
    return CLASSES[k % len(CLASSES)]
