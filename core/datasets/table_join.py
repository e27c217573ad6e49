"""Several tables as one: parts below each other, columns beside them, lists of names as the split; and the files found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets.delimited import DelimitedTable
from core.datasets.file_index import NOT_FOUND, FileIndex
from core.datasets.level_words import SPLIT_WORDS
from core.datasets.table_options import SPLIT_COLUMN
from core.datasets.table_values import words_of
from core.datasets.text import suffix_of

WORDS = {**{word: split for word, split in SPLIT_WORDS.items()}, "trainval": "train", "dev": "val", "eval": "test"}
SIDES = {**dict.fromkeys(("l", "left", "os"), ("l", "left", "os")), **dict.fromkeys(("r", "right", "od"), ("r", "right", "od"))}
SIDE_NUMBERS = {"1": "r", "1.0": "r", "2": "l", "2.0": "l"}      # as in the Osteoarthritis Initiative and BRSET
AMBIGUOUS = 200_000         # cells that name several files are looked at one by one, up to here


@dataclass(eq=False)
class Pairs:
    """Rows and the files that they name: row (P,) in order, file (P,), -1 for a row without; why by row, where it is special."""

    row: np.ndarray
    file: np.ndarray
    problems: dict[int, str] = field(default_factory=dict)


@dataclass(eq=False)
class _Named:
    """What a column of names says.

    Args:
        cells: one for each row
        codes: (R,) the number of each row's cell among the different ones
        answers: for each different cell its files, or a sentence why there is none
    """

    cells: list[str]
    codes: np.ndarray
    answers: list[tuple[int, ...] | str]


def find_pairs(table: DelimitedTable, columns: tuple[str, tuple[str, ...]], index: FileIndex) -> Pairs:
    """Return which files each row names, in one or several columns.

    Where several files have the name, one is meant that lies in the folder of the table, in a folder of the row's split, or in
    one that another cell of the row names.
    """
    file, more = columns
    folders = _folders_by_split(table, index)
    rows, files, problems = [], [], {}
    for name in (file, *more):
        column = _look_up(table.columns[name], index)
        first, why = _first_files(table, column, folders, index)
        problems |= why
        rows.append(np.arange(len(first)))
        files.append(first)
        chosen = _several_files(table, column, index)
        if chosen:
            first[list(chosen)] = [answer[0] for answer in chosen.values()]
            rest = [(row, k) for row, answer in chosen.items() for k in answer[1:]]
            rows.append(np.array([row for row, _ in rest], np.int64))
            files.append(np.array([k for _, k in rest], np.int64))
    if len(rows) == 1:
        return Pairs(rows[0], files[0], problems)
    return Pairs(*_in_order(np.concatenate(rows), np.concatenate(files), len(table.lines)), problems)


def _folders_by_split(table: DelimitedTable, index: FileIndex) -> dict[str, list[str]]:
    """Return split -> the folders whose names say it, {} for a table that says no split."""
    folders: dict[str, list[str]] = {}
    for folder in index.folders if SPLIT_COLUMN in table.columns else ():
        folders.setdefault(split_word(folder), []).append(folder)
    folders.pop("", None)
    return folders


def _look_up(cells: list[str], index: FileIndex) -> _Named:
    codes, different = pd.factorize(np.array(cells, object))
    found = index.find_all(different)
    return _Named(cells, codes, [found[cell] for cell in different])


def _first_files(table: DelimitedTable, column: _Named, folders: dict[str, list[str]],
                 index: FileIndex) -> tuple[np.ndarray, dict[int, str]]:
    """Return the first file of each row, (R,), -1 for none, and row -> why it has none, where that is special.

    A row whose cell is the name of several files is looked at with its other cells.
    """
    first = np.array([answer[0] if isinstance(answer, tuple) else -1 for answer in column.answers], np.int64)[column.codes]
    problems = {}
    for row in np.flatnonzero(first < 0)[:AMBIGUOUS].tolist():
        answer = column.answers[column.codes[row]]
        if answer[:1].isdigit():
            first[row], answer = index.find(column.cells[row], _near(table, row, folders))
        if answer and answer != NOT_FOUND:
            problems[row] = answer
    return first, problems


def _several_files(table: DelimitedTable, column: _Named, index: FileIndex) -> dict[int, tuple[int, ...]]:
    """Return row -> its files, for rows whose cell names several: one where another column tells which, else all of them."""
    several = {k: answer for k, answer in enumerate(column.answers) if isinstance(answer, tuple) and len(answer) > 1}
    if not several:
        return {}
    codes = column.codes
    many = np.flatnonzero(np.isin(codes, list(several)))
    again = np.bincount(codes) > 1       # a cell that stands in one row only means all of its files
    repeated = [row for row in many.tolist() if again[codes[row]]][:AMBIGUOUS]
    told = _told_apart(table, repeated, [several[codes[row]] for row in repeated], index) if repeated else {}
    return {row: told.get(row, several[codes[row]]) for row in many.tolist()}


def _in_order(row: np.ndarray, file: np.ndarray, lines: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs in the order of their rows; a row without a file is one only where it has none in any column.

    Args:
        lines: rows of the table; the first pairs are one for each
    """
    has = np.zeros(lines, bool)
    has[row[file >= 0]] = True
    keep = (file >= 0) | ~has[row]
    keep[lines:] &= file[lines:] >= 0
    row, file = row[keep], file[keep]
    order = np.argsort(row, kind="stable")
    return row[order], file[order]


