"""What the values of a table's columns are: yes and no, words for a missing value, lists, numbers that measure something."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from core.datasets.source import Understood
from core.datasets.table_header import as_number, is_number
from core.datasets.text import natural_key

FLAGS = {**dict.fromkeys(("1", "1.0", "true", "yes", "y", "t", "positive", "pos", "present", "x", "ja", "oui", "si", "sí"), 1),
         **dict.fromkeys(("0", "0.0", "false", "no", "n", "f", "negative", "neg", "absent", "nein", "non"), 0),
         **dict.fromkeys(("-1", "-1.0", "uncertain"), -1)}
MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "null", "?", "nat", "not available", "missing"}       # left out, and said
UNSURE = {"none", "unknown", "unk", "-", "other", "not known"}                                       # a class, and said
BLANK, WORD, UNKNOWN = 9, 8, -1          # what a cell may be besides 0 and 1
MANY = 12                                # different numbers: more are a measurement and no grades
GRADES = 11                              # 0 to 10 and 1 to 11 at most
MEASURES = {"age", "ages", "boneage", "months", "month", "days", "day", "years", "weeks", "hours", "offset", "time", "date",
            "duration", "size",
            "weight", "height", "width", "val", "value", "dose", "bmi", "distance", "volume", "area", "diameter", "mm", "cm",
            "kg", "count", "rate", "pressure", "x", "y", "xmin", "ymin", "xmax", "ymax", "seconds", "spacing", "index", "number"}
GRADE_WORDS = {"grade", "stage", "stadium", "level", "category", "degree", "kl", "grad", "rads", "t", "pt", "g", "f"}
OUTCOMES = {"death", "died", "dead", "deceased", "mortality", "event", "relapse", "recurrence", "progression"}


@dataclass(frozen=True, eq=False)
class Values:
    """A column: its different values without blanks at their ends, in the order of their first use, and the value of each row.

    Args:
        names: different values
        codes: (R,) int64, a number of `names` for each row
    """

    names: tuple[str, ...]
    codes: np.ndarray

    @staticmethod
    def of(cells: list[str]) -> Values:
        """Return a column's values; a million cells take a tenth of a second."""
        codes, names = pd.factorize(np.array(cells, object))
        stripped = [name.strip() for name in names]
        again, different = pd.factorize(np.array(stripped, object))
        return Values(tuple(different), again[codes] if len(cells) else codes)

    @cached_property
    def counts(self) -> np.ndarray:
        return np.bincount(self.codes, minlength=len(self.names))

    @cached_property
    def missing(self) -> np.ndarray:
        """Return for each different value whether it is none: empty, or a word such as nan."""
        return np.array([name == "" or name.lower() in MISSING for name in self.names], bool)

    @cached_property
    def given(self) -> tuple[str, ...]:
        """Return the different values that are not missing."""
        return tuple(name for name, missing in zip(self.names, self.missing) if not missing)

    @cached_property
    def filled(self) -> float:
        """Return the share of rows with a value."""
        return float(self.counts[~self.missing].sum() / max(1, len(self.codes)))

    @cached_property
    def numeric(self) -> bool:
        return bool(self.given) and all(is_number(name) for name in self.given)

    def rows(self, rows: np.ndarray) -> list[str]:
        """Return the values of some rows."""
        names = np.array(self.names, object)
        return list(names[self.codes[rows]])

    def lookup(self, table: list, dtype=np.int64) -> np.ndarray:
        """Return for each row what a table says of its value."""
        return np.array(table, dtype)[self.codes]


@lru_cache(100_000)
def words_of(name: str) -> frozenset[str]:
    """Return the words in the name of a column, in lower case.

    >>> sorted(words_of("icu_admissionOffset (days)"))
    ['admission', 'days', 'icu', 'offset']
    """
    return frozenset(re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))


def is_measure(name: str, values: Values) -> bool:
    """Return whether a column measures something: numbers with a unit by its name, or more than a dozen of them."""
    if not values.numeric or len(values.given) < 2 and not words_of(name) & MEASURES:
        return False
    numbers = {as_number(value) for value in values.given}
    if numbers == {0, 1} and not words_of(name) & MEASURES - {"value", "val"}:
        return False
    broken = any(number != int(number) for number in numbers if abs(number) < 1e300)
    return bool(words_of(name) & MEASURES) or len(numbers) > MANY or broken and len(numbers) > 5


def grades_of(values: Values) -> list[int] | None:
    """Return whole numbers that follow one another from 0 or 1, at least three of them; None for anything else."""
    if not values.numeric or not 3 <= len(values.given) <= GRADES:
        return None
    numbers = sorted({as_number(value) for value in values.given})
    if numbers[0] not in (0, 1) or numbers != [numbers[0] + k for k in range(len(numbers))]:
        return None
    return [int(number) for number in numbers]


LADDERS = (                 # words for grades in their order; those of one rung mean the same
    (("no", "none", "normal", "absent", "healthy", "no dr", "nodr", "non", "grade 0"),
     ("minimal", "doubtful", "questionable", "trace"),
     ("very mild", "verymild"), ("normal mild", "mild", "slight", "low"), ("moderate", "medium", "intermediate"),
     ("severe", "marked", "high"), ("very severe", "critical", "extreme", "proliferative", "proliferate", "pdr")),
    (("keine", "unauffällig"), ("leicht", "gering", "geringgradig"), ("mittel", "mäßig", "mittelgradig"),
     ("schwer", "stark", "hochgradig")),
    (("aucune", "absente"), ("légère", "légere"), ("modérée", "moderee"), ("sévère", "severe")),
    (("normal",), ("itc",), ("micro",), ("macro",)))
