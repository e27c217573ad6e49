"""Which column of a table is the patient, or stands for it: by its name, by its groups, by the names of the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.datasets.delimited import NONE
from core.datasets.table_options import COLUMN_NAMES, FROM_NAMES, FROM_ROWS, GROUPS, TableOptions, is_named, plain
from core.datasets.table_values import Values, words_of
from core.datasets.text import short


def is_patient(name: str) -> bool:
    """Return whether a column is the patient by its name."""
    words = words_of(name)
    return plain(name) in COLUMN_NAMES["patient"] or bool(words & {"patient", "subject", "patientid"}) and bool(
        words & {"id", "no", "num", "nr", "n", "index", "number", "key", "code", "identifier", "patientid",
                  "numero", "nummer", "uid", "hash", "identifiant"})


@dataclass
class PatientSearch:
    """A search for the column by which the images of one person are kept together: one way after the other, the surest first.

    Args:
        options: those that a person chose, with the column of the files and the split
        used: columns that have a role already
        made: as in `guess_options`
        several: a row names several files, in columns of their own
        groups_by_file: most rows name several files by one cell
        say: is told the code, the text and the option of each sentence about what was found
    """

    options: TableOptions
    columns: dict[str, Values]
    used: set[str]
    made: dict[str, Any]
    several: bool
    groups_by_file: bool
    say: Callable[[str, str, str], None]

    def find(self, patient: str, study: str) -> dict[str, str]:
        """Return the columns of patient and study. A study that stands for the patient is no longer the study.

        Args:
            patient, study: what was found by the usual names, or "-"
        """
        found = self._by_name(patient) or self._by_folder()
        if not found:
            found = self._by_group(study)
            study = NONE if study == found else study
        ways = (self._by_file_names, self._by_file, self._by_row, self._by_name_of_file, self._by_codes)
        for way in ways:
            found = found or way()
        if not found:
            self.say("patients.unknown", "No column and no file name says the patient: images of one person may end up in "
                     "training and test.", "patient")
        return {"patient": found or NONE, "study": study}

    @property
    def images(self) -> int:
        """Return how many rows the table has."""
        return len(next(iter(self.columns.values())).codes) if self.columns else 0

    # Each way returns a column, or "" where it finds none.

    def _by_name(self, patient: str) -> str:
        named = [name for name in self.columns if name not in self.used | {patient} and is_patient(name)]
        candidates = [name for name in (patient, *named) if name in self.columns]
        useful = [name for name in candidates if len(self.columns[name].given) < self.images or len(candidates) == 1]
        return max(useful, key=lambda name: (plain(name) in COLUMN_NAMES["patient"], self.columns[name].filled >= 0.5),
                   default=candidates[0] if candidates else "")

    def _by_folder(self) -> str:
        return self.options.file if self.groups_by_file and is_patient(self.options.file) else ""

    def _by_group(self, study: str) -> str:
        group = next((name for names in GROUPS.values() for name in self.columns if name not in self.used - {study}
                      and plain(name) in names and 0 < len(self.columns[name].given) < self.images), "")
        if group:
            self.say("groups", f"No column names the patient: the column {short(group)} ({len(self.columns[group].given):,} "
                     "groups) stands for it, so that its images stay in one split.", "patient")
        return group

    def _by_file_names(self) -> str:
        groups = self.made[FROM_NAMES](self.options)
        if groups is None:
            return ""
        self.say("groups", f"No column names the patient: the names of the files do ({len(set(groups) - {''}):,} patients).",
                 "patient")
        return FROM_NAMES

    def _by_file(self) -> str:
        if not self.groups_by_file:
            return ""
        self.say("groups", f"Each value of the column {short(self.options.file)} names several images, taken for those of one "
                 "patient.", "patient")
        return self.options.file

    def _by_row(self) -> str:
        if not self.several:
            return ""
        self.say("groups", "The images of one row are taken for those of one patient.", "patient")
        return FROM_ROWS

    def _by_name_of_file(self) -> str:
        file = self.options.file
        if file not in self.columns or not is_patient(file):
            return ""
        repeated = len(self.columns[file].given) < self.images
        self.say("column.patient.file", f"The column {short(file)}, which by its name is the patient, names the files"
                 + ("." if repeated else ": each image counts as a patient of its own, though some may show the same person."),
                 "patient")
        return file

    def _by_codes(self) -> str:
        """Return, in a table without header, a column of numbers or codes of which each comes in a few rows."""
        if any(map(is_named, self.columns)):
            return ""
        for name, values in self.columns.items():
            digits = all(any(map(str.isdigit, cell)) for cell in values.given)
            many = max(2, self.images / 20) < len(values.given) < self.images
            if name not in self.used | set(self.options.labels) and values.filled == 1 and digits and many and (
                    values.counts.max() <= 20):
                return name
        return ""
