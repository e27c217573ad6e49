"""Who learns and who judges: each image gets train, val or test, and a plain sentence says what to know about it.

An image of a patient who is also in training is no honest test: the network may know the patient instead of the disease.
So `patient` keeps all images of a patient in one split, and `image`, which does not, says how often it happened.

N images, K classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.config import DataConfig
from core.datasets.source import SPLITS
from core.errors import LightboxError

NAMES = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True, eq=False)
class Split:
    """The finished assignment.

    Args:
        split: (N,) of "train", "val", "test"
        note: how it was made and what to know, in plain sentences
        hash: SHA-256 hex over the lines "<image_id> TAB <split>" in the table's order
    """

    split: np.ndarray
    note: str
    hash: str


def make_split(table: pd.DataFrame, labels: np.ndarray, class_names: tuple[str, ...], data: DataConfig) -> Split:
    """Split as `data.split` asks.

        official  as the set came; a missing validation or test part is taken from training, by patient
        patient   new; all images of a patient together; like shares of each class, as well as patients allow
        image     new; patients ignored
        auto      official where the set came with a split, otherwise patient

    Args:
        table: N rows with image_id, patient ("" where unknown) and split ("" where the set has none)
        labels: (N,) int64 or (N, K) int64
        data: gives split, val_fraction, test_fraction, split_seed

    Raises:
        LightboxError: "split.no_official" where official is asked for and there is none; "split.too_few" where a part is empty
    """
    given = table["split"].to_numpy(dtype=object)
    has_official = {"train"} < set(given) <= set(SPLITS)      # training alone is no split
    how = data.split if data.split != "auto" else "official" if has_official else "patient"
    patient = table["patient"].to_numpy(dtype=object)
    unknown = patient == ""
    group = np.where(unknown, "\0" + table["image_id"].to_numpy(dtype=object), patient)      # an unknown patient is one's own
    fractions = {"train": 1 - data.val_fraction - data.test_fraction, "val": data.val_fraction, "test": data.test_fraction}
    rng = np.random.default_rng(data.split_seed)

    if how == "official":
        if not has_official:
            raise LightboxError("split.no_official", "This set came without a split.", "Choose patient or image instead.")
        split, sentences = given.copy(), ["The split is the one that the set came with."]
        missing = [name for name in ("val", "test") if name not in set(given)]
        if missing:
            parts = {"train": 1 - sum(fractions[m] for m in missing)} | {m: fractions[m] for m in missing}
            rows = np.flatnonzero(given == "train")
            split[rows] = assign(group[rows], labels[rows], parts, rng)
            sentences += [f"It had no {NAMES[m]} part: {parts[m]:.0%} of the training images were taken for it, "
                          f"{'image by image' if unknown[rows].all() else 'by patient'} (seed {data.split_seed})."
                          for m in missing]
    else:
        by_patient = how == "patient"
        key = group if by_patient else np.arange(len(table))
        split = assign(key, labels, fractions, rng)
        whole = "all images of a patient together" if by_patient and not unknown.all() else "image by image"
        sentences = [f"Made here: {', '.join(f'{f:.0%} {NAMES[s]}' for s, f in fractions.items())}, {whole} "
                     f"(seed {data.split_seed})."]

    empty = [NAMES[s] for s in SPLITS if not (split == s).any()]
    if empty:
        raise LightboxError("split.too_few", f"With {len(table):,} images of {len(set(group)):,} patients nothing is left for "
                            f"{' and '.join(empty)}.", "Bring more images or change the shares.")
    sentences += patient_sentences(split, group, unknown) + absent_sentences(split, labels, class_names)
    lines = "".join(f"{i}\t{s}\n" for i, s in zip(table["image_id"], split))
    return Split(split, " ".join(sentences), hashlib.sha256(lines.encode()).hexdigest())


def assign(group: np.ndarray, labels: np.ndarray, fractions: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Deal groups of images out so that each split gets its fraction, of every class too, and no group is cut.

    Groups with the same labels lie together, large ones first, otherwise in random order. Each goes to the split that is
    furthest behind its share of the images dealt so far. That keeps every split within one group of its share at any point
    of the row, so also within every class, as far as groups hold one class each.

    Args:
        group: (N,) anything that can be compared; equal values stay together
        labels: (N,) int64 or (N, K) int64
        fractions: share of the images for each split; they sum to 1

    Returns:
        (N,) of the names in `fractions`
    """
    number, _ = pd.factorize(group)
    size = np.bincount(number)
    one_hot = labels if labels.ndim == 2 else np.eye(labels.max() + 1, dtype=np.int8)[labels]
    rare_first = one_hot[:, np.argsort(one_hot.sum(axis=0), kind="stable")]
    shown = np.zeros((len(size), rare_first.shape[1]), bool)      # which classes a group has
    for k in range(rare_first.shape[1]):
        shown[number[rare_first[:, k] > 0], k] = True
    order = np.lexsort((rng.permutation(len(size)), -size, *shown.T[::-1]))

    names, share, dealt, total = list(fractions), list(fractions.values()), [0] * len(fractions), 0
    place = np.empty(len(size), np.int64)
    for g, n in zip(order.tolist(), size[order].tolist()):
        total += n
        behind = [f * total - d for f, d in zip(share, dealt)]
        s = behind.index(max(behind))
        place[g], dealt[s] = s, dealt[s] + n
    return np.array(names, dtype=object)[place[number]]


def overlap(split: np.ndarray, group: np.ndarray, part: str) -> int:
    """How many images of `part` show a patient who is also in training."""
    train = set(group[split == "train"])
    return sum(g in train for g in group[split == part])


def patient_sentences(split: np.ndarray, group: np.ndarray, unknown: np.ndarray) -> list[str]:
    if unknown.all():
        return ["No patient numbers are known: whether a patient is in two parts cannot be told."]
    sentences = []
    for part in ("val", "test"):      # what a person must know before believing a test result
        shared, n = overlap(split, group, part), (split == part).sum()
        sentences.append(f"{shared:,} of {n:,} {NAMES[part]} images" + (f" ({shared / n:.1%})" if shared else "")
                         + " show a patient who is also in training, by the patient numbers.")
    if unknown.any():
        sentences.append(f"{unknown.sum():,} images have no patient number; each counts as a patient of its own.")
    return sentences


def absent_sentences(split: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> list[str]:
    """A sentence for each split in which a class does not occur: its measures are undefined there."""
    sentences = []
    for part in SPLITS:
        here = labels[split == part]
        there = set(np.flatnonzero(here.any(axis=0)) if labels.ndim == 2 else here)
        absent = [name for k, name in enumerate(class_names) if k not in there]
        if absent:
            sentences.append(f"No image of {', '.join(absent)} is in {NAMES[part]}.")
    return sentences
