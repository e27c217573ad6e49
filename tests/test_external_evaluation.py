"""A run judged on another set: its own preprocessing and threshold, the other set's labels and patients, both
side by side."""


import cv2
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from core.datasets import open_dataset
from core.errors import LightboxError
from core.evaluation import evaluate, thresholds
from core.evaluation.class_map import NO_FINDING, guess_map, map_labels
from core.evaluation.external import MarkUse, evaluate_external
from core.evaluation.external_predictions import list_external, open_external, predict_external
from core.evaluation.likeness import FEWEST, likeness_of, nearest_similarity
from core.metrics import MULTI_LABEL
from core.metrics.estimates import estimate
from core.metrics.operating_points import Threshold
from core.runs.classifiers import classify, load_classifier
from core.runs.marks import put_mark
from tests import judged
from tests.judged import change_json
from tests.test_external import external_npz
from tests.tiny import tiny_arrays

run, trained = judged.run, judged.trained  # fixtures
FEW = {"draws": 50}


def class_folders(folder, names=("Zero", "ONE ", "other"), n=30, seed=11, size=40):
    """Images of other size in class folders; the names are read as classes. Returns images and labels in the
    order of names."""
    images, labels = tiny_arrays(n, seed=seed)
    for i, (image, label) in enumerate(zip(images, labels)):
        place = folder / (names[label] if i % 10 else names[-1])
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(
            str(place / f"{i:02}.png"), cv2.resize(image, (size, size), interpolation=cv2.INTER_NEAREST)
        )
    return images, labels


def table_set(folder, n=40, seed=5):
    """A table with patients who have two images each, and its labels."""
    images, labels = tiny_arrays(n, seed=seed)
    (folder / "images").mkdir(parents=True)
    rows = ["file,finding,patient"]
    for i, (image, label) in enumerate(zip(images, labels)):
        cv2.imwrite(str(folder / "images" / f"i{i:02}.png"), image)
        rows.append(f"i{i:02}.png,{label},p{i // 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv", labels


# -------------------------------------------------------------------------------------------- mapping classes


def test_names_that_differ_in_case_and_blanks_are_the_same_class():
    found = guess_map(("Normal ", "no_FINDING", "covid"), ("NORMAL", "No Finding", "COVID-19"))
    assert found.pairs == {"Normal ": "NORMAL", "no_FINDING": "No Finding", "covid": None}
    assert found.left_out == ("covid",) and found.missing == ("COVID-19",)
    assert len(found.sentences()) == 3 and guess_map(("a", "b"), ("a", "b")).sentences() == []


def test_what_a_person_says_comes_before_what_is_guessed():
    found = guess_map(("a", "b", "c"), ("a", "b"), {"b": "a", "c": "b", "a": ""})
    assert found.pairs == {"a": None, "b": "a", "c": "b"} and set(found.by_hand) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "theirs, ours, asked, code",
    [
        (("cat", "dog"), ("normal", "ill"), None, "map.none"),
        (("normal", "dog"), ("normal", "ill"), {"dog": "wolf"}, "map.class"),
        (("normal", "dog"), ("normal", "ill"), {"wolf": "ill"}, "map.class"),
        (("normal", "ill"), ("normal", "ill"), {"normal": "", "ill": ""}, "map.none"),
        (("Ill", "ILL"), ("ill", "IlL"), None, "map.none"),
    ],
)  # which of the two is meant is not guessed
def test_what_cannot_be_mapped_names_both_lists_and_an_example(theirs, ours, asked, code):
    with pytest.raises(LightboxError) as error:
        guess_map(theirs, ours, asked)
    said = str(error.value)
    assert (
        error.value.code == code and "--map" in said and all(repr(name) in said for name in (*theirs, *ours))
    )


def test_labels_follow_the_map():
    found = guess_map(
        ("n", "bacterial", "viral", "covid"),
        ("pneumonia", "n"),
        {"bacterial": "pneumonia", "viral": "pneumonia"},
    )
    labels, rows, left_out, columns = map_labels(np.array([0, 1, 2, 3, -1, 0]), found, "binary-class")
    assert labels.tolist() == [1, 0, 0, 1] and rows.tolist() == [0, 1, 2, 5] and columns.tolist() == [0, 1]
    assert left_out == {"covid": 1, "no label": 1}


