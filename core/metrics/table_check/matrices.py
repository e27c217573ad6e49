"""Which confusion matrices of two classes give the published numbers? Rounded numbers, and the search behind
them.

    window("0.73")        where the true value lies
    whole_counts(...)     the numbers of images that are printed like that as a share of n
    matrices(...)         every matrix that gives all the numbers, for each way to average over the classes

An accuracy is a whole number of images divided by n, so most decimals are impossible for a small n (the GRIM
test: Brown & Heathers, Soc Psychol Pers Sci 8, 2017). Numbers are taken as text, since "0.70" says more than
0.7: printed with d digits, the true value lies within half a unit of the last digit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from core.errors import LightboxError

LARGEST = 20_000            # images, where the positives are known; the search grows with their number
LARGEST_OPEN = 4_000        # images, where they are not: it grows with n squared then
SLACK = 1e-9                # of floating point, in images


def window(printed: str, truncated: bool = False) -> tuple[float, float]:
    """Return where the number lies that was rounded to this; a share above 1 is read as percent, a comma as a
    point.

    Args:
        truncated: digits may also have been cut off

    Raises:
        LightboxError: "printed.number"

    >>> tuple(round(limit, 4) for limit in window("0.73")), tuple(round(limit, 4) for limit in window("72.4 %"))
    ((0.725, 0.735), (0.7235, 0.7245))
    """
    text = printed.strip().replace(",", ".").replace("\u2212", "-")
    percent = text.endswith("%")
    text = text.rstrip("% ")
    misprinted = re.fullmatch(r"0\d+", text)              # as "075226", which has lost its point
    if misprinted or not re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", text):
        raise LightboxError("printed.number", f"{printed!r} is not a number.",
                            "It seems to have lost its decimal point." if misprinted
                            else "Write it as published, such as 0.724.")
    value, half = float(text), 0.5 * 10.0 ** -len(text.partition(".")[2])
    if percent or 1 < value <= 100:
        value, half = value / 100, half / 100
    if not -1 <= value <= 1:
        raise LightboxError("printed.number", f"{printed} does not lie between 0 and 1.",
                            "Write a share or a percentage.")
    low, high = (2 if truncated and value < 0 else 1), (2 if truncated and value >= 0 else 1)
    return value - low * half, value + high * half


def whole_counts(printed: str, n: int, truncated: bool = False) -> range:
    """Return the numbers of images k of which k / n is printed like that; an empty range where there is none.

    >>> list(whole_counts("0.67", 6)), list(whole_counts("0.70", 6))
    ([4], [])
    """
    low, high = window(printed, truncated)
    return range(max(0, math.ceil(low * n - SLACK)), min(n, math.floor(high * n + SLACK)) + 1)


# ----------------------------------------------------------------------------------------- confusion matrices

def _share(part, whole):
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=np.asarray(whole) > 0)


def _of_classes(tn, fp, fn, tp) -> dict[str, tuple]:
    """Precision, recall and F1 of class 1 and of class 0. Nothing divided by nothing counts as 0, as
    scikit-learn has it."""
    return {"precision": (_share(tp, tp + fp), _share(tn, tn + fn)),
            "recall": (_share(tp, tp + fn), _share(tn, tn + fp)),
            "f1": (_share(2 * tp, 2 * tp + fp + fn), _share(2 * tn, 2 * tn + fp + fn))}


def _binary(tn, fp, fn, tp) -> dict:
    return {name: one for name, (one, _) in _of_classes(tn, fp, fn, tp).items()}


def _macro(tn, fp, fn, tp) -> dict:
    return {name: (one + zero) / 2 for name, (one, zero) in _of_classes(tn, fp, fn, tp).items()}


def _macro_of_means(tn, fp, fn, tp) -> dict:
    means = _macro(tn, fp, fn, tp)
    p, r = means["precision"], means["recall"]
    return means | {"f1": _share(2 * p * r, p + r)}


def _weighted(tn, fp, fn, tp) -> dict:
    share = (tp + fn) / (tn + fp + fn + tp)
    return {name: share * one + (1 - share) * zero
            for name, (one, zero) in _of_classes(tn, fp, fn, tp).items()}


def _micro(tn, fp, fn, tp) -> dict:
    return dict.fromkeys(("precision", "recall", "f1"), (tp + tn) / (tn + fp + fn + tp))


AVERAGES = {            # name: (what a person reads, function of the four counts)
    "binary": ("numbers of the positive class", _binary),
    "macro": ("macro averages", _macro),
    "macro_of_means": ("macro averages, with F1 made of the mean precision and the mean recall",
                       _macro_of_means),
    "weighted": ("weighted averages, each class by its images", _weighted),
    "micro": ("micro averages, which all equal the accuracy", _micro),
}


def measures_of(tn, fp, fn, tp, average: str) -> dict[str, np.ndarray]:
    """Every key of RATES from four counts (arrays of one shape), averaged as asked. Kappa is Cohen's."""
    return AVERAGES[average][1](tn, fp, fn, tp) | _without_average(tn, fp, fn, tp)


