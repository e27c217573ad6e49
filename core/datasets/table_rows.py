"""Which rows of a table are used: one or several for each image, and why the others are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from core.datasets.source import Understood
from core.datasets.table_options import BOXES, NO_FINDING, READERS, TableOptions, plain
from core.datasets.table_values import FLAGS, Values, as_number, is_number
from core.datasets.text import natural_key

# code -> why a row is left out, as the end of "12 of 340 rows ... and were left out."
WHY = {"short": "end early", "no_file": "name a file that was not found", "no_label": "have no label",
       "missing": "have a word for a missing value as label", "long_label": "have a label that is too long",
       "not_one": "have not exactly one class", "repeated": "repeat another row",
       "contradictory": "contradict another row about the same file",
       "overruled": "are overruled by other rows about the same file"}
CODES = {code: k for k, code in enumerate(WHY, 1)}


@dataclass(eq=False)
class Rows:
    """Pairs of a row and a file that it names, and what becomes of them.

    Args:
        row, file: (P,) int64; file is -1 where there is none
        why: (P,) int8, a value of CODES, 0 for those that are used
        other: pair -> the row that says the same or something else
    """

    row: np.ndarray
    file: np.ndarray
    why: np.ndarray = field(init=False)
    other: dict[int, int] = field(default_factory=dict)
    united: bool = False
    understood: list[Understood] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.why = np.where(self.file < 0, CODES["no_file"], 0).astype(np.int8)

    def leave_out(self, code: str, rows: np.ndarray) -> None:
        """Leave out the pairs of some rows, (R,) bool, that are not left out already."""
        self.why[(self.why == 0) & rows[self.row]] = CODES[code]

    def images(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows, the number of the image of each, and the file of each image, in the order of their first rows."""
        used = self.why == 0
        images, files = pd.factorize(self.file[used])
        return self.row[used], images, files

    def settle(self, labels: dict[str, Values], roles: dict[str, Values], options: TableOptions, several: bool,
               columns: list[str]) -> None:
        """Decide about images with several rows.

        Args:
            several: whether an image can have several labels anyhow, so that its rows are united
            columns: names of all columns of the table
        """
        pairs = np.flatnonzero(self.why == 0)
        images, files = pd.factorize(self.file[pairs])
        if len(files) == len(pairs):
            return
        label, role = (_joined([values.codes[self.row[pairs]] for values in part.values()], len(pairs))
                       for part in (labels, roles))
        kept = {name: values.codes[self.row[pairs]] for name, values in roles.items() if name in (options.patient, options.split)}
        place = _joined(list(kept.values()), len(pairs))
        differ = _differ(images, label, len(files))
        apart = _differ(images, place if options.rules != 1 else role, len(files))
        mode = "unite" if several and options.rules != 1 else options.repeats
        if not mode:
            share = differ.sum() / max(1, (np.bincount(images) > 1).sum())
            mode = self._guess_mode(share, differ.sum(), len(files), columns)
        if differ.any() and not several:
            self._say(mode, int(differ.sum()), len(files))
        content = _joined([label, role] if mode == "leave out" else [label, place], len(pairs))
        first = _firsts(images, len(files))
        if mode in ("majority", "any") and differ.any() and len(labels) == 1:
            chosen = self._choose(mode, images, next(iter(labels.values())), self.row[pairs], len(files))
            self._mark(pairs, first, images, chosen < 0, "contradictory")
            codes = next(iter(labels.values())).codes[self.row[pairs]]
            keep = _firsts_where(images, codes == chosen[images], len(files))
            rest = self.why[pairs] == 0
            rest[keep[keep >= 0]] = False
            self._mark_pairs(pairs[rest], "overruled", self.row[pairs][first[images]][rest])
            return
        again = pd.Series(images).groupby(_joined([images, content], len(pairs)), sort=False).cumcount().to_numpy() > 0
        wrong = apart if mode == "unite" else apart | differ | _differ(images, content, len(files))
        dropped = again & ~wrong[images]
        same = again & wrong[images] & (content == content[first[images]])
        self._mark_pairs(pairs[dropped | same], "repeated", self.row[pairs][first[images]][dropped | same])
        self._mark(pairs, first, images, wrong, "contradictory", ~(dropped | same))
        self.united = mode == "unite" and bool((differ & ~apart).any())

    def _guess_mode(self, share: float, count: int, images: int, columns: list[str]) -> str:
        """Return "unite" for rows that are findings (boxes, or many images with several), else "leave out"."""
        names = set(map(plain, columns))
        if names & BOXES or {"x", "y", "width", "height"} <= names:
            return "unite"
        return "unite" if count >= 3 and share >= 0.2 and count >= 0.1 * images and not names & READERS else "leave out"

    def _say(self, mode: str, count: int, images: int) -> None:
        how = {"unite": "each counts as a finding, so that an image may have several", "leave out": "they are left out",
               "majority": "the label of most rows counts, and a tie is left out", "any": "the abnormal or higher label counts"}
        text = f"{count:,} of {images:,} images have rows with different labels: {how[mode]}."
        self.understood.append(Understood("rows.united" if mode == "unite" else "rows.disagree", text, "repeats"))

    def _choose(self, mode: str, images: np.ndarray, values: Values, row: np.ndarray, count: int) -> np.ndarray:
        """Return the code of the label that counts for each image, -1 where none does."""
        codes, size = values.codes[row], len(values.names)
        if mode == "any":
            rank = _ranks(values)
            best = np.full(count, -1, np.int64)
            np.maximum.at(best, images, rank[codes])
            chosen = np.full(count, -1, np.int64)
            tops = rank[codes] == best[images]
            chosen[images[tops]] = codes[tops]
            return chosen
        votes = pd.Series(1, index=pd.MultiIndex.from_arrays([images, codes])).groupby(level=[0, 1]).sum().reset_index()
        votes.columns = ["image", "code", "votes"]
        most = votes.groupby("image")["votes"].transform("max")
        top = votes[votes["votes"] == most]
        chosen = np.full(count, -1, np.int64)
        alone = top[~top["image"].duplicated(keep=False)]
        chosen[alone["image"]] = alone["code"]
        assert size > chosen.max()
        return chosen

    def _mark(self, pairs, first, images, wrong, code, where=True) -> None:
        chosen = wrong[images] & where & (self.why[pairs] == 0)
        self._mark_pairs(pairs[chosen], code, self.row[pairs][first[images]][chosen])

    def _mark_pairs(self, pairs: np.ndarray, code: str, others: np.ndarray) -> None:
        self.why[pairs] = CODES[code]
        self.other.update(zip(pairs[:2000].tolist(), others[:2000].tolist()))

    def counts(self) -> dict[str, int]:
        """Return code -> how many rows are left out for it."""
        return {code: int(count) for code, k in CODES.items() if (count := len(np.unique(self.row[self.why == k])))}

    def listed(self, most: int, reason: Callable[[int, str, int], tuple[str, str]]) -> list[dict]:
        """Return up to `most` of those left out, as `Index.skipped` has them: {"path": ..., "reason": ...}."""
        names = {k: code for code, k in CODES.items()}
        pairs = np.flatnonzero(self.why)[:most]
        said = (reason(int(self.row[p]), names[self.why[p]], self.other.get(int(p), -1)) for p in pairs)
        return [{"path": path, "reason": why} for path, why in said]


