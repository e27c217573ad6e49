"""How the options that a person left open are guessed from the columns of a table: by their names, and by their values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.datasets.delimited import NONE
from core.datasets.file_index import FileIndex
from core.datasets.image_names import SUFFIXES
from core.datasets.level_words import SPLIT_WORDS
from core.datasets.source import Understood
from core.datasets.table_compose import naming_columns
from core.datasets.table_labels import flags_how, guess_labels, separator_of
from core.datasets.table_options import (
    COLUMN_NAMES,
    FROM_FOLDERS,
    FROM_LABELS,
    FROM_NAMES,
    GROUPS,
    NOT_IMAGES,
    OLD_RULES,
    TableOptions,
    by_old_rules,
    plain,
)
from core.datasets.table_patient import PatientSearch, is_patient
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
    file, more = _guess_files(guess, columns, index)
    options = _left_to_pattern(replace(options, file=file, more_files=more, **facts))
    used = {file, *more, *options.labels, *options.roles.values()}
    split = options.split or _guess_split(columns, used, made, options)
    used.add(split)
    if options.labels:
        labels, how = options.labels, _how_chosen(options, columns)
    else:
        labels, how = _guess_targets(guess, options, columns, used, made)
    used |= set(labels)
    roles = {"split": split}
    for role in ("patient", "study", "view"):
        roles[role] = getattr(options, role) or _named(role, columns, used)
        used.add(roles[role])
    if options.patient == "":
        search = PatientSearch(replace(guess.options, file=file, split=split), columns, used, made, several=bool(more),
                               groups_by_file=_have_several(columns, file, index), say=guess.say)
        roles |= search.find(roles["patient"], roles["study"])
    options = replace(options, labels=labels, **roles, **{key: value for key, value in how.items() if not getattr(options, key)})
    options = replace(options, **separator_of(options, [columns[name] for name in labels if name in columns]))
    guess.options = replace(options, **_policies(options, columns))
    _say_groups(guess, columns, roles["patient"])
    _say_split(guess, columns, split)
    return guess


def _left_to_pattern(options: TableOptions) -> TableOptions:
    """Return the options with labels and patient from the names of files where a pattern has them and no column is given."""
    by_pattern = {"labels": (FROM_LABELS,), "patient": FROM_NAMES}
    return replace(options, **{key: value for key, value in by_pattern.items() if not getattr(options, key)
                               and f"(?P<{key.removesuffix('s')}>" in options.pattern})


def _how_chosen(options: TableOptions, columns: dict[str, Values]) -> dict[str, bool]:
    """Return the options that go with label columns that a person chose: whether exactly one of them is yes in each row."""
    if len(options.labels) < 2 or options.one_of or options.together or options.rules:
        return {}
    how = flags_how([columns[name] for name in options.labels if name in columns])
    return how if how.get("one_of") else {}     # findings only where a person says so: each column is a task of its own


def _guess_targets(guess: Guess, options: TableOptions, columns: dict[str, Values], used: set[str],
                   made: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the columns with labels among the free ones, else the names of the files, and the options that go with them."""
    taken = used | naming_columns(columns)
    free = {name: values for name, values in columns.items() if name not in taken and not is_patient(name)}
    labels, how = guess_labels(free, guess.understood)
    if (not labels or how.get("filled")) and made[FROM_LABELS](options) is not None:
        guess.say("column.label", "No column is a label: the names of the files say it.", "labels")
        return (FROM_LABELS,), {}
    return labels, how


# ------------------------------------------------------------------------------------------------------------------- the file

def _guess_files(guess: Guess, columns: dict[str, Values], index: FileIndex) -> tuple[str, tuple[str, ...]]:
    """Return the column that names the image files and further ones, those of the options or guessed, and say them."""
    options = guess.options
    file = options.file or guess_file(columns, index)
    more = options.more_files or (() if options.file else _more_files(file, columns, index))
    if file in columns:
        guess.say("column.file", f"The column {short(file)} names the image files."
                  if not more else f"The columns {', '.join(map(short, (file, *more)))} name image files: several of one row.",
                  "file")
    return file, more


def guess_file(columns: dict[str, Values], index: FileIndex) -> str:
    """Return the column of which most values name files that exist; by its own name where none do."""
    samples = {name: _sample(values) for name, values in columns.items()}
    share = {name: _share((index.find(cell)[1] for cell in cells), len(set(cells)) > 0.3 * len(cells))
             for name, cells in samples.items()}
    if not _is_sure(samples, share, index):
        share = {name: max(share[name], _share_by_words(name, cells, index)) for name, cells in samples.items()}
    scores = {name: share[name] * _worth_as_file(name, cells) for name, cells in samples.items()}
    best = max(scores, key=scores.get, default="")
    return best if best and scores[best] > 0 else _file_by_looks(samples)


def _file_by_looks(samples: dict[str, list[str]]) -> str:
    """Return the first column of which the first value ends as an image does, else the first that is called as one."""
    by_suffix = (name for name, cells in samples.items() if cells and suffix_of(cells[0]) in SUFFIXES - {""})
    by_name = (name for name in samples if plain(name) in COLUMN_NAMES["file"])
    return next(by_suffix, "") or next(by_name, NONE)


