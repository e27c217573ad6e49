"""What the page Add images shows of a path: read options and the result of the scan, cached."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape as html_escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.config import home
from core.datasets.archive import unpack, unpacked
from core.datasets.custom import AS_GUESSED, list_custom_datasets
from core.datasets.decode import collect_notes
from core.datasets.folder import Folder
from core.datasets.formats import FORMATS, detect_format, is_archive, options_to_json, parse_options
from core.datasets.levels import Level
from core.datasets.scan import ScanResult, scan_source
from core.datasets.source import Target
from core.datasets.table_preview import preview as preview_table
from core.errors import LightboxError
from core.files import write_atomic
from pages.shared import theme
from pages.shared.layout import escape, long_task, shorten
from pages.shared.resize_preview import fits_html

UPLOADS = ("zip", "tar", "gz", "tgz", "csv", "tsv", "txt", "npz")
NAMES = 10                 # file names that show what a pattern reads
SHOWN_CLASSES = 40


@dataclass(frozen=True, eq=False)
class Preview:
    """What there is at a path.

    Args:
        formats: those in which it may be read, the likeliest first
        options: the read options, with everything filled in that was detected
        table: how each column of a table was read (core.datasets.table_preview.TablePreview), None for other formats
        levels: what each level of folders was taken for, for folders
        names: what is read from some file names, for class folders; None for other formats, and where there
            is nothing to read
        result: None where `error` says what is wrong
        labels: how its classes are edited, as `CustomDataset.labels`
    """

    format: str
    formats: tuple[str, ...]
    path: Path
    options: Any
    table: Any = None
    names: pd.DataFrame | None = None
    levels: tuple[Level, ...] = ()
    result: ScanResult | None = None
    error: LightboxError | None = None
    labels: dict[str, str] = field(default_factory=lambda: dict(AS_GUESSED))


def preview(path: str, format: str | None, values: dict[str, Any]) -> Preview:
    """Scan a path with the options that a person chose. A zip is unpacked first, with progress and a Stop
    button.

    Raises LightboxError where there is nothing that could be read.
    """
    packed = Path(path).expanduser()
    if is_archive(packed) and unpacked(packed) is None:
        with long_task(f"Unpacking {packed.name}", key=f"unpack_{path}") as progress:
            unpack(packed, progress)
    return _preview(path, format, json.dumps(values))


@st.cache_resource(ttl=20, max_entries=32, show_spinner=False)
def _preview(path: str, format: str | None, values: str) -> Preview:
    guess, detected = detect_format(path)
    root = Path(path).expanduser()
    root = unpacked(root) if is_archive(root) else root
    formats = tuple(dict.fromkeys((guess, "folder"))) if root.is_dir() else (guess,)
    format = format if format in formats else guess
    place = (detected if format == guess else root).resolve()
    fields = {f.name for f in dataclasses.fields(FORMATS[format].options)}
    options = parse_options(format, {key: value for key, value in json.loads(values).items() if key in fields})
    table, names, levels, result, error = None, None, (), None, None
    try:
        if format == "folder":
            folder = Folder(place, options)
            names, levels = folder.preview_names(NAMES), tuple(folder.levels())
        if format == "table":
            table = preview_table(place, options)
            options = table.options
            if table.error:
                raise table.error
        result = scan_source(FORMATS[format].build(place, options))
    except LightboxError as caught:
        error = caught
    return Preview(format, formats, place, options, table, names, levels, result, error)


def added_as(shown: Preview) -> str | None:
    """Return the name of the custom dataset that is exactly this one already."""
    wanted = shown.format, str(shown.path), options_to_json(shown.options), shown.labels
    return next((own.name for own in list_custom_datasets() if (own.format, own.path, own.options, own.labels) == wanted), None)


def keep_upload(name: str, content: bytes) -> str:
    """Save a file that came through the browser and return its path. A zip is not kept twice: it is deleted
    once it is unpacked. Raises LightboxError as `unpack` does, "disk.full"."""
    safe = "".join(c if c.isalnum() and c.isascii() or c in "._-" else "-" for c in Path(name).name).lstrip(".")[-80:] or "file"
    folder = home() / "uploads" / hashlib.sha256(content).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / safe
    if not path.exists():
        write_atomic(path, content)
    if not is_archive(path):
        return str(path)
    try:
        with long_task(f"Unpacking {safe}", key=f"unpack_{path}") as progress:
            return str(unpack(path, progress))
    finally:
        path.unlink(missing_ok=True)
        folder.rmdir()


# ---------------------------------------------------------------------------------------------- what is shown

def columns_table(shown: Preview) -> pd.DataFrame:
    """Return a row for each column of the table: how it was read."""
    return pd.DataFrame([{"column": c.name, "role": c.role, "distinct": c.different, "empty": c.empty,
                          "examples": ", ".join(c.examples)[:120]} for c in shown.table.columns])


def counts_html(target: Target, counts: pd.DataFrame) -> str:
    """Return classes by split as a quiet table, each class with its colour."""
    if "not split" in counts and len(counts.columns) == 2:
        counts = counts[["total"]].rename(columns={"total": "images"})
    head = "".join(f"<th scope='col'>{html_escape(theme.SPLIT_TITLES.get(name, name))}</th>" for name in counts.columns)
    rows = []
    for k, (name, numbers) in enumerate(zip(target.class_names[:SHOWN_CLASSES], counts.to_numpy())):
        cells = "".join(f"<td>{n:,}</td>" for n in numbers)
        rows.append(f"<tr><th scope='row'><i style='background:{theme.class_color(k)}'></i>{html_escape(name)}</th>{cells}</tr>")
    if len(target.class_names) > SHOWN_CLASSES:
        rows.append(f"<tr><th scope='row'>and {len(target.class_names) - SHOWN_CLASSES:,} more</th></tr>")
    total = "".join(f"<td>{n:,}</td>" for n in counts.to_numpy()[-1])
    return (f"<table class='lb-classes'><thead><tr><th scope='col'>{html_escape(target.title)}</th>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}<tr class='sum'><th scope='row'>images</th>{total}</tr></tbody></table>")


def sample_rows(result: ScanResult, count: int = 4) -> list[int]:
    """Return a row of each of the first classes, then the first rows, `count` of them."""
    labels = next(iter(result.index.targets.values())).labels
    one_of_each = [int(np.argmax(labels[:, k] == 1 if labels.ndim == 2 else labels == k)) for k in range(count)
                   if (labels.shape[1] if labels.ndim == 2 else labels.max() + 1) > k]
    return list(dict.fromkeys([*one_of_each, *range(min(count, len(labels)))]))[:count]


def values_of(result: ScanResult | None) -> tuple[float, float]:
    """Return the least and the most value of the first image of more than 8 bits among some; 0 to 4,096 where there is none."""
    for row in sample_rows(result) if result else ():
        with collect_notes() as notes, suppress(LightboxError):
            result.source.original(row)
        for note in notes:
            if "least" in note.facts:
                return note.facts["least"], note.facts["most"]
    return 0.0, 4096.0


@st.cache_data(ttl=600, max_entries=200, show_spinner=False)
def fits_of(path: str, options: str, image: str, size: int, _source: Any, _row: int) -> str:
    """Return HTML of one image as it is, stretched, padded and cropped; or why it cannot be read."""
    try:
        return fits_html(_source.original(_row), size)
    except LightboxError as error:
        return f"<p>{html_escape(str(error))}</p>"


def caption_of(result: ScanResult, row: int) -> str:
    """Return the labels of an image and its path, as Markdown."""
    labels = []
    for target in result.index.targets.values():
        label = target.labels[row]
        names = [target.class_names[k] for k in (np.flatnonzero(label > 0) if target.labels.ndim == 2 else [label])]
        labels.append(f"{target.title}: {'not known' if np.all(label < 0) else ', '.join(names) or 'no finding'}")
    return f"**{escape(shorten('; '.join(labels), 80))}** {escape(shorten(result.index.table['path'].iloc[row], 40))}"