def _joined(parts: list[np.ndarray], count: int) -> np.ndarray:
    """Return one code for each combination of several."""
    code = np.zeros(count, np.int64)
    for part in parts:
        code = pd.factorize(code * (int(part.max(initial=0)) + 1) + part)[0]
    return code


def _firsts(images: np.ndarray, count: int) -> np.ndarray:
    first = np.zeros(count, np.int64)
    first[images[::-1]] = np.arange(len(images))[::-1]
    return first


def _firsts_where(images: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    first, places = np.full(count, -1, np.int64), np.flatnonzero(where)[::-1]
    first[images[places]] = places
    return first


def _differ(images: np.ndarray, codes: np.ndarray, count: int) -> np.ndarray:
    """Return for each image whether its rows have different codes, (count,) bool."""
    differ = np.zeros(count, bool)
    differ[images[codes != codes[_firsts(images, count)][images]]] = True
    return differ


def _ranks(values: Values) -> np.ndarray:
    """Return for each value how abnormal it is: words for none first, then by number or in natural order."""
    def key(name: str) -> tuple:
        none = name.lower() in NO_FINDING or FLAGS.get(name.lower()) == 0
        return (not none, as_number(name) if is_number(name) else 0.0, natural_key(name))

    order = sorted(range(len(values.names)), key=lambda k: key(values.names[k]))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
