"""Class folders: what is found, whose it is, and what is said about the rest."""

import os

import numpy as np
import pytest
from PIL import Image

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.folder import PATTERNS, Folder, read_name
from core.errors import LightboxError

RNG = np.random.default_rng(0)


def put(root, *paths, value=None):
    """Write a small image at each path; its gray value tells them apart."""
    for k, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30), (k % 250 if value is None else value) + 1, np.uint8)).save(file, "PNG")
    return root


def many(root, *classes, n=12):
    return put(root, *(f"{c}/{i:03d}.png" for c in classes for i in range(n)))


def opened(root, **options):
    return open_dataset(DataConfig(str(root), size=16, **options))


def refused(root, code: str, *words: str):
    with pytest.raises(LightboxError) as caught:
        opened(root)
    assert caught.value.code == code and all(w in str(caught.value) for w in words), caught.value


def test_classes_in_natural_order_and_labels_that_fit(tmp_path):
    many(tmp_path, "10", "9", "2")
    data = opened(tmp_path)
    assert data.class_names == ("2", "9", "10") and data.task == "multi-class"
    for row, label in zip(data.table.itertuples(), data.labels):
        assert row.path.split("/")[0] == data.class_names[label]
    assert set(data.table["split"]) == {"train", "val", "test"}


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_train_val_and_test_above(tmp_path, val):
    many(tmp_path, "train/a", "train/b", f"{val}/a", f"{val}/b", "test/a", "test/b", n=4)
    (tmp_path / "notes").mkdir()
    data = opened(tmp_path)
    assert list(data.counts().loc["total"]) == [8, 8, 8, 24]
    first = data.table["path"].str.split("/").str[0]
    assert (first.map({"train": "train", val: "val", "test": "test"}) == data.table["split"]).all()
    assert any("notes" in note for note in data.notes)


def test_a_folder_around_it_is_taken_off(tmp_path):
    many(tmp_path / "download" / "set", "train/a", "train/b", "test/a", "test/b")
    data = opened(tmp_path)
    assert data.table["path"][0] == "test/a/000.png" and data.class_names == ("a", "b")


def test_pixels_and_originals_belong_to_their_rows(tmp_path):
    many(tmp_path, "a", "b")
    data = opened(tmp_path, resize="stretch")
    for i in range(len(data)):
        value = np.asarray(Image.open(tmp_path / data.table["path"][i]))[0, 0]
        assert (data.images[i] == value).all() and (data.original(i) == value).all()
        assert data.original(i).shape == (20, 30, 1)


# Patients

@pytest.mark.parametrize("path, split, patient, study, view", [
    ("train/PNEUMONIA/person12_bacteria_34.jpeg", "train", "train/person12", "", ""),
    ("PNEUMONIA/person12_virus_34.jpeg", "", "person12", "", ""),
    ("train/PNEUMONIA/person447_virus_921_1.jpeg", "train", "train/person447", "", ""),
    ("train/NORMAL/IM-0115-0001.jpeg", "train", "IM-0115", "", ""),
    ("train/NORMAL/IM-0666-0001-0002.jpeg", "train", "IM-0666", "", ""),
    ("test/NORMAL/NORMAL2-IM-0115-0001.jpeg", "test", "NORMAL2-IM-0115", "", ""),
    ("valid/XR_WRIST/patient11185/study1_positive/image1.png", "val", "patient11185", "patient11185/study1", ""),
    ("2/9003175L.png", "", "9003175", "", "L"),
    ("x/00000013_005.png", "", "00000013", "00000013/005", ""),
    ("cats/cat.17.jpg", "", "", "", ""),
    ("person12/IMG_1.png", "", "", "", "")])
def test_the_patient_is_read_from_the_name(path, split, patient, study, view):
    assert read_name(path, split)[1:] == (patient, study, view)


def test_numbers_of_two_classes_do_not_collide():
    one, other = (read_name(p)[1] for p in ("P/person115_virus_1.jpeg", "N/IM-0115-0001.jpeg"))
    assert one != other and len({p.collection for p in PATTERNS}) == len(PATTERNS)


def test_images_of_a_patient_stay_together(tmp_path):
    put(tmp_path, *(f"{c}/person{p}_virus_{i}.png" for p in range(40) for i in range(3) for c in ["ab"[p % 2]]))
    data = opened(tmp_path)
    assert data.table.groupby("patient")["split"].nunique().max() == 1 and data.table["patient"].nunique() == 40
    leaky = opened(tmp_path, split="image")
    assert leaky.table.groupby("patient")["split"].nunique().max() > 1 and leaky.split_hash != data.split_hash


def test_without_patients_the_note_says_so(tmp_path):
    assert "No patient numbers" in opened(many(tmp_path, "a", "b")).split_note


# Faults

def test_a_folder_that_is_not_there(tmp_path):
    refused(tmp_path / "nowhere", "dataset.unknown", "nowhere")
    with pytest.raises(LightboxError):
        Folder(tmp_path / "nowhere")


