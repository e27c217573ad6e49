"""Splits: each image gets train, val or test, and a note says in plain sentences what to know about it.

An image of a patient who is also in the training set is no honest test: the network may recognise the patient instead of the
disease. So `patient` keeps all images of a patient in one split, `study` those of a study, and the note of a split that does
not says how often it happened.

N images, K classes, G groups (patients or studies).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.config import SPLIT_NAMES, DataConfig, Split
from core.datasets.source import one_hot
from core.errors import LightboxError


@dataclass(frozen=True, eq=False)
class SplitAssignment:
    """The split of each image.

    Args:
        split: (N,) of "train", "val", "test", or "" for a training image that train_fraction left out
        note: how it was made and what to know, in plain sentences
        hash: SHA-256 hex over the lines "<image_id> TAB <split>" in the table's order
    """

    split: np.ndarray
    note: str
    hash: str


@dataclass(frozen=True)
class _Plan:
    """What is going to be split.

    Args:
        method: "official", "patient", "study" or "image"
        official: of "val" and "test", those that are kept as the data set came
        shares: of the other images, for each split that is made from them, training included; they sum to 1
        has_test: whether there will be a test set
    """

    method: str
    official: tuple[str, ...]
    shares: dict[str, float]
    has_test: bool


def make_split(table: pd.DataFrame, labels: np.ndarray, class_names: tuple[str, ...], data: DataConfig) -> SplitAssignment:
    """Split images as `data` asks: first the test set, then the validation set, then how much of the rest trains.

        official  as the data set came; a missing validation or test set is taken from the training images, by patient
        patient   new; all images of a patient together; like shares of each class, as well as patients allow
        study     new; all images of a study together
        image     new; patients and studies ignored
        auto      official where the data set came with a split, otherwise patient

    With test_fraction 0 an official test set is kept, and a data set without one has none. With folds, all images that are not
    test are divided into equal folds; number `fold` is validation. train_fraction then leaves training images out.

    Args:
        table: N rows with image_id, patient, study ("" where unknown) and split ("" where there is no official one)
        labels: (N,) int64 or (N, K) int64

    Raises:
        LightboxError: "split.no_official" where official is asked for and there is none; "split.too_few" where a split is
            empty; "split.fold" for a fold that does not exist

    >>> table = pd.DataFrame({"image_id": list("abcdef"), "patient": list("xxyyzz"), "study": "", "split": ""})
    >>> data = DataConfig(split="patient", val_fraction=0.33, test_fraction=0.33)
    >>> made = make_split(table, np.array([0, 0, 1, 1, 0, 0]), ("normal", "fracture"), data)
    >>> pd.Series(made.split).groupby(table["patient"]).nunique().tolist()       # each patient is in one split
    [1, 1, 1]
    """
    given = table["split"].to_numpy(dtype=object)
    plan = _plan(given, data)
    patient, patient_unknown = groups_of(table, "patient")
    group, unknown = patient, patient_unknown
    if plan.method == "study":
        group, unknown = groups_of(table, "study")
    if plan.method == "image":
        group, unknown = np.arange(len(table)), np.ones(len(table), bool)

    rng = np.random.default_rng(data.split_seed)
    split = np.where([part in plan.official for part in given], given, "train")
    pool = np.flatnonzero(split == "train")
    if len(plan.shares) > 1:
        split[pool] = stratified_group_split(group[pool], labels[pool], plan.shares, rng)
    if data.folds:
        rest = np.flatnonzero(split == "train")
        folds = dict.fromkeys(range(data.folds), 1 / data.folds)
        split[rest[stratified_group_split(group[rest], labels[rest], folds, rng) == data.fold]] = "val"
    _check_none_empty(split, plan, len(set(patient)))

    sentences = _method_sentences(plan, unknown[pool].all(), data) + patient_sentences(split, patient, patient_unknown)
    if data.train_fraction < 1:
        train = np.flatnonzero(split == "train")
        kept = stratified_subset(group[train], labels[train], data.train_fraction, np.random.default_rng([data.split_seed, 1]))
        split[train[~kept]] = ""
        sentences.append(f"{kept.sum():,} of {len(train):,} training images are used ({_percent(data.train_fraction)}); "
                         "the others are left out.")
    sentences += absent_sentences(split, labels, class_names)
    lines = "".join(f"{i}\t{s}\n" for i, s in zip(table["image_id"], split))
    return SplitAssignment(split, " ".join(sentences), hashlib.sha256(lines.encode()).hexdigest())


def _plan(given: np.ndarray, data: DataConfig) -> _Plan:
    if data.folds == 1 or data.folds and not 0 <= data.fold < data.folds:
        raise LightboxError("split.fold", f"There is no fold number {data.fold} among {data.folds} folds, counted from 0.",
                            "Folds are 2 to 20, or 0 for none.")
    parts = set(given)
    has_official = {"train"} < parts <= set(Split)      # training images alone are no split
    method = _method(data.split, has_official)
    official = _kept_parts(parts, method, data) if has_official else ()
    shares = _new_shares(official, data)
    return _Plan(method, official, shares, bool(data.test_fraction) or "test" in official)


def _method(wanted: str, has_official: bool) -> str:
    if wanted == "auto":
        return "official" if has_official else "patient"
    if wanted == "official" and not has_official:
        raise LightboxError("split.no_official", "This data set has no official split.",
                            "Choose patient or image instead.")
    return wanted


def _kept_parts(parts: set[str], method: str, data: DataConfig) -> tuple[str, ...]:
    """Of "val" and "test", those that are kept as the data set came."""
    kept = []
    if "val" in parts and method == "official" and not data.folds:
        kept.append("val")
    if "test" in parts and (method == "official" or not data.test_fraction):
        kept.append("test")
    return tuple(kept)


def _new_shares(official: tuple[str, ...], data: DataConfig) -> dict[str, float]:
    """The share of each split that is made here, training included."""
    wanted = {"val": 0 if data.folds else data.val_fraction, "test": data.test_fraction}
    new = {part: share for part, share in wanted.items() if share and part not in official}
    return {"train": 1 - new.get("val", 0) - new.get("test", 0)} | new


def _check_none_empty(split: np.ndarray, plan: _Plan, patients: int) -> None:
    expected = ("train", "val", "test") if plan.has_test else ("train", "val")
    empty = [SPLIT_NAMES[part] for part in expected if part not in split]
    if empty:
        raise LightboxError("split.too_few", f"{len(split):,} images of {patients:,} patients are too few: nothing is left for "
                            f"{' and '.join(empty)}.", "Add images or change the shares.")


def _method_sentences(plan: _Plan, image_by_image: bool, data: DataConfig) -> list[str]:
    """Return how the split was made."""
    unit = "study" if plan.method == "study" else "patient"
    how = "image by image" if image_by_image else f"all images of a {unit} stay together"
    sentences = []
    if plan.method == "official":
        folded = data.folds and "test" in plan.official
        sentences.append(f"This is the official {'test set' if folded else 'split'} of the data set.")
        by = "image by image" if image_by_image else "by patient"
        sentences += [f"It has no {SPLIT_NAMES[part]} set: {_percent(share)} of the training images were taken for it, {by} "
                      f"(seed {data.split_seed})." for part, share in plan.shares.items() if part != "train"]
    else:
        if len(plan.shares) > 1:
            shares = ", ".join(f"{_percent(share)} {SPLIT_NAMES[part]}" for part, share in plan.shares.items())
            sentences.append(f"New split: {shares}; {how} (seed {data.split_seed}).")
        if plan.official:
            sentences.append("The test set is the official one.")
    if data.folds:
        images = "The other images are" if plan.has_test else "The images are"
        sentences.append(f"{images} divided into {data.folds} folds; {how} (seed {data.split_seed}). "
                         f"Fold {data.fold + 1} is validation.")
    if not plan.has_test:
        sentences.append("There is no test set.")
    return sentences


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def patient_sentences(split: np.ndarray, group: np.ndarray, unknown: np.ndarray) -> list[str]:
    """Return what a person must know about patients before believing a result.

    Args:
        split: (N,)
        group: (N,) a name for each image's patient
        unknown: (N,) bool, where the patient is not known
    """
    if unknown.all():
        return ["No patient IDs are known, so nobody can tell whether a patient is in two sets."]
    parts = [part for part in ("val", "test") if part in split]
    shared = {part: len(shared_with_train(split, group, part)) for part in parts}
    sentences = [f"No {' or '.join(SPLIT_NAMES[part] for part in parts)} image shows a patient who is also in training."]
    if any(shared.values()):
        sentences = []
        for part, count in shared.items():
            n = (split == part).sum()
            share = f" ({count / n:.1%})" if count else ""
            sentences.append(f"{count:,} of {n:,} {SPLIT_NAMES[part]} images{share} show a patient who is also in training, "
                             "according to the patient IDs.")
    if unknown.any():
        sentences.append(f"{unknown.sum():,} images have no patient ID; each counts as a patient of its own.")
    return sentences


def absent_sentences(split: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> list[str]:
    """Return a sentence for each split in which a class does not occur: its metrics are undefined there."""
    present = one_hot(labels, len(class_names)).astype(bool)
    sentences = []
    for part in filter(split.__contains__, Split):
        absent = [name for name, there in zip(class_names, present[split == part].any(axis=0)) if not there]
        if absent:
            sentences.append(f"No image of {', '.join(absent)} is in {SPLIT_NAMES[part]}.")
    return sentences


def groups_of(table: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) a name for each image's "patient" or "study", and (N,) bool where that is not known.

    An image whose patient (study) is not known is one of its own. Studies are distinguished by patient too, because in many data
    sets each patient has a "study1".
    """
    names = table[column].to_numpy(dtype=object)
    unknown = names == ""
    if column == "study":
        names = table["patient"].to_numpy(dtype=object) + "\0" + names
    return np.where(unknown, "\0" + table["image_id"].to_numpy(dtype=object), names), unknown


