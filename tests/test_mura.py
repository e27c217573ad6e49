"""MURA as it is distributed: its real lists give the known counts, and a small copy of its layout opens as a set."""

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.audit.official import unofficial_mura
from core.config import DataConfig, RunConfig
from core.datasets import open_dataset, open_source
from core.datasets.mura import PARTS, Mura, MuraOptions, is_mura, parse_paths, read_studies
from core.datasets.splits import make_split
from core.errors import LightboxError
from core.metrics.table_check.tables import PRINTED_TABLES
from core.metrics.table_check.totals import check_totals
from core.runs.recipes import RECIPES


def put(root, *paths):
    for k, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30, 20), k % 200 + 1, np.uint8)).save(root / path)
    return root


def small(root, patients=24):
    """Three parts; each training patient has two studies of two images; valid has other patients."""
    paths = [f"{split}/XR_{part}/patient{p:05d}/study{s}_{label}/image{i}.png"
             for split, first, n in (("train", 1, patients), ("valid", 90001, 6)) for p in range(first, first + n)
             for part in [("ELBOW", "HAND", "WRIST")[p % 3]] for s in (1, 2) for label in [("negative", "positive")[(p + s) % 2]]
             for i in (1, 2)]
    return put(root / "MURA-v1.1", *paths)


def refused(code, call, *words):
    with pytest.raises(LightboxError) as caught:
        call()
    assert caught.value.code == code and all(word in str(caught.value) for word in words), caught.value


# The real lists

@pytest.fixture(scope="module")
def lists(real_data):
    folder = real_data / "mura_paths"
    paths = {s: [row[0] for row in csv.reader(open(folder / f"{s}_image_paths.csv"))][1:] for s in ("train", "valid")}
    studies = {s: read_studies((folder / f"{s}_labeled_studies.csv").read_text()) for s in ("train", "valid")}
    return paths, studies


def test_the_real_lists_give_the_known_counts(lists):
    paths, studies = lists
    train, other = parse_paths(paths["train"])
    valid, more = parse_paths(paths["valid"])
    assert not other and not more and (len(train), len(valid)) == (36_808, 3_197)
    assert set(train["split"]) == {"train"} and set(valid["split"]) == {"test"}
    assert (train["patient"].nunique(), valid["patient"].nunique()) == (11_184, 783)
    assert not set(train["patient"]) & set(valid["patient"])
    assert (train["study"].nunique(), valid["study"].nunique()) == (13_457, 1_199)      # Rajpurkar et al., table 1
    assert (valid["label"] == "normal").sum() == 1_667 and train["image_id"].is_unique
    assert len(studies["train"]) == 13_457 and len(studies["valid"]) == 1_199


def test_the_counts_of_two_student_reports(lists):
    train, _ = parse_paths(lists[0]["train"])
    normal = train[train["label"] == "normal"]
    three = normal[normal["body_part"].isin(["elbow", "shoulder", "wrist"])]
    assert three["body_part"].value_counts().to_dict() == {"wrist": 5_765, "shoulder": 4_211, "elbow": 2_925}
    assert (len(three), three["patient"].nunique()) == (12_901, 4_258)

    from sklearn.model_selection import train_test_split
    from sklearn.utils.class_weight import compute_class_weight
    kept, _ = train_test_split(train["label"], test_size=0.1, stratify=train["label"], random_state=0)
    assert kept.value_counts().to_dict() == {"normal": 19_741, "abnormal": 13_386}
    weights = compute_class_weight("balanced", classes=np.array(["normal", "abnormal"]), y=kept.to_numpy())
    np.testing.assert_allclose(weights, [0.83904058, 1.23737487], atol=5e-9)


def test_the_real_lists_of_studies_agree_with_the_folders(lists):
    paths, studies = lists
    for split in ("train", "valid"):
        table, _ = parse_paths(paths[split])
        folders = dict(zip(table["path"].str.rpartition("/")[0], table["label"]))
        assert {study: folders.get(study) for study in studies[split]} == studies[split]