def test_findings_become_the_one_class_that_an_image_shows():
    found = guess_map(
        ("mass", "effusion", "hernia"), ("normal", "mass", "effusion"), {"no finding": "normal"}
    )
    findings = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 1], [0, -1, 0]])
    labels, rows, left_out, _ = map_labels(findings, found, "multi-class")
    assert labels.tolist() == [1, 0, 2] and rows.tolist() == [0, 2, 4]
    assert (
        left_out == {"several classes": 1, "other findings": 1, "no label": 1} and NO_FINDING in found.pairs
    )


@pytest.mark.parametrize(
    "labels",
    [np.array([[1, 0, 1], [0, 1, 0], [-1, 0, 0], [0, 0, -1]]), np.array([0, 2, -1, 1])],
    ids=["findings", "classes"],
)
def test_of_several_findings_those_that_the_set_knows_are_judged(labels):
    found = guess_map(("mass", "cyst", "edema"), ("edema", "nodule", "mass"))
    mapped, rows, left_out, columns = map_labels(labels, found, MULTI_LABEL)
    assert columns.tolist() == [0, 2]  # edema, mass
    expected = [[1, 1], [0, 0]] if labels.ndim == 2 else [[0, 1], [1, 0], [0, 0]]
    assert mapped.tolist() == expected and rows.tolist() == ([0, 1] if labels.ndim == 2 else [0, 1, 3])
    assert left_out == {"no label": 2 if labels.ndim == 2 else 1}


# --------------------------------------------------------------------------------------------- how like it is


def test_the_nearest_is_that_of_scikit_learn(monkeypatch):
    rng = np.random.default_rng(0)
    training, images = rng.normal(size=(70, 12)), rng.normal(size=(33, 12))
    monkeypatch.setattr("core.evaluation.likeness.PIECE", 70 * 8)  # in several pieces
    distance, _ = NearestNeighbors(n_neighbors=1, metric="cosine").fit(training).kneighbors(images)
    assert np.allclose(nearest_similarity(images, training), 1 - distance[:, 0], atol=1e-6)
    assert nearest_similarity(np.zeros((1, 12)), training).tolist() == [0]


def test_one_in_twenty_of_its_own_is_unlike_by_chance():
    own = np.linspace(0.5, 1, 1000)
    assert likeness_of(own, own).share == pytest.approx(0.05, abs=0.002)
    assert likeness_of(own - 0.6, own).share == 1 and likeness_of(own, own[: FEWEST - 1]) is None


# ----------------------------------------------------------------------------------------------- a run judged


def test_the_numbers_are_those_of_each_image_dropped_on_its_own(run, tmp_path):
    images, labels = class_folders(tmp_path / "other", n=40)
    found = evaluate_external(run, str(tmp_path / "other"), {"Zero": "0", "ONE ": "1"}, **FEW)
    data = open_dataset(run.config.data)
    model = load_classifier(run.id).model
    by_name = {
        f"{i:02}": (cv2.resize(image, (40, 40), interpolation=cv2.INTER_NEAREST), label)
        for i, (image, label) in enumerate(zip(images, labels))
        if i % 10
    }
    kept = [name.split("/")[-1][:2] for name in found.judged.image_ids]
    assert sorted(kept) == sorted(by_name) and found.left_out == {"other": 4}
    probs = classify(model, [by_name[name][0][..., None] for name in kept])
    truth = [by_name[name][1] for name in kept]
    assert np.allclose(found.judged.probs, probs, atol=1e-5) and found.judged.labels.tolist() == truth
    assert found.result.value("accuracy") == accuracy_score(truth, probs.argmax(1))
    assert found.result.value("roc_auc") == pytest.approx(roc_auc_score(truth, probs[:, 1]))
    assert data.size == 28 and found.classes.left_out == ("other",)


def test_beside_it_stands_the_own_test_set_which_is_not_opened_for_it(run, tmp_path):
    path, _, _ = external_npz(tmp_path)
    first = evaluate_external(run, str(path), **FEW)
    assert first.own_split == "val" and run.times_test_opened() == 0
    own = evaluate.evaluate(run, "test")
    found = evaluate_external(run, str(path), **FEW)
    assert found.own_split == "test" and run.times_test_opened() == 1
    assert found.own.value("accuracy") == own.value("accuracy")
    gap = found.differences["accuracy"]
    assert (
        gap.value == pytest.approx(own.value("accuracy") - found.result.value("accuracy"))
        and gap.low < gap.value < gap.high
    )


