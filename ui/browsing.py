"""What the browse page shows of an open data set: which rows, which page of them, the counts beside them, one image in full.

Functions of a data set and a few values, without widgets; the page lays out what they return. A page of the grid touches only
its own images, and the filtered rows are kept, so 100,000 images page as quickly as 100.

N images, n of them chosen, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape as html_escape

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from core.config import DataConfig
from core.datasets import Dataset, is_ready, open_source
from core.datasets.source import COLUMNS
from ui import theme
from ui.shell import format_bytes

SIZES = (28, 64, 128, 224)       # pixels a side at which sets are prepared; MedMNIST's
GOOD = 128                       # enough for a thumbnail that one likes to look at
FAIR = 64                        # enough where it spares a wait
NO_FINDING = -1                  # "class" of the images without any of several findings
FILTERS = 3                      # so many columns of the table become chips
VALUES = 24                      # a column with more values than that is no filter
EXACT = 1_200_000                # up to so many pixels an original goes to the browser without loss


# ------------------------------------------------------------------------------------------------------------ which images

def select_rows(labels: np.ndarray, table: pd.DataFrame, split: str | None = None, label: int | None = None,
                filters: Mapping[str, str] | None = None) -> np.ndarray:
    """Rows that fulfil everything asked for, (n,) int64 in rising order.

    Args:
        labels: (N,) class numbers, or (N, K) of 0 and 1 for several findings
        table: N rows
        split: "train", "val" or "test"; None takes all
        label: class number, or NO_FINDING; None takes all
        filters: column -> value that it must have
    """
    keep = np.ones(len(table), bool)
    if split is not None:
        keep &= (table["split"] == split).to_numpy()
    if label is not None and labels.ndim == 1:
        keep &= labels == label
    elif label is not None:
        keep &= ~labels.any(axis=1) if label == NO_FINDING else labels[:, label] == 1
    for column, value in (filters or {}).items():
        keep &= (table[column] == value).to_numpy()
    return np.flatnonzero(keep)


def arrange(rows: np.ndarray, order: str) -> np.ndarray:
    """Rows in the order of the set ("set") or shuffled ("random"): the same for everybody, so that a link shows the same."""
    return np.random.default_rng(0).permutation(rows) if order == "random" else rows


def pages(count: int, per_page: int) -> int:
    """How many pages; no images still have one."""
    return max(1, -(-count // per_page))


def page_slice(page: int, count: int, per_page: int) -> slice:
    """The part of `count` rows that page 1, 2 ... shows. A page that does not exist becomes the nearest one."""
    first = (min(max(page, 1), pages(count, per_page)) - 1) * per_page
    return slice(first, min(first + per_page, count))


def page_of(row: int, rows: np.ndarray, per_page: int) -> int | None:
    """The page on which a row stands, None where it is not among `rows`."""
    at = np.flatnonzero(rows == row)
    return int(at[0]) // per_page + 1 if len(at) else None


def parse_page(text: str | None) -> int:
    """A page number from the address, where anything may stand; 1 where it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 1


def filter_columns(table: pd.DataFrame, target: str = "") -> dict[str, tuple[str, ...]]:
    """Columns worth a filter and their values: what the set says beyond the usual columns, then the view.

    The column that the chosen target is made from is left out: the class chip does that.
    """
    found = {}
    for column in [c for c in table.columns if c not in COLUMNS and c != target] + ["view"]:
        values = pd.unique(table[column])
        if 2 <= len(values) <= VALUES:
            found[column] = tuple(sorted(map(str, values)))
    extras, view = [c for c in found if c != "view"], ["view"] if "view" in found else []
    return {column: found[column] for column in (extras[:FILTERS - len(view)] + view)}


def patient_rows(table: pd.DataFrame, row: int) -> np.ndarray:
    """All rows of the patient of `row`, itself among them; only `row` where the patient is not known."""
    patient = table["patient"].iat[row]
    return np.flatnonzero((table["patient"] == patient).to_numpy()) if patient else np.array([row])


def class_text(data: Dataset, row: int) -> str:
    """Class of an image in words; with several findings all that it has."""
    label = data.labels[row]
    if data.labels.ndim == 1:
        return data.class_names[int(label)]
    return ", ".join(data.class_names[k] for k in np.flatnonzero(label)) or "no finding"


# ------------------------------------------------------------------------------------- the same, kept: by values, for everybody

def stands_for(data: Dataset) -> tuple:
    """What an open set is known by in a cache: content, task and split."""
    return data.fingerprint, data.target, data.split_hash


@st.cache_resource(max_entries=256, show_spinner=False)
def chosen_rows(_data: Dataset, known_by: tuple, split: str | None, label: int | None, filters: tuple, order: str) -> np.ndarray:
    """`select_rows` and `arrange`. `filters` are pairs (column, value)."""
    return arrange(select_rows(_data.labels, _data.table, split, label, dict(filters)), order)


@st.cache_resource(max_entries=32, show_spinner=False)
def facts_of(_data: Dataset, known_by: tuple) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]], dict[str, int]]:
    """Counts, filter columns, and the row of each image id."""
    ids = dict(zip(_data.table["image_id"], range(len(_data))))
    return _data.counts(), filter_columns(_data.table, _data.target), ids


@st.cache_data(ttl=30, show_spinner=False)
def sizes_of(dataset: str) -> tuple[tuple[int, ...], bool]:
    """At which sizes a set can be shown without being enlarged, and whether it is on this disk.

    Raises LightboxError where there is no such set.
    """
    source = open_source(DataConfig(dataset, size=SIZES[-1]))      # of several files the largest
    if source is None:
        return SIZES, False
    longest = max(source.shape[:2]) if hasattr(source, "shape") else SIZES[-1]
    return tuple(s for s in SIZES if s <= longest) or SIZES[:1], True


