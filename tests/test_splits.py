"""Splits: planted patients stay together, shares and classes come out as asked, and leaks are counted."""

import dataclasses
import hashlib

import numpy as np
import pandas as pd
import pytest

from core.config import KNOBS, OUT_OF_FOLD, DataConfig
from core.datasets.splits import make_split
from core.datasets.stratify import balanced_weights, stratified_group_split, stratified_subset
from core.errors import LightboxError

NAMES = ("normal", "abnormal")


def image_table(patients, split="", study="") -> pd.DataFrame:
    n = len(patients)
    return pd.DataFrame({"image_id": [f"i{i}" for i in range(n)], "patient": patients, "study": study, "split": split}, dtype=str)


def cohort(patients=400, seed=0) -> tuple[pd.DataFrame, np.ndarray]:
    """Patients with 1 to 6 images each, one in five abnormal."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, patients)
    number = rng.permutation(np.repeat(np.arange(patients), sizes))
    return image_table([f"p{k}" for k in number]), (rng.random(patients) < 0.2).astype(np.int64)[number]


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
    assert "No validation or test image shows a patient who is also in training." in made.note


def test_images_of_one_value_stay_where_they_were_and_the_others_are_left_out():
    """So that a network for one part of the body and one for all are judged on the same images, and neither saw the other's."""
    table, labels = cohort()
    table["side"] = np.random.default_rng(1).choice(["L", "R", "unknown", ""], len(table))
    for config in (DataConfig(split="patient"), DataConfig(split="image", folds=3, fold=1), DataConfig(test_fraction=0.0)):
        whole = make_split(table, labels, NAMES, config)
        for only, kept in (("side:L", ["L"]), ("side:L|R", ["L", "R"])):
            made = make_split(table, labels, NAMES, dataclasses.replace(config, only=only))
            inside = table["side"].isin(kept)
            assert (made.split[inside] == whole.split[inside]).all() and set(made.split[~inside]) == {""}
            assert f"Only images with side {' or '.join(kept)} are used: {inside.sum():,} of {len(table):,}" in made.note
            assert made.hash != whole.hash
    half = make_split(table, labels, NAMES, DataConfig(only="side:L", train_fraction=0.5))
    assert (half.split == "train").sum() == pytest.approx((make_split(table, labels, NAMES, DataConfig(only="side:L")).split
                                                           == "train").sum() / 2, abs=3)
    for only, said in (("part:L", "no column 'part'"), ("side", "no column"), ("side:X", "No image has side 'X'"), ("side:", ""),
                       ("side:L|", "")):
        if said:
            with pytest.raises(LightboxError, match=said) as caught:
                make_split(table, labels, NAMES, DataConfig(only=only))
            assert caught.value.code == "split.only" and "L, R, unknown" in caught.value.hint or "Columns: " in caught.value.hint
        else:
            make_split(table, labels, NAMES, DataConfig(only=only))          # images whose side is not known are a value too


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
    table = image_table([f"p{k}" for k in range(patients) for _ in range(m)])
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
    made = make_split(image_table(patients, given), np.array([0, 1, 1, 0, 1, 0, 0]), NAMES, DataConfig())
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
    with pytest.raises(LightboxError) as caught:
        make_split(table, labels, NAMES, DataConfig(split="official"))
    assert caught.value.code == "split.no_official"


def test_unknown_patients_are_each_their_own_and_the_note_says_so():
    table = image_table([""] * 200)
    made = make_split(table, np.arange(200) % 2, NAMES, DataConfig(split="patient"))
    np.testing.assert_allclose(shares(made.split), [0.7, 0.15, 0.15], atol=0.01)
    assert "No patient IDs" in made.note
    some = make_split(image_table([""] * 100 + ["p"] * 20), np.arange(120) % 2, NAMES, DataConfig(split="patient"))
    assert "100 images have no patient ID" in some.note


def test_an_absent_class_is_named():
    labels = np.array([0] * 40 + [1] * 40 + [2])
    note = make_split(image_table([""] * 81), labels, ("a", "b", "rare"), DataConfig(split="patient")).note
    assert "No image of rare is in validation." in note and "No image of rare is in test." in note


def test_several_findings_are_spread_alike():
    rng = np.random.default_rng(0)
    labels = (rng.random((3000, 5)) < [0.5, 0.3, 0.1, 0.05, 0.02]).astype(np.int64)
    patients = [f"p{k}" for k in rng.integers(0, 1000, 3000)]
    made = make_split(image_table(patients), labels, tuple("abcde"), DataConfig(split="patient"))
    for k in range(5):
        np.testing.assert_allclose(shares(made.split, labels[:, k], 1), [0.7, 0.15, 0.15], atol=0.06)


