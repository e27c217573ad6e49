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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets.decode import decode_image, read_file
from core.datasets.folder import ListedFile, fingerprint_of, list_files, subfolders, unwrap
from core.datasets.source import Index, Progress, Source, Target
from core.errors import LightboxError

PARTS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")
SPLITS = {"train": "train", "valid": "test"}
LABELS = ("normal", "abnormal")
PATH = re.compile(r"(?P<split>train|valid)/XR_(?P<body_part>[A-Z]+)/(?P<patient>patient\d+)/"
                  r"(?P<study>study\d+)_(?P<label>negative|positive)/(?P<view>[^/]+)\.\w+")
MAX_LIST = 20_000_000       # bytes of a list of studies; the real ones have one million


@dataclass(frozen=True)
class MuraReading:
    """Which of MURA's images to take.

    Args:
        parts: any of PARTS, such as ("elbow", "wrist"); empty is all seven
        abnormal: False leaves the abnormal studies out; what can be learned is then only the part of the body
    """

    parts: tuple[str, ...] = ()
    abnormal: bool = True


def is_mura(path: Path) -> bool:
    """Whether MURA lies in this folder, or in a folder MURA-v1.1 inside it."""
    return find_root(Path(path)) is not None


def find_root(path: Path) -> Path | None:
    """The folder that holds train/XR_... or valid/XR_...: `path`, one inside it that is called MURA..., or one that `path` only
    wraps; None where there is none."""
    def has_parts(folder: Path) -> bool:
        return any((folder / split / f"XR_{part.upper()}").is_dir() for split in SPLITS for part in PARTS)

    try:
        if not path.is_dir():
            return None
        inside = [path / name for name in subfolders(path) if name.lower().startswith("mura")]
        return next((folder for folder in (path, unwrap(path), *inside) if has_parts(folder)), None)
    except LightboxError:
        return None


