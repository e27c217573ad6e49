"""What the page Split shows of an open data set: counts and weights, patients in two splits, duplicates and
outliers.

Everything that depends only on the images and the split is worked out once and kept for everybody.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape as html_escape

import numpy as np
import pandas as pd
import streamlit as st

from core.audit import (
    Audit,
    DuplicatePair,
    Imbalance,
    Inspection,
    Overlap,
    absent_classes,
    audit_split,
    image_level,
    imbalance,
    overlaps,
)
from core.config import Split
from core.datasets import Dataset
from core.datasets.groups import groups_of
from core.datasets.inspection import kept_inspection
from core.datasets.source import one_hot
from core.datasets.stratify import balanced_weights
from pages.shared import theme
from pages.shared.layout import format_percent

PRESETS = {"70/10/20": (0.1, 0.2), "60/20/20": (0.2, 0.2), "80/20": (0.2, 0.0), "90/10": (0.1, 0.0)}      # validation, test
COLUMNS = 64          # patients in the picture
TALLEST = 10          # images of a patient in the picture


@dataclass(frozen=True)
class SplitSummary:
    """What is known of a split without looking at pixels.

    Args:
        counts: images per class (rows, the last is "total") and part (columns train, val, test, left out,
            total)
        weights: (K,) of the classes in the loss, when classes are weighted
        parts, ignoring: overlap with training, of this split and of one that ignores patients
        picture, picture_ignoring: the same patients in both, see `patients_svg`; None where no patient has
            two images
        patients: how many patients there are, None where they are not known
    """

    counts: pd.DataFrame
    weights: np.ndarray
    parts: dict[str, Overlap]
    ignoring: dict[str, Overlap]
    imbalance: Imbalance
    absent: dict[str, tuple[str, ...]]
    picture: tuple[str, str] | None
    picture_ignoring: tuple[str, str] | None
    patients: int | None


def summary_of(data: Dataset) -> SplitSummary:
    """Return the summary of an open data set, from the cache where somebody has looked at the same split
    before."""
    return _summary(data, (data.fingerprint, data.target, *_made(data)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _summary(_data: Dataset, known_by: tuple) -> SplitSummary:
    data = _data
    split, given = data.table["split"].to_numpy(dtype=object), _given(data)
    other = image_level(data.labels, split, data.config, given)
    counts = data.counts()
    shown_classes = one_hot(data.labels, len(data.class_names))
    out = split == ""
    counts.insert(3, "left out", [*shown_classes[out].sum(axis=0), out.sum()])
    group, unknown = groups_of(data.table, "patient")
    shown = [] if unknown.all() else _pick(group[~unknown])
    rows = [np.flatnonzero(group == name) for name in shown]
    return SplitSummary(
        counts=counts, weights=balanced_weights(data.labels[split == "train"], len(data.class_names)),
        parts=overlaps(data.table, split), ignoring=overlaps(data.table, other),
        imbalance=imbalance(data.labels, split, data.class_names), absent=absent_classes(data),
        picture=patients_svg(rows, split), picture_ignoring=patients_svg(rows, other),
        patients=None if unknown.all() else len(set(group[~unknown])))


def has_official(data: Dataset) -> set[str]:
    """Return the parts of the official split, empty where the data set has none."""
    given = set(_given(data))
    return given if {"train"} < given <= set(Split) else set()


def _given(data: Dataset) -> np.ndarray:
    table = data.source.table if data.source.table is not None else data.table
    return table["split"].to_numpy(dtype=object)


def _pick(group: np.ndarray) -> list:
    """At most COLUMNS patients with several images, evenly spread from those with the most to those with
    two."""
    sizes = pd.Series(group).value_counts(sort=True)
    several = sizes.index[sizes > 1]
    if not len(several):
        return []
    return [several[i] for i in np.unique(np.linspace(0, len(several) - 1, COLUMNS).round().astype(int))]


# ----------------------------------------------------------------------------------------- words and pictures

def sentences(parts: dict[str, Overlap]) -> list[str]:
    """Return in Markdown how many images of validation and test are beside a training image of the same
    patient and study."""
    texts = []
    for part in ("val", "test"):
        overlap, name = parts[part], theme.SPLIT_TITLES[part]
        if not overlap.n or overlap.patients is None:
            continue
        shared = f"**{overlap.patients:,} of {overlap.n:,} {name} images ({format_percent(overlap.patient_share)})**"
        of_study = f", {format_percent(overlap.study_share)} a study" if overlap.studies else ""
        texts.append(f"{shared} show a patient who is also in training{of_study}." if overlap.patients else
                    f"**None of {overlap.n:,} {name} images** shows a patient who is also in training.")
    return texts


def copied_texts(counts: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return in Markdown how many images of validation and test have a copy in training, the test set first.

    Args:
        counts: as `core.datasets.inspection.copied_counts`
    """
    texts = []
    for part in (part for part in ("test", "val") if part in counts):
        copied, n = counts[part]
        name = theme.SPLIT_TITLES[part]
        have = "has" if copied == 1 else "have"
        texts.append(f"**{copied:,} of {n:,} {name} images ({format_percent(copied / n)})** {have} a copy in training." if copied
                     else f"**None of {n:,} {name} images** has a copy in training.")
    return texts


