"""A table (CSV) with the names and labels of images, and a folder in which the images lie.

    file,findings,patient                       images/00000075_000.jpg
    00000075_000.png,Cardiomegaly,75            images/00000100_000.jpg
    00000100_000.png,Effusion|Nodule,100

Every cell is text and stays as it was typed: "01" is not "1", and NA or None may be the name of a class. A line that does not
fit is left out and listed, never shifted. Options that a person has not set are guessed from the names and values of the
columns (table_options.py), and `preview` shows the guess. Only files below the folder are ever opened, whatever the table says.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets.decode import decode_image
from core.datasets.delimited import LISTED, NONE, DelimitedTable, open_file, read_delimited
from core.datasets.file_index import FileIndex, list_images
from core.datasets.folder import SPLIT_FOLDERS, options_text
from core.datasets.source import COLUMNS, Index, Progress, Source
from core.datasets.table_options import GUESS_ALL, TableOptions, guess_options
from core.datasets.table_targets import build_targets
from core.datasets.text import short
from core.errors import LightboxError

MAX_LABEL = 200             # characters

# Why a row is left out, as the end of "12 of 340 rows ... and were left out."
NO_FILE, NO_LABEL, LONG_LABEL = "name a file that was not found", "have no label", "have a label that is too long"
REPEATED, CONTRADICTORY = "repeat another row", "contradict another row about the same file"


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
    found = sum(file >= 0 for file, _ in source.row_files) if options.file in cells.columns else 0
    first = pd.DataFrame({name: values[:rows] for name, values in cells.columns.items()}, dtype=object)
    return TablePreview(options, tuple(columns), len(cells.lines), found, first, index, error)


class Table(Source):
    """Images that a table names, read with `options`."""

    def __init__(self, path: Path, options: TableOptions = GUESS_ALL):
        self.path, self.options = Path(path), options
        self.name, self.title = str(path), self.path.stem
        if not self.path.is_file():
            raise LightboxError("table.missing", f"There is no table {self.path}.",
                                "Check the path; it may be on a disk that is not connected.")
        self.folder = Path(options.folder).expanduser() if options.folder else self.path.absolute().parent
        if not self.folder.is_dir():
            raise LightboxError("table.folder", f"There is no folder {self.folder}.", "Give the folder with the images.")
        if self.title.lower() in ("labels", "metadata", "train", "data"):
            self.title = f"{self.path.absolute().parent.name} ({self.path.stem})"
        self.description = f"Images listed in the table {self.path.name}."

    def fingerprint(self) -> str:
        """Return a hash of the table's content, the options, and name, size and time of change of every file in the folder."""
        with open_file(self.path) as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(options_text(self.options).encode("utf-8", "replace"))
        for path in self.files:
            try:
                facts = os.stat(self.folder / path)
                digest.update(f"{path}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode("utf-8", "replace"))
            except OSError:
                digest.update(f"{path}\tgone\n".encode("utf-8", "replace"))
        return digest.hexdigest()

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.folder / self.table["path"].iloc[i]).pixels

    def scan(self, progress: Progress | None = None) -> Index:
        self._check_columns()
        if progress:
            progress("Reading the table", 0, 0)
        skipped, notes = list(self.cells.skipped), list(self.cells.notes)
        used = dict.fromkeys([*self.resolved.labels, *(name for name in self.resolved.roles.values() if name != NONE)])
        cells = {name: [cell.strip() for cell in self.cells.columns[name]] for name in used}
        split = self._splits(cells)
        rows = self._usable_rows(cells, skipped, notes)
        targets = build_targets({name: [cells[name][row] for row in rows] for name in self.resolved.labels}, self.resolved, notes)
        self.table = self._table(rows, cells, split)
        unlisted = len(self.files) - len({file for file, _ in self.row_files if file >= 0})
        if unlisted:
            notes.append(f"{unlisted:,} files in the folder are not listed in the table.")
        return Index(self.table, targets, skipped, notes)

    @cached_property
    def cells(self) -> DelimitedTable:
        return read_delimited(self.path, self.options.delimiter, self.options.encoding)

    @cached_property
    def files(self) -> list[str]:
        """Paths below the folder, with /, sorted."""
        return list_images(self.folder)

    @cached_property
    def file_index(self) -> FileIndex:
        return FileIndex(self.files)

    @cached_property
    def row_files(self) -> list[tuple[int, str]]:
        """For each row the number of its file in `files`, or -1 and why."""
        return [self.file_index.find(cell) for cell in self.cells.columns[self.resolved.file]]

    @cached_property
    def resolved(self) -> TableOptions:
        """The options with everything filled in that was left open."""
        return guess_options(self.options, self.cells, self.folder, self.file_index)

    def _check_columns(self) -> None:
        options, columns = self.resolved, self.cells.columns
        existing = f"Columns: {', '.join(map(short, list(columns)[:30]))}."
        chosen = [("file", options.file), *(("label", name) for name in options.labels), *options.roles.items()]
        for role, name in chosen:
            if name != NONE and name not in columns:
                raise LightboxError("table.column", f"{self.path.name} has no column {short(name)!r} for the {role}.", existing)
        if options.file == NONE:
            raise LightboxError("table.file", f"No column of {self.path.name} holds the names of image files.",
                                f"Choose the column with the file names, or the folder with the images. {existing}")
        if not options.labels:
            raise LightboxError("table.label", f"No column of {self.path.name} looks like a label.",
                                f"Choose the column with the labels. {existing}")
        if options.file in options.labels:
            raise LightboxError("table.label", f"The column {short(options.file)!r} cannot be both the file and the label.",
                                existing)

    def _usable_rows(self, cells: dict[str, list[str]], skipped: list[dict], notes: list[str]) -> list[int]:
        """Return the rows that can be used, one for each file; adds the others to `skipped` and their numbers to `notes`."""
        names, lines = self.cells.columns[self.resolved.file], self.cells.lines
        content = list(zip(*cells.values()))       # what a row says about its file
        labels = list(zip(*(cells[name] for name in self.resolved.labels)))
        left_out: Counter[str] = Counter()

        def leave_out(row: int, why: str, reason: str) -> None:
            left_out[why] += 1
            if len(skipped) < LISTED:
                skipped.append({"path": f"{self.path.name}, line {lines[row]}: {short(names[row])}", "reason": reason})

        first, contradicted = {}, set()            # file -> the first row about it; files with rows that differ
        for row, (file, problem) in enumerate(self.row_files):
            longest = max(map(len, labels[row]))
            if problem:
                leave_out(row, NO_FILE, problem)
            elif "" in labels[row]:
                leave_out(row, NO_LABEL, "It has no label.")
            elif longest > MAX_LABEL:
                leave_out(row, LONG_LABEL, f"Its label has {longest:,} characters; the limit is {MAX_LABEL}.")
            elif file not in first:
                first[file] = row
            elif content[row] == content[first[file]]:
                leave_out(row, REPEATED, f"Line {lines[first[file]]} says the same about this file.")
            else:
                contradicted.add(file)
                leave_out(row, CONTRADICTORY, f"Line {lines[first[file]]} says something else about this file.")
        for file, row in first.items():
            if file in contradicted:
                leave_out(row, CONTRADICTORY, "Another line says something else about this file.")
        notes += [f"{count:,} of {len(lines):,} rows {why} and were left out." for why, count in left_out.items()]
        rows = [row for file, row in first.items() if file not in contradicted]
        if not rows:
            code, hint = "table.rows", "Look at the table in a spreadsheet."
            if left_out[NO_FILE]:
                code, hint = "table.files", "Give the folder with the images, and the column with their names."
            reason = skipped[0]["reason"] if skipped else "It has no rows."
            raise LightboxError(code, f"No row of {self.path.name} can be used. The first one: {reason}", hint)
        return rows

    def _splits(self, cells: dict[str, list[str]]) -> list[str]:
        """Return train, val or test for each row; "" where the table has no column for it."""
        name = self.resolved.split
        if name == NONE:
            return [""] * len(self.cells.lines)
        unknown = sorted({cell for cell in cells[name] if cell.lower() not in SPLIT_FOLDERS})
        if unknown:
            raise LightboxError("table.split", f"The column {short(name)!r} holds "
                                f"{', '.join(repr(short(value)) for value in unknown[:5])}, which is no split.",
                                "Its values must be train, val and test; or choose no column for the split.")
        return [SPLIT_FOLDERS[cell.lower()] for cell in cells[name]]

    def _table(self, rows: list[int], cells: dict[str, list[str]], split: list[str]) -> pd.DataFrame:
        """Return the rows that are used: COLUMNS, then all other columns as they stand in the file."""
        options = self.resolved
        paths = [self.files[self.row_files[row][0]] for row in rows]

        def values(name: str) -> list[str]:
            return [cells[name][row] for row in rows] if name != NONE else [""] * len(rows)

        patient, study = values(options.patient), values(options.study)
        study = [f"{p}/{s}" if p and s else s for p, s in zip(patient, study)]      # a study's number may begin anew for each
        table = {"image_id": paths, "patient": patient, "study": study, "view": values(options.view), "path": paths,
                 "split": [split[row] for row in rows]}
        for name, column in self.cells.columns.items():
            if name not in (options.file, *options.roles.values()):
                reserved = name in COLUMNS or name in ("width", "height")
                table[f"{name} (table)" if reserved else name] = [column[row] for row in rows]
        return pd.DataFrame(table)
