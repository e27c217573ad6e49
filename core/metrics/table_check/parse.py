"""A whole table of published numbers, as it is pasted: columns are known by their names, totals added up,
rows checked.

    check_table(text)     each row as a claim of `core.metrics.table_check.check`; totals; rows held against each other
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.errors import LightboxError
from core.metrics.table_check.check import COUNTS, RATES, Claim, Finding, Verdict, check
from core.metrics.table_check.totals import TOTAL, Counts, sums

HEADINGS = {            # what a column may be called, in small letters without signs
    "accuracy": ("accuracy", "acc"), "precision": ("precision", "prec", "ppv"),
    "recall": ("recall", "rec", "sensitivity", "sens"),
    "specificity": ("specificity", "spec"), "f1": ("f1", "f1score"),
    "kappa": ("kappa", "\u03ba", "cohenskappa", "k"),
    "n": ("n", "images", "size"), "positive": ("positive", "positives", "pos", "npositive", "npos"),
    "tp": ("tp", "truepositives"), "fn": ("fn", "falsenegatives"), "fp": ("fp", "falsepositives"),
    "tn": ("tn", "truenegatives"),
}
MOST_ROWS = 200


@dataclass(frozen=True)
class Row:
    """A row of a pasted table with what was found about it; `error` where it could not be read."""
    claim: Claim
    verdict: Verdict | None
    error: str = ""


@dataclass(frozen=True)
class TableVerdict:
    """Args:
        rows: one for each row that holds claims; empty where the table only counts something
        findings: about the whole table: its totals, rows that do not sum to what the others do
    """
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]


def check_table(text: str, n: int | None = None, positive: int | None = None) -> TableVerdict:
    """Check a pasted table with a heading line; columns separated by tabs, semicolons, bars or commas.

    Columns are known by their names (HEADINGS), the first column names the rows. A row or column called total
    is added up.

    Args:
        n, positive: for rows that do not say it themselves

    Raises:
        LightboxError: "printed.table" where no table can be read
    """
    heading, rows = _parse(text)
    findings = [*_totals(heading, rows)]
    known = [_heading(name) for name in heading]
    if not set(known) & {*RATES, *COUNTS}:
        if not findings:
            raise LightboxError("printed.table", "No column of this table is known, and it has no totals.",
                                "Name the columns: " + ", ".join((*RATES, "n", "positive", *COUNTS))
                                + "; or call a row or column Total.")
        return TableVerdict((), tuple(findings))
    claims = [_claim(known, row, n, positive) for row in rows if not TOTAL.match(row[0])]
    sizes_of = Counter(sum(c.counts.values()) for c, _ in claims if len(c.counts) == 4)
    # the rows judge the same images, so they must sum to the same
    if n is None and len(sizes_of) > 1:
        usual = sizes_of.most_common(1)[0][0]
        claims = [(replace(c, n=c.n or usual) if len(c.counts) == 4 else c, error) for c, error in claims]
    sizes = [(c.n, c.positive) for c, _ in claims if c.n and c.positive is not None]
    return TableVerdict(tuple(_checked(c, error, sizes) for c, error in claims), tuple(findings))


def _checked(claim: Claim, error: str, sizes: Sequence[tuple[int, int]]) -> Row:
    if error:
        return Row(claim, None, error)
    try:
        return Row(claim, check(claim, sizes))
    except LightboxError as problem:
        return Row(claim, None, f"{problem.message} {problem.hint}")


def _parse(text: str) -> tuple[list[str], list[list[str]]]:
    lines = [line for line in text.strip().splitlines()
             if line.strip() and not re.fullmatch(r"[\s|:+-]+", line)]
    if len(lines) < 2:
        raise LightboxError("printed.table", "A table needs a line of headings and at least one row.",
                            "Paste it with its "
        "headings.")
    if len(lines) > MOST_ROWS:
        raise LightboxError("printed.table", f"The table has {len(lines):,} lines.",
                            f"At most {MOST_ROWS} are checked at once.")
    sign = next((s for s in "\t;|" if s in lines[0]), ",")
    if sign == "|":
        lines = [line.strip().strip("|") for line in lines]
    cells = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO("\n".join(lines)),
                                                                  delimiter=sign)]
    width = len(cells[0])
    return cells[0], [(row + [""] * width)[:width] for row in cells[1:]]


def _heading(name: str) -> str:
    plain = re.sub(r"[^a-z0-9\u03ba]", "", name.lower())
    return next((key for key, names in HEADINGS.items() if plain in names), "")


def _claim(known: Sequence[str], row: Sequence[str], n: int | None,
           positive: int | None) -> tuple[Claim, str]:
    """A row as a claim, and what could not be read in it."""
    cells = {key: cell for key, cell in zip(known, row) if key and cell and cell not in ("-", "\u2013")}
    numbers, error = {}, ""
    for key in ("n", "positive", *COUNTS):
        if key in cells:
            number = _whole(cells[key])
            if number is None:
                error = f"{cells[key]!r} in column {key} is not a whole number."
            else:
                numbers[key] = number
    claim = Claim(row[0] if not known[0] else "", {name: cells[name] for name in RATES if name in cells},
                  numbers.get("n", n), numbers.get("positive", positive),
                  {c: numbers[c] for c in COUNTS if c in numbers})
    return claim, error


def _whole(text: str) -> int | None:
    plain = re.sub(r"[\s,*'\u2009\u202f]", "", text)
    return int(plain) if plain.isdecimal() else None


def _totals(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Every row and column that is called a total, added up."""
    table = Counts([row[0] for row in rows], list(heading[1:]), [[_whole(cell) for cell in row[1:]] for row in rows])
    for where, printed, parts in sums(table):
        if printed is not None and parts and None not in parts:
            yield _added(where, sum(parts), printed)


def _added(where: str, added: int, printed: int) -> Finding:
    if added == printed:
        return Finding(f"{where} adds up to {added:,}.", False)
    return Finding(f"{where} adds up to {added:,}, but {printed:,} is printed.", True)
