"""Would more images help, or larger ones? Runs that differ in one thing only, found among all runs.

    learning curve      the share of the training images differs (data.train_fraction)
    resolution study    the size differs (data.size)

Runs that also differ in their seed are repeats of one point: they are folded into a mean and its spread. A
run of small images that were blown up to a larger size has not seen more detail than the small ones hold, so
it never stands on one line with a run of images that had that size: BreastMNIST of 28 px shown at 64 px is
"upsampled 28", the file of 64 px is native.

No metrics are computed here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd

from core.config import KNOBS, RunConfig
from core.datasets.statistics import original_sizes
from core.datasets.store import store_folder
from core.runs.run import Run
from core.runs.summary import RunSummary

NATIVE, UNKNOWN = "native", "original size not known"
# Fields in which two runs of one plan may differ: what they are called, chance, and the machine's side of it.
REPEATS = {"name", "train.seed", "train.device", "train.threads", "train.precision"}


@dataclass(frozen=True)
class Study:
    """One thing that is varied. `fields` are dotted fields that may differ within it, beside REPEATS."""

    title: str
    across: str                        # what stands on the x axis
    help: str
    fields: frozenset[str]


STUDIES: dict[str, Study] = {
    "images": Study("Learning curve", "training images",
                    "The same run on more and more of the training images. Where the curve still rises, more "
                    "images would help.", frozenset({"data.train_fraction"})),
    "size": Study("Resolution", "image size (px)",
                  "The same run on larger and larger images. Upsampled images have no more detail, so they have a line of "
                  "their own.", frozenset({"data.size", "data.dataset"})),
}


@dataclass(frozen=True)
class Member:
    """A run, as far as a study must know it.

    Args:
        native: longer side of the originals in pixels, see `native_side`
    """

    run: RunSummary
    native: int | None = None

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def config(self) -> RunConfig:
        return self.run.config

    @property
    def kind(self) -> str:
        """Whether its images had at least the size at which the network sees them."""
        if self.native is None:
            return UNKNOWN
        return NATIVE if self.native >= self.config.data.size else f"upsampled {self.native}"

    def x(self, study: str) -> int:
        """Its place on the x axis: training images, or pixels."""
        return self.run.n_train if study == "images" else self.config.data.size


@dataclass(frozen=True)
class Point:
    """What the runs of one place came to.

    Args:
        x: training images, or pixels
        kind: the line that it stands on
        values: of each run, by id
        low, high: 95 % interval of the one value; None where there are several runs, or it is not known
    """

    x: int
    kind: str
    values: Mapping[str, float]
    low: float | None = None
    high: float | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.values.values())))

    @property
    def spread(self) -> float | None:
        """Standard deviation from run to run (n - 1 in the denominator); None of a single run."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else None


def family(dataset: str) -> str:
    """What data at several sizes have in common in their name: MedMNIST's files breastmnist.npz and
    breastmnist_64.npz are one set at two sizes. Anything else is its own family."""
    if not dataset.endswith(".npz"):
        return dataset
    return re.sub(r"_(28|64|128|224)$", "", PurePath(dataset).stem)


def native_side(run: Run) -> int | None:
    """Longer side of the originals of a run's images, in pixels (the middle one of them); None where the
    store that says it is gone or older than that column."""
    about = run.data()
    if not about:
        return None
    folder = store_folder(about["title"], about["fingerprint"], about["size"], about["resize"],
                          run.config.data.channels)
    try:
        table = pd.read_csv(folder / "table.csv", usecols=["width", "height"], dtype=str, nrows=5000)
    except (OSError, ValueError):
        return None
    sizes = original_sizes(table)
    return int(np.median(sizes.max(axis=1))) if len(sizes) else None


def differences(one: Member, other: Member) -> set[str]:
    """Dotted fields in which two configs differ; data.dataset only where they are not one set at two
    sizes."""
    def flat(config: RunConfig) -> dict:
        return {f"{section}.{name}" if isinstance(values, dict) else section: value
                for section, values in asdict(config).items()
                for name, value in (values.items() if isinstance(values, dict) else [("", values)])}
    a, b = flat(one.config), flat(other.config)
    return {name for name in a | b if a.get(name) != b.get(name)}


def members(run: Member, runs: Iterable[Member], study: str) -> list[Member]:
    """The runs that differ from `run` in nothing but what the study varies, itself among them, in the order
    of the x axis.

    They must also be evaluated on alike images: the same classes, and as many images in validation and in
    test.
    """
    allowed = STUDIES[study].fields | REPEATS
    found = [other for other in runs if comparable(run, other) and differences(run, other) <= allowed]
    return sorted(found, key=lambda member: (member.x(study), member.kind, member.config.train.seed,
                                             member.id))


def comparable(run: Member, other: Member) -> bool:
    """Return whether both were trained, have the same classes and as many images of the same family."""
    def facts(member: Member) -> tuple:
        run = member.run
        return family(run.dataset), run.task, run.class_names, run.n.get("val"), run.n.get("test")
    return (run.id == other.id or run.run.was_trained and other.run.was_trained) and (
        bool(run.run.n) and bool(other.run.n) and facts(run) == facts(other))


def is_study(found: Sequence[Member], study: str) -> bool:
    """Whether there is anything to see: two places on the x axis; of sizes also one, with native and
    upsampled images."""
    kinds = {member.kind for member in found} if study == "size" else ()
    return len({member.x(study) for member in found}) > 1 or len(kinds) > 1


def also_differ(found: Sequence[Member], study: str) -> list[str]:
    """Labels of the fields in which runs that somebody chose differ besides: then the curve shows more than
    one thing."""
    if not found:
        return []
    fields = set().union(*(differences(found[0], other)
                           for other in found[1:])) - STUDIES[study].fields - REPEATS
    return sorted(KNOBS[name].label.lower() for name in fields)


def fold(found: Iterable[Member], study: str, values: Mapping[str, tuple]) -> list[Point]:
    """The points of the curve, by kind and then by x.

    Args:
        values: run id -> value, low and high of the metric; a run that has none, or an undefined one, is left
            out
    """
    places: dict[tuple[str, int], list[str]] = {}
    for member in found:
        value = values.get(member.id, (None,))[0]
        if value is not None and math.isfinite(value):
            places.setdefault((member.kind, member.x(study)), []).append(member.id)
    points = []
    for (kind, x), ids in sorted(places.items(), key=lambda place: (place[0][0] != NATIVE, place[0])):
        low, high = values[ids[0]][1:] if len(ids) == 1 else (None, None)
        points.append(Point(x, kind, {i: values[i][0] for i in ids}, low, high))
    return points
