"""Many images classified: files and folders listed, one prediction a file, and the table of all of them.

    files, others = files_to_classify([Path("ward-7")])
    done = list(classify_files(load_classifier("20261121-0352-k3f9"), files))
    predictions_csv(table_of(done, ("normal", "abnormal"), chosen_for("20261121-0352-k3f9")), ("normal", "abnormal"))

A file that cannot be read has its reason instead of a prediction, and the others go on. The command `predict` and the page
Classify write the same table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.datasets.fingerprints import left_out_note
from core.datasets.frames import paths_of_frames
from core.datasets.geometry import fit
from core.datasets.intensity import intensity_text
from core.datasets.walk import list_files
from core.errors import LightboxError
from core.evaluation.decision import Chosen
from core.files import to_csv
from core.runs.classifiers import Loaded, classify, decode_for

THUMBNAIL = 48         # pixels a side


@dataclass(frozen=True)
class ImageFile:
    """A file to classify.

    Args:
        name: what it is called in the table
        data: its path, or its content
        fault: why it cannot be opened, where that is known before
    """

    name: str
    data: Path | bytes
    fault: str = ""


@dataclass(frozen=True, eq=False)
class FilePrediction:
    """What a classifier says of a file.

    Args:
        name: as in ImageFile
        probs: (K,) float32 in [0, 1], not calibrated; None where the file could not be read
        thumbnail: JPEG, at most THUMBNAIL pixels a side; empty where it could not be read
        error: why it could not be read, in a sentence
        notes: how its values were converted, in sentences
    """

    name: str
    probs: np.ndarray | None = None
    thumbnail: bytes = b""
    error: str = ""
    notes: str = ""


def files_to_classify(places: Sequence[Path], frame: int = 0) -> tuple[list[ImageFile], int]:
    """Return the images among files and folders, and how many files in folders are none by their names.

    What is in a folder is named from there on; of several folders, with the folder in front. Without a `frame`, each frame of a
    DICOM file is an image.

    Raises LightboxError "predict.empty" where there is no image.
    """
    files, others = [], 0
    for place in places:
        try:
            is_folder = place.is_dir()
        except OSError as error:               # such as a name that is too long
            files.append(ImageFile(_printable(str(place))[:200], place, f"It cannot be opened: {error.strerror}."))
            continue
        if not is_folder:
            files.append(ImageFile(_printable(str(place)), place))
            continue
        listed, left_out = list_files(place, "")
        others += len(left_out)
        front = "" if len(places) == 1 else f"{place.as_posix()}/"
        files += [ImageFile(front + _printable(one.path), place / one.path, one.fault) for one in listed]
    if not files:
        raise LightboxError("predict.empty", f"There are no images in {', '.join(map(str, places))}.",
                            "Give a folder that holds images, or their files.")
    if not frame:
        files = [ImageFile(one.name + path.name.removeprefix(one.data.name), path, one.fault) for one in files
                 for path in ([one.data] if one.fault else paths_of_frames(one.data))]
    return files, others


def classify_files(loaded: Loaded, files: Sequence[ImageFile], intensity: str | None = None,
                   frame: int = 0) -> Iterator[FilePrediction]:
    """Yield the prediction of each file, in their order.

    Args:
        intensity: how images of more than 8 bits are read, as FolderOptions; None as in training
        frame: which one of several, from 1; 0 is the first

    Raises LightboxError as `intensity_text` does, before the first file.
    """
    if intensity is not None:
        intensity_text(intensity)              # what is wrong with it is said once, not for each file
    for file in files:
        try:
            if file.fault:
                raise LightboxError("image.unreadable", file.fault)
            picture = decode_for(loaded.model, file.data, intensity, max(1, frame) - 1)
            yield FilePrediction(file.name, classify(loaded.model, [picture.pixels])[0], _thumbnail(picture.pixels),
                                 notes=" ".join(picture.notes))
        except LightboxError as error:
            yield FilePrediction(file.name, error=str(error))


def table_of(done: Sequence[FilePrediction], class_names: Sequence[str], rule: Chosen, calibrated: bool = False) -> list[dict]:
    """Return a row for each file: file, predicted (findings joined by "|"), prob_<class>, error, notes.

    Args:
        rule: the thresholds that were chosen on validation
        calibrated: whether probabilities are those of the run's temperature

    Raises LightboxError "temperature.none" where calibrated ones are asked for and there is no temperature.
    """
    if calibrated and rule.temperature is None:
        raise LightboxError("temperature.none", "This classifier has no temperature.",
                            "A run needs predictions on validation that are not all correct; leave out --calibrated.")
    rows = []
    for one in done:
        decision = None if one.probs is None else rule.decide(one.probs, calibrated)
        probs = [""] * len(class_names) if decision is None else [float(f"{p:.6f}") for p in decision.probs]
        rows.append({"file": one.name,
                     "predicted": "" if decision is None else "|".join(class_names[k] for k in decision.predicted),
                     **{f"prob_{name}": p for name, p in zip(class_names, probs)}, "error": one.error, "notes": one.notes})
    return rows


def predictions_csv(rows: Sequence[dict], class_names: Sequence[str]) -> str:
    """Return the rows of `table_of` as CSV with a header; no cell begins a formula."""
    columns = ["file", "predicted", *(f"prob_{name}" for name in class_names), "error", "notes"]
    return to_csv(columns, ([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row.values()] for row in rows))


def summary_of(done: Sequence[FilePrediction], others: int = 0, total: int | None = None) -> list[str]:
    """Return in sentences how many files were classified, and what became of the rest.

    Args:
        total: files that were asked for, where it was stopped before the last
    """
    bad = sum(one.probs is None for one in done)
    said = [f"{len(done) - bad:,} of {total or len(done):,} files classified."]
    said += [f"It was stopped: {total - len(done):,} are not done yet."] if total and total > len(done) else []
    said += ["The column error tells why the others were not."] if bad else []
    return said + left_out_note(others)


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


def _thumbnail(pixels: np.ndarray) -> bytes:
    """Return (H, W, 1 or 3) uint8 as a small JPEG on a square."""
    small = fit(pixels, THUMBNAIL, "pad", pixels.shape[2])
    return cv2.imencode(".jpg", small[..., ::-1])[1].tobytes()
