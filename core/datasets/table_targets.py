"""The targets of a table: its label columns as classes, grades or findings."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from core.config import Task
from core.datasets.delimited import NONE
from core.datasets.source import Target, Understood
from core.datasets.table_measures import NO_REGRESSION, measured
from core.datasets.table_options import LIST, NO_FINDING, TableOptions
from core.datasets.table_values import (
    BLANK,
    MISSING,
    UNSURE,
    Values,
    flags_of,
    grades_of,
    in_order,
    is_measure,
    ladder_of,
    list_of,
    same_number,
)
from core.datasets.text import short
from core.errors import LightboxError

MAX_CLASSES = 1000
MAX_FINDINGS = 100
YES_ABOVE_UNKNOWN = np.array([0, 2, 1])      # of 0, 1 and -1 (last): what several rows about one image make together


@dataclass(eq=False)
class Labels:
    """The label columns of the rows that are used.

    Args:
        columns: label column -> its values, of all rows of the table
        rows: (R,) int64 those that are used
        images: (R,) int64 the image of each, 0..N-1
        united: several rows about one image make it have several findings
    """

    columns: dict[str, Values]
    rows: np.ndarray
    images: np.ndarray
    options: TableOptions
    united: bool
    notes: list[str]
    understood: list[Understood] = field(default_factory=list)

    def say(self, code: str, text: str, option: str = "") -> None:
        self.understood.append(Understood(code, text, option))

    def build(self) -> dict[str, Target]:
        """Return what can be learned, in the order of the columns. Raises LightboxError "table.classes", "table.findings"."""
        targets: dict[str, Target] = {}
        flags = flag_columns(self.columns, self.options)
        for target in self._from_flags(flags) if flags else ():
            targets[target.name] = target
        for title, values in self.columns.items():
            if title in flags:
                continue
            name = base = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:40] or "label"
            while name in targets:
                name = f"{base}_{len(targets)}"
            target = self._from_column(name, title, values)
            targets[target.name if target.name not in targets else name] = target
        return targets

    def _from_column(self, name: str, title: str, values: Values) -> Target:
        if self.options.measured and (self.options.filled or is_measure(title, values)):
            column = title
            name, title, classes, codes = measured(name, title, values, self.options)
            self.say("labels.measure", f"The column {short(column)} is a measurement, read as {', '.join(map(short, classes))}. "
                     f"A threshold, bands, and empty or not can be chosen. {NO_REGRESSION}",
                     next(key for key in ("filled", "threshold", "bands") if getattr(self.options, key)))
            return self._classes(name, title, Values(classes, codes), ordered=True)
        if self.options.separator == LIST or self.options.separator != NONE and any(
                self.options.separator in values.names[code] for code in np.unique(values.codes[self.rows])):
            return self._findings(name, title, values)
        if self.united:
            return self._united(name, title, values)
        if is_measure(title, values):
            self.say("labels.measure", f"{short(title)} measures something: it can be read with a threshold, in bands, or "
                     f"as empty or not. {NO_REGRESSION}", "threshold")
        return self._classes(name, title, values)

    def _classes(self, name: str, title: str, values: Values, ordered: bool = False) -> Target:
        names, codes = values.names, values.codes[self.rows]
        if not self.options.as_typed and not ordered:
            names, codes = self._join_same_numbers(title, names, codes)
        present = tuple(names[k] for k in np.flatnonzero(np.bincount(codes, minlength=len(names))))
        ladder = () if ordered else ladder_of(present)
        class_names = present if ordered else in_order(present)
        if ladder and self.options.ordinal:
            class_names = ladder
        _check_classes(title, class_names)
        self._say_doubts(title, class_names)
        if not self.options.ordinal:
            self._say_grades(title, present, ladder)
        number = np.zeros(len(names), np.int64)
        for k, value in enumerate(class_names):
            number[names.index(value)] = k
        labels = np.zeros(self.images.max(initial=-1) + 1, np.int64)
        labels[self.images[::-1]] = number[codes][::-1]
        task = Task.ORDINAL if self.options.ordinal else Task.MULTICLASS
        return Target(name, title, Task.BINARY if len(class_names) == 2 else task, class_names, labels)

    def _join_same_numbers(self, title: str, names: tuple[str, ...], codes: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the values and the value of each row, where 1.0 is taken for 1 and that is said."""
        joined = same_number(names)
        if not joined:
            return names, codes
        one, other = next(iter(joined.items()))
        self.say("labels.alike", f"{one} and {other} in the column {short(title)} are taken for the same class.", "as_typed")
        names = (*names, *sorted(set(joined.values()) - set(names)))
        place = {value: k for k, value in enumerate(names)}
        return names, np.array([place[joined.get(value, value)] for value in names])[codes]

    def _say_doubts(self, title: str, class_names: tuple[str, ...]) -> None:
        """Say which classes may be none: two that look alike, a word for a missing value, -1."""
        self.notes += lookalikes(class_names)
        said = [value for value in class_names if value.lower() in MISSING | UNSURE]
        if said:
            self.notes.append(f"In the column {short(title)} the value {', '.join(said)} is read as a class, not as a missing "
                              "value.")
        minus = next((value for value in class_names if value in ("-1", "-1.0")), "")
        if minus and len(class_names) > 2:
            self.say("labels.unknown", f"{minus} in {short(title)} is read as a class. Where it means not known, leave "
                     "it out with the labels' editor.", "labels")

    def _say_grades(self, title: str, present: tuple[str, ...], ladder: tuple[str, ...]) -> None:
        """Say that classes look like grades: by their numbers, or as words in their order."""
        grades = grades_of(Values(present, np.arange(len(present))))
        if grades or ladder:
            shown = f"{grades[0]} to {grades[-1]}" if grades else " < ".join(map(short, ladder))
            self.say("labels.ordinal", f"{short(title)} looks like grades {shown}: read as classes; as an "
                     "ordinal scale (ordinal-regression) if you choose so.", "ordinal")

    def _findings(self, name: str, title: str, values: Values) -> Target:
        separator, nothing = self.options.separator, self.options.nothing
        used = np.flatnonzero(np.bincount(values.codes[self.rows], minlength=len(values.names)))
        parts = {k: _split(values.names[k], separator) for k in used}
        findings = in_order(part for row in parts.values() for part in row if part != nothing)
        if separator == LIST and len(findings) > 1 and all(len(row) == 1 for row in parts.values()):
            codes, names = pd.factorize(np.array([(_split(cell, separator) or [cell])[0] for cell in values.names], object))
            return self._classes(name, title, Values(tuple(names), codes[values.codes]))
        if not 2 <= len(findings) <= MAX_FINDINGS:
            how = "read as lists" if separator == LIST else f"split at {separator!r}"
            raise LightboxError("table.findings", f"The column {short(title)!r} holds {len(findings):,} different findings when "
                                f"{how}; it can be 2 to {MAX_FINDINGS}.", "Choose another separator, or none.")
        return self._multi(name, title, findings, parts, values)

    def _united(self, name: str, title: str, values: Values) -> Target:
        """Return a finding for each class: the rows of an image say which it has."""
        used = np.flatnonzero(np.bincount(values.codes[self.rows], minlength=len(values.names)))
        nothing = [values.names[k] for k in used if values.names[k].lower() in NO_FINDING]
        parts = {k: [] if values.names[k] in nothing else [values.names[k]] for k in used}
        return self._multi(name, title, in_order(part for row in parts.values() for part in row), parts, values)

    def _multi(self, name: str, title: str, findings: tuple[str, ...], parts: dict[int, list[str]], values: Values) -> Target:
        self.notes += lookalikes(findings)
        nothing = self.options.nothing
        number = {value: k for k, value in enumerate(findings)}
        table = np.zeros((len(values.names), len(findings)), np.int8)
        for k, row in parts.items():
            table[k, [number[part] for part in row if part != nothing]] = 1
        both = sum(int(values.counts[k]) for k, row in parts.items() if nothing in row and len(row) > 1)
        if both:
            self.notes.append(f"{both:,} rows have both {nothing} and a finding: the finding counts.")
        self.say("labels.findings", f"An image can have several of the {len(findings)} findings in {short(title)}"
                 + (f"; {short(nothing)} means none." if nothing != NONE else "."), "separator")
        return Target(name, title, Task.MULTILABEL, findings, self._united_rows(table[values.codes[self.rows]]))

    def _from_flags(self, flags: list[str]) -> list[Target]:
        if self.options.one_of:
            yes = np.array([self.columns[name].lookup([flag == 1 for flag in flags_of(self.columns[name])], bool)[self.rows]
                            for name in flags])
            labels = np.zeros(self.images.max(initial=-1) + 1, np.int64)
            labels[self.images] = yes.argmax(axis=0)
            self.say("labels.onehot", f"Exactly one of the columns {', '.join(map(short, flags[:12]))} is yes: they are the "
                     f"{len(flags)} classes of one task.", "one_of")
            task = Task.ORDINAL if self.options.ordinal else Task.MULTICLASS
            return [Target("class", "Class", Task.BINARY if len(flags) == 2 else task, tuple(flags), labels)]
        columns = [self.columns[name].lookup(flags_of(self.columns[name]))[self.rows] for name in flags]
        uncertain, blank = (sum(int((column == what).sum()) for column in columns) for what in (-1, BLANK))
        if blank:
            unknown = self.options.blanks == "unknown"
            self.say("labels.blanks", f"{blank:,} empty cells in the columns of findings are read as "
                     f"{'not known' if unknown else 'no'}.", "blanks")
        if uncertain:
            how = {"ignore": "count in no loss and no metric", "zeros": "are read as no", "ones": "are read as yes",
                   "class": "are a class of their own in each finding"}[self.options.uncertain or "ignore"]
            self.say("labels.uncertain", f"{uncertain:,} uncertain findings (-1) {how}.", "uncertain")
        table = np.array(columns, np.int8).T.reshape(len(self.rows), len(flags))
        table[table == BLANK] = -1 if self.options.blanks == "unknown" else 0
        if uncertain and self.options.uncertain == "class":
            return [Target(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"), name, Task.MULTICLASS, ("no", "yes", "uncertain"),
                           np.where(column < 0, 2, column)) for name, column in zip(flags, self._united_rows(table).T)]
        if self.options.uncertain in ("zeros", "ones") and uncertain:
            known = np.array([column == -1 for column in columns]).T
            table[known] = self.options.uncertain == "ones"
        self.say("labels.findings", f"{len(flags)} columns are findings, of which an image can have several.", "together")
        return [Target("findings", "Findings", Task.MULTILABEL, tuple(flags), self._united_rows(table))]

    def _united_rows(self, table: np.ndarray) -> np.ndarray:
        """Return (N, K) int64 from (R, K) of 0, 1 and -1: yes where a row says yes, else not known, else no."""
        count = self.images.max(initial=-1) + 1
        if count == len(self.images):
            labels = np.empty(table.shape, np.int64)
            labels[self.images] = table
            return labels
        rank = np.zeros((count, table.shape[1]), np.int64)
        np.maximum.at(rank, self.images, YES_ABOVE_UNKNOWN[table])
        return np.array([0, -1, 1])[rank]


