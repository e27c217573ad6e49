"""A measurement as classes: below and above a threshold, bands by value or by count, empty or not."""

from __future__ import annotations

import numpy as np

from core.datasets.table_header import as_number, is_number
from core.datasets.table_options import TableOptions
from core.datasets.table_values import MEASURES, Values, is_measure, words_of
from core.datasets.text import short
from core.errors import LightboxError

MAX_BANDS = 50


NO_REGRESSION = "Lightbox classifies; to predict the number itself (regression) is beyond it."


def measured(name: str, title: str, values: Values, options: TableOptions) -> tuple[str, str, tuple[str, ...], np.ndarray]:
    """Return name, title, classes in their order, and the class of each row, -1 where the cell is no number.

    Raises LightboxError "table.measure" for a threshold or bands that are no numbers.
    """
    if options.filled:
        words = [word for word in title.replace("_", " ").split() if not words_of(word) & MEASURES]
        what = " ".join(words) or title
        none = ("-1", "-1.0") if len(values.given) > 2 else ()
        empty = [missing or cell in none for cell, missing in zip(values.names, values.missing)]
        return (name if len(words) == 0 else "_".join(words).lower(), what, (f"no {what}", what),
                values.lookup([not one for one in empty]))
    numbers = np.array([as_number(cell) if is_number(cell) else np.nan for cell in values.names])
    known = numbers[values.codes][~np.isnan(numbers[values.codes])]
    limits = [_number(options.threshold)] if options.threshold else _limits(options.bands, known)
    codes = np.where(np.isnan(numbers), -1, np.searchsorted(limits, numbers, side="right"))
    return name, title, _names(limits), codes[values.codes]


def offer_of(columns: dict[str, Values]) -> str:
    """Return a sentence on how the first of some columns that measures something makes classes; "" where none does."""
    first = next((short(name) for name, values in columns.items() if is_measure(name, values)), "")
    return (f"{first} measures something: with labels={first} and threshold=..., bands=4 or filled=yes it makes classes. "
            f"{NO_REGRESSION} "
            if first else "")


def _limits(bands: str, known: np.ndarray) -> list[float]:
    """Return the limits between bands: so many with as many images each, or those that are given."""
    parts = [_number(part) for part in bands.replace(";", " ").replace(",", " ").split()]
    if len(parts) == 1 and parts[0] == int(parts[0]) and 2 <= parts[0] <= MAX_BANDS:
        return sorted(set(np.quantile(known, np.arange(1, int(parts[0])) / parts[0], method="higher").tolist()) - {known.min()})
    if not parts or len(parts) >= MAX_BANDS or parts != sorted(set(parts)):
        raise LightboxError("table.measure", f"The bands are {short(bands)!r}.",
                            "Write how many (4), or the limits between them in their order (0 12 60).")
    return parts


def _number(text: str) -> float:
    if not is_number(text):
        raise LightboxError("table.measure", f"{short(text)!r} is no number.",
                            "Write a number such as 65, or limits such as 0 12 60.")
    return as_number(text)


def _names(limits: list[float]) -> tuple[str, ...]:
    words = [f"{limit:g}" for limit in limits]
    return (f"under {words[0]}", *(f"{low} to under {high}" for low, high in zip(words, words[1:])), f"{words[-1]} or more")
