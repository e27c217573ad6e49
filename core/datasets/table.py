"""A table (CSV) with the names and labels of images, and a folder in which the images lie.

    file,findings,patient                       images/00000075_000.jpg
    00000075_000.png,Cardiomegaly,75            images/00000100_000.jpg
    00000100_000.png,Effusion|Nodule,100

Every cell is text and stays as it was typed: "01" is not "1". A line that does not fit is left out and listed, never shifted.
Options that a person has not set are guessed from the names and values of the columns (table_guess.py); `Index.understood` and
table_preview.py show the guess. Where the path is a folder, its tables are read together (table_files.py).
Only files below the folder are ever opened, whatever the table says.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from core.config import Task
from core.datasets import table_files
from core.datasets.decode import decode_image
from core.datasets.delimited import LISTED, NONE, DelimitedTable, open_file
from core.datasets.file_index import NOT_FOUND, FileIndex, list_images
from core.datasets.fingerprints import options_text
from core.datasets.frames import frames_as_rows
from core.datasets.intensity import intensity_said
from core.datasets.level_words import SPLIT_WORDS
from core.datasets.source import COLUMNS, Index, Progress, Source, Target, Understood, one_hot
from core.datasets.table_guess import Guess, guess_options, split_codes
from core.datasets.table_join import SPLIT_COLUMN, Pairs, find_pairs
from core.datasets.table_made import MADE, from_folders, from_labels, from_names, from_pattern, from_rows
from core.datasets.table_measures import offer_of
from core.datasets.table_options import FROM_LABELS, FROM_NAMES, GUESS_ALL, TableOptions
from core.datasets.table_places import folder_of
from core.datasets.table_rows import WHY, Rows
from core.datasets.table_targets import Labels, flag_columns
from core.datasets.table_values import BLANK, Values, flags_of, lookalike_patients
from core.datasets.text import headline, short
from core.errors import LightboxError

MAX_LABEL = 200             # characters


class Table(Source):
    """Images that a table names, read with `options`. The path is a table, or a folder of which the tables are read together."""

    def __init__(self, path: Path, options: TableOptions = GUESS_ALL):
        self.path, self.options, self.intensity = Path(path), options, options.intensity
        self.name, self.title = str(path), self.path.stem
        if not self.path.exists() or not (self.path.is_file() or self.path.is_dir()):
            raise LightboxError("table.missing", f"There is no table {self.path}.",
                                "Check the path; it may be on a disk that is not connected.")
        if options.folder and not Path(options.folder).expanduser().is_dir():
            raise LightboxError("table.folder", f"There is no folder {options.folder}.", "Give the folder with the images.")
        if self.title.lower() in ("labels", "metadata", "train", "data"):
            self.title = f"{self.path.absolute().parent.name} ({self.path.stem})"
        self.description = f"Images listed in the table {self.path.name}."

    def fingerprint(self) -> str:
        """Return a hash of the table's content, the options, and name, size and time of change of every file in the folder."""
        first, *others = self.plan.paths
        with open_file(first) as file:
            digest = hashlib.file_digest(file, "sha256")
        for path in others:
            with open_file(path) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(options_text(self.options).encode("utf-8", "replace"))
        for path in self.files:
            try:
                facts = os.stat(self.folder / path)
                digest.update(f"{path}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode("utf-8", "replace"))
            except OSError:
                digest.update(f"{path}\tgone\n".encode("utf-8", "replace"))
        return digest.hexdigest()

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.folder / self.table["path"].iloc[i], intensity=self.intensity).pixels

    def scan(self, progress: Progress | None = None) -> Index:
        if progress:
            progress("Reading the table", 0, 0)
        self._check_columns()
        options, found = self.resolved, self.pairs
        notes = list(self.cells.notes)      # and what was said about the files found
        labels = {name: self.values[name] for name in options.labels}
        roles = {name: self.values[name] for name in options.roles.values() if name != NONE}
        split = self._splits()
        flags = flag_columns(labels, options)
        pairs = Rows(found.row, found.file)
        self._leave_out(pairs, labels, flags)
        several = len(flags) > 1 and options.together or options.separator != NONE
        pairs.settle(labels, roles, options, several, list(self.cells.columns))
        rows, images, files = pairs.images()
        counts = pairs.counts()
        lines = len(self.cells.lines)
        ended = counts.pop("short", 0)
        ragged, lines = self.cells.ragged + ended, len(self.cells.lines) - ended
        if ragged:
            notes.append(f"{ragged:,} lines do not have as many cells as the header and were left out.")
        notes += [f"{count:,} of {lines:,} rows {WHY[code]} and were left out." for code, count in counts.items()]
        skipped = [*self.cells.skipped, *pairs.listed(max(0, LISTED - len(self.cells.skipped)), self._reason)]
        if not len(rows):
            raise self._no_rows(counts, skipped)
        read = Labels(labels, rows, images, options, pairs.united and not several, notes)
        targets = read.build()
        self.table = self._table(rows[np.sort(np.unique(images, return_index=True)[1])], files, split)
        unlisted = len(self.files) - len(np.unique(self.pairs.file[self.pairs.file >= 0]))
        if unlisted:
            notes.append(f"{unlisted:,} files in the folder are not listed in the table.")
        said = [*self.plan.understood, *self.guess.understood, *pairs.understood, *read.understood, *self._patients()]
        patients = len(set(self.table["patient"]) - {""})
        self.table, targets, frames = frames_as_rows(self.folder, self.table, targets)
        said += [*frames, *intensity_said(self.intensity, self.folder, self.table["path"])]
        left_out = counts | ({"ragged": ragged} if ragged else {}) | ({"not_listed": unlisted} if unlisted else {})
        said[:0] = [Understood("images", self._headline(next(iter(targets.values())), patients, left_out)),
                    Understood("table", f"{len(self.table):,} images from {lines:,} rows of {self.plan.title}.", "tables")]
        return Index(self.table, targets, skipped, notes, said, left_out)

    def _headline(self, target: Target, patients: int, left_out: dict[str, int]) -> str:
        counts = one_hot(target.labels, len(target.class_names)).sum(axis=0).tolist()
        named = self.resolved.patient
        return headline(
            len(self.table), patients, "names of files" if named == NONE else f"column {named}",
            dict(zip(target.class_names, counts)), f"column {target.title}" if len(self.resolved.labels) == 1 else "columns",
            "findings" if target.task == Task.MULTILABEL else "classes", self.table["split"].value_counts().to_dict(), left_out)

    @cached_property
    def folder(self) -> Path:
        """Where the images are: as the options say, else the folder of the table, or one above where they lie beside it."""
        if self.options.folder:
            return Path(self.options.folder).expanduser()
        return self.path.absolute() if self.path.is_dir() else folder_of(self.path, self.options)

    @cached_property
    def plan(self) -> table_files.Plan:
        return table_files.plan_of(self.path, self.options, lambda: self.file_index)

    @cached_property
    def cells(self) -> DelimitedTable:
        return table_files.read_tables(self.plan, self.options, lambda: self.file_index)

    @cached_property
    def values(self) -> dict[str, Values]:
        """Column -> its values, with those that are made from the files found and asked for."""
        values = {name: Values.of(cells) for name, cells in self.cells.columns.items()}
        chosen = (*self.guess.options.roles.values(), *self.guess.options.labels) if "guess" in self.__dict__ else ()
        for name in (*self.options.roles.values(), *chosen):
            if name in MADE and name not in values:
                values[name] = Values.of(self._made(name, self.options) or [""] * len(self.cells.lines))
        return values

    @cached_property
    def files(self) -> list[str]:
        """Paths below the folder, with /, sorted."""
        return list_images(self.folder)

    @cached_property
    def file_index(self) -> FileIndex:
        return FileIndex(self.files)

    @cached_property
    def guess(self) -> Guess:
        """The options with everything filled in that was left open, and what is said about it."""
        facts = {"delimiter": self.cells.delimiter or self.options.delimiter, "folder": str(self.folder.resolve()),
                 "encoding": self.cells.encoding or self.options.encoding, "tables": self.plan.names}
        columns = {name: Values.of(cells) for name, cells in self.cells.columns.items()}
        made = {name: lambda options, name=name: self._made(name, options) for name in MADE}
        guess = guess_options(self.options, columns, self.file_index, facts, made)
        for name in (*guess.options.roles.values(), *guess.options.labels):
            if name in MADE and name not in columns:
                columns[name] = Values.of(self._made(name, guess.options) or [""] * len(self.cells.lines))
        self.__dict__["values"] = columns
        return guess

    @cached_property
    def resolved(self) -> TableOptions:
        """The options with everything filled in that was left open."""
        self.guess  # noqa: B018 - it also sets the values
        return self.guess.options

    @cached_property
    def pairs(self) -> Pairs:
        """The pairs of a row and a file that it names."""
        return self._pairs(self.resolved)

    def _pairs(self, options: TableOptions) -> Pairs:
        key = options.file, tuple(name for name in options.more_files if name in self.cells.columns)      # others: _check_columns
        if self._found.get("key") != key:
            self._found = {"key": key, "pairs": find_pairs(self.cells, key, self.file_index)}
        return self._found["pairs"]

    _found: dict = {}

    def _made(self, name: str, options: TableOptions) -> list[str] | None:
        """Return the values of a column that is made from the files found, None where they say nothing."""
        if options.file not in self.cells.columns:
            return None
        fact = {FROM_NAMES: "patient", FROM_LABELS: "label"}.get(name, "")
        if fact and f"(?P<{fact}>" in options.pattern:
            return from_pattern(fact, options.pattern, self._pairs(options), self.files, len(self.cells.lines))
        make = dict(zip(MADE, (from_names, from_folders, from_rows, from_labels)))
        return make[name](self._pairs(options), self.files, len(self.cells.lines))

    def _patients(self) -> list[Understood]:
        """Join patients that are written in two ways, and say which others look alike."""
        joined, said = lookalike_patients(tuple(dict.fromkeys(self.table["patient"])))
        if self.resolved.as_typed:
            return [one for one in said if one.code != "patients.joined"]
        if joined:
            self.table["patient"] = self.table["patient"].replace(joined)
        return said

    def _check_columns(self) -> None:
        options, columns = self.resolved, self.values
        existing = f"Columns: {', '.join(map(short, list(self.cells.columns)[:30]))}."
        chosen = [("file", options.file), *(("file", name) for name in options.more_files),
                  *(("label", name) for name in options.labels), *options.roles.items()]
        for role, name in chosen:
            if name != NONE and name not in columns:
                raise LightboxError("table.column", f"{self.path.name} has no column {short(name)!r} for the {role}.", existing)
        if options.file == NONE:
            raise LightboxError("table.file", f"No column of {self.path.name} holds the names of image files.",
                                f"Choose the column with the file names, or the folder with the images. {existing}")
        if not options.labels:
            offer = offer_of({name: values for name, values in columns.items()
                              if name not in (options.file, *options.roles.values())})
            raise LightboxError("table.label", f"No column of {self.path.name} looks like a label.",
                                f"Choose the column with the labels. {offer}{existing}")
        if options.file in options.labels:
            raise LightboxError("table.label", f"The column {short(options.file)!r} cannot be both the file and the label.",
                                existing)

    def _leave_out(self, pairs: Rows, labels: dict[str, Values], flags: list[str]) -> None:
        """Leave out rows without a label, for each reason in turn; first those that end before a column that is used."""
        options = self.resolved
        if self.cells.short:
            self._leave_out_short(pairs, () if flags else options.labels)
        for name, values in labels.items():
            blank_is_said = name in flags and options.blanks != "leave out"
            if not blank_is_said and not (options.filled and options.measured):
                self._leave_out_unlabelled(pairs, values)
        if len(flags) > 1:
            self._leave_out_unflagged(pairs, labels, flags)

    def _leave_out_short(self, pairs: Rows, labels: tuple[str, ...]) -> None:
        """Leave out rows that end before the file, a role or one of the labels."""
        options = self.resolved
        place = {name: k for k, name in enumerate(self.cells.columns)}
        needed = max(place.get(name, -1) for name in (options.file, *options.roles.values(), *labels))
        ends = np.zeros(len(self.cells.lines), bool)
        ends[[row for row, cells in self.cells.short.items() if cells <= needed]] = self.cells.header
        pairs.leave_out("short", ends)

    def _leave_out_unlabelled(self, pairs: Rows, values: Values) -> None:
        """Leave out rows whose cell in a column of labels is empty, a word for a missing value, or longer than a label is."""
        options = self.resolved
        pairs.leave_out("no_label", values.lookup([cell == "" for cell in values.names], bool))
        if options.missing == "leave out" or options.measured:
            pairs.leave_out("missing", values.lookup(list(values.missing), bool))
        pairs.leave_out("long_label", values.lookup([len(cell) > MAX_LABEL for cell in values.names], bool)
                        & (options.separator != "list"))

    def _leave_out_unflagged(self, pairs: Rows, labels: dict[str, Values], flags: list[str]) -> None:
        """Leave out rows of which no column of yes and no says anything, or not exactly one says yes where one has to."""
        options = self.resolved
        found = [flags_of(labels[name]) or [BLANK] * len(labels[name].names) for name in flags]
        told = sum(labels[name].lookup([flag != BLANK for flag in one]) for name, one in zip(flags, found))
        yes = sum(labels[name].lookup([flag == 1 for flag in one]) for name, one in zip(flags, found))
        every = set().union(*found)
        if options.one_of or 0 in every and -1 not in every and options.blanks != "unknown":
            pairs.leave_out("no_label", np.asarray(told == 0))
        if options.one_of:
            pairs.leave_out("not_one", np.asarray(yes != 1))

    def _reason(self, row: int, code: str, other: int) -> tuple[str, str]:
        """Return what stands where, and why it is left out."""
        options, labels = self.resolved, [self.values[name] for name in self.resolved.labels]
        name = self.cells.columns[options.file][row]
        line = f"Line {self.cells.lines[other]}" if other != row and other >= 0 else "Another line"
        reasons = {
            "no_file": lambda: self.pairs.problems.get(row, NOT_FOUND), "no_label": lambda: "It has no label.",
            "missing": lambda: "Its label is a word for a missing value.",
            "long_label": lambda: f"Its label has {max(len(v.names[v.codes[row]]) for v in labels):,} characters; the limit is "
                                  f"{MAX_LABEL}.",
            "not_one": lambda: "It has not exactly one of the classes.",
            "repeated": lambda: f"{line} says the same about this file.",
            "contradictory": lambda: f"{line} says something else about this file.",
            "short": lambda: f"It has {self.cells.short[row]} cells, the header has {len(self.cells.columns)}.",
            "overruled": lambda: "Other lines about this file count more."}
        return f"{self.cells.place(row)}: {short(name)}", reasons[code]()

    def _no_rows(self, counts: dict[str, int], skipped: list[dict]) -> LightboxError:
        code, hint = "table.rows", "Look at the table in a spreadsheet."
        if counts.get("no_file"):
            code, hint = "table.files", "Give the folder with the images, and the column with their names."
        reason = skipped[0]["reason"] if skipped else "It has no rows."
        return LightboxError(code, f"No row of {self.path.name} can be used. The first one: {reason}", hint)

    def _splits(self) -> np.ndarray:
        """Return train, val or test for each row; "" where the table has no column for it."""
        name = self.resolved.split
        if name == NONE:
            return np.full(len(self.cells.lines), "", object)
        values = self.values[name]
        if codes := split_codes(name, values):
            return values.lookup([codes[cell] for cell in values.names], object)
        unknown = sorted({cell for cell in values.names if cell.lower() not in SPLIT_WORDS and (cell or name not in MADE)
                          and not (cell == "" and name == SPLIT_COLUMN)})
        if unknown:
            raise LightboxError("table.split", f"The column {short(name)!r} holds "
                                f"{', '.join(repr(short(value)) for value in unknown[:5])}, which is no split.",
                                "Its values must be train, val and test; or choose no column for the split.")
        return values.lookup([SPLIT_WORDS.get(cell.lower(), "") for cell in values.names], object)

    def _table(self, rows: np.ndarray, files: np.ndarray, split: np.ndarray) -> pd.DataFrame:
        """Return the rows that are used: COLUMNS, then all other columns as they stand in the file."""
        options = self.resolved
        paths = [self.files[file] for file in files]

        def values(name: str) -> list[str]:
            return self.values[name].rows(rows) if name != NONE else [""] * len(rows)

        patient, study = values(options.patient), values(options.study)
        study = [f"{p}/{s}" if p and s else s for p, s in zip(patient, study)]      # a study's number may begin anew for each
        table = {"image_id": paths, "patient": patient, "study": study, "view": values(options.view), "path": paths,
                 "split": list(split[rows])}
        for name, column in self.cells.columns.items():
            if name not in (options.file, *options.roles.values()):
                reserved = name in COLUMNS or name in ("width", "height")
                table[f"{name} (table)" if reserved else name] = [column[row] for row in rows]
        return pd.DataFrame(table)

