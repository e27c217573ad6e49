"""The head of a table: what stands above its rows, whether that is a line with names, and the names of the columns."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from core.datasets.image_names import SUFFIXES
from core.datasets.text import short, suffix_of
from core.errors import LightboxError

MAX_PREAMBLE = 50           # lines above the header
NUMBERS = str.maketrans("123456789", "000000000")


@dataclass(frozen=True)
class Head:
    """What stands above the rows.

    Args:
        names: one for each column; empty where the header has none
        rows: how many of the first lines are no rows
        cells: the header as it stands there; it may be repeated further down
        header: whether there is one
    """

    names: list[str]
    rows: int
    cells: list[str]
    header: bool
    notes: list[str]


def head_of(path: Path, first: list[tuple[int, list[str]]], header: str = "", names: tuple[str, ...] = ()) -> Head:
    """Return the head of a table from its first lines, each (line, cells).

    Args:
        header: "yes", "no", or "" to find out
        names: for the columns of a table without a header

    Raises LightboxError "table.empty", "table.columns", or "table.header" for another value of `header`.
    """
    if header not in ("", "yes", "no"):
        raise LightboxError("table.header", f"header is {short(header)!r}.", "Write yes, no, or nothing.")
    start = next((k for k, (_, row) in enumerate(first) if any(row)), None)
    if start is None:
        raise LightboxError("table.empty", f"{path.name} is empty.", "Export the table again.")
    above, start = _preamble(first, start)
    rows = [row for _, row in first[start:] if any(row)]
    cells, notes = _trimmed(rows[0]), []
    if above:
        notes.append(f"{above:,} lines above the columns of {path.name} were left out (titles, comments).")
    below = [_trimmed(row) for row in rows[1:] if not row[0].startswith(("#", "//"))]
    if header == "no" or not header and not _is_header(cells, below):
        width = max(len(cells), *map(len, below[:200])) if below else len(cells)
        columns = [*names[:width], *(f"column {k + 1}" for k in range(len(names[:width]), width))]
        if width < 2:
            raise _one_column(path, cells[0])
        notes.append(f"{path.name} has no line with names: its columns are called {', '.join(map(short, columns[:6]))}.")
        return Head(columns, start, [], False, notes)
    if cells[0].startswith("#") and len(cells) > 1:
        cells = [cells[0].lstrip("# "), *cells[1:]]
    raw, more = rows[0], _second_line(cells, rows[1:])
    if more:
        cells, below, start = more, below[1:], start + 1
        notes.append(f"The names of the columns of {path.name} stand in two lines.")
    cells = _as_wide_as_rows(cells, below, notes)
    if len(cells) < 2:
        raise _one_column(path, cells[0])
    return Head(cells, start + 1, raw, True, notes)


def _one_column(path: Path, name: str) -> LightboxError:
    return LightboxError("table.columns", f"{path.name} has only one column, {short(name)!r}.",
                         "It needs a column with file names and one with labels. The delimiter may be a different one.")


def _preamble(first: list[tuple[int, list[str]]], start: int) -> tuple[int, int]:
    """Return how many lines are titles and comments above the first line that is as wide as most, and where that stands."""
    width = Counter(len(_trimmed(row)) for _, row in first[start:] if any(row)).most_common(1)[0][0]
    above = 0
    for k, (_, row) in enumerate(first[start:start + MAX_PREAMBLE], start):
        filled = sum(bool(cell.strip()) for cell in row)
        comment = row[0].startswith(("#", "//")) if row else True
        if filled == 0 or width > 1 and filled == 1 and len(first) > k + 1 or comment and not _names_columns(first[k:], width):
            above += filled > 0
            continue
        return above, k
    return 0, start


def _names_columns(rows: list[tuple[int, list[str]]], width: int) -> bool:
    """Return whether a line that begins with # is the header itself: as wide as the rows, and no other comment below."""
    below = next((row for _, row in rows[1:] if any(row)), [""])
    return len(_trimmed(rows[0][1])) == width and not below[0].startswith("#")


def _trimmed(row: list[str]) -> list[str]:
    row = list(row)
    while len(row) > 1 and not row[-1].strip():       # a delimiter at the end of each line
        row.pop()
    return row


