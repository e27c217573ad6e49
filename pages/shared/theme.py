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
  [data-testid="stMainBlockContainer"] { padding-left: 2rem; padding-right: 2rem; }
  [data-testid="stMarkdownContainer"] p, [data-testid="stMarkdownContainer"] li { max-width: 80ch; }
  .st-key-page_header { border-bottom: 1px solid rgba(128, 134, 138, .28); padding-bottom: .55rem; }
  .st-key-page_header h1 { padding: 0; white-space: nowrap; }
  /* Its chips stay in one line where they nearly fit, and stand in pairs on a telephone. */
  @media (min-width: 1200px) {
    .st-key-page_header { flex-wrap: nowrap; }
    .st-key-page_header > :has([data-testid="stSelectbox"]) { flex: 0 1 auto; min-width: 6rem; }
  }
  @media (max-width: 640px) {
    .st-key-page_header > :has(h1) { flex: 1 0 100%; }
    .st-key-page_header > :has([data-testid="stSelectbox"]) { flex: 1 1 40%; min-width: 8rem; }
    .st-key-page_header > [class*="st-key-chip_run"] { flex-basis: 100%; }
  }
  .st-key-next_step { border-top: 1px solid rgba(128, 134, 138, .28); margin-top: 1rem; padding-top: .35rem; }

  /* The accent of the dark theme is bright, so that it can be read as text; what is written on it must then be dark. */
  [data-testid^="stBaseButton-primary"],
  [data-testid="stMultiSelectTagsContainer"] [data-tag] { color: light-dark(#fff, #0c1517); }
  /* Streamlit's own grays for small text are too pale to read. */
  [data-testid="stVegaLiteChart"] text { fill: currentColor; opacity: .82; }
  [data-testid="stCaptionContainer"] { opacity: .8; }
  [class*="st-key-more_"] summary, [class*="st-key-more_"] summary * { color: inherit; }
  [class*="st-key-more_"] summary { opacity: .8; }
  /* pages/train/page.py: what the form leads to, and the button, stay in sight while one goes down the form. */
  @media (min-width: 900px) {
    [data-testid="stColumn"]:has(.st-key-outlook) { position: sticky; top: 4.2rem; align-self: flex-start; }
  }
  /* A link looks like a link. */
  [data-testid="stPageLink"] a { padding-left: 0; padding-right: .3rem; }
  [data-testid="stPageLink"] a p { overflow: hidden; text-overflow: ellipsis; }
  [data-testid="stPageLink"] a:not([disabled]) p { color: light-dark(#0b6a7d, #63bccb); }

  /* pages/shared/browsing.py: what is known of an image, name and value. */
  .lb-facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; margin: 0; padding: 0 !important;
    font-size: .86rem; }
  .lb-facts dt { margin: 0; opacity: .72; max-width: 14rem; overflow-wrap: anywhere; }
  .lb-facts dd { margin: 0; overflow-wrap: anywhere; }

  /* pages/shared/charts.py: the line above a chart, and bars of probabilities (name, bar, number). */
  .lightbox-heading { font-weight: 600; font-size: .9rem; line-height: 1.4; }
  .lightbox-heading span { margin-left: .9rem; font-weight: 400; white-space: nowrap; }
  .lightbox-heading i { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px; margin-right: .35rem; }
  .lightbox-bars { display: grid; grid-template-columns: minmax(5rem, max-content) 1fr 4.2rem; gap: .4rem .6rem;
                   align-items: center; }
  .lightbox-bars > span { max-width: 12rem; overflow-wrap: anywhere; line-height: 1.2; }
  .lightbox-bars > span:nth-child(3n) { text-align: right; }
  .lightbox-bars > div { position: relative; height: .85rem; background: rgba(128, 134, 138, .2); border-radius: 3px; }
  .lightbox-bars b { display: block; height: 100%; border-radius: 3px; }
  .lightbox-bars i { position: absolute; top: -2px; bottom: -2px; border-left: 2px solid currentColor; opacity: .75; }
  .lightbox-bars p { grid-column: 1 / -1; margin: 0; opacity: .8; font-size: .85rem; }

  /* pages/evaluate/page.py: the curves take what is left of the line, all of it where they stand below the matrix. */
  [data-testid="stLayoutWrapper"]:has(> .st-key-judged_curves) { flex-grow: 1; }
  .st-key-judged_curves { width: 100%; }
  /* pages/compare/table_check.py: the rows of a printed table, each with its verdict; on a telephone a block each. */
  .lightbox-checked { width: 100%; border-collapse: collapse; font-size: .92rem; line-height: 1.4; }
  .lightbox-checked :is(th, td) { padding: .4rem .7rem; text-align: left; vertical-align: top; font-weight: 400;
    border-bottom: 1px solid rgba(128, 134, 138, .28); }
  .lightbox-checked thead th, .lightbox-checked tbody th { font-weight: 600; }
  .lightbox-checked td:nth-of-type(2), .lightbox-checked b { white-space: nowrap; }
  .lightbox-checked b { padding: 0 .4rem; border-radius: 4px; font-weight: 600; font-size: .85rem; }
  .lightbox-checked .fits { color: light-dark(#0b5f4c, #7fdcc4); background: rgba(26, 154, 127, .18); }
  .lightbox-checked .fault { color: light-dark(#9c2f1c, #ffa48a); background: rgba(214, 95, 42, .18); }
  @media (max-width: 700px) {
    .lightbox-checked thead { display: none; }
    .lightbox-checked tr { display: block; padding: .5rem 0; border-bottom: 1px solid rgba(128, 134, 138, .28); }
    .lightbox-checked :is(tbody th, td) { display: inline-block; border: 0; padding: .1rem .5rem .1rem 0; }
    .lightbox-checked td:last-child { display: block; }
  }
  /* pages/evaluate/metrics.py: the headline numbers, two side by side on a telephone. */
  @media (max-width: 640px) {
    .st-key-headline [data-testid="stColumn"] { min-width: calc(50% - 1rem); flex: 1 1 calc(50% - 1rem); }
  }
  .st-key-judged_alarms [data-testid="stAlertContainer"] { padding: .5rem .8rem; }
  .st-key-judged_alarms [data-testid="stMarkdownContainer"] p { max-width: none; font-size: .88rem; line-height: 1.45; }
  .st-key-alarms [data-testid="stMarkdownContainer"] p { max-width: 140ch; }     /* few lines: the curves are the main thing */

  /* pages/runs/curves.py: what the lines of the curves are. */
  .lightbox-legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .86rem; align-items: center; }
  .lightbox-legend span { white-space: nowrap; max-width: 26rem; overflow: hidden; text-overflow: ellipsis; }
  .lightbox-legend i { display: inline-block; width: 22px; margin-right: .35rem; vertical-align: middle; }
  .lightbox-picked i { width: .7rem; height: .7rem; border-radius: 2px; }
  .lightbox-legend u { text-decoration: underline dotted; text-underline-offset: 3px; cursor: help; }

  /* pages/runs/tracked_images.py: validation images with bars that move from the epoch before to this one. */
  .lightbox-strip { display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); gap: .6rem .9rem; }
  @media (max-width: 1100px) { .lightbox-strip { grid-template-columns: repeat(4, minmax(0, 1fr)); } }
  @media (max-width: 500px) { .lightbox-strip { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
  .lightbox-strip figure { display: flex; gap: .5rem; margin: 0; align-items: flex-start; min-width: 0; }
  .lightbox-strip .picture { flex: none; width: 72px; height: 72px; background: #000 center / contain no-repeat;
    border-left: 4px solid; border-radius: 2px; }
  .lightbox-strip figcaption { flex: 1; min-width: 0; font-size: .74rem; line-height: 1.25; }
  .lightbox-strip figcaption small { font-size: .72rem; opacity: .8; }
  .lightbox-strip .name { display: flex; justify-content: space-between; gap: .15rem; }
  .lightbox-strip .name span { white-space: nowrap; }
  .lightbox-strip .name span:first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .lightbox-strip .bar { height: 5px; margin-bottom: 3px; border-radius: 3px; background: rgba(128, 134, 138, .22); }
  .lightbox-strip .bar i { display: block; height: 100%; border-radius: 3px; animation: lightbox-move .7s ease-out; }
  @keyframes lightbox-move { from { width: var(--from); } }
  @media (prefers-reduced-motion: reduce) { .lightbox-strip .bar i { animation: none; } }
</style>
"""


def apply() -> None:
    """Put the few rules of style that the theme in .streamlit/config.toml cannot express into the page."""
    st.html(STYLE)


def class_color(k: int) -> str:
    """The colour of class k, the same on every page. From the thirteenth class on they come again."""
    return CLASSES[k % len(CLASSES)]
