"""What was read of a folder, checked, put in order and said in sentences."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from core.datasets.file_names import NameFacts, offer_groups
from core.datasets.fingerprints import left_out_note
from core.datasets.frames import file_of
from core.datasets.image_names import in_words, other_format
from core.datasets.level_names import splits_of
from core.datasets.level_words import CONTAINERS, words_of
from core.datasets.levels import Level
from core.datasets.source import Understood
from core.datasets.text import headline, natural_key, short
from core.datasets.walk import ListedFile, subfolders
from core.errors import LightboxError

MOST_PARENTS = 20              # folders that are searched for empty class folders
MEANINGS = {"class": "the classes", "split": "the split", "patient": "patients", "study": "studies", "view": "views",
            "part": "parts of the download", "other": "another grouping, offered as a task of its own"}
ADD_CLASSES = "Make one subfolder per class, at least two, and put the images into them."


@dataclass
class FolderReading:
    """What was read of a folder.

    Args:
        files: the images, in the order of their rows
        facts: of each file, what its name and folders say
        labels: class of each file, "" where none is known
        faulty: files that cannot be used
        out: paths of images that were left out
        held_out: folders for testing that lie beside the classes of training
        patients_from: what the patients are known from
        key: what else belongs to the fingerprint
    """

    files: list[ListedFile] = field(default_factory=list)
    facts: list[NameFacts] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    faulty: list[ListedFile] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    masks: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    understood: list[Understood] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)
    out: set[str] = field(default_factory=set)
    held_out: set[str] = field(default_factory=set)
    patients_from: str = "names of files and folders"
    key: str = ""

    def say(self, code: str, text: str, option: str = "", value: str = "") -> None:
        """Add a sentence on how something was understood."""
        self.understood.append(Understood(code, text, option, value))

    def folders_of(self, path: str) -> list[str]:
        """Return the folders around a file, from the outermost on; classes beside a folder for testing are in "train"."""
        parts = path.split("/")[:-1]
        return ["train", *parts] if self.held_out and parts and parts[0] not in self.held_out else parts

    def table(self) -> pd.DataFrame:
        """Return image_id, patient, study, view, path, split; and mask where an image has one. All text."""
        rows = [(f.path, fact.patient or file_of(f.path), fact.study, fact.view, f.path, f.split)
                for f, fact in zip(self.files, self.facts)]
        table = pd.DataFrame(rows, columns=["image_id", "patient", "study", "view", "path", "split"], dtype=object)
        return table.assign(mask=["|".join(self.masks.get(f.path, ())) for f in self.files]) if self.masks else table

    def other_levels(self) -> list[tuple[int, list[str]]]:
        """Return the levels that are something else, with the name that each image has there; only where all have one."""
        parts = [self.folders_of(f.path) for f in self.files]
        others = [k for k, level in enumerate(self.levels) if level.role == "other" and 1 < len(level.names) <= 50]
        return [(k, [each[k] for each in parts]) for k in others if all(len(each) > k for each in parts)]


def check_empty(root: Path, images: list[ListedFile], others: list[str], reading: FolderReading) -> None:
    """Say which folders beside the classes hold no image. Raises LightboxError "folder.empty_class" where one may be a class."""
    at = next((k for k, level in enumerate(reading.levels) if level.role == "class"), None)
    if at is None:
        return
    used = {"/".join(f.path.split("/")[:at + 1]) for f in (*images, *reading.faulty)}
    parents = sorted({"/".join(f.path.split("/")[:at]) for f in reading.files if f.path.count("/") > at})
    for parent in parents[:MOST_PARENTS]:
        for name in subfolders(root / parent):
            below = f"{parent}/{name}" if parent else name
            if below not in used:
                _check_unused(root, below, name in reading.levels[at].names, others, reading)


def _check_unused(root: Path, below: str, filled: bool, others: list[str], reading: FolderReading) -> None:
    """Say that a folder beside the classes holds no image, or raise where it may be a class.

    Args:
        filled: another folder of this name has images, so no class is lost
    """
    inside = [path for path in others if path.startswith(f"{below}/")]
    if filled:
        reading.notes.append(f"The folder {below} is empty." if not inside else
                             f"The folder {below} holds no image: {in_words(inside)[0]}")
    elif not inside:
        if not any(path.startswith(f"{below}/") for path in reading.out):
            raise LightboxError("folder.empty_class", f"The class folder {below} in {root} holds no images.",
                                "Put images into it or remove it.")
    elif any(map(other_format, inside)):
        what, todo = in_words(inside)
        raise LightboxError("folder.empty_class", f"The class folder {below} in {root} holds no image that can be read: "
                            f"{what}", todo or "Save the images as PNG.")
    else:
        reading.notes.append(f"The folder {below} holds no image and was left out: {in_words(inside)[0]}")


def check_any(root: Path, given: Path, reading: FolderReading, others: list[str]) -> None:
    """Raise LightboxError "folder.classes" where there is no image, or one class alone."""
    if not reading.files and not reading.faulty:
        if reading.left_out:
            what = ", ".join(f"{count:,} {kind}" for kind, count in reading.left_out.items())
            raise LightboxError("folder.classes", f"No image of the folder {root} is left: left out were {what}.",
                                "Choose what to take in.")
        what, todo = in_words(others) if others else ("", "")
        holds = f" It holds {what}" if what else ""
        raise LightboxError("folder.classes", f"The folder {root} has no subfolders with images.{holds}", todo or ADD_CLASSES)
    alone = [level for level in reading.levels if level.role == "around" and not _is_container(next(iter(level.names)))]
    known = reading.left_out["mask"] or any(fact.patient for fact in reading.facts)      # a set that is not made of classes
    if not any(reading.labels) and not known and (alone or root != given and not _is_container(root.name)):
        name = next(iter(alone[-1].names)) if alone else root.name
        raise LightboxError("folder.classes", f"The folder {given} has only one class, {name}.",
                            f"{ADD_CLASSES} To classify images without labels, give the folder {name} itself.")


def _is_container(name: str) -> bool:
    """Return whether a folder's name says no more than that images are inside."""
    words = words_of(name)
    return not words or bool(set(words) & {*CONTAINERS, "original", "originals", "raw"}) or bool(splits_of([name]))


