"""core.metrics.evaluate: what it returns, what it notes, and what it refuses."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from core.errors import LightboxError
from core.metrics import METRICS, MULTI_LABEL, accuracy, evaluate, roc_auc
from core.metrics.confusion import majority_baseline
from core.metrics.ranking import pr_curve, roc_curve
from tests.samples import TASKS, sample


def codes(result) -> list[str]:
    return [note.code for note in result.notes]


def test_majority_of_breastmnist():
    labels = np.repeat([0, 1], [42, 114])
    assert majority_baseline(labels, 2) == (pytest.approx(0.7308, abs=1e-4), 1)
    result = evaluate(labels, np.tile([0.3, 0.7], (156, 1)), "binary-class", ["malignant", "normal, benign"])
    assert result.majority_accuracy == result.value("accuracy") == 114 / 156
    assert result.majority_class == "normal, benign" and result.value("roc_auc") == 0.5
    assert codes(result) == ["one_class_predicted", "below_majority"] and "'normal, benign'" in result.notes[1].text
    assert re.findall(r"0\.\d{3}", result.notes[1].text) == ["0.731", "0.731"] and "156" in result.notes[0].text
    assert result.value("cohen_kappa") == 0 and result.per_class[0].values["precision"] is None


def test_majority_and_evaluator_on_the_real_breastmnist(real_data):
    import medmnist
    with np.load(real_data / "medmnist" / "breastmnist.npz") as arrays:
        labels = arrays["test_labels"][:, 0].astype(np.int64)
    assert majority_baseline(labels, 2) == (114 / 156, 1)
    second = np.random.default_rng(0).random(156)
    probs = np.stack([1 - second, second], axis=1)
    auc, acc = medmnist.Evaluator("breastmnist", "test", root=str(real_data / "medmnist")).evaluate(probs)
    assert (roc_auc(labels, probs, "binary-class"), accuracy(labels, probs, "binary-class")) == pytest.approx((auc, acc))


def test_all_negative_is_the_baseline_of_several_findings():
    labels = np.zeros((50, 3), dtype=np.int64)
    labels[:4, 0] = labels[:2, 1] = labels[0, 2] = 1
    assert majority_baseline(labels, 3) == (pytest.approx(143 / 150), None)
    result = evaluate(labels, np.full((50, 3), 0.1), MULTI_LABEL, ["A", "B", "C"])
    assert codes(result) == ["collapsed", "below_majority", "precision_undefined", "few_images"]
    assert "0.953" in result.notes[1].text and "'A', 'B' and 'C'" in result.notes[2].text


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_is_whole_and_goes_into_json(task):
    labels, probs = sample(task, "smooth")
    names = [f"class {k}" for k in range(TASKS[task])]
    result = json.loads(json.dumps(evaluate(labels, probs, task, names).as_dict(), allow_nan=False))
    assert set(METRICS) <= set(result)
    assert result["n"] == 300 and len(result["per_class"]) == TASKS[task]
    assert [row["n"] for row in result["per_class"]] == list(result["n_per_class"].values())
    assert result["accuracy_interval"][0] < result["accuracy"] < result["accuracy_interval"][1]
    assert result["roc_auc_interval"][0] < result["roc_auc"] < result["roc_auc_interval"][1]
    areas = [row["roc_auc"] for row in result["per_class"]]
    assert result["roc_auc"] == pytest.approx(np.mean(areas))
    if task == "multi-class":
        assert result["notes"] == [] and np.array(result["confusion_matrix"]).sum() == 300


def test_two_hundred_classes_do_not_fill_a_page():
    labels = np.arange(200)
    found = evaluate(labels, np.eye(200), "multi-class", [f"class {k}" for k in labels])
    few = next(note.text for note in found.notes if "Fewer than" in note.text)
    assert "'class 4' and 195 more" in few and "'class 5'" not in few
    assert all(len(note.text) < 400 for note in found.notes)


def test_good_answers_need_no_note_and_shaky_ones_get_one():
    labels = np.repeat([0, 1], 60)
    good = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    good[:3] = good[:3, ::-1]
    assert evaluate(labels, good, "binary-class", ["a", "b"]).notes == ()
    shaky = good.copy()
    shaky[:55] = [0.2, 0.8]
    note = evaluate(labels, shaky, "binary-class", ["a", "b"]).notes[0]
    assert note.code == "near_majority" and "'a' (0.500)" in note.text
    assert evaluate(labels[50:], good[50:], "multi-class", ["a", "b"]).notes == ()       # ten images of a
    note = evaluate(labels[51:], good[51:], "multi-class", ["a", "b"]).notes[0]          # nine
    assert note.code == "few_images" and "'a'" in note.text


@pytest.mark.parametrize("task", ["multi-class", "ordinal-regression"])
def test_an_absent_class_leaves_the_auc_undefined_and_says_so(task):
    labels, probs = sample(task, "smooth")
    keep = labels != 2
    result = evaluate(labels[keep], probs[keep], task, list("abcde"))
    for name in ("roc_auc", "balanced_accuracy", "average_precision"):
        assert result.value(name) is result.estimates[name].low is None
    assert result.per_class[2].values["roc_auc"] is result.per_class[2].values["sensitivity"] is None
    assert result.per_class[1].values["roc_auc"] is not None
    assert "auc_undefined" in codes(result) and "'c'" in result.notes[1].text
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["roc_auc_interval"] is None


def test_one_class_only_leaves_the_binary_auc_undefined():
    result = evaluate(np.ones(20, dtype=int), np.tile([.4, .6], (20, 1)), "binary-class", ["normal", "abnormal"])
    assert result.value("roc_auc") is result.estimates["roc_auc"].interval is result.value("cohen_kappa") is None
    assert result.value("sensitivity") == 1 and result.value("specificity") is None
    assert "auc_undefined" in codes(result)
    assert roc_curve(np.ones(3, bool), np.arange(3.0)) is pr_curve(np.zeros(3, bool), np.arange(3.0)) is None


def test_a_finding_in_every_image_leaves_the_auc_undefined():
    labels, probs = sample(MULTI_LABEL, "smooth")
    labels[:, 1] = 1
    result = evaluate(labels, probs, MULTI_LABEL, list("abcd"))
    assert result.value("roc_auc") is None and codes(result) == ["auc_undefined"]


# ----------------------------------------------------------------------------------------------------------- bad input

def bad(code, labels, probs, task="multi-class", names=("a", "b", "c")):
    with pytest.raises(LightboxError) as caught:
        evaluate(np.array(labels), np.array(probs, dtype=float), task, names)
    assert caught.value.code == code and str(caught.value).endswith(".")


def test_what_does_not_fit_is_refused_in_words():
    good = [[.2, .3, .5], [.1, .8, .1]]
    bad("metrics.nan", [0, 1], [[np.nan, .5, .5], [.1, .8, .1]])
    bad("metrics.nan", [0, 1], [[np.inf, .5, .5], [.1, .8, .1]])
    bad("metrics.probs", [0, 1], [[-3, 2, 2], [.1, .8, .1]])
    bad("metrics.probs", [0, 1], [[.9, .9, .9], [.1, .8, .1]])
    bad("metrics.shape", [0, 1, 2], good)
    bad("metrics.shape", [[0], [1]], good)
    bad("metrics.shape", [0, 1], [.2, .8])
    bad("metrics.shape", [0, 1], [[.2], [.8]], "binary-class", ["a"])
    bad("metrics.shape", [0, 1], good, MULTI_LABEL)
    bad("metrics.shape", [0, 1], good, names=("a", "b"))
    bad("metrics.shape", [0, 1], good, names=("a", "b", "b"))
    bad("metrics.labels", [0, 3], good)
    bad("metrics.labels", [0, -1], good)
    bad("metrics.labels", [0.5, 1], good)
    bad("metrics.labels", [[0, 1, 2], [0, 0, 1]], good, MULTI_LABEL)
    bad("metrics.empty", np.zeros(0, int), np.zeros((0, 3)))
    bad("metrics.task", [0, 1], good, "regression")


def test_what_the_caller_holds_is_left_alone_and_half_precision_is_taken():
    labels, probs = sample("multi-class", "smooth")
    before = labels.copy(), probs.copy()
    evaluate(labels, probs, "multi-class", list("abcde"))
    assert (labels == before[0]).all() and (probs == before[1]).all()
    assert roc_auc(labels.astype(np.int32), probs.astype(np.float16), "multi-class") == pytest.approx(
        roc_auc(labels, probs, "multi-class"), abs=0.002)
