"""Splits: each image gets train, val or test, and a note says in plain sentences what to know about it.

An image of a patient who is also in the training set is no honest test: the network may recognise the patient instead of the
disease. So `patient` keeps all images of a patient in one split, `study` those of a study, and the note of a split that does
not says how often it happened.

N images, K classes, G groups (patients or studies).
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.config import KNOBS, OUT_OF_FOLD, SPLIT_NAMES, DataConfig, Split
from core.datasets.bootstrap import draw_patients, draw_sentence
from core.datasets.groups import contradicting_groups, copied_sentence, groups_of, join_groups, shared_with_train
from core.datasets.source import one_hot
from core.datasets.stratify import stratified_group_split, stratified_subset
from core.datasets.text import natural_key
from core.errors import LightboxError


@dataclass(frozen=True, eq=False)
class SplitAssignment:
    """The split of each image.

    Args:
        split: (N,) of "train", "val", "test", or "" for an image that is left out: by train_fraction, as a copy, or because its
            label is not known
        note: how it was made and what to know, in plain sentences
        hash: SHA-256 hex over the lines "<image_id> TAB <split>" in the table's order; the same for every draw of a bootstrap
        times: (N,) int64, how often each training image is learned in an epoch; None: once
    """

    split: np.ndarray
    note: str
    hash: str
    times: np.ndarray | None = None


@dataclass(frozen=True)
class _Plan:
    """What is going to be split.

    Args:
        method: "official", "patient", "study", "image" or "copies"
        official: of "val" and "test", those that are kept as the data set came
        shares: of the other images, for each split that is made from them, training included; they sum to 1
        has_test: whether there will be a test set
        out_of_fold: whether all folds are validation, and none trains
    """

    method: str
    official: tuple[str, ...]
    shares: dict[str, float]
    has_test: bool
    out_of_fold: bool = False


def make_split(table: pd.DataFrame, labels: np.ndarray, class_names: tuple[str, ...], data: DataConfig,
               copies: np.ndarray | None = None) -> SplitAssignment:
    """Split images as `data` asks: first the test set, then the validation set, then how much of the rest trains.

        official  as the data set came; a missing validation or test set is taken from the training images, by patient
        patient   new; all images of a patient together; like shares of each class, as well as patients allow
        study     new; all images of a study together
        image     new; patients and studies ignored
        copies    new; copies of an image together, and all images of a patient where that is known
        auto      official where the data set came with a split, otherwise patient

    With test_fraction 0 an official test set is kept, and a data set without one has none. With folds, all images that are not
    test are divided into equal folds; number `fold` is validation, with OUT_OF_FOLD every one and none trains. train_fraction
    then leaves training images out.
    Copies, with data.copies "together", stay together in every part that is made here; with "first" one of each group is kept.
    With data.bootstrap patients are drawn from what then is training; the split stays as it is.
    With data.only the images without its value are left out of the parts that were made for all.

    Args:
        table: N rows with image_id, patient, study ("" where unknown) and split ("" where there is no official one)
        labels: (N,) int64, -1 where unknown (such an image is in no part), or (N, K) int64, where that needs all to be unknown
        copies: (N,) equal for copies of one image; None where they were not searched, which `data.needs_copies` does not allow

    Raises:
        LightboxError: "config.value" for a split that is not known; "split.no_official" where official is asked for and there
            is none; "split.too_few" where a split is empty; "split.fold" for a fold that does not exist;
            "split.only" for a column or value that does not exist

    >>> table = pd.DataFrame({"image_id": list("abcdef"), "patient": list("xxyyzz"), "study": "", "split": ""})
    >>> data = DataConfig(split="patient", val_fraction=0.33, test_fraction=0.33)
    >>> made = make_split(table, np.array([0, 0, 1, 1, 0, 0]), ("normal", "fracture"), data)
    >>> pd.Series(made.split).groupby(table["patient"]).nunique().tolist()       # each patient is in one split
    [1, 1, 1]
    """
    given = table["split"].to_numpy(dtype=object)
    plan = _plan(given, data)
    patient, patient_unknown = groups_of(table, "patient")
    group, unknown = _kept_together(table, plan.method, data, copies)
    out, left_out = _left_out(labels, given, plan, data, copies)

    rng = np.random.default_rng(data.split_seed)
    split = np.where([part in plan.official for part in given], given, "train")
    split[out] = ""
    pool = np.flatnonzero(split == "train")
    if len(plan.shares) > 1 and len(pool):
        split[pool] = stratified_group_split(group[pool], labels[pool], plan.shares, rng)
    rest = np.flatnonzero(split == "train")
    if data.folds and len(rest):
        folds = dict.fromkeys(range(data.folds), 1 / data.folds)
        dealt = stratified_group_split(group[rest], labels[rest], folds, rng)
        split[rest if plan.out_of_fold else rest[dealt == data.fold]] = "val"
    if data.only:
        apart = ~chosen_rows(table, data.only)
        split[apart] = ""
        left_out.append(f"Only images with {data.only.replace(':', ' ', 1).replace('|', ' or ')} are used: {(~apart).sum():,} of "
                        f"{len(table):,}. The split was made before.")
    _check_none_empty(split, plan, patient, group if data.needs_copies else None)

    sentences = _method_sentences(plan, unknown[pool].all(), data) + left_out
    if copies is not None and not plan.out_of_fold:
        sentences += copy_sentences(split, copies)
    sentences += [] if plan.out_of_fold else patient_sentences(split, patient, patient_unknown)
    if data.train_fraction < 1 and not plan.out_of_fold:
        train = np.flatnonzero(split == "train")
        kept = stratified_subset(group[train], labels[train], data.train_fraction, np.random.default_rng([data.split_seed, 1]))
        split[train[~kept]] = ""
        sentences.append(f"{kept.sum():,} of {len(train):,} training images are used ({_percent(data.train_fraction)}); "
                         "the others are left out.")
    learned, times = split, None
    if data.bootstrap and (split == "train").any():
        train, times = np.flatnonzero(split == "train"), np.zeros(len(split), np.int64)
        times[train] = draw_patients(patient[train], data.split_seed, data.bootstrap)
        learned = np.where((split == "train") & (times == 0), "", split)
        sentences.append(draw_sentence(times[train], patient[train], data.split_seed, data.bootstrap))
    sentences += absent_sentences(learned, labels, class_names)
    lines = "".join(f"{i}\t{s}\n" for i, s in zip(table["image_id"], split))
    return SplitAssignment(split, " ".join(sentences), hashlib.sha256(lines.encode()).hexdigest(), times)


def chosen_rows(table: pd.DataFrame, only: str) -> np.ndarray:
    """Return (N,) bool: the rows with a value in a column, as `data.only` writes them.

    Raises LightboxError "split.only" where there is no such column or value.

    >>> chosen_rows(pd.DataFrame({"side": ["L", "R", ""]}), "side:L|R").tolist()
    [True, True, False]
    """
    column, colon, values = only.partition(":")
    wanted = values.split("|")
    if not colon or column not in table:
        raise LightboxError("split.only", f"The images have no column {column[:80]!r}.",
                            f"Write a column and a value, such as body_part:wrist. Columns: {', '.join(map(str, table))[:300]}.")
    text = table[column].astype(str)
    if missing := [value for value in wanted if not (text == value).any()]:
        raise LightboxError("split.only", f"No image has {column} {missing[0][:80]!r}.",
                            f"Values: {', '.join(sorted(set(text) - {''}, key=natural_key)[:20])}.")
    return text.isin(wanted).to_numpy()


def _kept_together(table: pd.DataFrame, method: str, data: DataConfig,
                   copies: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) what no part that is made here divides, and (N,) bool where patient (study) are not known or not asked for."""
    if method == "image":
        group, unknown = np.arange(len(table)), np.ones(len(table), bool)
    else:
        group, unknown = groups_of(table, "study" if method == "study" else "patient")
    if method == "copies" or data.copies == "together":
        group = join_groups(group, copies)
    return group, unknown