def parse_paths(paths: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """What MURA's paths say.

    Args:
        paths: below any folder, with /: "MURA-v1.1/train/XR_ELBOW/patient00011/study1_negative/image1.png"

    Returns:
        a row for each path that is MURA's: image_id and path (from train or valid on), patient "patient00011",
        study "elbow/patient00011/study1", view "image1", split "train" or "test", body_part, label "normal" or "abnormal";
        and the other paths
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
        rows.append((inside, patient, f"{part}/{patient}/{facts['study']}", facts["view"], inside, SPLITS[facts["split"]], part,
                     LABELS[facts["label"] == "positive"]))
    columns = ["image_id", "patient", "study", "view", "path", "split", "body_part", "label"]
    return pd.DataFrame(rows, columns=columns, dtype=str), other


def read_studies(text: str) -> dict[str, str]:
    """A list of studies, "MURA-v1.1/train/XR_ELBOW/patient00011/study1_negative/,0", as {study's folder from train or valid on:
    "normal" or "abnormal"}. Lines of any other form, such as the heading, are passed over."""
    found = {}
    try:
        for row in csv.reader(io.StringIO(text)):
            start = re.search(r"(train|valid)/XR_", row[0]) if len(row) == 2 and row[1] in ("0", "1") else None
            if start:
                found[row[0][start.start():].rstrip("/")] = LABELS[int(row[1])]
    except csv.Error:      # not a table: what was read before it is as good as the folders say
        pass
    return found


class Mura(Source):
    """MURA v1.1 from a local folder."""

    title = "MURA"
    description = ("X-rays of the elbow, finger, forearm, hand, humerus, shoulder and wrist from Stanford. Radiologists called "
                   "each study normal or abnormal. Not for clinical use.")
    licence = "Stanford University School of Medicine MURA Dataset Research Use Agreement"

    def __init__(self, path: Path, reading: MuraReading = MuraReading()):
        path = Path(path)
        self.name = str(path)
        root = find_root(path)
        if root is None:
            raise LightboxError("mura.layout", f"In {path} there is no folder train or valid with XR_ELBOW and the like inside.",
                                "Give the folder MURA-v1.1 as it comes out of the zip file.")
        self.path = root
        asked = tuple(str(part).lower().removeprefix("xr_") for part in reading.parts)
        unknown = [given for given, part in zip(reading.parts, asked) if part not in PARTS]
        if unknown:
            raise LightboxError("mura.parts", f"MURA has no part {str(unknown[0])[:60]!r}.", f"There are {', '.join(PARTS)}.")
        self.parts = tuple(part for part in PARTS if not asked or part in asked)
        self.reading = MuraReading(self.parts, bool(reading.abnormal))

    def fingerprint(self) -> str:
        return fingerprint_of(self._list()[0], self.reading)

    def scan(self, progress: Progress | None = None) -> Index:
        files, notes = self._list()
        skipped = [{"path": f.path.encode("utf-8", "replace").decode(), "reason": f.fault} for f in files if f.fault]
        table, other = parse_paths([f.path for f in files if not f.fault])
        skipped += [{"path": path, "reason": "Its path does not say patient, study and label as MURA's do."} for path in other]
        notes += self._disagreements(table)
        if not self.reading.abnormal:
            table = table[table["label"] == "normal"].reset_index(drop=True)
            notes.append("Abnormal studies were left out.")
        if len(self.parts) < len(PARTS):
            notes.append(f"Only {', '.join(self.parts)} of MURA's seven parts were taken.")
        self.table = table
        there = tuple(part for part in self.parts if (table["body_part"] == part).any())
        abnormal = (table["label"] == "abnormal").to_numpy().astype(np.int64)
        targets = []
        if 0 < abnormal.sum() < len(table):
            targets.append(Target("abnormality", "Normal or abnormal", "binary-class", LABELS, abnormal))
        if len(there) > 1:
            part = table["body_part"].map(there.index).to_numpy().astype(np.int64)
            task = "binary-class" if len(there) == 2 else "multi-class"
            targets.append(Target("body_part", "Part of the body", task, there, part))
        if not targets:
            what = f"are only {LABELS[abnormal[0]]} images of the {there[0]}" if len(table) else "is no image that was asked for"
            raise LightboxError("mura.classes", f"In {self.path} there {what}: nothing can be learned.",
                                "Take more parts of the body, or the abnormal images too.")
        return Index(table, {target.name: target for target in targets}, skipped, notes)

    def original(self, i: int) -> np.ndarray:
        return decode_image(self.path / self.table["path"].iloc[i]).pixels

    def _list(self) -> tuple[list[ListedFile], list[str]]:
        """All files of the parts that are asked for, sorted, and notes about the rest."""
        files, left_out = [], 0
        for split in SPLITS:
            for part in self.parts:
                below = f"{split}/XR_{part.upper()}"
                if (self.path / below).is_dir():
                    found, other = list_files(self.path, below, split, part)
                    files += found
                    left_out += other
        notes = [f"{left_out:,} files whose names are not those of images were left out."] if left_out else []
        return files, notes

    def _disagreements(self, table: pd.DataFrame) -> list[str]:
        """A note for each list of studies that says something else than the folders do."""
        notes = []
        folders = table["path"].str.rpartition("/")[0] if len(table) else pd.Series(dtype=str)
        said = dict(zip(folders, table["label"]))
        for split in SPLITS:
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
            other = [study for study, label in listed.items() if said.get(study, label) != label]
            if other:
                notes.append(f"{name} calls {len(other):,} of {len(listed):,} studies otherwise than their folders do, for "
                             f"example {other[0]} {listed[other[0]]}. The folders' names were taken.")
            missing = [study for study in listed if study not in said]
            if missing:
                notes.append(f"{len(missing):,} of the {len(listed):,} studies in {name} are not there, for example "
                             f"{missing[0]}.")
        return notes
