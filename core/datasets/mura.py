"""MURA v1.1: 40,005 X-rays of seven parts of the arm, read from the folder as Stanford distributes it. Nothing is moved.

    MURA-v1.1/train/XR_ELBOW/patient00011/study1_negative/image1.png
    MURA-v1.1/valid/XR_WRIST/patient11185/study1_positive/image2.png
    MURA-v1.1/train_labeled_studies.csv

Rajpurkar et al., MIDL 2018, https://arxiv.org/abs/1712.06957. Body part, patient, study, image and label all stand in the path;
"positive" is abnormal. A patient keeps the number from part to part, but study1 of the elbow is another study than study1 of
the wrist. The public set has two parts: `train` and `valid`, which share no patient. `valid` is kept as the test part.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.config import Task
from core.datasets.decode import decode_image, read_file
from core.datasets.fingerprints import fingerprint_of, later, left_out_note, skipped_files
from core.datasets.source import Index, Progress, Source, Target
from core.datasets.walk import ListedFile, list_files, subfolders, unwrap
from core.errors import LightboxError

PARTS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")
SPLIT_OF = {"train": "train", "valid": "test"}      # MURA's folder -> split
SIMULATED = "SIMULATED.txt"      # in the folder of phantoms that were exported in this layout
LABELS = ("normal", "abnormal")
PATH = re.compile(r"(?P<split>train|valid)/XR_(?P<body_part>[A-Z]+)/(?P<patient>patient\d+)/"
                  r"(?P<study>study\d+)_(?P<label>negative|positive)/(?P<view>[^/]+)\.\w+")
MAX_LIST = 20_000_000       # bytes of a list of studies; the real ones have one million


@dataclass(frozen=True)
class MuraOptions:
    """Which of MURA's images to read.

    Args:
        parts: any of PARTS, such as ("elbow", "wrist"); empty is all seven
        abnormal: False leaves the abnormal studies out; the body part is then the only target
        folders: any of SPLIT_OF, such as ("train",) to make all splits from the training images; empty is both
    """

    parts: tuple[str, ...] = ()
    abnormal: bool = True
    folders: tuple[str, ...] = later(())


def is_mura(path: Path) -> bool:
    """Return whether MURA lies in this folder, or in a folder MURA-v1.1 inside it."""
    return find_root(Path(path)) is not None


def find_root(path: Path) -> Path | None:
    """Return the folder that holds train/XR_... or valid/XR_...; None where there is none.

    It is `path`, a folder inside it that is called MURA..., or one that `path` only wraps; of train or valid itself, the folder
    above.
    """
    def has_parts(folder: Path, splits: Iterable[str] = SPLIT_OF) -> bool:
        return any((folder / split / f"XR_{part.upper()}").is_dir() for split in splits for part in PARTS)

    try:
        if not path.is_dir():
            return None
        if path.name in SPLIT_OF and has_parts(path.parent, [path.name]):
            return path.parent
        inside = [path / name for name in subfolders(path) if name.lower().startswith("mura")]
        return next((folder for folder in (path, unwrap(path), *inside) if has_parts(folder)), None)
    except LightboxError:
        return None


def is_simulated(root: Path) -> bool:
    """Return whether a folder in MURA's layout holds phantoms: what was exported says so inside, or beside it."""
    return (root / SIMULATED).is_file() or (root.parent / "truth" / "truth.csv").is_file()


