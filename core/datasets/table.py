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

import codecs
import csv
import hashlib
import io
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets.folder import IGNORED, SPLIT_FOLDERS, SUFFIXES
from core.datasets.intake import decode_image
from core.datasets.source import COLUMNS, Index, Progress, Source, Target
from core.errors import LightboxError

MAX_BYTES = 100_000_000     # of the table
MAX_ROWS = 500_000          # the largest public set of chest X-rays has 377,110 images
MAX_CELLS = 6_000_000
MAX_FILES = 1_000_000       # below the folder, of any kind
MAX_CLASSES = 1000
MAX_FINDINGS = 100
MAX_LABEL = 200             # characters
LISTED = 1000               # rows that were left out and are named one by one; the others are counted
NONE = "-"                  # "there is no such column", where "" means "find it"

ENCODINGS = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16, little end first", "utf-16-be": "UTF-16, big end first",
             "cp1252": "Windows-1252 (Western Europe)", "latin-1": "Latin-1", "cp1250": "Windows-1250 (Central Europe)",
             "cp1251": "Windows-1251 (Cyrillic)", "gb18030": "GB 18030 (Chinese)", "shift_jis": "Shift JIS (Japanese)"}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
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
        encoding: a key of ENCODINGS
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


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of a table: `columns[name][i]` stands in the line `lines[i]` of the file."""

    columns: dict[str, list[str]]
    lines: list[int]
    delimiter: str
    encoding: str
    skipped: list[dict]
    notes: list[str]


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
        with _opened(self.path) as file:
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
                skipped.append({"path": f"{self.path.name}, line {grid.lines[row]}: {_short(grid.columns[reading.file][row])}",
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
        by_ending = (name for name, cells in columns.items() if cells and _ending(cells[0]) in SUFFIXES - {""})
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
        there = f"There are: {', '.join(map(_short, list(columns)[:30]))}."
        for role, name in [("file", reading.file), *(("label", name) for name in reading.labels),
                           *((role, getattr(reading, role)) for role in ROLES)]:
            if name != NONE and name not in columns:
                raise LightboxError("table.column", f"{self.path.name} has no column {_short(name)!r} for the {role}.", there)
        if reading.file == NONE:
            raise LightboxError("table.file", f"No column of {self.path.name} holds the names of image files.",
                                f"Choose the column with the files, or the folder in which they are. {there}")
        if not reading.labels:
            raise LightboxError("table.label", f"No column of {self.path.name} looks like a label.",
                                f"Choose the column with what is to be learned. {there}")
        if reading.file in reading.labels:
            raise LightboxError("table.label", f"The column {_short(reading.file)!r} cannot be both the file and the label.",
                                there)

    def _splits(self, cells: dict[str, list[str]]) -> list[str]:
        """train, val, test of each row; "" where the table has no column for it."""
        name = self.resolved.split
        if name == NONE:
            return [""] * len(self.grid.lines)
        unknown = sorted({cell for cell in cells[name] if cell.lower() not in SPLIT_FOLDERS})
        if unknown:
            raise LightboxError("table.split", f"The column {_short(name)!r} holds "
                                f"{', '.join(repr(_short(value)) for value in unknown[:5])}, which is no split.",
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
            raise LightboxError("table.classes", f"The column {_short(title)!r} has {len(class_names):,} different values; each "
                                f"would be a class, and the limit is {MAX_CLASSES:,}.", "Choose another column for the label.")
        if len(class_names) < 2:
            raise LightboxError("table.classes", f"All labels in the column {_short(title)!r} are {_short(class_names[0])!r}.",
                                "Two classes at least are needed to learn a difference. Choose another column.")
        notes += _alike(class_names)
        missing = [value for value in class_names if value.lower() in ("na", "n/a", "nan", "none", "null", "unknown", "?")]
        if missing:
            notes.append(f"In the column {_short(title)} the value {', '.join(missing)} is taken as the name of a class, not as "
                         "missing.")
        number = {value: k for k, value in enumerate(class_names)}
        task = "binary-class" if len(class_names) == 2 else "ordinal-regression" if self.resolved.ordinal else "multi-class"
        return Target(name, title, task, class_names, np.array([number[value] for value in values], np.int64))

    def _findings(self, name: str, title: str, values: list[str], notes: list[str]) -> Target:
        separator, nothing = self.resolved.separator, self.resolved.nothing
        parts = [[part.strip() for part in value.split(separator) if part.strip()] for value in values]
        findings = tuple(sorted({part for found in parts for part in found if part != nothing}, key=_natural))
        if not 2 <= len(findings) <= MAX_FINDINGS:
            raise LightboxError("table.findings", f"The column {_short(title)!r} holds {len(findings):,} different findings when "
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


# --------------------------------------------------------------------------------------------------- from bytes to cells

def read_grid(path: Path, delimiter: str = "", encoding: str = "") -> Grid:
    """The cells of a table, all text, nothing changed.

    Raises:
        LightboxError: "table.too_large", "table.not_text" (a workbook, an image ...), "table.encoding", "table.quotes",
            "table.ragged", "table.header", "table.empty", "table.delimiter"
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise _too_large(path, f"has {size / 1e6:,.0f} MB", f"{MAX_BYTES / 1e6:.0f} MB")
        data = file.read()
    lines = max(data.count(b"\n"), data.count(b"\r"))
    if lines > MAX_ROWS + 1:
        raise _too_large(path, f"has about {lines:,} lines", f"{MAX_ROWS:,}")
    encoding = _find_encoding(path, data, encoding)
    codec = "utf-8-sig" if encoding == "utf-8" else encoding

    def text(count: int = -1) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(data if count < 0 else data[:count]), codec, newline="",
                                errors="strict" if count < 0 else "ignore")

    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter) or _find_delimiter(text(200_000))
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise LightboxError("table.delimiter", f"{_short(delimiter)!r} cannot stand between cells.",
                            "Give one character, or tab.")
    reader = csv.reader(text(), delimiter=delimiter, strict=True)
    try:
        header = next((row for row in reader if any(row)), None)
        if header is None:
            raise LightboxError("table.empty", f"{path.name} is empty.", "Export the table again.")
        while header and not header[-1].strip():       # a delimiter at the end of each line
            header.pop()
        names, notes = _name_columns(path, header)
        width = len(names)
        if MAX_CELLS < width * lines:
            raise _too_large(path, f"has about {width * lines:,} cells", f"{MAX_CELLS:,}")
        kept, at, skipped, ragged = [], [], [], 0
        for row in reader:
            if len(row) != width:
                if not any(row):
                    continue                           # an empty line
                if len(row) < width or any(row[width:]):
                    ragged += 1
                    if len(skipped) < LISTED:
                        skipped.append({"path": f"{path.name}, line {reader.line_num}",
                                        "reason": f"It has {len(row)} cells, the header has {width}."})
                    continue
                row = row[:width]
            kept.append(row)
            at.append(reader.line_num)
    except csv.Error as error:
        raise LightboxError("table.quotes", f"{path.name} cannot be cut into cells at line {reader.line_num:,}: a quotation mark "
                            f"is missing or out of place ({error}).", "Mend that line, or choose another delimiter.") from error
    except UnicodeDecodeError as error:
        raise LightboxError("table.encoding", f"{path.name} is not written in {ENCODINGS[encoding]}.",
                            "Choose another encoding.") from error
    if ragged > len(kept):
        raise LightboxError("table.ragged", f"{ragged:,} of {ragged + len(kept):,} lines of {path.name} have another number of "
                            f"cells than its header, which has {width}.", "Perhaps the delimiter is another one.")
    if not kept:
        raise LightboxError("table.empty", f"{path.name} has a header and no rows.", "Export the table again.")
    if ragged:
        notes.append(f"{ragged:,} lines have another number of cells than the header: left out.")
    columns = {name: [row[k] for row in kept] for k, name in enumerate(names)}
    return Grid(columns, at, delimiter, encoding, skipped, notes)


