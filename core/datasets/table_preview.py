"""How a table would be read, column by column, before anything is made from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets.source import Index
from core.datasets.table import Table
from core.datasets.table_options import GUESS_ALL, TableOptions
from core.errors import LightboxError


@dataclass(frozen=True)
class Column:
    """How one column was read.

    Args:
        role: "file", "label", "patient", "study", "view", "split" or "other"
        different: how many different values it holds
        empty: how many cells without a value
        examples: the first few different values, as typed
    """

    name: str
    role: str
    different: int
    empty: int
    examples: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TablePreview:
    """How a table would be read, before anything is made from it.

    Args:
        options: those asked for, with everything filled in that was guessed
        rows: lines below the header that could be read
        files_found: how many of them name a file that exists
        first: the first rows as they stand in the table, all text
        index: what can be learned; None where `error` says why not
    """

    options: TableOptions
    columns: tuple[Column, ...]
    rows: int
    files_found: int
    first: pd.DataFrame
    index: Index | None
    error: LightboxError | None


def preview(path: Path, options: TableOptions = GUESS_ALL, rows: int = 10) -> TablePreview:
    """Return how a table is read, column by column. Raises LightboxError where it cannot be read as a table at all."""
    source = Table(path, options)
    cells, options, error, index = source.cells, source.resolved, None, None
    try:
        index = source.scan()
    except LightboxError as caught:
        error = caught
    roles = {options.file: "file"} | {name: "label" for name in options.labels}
    roles |= {column: role for role, column in options.roles.items()}
    columns = []
    for name, values in cells.columns.items():
        counts = Counter(values)
        empty = counts.pop("", 0)
        columns.append(Column(name, roles.get(name, "other"), len(counts), empty, tuple(list(counts)[:3])))
    found = len(np.unique(source.pairs.row[source.pairs.file >= 0])) if options.file in cells.columns else 0
    first = pd.DataFrame({name: values[:rows] for name, values in cells.columns.items()}, dtype=object)
    return TablePreview(options, tuple(columns), len(cells.lines), found, first, index, error)
