"""Folders of images that are not laid out as they should be, those of MURA among them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.hostile.cases import CASES, NOISE, RIGHT_TO_LEFT, SCRIPT, Case, case, simple
from tests.hostile.images import png_of
from tests.hostile.material import classes, png

simple("a file of no known kind", "set.docx", b"hello", "dataset.unsupported")
simple("an empty file without an ending", "set", b"", "dataset.unsupported")
CASES["a path that is not there"] = Case(lambda folder: folder / "nowhere", ("dataset.unknown",), "set")
CASES["a path of 10,000 characters"] = Case(lambda folder: "/" + "x" * 10_000, ("dataset.unknown",), "set")
CASES["a path with a zero byte"] = Case(lambda folder: "/tmp/\0/x", ("dataset.unknown",), "set")
CASES["a path that is a script"] = Case(lambda folder: SCRIPT, ("dataset.unknown",), "set")
CASES["a device instead of a set"] = Case(lambda folder: "/dev/zero", ("dataset.unknown",), "set")
CASES["an empty folder"] = Case(lambda folder: folder, ("folder.classes",), "set")
CASES["one class"] = Case(lambda folder: classes(folder, "only"), ("folder.classes",), "set")
CASES["a script and marks as names of classes"] = Case(
    lambda folder: classes(folder, SCRIPT.replace("/", "|"), RIGHT_TO_LEFT, "new\nline"), ("works",), "set")
CASES["classes called NA and None"] = Case(lambda folder: classes(folder, "NA", "None", "nan"), ("works",), "set")
CASES["patients that nobody knows"] = Case(lambda folder: classes(folder), ("works",), "set")


@case("a pipe instead of a set", "dataset.unknown")
def _(folder):
    os.mkfifo(folder / "set.csv")
    return folder / "set.csv"


@case("a folder that is a link to itself", "dataset.unknown")
def _(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


@case("an empty class", "folder.empty_class")
def _(folder):
    (classes(folder) / "c").mkdir()
    return folder


@case("a folder for each of 1,001 patients", "works")
def _(folder):
    return classes(folder, *(f"patient{i}" for i in range(1001)), n=1)


@case("class folders that lead in circles, pipes and devices", "works")
def _(folder):
    classes(folder)
    (folder / "a" / "up").symlink_to(folder)
    (folder / "a" / "loop").symlink_to(folder / "a" / "loop")
    (folder / "a" / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "b" / "pipe.png")
    os.mkfifo(folder / "b" / "pipe")
    return folder


@case("a class that is a link to the whole disk", "works")
def _(folder):
    classes(folder)
    (folder / "c").symlink_to("/")
    return folder


@case("names that are not UTF-8", "works")
def _(folder):
    classes(folder)
    for name in (b"caf\xe9.png", b"\xff\xfe.png"):
        with open(os.fsencode(folder / "a") + b"/" + name, "wb") as file:
            file.write(png())
    return folder


@case("a class whose name is not UTF-8", "works", "folder.classes", "folder.empty_class")
def _(folder):
    classes(folder)
    os.mkdir(os.fsencode(folder) + b"/caf\xe9")
    with open(os.fsencode(folder) + b"/caf\xe9/a.png", "wb") as file:
        file.write(png())
    return folder


@case("nothing but broken images", "store.no_images")
def _(folder):
    for c in "ab":
        (folder / c).mkdir()
        (folder / c / "x.png").write_text("no image")
    return folder


@case("a bomb among honest images", "works")
def _(folder):
    classes(folder)
    (folder / "a" / "bomb.png").write_bytes(png_of(60_000, 60_000))
    (folder / "a" / "empty.jpg").write_bytes(b"")
    return folder


@case("folders 200 deep", "works")
def _(folder):
    deep = classes(folder) / "a" / "/".join(["d" * 10] * 200)
    deep.mkdir(parents=True)
    (deep / "x.png").write_bytes(png())
    return folder


for _name, _pattern in (("that is no expression", "(?P<patient>["), ("without groups", r"\d+"),
                        ("with an unknown group", "(?P<eye>.)"),
                        ("of 10,000 characters", "(?P<patient>" + "a" * 10_000 + ")"), ("nested too deep", "(" * 249 + ")" * 249),
                        ("with a count beyond all", "(?P<patient>a{99999999999})"), ("that never ends", "(?P<patient>(a+)+)$"),
                        ("that takes for ever", "(?P<patient>a*a*a*a*a*a*a*a*)b")):
    def _long_names(folder: Path) -> Path:
        for c in "ab":
            classes(folder, c, n=1)
            (folder / c / f"{'a' * 200}!.png").write_bytes(png())
        return folder
    CASES[f"a pattern {_name}"] = Case(_long_names, ("folder.pattern",), _pattern)


def mura(folder: Path, *paths: str) -> Path:
    for p in range(8):
        for label in ("negative", "positive"):
            study = folder / f"MURA-v1.1/{'valid' if p > 5 else 'train'}/XR_ELBOW/patient{p:05d}/study1_{label}"
            study.mkdir(parents=True)
            (study / "image1.png").write_bytes(png(60 + p))
    for path in paths:
        (folder / "MURA-v1.1" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "MURA-v1.1" / path).write_bytes(png())
    return folder


CASES["mura with odd names"] = Case(lambda folder: mura(
    folder, "train/XR_ELBOW/loose.png", "train/XR_ELBOW/patient1/study_negative/image1.png",
    f"train/XR_ELBOW/patient2/study1_{RIGHT_TO_LEFT}/image1.png", "train/XR_ELBOW/patient-3/study1_negative/i.png",
    "train/XR_KNEE/patient00001/study1_negative/image1.png"), ("works",), "set")


@case("mura with lists of studies that are no lists", "works")
def _(folder):
    mura(folder)
    (folder / "MURA-v1.1/train_labeled_studies.csv").write_bytes(NOISE(100_000))
    (folder / "MURA-v1.1/valid_labeled_studies.csv").write_text("MURA-v1.1/valid/XR_ELBOW/" + "x" * 500_000 + ",1\n")
    return folder


@case("mura without images", "mura.classes")
def _(folder):
    (folder / "train/XR_ELBOW/patient00001/study1_negative").mkdir(parents=True)
    return folder


@case("mura of one part and one label", "mura.classes")
def _(folder):
    place = folder / "train/XR_HAND/patient00001/study1_positive"
    place.mkdir(parents=True)
    (place / "image1.png").write_bytes(png())
    return folder
