"""What the selected images look like as a whole: original sizes, pixel values, mean images.

Small pictures are plain HTML and SVG: they cost the server and the browser nothing. What is computed is
cached by values: the data set and the query.
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
from pages.browse.rows import Query
from pages.shared import theme
from pages.shared.gallery import gallery

LINES = 12                 # so many classes have a colour of their own
CLASSES = 24               # of so many classes the mean image is shown
BIN = 4                    # gray values in one step of the curve
VIEWS = {"sizes": "Sizes", "gray": "Pixel values", "mean": "Means"}


def show_overview(data: Dataset, key: tuple, rows: np.ndarray, query: Query, view: str) -> int | None:
    """Show one of VIEWS for the selected rows.

    Args:
        key, query: what stands for the data set and for the rows in a cache

    Returns:
        The number of the class whose mean image was clicked just now, once; None in every other run.
    """
    if not len(rows):
        st.caption("No images are selected.")
        return None
    st.html(Path(__file__).with_suffix(".css"))
    if view == "sizes":
        st.html(_sizes(data, rows, key, query))
    elif view == "gray":
        st.html(_gray(data, rows, key, query))
    else:
        return _show_averages(data, rows, key, query)
    return None


@st.cache_data(max_entries=128, show_spinner=False)
def _sizes(_data: Dataset, _rows: np.ndarray, key: tuple, query: Query) -> str:
    return sizes_html(original_sizes(_data.table, _rows), len(_rows))


def sizes_html(sizes: np.ndarray, total: int) -> str:
    """Return a sentence and two histograms of original sizes, (n, 2) width and height, of `total` images."""
    if not len(sizes):
        return ("<div class='lb-chart'><p>The original sizes are unknown: an older version prepared these images. Click an "
                "image to see its size.</p></div>")
    width, height = sizes.T
    missing = f" Unknown for {total - len(sizes):,} more." if total > len(sizes) else ""
    if (sizes == sizes[0]).all():
        return (f"<div class='lb-chart'><p>All {len(sizes):,} originals are {width[0]:,} x {height[0]:,} px.{missing}</p>"
                "</div>")
    wide, high = (f"{side.min():,} to {side.max():,}" if side.min() < side.max() else f"{side[0]:,}" for side in sizes.T)
    text = (f"Originals are {wide} px wide and {high} px high, "
            f"median {int(np.median(width)):,} x {int(np.median(height)):,}.{missing}")
    side = sizes.max(axis=1)
    longer = (f"<p>The longer side always has {side[0]:,} px.</p>" if (side == side[0]).all() else
              bars_html(*histogram(side), "Longer side, px", lambda edge: f"{np.ceil(edge):,.0f}"))
    aspect = bars_html(*histogram(width / height), "Aspect ratio (width / height)", lambda edge: f"{edge:.2f}")
    return f"<div class='lb-chart'><p>{text}</p>{longer}{aspect}</div>"


def bars_html(counts: np.ndarray, edges: np.ndarray, title: str, write) -> str:
    """Return a histogram: (B,) counts over (B + 1,) edges; `write` formats an edge. Resting on a bar shows
    its numbers."""
    most = max(1, int(counts.max(initial=0)))
    bars = "".join(f"<b style='height:{100 * n / most:.1f}%' title='{write(a)} to {write(b)}: {n:,}'></b>"
                   for n, a, b in zip(counts, edges, edges[1:]))
    middle = write((edges[0] + edges[-1]) / 2)
    return (f"<h2>{escape(title)}</h2><div class='lb-hist' role='img' aria-label='{escape(title)}: {write(edges[0])} to "
            f"{write(edges[-1])}, most often {write(edges[int(counts.argmax())])}'>{bars}</div>"
            f"<div class='lb-axis'><span>{write(edges[0])}</span><span>{middle}</span><span>{write(edges[-1])}</span></div>")


@st.cache_data(max_entries=64, show_spinner="Computing histograms")
def _gray(_data: Dataset, _rows: np.ndarray, key: tuple, query: Query) -> str:
    parts = []
    for by, title, colors in (("class", "By class", theme.CLASSES), ("split", "By split", tuple(theme.SPLITS.values()))):
        groups = groups_by(_data, by, _rows)
        names = [group.name if by == "class" else theme.SPLIT_TITLES[group.name] for group in groups]
        parts.append(gray_html(gray_values(_data, groups), names, title, colors, len(_rows)))
    padding = " Black padding counts too." if _data.resize == "pad" else ""
    return (f"<div class='lb-chart'>{''.join(parts)}<p>Share of all pixels at each value, from 0 (black) to 255 (white). Peaks "
            f"at 0 and 255 may be cut off.{padding}</p></div>")


def gray_html(values: GrayValues, names: Sequence[str], title: str, colors: Sequence[str], total: int) -> str:
    """Return one curve for each group that has images, the first LINES of them."""
    shares = values.shares.reshape(len(names), -1, BIN).sum(axis=2)
    drawn = [g for g in range(len(names)) if values.read[g]][:LINES]
    top = max(shares[drawn, 1:-1].max(initial=0), 1e-9)                # black borders would press all else to the ground
    lines, keys = "", ""
    across = 256 / shares.shape[1]
    for g in drawn:
        points = " ".join(f"{(i + .5) * across:.0f},{100 - 96 * min(1.05, share / top):.1f}"
                          for i, share in enumerate(shares[g]))
        lines += (f"<polyline points='{points}' fill='none' stroke='{colors[g % len(colors)]}' stroke-width='1.6' "
                  "vector-effect='non-scaling-stroke'/>")
        keys += f"<span><i style='background:{colors[g % len(colors)]}'></i>{escape(str(names[g]))}</span>"
    left = sum(n > 0 for n in values.read) - len(drawn)
    more = f"<span>and {left} more</span>" if left > 0 else ""
    sampled = f"<p>From a sample of {values.read.sum():,} images.</p>" if values.read.sum() < total else ""
    drawing = (f"<svg xmlns='http://www.w3.org/2000/svg' width='256' height='100' viewBox='0 0 256 100' "
               f"preserveAspectRatio='none'>{lines}</svg>")
    picture = base64.b64encode(drawing.encode()).decode()              # as an image: st.html takes SVG out
    return (f"<h2>{escape(title)}</h2><div class='lb-keys'>{keys}{more}</div>"
            f"<img src='data:image/svg+xml;base64,{picture}' alt='Pixel values {escape(title.lower())}'>"
            f"<div class='lb-axis'><span>0</span><span>128</span><span>255</span></div>{sampled}")


@st.cache_data(max_entries=32, show_spinner="Computing mean images")
def _averages(_data: Dataset, _rows: np.ndarray, key: tuple, query: Query) -> tuple[list[int], list[str], Averages]:
    """Return number and name of the classes that have images, at most CLASSES of them, and their averages."""
    groups = groups_by(_data, "class", _rows)
    classes = [k for k, group in enumerate(groups) if len(group.rows)][:CLASSES]
    return classes, [groups[k].name for k in classes], averages(_data, [groups[k] for k in classes])


def _show_averages(data: Dataset, rows: np.ndarray, key: tuple, query: Query) -> int | None:
    classes, names, means = _averages(data, rows, key, query)
    pictures, captions, largest = pairs(means, names)
    st.caption("Mean and standard deviation of each class. Click to show the class.",
               help="Over all images of a class, pixel by pixel. The standard deviation is bright where the images differ and "
                    f"black where they agree; white is the largest value here, {largest:.0f} of 255.")
    clicked = gallery(pictures, key="browse_averages", aria_label="Mean image and standard deviation of each class", tile=116,
                      captions=captions, cache_key=(key, query, "averages"))
    if len(classes) == CLASSES < len(data.class_names):
        st.caption(f"The first {CLASSES} classes. Choose another in the table above.")
    return None if clicked is None else classes[clicked // 2]


def pairs(means: Averages, names: Sequence[str]) -> tuple[np.ndarray, list[str], float]:
    """Return mean and standard deviation of each group in turn, (2 G, S, S, C) uint8, captions, and what is
    drawn white."""
    largest = float(means.spread.max(initial=0))
    spread = means.spread * (255 / largest if largest else 0)
    pictures = np.stack([means.mean, spread], axis=1).reshape(-1, *means.mean.shape[1:])
    captions = [text for name, n in zip(names, means.read) for text in (f"{name}, mean of {n:,}", "std. deviation")]
    return np.round(pictures).astype(np.uint8), captions, largest
