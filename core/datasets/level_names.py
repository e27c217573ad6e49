"""What the names of folders side by side look like: a split, parts of a download, studies, views, numbers of patients."""

from __future__ import annotations

import re
from collections import Counter

from core.datasets.level_words import (
    CONTAINERS,
    FEW,
    FILLERS,
    FINDINGS,
    GRADES,
    ORDINALS,
    PARTS,
    PEOPLE,
    SEQUENCES,
    SPLIT_WORDS,
    STUDIES,
    VIEWS,
    words_of,
)

MOST_YEARS = 150       # ranges of numbers up to here may be ages


def splits_of(names: list[str]) -> dict[str, str]:
    """Return name -> "train", "val" or "test" where all names say one and differ in nothing else; {} otherwise.

    >>> splits_of(["a. Training Set", "b. Testing Set"]), splits_of(["train", "tumour"])
    ({'a. Training Set': 'train', 'b. Testing Set': 'test'}, {})
    """
    found, rests = {}, set()
    for name in names:
        words = (name.lower(),) if name.lower() in SPLIT_WORDS else words_of(name)      # tEST has no two words
        split = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
        if len(split) != 1 and split != {"train", "val"}:
            return {}
        found[name] = "train" if "train" in split else split.pop()
        rests.add(tuple(w for w in words if w not in {*SPLIT_WORDS, *FILLERS, "and"} and not w.isdecimal() and len(w) > 1))
    plain = {name for name in names if name.lower() in SPLIT_WORDS}      # TRAIN, TEST and TEST_SIMPLE
    return found if len(rests) == 1 or len(plain) > 1 else {}


def is_loose(name: str) -> bool:
    """Return whether a name says no more than that images are inside: "Original Images", "data 2"."""
    return bool(words_of(name)) and all(w in FILLERS or w in CONTAINERS or w.isdecimal() for w in words_of(name))


def are_studies(names: list[str]) -> bool:
    """Return whether names are studies of a patient: "visit 1", "Exam A", study2."""
    words = [words_of(name) for name in names]
    return all(w and w[0] in STUDIES for w in words) or all(re.fullmatch(r"study\d+\w*", name.lower()) for name in names)


def are_views(names: list[str]) -> bool:
    """Return whether names are views or sides of the body: "left" and "right", "MLO"."""
    return all(" ".join(words_of(name)) in VIEWS for name in names)


def are_sequences(names: list[str]) -> bool:
    """Return whether names are sequences of magnetic resonance; T1 and T2 alone may be something else."""
    plain = {name.lower() for name in names}
    return plain <= SEQUENCES and bool(plain - {"t1", "t2"})


def are_magnifications(names: list[str]) -> bool:
    """Return whether names are magnifications of a microscope: 40x, 100x."""
    return all(re.fullmatch(r"\d+ ?x", name.lower()) for name in names)


def are_grades(names: list[str]) -> bool:
    """Return whether names are grades of a disease: "Mayo 0", "grade 2"."""
    return all(words_of(name)[:1] and words_of(name)[0] in GRADES for name in names)


def are_parts(names: list[str]) -> bool:
    """Return whether names are the parts of a download: images_001 and images_002, part1 and part2."""
    words = [words_of(name) for name in names]
    return (_are_containers(words) or _are_centres(names, words) or _are_ordinals(words) or _are_ranges(names)
            or _are_numbered_parts(words))


def _are_containers(words: list[tuple[str, ...]]) -> bool:
    """Return whether names say "images" or "data" and nothing but numbers beside it."""
    return all(set(each) & CONTAINERS and all(w in CONTAINERS | {"master", "main"} or w.isdecimal() for w in each)
               for each in words)


def _are_centres(names: list[str], words: list[tuple[str, ...]]) -> bool:
    """Return whether names are containers with the code of a centre: images_C1 in data_C1."""
    return all(each[0] in CONTAINERS and re.fullmatch(r"\w+[ _-][A-Z]\d+", name) for each, name in zip(words, names) if each)


def _are_ordinals(words: list[tuple[str, ...]]) -> bool:
    """Return whether names count sets or parts in words: "first set", "second set"."""
    return all(each[-1:] in (("set",), ("part",)) and set(each[:-1]) <= ORDINALS for each in words)


