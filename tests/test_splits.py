"""Splits: planted patients stay together, shares and classes come out as asked, and leaks are counted."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from core.config import DataConfig
from core.datasets.splits import assign, make_split
from core.errors import LightboxError

NAMES = ("normal", "abnormal")


def table_of(patients, split="") -> pd.DataFrame:
    n = len(patients)
    return pd.DataFrame({"image_id": [f"i{i}" for i in range(n)], "patient": patients, "split": split}, dtype=str)


def cohort(patients=400, seed=0) -> tuple[pd.DataFrame, np.ndarray]:
    """Patients with 1 to 6 images each, one in five abnormal."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, patients)
    number = rng.permutation(np.repeat(np.arange(patients), sizes))
    return table_of([f"p{k}" for k in number]), (rng.random(patients) < 0.2).astype(np.int64)[number]


def shares(split, labels=None, k=None) -> list[float]:
    here = split if k is None else split[labels == k]
    return [np.mean(here == s) for s in ("train", "val", "test")]


def test_no_patient_is_in_two_splits_and_shares_and_classes_are_met():
    table, labels = cohort()
    made = make_split(table, labels, NAMES, DataConfig(split="patient", val_fraction=0.15, test_fraction=0.2))
    assert table.groupby("patient")["image_id"].count().max() > 1
    assert pd.Series(made.split).groupby(table["patient"]).nunique().max() == 1
    n = len(table)
    np.testing.assert_allclose(shares(made.split), [0.65, 0.15, 0.2], atol=6 / n)      # one patient's images
    for k in (0, 1):
        np.testing.assert_allclose(shares(made.split, labels, k), [0.65, 0.15, 0.2], atol=12 / (labels == k).sum())
    assert made.note.count("0 of") == 2


def test_large_and_small_patients_are_spread_alike():
    table, labels = cohort(2000)
    made = make_split(table, labels, NAMES, DataConfig(split="patient"))
    size = table.groupby("patient")["image_id"].transform("count").to_numpy()
    means = [size[made.split == s].mean() for s in ("train", "val", "test")]
    assert max(means) - min(means) < 0.1


def test_the_same_seed_gives_the_same_split_and_another_another():
    table, labels = cohort()
    one, same, other = (make_split(table, labels, NAMES, DataConfig(split="patient", split_seed=s)) for s in (3, 3, 4))
    assert one.hash == same.hash != other.hash
    lines = "".join(f"{i}\t{s}\n" for i, s in zip(table["image_id"], one.split))
    assert one.hash == hashlib.sha256(lines.encode()).hexdigest()


def test_image_level_leaks_as_the_formula_says():
    """With m images a patient and a share t for training, a test image has a sister there with chance 1 - (1 - t)^(m - 1)."""
    m, patients = 3, 3000
    table = table_of([f"p{k}" for k in range(patients) for _ in range(m)])
    labels = np.repeat(np.arange(patients) % 2, m)
    made = make_split(table, labels, NAMES, DataConfig(split="image", val_fraction=0.2, test_fraction=0.2))
    train = set(table["patient"][made.split == "train"])
    test = table["patient"][made.split == "test"]
    shared = sum(p in train for p in test)
    assert abs(shared / len(test) - (1 - 0.4 ** (m - 1))) < 0.03
    assert f"{shared:,} of {len(test):,} test images ({shared / len(test):.1%})" in made.note
    np.testing.assert_allclose(shares(made.split), [0.6, 0.2, 0.2], atol=1e-3)


def test_official_is_kept_and_its_leaks_are_counted():
    patients = ["a", "a", "b", "c", "c", "d", "e"]
    given = ["train", "val", "train", "train", "test", "test", "val"]
    made = make_split(table_of(patients, given), np.array([0, 1, 1, 0, 1, 0, 0]), NAMES, DataConfig())
    assert list(made.split) == given
    assert "1 of 2 validation images (50.0%)" in made.note and "1 of 2 test images (50.0%)" in made.note


@pytest.mark.parametrize("missing", ["val", "test"])
def test_what_official_lacks_is_taken_from_training_by_patient(missing):
    table, labels = cohort(1000)
    kept = "test" if missing == "val" else "val"
    table["split"] = np.where(np.arange(len(table)) % 5 == 0, kept, "train")
    config = DataConfig(split="official", val_fraction=0.1, test_fraction=0.1)
    made = make_split(table, labels, NAMES, config)
    assert (made.split[table["split"] == kept] == kept).all()
    of_train = made.split[table["split"] == "train"]
    assert abs(np.mean(of_train == missing) - 0.1) < 0.01
    inside = table[table["split"] == "train"].assign(split=of_train)
    assert inside.groupby("patient")["split"].nunique().max() == 1


def test_training_alone_is_no_official_split():
    table, labels = cohort()
    table["split"] = "train"
    assert set(make_split(table, labels, NAMES, DataConfig()).split) == {"train", "val", "test"}
    with pytest.raises(LightboxError, match="without a split"):
        make_split(table, labels, NAMES, DataConfig(split="official"))


def test_unknown_patients_are_each_their_own_and_the_note_says_so():
    table = table_of([""] * 200)
    made = make_split(table, np.arange(200) % 2, NAMES, DataConfig(split="patient"))
    np.testing.assert_allclose(shares(made.split), [0.7, 0.15, 0.15], atol=0.01)
    assert "No patient numbers" in made.note
    some = make_split(table_of([""] * 100 + ["p"] * 20), np.arange(120) % 2, NAMES, DataConfig(split="patient"))
    assert "100 images have no patient number" in some.note


def test_an_absent_class_is_named():
    labels = np.array([0] * 40 + [1] * 40 + [2])
    note = make_split(table_of([""] * 81), labels, ("a", "b", "rare"), DataConfig(split="patient")).note
    assert "No image of rare is in validation." in note and "No image of rare is in test." in note


def test_several_findings_are_spread_alike():
    rng = np.random.default_rng(0)
    labels = (rng.random((3000, 5)) < [0.5, 0.3, 0.1, 0.05, 0.02]).astype(np.int64)
    patients = [f"p{k}" for k in rng.integers(0, 1000, 3000)]
    made = make_split(table_of(patients), labels, tuple("abcde"), DataConfig(split="patient"))
    for k in range(5):
        np.testing.assert_allclose(shares(made.split, labels[:, k], 1), [0.7, 0.15, 0.15], atol=0.06)


def test_too_few_patients_is_said():
    with pytest.raises(LightboxError) as caught:
        make_split(table_of(["a", "a", "b", "b"]), np.array([0, 0, 1, 1]), NAMES, DataConfig(split="patient"))
    assert caught.value.code == "split.too_few" and "2 patients" in caught.value.message


def test_a_hundred_thousand_images_are_dealt_out_in_a_second():
    import time
    rng = np.random.default_rng(0)
    start = time.process_time()
    assign(np.arange(100_000), rng.integers(0, 9, 100_000), {"train": 0.7, "val": 0.15, "test": 0.15}, rng)
    assert time.process_time() - start < 2
