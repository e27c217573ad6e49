"""Columns that a table does not have and its files do: the patient in their names, the split in their folders."""

from __future__ import annotations

import numpy as np

from core.datasets.file_names import NameFacts, label_prefixes, match_names, read_name
from core.datasets.level_words import SPLIT_WORDS
from core.datasets.table_options import FROM_FOLDERS, FROM_LABELS, FROM_NAMES, FROM_ROWS

MADE = (FROM_NAMES, FROM_FOLDERS, FROM_ROWS, FROM_LABELS)
ENOUGH = 0.9                # share of the files that have to say it


def from_pattern(fact: str, pattern: str, pairs, files: list[str], rows: int) -> list[str]:
    """Return what a person's pattern finds for each row, "" where it does not fit. Raises LightboxError "folder.pattern"."""
    row, file = _found(pairs)
    found = dict(zip(row.tolist(), match_names(pattern, [files[k] for k in file.tolist()])))
    return [getattr(found.get(r) or NameFacts(), fact) for r in range(rows)]


def from_names(pairs, files: list[str], rows: int) -> list[str] | None:
    """Return the patient of each row by the known patterns of names; None where most names say none."""
    return _by_pattern("patient", pairs, files, rows)


def from_labels(pairs, files: list[str], rows: int) -> list[str] | None:
    """Return the label of each row by the known patterns of names; None where most say none, or all the same."""
    values = _by_pattern("label", pairs, files, rows)
    if values is None:
        row, file = _found(pairs)
        labels = label_prefixes([files[k] for k in file.tolist()])
        said = dict(zip(row.tolist(), labels))
        values = [said.get(r, "") for r in range(rows)] if labels else None
    return values if values and len(set(values) - {""}) > 1 else None


def _by_pattern(fact: str, pairs, files: list[str], rows: int) -> list[str] | None:
    """Return what names say, for each row. A few are tried first: searching a million takes seconds."""
    row, file = _found(pairs)
    some = np.linspace(0, len(file) - 1, min(len(file), 50)).astype(int)
    if not len(file) or np.mean([bool(_said(fact, files[k])) for k in file[some]]) < ENOUGH:
        return None
    values = [""] * rows
    for r, k in zip(row.tolist(), file.tolist()):
        values[r] = _said(fact, files[k])
    return values


def _said(fact: str, path: str) -> str:
    split = next((SPLIT_WORDS[part.lower()] for part in path.split("/")[:-1] if part.lower() in SPLIT_WORDS), "")
    return getattr(read_name(path, split)[1], fact)


def from_folders(pairs, files: list[str], rows: int) -> list[str] | None:
    """Return train, val or test for each row, where the folders of nearly all files say it and at least two of them occur."""
    row, file = _found(pairs)
    folders = {folder: _split_of(folder) for folder in {files[k].rpartition("/")[0] for k in file.tolist()}}
    if len({split for split in folders.values() if split}) < 2:
        return None
    values = [""] * rows
    for r, k in zip(row.tolist(), file.tolist()):
        values[r] = folders[files[k].rpartition("/")[0]]
    return values if np.mean([bool(values[r]) for r in row]) >= ENOUGH else None


def _split_of(folder: str) -> str:
    found = {SPLIT_WORDS[part.lower()] for part in folder.split("/") if part.lower() in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else ""


def from_rows(pairs, files: list[str], rows: int) -> list[str] | None:
    """Return the number of each row: its images are those of one patient."""
    return [str(row + 1) for row in range(rows)]


def _found(pairs) -> tuple[np.ndarray, np.ndarray]:
    """Return the first file of each row that has one."""
    row, file = pairs.row[pairs.file >= 0], pairs.file[pairs.file >= 0]
    first = np.unique(row, return_index=True)[1]
    return row[first], file[first]