def test_one_class_or_none(tmp_path):
    refused(tmp_path, "folder.classes", "no subfolder")
    many(tmp_path, "only")
    refused(tmp_path, "folder.classes", "only one class, only")


def test_an_empty_class(tmp_path):
    many(tmp_path, "a", "b")
    (tmp_path / "c").mkdir()
    refused(tmp_path, "folder.empty_class", "c")


def test_an_empty_class_in_one_part_is_a_note(tmp_path):
    many(tmp_path, "train/a", "train/b", "val/a", "test/a", "test/b")
    (tmp_path / "val" / "b").mkdir()
    data = opened(tmp_path)
    assert "The folder val/b is empty." in data.notes and "No image of b is in validation." in data.split_note


def test_nothing_that_can_be_read(tmp_path, lightbox_home):
    for c in "ab":
        (tmp_path / c).mkdir()
        (tmp_path / c / "x.png").write_text("no image")
    refused(tmp_path, "store.no_images", "not an image")


def test_bad_images_are_listed_with_their_reason_and_stop_nobody_else(tmp_path):
    many(tmp_path, "a", "b", n=30)
    (tmp_path / "a/000.png").write_bytes((tmp_path / "a/000.png").read_bytes()[:40])
    (tmp_path / "a/text.png").write_text("no image")
    (tmp_path / "b/scan.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 10)
    (tmp_path / "b/empty.jpg").write_bytes(b"")
    (tmp_path / "b/loop.png").symlink_to(tmp_path / "b/loop.png")
    (tmp_path / "b/circle").symlink_to(tmp_path)
    (tmp_path / "b/folder.png").mkdir()
    for name in (".hidden.png", "Thumbs.db", ".DS_Store"):
        (tmp_path / "a" / name).write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "a/readme.txt").write_text("x")
    open(os.fsencode(tmp_path / "a") + b"/caf\xe9.png", "wb").close()

    data = opened(tmp_path)
    reasons = {s["path"].split("/")[-1]: s["reason"] for s in data.skipped}
    assert set(reasons) == {"000.png", "text.png", "scan.dcm", "empty.jpg", "loop.png", "circle", "caf?.png"}
    assert "damaged" in reasons["000.png"] and "DICOM" in reasons["scan.dcm"] and "empty" in reasons["empty.jpg"]
    assert "UTF-8" in reasons["caf?.png"]
    assert len(data) == len(data.images) == len(data.labels) == len(data.table) == 59
    for i in range(len(data)):      # rows behind the gaps still belong together
        assert data.original(i)[0, 0] == data.images[i].max()
        assert data.table["path"][i].startswith(data.class_names[data.labels[i]] + "/")
    assert "1 files whose names" in " ".join(data.notes)


def test_odd_names_survive(tmp_path):
    names = ['with "quotes", commas.png', "new\nline.png", "$x$ <script>.png", "ünïcode.png", "None.png", "01.png", "1.png",
             "carriage\rreturn.png"]
    put(tmp_path, *(f"{c}/{n}" for c in ("NA", "null") for n in names))
    data = opened(tmp_path)
    assert sorted(data.table["path"]) == sorted(f"{c}/{n}" for c in ("NA", "null") for n in names)
    again = opened(tmp_path)
    assert list(again.table["path"]) == list(data.table["path"]) and data.class_names == ("NA", "null")


def test_a_change_is_noticed(tmp_path):
    many(tmp_path, "a", "b")
    before = Folder(tmp_path).fingerprint()
    assert Folder(tmp_path).fingerprint() == before
    put(tmp_path, "a/new.png")
    assert Folder(tmp_path).fingerprint() != before
    assert len(opened(tmp_path)) == 25


def test_real_chest_x_rays(real_data):
    source = Folder(real_data / "chest_pneumonia")
    index = source.scan()
    labels, split = index.targets["class"].labels, index.table["split"].to_numpy()
    assert index.targets["class"].class_names == ("NORMAL", "PNEUMONIA")
    assert [int(((split == s) & (labels == k)).sum()) for s in ("train", "test") for k in (0, 1)] == [1341, 3875, 234, 390]
    assert (index.table["patient"] != "").all() and not index.skipped
    both = set(index.table["patient"][split == "train"]) & set(index.table["patient"][split == "test"])
    assert not both

    from core.datasets.splits import make_split
    made = make_split(index.table, labels, ("NORMAL", "PNEUMONIA"), DataConfig())
    patients = {s: set(index.table["patient"][made.split == s]) for s in ("train", "val", "test")}
    assert not patients["train"] & patients["val"] and not patients["val"] & patients["test"]
    assert abs((made.split == "val").sum() / 5216 - 0.15) < 0.01
    assert abs(labels[made.split == "val"].mean() - 3875 / 5216) < 0.01
    assert (made.split[split == "test"] == "test").all()


def test_real_knees(real_data):
    data = opened(real_data / "knee_oa")
    assert len(data) == 2752 and data.table["patient"].nunique() == 1376 and set(data.table["view"]) == {"L", "R"}
