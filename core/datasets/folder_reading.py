"""What lies in a folder, read step by step: list, choose, tell masks and copies from images, levels, names."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.datasets.decode import decode_image
from core.datasets.file_names import NameFacts, label_prefixes, match_names, read_names
from core.datasets.folder_rows import FolderReading, check_any, check_empty, join_classes, join_longer, listed, sort_rows, tell
from core.datasets.folder_tables import read_beside
from core.datasets.frames import with_frames
from core.datasets.level_names import splits_of
from core.datasets.level_words import FINDINGS, SPLIT_WORDS, STAINS
from core.datasets.levels import Level, read_levels, without_class
from core.datasets.masks import WORDS, find_copies, find_masks
from core.datasets.text import natural_key, short
from core.datasets.walk import ListedFile, list_files, subfolders
from core.errors import LightboxError

LFS = b"version https://git-lfs"
SMALL = 400                    # bytes; a Git LFS pointer has some 130


def read_folder(root: Path, options, given: Path) -> FolderReading:
    """Read a folder as its options (`FolderOptions`) say. Nothing is decoded but a few files whose names say too little.

    Args:
        root: the folder without what only wraps it
        given: the folder that a person gave

    Raises LightboxError "folder.classes" without images or with one class, "folder.lfs", "folder.empty_class", "folder.pattern",
    "folder.too_large", "folder.unreadable".
    """
    reading = FolderReading()
    files, others = list_files(root, "")
    files = _check_pointers(root, files, reading)
    chosen = [f for f in files if options.selects(f.path)]
    if len(chosen) < len(files):
        reading.left_out["pattern"] = len(files) - len(chosen)
    reading.faulty = [f for f in chosen if f.fault]
    images = [f for f in chosen if not f.fault]
    images = _without_copies(images, options, reading)
    images = _without_helpers(root, images, options, reading)
    images, said = with_frames(root, images)
    reading.understood += said
    _read_levels(root, images, options, reading)
    check_empty(root, images, others, reading)
    _read_names(options, reading)
    join_classes(options, reading)
    join_longer(reading)
    if not options.levels and options.pattern != "-":
        read_beside(given, reading)
    sort_rows(reading)
    check_any(root, given, reading, others)
    tell(reading, others)
    return reading


def _check_pointers(root: Path, files: list[ListedFile], reading: FolderReading) -> list[ListedFile]:
    """Name files of a git clone whose content was not fetched for what they are."""
    def is_pointer(file: ListedFile) -> bool:
        try:
            with open(root / file.path, "rb") as opened:
                return opened.read(len(LFS)) == LFS
        except OSError:
            return False

    small = [f for f in files if 40 <= f.size <= SMALL and not f.fault]
    if not any(map(is_pointer, small[::max(1, len(small) // 20)])):
        return files
    pointers = {f.path for f in small if is_pointer(f)}
    fix = "Run git lfs pull in that folder, or download the images themselves."
    if len(pointers) == len(files):
        raise LightboxError("folder.lfs", f"The {len(files):,} files in {root} are Git LFS pointers, not the images.", fix)
    reading.left_out["lfs_pointer"] = len(pointers)
    fault = f"It is a Git LFS pointer, not the image itself. {fix}"
    return [f._replace(fault=fault) if f.path in pointers else f for f in files]


def _without_copies(images: list[ListedFile], options, reading: FolderReading) -> list[ListedFile]:
    copies = find_copies({f.path: f.size for f in images})
    if not copies:
        return images
    folders = ", ".join(sorted(set(copies.values()))[:3])
    if "copy" in options.take:
        reading.say("left_in.copy", f"{folders} holds the same files as the folder around it; they were taken in all the same.",
                    "take", "")
        return images
    reading.left_out["copy"] = len(copies)
    reading.out |= set(copies)
    reading.say("left_out.copy", f"The set lies once more inside itself: {len(copies):,} images in {folders} were left out.",
                "take", "copy")
    return [f for f in images if f.path not in copies]


def _without_helpers(root: Path, images: list[ListedFile], options, reading: FolderReading) -> list[ListedFile]:
    def look(path: str) -> tuple:
        try:
            pixels = decode_image(root / path).pixels
            return pixels.shape[:2], len(set(pixels.reshape(-1).tolist()))
        except LightboxError:
            return path, 0

    helpers = find_masks([f.path for f in images], cache(look))
    wanted = {f.path for f in images if helpers.kind.get(f.path) not in (None, *options.take)}
    counts = Counter(kind for path, kind in helpers.kind.items() if path in wanted)
    for kind, count in counts.items():
        example = next(path for path in sorted(wanted) if helpers.kind[path] == kind)
        text = f"{count:,} {WORDS[kind][count > 1]} were left out, such as {short(example)}."
        if kind == "mask":
            with_mask = sum(image not in wanted for image in helpers.masks)
            text += f" They are kept as the true regions of {with_mask:,} images, for heat maps." if with_mask else ""
        reading.left_out[kind] = count
        reading.say(f"left_out.{kind}", text, "take", kind)
    reading.out |= wanted
    reading.masks = {image: sorted(masks) for image, masks in helpers.masks.items() if "mask" in counts}
    return [f for f in images if f.path not in wanted]


def _read_levels(root: Path, images: list[ListedFile], options, reading: FolderReading) -> None:
    """Give each file its split, and its facts and class by the folders around it."""
    reading.held_out = _held_out([f.path.split("/")[:-1] for f in images])
    parts = [reading.folders_of(f.path) for f in images]
    parts, images = _without_beside_splits(root, parts, images, options, reading)
    folders = Counter(map(tuple, parts))
    if not options.levels:
        parts, images = _without_beside_classes(folders, parts, images, reading)
    reading.levels = read_levels(folders, options.levels)
    if reading.left_out["mask"] and not options.levels:
        _take_numbers_for_people(reading.levels)
    names = _folder_names(reading.levels, folders)
    if names.restarting:
        reading.notes.append("Patient numbers begin anew in each folder: the same number in two folders is two people.")
    known = {folder: names.read(folder) for folder in folders}
    for file, folder in zip(images, parts):
        split, label, fact = known[tuple(folder)]
        reading.files.append(file._replace(split=split, class_name=label))
        reading.facts.append(fact)
    if not _is_plain(reading):
        reading.key = f"; levels {names.roles}"


def _without_beside_classes(folders: Counter, parts: list[list[str]], images: list[ListedFile],
                            reading: FolderReading) -> tuple[list, list]:
    """Leave out images that lie beside the classes, and take their folders out of `folders`."""
    aside = without_class(folders)
    if not aside:
        return parts, images
    lost = sum(folders.pop(folder) for folder in aside)
    reading.left_out["no_class"] += lost
    shown = ", ".join(sorted(map("/".join, aside))[:5])
    reading.notes.append(f"{lost:,} images lie beside the classes, in {shown}, and were left out.")
    kept = [k for k, p in enumerate(parts) if tuple(p) not in aside]
    return [parts[k] for k in kept], [images[k] for k in kept]


def _take_numbers_for_people(levels: list[Level]) -> None:
    """Take classes that are called by numbers alone for patients: in a set that was made for outlines they are people."""
    for level in levels:
        if level.role == "class" and all(map(str.isdecimal, level.names)):
            level.role = "patient"


@dataclass
class FolderNames:
    """What the names of folders mean.

    Args:
        roles: of each level
        splits: level -> name -> split
        restarting: levels of patients whose numbers begin anew in each folder
    """

    roles: list[str]
    splits: dict[int, dict[str, str]]
    restarting: set[int]

    def read(self, folder: tuple[str, ...]) -> tuple[str, str, NameFacts]:
        """Return split, class and facts of the images in a folder."""
        facts = defaultdict(list)
        for k, name in enumerate(folder):
            role = self.roles[k]
            if role == "split":
                facts[role].append(self.splits[k].get(name, ""))
            elif role == "patient":
                facts[role].append("/".join(folder[:k + 1]) if k in self.restarting else name)
            elif not (role == "class" and k and folder[k - 1] == name):      # test/test
                facts[role].append(name)
        patient, study = "/".join(facts["patient"]), "/".join(facts["study"])
        fact = NameFacts(patient, f"{patient}/{study}" if patient and study else study, "/".join(facts["view"]))
        return next(filter(None, facts["split"]), ""), "/".join(facts["class"]), fact


def _folder_names(levels: list[Level], folders: Counter) -> FolderNames:
    names = FolderNames([level.role for level in levels], {}, set())
    for k, level in enumerate(levels):
        if level.role == "split":
            names.splits[k] = splits_of(list(level.names)) or {n: SPLIT_WORDS.get(n.lower(), "") for n in level.names}
        elif level.role == "patient" and _restarts(level, k, folders):
            names.restarting.add(k)
    return names


def _held_out(parts: list[list[str]]) -> set[str]:
    """Return the folders for testing that lie beside classes of training: normal, tumor, test/normal, test/tumor."""
    tops = {p[0] for p in parts if p}
    held_out = {name for name in tops if SPLIT_WORDS.get(name.lower(), "train") != "train"}
    inside = {p[1] for p in parts if len(p) > 1 and p[0] in held_out}
    return held_out if len(inside) > 1 and inside == tops - held_out else set()


def _is_plain(reading: FolderReading) -> bool:
    """Return whether the class is the outermost folder, or the one below train, val and test, as in the first stores."""
    for file in reading.files:
        parts = file.path.split("/", 2)
        if parts[0] != file.class_name and not (file.split and len(parts) > 1 and parts[1] == file.class_name):
            return False
    return True


def _without_beside_splits(root: Path, parts: list, images: list[ListedFile], options,
                           reading: FolderReading) -> tuple[list, list]:
    """Leave out what lies beside the folders train, val and test."""
    if options.levels or reading.held_out:
        return parts, images
    tops = {p[0] if p else "" for p in parts}
    splits = _split_folders(tops)
    beside = _folders_beside(root, tops, splits, reading)
    if not beside or not any(splits_of([name]).get(name) == "train" for name in splits):
        return parts, images
    kept = [k for k, p in enumerate(parts) if p and p[0] in splits]
    if len(kept) < len(parts):
        reading.left_out["beside_splits"] = len(parts) - len(kept)
    names = ", ".join(name or "files in none of them" for name in beside)
    reading.notes.append(f"These folders beside train, val and test were left out: {names}.")
    return [parts[k] for k in kept], [images[k] for k in kept]


def _split_folders(names: set[str]) -> set[str]:
    return {name for name in names if name.lower() in SPLIT_WORDS or splits_of([name, "train"])}


def _folders_beside(root: Path, tops: set[str], splits: set[str], reading: FolderReading) -> list[str]:
    """Return the outermost folders that are no split, those without an image too; "" for files in none."""
    out = {path.split("/")[0] for path in reading.out}
    all_tops = {*tops, *subfolders(root)} if splits else tops
    return sorted(all_tops - splits - out, key=natural_key)


def _restarts(level: Level, k: int, folders: Counter) -> bool:
    """Return whether short numbers of patients occur below several folders: they begin anew in each."""
    above = defaultdict(set)
    for folder in folders:
        if len(folder) > k:
            above[folder[k]].add(folder[:k])
    digits = max(len([c for c in name if c.isdecimal()]) for name in level.names)
    return digits <= 3 and max(map(len, above.values())) > 1


def _read_names(options, reading: FolderReading) -> None:
    """Add what the names of the files say: patients, and a class where no folder has one."""
    reading.labels = [f.class_name for f in reading.files]
    if not reading.files or options.pattern == "-":
        return
    folder_facts = reading.facts
    found = _match_pattern(options.pattern, reading) if options.pattern else _match_collections(reading)
    reading.facts = [NameFacts(*(a or b for a, b in zip(name, folder))) for name, folder in zip(found, folder_facts)]
    stained = {label.lower() for label in reading.labels} <= STAINS and all(fact.label for fact in reading.facts)
    if stained:
        _drop_class_level(reading)
    if stained or not any(reading.labels):
        _take_labels(_labels_of_names(options.pattern, folder_facts, reading), reading)


def _match_pattern(pattern: str, reading: FolderReading) -> list[NameFacts]:
    """Return what a person's pattern finds in each name."""
    files = reading.files
    found = [fact or NameFacts() for fact in match_names(pattern, [below_class(f) for f in files])]
    missed = [f.path for f, fact in zip(files, found) if not fact.patient]
    if len(missed) < len(files):
        known = len(files) - len(missed)
        reading.notes.append(f'The patient of {known:,} images was read from names by the pattern "{pattern}".')
    if missed and "(?P<patient>" in pattern:
        reading.notes.append(f'The pattern finds no patient in {len(missed):,} names, for example in "{missed[0]}".')
    return found