def test_the_threshold_is_the_one_frozen_on_its_own_validation(run, tmp_path):
    path, _, truth = external_npz(tmp_path, n=60)
    thresholds.freeze(run, Threshold(0.9))
    found = evaluate_external(run, str(path), **FEW)
    called = found.judged.probs[:, 1] > 0.9
    assert found.result.threshold == 0.9
    assert found.result.value("sensitivity") == pytest.approx(called[truth == 1].mean())


def test_intervals_are_by_the_patients_of_the_other_set(run, tmp_path):
    path, labels = table_set(tmp_path / "t")
    found = evaluate_external(run, str(path), draws=200)
    assert found.judged.patients == tuple(f"p{i // 2}" for i in range(40))
    assert found.result.by_patient.n + found.result.by_patient.left_out == 20
    expected, _ = estimate(
        found.judged.labels,
        found.judged.probs,
        "binary-class",
        found.judged.patients,
        draws=200,
        names=["accuracy", "roc_auc"],
        each=(),
    )
    for name in expected:
        assert found.result.estimates[name].interval == expected[name].interval
    assert "patient" in found.result.estimates["accuracy"].method


def test_nothing_is_computed_twice_and_damage_is_mended(run, tmp_path, monkeypatch):
    path, _, _ = external_npz(tmp_path)
    found = evaluate_external(run, str(path), **FEW)
    (kept,) = list_external(run)
    assert kept.title == "elsewhere" and np.array_equal(kept.probs, found.predictions.probs)

    def fail(*_, **__):
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr("core.trainers.embedding.plain_features", fail)
        patch.setattr("core.runs.classifiers.load_classifier", fail)
        assert evaluate_external(run, str(path), **FEW).result.as_dict() == found.result.as_dict()
    folder = run.folder / "external" / kept.key
    for name, content in (("predictions.npz", b"PK"), ("about.json", b"[]"), ("about.json", b'{"epoch": 1}')):
        (folder / name).write_bytes(content)
        assert list_external(run) == []
        assert evaluate_external(run, str(path), **FEW).result.value("roc_auc") == found.result.value(
            "roc_auc"
        )


def test_a_set_that_changes_and_a_better_epoch_are_predicted_anew(run, tmp_path, monkeypatch):
    path, _, _ = external_npz(tmp_path)
    first = predict_external(run, open_external(run, str(path)))
    external_npz(tmp_path, seed=8)
    second = predict_external(run, open_external(run, str(path)))
    assert first.key != second.key and not np.array_equal(first.probs, second.probs)
    monkeypatch.setattr(
        "core.evaluation.external_predictions.load_external",
        lambda run, key: type(first)(**vars(first) | {"epoch": 99}),
    )
    assert predict_external(run, open_external(run, str(path))).epoch == first.epoch


def test_a_stop_keeps_what_was_computed(run, tmp_path):
    class Stop(Exception):
        pass

    def stop(sentence, done, total):
        if "nearest" in sentence:
            raise Stop

    path, _, _ = external_npz(tmp_path)
    with pytest.raises(Stop):
        evaluate_external(run, str(path), progress=stop)
    assert list_external(run) == []
    evaluate_external(run, str(path), **FEW)


def test_images_that_it_was_trained_on_are_said_aloud(run, tmp_path):
    own = open_dataset(run.config.data)
    rows = np.concatenate([own.indices("train")[:9], own.indices("test")[:3]])
    new, labels = tiny_arrays(20, seed=31)
    np.savez(
        tmp_path / "mixed.npz",
        test_images=np.concatenate([own.images[rows][..., 0], new]),
        test_labels=np.concatenate([own.labels[rows], labels]),
    )
    found = evaluate_external(run, str(tmp_path / "mixed.npz"), **FEW)
    assert found.shared == {"train": 9, "test": 3} and found.result.warnings[0].code == "shared_training"
    assert found.without_shared["accuracy"].n == 23 and found.result.n == 32
    assert not evaluate_external(run, str(external_npz(tmp_path)[0]), **FEW).shared


