"""Tables of counts: are the classes spread alike, how far is one ahead, do printed totals add up, are they the official ones.

K classes, P parts.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.datasets.source import SPLITS

PARTS = {"train": "training", "val": "validation", "test": "test"}

# Images of MURA v1.1 for each part of the body: normal and abnormal of its folder train, then of its folder valid. Counted from
# the lists that come with it: 36,808 + 3,197.
MURA = {"elbow": (2925, 2006, 235, 230), "finger": (3138, 1968, 214, 247), "forearm": (1164, 661, 150, 151),
        "hand": (4059, 1484, 271, 189), "humerus": (673, 599, 148, 140), "shoulder": (4211, 4168, 285, 278),
        "wrist": (5765, 3987, 364, 295)}


@dataclass(frozen=True)
class Imbalance:
    """Whether the classes have the same shares in each part, and how far the largest is ahead.

    Args:
        chi2, dof, p: Pearson's test of class x part; of several findings the one that differs most, p times their number
        cramers_v: sqrt(chi2 / (n (min(K, P) - 1))), 0 (spread alike) to 1
        majority: the largest class, of several findings the most frequent one; majority_share: of all images
        ratio: images of the largest class for each of the smallest that has any
        sentence: the same in words
    """

    chi2: float
    dof: int
    p: float
    cramers_v: float
    majority: str
    majority_share: float
    ratio: float
    sentence: str


def imbalance(labels: np.ndarray, split: np.ndarray, class_names: tuple[str, ...]) -> Imbalance:
    """See `Imbalance`. labels (N,) or (N, K) int64, split (N,); images of no part are left out."""
    used = split != ""
    labels, split = labels[used], split[used]
    one_hot = labels if labels.ndim == 2 else np.eye(len(class_names), dtype=np.int64)[labels]
    counts = np.array([one_hot[split == part].sum(axis=0) for part in SPLITS]).T      # (K, P)
    n = np.array([(split == part).sum() for part in SPLITS])
    if labels.ndim == 2:
        tests = [chi_square(np.array([row, n - row])) for row in counts]
        chi2, dof, p = max(tests, key=lambda test: test[0])
        p, least = min(1.0, p * len(tests)), 1
    else:
        chi2, dof, p = chi_square(counts)
        least = min((counts.sum(axis=1) > 0).sum(), (n > 0).sum()) - 1
    v = math.sqrt(chi2 / (n.sum() * least)) if least > 0 else 0.0
    total = counts.sum(axis=1)
    first = int(total.argmax())
    share = total[first] / max(1, n.sum())
    ratio = total[first] / max(1, min(total[total > 0], default=1))
    how = ("The classes have nearly the same shares in all parts" if v < 0.05 else
           "The shares of the classes differ a little from part to part" if v < 0.15 else
           "The shares of the classes differ clearly from part to part" if v < 0.3 else
           "The parts hold quite different classes")
    chance = ("a fair deal would differ as much by chance" if p > 0.05 else "more than chance alone would do")
    sentence = f"{how} (Cramér's V {v:.2f}; {chance})."
    if labels.ndim == 1:
        sentence += f" {class_names[first]} is the largest class: to say so always is right for {100 * share:.1f} % of all."
        if ratio >= 1.5:
            sentence += f" It has {ratio:.1f} times as many images as the smallest."
    else:
        sentence += f" {class_names[first]} is the most frequent finding, in {100 * share:.1f} % of all images."
    return Imbalance(chi2, dof, p, v, class_names[first], float(share), float(ratio), sentence)


def chi_square(counts: np.ndarray) -> tuple[float, int, float]:
    """Pearson's chi-square of a table (K, P) of counts: the statistic, its degrees of freedom, and P(a larger one by chance).

    Rows and columns without any image are left out. A table of one row or column gives (0, 0, 1).
    """
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0].astype(float)
    dof = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    if dof <= 0:
        return 0.0, 0, 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    return chi2, dof, _gamma_q(dof / 2, chi2 / 2)


def _gamma_q(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x), for a a multiple of 1/2: by the recurrence
    Q(a + 1, x) = Q(a, x) + x^a e^-x / Gamma(a + 1) from Q(1/2, x) = erfc(sqrt x) or Q(1, x) = e^-x. (DLMF 8.8.6, 8.4.6)"""
    if x <= 0:
        return 1.0
    start = 0.5 if a % 1 else 1.0
    q = math.erfc(math.sqrt(x)) if a % 1 else math.exp(-x)
    while start < a:
        q += math.exp(start * math.log(x) - x - math.lgamma(start + 1))
        start += 1
    return min(1.0, q)


# -------------------------------------------------------------------------------------------------------------- printed tables

@dataclass(frozen=True)
class WrongTotal:
    """A total of a printed table that is not the sum of its row or column. `where` is in words."""

    where: str
    printed: int
    summed: int

    def __str__(self) -> str:
        return f"{self.where}: printed {self.printed:,}, but the numbers add up to {self.summed:,}."


