"""The audit of a data set and its split: patient overlap, duplicates, outliers, class balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.imbalance import Imbalance, imbalance
from core.audit.leakage import Overlap, image_level, overlaps
from core.audit.official import official_notes
from core.config import SPLIT_NAMES, Split
from core.datasets.dataset import Dataset
from core.datasets.groups import copied_sentence, copy_groups, shared_with_train
from core.datasets.inspection import DuplicatePair, Inspection, Outlier, inspect
from core.datasets.source import Progress

SHOWN = 20      # duplicates and outliers that a terminal lists, unless all are asked for
PAIRED = 20     # a group with more equal images is not listed pair by pair: see core/datasets/inspection/duplicates.py
COLUMNS = ("kind", "image", "split", "label", "other_image", "other_split", "other_label", "distance", "mirrored", "why")


@dataclass(frozen=True)
class Audit:
    """The audit of one data set with one split. Numbers of images and rows of the table.

    Args:
        n: images of each split, and "left_out"
        overlaps: of "val" and "test" with training
        ignoring_patients: the same for a split of the same shares and seed that assigns images one by one
        copied: of "val" and "test", how many images have a copy in training, a copy of a copy too
        duplicates: among the images of the split, those across splits first, then those with different labels
        groups: groups of images that are copies of each other, among the images of the split
        absent: split -> classes of which it has no image
        notes: sentences about counts that differ from the official ones, and about the search
        image_ids, split, labels: of the rows that `duplicates` and `outliers` name
    """

    dataset: str
    n: dict[str, int]
    overlaps: dict[str, Overlap]
    ignoring_patients: dict[str, Overlap]
    copied: dict[str, int]
    duplicates: tuple[DuplicatePair, ...]
    groups: int
    outliers: tuple[Outlier, ...]
    absent: dict[str, tuple[str, ...]]
    imbalance: Imbalance
    notes: tuple[str, ...]
    split_hash: str
    split_note: str
    image_ids: dict[int, str]
    split: dict[int, str]
    labels: dict[int, str]

    def crosses(self, pair: DuplicatePair) -> bool:
        """Return whether the two images are in different splits."""
        return self.split[pair.a] != self.split[pair.b]

    def contradicts(self, pair: DuplicatePair) -> bool:
        """Return whether the two images have different labels."""
        return self.labels[pair.a] != self.labels[pair.b]

    def count_duplicated(self, split: str, kind: str) -> int:
        """Return how many images of a split have a duplicate of this kind in another split."""
        return len({row for pair in self.duplicates if pair.kind == kind and self.crosses(pair)
                    for row in (pair.a, pair.b) if self.split[row] == split})

    def to_json(self) -> dict:
        """Return plain JSON.

        For "val" and "test": n, patients_shared_with_train and studies_shared_with_train (shares of the images, null where
        patients or studies are unknown), copies_in_train (images with a copy in training), exact_duplicates and
        near_duplicates (images with a duplicate in another split), and the same shares when patients are ignored.
        """
        def of(split: str) -> dict:
            here, there = self.overlaps[split], self.ignoring_patients[split]
            return {"n": here.n,
                    "patients_shared_with_train": here.patient_share, "studies_shared_with_train": here.study_share,
                    "images_of_shared_patients": here.patients, "images_of_shared_studies": here.studies,
                    "copies_in_train": self.copied[split],
                    "exact_duplicates": self.count_duplicated(split, "exact"),
                    "near_duplicates": self.count_duplicated(split, "near"),
                    "ignoring_patients": {"n": there.n, "patients_shared_with_train": there.patient_share,
                                          "studies_shared_with_train": there.study_share}}

        balance = self.imbalance
        return {"dataset": self.dataset, "split_hash": self.split_hash, "split_note": self.split_note, "n": self.n,
                "val": of("val"), "test": of("test"), "duplicate_groups": self.groups,
                "duplicates": [{"a": self.image_ids[p.a], "b": self.image_ids[p.b], "kind": p.kind, "distance": p.distance,
                                "mirrored": p.mirrored, "splits": [self.split[p.a], self.split[p.b]],
                                "labels": [self.labels[p.a], self.labels[p.b]]} for p in self.duplicates],
                "odd": [{"image": self.image_ids[o.row], "split": self.split[o.row], "kind": o.kind, "why": o.why}
                        for o in self.outliers],
                "absent_classes": {split: list(names) for split, names in self.absent.items()},
                "imbalance": {"chi2": balance.chi2, "degrees_of_freedom": balance.dof, "p": balance.p,
                              "cramers_v": balance.cramers_v, "majority_class": balance.majority,
                              "majority_share": balance.majority_share, "in_words": balance.sentence},
                "notes": list(self.notes)}

    def to_text(self, most: int | None = SHOWN) -> list[str]:
        """Return the audit as lines for a terminal, with at most `most` pairs and as many outliers; None lists all."""
        counts = ", ".join(f"{n:,} {SPLIT_NAMES.get(split, 'left out')}" for split, n in self.n.items() if n)
        lines = [f"{self.dataset}: {counts}", self.split_note]
        for split in ("val", "test"):
            lines += _overlap_sentences(split, self.overlaps[split], "")
            lines += _overlap_sentences(split, self.ignoring_patients[split], " if patients are ignored")
            if self.n[split] and self.overlaps[split].patients is None:
                lines.append(f"The patients of the {SPLIT_NAMES[split]} images are not known.")
        lines += self.copy_lines()
        lines.append(self.imbalance.sentence)
        lines += [f"No image of {', '.join(names)} is in {SPLIT_NAMES[split]}." for split, names in self.absent.items()]
        across, labels = sum(map(self.crosses, self.duplicates)), sum(map(self.contradicts, self.duplicates))
        lines.append(f"{_count(len(self.duplicates), 'pair')} of duplicates in {_count(self.groups, 'group')}: {across:,} across "
                     f"splits, {labels:,} with different labels.")
        lines += [f"  {p.kind}: {self._describe(p.a)} and {self._describe(p.b)}" + (", mirrored" if p.mirrored else "")
                  for p in self.duplicates[:most]]
        lines += _not_listed(len(self.duplicates), most, "pairs")
        lines.append(f"{_count(len(self.outliers), 'outlier')}.")
        lines += [f"  {self.image_ids[o.row]}: {o.why}" for o in self.outliers[:most]]
        lines += _not_listed(len(self.outliers), most, "outliers")
        return lines + list(self.notes)

    def copy_lines(self) -> list[str]:
        """Return for validation and test how many images have a copy in training, none included."""
        return [copied_sentence(self.copied[split], self.n[split], split) for split in ("val", "test")
                if self.n[split] and self.n["train"]]

    def rows(self) -> list[tuple]:
        """Return a row of COLUMNS for each pair of duplicates, then for each outlier."""
        def of(row: int) -> tuple[str, str, str]:
            return self.image_ids[row], self.split[row], self.labels[row]
        return [(p.kind, *of(p.a), *of(p.b), p.distance, "yes" if p.mirrored else "no", "") for p in self.duplicates] + \
            [(o.kind, *of(o.row), "", "", "", "", "", o.why) for o in self.outliers]

    def _describe(self, row: int) -> str:
        return f"{self.image_ids[row]} ({self.split[row]}, {self.labels[row]})"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def _not_listed(n: int, most: int | None, what: str) -> list[str]:
    left = 0 if most is None else n - most
    return [f"  and {left:,} more {what}: --all lists them, --csv FILE writes them."] if left > 0 else []


def _overlap_sentences(split: str, overlap: Overlap, when: str) -> list[str]:
    counts = ((overlap.patients, "show a patient who is also in training"),
              (overlap.studies, "are of a study that is also in training"))
    return [f"{count:,} of {overlap.n:,} {SPLIT_NAMES[split]} images ({count / overlap.n:.1%}) {what}{when}."
            for count, what in counts if count is not None and overlap.n]


def audit(data: Dataset, progress: Progress | None = None) -> Audit:
    """Audit an open data set. `progress` is called with (what is being done, done, total) and may raise to stop.

    >>> from core.config import DataConfig
    >>> from core.datasets import open_dataset
    >>> result = audit(open_dataset(DataConfig(folder, size=16)))        # 24 images in two class folders
    >>> result.n, len(result.duplicates)
    ({'train': 17, 'val': 4, 'test': 3, 'left_out': 0}, 1)
    """
    return audit_split(data, inspect(data, progress))


def audit_split(data: Dataset, inspection: Inspection) -> Audit:
    """Bring what the pixels show together with the split of an open data set. Quick."""
    split = data.table["split"].to_numpy(dtype=object)
    official = data.source.table["split"].to_numpy(dtype=object) if data.source.table is not None else None
    ids = data.table["image_id"].to_numpy()
    duplicates = [pair for pair in inspection.duplicates if split[pair.a] and split[pair.b]]
    outliers = [outlier for outlier in inspection.outliers if split[outlier.row]]
    among = split != ""
    copies = copy_groups(len(data), inspection.duplicates)
    sizes = np.bincount(copies[among], minlength=1)
    rows = sorted({row for pair in duplicates for row in (pair.a, pair.b)} | {outlier.row for outlier in outliers})
    labels = {row: label_of(data, row) for row in rows}
    duplicates.sort(key=lambda p: (split[p.a] == split[p.b], labels[p.a] == labels[p.b], p.kind, p.distance, p.a, p.b))
    notes = official_notes(data)
    if not inspection.complete:
        notes.append("There were so many similar images that only the most similar pairs were compared closely.")
    if (sizes > PAIRED).any():
        notes.append(f"Of a group of more than {PAIRED} equal images not every pair is listed; the groups are whole.")
    return Audit(
        dataset=data.name,
        n={part.value: int((split == part).sum()) for part in Split} | {"left_out": int((split == "").sum())},
        overlaps=overlaps(data.table, split),
        ignoring_patients=overlaps(data.table, image_level(data.labels, split, data.config, official)),
        copied={part: len(shared_with_train(split, copies, part)) for part in ("val", "test")},
        duplicates=tuple(duplicates), groups=int((sizes > 1).sum()), outliers=tuple(outliers), absent=absent_classes(data),
        imbalance=imbalance(data.labels, split, data.class_names), notes=tuple(notes),
        split_hash=data.split_hash, split_note=data.split_note, image_ids={row: str(ids[row]) for row in rows},
        split={row: str(split[row]) for row in rows}, labels=labels)


def label_of(data: Dataset, row: int) -> str:
    """Return the class of an image; several findings joined by a comma."""
    return data.label_text(row)


def absent_classes(data: Dataset) -> dict[str, tuple[str, ...]]:
    """Return for each split that has images the classes of which it has none."""
    counts = data.counts()
    absent = {}
    for split in Split:
        *of_classes, total = counts[split]
        names = tuple(name for name, n in zip(data.class_names, of_classes) if n == 0)
        if total and names:
            absent[split.value] = names
    return absent