def _opened(path: Path):
    try:
        return open(path, "rb")
    except OSError as error:
        raise LightboxError("table.unreadable", f"{path.name} cannot be opened: {error.strerror}.",
                            "Check that it is there and that you may read it.") from error


def _too_large(path: Path, what: str, limit: str) -> LightboxError:
    return LightboxError("table.too_large", f"{path.name} {what}; the limit is {limit}.",
                         "Keep the rows and columns that are needed, or cut the table into parts.")


def _find_encoding(path: Path, data: bytes, wanted: str) -> str:
    """The encoding of a table. A mark at its start (BOM) decides; else UTF-8 where it fits, else what Windows writes."""
    for start, what in ((b"PK\x03\x04", "an Excel or OpenDocument workbook, or a zip"),
                        (b"\xd0\xcf\x11\xe0", "an old Excel workbook"), (b"\x1f\x8b", "packed with gzip"),
                        (b"%PDF", "a PDF"), (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image")):
        if data.startswith(start):
            raise LightboxError("table.not_text", f"{path.name} is {what}, not a table of text.",
                                "Open it in a spreadsheet and save it as CSV.")
    if wanted and wanted not in ENCODINGS:
        raise LightboxError("table.encoding", f"There is no encoding called {_short(wanted)!r}.",
                            f"There are: {', '.join(ENCODINGS)}.")
    if wanted:
        return wanted
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in data:
        head = data[:4000]
        for encoding, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
            if zeros.count(0) > 0.7 * len(zeros) and not letters.count(0):
                return encoding
        raise LightboxError("table.not_text", f"{path.name} is not a table of text.", "Save it as CSV.")
    return next(encoding for encoding in ("utf-8", "cp1252", "latin-1") if _fits(data, encoding))


def _fits(data: bytes, encoding: str) -> bool:
    """Whether all bytes mean something in an encoding. In portions, so that the whole text is never in memory."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(data), 2**20):
            decoder.decode(data[start:start + 2**20])
        decoder.decode(b"", final=True)
        return True
    except UnicodeDecodeError:
        return False


def _find_delimiter(text: io.TextIOWrapper) -> str:
    """The delimiter that cuts most of the first lines into the same number of cells, as many as possible."""
    lines = [line for line, _ in zip(text, range(100))]
    lines = (lines[:-1] if len(lines) > 2 else lines)      # the last one may be cut off
    best, most = ",", 0.0
    for delimiter in DELIMITERS:
        try:
            counts = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error:
            continue
        width, times = counts.most_common(1)[0] if counts else (1, 0)
        score = times / max(1, counts.total()) + min(width, 50) / 1000
        if width > 1 and score > most:
            best, most = delimiter, score
    return best


def _name_columns(path: Path, header: list[str]) -> tuple[list[str], list[str]]:
    """Names of the columns, each another, and notes. Raises LightboxError "table.header" where the first line is no header."""
    if any(_ending(cell) in SUFFIXES - {""} for cell in header):
        raise LightboxError("table.header", f"The first line of {path.name} names a file: it is no header.",
                            "Add a first line with a name for each column.")
    if len(header) < 2:
        raise LightboxError("table.columns", f"{path.name} has only one column, {_short(header[0])!r}.",
                            "Needed are a column with file names and one with labels. Perhaps the delimiter is another one.")
    names, notes = [], []
    for k, cell in enumerate(header):
        base = " ".join(cell.split())[:100] or f"column {k + 1}"
        base = f"column {base}" if base == NONE else base
        name, n = base, 1
        while name in names:
            n += 1
            name = f"{base} ({n})"
        if n > 1:
            notes.append(f"Two columns are called {_short(base)}: the later one is shown as {_short(name)}.")
        elif not cell.strip():
            notes.append(f"Column {k + 1} has no name: it is shown as {name}.")
        names.append(name)
    return names, notes


# --------------------------------------------------------------------------------------------------------- finding files

def list_below(folder: Path) -> list[str]:
    """Files in a folder and below whose names may be those of images, sorted. Linked folders are not entered, since they can lead
    in circles. Raises LightboxError "table.folder" for a folder with more than MAX_FILES files or that may not be read."""
    found, seen, stack = [], 0, [""]
    while stack:
        below = stack.pop()
        try:
            with os.scandir(folder / below) as scan:
                for entry in scan:
                    if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(f"{below}{entry.name}/")
                        continue
                    seen += 1
                    if _ending(entry.name) in SUFFIXES and _is_text(entry.name):
                        found.append(below + entry.name)
        except OSError as error:
            if not below:
                raise LightboxError("table.folder", f"The folder {folder} cannot be read: {error.strerror}.",
                                    "Check that you may open it.") from error
        if seen > MAX_FILES:
            raise LightboxError("table.folder", f"There are more than {MAX_FILES:,} files in {folder} and below.",
                                "Give the folder that holds the images and little else.")
    return sorted(found)


def _is_text(name: str) -> bool:
    """False for a name whose bytes are not UTF-8: no table can call a file so."""
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False


class Finder:
    """Finds a file by what a table calls it: its path, a part of it, or its name alone, with its own ending or another."""

    def __init__(self, files: list[str]):
        self.exact = {path: k for k, path in enumerate(files)}
        self.files, self.by_name, self.by_stem = files, {}, {}
        for k, path in enumerate(files):
            name = path.rpartition("/")[2]
            self.by_name.setdefault(name, []).append(k)
            self.by_stem.setdefault(_stem(name), []).append(k)

    def find(self, cell: str) -> tuple[int, str]:
        """(number in `files`, "") or (-1, why not in a sentence)."""
        wanted = cell.strip().replace("\\", "/").lstrip("/")
        wanted = wanted[2:] if wanted.startswith("./") else wanted
        if wanted in self.exact:
            return self.exact[wanted], ""
        name = wanted.rpartition("/")[2]
        if not name:
            return -1, "It names no file."
        stem = _stem(wanted)
        for candidates, tail, bare in ((self.by_name.get(name), wanted, False), (self.by_stem.get(name), wanted, True),
                                       (self.by_stem.get(_stem(name)), stem, True)):
            if not candidates:
                continue
            if len(candidates) > 1:      # the longest part of the path that only one of them has
                parts = tail.split("/")[-20:]
                for k in range(len(parts)):
                    end = "/" + "/".join(parts[k:])
                    paths = ((c, _stem(self.files[c]) if bare else self.files[c]) for c in candidates[:1000])
                    if fitting := [c for c, path in paths if f"/{path}".endswith(end)]:
                        candidates = fitting
                        break
            if len(candidates) == 1:
                return candidates[0], ""
            return -1, f"{len(candidates):,} files have this name, for example {self.files[candidates[0]]} and " \
                       f"{self.files[candidates[1]]}."
        return -1, "There is no file of this name."


def _stem(path: str) -> str:
    """The path without its ending, where it has one of an image."""
    ending = _ending(path)
    return path[:-len(ending)] if ending and ending in SUFFIXES else path


def _ending(name: str) -> str:
    name = name.strip().rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


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
            notes.append(f"{_short(seen[look])!r} and {_short(name)!r} look alike and are two different classes here.")
        seen.setdefault(look, name)
    return notes[:20]


def _short(text: str) -> str:
    """For a sentence: at most 60 characters of what a file says."""
    return text if len(text) <= 60 else f"{text[:57]}..."
