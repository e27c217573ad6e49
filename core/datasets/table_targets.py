"""The targets of a table: its label columns as classes, grades or findings."""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from core.config import Task
from core.datasets.delimited import NONE
from core.datasets.source import Target
from core.datasets.table_options import TableOptions
from core.datasets.text import natural_key, short
from core.errors import LightboxError

MAX_CLASSES = 1000
MAX_FINDINGS = 100
MISSING = ("na", "n/a", "nan", "none", "null", "unknown", "?")


def build_targets(cells: dict[str, list[str]], options: TableOptions, notes: list[str]) -> dict[str, Target]:
    """Return what can be learned, in the order of the columns; adds to `notes`.

    Args:
        cells: label column -> a value of each row that is used, never empty

    Raises:
        LightboxError: "table.classes", "table.findings"
    """
    targets = {}
    binary = [name for name, values in cells.items() if set(values) <= {"0", "1"}] if options.together else []
    if len(binary) > 1:
        labels = np.array([[int(value) for value in cells[name]] for name in binary], np.int64).T
        targets["findings"] = Target("findings", "Findings", Task.MULTILABEL, tuple(binary), labels)
    for title, values in cells.items():
        if title in binary and "findings" in targets:
            continue
        name = base = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:40] or "label"
        while name in targets:
            name = f"{base}_{len(targets)}"
        joined = options.separator != NONE and any(options.separator in value for value in values)
        build = _findings if joined else _classes
        targets[name] = build(name, title, values, options, notes)
    return targets


def _classes(name: str, title: str, values: list[str], options: TableOptions, notes: list[str]) -> Target:
    class_names = tuple(sorted(set(values), key=natural_key))
    if len(class_names) > MAX_CLASSES:
        raise LightboxError("table.classes", f"The column {short(title)!r} has {len(class_names):,} different values; each would "
                            f"be a class, and the limit is {MAX_CLASSES:,}.", "Choose another column for the label.")
    if len(class_names) < 2:
        raise LightboxError("table.classes", f"All labels in the column {short(title)!r} are {short(class_names[0])!r}.",
                            "At least two classes are needed. Choose another column.")
    notes += _lookalikes(class_names)
    missing = [value for value in class_names if value.lower() in MISSING]
    if missing:
        notes.append(f"In the column {short(title)} the value {', '.join(missing)} is read as a class, not as a missing value.")
    number = {value: k for k, value in enumerate(class_names)}
    task = Task.ORDINAL if options.ordinal else Task.MULTICLASS
    if len(class_names) == 2:
        task = Task.BINARY
    return Target(name, title, task, class_names, np.array([number[value] for value in values], np.int64))


def _findings(name: str, title: str, values: list[str], options: TableOptions, notes: list[str]) -> Target:
    separator, nothing = options.separator, options.nothing
    parts = [[part.strip() for part in value.split(separator) if part.strip()] for value in values]
    findings = tuple(sorted({part for row in parts for part in row if part != nothing}, key=natural_key))
    if not 2 <= len(findings) <= MAX_FINDINGS:
        raise LightboxError("table.findings", f"The column {short(title)!r} holds {len(findings):,} different findings when "
                            f"split at {separator!r}; it can be 2 to {MAX_FINDINGS}.", "Choose another separator, or none.")
    notes += _lookalikes(findings)
    number = {value: k for k, value in enumerate(findings)}
    labels = np.zeros((len(values), len(findings)), np.int64)
    for i, row in enumerate(parts):
        labels[i, [number[part] for part in row if part != nothing]] = 1
    both = sum(nothing in row and len(row) > 1 for row in parts)
    if both:
        notes.append(f"{both:,} rows have both {nothing} and a finding: the finding counts.")
    return Target(name, title, Task.MULTILABEL, findings, labels)


def _lookalikes(names: tuple[str, ...]) -> list[str]:
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