def test_the_real_valid_part_laid_out_is_found_again(lists, tmp_path):
    """The valid part, as empty files: only names are read before decoding."""
    from os import makedirs
    for path in lists[0]["valid"]:
        makedirs(tmp_path / path.rpartition("/")[0], exist_ok=True)
        open(tmp_path / path, "w").close()
    index = Mura(tmp_path).scan()
    assert len(index.table) == 3_197 and list(index.targets) == ["abnormality", "body_part"] and not index.skipped
    assert index.targets["abnormality"].labels.sum() == 1_530
    assert index.targets["body_part"].class_names == PARTS
    assert np.bincount(index.targets["body_part"].labels).tolist() == [465, 461, 301, 460, 288, 563, 659]


def test_the_training_folder_alone_gives_the_split_of_report_r000(lists, tmp_path):
    """Its Table 2 with 12,901 images in all, where 12,941 is printed. One image of the wrist lies elsewhere: .1 of 5,765 is
    576.5, and the report does not say how it rounds."""
    from os import makedirs
    three = {"XR_ELBOW", "XR_SHOULDER", "XR_WRIST"}
    for path in (p for split in ("train", "valid") for p in lists[0][split] if p.split("/")[2] in three):
        makedirs(tmp_path / path.rpartition("/")[0], exist_ok=True)
        open(tmp_path / path, "w").close()
    source = Mura(tmp_path, MuraOptions(("elbow", "shoulder", "wrist"), False, ("train",)))
    index = source.scan()
    part = index.targets["body_part"]
    made = make_split(index.table, part.labels, part.class_names, RunConfig().with_(**RECIPES["r000-resnet50"].changes).data)
    counts = pd.crosstab(index.table["body_part"], made.split, margins=True, margins_name="Total")
    counts = counts[["train", "val", "test", "Total"]]
    printed = [line.split(", ") for line in PRINTED_TABLES["r000-split"].text.splitlines()[1:]]
    assert counts.index.str.title().tolist() == [row[0] for row in printed]
    difference = counts.to_numpy() - np.array([row[1:] for row in printed], int)
    assert difference.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [-1, 1, 0, 0], [-1, 1, 0, -40]]
    assert check_totals(counts.reset_index().to_csv(index=False)) == ((), 8)
    assert unofficial_mura(index.table, index.table["split"].to_numpy(), {"train"}) == []
    assert len(unofficial_mura(index.table, index.table["split"].to_numpy())) == 3
    assert any("Only its folder train was read" in note for note in index.notes)


# A small copy

def test_a_path_to_it_opens_as_mura(tmp_path):
    small(tmp_path / "around" / "download")
    small(tmp_path / "set")
    tmp_path = tmp_path / "set"
    for path in (tmp_path, tmp_path / "MURA-v1.1", tmp_path.parent / "around"):
        assert is_mura(path) and isinstance(open_source(DataConfig(str(path))), Mura)
    data = open_dataset(DataConfig(str(tmp_path), size=16))
    assert data.class_names == ("normal", "abnormal") and data.task == "binary-class" and len(data) == 120
    assert [name for name, _ in data.targets] == ["abnormality", "body_part"]
    official = data.table["path"].str.startswith("valid/")
    assert (official == (data.table["split"] == "test")).all() and set(data.table["split"]) == {"train", "val", "test"}
    assert data.table.groupby("patient")["split"].nunique().max() == 1      # validation is taken from training by patient
    row = data.table[data.table["path"] == "train/XR_HAND/patient00001/study1_negative/image2.png"].iloc[0]
    assert (row["patient"], row["study"], row["view"], row["body_part"], row["label"]) == (
        "patient00001", "hand/patient00001/study1", "image2", "hand", "normal")
    i = int(row.name)
    value = np.asarray(Image.open(tmp_path / "MURA-v1.1" / row["path"]))[0, 0]
    assert (data.original(i) == value).all() and data.images[i].max() == value and data.labels[i] == 0
    part = open_dataset(DataConfig(str(tmp_path), size=16, target="body_part"))
    assert part.class_names == ("elbow", "hand", "wrist") and part.class_names[part.labels[i]] == "hand"