def _left_out(labels: np.ndarray, given: np.ndarray, plan: _Plan, data: DataConfig,
              copies: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    """Return (N,) bool, the images that are in no part whatever the fractions, and sentences about them."""
    out = (labels == -1).reshape(len(labels), -1).all(axis=1)
    sentences = [f"{out.sum():,} images have no known label: they are in no part."] if out.any() else []
    if data.copies == "first":
        # of a group: first the test images that came with the set, then validation, each as the table has them
        rank = np.array([("test", "val").index(part) if part in plan.official else 2 for part in given])
        order = np.lexsort((np.arange(len(given)), rank, out))
        first = np.zeros(len(given), bool)
        first[order[np.unique(copies[order], return_index=True)[1]]] = True
        more = ~first & ~out
        out |= more
        sentences.append(f"One of each group of copies is kept: {more.sum():,} copies are in no part.")
    if copies is not None and (torn := contradicting_groups(copies, labels)):
        s = "" if torn == 1 else "s"
        sentences.append(f"In {torn:,} group{s} of copies the labels differ: an image cannot be both, so look at them.")
    return out, sentences


def _plan(given: np.ndarray, data: DataConfig) -> _Plan:
    if data.folds == 1 or data.folds and not OUT_OF_FOLD <= data.fold < data.folds:
        raise LightboxError("split.fold", f"There is no fold number {data.fold} among {data.folds} folds, counted from 0.",
                            "Folds are 2 to 20, or 0 for none.")
    KNOBS["data.split"].check(data.split)               # nothing that is not known is taken for a split by patient
    parts = set(given)
    has_official = {"train"} < parts <= set(Split)      # training images alone are no split
    method = _method(data.split, has_official)
    official = _kept_parts(parts, method, data) if has_official else ()
    shares = _new_shares(official, data)
    return _Plan(method, official, shares, bool(data.test_fraction) or "test" in official,
                 bool(data.folds) and data.fold == OUT_OF_FOLD)


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


def _check_none_empty(split: np.ndarray, plan: _Plan, patient: np.ndarray, group: np.ndarray | None) -> None:
    expected = [part for part, there in (("train", not plan.out_of_fold), ("val", True), ("test", plan.has_test)) if there]
    empty = [SPLIT_NAMES[part] for part in expected if part not in split]
    if empty:
        units = f"of {len(set(patient)):,} patients" if group is None else f"in {len(set(group)):,} groups of copies and patients"
        raise LightboxError("split.too_few", f"{len(split):,} images {units} are too few: nothing is left for "
                            f"{' and '.join(empty)}.", "Add images or change the shares.")


def _method_sentences(plan: _Plan, image_by_image: bool, data: DataConfig) -> list[str]:
    """Return how the split was made."""
    unit = "study" if plan.method == "study" else "patient"
    how, by = ("image by image",) * 2 if image_by_image else (f"all images of a {unit} stay together", "by patient")
    if plan.method == "copies" or data.copies == "together":
        how = "copies of an image stay together" + ("" if image_by_image else f", and {how}")
        by = "copies together" + ("" if image_by_image else " and by patient")
    sentences = []
    if plan.method == "official":
        folded = data.folds and "test" in plan.official
        sentences.append(f"This is the official {'test set' if folded else 'split'} of the data set.")
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
        which = (f"Fold {data.fold + 1} is validation." if not plan.out_of_fold else
                 "All are validation: each is predicted by the network that was not trained on its fold.")
        sentences.append(f"{images} divided into {data.folds} folds; {how} (seed {data.split_seed}). {which}")
    if not plan.has_test:
        sentences.append("There is no test set.")
    return sentences


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def copy_sentences(split: np.ndarray, copies: np.ndarray) -> list[str]:
    """Return how many images of validation and test have a copy in training: those that a network may know by heart.

    Args:
        split: (N,)
        copies: (N,) equal for copies of one image

    >>> copy_sentences(np.array(["train", "train", "test", "test"]), np.array([0, 1, 1, 2]))
    ['1 of 2 test images (50.0%) has a copy in training.']
    """
    return [copied_sentence(len(shared_with_train(split, copies, part)), int((split == part).sum()), part)
            for part in ("val", "test") if part in split]


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
    return sentences + misspelt_sentences(class_names, *(present[split == part].any(axis=0) for part in ("train", "test")))


def misspelt_sentences(class_names: tuple[str, ...], in_train: np.ndarray, in_test: np.ndarray) -> list[str]:
    """Return a sentence for each class that is only in test and is spelt nearly like one that is only in training.

    >>> misspelt_sentences(("Pneumonia", "normal", "pneumonia"), np.array([0, 1, 1]), np.array([1, 1, 0]))
    ["'Pneumonia', which has no training image, may be 'pneumonia', which has no test image: the same class spelt otherwise."]
    """
    only = [[name for name, here, there in zip(class_names, a, b) if here and not there]
            for a, b in ((in_test, in_train), (in_train, in_test))]
    return [f"'{one}', which has no training image, may be '{other}', which has no test image: the same class spelt otherwise."
            for one in only[0] for other in only[1] if _spelt_alike(one, other)]


def _spelt_alike(a: str, b: str) -> bool:
    """Whether two names differ only in case, signs, or a letter or two; never in a digit or in how they begin."""
    a, b = ("".join(filter(str.isalnum, name.casefold())) for name in (a, b))
    digits = [list(filter(str.isdigit, name)) for name in (a, b)]
    return digits[0] == digits[1] and a[:1] == b[:1] and difflib.SequenceMatcher(None, a, b).ratio() > 0.85