def flag_columns(columns: dict[str, Values], options: TableOptions) -> list[str]:
    """Return the label columns that are read together because they hold only yes and no."""
    if not (options.together or options.one_of):
        return []
    flags = [name for name, values in columns.items() if flags_of(values) is not None
             and (options.rules != 1 or set(values.names) <= {"0", "1", ""})]
    if options.rules == 0 or options.rules == 2:
        flags = [name for name, values in columns.items() if flags_of(values) is not None or not values.given]
    return flags if len(flags) > 1 else []


def _check_classes(title: str, class_names: tuple[str, ...]) -> None:
    """Raise LightboxError "table.classes" where a column has too many classes, or not two."""
    if len(class_names) > MAX_CLASSES:
        raise LightboxError("table.classes", f"The column {short(title)!r} has {len(class_names):,} different values; each "
                            f"would be a class, and the limit is {MAX_CLASSES:,}.", "Choose another column for the label.")
    if len(class_names) < 2:
        raise LightboxError("table.classes", f"All labels in the column {short(title)!r} are "
                            f"{short((class_names or ('missing',))[0])!r}.",
                            "At least two classes are needed. Choose another column.")


def _split(cell: str, separator: str) -> list[str]:
    if separator == LIST:
        found = list_of(cell)
        return [cell] * bool(cell) if found is None else found
    return [part.strip() for part in cell.split(separator) if part.strip()]


def lookalikes(names: tuple[str, ...]) -> list[str]:
    """Return sentences about names that a person would take for the same."""
    seen, notes = {}, []
    for name in names:
        visible = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) not in ("Cf", "Cc"))
        look = " ".join(visible.split()).casefold()
        look = look.lstrip("0") or "0" if look.isdecimal() else look
        if look in seen:
            notes.append(f"{short(seen[look])!r} and {short(name)!r} look alike but are two different classes.")
        seen.setdefault(look, name)
    return notes[:20]


__all__ = ["Labels", "flag_columns", "lookalikes"]
