"""How the options that a person left open are guessed from the columns of a table: by their names, and by their values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.datasets.delimited import NONE
from core.datasets.file_index import FileIndex
from core.datasets.folder import SPLIT_FOLDERS
from core.datasets.image_names import SUFFIXES
from core.datasets.source import Understood
from core.datasets.table_compose import naming_columns
from core.datasets.table_labels import flags_how, guess_labels, separator_of
from core.datasets.table_options import (
    COLUMN_NAMES,
    FROM_FOLDERS,
    FROM_LABELS,
    FROM_NAMES,
    FROM_ROWS,
    GROUPS,
    NOT_IMAGES,
    OLD_RULES,
    TableOptions,
    by_old_rules,
    is_named,
    plain,
)
from core.datasets.table_values import MEASURES, Values, flags_of, words_of
from core.datasets.text import short, suffix_of

SAMPLE = 200
FOLDS = {"fold", "folds", "kfold", "cvfold", "foldid"}


@dataclass
class Guess:
    """The options with everything filled in, and sentences about what was guessed."""

    options: TableOptions
    understood: list[Understood] = field(default_factory=list)

    def say(self, code: str, text: str, option: str = "") -> None:
        self.understood.append(Understood(code, text, option))


def guess_options(options: TableOptions, columns: dict[str, Values], index: FileIndex, facts: dict[str, str],
                  made: dict[str, Any]) -> Guess:
    """Return the options with everything filled in that was left open.

    Args:
        facts: what is known from reading the file: delimiter, encoding, folder
        made: column that can be made from the files found -> a function of the file columns that returns its values, or None
    """
    options = by_old_rules(options)
    guess = Guess(options)
    file = options.file or guess_file(columns, index)
    more = options.more_files or (() if options.file else _more_files(file, columns, index))
    if file in columns:
        guess.say("column.file", f"The column {short(file)} names the image files."
                  if not more else f"The columns {', '.join(map(short, (file, *more)))} name image files: several of one row.",
                  "file")
    options = replace(options, file=file, more_files=more, **facts)
    by_pattern = {"labels": (FROM_LABELS,), "patient": FROM_NAMES} if options.pattern else {}
    options = replace(options, **{key: value for key, value in by_pattern.items() if not getattr(options, key)
                                  and f"(?P<{key.removesuffix('s')}>" in options.pattern})
    used = {file, *more, *options.labels, *options.roles.values()}
    split = options.split or _guess_split(columns, used, made, options)
    used.add(split)
    labels, how = options.labels, {}
    if not labels:
        free = {name: values for name, values in columns.items()
                if name not in used | naming_columns(columns) and not is_patient(name)}
        labels, how = guess_labels(free, guess.understood)
        if (not labels or how.get("filled")) and made[FROM_LABELS](options) is not None:
            labels, how = (FROM_LABELS,), {}
            guess.say("column.label", "No column is a label: the names of the files say it.", "labels")
    elif len(labels) > 1 and not (options.one_of or options.together or options.rules):
        how = flags_how([columns[name] for name in labels if name in columns])
        how = how if how.get("one_of") else {}     # findings only where a person says so: each column is a task of its own
    used |= set(labels)
    roles = {"split": split}
    for role in ("patient", "study", "view"):
        roles[role] = getattr(options, role) or _named(role, columns, used)
        used.add(roles[role])
    if options.patient == "":
        roles = _guess_patient(guess, roles, columns, used, made, file, bool(more), _have_several(columns, file, index))
    options = replace(options, labels=labels, **roles, **{key: value for key, value in how.items() if not getattr(options, key)})
    options = replace(options, **separator_of(options, [columns[name] for name in labels if name in columns]))
    guess.options = options = replace(options, **_policies(options, columns))
    _say_groups(guess, columns, roles, made)
    folds = next((name for name in columns if plain(name) in FOLDS and columns[name].numeric and name != split), "")
    if folds:
        guess.say("split.folds", f"The column {short(folds)} numbers {len(columns[folds].given)} folds, which are not used: "
                  "a split has train, val and test.", "split")
    if split not in (NONE, ""):
        guess.say("column.split", f"The split is taken from the column {short(split)}." if split != FROM_FOLDERS else
                  "The split is taken from the folders train, val and test of the files.", "split")
    return guess


# ------------------------------------------------------------------------------------------------------------------- the file

def guess_file(columns: dict[str, Values], index: FileIndex) -> str:
    """Return the column of which most values name files that exist; by its own name where none do."""
    samples = {}
    for name, values in columns.items():
        rows = np.arange(0, len(values.codes), max(1, len(values.codes) // SAMPLE))[:SAMPLE]
        samples[name] = values.rows(rows)
    exact = {name: _share((index.find(cell)[1] for cell in cells), len(set(cells)) > 0.3 * len(cells))
             for name, cells in samples.items()}
    share = max(exact.values(), default=0)
    sure = share >= 0.5 or any(not index.find(cell)[1] for name in samples if exact[name] for cell in samples[name])
    if share < 0.02 or not sure:          # less certain: a word of a name. Only for what could be a name at all
        for name, cells in samples.items():
            if len(set(cells)) < 0.3 * len(cells) or plain(name) in COLUMN_NAMES["other"] - {"id"} or words_of(name) & MEASURES:
                continue
            found = index.find_all(dict.fromkeys(cells))
            exact[name] = max(exact[name], sum(0.6 * isinstance(found[cell], tuple) for cell in cells) / max(1, len(cells)))
    best, most = "", 0.0
    for name, cells in samples.items():
        distinct = len(set(cells)) / max(1, len(cells))
        score = exact[name] * (1 + distinct + (plain(name) in COLUMN_NAMES["file"]) - bool(words_of(name) & NOT_IMAGES))
        if score > most:
            best, most = name, score
    by_suffix = (name for name, cells in samples.items() if cells and suffix_of(cells[0]) in SUFFIXES - {""})
    by_name = (name for name in columns if plain(name) in COLUMN_NAMES["file"])
    return best or next(by_suffix, "") or next(by_name, NONE)


def _share(problems, distinct: bool) -> float:
    """Return the share of cells that name a file; one that names several counts a little less, or nothing where cells repeat."""
    worth = [1.0 if not problem else 0.7 * distinct if problem[0].isdigit() else 0.0 for problem in problems]
    return sum(worth) / max(1, len(worth))


def _more_files(file: str, columns: dict[str, Values], index: FileIndex) -> tuple[str, ...]:
    """Return further columns that name image files, others than the first: two images of one patient in a row."""
    if file not in columns:
        return ()
    first = {index.find(name)[0] for name in columns[file].names[:SAMPLE]}
    more = []
    for name, values in columns.items():
        if name == file or words_of(name) & NOT_IMAGES:
            continue
        cells = [cell for cell in values.given[:SAMPLE] if suffix_of(cell) in SUFFIXES - {""}]
        found = {index.find(cell)[0] for cell in cells} - {-1}
        if len(cells) > 0.5 * len(values.given[:SAMPLE]) and len(found) > 0.5 * len(cells) > 0 and not found & first:
            more.append(name)
            first |= found
    return tuple(more)


def _have_several(columns: dict[str, Values], file: str, index: FileIndex) -> bool:
    """Return whether most rows name several files by one cell: the folder of a patient, or a part of their names."""
    if file not in columns:
        return False
    found = index.find_all(dict.fromkeys(columns[file].names[:SAMPLE])).values()
    return sum(isinstance(one, tuple) and len(one) > 1 for one in found) > 0.5 * len(found)


# ---------------------------------------------------------------------------------------------------- split, patients, groups

def _named(role: str, columns: dict[str, Values], used: set[str]) -> str:
    return next((name for name in columns if name not in used and plain(name) in COLUMN_NAMES[role]), NONE)


def _guess_split(columns: dict[str, Values], used: set[str], made: dict[str, Any], options: TableOptions) -> str:
    """Return any column of which all values are words for a split; the best by name first, then the folders of the files."""
    free = [name for name in columns if name not in used]
    free.sort(key=lambda name: plain(name) not in COLUMN_NAMES["split"])
    column = next((name for name in free if split_codes(name, columns[name])), NONE)
    if column == NONE and not options.rules and made[FROM_FOLDERS](options) is not None:
        return FROM_FOLDERS
    return column


def split_codes(name: str, values: Values) -> dict[str, str]:
    """Return what each value of a column means, where all are train, val or test and at least two occur; else {}.

    Numbers are the split where the column's name says it: Train (0, 1), is_test (0, 1), Train_Val_Test (1, 2, 3).

    >>> split_codes("Train_Val_Test", Values(("1", "2", "3"), np.arange(3)))
    {'1': 'train', '2': 'val', '3': 'test'}
    """
    codes = {cell: SPLIT_FOLDERS.get(cell.lower(), "") for cell in values.names}
    words = [word for word in re.findall("[a-z]+", name.lower()) if word not in ("is", "in", "set")]
    named = [SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS]
    if named and len(named) == len(words):
        flags = flags_of(values) if len(named) == 1 else None
        other = "test" if named[0] == "train" else "train"
        if flags is not None and set(flags) == {0, 1}:
            codes = {cell: named[0] if flag else other for cell, flag in zip(values.names, flags)}
        first = min((cell for cell in values.names if cell in ("0", "1")), default="")
        if len(named) > 1 and first and set(values.names) <= {str(int(first) + k) for k in range(len(named))}:
            codes = {cell: named[int(cell) - int(first)] for cell in sorted(values.names)}
    return codes if "" not in codes.values() and len(set(codes.values())) > 1 else {}


def _guess_patient(guess: Guess, roles: dict[str, str], columns: dict[str, Values], used: set[str], made: dict[str, Any],
                   file: str, several: bool, groups_by_file: bool) -> dict[str, str]:
    """Return the roles with the best column for the patient: by its name, else a group, else from names of files."""
    roles, images = dict(roles), len(next(iter(columns.values())).codes) if columns else 0
    named = [name for name in columns if name not in used | {roles["patient"]} and is_patient(name)]
    candidates = [name for name in (roles["patient"], *named) if name in columns]
    useful = [name for name in candidates if len(columns[name].given) < images or len(candidates) == 1]
    roles["patient"] = max(useful, key=lambda name: (plain(name) in COLUMN_NAMES["patient"], columns[name].filled >= 0.5),
                           default=candidates[0] if candidates else NONE)
    if roles["patient"] == NONE and groups_by_file and is_patient(file):
        roles["patient"] = file
    if roles["patient"] == NONE:
        group = next((name for names in GROUPS.values() for name in columns if name not in used - {roles["study"]}
                      and plain(name) in names and 0 < len(columns[name].given) < images), NONE)
        if group != NONE:
            roles["patient"], roles["study"] = group, NONE if roles["study"] == group else roles["study"]
            guess.say("groups", f"No column names the patient: the column {short(group)} ({len(columns[group].given):,} groups) "
                      "stands for it, so that its images stay in one split.", "patient")
    options = replace(guess.options, file=file, split=roles["split"])
    if roles["patient"] == NONE and (groups := made[FROM_NAMES](options)) is not None:
        roles["patient"] = FROM_NAMES
        guess.say("groups", f"No column names the patient: the names of the files do ({len(set(groups) - {''}):,} patients).",
                  "patient")
    if roles["patient"] == NONE and groups_by_file:
        roles["patient"] = file
        guess.say("groups", f"Each value of the column {short(file)} names several images, taken for those of one patient.",
                  "patient")
    if roles["patient"] == NONE and several:
        roles["patient"] = FROM_ROWS
        guess.say("groups", "The images of one row are taken for those of one patient.", "patient")
    if roles["patient"] == NONE and file in columns and is_patient(file):
        roles["patient"] = file
        repeated = len(columns[file].given) < images
        guess.say("column.patient.file", f"The column {short(file)}, which by its name is the patient, names the files"
                  + ("." if repeated else ": each image counts as a patient of its own, though some may show the same person."),
                  "patient")
    if roles["patient"] == NONE and not any(map(is_named, columns)):
        roles["patient"] = _id_like(columns, used | set(guess.options.labels), images)
    if roles["patient"] == NONE:
        guess.say("patients.unknown", "No column and no file name says the patient: images of one person may end up in training "
                  "and test.", "patient")
    return roles


def is_patient(name: str) -> bool:
    """Return whether a column is the patient by its name."""
    words = words_of(name)
    return plain(name) in COLUMN_NAMES["patient"] or bool(words & {"patient", "subject", "patientid"}) and bool(
        words & {"id", "no", "num", "nr", "n", "index", "number", "key", "code", "identifier", "patientid",
                  "numero", "nummer", "uid", "hash", "identifiant"})


def _id_like(columns: dict[str, Values], used: set[str], images: int) -> str:
    """Return, in a table without header, a column of numbers or codes of which each comes in a few rows."""
    for name, values in columns.items():
        counts = values.counts
        digits = all(any(map(str.isdigit, cell)) for cell in values.given)
        if name not in used and values.filled == 1 and digits and max(2, images / 20) < len(values.given) < images and (
                counts.max() <= 20):
            return name
    return NONE


def _say_groups(guess: Guess, columns: dict[str, Values], roles: dict[str, str], made: dict[str, Any]) -> None:
    """Say which column is the patient, and how many groups each other candidate gives."""
    patient = roles["patient"]
    if patient in columns:
        guess.say("column.patient", f"The column {short(patient)} gives {len(columns[patient].given):,} patients or groups.",
                  "patient")
    known = set().union(COLUMN_NAMES["patient"], *GROUPS.values())
    others = [f"{short(name)} ({len(values.given):,})" for name, values in columns.items()
              if name != patient and (plain(name) in known or is_patient(name))]
    if others:
        guess.say("groups.others", f"Other columns that could keep images together: {', '.join(others[:8])}.", "patient")


def _policies(options: TableOptions, columns: dict[str, Values]) -> dict[str, Any]:
    """Return the rules for uncertain, empty, missing and repeated labels that were left open."""
    if options.rules:
        return {key: value for key, value in OLD_RULES.items() if not getattr(options, key)} if options.rules == 1 else {}
    one = columns.get(options.labels[0]) if len(options.labels) == 1 else None
    needed = one is not None and len(one.given) < 2 <= len(one.names)      # without them there would be no second class
    return {"uncertain": options.uncertain or "ignore", "blanks": options.blanks or "no",
            "missing": options.missing or ("class" if needed and not options.measured else "leave out"), "rules": 2}