ROMAN = ("i", "ii", "iii", "iv", "v", "vi")
FILLER = re.compile(r"(?<![a-z])(demented|dementia|dr|npdr|retinopathy|stenosis|pneumonia|disease|oa)(?![a-z])|demented$")


def ladder_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return words that are grades in their order, at least three; () for anything else.

    >>> ladder_of(("Severe", "No_DR", "Moderate", "Mild")), ladder_of(("Stage II", "Stage I", "Stage IV"))
    (('No_DR', 'Mild', 'Moderate', 'Severe'), ('Stage I', 'Stage II', 'Stage IV'))
    """
    plain = [" ".join(re.sub(r"[_\-/]|(?<=[a-z])(?=\d)", " ", name.lower()).split()) for name in names]
    ranks = (_ranks_of_words(plain) or _ranks_of_numbers(plain)) if len(names) > 2 else []
    return tuple(name for _, name in sorted(zip(ranks, names)))


def _ranks_of_words(plain: list[str]) -> list[int]:
    """Return for each name its rung on the one ladder that has them all: Mild, Moderate, Severe; [] where none has."""
    for shortened in (plain, [FILLER.sub("", name).strip() for name in plain]):
        for ladder in LADDERS:
            rung = {word: k for k, words in enumerate(ladder) for word in words}
            ranks = [rung.get(name, rung.get(full, -1)) for name, full in zip(shortened, plain)]
            if _tell_apart(ranks):
                return ranks
    return []


def _ranks_of_numbers(plain: list[str]) -> list[int]:
    """Return for each name the number after the word for a grade that all share: Stage I, Stage II; [] where there is none."""
    heads = {name.rpartition(" ")[0] for name in plain}
    tails = [name.rpartition(" ")[2] for name in plain]
    if len(heads) != 1 or heads == {""} and not set(tails) > {"i", "ii"}:      # 1 and 2 alone are no grades, I and II are
        return []
    ranks = [_grade_number(tail) for tail in tails]
    word = (heads.pop().split() or ["stage"])[-1]
    return ranks if word in GRADE_WORDS and _tell_apart(ranks) else []


def _grade_number(word: str) -> int:
    if word.isdecimal():
        return int(word)
    return ROMAN.index(word) if word in ROMAN else -1


def _tell_apart(ranks: list[int]) -> bool:
    """Return whether each name has a rank of its own; -1 is none."""
    return -1 not in ranks and len(set(ranks)) == len(ranks)


def flags_of(values: Values) -> list[int] | None:
    """Return for each different value 0, 1, -1 (uncertain), BLANK or WORD; None where one is none of them."""
    flags = [FLAGS.get(name.lower(), BLANK if missing else None) for name, missing in zip(values.names, values.missing)]
    return None if None in flags or set(flags) <= {BLANK} else flags


def list_of(cell: str) -> list[str] | None:
    """Return what a list holds that a program wrote into a cell; None for a cell that is none.

    >>> list_of("['normal', \\"Chilaiditi's\\"]"), list_of("[]"), list_of("a, b")
    (['normal', "Chilaiditi's"], [], None)
    """
    cell = cell.strip()
    if len(cell) < 2 or (cell[0], cell[-1]) not in (("[", "]"), ("{", "}"), ("(", ")")):
        return None
    quoted = [a or b for a, b in re.findall(r"'((?:[^'\\]|\\.)*)'(?=\s*[,\])}]|\s+['\"]|$)|\"([^\"]*)\"", cell[1:-1] + cell[-1])]
    parts = quoted or cell[1:-1].split(",")
    return [part.strip() for part in parts if part.strip() and part.strip().lower() not in MISSING]


def same_number(names: tuple[str, ...]) -> dict[str, str]:
    """Return value -> the one that is the same whole number without .0, where a column holds both ("1.0" -> "1").

    >>> same_number(("0", "1.0", "1", "01", "2.50"))
    {'1.0': '1'}
    """
    whole = {}
    for name in names:
        base = re.fullmatch(r"(-?\d+)\.0+", name)
        if base:
            whole[name] = base[1]
    plain = set(names) | {base for base in whole.values() if list(whole.values()).count(base) > 1}
    return {name: base for name, base in whole.items() if base in plain} if any(b in names for b in whole.values()) else {}


def lookalike_patients(names: tuple[str, ...]) -> tuple[dict[str, str], list[Understood]]:
    """Return patient -> the one that it is joined with (7.0 and 7), and sentences on others that look alike."""
    joined, said = same_number(names), []
    if joined:
        one, other = next(iter(joined.items()))
        said.append(Understood("patients.joined", f"{len(joined):,} patients are written in two ways, such as {other} and {one}: "
                               "they are taken for one.", "as_typed"))
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        look = name.casefold().lstrip("0") if name.isdecimal() else name.casefold()
        if look in seen and name not in joined:
            pairs.append((seen[look], name))
        seen.setdefault(look, name)
    if pairs:
        said.append(Understood("patients.alike", f"{len(pairs):,} pairs of patients look alike but are two, such as "
                               f"{pairs[0][0]} and {pairs[0][1]}.", "patient"))
    rounded = [name for name in names if re.fullmatch(r"\d([.,]\d+)?[eE]\+?\d+", name)]
    if rounded:
        said.append(Understood("patients.rounded", f"The patient {rounded[0]} was rounded by a spreadsheet: different patients "
                               "may have become one. Export that column as text.", "patient"))
    return joined, said


def in_order(names) -> tuple[str, ...]:
    """Return different names in their natural order."""
    return tuple(sorted(set(names), key=natural_key))
