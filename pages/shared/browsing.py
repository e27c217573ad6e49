"""What the browse page shows of an open data set: which rows, which page of them, the counts beside them, one image in full.

Functions of a data set and a few values, without widgets; the page lays out what they return. A page of the grid touches only
its own images, and the filtered rows are kept, so 100,000 images page as quickly as 100.

N images, n of them chosen, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from html import escape as html_escape

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from core.config import DataConfig
from core.datasets import DATASETS, Dataset, is_ready, open_source
from pages.shared import filters, theme
from pages.shared.layout import format_bytes
from pages.shared.resize_preview import fits_html

SIZES = (28, 64, 128, 224)       # pixels a side at which sets are prepared; MedMNIST's
GOOD = 128                       # enough for a thumbnail that one likes to look at
FAIR = 64                        # enough where it spares a wait
EXACT = 1_200_000                # up to so many pixels an original goes to the browser without loss


# ------------------------------------------------------------------------------------------------------------ which images

def pages(count: int, per_page: int) -> int:
    """How many pages; no images still have one."""
    return max(1, -(-count // per_page))


def page_slice(page: int, count: int, per_page: int) -> slice:
    """The part of `count` rows that page 1, 2 ... shows. A page that does not exist becomes the nearest one."""
    first = (min(max(page, 1), pages(count, per_page)) - 1) * per_page
    return slice(first, min(first + per_page, count))


def part_of_page(page: int, count: int, unit: int, starts: np.ndarray | None) -> tuple[slice, list[int]]:
    """The part of `count` rows on a page, and which of them begin a study.

    Args:
        unit: images a page, or studies a page where `starts` says at which row each study begins
    """
    if starts is None:
        return page_slice(page, count, unit), []
    studies = page_slice(page, len(starts), unit)
    begins = starts[studies]
    first = int(begins[0]) if len(begins) else 0
    return slice(first, int(starts[studies.stop]) if studies.stop < len(starts) else count), (begins - first).tolist()


def page_of(row: int, rows: np.ndarray, per_page: int, starts: np.ndarray | None = None) -> int | None:
    """The page on which a row stands, None where it is not among `rows`. By studies, `per_page` counts those."""
    at = np.flatnonzero(rows == row)
    if not len(at):
        return None
    place = int(at[0]) if starts is None else int(np.searchsorted(starts, at[0], side="right")) - 1
    return place // per_page + 1


def parse_page(text: str | None) -> int:
    """A page number from the address, where anything may stand; 1 where it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 1


def patient_rows(table: pd.DataFrame, row: int) -> np.ndarray:
    """All rows of the patient of `row`, itself among them; only `row` where the patient is not known."""
    patient = table["patient"].iat[row]
    return np.flatnonzero((table["patient"] == patient).to_numpy()) if patient else np.array([row])


def captions_of(data: Dataset, rows: np.ndarray, by_study: bool) -> list[str]:
    """What stands under each tile: the class; where studies stand in rows also whose it is, and which view."""
    classes = [class_text(data, row) for row in rows]
    if not by_study:
        return classes
    records = data.table[["patient", "study", "view"]].iloc[rows].to_dict("records")
    whose = [r["study"] if r["patient"] in r["study"] else f"{r['patient']} {r['study']}".strip() for r in records]
    what = [", ".join(filter(None, (r["view"], text))) for r, text in zip(records, classes)]
    return [f"{who}\n{text}" if who else text for who, text in zip(whose, what)]


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


@dataclass(frozen=True)
class Chosen:
    """What is looked at, in words: equal words are equal rows."""

    split: str | None = None
    label: int | None = None
    filters: tuple[tuple[str, str], ...] = ()
    words: str = ""
    order: str = "set"
    studies: bool = False


