"""core.metrics.estimates and .groups: values, intervals and counts against scikit-learn, statsmodels and the
medmnist evaluator."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from medmnist.evaluator import getACC, getAUC
from statsmodels.stats.proportion import proportion_confint

from core.metrics import METRICS, MULTI_LABEL, estimate, measure
from core.metrics.groups import breakdown, by_group, evaluate_groups
from core.metrics.intervals import auc_interval
from tests.samples import TASKS, every, sample


@every
def test_every_measure_has_its_value_interval_and_numbers(task, kind):
    labels, probs = sample(task, kind)
    threshold = 0.5 if task not in ("binary-class", MULTI_LABEL) else 0.4
    found, per_class = estimate(labels, probs, task, np.arange(300) // 2, threshold=threshold, draws=60)
    plain = measure(labels, probs, task, threshold)
    assert list(found) == [*METRICS, "medmnist_auc", "medmnist_acc"] and len(per_class) == TASKS[task]
    for name, value in plain.items():
        one = found[name]
        assert one.value == value and one.n == 300, name
        if value is not None:
            assert one.low < value < one.high and one.method in ("Wilson, by patient", "bootstrap by patient"), name
    assert found["medmnist_auc"].value == pytest.approx(getAUC(labels, probs, task), abs=1e-12)
    assert found["medmnist_acc"].value == pytest.approx(getACC(labels, probs, task), abs=1e-12)
    positive = (labels == 1).sum() if task == "binary-class" else labels.any(axis=1).sum() if task == MULTI_LABEL else None
    assert {one.n_positive for one in found.values()} == {positive}
    for k, row in enumerate(per_class):
        true = labels[:, k] if task == MULTI_LABEL else labels == k
        assert {one.n_positive for one in row.values()} == {true.sum()}
        assert row["roc_auc"].value == pytest.approx(sk.roc_auc_score(true, probs[:, k]))


def test_shares_of_independent_images_have_wilsons_interval_as_statsmodels_gives_it():
    labels, probs = sample("binary-class", "smooth", n=200)
    found, (_, of_one) = estimate(labels, probs, "binary-class", draws=30)
    preds = probs[:, 1] > 0.5
    asked = {"accuracy": (preds == labels), "sensitivity": preds[labels == 1], "specificity": ~preds[labels == 0],
             "precision": labels[preds] == 1, "npv": labels[~preds] == 0}
    for name, right in asked.items():
        for one in (found[name], of_one[name]):
            assert (one.k, one.of, one.method) == (right.sum(), len(right), "Wilson")
            assert one.value == pytest.approx(right.mean())
            assert (one.low, one.high) == pytest.approx(proportion_confint(right.sum(), len(right), method="wilson"),
                                                              abs=1e-7)
    assert found["roc_auc"].method == found["f1"].method == "bootstrap by image"
    by_patient, _ = estimate(labels, probs, "binary-class", [str(i) for i in range(200)], draws=30)
    assert by_patient == found                                          # a patient an image: they are the same
    several, _ = estimate(*sample("multi-class", "smooth"), "multi-class", each=(), draws=30)
    assert several["sensitivity"].method == "bootstrap by image"   # a mean over classes is no share
    assert several["accuracy"].method == several["micro_f1"].method == "Wilson"


def test_medmnists_accuracy_cuts_at_one_half_whatever_the_threshold():
    for task, threshold in (("binary-class", 0.8), (MULTI_LABEL, np.full(4, 0.8))):
        labels, probs = sample(task, "smooth")
        found, _ = estimate(labels, probs, task, each=(), threshold=threshold, draws=30)
        assert found["medmnist_acc"].value == pytest.approx(getACC(labels, probs, task))
        assert found["medmnist_acc"].low < found["medmnist_acc"].value < found["medmnist_acc"].high
        scores = probs if task == MULTI_LABEL else probs[:, 1]
        assert found["accuracy"].value == pytest.approx(((scores > 0.8) == labels).mean())


def test_where_nothing_can_be_said_nothing_is():
    labels = np.repeat([0, 1], [30, 50])
    perfect = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    found, per_class = estimate(labels, perfect, "binary-class", draws=50)
    assert (found["roc_auc"].value, found["roc_auc"].method) == (1, "Newcombe")
    assert (found["roc_auc"].low, found["roc_auc"].high) == auc_interval(labels[:, None] == 1, perfect[:, 1:])
    assert per_class[0]["roc_auc"].method == "Newcombe"
    assert found["cohen_kappa"].value == 1 and found["cohen_kappa"].low is found["cohen_kappa"].method is None
    one, _ = estimate(np.ones(20, int), np.tile([0.2, 0.8], (20, 1)), "binary-class", draws=50)
    assert one["roc_auc"].value is one["specificity"].value is one["specificity"].low is None
    assert one["specificity"].of == 0 and one["sensitivity"].low > 0.8


# --------------------------------------------------------------------------------------------- studies, patients, columns

def test_the_views_of_a_study_are_averaged_as_mura_does():
    labels = np.array([1, 1, 0, 0, 0, 1, 1])
    probs = np.array([0.9, 0.2, 0.1, 0.6, 0.4, 0.3, 0.4])
    studies = ["a", "a", "b", "b", "", "", "c"]
    grouped = by_group(labels, np.stack([1 - probs, probs], axis=1), studies)
    found = dict(zip(grouped.groups, zip(grouped.labels, grouped.probs[:, 1], grouped.sizes)))
    assert found["a"] == (1, pytest.approx(0.55), 2) and found["b"] == (0, pytest.approx(0.35), 2) and len(grouped.labels) == 5
    judged = evaluate_groups(labels, np.stack([1 - probs, probs], axis=1), "binary-class", studies, "study", draws=50)
    preds = (grouped.probs[:, 1] > 0.5).astype(int)
    assert judged.n == 5 and judged.images == 7 and judged.left_out == 0
    assert judged.estimates["cohen_kappa"].value == pytest.approx(sk.cohen_kappa_score(grouped.labels, preds))
    assert judged.estimates["accuracy"].k == 3 and judged.estimates["accuracy"].of == 5
    assert evaluate_groups(labels, np.stack([1 - probs, probs], axis=1), "binary-class", list("abcdefg")) is None


def test_the_maximum_is_that_of_the_positive_class():
    labels, studies = np.array([1, 1, 0, 0, 1]), ["a", "a", "b", "b", "c"]
    positive = np.array([0.9, 0.2, 0.1, 0.6, 0.3])
    probs = np.stack([1 - positive, positive], axis=1)
    found = by_group(labels, probs, studies, "max")
    np.testing.assert_allclose(found.probs, [[0.1, 0.9], [0.4, 0.6], [0.7, 0.3]])
    turned = by_group(labels, probs, studies, "max", positive=0)
    np.testing.assert_allclose(turned.probs, [[0.8, 0.2], [0.9, 0.1], [0.7, 0.3]])
    judged = evaluate_groups(labels, probs, "binary-class", studies, "study", draws=50, pool="max")
    assert judged.estimates["accuracy"].k == 1 and judged.as_dict()["pool"] == "max"
    assert judged.estimates["roc_auc"].value == pytest.approx(sk.roc_auc_score([1, 0, 1], [0.9, 0.6, 0.3]))


@pytest.mark.parametrize("task", ["multi-class", MULTI_LABEL])
def test_the_maximum_of_several_classes_is_a_loop_over_the_groups(task):
    labels, probs = sample(task, "smooth", n=60)
    names = (np.arange(60) // 3).astype(str)
    labels = labels[np.arange(60) // 3 * 3]
    found = by_group(labels, probs, names, "max")
    for name, row in zip(found.groups, found.probs):
        highest = probs[names == name].max(axis=0)
        np.testing.assert_allclose(row, highest if task == MULTI_LABEL else highest / highest.sum())


def test_a_group_whose_images_have_different_labels_is_left_out():
    labels, probs = sample(MULTI_LABEL, "smooth", n=40)
    labels[1] = labels[0]
    labels[3] = 1 - labels[2]
    grouped = by_group(labels, probs, ["x", "x", "y", "y", *map(str, range(36))])
    assert len(grouped.labels) == 37 and grouped.left_out == 1 and "y" not in grouped.groups
    place = list(grouped.groups).index("x")
    np.testing.assert_allclose(grouped.probs[place], probs[:2].mean(axis=0))
    assert (grouped.labels[place] == labels[0]).all() and grouped.sizes[place] == 2


def test_intervals_of_studies_know_their_patients():
    labels, probs = sample("binary-class", "smooth", n=240)
    studies, patients = np.arange(240) // 2, np.repeat(np.arange(12), 20).astype(str)
    labels = labels[studies * 2]
    by_patient = evaluate_groups(labels, probs, "binary-class", studies.astype(str), "study", patients, draws=80)
    alone = evaluate_groups(labels, probs, "binary-class", studies.astype(str), "study", draws=80)
    assert by_patient.estimates["roc_auc"].method == "bootstrap by patient"
    assert alone.estimates["roc_auc"].method == "bootstrap by study"
    assert by_patient.estimates["roc_auc"].value == alone.estimates["roc_auc"].value
    assert by_patient.estimates["accuracy"].method == "Wilson, by patient" and alone.estimates["accuracy"].method == "Wilson"


def test_a_breakdown_judges_each_value_by_itself():
    labels, probs = sample("binary-class", "smooth")
    parts = np.array(["wrist", "wrist", "hand", ""])[np.arange(300) % 4]
    rows = breakdown(labels, probs, "binary-class", parts, draws=50)
    assert [row.group for row in rows] == ["wrist", "", "hand"] and [row.n for row in rows] == [150, 75, 75]
    for row in rows:
        of = parts == row.group
        assert row.n_positive == labels[of].sum() and row.majority_accuracy == max(labels[of].mean(), 1 - labels[of].mean())
        assert row.estimates["roc_auc"].value == pytest.approx(sk.roc_auc_score(labels[of], probs[of, 1]))
        assert row.estimates["accuracy"].low < row.estimates["accuracy"].value < row.estimates["accuracy"].high