def unknown_patients_text(data: Dataset) -> str:
    """Return in Markdown what it means for this split that no patients are known."""
    official = data.config.split in ("auto", "official") and bool(has_official(data))
    means = ("Nobody can tell whether its parts share patients. What is cut out of training is taken image by image."
             if official else "This split is made image by image. Where a patient has several images, some are in training and "
                              "others in test: a network can recognise the patient, and the results are too good.")
    if data.config.needs_copies:
        means = "Copies are kept together or left out, but different images of one patient may still be in several parts."
    return (f"**No patient IDs are known.** {means} If a column, a folder or the names of the files say who is who, choose it on "
            "the page Add.")


def patients_svg(rows: Sequence[np.ndarray], split: np.ndarray) -> tuple[str, str] | None:
    """Draw patients as columns of squares, a square an image, coloured by part. A line under a column marks a
    patient who is in training and elsewhere too. At most TALLEST squares a patient.

    Args:
        rows: of each patient
        split: (N,) of "train", "val", "test", ""

    Returns:
        SVG and what it shows in words; None without patients
    """
    if not rows:
        return None
    columns = []
    for images in rows:
        parts = sorted((split[i] for i in images), key=lambda part: (*Split, "").index(part))
        leaks = "train" in parts and bool({"val", "test"} & set(parts))
        columns.append((leaks, (*Split, "").index(parts[0]), -len(parts), parts))
    columns.sort(key=lambda column: column[:3])
    step, side, tall = 11, 9, min(TALLEST, max(len(column[3]) for column in columns))
    width, height = step * max(len(columns), 24), step * tall + 8
    drawn = []
    for k, (leaks, _, _, parts) in enumerate(columns):
        if len(parts) > TALLEST:       # keep the proportions
            parts = [parts[round(i)] for i in np.linspace(0, len(parts) - 1, TALLEST)]
        for j, part in enumerate(parts):
            x, y = step * k + 1, step * (tall - 1 - j) + 1
            fill = f"fill='{theme.SPLITS[part]}'" if part else f"fill='none' stroke='{theme.QUIET}'"
            drawn.append(f"<rect x='{x}' y='{y}' width='{side}' height='{side}' rx='1.5' {fill}/>")
        if leaks:
            drawn.append(f"<rect x='{step * k + 1}' y='{step * tall + 3}' width='{side}' height='3.5' rx='1' "
                         f"fill='{theme.OUTCOMES['wrong']}'/>")
    both = sum(column[0] for column in columns)
    text = f"{len(columns)} patients, {both} of them in training and in validation or test"
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}'>"
            f"{''.join(drawn)}</svg>", text)


