"""Delimited text (CSV, TSV, columns between blanks ...) and workbooks as columns of cells.

Encoding, delimiter and header are detected; no cell is changed, merged or shifted. What stands above the header (titles,
comments, Excel's `sep=;`) is left out and said; a line that ends early is filled up, and `short` says which ones.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.datasets.image_names import SUFFIXES
from core.datasets.table_header import head_of, name_columns
from core.datasets.text import short, suffix_of
from core.datasets.workbook import is_workbook, workbook_rows
from core.errors import LightboxError

MAX_BYTES = 250_000_000     # of the file
MAX_ROWS = 2_000_000        # the largest public set of chest X-rays has 377,110 images, and some have a row a box
MAX_CELLS = 12_000_000
LISTED = 1000               # lines that were left out and are named one by one; the others are only counted
BLOCK = 20_000              # rows that are turned into columns at a time
NONE = "-"                  # "there is no such column", where "" means "find it"

ENCODINGS = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16, little-endian", "utf-16-be": "UTF-16, big-endian",
             "cp1252": "Windows-1252 (Western Europe)", "latin-1": "Latin-1", "cp1250": "Windows-1250 (Central Europe)",
             "cp1251": "Windows-1251 (Cyrillic)", "gb18030": "GB 18030 (Chinese)", "shift_jis": "Shift JIS (Japanese)"}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blanks"}
NOT_TEXT = ((b"PK\x03\x04", "an OpenDocument workbook, a damaged Excel workbook, or a zip"),
            (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
            (b"\x1f\x8b", "compressed with gzip"), (b"%PDF", "a PDF"), (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image"))
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, eq=False)
class DelimitedTable:
    """The cells of a file: `columns[name][i]` stands in line `lines[i]`.

    Args:
        skipped: lines that do not fit, each {"path": ..., "reason": ...}; at most LISTED
        ragged: how many they are
        short: row -> cells it had, where the end of the line was filled up with empty cells
        header: whether the file has a line with names; without, columns are called "column 1" ...
        files: (first row, name of the file) where rows come from several
    """

    columns: dict[str, list[str]]
    lines: list[int]
    delimiter: str
    encoding: str
    skipped: list[dict]
    notes: list[str]
    ragged: int = 0
    short: dict[int, int] = field(default_factory=dict)
    header: bool = True
    files: tuple[tuple[int, str], ...] = ()

    def place(self, row: int) -> str:
        """Return where a row stands: "train.csv, line 7"."""
        return f"{next(name for start, name in reversed(self.files) if start <= row)}, line {self.lines[row]}"


def replace_rows(table: DelimitedTable, rows: int) -> DelimitedTable:
    """Return a table with only its first rows."""
    return replace(table, columns={name: cells[:rows] for name, cells in table.columns.items()}, lines=table.lines[:rows])


@dataclass
class _Rows:
    """The rows below the header: their columns and lines, and those that do not fit."""

    columns: list[list[str]]
    lines: list[int] = field(default_factory=list)
    skipped: list[dict] = field(default_factory=list)
    ragged: int = 0
    comments: int = 0
    short: dict[int, int] = field(default_factory=dict)


def read_delimited(path: Path, delimiter: str = "", encoding: str = "", header: str = "",
                   names: tuple[str, ...] = (), head: int = 0) -> DelimitedTable:
    """Read the cells of a table; "" detects the delimiter, the encoding, and whether there is a header ("yes", "no").

    Args:
        head: of a long text, only whole lines among so many bytes; 0 for all
        names: names of the columns, in their order, for a table without a header; the rest are called "column 3" ...

    Raises:
        LightboxError: "table.too_large", "table.not_text" (an image, a PDF ...), "table.lfs", "table.encoding", "table.quotes",
            "table.ragged", "table.columns", "table.empty", "table.delimiter"
    """
    data = _read_bytes(path, head)
    if is_workbook(data):
        sheet, lines, notes = workbook_rows(path, data)
        table = _columns_of(path, enumerate(sheet, 1), "", "", header, names, lines)
        table.notes[:0] = notes
        return table
    lines = max(data.count(b"\n"), data.count(b"\r"))
    if lines > MAX_ROWS + 1:
        raise _too_large(path, f"has about {lines:,} lines", f"{MAX_ROWS:,}")
    encoding = _detect_encoding(path, data, encoding)
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    delimiter = {"tab": "\t", "\\t": "\t", "blank": " "}.get(delimiter, delimiter)
    if not delimiter:
        delimiter = _detect_delimiter(io.TextIOWrapper(io.BytesIO(data[:200_000]), codec, newline="", errors="ignore"))
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise LightboxError("table.delimiter", f"{short(delimiter)!r} cannot be a delimiter.", "Give one character, or tab.")
    text = io.TextIOWrapper(io.BytesIO(data), codec, newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=delimiter == " ")
    try:
        return _columns_of(path, ((reader.line_num, row) for row in reader), delimiter, encoding, header, names, lines)
    except csv.Error as error:
        raise LightboxError("table.quotes", f"Line {reader.line_num:,} of {path.name} cannot be split into cells: a quotation "
                            f"mark is missing or misplaced ({error}).",
                            "Correct that line, or choose another delimiter.") from error
    except UnicodeDecodeError as error:
        raise LightboxError("table.encoding", f"{path.name} is not encoded in {ENCODINGS[encoding]}.",
                            "Choose another encoding.") from error


def _columns_of(path: Path, numbered: Iterator[tuple[int, list[str]]], delimiter: str, encoding: str, header: str,
                names: tuple[str, ...], lines: int) -> DelimitedTable:
    """Return the columns of rows that come as (line, cells)."""
    first = list(itertools.islice(numbered, 300))
    head = head_of(path, first, header, names)
    if len(head.names) * lines > MAX_CELLS:
        raise _too_large(path, f"has about {len(head.names) * lines:,} cells", f"{MAX_CELLS:,}")
    columns, notes = name_columns(head.names)
    rows = _read_rows(path, itertools.chain(first[head.rows:], numbered), len(columns), head.cells)
    if rows.ragged > len(rows.lines):
        raise LightboxError("table.ragged", f"{rows.ragged:,} of {rows.ragged + len(rows.lines):,} lines of {path.name} do not "
                            f"have the {len(columns)} cells of its header.", "The delimiter may be a different one.")
    if not rows.lines:
        raise LightboxError("table.empty", f"{path.name} has a header and no rows.", "Export the table again.")
    notes = head.notes + notes
    if rows.comments:
        notes.append(f"{rows.comments:,} comment lines of {path.name} were left out.")
    return DelimitedTable(dict(zip(columns, rows.columns)), rows.lines, delimiter, encoding, rows.skipped, notes, rows.ragged,
                          rows.short, head.header, ((0, path.name),))


def open_file(path: Path):
    """Open a table for reading bytes. Raises LightboxError "table.unreadable"."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise LightboxError("table.unreadable", f"{path.name} cannot be opened: {error.strerror}.",
                            "Check that it exists and that you may read it.") from error


