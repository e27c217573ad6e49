"""What tables and lists beside class folders say of the images: the official split, and whose they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.datasets import table_files, table_join
from core.datasets.file_index import FileIndex
from core.datasets.table_guess import is_patient
from core.datasets.table_options import COLUMN_NAMES, plain
from core.datasets.table_places import tables_below
from core.datasets.text import short
from core.errors import LightboxError

ENOUGH = 0.9        # share of the images that lists have to name


def read_beside(root: Path, reading) -> None:
    """Add the split and the patients from tables below a folder, where neither folders nor names say them."""
    no_split, no_patient = not any(f.split for f in reading.files), not any(fact.patient for fact in reading.facts)
    tables = tables_below(root) if any(reading.labels) and (no_split or no_patient) else []
    if not tables:
        return
    index = FileIndex([f.path for f in reading.files])
    lists = [path for path in tables if _is_list(path, index)]
    if no_split and lists:
        _read_lists(root, lists, index, reading)
    if no_patient:
        _read_patients(root, [path for path in tables if path not in lists], index, reading)


def _is_list(path: Path, index: FileIndex) -> bool:
    try:
        return bool(table_join.split_word(path.stem)) and table_join.looks_like_list(path, lambda: index)
    except OSError:
        return False


def _read_lists(root: Path, lists: list[Path], index: FileIndex, reading) -> None:
    """Take the split from train.txt, val.txt and test.txt, where each image stands in one of them."""
    split: dict[int, str] = {}
    for path in lists:
        word = table_join.split_word(path.stem)
        for answer in index.find_all(dict.fromkeys(table_join.names_in(path))).values():
            for k in answer if isinstance(answer, tuple) else ():
                if split.setdefault(k, word) != word:      # several ways to divide the images
                    return
    if len(split) < ENOUGH * len(index.files) or "train" not in split.values() or len(set(split.values())) < 2:
        return
    reading.files = [f._replace(split=split.get(k, "")) for k, f in enumerate(reading.files)]
    names = ", ".join(path.relative_to(root).as_posix() for path in lists[:6])
    reading.say("split.lists", f"The official split is taken from {names}.", "levels")
    reading.key += f"; split {_digest(split)}"


def _read_patients(root: Path, tables: list[Path], index: FileIndex, reading) -> None:
    """Take the patient of each image from the columns of tables that name them."""
    found, said = {}, {}
    for path in tables:
        try:
            seen = table_files.look(root, path, index)
        except (LightboxError, OSError):
            continue
        columns = sorted((name for name in seen.values if is_patient(name) and name != seen.file),
                         key=lambda name: plain(name) not in COLUMN_NAMES["patient"])
        if columns and seen.share > 0.5:
            table = table_files.read_delimited(path)
            keys = table_join.file_keys(table, seen.file, index)
            found |= {k: cell for k, cell in zip(keys, table.columns[columns[0]]) if k >= 0 and cell}
            said[seen.name] = columns[0]
    if len(found) < ENOUGH * len(index.files):
        return
    reading.facts = [fact._replace(patient=found.get(k, "").strip()) for k, fact in enumerate(reading.facts)]
    column = next(iter(said.values()))
    reading.patients_from = f"column {short(column)} of {', '.join(said)}"
    reading.key += f"; patients {_digest(found)}"


def _digest(values: dict[int, str]) -> str:
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:16]
