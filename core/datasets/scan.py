"""What a source holds, counted without decoding an image: classes by split, patients, and what a person should know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.datasets.custom import OwnSet, save_own
from core.datasets.formats import KINDS, reading_to
from core.datasets.source import SPLITS, Index, Progress, Source, Target


@dataclass(frozen=True, eq=False)
class Survey:
    """A source, counted.

    Args:
        counts: by target, classes (rows, the last is "total") by split (columns, the last is "total"). "not split" is the only
            split of a source that makes none. An image counts once in each of its findings, and once in the total
        patients: how many different ones; None where they are unknown
    """

    source: Source
    index: Index
    counts: dict[str, pd.DataFrame]
    patients: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain values for the command line."""
        targets = {name: {"title": t.title, "task": t.task, "counts": self.counts[name].to_dict("index")}
                   for name, t in self.index.targets.items()}
        return {"name": self.source.name, "title": self.source.title, "images": len(self.index.table), "patients": self.patients,
                "targets": targets, "notes": self.index.notes, "skipped": self.index.skipped}


def survey(source: Source, progress: Progress | None = None) -> Survey:
    """Count a source. Raises LightboxError as `source.scan` does."""
    index = source.scan(progress)
    patients = set(index.table["patient"]) - {""}
    counts = {name: count_classes(target, index.table["split"]) for name, target in index.targets.items()}
    return Survey(source, index, counts, len(patients) or None)


def count_classes(target: Target, split: pd.Series) -> pd.DataFrame:
    """Images per class and split, as in `Survey.counts`."""
    names = target.class_names
    one_hot = target.labels if target.labels.ndim == 2 else np.eye(len(names), dtype=np.int64)[target.labels]
    split = split.to_numpy(dtype=object)
    columns = {}
    for name in (*SPLITS, ""):
        rows = split == name
        if rows.any():
            columns[name or "not split"] = [*one_hot[rows].sum(axis=0), rows.sum()]
    columns["total"] = [*one_hot.sum(axis=0), len(split)]
    return pd.DataFrame(columns, index=[*names, "total"], dtype=np.int64)


def add_own(kind: str, path: Path | str, reading: Any, name: str, title: str = "") -> tuple[OwnSet, Survey]:
    """Look whether images can be read so, and keep them as a set of one's own, with everything that was guessed written down.

    Args:
        kind, path: as `core.datasets.formats.find` gives them; the path is "" for "phantom"
        reading: of that kind

    Raises:
        LightboxError: as the source does, and as `core.datasets.custom.save_own` does
    """
    place = Path(path).expanduser().resolve() if path else Path()
    source = KINDS[kind].build(place, reading)
    found = survey(source)
    first = next(iter(found.index.targets.values()))
    facts = {"task": first.task, "class_names": list(first.class_names),
             "counts": found.counts[first.name].loc["total"].drop("total").astype(int).to_dict()}
    own = OwnSet(name, title or name, kind, str(place) if path else "", reading_to(getattr(source, "resolved", reading)), facts)
    save_own(own)
    return own, found
