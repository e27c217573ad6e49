"""What is wrong with a set and its split: patients on both sides, copies, odd images, classes spread unevenly.

    report = audit(open_dataset(DataConfig("phantom")))
    report.parts["test"].patients          # images of test that show a patient who is also in training
    report.to_json()

`overlaps` and `image_level` need only the table; `inspect` is the one pass over all pixels, the same for any split.

N images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.counts import Imbalance, WrongTotal, check_totals, imbalance, unofficial_medmnist, unofficial_mura
from core.audit.duplicates import Look, Pair, find_copies, look
from core.audit.leakage import Overlap, image_level, overlaps
from core.audit.outliers import Odd, odd_images
from core.datasets.dataset import Dataset
from core.datasets.source import SPLITS, Progress
from core.datasets.splits import NAMES

__all__ = ["Audit", "Imbalance", "Inspection", "Look", "Odd", "Overlap", "Pair", "WrongTotal", "absent_classes", "audit",
           "check_totals", "find_copies", "image_level", "imbalance", "inspect", "look", "odd_images", "overlaps", "report"]


@dataclass(frozen=True)
class Inspection:
    """What the pixels tell, whatever the split.

    Args:
        pairs: copies, exact ones first; rows of the table
        odd: images that are blank, tiny, or unusual in size, shape or brightness
        all_seen: False where there were too many likely copies to look at each
    """

    pairs: tuple[Pair, ...]
    odd: tuple[Odd, ...]
    all_seen: bool = True


@dataclass(frozen=True)
class Audit:
    """An audit of one set with one split. Numbers of images and rows of the table.

    Args:
        parts: overlap of "val" and "test" with training
        ignoring_patients: the same for a split of the same shares and seed that deals out images one by one
        pairs: copies among the images of the split, those across parts first, then those with different labels
        absent: part -> classes of which it has no image
        notes: sentences about counts that are not the official ones, and about the search
        image_ids, split, labels: of the rows that `pairs` and `odd` name
    """

    dataset: str
    n: dict[str, int]
    parts: dict[str, Overlap]
    ignoring_patients: dict[str, Overlap]
    pairs: tuple[Pair, ...]
    odd: tuple[Odd, ...]
    absent: dict[str, tuple[str, ...]]
    imbalance: Imbalance
    notes: tuple[str, ...]
    split_hash: str
    split_note: str
    image_ids: dict[int, str]
    split: dict[int, str]
    labels: dict[int, str]

    def crosses(self, pair: Pair) -> bool:
        """Whether the two images lie in different parts."""
        return self.split[pair.a] != self.split[pair.b]

    def contradicts(self, pair: Pair) -> bool:
        """Whether the two images have different labels."""
        return self.labels[pair.a] != self.labels[pair.b]

    def copied(self, part: str, kind: str) -> int:
        """How many images of a part have a copy of this kind in another part."""
        return len({row for pair in self.pairs if pair.kind == kind and self.crosses(pair)
                    for row in (pair.a, pair.b) if self.split[row] == part})

    def to_json(self) -> dict:
        """Plain JSON. For "val" and "test": n, patients_shared_with_train and studies_shared_with_train (shares of the images,
        null where patients or studies are unknown), exact_duplicates and near_duplicates (images with a copy in another
        part), and the same shares when patients are ignored."""
        def of(part: str) -> dict:
            here, there = self.parts[part], self.ignoring_patients[part]
            return {"n": here.n,
                    "patients_shared_with_train": here.patient_share, "studies_shared_with_train": here.study_share,
                    "images_of_shared_patients": here.patients, "images_of_shared_studies": here.studies,
                    "exact_duplicates": self.copied(part, "exact"), "near_duplicates": self.copied(part, "near"),
                    "ignoring_patients": {"n": there.n, "patients_shared_with_train": there.patient_share,
                                          "studies_shared_with_train": there.study_share}}
        return {"dataset": self.dataset, "split_hash": self.split_hash, "split_note": self.split_note, "n": self.n,
                "val": of("val"), "test": of("test"),
                "duplicates": [{"a": self.image_ids[p.a], "b": self.image_ids[p.b], "kind": p.kind, "distance": p.distance,
                                "mirrored": p.mirrored, "splits": [self.split[p.a], self.split[p.b]],
                                "labels": [self.labels[p.a], self.labels[p.b]]} for p in self.pairs],
                "odd": [{"image": self.image_ids[o.row], "split": self.split[o.row], "kind": o.kind, "why": o.why}
                        for o in self.odd],
                "absent_classes": {part: list(names) for part, names in self.absent.items()},
                "imbalance": {"chi2": self.imbalance.chi2, "degrees_of_freedom": self.imbalance.dof, "p": self.imbalance.p,
                              "cramers_v": self.imbalance.cramers_v, "majority_class": self.imbalance.majority,
                              "majority_share": self.imbalance.majority_share, "in_words": self.imbalance.sentence},
                "notes": list(self.notes)}


def audit(data: Dataset, progress: Progress | None = None) -> Audit:
    """All of it. `progress` is called with (what is being done, done, total) and may raise to stop."""
    return report(data, inspect(data, progress))


def inspect(data: Dataset, progress: Progress | None = None) -> Inspection:
    """The pass over all pixels: copies and odd images. Takes seconds to minutes; depends on the images, not on their split."""
    seen = look(data, progress)
    pairs, cut = find_copies(data, seen, progress)
    return Inspection(pairs, odd_images(data, seen), not cut)


def report(data: Dataset, found: Inspection) -> Audit:
    """Bring what the pixels told together with the split of an open set. Quick."""
    split = data.table["split"].to_numpy(dtype=object)
    given = data.source.table["split"].to_numpy(dtype=object) if data.source.table is not None else None
    ids = data.table["image_id"].to_numpy()
    pairs = [pair for pair in found.pairs if split[pair.a] and split[pair.b]]
    odd = [o for o in found.odd if split[o.row]]
    rows = sorted({row for pair in pairs for row in (pair.a, pair.b)} | {o.row for o in odd})
    labels = {row: label_of(data, row) for row in rows}
    pairs.sort(key=lambda p: (split[p.a] == split[p.b], labels[p.a] == labels[p.b], p.kind, p.distance, p.a, p.b))
    notes = official_notes(data)
    if not found.all_seen:
        notes.append("There were so many alike images that only the most alike pairs were looked at closely.")
    return Audit(
        data.name, {part: int((split == part).sum()) for part in SPLITS} | {"left_out": int((split == "").sum())},
        overlaps(data.table, split), overlaps(data.table, image_level(data.labels, split, data.config, given)),
        tuple(pairs), tuple(odd), absent_classes(data), imbalance(data.labels, split, data.class_names), tuple(notes),
        data.split_hash, data.split_note, {row: str(ids[row]) for row in rows}, {row: str(split[row]) for row in rows}, labels)


def label_of(data: Dataset, row: int) -> str:
    """The class of an image in words; several findings joined by a comma."""
    label = data.labels[row]
    if data.labels.ndim == 1:
        return data.class_names[int(label)]
    return ", ".join(data.class_names[k] for k in np.flatnonzero(label)) or "no finding"


def absent_classes(data: Dataset) -> dict[str, tuple[str, ...]]:
    """For each part that has images, the classes of which it has none."""
    counts = data.counts()
    names = list(data.class_names)
    return {part: absent for part in SPLITS if counts[part].iloc[-1]
            and (absent := tuple(name for name, n in zip(names, counts[part].iloc[:-1]) if n == 0))}


def official_notes(data: Dataset) -> list[str]:
    """Sentences where MURA or a set of MedMNIST has other numbers of images than the official one."""
    from core.datasets.medmnist import SETS, MedMnist
    from core.datasets.mura import Mura
    table = data.source.table
    if table is None:
        return []
    if isinstance(data.source, Mura):
        return unofficial_mura(table, table["split"].to_numpy())
    if isinstance(data.source, MedMnist) and data.source.set in SETS:
        facts = SETS[data.source.set]
        return unofficial_medmnist(table["split"].value_counts().to_dict(), dict(zip(SPLITS, facts.counts)), facts.title)
    return []


def in_words(found: Audit) -> list[str]:
    """The audit as lines for a terminal."""
    lines = [f"{found.dataset}: " + ", ".join(f"{n:,} {NAMES.get(part, 'left out')}" for part, n in found.n.items() if n),
             found.split_note]
    for part in ("val", "test"):
        for when, overlap in (("", found.parts[part]), ("; ignoring patients", found.ignoring_patients[part])):
            said = [f"{count:,} of {overlap.n:,} {NAMES[part]} images ({count / overlap.n:.1%}) {what}"
                    for what, count in (("show a patient who is also in training", overlap.patients),
                                        ("are of a study that is also in training", overlap.studies))
                    if count is not None and overlap.n]
            lines += [f"{sentence}{when}." for sentence in said]
        if found.n[part] and found.parts[part].patients is None:
            lines.append(f"The patients of {NAMES[part]} are not known.")
    lines.append(found.imbalance.sentence)
    lines += [f"No image of {', '.join(names)} is in {NAMES[part]}." for part, names in found.absent.items()]
    across, labels = sum(map(found.crosses, found.pairs)), sum(map(found.contradicts, found.pairs))
    lines.append(f"{len(found.pairs):,} pairs of copies; {across:,} across parts, {labels:,} with different labels.")
    lines += [f"  {p.kind}: {found.image_ids[p.a]} ({found.split[p.a]}, {found.labels[p.a]}) and {found.image_ids[p.b]} "
              f"({found.split[p.b]}, {found.labels[p.b]})" + (", mirrored" if p.mirrored else "") for p in found.pairs[:20]]
    lines.append(f"{len(found.odd):,} odd images.")
    lines += [f"  {found.image_ids[o.row]}: {o.why}" for o in found.odd[:20]]
    return lines + list(found.notes)