def listed(counts: Counter, most: int = 6) -> str:
    names = sorted(counts, key=natural_key)
    return ", ".join(f"{short(n)} {counts[n]:,}" for n in names[:most]) + (" ..." if len(names) > most else "")


def join_classes(options, reading: FolderReading) -> None:
    """Say which classes differ only in case or blanks, and join them where that was asked for."""
    alike = defaultdict(Counter)
    for name in reading.labels:
        alike[" ".join(name.split()).casefold()][name] += 1
    several = {key: names for key, names in alike.items() if len(names) > 1}
    if not several:
        return
    shown = "; ".join(" and ".join(map(repr, sorted(names))) for names in list(several.values())[:5])
    if options.join:
        best = {name: names.most_common(1)[0][0].strip() for names in several.values() for name in names}
        reading.labels = [best.get(name, name) for name in reading.labels]
        reading.say("classes.joined", f"Class folders that differ only in case or blanks were joined: {shown}.", "join", "false")
    else:
        text = f"The class folders {shown} look alike but are different classes."
        reading.notes.append(text)
        reading.say("classes.alike", text, "join", "true")


def join_longer(reading: FolderReading) -> None:
    """Read adenocarcinoma of test and adenocarcinoma_left.lower.lobe of training as one class, where all such names pair up."""
    tested = {label for f, label in zip(reading.files, reading.labels) if f.split == "test"}
    trained = {label for f, label in zip(reading.files, reading.labels) if f.split != "test"}
    pairs = {long: word for long in trained - tested for word in tested - trained
             if long.startswith(word) and not long[len(word):][:1].isalnum()}
    if "" in tested or not pairs or not len(pairs) == len(set(pairs.values())) == len(trained - tested) == len(tested - trained):
        return
    reading.labels = [pairs.get(label, label) for label in reading.labels]
    reading.say("classes.joined", "Classes that are called longer in one part of the split were joined: "
                f"{'; '.join(f'{short(a)} is {short(b)}' for a, b in sorted(pairs.items())[:5])}.")