def _match_collections(reading: FolderReading) -> list[NameFacts]:
    """Return what the patterns of well-known collections find in each name."""
    found, used = read_names([f.path for f in reading.files], [f.split for f in reading.files])
    for known, count in used:
        if "(?P<patient>" in known.regex:
            reading.notes.append(f"The patient of {count:,} images was read from names as in {known.collection}.")
        if known.note:
            reading.notes.append(known.note)
    return found


def _drop_class_level(reading: FolderReading) -> None:
    """Make no class of the stain where names have a label: HE/00001_train_2+.png."""
    for level in reading.levels:
        if level.role == "class":
            level.role = "other"


def _labels_of_names(pattern: str, folder_facts: list[NameFacts], reading: FolderReading) -> list[str]:
    """Return the label that each name has by a pattern, or by what it begins with where no pattern says any."""
    labels = [fact.label for fact in reading.facts]
    if pattern or len(set(labels) - {""}) >= 2:
        return labels
    people = label_prefixes([fact.patient for fact in folder_facts])      # normal1, normal2, amd1: the class and a number
    if FINDINGS & {label.lower() for label in people}:
        return people
    return label_prefixes([f.path for f in reading.files], [f.path for f in reading.files if f.split == "train"])


def _take_labels(labels: list[str], reading: FolderReading) -> None:
    """Make classes of labels where there are two or more."""
    counts = Counter(filter(None, labels))
    if len(counts) < 2:
        return
    reading.labels = labels
    first = next(k for k, label in enumerate(labels) if label)
    reading.say("label.name", f"No folder is a class: the class was read from the names of the files, such as "
                f"{short(reading.files[first].path)} for {labels[first]} ({listed(counts)}).", "pattern")
    reading.key += f"; labels {sorted(counts)}"


def below_class(file: ListedFile) -> str:
    """Return an image's path below its class folder: "train/NORMAL/p1/a.png" -> "p1/a.png"."""
    parts = file.path.split("/")
    for k, name in enumerate(parts[:-1]):
        if name == file.class_name:
            return "/".join(parts[k + 1:])
    return file.path