def _is_header(cells: list[str], below: list[list[str]]) -> bool:
    """Return whether the first line has names and no values: no file, not all numbers, no cell that comes again below."""
    if any(suffix_of(cell) in SUFFIXES - {""} for cell in cells):
        return False
    if all(cell.strip() for cell in cells) and all(map(is_number, cells)):
        return False
    if cells in below or not below:
        return True                                # a header that is repeated further down
    return not _like_the_rows(cells, below) and not _comes_again(cells, below)


def _comes_again(cells: list[str], below: list[list[str]]) -> bool:
    """Return whether so much of the first line comes again below that it is a row: its words, or its first cell with a number."""
    words = [(k, cell) for k, cell in enumerate(cells) if cell.strip() and not is_number(cell)]
    again = sum(sum(len(row) > k and row[k] == cell for row in below) > 1 for k, cell in words)
    numbered = cells[0].translate(NUMBERS)
    alike = "0" in numbered and sum(row[0].translate(NUMBERS) == numbered for row in below) > 0.8 * len(below) > 1
    if again and (alike or again > 1 or any(map(is_number, cells))):
        return True
    return alike and len(words) == 1


def _second_line(cells: list[str], rows: list[list[str]]) -> list[str]:
    """Return the names of columns from two lines, where the second names the parts of what the first one groups; else []."""
    if len(rows) < 3 or rows[0][0].strip() or any(not row[0].strip() for row in rows[1:3]):
        return []
    width = max(len(cells), len(rows[0]))
    above, under = ([*(cell.strip() for cell in row), *[""] * (width - len(row))][:width] for row in (cells, rows[0]))
    names = [low or high for high, low in zip(above, under)]
    parts = any(low and not high for high, low in zip(above, under)) and not any(map(is_number, under))
    return names if parts and sum(map(bool, under)) > 1 and len(set(names)) == len(names) and all(names) else []


def _like_the_rows(cells: list[str], below: list[list[str]]) -> bool:
    """Return whether each cell has the form of those below it, digits among them: 9003175L;0;9003175."""
    def form(cell: str) -> str:
        return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "0", cell.strip()))

    filled = [(k, form(cell)) for k, cell in enumerate(cells) if cell.strip()]
    return any("0" in one for _, one in filled) and all(
        sum(len(row) > k and form(row[k]) == one for row in below) > 0.8 * len(below) > 1 for k, one in filled)


def _as_wide_as_rows(cells: list[str], below: list[list[str]], notes: list[str]) -> list[str]:
    """Return the header with as many cells as most rows: one more in front (R writes row names so), or some at the end."""
    width, times = Counter(map(len, below)).most_common(1)[0] if below else (0, 0)
    missing = width - len(cells)
    if missing <= 0 or times < 0.8 * len(below) or len(below) < 2:
        return cells
    ids = {row[0] for row in below if len(row) == width}
    if missing == 1 and len(ids) == times:
        notes.append("The rows have one cell more than the header: the first one is taken for the name of the row.")
        return ["", *cells]
    notes.append(f"The rows have {missing} cells more than the header: those columns have no name.")
    return [*cells, *[""] * missing]


def is_number(cell: str) -> bool:
    """Return whether a cell is a number as programs write it.

    >>> [is_number(cell) for cell in ("12", "-1.5", "1e3", "0,5", "", "nan", "1_0", "7a", "1,2,3")]
    [True, True, True, True, False, False, False, False, False]
    """
    cell = cell.strip()
    if not cell[-1:].isdigit() and not cell.endswith(".") or "_" in cell:
        return False
    try:
        as_number(cell)
        return True
    except ValueError:
        return False


def as_number(cell: str) -> float:
    """Return a cell as a number; a single comma is a decimal comma. Raises ValueError."""
    return float(cell.replace(",", ".", 1) if "." not in cell else cell)


def name_columns(header: list[str]) -> tuple[list[str], list[str]]:
    """Return unique names of the columns, and notes."""
    names, notes = {}, []
    for k, cell in enumerate(header):
        base = " ".join(cell.split())[:100] or f"column {k + 1}"
        base = f"column {base}" if base == "-" else base
        name, n = base, 1
        while name in names:
            n += 1
            name = f"{base} ({n})"
        if n > 1:
            notes.append(f"Two columns are called {short(base)}: the later one is shown as {short(name)}.")
        elif not cell.strip():
            notes.append(f"Column {k + 1} has no name: it is shown as {name}.")
        names[name] = k
    return list(names), notes