def split_word(stem: str) -> str:
    """Return the split that the name of a file says; "train_val" is train.

    >>> [split_word(stem) for stem in ("train_val_list", "IDRiD_Testing Labels", "valid", "Data_Entry", "latest")]
    ['train', 'test', 'val', '', '']
    """
    found = [WORDS[word] for word in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).lower()) if word in WORDS]
    return "train" if "train" in found else found[0] if found else ""


def _told_apart(table: DelimitedTable, rows: list[int], files: list[tuple[int, ...]],
                index: FileIndex) -> dict[int, tuple[int, ...]]:
    """Return row -> the one of its several files that another column names by a word: 0012_L of 0012 and L. {} for no column."""
    names = {k: index.files[k].rpartition("/")[2].casefold() for each in files for k in each}
    stems = {k: {*re.split(r"[_\-. ]", name)[:-1], *re.findall(r"[a-z]+|\d+", name.rpartition(".")[0])}
             for k, name in names.items()}
    best: dict[int, tuple[int, ...]] = {}
    for title, column in table.columns.items():
        sides = words_of(title) & {"side", "eye", "laterality"} and not set(column) - SIDE_NUMBERS.keys()
        numbered = SIDE_NUMBERS if sides else {}
        told, note = {}, f"1 in the column {title} is taken for the right side, 2 for the left."
        for row, each in zip(rows, files):
            cell, shared = column[row].strip().casefold(), set.intersection(*(stems[k] for k in each))
            words = {cell, *SIDES.get(numbered.get(cell, cell), ())}
            one = tuple(k for k in each if words & (stems[k] - shared))
            if len(one) == 1:
                told[row] = one
        if len(set(told.values())) > max(0.9 * len(rows), len(set(best.values()))):
            best = told
            table.notes.extend([note] if numbered and note not in table.notes else [])
    return best


def _near(table: DelimitedTable, row: int, folders: dict[str, list[str]]) -> list[str]:
    """Return names of folders in which a file of a row may lie: that of its table, its split's, any cell of the row."""
    where = table.place(row).rpartition(", line ")[0]
    cells = [column[row].strip().strip("/") for column in table.columns.values()]
    split = table.columns[SPLIT_COLUMN][row] if SPLIT_COLUMN in table.columns else ""
    return [where.rpartition("/")[0], *folders.get(split, ())[:100],
            *(cell for cell in cells if 0 < len(cell) < 100)]


