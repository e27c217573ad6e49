"""A whole table of published numbers, as it is pasted: measures are known by their names, totals added up, rows checked.

    check_table(text)     each row as a claim of `core.metrics.table_check.check`; totals; rows held against each other

Measures are the headings of columns or the names of rows. A name may say more than the measure: "test_auc" and "R18 ACC" are
a measure of "test" and of "R18"; "TP/FN/FP/TN" are four.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.errors import LightboxError
from core.metrics.table_check.cells import read_cells
from core.metrics.table_check.check import COUNTS, RATES, Claim, Finding, Verdict, check
from core.metrics.table_check.totals import TOTAL, counts_of, sums

HEADINGS = {            # what a measure may be called, in small letters without signs
    "accuracy": ("accuracy", "acc"), "precision": ("precision", "prec", "ppv"),
    "recall": ("recall", "rec", "sensitivity", "sens", "tpr"),
    "specificity": ("specificity", "spec", "tnr"), "f1": ("f1", "f1score", "fscore"),
    "kappa": ("kappa", "\u03ba", "cohenskappa", "cohenkappa"),
    "n": ("n", "images", "size", "total"), "positive": ("positive", "positives", "pos", "npositive", "npos"),
    "tp": ("tp", "truepositives"), "fn": ("fn", "falsenegatives"), "fp": ("fp", "falsepositives"),
    "tn": ("tn", "truenegatives"),
}
WHOLE_NAMES = {"k": "kappa", "n": "n", "images": "n", "size": "n", "total": "n"}      # measures only where nothing else is said
AVERAGED = {"macro", "micro", "weighted", "binary", "mean", "average", "avg"}
LEARNED = {"train", "training", "val", "valid", "validation"}       # a number of images is that of the test part
TESTED, NUMBER = {"test", "testing"}, {"number", "no.", "of", "evaluated"}
MOST_ROWS = 200

# Images of the official test parts of MedMNIST (Yang et al., Scientific Data 10, 2023), for tables that print no n. Not those of
# the organs, which its first version had in other numbers, nor of the chest, whose accuracy is one of 14 findings.
TEST_SIZES = {"path": 7180, "derma": 2005, "oct": 1000, "pneumonia": 624, "retina": 400, "breast": 156, "blood": 3421,
              "tissue": 47_280}


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
    """Check a pasted table with headings (`read_cells` says in which forms).

    Measures are known by their names (HEADINGS), in the line of headings or in the first column; the others name what was
    measured. A row or column called total is added up.

    Args:
        n, positive: for rows that do not say it themselves

    Raises:
        LightboxError: "printed.table" where no table can be read
    """
    rows = read_cells(text)
    if len(rows) < 2:
        raise LightboxError("printed.table", "A table needs a line of headings and at least one row.",
                            "Paste it with its headings.")
    if len(rows) > MOST_ROWS:
        raise LightboxError("printed.table", f"The table has {len(rows):,} lines.", f"At most {MOST_ROWS} are checked at once.")
    findings = tuple(_totals(rows))
    claims = _all_claims(rows, n, positive)
    if not claims and not findings:
        raise LightboxError("printed.table", "No column of this table is known, and it has no totals.",
                            "Name the columns: " + ", ".join((*RATES, "n", "positive", *COUNTS))
                            + "; or call a row or column Total.")
    sizes = [(c.n, c.positive) for c, _ in claims if c.n and c.positive is not None]
    return TableVerdict(tuple(_checked(c, error, sizes) for c, error in claims), findings)


def _all_claims(rows: list[list[str]], n: int | None, positive: int | None) -> list[tuple[Claim, str]]:
    """The claims of a table, its measures as columns or as rows; none where it has no measures."""
    turned = [list(column) for column in zip(*rows)]
    rows = max((rows, turned), key=lambda table: sum(bool(_measures(name)[0]) for name in table[0][1:]))
    known = [_measures(name) for name in rows[0]]
    claims = [claim for row in rows[1:] if not TOTAL.match(row[0]) for claim in _claims(known, row, n, positive)]
    sizes_of = Counter(sum(c.counts.values()) for c, _ in claims if len(c.counts) == 4)
    # the rows judge the same images, so they must sum to the same
    if n is None and len(sizes_of) > 1:
        usual = sizes_of.most_common(1)[0][0]
        claims = [(replace(c, n=c.n or usual) if len(c.counts) == 4 else c, error) for c, error in claims]
    return claims


def _checked(claim: Claim, error: str, sizes: Sequence[tuple[int, int]]) -> Row:
    if error:
        return Row(claim, None, error)
    try:
        return Row(claim, check(claim, sizes))
    except LightboxError as problem:
        return Row(claim, None, f"{problem.message} {problem.hint}")


# -------------------------------------------------------------------------------------------------------------------- names

def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9\u03ba]", "", name.lower())


def _known(name: str) -> str:
    return next((key for key, names in HEADINGS.items() if _plain(name) in names), "")


def _measures(name: str) -> tuple[tuple[str, ...], str]:
    """Return the measures that a name speaks of, and of what they are.

    >>> _measures("Acc. (%)"), _measures("test_acc"), _measures("R18 ACC"), _measures("TP/FN"), _measures("Elbow")
    ((('accuracy',), ''), (('accuracy',), 'test'), (('accuracy',), 'R18'), (('tp', 'fn'), ''), ((), 'Elbow'))
    """
    parts = [_known(part) for part in name.split("/")]
    if all(parts):
        return tuple(parts), ""
    if _plain(name) in WHOLE_NAMES:
        return (WHOLE_NAMES[_plain(name)],), ""
    words = re.findall(r"[^\s_()\[\]%]+", name)
    for size in (2, 1):
        for words_of, rest in ((words[-size:], words[:-size]), (words[:size], words[size:])):
            measure, others = _known("".join(words_of)), {word.lower() for word in rest}
            if measure and (_plain("".join(words_of)) not in WHOLE_NAMES or others <= LEARNED | TESTED | NUMBER):
                return (measure,), " ".join(word for word in rest if word.lower() not in AVERAGED | NUMBER)
    return (), name


# ------------------------------------------------------------------------------------------------------------------- claims

def _claims(known: Sequence[tuple[tuple[str, ...], str]], row: Sequence[str], n: int | None,
            positive: int | None) -> Iterator[tuple[Claim, str]]:
    """Yield the claims of a row, one for each thing that its measures are of, and what could not be read in it."""
    cells: dict[str, dict[str, str]] = {}
    for (measures, of), cell in zip(known, row):
        parts = cell.split("/") if len(measures) > 1 else [cell]
        for measure, part in zip(measures, parts):
            if part.strip() not in ("", "-", "\u2013", "\u2014"):
                cells.setdefault(of, {})[measure] = part.strip()
    shared = {key: cells.get("", {}).get(key) for key in ("n", "positive")}
    judged = {of: found for of, found in cells.items() if set(found) & {*RATES, *COUNTS}}
    for of, found in judged.items():
        name = row[0] if not known[0][0] else ""
        if len(judged) > 1:
            name = f"{name} {of}".strip()
        if of and not LEARNED & {word.lower() for word in of.split()}:
            found = {key: value for key, value in shared.items() if value} | found
        whole = {"n": n, "positive": positive} if not LEARNED & {word.lower() for word in of.split()} else {}
        yield _claim(name, found, whole, TEST_SIZES.get(_set_of(f"{row[0]} {of}")) if whole else None)


def _set_of(name: str) -> str:
    """Return the key of TEST_SIZES that a name speaks of: "PathMNIST ResNet-18", "R18 OrgA", "OrganMNIST_Axial".

    >>> _set_of("PathMNIST ResNet-18"), _set_of("Pneum. R18"), _set_of("pathology")
    ('path', 'pneumonia', '')
    """
    words = re.findall(r"[a-z]+", name.lower().replace("mnist", " "))
    return next((key for word in words for key in TEST_SIZES if word == key or word == key[:5]), "")


def _claim(name: str, cells: dict[str, str], whole: dict[str, int | None], usual: int | None) -> tuple[Claim, str]:
    numbers, error = {}, ""
    for key in ("n", "positive", *COUNTS):
        if key in cells:
            number = _whole(cells[key])
            if number is None:
                error = f"{cells[key]!r} in column {key} is not a whole number."
            else:
                numbers[key] = number
    values, margins = {}, {}
    for key in RATES:
        if key in cells:
            values[key], margin = _value(cells[key])
            margins |= {key: margin} if margin else {}
    counts = {c: numbers[c] for c in COUNTS if c in numbers}
    n = numbers.get("n", whole.get("n"))
    guessed = n is None and not counts and usual is not None
    return Claim(name, values, usual if guessed else n, numbers.get("positive", whole.get("positive")), counts,
                 margins=margins, n_guessed=guessed), error


def _value(cell: str) -> tuple[str, str]:
    """Return a number and its margin as text: "98 \u00b1 2.7 %" is ("98%", "2.7%"). What stands in brackets behind it goes.

    >>> _value("0.724 (0.71-0.74)"), _value("98 \u00b1 2.7 %")
    (('0.724', ''), ('98%', '2.7%'))
    """
    text = re.sub(r"(?<=\S)\s*[\[(].*$", "", cell.strip())
    number, _, margin = re.sub(r"\+/?-", "\u00b1", text).partition("\u00b1")
    if not margin.strip():
        return number.strip(), ""
    percent = "%" if "%" in text else ""
    return number.strip(" %") + percent, margin.strip(" %") + percent


def _whole(text: str) -> int | None:
    plain = re.sub(r"[\s,*'\u2009\u202f]", "", text)
    return int(plain) if plain.isdecimal() else None


def _totals(rows: Sequence[Sequence[str]]) -> Iterator[Finding]:
    """Every row and column that is called a total, added up."""
    table = counts_of(rows)
    for where, printed, parts in sums(table) if table else ():
        if printed is not None and parts and None not in parts:
            yield _added(where, sum(parts), printed)


def _added(where: str, added: int, printed: int) -> Finding:
    if added == printed:
        return Finding(f"{where} adds up to {added:,}.", False)
    return Finding(f"{where} adds up to {added:,}, but {printed:,} is printed.", True)
