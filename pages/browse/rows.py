"""Which images Browse shows: the rows that match a query, in an order, page by page.

Functions of a data set and a few values, without widgets. A page of the grid touches only its own images, and
the rows of a query are cached by its values, so 100,000 images page as quickly as 100.

N images, n of them selected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from core.datasets import Dataset
from pages.shared import filters
from pages.shared.image_facts import class_text


@dataclass(frozen=True)
class Query:
    """What is asked of a data set: equal queries give equal rows.

    Args:
        label: class number, or filters.NO_FINDING; None takes all
        filters: (column, what is asked of it), see pages/shared/filters.py
        words: all of them must be in the row
        by_study: whether the images of a study (or patient) stand together
    """

    split: str | None = None
    label: int | None = None
    filters: tuple[tuple[str, str], ...] = ()
    words: str = ""
    order: str = "set"
    by_study: bool = False

    def without_order(self) -> Query:
        """Return what stands for the selected images, in whatever order."""
        return replace(self, order="set", by_study=False)


def cache_key(data: Dataset) -> tuple:
    """Return what an open data set is known by in a cache: content, task and split."""
    return data.fingerprint, data.target, data.split_hash, data.label_edit


@st.cache_resource(max_entries=64, show_spinner=False)
def select(_data: Dataset, key: tuple, query: Query) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the (n,) rows of a query, and where in them a study begins if they stand by study."""
    rows = filters.select_rows(_data.labels, _data.table, query.split, query.label, dict(query.filters))
    if query.words:
        rows = rows[filters.search(_searchable(_data, key), query.words)[rows]]
    rows = filters.arrange(rows, query.order, _data.table, _data.labels)
    return filters.by_study(_data.table, rows) if query.by_study else (rows, None)


@st.cache_resource(max_entries=8, show_spinner=False)
def _searchable(_data: Dataset, key: tuple) -> pd.Series:
    return filters.text_of(_data.table, _data.labels, _data.class_names)


@st.cache_resource(max_entries=32, show_spinner=False)
def overview_of(_data: Dataset, key: tuple) -> tuple[pd.DataFrame, dict[str, filters.Column], dict[str, int]]:
    """Return the counts, the columns that can be filtered, and the row of each image id."""
    ids = dict(zip(_data.table["image_id"], range(len(_data))))
    return _data.counts(), filters.columns_of(_data.table), ids


@st.cache_data(max_entries=32, show_spinner=False)
def study_column(_data: Dataset, key: tuple) -> str | None:
    """Return "study" where the table says which images were taken together, else "patient" where it says
    whose they are."""
    return next((name for name in ("study", "patient") if (_data.table[name] != "").any()), None)


def matches_nothing(data: Dataset, column: str, asked: str | None) -> bool:
    """Return whether something is asked of a column that no image has."""
    return bool(asked) and not filters.matches(data.table[column], asked).any()


def limits(asked: str, low: float, high: float) -> tuple[float, float]:
    """Return the range that a filter asks for, within `low` and `high`; all of it where it asks for none."""
    match = filters.RANGE.fullmatch(asked)
    texts = match.groups() if match else ("", "")
    ends = [type(edge)(float(text)) if text else edge for text, edge in zip(texts, (low, high))]
    first, last = (min(max(end, low), high) for end in ends)
    return min(first, last), max(first, last)


# ------------------------------------------------------------------------------------------------------ pages

def pages(count: int, per_page: int) -> int:
    """Return how many pages there are; no images still have one."""
    return max(1, -(-count // per_page))


def page_slice(page: int, count: int, per_page: int) -> slice:
    """Return the part of `count` rows on page 1, 2 ... A page that does not exist becomes the nearest one."""
    first = (min(max(page, 1), pages(count, per_page)) - 1) * per_page
    return slice(first, min(first + per_page, count))


def part_of_page(page: int, count: int, unit: int, starts: np.ndarray | None) -> tuple[slice, list[int]]:
    """Return the part of `count` rows on a page, and which of them begin a study.

    Args:
        unit: images per page, or studies per page where `starts` says at which row each study begins
    """
    if starts is None:
        return page_slice(page, count, unit), []
    studies = page_slice(page, len(starts), unit)
    begins = starts[studies]
    first = int(begins[0]) if len(begins) else 0
    return slice(first, int(starts[studies.stop]) if studies.stop < len(starts) else count), (begins - first).tolist()


def page_of(row: int, rows: np.ndarray, per_page: int, starts: np.ndarray | None = None) -> int | None:
    """Return the page of a row, None where it is not among `rows`. By study, `per_page` counts studies."""
    at = np.flatnonzero(rows == row)
    if not len(at):
        return None
    place = int(at[0]) if starts is None else int(np.searchsorted(starts, at[0], side="right")) - 1
    return place // per_page + 1


def parse_page(text: str | None) -> int:
    """Read a page number from the address, where anything may stand; 1 where it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 1


# ------------------------------------------------------------------------------------------------------ words

def captions_of(data: Dataset, rows: np.ndarray, by_study: bool) -> list[str]:
    """Return the text under each tile: the class; by study also patient, study and view."""
    classes = [class_text(data, row) for row in rows]
    if not by_study:
        return classes
    records = data.table[["patient", "study", "view"]].iloc[rows].to_dict("records")
    whose = [r["study"] if r["patient"] in r["study"] else f"{r['patient']} {r['study']}".strip() for r in records]
    what = [", ".join(filter(None, (r["view"], text))) for r, text in zip(records, classes)]
    return [f"{who}\n{text}" if who else text for who, text in zip(whose, what)]


def filter_text(column: filters.Column, asked: str) -> str:
    """Return a filter in words: "Age 20 to 40", "Side left"."""
    match = filters.RANGE.fullmatch(asked)
    if not match or not any(match.groups()):
        return f"{column.title} {asked}"
    low, high = match.groups()
    if low and high:
        return f"{column.title} {low} to {high}"
    return f"{column.title} at least {low}" if low else f"{column.title} at most {high}"


def skipped_facts(skipped: Iterable[Mapping[str, str]], most: int = 300) -> list[tuple[str, str]]:
    """Return (path, reason) of the files that could not be read, at most `most` of them."""
    skipped = list(skipped)
    facts = [(item.get("path", ""), item.get("reason", "")) for item in skipped[:most]]
    return facts + [("and more", f"{len(skipped) - most:,} files")] * (len(skipped) > most)