def test_its_own_set_is_no_test_of_it(run):
    found = evaluate_external(run, run.config.data.dataset, **FEW)
    assert [note.code for note in found.result.warnings[:2]] == ["own_set", "shared_training"]
    assert found.shared["train"] == 160 and found.result.n == len(open_dataset(run.config.data))
    of_test = evaluate_external(run, run.config.data.dataset, split="test", **FEW)
    assert of_test.shared == {"test": 40} and of_test.result.n == 40
    assert of_test.result.value("roc_auc") == evaluate.evaluate(run, "test").value("roc_auc")


def test_unlike_images_are_counted(run, tmp_path):
    images, labels = tiny_arrays(40, seed=3)
    np.savez(
        tmp_path / "inverted.npz",
        test_images=np.tile(np.arange(0, 252, 9, dtype=np.uint8), (40, 28, 1)) // 2 + images // 200,
        test_labels=labels,
    )
    like = evaluate_external(run, str(external_npz(tmp_path, n=40)[0]), **FEW)
    unlike = evaluate_external(run, str(tmp_path / "inverted.npz"), **FEW)
    assert like.likeness.share < 0.3 < 0.9 < unlike.likeness.share
    assert "unlike" in [note.code for note in unlike.result.warnings]
    assert "unlike" not in [note.code for note in like.result.warnings]


def test_more_than_8_bits_are_read_as_in_training(run, tmp_path):
    images, labels = tiny_arrays(24, seed=4)
    low, width = 20_000, 30_000
    for i, (image, label) in enumerate(zip(images, labels)):
        deep = image.astype(np.uint16) * 257
        shallow = np.clip((deep - float(low)) / width, 0, 1) * 255
        for name, pixels in (("deep", deep), ("shallow", shallow.round().astype(np.uint8))):
            (tmp_path / name / "01"[label]).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / name / "01"[label] / f"{i:02}.png"), pixels)
    expected = open_external(run, str(tmp_path / "shallow")).images.astype(int)
    change_json(run, "data", intensity="")
    plain = evaluate_external(run, str(tmp_path / "deep"), **FEW)
    assert np.abs(open_external(run, str(tmp_path / "deep")).images - expected).max() > 20
    change_json(run, "data", intensity=f"{low + width / 2:g} {width}")
    found = evaluate_external(run, str(tmp_path / "deep"), **FEW)
    assert np.abs(open_external(run, str(tmp_path / "deep")).images - expected).max() <= 1
    assert found.predictions.key != plain.predictions.key
    assert "window (centre 35,000, width 30,000)" in " ".join(found.sentences())
    assert "8 bits" not in " ".join(plain.sentences())


def test_without_the_training_images_the_rest_is_still_said(run, tmp_path):
    change_json(run, "config", **{"data.dataset": str(tmp_path / "gone.npz")})
    found = evaluate_external(run, str(external_npz(tmp_path)[0]), **FEW)
    assert found.likeness is None and found.why_not and found.result.n == 24


def test_marked_images_are_left_out_and_corrected_labels_taken(run, tmp_path):
    path, _, truth = external_npz(tmp_path)
    found = evaluate_external(run, str(path), **FEW)
    first, second, third = found.judged.image_ids[:3]
    put_mark(str(path), first, "unclear")
    put_mark(str(path), second, "mislabelled", label=str(1 - truth[1]))
    put_mark(str(path), third, "mislabelled")
    out = evaluate_external(run, str(path), marks=MarkUse(("mislabelled", "unclear")), **FEW)
    assert out.result.n == 21 and out.left_out == {"marked": 3}
    right = evaluate_external(run, str(path), marks=MarkUse(("mislabelled",), correct=True), **FEW)
    assert (
        right.result.n == 23 and right.judged.labels[1] == 1 - truth[1] and right.judged.labels[0] == truth[0]
    )
    assert found.result.n == evaluate_external(run, str(path), **FEW).result.n == 24


def test_a_set_without_labels_is_not_judged(run, tmp_path):
    with pytest.raises(LightboxError) as error:
        evaluate_external(run, str(external_npz(tmp_path, labels=False)[0]))
    assert error.value.code == "external.no_labels"
    preds = predict_external(run, open_external(run, str(tmp_path / "elsewhere.npz")))
    assert not preds.has_labels and preds.probs.shape == (24, 2)
