"""Folders as public sets are downloaded: levels, masks, copies, patients in names. Each row names the set it stands for."""

import itertools
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from core.datasets.folder import Folder, FolderOptions
from core.datasets.level_names import splits_of
from core.datasets.level_words import words_of
from core.datasets.levels import read_levels
from core.datasets.masks import find_copies, find_masks
from tests.layout_support import differences, layout, read, read_json, run_alone


def names(*patterns, n=3):
    """Return paths: each pattern with # replaced by 1..n."""
    return [p.replace("#", str(k)) for p in patterns for k in range(1, n + 1)]


def product(*levels):
    """Return all paths through some levels of names, each a list: product("a b", "c d") -> a/c, a/d, b/c, b/d."""
    paths = [""]
    for level in levels:
        paths = [f"{p}/{name}".lstrip("/") for p in paths for name in (level.split() if isinstance(level, str) else level)]
    return paths


TWO = names("img_#.png", n=4)
LAYOUTS = {      # the public set: (images, what a person expects)
    "COVID-19 Radiography Database": (
        product(["R/COVID", "R/Normal", "R/Viral Pneumonia"], "images masks", names("x-#.png")),
        dict(images=9, classes=["COVID", "Normal", "Viral Pneumonia"], left_out={"mask": 9})),
    "COVID-QU-Ex": (
        product(["Lung Segmentation Data/Lung Segmentation Data"], "Train Val Test", ["COVID-19", "Normal"],
                ["images", "lung masks"], names("c#.png")),
        dict(images=18, classes=["COVID-19", "Normal"], splits=["train", "val", "test"], left_out={"mask": 18})),
    "images/CLASS beside masks/CLASS": (
        product("images masks", "benign malignant", TWO), dict(images=8, classes=["benign", "malignant"], left_out={"mask": 8})),
    "Kvasir-SEG beside normal": (
        product(["polyps/images", "polyps/masks"], TWO) + product(["normal"], TWO),
        dict(images=8, classes=["normal", "polyps"], left_out={"mask": 4})),
    "BUS-UCLM, masks with numbers": (
        names("benign/b (#).png", "benign/b (#)_mask.png", "malignant/m (#).png", "malignant/m (#)_mask_1.png",
              "malignant/m (#)_mask_2.png"), dict(images=6, classes=["benign", "malignant"], left_out={"mask": 9})),
    "PH2 and ISIC, _segmentation and _lesion": (
        names("nevus/IMD#.png", "nevus/IMD#_lesion.png", "melanoma/ISIC_00#.png", "melanoma/ISIC_00#_segmentation.png"),
        dict(images=6, classes=["melanoma", "nevus"], left_out={"mask": 6})),
    "Br35H, a doubled set": (
        product("yes no", TWO) + product(["Br35H"], "yes no", TWO),
        dict(images=8, classes=["no", "yes"], left_out={"copy": 8})),
    "chest_xray/chest_xray doubled": (
        product("train val test", "NORMAL PNEUMONIA", TWO) + product(["chest_xray"], "train val test", "NORMAL PNEUMONIA", TWO),
        dict(images=24, classes=["NORMAL", "PNEUMONIA"], splits=["train", "val", "test"], left_out={"copy": 24})),
    "brain tumour MRI, Training and Testing": (
        product("Training Testing", "glioma meningioma notumor pituitary", TWO),
        dict(images=32, classes=["glioma", "meningioma", "notumor", "pituitary"], splits=["train", "test"])),
    "training_set and test_set": (
        product("training_set test_set", "benign malignant", TWO), dict(images=16, splits=["train", "test"])),
    "TRAIN, VALID and DEV words": (
        product("TRAIN Dev TEST", "ring normal", TWO), dict(images=24, splits=["train", "val", "test"])),
    "ISIC2018_Training_Input": (
        product("ISIC2018_Training_Input ISIC2018_Test_Input", "MEL NV", TWO),
        dict(images=16, classes=["MEL", "NV"], splits=["train", "test"])),
    "images_001 and images_002 with classes": (
        product("images_001 images_002", "Effusion Normal", TWO), dict(images=16, classes=["Effusion", "Normal"])),
    "LC25000": (
        product(["L/colon_image_sets"], "colon_aca colon_n", TWO)
        + product(["L/lung_image_sets"], "lung_aca lung_n lung_scc", TWO),
        dict(images=20, classes=["colon_aca", "colon_n", "lung_aca", "lung_n", "lung_scc"])),
    "SARS-CoV-2 CT, patients in class folders": (
        product("COVID Healthy", [f"Patient ({k})" for k in range(1, 5)], TWO),
        dict(images=32, classes=["COVID", "Healthy"], patients=8)),
    "patients as numbers inside classes": (
        product("stroke normal", "1021 1022 1030", TWO), dict(images=24, classes=["normal", "stroke"], patients=3)),
    "patients outside, classes inside": (
        product([f"P{k:03d}" for k in range(1, 9)], "benign malignant", ["a.png", "b.png"]),
        dict(images=32, classes=["benign", "malignant"], patients=8)),
    "CheXpert-like without a table, studies with labels": (
        product([f"patient{k:05d}" for k in range(1, 5)], "study1_positive study2_negative", ["image1.png", "image2.png"]),
        dict(images=16, classes=["negative", "positive"], patients=4)),
    "body part above, finding below": (
        product("ELBOW WRIST HAND", "normal abnormal", TWO), dict(images=24, classes=["abnormal", "normal"])),
    "Kather 2016, numbered class folders": (
        product("01_TUMOR 02_STROMA 03_COMPLEX", TWO), dict(images=12, classes=["01_TUMOR", "02_STROMA", "03_COMPLEX"])),
    "KneeXray grades 0 to 4": (
        product("train test val auto_test", "0 1 2 3 4", [f"90{k}175L.png" for k in range(10, 14)]),
        dict(images=60, classes=["0", "1", "2", "3", "4"], splits=["train", "test", "val"], patients=4)),
    "Kermany OCT": (
        [f"OCT2017 /{s}/{c}/{c}-{p}-{i}.jpeg" for s in ("train", "test") for c in ("CNV", "DME")
         for p in (101, 205) for i in (1, 2)],
        dict(images=16, classes=["CNV", "DME"], splits=["train", "test"], patients=2)),
    "BIDS": (
        [f"{c}/sub-S{p:03d}_ses-E{e}_bp-chest.png" for c in ("COVID", "CONTROL") for p in (1, 2, 3) for e in (1, 2)],
        dict(images=12, patients=3)),
    "EyePACS in class folders": (
        [f"{g}/{p}_{eye}.jpeg" for g in "01" for p in (10 + int(g), 20 + int(g)) for eye in ("left", "right")],
        dict(images=8, classes=["0", "1"], patients=4)),
    "MIAS in class folders": (
        [f"{c}/mdb{k:03d}.png" for c, ks in (("normal", (1, 2, 3, 4)), ("benign", (5, 6, 7, 8))) for k in ks],
        dict(images=8, patients=4)),
    "Montgomery, label in the name": (
        [f"CXR_png/MCUCXR_{k:04d}_{k % 2}.png" for k in range(1, 9)],
        dict(images=8, classes=["normal", "tuberculosis"], patients=8)),
    "AugmentedAlzheimer beside OriginalDataset": (
        product("AugmentedAlzheimerDataset OriginalDataset", "MildDemented NonDemented", TWO),
        dict(images=8, classes=["MildDemented", "NonDemented"], left_out={"augmented": 8})),
    "faces with and without a mask": (
        product("with_mask without_mask", TWO), dict(images=8, classes=["with_mask", "without_mask"])),
    "BACH, photos alone": (
        product(["ICIAR2018/Photos"], "Benign InSitu Invasive Normal", TWO),
        dict(images=16, classes=["Benign", "InSitu", "Invasive", "Normal"])),
    "files beside class folders": (
        product("a b", TWO) + ["cover.png"], dict(images=8, classes=["a", "b"], left_out={"no_class": 1})),
    "thumbnails": (
        product("images thumbnails", "cyst stone", TWO), dict(images=8, classes=["cyst", "stone"], left_out={"thumbnail": 8})),
    "a test folder alone": (product(["test"], "benign malignant", TWO), dict(images=8, splits=["test"])),
    "no labels at all": (names("IMG_#.png", n=6), dict(images=6, note="No labels are known")),
    "patients and nothing else": (product([f"case{k:03d}" for k in range(30)], ["a.png", "b.png"]),
                                  dict(images=60, patients=30, note="No labels are known")),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_layout_is_read_as_a_person_expects(tmp_path, name):
    images, expect = LAYOUTS[name]
    assert differences(layout(tmp_path / "set", images), expect) == []


def put(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def test_masks_are_known_by_their_content_where_names_say_nothing(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(5):
        for c in ("cyst", "stone"):
            put(tmp_path / f"{c}/A/{c}{k}.png", rng.integers(0, 255, (30, 40)))
            put(tmp_path / f"{c}/B/{c}{k}.png", 255 * (rng.random((30, 40)) > 0.5))
    found, error = read_json(tmp_path)
    assert error is None and found["images"] == 10 and found["left_out"]["mask"] == 10
    put(tmp_path / "cyst/B/cyst0.png", rng.integers(0, 255, (30, 40)))      # a picture among them: these are no masks
    assert read_json(tmp_path)[0]["images"] == 15


def test_a_mask_is_the_truth_of_its_image(tmp_path):
    rng = np.random.default_rng(0)
    left, right = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    left[2:5, 3:9], right[10:15, 20:29] = True, True
    for name in ("benign/1", "benign/2", "normal/1", "normal/2"):
        put(tmp_path / f"{name}.png", rng.integers(0, 255, (20, 30)))
    put(tmp_path / "benign/1_mask.png", 255 * left)
    put(tmp_path / "benign/1_mask_1.png", right * 1)      # some sets number their regions 1, 2, 3
    source = Folder(tmp_path)
    table = source.scan().table
    row = {path: i for i, path in enumerate(table["path"])}
    assert (source.mask(row["benign/1.png"]) == (left | right)).all()
    assert source.mask(row["normal/1.png"]) is None


def test_one_click_takes_in_what_was_left_out(tmp_path):
    root = layout(tmp_path, product("images masks", "benign malignant", TWO))
    sentence = next(one for one in read(root).index.understood if one.code == "left_out.mask")
    assert (sentence.option, sentence.value) == ("take", "mask")
    index = Folder(root, FolderOptions(take=("mask",))).scan()
    assert len(index.table) == 16 and "mask" not in index.left_out


def test_only_and_leave_out(tmp_path):
    root = layout(tmp_path, product("a b", "1_frontal.png 2_lateral.png 3_frontal.png"))
    assert len(Folder(root, FolderOptions(only="*_FRONTAL.png")).scan().table) == 4
    index = Folder(root, FolderOptions(leave_out="b/2*, 1_*")).scan()
    assert len(index.table) == 3 and index.left_out == {"pattern": 3}


def test_levels_can_be_changed_and_joined(tmp_path):
    root = layout(tmp_path, product("benign malignant", "adenosis ductal", TWO))
    assert Folder(root).scan().targets["class"].class_names == ("benign", "malignant")
    assert Folder(root).scan().targets["level_2"].class_names == ("adenosis", "ductal")
    other = Folder(root, FolderOptions(levels=("other", "class")))
    assert other.scan().targets["class"].class_names == ("adenosis", "ductal")
    assert other.fingerprint() != Folder(root).fingerprint()
    both = Folder(root, FolderOptions(levels=("class", "class"))).scan().targets["class"].class_names
    assert both == ("benign/adenosis", "benign/ductal", "malignant/adenosis", "malignant/ductal")


def test_classes_that_differ_in_case_or_blanks_are_joined_by_one_click(tmp_path):
    root = layout(tmp_path, product(["Normal", "normal ", "Pneumonia"], TWO))
    sentence = next(one for one in read(root).index.understood if one.code == "classes.alike")
    assert sentence.option == "join"
    assert Folder(root, FolderOptions(join=True)).scan().targets["class"].class_names == ("Normal", "Pneumonia")


def test_a_label_in_the_names_by_a_pattern(tmp_path):
    root = layout(tmp_path, [f"{k}_{'mass' if k % 2 else 'clear'}_v{k}.png" for k in range(1, 9)])
    index = Folder(root, FolderOptions(r"^(?P<patient>\d+)_(?P<label>[a-z]+)_")).scan()
    assert index.targets["class"].class_names == ("clear", "mass") and index.table["patient"].nunique() == 8


def test_links_inside_a_class_are_followed_and_circles_are_not(tmp_path):
    layout(tmp_path / "store", product("normal pneumonia", TWO))
    for name in ("normal", "pneumonia"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "images").symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "normal" / "back").symlink_to(tmp_path / "set")
    found, error = read_json(tmp_path / "set")
    assert error is None and found["images"] == 8


def test_a_class_folder_full_of_another_format_says_which(tmp_path):
    root = layout(tmp_path, product("a b", TWO), **{})
    for k in range(4):
        (root / "c").mkdir(exist_ok=True)
        (root / f"c/{k}.nii.gz").write_bytes(b"x")
    _, error = read_json(root)
    assert error.code == "folder.empty_class" and "4 files, all .nii.gz" in error.message and "PNG" in error.hint


def test_pointers_of_git_lfs_are_called_that(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"
    root = layout(tmp_path, product("a b", TWO))
    (root / "a/img_1.png").write_bytes(pointer)
    found, _ = read_json(root)
    assert found["images"] == 7 and "Git LFS" in found["skipped"][0]["reason"]
    for path in root.rglob("*.png"):
        path.write_bytes(pointer)
    assert read_json(root)[1].code == "folder.lfs"


def test_words_splits_and_copies():
    assert words_of("a. TrainingSet_2") == ("a", "training", "set", "2")
    assert splits_of(["Train", "TEST", "valid"]) == {"Train": "train", "TEST": "test", "valid": "val"}
    assert splits_of(["train_a", "train_b"]) and not splits_of(["trained", "test"])
    copies = find_copies({"a/1.png": 5, "a/2.png": 6, "b/1.png": 7, "s/a/1.png": 5, "s/a/2.png": 6, "s/b/1.png": 7})
    assert set(copies) == {"s/a/1.png", "s/a/2.png", "s/b/1.png"} and set(copies.values()) == {"s"}
    helpers = find_masks(["x/image_1.png", "x/mask_1.png", "x/mask_9.png"])
    assert helpers.masks == {"x/image_1.png": ["x/mask_1.png"]} and "x/mask_9.png" not in helpers.kind


def test_a_hundred_thousand_files_are_understood_quickly():
    paths = [f"{s}/c{c}/p{p:05d}/{i}.png" for s in ("train", "test") for c in range(5) for p in range(1000) for i in range(10)]
    began = time.process_time()
    roles = [level.role for level in read_levels(Counter(tuple(p.split("/")[:-1]) for p in paths))]
    find_masks(paths)
    find_copies(dict.fromkeys(paths, 1))
    assert roles == ["split", "class", "patient"] and time.process_time() - began < 8


SCAN = """
import sys
from core.datasets.folder import Folder
table = Folder(sys.argv[1]).scan().table
print(len(table), table["patient"].nunique())
"""


@pytest.mark.slow
def test_a_tree_of_a_hundred_thousand_files_is_understood_in_time(tmp_path):
    for part, grade, patient in itertools.product(("train", "test"), range(5), range(250)):
        folder = tmp_path / part / f"grade{grade}" / f"p{patient:05d}"
        folder.mkdir(parents=True)
        for k in range(40):
            (folder / f"img_{k}.png").write_bytes(b"x" * (k + 1))
    images, patients, seconds, megabytes = run_alone(SCAN, tmp_path)
    print(seconds, megabytes)
    assert (images, patients) == (100_000, 250) and megabytes < 700, megabytes
    assert seconds < 30, "15 s alone, twice that beside another test"
