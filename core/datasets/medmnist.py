"""MedMNIST v2 and MedMNIST+: twelve data sets of two-dimensional medical images at 28, 64, 128 and 224 px.

Yang et al., Scientific Data 2023, https://doi.org/10.1038/s41597-022-01721-8. The facts of each data set are in INFO, so that
nothing heavy is imported to list them; a test compares them with the `medmnist` package. URLs and checksums of the
official files are taken from that package's own table.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.config import Split, home
from core.datasets.npz import Npz
from core.datasets.source import Index, Progress
from core.errors import LightboxError
from core.files import Lock, disk_errors

SIZES = (28, 64, 128, 224)
ZENODO = "https://zenodo.org/records/10519652"
ORGANS = ("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left", "lung-right",
          "pancreas", "spleen")


@dataclass(frozen=True)
class MedMnistInfo:
    """What is known of a data set before it is on the disk: counts of train, val, test; class names in label order."""

    title: str
    description: str
    task: str
    counts: tuple[int, int, int]
    class_names: tuple[str, ...]
    licence: str = "CC BY 4.0"


INFO = {
    "pathmnist": MedMnistInfo("PathMNIST", "Stained bowel tissue under the microscope: nine types of tissue, in colour.",
        "multi-class", (89996, 10004, 7180), ("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle",
        "normal colon mucosa", "cancer-associated stroma", "colorectal adenocarcinoma epithelium")),
    "chestmnist": MedMnistInfo("ChestMNIST", "Frontal chest X-rays with any of 14 findings: several, one or none.",
        "multi-label, binary-class", (78468, 11219, 22433), ("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass",
        "nodule", "pneumonia", "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia")),
    "dermamnist": MedMnistInfo("DermaMNIST", "Pigmented skin lesions through a dermatoscope: seven diseases, in colour.",
        "multi-class", (7007, 1003, 2005), ("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma",
        "benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"), "CC BY-NC 4.0"),
    "octmnist": MedMnistInfo("OCTMNIST", "Optical coherence tomography of the retina: three diseases and normal.",
        "multi-class", (97477, 10832, 1000), ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal")),
    "pneumoniamnist": MedMnistInfo("PneumoniaMNIST", "Chest X-rays of children: pneumonia or normal.",
        "binary-class", (4708, 524, 624), ("normal", "pneumonia")),
    "retinamnist": MedMnistInfo("RetinaMNIST", "Photographs of the retina: diabetic retinopathy in five grades.",
        "ordinal-regression", (1080, 120, 400), ("0", "1", "2", "3", "4")),
    "breastmnist": MedMnistInfo("BreastMNIST", "Ultrasound images of the breast: malignant, or normal and benign together.",
        "binary-class", (546, 78, 156), ("malignant", "normal, benign")),
    "bloodmnist": MedMnistInfo("BloodMNIST", "Single normal blood cells under the microscope: eight types, in colour.",
        "multi-class", (11959, 1712, 3421), ("basophil", "eosinophil", "erythroblast",
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)", "lymphocyte", "monocyte", "neutrophil",
        "platelet")),
    "tissuemnist": MedMnistInfo("TissueMNIST", "Single cells of the kidney cortex under the microscope: eight types.",
        "multi-class", (165466, 23640, 47280), ("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule",
        "Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments",
        "Thick Ascending Limb")),
    "organamnist": MedMnistInfo("OrganAMNIST", "Organs cropped from abdominal CT, axial sections: eleven organs.",
        "multi-class", (34561, 6491, 17778), ORGANS),
    "organcmnist": MedMnistInfo("OrganCMNIST", "Organs cropped from abdominal CT, coronal sections: eleven organs.",
        "multi-class", (12975, 2392, 8216), ORGANS),
    "organsmnist": MedMnistInfo("OrganSMNIST", "Organs cropped from abdominal CT, sagittal sections: eleven organs.",
        "multi-class", (13932, 2452, 8827), ORGANS),
}


class MedMnist(Npz):
    """A local .npz file of one of INFO."""

    def __init__(self, path: Path, name: str, address: str | None = None):
        super().__init__(path)
        facts = INFO[name]
        self.set, self.name, self.title = name, address or name, facts.title
        self.description, self.licence = facts.description, facts.licence
        self.task, self.class_names = facts.task, facts.class_names

    def scan(self, progress: Progress | None = None) -> Index:
        index = super().scan(progress)
        pixels, official = self.shape[1], dict(zip(Split, INFO[self.set].counts))
        index.notes.append(f"Read from {self.path.name}, whose images have {self.shape[1]} x {self.shape[0]} px.")
        if self.counts != official:
            counts = " + ".join(f"{n:,}" for n in self.counts.values())
            index.notes.append(f"The file holds {counts} images; the official {self.title} has "
                               f"{' + '.join(f'{n:,}' for n in official.values())}.")
        elif pixels in SIZES and _official(self.set, pixels) and md5(self.path, progress) != _official(self.set, pixels)[1]:
            index.notes.append("Its checksum (MD5) is not that of the official file: the content may differ.")
        return index


def file_name(name: str, size: int) -> str:
    """Return the file name that medmnist uses: breastmnist.npz has 28 px, breastmnist_64.npz has 64."""
    return f"{name}.npz" if size == 28 else f"{name}_{size}.npz"


def set_of(path: Path) -> str | None:
    """Return the data set whose file this is by its name, or None."""
    match = re.fullmatch(r"([a-z]+)(_64|_128|_224)?", path.stem)
    return match[1] if match and match[1] in INFO else None


def find_file(name: str, size: int) -> Path | None:
    """Return the best local file: the smallest of at least `size` px, else the largest; None where there is none."""
    folders = [home() / "datasets"] + ([Path(os.environ["MEDMNIST_ROOT"])] if os.environ.get("MEDMNIST_ROOT") else [])
    there = {s: folder / file_name(name, s) for s in SIZES for folder in reversed(folders)
             if (folder / file_name(name, s)).is_file()}
    return there[_best(there, size)] if there else None


def _best(sizes, size: int) -> int:
    return min((s for s in sizes if s >= size), default=max(sizes))


def download(name: str, size: int, progress: Progress | None = None) -> Path:
    """Download the official file that suits `size` into LIGHTBOX_HOME/datasets and check it.

    It grows as <name>.npz.part and gets its own name when its MD5 is right, so a broken download is never used. One that was
    stopped or cut off is kept, and the next call goes on from there.

    Raises LightboxError "download.failed" with the steps to do it by hand, or "disk.full".
    """
    size = _best(SIZES, size)
    target = home() / "datasets" / file_name(name, size)
    by_hand = f"Or download {target.name} from {ZENODO} yourself and put it into {target.parent}."
    official = _official(name, size)
    if official is None:
        raise LightboxError("download.failed", f"{target.name} cannot be downloaded without the medmnist package.", by_hand)
    part = target.with_name(target.name + ".part")
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(target.with_name(target.name + ".lock"))
    while not lock.acquire():
        if progress:
            progress(f"Another window is downloading {target.name} (bytes)", part.stat().st_size if part.exists() else 0, 0)
        time.sleep(0.5)
    try:
        if not target.is_file():      # another window may just have fetched it
            _fetch(*official, part, by_hand, progress or (lambda sentence, done, total: None))
            os.replace(part, target)
        return target
    finally:
        lock.release()


def _fetch(url: str, checksum: str, part: Path, by_hand: str, progress: Progress) -> None:
    """Make `part` the whole file, with the right MD5."""
    name = part.stem
    while True:
        begun = part.stat().st_size if part.exists() else 0
        _receive(url, part, by_hand, progress)
        if md5(part, progress) == checksum:
            return
        part.unlink()
        if not begun:      # else the beginning was of another file, or damaged: once more from the start
            raise LightboxError("download.failed", f"The checksum of {name} is not the official one.",
                                f"Try again. {by_hand}")


def _receive(url: str, part: Path, by_hand: str, progress: Progress) -> None:
    """Append to `part` what is missing; start again where the server does not send parts of files."""
    name, done = part.stem, part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with disk_errors(part), urllib.request.urlopen(request, timeout=30) as reply:
            content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", reply.headers.get("Content-Range") or "")
            if not (reply.status == 206 and content_range and int(content_range[1]) == done):
                done = 0
            left = int(reply.headers.get("Content-Length") or 0)
            total = done + left if left else 0
            free = shutil.disk_usage(part.parent).free
            if left > free:
                raise LightboxError("disk.full", f"{name} needs {left / 1e9:.1f} GB more; {part.parent} has {free / 1e9:.1f} GB "
                                    "left.", "Free some space, or set LIGHTBOX_HOME to another disk.")
            with open(part, "ab" if done else "wb") as file:
                progress(f"Downloading {name} (bytes)", done, total)
                while block := reply.read(1 << 20):
                    file.write(block)
                    done += len(block)
                    progress(f"Downloading {name} (bytes)", done, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:      # nothing lies behind what is here: the check sum says whether that is all
            return
        raise LightboxError("download.failed", f"{name} could not be downloaded: the server says {error.code} {error.reason}.",
                            by_hand) from error
    except (OSError, ValueError, http.client.HTTPException) as error:      # urllib's own errors are OSErrors
        reason = getattr(error, "reason", error)
        kept = f" The {done / 1e6:,.1f} MB received so far are kept." if done else ""
        raise LightboxError("download.failed", f"{name} could not be downloaded: {reason}.{kept}",
                            f"Try again{' to go on from there' if done else ''}. {by_hand}") from error
    if done < total:
        raise LightboxError("download.failed", f"{name} was cut off after {done / 1e6:,.1f} of {total / 1e6:,.1f} MB.",
                            f"Try again: it goes on from there. {by_hand}")


def md5(path: Path, progress: Progress | None = None) -> str:
    """Return the MD5 of a file, as 32 hex digits."""
    digest, done, total = hashlib.md5(usedforsecurity=False), 0, path.stat().st_size
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            done += len(block)
            if progress:
                progress("Checking the file (bytes)", done, total)
    return digest.hexdigest()


@cache
def _table() -> dict:
    """Return `medmnist.INFO`, read from its file alone: importing the package takes four seconds, since it imports torch."""
    spec = importlib.util.find_spec("medmnist")      # finds, does not import
    if spec is None:
        return {}
    path = Path(spec.submodule_search_locations[0]) / "info.py"
    info = importlib.util.spec_from_file_location("lightbox_medmnist_info", path)
    module = importlib.util.module_from_spec(info)
    info.loader.exec_module(module)
    return module.INFO


def _official(name: str, size: int) -> tuple[str, str] | None:
    """Return (URL, MD5) of an official file, or None where the medmnist package is not installed."""
    facts, suffix = _table().get(name), "" if size == 28 else f"_{size}"
    return (facts["url" + suffix], facts["MD5" + suffix]) if facts else None
