"""core.metrics.with_intervals, .groups, .baselines and .alarms, and what core.evaluation.evaluate makes of them for a run."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from medmnist.evaluator import getACC, getAUC
from statsmodels.stats.proportion import proportion_confint

from core.datasets import open_dataset
from core.errors import LightboxError
from core.evaluation import baselines, thresholds, warnings
from core.evaluation.evaluate import LOGISTIC, data_at_hand, evaluate, judge, predict_split, predictions, with_people
from core.metrics import METRICS, MULTI_LABEL, measure, with_intervals
from core.metrics.groups import breakdown, by_group, judge_groups
from core.metrics.ranking import auc_interval
from tests import judged
from tests.judged import plant
from tests.test_metrics import TASKS, every, sample
from tests.tiny import tiny_config, tiny_npz

run, trained = judged.run, judged.trained          # fixtures


# ------------------------------------------------------------------------------------------------------------- measures

@every
def test_every_measure_has_its_value_interval_and_numbers(task, kind):
    labels, probs = sample(task, kind)
    threshold = 0.5 if task not in ("binary-class", MULTI_LABEL) else 0.4
    cells, of_classes = with_intervals.judge(labels, probs, task, np.arange(300) // 2, threshold=threshold, draws=60)
    json.dumps([cells, of_classes], allow_nan=False)
    plain = measure(labels, probs, task, threshold)
    assert list(cells) == [*METRICS, "medmnist_auc", "medmnist_acc"] and len(of_classes) == TASKS[task]
    for name, value in plain.items():
        one = cells[name]
        assert one["value"] == value and one["n"] == 300, name
        if value is not None:
            assert one["low"] < value < one["high"] and one["interval"] in ("Wilson, by patient", "bootstrap by patient"), name
    assert cells["medmnist_auc"]["value"] == pytest.approx(getAUC(labels, probs, task), abs=1e-12)
    assert cells["medmnist_acc"]["value"] == pytest.approx(getACC(labels, probs, task), abs=1e-12)
    positive = (labels == 1).sum() if task == "binary-class" else labels.any(axis=1).sum() if task == MULTI_LABEL else None
    assert {one["n_positive"] for one in cells.values()} == {positive}
    for k, row in enumerate(of_classes):
        true = labels[:, k] if task == MULTI_LABEL else labels == k
        assert {one["n_positive"] for one in row.values()} == {true.sum()}
        assert row["roc_auc"]["value"] == pytest.approx(sk.roc_auc_score(true, probs[:, k]))


def test_shares_of_independent_images_have_wilsons_interval_as_statsmodels_gives_it():
    labels, probs = sample("binary-class", "smooth", n=200)
    cells, (_, of_one) = with_intervals.judge(labels, probs, "binary-class", draws=30)
    answers = probs[:, 1] > 0.5
    asked = {"accuracy": (answers == labels), "sensitivity": answers[labels == 1], "specificity": ~answers[labels == 0],
             "precision": labels[answers] == 1, "npv": labels[~answers] == 0}
    for name, right in asked.items():
        for one in (cells[name], of_one[name]):
            assert (one["k"], one["of"], one["interval"]) == (right.sum(), len(right), "Wilson")
            assert one["value"] == pytest.approx(right.mean())
            assert (one["low"], one["high"]) == pytest.approx(proportion_confint(right.sum(), len(right), method="wilson"),
                                                              abs=1e-7)
    assert cells["roc_auc"]["interval"] == cells["f1"]["interval"] == "bootstrap by image"
    by_patient, _ = with_intervals.judge(labels, probs, "binary-class", [str(i) for i in range(200)], draws=30)
    assert by_patient == cells                                          # a patient an image: they are the same
    several, _ = with_intervals.judge(*sample("multi-class", "smooth"), "multi-class", each=(), draws=30)
    assert several["sensitivity"]["interval"] == "bootstrap by image"   # a mean over classes is no share
    assert several["accuracy"]["interval"] == several["micro_f1"]["interval"] == "Wilson"


def test_medmnists_accuracy_cuts_at_one_half_whatever_the_threshold():
    for task, threshold in (("binary-class", 0.8), (MULTI_LABEL, np.full(4, 0.8))):
        labels, probs = sample(task, "smooth")
        cells, _ = with_intervals.judge(labels, probs, task, each=(), threshold=threshold, draws=30)
        assert cells["medmnist_acc"]["value"] == pytest.approx(getACC(labels, probs, task))
        assert cells["medmnist_acc"]["low"] < cells["medmnist_acc"]["value"] < cells["medmnist_acc"]["high"]
        scores = probs if task == MULTI_LABEL else probs[:, 1]
        assert cells["accuracy"]["value"] == pytest.approx(((scores > 0.8) == labels).mean())


def test_where_nothing_can_be_said_nothing_is():
    labels = np.repeat([0, 1], [30, 50])
    perfect = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    cells, of_classes = with_intervals.judge(labels, perfect, "binary-class", draws=50)
    assert (cells["roc_auc"]["value"], cells["roc_auc"]["interval"]) == (1, "Newcombe")
    assert (cells["roc_auc"]["low"], cells["roc_auc"]["high"]) == auc_interval(labels[:, None] == 1, perfect[:, 1:])
    assert of_classes[0]["roc_auc"]["interval"] == "Newcombe"
    assert cells["cohen_kappa"]["value"] == 1 and cells["cohen_kappa"]["low"] is cells["cohen_kappa"]["interval"] is None
    one, _ = with_intervals.judge(np.ones(20, int), np.tile([0.2, 0.8], (20, 1)), "binary-class", draws=50)
    assert one["roc_auc"]["value"] is one["specificity"]["value"] is one["specificity"]["low"] is None
    assert one["specificity"]["of"] == 0 and one["sensitivity"]["low"] > 0.8


# --------------------------------------------------------------------------------------------- studies, patients, columns

def test_the_views_of_a_study_are_averaged_as_mura_does():
    labels = np.array([1, 1, 0, 0, 0, 1, 1])
    probs = np.array([0.9, 0.2, 0.1, 0.6, 0.4, 0.3, 0.4])
    studies = ["a", "a", "b", "b", "", "", "c"]
    grouped = by_group(labels, np.stack([1 - probs, probs], axis=1), studies)
    found = dict(zip(grouped.groups, zip(grouped.labels, grouped.probs[:, 1], grouped.sizes)))
    assert found["a"] == (1, pytest.approx(0.55), 2) and found["b"] == (0, pytest.approx(0.35), 2) and len(grouped.labels) == 5
    judged = judge_groups(labels, np.stack([1 - probs, probs], axis=1), "binary-class", studies, "study", draws=50)
    answers = (grouped.probs[:, 1] > 0.5).astype(int)
    assert judged["n"] == 5 and judged["images"] == 7 and judged["left_out"] == 0
    assert judged["cohen_kappa"]["value"] == pytest.approx(sk.cohen_kappa_score(grouped.labels, answers))
    assert judged["accuracy"]["k"] == 3 and judged["accuracy"]["of"] == 5
    assert judge_groups(labels, np.stack([1 - probs, probs], axis=1), "binary-class", list("abcdefg")) is None


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
    by_patient = judge_groups(labels, probs, "binary-class", studies.astype(str), "study", patients, draws=80)
    alone = judge_groups(labels, probs, "binary-class", studies.astype(str), "study", draws=80)
    assert by_patient["roc_auc"]["interval"] == "bootstrap by patient" and alone["roc_auc"]["interval"] == "bootstrap by study"
    assert by_patient["roc_auc"]["value"] == alone["roc_auc"]["value"]
    assert by_patient["accuracy"]["interval"] == "Wilson, by patient" and alone["accuracy"]["interval"] == "Wilson"


def test_a_breakdown_judges_each_value_by_itself():
    labels, probs = sample("binary-class", "smooth")
    parts = np.array(["wrist", "wrist", "hand", ""])[np.arange(300) % 4]
    rows = breakdown(labels, probs, "binary-class", parts, draws=50)
    assert [row["group"] for row in rows] == ["wrist", "", "hand"] and [row["n"] for row in rows] == [150, 75, 75]
    for row in rows:
        of = parts == row["group"]
        assert row["n_positive"] == labels[of].sum() and row["majority_accuracy"] == max(labels[of].mean(), 1 - labels[of].mean())
        assert row["roc_auc"]["value"] == pytest.approx(sk.roc_auc_score(labels[of], probs[of, 1]))
        assert row["accuracy"]["low"] < row["accuracy"]["value"] < row["accuracy"]["high"]


# ------------------------------------------------------------------------------------------------------------- baselines

def _opened(tmp_path, **changes):
    return open_dataset(tiny_config(tiny_npz(tmp_path, n=120), **changes).data)


def test_the_logistic_baseline_is_scikit_learns_on_small_images(tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    data = _opened(tmp_path)
    train, val = data.indices("train"), data.indices("val")
    scaler = StandardScaler().fit(baselines.small(data.images, train))
    model = LogisticRegression(C=baselines.STRENGTH, max_iter=500).fit(scaler.transform(baselines.small(data.images, train)),
                                                                      data.labels[train])
    found = baselines.logistic_baseline(data, "val")
    assert found.shape == (len(val), 2) and abs(found.sum(axis=1) - 1).max() < 1e-6
    np.testing.assert_allclose(found, model.predict_proba(scaler.transform(baselines.small(data.images, val))), atol=0.02)
    assert (baselines.small(data.images, val)[0].reshape(16, 16)[4:12, 4:12].mean()
            == pytest.approx(data.images[val[0]][7:21, 7:21].mean() / 255, abs=0.02))


def test_the_baseline_is_fitted_once_for_these_images_and_this_split(tmp_path, monkeypatch):
    data, fits = _opened(tmp_path), []
    fit = baselines._fit
    monkeypatch.setattr(baselines, "_fit", lambda data: fits.append(1) or fit(data))
    about = {"fingerprint": data.fingerprint, "split_hash": data.split_hash, "target": data.target}
    assert baselines.kept_baseline(about, "val") is None
    first = baselines.logistic_baseline(data, "val")
    assert (baselines.logistic_baseline(data, "val") == first).all() and (baselines.kept_baseline(about, "val") == first).all()
    assert len(baselines.logistic_baseline(data, "test")) == len(data.indices("test")) and len(fits) == 1
    assert baselines.kept_baseline(about | {"split_hash": "another"}, "val") is baselines.kept_baseline({}, "val") is None
    for path in baselines._path(about).parent.glob("*.npz"):
        path.write_bytes(b"damaged")
    assert (baselines.logistic_baseline(data, "val") == first).all() and len(fits) == 2


def test_baselines_of_several_classes_and_findings(tmp_path):
    data = _opened(tmp_path)
    r, rows = np.random.default_rng(0), len(data)
    for task, labels in (("multi-class", r.integers(0, 2, rows) * 2), (MULTI_LABEL, (r.random((rows, 3)) < [0.5, 0.2, 0.0]) * 1)):
        probs = baselines.logistic_baseline(replace(data, task=task, labels=labels, class_names=tuple("abc"), target=task), "val")
        assert probs.shape == (len(data.indices("val")), 3) and np.isfinite(probs).all()
        absent = probs[:, 1] if task == "multi-class" else probs[:, 2]
        assert absent.max() < 0.02                            # what no training image shows
    assert baselines.logistic_baseline(replace(data, labels=np.zeros(rows, int), target="one"), "val") is None


# ---------------------------------------------------------------------------------------------------------------- alarms

def _result(**changes) -> dict:
    one = {"value": 0.8, "low": 0.75, "high": 0.85}
    return {"task": "binary-class", "notes": [], "baselines": [{"name": "majority"}],
            "measures": {"roc_auc": one, "accuracy": one},
            "majority_accuracy": 0.6, "majority_class": "normal", "accuracy": 0.8, "epoch": 4} | changes


def test_a_sound_result_has_no_alarm():
    assert warnings.alarms(_result(), epochs=9, validation={"roc_auc": {"value": 0.84, "low": 0.78, "high": 0.9}},
                                times_opened=1) == []


@pytest.mark.parametrize("changes, more, said", [
    ({"notes": ["Every image got the same answer."]}, {}, "Every image"),
    ({"epoch": 1}, {"epochs": 12}, "The best epoch is the first of 12"),
    ({}, {"times_opened": 5}, "The test set was opened 5 times"),
    ({}, {"validation": {"roc_auc": {"value": 0.95, "low": 0.93, "high": 0.97}}},
     "ROC AUC 0.950 (0.930 to 0.970) on validation, 0.800 (0.750 to 0.850) on test"),
    ({"task": MULTI_LABEL, "majority_accuracy": 0.953, "accuracy": 0.951}, {}, 'The accuracy (0.951) says little: 95.3 % of all'),
    ({"majority_accuracy": 0.92}, {}, "92.0 % of the images are 'normal'"),
    ({"baselines": [{"name": "majority"}, {"name": LOGISTIC, "roc_auc": 0.81}]}, {},
     "its ROC AUC is 0.810, that of the network 0.800"),
])
def test_each_alarm_is_a_sentence_with_its_numbers(changes, more, said):
    sentence, = warnings.alarms(_result(**changes), **more)
    assert said in sentence and sentence.endswith(".")


def test_what_chance_explains_is_no_alarm():
    near = {"roc_auc": {"value": 0.86, "low": 0.8, "high": 0.9}}                # 0.06 apart, and each is uncertain by as much
    assert warnings.alarms(_result(), validation=near) == []
    assert warnings.alarms(_result(), validation={"roc_auc": {"value": 0.9, "low": None, "high": None}}) == []
    lucky = {"roc_auc": {"value": 0.7, "low": 0.69, "high": 0.71}}              # test is better than validation
    assert warnings.alarms(_result(epoch=1), epochs=1, validation=lucky) == []


# ----------------------------------------------------------------------------------------------------------------- a run

def test_a_run_is_judged_with_baselines_alarms_and_its_threshold(run):
    result = evaluate(run, "val")
    json.dumps(result, allow_nan=False)
    found = predictions(run, "val")
    assert result["threshold"] == 0.5 and set(METRICS) | {"medmnist_auc", "medmnist_acc"} == set(result["measures"])
    assert {name: one["value"] for name, one in result["measures"].items() if name in METRICS} == {
        name: result[name] for name in METRICS} == measure(found.labels, found.probs, "binary-class")
    assert [base["name"] for base in result["baselines"]] == ["majority", LOGISTIC]
    logistic = baselines.logistic_baseline(data_at_hand(run), "val")
    assert result["baselines"][1]["roc_auc"] == pytest.approx(sk.roc_auc_score(found.labels, logistic[:, 1]))
    assert result["by_study"] is result["by_patient"] is None and found.patients is None        # an .npz knows no patients
    assert [row["measures"]["roc_auc"]["value"] for row in result["per_class"]] == [row["roc_auc"] for row in result["per_class"]]
    for key in ("accuracy", "roc_auc"):
        assert result[f"{key}_interval"] in ([result["measures"][key]["low"], result["measures"][key]["high"]], None)
    thresholds.freeze(run, thresholds.Threshold(0.8))
    again = judge(run, "val", found)
    assert again["threshold"] == 0.8 and again["measures"]["sensitivity"]["value"] == pytest.approx(
        (found.probs[found.labels == 1, 1] > 0.8).mean())
    assert again["baselines"] == result["baselines"]                                            # kept, though no set was given


def test_opening_test_is_counted_and_said_and_judging_what_is_stored_is_not(run):
    for times in (1, 2, 3):
        result = evaluate(run, "test")
        assert result["times_test_opened"] == times
        assert any(f"opened {times} times" in sentence for sentence in result["alarms"]) == (times > 1)
    judge(run, "test", predictions(run, "test"))
    assert run.times_test_opened() == 3


def test_other_images_than_it_was_trained_with_are_not_answered(run):
    about = json.loads((run.folder / "data.json").read_text())
    (run.folder / "data.json").write_text(json.dumps(about | {"split_hash": "of other images"}))
    with pytest.raises(LightboxError) as fault:
        predict_split(run, "test")
    assert fault.value.code == "run.data_changed" and predictions(run, "test") is None


def test_patients_and_studies_are_stored_with_the_answers(run):
    data = data_at_hand(run)
    rows = np.arange(len(data))
    table = data.table.assign(patient=[f"P{i // 4}" for i in rows], study=[f"{i // 2 % 2}" for i in rows])
    predict_split(run, "val", replace(data, table=table))
    found = predictions(run, "val")
    places = data.indices("val")
    assert found.patients == tuple(f"P{i // 4}" for i in places)
    assert found.studies == tuple(f"P{i // 4}/{i // 2 % 2}" for i in places)                   # of a patient's own
    found = replace(found, labels=np.array([i // 4 % 2 for i in places]))
    result = judge(run, "val", found, draws=60)
    assert result["by_patient"]["n"] == len(set(found.patients)) and result["by_study"]["n"] == len(set(found.studies))
    assert result["measures"]["roc_auc"]["interval"] in ("bootstrap by patient", "Newcombe")
    predict_split(run, "test", data)                                                           # the other split keeps its own
    assert predictions(run, "val").patients == found.patients and predictions(run, "test").patients is None


def test_answers_from_before_patients_were_stored_get_them_from_the_open_set(run):
    plant(run, "val", np.array([0, 1] * 20), np.tile([0.4, 0.6], (40, 1)))
    old, data = predictions(run, "val"), data_at_hand(run)
    assert old.patients is old.studies is None
    table = data.table.assign(patient=["A" if i % 3 else "" for i in range(len(data))])
    known = with_people(old, replace(data, table=table))
    assert known.patients == tuple("A" if i % 3 else "" for i in data.indices("val")) and known.studies is None
    strange = with_people(replace(old, image_ids=["nobody"] + old.image_ids[1:]), replace(data, table=table))
    assert strange.patients == ("", *known.patients[1:])
    assert with_people(old, data).patients is None
