"""Which columns of a table are labels, guessed from their names and values, and what joins findings in a cell."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from core.datasets.delimited import NONE
from core.datasets.source import Understood
from core.datasets.table_header import as_number
from core.datasets.table_options import (
    BOXES,
    COLUMN_NAMES,
    CONSENSUS,
    GROUPS,
    LABEL_WORDS,
    LIST,
    NO_FINDING,
    READERS,
    TableOptions,
    guess_separator,
    is_named,
    plain,
    split_findings,
)
from core.datasets.table_values import BLANK, OUTCOMES, UNSURE, Values, flags_of, grades_of, is_measure, list_of, words_of
from core.datasets.text import short


def guess_labels(columns: dict[str, Values], understood: list[Understood]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the columns that look like labels, and the options that go with them."""
    rows = len(next(iter(columns.values())).codes) if columns else 0
    exact = [name for name in columns if _spellings(name) & COLUMN_NAMES["label"]]
    usable = [name for name in exact if _is_label(name, columns[name], rows)]
    if usable:
        usable.sort(key=lambda name: plain(name) in BEFORE_TRUTH)
        return (_best(usable, [], columns, understood),), {}
    flags = _flag_columns(columns)
    if len(flags) > 1 and not _has_lists(columns):
        labels, how = _one_of_run(columns, flags)
        text = f"{len(labels)} columns hold only yes and no: "
        understood.append(Understood("column.label", f"{text}{', '.join(map(short, labels[:12]))}.", "labels"))
        return labels, how
    wordy, few = _likely_columns(columns, rows)
    if wordy or few:
        return (_best(wordy, few, columns, understood),), {}
    filled = _filled_or_not(columns)
    if filled:
        return (filled[0],), {"filled": True}
    return tuple(name for name in exact if not is_measure(name, columns[name]))[:1], {}      # who builds it says what is wrong


def _spellings(name: str) -> set[str]:
    """Return the name of a column, and what is left of it without a unit and without is or has: Cancer (0/1), is_malignant."""
    return {plain(name), plain(re.split("[/(]", name)[0]), re.sub("^(is|has)", "", plain(name))}


def _has_lists(columns: dict[str, Values]) -> bool:
    """Return whether a column that by its name is a label holds lists: ['a', 'b'], as a program writes them."""
    return any(words_of(name) & LABEL_WORDS and len(values.given) > 1
               and all(list_of(cell) is not None for cell in values.given[:50]) for name, values in columns.items())


def _likely_columns(columns: dict[str, Values], rows: int) -> tuple[list[str], list[str]]:
    """Return the columns with a word for a label in their name, the likeliest first, and those with few different values."""
    known = set().union(*COLUMN_NAMES.values(), BOXES, READERS, *GROUPS.values())
    few = [name for name, values in columns.items() if plain(name) not in known and _is_few(name, values, rows)]
    wordy = [name for name in few if words_of(name) & LABEL_WORDS]
    wordy += [name for name in columns if name not in wordy and plain(name) not in known and words_of(name) & LABEL_WORDS
              and _is_label(name, columns[name], rows)]
    wordy += [name for name in columns if plain(name) in RESEARCH_GROUPS and name not in wordy
              and _is_label(name, columns[name], rows)]
    wordy.sort(key=lambda name: bool(words_of(name) & {"density", "group"}))
    return wordy, few


def _filled_or_not(columns: dict[str, Values]) -> list[str]:
    """Return the columns where it counts whether a cell is filled: the day of a death, else the outline of a finding."""
    outcomes = [name for name, values in columns.items() if words_of(name) & OUTCOMES and 0 < values.filled < 1]
    return outcomes or [name for name, values in columns.items() if plain(name) in EMPTY_OR_NOT and values.given
                        and (values.filled < 1 or "-1" in values.names)]


def _best(names: list[str], few: list[str], columns: dict[str, Values], understood: list[Understood]) -> str:
    """Return the likeliest label of some columns, and say the others: what readers agreed on before what each of them said.

    Args:
        few: further columns that could be labels by their values; where there are no `names` the first of them, in a table
            without header the first of yes and no
    """
    every = list(dict.fromkeys([*names, *few]))
    readers, agreed = _readers_of(every)
    best = _likeliest(agreed or names, few, columns)
    best = next((name for name in names if _is_in_words(columns[best], columns[name])), best)
    others = [name for name in every if name != best]
    if len(readers) > 1:
        understood.append(Understood("column.readers", f"Single readers filled {', '.join(map(short, readers[:6]))}: "
                                     f"{short(best)} is read.", "labels"))
    elif others:
        understood.append(Understood("labels.others", f"The column {short(best)} is read as the label; others that could be: "
                                     f"{', '.join(map(short, others[:6]))}.", "labels"))
    return best


