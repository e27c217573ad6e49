"""Many images at once: those that were dropped, or a folder's; the table of what is predicted, its filter, and the CSV."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.errors import LightboxError
from core.evaluation.batch import (
    FilePrediction,
    ImageFile,
    classify_files,
    files_to_classify,
    predictions_csv,
    summary_of,
    table_of,
)
from core.runs.classifiers import ClassifierInfo
from pages.classify.image import choose_calibration, decision_rule, open_file
from pages.shared.heatmaps import classifier, version
from pages.shared.layout import escape, is_stopped, long_task, shorten, show_error

ALL, UNREAD = "all", "unread"
PICTURES = 1000        # rows with a thumbnail: beyond, the page would be slow to arrive


@dataclass(frozen=True, eq=False)
class Batch:
    """Images to classify.

    Args:
        title: "200 files", or the folder
        token: stands for the files
        files: in the order of the table
        others: files of the folder that are no images
    """

    title: str
    token: str
    files: list[ImageFile]
    others: int = 0


def take_files(files: list[tuple[str, bytes]]) -> None:
    """Make files that were dropped together the batch."""
    token = hashlib.sha256("\n".join(f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in files).encode())
    _take(Batch(f"{len(files):,} files", token.hexdigest(), [ImageFile(name, content) for name, content in files]))


def take_folder() -> None:
    """Make the images of the folder that was typed the batch; what is wrong with it is said on the page."""
    place = st.session_state["batch_folder"].strip()
    st.session_state.pop("rejected", None)
    if not place:
        return
    try:
        folder = Path(place).expanduser()
        if not folder.is_dir():
            raise LightboxError("predict.folder", "This is a file, not a folder." if folder.is_file() else
                                "There is no such folder on the machine that runs Lightbox.",
                                "Give the folder that holds it, or drop it above." if folder.is_file() else
                                "Check the path, or drop the files.")
        files, others = files_to_classify([folder])
        facts = "\n".join(f"{one.name} {_changed(one.data)}" for one in files)
        _take(Batch(place, hashlib.sha256(f"{folder}\n{facts}".encode()).hexdigest(), files, others))
    except (LightboxError, OSError, ValueError, RuntimeError) as error:
        if not isinstance(error, LightboxError):
            error = LightboxError("predict.folder", "This folder cannot be opened.", "Check the path.")
        st.session_state["rejected"] = (place, error)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:            # a frame of a file, or gone since
        return 0


def _take(batch: Batch) -> None:
    st.session_state["batch"] = batch
    for key in ("image_to_classify", "rejected"):
        st.session_state.pop(key, None)


def show_batch(info: ClassifierInfo, batch: Batch) -> None:
    """Classify what is left to do, with progress and Stop, and show the table. A Stop keeps what was done."""
    done = _done(info.address, batch)
    key = f"batch_{info.address}_{batch.token}"
    if len(done) < len(batch.files):
        if done and is_stopped(key):
            _draw_table(info, batch, done)
        with long_task(f"Classifying {shorten(batch.title)}", key=key) as progress:
            for one in classify_files(classifier(info.address), batch.files[len(done):]):
                done.append(one)
                progress("Classifying", len(done), len(batch.files))
    _draw_table(info, batch, done)


def _done(address: str, batch: Batch) -> list[FilePrediction]:
    """The predictions so far, of these files by the same weights; they are kept when the page is left."""
    of = (address, version(address), batch.token)
    kept = st.session_state.get("batch_done")
    if kept is None or kept["of"] != of:
        kept = st.session_state["batch_done"] = {"of": of, "predictions": []}
    return kept["predictions"]


def _draw_table(info: ClassifierInfo, batch: Batch, done: list[FilePrediction]) -> None:
    rule, names = decision_rule(info.address), info.class_names
    st.header(escape(shorten(batch.title, 60)), anchor=False)
    said = summary_of(done, batch.others, len(batch.files))
    if rule.task == "binary-class":
        said.append(f"Positive class: {names[1]}.")
    st.markdown(escape(f"Predicted by {info.title}. {' '.join(said)}"))
    calibrated = choose_calibration(rule)
    rows = table_of(done, names, rule, calibrated)
    table = pd.DataFrame(rows)
    predicted = table["predicted"][table["error"] == ""].replace("", "no finding").value_counts()
    words = {ALL: f"All ({len(rows):,})", **{word: f"{word} ({n:,})" for word, n in predicted.items()}}
    if unread := int((table["error"] != "").sum()):
        words[UNREAD] = f"Could not be read ({unread:,})"
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    shown = left.selectbox("Show", list(words), format_func=words.get, key=f"batch_show_{batch.token}")
    right.download_button("Download the table (CSV)", predictions_csv(rows, names), f"{info.address}-predictions.csv", "text/csv",
                          width="stretch")
    chosen = {ALL: table.index, UNREAD: table.index[table["error"] != ""]}.get(
        shown, table.index[(table["predicted"].replace("", "no finding") == shown) & (table["error"] == "")])
    _draw_rows(batch, done, table, list(chosen), f"{batch.token}_{shown}")


def _draw_rows(batch: Batch, done: list[FilePrediction], table: pd.DataFrame, chosen: list[int], key: str) -> None:
    """The rows; one that is clicked opens its image with its map. `key` stands for the rows: a click is a place among them."""
    drawn = table.loc[chosen].drop(columns=[name for name in ("error", "notes") if (table.loc[chosen, name] == "").all()])
    probs = [name for name in drawn if name.startswith("prob_")]
    drawn[probs] = drawn[probs].apply(pd.to_numeric)
    if len(chosen) <= PICTURES:
        drawn.insert(0, "image", [_address(done[k].thumbnail) for k in chosen])
    opened = st.session_state.setdefault("batch_opened", 0)
    event = st.dataframe(
        drawn, hide_index=True, width="stretch", height=min(620, 45 + 48 * max(1, len(chosen))), row_height=48,
        on_select="rerun", selection_mode="single-row", key=f"batch_table_{key}_{opened}",
        column_config={"image": st.column_config.ImageColumn("", width=56), "file": st.column_config.TextColumn(width="medium"),
                       **{name: st.column_config.NumberColumn(format="%.3f") for name in probs}})
    st.caption("Choose a row to see the image with its Grad-CAM. Click a heading to sort.")
    for row in event.selection.rows:
        try:
            st.session_state["image_to_classify"] = open_file(batch.files[chosen[row]])
            st.session_state["batch_opened"] = opened + 1      # a new table, without the choice
            st.rerun()
        except LightboxError as error:
            show_error(error)


def _address(jpeg: bytes) -> str | None:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else None
