"""The edit of a target's classes as rows of a table, for an editor: see core/datasets/labels.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.datasets.labels import LabelEdit, count_labels, edit_target, find_class
from core.datasets.source import Target


@dataclass(frozen=True)
class ClassRow:
    """A class in an editor: its name as stored, its images, its new name, its place among the new ones from 1, and whether it
    is kept."""

    name: str
    images: int
    new: str
    place: int
    kept: bool = True


def rows_of(target: Target, edit: LabelEdit) -> list[ClassRow]:
    """Return a row for each class of the target as it is stored. Raises LightboxError as `edit_target`.

    >>> import numpy as np
    >>> from core.config import Task
    >>> from core.datasets.labels import parse_edit
    >>> target = Target("class", "Class", Task.BINARY, ("0", "1"), np.array([0, 1, 1]))
    >>> [(row.new, row.place) for row in rows_of(target, parse_edit("1=died, died | 0"))]
    [('0', 2), ('died', 1)]
    """
    counts, edited = count_labels(target)[0], edit_target(target, edit).class_names
    given = {find_class(name, target.class_names): new for name, new in edit.names}
    rows = []
    for name in target.class_names:
        new = given.get(name, name if edit.rest == "" else edit.rest)
        place = edited.index(new) + 1 if new in edited else len(edited)
        rows.append(ClassRow(name, counts[name], new or name, place, new is not None))
    return rows


def edit_of(rows: Sequence[ClassRow], ordinal: bool = False) -> LabelEdit:
    """Return the shortest edit that rows stand for: of classes with one new name the first one's place counts.

    >>> str(edit_of([ClassRow("0", 5, "alive", 2), ClassRow("1", 4, "died", 1), ClassRow("?", 1, "?", 3, kept=False)]))
    '0=alive, 1=died, ?=-, died | alive'
    """
    names = tuple((row.name, row.new.strip() or row.name if row.kept else None) for row in rows)
    kept = list(dict.fromkeys(new for _, new in names if new is not None))
    place = {new: row.place for row, (_, new) in reversed(list(zip(rows, names))) if new is not None}
    order = tuple(sorted(kept, key=place.get))
    changed = tuple((old, new) for old, new in names if old != new)
    ordinal = ordinal and len(order) > 1
    return LabelEdit(changed, "", order if ordinal or list(order) != kept else (), ordinal)
