"""Write phantom radiographs to a folder as real data sets are distributed, with masks and truth beside them.

    mura      FOLDER/MURA-v1.1/train/XR_ELBOW/patient00011/study1_positive/image1.png, and MURA's four lists
    folders   FOLDER/images/train/abnormal/patient00011/study1/image1.png, or without train, val and test
    table     FOLDER/table.csv and FOLDER/images/P0011-S1-V1.png
    npz       FOLDER/phantom.npz in MedMNIST's layout, with train_masks beside train_images

    FOLDER/masks/...         a PNG for each image, white where the finding is (npz: arrays in the file)
    FOLDER/markers/...       the same for letters and printed marks, where there are any
    FOLDER/truth/truth.csv   a row an image: its file and everything that is known about it
    FOLDER/README.md         what is in it, and the planted errors

It is made in FOLDER.part and renamed when whole. An export that was stopped or killed goes on with the missing images.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from core.config import Split
from core.datasets.geometry import fit
from core.datasets.mura import SIMULATED
from core.datasets.phantom.cohort import PhantomConfig
from core.datasets.phantom.source import image_table, render_image, truth_table
from core.datasets.phantom.workers import run_workers
from core.datasets.source import Progress
from core.errors import LightboxError
from core.files import Lock, disk_errors, sync_folder, write_atomic, write_json

LAYOUTS = {"mura": "MURA-v1.1", "folders": "images", "table": "table.csv", "npz": "phantom.npz"}    # what to open in the app
MAX_IMAGES, MIN_SIZE, MAX_SIZE = 60_000, 16, 1024
MIN_FOR_WORKERS = 40        # fewer missing images than this are made in this process


@dataclass(frozen=True)
class Job:
    """One image to write: its row in the table and its files below the folder (`marker` "" where there is none)."""

    row: int
    image_id: str
    image: str
    mask: str
    marker: str


@dataclass(frozen=True)
class Plan:
    """What to write. Kept in the folder while it is made, so that another process can help or go on.

    Args:
        config: the set
        layout: a key of LAYOUTS
        size: pixels of the longer side; of each side in an .npz
        target: "abnormality" or "body_part": what the class folders and the labels of an .npz are (MURA's names say both)
        split: whether class folders lie in train, val and test
    """

    config: PhantomConfig
    layout: str
    size: int
    target: str = "abnormality"
    split: bool = True

    def check(self) -> Plan:
        """Return self, or raise LightboxError "export.layout", "export.size", "export.target" or "export.too_many"."""
        if self.layout not in LAYOUTS:
            raise LightboxError("export.layout", f"There is no layout called {self.layout!r}.",
                                f"Layouts: {', '.join(LAYOUTS)}.")
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise LightboxError("export.size", f"The image size {self.size} px is not supported.",
                                f"Choose {MIN_SIZE} to {MAX_SIZE}.")
        if self.target not in ("abnormality", "body_part"):
            raise LightboxError("export.target", f"There is no target called {self.target!r}.",
                                "Targets: abnormality, body_part.")
        if len(self.table) > MAX_IMAGES:
            raise LightboxError("export.too_many", f"There are {len(self.table):,} images; the limit is {MAX_IMAGES:,}.",
                                "Choose fewer patients.")
        return self

    @cached_property
    def table(self) -> pd.DataFrame:
        return image_table(self.config)

    @property
    def class_names(self) -> tuple[str, ...]:
        return ("normal", "abnormal") if self.target == "abnormality" else self.config.parts

    def label(self, row: dict) -> str:
        """Return the class of a row of the table, right or wrong as the table has it."""
        if self.target == "body_part":
            return row["body_part"]
        return "normal" if row["finding"] == "none" else "abnormal"

    def path_of(self, row: dict) -> str:
        """Return the image's file below the folder of the images, without its suffix."""
        patient, study, view = (int(text[1:]) for text in row["image_id"].split("-"))
        if self.layout == "mura":
            split, sign = "valid" if row["split"] == "test" else "train", "negative" if row["finding"] == "none" else "positive"
            return f"{split}/XR_{row['body_part'].upper()}/patient{patient:05d}/study{study}_{sign}/image{view}"
        if self.layout == "folders":
            above = f"{row['split']}/{self.label(row)}" if self.split else self.label(row)
            return f"{above}/patient{patient:05d}/study{study}/image{view}"
        return row["image_id"]

    def jobs(self) -> list[Job]:
        """Return all images in the order of the table."""
        top = {"mura": "MURA-v1.1", "npz": "work"}.get(self.layout, "images")
        masks, markers = ("work/masks", "work/markers") if self.layout == "npz" else ("masks", "markers")
        marked = self.config.markers or self.config.letters or self.config.hospital
        return [Job(i, row["image_id"], f"{top}/{path}.png", f"{masks}/{path}.png", f"{markers}/{path}.png" if marked else "")
                for i, row in enumerate(self.table.to_dict("records")) for path in [self.path_of(row)]]

    def to_json(self) -> dict:
        facts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json.loads(json.dumps(facts | {"config": dataclasses.asdict(self.config)}))

    @staticmethod
    def read(folder: Path) -> Plan:
        facts = json.loads((folder / PLAN).read_bytes())
        return Plan(**facts | {"config": PhantomConfig(**facts["config"])})


PLAN = ".phantom-export.json"


def export(plan: Plan, folder: Path, progress: Progress | None = None) -> Path:
    """Write the images to `folder`, which must be new or empty.

    Returns:
        What to open in the app: the folder MURA-v1.1, the folder images, table.csv or phantom.npz.

    Raises:
        LightboxError: "export.exists" where something is in the way, "export.busy" where somebody else writes the same folder,
            "disk.full", or what `Plan.check` finds; what `progress` raises stops the writing, and what was made is kept
    """
    plan.check()
    folder = Path(folder).expanduser().absolute()
    part = folder.with_name(folder.name + ".part")
    progress = progress or (lambda sentence, done, total: None)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LightboxError("export.exists", f"{folder} already exists and is not empty.",
                            "Give a new or an empty folder.")
    with disk_errors(folder):
        _claim(plan, part)
        lock = Lock(part / ".lock")
        if not lock.acquire():
            raise _busy(part)
        try:
            _make_images(plan, part, progress)
            {"mura": _mura_lists, "folders": lambda plan, part: None, "table": _table, "npz": _pack}[plan.layout](plan, part)
            _truth(plan, part)
            write_atomic(part / "README.md", readme(plan))
            if folder.exists():
                folder.rmdir()
            os.replace(part, folder)
            sync_folder(folder.parent)
        finally:
            lock.release()
        for name in (PLAN, ".lock"):
            (folder / name).unlink(missing_ok=True)
    return folder / LAYOUTS[plan.layout]


def _claim(plan: Plan, part: Path) -> None:
    """Make the folder, or go on in it. One with another plan is begun anew; one that is not ours is left alone."""
    if part.exists():
        if Lock.is_held(part / ".lock"):
            raise _busy(part)
        try:
            before = json.loads((part / PLAN).read_bytes())
        except (OSError, ValueError):
            raise LightboxError("export.exists", f"{part} already exists.", "Remove it or choose another folder.") from None
        if before == plan.to_json():
            return
        shutil.rmtree(part)
    part.mkdir(parents=True)
    write_json(part / PLAN, plan.to_json())


def _busy(part: Path) -> LightboxError:
    return LightboxError("export.busy", f"Another program is writing {part.with_suffix('')}.", "Wait until it is done.")


def _make_images(plan: Plan, part: Path, progress: Progress) -> None:
    jobs = plan.jobs()
    missing = [job for job in jobs if not _is_made(job, part)]
    sentence = "Generating images"
    if len(missing) >= MIN_FOR_WORKERS:
        run_workers(["files", str(part)], sentence, len(missing), progress)
        missing = [job for job in jobs if not _is_made(job, part)]       # all but what a killed maker left
    for done, job in enumerate(missing):
        progress(sentence, done, len(missing))
        make_image(plan, job, part)


def _is_made(job: Job, part: Path) -> bool:
    return (part / job.image).exists()                   # written last of its files


def make_image(plan: Plan, job: Job, part: Path) -> bool:
    """Write the files of one image; return False where they exist."""
    if _is_made(job, part):
        return False
    shown = render_image(plan.config, job.image_id, plan.size, marker=bool(job.marker))
    for path, pixels in ((job.marker, shown.marker), (job.mask, shown.mask), (job.image, shown.pixels)):
        if path:
            pixels = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
            if plan.layout == "npz":
                pixels = fit(pixels[:, :, None], plan.size, "pad", 1)
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(part / path, cv2.imencode(".png", pixels)[1].tobytes(), durable=False)
    return True


def _mura_lists(plan: Plan, part: Path) -> None:
    """Write MURA's own four lists: all images, and the label of each study."""
    paths = [job.image for job in plan.jobs()]
    for split in ("train", "valid"):
        images = [path for path in paths if path.startswith(f"MURA-v1.1/{split}/")]
        studies = dict.fromkeys(path.rpartition("/")[0] + "/" for path in images)
        labels = [f"{study},{int(study.endswith('_positive/'))}" for study in studies]
        for name, lines in ((f"{split}_image_paths.csv", images), (f"{split}_labeled_studies.csv", labels)):
            write_atomic(part / "MURA-v1.1" / name, "".join(f"{line}\n" for line in lines))
    write_atomic(part / "MURA-v1.1" / SIMULATED, "These X-rays are simulated by Lightbox. They are not MURA of Stanford.\n")


def _table(plan: Plan, part: Path) -> None:
    table = plan.table.drop(columns="path")
    table.insert(0, "file", [job.image for job in plan.jobs()])
    table.insert(1, "label", [plan.label(row) for row in plan.table.to_dict("records")])
    write_atomic(part / "table.csv", table.to_csv(index=False))


def _truth(plan: Plan, part: Path) -> None:
    truth = truth_table(plan.config).drop(columns="path")
    (part / "truth").mkdir(exist_ok=True)
    if plan.layout == "npz":
        place = truth.groupby("split").cumcount()
        truth.insert(0, "array", [f"{split}_images[{i}]" for split, i in zip(truth["split"], place)])
    else:
        truth.insert(0, "file", [job.image for job in plan.jobs()])
    write_atomic(part / "truth" / "truth.csv", truth.to_csv(index=False))


def _pack(plan: Plan, part: Path) -> None:
    """Pack the images into one .npz, split after split, read and written one image at a time."""
    jobs, rows = plan.jobs(), plan.table.to_dict("records")
    beside = part / "phantom.npz.making"
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for split in Split:
            chosen = [job for job in jobs if rows[job.row]["split"] == split]
            labels = np.array([[plan.class_names.index(plan.label(rows[job.row]))] for job in chosen], np.uint8).reshape(-1, 1)
            with archive.open(f"{split}_labels.npy", "w") as file:
                np.lib.format.write_array(file, labels, allow_pickle=False)
            for name, what in (("images", "image"), ("masks", "mask"), ("markers", "marker")):
                paths = [getattr(job, what) for job in chosen]
                if jobs[0].marker or what != "marker":
                    with archive.open(f"{split}_{name}.npy", "w", force_zip64=True) as file:
                        shape = (len(paths), plan.size, plan.size)
                        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
                        for path in paths:
                            pixels = cv2.imread(str(part / path), cv2.IMREAD_GRAYSCALE)
                            file.write(pixels.tobytes() if what == "image" else (pixels > 127).astype(np.uint8).tobytes())
    os.replace(beside, part / "phantom.npz")
    shutil.rmtree(part / "work")


def readme(plan: Plan) -> str:
    """Return README.md of an export: what it is, how it is read, and the planted errors, with their counts."""
    config, truth = plan.config, truth_table(plan.config)
    abnormal = truth["finding"] != "none"
    splits = ", ".join(f"{split} {(truth['split'] == split).sum():,}" for split in Split)
    mura = " MURA's valid is the test set, its train holds train and val." if plan.layout == "mura" else ""
    masks = ("train_masks, val_masks and test_masks hold 1 where the finding is." if plan.layout == "npz" else
             "masks/ holds an image for each radiograph, white where the finding is.")
    markers = ""
    if config.markers or config.letters or config.hospital:
        where = "train_markers and so on" if plan.layout == "npz" else "markers/"
        markers = f" The same for letters and printed marks: {where}."
    counts = f"{len(truth):,} images of {truth['patient'].nunique():,} patient IDs, {abnormal.sum():,} of them abnormal"
    lines = ["# Phantom radiographs", "",
             "X-rays of people who do not exist, simulated by Lightbox. Not for clinical use.", "",
             f"- {counts}; {splits}.{mura}",
             f"- Open `{LAYOUTS[plan.layout]}` in Lightbox. Classes: {', '.join(plan.class_names)}.",
             f"- {masks}{markers}",
             "- `truth/truth.csv` has a row for each image with everything that is known about it.", "",
             "## Planted errors", "", *(f"- {sentence}" for sentence in planted_errors(config, truth)), "",
             "## Settings", "", "```json", json.dumps(dataclasses.asdict(config), indent=2), "```", ""]
    return "\n".join(lines)


def planted_errors(config: PhantomConfig, truth: pd.DataFrame) -> list[str]:
    """Return a sentence for each switch that is on, with the resulting count; one sentence where all are off."""
    abnormal = truth["finding"] != "none"

    def agrees(column: str, value: str) -> str:
        return f"{((truth[column] == value) == abnormal).mean():.1%} of the images (strength {getattr(config, SWITCH[column])})"

    errors = []
    if config.letters:
        errors.append(f"Lead letters: the letter is R on abnormal and L on normal images in {agrees('letter', 'R')}.")
    elif config.markers:
        errors.append("Lead letters tell the side, as they should.")
    if config.hospital:
        errors.append(f"Printed hospital name: it is on the abnormal and not on the normal images in "
                     f"{agrees('hospital_mark', 'yes')}.")
    if config.exposure:
        errors.append(f"Exposure: weak on abnormal and strong on normal images in {agrees('exposure', 'weak')}.")
    if config.sites:
        errors.append(f"Site: B on abnormal and A on normal images in {agrees('site', 'B')}. "
                      "Each site frames its field in its own way.")
    if config.two_numbers:
        visits = truth[truth["copy_of"] == ""] if config.copies else truth
        numbers = visits.groupby("person")["patient"].nunique()
        errors.append(f"{(numbers > 1).sum():,} people have more than one patient ID (column person).")
    if config.wrong_labels:
        wrong = (truth["true_finding"] != "none") != abnormal
        errors.append(f"{wrong.sum():,} images of {truth.loc[wrong, 'study'].nunique():,} studies have the wrong label "
                     "(column true_finding).")
    if config.copies:
        kinds = truth.loc[truth["copy_of"] != "", "copy_how"].value_counts()
        errors.append(f"{kinds.sum():,} images are copies of others, filed under another patient (column copy_of): "
                     + ", ".join(f"{count} {kind}" for kind, count in kinds.sort_index().items()) + ".")
    return errors or ["None."]


SWITCH = {"letter": "letters", "hospital_mark": "hospital", "exposure": "exposure", "site": "sites"}
