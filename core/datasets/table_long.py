"""Tables with a row for each finding of an image, yes or no: one row for each image, a column for each finding.

    ID_0001_epidural,0                          ID_0001,0,1
    ID_0001_subdural,1
"""

from __future__ import annotations

from dataclasses import replace

from core.datasets.delimited import DelimitedTable
from core.datasets.file_index import FileIndex
from core.datasets.table_options import COLUMN_NAMES, READERS, plain
from core.datasets.table_values import words_of

HEAD = 600                  # rows by which such a table is known
MAX_KINDS = 50
MAX_COLUMNS = 8             # wider tables have a row for each image
YES_OR_NO = {"0", "1", "0.0", "1.0"}


def widen(table: DelimitedTable, index: FileIndex) -> DelimitedTable:
    """Return the table with a row for each image, where it has one for each of its findings; else the table as it is."""
    if len(table.columns) > MAX_COLUMNS or not table.header:
        return table
    value = next((name for name, cells in reversed(table.columns.items()) if len(set(cells[:HEAD])) > 1
                  and set(cells[:HEAD]) <= YES_OR_NO), None)
    for file in table.columns if value else ():
        for kind in (None, *table.columns):
            if value not in (file, kind) and file != kind and _is_kind(kind):
                rows = _keys(table, file, kind, HEAD)
                if _is_long(rows, len(table.lines) > HEAD) and _names_files(rows, index):
                    return _wide(table, file, kind, value)
    return table


def _is_kind(name: str | None) -> bool:
    about = set().union(*(COLUMN_NAMES[role] for role in ("other", "view", "split", "patient", "study", "file")))
    return name is None or plain(name) not in about and not words_of(name) & READERS


def _keys(table: DelimitedTable, file: str, kind: str | None, most: int | None = None) -> list[tuple[str, str]]:
    """Return (image, finding) of each row: two cells, or what stands before and after the last _ of one."""
    if kind is not None:
        return list(zip(table.columns[file][:most], table.columns[kind][:most]))
    return [(cell.rpartition("_")[0], cell.rpartition("_")[2]) for cell in table.columns[file][:most]]


def _is_long(rows: list[tuple[str, str]], cut: bool) -> bool:
    """Return whether each image has each finding once; the last one may be cut off."""
    rows = [row for row in rows if row[0] != rows[-1][0]] if cut else rows
    images, kinds = {image for image, _ in rows}, {kind for _, kind in rows}
    return (len(images) > 1 and 2 <= len(kinds) <= MAX_KINDS and "" not in images | kinds and len(set(rows)) == len(rows)
            and len(rows) == len(images) * len(kinds) and not all(kind.isdecimal() for kind in kinds))


def _names_files(rows: list[tuple[str, str]], index: FileIndex) -> bool:
    images = list(dict.fromkeys(image for image, _ in rows))[:50]
    return sum(index.find(image)[0] >= 0 for image in images) > 0.5 * len(images)


def _wide(table: DelimitedTable, file: str, kind: str | None, value: str) -> DelimitedTable:
    first: dict[str, int] = {}
    keys = _keys(table, file, kind)
    for row, (image, _) in enumerate(keys):
        first.setdefault(image, row)
    place = {image: k for k, image in enumerate(first)}
    findings = {name: [""] * len(first) for _, name in keys}
    for (image, name), cell in zip(keys, table.columns[value]):
        findings[name][place[image]] = cell
    columns = {name: [cells[row] for row in first.values()] for name, cells in table.columns.items()
               if name not in (file, kind, value)}
    note = f"{len(keys):,} rows, one for each finding of an image, are read as {len(first):,} rows with {len(findings)} columns."
    return replace(table, columns={file: list(first), **columns, **findings}, lines=[table.lines[row] for row in first.values()],
                   notes=[*table.notes, note], short={})
