"""Official counts: does a local copy of MURA or MedMNIST hold as many images as the published data set?"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from core.config import SPLIT_NAMES, Split
from core.datasets.dataset import Dataset
from core.datasets.medmnist import INFO, MedMnist
from core.datasets.mura import SPLIT_OF, Mura

# Images of MURA v1.1 for each body part: normal and abnormal of its folder train, then of its folder valid. Counted from the
# lists that come with it: 36,808 + 3,197.
MURA = {"elbow": (2925, 2006, 235, 230), "finger": (3138, 1968, 214, 247), "forearm": (1164, 661, 150, 151),
        "hand": (4059, 1484, 271, 189), "humerus": (673, 599, 148, 140), "shoulder": (4211, 4168, 285, 278),
        "wrist": (5765, 3987, 364, 295)}
GROUPS = (("train", "normal"), ("train", "abnormal"), ("test", "normal"), ("test", "abnormal"))      # of a row of MURA


def official_notes(data: Dataset) -> list[str]:
    """Return a sentence for each difference from the official counts; none for data sets that have none."""
    table, source = data.source.table, data.source
    if table is None:
        return []
    if isinstance(source, Mura):
        return unofficial_mura(table, table["split"].to_numpy(), {SPLIT_OF[folder] for folder in source.folders})
    if isinstance(source, MedMnist):
        info = INFO[source.set]
        return unofficial_medmnist(table["split"].value_counts().to_dict(), dict(zip(Split, info.counts)), info.title)
    return []


def unofficial_mura(table: pd.DataFrame, split: np.ndarray,
                    groups: Collection[str] = frozenset(SPLIT_OF.values())) -> list[str]:
    """Return a sentence for each body part with another number of images than MURA v1.1.

    Args:
        table: rows with body_part and label ("normal", "abnormal")
        split: (N,) the official split
        groups: of "train" and "test", those that were read
    """
    body, label = table["body_part"].to_numpy(), table["label"].to_numpy()
    sentences = []
    for part, counts in MURA.items():
        here = body == part
        differences = []
        for (group, name), official in zip(GROUPS, counts):
            n = int((here & (split == group) & (label == name)).sum())
            if n != official and (label == name).any() and group in groups:
                differences.append(f"{n:,} {name} {SPLIT_NAMES[group]} images (MURA v1.1: {official:,})")
        if here.any() and differences:
            sentences.append(f"The {part} has {', '.join(differences)}.")
    return sentences


def unofficial_medmnist(counts: dict[str, int], official: dict[str, int], title: str) -> list[str]:
    """Return a sentence for each split with another number of images than the official file has.

    >>> unofficial_medmnist({"train": 546, "val": 78}, {"train": 546, "val": 78, "test": 156}, "BreastMNIST")
    ['There are 0 test images; the official BreastMNIST has 156.']
    """
    return [f"There are {counts.get(split, 0):,} {SPLIT_NAMES[split]} images; the official {title} has {n:,}."
            for split, n in official.items() if counts.get(split, 0) != n]