def _readers_of(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the columns that single readers filled, and those that say what the readers agreed on.

    Columns that differ in their number only are of single readers where a further column says what these agreed on: label1,
    label2 and final.
    """
    readers = several = [name for name in names if words_of(name) & READERS]
    if len(readers) < 2:
        stems = Counter(_stem(name) for name in names)
        several = [name for name in names if stems[_stem(name)] > 1]
    agreed = [name for name in names if name not in several and words_of(name) & CONSENSUS] if len(several) > 1 else []
    return (several if agreed else readers), agreed


def _stem(name: str) -> str:
    return re.sub(r"\d+$", "", plain(name))


def _likeliest(likely: list[str], few: list[str], columns: dict[str, Values]) -> str:
    if likely:
        return max(likely, key=lambda name: _trust(columns[name]))
    flags = [] if any(map(is_named, columns)) else [name for name in few if flags_of(columns[name])]
    return (flags or few)[0]


def _is_in_words(number: Values, word: Values) -> bool:
    """Return whether a column says in words what another one says in numbers: Cyst where that is 0."""
    return (number.numeric and not word.numeric and _trust(word) >= _trust(number) and len(number.names) == len(word.names)
            and len(set(zip(number.codes.tolist(), word.codes.tolist()))) == len(number.names))


def _is_label(name: str, values: Values, rows: int) -> bool:
    """Return whether a column whose name is one of a label can be one: at least two values, and no measurement."""
    if is_measure(name, values) or len(values.given) < 2:
        return False
    listed = any(list_of(cell) is not None for cell in values.given[:50])
    return listed or len(values.given) <= max(20, rows // 2) or bool(guess_separator(list(values.given[:2000])))


def _is_few(name: str, values: Values, rows: int) -> bool:
    share = 5 if values.numeric else 3
    most = max(2, min(20, rows // (2 if grades_of(values) else share)))
    return 2 <= len(values.given) <= most and not is_measure(name, values) and values.filled > 0.3


def _trust(values: Values) -> tuple[bool, bool, bool]:
    """Return a key: the higher, the likelier a label. Filled in, no fractions, and mostly not "unknown"."""
    unsure = [k for k, name in enumerate(values.names) if name.lower() in UNSURE]
    broken = values.numeric and any(as_number(name) % 1 for name in values.given)
    return values.filled > 0.5, not broken, values.counts[unsure].sum() < 0.25 * max(1, len(values.codes))


BEFORE_TRUTH = {"birads", "findings"}      # what was seen, where another column says what it was
RESEARCH_GROUPS = {"group", "researchgroup"}      # AD, MCI and CN of ADNI
# words in the names of columns of 0 and 1 or of M and F that are no findings: patient_sex, study_number
EMPTY_OR_NOT = {"encodedpixels", "pixels", "annotation", "annotations", "boxes", "bbox", "bboxes", "rle"}
ABOUT_PEOPLE = {"sex", "gender", "age", "study", "number", "id", "side", "eye", "laterality", "year", "fold", "index", "width",
                "height", "camera", "exam", "smoker", "male", "female"}


def _flag_columns(columns: dict[str, Values]) -> list[str]:
    """Return the columns that hold only yes, no, uncertain and nothing. One value alone counts beside two with both."""
    known = set().union(*(COLUMN_NAMES[role] for role in ("other", "patient", "study", "view", "split")), BOXES, READERS)
    flags = {name: flags_of(values) for name, values in columns.items()
             if plain(name) not in known and not words_of(name) & ABOUT_PEOPLE and not _is_word_measure(name)}
    flags = {name: found for name, found in flags.items() if found is not None}
    words = {name for name in flags if not columns[name].numeric}
    if 2 < len(flags) - len(words) > len(words):      # yes and no among columns of 0 and 1: insulin among diseases
        flags = {name: found for name, found in flags.items() if name not in words or not columns[name].given}
    both = [name for name, found in flags.items() if len(set(found)) > 1]
    return [name for name in flags if name in both or len(both) > 1]


def _is_word_measure(name: str) -> bool:
    return plain(name) in {"x", "y", "row", "index", "unnamed0"}


def flags_how(columns: list[Values]) -> dict[str, bool]:
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
    how = flags_how([columns[name] for name in flags])
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
            if flags_how([columns[name] for name in run[start:]]).get("one_of"):
                return tuple(run[start:]), {"one_of": True}
        whole = [name for name in run if not any(name != other and name.startswith(other) for other in run)]      # G4C is in G4
        if len(whole) > 2 and flags_how([columns[name] for name in whole]).get("one_of"):
            return tuple(whole), {"one_of": True}
    return tuple(flags), {"together": True}


def separator_of(options: TableOptions, labels: list[Values]) -> dict[str, str]:
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
