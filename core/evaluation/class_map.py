"""The classes of another data set, brought to those of a run: guessed by name, changed by hand, and said.

    found = guess_map(("Normal ", "pneumonia", "covid"), ("NORMAL", "PNEUMONIA"))
    found.pairs          {"Normal ": "NORMAL", "pneumonia": "PNEUMONIA", "covid": None}

A class of the set that the run does not know is left out, with its images, and counted. Several classes of
the set may become one of the run (bacterial and viral pneumonia). Names match where they differ in case,
blanks, hyphens and underscores only; whatever else is meant is said by hand.

N images, K classes of the run.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.datasets.source import one_hot
from core.errors import LightboxError
from core.metrics import MULTI_LABEL

NO_FINDING = "no finding"  # in a map: the images of a set of findings that show none


@dataclass(frozen=True)
class ClassMap:
    """Which class of a run each class of a set is.

    Args:
        pairs: class of the set -> class of the run, None where its images are left out
        class_names: of the run, in its order
        by_hand: the classes of the set that a person mapped
    """

    pairs: Mapping[str, str | None]
    class_names: tuple[str, ...]
    by_hand: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """The classes of the set that the run does not know."""
        return tuple(theirs for theirs, ours in self.pairs.items() if ours is None)

    @property
    def missing(self) -> tuple[str, ...]:
        """The classes of the run that no class of the set is."""
        return tuple(name for name in self.class_names if name not in self.pairs.values())

    def sentences(self) -> list[str]:
        """Return what a person must know of it, in plain sentences."""
        guessed = {theirs: ours for theirs, ours in self.pairs.items() if theirs not in self.by_hand}
        alike = [
            f"{theirs!r} is taken as {ours!r}"
            for theirs, ours in guessed.items()
            if ours not in (None, theirs)
        ]
        said = [
            f"{theirs!r} counts as {self.pairs[theirs]!r}" for theirs in self.by_hand if self.pairs[theirs]
        ]
        sentences = [
            f"{', '.join(part)}{why}."
            for part, why in (
                (alike, ", by its name" if len(alike) == 1 else ", by their names"),
                (said, ", as asked for"),
            )
            if part
        ]
        if self.left_out:
            sentences.append(f"The run does not know {_listed(self.left_out)}: those images are left out.")
        if self.missing:
            sentences.append(
                f"The set has no {_listed(self.missing)}: whatever is measured for that class is undefined."
            )
        return sentences


def guess_map(theirs: Sequence[str], ours: Sequence[str], asked: Mapping[str, str] | None = None) -> ClassMap:
    """Return the map of a set's classes to a run's.

    Args:
        theirs: class names of the set
        ours: class names of the run
        asked: what a person wants, class of the set -> class of the run, "" leaves a class out; comes before
            what is guessed

    Raises:
        LightboxError: "map.class" for a class that is not there, "map.none" where no class of the set is one
            of the run

    >>> guess_map(("normal", "Abnormal "), ("normal", "abnormal")).pairs
    {'normal': 'normal', 'Abnormal ': 'abnormal'}
    """
    asked = {
        _find(a, theirs, "set", theirs, ours): b and _find(b, ours, "run", theirs, ours)
        for a, b in (asked or {}).items()
    }
    pairs = {name: asked.get(name, _alike(name, ours)) or None for name in theirs}
    pairs |= {
        name: run_class for name, run_class in asked.items() if run_class and name not in pairs
    }  # no finding
    if not any(pairs.values()):
        raise LightboxError(
            "map.none",
            f"None of the classes of the set ({_listed(theirs)}) is a class of the run ({_listed(ours)}).",
            _example(theirs, ours),
        )
    return ClassMap(pairs, tuple(ours), tuple(asked))


def map_labels(
    labels: np.ndarray, found: ClassMap, task: str
) -> tuple[np.ndarray, np.ndarray, dict[str, int], np.ndarray]:
    """Bring labels of a set to the classes of a run.

    Args:
        labels: (N,) int64, -1 where not known, or (N, L) of 0, 1 and -1; in the order of `found.pairs`
        task: of the run

    Returns:
        labels: (n,) int64, or (n, k) of several findings
        rows: (n,) int64, which images these are
        left_out: how many images are not among them, by why: the name of a class, "no label", "several
            classes"
        columns: (k,) int64, the classes of the run that are judged: of several findings only those that the
            set knows
    """
    names = list(found.pairs)[
        : labels.shape[1] if labels.ndim == 2 else None
    ]  # behind them: images without a finding
    place = {name: k for k, name in enumerate(found.class_names)}
    to = np.array([place[found.pairs[name]] if found.pairs[name] else -1 for name in names], np.int64)
    if task == MULTI_LABEL:
        return _as_findings(labels, to, len(place))
    columns = np.arange(len(place))
    if labels.ndim == 1:
        mapped = np.where(labels >= 0, to[np.maximum(labels, 0)], -1)
        unknown = mapped < 0
        left_out = {
            names[k]: int(n)
            for k, n in enumerate(np.bincount(labels[unknown & (labels >= 0)], minlength=len(names)))
            if n
        }
        return (
            mapped[~unknown],
            np.flatnonzero(~unknown),
            _with(left_out, "no label", (labels < 0).sum()),
            columns,
        )
    without = None if NO_FINDING in names else found.pairs.get(NO_FINDING)
    return *_one_of_several(labels, to, place, without), columns


def _one_of_several(
    labels: np.ndarray, to: np.ndarray, place: Mapping[str, int], without: str | None
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Findings of a set as the one class of each image that a run predicts: where they are of exactly one."""
    shown = np.zeros((len(labels), len(place)), bool)
    for finding, k in enumerate(to):
        if k >= 0:
            shown[:, k] |= labels[:, finding] == 1
    unknown, none = (labels == -1).any(axis=1), ~(labels == 1).any(axis=1)
    if without:
        shown[none & ~unknown, place[without]] = True
    good = (shown.sum(axis=1) == 1) & ~(unknown & none)
    several, nothing = shown.sum(axis=1) > 1, ~shown.any(axis=1)
    left_out = {
        "several classes": several.sum(),
        "no label": (nothing & none & unknown).sum(),
        NO_FINDING: (nothing & none & ~unknown).sum(),
        "other findings": (nothing & ~none).sum(),
    }
    return shown.argmax(axis=1)[good], np.flatnonzero(good), {why: int(n) for why, n in left_out.items() if n}