def _sample(values: Values) -> list[str]:
    """Return the values of some rows from all over the table."""
    rows = np.arange(0, len(values.codes), max(1, len(values.codes) // SAMPLE))[:SAMPLE]
    return values.rows(rows)


def _is_sure(samples: dict[str, list[str]], share: dict[str, float], index: FileIndex) -> bool:
    """Return whether some column surely names files: half of its values do, or a few and one of them names a single file."""
    most = max(share.values(), default=0)
    if most >= 0.5 or most < 0.02:
        return most >= 0.5
    return any(not index.find(cell)[1] for name, cells in samples.items() if share[name] for cell in cells)


def _share_by_words(name: str, cells: list[str], index: FileIndex) -> float:
    """Return a share of cells that are a word in the names of files, less certain; 0 for a column that can be no name at all."""
    if len(set(cells)) < 0.3 * len(cells) or plain(name) in COLUMN_NAMES["other"] - {"id"} or words_of(name) & MEASURES:
        return 0.0
    found = index.find_all(dict.fromkeys(cells))
    return sum(0.6 * isinstance(found[cell], tuple) for cell in cells) / max(1, len(cells))


def _worth_as_file(name: str, cells: list[str]) -> float:
    """Return a factor: the higher, the more different the values are and the more the name is that of a column of images."""
    distinct = len(set(cells)) / max(1, len(cells))
    return 1 + distinct + (plain(name) in COLUMN_NAMES["file"]) - bool(words_of(name) & NOT_IMAGES)


def _share(problems, distinct: bool) -> float:
    """Return the share of cells that name a file; one that names several counts a little less, or nothing where cells repeat."""
    worth = [0.7 * distinct * problem[0].isdigit() if problem else 1.0 for problem in problems]
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
    codes = {cell: SPLIT_WORDS.get(cell.lower(), "") for cell in values.names}
    words = [word for word in re.findall("[a-z]+", name.lower()) if word not in ("is", "in", "set")]
    named = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
    if named and len(named) == len(words):
        codes = (_yes_or_no_codes(named[0], values) if len(named) == 1 else _numbered_codes(named, values)) or codes
    return codes if "" not in codes.values() and len(set(codes.values())) > 1 else {}


def _yes_or_no_codes(split: str, values: Values) -> dict[str, str]:
    """Return what each value of a column means that is yes for the images of one split; {} where it is not yes or no."""
    flags = flags_of(values)
    if flags is None or set(flags) != {0, 1}:
        return {}
    other = "test" if split == "train" else "train"
    return {cell: split if flag else other for cell, flag in zip(values.names, flags)}


def _numbered_codes(splits: list[str], values: Values) -> dict[str, str]:
    """Return what each value of a column means that numbers some splits from 0 or 1; {} where it does not."""
    first = min((cell for cell in values.names if cell in ("0", "1")), default="")
    if not first or not set(values.names) <= {str(int(first) + k) for k in range(len(splits))}:
        return {}
    return {cell: splits[int(cell) - int(first)] for cell in sorted(values.names)}


def _say_groups(guess: Guess, columns: dict[str, Values], patient: str) -> None:
    """Say which column is the patient, and how many groups each other candidate gives."""
    if patient in columns:
        guess.say("column.patient", f"The column {short(patient)} gives {len(columns[patient].given):,} patients or groups.",
                  "patient")
    known = set().union(COLUMN_NAMES["patient"], *GROUPS.values())
    others = [f"{short(name)} ({len(values.given):,})" for name, values in columns.items()
              if name != patient and (plain(name) in known or is_patient(name))]
    if others:
        guess.say("groups.others", f"Other columns that could keep images together: {', '.join(others[:8])}.", "patient")


def _say_split(guess: Guess, columns: dict[str, Values], split: str) -> None:
    """Say where the split is taken from, and which column of folds is not used."""
    folds = next((name for name in columns if plain(name) in FOLDS and columns[name].numeric and name != split), "")
    if folds:
        guess.say("split.folds", f"The column {short(folds)} numbers {len(columns[folds].given)} folds, which are not used: "
                  "a split has train, val and test.", "split")
    if split not in (NONE, ""):
        guess.say("column.split", f"The split is taken from the column {short(split)}." if split != FROM_FOLDERS else
                  "The split is taken from the folders train, val and test of the files.", "split")


def _policies(options: TableOptions, columns: dict[str, Values]) -> dict[str, Any]:
    """Return the rules for uncertain, empty, missing and repeated labels that were left open."""
    if options.rules:
        return {key: value for key, value in OLD_RULES.items() if not getattr(options, key)} if options.rules == 1 else {}
    one = columns.get(options.labels[0]) if len(options.labels) == 1 else None
    needed = one is not None and len(one.given) < 2 <= len(one.names)      # without them there would be no second class
    return {"uncertain": options.uncertain or "ignore", "blanks": options.blanks or "no",
            "missing": options.missing or ("class" if needed and not options.measured else "leave out"), "rules": 2}
