"""Who learns and who judges: each image gets train, val or test, and a plain sentence says what to know about it.

An image of a patient who is also in training is no honest test: the network may know the patient instead of the disease.
So `patient` keeps all images of a patient in one split, `study` those of a study, and a split that does not says how often it
happened.

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
        split: (N,) of "train", "val", "test", or "" for a training image that train_fraction left out
        note: how it was made and what to know, in plain sentences
        hash: SHA-256 hex over the lines "<image_id> TAB <split>" in the table's order
    """

    split: np.ndarray
    note: str
    hash: str


def make_split(table: pd.DataFrame, labels: np.ndarray, class_names: tuple[str, ...], data: DataConfig) -> Split:
    """Split as `data` asks. First who is test, then who is validation, then how much of the rest trains.

        official  as the set came; a missing validation or test part is taken from training, by patient
        patient   new; all images of a patient together; like shares of each class, as well as patients allow
        study     new; all images of a study together
        image     new; patients and studies ignored
        auto      official where the set came with a split, otherwise patient

    With test_fraction 0 a test part that the set came with is kept, and a set without one has none. With folds, all images
    that are not test are cut into equal folds; number `fold` is validation. train_fraction then leaves training images out.

    Args:
        table: N rows with image_id, patient, study ("" where unknown) and split ("" where the set has none)
        labels: (N,) int64 or (N, K) int64

    Raises:
        LightboxError: "split.no_official" where official is asked for and there is none; "split.too_few" where a part is
            empty; "split.fold" for a fold that does not exist
    """
    if data.folds == 1 or data.folds and not 0 <= data.fold < data.folds:
        raise LightboxError("split.fold", f"There is no fold number {data.fold} among {data.folds} folds, counted from 0.",
                            "Folds are 2 to 20, or 0 for none.")
    given = table["split"].to_numpy(dtype=object)
    has_official = {"train"} < set(given) <= set(SPLITS)      # training alone is no split
    how = data.split if data.split != "auto" else "official" if has_official else "patient"
    if how == "official" and not has_official:
        raise LightboxError("split.no_official", "This set came without a split.", "Choose patient or image instead.")
    patient, unknown = groups_of(table, "patient")
    if how == "image":
        key, alone = np.arange(len(table)), np.ones(len(table), bool)
    else:
        key, alone = groups_of(table, "study") if how == "study" else (patient, unknown)
    rng = np.random.default_rng(data.split_seed)

    stays = {part for part in ("val", "test") if has_official and part in given
             and (how == "official" or part == "test" and not data.test_fraction)} - ({"val"} if data.folds else set())
    split = np.where([part in stays for part in given], given, "train")
    asked = {"val": 0 if data.folds else data.val_fraction, "test": data.test_fraction}
    taken = {part: share for part, share in asked.items() if share and part not in stays}
    from_training = np.flatnonzero(split == "train")
    shares = {"train": 1 - taken.get("val", 0) - taken.get("test", 0)} | taken
    if taken:
        split[from_training] = assign(key[from_training], labels[from_training], shares, rng)
    if data.folds:
        rest = np.flatnonzero(split == "train")
        fold = assign(key[rest], labels[rest], dict.fromkeys(range(data.folds), 1 / data.folds), rng)
        split[rest[fold == data.fold]] = "val"

    whole = "image by image"
    if not alone[from_training].all():
        whole = f"all images of a {'study' if how == 'study' else 'patient'} together"
    expected = [part for part in SPLITS if part != "test" or data.test_fraction or "test" in stays]
    empty = [NAMES[part] for part in expected if part not in split]
    if empty:
        raise LightboxError("split.too_few", f"With {len(table):,} images of {len(set(patient)):,} patients nothing is left for "
                            f"{' and '.join(empty)}.", "Bring more images or change the shares.")
    sentences = _how_it_was_made(how, stays, shares, whole, data)
    if "test" not in expected:
        sentences.append("There is no test part.")
    sentences += patient_sentences(split, patient, unknown)
    if data.train_fraction < 1:
        train = np.flatnonzero(split == "train")
        kept = portion(key[train], labels[train], data.train_fraction, np.random.default_rng([data.split_seed, 1]))
        split[train[~kept]] = ""
        sentences.append(f"{kept.sum():,} of {len(train):,} training images are used ({_percent(data.train_fraction)}); "
                         "the others are in no part.")
    sentences += absent_sentences(split, labels, class_names)
    lines = "".join(f"{i}\t{s}\n" for i, s in zip(table["image_id"], split))
    return Split(split, " ".join(sentences), hashlib.sha256(lines.encode()).hexdigest())


