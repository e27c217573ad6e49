"""The totals of a printed table of counts: do they add up?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.metrics.table_check.cells import read_cells

TOTAL = re.compile(r"\W*(grand |sub)?(total|sum|all|overall|gesamt|summe|Σ)\b", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?:[,\u00a0\u202f ']\d{3})+(?![\d.])|(?<![\w.])\d+(?![\w.])")

Sum = tuple[str, int | None, list[int | None]]      # where it stands, the printed total, what it should sum


@dataclass(frozen=True)
class WrongTotal:
    """A total of a printed table that is not the sum of its row or column. `where` is in words."""

    where: str
    printed: int
    summed: int

    def __str__(self) -> str:
        return f"{self.where}: printed {self.printed:,}, but the numbers add up to {self.summed:,}."


@dataclass(frozen=True)
class Counts:
    """A table of counts: values[i][j] is in row names[i] and column titles[j]; None where there is no number."""

    names: list[str]
    titles: list[str]
    values: list[list[int | None]]


def check_totals(text: str) -> tuple[tuple[WrongTotal, ...], int]:
    """Find the totals of a table that was pasted in, and those that are wrong.

    A row or column is one of totals when its name says so (total, sum, all). "1,234", "1 234" and "**1234**" are 1234; in a
    cell with other words the first number counts.

    Returns:
        the wrong totals, and how many totals were checked; () and 0 where there is no table with totals

    >>> wrong, checked = check_totals("set | a | b | total\\ntrain | 3 | 4 | 7\\ntest | 1 | 1 | 3")
    >>> checked, str(wrong[0])
    (2, 'Row test: printed 3, but the numbers add up to 2.')
    """
    table = counts_of(read_cells(text))
    if table is None:
        return (), 0
    wrong, checked = [], 0
    for where, printed, parts in sums(table):
        known = [value for value in parts if value is not None]
        if printed is None or len(known) < 2:
            continue
        checked += 1
        if printed != sum(known):
            wrong.append(WrongTotal(where, printed, sum(known)))
    return tuple(wrong), checked


def sums(table: Counts) -> Iterator[Sum]:
    """Yield every total of a table with the numbers that it should sum."""
    yield from _row_totals(table)
    yield from _column_totals(table)


def _row_totals(table: Counts) -> Iterator[Sum]:
    """The last column of totals: one for each row."""
    totals = [j for j, title in enumerate(table.titles) if TOTAL.match(title)]
    if not totals:
        return
    for name, row in zip(table.names, table.values):
        parts = [value for j, value in enumerate(row) if j not in totals]
        yield f"Row {name}", row[totals[-1]], parts


def _column_totals(table: Counts) -> Iterator[Sum]:
    """The last row of totals: one for each column."""
    totals = [i for i, name in enumerate(table.names) if TOTAL.match(name)]
    if not totals:
        return
    rows = [row for i, row in enumerate(table.values) if i not in totals]
    for j, printed in enumerate(table.values[totals[-1]]):
        yield f"Column {table.titles[j] or j + 1}", printed, [row[j] for row in rows]


def counts_of(rows: list[list[str]]) -> Counts | None:
    """Return the numbers of a table of cells; None where there are no two rows. Lines of headings and names are optional."""
    if len(rows) < 2:
        return None
    has_header = all(_number(cell) is None for cell in rows[0][1:])
    header, body = (rows[0], rows[1:]) if has_header else ([], rows)
    has_names = all(_number(row[0]) is None or TOTAL.match(row[0]) for row in body)
    names = [row[0] if has_names else f"{i + 1}" for i, row in enumerate(body)]
    values = [[_number(cell) for cell in row[has_names:]] for row in body]
    titles = header[has_names:] + [""] * len(values[0])
    return Counts(names, titles[:len(values[0])], values)


def _number(cell: str) -> int | None:
    match = NUMBER.search(cell)
    digits = re.sub(r"\D", "", match.group()) if match else ""
    return int(digits) if 0 < len(digits) < 16 else None
