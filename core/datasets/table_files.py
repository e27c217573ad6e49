"""Which tables of a folder are meant, and how they belong together: one with labels, its parts, its metadata, its lists of names.

Each table's first rows are looked at: which of its columns name image files, and whether it has labels. Tables with the same
columns are parts of one (train, val and test); a table about the same files, or with the same key, adds its columns; a list of
names gives the split. Where two could be meant, the error says what each holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.datasets import table_join
from core.datasets.delimited import NONE, DelimitedTable, read_delimited, replace_rows
from core.datasets.file_index import FileIndex, list_images
from core.datasets.file_names import label_prefixes
from core.datasets.source import Understood
from core.datasets.table_compose import FROM_COLUMNS, compose, naming_columns
from core.datasets.table_guess import FOLDS, guess_file, is_patient, split_codes
from core.datasets.table_join import SPLIT_COLUMN, find_pairs, split_word
from core.datasets.table_labels import guess_labels
from core.datasets.table_long import widen
from core.datasets.table_measures import offer_of
from core.datasets.table_options import COLUMN_NAMES, LABEL_WORDS, TableOptions, plain
from core.datasets.table_places import MAX_TABLES, tables_below, tables_beside
from core.datasets.table_values import Values, words_of
from core.datasets.text import short
from core.errors import LightboxError

HEAD = 400_000              # bytes of a table that are looked at to see what it is


@dataclass(eq=False)
class Seen:
    """A table at first sight.

    Args:
        file: the column with names of image files, "" for none
        share: of its rows that name a file
        covers: about how many rows do
        rank: how sure its labels are: 3 by a column's name or columns of yes and no, 2 by a word in a name, 1 by values, 0 none
        split: "train", "val", "test", by the name of the file or its folder
        files: the numbers of the files that its first rows name
        exact: the share of rows whose cell is a file's name as it stands
    """

    path: Path
    name: str
    table: DelimitedTable
    values: dict[str, Values]
    file: str
    share: float
    covers: float
    rank: int
    labels: tuple[str, ...]
    split: str
    files: set[int]
    exact: float

    def in_words(self) -> str:
        what = f"labels in {short(self.labels[0])}" if self.labels else "no labels"
        return f"{self.name} ({what}, {self.share:.0%} of its rows name an image)"


@dataclass(eq=False)
class Plan:
    """Tables that are read as one.

    Args:
        parts: tables below each other, each (path, name, split)
        joins: tables whose columns are added, each (path, key column, or "" for the file)
        lists: lists of names, each (path, split)
        names: all of them relative to the folder, as `TableOptions.tables` has them; () for a single one
    """

    parts: list[tuple[Path, str, str]]
    joins: list[tuple[Path, str]] = field(default_factory=list)
    lists: list[tuple[Path, str]] = field(default_factory=list)
    names: tuple[str, ...] = ()
    understood: list[Understood] = field(default_factory=list)
    rank: int = 3
    covers: float = 0.0

    @property
    def paths(self) -> list[Path]:
        return [path for path, *_ in (*self.parts, *self.joins, *self.lists)]

    @property
    def title(self) -> str:
        return " and ".join(name for _, name, _ in self.parts[:4])


def plan_of(path: Path, options: TableOptions, index: Callable[[], FileIndex]) -> Plan:
    """Return how the tables at a path are read. Raises LightboxError "table.which", "table.none", or what is wrong with one."""
    if path.is_file():
        plan = Plan([(path, path.name, "")])
        if path.parent.is_dir() and (options.split == SPLIT_COLUMN or not (options.split or options.rules)):
            beside = [file for file in sorted(path.parent.glob("*.txt")) if file != path and split_word(file.stem)]
            lists = [file for file in beside[:MAX_TABLES] if table_join.looks_like_list(file, index)]
            plan.lists = [(file, split_word(file.stem)) for file in lists]
            _say_lists(plan)
        others = [name for name in tables_beside(path) if name not in {file.name for file, _ in plan.lists}]
        if others:
            plan.understood.append(Understood("tables.aside", f"Not used is what lies beside {path.name}: "
                                              f"{', '.join(map(short, others[:6]))}.", "tables"))
        return plan
    paths = [path / name for name in options.tables] or tables_below(path)
    plan = find_plan(path, paths, index)
    if plan is None:
        raise LightboxError("table.none", f"No table in {path} names its images and has labels.",
                            "Give the path of the table with the labels.")
    return plan


def find_plan(root: Path, paths: list[Path], index: Callable[[], FileIndex]) -> Plan | None:
    """Return how the tables of a folder belong together; None where none names an image. Raises LightboxError "table.which"."""
    seen, lists, aside = [], [], []
    for path in paths:
        word = split_word(path.stem)
        try:
            if word and path.suffix.lower() in (".txt", ".csv") and table_join.looks_like_list(path, index):
                lists.append((path, word))
                continue
            seen.append(look(root, path, index()))
        except LightboxError as error:
            if error.code == "table.lfs" or error.code == "table.not_text" and len(paths) == 1:
                raise
        except OSError:
            continue
    if any(one.exact > 0.5 for one in seen):       # a part of a name, where another table has the names, is a key of its own
        seen = [one if one.exact > 0.1 else replace(one, file="", share=0.0, covers=0.0, files=set()) for one in seen]
    labelled = [one for one in seen if one.rank and not _numbers_folds(one)]
    for one in [one for one in seen if _numbers_folds(one) and any(other.rank >= one.rank for other in labelled)]:
        seen.remove(one)
        aside.append(one.name)
    groups = _groups(seen)
    groups.sort(key=lambda group: (-max(one.rank if one.share > 0.1 else -1 for one in group),
                                   -sum(one.covers for one in group)))
    groups = [group for group in groups if any(one.share > 0.1 for one in group)] + \
             [group for group in groups if not any(one.share > 0.1 for one in group)]
    if not groups or max(one.share for one in groups[0]) <= 0.1:
        return None
    base, others = groups[0], groups[1:]
    rest = "train" if {one.split for one in base} in ({"", "test"}, {"", "val"}, {"", "val", "test"}) else ""
    plan = Plan([(one.path, one.name, one.split or rest) for one in base], lists=lists, rank=max(one.rank for one in base),
                covers=sum(one.covers for one in base))
    for other in others:
        _join_or_say(plan, base, other, index())
    for name in aside:
        _aside(plan, name, "it numbers folds, and a split has train, val and test")
    if plan.rank == 0 and not _has_named_labels(base[0], index()):
        return None
    if len(base) > 1:
        plan.understood.append(Understood("tables.united", f"{len(base)} tables with the same columns are read as one: "
                                          f"{', '.join(one.name for one in base)}.", "tables"))
    _say_lists(plan)
    if len(plan.paths) > 1:
        plan.names = tuple(path.relative_to(root).as_posix() for path in plan.paths)
    return plan


def unused_tables(root: Path) -> list[Understood]:
    """Return why no table of a folder gives labels, a sentence for each of the first few."""
    paths, said = tables_below(root)[:5], []
    index = FileIndex(list_images(root)) if paths else FileIndex([])
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            seen = look(root, path, index)
        except (LightboxError, OSError) as error:
            said.append(Understood("tables.aside", f"{name} is not used: {error}", "tables"))
            continue
        if seen.share <= 0.1:
            said.append(Understood("tables.aside", f"{name} is not used: none of its columns names the images here.", "file"))
        else:
            free = {column: one for column, one in seen.values.items() if column != seen.file and not is_patient(column)}
            said.append(Understood("tables.no_label", f"{name} is not used: it names images, and no column looks like a label. "
                                   f"{offer_of(free)}Columns: {', '.join(map(short, list(seen.values)[:12]))}.", "labels"))
    return said


def _numbers_folds(one: Seen) -> bool:
    """Return whether a table is there for its folds: 5-fold-cv.csv beside the table with everything."""
    return bool({"fold", "folds", "cv"} & words_of(Path(one.name).stem)) and any(plain(name) in FOLDS for name in one.values)


def _say_lists(plan: Plan) -> None:
    if plan.lists:
        plan.understood.append(Understood("split.lists", "The official split is taken from "
                                          f"{', '.join(f'{path.name} ({split})' for path, split in plan.lists)}.", "split"))


def look(root: Path, path: Path, index: FileIndex) -> Seen:
    """Return a table at first sight. Raises LightboxError for one that cannot be read."""
    plain_table = widen(read_delimited(path, head=HEAD), index)
    seen = _seen(root, path, compose(plain_table, index), index)
    return seen if seen.labels or FROM_COLUMNS not in seen.values else _seen(root, path, plain_table, index)


def _seen(root: Path, path: Path, table: DelimitedTable, index: FileIndex) -> Seen:
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    table = replace(table, files=((0, name),))
    values = {name: Values.of(cells) for name, cells in table.columns.items()}
    file = guess_file(values, index)
    split = split_word(path.stem) or split_word(path.parent.name if path.parent != root else "")
    first = replace_rows(table, 2000)
    if split:                                      # of files with the same name, those in the folder of its split are meant
        first = replace(first, columns={SPLIT_COLUMN: [split] * len(first.lines), **first.columns})
    found = find_pairs(first, (file, ()), index).file if file != NONE else np.array([-1])
    share = float(np.mean(found >= 0))
    free = {name: one for name, one in values.items() if name not in {file, *naming_columns(values)} and not is_patient(name)
            and not split_codes(name, one)}
    labels, how = guess_labels(free, [])
    rank = 0
    if labels:
        exact = plain(labels[0]) in COLUMN_NAMES["label"] or len(labels) > 1
        rank = 3 if exact else 2 if words_of(labels[0]) & LABEL_WORDS or how else 1
        rank = 0 if len(values[labels[0]].given) < 2 and len(labels) == 1 and not how else rank
    size = max(1.0, path.stat().st_size / HEAD) if not path.suffix.lower().startswith(".xls") else 1.0
    files = set(found[found >= 0].tolist())
    sample = table.columns[file][:500:5] if file != NONE else []
    exact = sum(not index.find(cell)[1].startswith(("There", "It")) for cell in sample) / max(1, len(sample))
    covers = len(files) / len(found) * len(table.lines) * size
    return Seen(path, name, table, values, file if share > 0 else "", share, covers, rank, labels, split, files,
                exact)


def _groups(seen: list[Seen]) -> list[list[Seen]]:
    """Return tables in groups of parts of one: the same columns, and other splits or other files."""
    groups: list[list[Seen]] = []
    for one in seen:
        for group in groups:
            first = group[0]
            shared = set(one.values) & set(first.values)
            labels = {*one.labels[:1], *(part.labels[0] for part in group if part.labels)}
            if len(shared) >= 0.7 * max(len(one.values), len(first.values)) and labels & shared:
                if one.share > 0.1 and first.share > 0.1 and (
                        _of_another_split(one, group) or not any(_same_files(one, part) for part in group)):
                    group.append(one)
                    break
                if one.share > 0.1 and first.share > 0.1 and one.path.parent == first.path.parent:
                    raise _which(seen, f"{first.name} and {one.name} name the same images")
        else:
            groups.append([one])
    return groups


def _of_another_split(one: Seen, group: list[Seen]) -> bool:
    return bool(one.split) and one.split not in {other.split for other in group} and not any(
        _same_files(one, other, 0.9) for other in group)


def _same_files(one: Seen, other: Seen, most: float = 0.5) -> bool:
    return len(one.files & other.files) > most * min(len(one.files), len(other.files))


def _which(seen: list[Seen], why: str) -> LightboxError:
    named = [one for one in seen if one.share > 0.1] or seen
    return LightboxError("table.which", f"Several tables could be meant, since {why}: "
                         f"{'; '.join(one.in_words() for one in named[:6])}.", "Give the path of the one with the labels.")


def _join_or_say(plan: Plan, base: list[Seen], other: list[Seen], index: FileIndex) -> None:
    """Add the columns of a table to the plan where they belong to the same files or have the same key; else say why not."""
    one, first = other[0], base[0]
    new = [name for name in one.values if name not in first.values]
    elsewhere = plan.rank == 3 and one.path.parent != first.path.parent
    if len(other) > 1 or not new or elsewhere:
        why = "it lies in another folder" if elsewhere else "it adds no column"
        _aside(plan, ", ".join(part.name for part in other), why)
        return
    if one.file and one.share > 0.5:
        keys = [k for k in table_join.file_keys(replace_rows(one.table, 2000), one.file, index) if k >= 0]
        reach = one.covers / max(1.0, plan.covers)
        if len(set(keys)) == len(keys) and reach > 0.5:
            _join(plan, one, "", new)
        elif one.rank >= 3 and plan.rank >= 3 and reach > 0.8:
            raise _which([*base, one], "both have labels")
        else:
            why = "it has several rows for an image" if len(set(keys)) < len(keys) else "it names only some of the images"
            _aside(plan, one.name, why)
        return
    key = _shared_key(first, one)
    if key:
        _join(plan, one, key, new)
    elif one.rank or one.share:
        _aside(plan, one.name, "it names no image here")


def _has_named_labels(one: Seen, index: FileIndex) -> bool:
    """Return whether a table without labels says the patient, and the names of its files begin with the label."""
    return any(map(is_patient, one.values)) and bool(label_prefixes([index.files[k] for k in sorted(one.files)]))


def _aside(plan: Plan, name: str, why: str) -> None:
    plan.understood.append(Understood("tables.aside", f"{name} is not used: {why}.", "tables"))


def _join(plan: Plan, one: Seen, key: str, new: list[str]) -> None:
    plan.joins.append((one.path, key))
    plan.rank = max(plan.rank, one.rank)
    added, by = ", ".join(map(short, new[:6])) + " ..." * (len(new) > 6), short(key) if key else "the name of the file"
    plan.understood.append(Understood("tables.joined", f"{one.name} adds {added} by {by}.", "tables"))


def _shared_key(first: Seen, other: Seen) -> str:
    """Return a column of both tables with another value in each row of the other one, of which the first has most."""
    for name in other.values:
        if name not in first.values:
            continue
        mine, theirs = first.values[name], other.values[name]
        unique = len(theirs.given) > 0.98 * len(theirs.codes) and len(theirs.given) > 1
        if unique and len(set(mine.given) & set(theirs.given)) > 0.5 * min(len(mine.given), len(theirs.given)):
            return name
    return ""


def read_tables(plan: Plan, options: TableOptions, index: Callable[[], FileIndex]) -> DelimitedTable:
    """Read the tables of a plan as one."""
    read = {path: read_delimited(path, options.delimiter, options.encoding, options.header, options.names)
            for path, *_ in (*plan.parts, *plan.joins)}
    if not options.rules or not set(options.labels) <= set(read[plan.parts[0][0]].columns):
        read = {path: widen(table, index()) for path, table in read.items()}
    if options.file in ("", FROM_COLUMNS):
        read = {path: compose(table, index()) for path, table in read.items()}
    parts = [(name, split, read[path]) for path, name, split in plan.parts]
    base = table_join.below_each_other(parts) if len(parts) > 1 else parts[0][2]
    file = ""
    if plan.lists or any(not key for _, key in plan.joins):
        file = options.file or guess_file({name: Values.of(cells) for name, cells in base.columns.items()}, index())
    for path, key in plan.joins:
        other = read[path]
        if key:
            table_join.beside(base, base.columns[key], other, other.columns[key])
        elif file in base.columns:
            theirs = guess_file({name: Values.of(cells) for name, cells in other.columns.items()}, index())
            table_join.beside(base, _file_of_rows(base, file, index()), other, _file_of_rows(other, theirs, index()))
    if plan.lists and file in base.columns and SPLIT_COLUMN not in base.columns:
        lists = [(split, table_join.names_in(path)) for path, split in plan.lists]
        table_join.add_lists(base, table_join.file_keys(base, file, index()), lists, index())
    return base


def _file_of_rows(table: DelimitedTable, column: str, index: FileIndex) -> list[int]:
    return table_join.file_keys(table, column, index) if column in table.columns else [-1] * len(table.lines)