def sort_rows(reading: FolderReading) -> None:
    """Leave out images without a class where others have one, and put the rows in order: by split, class and path."""
    rows = list(zip(reading.files, reading.facts, reading.labels))
    with_class = [row for row in rows if row[2]]
    if with_class and len(with_class) < len(rows):
        lost = [row for row in rows if not row[2]]
        reading.left_out["no_class"] += len(lost)
        reading.notes.append(f"{len(lost):,} images lie in no class folder and were left out, for example "
                             f"{short(lost[0][0].path)}.")
        rows = with_class
    rank = {name: k for k, name in enumerate(sorted({f.class_name for f, _, _ in rows}, key=natural_key))}
    rows.sort(key=lambda row: (row[0].split, row[0].path.split("/")[0] if row[0].split else "", rank[row[0].class_name],
                               row[0].path))
    reading.files, reading.facts, reading.labels = (list(column) for column in zip(*rows)) if rows else ([], [], [])


def _tell_copies(reading: FolderReading) -> None:
    """Say where folders side by side hold files of the same classes, names and sizes: the set several times, divided anew."""
    for k, level in enumerate(reading.levels):
        held = defaultdict(set)
        if level.role in ("other", "part"):
            for file, label in zip(reading.files, reading.labels):
                parts = reading.folders_of(file.path)
                if len(parts) > k:
                    held[parts[k]].add((label, file.path.rpartition("/")[2], file.size))
        for name, keys in held.items():
            others = set().union(*(held[other] for other in held if other != name))
            if len({size for _, _, size in keys}) > max(1, len(keys) / 4) and len(keys & others) >= max(3, 0.9 * len(keys)):
                reading.say("copies.possible", f"Almost all images in {name} have the name and size of one in another folder of "
                            f"that level ({level.shown()}), and are probably the same: leave one out, or keep copies together.",
                            "leave_out", f"*{name}/*")
                break


def tell(reading: FolderReading, others: list[str]) -> None:
    """Say what was understood: first the sum of it, then each level, then what names say."""
    said, reading.understood = reading.understood, []
    files = reading.files
    patients = len({fact.patient for fact in reading.facts} - {""})
    counts = Counter(reading.labels)
    others_left = {"not_an_image": len(others)} if others else {}
    counts.pop("", None)
    reading.say("images", headline(
        len(files), patients, reading.patients_from, {name: counts[name] for name in sorted(counts, key=natural_key)},
        "names of files" if any(one.code == "label.name" for one in said) else "folders", "classes",
        Counter(f.split for f in files), {**reading.left_out, **others_left}))
    for k, level in enumerate(reading.levels):
        if level.role != "around":
            reading.say(f"level.{level.role}", f"Level {k + 1} of the folders: {MEANINGS[level.role]} ({level.shown()}).",
                        "levels")
    _tell_copies(reading)
    reading.understood += said
    if not patients and files:
        reading.say("patients.unknown", "No patient is known, so images of one person may be on both sides of the split.",
                    "pattern")
        for pattern, words, groups in offer_groups([f.path for f in files]):
            reading.say("patients.offer", f"Names may tell: {words} gives {groups:,} groups.", "pattern", pattern)
    elif patients:
        reading.say("patients", f"{patients:,} patients are known from the {reading.patients_from}.", "pattern")
    if others:
        reading.left_out["not_an_image"] = len(others)
        reading.notes += left_out_note(len(others))