def _without_average(tn, fp, fn, tp) -> dict[str, np.ndarray]:
    """Those that mean the same in every table."""
    n = tn + fp + fn + tp
    chance = ((tp + fn) * (tp + fp) + (tn + fp) * (tn + fn)) / n**2
    accuracy = (tp + tn) / n
    return {"accuracy": accuracy, "specificity": _share(tn, tn + fp),
            "kappa": _share(accuracy - chance, 1 - chance)}


def matrices(values: Mapping[str, str], n: int, positive: int | None,
             averages: Sequence[str], truncated: bool = False) -> dict[str, np.ndarray]:
    """Find every confusion matrix of two classes that gives all these numbers.

    The accuracy fixes how many answers were right, up to a few; for each such number and each number of
    positives the search runs over the true positives. Without an accuracy it runs over the true negatives
    too.

    Returns:
        average -> (M, 4) int64 of tn, fp, fn, tp; only averages for which there is one

    Raises:
        LightboxError: "printed.number", "printed.large" where the search would take too long
    """
    windows = {name: window(text, truncated) for name, text in values.items()}
    known = ("accuracy" in values) + (positive is not None)
    if not known or n > (LARGEST_OPEN, LARGEST)[known - 1]:
        raise LightboxError("printed.large",
                            f"With n = {n:,} there are too many tables of four counts to try.",
                            "Give the accuracy and how many images are positive.")
    found: dict[str, list[np.ndarray]] = {}
    right = whole_counts(values["accuracy"], n, truncated) if "accuracy" in values else None
    for table in _tables(right, n, positive):
        # What means the same in every table goes first: little is left for the averages.
        table = table[_inside(_without_average(*table.T), windows)]
        for average in averages if len(table) else ():
            fits = table[_inside(AVERAGES[average][1](*table.T), windows)]
            if len(fits):
                found.setdefault(average, []).append(fits)
    return {average: np.concatenate(parts) for average, parts in found.items()}


def _tables(right: range | None, n: int, positive: int | None) -> Iterator[np.ndarray]:
    """Blocks (M, 4) of tn, fp, fn, tp: those with so many right answers, or all of them."""
    for p in range(n + 1) if positive is None else (positive,):
        if right is None:
            for tp in range(p + 1):
                tn = np.arange(n - p + 1)
                yield np.stack([tn, n - p - tn, np.full_like(tn, p - tp), np.full_like(tn, tp)], axis=1)
            continue
        for k in right:
            tp = np.arange(max(0, k - (n - p)), min(p, k) + 1)
            yield np.stack([k - tp, n - p - k + tp, p - tp, tp], axis=1)


def _inside(has: Mapping[str, np.ndarray], windows: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """(M,) bool: which rows have every printed number of these."""
    inside = np.ones(len(next(iter(has.values()))), bool)
    for name in has.keys() & windows.keys():
        low, high = windows[name]
        inside &= (has[name] >= low - SLACK) & (has[name] <= high + SLACK)
    return inside