def _read_bytes(path: Path, head: int = 0) -> bytes:
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES and not head:
            raise _too_large(path, f"has {size / 1e6:,.0f} MB", f"{MAX_BYTES / 1e6:.0f} MB")
        start = file.read(head or size)
        if not head or size <= head:
            return start
        if start.startswith(b"PK\x03\x04"):
            return start + file.read(MAX_BYTES)
        return start[:max(start.rfind(b"\n"), start.rfind(b"\r")) + 1] or start


def _read_rows(path: Path, numbered: Iterable[tuple[int, list[str]]], width: int, header: list[str]) -> _Rows:
    """Read the rows into columns, in blocks, so that a million rows are never lists of cells at once; equal cells are one."""
    rows, block, shared = _Rows([[] for _ in range(width)]), [], {}
    for line, row in numbered:
        if len(row) != width:
            row = _fit(path, line, row, width, rows, len(rows.lines))
            if row is None:
                continue
        elif row == header or row[0][:1] == "#" and not any(row[1:]):
            rows.comments += 1
            continue
        block.append(row)
        rows.lines.append(line)
        if len(block) == BLOCK:
            _append(rows.columns, block, shared)
    _append(rows.columns, block, shared)
    return rows


def _append(columns: list[list[str]], block: list[list[str]], shared: dict[str, str]) -> None:
    if len(shared) > 500_000:
        shared.clear()
    for column, cells in zip(columns, zip(*block)):
        column += map(shared.setdefault, cells, cells)
    block.clear()