def shared_with_train(split: np.ndarray, group: np.ndarray, part: str) -> np.ndarray:
    """Return the rows of `part` whose group has images in training too, (n,) int64 in rising order."""
    rows = np.flatnonzero(split == part)
    return rows[pd.Index(group[rows]).isin(pd.unique(group[split == "train"]))]


def stratified_group_split(group: np.ndarray, labels: np.ndarray, shares: dict, rng: np.random.Generator) -> np.ndarray:
    """Assign groups to splits so that each split gets its share, of every class too, and no group is divided.

    Groups with the same labels lie together, large ones first, otherwise in random order. Each goes to the split that is
    furthest behind its share of the images assigned so far. That keeps every split within one group of its share at any point
    of the row, so also within every class, as far as groups hold one class each.

    Args:
        group: (N,) anything that can be compared; equal values stay together
        labels: (N,) int64 or (N, K) int64
        shares: share of the images for each split; they sum to 1

    Returns:
        (N,) of the keys of `shares`
    """
    number, _ = pd.factorize(group)
    size = np.bincount(number)
    classes = _classes_of_groups(number, labels)
    rare_first = classes[:, np.argsort(one_hot(labels, classes.shape[1]).sum(axis=0), kind="stable")]
    order = np.lexsort((rng.permutation(len(size)), -size, *rare_first.T[::-1]))

    share, assigned, total = list(shares.values()), [0] * len(shares), 0
    place = np.empty(len(size), np.int64)
    for g, n in zip(order.tolist(), size[order].tolist()):
        total += n
        behind = [f * total - a for f, a in zip(share, assigned)]
        s = behind.index(max(behind))
        place[g] = s
        assigned[s] += n
    return np.array(list(shares), dtype=object)[place[number]]