@st.cache_resource(max_entries=64, show_spinner=False)
def chosen_rows(_data: Dataset, known_by: tuple, chosen: Chosen) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows, and where in them a study begins if they stand by studies."""
    rows = filters.select_rows(_data.labels, _data.table, chosen.split, chosen.label, dict(chosen.filters))
    if chosen.words:
        rows = rows[filters.search(_searched(_data, known_by), chosen.words)[rows]]
    rows = filters.arrange(rows, chosen.order, _data.table, _data.labels)
    return filters.by_study(_data.table, rows) if chosen.studies else (rows, None)


@st.cache_resource(max_entries=8, show_spinner=False)
def _searched(_data: Dataset, known_by: tuple) -> pd.Series:
    return filters.text_of(_data.table, _data.labels, _data.class_names)


def set_of(chosen: Chosen) -> Chosen:
    """Stands for which rows are chosen, in whatever order."""
    return replace(chosen, order="set", studies=False)


@st.cache_data(max_entries=32, show_spinner=False)
def knows_studies(_data: Dataset, known_by: tuple) -> str | None:
    """"study" where the set says which images were taken together, else "patient" where it says whose they are, else None."""
    return next((name for name in ("study", "patient") if (_data.table[name] != "").any()), None)


def finds_nothing(data: Dataset, column: str, asked: str | None) -> bool:
    """Whether something is asked of a column that no image has."""
    return bool(asked) and not filters.matches(data.table[column], asked).any()


def limits(asked: str, low: float, high: float) -> tuple[float, float]:
    """The range that a filter asks for, within what there is; all of it where it asks for none."""
    found = filters.RANGE.fullmatch(asked)
    ends = [type(edge)(float(text)) if text else edge for text, edge in zip(found.groups() if found else ("", ""), (low, high))]
    first, last = (min(max(end, low), high) for end in ends)
    return min(first, last), max(first, last)


@st.cache_resource(max_entries=32, show_spinner=False)
def facts_of(_data: Dataset, known_by: tuple) -> tuple[pd.DataFrame, dict[str, filters.Column], dict[str, int]]:
    """Counts, columns that can be asked about, and the row of each image id."""
    ids = dict(zip(_data.table["image_id"], range(len(_data))))
    return _data.counts(), filters.columns_of(_data.table), ids


@st.cache_resource(max_entries=2, show_spinner=False)
def fits_of(_data: Dataset, known_by: tuple, row: int) -> str:
    """The comparison of stretch, pad and crop for one image. Raises LightboxError where the file cannot be read any more."""
    return fits_html(_data.original(row), _data.size, _data.resize)


@st.cache_data(ttl=30, show_spinner=False)
def sizes_of(dataset: str) -> tuple[tuple[int, ...], bool]:
    """At which sizes a set can be shown without being enlarged, and whether it is on this disk.

    Raises LightboxError where there is no such set.
    """
    source = open_source(DataConfig(dataset, size=SIZES[-1]))      # of several files the largest
    if source is None:
        return SIZES, dataset not in DATASETS      # a zip is unpacked when it is opened, a named set is asked for first
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


def facts_html(facts: Iterable[tuple[str, object]]) -> str:
    """Names and values in two columns; what is empty is left out. Text is shown as typed."""
    return "<dl class='lb-facts'>" + "".join(f"<dt>{html_escape(str(name))}</dt><dd>{html_escape(str(value))}</dd>"
                                             for name, value in facts if str(value)) + "</dl>"


def skipped_html(skipped: Iterable[Mapping[str, str]], most: int = 300) -> str:
    """Files that could not be read, with the reason, at most `most` of them."""
    skipped = list(skipped)
    rest = f"<p>and {len(skipped) - most:,} more</p>" if len(skipped) > most else ""
    return facts_html((item.get("path", ""), item.get("reason", "")) for item in skipped[:most]) + rest


def value_words(column: filters.Column, asked: str) -> str:
    """A filter as a person says it: "Age 20 to 40", "Side left"."""
    limits = filters.RANGE.fullmatch(asked)
    if limits and any(limits.groups()):
        low, high = limits.groups()
        asked = f"{low} to {high}" if low and high else f"{low} and more" if low else f"up to {high}"
    return f"{column.title} {asked}"


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