def groups_of(table: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Who belongs together: (N,) a name for each image's patient or study, and (N,) bool where that is not known.

    An image whose patient (study) is not known is one of its own. Studies are told apart by patient too, because in many sets
    each patient has a "study1".
    """
    names = table[column].to_numpy(dtype=object)
    unknown = names == ""
    if column == "study":
        names = table["patient"].to_numpy(dtype=object) + "\0" + names
    return np.where(unknown, "\0" + table["image_id"].to_numpy(dtype=object), names), unknown


def _how_it_was_made(how: str, stays: set[str], shares: dict[str, float], whole: str, data: DataConfig) -> list[str]:
    folds = (f"{'The rest' if 'test' in {*stays, *shares} else 'It'} is cut into {data.folds} folds, {whole} "
             f"(seed {data.split_seed}); fold {data.fold + 1} is validation.")
    if how == "official":
        sentences = [f"The {'test part' if data.folds and 'test' in stays else 'split'} is the one that the set came with."]
        sentences += [f"It had no {NAMES[part]} part: {_percent(share)} of the training images were taken for it, "
                      f"{'by patient' if 'patient' in whole else whole} (seed {data.split_seed})."
                      for part, share in shares.items() if part != "train"]
        return sentences + ([folds] if data.folds else [])
    sentences = []
    if len(shares) > 1:
        sentences = [f"Made here: {', '.join(f'{_percent(f)} {NAMES[s]}' for s, f in shares.items())}, {whole} "
                     f"(seed {data.split_seed})."]
    if "test" in stays:
        sentences.append("The test part is the one that the set came with.")
    return sentences + ([folds] if data.folds else [])


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


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


def portion(group: np.ndarray, labels: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """A share of the images with whole groups and like shares of each class. A smaller share is a subset of a larger one.

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
    kind = _kinds(number, labels)
    order = np.lexsort((rng.permutation(len(size)), kind))
    ends, images = np.cumsum(size[order]), np.bincount(kind, size)
    before = np.concatenate([[0], np.cumsum(images)])[kind[order]]
    mark = np.empty(len(size))
    mark[order] = (ends - before - rng.random(len(size)) * size[order]) / images[kind[order]]
    row = np.argsort(mark, kind="stable")
    held = np.cumsum(size[row]) - size[row] / 2
    kept = np.zeros(len(size), bool)
    kept[row[held <= fraction * len(number)]] = True
    kept[row[0]] = True
    return kept[number]


def _kinds(number: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(G,) int64: groups that show the same classes have the same number. `number` (N,) is the group of each image."""
    one_hot = labels if labels.ndim == 2 else np.eye(labels.max() + 1, dtype=np.int8)[labels]
    shown = np.zeros((number.max() + 1, one_hot.shape[1]), bool)
    for k in range(one_hot.shape[1]):
        shown[number[one_hot[:, k] > 0], k] = True
    return np.unique(shown, axis=0, return_inverse=True)[1].reshape(-1)


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """(K,) float64, n / (K n_k), as scikit-learn's "balanced"; for several findings n_negative / n_positive of each.

    A class without images gets weight 0: its loss never occurs.
    """
    if labels.ndim == 2:
        positive = labels.sum(axis=0)
        return np.divide(len(labels) - positive, positive, out=np.zeros(classes), where=positive > 0)
    n = np.bincount(labels, minlength=classes)
    return np.divide(len(labels), classes * n, out=np.zeros(classes), where=n > 0)


def shared_with_train(split: np.ndarray, group: np.ndarray, part: str) -> np.ndarray:
    """Rows of `part` whose group has images in training too, (n,) int64 in rising order."""
    rows = np.flatnonzero(split == part)
    return rows[pd.Index(group[rows]).isin(pd.unique(group[split == "train"]))]


def patient_sentences(split: np.ndarray, group: np.ndarray, unknown: np.ndarray) -> list[str]:
    if unknown.all():
        return ["No patient numbers are known: whether a patient is in two parts cannot be told."]
    parts = [part for part in ("val", "test") if part in split]      # what a person must know before believing a result
    shared = {part: len(shared_with_train(split, group, part)) for part in parts}
    if any(shared.values()):
        sentences = [f"{shared[part]:,} of {n:,} {NAMES[part]} images" + (f" ({shared[part] / n:.1%})" if shared[part] else "")
                     + " show a patient who is also in training, by the patient numbers."
                     for part in parts for n in [(split == part).sum()]]
    else:
        sentences = [f"No {' or '.join(NAMES[part] for part in parts)} image shows a patient who is in training."]
    if unknown.any():
        sentences.append(f"{unknown.sum():,} images have no patient number; each counts as a patient of its own.")
    return sentences


def absent_sentences(split: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> list[str]:
    """A sentence for each split in which a class does not occur: its measures are undefined there."""
    sentences = []
    for part in filter(split.__contains__, SPLITS):
        here = labels[split == part]
        there = set(np.flatnonzero(here.any(axis=0)) if labels.ndim == 2 else here)
        absent = [name for k, name in enumerate(class_names) if k not in there]
        if absent:
            sentences.append(f"No image of {', '.join(absent)} is in {NAMES[part]}.")
    return sentences
