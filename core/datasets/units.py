"""What one prediction is made for: a study or a patient instead of an image.

The images of a unit lie side by side in one wide picture, (S, V S), with black where a view is missing. From then on a
data set has a row a unit, so that split, metrics, errors and galleries are by unit.

N images, U units, V views of a unit at most, S pixels a side, C channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from core.config import DataConfig, Split, Task
from core.datasets.dataset import Dataset
from core.datasets.groups import groups_of
from core.datasets.source import Progress, one_hot
from core.datasets.text import natural_key
from core.datasets.unit_pixels import UnitSource, unit_fingerprint, unit_pictures
from core.errors import LightboxError

PLURAL = {"study": "studies", "patient": "patients"}


@dataclass(frozen=True, eq=False)
class Units:
    """The images behind the rows of a data set of studies or patients.

    Args:
        unit: "study" or "patient"
        rows: (U, V) int64, the image at each place; -1 where a view is missing
        names: V names of the places; () where they have none
        unit_of: (N,) int64, the unit of each image; -1 where it is in none
        images: the data set of the single images, not split
        note: what a person should know about how images became units, in plain sentences
    """

    unit: str
    rows: np.ndarray
    names: tuple[str, ...]
    unit_of: np.ndarray
    images: Dataset
    note: str = ""

    @property
    def views(self) -> int:
        """V."""
        return self.rows.shape[1]

    def facts(self) -> dict:
        """Return what a run keeps of it, for JSON."""
        return {"unit": self.unit, "views": self.views, "view_names": list(self.names)}

    def sentence(self) -> str:
        """Return what one row of the data set is."""
        at_most = f"the views {', '.join(self.names)}" if self.names else f"at most {self.views} views"
        return f"One prediction is for a {self.unit}: {at_most}."


def as_units(opened: Dataset, progress: Progress | None = None) -> Dataset:
    """Return the data set with one row a study or a patient, as `opened.config.unit` says.

    An image whose study (patient) is not known is a unit of its own. A unit is called like its study or patient; its label is
    that of its images. Where they differ, a binary question is answered yes where one image says so, other classes by the
    majority (of equals the later class); findings are there where one image shows them. How often stands in `Units.note`.

    Args:
        opened: of single images, its split not made yet; without pixels (`look_ahead`) the units have none either
        progress: called with (what is being done, done, total); what it raises stops the work

    Raises:
        LightboxError: "units.column" for a column or a view that does not exist, "units.none" where no unit is left
    """
    data = opened.config
    code, names = _unit_codes(opened.table, data.unit)
    views, placed, notes = _places(opened.table, code, data)
    kept = (placed >= 0).any(axis=1)
    if views and data.incomplete == "leave out":
        kept &= (placed >= 0).all(axis=1)
    if not kept.any():
        raise LightboxError("units.none", f"No {data.unit} has {'all of ' if views else ''}the views {', '.join(views)}.",
                            "Set data.incomplete to mask, or name other views: data.view_column=view:frontal|lateral.")
    number = np.where(kept, np.cumsum(kept) - 1, -1)[code]
    labels, differ = _labels(opened, code, len(kept))
    table = _table(opened.table, code, np.array(names, object), placed)[kept].reset_index(drop=True)
    torn = int((table.pop("torn") == "yes").sum())
    units = Units(data.unit, placed[kept], views, number, opened)
    notes = [units.sentence(), *_counts(units, kept, placed, data), *notes, *_disagreement(differ[kept].sum(), opened, data.unit)]
    if torn:
        notes.append(f"{torn:,} {PLURAL[data.unit]} have images in several parts of the official split: they count as test, else "
                     "as validation.")
    source = UnitSource(opened.source, units, table, unit_fingerprint(opened.fingerprint, data))
    return replace(opened, images=unit_pictures(opened, units, progress), labels=labels[kept], table=table, source=source,
                   fingerprint=source.known, units=replace(units, note=" ".join(notes)))


def _unit_codes(table: pd.DataFrame, unit: str) -> tuple[np.ndarray, list[str]]:
    """Return (N,) the number of each image's unit, in the table's order, and the names of the units."""
    group, unknown = groups_of(table, unit)
    code, _ = pd.factorize(group)
    first = np.unique(code, return_index=True)[1]
    known, own = ~unknown[first], table["image_id"].to_numpy(dtype=object)[first]
    plain = table[unit].to_numpy(dtype=object)[first]
    patient = table["patient"].to_numpy(dtype=object)[first]
    if unit == "study":      # "study1" is many patients'; "P1-S1" says whose it is
        full = [f"{p}/{s}" if p else s for p, s in zip(patient, plain)]
        says = all(p in s for p, s, is_known in zip(patient, plain, known) if is_known)
        plain = plain if says and len(set(plain[known])) == known.sum() else np.array(full, object)
    names = np.where(known, plain, own).tolist()
    taken = set()
    for i, name in enumerate(names):      # an image's name may be another one's patient
        while name in taken:
            name += "'"
        names[i] = name
        taken.add(name)
    return code, names


def _places(table: pd.DataFrame, code: np.ndarray, data: DataConfig) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Return the names of the places, (U, V) the image at each, -1 for none, and sentences about what is not seen."""
    ids = table["image_id"].tolist()
    order = sorted(range(len(ids)), key=lambda i: (code[i], natural_key(ids[i])))
    if data.view_column:
        return _named_places(table, code, np.array(order), data)
    order = np.array(order)
    sizes = np.bincount(code)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    views = min(data.views, sizes.max())
    placed = np.full((len(sizes), views), -1, np.int64)
    seen = place < views
    placed[code[order[seen]], place[seen]] = order[seen]
    over = sizes > views
    notes = [f"{over.sum():,} {PLURAL[data.unit]} have more than {views} images: {(~seen).sum():,} images are not seen."]
    return (), placed, notes if over.any() else []


