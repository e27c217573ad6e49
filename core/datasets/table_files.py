"""Which tables of a folder are meant, and how they belong together: one with labels, its parts, its metadata, its lists of names.

Each table's first rows are looked at: which of its columns name image files, and whether it has labels. Tables with the same
columns are parts of one (train, val and test); a table about the same files, or with the same key, adds its columns; a list of
names gives the split. Where two could be meant, the error says what each holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.datasets import table_join
from core.datasets.delimited import DelimitedTable, read_delimited, replace_rows
from core.datasets.file_index import FileIndex, list_images
from core.datasets.file_names import label_prefixes
from core.datasets.source import Understood
from core.datasets.table_compose import FROM_COLUMNS, compose
from core.datasets.table_guess import FOLDS, guess_file, is_patient
from core.datasets.table_join import SPLIT_COLUMN, split_word
from core.datasets.table_long import widen
from core.datasets.table_look import Seen, look
from core.datasets.table_measures import offer_of
from core.datasets.table_options import TableOptions, plain
from core.datasets.table_places import MAX_TABLES, tables_below, tables_beside
from core.datasets.table_values import Values, words_of
from core.datasets.text import short
from core.errors import LightboxError


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
    seen, lists = _look_at_all(root, paths, index)
    seen, folds = _without_folds(_without_parts_of_names(seen))
    groups = sorted(_groups(seen), key=_likeliest_first)
    if not groups or not any(one.names_images for one in groups[0]):
        return None
    base, others = groups[0], groups[1:]
    plan = _plan_with(base, lists)
    for other in others:
        _join_or_say(plan, base, other, index())
    for one in folds:
        _aside(plan, one.name, "it numbers folds, and a split has train, val and test")
    if plan.rank == 0 and not _has_named_labels(base[0], index()):
        return None
    if len(base) > 1:
        plan.understood.append(Understood("tables.united", f"{len(base)} tables with the same columns are read as one: "
                                          f"{', '.join(one.name for one in base)}.", "tables"))
    _say_lists(plan)
    if len(plan.paths) > 1:
        plan.names = tuple(path.relative_to(root).as_posix() for path in plan.paths)
    return plan


def _look_at_all(root: Path, paths: list[Path], index: Callable[[], FileIndex]) -> tuple[list[Seen], list[tuple[Path, str]]]:
    """Return the tables at first sight, and the lists of names, each (path, split); without those that cannot be read.

    Raises LightboxError "table.lfs", and "table.not_text" where there is no other table that could be meant.
    """
    seen, lists = [], []
    for path in paths:
        word = split_word(path.stem)
        try:
            if word and path.suffix.lower() in (".txt", ".csv") and table_join.looks_like_list(path, index):
                lists.append((path, word))
            else:
                seen.append(look(root, path, index()))
        except LightboxError as error:
            if error.code == "table.lfs" or error.code == "table.not_text" and len(paths) == 1:
                raise
        except OSError:
            continue
    return seen, lists


def _without_parts_of_names(seen: list[Seen]) -> list[Seen]:
    """Return the tables; where one has the names of the files, a part of a name in another is a key and names none."""
    if not any(one.exact > 0.5 for one in seen):
        return seen
    return [one if one.exact > 0.1 else replace(one, file="", share=0.0, covers=0.0, files=set()) for one in seen]


def _without_folds(seen: list[Seen]) -> tuple[list[Seen], list[Seen]]:
    """Return the tables that are used, and those that are there for their folds, where another one's labels are as sure."""
    surest = max((one.rank for one in seen if one.rank and not _numbers_folds(one)), default=-1)
    folds = [one for one in seen if _numbers_folds(one) and one.rank <= surest]
    return [one for one in seen if one not in folds], folds


def _numbers_folds(one: Seen) -> bool:
    """Return whether a table is there for its folds: 5-fold-cv.csv beside the table with everything."""
    return bool({"fold", "folds", "cv"} & words_of(Path(one.name).stem)) and any(plain(name) in FOLDS for name in one.values)


def _likeliest_first(group: list[Seen]) -> tuple[bool, int, float]:
    """Return a key by which groups that name images come first, of those the surest labels, then the most images."""
    return (not any(one.names_images for one in group), -max(one.rank if one.names_images else -1 for one in group),
            -sum(one.covers for one in group))


