"""Which level of folders is the class, the split, the patient: decided by looking at all levels at once.

    Training/glioma/p01/1.png        split / class / patient
    IDC/8863/0/8863_x1.png           (around everything) / patient / class
    images_001/images/1.png          part of a download / (around everything)

A level is all folders of the same depth. Its names, how many images each holds and which of them repeat under each other tell
what it is. Every decision is a role that a person sees and can change.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from core.datasets.level_names import (
    are_grades,
    are_magnifications,
    are_parts,
    are_sequences,
    are_studies,
    are_views,
    is_loose,
    looks_like_ids,
    splits_of,
)
from core.datasets.level_words import FEW, FILLERS, FINDINGS, GRADES, NO_CLASS, PEOPLE, SPLIT_WORDS, UNLABELLED, denied, words_of

ROLES = {"class": "class", "split": "split", "patient": "patient", "study": "study", "view": "view", "part": "part of a download",
         "other": "another grouping", "around": "not used"}


@dataclass
class Level:
    """All folders of one depth.

    Args:
        names: name -> images below folders of this name
        role: a key of ROLES
    """

    names: Counter
    role: str = ""

    def shown(self, most: int = 4) -> str:
        """Return some of its names, for a sentence."""
        names = [name for name, _ in self.names.most_common(most)]
        return ", ".join(sorted(names)) + (f" and {len(self.names) - most:,} more" if len(self.names) > most else "")


def read_levels(folders: Counter, chosen: tuple[str, ...] = ()) -> list[Level]:
    """Return what each level of folders is.

    Args:
        folders: (name of the outermost folder, ..., name of the innermost) -> images in it
        chosen: roles that a person has chosen, from the outermost level on; "" is guessed
    """
    levels = _levels_of(folders, chosen)
    splits = [splits_of(list(level.names)) for level in levels]
    at = next((k for k, found in enumerate(splits) if found), None)
    train = _training(folders, at, splits)
    learned = [level.role for level in _decided(_levels_of(train, chosen), train)] if 0 < len(train) < len(folders) else []
    if "class" not in learned:
        if _is_plain_training(train, at):
            _leave_open_levels(levels[at + 1:])
        return _decided(levels, folders)
    learned += ["other"] * (len(levels) - len(learned))
    for level, split, role in zip(levels, splits, learned):      # folders of test may have no classes: training says what is what
        level.role = level.role or ("split" if split else role)
    return levels


def _training(folders: Counter, at: int | None, splits: list[dict[str, str]]) -> Counter:
    """Return the folders of training; `at` is the level of the split, None without one."""
    if at is None:
        return Counter()
    return Counter({f: count for f, count in folders.items() if len(f) > at and splits[at][f[at]] == "train"})


def _is_plain_training(train: Counter, at: int | None) -> bool:
    """Return whether the folders inside of training say no more than that images are inside: Train/image, Test/CVC-300/images."""
    inside = [name for folder in train for name in folder[at + 1:]]
    return bool(inside) and all(is_loose(name) and not name.isdecimal() for name in inside)


def _leave_open_levels(levels: list[Level]) -> None:
    """Make no classes of levels that no one has chosen a role for."""
    for level in levels:
        level.role = level.role or ("other" if len(level.names) > 1 else "around")


def without_class(folders: Counter) -> set[tuple]:
    """Return the folders of `read_levels` that are in no class: "pred" and "Test cases" beside classes, "Original Images"
    beside "Patches/abnormal" and "Patches/normal"."""
    below = defaultdict(set)
    for folder in folders:
        for k in range(len(folder)):
            below[folder[:k]].add(folder[k])

    trains, proper, parted = {}, {}, {}      # of a folder, the names inside that are training, classes, divided further
    for parent, names in below.items():
        trains[parent] = {name for name in names if splits_of([name]).get(name) == "train"}
        proper[parent] = {name for name in names if not (_is_rest(name) or is_loose(name))}
        parted[parent] = {name for name in names if len(below.get((*parent, name), ())) > 1}
    found = set()
    for folder in folders:
        parent, name = folder[:-1], folder[-1] if folder else ""
        if folder in below or len(below[parent]) < 2 or trains[parent] - {name}:
            continue
        if _is_rest(name) and proper[parent] or is_loose(name) and parted[parent] - {name}:
            found.add(folder)
    return found


def _is_rest(name: str) -> bool:
    """Return whether a name says that its images have no labels: "pred", "Test cases"."""
    words = {w for w in words_of(name) if w not in FILLERS and not w.isdecimal()}
    return bool(words - {"case", "cases"}) and all(SPLIT_WORDS.get(w, "train") != "train" or w in UNLABELLED for w in words)


def _levels_of(folders: Counter, chosen: tuple[str, ...]) -> list[Level]:
    depth = max(map(len, folders), default=0)
    levels = []
    for k in range(depth):
        names = Counter()
        for parts, count in folders.items():
            if len(parts) > k:
                names[parts[k]] += count
        levels.append(Level(names, chosen[k] if k < len(chosen) else ""))
    return levels


def _decided(levels: list[Level], folders: Counter) -> list[Level]:
    """Give each level without a role one."""
    open_levels = [k for k, level in enumerate(levels) if not level.role]
    for k in open_levels:
        levels[k].role = _plain_role(levels, k, folders)
    candidates = [k for k in open_levels if levels[k].role == ""]
    if _first(levels, "class") is None:
        _name_class(levels, _class_level(levels, candidates, folders))
    at = _first(levels, "class")
    for k in candidates:
        levels[k].role = levels[k].role or _role_beside_class(levels, k, at, folders)
    if at is None:
        _name_class(levels, _repeated_numbers(levels, open_levels, folders))
    people = [k for k in open_levels if levels[k].role == "patient"]
    for k in people[1:]:              # numbers within numbers: the studies of a patient
        levels[k].role = "study"
    return levels


def _first(levels: list[Level], role: str) -> int | None:
    return next((k for k, level in enumerate(levels) if level.role == role), None)


def _name_class(levels: list[Level], k: int | None) -> None:
    if k is not None:
        levels[k].role = "class"


def _plain_role(levels: list[Level], k: int, folders: Counter) -> str:
    """Return the role that shows from the names of one level; "" where it may be the class."""
    names = list(levels[k].names)
    if splits_of(names):
        return "split"
    if len(names) == 1 or all(len(p) <= k or k and p[k] == p[k - 1] for p in folders):
        return "around"
    if are_studies(names):
        return "study"
    if are_views(names) or _are_sequences_of_people(levels, k):
        return "view"
    if are_magnifications(names):
        return "other"
    if are_parts(names):
        return "part"
    return "patient" if looks_like_ids(names) else ""


def _are_sequences_of_people(levels: list[Level], k: int) -> bool:
    """Return whether a level is sequences below something else than the split: train/T1 and train/FLAIR may be classes."""
    return k > 0 and are_sequences(list(levels[k].names)) and not splits_of(list(levels[k - 1].names))


def _role_beside_class(levels: list[Level], k: int, at: int | None, folders: Counter) -> str:
    """Return what a level is that might have been the class, where the class is level `at`: people or another grouping."""
    if at is None:
        return "other"
    many_above = k < at and len(levels[k].names) > FEW      # many names above few that repeat below each of them
    return "patient" if many_above or _are_codes(k, folders) else "other"


def _repeated_numbers(levels: list[Level], open_levels: list[int], folders: Counter) -> int | None:
    """Return the level of people whose names are the same in training and in test: those are classes, as no person is in both."""
    split = next((k for k, level in enumerate(levels) if level.role == "split" and len(level.names) > 1), None)
    if split is None:
        return None
    for k in open_levels:
        if k > split and levels[k].role == "patient" and _repeats(k, folders) == 1.0 and not _speaks_of_people(levels[k]):
            return k
    return None


def _speaks_of_people(level: Level) -> bool:
    return any(PEOPLE & {*words_of(name)} for name in level.names)


def _class_level(levels: list[Level], candidates: list[int], folders: Counter) -> int | None:
    """Return the level of the classes: the outermost candidate, unless a deeper one is plainly more like it."""
    candidates = [k for k in candidates if not _say_no_class(levels[k])] or candidates
    if not candidates:
        return None
    first, last = candidates[0], candidates[-1]
    if len(candidates) > 2 and _are_sources(levels[first]) and _stand_once(last, folders):
        return last           # lower-gi-tract/pathological-findings/polyps: a tree of classes, named at its ends
    for k in candidates[1:]:
        if _is_more_like_classes(levels[k], levels[first], _repeats(k, folders)):
            return k
    return first


def _say_no_class(level: Level) -> bool:
    """Return whether all names end in a word that says how images were made or kept: "raw", "Images Resized"."""
    return all(words_of(name)[-1:] and words_of(name)[-1] in NO_CLASS for name in level.names)


def _are_sources(level: Level) -> bool:
    """Return whether all names share a word and none is a finding: where images are from, or a part of the body."""
    shared = set.intersection(*(set(words_of(name)) for name in level.names)) - GRADES
    return bool(shared) and not _like_findings(level)


def _is_more_like_classes(level: Level, first: Level, repeats: float) -> bool:
    """Return whether a level is more like the classes than the first candidate above it.

    Args:
        repeats: the share of the folders above in which an average name of the level stands
    """
    if repeats < 0.5:
        return False
    if _like_findings(level) >= 0.5 > _like_findings(first):
        return True
    if all(map(str.isdecimal, first.names)) and are_grades(list(level.names)):
        return True           # 1/Mayo 0, 1/Mayo 1, 2/Mayo 0: grades below numbers
    if len(first.names) < len(level.names) and repeats == 1.0 and _are_sources(first):
        return True           # all names below each of fewer that share a word: sources above classes
    return len(first.names) > FEW >= len(level.names) and repeats >= 0.6


def _are_codes(k: int, folders: Counter) -> bool:
    """Return whether names of a level below the classes are codes of people or lesions, each in one folder: many that are as
    long as each other, or a letter and a number."""
    names = {folder[k] for folder in folders if len(folder) > k}
    if len(names) >= 6 and _stand_once(k, folders) and all(re.fullmatch(r"[A-Za-z]{1,2}\d+", name) for name in names):
        return True
    return FEW < len(names) and _stand_once(k, folders) and len(set(map(len, names))) == 1 and all(
        re.fullmatch(r"[A-Z0-9]{2,12}", name) for name in names)


def _stand_once(k: int, folders: Counter) -> bool:
    """Return whether each name of level k is in one folder only."""
    above = {folder[:k + 1] for folder in folders if len(folder) > k}
    return len(above) == len({folder[k] for folder in above})


def _like_findings(level: Level) -> float:
    plain = {"".join(words_of(name)) for name in level.names}
    if any(denied(name) & plain for name in level.names):      # anemic and non-anemic
        return 1.0
    return sum(bool(FINDINGS & {*words_of(name), "".join(words_of(name))}) for name in level.names) / len(level.names)


def _repeats(k: int, folders: Counter) -> float:
    """Return the share of folders above level k in which an average name of that level stands; 0 where there is but one."""
    below = defaultdict(set)
    for parts in folders:
        if len(parts) > k:
            below[parts[:k]].add(parts[k])
    names = set().union(*below.values())
    return sum(map(len, below.values())) / len(names) / len(below) if len(below) > 1 else 0.0
