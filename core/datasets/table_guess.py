"""How the options that a person left open are guessed from the columns of a table: by their names, and by their values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.datasets.delimited import NONE
from core.datasets.file_index import FileIndex
from core.datasets.folder import SPLIT_FOLDERS
from core.datasets.image_names import SUFFIXES
from core.datasets.source import Understood
from core.datasets.table_options import (
    BOXES,
    COLUMN_NAMES,
    FROM_FOLDERS,
    FROM_NAMES,
    FROM_ROWS,
    GROUPS,
    LABEL_WORDS,
    LIST,
    NO_FINDING,
    NOT_IMAGES,
    OLD_RULES,
    READERS,
    TableOptions,
    by_old_rules,
    guess_separator,
    plain,
    split_findings,
)
from core.datasets.table_values import (
    BLANK,
    MEASURES,
    OUTCOMES,
    UNSURE,
    Values,
    flags_of,
    grades_of,
    is_measure,
    list_of,
    words_of,
)
from core.datasets.text import short, suffix_of

SAMPLE = 200


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
    used = {file, *more, *options.labels, *options.roles.values()}
    split = options.split or _guess_split(columns, used, made, options)
    used.add(split)
    labels, how = options.labels, {}
    if not labels:
        free = {name: values for name, values in columns.items()
                if name not in used and plain(name) not in COLUMN_NAMES["patient"]}
        labels, how = guess_labels(free, guess)
    elif len(labels) > 1 and not (options.one_of or options.together or options.rules):
        how = _flags_how([columns[name] for name in labels if name in columns])
        how = how if how.get("one_of") else {}     # findings only where a person says so: each column is a task of its own
    used |= set(labels)
    roles = {"split": split}
    for role in ("patient", "study", "view"):
        roles[role] = getattr(options, role) or _named(role, columns, used)
        used.add(roles[role])
    if options.patient == "":
        roles = _guess_patient(guess, roles, columns, used, made, file, bool(more))
    options = replace(options, labels=labels, **roles, **{key: value for key, value in how.items() if not getattr(options, key)})
    options = replace(options, **_separator(options, [columns[name] for name in labels if name in columns]))
    guess.options = options = replace(options, **_policies(options, columns))
    _say_groups(guess, columns, roles, made)
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
    exact = {name: _share(index.find(cell)[1] for cell in cells) for name, cells in samples.items()}
    if max(exact.values(), default=0) < 0.02:          # less certain: a word of a name. Only for what could be a name at all
        for name, cells in samples.items():
            if len(set(cells)) < 0.3 * len(cells) or plain(name) in COLUMN_NAMES["other"] - {"id"} or words_of(name) & MEASURES:
                continue
            found = index.find_all(dict.fromkeys(cells))
            exact[name] = sum(0.6 * isinstance(found[cell], tuple) for cell in cells) / max(1, len(cells))
    best, most = "", 0.0
    for name, cells in samples.items():
        distinct = len(set(cells)) / max(1, len(cells))
        score = exact[name] * (1 + distinct + (plain(name) in COLUMN_NAMES["file"]) - bool(words_of(name) & NOT_IMAGES))
        if score > most:
            best, most = name, score
    by_suffix = (name for name, cells in samples.items() if cells and suffix_of(cells[0]) in SUFFIXES - {""})
    by_name = (name for name in columns if plain(name) in COLUMN_NAMES["file"])
    return best or next(by_suffix, "") or next(by_name, NONE)


def _share(problems) -> float:
    """Return the share of cells that name a file; one that names several counts a little less."""
    worth = [1.0 if not problem else 0.7 if problem[0].isdigit() else 0.0 for problem in problems]
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


# ---------------------------------------------------------------------------------------------------- split, patients, groups

def _named(role: str, columns: dict[str, Values], used: set[str]) -> str:
    return next((name for name in columns if name not in used and plain(name) in COLUMN_NAMES[role]), NONE)


def _guess_split(columns: dict[str, Values], used: set[str], made: dict[str, Any], options: TableOptions) -> str:
    """Return any column of which all values are words for a split; the best by name first, then the folders of the files."""
    free = [name for name in columns if name not in used]
    free.sort(key=lambda name: plain(name) not in COLUMN_NAMES["split"])
    column = next((name for name in free if are_splits(columns[name])), NONE)
    if column == NONE and not options.rules and made[FROM_FOLDERS](options) is not None:
        return FROM_FOLDERS
    return column


def are_splits(values: Values) -> bool:
    """Return whether a column holds train, val and test, at least two of them, and nothing else."""
    words = {name.lower() for name in values.names}
    return len({SPLIT_FOLDERS.get(word) for word in words}) > 1 and words <= set(SPLIT_FOLDERS)


def _guess_patient(guess: Guess, roles: dict[str, str], columns: dict[str, Values], used: set[str], made: dict[str, Any],
                   file: str, several: bool) -> dict[str, str]:
    """Return the roles with the best column for the patient: by its name, else a group, else from names of files."""
    roles, images = dict(roles), len(next(iter(columns.values())).codes) if columns else 0
    named = [name for name in columns if name not in used | {roles["patient"]} and _is_patient(name)]
    candidates = [name for name in (roles["patient"], *named) if name in columns]
    useful = [name for name in candidates if len(columns[name].given) < images or len(candidates) == 1]
    roles["patient"] = max(useful, key=lambda name: (plain(name) in COLUMN_NAMES["patient"], columns[name].filled >= 0.5),
                           default=candidates[0] if candidates else NONE)
    if roles["patient"] == NONE:
        group = next((name for names in GROUPS.values() for name in columns if name not in used - {roles["study"]}
                      and plain(name) in names and len(columns[name].given) < images), NONE)
        if group != NONE:
            roles["patient"], roles["study"] = group, NONE if roles["study"] == group else roles["study"]
            guess.say("groups", f"No column names the patient: the column {short(group)} ({len(columns[group].given):,} groups) "
                      "stands for it, so that its images stay in one split.", "patient")
    options = replace(guess.options, file=file, split=roles["split"])
    if roles["patient"] == NONE and (groups := made[FROM_NAMES](options)) is not None:
        roles["patient"] = FROM_NAMES
        guess.say("groups", f"No column names the patient: the names of the files do ({len(set(groups) - {''}):,} patients).",
                  "patient")
    if roles["patient"] == NONE and several:
        roles["patient"] = FROM_ROWS
        guess.say("groups", "The images of one row are taken for those of one patient.", "patient")
    if roles["patient"] == NONE and file in columns and _is_patient(file):
        roles["patient"] = file
        repeated = len(columns[file].given) < images
        guess.say("column.patient.file", f"The column {short(file)}, which by its name is the patient, names the files"
                  + ("." if repeated else ": each image counts as a patient of its own, though some may show the same person."),
                  "patient")
    if roles["patient"] == NONE and not any(map(_is_word, columns)):
        roles["patient"] = _id_like(columns, used | set(guess.options.labels), images)
    if roles["patient"] == NONE:
        guess.say("patients.unknown", "No column and no file name says the patient: images of one person may end up in training "
                  "and test.", "patient")
    return roles


def _is_patient(name: str) -> bool:
    words = words_of(name)
    return plain(name) in COLUMN_NAMES["patient"] or bool(words & {"patient", "subject", "patientid"}) and bool(
        words & {"id", "no", "num", "number", "key", "code", "identifier", "patientid"})


def _is_word(name: str) -> bool:
    return not name.startswith("column ")


def _id_like(columns: dict[str, Values], used: set[str], images: int) -> str:
    """Return, in a table without header, a column of numbers or codes of which each comes in a few rows."""
    for name, values in columns.items():
        counts = values.counts
        digits = all(any(map(str.isdigit, cell)) for cell in values.given)
        if name not in used and values.filled == 1 and digits and images / 20 < len(values.given) < images and counts.max() <= 20:
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
              if name != patient and (plain(name) in known or _is_patient(name))]
    if others:
        guess.say("groups.others", f"Other columns that could keep images together: {', '.join(others[:8])}.", "patient")


# ------------------------------------------------------------------------------------------------------------------ the labels

def guess_labels(columns: dict[str, Values], guess: Guess) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the columns that look like labels, and the options that go with them."""
    rows = len(next(iter(columns.values())).codes) if columns else 0
    exact = [name for name in columns if plain(name) in COLUMN_NAMES["label"]]
    usable = [name for name in exact if _is_label(name, columns[name], rows)]
    if usable:
        return (max(usable, key=lambda name: _trust(columns[name])),), {}
    flags = _flag_columns(columns)
    if len(flags) > 1:
        labels, how = _one_of_run(columns, flags)
        guess.say("column.label", f"{len(labels)} columns hold only yes and no: {', '.join(map(short, labels[:12]))}.", "labels")
        return labels, how
    known = set().union(*COLUMN_NAMES.values(), BOXES, READERS, *GROUPS.values())
    few = [name for name, values in columns.items() if plain(name) not in known and _is_few(name, values, rows)]
    wordy = [name for name in few if words_of(name) & LABEL_WORDS]
    wordy += [name for name in columns if name not in wordy and plain(name) not in known and words_of(name) & LABEL_WORDS
              and _is_label(name, columns[name], rows)]
    if wordy or few:
        return (max(wordy, key=lambda name: _trust(columns[name])) if wordy else few[0],), {}
    outcomes = [name for name, values in columns.items() if words_of(name) & OUTCOMES and 0 < values.filled < 1]
    rle = [name for name, values in columns.items() if plain(name) == "encodedpixels"]
    if outcomes or rle:
        return tuple((outcomes or rle)[:1]), {"filled": True}
    return tuple(name for name in exact if not is_measure(name, columns[name]))[:1], {}      # who builds it says what is wrong


