"""What one pass over all pixels finds, whatever the split: duplicates and outliers. Searched once and kept beside the pixels.

    LIGHTBOX_HOME/stores/<key>/inspection.json      pairs of rows, outliers, and a hash of them

Pages, command line and worker read the same file, so that the search runs once for each store; a file that is damaged, or
of another version or other images, is as good as none.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core.datasets.dataset import Dataset
from core.datasets.groups import copy_groups, shared_with_train
from core.datasets.inspection.duplicates import DuplicatePair, find_duplicates, summarise_pixels
from core.datasets.inspection.outliers import Outlier, find_outliers
from core.datasets.source import Progress
from core.datasets.store import store_folder
from core.errors import LightboxError
from core.files import write_json

__all__ = ["NAME", "DuplicatePair", "Inspection", "Outlier", "copied_counts", "inspect", "inspection_file", "kept_inspection",
           "known_inspection"]

VERSION = 1      # raise it when the search finds other pairs or outliers: what was kept is then searched anew
NAME = "inspection.json"


@dataclass(frozen=True)
class Inspection:
    """What one pass over all pixels found, whatever the split.

    Args:
        duplicates: exact ones first; rows of the table
        outliers: images that are blank, tiny, or unusual in size, shape or brightness
        complete: False where there were too many candidates to compare all of them
    """

    duplicates: tuple[DuplicatePair, ...]
    outliers: tuple[Outlier, ...]
    complete: bool = True


def inspect(data: Dataset, progress: Progress | None = None) -> Inspection:
    """Return duplicates and outliers of a set: at once where somebody searched before, otherwise seconds to minutes.

    Args:
        progress: called with (what is being done, done, total); what it raises stops the search
    """
    if data.units:
        return _of_units(data, inspect(data.units.images, progress))
    kept = kept_inspection(data)
    if kept is not None:
        return kept
    summary = summarise_pixels(data, progress)
    duplicates, complete = find_duplicates(data, summary, progress)
    found = Inspection(duplicates, find_outliers(data, summary), complete)
    _keep(data, found)
    return found


def kept_inspection(data: Dataset) -> Inspection | None:
    """Return what an earlier search found in these images; None where nobody searched, or what it kept is damaged."""
    if data.units:
        return _of_units(data, kept_inspection(data.units.images))
    path = inspection_file(data)
    try:
        return _read(path, path.stat().st_mtime_ns, data.fingerprint, len(data))
    except OSError:
        return None


def known_inspection(data: Dataset) -> Inspection | None:
    """Return what a search of these images found, at this size or else at another one; None where nobody searched.

    For what is only reported. A split takes the search at its own size, or it would depend on who searched first.
    """
    if data.units:
        return _of_units(data, known_inspection(data.units.images))
    own = kept_inspection(data)
    if own is not None:
        return own
    folder = inspection_file(data).parent
    title = folder.name.removesuffix("-".join(["", *folder.name.rsplit("-", 4)[1:]]))
    for path in sorted(folder.parent.glob(f"{title}-*/{NAME}"), reverse=True):
        found = _read(path, path.stat().st_mtime_ns, data.fingerprint, len(data))
        if found is not None:
            return found
    return None


def copied_counts(data: Dataset) -> dict[str, tuple[int, int]] | None:
    """Return for "val" and "test" (images with a copy in training, images); None where nobody has searched for copies."""
    known = known_inspection(data)
    if known is None:
        return None
    copies, split = copy_groups(len(data), known.duplicates), data.table["split"].to_numpy(dtype=object)
    return {part: (len(shared_with_train(split, copies, part)), n) for part in ("val", "test")
            if (n := int((split == part).sum())) and (split == "train").any()}


def _of_units(data: Dataset, found: Inspection | None) -> Inspection | None:
    """Return what was found in the images of studies or patients, by row of `data`: two units are copies of one another where one
    image of each is."""
    if found is None:
        return None
    unit = data.units.unit_of.tolist()
    pairs = {}
    for pair in found.duplicates:
        a, b = sorted((unit[pair.a], unit[pair.b]))
        if 0 <= a < b:
            pairs.setdefault((a, b), replace(pair, a=a, b=b))
    outliers = tuple(replace(one, row=unit[one.row]) for one in found.outliers if unit[one.row] >= 0)
    return Inspection(tuple(pairs.values()), outliers, found.complete)


def inspection_file(data: Dataset) -> Path:
    """Return where the search of these images is kept, searched or not."""
    config = data.config
    return store_folder(data.source.title, data.fingerprint, data.size, data.resize, config.channels) / NAME


def _keep(data: Dataset, found: Inspection) -> None:
    path = inspection_file(data)
    body = {"fingerprint": data.fingerprint, "images": len(data), "complete": found.complete,
            "duplicates": [[p.a, p.b, p.kind, p.distance, p.mirrored] for p in found.duplicates],
            "outliers": [list(asdict(one).values()) for one in found.outliers]}
    if path.parent.is_dir():             # a set without a store, as some tests make one, is searched each time
        try:
            write_json(path, {"version": VERSION, "sha256": _digest(body)} | body)
        except (LightboxError, OSError):     # no room, or a home that may not be written to: the result is as good
            pass


def _digest(body: dict) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int, fingerprint: str, images: int) -> Inspection | None:
    """`changed` is when the file was written: a new one is read anew."""
    try:
        body = json.loads(path.read_bytes())
        known = body.pop("version"), body.pop("sha256")
        if known != (VERSION, _digest(body)) or (body["fingerprint"], body["images"]) != (fingerprint, images):
            return None
        return Inspection(tuple(DuplicatePair(*pair) for pair in body["duplicates"]),
                          tuple(Outlier(*one) for one in body["outliers"]), body["complete"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