def _plan_with(base: list[Seen], lists: list[tuple[Path, str]]) -> Plan:
    """Return the plan for parts of one table; where the names of some say val or test and none says train, the rest is train."""
    rest = "train" if {one.split for one in base} in ({"", "test"}, {"", "val"}, {"", "val", "test"}) else ""
    return Plan([(one.path, one.name, one.split or rest) for one in base], lists=lists, rank=max(one.rank for one in base),
                covers=sum(one.covers for one in base))


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
        if not seen.names_images:
            said.append(Understood("tables.aside", f"{name} is not used: none of its columns names the images here.", "file"))
        else:
            free = {column: one for column, one in seen.values.items() if column != seen.file and not is_patient(column)}
            said.append(Understood("tables.no_label", f"{name} is not used: it names images, and no column looks like a label. "
                                   f"{offer_of(free)}Columns: {', '.join(map(short, list(seen.values)[:12]))}.", "labels"))
    return said


def _say_lists(plan: Plan) -> None:
    if plan.lists:
        plan.understood.append(Understood("split.lists", "The official split is taken from "
                                          f"{', '.join(f'{path.name} ({split})' for path, split in plan.lists)}.", "split"))


def _groups(seen: list[Seen]) -> list[list[Seen]]:
    """Return tables in groups of parts of one: the same columns, and other splits or other files."""
    groups: list[list[Seen]] = []
    for one in seen:
        for group in groups:
            first = group[0]
            shared = set(one.values) & set(first.values)
            labels = {*one.labels[:1], *(part.labels[0] for part in group if part.labels)}
            if len(shared) >= 0.7 * max(len(one.values), len(first.values)) and labels & shared:
                both = one.names_images and first.names_images
                if both and (_of_another_split(one, group) or not any(_same_files(one, part) for part in group)):
                    group.append(one)
                    break
                if both and one.path.parent == first.path.parent:
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
    named = [one for one in seen if one.names_images] or seen
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
    elif one.file and one.share > 0.5:
        _join_by_file(plan, base, one, new, index)
    elif key := _shared_key(first, one):
        _join(plan, one, key, new)
    elif one.rank or one.share:
        _aside(plan, one.name, "it names no image here")


def _join_by_file(plan: Plan, base: list[Seen], one: Seen, new: list[str], index: FileIndex) -> None:
    """Add a table that has a row for most of the images; else say why not. Raises LightboxError "table.which"."""
    keys = [k for k in table_join.file_keys(replace_rows(one.table, 2000), one.file, index) if k >= 0]
    reach = one.covers / max(1.0, plan.covers)
    if len(set(keys)) == len(keys) and reach > 0.5:
        _join(plan, one, "", new)
    elif one.rank >= 3 and plan.rank >= 3 and reach > 0.8:
        raise _which([*base, one], "both have labels")
    else:
        why = "it has several rows for an image" if len(set(keys)) < len(keys) else "it names only some of the images"
        _aside(plan, one.name, why)


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
    read = _read_each(plan, options, index)
    parts = [(name, split, read[path]) for path, name, split in plan.parts]
    base = table_join.below_each_other(parts) if len(parts) > 1 else parts[0][2]
    file = ""
    if plan.lists or any(not key for _, key in plan.joins):
        file = options.file or _guessed_file(base, index())
    for path, key in plan.joins:
        other = read[path]
        if key:
            table_join.beside(base, base.columns[key], other, other.columns[key])
        elif file in base.columns:
            theirs = _guessed_file(other, index())
            table_join.beside(base, _file_of_rows(base, file, index()), other, _file_of_rows(other, theirs, index()))
    if plan.lists and file in base.columns and SPLIT_COLUMN not in base.columns:
        lists = [(split, table_join.names_in(path)) for path, split in plan.lists]
        table_join.add_lists(base, table_join.file_keys(base, file, index()), lists, index())
    return base


def _read_each(plan: Plan, options: TableOptions, index: Callable[[], FileIndex]) -> dict[Path, DelimitedTable]:
    """Return the tables with columns of a plan, each with a row for an image and a column that names it, as far as they allow."""
    read = {path: read_delimited(path, options.delimiter, options.encoding, options.header, options.names)
            for path, *_ in (*plan.parts, *plan.joins)}
    if not options.rules or not set(options.labels) <= set(read[plan.parts[0][0]].columns):
        read = {path: widen(table, index()) for path, table in read.items()}
    if options.file in ("", FROM_COLUMNS):
        read = {path: compose(table, index()) for path, table in read.items()}
    return read


def _guessed_file(table: DelimitedTable, index: FileIndex) -> str:
    return guess_file({name: Values.of(cells) for name, cells in table.columns.items()}, index)


def _file_of_rows(table: DelimitedTable, column: str, index: FileIndex) -> list[int]:
    return table_join.file_keys(table, column, index) if column in table.columns else [-1] * len(table.lines)
