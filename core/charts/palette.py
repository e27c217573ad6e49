"""One colour for each meaning, on every page and in every report.

Each colour has a contrast of at least 2.9 to 1 against white, the light and the dark background, so that one
table serves all three; the tests check that, and that people who do not see red or green can tell training
from validation from test, and right from wrong. Where two lines could be confused, a dash or a label tells
them apart as well.
"""

from __future__ import annotations

SPLITS = {"train": "#2f86d1", "val": "#d97a1e", "test": "#7a7f87"}
OUTCOMES = {"right": "#1a9a7f", "wrong": "#d65f2a"}
# Class k has the k-th colour. Where no class is drawn, other series take them in the same order: the runs of
# a comparison.
CLASSES = ("#8b5fd0", "#b5881c", "#2296a4", "#61693f", "#c44f86", "#2da184",
           "#136e9a", "#a0694b", "#9889d6", "#789f52", "#b0413a", "#216f65")
ACCENT = "#2296a4"          # what a chart is about, where it is neither a split nor a class
QUIET = "#8a9097"           # axes, the diagonal, a baseline: what there is to compare with
DASHES = ((1, 0), (7, 3), (2, 2), (8, 3, 2, 3))          # of lines, beside their colour


def class_color(k: int) -> str:
    """Return the colour of class `k`. From the thirteenth class on they come again.

    >>> class_color(0) == class_color(12)
    True
    """
    return CLASSES[k % len(CLASSES)]


def dash(k: int) -> tuple[int, ...]:
    """Return the dash of line `k`: solid first, then three kinds of dashes, in turn."""
    return DASHES[k % len(DASHES)]
