"""Filter, search and sort the rows of a table.

Functions of a table and a few values, without widgets. What is asked of a column is one text, so that it can
stand in the address: "elbow" is the whole value or, where no value is that, a part of it; "20..40" is a range
of numbers, open at an end that is left out; "(empty)" is an empty cell.

N rows, n of them selected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

NO_FINDING = -1            # "class" of the images without any of several findings
EMPTY = "(empty)"
VALUES = 24                # a column with more values than that is searched or given a range, not chosen from
UNIT_SIZE = 60             # images of one study that stand together; more are cut into several rows
RANGE = re.compile(r"\s*(-?\d+(?:\.\d+)?)?\s*\.\.\s*(-?\d+(?:\.\d+)?)?\s*")


@dataclass(frozen=True)
class Column:
    """A column that can be filtered.

    Args:
        values: all of them where they are few, else ()
        low, high: where all values are numbers and they are many, else None
        whole: whether these are whole numbers
    """

    name: str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()


def columns_of(table: pd.DataFrame) -> dict[str, Column]:
    """Return the columns that can be filtered, in the table's order; `split` is left out, it has a chip of
    its own."""
    names = [name for name in table.columns if name != "split"]
    columns = [_column(name, pd.unique(table[name])) for name in names]
    return {column.name: column for column in columns if column is not None}


def _column(name: str, values: np.ndarray) -> Column | None:
    """None where all values are the same."""
    if len(values) < 2:
        return None
    if len(values) <= VALUES:
        return Column(name, tuple(sorted(map(str, values), key=natural)))
    numbers = pd.to_numeric(pd.Series(values[values != ""]), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if name in ("image_id", "patient", "study") or not np.isfinite(numbers).all():      # those are names, also "0012"
        return Column(name)
    return Column(name, low=float(numbers.min()), high=float(numbers.max()), whole=bool((numbers % 1 == 0).all()))


def matches(values: pd.Series, asked: str) -> np.ndarray:
    """Return (N,) bool: which values match a filter, as the module says."""
    equal = (values == ("" if asked == EMPTY else asked)).to_numpy(bool)
    if asked == EMPTY or equal.any():
        return equal
    limits = RANGE.fullmatch(asked)
    if limits and any(limits.groups()):
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        low, high = (limit or end for limit, end in zip(limits.groups(), ("-inf", "inf")))
        return np.isfinite(numbers) & (numbers >= float(low)) & (numbers <= float(high))
    return values.str.lower().str.contains(asked.lower(), regex=False).to_numpy(bool)


def select_rows(labels: np.ndarray, table: pd.DataFrame, split: str | None = None, label: int | None = None,
                filters: Mapping[str, str] | None = None) -> np.ndarray:
    """Return the rows that match all filters, (n,) int64 in rising order.

    Args:
        labels: (N,) class numbers, or (N, K) of 0 and 1 for several findings
        table: N rows
        split: "train", "val" or "test"; None takes all
        label: class number, or NO_FINDING; None takes all
        filters: column -> what is asked of it
    """
    keep = np.ones(len(table), bool)
    if split is not None:
        keep &= (table["split"] == split).to_numpy()
    if label is not None and labels.ndim == 1:
        keep &= labels == label
    elif label is not None:
        keep &= ~(labels == 1).any(axis=1) if label == NO_FINDING else labels[:, label] == 1
    for column, asked in (filters or {}).items():
        keep &= matches(table[column], asked)
    return np.flatnonzero(keep)


def text_of(table: pd.DataFrame, labels: np.ndarray, class_names: tuple[str, ...]) -> pd.Series:
    """Return N texts in lower case with all values of a row and its class: what is searched."""
    lines = table[table.columns[0]].astype("str")
    for name in table.columns[1:]:
        lines = lines + "\n" + table[name]
    for k, name in enumerate(class_names):
        has = labels == k if labels.ndim == 1 else labels[:, k] == 1
        lines = lines + pd.Series(np.where(has, f"\n{name}", ""), dtype="str")
    return lines.str.lower()


def search(text: pd.Series, words: str) -> np.ndarray:
    """Return (N,) bool: rows whose text contains each of the words somewhere."""
    keep = np.ones(len(text), bool)
    for word in words.lower().split()[:20]:
        keep &= text.str.contains(word, regex=False).to_numpy(bool)
    return keep


def arrange(rows: np.ndarray, order: str, table: pd.DataFrame | None = None, labels: np.ndarray | None = None) -> np.ndarray:
    """Sort rows.

    Args:
        order: "set", as the set has them; "random", shuffled the same for everybody, so that a link shows the
            same; "class"; or a column of the table, numbers by size and names as a person sorts them (2
            before 10). A "-" in front sorts in descending order. Empty values come last
    """
    if order == "random":
        return np.random.default_rng(0).permutation(rows)
    name = order.removeprefix("-")
    if name == "class" and labels is not None:
        has = (labels == 1).reshape(len(labels), -1).any(axis=1)
        rank = (labels if labels.ndim == 1 else np.where(has, labels.argmax(axis=1), np.nan)).astype(np.float64)
    elif table is not None and name in table:
        rank = _rank(table[name])
    else:
        return rows
    return rows[np.argsort((-rank if order.startswith("-") else rank)[rows], kind="stable")]


def _rank(values: pd.Series) -> np.ndarray:
    """Return (N,) float64 that sorts as a person would; NaN where the value is empty."""
    codes, different = pd.factorize(values)
    different = np.asarray(different, object)
    filled = different != ""
    rank = pd.to_numeric(pd.Series(different), errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)
    if not np.isfinite(rank[filled]).all():
        rank[sorted(range(len(different)), key=lambda i: natural(different[i]))] = np.arange(len(different))
        rank[~filled] = np.nan
    return rank[codes]


def natural(text: str) -> list:
    """Return a key that sorts "wrist 2" before "wrist 10"."""
    parts = re.split(r"(\d+)", text.lower())
    digits = [part.lstrip("0") for part in parts[1::2]]
    parts[1::2] = [(len(d), d) for d in digits]            # not int(d), which refuses 10,000 digits
    return parts


def by_study(table: pd.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring the images of a study together (of a patient, where no studies are known).

    Returns:
        (n,) the same rows, studies in the order in which they come first; and (m,) where in them each study
        begins
    """
    of = table["study"] if (table["study"] != "").any() else table["patient"]
    names = of.iloc[rows]
    codes = pd.factorize(names)[0]
    alone = (names == "").to_numpy(bool)
    codes[alone] = codes.max(initial=0) + 1 + np.arange(alone.sum())      # unknown is not one large study
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first[inverse], kind="stable")
    of_study = first[inverse][order]
    new = np.flatnonzero(np.diff(of_study, prepend=-1))
    within = np.arange(len(rows)) - np.repeat(new, np.diff(np.append(new, len(rows))))
    return rows[order], np.flatnonzero(within % UNIT_SIZE == 0)


def chip_columns(columns: Mapping[str, Column], target: str = "", most: int = 2) -> dict[str, Column]:
    """Return at most `most` columns for chips: with few values, those beyond the usual first, the view
    always. The one that the chosen target is made from is left out: the class chip does that."""
    few = {name: column for name, column in columns.items() if column.values and name not in (target, "width", "height")}
    view = ["view"] if "view" in few else []
    extras = [name for name in few if name not in ("image_id", "patient", "study", "view", "path")]
    return {name: few[name] for name in extras[:most - len(view)] + view}
