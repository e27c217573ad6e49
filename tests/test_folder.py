"""Class folders: what is found, whose it is, and what is said about the rest."""

import os
import time

import numpy as np
import pytest
from PIL import Image

from core.config import DataConfig
from core.datasets import open_dataset
from core.datasets.file_names import PATTERNS, match_names, read_name
from core.datasets.folder import Folder, FolderOptions
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
    assert read_name(path, split)[1][:3] == (patient, study, view)


def test_numbers_of_two_classes_do_not_collide():
    one, other = (read_name(p)[1].patient for p in ("P/person115_virus_1.jpeg", "N/IM-0115-0001.jpeg"))
    assert one != other and len({p.collection for p in PATTERNS}) == len(PATTERNS)


def test_images_of_a_patient_stay_together(tmp_path):
    put(tmp_path, *(f"{c}/person{p}_virus_{i}.png" for p in range(40) for i in range(3) for c in ["ab"[p % 2]]))
    data = opened(tmp_path)
    assert data.table.groupby("patient")["split"].nunique().max() == 1 and data.table["patient"].nunique() == 40
    leaky = opened(tmp_path, split="image")
    assert leaky.table.groupby("patient")["split"].nunique().max() > 1 and leaky.split_hash != data.split_hash


# A person's own pattern

KERMANY = r"^person(?P<patient>\d+)_(?P<study>bacteria|virus)_(?P<view>\d+)"


def test_a_pattern_of_ones_own(tmp_path):
    put(tmp_path, *(f"{c}/{n}.png" for c in ("train/a", "train/b", "test/a", "test/b")
                    for n in (f"person{len(c)}_virus_1", f"person{len(c)}_bacteria_2", f"IM-{c[-1]}")))
    index = Folder(tmp_path, FolderOptions(KERMANY)).scan()
    rows = index.table.set_index("path")
    assert tuple(rows.loc["train/a/person7_bacteria_2.png", ["patient", "study", "view"]]) == ("7", "7/bacteria", "2")
    assert rows.loc["test/b/person6_virus_1.png", "patient"] == "6" and rows.loc["test/b/IM-b.png", "patient"] == ""
    assert any("8 images" in n for n in index.notes) and any("no patient in 4 names" in n for n in index.notes)
    nothing = Folder(tmp_path, FolderOptions("-")).scan()
    assert not nothing.table["patient"].any() and not nothing.notes
    assert len({Folder(tmp_path, FolderOptions(p)).fingerprint() for p in ("", "-", KERMANY)}) == 3      # three stores


def test_the_pattern_sees_what_lies_below_the_class_folder(tmp_path):
    put(tmp_path, "train/a/p1/s2/x.png", "train/b/p3/s4/x.png", "test/a/p5/s6/x.png")
    table = Folder(tmp_path, FolderOptions("^(?P<patient>[^/]+)/(?P<study>[^/]+)/")).scan().table
    assert sorted(table["study"]) == ["p1/s2", "p3/s4", "p5/s6"]


def test_what_a_pattern_takes_is_shown_for_some_names(tmp_path):
    put(tmp_path, *(f"{c}/person{i}_virus_1.png" for c in "ab" for i in range(50)))
    shown = Folder(tmp_path, FolderOptions(KERMANY)).preview_names(5)
    assert list(shown) == ["path", "patient", "study", "view"] and len(shown) == 5
    assert {p.split("/")[0] for p in shown["path"]} == {"a", "b"}
    assert [f"{p}/virus" for p in shown["patient"]] == list(shown["study"])
    assert list(Folder(tmp_path, FolderOptions("-")).preview_names(3)["patient"]) == ["", "", ""]


@pytest.mark.parametrize("pattern, words", [
    ("(?P<patient>[0-9", "not a regular expression"), ("no groups", "none of the groups"),
    ("(?P<patient>x)(?P<eye>L)", "group eye"),
    ("(?P<patient>" + "a" * 600 + ")", "500"), ("(?P<patient>a{99999999999999})", "too large"),
    ("(" * 160 + "(?P<patient>a)" + ")" * 160, ""), ("(?P<patient>x)" + "(?P<patient>y)", "not a regular expression")])
def test_a_pattern_that_is_wrong(tmp_path, pattern, words):
    many(tmp_path, "a", "b", n=2)
    try:
        Folder(tmp_path, FolderOptions(pattern)).scan()
    except LightboxError as error:
        assert error.code == "folder.pattern" and words in error.message
    else:
        assert not words


@pytest.mark.parametrize("pattern", [r"(?P<patient>(a+)+)$", r"(?P<patient>(a|a)*)b", r"(?P<patient>a*a*a*a*a*a*a*a*)b"])
def test_a_pattern_that_would_never_end(tmp_path, pattern):
    put(tmp_path, *(f"{c}/{'a' * 100}!.png" for c in "ab"))
    began = time.monotonic()
    with pytest.raises(LightboxError) as caught:
        Folder(tmp_path, FolderOptions(pattern)).scan()
    assert caught.value.code == "folder.pattern" and "more than 1 s" in caught.value.message and time.monotonic() - began < 2


def test_a_hundred_thousand_names_are_no_trouble():
    names = [f"person{i}_virus_{i % 7}.jpeg" for i in range(100_000)]
    assert match_names(KERMANY, names)[-1][:3] == ("99999", "99999/virus", str(99_999 % 7))


def test_classes_that_are_grades(tmp_path):
    many(tmp_path, "10", "9", "2")
    target = Folder(tmp_path, FolderOptions(ordinal=True)).scan().targets["class"]
    assert target.task == "ordinal-regression" and target.class_names == ("2", "9", "10")


def test_a_folder_for_each_patient_is_no_folder_for_each_class(tmp_path):
    put(tmp_path, *(f"patient{i}/a.png" for i in range(1001)))
    index = Folder(tmp_path).scan()
    assert index.table["patient"].nunique() == 1001 and (index.targets["class"].labels == -1).all()
    with pytest.raises(LightboxError) as caught:
        Folder(tmp_path, FolderOptions(levels=("class",))).scan()
    assert caught.value.code == "folder.classes" and "1,001" in caught.value.message


def test_without_patients_the_note_says_so(tmp_path):
    assert "No patient IDs" in opened(many(tmp_path, "a", "b")).split_note


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
    assert "1 file was left out" in " ".join(data.notes)


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


def test_real_chest_x_rays_by_a_pattern_of_ones_own(real_data):
    index = Folder(real_data / "chest_pneumonia", FolderOptions(r"^(?P<patient>(person|IM-|NORMAL2-IM-)\d+)")).scan()
    split, patient = index.table["split"], index.table["patient"]
    assert (patient != "").all()
    pneumonia = {s: {p for p in patient[split == s] if p.startswith("person")} for s in ("train", "test")}
    assert (len(pneumonia["test"]), len(pneumonia["test"] & pneumonia["train"])) == (202, 170)      # as names.py says


def test_real_knees_are_grades_of_patients_with_two_knees(real_data):
    index = Folder(real_data / "knee_oa", FolderOptions(ordinal=True)).scan()
    target = index.targets["class"]
    assert target.task == "ordinal-regression" and target.class_names == ("0", "1", "2", "3", "4")
    knees = index.table.groupby("patient")["view"].agg("".join)
    assert len(knees) == 1376 and set(knees) <= {"LR", "RL"}


def test_real_knees(real_data):
    data = opened(real_data / "knee_oa")
    assert len(data) == 2752 and data.table["patient"].nunique() == 1376 and set(data.table["view"]) == {"L", "R"}