def test_a_split_that_is_not_known_is_refused_with_the_choices():
    table, labels = cohort()
    with pytest.raises(LightboxError) as caught:
        make_split(table, labels, NAMES, DataConfig(split="random"))
    assert caught.value.code == "config.value" and all(word in caught.value.hint for word in KNOBS["data.split"].choices)


def test_too_few_patients_is_said():
    with pytest.raises(LightboxError) as caught:
        make_split(image_table(["a", "a", "b", "b"]), np.array([0, 0, 1, 1]), NAMES, DataConfig(split="patient"))
    assert caught.value.code == "split.too_few" and "2 patients" in caught.value.message


def test_a_hundred_thousand_images_are_dealt_out_in_a_second():
    import time
    rng = np.random.default_rng(0)
    start = time.process_time()
    stratified_group_split(np.arange(100_000), rng.integers(0, 9, 100_000), {"train": 0.7, "val": 0.15, "test": 0.15}, rng)
    assert time.process_time() - start < 2


# ------------------------------------------------------------------------------- results of old versions stay what they were

def official(kept: str) -> tuple[pd.DataFrame, np.ndarray]:
    """1,000 patients; every fifth image is in the part `kept`, the others in training."""
    table, labels = cohort(1000)
    table["split"] = np.where(np.arange(len(table)) % 5 == 0, kept, "train")
    return table, labels


@pytest.mark.parametrize("made, data, begins", [      # hashes of the version before folds and shares of training
    (cohort, DataConfig(), "cc67a5587fbc9955"),
    (cohort, DataConfig(split="patient", val_fraction=0.1, test_fraction=0.2, split_seed=3), "c3acdb41e9d5c24b"),
    (cohort, DataConfig(split="image", val_fraction=0.13, test_fraction=0.29), "4388dbb1c54dd170"),
    (lambda: official("test"), DataConfig(split="official", val_fraction=0.1), "2fdd68a909c29448"),
    (lambda: official("val"), DataConfig(test_fraction=0.07, split_seed=9), "c240ad2b7411f040")])
def test_what_could_be_asked_before_gives_the_same_split_as_before(made, data, begins):
    assert make_split(*made(), NAMES, data).hash.startswith(begins)


def test_several_findings_give_the_same_split_as_before():
    labels = (np.random.default_rng(0).random((3000, 5)) < [0.5, 0.3, 0.1, 0.05, 0.02]).astype(np.int64)
    table = image_table([f"p{k}" for k in np.random.default_rng(1).integers(0, 1000, 3000)])
    assert make_split(table, labels, tuple("abcde"), DataConfig(split="patient")).hash.startswith("dfa09a65a7796036")


# --------------------------------------------------------------------------------------------------- ratios, folds, shares

@pytest.mark.parametrize("how", ["patient", "study", "image"])
@pytest.mark.parametrize("val, test", [(0.1, 0.2), (0.1, 0), (0.2, 0), (0.2, 0.2), (0.037, 0.411)])
def test_any_ratio_is_met_in_each_class(how, val, test):
    table, labels = cohort(800)
    table["study"] = [f"s{i % 2}" for i in range(len(table))]
    made = make_split(table, labels, NAMES, DataConfig(split=how, val_fraction=val, test_fraction=test))
    for k in (0, 1):
        np.testing.assert_allclose(shares(made.split, labels, k), [1 - val - test, val, test], atol=12 / (labels == k).sum())
    assert ("There is no test set." in made.note) == (test == 0)


def test_a_study_is_kept_whole_and_two_patients_may_both_have_a_study1():
    table, labels = cohort(600)
    table["study"] = [f"study{i % 2 + 1}" for i in range(len(table))]
    made = make_split(table, labels, NAMES, DataConfig(split="study"))
    assert table.assign(split=made.split).groupby(["patient", "study"])["split"].nunique().max() == 1
    assert table.assign(split=made.split).groupby("patient")["split"].nunique().max() > 1, "patients may be cut"
    assert "all images of a study stay together" in made.note and "show a patient who is also in training" in made.note


@pytest.mark.parametrize("how", ["official", "patient", "study", "image"])
def test_with_test_share_0_an_official_test_part_stays(how):
    table, labels = official("test")
    table["study"] = table["image_id"]
    made = make_split(table, labels, NAMES, DataConfig(split=how, val_fraction=0.1, test_fraction=0))
    assert ((made.split == "test") == (table["split"] == "test")).all()
    assert abs(np.mean(made.split[table["split"] == "train"] == "val") - 0.1) < 0.01