def first_size(dataset: str, sizes: tuple[int, ...], there: bool) -> int:
    """The size that a page opens with: one that is prepared already, else one that is good to look at; the smallest for what
    has to be downloaded, so that nobody waits unasked."""
    if not there:
        return sizes[0]
    ready = [s for s in sizes if s >= FAIR and is_ready(DataConfig(dataset, size=s))]
    return max(ready or [s for s in sizes if s <= GOOD])


@st.cache_data(max_entries=64, show_spinner=False)
def full_image(_data: Dataset, known_by: tuple, row: int, outlined: bool) -> tuple[bytes, str, tuple[int, ...], bool]:
    """One image at full resolution: encoded, its MIME type, its shape (H, W, C), and whether there is a finding to outline.

    Raises LightboxError where the file cannot be read any more.
    """
    sequential = getattr(_data.source, "sequential", False)        # an .npz is a stream: what the store has need not be sought
    in_store = sequential and max(_data.source.shape[:2]) == min(_data.source.shape[:2]) == _data.size
    pixels = np.asarray(_data.images[row]) if in_store else _data.original(row)
    mask = _data.mask(row)
    has_finding = mask is not None and bool(mask.any())
    kind, image = encode(outline(pixels, mask) if outlined and has_finding else pixels)
    return image, kind, pixels.shape, has_finding


def outline(pixels: np.ndarray, mask: np.ndarray, color: str = "#63bccb") -> np.ndarray:
    """The image with a line round the mask: (H, W, C) uint8 and (H, W) bool -> (H, W, 3) uint8. Inside nothing is changed."""
    drawn = np.repeat(pixels, 3 // pixels.shape[2], axis=2).copy()
    width = max(1, round(max(mask.shape) / 300))
    around = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2 * width)
    inner = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width)
    drawn[(around > 0) & (inner == 0)] = [int(color[i:i + 2], 16) for i in (1, 3, 5)]
    return drawn


def encode(pixels: np.ndarray) -> tuple[str, bytes]:
    """(MIME type, bytes) of (H, W, C) uint8: exact up to EXACT pixels, above as JPEG of high quality."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2] == 3 else pixels
    if pixels.shape[0] * pixels.shape[1] <= EXACT:
        return "image/png", cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    return "image/jpeg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


# ------------------------------------------------------------------------------------------------------------ words and tables

def download_words(title: str, counts: Mapping[str, int | None], size: int, licence: str) -> str:
    """What a download would bring, before it is asked for."""
    count = sum(n or 0 for n in counts.values())
    gray = count * size * size
    return (f"{title} is not on this computer yet. It has {count:,} images of {size} x {size} px; unpacked that is "
            f"{format_bytes(gray)} in gray, or {format_bytes(3 * gray)} in colour, and the file is smaller. "
            f"Licence: {licence or 'not known'}.")


def counts_html(counts: pd.DataFrame, chosen: str | None = None) -> str:
    """`Dataset.counts` as a table with a stacked bar under each class. Text is shown as typed."""
    splits = list(theme.SPLITS)
    longest = max(1, int(counts["total"].iloc[:-1].max()))
    head = "".join(f"<th scope='col'><i style='background:{theme.SPLITS[s]}'></i>{name}</th>"
                   for s, name in zip(splits, ("Train", "Val", "Test")))
    rows = []
    for k, (name, row) in enumerate(zip(counts.index, counts.to_dict("records"))):
        last = k == len(counts) - 1
        numbers = "".join(f"<td>{row[s]:,}</td>" for s in (*splits, "total"))
        title = "All images" if last else html_escape(str(name))
        kind = "sum" if last else "chosen" if name == chosen else ""
        rows.append(f"<tr class='{kind}'><th scope='row'>{title}</th>{numbers}</tr>")
        if not last:
            bar = "".join(f"<b style='width:{100 * row[s] / longest:.2f}%;background:{theme.SPLITS[s]}'></b>" for s in splits)
            rows.append(f"<tr class='bar' aria-hidden='true'><td colspan='5'><div>{bar}</div></td></tr>")
    return (f"<table class='lb-counts'><thead><tr><th scope='col'>Class</th>{head}<th scope='col'>All</th></tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>")


def facts_html(facts: Iterable[tuple[str, object]]) -> str:
    """Names and values in two columns; what is empty is left out. Text is shown as typed."""
    return "<dl class='lb-facts'>" + "".join(f"<dt>{html_escape(str(name))}</dt><dd>{html_escape(str(value))}</dd>"
                                             for name, value in facts if str(value)) + "</dl>"


def skipped_html(skipped: Iterable[Mapping[str, str]], most: int = 300) -> str:
    """Files that could not be read, with the reason, at most `most` of them."""
    skipped = list(skipped)
    rest = f"<p>and {len(skipped) - most:,} more</p>" if len(skipped) > most else ""
    return facts_html((item.get("path", ""), item.get("reason", "")) for item in skipped[:most]) + rest


def table_facts(data: Dataset, row: int, shape: tuple[int, int, int] | None) -> list[tuple[str, str]]:
    """What is known of one image: class, split, size of the original (H, W, C), and its row of the table."""
    record = data.table.iloc[row].to_dict()
    facts = [("Class", class_text(data, row)), ("Split", theme.SPLIT_TITLES.get(record.pop("split"), ""))]
    if shape:
        height, width, channels = shape
        facts.append(("Original", f"{width:,} x {height:,} px, {'gray' if channels == 1 else 'colour'}"))
    same = record.get("path") == record.get("image_id")
    return facts + [(column.replace("_", " ").capitalize(), value) for column, value in record.items()
                    if column != "image_id" and not (column == "path" and same)]
