"""A sheet of an Excel workbook (.xlsx) as rows of text, as a person sees them."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from core.datasets.text import short
from core.errors import LightboxError

MAX_UNPACKED = 600_000_000      # bytes of the sheets: a workbook is a zip, and could hold anything


def is_workbook(data: bytes) -> bool:
    """Return whether bytes are an Excel workbook of today (a zip with xl/workbook.xml inside)."""
    return data.startswith(b"PK\x03\x04") and b"xl/workbook.xml" in data


def workbook_rows(path: Path, data: bytes) -> tuple[Iterator[list[str]], int, list[str]]:
    """Return the rows of a sheet, about how many they are, and a note where the workbook has other sheets.

    The first sheet is taken that has at least a quarter as many rows as the longest: a legend in front is short.

    Raises LightboxError "table.not_text", "table.too_large".
    """
    from openpyxl import load_workbook  # takes 0.2 s
    damaged = LightboxError("table.not_text", f"{path.name} is a damaged Excel workbook.",
                            "Open it in a spreadsheet and save it as CSV.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
                raise LightboxError("table.too_large", f"The workbook {path.name} is too large.", "Save its sheet as CSV.")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        sizes = {sheet.title: sheet.max_row or 2 for sheet in book.worksheets}
        title = next(name for name, rows in sizes.items() if rows > 1 and 4 * rows >= max(sizes.values()) or len(sizes) == 1)
    except LightboxError:
        raise
    except Exception as error:      # openpyxl raises what its XML parser, zipfile and its own checks raise
        raise damaged from error
    others = [name for name, rows in sizes.items() if name != title and rows > 1]
    notes = [f"Of the workbook {path.name} the sheet {short(title)} is read, not {', '.join(map(short, others[:5]))}."]
    return _rows(book[title], damaged), sizes[title], notes if others else []


def _rows(sheet, damaged: LightboxError) -> Iterator[list[str]]:
    try:
        for row in sheet.iter_rows(values_only=True):
            yield [_text(value) for value in row]
    except Exception as error:
        raise damaged from error


def _text(value: object) -> str:
    """Return a cell as text: 7.0 is 7 as in the sheet, a date is written as ISO does."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)
