"""What a set looks like as a whole, as pictures for a narrow column: sizes of the originals, gray values, average images.

Small pictures are plain HTML and SVG: they cost the server and the browser nothing. What is computed is kept by values: the
set and what was filtered.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import streamlit as st

from core.datasets import Dataset
from core.datasets.statistics import Averages, GrayValues, averages, gray_values, groups_by, histogram, original_sizes
from pages.shared import theme
from pages.shared.gallery import gallery

LINES = 12                 # so many classes have a colour of their own
CLASSES = 24               # of so many classes the average image is shown
TOGETHER = 4               # gray values in one step of the curve
VIEWS = {"sizes": "Sizes", "gray": "Gray values", "mean": "Averages"}


def show_overview(data: Dataset, known_by: tuple, rows: np.ndarray, chosen_by: tuple, view: str) -> int | None:
    """One of VIEWS for the rows that are chosen.

    Args:
        known_by, chosen_by: what stands for the set and for the rows in a cache

    Returns:
        The number of the class whose average image was clicked just now, once; None in every other run.
    """
    if not len(rows):
        st.caption("No image fits, so there is nothing to count.")
        return None
    st.html(Path(__file__).with_suffix(".css"))
    if view == "sizes":
        st.html(_sizes(data, rows, known_by, chosen_by))
    elif view == "gray":
        st.html(_gray(data, rows, known_by, chosen_by))
    else:
        return _show_averages(data, rows, known_by, chosen_by)
    return None


@st.cache_data(max_entries=128, show_spinner=False)
def _sizes(_data: Dataset, _rows: np.ndarray, known_by: tuple, chosen_by: tuple) -> str:
    return sizes_html(original_sizes(_data.table, _rows), len(_rows))


def sizes_html(sizes: np.ndarray, total: int) -> str:
    """Sizes of originals, (n, 2) width and height in pixels, of `total` images, in a sentence and two histograms."""
    if not len(sizes):
        return ("<div class='lb-chart'><p>How large the originals are is not known: these images were prepared before "
                "Lightbox kept it. A click on an image shows it.</p></div>")
    width, height = sizes.T
    missing = f" Of {total - len(sizes):,} more it is not known." if total > len(sizes) else ""
    if (sizes == sizes[0]).all():
        said = f"All {len(sizes):,} originals have {width[0]:,} x {height[0]:,} px.{missing}"
        return f"<div class='lb-chart'><p>{said}</p></div>"
    said = (f"Originals are {width.min():,} to {width.max():,} px wide and {height.min():,} to {height.max():,} px high, in the "
            f"middle {int(np.median(width)):,} x {int(np.median(height)):,}.{missing}")
    side = sizes.max(axis=1)
    longer = (f"<p>The longer side always has {side[0]:,} px.</p>" if (side == side[0]).all() else
              bars_html(*histogram(side), "Longer side, px", lambda edge: f"{np.ceil(edge):,.0f}"))
    aspect = bars_html(*histogram(width / height), "Width divided by height", lambda edge: f"{edge:.2f}")
    return f"<div class='lb-chart'><p>{said}</p>{longer}{aspect}</div>"


def bars_html(counts: np.ndarray, edges: np.ndarray, title: str, write) -> str:
    """A histogram: (B,) counts over (B + 1,) edges; `write` makes an edge a text. Resting on a bar shows its numbers."""
    most = max(1, int(counts.max(initial=0)))
    bars = "".join(f"<b style='height:{100 * n / most:.1f}%' title='{write(a)} to {write(b)}: {n:,}'></b>"
                   for n, a, b in zip(counts, edges, edges[1:]))
    middle = write((edges[0] + edges[-1]) / 2)
    return (f"<h2>{escape(title)}</h2><div class='lb-hist' role='img' aria-label='{escape(title)}: {write(edges[0])} to "
            f"{write(edges[-1])}, most often {write(edges[int(counts.argmax())])}'>{bars}</div>"
            f"<div class='lb-axis'><span>{write(edges[0])}</span><span>{middle}</span><span>{write(edges[-1])}</span></div>")


@st.cache_data(max_entries=64, show_spinner="Counting gray values")
def _gray(_data: Dataset, _rows: np.ndarray, known_by: tuple, chosen_by: tuple) -> str:
    parts = []
    for by, title, colors in (("class", "By class", theme.CLASSES), ("split", "By split", tuple(theme.SPLITS.values()))):
        groups = groups_by(_data, by, _rows)
        found = gray_values(_data, groups)
        names = [group.name if by == "class" else theme.SPLIT_TITLES[group.name] for group in groups]
        parts.append(gray_html(found, names, title, colors, len(_rows)))
    bars = " The black bars that make images square count as well." if _data.resize == "pad" else ""
    return (f"<div class='lb-chart'>{''.join(parts)}<p>From black (0) to white (255), as shares of all pixels. A peak "
            f"at black or white may go beyond the top.{bars}</p></div>")


def gray_html(found: GrayValues, names: Sequence[str], title: str, colors: Sequence[str], total: int) -> str:
    """One curve for each group that has images, the first LINES of them."""
    shares = found.shares.reshape(len(names), -1, TOGETHER).sum(axis=2)
    drawn = [g for g in range(len(names)) if found.read[g]][:LINES]
    top = max(shares[drawn, 1:-1].max(initial=0), 1e-9)                # black borders would press all else to the ground
    lines, keys = "", ""
    across = 256 / shares.shape[1]
    for g in drawn:
        points = " ".join(f"{(i + .5) * across:.0f},{100 - 96 * min(1.05, share / top):.1f}"
                          for i, share in enumerate(shares[g]))
        lines += (f"<polyline points='{points}' fill='none' stroke='{colors[g % len(colors)]}' stroke-width='1.6' "
                  "vector-effect='non-scaling-stroke'/>")
        keys += f"<span><i style='background:{colors[g % len(colors)]}'></i>{escape(str(names[g]))}</span>"
    left = sum(n > 0 for n in found.read) - len(drawn)
    more = f"<span>and {left} more</span>" if left > 0 else ""
    sampled = f"<p>Counted on {found.read.sum():,} images at even distances.</p>" if found.read.sum() < total else ""
    drawing = (f"<svg xmlns='http://www.w3.org/2000/svg' width='256' height='100' viewBox='0 0 256 100' "
               f"preserveAspectRatio='none'>{lines}</svg>")
    picture = base64.b64encode(drawing.encode()).decode()              # as an image: st.html takes SVG out
    return (f"<h2>{escape(title)}</h2><div class='lb-keys'>{keys}{more}</div>"
            f"<img src='data:image/svg+xml;base64,{picture}' alt='Gray values {escape(title.lower())}'>"
            f"<div class='lb-axis'><span>0</span><span>128</span><span>255</span></div>{sampled}")


@st.cache_data(max_entries=32, show_spinner="Averaging images")
def _averages(_data: Dataset, _rows: np.ndarray, known_by: tuple, chosen_by: tuple) -> tuple[list[int], list[str], Averages]:
    """Number and name of the classes that have images, at most CLASSES of them, and their averages."""
    groups = groups_by(_data, "class", _rows)
    there = [k for k, group in enumerate(groups) if len(group.rows)][:CLASSES]
    return there, [groups[k].name for k in there], averages(_data, [groups[k] for k in there])


def _show_averages(data: Dataset, rows: np.ndarray, known_by: tuple, chosen_by: tuple) -> int | None:
    there, names, found = _averages(data, rows, known_by, chosen_by)
    pictures, captions, widest = pairs(found, names)
    st.caption("Left the average image of a class, right how far its images spread round it. A click shows the class.",
               help="The spread is the standard deviation of each pixel: bright is where the images of a class differ, black "
                    f"where they are all alike. White is the widest spread here, {widest:.0f} of 255 gray values.")
    clicked = gallery(pictures, key="browse_averages", aria_label="Average image and spread of each class", tile=116,
                      captions=captions, cache_key=(known_by, chosen_by, "averages"))
    if len(there) == CLASSES < len(data.class_names):
        st.caption(f"The first {CLASSES} classes; choose one above to see its own.")
    return None if clicked is None else there[clicked // 2]


def pairs(found: Averages, names: Sequence[str]) -> tuple[np.ndarray, list[str], float]:
    """Mean and spread of each group in turn, (2 G, S, S, C) uint8, their captions, and the spread that is drawn white."""
    widest = float(found.spread.max(initial=0))
    spread = found.spread * (255 / widest if widest else 0)
    pictures = np.stack([found.mean, spread], axis=1).reshape(-1, *found.mean.shape[1:])
    captions = [text for name, n in zip(names, found.read) for text in (f"{name}, average of {n:,}", "spread")]
    return np.round(pictures).astype(np.uint8), captions, widest
