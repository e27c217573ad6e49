"""What the split page shows of an open set: counts and weights, who is on both sides, copies and odd images.

Everything that depends only on the images and the split is worked out once and kept for everybody.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from core.datasets.splits import balanced_weights, groups_of
from pages.shared import theme
from pages.shared.layout import format_percent

PRESETS = {"70/10/20": (0.1, 0.2), "60/20/20": (0.2, 0.2), "80/20": (0.2, 0.0), "90/10": (0.1, 0.0)}      # validation, test
COLUMNS = 64          # patients in the picture
TALLEST = 10          # images of a patient in the picture


@dataclass(frozen=True)
class Facts:
    """What is known of a split without looking at pixels.

    Args:
        counts: images per class (rows, the last is "total") and part (columns train, val, test, left out, total)
        weights: (K,) of the classes in the loss, when classes are weighted
        parts, ignoring: overlap with training, of this split and of one that ignores patients
        picture, picture_ignoring: the same patients in both, see `patients_svg`; None where no patient has two images
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


def facts_of(data: Dataset) -> Facts:
    """The facts of an open set, from the cache where somebody has looked at the same split before."""
    return _facts(data, (data.fingerprint, data.target, *_made(data)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _facts(_data: Dataset, known_by: tuple) -> Facts:
    data = _data
    split, given = data.table["split"].to_numpy(dtype=object), _given(data)
    other = image_level(data.labels, split, data.config, given)
    counts = data.counts()
    one_hot = data.labels if data.labels.ndim == 2 else np.eye(len(data.class_names), dtype=np.int64)[data.labels]
    out = split == ""
    counts.insert(3, "left out", [*one_hot[out].sum(axis=0), out.sum()])
    group, unknown = groups_of(data.table, "patient")
    shown = [] if unknown.all() else _pick(group[~unknown])
    rows = [np.flatnonzero(group == name) for name in shown]
    return Facts(counts, balanced_weights(data.labels[split == "train"], len(data.class_names)), overlaps(data.table, split),
                 overlaps(data.table, other), imbalance(data.labels, split, data.class_names), absent_classes(data),
                 patients_svg(rows, split), patients_svg(rows, other), None if unknown.all() else len(set(group[~unknown])))


def has_official(data: Dataset) -> set[str]:
    """The parts that the set came with, empty where it came without a split."""
    given = set(_given(data))
    return given if {"train"} < given <= set(Split) else set()


def _given(data: Dataset) -> np.ndarray:
    table = data.source.table if data.source.table is not None else data.table
    return table["split"].to_numpy(dtype=object)


def _pick(group: np.ndarray) -> list:
    """At most COLUMNS patients with several images, evenly spread from those with the most to those with two."""
    sizes = pd.Series(group).value_counts(sort=True)
    several = sizes.index[sizes > 1]
    if not len(several):
        return []
    return [several[i] for i in np.unique(np.linspace(0, len(several) - 1, COLUMNS).round().astype(int))]


# ------------------------------------------------------------------------------------------------------------- words and pictures

def sentences(parts: dict[str, Overlap]) -> list[str]:
    """Markdown: how many images of validation and test are beside a training image of the same patient and study."""
    said = []
    for part in ("val", "test"):
        overlap, name = parts[part], theme.SPLIT_TITLES[part]
        if not overlap.n or overlap.patients is None:
            continue
        shared = f"**{overlap.patients:,} of {overlap.n:,} {name} images ({format_percent(overlap.patient_share)})**"
        of_study = f", {format_percent(overlap.study_share)} a study" if overlap.studies else ""
        said.append(f"{shared} show a patient who is also in training{of_study}." if overlap.patients else
                    f"**None of {overlap.n:,} {name} images** shows a patient who is also in training.")
    return said


def patients_svg(rows: Sequence[np.ndarray], split: np.ndarray) -> tuple[str, str] | None:
    """Patients as columns of squares, a square an image, coloured by part. A line under a column marks a patient who is in
    training and elsewhere too. At most TALLEST squares a patient.

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
                         f"fill='{theme.ANSWERS['wrong']}'/>")
    both = sum(column[0] for column in columns)
    said = f"{len(columns)} patients, {both} of them in training and in validation or test"
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}'>"
            f"{''.join(drawn)}</svg>", said)


def table_html(facts: Facts, class_names: Sequence[str]) -> str:
    """Classes x parts with totals, the share of each class in each part as a bar, and the weights. Text is shown as typed."""
    counts = facts.counts
    parts = [part for part in (*Split, "left out") if counts[part].iloc[-1]]
    words = theme.SPLIT_TITLES | {"left out": "left out"}
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
        weight = "" if last else f"{facts.weights[k]:.4g}" if facts.weights[k] else "-"
        rows.append(f"<tr class='{'sum' if last else ''}'><th scope='row'>{html_escape(str(name))}</th>{cells}"
                    f"<td>{row['total']:,}</td><td>{weight}</td></tr>")
    return (f"<table class='lb-split'><thead><tr><th scope='col'>Class</th>{head}<th scope='col'>All</th>"
            f"<th scope='col' title='n / (K n_k): the training images, divided by the number of classes and by the images of the "
            f"class'>Weight</th></tr></thead><tbody>{''.join(rows)}</tbody></table>")


def totals_add_up(facts: Facts, labels: np.ndarray) -> bool:
    """Whether rows and columns of the table add up to its totals. With several findings an image is in several rows."""
    counts = facts.counts
    across = (counts[[*Split, "left out"]].sum(axis=1) == counts["total"]).all()
    return bool(across and (labels.ndim == 2 or (counts.iloc[:-1].sum() == counts.iloc[-1]).all()))


# ---------------------------------------------------------------------------------------------------------- what the pixels say

@st.cache_resource(show_spinner=False)
def _inspected() -> dict[tuple, Inspection]:
    return {}


def inspection_of(data: Dataset) -> Inspection | None:
    """What the search found in these images, None where nobody has searched yet. The same for any split."""
    return _inspected().get(_pixels(data))


def keep_inspection(data: Dataset, found: Inspection) -> None:
    _inspected()[_pixels(data)] = found


def audit_of(data: Dataset, found: Inspection) -> Audit:
    """The audit of an open set, from the cache where somebody has asked before."""
    return _audit(data, found, (*_pixels(data), data.target, *_made(data)))


@st.cache_resource(max_entries=32, show_spinner=False)
def _audit(_data: Dataset, _found: Inspection, known_by: tuple) -> Audit:
    return audit_split(_data, _found)


def _made(data: Dataset) -> tuple:
    """What the split is, and what the split that ignores patients is made from."""
    return data.split_hash, data.config.split, data.config.split_seed, data.config.test_fraction


def _pixels(data: Dataset) -> tuple:
    return data.fingerprint, data.size, data.resize, data.channels


def pair_captions(found: Audit, pair: DuplicatePair) -> tuple[str, str]:
    """Under each of two copies: its part and class."""
    return tuple(f"{theme.SPLIT_TITLES[found.split[row]]}: {found.labels[row]}" for row in (pair.a, pair.b))


def pair_words(found: Audit, pair: DuplicatePair) -> str:
    """What a pair is: "Same pixels, in training and test"."""
    kind = "Same pixels" if pair.kind == "exact" else f"Same picture, {'mirrored' if pair.mirrored else 'saved again'}"
    where = " and ".join(dict.fromkeys(theme.SPLIT_TITLES[found.split[row]] for row in (pair.a, pair.b)))
    return f"{kind}, {'in ' if found.crosses(pair) else 'both in '}{where}" + \
        (", with different labels" if found.contradicts(pair) else "")