def _named_places(table: pd.DataFrame, code: np.ndarray, order: np.ndarray,
                  data: DataConfig) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    names = view_names(table, data)
    value = table[data.view_column.partition(":")[0]].astype(str).to_numpy(dtype=object)
    place = pd.Index(names).get_indexer(value)
    placed = np.full((code.max() + 1, len(names)), -1, np.int64)
    has = order[place[order] >= 0][::-1]      # the first of a name is written last
    placed[code[has], place[has]] = has
    twice = len(has) - (placed >= 0).sum()
    notes = []
    if twice:
        notes.append(f"{twice:,} images are a second one of the same view: they are not seen.")
    if (other := int((place < 0).sum())):
        notes.append(f"{other:,} images show other views than {', '.join(names)}: they are not seen.")
    return names, placed, notes


def view_names(table: pd.DataFrame, data: DataConfig) -> tuple[str, ...]:
    """Return the views that have a place, in their order: those that `data.view_column` names, else the most frequent ones, at
    most `data.views`, in natural order.

    Raises LightboxError "units.column" for a column or a view that does not exist.

    >>> table = pd.DataFrame({"view": ["lateral", "frontal", "oblique", "frontal", "lateral", ""]})
    >>> view_names(table, DataConfig(view_column="view", views=2)), view_names(table, DataConfig(view_column="view:oblique"))
    (('frontal', 'lateral'), ('oblique',))
    """
    column, colon, asked = data.view_column.partition(":")
    counts = table[column].astype(str).value_counts().drop("", errors="ignore") if column in table else pd.Series(dtype=int)
    if counts.empty:
        raise LightboxError("units.column", f"The images have no column {column[:80]!r} that names views.",
                            f"Columns: {', '.join(map(str, table))[:300]}.")
    if colon:
        wanted = tuple(dict.fromkeys(asked.split("|")))
        if missing := [name for name in wanted if name not in counts.index]:
            raise LightboxError("units.column", f"No image has the view {missing[0][:80]!r}.",
                                f"Views: {', '.join(sorted(counts.index, key=natural_key))[:300]}.")
        return wanted
    frequent = sorted(counts.index, key=lambda name: (-counts[name], natural_key(name)))[:data.views]
    return tuple(sorted(frequent, key=natural_key))


