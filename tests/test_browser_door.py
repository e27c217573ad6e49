"""The door in a real browser: five sets of real images, each messed up in another way, are added by clicks, split, trained on for
an epoch and judged."""

from __future__ import annotations

import csv
import re
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser_support import wait_idle

LONG = 240_000          # ms, on two busy cores
EACH = 24               # images of a class


def some(folder: Path, n: int = EACH) -> list[Path]:
    return sorted(folder.glob("*"))[:n]


def masks_and_a_second_copy(root: Path, data: Path) -> str:
    """Return a set as BUSI and Kaggle's chest_xray lie on disks: masks beside the images, the whole set once more inside."""
    for split, classes in (("TRAIN", ("NORMAL", "PNEUMONIA")), ("Testing", ("NORMAL", "PNEUMONIA"))):
        for name in classes:
            for file in some(data / "chest_pneumonia" / ("train" if split == "TRAIN" else "test") / name):
                copy = root / "chest" / split / name / file.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
                height, width = cv2.imread(str(file)).shape[:2]
                mask = np.zeros((height, width), np.uint8)
                mask[height // 3:, width // 3:] = 255
                cv2.imwrite(str(copy.with_name(f"{file.stem}_mask.png")), mask)
    shutil.copytree(root / "chest", root / "again")
    shutil.move(root / "again", root / "chest" / "chest")
    return str(root)


def a_table_without_header(root: Path, data: Path) -> str:
    """Return grades in a table with semicolons and no header, names without endings, images in two parts of a download."""
    lines = []
    for grade in "01234":
        for k, file in enumerate(some(data / "knee_oa" / "train" / grade)):
            part = root / f"images_{k % 2 + 1:03d}"
            part.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, part / file.name)
            lines.append(f"{file.stem};{grade};{file.stem[:7]}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return str(root)


def findings_with_blanks(root: Path, data: Path) -> str:
    """Return findings as columns of 1 and blank, with a preamble, and the official split as a list of names."""
    rows = list(csv.DictReader((data / "nih_cxr14" / "labels.csv").open()))[:160]
    file, labels = next(k for k in rows[0] if rows[0][k].endswith(".png")), next(k for k in rows[0] if "inding" in k)
    found = ["Effusion", "Infiltration", "Atelectasis"]
    images = {path.stem: path for path in (data / "nih_cxr14").rglob("*.jpg")}
    lines = ["# findings of radiologists", "Image Index,Patient ID," + ",".join(found)]
    (root / "images").mkdir(parents=True)
    for row in rows:
        stem = Path(row[file]).stem
        shutil.copy(images[stem], root / "images" / f"{stem}.jpg")
        lines.append(f"{row[file]},{stem.split('_')[0]}," + ",".join("1" if f in row[labels] else "" for f in found))
    (root / "entries.csv").write_text("\n".join(lines) + "\n")
    names = [row[file] for row in rows]
    patients = sorted({name.split("_")[0] for name in names})
    tested = set(patients[::4])
    (root / "test_list.txt").write_text("\n".join(n for n in names if n.split("_")[0] in tested) + "\n")
    (root / "train_val_list.txt").write_text("\n".join(n for n in names if n.split("_")[0] not in tested) + "\n")
    return str(root / "entries.csv")


def a_measurement(root: Path, data: Path) -> str:
    """Return deaths as an offset in days or empty, in a workbook: never classes of days."""
    from openpyxl import Workbook
    rows = list(csv.DictReader((data / "covid_mortality" / "labels.csv").open()))
    images = {path.name: path for path in (data / "covid_mortality").rglob("*") if path.suffix in (".png", ".jpg", ".jpeg")}
    book = Workbook()
    book.active.append(["filename", "patient", "death_offset", "sex"])
    (root / "images").mkdir(parents=True)
    for k, row in enumerate(rows):
        shutil.copy(images[row["filename"]], root / "images" / row["filename"])
        book.active.append([row["filename"], row["patient"], 3 + 7 * k % 400 if row["died"] == "1" else None, row["sex"]])
    book.save(root / "metadata.xlsx")
    return str(root / "metadata.xlsx")


def a_zip_of_windows(root: Path, data: Path) -> str:
    """Return a flat zip with backslashes and accents, whose classes stand in the names of the files."""
    root.mkdir(parents=True)
    with zipfile.ZipFile(root / "Aufnahmen.zip", "w") as archive:
        for name, word in (("NORMAL", "unauffällig"), ("PNEUMONIA", "entzündet")):
            for k, file in enumerate(some(data / "chest_pneumonia" / "train" / name)):
                archive.writestr(f"Röntgen\\{word}_{k:03d}.jpeg", file.read_bytes())
    return str(root / "Aufnahmen.zip")


SETS = {      # name -> (how it is made, what a person reads before "keep")
    "masks and a second copy": (masks_and_a_second_copy, ["masks", "once more inside itself", "96 images"]),
    "a table without header": (a_table_without_header, ["120 images", "patients"]),
    "findings with blanks": (findings_with_blanks, ["160 images"]),
    "a measurement": (a_measurement, ["157 images of 78 patients", "is a measurement, read as no death, death"]),
    "a zip of Windows": (a_zip_of_windows, ["48 images", "unauffällig"]),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SETS)
def test_a_messy_set_is_added_split_trained_and_judged(app, page, real_data, tmp_path, name):
    make, words = SETS[name]
    path = make(tmp_path / "set", real_data)
    page.goto(f"{app.url}/add")
    field = page.get_by_role("textbox", name=re.compile("Path of a folder"))
    field.fill(path)
    field.press("Enter")
    expect(page.get_by_role("heading", name="What was understood")).to_be_visible(timeout=LONG)
    wait_idle(page)
    for word in words:
        expect(page.get_by_test_id("stMain").get_by_text(re.compile(word)).first).to_be_visible()
    page.get_by_role("button", name="Add these images").click()
    expect(page.locator("h1")).to_have_text("Browse")
    expect(page.locator(".tile").first).to_be_visible(timeout=LONG)
    dataset = re.search(r"dataset=([\w-]+)", page.url)[1]

    page.goto(f"{app.url}/split?dataset={dataset}")
    expect(page.get_by_test_id("stMain").get_by_text(re.compile("test", re.I)).first).to_be_visible(timeout=LONG)
    wait_idle(page)

    page.goto(f"{app.url}/train?dataset={dataset}")
    expect(page.locator("h1")).to_have_text("Train")
    wait_idle(page)
    epochs = page.get_by_role("spinbutton", name="Epochs", exact=True)
    epochs.fill("1")
    epochs.press("Enter")
    wait_idle(page)
    page.get_by_role("button", name=re.compile("Queue run")).click()
    expect(page.locator("h1")).to_have_text("Runs", timeout=30_000)
    judge = page.get_by_role("link", name="Next: evaluate it")
    expect(judge).to_be_visible(timeout=LONG)
    wait_idle(page)
    judge.click()
    expect(page.locator("h1")).to_have_text("Evaluate")
    expect(page.get_by_text("ROC AUC").first).to_be_visible(timeout=LONG)
