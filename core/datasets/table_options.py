"""The read options of a table of images, and how those that a person left open are guessed from its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from core.datasets.delimited import NONE, DelimitedTable
from core.datasets.file_index import FileIndex
from core.datasets.folder import SPLIT_FOLDERS
from core.datasets.image_names import SUFFIXES
from core.datasets.text import suffix_of

SEPARATORS = ("|", ";", ",", "/", "+")
ROLES = ("patient", "study", "view", "split")

# Names of columns as people write them, in lower case without spaces and punctuation.
COLUMN_NAMES = {
    "file": {"file", "filename", "filepath", "path", "image", "imagename", "imagefile", "imagepath", "imgpath", "imageindex",
             "img", "imageid", "name"},
    "label": {"label", "labels", "class", "classname", "diagnosis", "dx", "finding", "findings", "findinglabels", "target",
              "category", "grade", "kl", "klgrade", "severity", "outcome", "died", "death", "mortality", "abnormal", "pathology",
              "disease", "result"},
    "patient": {"patient", "patientid", "patientnumber", "patientno", "pid", "subject", "subjectid", "participant",
                "participantid", "person", "personid"},
    "study": {"study", "studyid", "studyuid", "studyinstanceuid", "exam", "examid", "accession", "accessionnumber", "followup"},
    "view": {"view", "viewposition", "projection"},
    "split": {"split", "set", "subset", "partition", "usage", "fold"},
    "other": {"age", "sex", "gender", "date", "year", "id", "license", "licence", "source", "url", "doi", "width", "height",
              "notes", "comment", "offset", "offsetdays", "hospital", "site", "laterality", "side"}}
NO_FINDING = ("no finding", "no findings", "none", "normal", "nothing")


@dataclass(frozen=True)
class TableOptions:
    """How a table is read. "" is guessed, "-" is none.

    Args:
        delimiter: between the cells of a line; a single character, or "tab"
        encoding: a key of `delimited.ENCODINGS`
        folder: where the images are; "" is the folder of the table. Files are found in it and below
        file: column with the names of the image files; the suffix may differ
        labels: columns with labels, each a target
        separator: between the findings in one cell, which makes the target multi-label
        nothing: the value that means "no finding"
        together: label columns that hold only 0 and 1 are the findings of one multi-label target
        ordinal: the classes are grades, in their natural order
        patient, study, view, split: columns
    """

    delimiter: str = ""
    encoding: str = ""
    folder: str = ""
    file: str = ""
    labels: tuple[str, ...] = ()
    separator: str = ""
    nothing: str = ""
    together: bool = False
    ordinal: bool = False
    patient: str = ""
    study: str = ""
    view: str = ""
    split: str = ""

    @property
    def roles(self) -> dict[str, str]:
        """Role -> its column."""
        return {role: getattr(self, role) for role in ROLES}


GUESS_ALL = TableOptions()


def guess_options(options: TableOptions, table: DelimitedTable, folder: Path, index: FileIndex) -> TableOptions:
    """Return the options with everything filled in that was left open."""
    columns = table.columns
    file = options.file or _guess_file(columns, index)
    used = {file, *options.labels, *options.roles.values()}
    roles = {}
    for role in ROLES:
        roles[role] = getattr(options, role) or _guess_role(role, columns, used)
        used.add(roles[role])
    labels, together = options.labels, options.together
    if not labels:
        labels, binary = _guess_labels({name: cells for name, cells in columns.items() if name not in used})
        together = together or binary
    label_columns = [columns[name] for name in labels if name in columns]
    separator = options.separator or next(filter(None, map(guess_separator, label_columns)), NONE)
    nothing = options.nothing
    if not nothing and separator != NONE:
        findings = sorted(set().union(*(split_findings(cells, separator) for cells in label_columns)))
        nothing = next((finding for word in NO_FINDING for finding in findings if finding.lower() == word), "")
    return replace(options, delimiter=table.delimiter, encoding=table.encoding, folder=str(folder.resolve()), file=file,
                   labels=labels, separator=separator, nothing=nothing or NONE, together=together, **roles)


def _guess_file(columns: dict[str, list[str]], index: FileIndex) -> str:
    """Return the column of which most values name files that exist; by its own name where none do."""
    best, most = "", 0.0
    for name, cells in columns.items():
        sample = cells[::max(1, len(cells) // 200)][:200]
        existing = sum(index.find(cell)[0] >= 0 for cell in sample) / max(1, len(sample))
        score = existing * (1 + len(set(sample)) / max(1, len(sample)) + (_plain(name) in COLUMN_NAMES["file"]))
        if score > most:
            best, most = name, score
    by_suffix = (name for name, cells in columns.items() if cells and suffix_of(cells[0]) in SUFFIXES - {""})
    by_name = (name for name in columns if _plain(name) in COLUMN_NAMES["file"])
    return best or next(by_suffix, "") or next(by_name, NONE)


def _guess_role(role: str, columns: dict[str, list[str]], used: set[str]) -> str:
    named = (name for name in columns if name not in used and _plain(name) in COLUMN_NAMES[role])
    return next((name for name in named if role != "split" or _are_splits(columns[name])), NONE)


def _guess_labels(columns: dict[str, list[str]]) -> tuple[tuple[str, ...], bool]:
    """Return the columns that look like labels, and whether they are the findings of one target."""
    named = [name for name in columns if _plain(name) in COLUMN_NAMES["label"]]
    if named:
        return (named[0],), False
    known = set().union(*COLUMN_NAMES.values())
    values = {name: set(map(str.strip, cells)) - {""} for name, cells in columns.items() if _plain(name) not in known}
    binary = [name for name, different in values.items() if different == {"0", "1"}]
    if len(binary) > 1:
        return tuple(binary), True
    few = [name for name, different in values.items()
           if 2 <= len(different) <= max(2, min(20, len(columns[name]) // 5))]
    return tuple(few[:1]), False


def guess_separator(cells: list[str]) -> str:
    """Return the character that joins several findings in one cell, "" where none does.

    A bar or a semicolon in any cell is one; a comma, slash or plus only where splitting leaves fewer different values.

    >>> guess_separator(["Effusion|Nodule", "No Finding"]), guess_separator(["left, upper", "right, lower"])
    ('|', '')
    """
    different = set(cells)
    for separator in SEPARATORS:
        if any(separator in cell for cell in different):
            if separator in "|;" or len(split_findings(cells, separator)) < len(different):
                return separator
    return ""


def split_findings(cells: list[str], separator: str) -> set[str]:
    """Return all different findings in some cells."""
    return {part.strip() for cell in set(cells) for part in cell.split(separator)} - {""}


def _are_splits(cells: list[str]) -> bool:
    values = {cell.strip().lower() for cell in cells}
    return len(values) > 1 and values <= set(SPLIT_FOLDERS)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