TOTAL = re.compile(r"\W*(grand |sub)?(total|sum|all|overall|gesamt|summe|Σ)\b", re.IGNORECASE)
MOST_LINES = 1000


def check_totals(text: str) -> tuple[tuple[WrongTotal, ...], int]:
    """Find the totals of a table that was pasted in, and those that are wrong.

    A line is a row. Cells are parted by tabs, | ; or two spaces, else by commas, else by spaces. A row or column is one of
    totals when its name says so (total, sum, all). "1,234", "1 234" and "**1234**" are 1234; in a cell with other words the
    first number counts.

    Returns:
        the wrong totals, and how many totals were checked; () and 0 where there is no table with totals
    """
    rows = [cells for line in text.splitlines()[:MOST_LINES] if (cells := _cells(line))]
    rows = [row for row in rows if not all(re.fullmatch(r"[-:\s]*", cell) for cell in row)]        # the ruler of Markdown
    if len(rows) < 2:
        return (), 0
    has_head = not any(_number(cell) is not None for cell in rows[0][1:])
    head, body = (rows[0], rows[1:]) if has_head else ([], rows)
    named = all(_number(row[0]) is None or TOTAL.match(row[0]) for row in body)      # is the first column one of names?
    if head and named and len(head) == max(map(len, body)) - 1:
        head = ["", *head]
    names = [row[0] if named else f"{i + 1}" for i, row in enumerate(body)]
    grid = [[_number(cell) for cell in (row[1:] if named else row)] for row in body]
    wide = max(map(len, grid))
    grid = [row + [None] * (wide - len(row)) for row in grid]
    titles = [t.strip(" *_") for t in (head[1:] if named else head)] + [""] * wide
    across = [j for j in range(wide) if TOTAL.match(titles[j])]
    down = [i for i, name in enumerate(names) if TOTAL.match(name)]
    wrong, checked = [], 0

    def compare(where: str, printed: int | None, parts: list[int | None]) -> None:
        nonlocal checked
        parts = [value for value in parts if value is not None]
        if printed is None or len(parts) < 2:
            return
        checked += 1
        if printed != sum(parts):
            wrong.append(WrongTotal(where, printed, sum(parts)))

    for j in across[-1:]:
        for i, row in enumerate(grid):
            compare(f"Row {names[i].strip(' *_')}", row[j], [v for k, v in enumerate(row) if k not in across])
    for i in down[-1:]:
        for j in range(wide):
            compare(f"Column {titles[j] or j + 1}", grid[i][j], [row[j] for k, row in enumerate(grid) if k not in down])
    return tuple(wrong), checked


def _cells(line: str) -> list[str]:
    line = line.strip()
    if "|" in line:
        return [cell.strip() for cell in line.strip("|").split("|")]
    for pattern in (r"\t", r";", r"\s{2,}"):
        if re.search(pattern, line):
            return [cell.strip() for cell in re.split(pattern, line)]
    if re.search(r",(?!\d{3}\b)", line):
        return [cell.strip() for cell in re.split(",", line)]
    return line.split()


def _number(cell: str) -> int | None:
    found = re.search(r"(?<![\w.])\d{1,3}(?:[,\u00a0\u202f ']\d{3})+(?![\d.])|(?<![\w.])\d+(?![\w.])", cell)
    digits = re.sub(r"\D", "", found.group()) if found else ""
    return int(digits) if 0 < len(digits) < 16 else None


# ------------------------------------------------------------------------------------------------------------- official counts

def unofficial_mura(table: pd.DataFrame, split: np.ndarray) -> list[str]:
    """A sentence for each part of the body whose images are not as many as in MURA v1.1.

    Args:
        table: rows with body_part and label ("normal", "abnormal")
        split: (N,) the split that the set came with
    """
    sentences = []
    body, label = table["body_part"].to_numpy(), table["label"].to_numpy()
    all_labels = [name for name in ("normal", "abnormal") if (label == name).any()]
    for part in [name for name in MURA if (body == name).any()]:
        official = dict(zip((("train", "normal"), ("train", "abnormal"), ("test", "normal"), ("test", "abnormal")), MURA[part]))
        wanted = {key: n for key, n in official.items() if key[1] in all_labels}
        found = {key: int(((body == part) & (split == key[0]) & (label == key[1])).sum()) for key in wanted}
        if found != wanted:
            sentences.append(f"The {part} has " + ", ".join(f"{found[key]:,} {key[1]} {PARTS[key[0]]} images (MURA v1.1: {n:,})"
                                                            for key, n in wanted.items() if found[key] != n) + ".")
    return sentences


def unofficial_medmnist(counts: dict[str, int], official: dict[str, int], title: str) -> list[str]:
    """A sentence where a file of MedMNIST holds other numbers of images than the official one."""
    return [f"There are {counts.get(part, 0):,} {PARTS[part]} images; the official {title} has {n:,}."
            for part, n in official.items() if counts.get(part, 0) != n]