def _is_label(name: str, values: Values, rows: int) -> bool:
    """Return whether a column whose name is one of a label can be one: at least two values, and no measurement."""
    if is_measure(name, values) or len(values.given) < 2:
        return False
    listed = any(list_of(cell) is not None for cell in values.given[:50])
    return listed or len(values.given) <= max(20, rows // 2) or bool(guess_separator(list(values.given[:2000])))


def _is_few(name: str, values: Values, rows: int) -> bool:
    share = 2 if grades_of(values) else 5 if values.numeric else 3
    most = max(2, min(20, rows // share))
    return 2 <= len(values.given) <= most and not is_measure(name, values) and values.filled > 0.3


def _trust(values: Values) -> tuple[bool, bool]:
    """Return a key: the higher, the likelier a label. Filled in, and mostly not "unknown"."""
    unsure = [k for k, name in enumerate(values.names) if name.lower() in UNSURE]
    return values.filled > 0.5, values.counts[unsure].sum() < 0.25 * max(1, len(values.codes))


def _flag_columns(columns: dict[str, Values]) -> list[str]:
    """Return the columns that hold only yes, no, uncertain and nothing. One value alone counts beside two with both."""
    known = set().union(*(COLUMN_NAMES[role] for role in ("other", "patient", "study", "view", "split")), BOXES, READERS)
    flags = {name: found for name, values in columns.items()
             if plain(name) not in known and not _is_word_measure(name) and (found := flags_of(values)) is not None}
    both = [name for name, found in flags.items() if len(set(found)) > 1]
    return [name for name in flags if name in both or len(both) > 1]


def _is_word_measure(name: str) -> bool:
    return plain(name) in {"x", "y", "row", "index", "unnamed0"}


def _flags_how(columns: list[Values]) -> dict[str, bool]:
    """Return whether exactly one of some columns is yes in each row, or several may be."""
    flags = [flags_of(values) for values in columns]
    if len(columns) < 2 or None in flags:
        return {}
    yes = sum(values.lookup([flag == 1 for flag in found]) for values, found in zip(columns, flags))
    told = sum(values.lookup([flag != BLANK for flag in found]) for values, found in zip(columns, flags)) > 0
    uncertain = any(-1 in found for found in flags)
    return {"one_of": True} if not uncertain and told.any() and (yes[told] == 1).all() else {"together": True}


def _one_of_run(columns: dict[str, Values], flags: list[str]) -> tuple[tuple[str, ...], dict[str, bool]]:
    """Return the flag columns of which exactly one is yes: all, else the longest run side by side; else all as findings."""
    how = _flags_how([columns[name] for name in flags])
    if how.get("one_of"):
        return tuple(flags), how
    order = list(columns)
    runs: list[list[str]] = []
    for name in flags:
        if runs and order.index(name) == order.index(runs[-1][-1]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    for run in sorted(runs, key=len, reverse=True):
        for start in range(len(run) - 2):
            if _flags_how([columns[name] for name in run[start:]]).get("one_of"):
                return tuple(run[start:]), {"one_of": True}
    return tuple(flags), {"together": True}


def _separator(options: TableOptions, labels: list[Values]) -> dict[str, str]:
    """Return what joins several findings in a cell, and the word for none."""
    separator, nothing = options.separator, options.nothing
    if not separator and (options.one_of or options.together or options.measured):
        separator = NONE
    if not separator:
        lists = any(values.given and all(list_of(cell) is not None for cell in values.given) for values in labels)
        joined = (guess_separator(list(values.given)) for values in labels if not values.numeric)
        separator = LIST if lists else next(filter(None, joined), NONE)
    if not nothing and separator != NONE:
        findings = sorted(set().union(*(parts_of(values.given, separator) for values in labels)))
        nothing = next((finding for word in NO_FINDING for finding in findings if finding.lower() == word), "")
    return {"separator": separator, "nothing": nothing or NONE}


def parts_of(cells: tuple[str, ...], separator: str) -> set[str]:
    """Return all different findings in some cells."""
    if separator == LIST:
        return {part for cell in cells for part in (list_of(cell) or [])}
    return split_findings(list(cells), separator)


def _policies(options: TableOptions, columns: dict[str, Values]) -> dict[str, Any]:
    """Return the rules for uncertain, empty, missing and repeated labels that were left open."""
    if options.rules:
        return {key: value for key, value in OLD_RULES.items() if not getattr(options, key)} if options.rules == 1 else {}
    return {"uncertain": options.uncertain or "ignore", "blanks": options.blanks or "no",
            "missing": options.missing or "leave out", "rules": 2}
