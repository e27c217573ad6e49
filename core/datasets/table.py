"""A table (CSV) that names image files and says what is on them, and a folder in which those files lie.

    file,findings,patient                       images/00000075_000.jpg
    00000075_000.png,Cardiomegaly,75            images/00000100_000.jpg
    00000100_000.png,Effusion|Nodule,100

Every cell is text and stays as it was typed: "01" is not "1", and NA or None may be the name of a class. A line that does not
fit is left out and listed, never shifted. What a person has not said is guessed from the names and values of the columns, and
`preview` shows the guess. Only files below the folder are ever opened, whatever the table says.

N rows, K classes or findings.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets.decode import decode_image
from core.datasets.delimited import LISTED, NONE, Grid, open_file, read_grid, short
from core.datasets.file_index import Finder, ending, list_below
from core.datasets.folder import SPLIT_FOLDERS, SUFFIXES
from core.datasets.source import COLUMNS, Index, Progress, Source, Target
from core.errors import LightboxError

MAX_CLASSES = 1000
MAX_FINDINGS = 100
MAX_LABEL = 200             # characters

SEPARATORS = ("|", ";", ",", "/", "+")
ROLES = ("patient", "study", "view", "split")

# Names of columns as people write them, in small letters without spaces and signs.
CALLED = {
    "file": {"file", "filename", "filepath", "path", "image", "imagename", "imagefile", "imagepath", "imgpath", "imageindex",
             "img", "imageid", "name"},
    "label": {"label", "labels", "class", "classname", "diagnosis", "dx", "finding", "findings", "findinglabels", "target",
              "category", "grade", "kl", "klgrade", "severity", "outcome", "died", "death", "mortality", "abnormal", "pathology",
              "disease", "result"},
    "patient": {"patient", "patientid", "patientnumber", "patientno", "pid", "subject", "subjectid", "participant",
                "participantid", "person", "personid"},
    "study": {"study", "studyid", "studyuid", "studyinstanceuid", "exam", "examid", "accession", "accessionnumber", "followup"},
    "view": {"view", "viewposition", "projection"},
    "split": {"split", "set", "subset", "partition", "usage", "fold"},
    "other": {"age", "sex", "gender", "date", "year", "id", "license", "licence", "source", "url", "doi", "width", "height",
              "notes", "comment", "offset", "offsetdays", "hospital", "site", "laterality", "side"}}
NOTHING = ("no finding", "no findings", "none", "normal", "nothing")


@dataclass(frozen=True)
class TableReading:
    """How a table is read. "" is found by looking, "-" is none.

    Args:
        delimiter: between the cells of a line; a single character, or "tab"
        encoding: a key of grid.ENCODINGS
        folder: where the images are; "" is the folder of the table. Files are found in it and below
        file: column with the names of the image files; the ending may differ
        labels: columns with labels, each something to learn
        separator: between the findings in one cell, which makes several findings an image
        nothing: the finding that means that there is none
        together: label columns that hold only 0 and 1 are the findings of one task, and no tasks of their own
        ordinal: the classes are grades, in their natural order
        patient, study, view, split: columns
    """

    delimiter: str = ""
    encoding: str = ""
    folder: str = ""
    file: str = ""
    labels: tuple[str, ...] = ()
    separator: str = ""
    nothing: str = ""
    together: bool = False
    ordinal: bool = False
    patient: str = ""
    study: str = ""
    view: str = ""
    split: str = ""


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
    """What a reading makes of a table, before anything is made from it.

    Args:
        reading: the one asked for, with everything that was found by looking filled in
        rows: lines below the header that could be read
        found: how many of them name a file that is there
        first: the first rows as they stand in the table, all text
        index: what can be learned; None where `error` says why not
    """

    reading: TableReading
    columns: tuple[Column, ...]
    rows: int
    found: int
    first: pd.DataFrame
    index: Index | None
    error: LightboxError | None


def preview(path: Path, reading: TableReading = TableReading(), rows: int = 10) -> TablePreview:
    """How a table is read, column by column. Raises LightboxError where it cannot be read as a table at all."""
    table = Table(path, reading)
    grid = table.grid
    chosen, error, index = table.resolved, None, None
    try:
        index = table.scan()
    except LightboxError as caught:
        error = caught
    roles = {chosen.file: "file"} | {name: "label" for name in chosen.labels}
    roles |= {getattr(chosen, role): role for role in ROLES}
    columns = []
    for name, cells in grid.columns.items():
        counts = Counter(cells)
        empty = counts.pop("", 0)
        columns.append(Column(name, roles.get(name, "other"), len(counts), empty, tuple(list(counts)[:3])))
    found = sum(place >= 0 for place, _ in table.places) if chosen.file in grid.columns else 0
    first = pd.DataFrame({name: cells[:rows] for name, cells in grid.columns.items()}, dtype=object)
    return TablePreview(chosen, tuple(columns), len(grid.lines), found, first, index, error)


class Table(Source):
    """Images that a table names. The table at `path` is read as `reading` says."""

    def __init__(self, path: Path, reading: TableReading = TableReading()):
        self.path, self.reading = Path(path), reading
        self.name, self.title = str(path), self.path.stem
        if not self.path.is_file():
            raise LightboxError("table.missing", f"There is no table {self.path}.",
                                "Check the path; it may lie on a disk that is not connected.")
        self.folder = Path(reading.folder).expanduser() if reading.folder else self.path.absolute().parent
        if not self.folder.is_dir():
            raise LightboxError("table.folder", f"There is no folder {self.folder}.", "Give the folder with the images.")
        if self.title.lower() in ("labels", "metadata", "train", "data"):
            self.title = f"{self.path.absolute().parent.name} ({self.path.stem})"
        self.description = f"Images that are named in the table {self.path.name}."

    def fingerprint(self) -> str:
        """From the table's content, how it is read, and name, size and time of change of every file in the folder."""
        with open_file(self.path) as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(repr(self.reading).encode("utf-8", "replace"))
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
        grid, reading = self.grid, self.resolved
        self._check_roles()
        if progress:
            progress("Reading the table", 0, 0)
        skipped, notes = list(grid.skipped), list(grid.notes)
        left_out: Counter[str] = Counter()

        def leave_out(row: int, kind: str, reason: str) -> None:
            left_out[kind] += 1
            if len(skipped) < LISTED:
                skipped.append({"path": f"{self.path.name}, line {grid.lines[row]}: {short(grid.columns[reading.file][row])}",
                                "reason": reason})

        cells = {name: [cell.strip() for cell in grid.columns[name]] for name in self._used()}
        split = self._splits(cells)
        signature = list(zip(*(cells[name] for name in cells)))
        first, apart = {}, set()                  # file -> its first row; files of which two rows say different things
        good = []
        for row, (place, fault) in enumerate(self.places):
            labels = [cells[name][row] for name in reading.labels]
            if fault:
                leave_out(row, "name no file that is there", fault)
            elif "" in labels:
                leave_out(row, "have no label", "It has no label.")
            elif max(map(len, labels)) > MAX_LABEL:
                leave_out(row, "have a label that is too long",
                          f"Its label has {max(map(len, labels)):,} characters; the limit is {MAX_LABEL}.")
            elif place not in first:
                first[place] = row
                good.append(row)
            elif signature[row] == signature[first[place]]:
                leave_out(row, "name a file again and say the same of it",
                          f"Line {grid.lines[first[place]]} names the same file and says the same.")
            else:
                apart.add(place)
                leave_out(row, "contradict another row on the same file",
                          f"Line {grid.lines[first[place]]} says something else of the same file; both are left out.")
        for row in [row for row in good if self.places[row][0] in apart]:
            leave_out(row, "contradict another row on the same file", "Another line says something else of the same file.")
        rows = [row for row in good if self.places[row][0] not in apart]
        for kind, count in left_out.items():
            notes.append(f"{count:,} of {len(grid.lines):,} rows {kind}: left out.")
        if not rows:
            why = skipped[0]["reason"] if skipped else "It has no rows."
            code, hint = ("table.files", "Give the folder with the images, and the column with their names.") \
                if left_out["name no file that is there"] else ("table.rows", "Look at the table in a spreadsheet.")
            raise LightboxError(code, f"No row of {self.path.name} can be used. The first one: {why}", hint)
        targets = self._targets({name: [cells[name][row] for row in rows] for name in reading.labels}, notes)
        self.table = self._table(rows, cells, split)
        unnamed = len(self.files) - len(first)
        if unnamed > 0:
            notes.append(f"{unnamed:,} files in the folder are not named in the table.")
        return Index(self.table, targets, skipped, notes)

    # ------------------------------------------------------------------------------------------- the cells and the files

    @cached_property
    def grid(self) -> Grid:
        return read_grid(self.path, self.reading.delimiter, self.reading.encoding)

    @cached_property
    def files(self) -> list[str]:
        """Paths below the folder, with /, sorted."""
        return list_below(self.folder)

    @cached_property
    def finder(self) -> Finder:
        return Finder(self.files)

    @cached_property
    def places(self) -> list[tuple[int, str]]:
        """For each row the number of its file in `files`, or -1 and why."""
        return [self.finder.find(cell) for cell in self.grid.columns[self.resolved.file]]

    @cached_property
    def resolved(self) -> TableReading:
        """The reading with everything filled in that was left to be found."""
        grid, reading = self.grid, self.reading
        columns = grid.columns
        file = reading.file or self._guess_file()
        taken = {file, *reading.labels} | {getattr(reading, role) for role in ROLES}
        roles = {}
        for role in ROLES:
            roles[role] = getattr(reading, role) or next(
                (name for name in columns if name not in taken and _plain(name) in CALLED[role]
                 and (role != "split" or _are_splits(columns[name]))), NONE)
            taken.add(roles[role])
        labels, together = reading.labels, reading.together
        if not labels:
            labels, guessed = self._guess_labels(taken)
            together = together or guessed
        separator = reading.separator
        if not separator:
            separator = next((s for name in labels if name in columns and (s := guess_separator(columns[name]))), NONE)
        nothing = reading.nothing
        if not nothing and separator != NONE:
            said = {part for name in labels if name in columns for part in split_findings(columns[name], separator)}
            nothing = next((part for word in NOTHING for part in sorted(said) if part.lower() == word), NONE)
        return replace(reading, delimiter=grid.delimiter, encoding=grid.encoding, folder=str(self.folder.resolve()), file=file,
                       labels=labels, separator=separator, nothing=nothing or NONE, together=together, **roles)

    def _guess_file(self) -> str:
        """The column of which most values are names of files that are there; by its own name where none are."""
        columns = self.grid.columns
        best, most = "", 0.0
        for name, cells in columns.items():
            some = cells[::max(1, len(cells) // 200)][:200]
            there = sum(self.finder.find(cell)[0] >= 0 for cell in some) / max(1, len(some))
            score = there * (1 + len(set(some)) / max(1, len(some)) + (_plain(name) in CALLED["file"]))
            if score > most:
                best, most = name, score
        by_ending = (name for name, cells in columns.items() if cells and ending(cells[0]) in SUFFIXES - {""})
        by_name = (name for name in columns if _plain(name) in CALLED["file"])
        return best or next(by_ending, "") or next(by_name, NONE)

    def _guess_labels(self, taken: set[str]) -> tuple[tuple[str, ...], bool]:
        """The columns that look like labels, and whether they are the findings of one task."""
        free = {name: cells for name, cells in self.grid.columns.items() if name not in taken}
        named = [name for name in free if _plain(name) in CALLED["label"]]
        if named:
            return (named[0],), False
        known = CALLED["other"] | CALLED["file"] | set().union(*(CALLED[role] for role in ROLES))
        values = {name: set(map(str.strip, cells)) - {""} for name, cells in free.items() if _plain(name) not in known}
        flags = [name for name, found in values.items() if found == {"0", "1"}]
        if len(flags) > 1:
            return tuple(flags), True
        few = [name for name, found in values.items() if 2 <= len(found) <= max(2, min(20, len(free[name]) // 5))]
        return (few[0],) if few else (), False

    # ------------------------------------------------------------------------------------------------- what they mean

    def _used(self) -> list[str]:
        roles = [getattr(self.resolved, role) for role in ROLES]
        return list(dict.fromkeys([*self.resolved.labels, *(name for name in roles if name != NONE)]))

    def _check_roles(self) -> None:
        reading, columns = self.resolved, self.grid.columns
        there = f"There are: {', '.join(map(short, list(columns)[:30]))}."
        for role, name in [("file", reading.file), *(("label", name) for name in reading.labels),
                           *((role, getattr(reading, role)) for role in ROLES)]:
            if name != NONE and name not in columns:
                raise LightboxError("table.column", f"{self.path.name} has no column {short(name)!r} for the {role}.", there)
        if reading.file == NONE:
            raise LightboxError("table.file", f"No column of {self.path.name} holds the names of image files.",
                                f"Choose the column with the files, or the folder in which they are. {there}")
        if not reading.labels:
            raise LightboxError("table.label", f"No column of {self.path.name} looks like a label.",
                                f"Choose the column with what is to be learned. {there}")
        if reading.file in reading.labels:
            raise LightboxError("table.label", f"The column {short(reading.file)!r} cannot be both the file and the label.",
                                there)

    def _splits(self, cells: dict[str, list[str]]) -> list[str]:
        """train, val, test of each row; "" where the table has no column for it."""
        name = self.resolved.split
        if name == NONE:
            return [""] * len(self.grid.lines)
        unknown = sorted({cell for cell in cells[name] if cell.lower() not in SPLIT_FOLDERS})
        if unknown:
            raise LightboxError("table.split", f"The column {short(name)!r} holds "
                                f"{', '.join(repr(short(value)) for value in unknown[:5])}, which is no split.",
                                "Its values should be train, val and test; or choose no column for the split.")
        return [SPLIT_FOLDERS[cell.lower()] for cell in cells[name]]

    def _targets(self, cells: dict[str, list[str]], notes: list[str]) -> dict[str, Target]:
        """What can be learned, in the order of the columns.

        Args:
            cells: label column -> a value of each row that is used, never empty
        """
        reading, targets = self.resolved, {}
        flags = [name for name, values in cells.items() if set(values) <= {"0", "1"}] if reading.together else []
        if len(flags) > 1:
            labels = np.array([[int(value) for value in cells[name]] for name in flags], np.int64).T
            targets["findings"] = Target("findings", "Findings", "multi-label, binary-class", tuple(flags), labels)
        for title, values in cells.items():
            if title in flags and "findings" in targets:
                continue
            name = base = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:40] or "label"
            while name in targets:
                name = f"{base}_{len(targets)}"
            joined = reading.separator != NONE and any(reading.separator in value for value in values)
            targets[name] = self._findings(name, title, values, notes) if joined else self._classes(name, title, values, notes)
        return targets

    def _classes(self, name: str, title: str, values: list[str], notes: list[str]) -> Target:
        class_names = tuple(sorted(set(values), key=_natural))
        if len(class_names) > MAX_CLASSES:
            raise LightboxError("table.classes", f"The column {short(title)!r} has {len(class_names):,} different values; each "
                                f"would be a class, and the limit is {MAX_CLASSES:,}.", "Choose another column for the label.")
        if len(class_names) < 2:
            raise LightboxError("table.classes", f"All labels in the column {short(title)!r} are {short(class_names[0])!r}.",
                                "Two classes at least are needed to learn a difference. Choose another column.")
        notes += _alike(class_names)
        missing = [value for value in class_names if value.lower() in ("na", "n/a", "nan", "none", "null", "unknown", "?")]
        if missing:
            notes.append(f"In the column {short(title)} the value {', '.join(missing)} is taken as the name of a class, not as "
                         "missing.")
        number = {value: k for k, value in enumerate(class_names)}
        task = "binary-class" if len(class_names) == 2 else "ordinal-regression" if self.resolved.ordinal else "multi-class"
        return Target(name, title, task, class_names, np.array([number[value] for value in values], np.int64))

    def _findings(self, name: str, title: str, values: list[str], notes: list[str]) -> Target:
        separator, nothing = self.resolved.separator, self.resolved.nothing
        parts = [[part.strip() for part in value.split(separator) if part.strip()] for value in values]
        findings = tuple(sorted({part for found in parts for part in found if part != nothing}, key=_natural))
        if not 2 <= len(findings) <= MAX_FINDINGS:
            raise LightboxError("table.findings", f"The column {short(title)!r} holds {len(findings):,} different findings when "
                                f"cut at {separator!r}; between 2 and {MAX_FINDINGS} can be learned.",
                                "Choose another separator, or none.")
        notes += _alike(findings)
        number = {value: k for k, value in enumerate(findings)}
        labels = np.zeros((len(values), len(findings)), np.int64)
        for row, found in enumerate(parts):
            labels[row, [number[part] for part in found if part != nothing]] = 1
        both = sum(nothing in found and len(found) > 1 for found in parts)
        if both:
            notes.append(f"{both:,} rows say both {nothing} and a finding: the finding counts.")
        return Target(name, title, "multi-label, binary-class", findings, labels)

    def _table(self, rows: list[int], cells: dict[str, list[str]], split: list[str]) -> pd.DataFrame:
        """The rows that are used: COLUMNS, then all other columns as they stand in the file."""
        reading, columns = self.resolved, self.grid.columns
        paths = [self.files[self.places[row][0]] for row in rows]

        def role(name: str) -> list[str]:
            return [cells[name][row] for row in rows] if name != NONE else [""] * len(rows)

        patient, study = role(reading.patient), role(reading.study)
        study = [f"{p}/{s}" if p and s else s for p, s in zip(patient, study)]      # a study's number may begin anew for each
        table = {"image_id": paths, "patient": patient, "study": study, "view": role(reading.view), "path": paths,
                 "split": [split[row] for row in rows]}
        used = {reading.file, *(getattr(reading, r) for r in ROLES)}
        for name, values in columns.items():
            if name not in used:
                reserved = name in COLUMNS or name in ("width", "height")
                table[f"{name} (table)" if reserved else name] = [values[row] for row in rows]
        return pd.DataFrame(table)


# ----------------------------------------------------------------------------------------------------------------- values

def guess_separator(cells: list[str]) -> str:
    """The sign that joins several findings in one cell, "" where none does.

    A bar or a semicolon in any cell is one; a comma, slash or plus only where cutting there leaves fewer different values.
    """
    different = set(cells)
    for separator in SEPARATORS:
        if any(separator in cell for cell in different):
            if separator in "|;" or len(split_findings(cells, separator)) < len(different):
                return separator
    return ""


def split_findings(cells: list[str], separator: str) -> set[str]:
    """All different findings in some cells."""
    return {part.strip() for cell in set(cells) for part in cell.split(separator)} - {""}


def _are_splits(cells: list[str]) -> bool:
    found = {cell.strip().lower() for cell in cells}
    return len(found) > 1 and found <= set(SPLIT_FOLDERS)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _natural(name: str) -> tuple:
    """Sort key by which 2 comes before 10, and 1 before 01."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], len(name), name


def _alike(names: tuple[str, ...]) -> list[str]:
    """Sentences about names that a person would take for the same."""
    seen, notes = {}, []
    for name in names:
        visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) not in ("Cf", "Cc"))
        look = " ".join(visible.split()).casefold()
        look = look.lstrip("0") or "0" if look.isdecimal() else look
        if look in seen:
            notes.append(f"{short(seen[look])!r} and {short(name)!r} look alike and are two different classes here.")
        seen.setdefault(look, name)
    return notes[:20]
