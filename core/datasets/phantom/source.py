"""The phantom radiographs as a data set: the table, the targets, and the pixels on demand."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import cv2
import numpy as np
import pandas as pd

from core.config import Task, home
from core.datasets.phantom.cache import LONGEST, RenderCache
from core.datasets.phantom.cohort import DEFAULT, PhantomConfig, Purpose, Study, patient_of, person_of, splits, stream, study_of
from core.datasets.phantom.render import marker_mask, render, size_of
from core.datasets.phantom.switches import NO_SIGNS, copies_of, recorded_finding, signs_of
from core.datasets.phantom.workers import run_workers
from core.datasets.source import Index, Progress, Source, Target

VERSION = 3          # raise it when pixels change: stores and runs then know that these are other images

MIN_FOR_WORKERS = 64  # fewer missing images than this are rendered where they are needed


def image_table(config: PhantomConfig) -> pd.DataFrame:
    """Return a row an image.

    Columns: image_id "P0012-S1-V2", patient, study, view, path, split, body_part, finding, side, age, size; with the switches
    letter, letter_by, hospital_mark, exposure, site, person, true_finding, copy_of and copy_how. `finding` is what the label is
    made from, right or wrong. Without config.truth the columns that give the truth away are missing.
    """
    table = truth_table(config)
    return table if config.truth else table.drop(columns=[name for name in TRUTH if name in table])


TRUTH = ("letter", "letter_by", "hospital_mark", "exposure", "person", "true_finding", "copy_of", "copy_how")


@lru_cache(maxsize=16)
def _truth(config: PhantomConfig) -> pd.DataFrame:
    rows, parts = [], splits(config)
    for patient, split in enumerate(parts):
        for study in range(patient_of(config, patient).studies):
            visit = study_of(config, patient, study)
            for view in range(len(visit.views)):
                rows.append(_row(config, patient, study, view, split, visit, visit.finding))
    studies = [patient_of(config, patient).studies for patient in range(config.patients)]
    patients = tuple(parse_image_id(row["image_id"])[0] for row in rows) if config.copies else ()
    for copy in copies_of(config, patients):
        source, patient = rows[copy.of], copy.patient
        own = _row(config, patient, studies[patient], 0, parts[patient], None, source.get("true_finding", source["finding"]))
        studies[patient] += 1                                    # each copy is a visit of its own
        shown = {name: source[name] for name in source if name not in own or name in _SHOWN}
        rows.append(own | shown | {"copy_of": source["image_id"], "copy_how": copy.how})
    table = pd.DataFrame(rows)
    return table.fillna("") if config.copies else table


# what a copy takes from its original
_SHOWN = ("view", "body_part", "side", "person", "letter", "letter_by", "hospital_mark", "exposure", "site")


def truth_table(config: PhantomConfig) -> pd.DataFrame:
    """Return `image_table` with all that is known, whether the table may tell it or not."""
    return _truth(config).copy()


def _row(config: PhantomConfig, patient: int, study: int, view: int, split: str, visit: Study | None,
         finding: str) -> dict[str, str]:
    """Return one row; of a copy, which has no visit, what belongs to the patient it is filed under."""
    who, name = patient_of(config, patient), f"P{patient:04d}-S{study + 1}"
    row = {"image_id": f"{name}-V{view + 1}", "patient": f"P{patient:04d}", "study": name,
           "view": visit.views[view].name if visit else "", "path": "", "split": split, "body_part": visit.part if visit else "",
           "finding": recorded_finding(config, patient, study, finding), "side": visit.side if visit else "",
           "age": str(who.age), "size": f"{who.size:.2f}"}
    signs = signs_of(config, patient, study, view) if visit else NO_SIGNS
    row |= {column: text for column, text in (("letter", signs.letter), ("letter_by", signs.letter_by),
                                              ("exposure", signs.exposure), ("site", signs.site)) if text}
    if config.hospital:
        row["hospital_mark"] = "yes" if signs.hospital else "no"
    if config.two_numbers or config.copies:
        row["person"] = f"P{person_of(config, patient):04d}"
    if config.wrong_labels:
        row["true_finding"] = finding
    return row


def parse_image_id(image_id: str) -> tuple[int, int, int]:
    """Return (patient, study, view), from 0, of an image id: "P0012-S1-V2" -> (12, 0, 1)."""
    patient, study, view = image_id.split("-")
    return int(patient[1:]), int(study[1:]) - 1, int(view[1:]) - 1


@dataclass(frozen=True)
class PhantomImage:
    """An image with what is known of its pixels, (H, W) each: gray values uint8, finding bool, letters and marks bool."""

    pixels: np.ndarray
    mask: np.ndarray
    marker: np.ndarray


def render_image(config: PhantomConfig, image_id: str, size: int | None = None, marker: bool = True) -> PhantomImage:
    """Render one image of the data set, a copy as well.

    Args:
        size: pixels of the longer side, before a copy is cropped; None is config.longest
        marker: False leaves the mask of letters and marks empty, which is quicker
    """
    own = parse_image_id(image_id)
    which, copy = own, None
    if own[1] >= patient_of(config, own[0]).studies:
        copy = _copies(config)[image_id]
        which = parse_image_id(copy["copy_of"])
    pixels, mask = render(*which, size=size, config=config)
    drawn = marker and (config.markers or config.letters or config.hospital)
    shown = PhantomImage(pixels, mask, marker_mask(*which, size, config) if drawn else np.zeros_like(mask))
    if copy is None:
        return shown
    return _saved_again(shown, copy["copy_how"], stream(config, Purpose.COPY_PIXELS, *own))


@lru_cache(maxsize=16)
def _copies(config: PhantomConfig) -> dict[str, dict]:
    """Return the rows of the copies, by image_id."""
    table = _truth(config)
    return table[table["copy_of"] != ""].set_index("image_id").to_dict("index") if "copy_of" in table else {}


def _saved_again(image: PhantomImage, how: str, rng: np.random.Generator) -> PhantomImage:
    """Return the same image after one of COPY_KINDS; it looks the same."""
    pixels = image.pixels
    if how == "saved as JPEG":
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)
    elif how == "noise":
        pixels = pixels + 3.0 * rng.standard_normal(pixels.shape, np.float32)
    elif how == "brightness":
        pixels = pixels * rng.uniform(0.92, 1.04) + rng.uniform(3, 10)
    elif how == "crop":
        h, w = pixels.shape
        top, bottom, left, right = rng.uniform(0.005, 0.02, 4) * (h, h, w, w)
        window = slice(round(top), h - round(bottom)), slice(round(left), w - round(right))
        return PhantomImage(*(np.ascontiguousarray(array[window]) for array in (pixels, image.mask, image.marker)))
    return replace(image, pixels=np.clip(np.round(pixels), 0, 255).astype(np.uint8))


class PhantomSource(Source):
    """The phantom radiographs as a source of images.

    Args:
        config: the settings
        name, title: of a custom data set; the built-in one has its own
    """

    name = "phantom"
    title = "Phantom radiographs"
    description = ("X-rays of elbows, shoulders and wrists, simulated by this app: about 2,400 images of 400 patients who do not "
                   "exist, with several studies and views each. A study is normal, or it shows a fracture, a lytic lesion or a "
                   "metal plate in a known place. Not for clinical use.")
    licence = "Apache-2.0 (generated by this app)"

    def __init__(self, config: PhantomConfig = DEFAULT, name: str = "", title: str = ""):
        self.config = config
        self.name, self.title = name or self.name, title or self.title
        if config != DEFAULT:
            parts = ["humeri" if part == "humerus" else f"{part}s" for part in config.parts]
            listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
            self.description = (f"X-rays of {listed} of {config.patients:,} patients who do not exist, simulated by this app. A "
                                "study is normal, or it shows a fracture, a lytic lesion or a metal plate. Not for clinical use.")

    def scan(self, progress: Progress | None = None) -> Index:
        """List all images, and the two targets: is there a finding, and which body part is it?"""
        table = self.table = image_table(self.config)
        if progress:
            progress("Listing the phantom patients", len(table), len(table))
        abnormal = (table["finding"] != "none").to_numpy().astype(np.int64)
        part = table["body_part"].map(self.config.parts.index).to_numpy().astype(np.int64)
        targets = [Target("abnormality", "Normal or abnormal", Task.BINARY, ("normal", "abnormal"), abnormal)]
        if len(self.config.parts) > 1:
            task = Task.BINARY if len(self.config.parts) == 2 else Task.MULTICLASS
            targets.append(Target("body_part", "Body part", task, self.config.parts, part))
        return Index(table, {target.name: target for target in targets})

    def image(self, i: int, size: int | None = None) -> PhantomImage:
        """Return image i with its masks; `size` is the longer side in pixels, None is config.longest."""
        return render_image(self.config, self._id(i), size)

    def _id(self, i: int) -> str:
        return self._rows["image_id"].iloc[i]

    @property
    def _rows(self) -> pd.DataFrame:
        if self.table is None:
            self.table = image_table(self.config)
        return self.table

    def original(self, i: int) -> np.ndarray:
        """Return (H, W, 1) uint8 with the longer side of config.longest pixels."""
        return render_image(self.config, self._id(i), marker=False).pixels[:, :, None]

    def at_size(self, i: int, longest: int) -> np.ndarray:
        """Return image i with at least `longest` pixels on its longer side, (H, W,
        1) uint8: from the cache where that is enough.
        """
        if longest > LONGEST:
            return render_image(self.config, self._id(i), longest, marker=False).pixels[:, :, None]
        return self.cache[i][:, :, None]

    def original_size(self, i: int, pixels: np.ndarray) -> tuple[int, int]:
        """Return width and height of the original, which a cached image does not have."""
        which, copy = parse_image_id(self._id(i)), _copies(self.config).get(self._id(i))
        width, height = size_of(*(parse_image_id(copy["copy_of"]) if copy else which), config=self.config)
        if copy and copy["copy_how"] == "crop":
            blank = np.zeros((height, width), np.uint8)
            noise = stream(self.config, Purpose.COPY_PIXELS, *which)
            height, width = _saved_again(PhantomImage(blank, blank > 0, blank > 0), "crop", noise).pixels.shape
        return width, height

    def prepare(self, longest: int, progress: Progress) -> None:
        """Render what is missing in the cache with all cores."""
        missing = [] if longest > LONGEST else [i for i in range(len(self._rows)) if self.cache.read(i) is None]
        if len(missing) >= MIN_FOR_WORKERS:
            settings = json.dumps(dataclasses.asdict(self.config))
            run_workers(["cache", settings], "Generating images", len(missing), progress)

    @cached_property
    def cache(self) -> RenderCache:
        return RenderCache(home() / "stores" / f"{self.fingerprint()}.plates",
                           lambda i: render_image(self.config, self._id(i), LONGEST, marker=False).pixels)

    def mask(self, i: int) -> np.ndarray:
        """Return (H, W) bool over the original: rays that meet the finding; all False for a normal image."""
        return render_image(self.config, self._id(i), marker=False).mask

    def marker_mask(self, i: int) -> np.ndarray:
        """Return (H, W) bool over the original: letters and printed marks, which say nothing about the patient."""
        return self.image(i).marker

    def fingerprint(self) -> str:
        """Return a hash of version and settings: no pixel has to be rendered to know whether they changed."""
        settings = {"seed": 0, "patients": 400, "abnormal": 0.43, "longest": 512, "noise": True} | self.config.changed()
        text = json.dumps([VERSION, settings], sort_keys=True)          # the five that there were first are always in it
        return "phantom-" + hashlib.sha256(text.encode()).hexdigest()[:16]
