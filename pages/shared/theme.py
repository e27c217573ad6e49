"""The look of the pages: the few rules of style that .streamlit/config.toml cannot express, and the colours
of core/charts.

Gray values of images are never coloured; only maps are.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.charts.palette import ACCENT, CLASSES, OUTCOMES, QUIET, SPLITS, class_color, dash

__all__ = ["ACCENT", "CLASSES", "OUTCOMES", "QUIET", "SPLITS", "SPLIT_TITLES", "STATES", "apply", "class_color", "dash"]

SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test"}
STATES = {                  # of a run -> (word, colour of Streamlit's badges)
    "queued": ("Waiting", "gray"), "starting": ("Starting", "blue"), "running": ("Training", "blue"),
    "stopping": ("Stopping", "gray"), "stopped": ("Stopped", "gray"), "finished": ("Finished", "green"),
    "failed": ("Failed", "orange"), "interrupted": ("Interrupted", "orange"),
}


STYLE = "\n".join(Path(__file__).with_name(f"{name}.css").read_text()
                  for name in ("theme", "streamlit", "charts", "image_facts", "resize_preview"))


def apply() -> None:
    """Put the rules of style that the theme in .streamlit/config.toml cannot express into the page.

    A page adds its own: `st.html(Path(__file__).with_suffix(".css"))`.
    """
    st.html(f"<style>{STYLE}</style>")