def below_each_other(tables: list[tuple[str, str, DelimitedTable]]) -> DelimitedTable:
    """Return parts of one table, each (name, split, table), as one: columns by name, and the split where the parts are splits."""
    names = list(dict.fromkeys(name for _, _, table in tables for name in table.columns))
    columns: dict[str, list[str]] = {name: [] for name in names}
    lines, files, short, notes, skipped, splits = [], [], {}, [], [], []
    for name, split, table in tables:
        rows = len(table.lines)
        files += [(start + len(lines), name) for start, _ in table.files]
        short |= {row + len(lines): cells for row, cells in table.short.items()}
        for column in names:
            columns[column] += table.columns.get(column) or [""] * rows
        lines += table.lines
        notes += [note for note in table.notes if note not in notes]
        skipped += table.skipped
        splits += [split] * rows
    if any(split for _, split, _ in tables):
        columns[SPLIT_COLUMN] = splits
    first = tables[0][2]
    return DelimitedTable(columns, lines, first.delimiter, first.encoding, skipped, notes, sum(t.ragged for _, _, t in tables),
                          short, first.header, tuple(files))


def beside(base: DelimitedTable, keys: list, other: DelimitedTable, other_keys: list) -> tuple[list[str], int]:
    """Add the columns of another table to `base`, row by row where the keys are the same; the first row of a key counts.

    Returns the new columns, and how many rows of `base` have none in the other table.
    """
    place: dict = {}
    for row, key in enumerate(other_keys):
        place.setdefault(key, row)
    rows = [place.get(key, -1) if key not in ("", -1) else -1 for key in keys]
    new = [name for name in other.columns if name not in base.columns]
    for name in new:
        cells = other.columns[name]
        base.columns[name] = [cells[row] if row >= 0 else "" for row in rows]
    return new, rows.count(-1)


def file_keys(table: DelimitedTable, column: str, index: FileIndex) -> list[int]:
    """Return the number of the file that each row names in a column, -1 for none."""
    found = index.find_all(dict.fromkeys(table.columns[column]))
    return [answer[0] if isinstance(answer := found[cell], tuple) else -1 for cell in table.columns[column]]


def names_in(path: Path, most: int = 2_000_000) -> list[str]:
    """Return the lines of a text without blanks at their ends: a list of names, one a line."""
    with open(path, "rb") as file:
        text = file.read(50_000_000).decode("utf-8-sig", "replace")
    return [line.strip().strip('"') for line in text.splitlines()[:most] if line.strip()]


def add_lists(base: DelimitedTable, keys: list[int], lists: list[tuple[str, list[str]]], index: FileIndex) -> None:
    """Add the split of lists of names, each (split, names), as a column; a row that none names has none."""
    split: dict[int, str] = {}
    for part, names in lists:
        for answer in index.find_all(dict.fromkeys(names)).values():
            for k in answer if isinstance(answer, tuple) else ():
                split.setdefault(k, part)
    base.columns[SPLIT_COLUMN] = [split.get(k, "") for k in keys]


def looks_like_list(path: Path, index: Callable[[], FileIndex]) -> bool:
    """Return whether a text is a list of names of image files: a word a line, most of which are files."""
    with open(path, "rb") as file:
        head = file.read(20_000)
    lines = [line.strip().strip('"') for line in head.decode("utf-8-sig", "replace").splitlines()[:200] if line.strip()]
    lines = lines[:-1] if len(lines) > 2 else lines
    if not lines or any(sign in line for line in lines for sign in ",;\t|") or b"\0" in head:
        return False
    found = index().find_all(dict.fromkeys(lines))
    exact = sum(isinstance(found[line], tuple) for line in lines)
    return exact > 0.5 * len(lines) or exact and sum(bool(suffix_of(line)) for line in lines) > 0.9 * len(lines)