def _as_findings(
    labels: np.ndarray, to: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, dict[str, int], np.ndarray]:
    """Findings, or one class an image, as the findings of a run: those that the set knows."""
    known = (labels >= 0) if labels.ndim == 1 else (labels[:, to >= 0] >= 0).all(axis=1)
    theirs = one_hot(labels, len(to))
    findings = np.zeros((len(labels), classes), np.int64)
    for finding, k in enumerate(to):
        if k >= 0:
            findings[:, k] |= theirs[:, finding]
    columns = np.unique(to[to >= 0])
    rows = np.flatnonzero(known)
    return findings[rows][:, columns], rows, _with({}, "no label", (~known).sum()), columns


def _with(left_out: dict[str, int], why: str, count: int) -> dict[str, int]:
    return left_out | {why: int(count)} if count else left_out


def plain(name: str) -> str:
    """Return a class name as it is compared: composed, without case, with one blank for blanks, hyphens and
    underscores.

    >>> plain(" No_Finding ") == plain("no finding")
    True
    """
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()


def _alike(name: str, ours: Sequence[str]) -> str | None:
    """The class of the run that has this name; only where it is one."""
    if name in ours:
        return name
    same = [one for one in ours if plain(one) == plain(name)]
    return same[0] if len(same) == 1 else None


def _find(name: str, among: Sequence[str], where: str, theirs: Sequence[str], ours: Sequence[str]) -> str:
    found = _alike(name, among)
    if found is None and where == "set" and plain(name) == NO_FINDING:
        return NO_FINDING
    if found is None:
        raise LightboxError(
            "map.class",
            f"There is no class {name[:80]!r} in the {where}. The set has {_listed(theirs)}; the "
            f"run has {_listed(ours)}.",
            _example(theirs, ours),
        )
    return found


def _example(theirs: Sequence[str], ours: Sequence[str]) -> str:
    pairs = " ".join(f'--map "{a}={b}"' for a, b in list(zip(theirs, ours))[:2])
    return f"Say which is which, a class of the set first: {pairs}."


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