def parse_paths(paths: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Read what MURA's paths say.

    Args:
        paths: below any folder, with /: "MURA-v1.1/train/XR_ELBOW/patient00011/study1_negative/image1.png"

    Returns:
        A row for each path that is MURA's: image_id and path (from train or valid on), patient "patient00011",
        study "elbow/patient00011/study1", view "image1", split "train" or "test", body_part, label "normal" or "abnormal";
        and the other paths.

    >>> parse_paths(["train/XR_ELBOW/patient00011/study1_negative/image1.png"])[0].loc[0, ["study", "label"]].tolist()
    ['elbow/patient00011/study1', 'normal']
    """
    rows, other = [], []
    for path in paths:
        match = PATH.search(path)
        facts = match.groupdict() if match and match.end() == len(path) else {}
        part = facts.get("body_part", "").lower()
        if part not in PARTS:
            other.append(path)
            continue
        inside, patient = path[match.start():], facts["patient"]
        rows.append((inside, patient, f"{part}/{patient}/{facts['study']}", facts["view"], inside, SPLIT_OF[facts["split"]], part,
                     LABELS[facts["label"] == "positive"]))
    columns = ["image_id", "patient", "study", "view", "path", "split", "body_part", "label"]
    return pd.DataFrame(rows, columns=columns, dtype=str), other


def read_studies(text: str) -> dict[str, str]:
    """Read a list of studies, with lines such as "MURA-v1.1/train/XR_ELBOW/patient00011/study1_negative/,0".

    Returns {study's folder from train or valid on: "normal" or "abnormal"}. Other lines, such as a header, are passed over.
    """
    labels = {}
    try:
        for row in csv.reader(io.StringIO(text)):
            start = re.search(r"(train|valid)/XR_", row[0]) if len(row) == 2 and row[1] in ("0", "1") else None
            if start:
                labels[row[0][start.start():].rstrip("/")] = LABELS[int(row[1])]
    except csv.Error:      # not a table: what was read before it is as good as the folders say
        pass
    return labels


class Mura(Source):
    """MURA v1.1 from a local folder."""

    title = "MURA"
    description = ("X-rays of the elbow, finger, forearm, hand, humerus, shoulder and wrist from Stanford. Radiologists called "
                   "each study normal or abnormal. Not for clinical use.")
    licence = "Stanford University School of Medicine MURA Dataset Research Use Agreement"

    def __init__(self, path: Path, options: MuraOptions = MuraOptions()):
        path = Path(path)
        self.name = str(path)
        root = find_root(path)
        if root is None:
            raise LightboxError("mura.layout", f"{path} has no folder train or valid with folders such as XR_ELBOW inside.",
                                "Give the folder MURA-v1.1 as it is in the zip file.")
        self.path = root
        if is_simulated(root):
            self.title, self.licence = "Phantom radiographs in MURA's layout", ""
            self.description = "X-rays of people who do not exist, simulated by Lightbox. Not for clinical use."
        asked = tuple(str(part).lower().removeprefix("xr_") for part in options.parts)
        unknown = [given for given, part in zip(options.parts, asked) if part not in PARTS]
        if unknown:
            raise LightboxError("mura.parts", f"MURA has no body part {str(unknown[0])[:60]!r}.",
                                f"Body parts: {', '.join(PARTS)}.")
        self.parts = tuple(part for part in PARTS if not asked or part in asked)
        if unknown := [folder for folder in options.folders if folder not in SPLIT_OF]:
            raise LightboxError("mura.folders", f"MURA has no folder {str(unknown[0])[:60]!r}.",
                                f"Folders: {', '.join(SPLIT_OF)}.")
        wanted = options.folders or ((path.name,) if path.name in SPLIT_OF and path.parent == root else ())
        self.folders = tuple(folder for folder in SPLIT_OF if not wanted or folder in wanted)
        both = len(self.folders) == len(SPLIT_OF)
        self.options = MuraOptions(self.parts, bool(options.abnormal), () if both else self.folders)
        self.body_parts = tuple(part for part in self.parts
                                if any((root / split / f"XR_{part.upper()}").is_dir() for split in self.folders))

    def fingerprint(self) -> str:
        return fingerprint_of(self._list()[0], self.options)

    def scan(self, progress: Progress | None = None) -> Index:
        files, notes = self._list()
        skipped = skipped_files(files)
        table, other = parse_paths([f.path for f in files if not f.fault])
        skipped += [{"path": path, "reason": "Its path has no patient, study and label as MURA's paths do."} for path in other]
        notes += self._disagreements(table)
        if not self.options.abnormal:
            table = table[table["label"] == "normal"].reset_index(drop=True)
            notes.append("The abnormal studies were left out.")
        if len(self.parts) < len(PARTS):
            notes.append(f"Only {', '.join(self.parts)} of MURA's seven body parts were read.")
        if self.options.folders:
            notes.append(f"Only its folder {self.folders[0]} was read: it brings no split of its own.")
        self.table = table
        present = tuple(part for part in self.parts if (table["body_part"] == part).any())
        abnormal = (table["label"] == "abnormal").to_numpy().astype(np.int64)
        targets = []
        if 0 < abnormal.sum() < len(table):
            targets.append(Target("abnormality", "Normal or abnormal", Task.BINARY, LABELS, abnormal))
        if len(present) > 1:
            part = table["body_part"].map(present.index).to_numpy().astype(np.int64)
            task = Task.BINARY if len(present) == 2 else Task.MULTICLASS
            targets.append(Target("body_part", "Body part", task, present, part))
        if not targets:
            what = f"only {LABELS[abnormal[0]]} images of the {present[0]}" if len(table) else "no image of these body parts"
            raise LightboxError("mura.classes", f"{self.path} has {what}: at least two classes are needed.",
                                "Choose more body parts or folders, or include the abnormal images.")
        return Index(table, {target.name: target for target in targets}, skipped, notes)

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.path / self.table["path"].iloc[i]).pixels

    def _list(self) -> tuple[list[ListedFile], list[str]]:
        """Return all files of the chosen body parts, sorted, and notes about the rest."""
        files, left_out = [], 0
        for split in self.folders:
            for part in self.parts:
                below = f"{split}/XR_{part.upper()}"
                if (self.path / below).is_dir():
                    listed, other = list_files(self.path, below, split, part)
                    files += listed
                    left_out += len(other)
        return files, left_out_note(left_out)

    def _disagreements(self, table: pd.DataFrame) -> list[str]:
        """Return a note for each list of studies that contradicts the names of the folders."""
        notes = []
        folders = table["path"].str.rpartition("/")[0] if len(table) else pd.Series(dtype=str)
        labels = dict(zip(folders, table["label"]))
        for split in self.folders:
            name = f"{split}_labeled_studies.csv"
            if not (self.path / name).is_file():
                continue
            try:
                text = read_file(self.path / name, MAX_LIST).decode("utf-8", "replace")
            except LightboxError as error:
                notes.append(str(error))
                continue
            ours = tuple(f"{split}/XR_{part.upper()}/" for part in self.parts)
            listed = {study: label for study, label in read_studies(text).items() if study.startswith(ours)}
            other = [study for study, label in listed.items() if labels.get(study, label) != label]
            if other:
                notes.append(f"{name} has another label than the folder for {len(other):,} of {len(listed):,} studies, for "
                             f"example {other[0]} {listed[other[0]]}. The names of the folders count.")
            missing = [study for study in listed if study not in labels]
            if missing:
                notes.append(f"{len(missing):,} of the {len(listed):,} studies in {name} are missing, for example "
                             f"{missing[0]}.")
        return notes