def _fit(path: Path, line: int, row: list[str], width: int, rows: _Rows, number: int) -> list[str] | None:
    """Return a row with the right number of cells: cut where only empty ones are lost, filled up where the end is missing."""
    if not any(row):
        return None                                # an empty line
    if len(row) < width:
        if row[0].startswith(("#", "//")):
            rows.comments += 1
            return None
        rows.short[number] = len(row)
        return row + [""] * (width - len(row))
    if any(row[width:]):
        rows.ragged += 1
        if rows.ragged <= LISTED:
            rows.skipped.append({"path": f"{path.name}, line {line}",
                                 "reason": f"It has {len(row)} cells, the header has {width}."})
        return None
    return row[:width]


def _too_large(path: Path, what: str, limit: str) -> LightboxError:
    return LightboxError("table.too_large", f"{path.name} {what}; the limit is {limit}.",
                         "Keep only the rows and columns you need, or split the table.")


def _detect_encoding(path: Path, data: bytes, wanted: str) -> str:
    """Return the encoding: by the byte order mark, else UTF-8 where it fits, else what Windows writes."""
    if data.startswith(LFS_POINTER):
        raise LightboxError("table.lfs", f"{path.name} is a Git LFS pointer and not the table itself.",
                            "Fetch the files in that repository with: git lfs pull")
    for start, what in NOT_TEXT:
        if data.startswith(start):
            raise LightboxError("table.not_text", f"{path.name} is {what}, not a table of text.",
                                "Open it in a spreadsheet and save it as CSV.")
    if wanted and wanted not in ENCODINGS:
        raise LightboxError("table.encoding", f"There is no encoding called {short(wanted)!r}.",
                            f"Encodings: {', '.join(ENCODINGS)}.")
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
    """Return whether all bytes can be decoded. In blocks, so that the whole text is never in memory."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(data), 2**20):
            decoder.decode(data[start:start + 2**20])
        decoder.decode(b"", final=True)
        return True
    except UnicodeDecodeError:
        return False


def _detect_delimiter(text: io.TextIOWrapper) -> str:
    """Return the delimiter that splits most of the first lines into the same number of cells, as many as possible.

    Excel's first line `sep=;` says it. Blanks only where nothing else splits the lines.
    """
    lines = [line for line, _ in zip(text, range(100))]
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:
        return lines[0].strip()[4]
    lines = lines[:-1] if len(lines) > 2 else lines      # the last one may be cut off
    lines = [line for line in lines if not line.startswith(("#", "//"))] or lines
    best, most = ",", 0.0
    for delimiter in DELIMITERS:
        if delimiter == " " and most:
            break
        try:
            counts = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ") if row)
        except csv.Error:
            continue
        width, times = counts.most_common(1)[0] if counts else (1, 0)
        if delimiter == " " and not _are_names(lines):
            continue
        score = times / max(1, counts.total()) + min(width, 50) / 1000
        if width > 1 and score > most:
            best, most = delimiter, score
    return best


def _are_names(lines: list[str]) -> bool:
    """Return whether most lines, split at blanks, are short words and not prose: at most a dozen, none ends a sentence."""
    words = [line.split() for line in lines if line.strip()]
    plain = [row for row in words if 2 <= len(row) <= 40 and not row[-1].endswith((".", ":", "!", "?"))]
    files = [row for row in words if any(suffix_of(cell) in SUFFIXES - {""} for cell in row)]
    return len(words) > 1 and len(plain) > 0.8 * len(words) and (len(files) > 0.5 * len(words) or len({*map(len, plain)}) < 3)
