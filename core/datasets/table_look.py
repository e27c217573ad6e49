"""A table of a folder at first sight: which column names image files, how many rows do, and how sure its labels are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.datasets.delimited import NONE, DelimitedTable, read_delimited, replace_rows
from core.datasets.file_index import FileIndex
from core.datasets.table_compose import FROM_COLUMNS, compose, naming_columns
from core.datasets.table_guess import guess_file, is_patient, split_codes
from core.datasets.table_join import SPLIT_COLUMN, find_pairs, split_word
from core.datasets.table_labels import guess_labels
from core.datasets.table_long import widen
from core.datasets.table_options import COLUMN_NAMES, LABEL_WORDS, plain
from core.datasets.table_values import Values, words_of
from core.datasets.text import short

HEAD = 400_000              # bytes of a table that are looked at to see what it is


@dataclass(eq=False)
class Seen:
    """A table at first sight.

    Args:
        file: the column with names of image files, "" for none
        share: of its rows that name a file
        covers: about how many rows do
        rank: how sure its labels are: 3 by a column's name or columns of yes and no, 2 by a word in a name, 1 by values, 0 none
        split: "train", "val", "test", by the name of the file or its folder
        files: the numbers of the files that its first rows name
        exact: the share of rows whose cell is a file's name as it stands
    """

    path: Path
    name: str
    table: DelimitedTable
    values: dict[str, Values]
    file: str
    share: float
    covers: float
    rank: int
    labels: tuple[str, ...]
    split: str
    files: set[int]
    exact: float

    @property
    def names_images(self) -> bool:
        """Return whether so many of its rows name a file that this is no chance."""
        return self.share > 0.1

    def in_words(self) -> str:
        what = f"labels in {short(self.labels[0])}" if self.labels else "no labels"
        return f"{self.name} ({what}, {self.share:.0%} of its rows name an image)"


def look(root: Path, path: Path, index: FileIndex) -> Seen:
    """Return a table at first sight. Raises LightboxError for one that cannot be read."""
    plain_table = widen(read_delimited(path, head=HEAD), index)
    seen = _seen(root, path, compose(plain_table, index), index)
    return seen if seen.labels or FROM_COLUMNS not in seen.values else _seen(root, path, plain_table, index)


def _seen(root: Path, path: Path, table: DelimitedTable, index: FileIndex) -> Seen:
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    table = replace(table, files=((0, name),))
    values = {name: Values.of(cells) for name, cells in table.columns.items()}
    file = guess_file(values, index)
    split = split_word(path.stem) or split_word(path.parent.name if path.parent != root else "")
    found = _first_found(table, file, split, index)
    share = float(np.mean(found >= 0))
    labels, rank = _labels(values, file)
    files = set(found[found >= 0].tolist())
    covers = len(files) / len(found) * len(table.lines) * _times_longer(path)
    return Seen(path, name, table, values, file if share > 0 else "", share, covers, rank, labels, split, files,
                _exact(table, file, index))


def _first_found(table: DelimitedTable, file: str, split: str, index: FileIndex) -> np.ndarray:
    """Return the numbers of the files that the first rows name, -1 for none; of files with the same name those of the split."""
    if file == NONE:
        return np.array([-1])
    first = replace_rows(table, 2000)
    if split:
        first = replace(first, columns={SPLIT_COLUMN: [split] * len(first.lines), **first.columns})
    return find_pairs(first, (file, ()), index).file


def _labels(values: dict[str, Values], file: str) -> tuple[tuple[str, ...], int]:
    """Return the columns that look like labels, and their rank."""
    naming = {file, *naming_columns(values)}
    free = {name: one for name, one in values.items()
            if name not in naming and not is_patient(name) and not split_codes(name, one)}
    labels, how = guess_labels(free, [])
    return labels, _rank(labels, values, how) if labels else 0


def _rank(labels: tuple[str, ...], values: dict[str, Values], how: dict[str, Any]) -> int:
    first = labels[0]
    if len(labels) == 1 and len(values[first].given) < 2 and not how:      # one value tells nothing apart
        return 0
    if len(labels) > 1 or plain(first) in COLUMN_NAMES["label"]:
        return 3
    return 2 if how or words_of(first) & LABEL_WORDS else 1


def _times_longer(path: Path) -> float:
    """Return how many times as long as its beginning a text is; a workbook is read as a whole."""
    return 1.0 if path.suffix.lower().startswith(".xls") else max(1.0, path.stat().st_size / HEAD)


def _exact(table: DelimitedTable, file: str, index: FileIndex) -> float:
    """Return the share of some rows whose cell is a file's name as it stands, or that of several files."""
    sample = table.columns[file][:500:5] if file != NONE else []
    return sum(not index.find(cell)[1].startswith(("There", "It")) for cell in sample) / max(1, len(sample))