def _labels(opened: Dataset, code: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the label of each unit, (U,) or (U, K), and (U,) bool where its images have different ones."""
    labels, classes = opened.labels, len(opened.class_names)
    highest = np.full((units, *labels.shape[1:]), -1, np.int64)
    np.maximum.at(highest, code, labels)
    lowest = np.full(highest.shape, np.iinfo(np.int64).max)
    np.minimum.at(lowest, code, np.where(labels < 0, np.iinfo(np.int64).max, labels))
    differ = ((highest >= 0) & (lowest < highest)).reshape(units, -1).any(axis=1)
    if labels.ndim == 2 or opened.task == Task.BINARY:
        return highest, differ
    votes = np.zeros((units, classes), np.int64)
    np.add.at(votes, code, one_hot(labels, classes))
    majority = classes - 1 - votes[:, ::-1].argmax(axis=1)
    return np.where(highest >= 0, majority, -1), differ


def _table(table: pd.DataFrame, code: np.ndarray, names: np.ndarray, placed: np.ndarray) -> pd.DataFrame:
    """Return a row a unit: what its images have in common, "" where they differ; and "torn", whether their split differs."""
    first = np.unique(code, return_index=True)[1]
    columns = {}
    for column in table:
        value = table[column].to_numpy(dtype=object)
        same = np.ones(len(first), bool)
        np.logical_and.at(same, code, value == value[first][code])
        columns[column] = np.where(same, value[first], "")
        if column == "split":
            rank = pd.Index(["", Split.TRAIN, Split.VAL, Split.TEST]).get_indexer(value)
            highest = np.zeros(len(first), np.int64)
            np.maximum.at(highest, code, rank)
            columns["split"] = np.array(["", "train", "val", "test"], object)[highest]
            columns["torn"] = np.where(same, "", "yes")
    columns["image_id"] = names
    views = table["view"].to_numpy(dtype=object)
    columns["view"] = np.array([", ".join(views[row[row >= 0]]).strip(", ") for row in placed], object)
    columns["views"] = (placed >= 0).sum(axis=1).astype(str)
    return pd.DataFrame(columns)


def _counts(units: Units, kept: np.ndarray, placed: np.ndarray, data: DataConfig) -> list[str]:
    """Return how many units there are, and of named views how many are complete."""
    many = PLURAL[units.unit]
    seen = int((units.rows >= 0).sum())
    notes = [f"There are {kept.sum():,} {many} with {seen:,} images that are seen."]
    if units.unit != "image" and seen == kept.sum() == len(units.rows) and seen > 1:
        notes.append(f"Each has one image: either no {units.unit} is known here, or nobody has a second one.")
    if units.names:
        complete, some = (placed >= 0).all(axis=1), (placed >= 0).any(axis=1)
        what = "left out" if data.incomplete == "leave out" else "masked where a view is missing"
        notes.append(f"{complete.sum():,} {many} have all of the views {', '.join(units.names)}; "
                     f"{(some & ~complete).sum():,} lack some and are {what}; {(~some).sum():,} have none and are left out.")
    return notes


def _disagreement(differ: int, opened: Dataset, unit: str) -> list[str]:
    if not differ:
        return []
    rule = "the majority decides, of equals the later class"
    if opened.task == Task.BINARY:
        rule = f"they count as {opened.class_names[1]}"
    elif opened.labels.ndim == 2:
        rule = "a finding is there where one image shows it"
    return [f"In {differ:,} {PLURAL[unit]} the images have different labels: {rule}."]
