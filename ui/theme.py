"""One colour for each meaning, on every page and in both themes.

Each colour has a contrast of at least 3 to 1 on the light and on the dark background, so that one table serves both; the
tests check that, and that people who do not see red or green can tell training from validation from test, and right from
wrong. Gray values of images are never coloured; only maps are.
"""

from __future__ import annotations

import streamlit as st

SPLITS = {"train": "#2f86d1", "val": "#d97a1e", "test": "#7a7f87"}
SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test"}
ANSWERS = {"right": "#1a9a7f", "wrong": "#d65f2a"}
CLASSES = ("#8b5fd0", "#b5881c", "#2296a4", "#61693f", "#c44f86", "#2da184",
           "#136e9a", "#a0694b", "#9889d6", "#789f52", "#b0413a", "#216f65")
QUIET = "#8a9097"           # axes, the diagonal, a baseline: what is there to compare with

STYLE = """
<style>
  [data-testid="stApp"] { font-variant-numeric: tabular-nums; }            /* numbers stand under each other */
  [data-testid="stMarkdownContainer"] p, [data-testid="stMarkdownContainer"] li { max-width: 80ch; }
  [data-testid="stMainBlockContainer"] { padding-left: 2rem; padding-right: 2rem; }
  .st-key-page_header { border-bottom: 1px solid rgba(128, 134, 138, .28); padding-bottom: .55rem; }
  .st-key-page_header h1 { padding: 0; white-space: nowrap; }
  .st-key-next_step { border-top: 1px solid rgba(128, 134, 138, .28); margin-top: 1rem; padding-top: .35rem; }
  /* The accent of the dark theme is bright, so that it can be read as text; what is written on it must then be dark. */
  [data-testid^="stBaseButton-primary"], [data-testid="stMultiSelectTagsContainer"] [data-tag] { color: light-dark(#fff, #0c1517); }
  [data-testid="stVegaLiteChart"] text { fill: currentColor; opacity: .82; }     /* Streamlit's light gray is too pale to read */
  [data-testid="stCaptionContainer"] { color: light-dark(#545b60, #a6adb1); }
  [data-testid="stPageLink"] a { padding-left: 0; padding-right: .3rem; }
  [data-testid="stPageLink"] a:not([disabled]) p { color: light-dark(#0b6a7d, #63bccb); }       /* a link looks like a link */
</style>
"""


def apply() -> None:
    """Put the few rules of style that the theme in .streamlit/config.toml cannot express into the page."""
    st.html(STYLE)


def class_color(k: int) -> str:
    """The colour of class k, the same on every page. From the thirteenth class on they come again."""
    return CLASSES[k % len(CLASSES)]