def stratified_subset(group: np.ndarray, labels: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """Choose a share of the images with whole groups and like shares of each class. A smaller share is a subset of a larger one.

    Groups with the same labels are put in random order and get marks from 0 to 1, as far apart as they are large. All groups
    in the order of their marks are one fixed row of which any beginning holds each class as often as the whole does.

    Args:
        group: (N,) equal values stay together
        labels: (N,) int64 or (N, K) int64
        fraction: 0 < fraction <= 1; at least one group is kept

    Returns:
        (N,) bool
    """
    number, _ = pd.factorize(group)
    size = np.bincount(number)
    stratum = np.unique(_classes_of_groups(number, labels), axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((rng.permutation(len(size)), stratum))
    ends, images = np.cumsum(size[order]), np.bincount(stratum, size)
    before = np.concatenate([[0], np.cumsum(images)])[stratum[order]]
    mark = np.empty(len(size))
    mark[order] = (ends - before - rng.random(len(size)) * size[order]) / images[stratum[order]]
    row = np.argsort(mark, kind="stable")
    middle = np.cumsum(size[row]) - size[row] / 2
    kept = np.zeros(len(size), bool)
    kept[row[middle <= fraction * len(number)]] = True
    kept[row[0]] = True
    return kept[number]


def _classes_of_groups(number: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (G, K) bool: which classes the images of a group show. `number` (N,) is the group of each image."""
    present = one_hot(labels, labels.max() + 1)
    shown = np.zeros((number.max() + 1, present.shape[1]), bool)
    for k in range(present.shape[1]):
        shown[number[present[:, k] > 0], k] = True
    return shown


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return (K,) float64, n / (K n_k), as scikit-learn's "balanced"; for several findings n_negative / n_positive of each.

    A class without images gets weight 0: its loss never occurs.

    >>> balanced_weights(np.array([0, 0, 0, 1]), 2).round(2).tolist()
    [0.67, 2.0]
    """
    if labels.ndim == 2:
        positive = labels.sum(axis=0)
        return np.divide(len(labels) - positive, positive, out=np.zeros(classes), where=positive > 0)
    n = np.bincount(labels, minlength=classes)
    return np.divide(len(labels), classes * n, out=np.zeros(classes), where=n > 0)
