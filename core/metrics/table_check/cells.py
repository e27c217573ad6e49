"""A table as it is pasted, from a document, a spreadsheet, a README or a web page, as rows of cells."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

MAX_LINES = 1000
RULER = re.compile(r"[\s|:+=-]*[-=][\s|:+=-]*")      # below the headings of a table in Markdown


def read_cells(text: str) -> list[list[str]]:
    """Return the cells of a pasted table, (rows, columns) text, all rows of one length; [] where there are none.

    HTML is read by its tags. Else a line is a row, and its cells are separated by tabs, bars, semicolons, commas, or two and
    more blanks, else by single blanks. Where the line of headings lacks the cell above the names of the rows, it gets an
    empty one.

    >>> read_cells("\\tTrain\\tTest\\nElbow\\t2048\\t585")
    [['', 'Train', 'Test'], ['Elbow', '2048', '585']]
    >>> read_cells("| run | acc |\\n|---|---|\\n| A | **0.7** |") == read_cells("run,acc\\nA,0.7")
    True
    """
    rows = _of_html(text) if re.search(r"<t[rdh][\s>]", text, re.IGNORECASE) else _of_lines(text)
    rows = [row for row in ([_plain(cell) for cell in row] for row in rows) if any(row)]
    if not rows:
        return []
    width = max(map(len, rows))
    if len(rows) > 1 and len(rows[0]) == width - 1 == len(rows[1]) - 1:
        rows[0] = ["", *rows[0]]
    rows = [row + [""] * (width - len(row)) for row in rows]
    filled = [j for j in range(width) if any(row[j] for row in rows)]      # a sign at the end of each line makes no column
    return [[row[j] for j in filled] for row in rows]


def _plain(cell: str) -> str:
    return " ".join(cell.replace("\u00a0", " ").split()).strip("*_` ")


def _of_lines(text: str) -> list[list[str]]:
    lines = [line.strip("\r\n") for line in text.splitlines()[:MAX_LINES] if line.strip() and not RULER.fullmatch(line)]
    for sign in "\t|;":
        if sum(sign in line for line in lines) > len(lines) / 2:
            break
    else:
        return _split(lines) if lines else []
    if sign == "|" and all(line.strip().startswith("|") for line in lines):
        lines = [line.strip().removeprefix("|").removesuffix("|") for line in lines]
    return list(csv.reader(io.StringIO("\n".join(lines)), delimiter=sign))


def _split(lines: list[str]) -> list[list[str]]:
    """Split lines at commas where the headings have them; else at two blanks or, where no line has those, at each."""
    if "," in lines[0]:
        return list(csv.reader(io.StringIO("\n".join(lines)), skipinitialspace=True))
    blanks = r"\s{2,}" if any(re.search(r"\S\s{2,}\S", line) for line in lines) else r"\s+"
    return [re.split(blanks, line.strip()) for line in lines]


def _of_html(text: str) -> list[list[str]]:
    table = _Table()
    table.feed(text)
    table.close()
    return table.rows[:MAX_LINES]


class _Table(HTMLParser):
    """Rows and cells of the tables in a page; a cell over several columns is repeated as empty ones."""

    def __init__(self):
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag, attrs):
        if tag == "tr" or tag in ("td", "th") and not self.rows:
            self.rows.append([])
        if tag in ("td", "th"):
            span = dict(attrs).get("colspan") or "1"
            wide = min(int(span), 100) if span.isdecimal() else 1
            self.rows[-1] += [""] * wide
            self.place, self.inside = -wide, True
        if tag == "br" and self.inside:
            self.rows[-1][self.place] += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th", "tr", "table"):
            self.inside = False

    def handle_data(self, data):
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][self.place] += data