def test_some_parts_with_and_without_abnormal_images(tmp_path):
    small(tmp_path)
    two = Mura(tmp_path, MuraOptions(("XR_WRIST", "elbow")))
    index = two.scan()
    assert index.targets["body_part"].class_names == ("elbow", "wrist") and index.targets["body_part"].task == "binary-class"
    normal = Mura(tmp_path, MuraOptions(("elbow", "wrist"), abnormal=False)).scan()
    assert list(normal.targets) == ["body_part"] and set(normal.table["label"]) == {"normal"}
    assert len(normal.table) == len(index.table) / 2 and any("left out" in note for note in normal.notes)
    assert list(Mura(tmp_path, MuraOptions(("hand",))).scan().targets) == ["abnormality"]
    everything = {Mura(tmp_path, MuraOptions(*r)).fingerprint() for r in ((), (("hand",),), ((), False), (("hand",), False))}
    assert len(everything) == 4
    assert Mura(tmp_path, MuraOptions(PARTS)).fingerprint() == Mura(tmp_path).fingerprint()
    assert Mura(tmp_path, MuraOptions(folders=("train", "valid"))).fingerprint() == Mura(tmp_path).fingerprint()
    for folder, split in (("train", "train"), ("valid", "test")):
        one = Mura(tmp_path, MuraOptions(folders=(folder,)))
        alone = Mura(tmp_path / "MURA-v1.1" / folder)             # its path says the same
        assert alone.options == one.options and alone.scan().table.equals(one.scan().table)
        assert set(one.scan().table["split"]) == {split} and one.fingerprint() not in everything


def test_nothing_to_learn_or_no_such_part(tmp_path):
    small(tmp_path)
    refused("mura.classes", Mura(tmp_path, MuraOptions(("hand",), abnormal=False)).scan, "only normal images of the hand")
    refused("mura.classes", Mura(tmp_path, MuraOptions(("finger",))).scan, "no image")
    refused("mura.parts", lambda: Mura(tmp_path, MuraOptions(("knee",))), "knee", "elbow")
    refused("mura.folders", lambda: Mura(tmp_path, MuraOptions(folders=("test",))), "test", "train, valid")
    refused("mura.layout", lambda: Mura(tmp_path / "nowhere"))
    assert not is_mura(tmp_path / "nowhere") and not is_mura(tmp_path / "MURA-v1.1" / "train" / "XR_HAND")


def test_where_the_list_of_studies_says_otherwise_a_note_does(tmp_path):
    root = small(tmp_path)
    studies = sorted({str(path.parent.relative_to(tmp_path)) for path in root.glob("train/*/*/*/*.png")})
    lines = [f"{study}/,{int(study.endswith('positive'))}" for study in studies]
    (root / "train_labeled_studies.csv").write_text("Img_Path,Label\n" + "\n".join(lines))
    assert Mura(tmp_path).scan().notes == []
    lines[3] = lines[3][:-1] + str(1 - int(lines[3][-1]))
    lines.append("MURA-v1.1/train/XR_HAND/patient77777/study1_positive/,1")
    (root / "train_labeled_studies.csv").write_text("\n".join(lines))
    notes = Mura(tmp_path).scan().notes
    assert len(notes) == 2 and "1 of 49 studies" in notes[0] and studies[3].removeprefix("MURA-v1.1/") in notes[0]
    assert "patient77777" in notes[1]


def test_odd_names_are_left_out_with_a_reason(tmp_path):
    root = small(tmp_path)
    put(root, "train/XR_ELBOW/patient00001/study9_maybe/image1.png", "train/XR_ELBOW/loose.png")
    (root / "train/XR_ELBOW/patient00003/study1_negative").mkdir(parents=True, exist_ok=True)
    (root / "train/XR_ELBOW/patient00003/study1_negative/._image1.png").write_bytes(b"\0\5\x16\7")      # macOS leaves these
    put(root, "train/XR_KNEE/patient00001/study1_negative/image1.png")
    index = Mura(tmp_path).scan()
    assert len(index.table) == 120
    assert sorted(s["path"] for s in index.skipped) == ["train/XR_ELBOW/loose.png",
                                                        "train/XR_ELBOW/patient00001/study9_maybe/image1.png"]


@pytest.mark.parametrize("path", ["", "train", "train/XR_ELBOW/patient1/study1_negative/",
                                  "train/XR_KNEE/patient1/study1_negative/i.png",
                                  "train/XR_ELBOW/patient1/study1_negative/deeper/i.png", "x" * 10_000])
def test_paths_that_are_not_muras(path):
    table, other = parse_paths([path])
    assert other == [path] and table.empty