@pytest.mark.parametrize("made, data", [
    (cohort, DataConfig(split="patient", folds=5)), (cohort, DataConfig(split="patient", folds=4, test_fraction=0)),
    (lambda: official("test"), DataConfig(split="official", folds=5)), (lambda: official("val"), DataConfig(folds=3)),
    (lambda: official("test"), DataConfig(split="image", folds=7, test_fraction=0))])
def test_folds_use_every_image_once_for_validation_and_leave_test_alone(made, data):
    table, labels = made()
    splits = [make_split(table, labels, NAMES, dataclasses.replace(data, fold=k)).split for k in range(data.folds)]
    test = splits[0] == "test"
    assert all(((s == "test") == test).all() for s in splits)
    assert (sum(s == "val" for s in splits)[~test] == 1).all()
    if "test" in set(table["split"]):
        assert (test == (table["split"] == "test")).all()
    for s in splits:
        np.testing.assert_allclose(np.mean(s[~test] == "val"), 1 / data.folds, atol=0.01)
        np.testing.assert_allclose(np.mean(s[~test & (labels == 1)] == "val"), 1 / data.folds, atol=0.03)
        if data.split != "image":
            rest = table.assign(split=s)[~test]
            assert rest.groupby("patient")["split"].nunique().max() == 1


def test_a_fold_that_does_not_exist_is_refused():
    for folds, fold in ((1, 0), (5, 5), (3, -2)):
        with pytest.raises(LightboxError) as caught:
            make_split(*cohort(), NAMES, DataConfig(folds=folds, fold=fold))
        assert caught.value.code == "split.fold"


@pytest.mark.parametrize("made, data", [
    (cohort, DataConfig(split="patient", folds=5)), (lambda: official("test"), DataConfig(split="official", folds=3)),
    (cohort, DataConfig(split="image", folds=4, test_fraction=0, train_fraction=0.2))])
def test_out_of_fold_is_the_validation_images_of_all_folds(made, data):
    table, labels = made()
    together = make_split(table, labels, NAMES, dataclasses.replace(data, fold=OUT_OF_FOLD))
    folds = [make_split(table, labels, NAMES, dataclasses.replace(data, fold=k)).split for k in range(data.folds)]
    assert ((together.split == "val") == np.any([split == "val" for split in folds], axis=0)).all()
    assert ((together.split == "test") == (folds[0] == "test")).all() and "train" not in together.split
    assert "each is predicted by the network that was not trained on its fold" in together.note
    assert "also in training" not in together.note


@pytest.mark.parametrize("how", ["patient", "image"])
def test_a_smaller_share_of_training_is_part_of_a_larger_one(how):
    table, labels = cohort(1500)
    whole = make_split(table, labels, NAMES, DataConfig(split=how))
    before = whole.split == "train"
    for share in (0.8, 0.5, 0.25, 0.1, 0.05):
        made = make_split(table, labels, NAMES, DataConfig(split=how, train_fraction=share))
        train = made.split == "train"
        assert (train <= before).all(), "nothing comes in that a larger share did not have"
        for part in ("val", "test"):
            assert ((made.split == part) == (whole.split == part)).all()
        assert set(made.split) == {"train", "val", "test", ""} and made.hash != whole.hash
        n = (whole.split == "train").sum()
        assert abs(train.sum() - share * n) <= 6
        assert abs(train[labels == 1].sum() - share * (whole.split[labels == 1] == "train").sum()) <= 12
        if how == "patient":
            assert not set(table["patient"][train]) & set(table["patient"][made.split == ""])
        assert f"{train.sum():,} of {n:,} training images are used ({100 * share:.3g}%)" in made.note
        before = train


def test_a_share_of_images_with_several_findings_keeps_their_frequencies():
    rng = np.random.default_rng(0)
    labels = (rng.random((4000, 6)) < [0.4, 0.3, 0.2, 0.1, 0.05, 0.03]).astype(np.int64)
    kept = stratified_subset(np.arange(4000), labels, 0.25, rng)
    assert kept.sum() == 1000
    np.testing.assert_allclose(labels[kept].mean(axis=0), labels.mean(axis=0), atol=0.02)


def test_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight
    labels = np.random.default_rng(0).choice(5, 1000, p=[0.5, 0.3, 0.1, 0.06, 0.04])
    np.testing.assert_allclose(balanced_weights(labels, 5), compute_class_weight("balanced", classes=np.arange(5), y=labels))
    np.testing.assert_allclose(balanced_weights(np.repeat([0, 1], [19_741, 13_386]), 2), [0.83904058, 1.23737487], atol=5e-9)