def table_html(summary: SplitSummary, class_names: Sequence[str]) -> str:
    """Return classes x splits with totals, the share of each class in each split as a bar, and the
    weights."""
    counts = summary.counts
    parts = [part for part in (*Split, "left out") if counts[part].iloc[-1]]
    words = theme.SPLIT_TITLES | {"left out": "unused"}
    head = "".join(f"<th scope='col'><i style='background:{theme.SPLITS.get(p, 'transparent')}'></i>{words[p].capitalize()}</th>"
                   for p in parts)
    rows = []
    for k, name in enumerate([*class_names, "All images"]):
        row, last = counts.iloc[k], k == len(class_names)
        cells = ""
        for part in parts:
            share = row[part] / max(1, counts[part].iloc[-1])
            bar = "" if last or part == "left out" else \
                f"<div><b style='width:{100 * share:.1f}%;background:{theme.SPLITS[part]}'></b></div>"
            small = "" if last else f" <small>{format_percent(share)}</small>"
            cells += f"<td>{row[part]:,}{small}{bar}</td>"
        weight = "" if last else f"{summary.weights[k]:.4g}" if summary.weights[k] else "-"
        rows.append(f"<tr class='{'sum' if last else ''}'><th scope='row'>{html_escape(str(name))}</th>{cells}"
                    f"<td>{row['total']:,}</td><td>{weight}</td></tr>")
    return (f"<table class='lb-split'><thead><tr><th scope='col'>Class</th>{head}<th scope='col'>All</th>"
            f"<th scope='col' title='n / (K n_k): the training images, divided by the number of classes and by the images of the "
            f"class'>Weight</th></tr></thead><tbody>{''.join(rows)}</tbody></table>")


def totals_add_up(summary: SplitSummary, labels: np.ndarray) -> bool:
    """Return whether rows and columns of the table add up to its totals. With several findings an image is in
    several rows; one whose label is not known is in none."""
    counts = summary.counts
    across = (counts[[*Split, "left out"]].sum(axis=1) == counts["total"]).all()
    return bool(across and (labels.ndim == 2 or (labels < 0).any() or (counts.iloc[:-1].sum() == counts.iloc[-1]).all()))


# ---------------------------------------------------------------------------------------- what the pixels say

@st.cache_resource(show_spinner=False)
def _inspected() -> dict[tuple, Inspection]:
    return {}


def inspection_of(data: Dataset) -> Inspection | None:
    """Return what a search found in these images, on this page or on the command line; None where nobody has
    searched yet. The same for any split."""
    return _inspected().get(_pixels(data)) or kept_inspection(data)


def keep_inspection(data: Dataset, inspection: Inspection) -> None:
    _inspected()[_pixels(data)] = inspection


def audit_of(data: Dataset, inspection: Inspection) -> Audit:
    """Return the audit of an open data set, from the cache where somebody has asked before."""
    return _audit(data, inspection, (*_pixels(data), data.target, *_made(data)))


@st.cache_resource(max_entries=32, show_spinner=False)
def _audit(_data: Dataset, _inspection: Inspection, known_by: tuple) -> Audit:
    return audit_split(_data, _inspection)


def _made(data: Dataset) -> tuple:
    """What the split is, and what the split that ignores patients is made from."""
    return data.split_hash, data.label_edit, data.config.split, data.config.split_seed, data.config.test_fraction


def _pixels(data: Dataset) -> tuple:
    return data.fingerprint, data.size, data.resize, data.channels


def audit_text(audit: Audit) -> str:
    """Return in Markdown how many duplicates and outliers there are."""
    pairs, outliers = len(audit.duplicates), len(audit.outliers)
    if not pairs and not outliers:
        return "**No duplicates and no outliers.**"
    across, labels = sum(map(audit.crosses, audit.duplicates)), sum(map(audit.contradicts, audit.duplicates))
    groups = f"{audit.groups:,} group{'' if audit.groups == 1 else 's'}"
    return (f"**{pairs:,} pair{'' if pairs == 1 else 's'} of duplicates** in {groups}, {across:,} across splits, "
            f"{labels:,} with different labels. **{outliers:,} outlier{'' if outliers == 1 else 's'}.**")


def pair_captions(audit: Audit, pair: DuplicatePair) -> tuple[str, str]:
    """Return the caption of each of two duplicates: its split and class."""
    return tuple(f"{theme.SPLIT_TITLES[audit.split[row]]}: {audit.labels[row]}" for row in (pair.a, pair.b))


def pair_words(audit: Audit, pair: DuplicatePair) -> str:
    """Return what a pair is in words: "Identical, in training and test"."""
    near = "Near-duplicate, mirrored" if pair.mirrored else "Near-duplicate"
    kind = "Identical" if pair.kind == "exact" else near
    where = " and ".join(dict.fromkeys(theme.SPLIT_TITLES[audit.split[row]] for row in (pair.a, pair.b)))
    return f"{kind}, {'in ' if audit.crosses(pair) else 'both in '}{where}" + \
        (", with different labels" if audit.contradicts(pair) else "")
