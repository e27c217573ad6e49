"""A file of text with a delimiter, as cells: how it is written is found out, and nothing in it is changed, merged or shifted."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from core.datasets.file_index import ending
from core.datasets.folder import SUFFIXES
from core.errors import LightboxError

MAX_BYTES = 100_000_000     # of the file
MAX_ROWS = 500_000          # the largest public set of chest X-rays has 377,110 images
MAX_CELLS = 6_000_000
LISTED = 1000               # lines that were left out and are named one by one; the others are counted
NONE = "-"                  # "there is no such column", where "" means "find it"

ENCODINGS = {"utf-8": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16, little end first", "utf-16-be": "UTF-16, big end first",
             "cp1252": "Windows-1252 (Western Europe)", "latin-1": "Latin-1", "cp1250": "Windows-1250 (Central Europe)",
             "cp1251": "Windows-1251 (Cyrillic)", "gb18030": "GB 18030 (Chinese)", "shift_jis": "Shift JIS (Japanese)"}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells of a table: `columns[name][i]` stands in the line `lines[i]` of the file."""

    columns: dict[str, list[str]]
    lines: list[int]
    delimiter: str
    encoding: str
    skipped: list[dict]
    notes: list[str]


def read_grid(path: Path, delimiter: str = "", encoding: str = "") -> Grid:
    """The cells of a table, all text, nothing changed.

    Raises:
        LightboxError: "table.too_large", "table.not_text" (a workbook, an image ...), "table.encoding", "table.quotes",
            "table.ragged", "table.header", "table.empty", "table.delimiter"
    """
    with open_file(path) as file:
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
        raise LightboxError("table.delimiter", f"{short(delimiter)!r} cannot stand between cells.",
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


def open_file(path: Path):
    """The table's bytes. Raises LightboxError "table.unreadable"."""
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
        raise LightboxError("table.encoding", f"There is no encoding called {short(wanted)!r}.",
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
    if any(ending(cell) in SUFFIXES - {""} for cell in header):
        raise LightboxError("table.header", f"The first line of {path.name} names a file: it is no header.",
                            "Add a first line with a name for each column.")
    if len(header) < 2:
        raise LightboxError("table.columns", f"{path.name} has only one column, {short(header[0])!r}.",
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
            notes.append(f"Two columns are called {short(base)}: the later one is shown as {short(name)}.")
        elif not cell.strip():
            notes.append(f"Column {k + 1} has no name: it is shown as {name}.")
        names.append(name)
    return names, notes


def short(text: str) -> str:
    """For a sentence: at most 60 characters of what a file says."""
    return text if len(text) <= 60 else f"{text[:57]}..."
