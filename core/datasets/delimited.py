"""Delimited text (CSV, TSV ...) as columns of cells.

Encoding and delimiter are detected; no cell is changed, merged or shifted.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from core.datasets.image_names import SUFFIXES
from core.datasets.text import short, suffix_of
from core.errors import LightboxError

MAX_BYTES = 100_000_000     # of the file
MAX_ROWS = 500_000          # the largest public set of chest X-rays has 377,110 images
MAX_CELLS = 6_000_000
LISTED = 1000               # lines that were left out and are named one by one; the others are only counted
NONE = "-"                  # "there is no such column", where "" means "find it"

ENCODINGS = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16, little-endian", "utf-16-be": "UTF-16, big-endian",
             "cp1252": "Windows-1252 (Western Europe)", "latin-1": "Latin-1", "cp1250": "Windows-1250 (Central Europe)",
             "cp1251": "Windows-1251 (Cyrillic)", "gb18030": "GB 18030 (Chinese)", "shift_jis": "Shift JIS (Japanese)"}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
NOT_TEXT = ((b"PK\x03\x04", "an Excel or OpenDocument workbook, or a zip"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
            (b"\x1f\x8b", "compressed with gzip"), (b"%PDF", "a PDF"), (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image"))


@dataclass(frozen=True, eq=False)
class DelimitedTable:
    """The cells of a file: `columns[name][i]` stands in line `lines[i]`."""

    columns: dict[str, list[str]]
    lines: list[int]
    delimiter: str
    encoding: str
    skipped: list[dict]
    notes: list[str]


@dataclass
class _Rows:
    """The rows below the header: those that fit it, their lines, and those that do not."""

    cells: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    skipped: list[dict] = field(default_factory=list)
    ragged: int = 0


def read_delimited(path: Path, delimiter: str = "", encoding: str = "") -> DelimitedTable:
    """Read the cells of a table; "" detects the delimiter and the encoding.

    Raises:
        LightboxError: "table.too_large", "table.not_text" (a workbook, an image ...), "table.encoding", "table.quotes",
            "table.ragged", "table.header", "table.columns", "table.empty", "table.delimiter"
    """
    data = _read_bytes(path)
    lines = max(data.count(b"\n"), data.count(b"\r"))
    if lines > MAX_ROWS + 1:
        raise _too_large(path, f"has about {lines:,} lines", f"{MAX_ROWS:,}")
    encoding = _detect_encoding(path, data, encoding)
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    if not delimiter:
        delimiter = _detect_delimiter(io.TextIOWrapper(io.BytesIO(data[:200_000]), codec, newline="", errors="ignore"))
    delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise LightboxError("table.delimiter", f"{short(delimiter)!r} cannot be a delimiter.", "Give one character, or tab.")
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), codec, newline=""), delimiter=delimiter, strict=True)
    try:
        names, notes = _name_columns(path, _read_header(path, reader))
        if len(names) * lines > MAX_CELLS:
            raise _too_large(path, f"has about {len(names) * lines:,} cells", f"{MAX_CELLS:,}")
        rows = _read_rows(path, reader, len(names))
    except csv.Error as error:
        raise LightboxError("table.quotes", f"Line {reader.line_num:,} of {path.name} cannot be split into cells: a quotation "
                            f"mark is missing or misplaced ({error}).",
                            "Correct that line, or choose another delimiter.") from error
    except UnicodeDecodeError as error:
        raise LightboxError("table.encoding", f"{path.name} is not encoded in {ENCODINGS[encoding]}.",
                            "Choose another encoding.") from error
    if rows.ragged > len(rows.cells):
        raise LightboxError("table.ragged", f"{rows.ragged:,} of {rows.ragged + len(rows.cells):,} lines of {path.name} do not "
                            f"have the {len(names)} cells of its header.", "The delimiter may be a different one.")
    if not rows.cells:
        raise LightboxError("table.empty", f"{path.name} has a header and no rows.", "Export the table again.")
    if rows.ragged:
        notes.append(f"{rows.ragged:,} lines do not have as many cells as the header and were left out.")
    columns = {name: [row[k] for row in rows.cells] for k, name in enumerate(names)}
    return DelimitedTable(columns, rows.lines, delimiter, encoding, rows.skipped, notes)


def open_file(path: Path):
    """Open a table for reading bytes. Raises LightboxError "table.unreadable"."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise LightboxError("table.unreadable", f"{path.name} cannot be opened: {error.strerror}.",
                            "Check that it exists and that you may read it.") from error


def _read_bytes(path: Path) -> bytes:
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise _too_large(path, f"has {size / 1e6:,.0f} MB", f"{MAX_BYTES / 1e6:.0f} MB")
        return file.read()


def _read_header(path: Path, reader) -> list[str]:
    header = next((row for row in reader if any(row)), None)
    if header is None:
        raise LightboxError("table.empty", f"{path.name} is empty.", "Export the table again.")
    while header and not header[-1].strip():       # a delimiter at the end of each line
        header.pop()
    return header


def _read_rows(path: Path, reader, width: int) -> _Rows:
    rows = _Rows()
    for row in reader:
        if len(row) != width:
            if not any(row):
                continue                           # an empty line
            if len(row) < width or any(row[width:]):
                rows.ragged += 1
                if rows.ragged <= LISTED:
                    rows.skipped.append({"path": f"{path.name}, line {reader.line_num}",
                                         "reason": f"It has {len(row)} cells, the header has {width}."})
                continue
            row = row[:width]
        rows.cells.append(row)
        rows.lines.append(reader.line_num)
    return rows


def _too_large(path: Path, what: str, limit: str) -> LightboxError:
    return LightboxError("table.too_large", f"{path.name} {what}; the limit is {limit}.",
                         "Keep only the rows and columns you need, or split the table.")


def _detect_encoding(path: Path, data: bytes, wanted: str) -> str:
    """Return the encoding: by the byte order mark, else UTF-8 where it fits, else what Windows writes."""
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
    """Return the delimiter that splits most of the first lines into the same number of cells, as many as possible."""
    lines = [line for line, _ in zip(text, range(100))]
    lines = lines[:-1] if len(lines) > 2 else lines      # the last one may be cut off
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
    """Return unique names of the columns, and notes. Raises LightboxError "table.header" where the first line is no header."""
    if any(suffix_of(cell) in SUFFIXES - {""} for cell in header):
        raise LightboxError("table.header", f"The first line of {path.name} names a file: it is not a header.",
                            "Add a first line with a name for each column.")
    if len(header) < 2:
        raise LightboxError("table.columns", f"{path.name} has only one column, {short(header[0])!r}.",
                            "It needs a column with file names and one with labels. The delimiter may be a different one.")
    names, notes = [], []
    for k, cell in enumerate(header):
        base = " ".join(cell.split())[:100] or f"column {k + 1}"
        base = f"column {base}" if base == NONE else base
        name, n = base, 1
        while name in names:
            n += 1
            name = f"{base} ({n})"
        if n > 1:
            notes.append(f"Two columns are called {short(base)}: the later one is shown as {short(name)}.")
        elif not cell.strip():
            notes.append(f"Column {k + 1} has no name: it is shown as {name}.")
        names.append(name)
    return names, notes