def _are_ranges(names: list[str]) -> bool:
    """Return whether names are ranges of numbers that follow each other: 1-1000, 1001-2000; but 18-20, 21-30 are ages."""
    ranges = sorted((int(m[1]), int(m[2])) for m in (re.fullmatch(r"(\d+) ?[-_] ?(\d+)", name) for name in names) if m)
    follow = all(b == end + 1 for (_, end), (b, _) in zip(ranges, ranges[1:]))
    return 1 < len(ranges) == len(names) and follow and ranges[-1][1] > MOST_YEARS


def _are_numbered_parts(words: list[tuple[str, ...]]) -> bool:
    """Return whether names are one word for a part with a number or a letter: part1 and part2, "batch A" and "batch B"."""
    stems = {tuple(w for w in each if not w.isdecimal()) for each in words}
    numbered = all(each and (each[-1].isdecimal() or len(each[-1]) == 1) for each in words)
    return numbered and len(stems) == 1 and any(w in PARTS for w in next(iter(stems)))


def looks_like_ids(names: list[str]) -> bool:
    """Return whether names are those of patients: numbers of one form, other than a few small ones, which are grades.

    >>> looks_like_ids(["patient1", "patient2"]), looks_like_ids(["8863", "8864"]), looks_like_ids(["0", "1", "2"])
    (True, True, False)
    >>> looks_like_ids(["grade 1", "grade 2"]), looks_like_ids(["1NonCOVID", "2COVID"])
    (False, False)
    """
    if _are_sizes(names):
        return False
    if _are_hexadecimal(names):
        return True
    if _have_long_numbers(names):
        return not {"grade", "class"} & set(words_of(names[0])) and not _are_counted(names)
    shapes = Counter(_shape(name) for name in names)
    return _are_numbered_findings(shapes) or _are_numbered_alike(names, shapes)


def _are_sizes(names: list[str]) -> bool:
    """Return whether names are a few round numbers: sizes of images or magnifications."""
    return all(re.fullmatch(r"[1-9]\d*0", name) for name in names) and len(names) <= FEW


def _are_hexadecimal(names: list[str]) -> bool:
    return len(names) > 1 and all(re.fullmatch(r"(?=.*\d)[0-9a-f-]{12,}", name.lower()) for name in names)


def _have_long_numbers(names: list[str]) -> bool:
    return len(names) > 1 and sum(bool(re.search(r"\d{3}", name)) for name in names) >= 0.8 * len(names)


def _are_numbered_findings(shapes: Counter) -> bool:
    """Return whether the shapes of names are a finding and a number, the class and the patient: normal1, normal2, amd1."""
    stems = {re.sub(r"\W*#$", "", shape) for shape, count in shapes.items() if count > 1 and re.fullmatch(r"[a-z]+\W*#", shape)}
    return 1 < len(stems) == len(shapes) and bool(stems & FINDINGS)


def _are_numbered_alike(names: list[str], shapes: Counter) -> bool:
    """Return whether almost all names have one shape with a number. A few such names are classes, unless they speak of people."""
    shape, count = shapes.most_common(1)[0]
    if "#" not in shape or count < 0.8 * len(names) or len(names) < 2:
        return False
    words = re.findall(r"[^\W\d_#]+", shape)
    return bool(words) and words[0] in PEOPLE or len(names) > FEW


def _are_counted(names: list[str]) -> bool:
    """Return whether a few names say different things in words, beside any number: classes with how many images each holds.

    >>> _are_counted(["Normal 1341", "Pneumonia 3875"]), _are_counted(["TCGA-CS-4941", "TCGA-DU-5849"])
    (True, False)
    """
    words = [{word for word in words_of(name) if not word.isdecimal()} for name in names]
    said = {" ".join(sorted(w for w in each - set.intersection(*words) if len(w) > 3)) for each in words}
    return len(names) <= FEW and len(said) == len(names) and "" not in said


def _shape(name: str) -> str:
    """Return a name with # for each number; a hexadecimal or unique identifier is one number."""
    name = name.lower().strip()
    if re.fullmatch(r"[0-9a-f-]{12,}|[\d.]{10,}", name):
        return "#"
    return re.sub(r"\d+", "#", re.sub(r"(?<=\d)[a-z]{1,2}(?![a-z])", "", name))
