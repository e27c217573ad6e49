"""Baselines and warnings, and what core.evaluation.evaluate makes of a run's predictions."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk

from core.datasets import open_dataset
from core.errors import LightboxError
from core.evaluation import baselines, thresholds
from core.evaluation.evaluate import evaluate, evaluate_predictions
from core.evaluation.predictions import load_predictions, predict_split, ready_dataset, with_patients
from core.evaluation.run_evaluation import LOGISTIC, Baseline, RunEvaluation
from core.evaluation.warnings import warnings_of
from core.metrics import METRICS, MULTI_LABEL, Estimate, measure
from core.metrics.evaluation import Note
from core.metrics.operating_points import Threshold
from tests import judged
from tests.judged import plant
from tests.tiny import tiny_config, tiny_npz

run, trained = judged.run, judged.trained          # fixtures


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


# -------------------------------------------------------------------------------------------------------------- warnings

ONE = Estimate(0.8, 0.75, 0.85)


def result_of(accuracy: float = 0.8, **changes) -> RunEvaluation:
    sound = {"task": "binary-class", "class_names": ("normal", "abnormal"), "threshold": 0.5, "n": 200, "per_class": (),
             "estimates": {"roc_auc": ONE, "accuracy": replace(ONE, value=accuracy)}, "confusion_matrix": np.eye(2),
             "majority_accuracy": 0.6, "majority_class": "normal", "epoch": 4, "times_test_opened": 1}
    return RunEvaluation(**sound | changes)


def baseline(name: str, roc_auc: float) -> Baseline:
    return Baseline(name, 0.6, roc_auc, 0.1, None)


def test_a_sound_result_has_no_warning():
    sound = result_of(validation={"roc_auc": Estimate(0.84, 0.78, 0.9)}, baselines=(baseline(LOGISTIC, 0.7),))
    assert warnings_of(sound, epochs=9) == []


@pytest.mark.parametrize("code, numbers, changes, epochs", [
    ("one_class_predicted", "40", {"notes": (Note("one_class_predicted", "All 40 images are predicted as 'a'."),)}, 4),
    ("first_is_best", "12", {"epoch": 1}, 12),
    ("opened_often", "5", {"times_test_opened": 5}, 4),
    ("far_from_test", "0.950 0.930 0.970 0.800 0.750 0.850", {"validation": {"roc_auc": Estimate(0.95, 0.93, 0.97)}}, 4),
    ("imbalanced", "0.951 95.3 0.953", {"task": MULTI_LABEL, "majority_accuracy": 0.953, "accuracy": 0.951}, 4),
    ("imbalanced", "0.800 92.0 0.920", {"majority_accuracy": 0.92}, 4),
    ("below_baseline", "16 16 0.800 0.810", {"baselines": (baseline("majority", 0.5), baseline(LOGISTIC, 0.81))}, 4),
])
def test_each_warning_has_its_numbers(code, numbers, changes, epochs):
    warning, = warnings_of(result_of(**changes), epochs=epochs)
    assert warning.code == code and re.findall(r"\d+(?:\.\d+)?", warning.text) == numbers.split() and warning.text.endswith(".")


def test_what_chance_explains_needs_no_warning():
    near = Estimate(0.86, 0.8, 0.9)                                             # 0.06 apart, and each is uncertain by as much
    lucky = Estimate(0.7, 0.69, 0.71)                                           # test is better than validation
    for validation in (near, Estimate(0.9), lucky):
        assert warnings_of(result_of(epoch=1, validation={"roc_auc": validation}), epochs=1) == []


# ----------------------------------------------------------------------------------------------------------------- a run

def test_a_run_is_evaluated_with_baselines_warnings_and_its_threshold(run):
    result = evaluate(run, "val")
    stored = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert set(stored) >= {*METRICS, "task", "class_names", "n", "n_per_class", "accuracy_interval", "roc_auc_interval", "notes",
                           "majority_accuracy", "majority_class", "per_class", "confusion_matrix", "run", "split", "epoch",
                           "threshold", "measures", "by_study", "by_patient", "baselines", "alarms"}
    preds = load_predictions(run, "val")
    assert result.threshold == 0.5 and set(METRICS) | {"medmnist_auc", "medmnist_acc"} == set(result.estimates)
    assert {name: result.value(name) for name in METRICS} == {
        name: stored[name] for name in METRICS} == measure(preds.labels, preds.probs, "binary-class")
    assert [base.name for base in result.baselines] == ["majority", LOGISTIC]
    logistic = baselines.logistic_baseline(ready_dataset(run), "val")
    assert result.baselines[1].roc_auc == pytest.approx(sk.roc_auc_score(preds.labels, logistic[:, 1]))
    assert result.by_study is result.by_patient is None and preds.patients is None        # an .npz knows no patients
    assert [row["measures"]["roc_auc"]["value"] for row in stored["per_class"]] == [
        row["roc_auc"] for row in stored["per_class"]] == [one.values["roc_auc"] for one in result.per_class]
    for key in ("accuracy", "roc_auc"):
        assert stored[f"{key}_interval"] in ([stored["measures"][key]["low"], stored["measures"][key]["high"]], None)
    thresholds.freeze(run, Threshold(0.8))
    again = evaluate_predictions(run, "val", preds)
    assert again.threshold == 0.8 and again.value("sensitivity") == pytest.approx(
        (preds.probs[preds.labels == 1, 1] > 0.8).mean())
    assert again.baselines == result.baselines                                            # kept, though no set was given


def test_opening_test_is_counted_and_warned_of_and_evaluating_what_is_stored_is_not(run):
    for times in (1, 2, 3):
        result = evaluate(run, "test")
        assert result.times_test_opened == times
        assert any(one.code == "opened_often" and f"{times} times" in one.text for one in result.warnings) == (times > 1)
    evaluate_predictions(run, "test", load_predictions(run, "test"))
    assert run.times_test_opened() == 3


def test_other_images_than_it_was_trained_with_are_not_answered(run):
    about = json.loads((run.folder / "data.json").read_text())
    (run.folder / "data.json").write_text(json.dumps(about | {"split_hash": "of other images"}))
    with pytest.raises(LightboxError) as fault:
        predict_split(run, "test")
    assert fault.value.code == "run.data_changed" and load_predictions(run, "test") is None


def test_patients_and_studies_are_stored_with_the_answers(run):
    data = ready_dataset(run)
    rows = np.arange(len(data))
    table = data.table.assign(patient=[f"P{i // 4}" for i in rows], study=[f"{i // 2 % 2}" for i in rows])
    predict_split(run, "val", replace(data, table=table))
    preds = load_predictions(run, "val")
    places = data.indices("val")
    assert preds.patients == tuple(f"P{i // 4}" for i in places)
    assert preds.studies == tuple(f"P{i // 4}/{i // 2 % 2}" for i in places)                   # of a patient's own
    preds = replace(preds, labels=np.array([i // 4 % 2 for i in places]))
    result = evaluate_predictions(run, "val", preds, draws=60)
    assert result.by_patient.n == len(set(preds.patients)) and result.by_study.n == len(set(preds.studies))
    assert result.estimates["roc_auc"].method in ("bootstrap by patient", "Newcombe")
    predict_split(run, "test", data)                                                           # the other split keeps its own
    assert load_predictions(run, "val").patients == preds.patients and load_predictions(run, "test").patients is None


def test_predictions_from_before_patients_were_stored_get_them_from_the_open_set(run):
    plant(run, "val", np.array([0, 1] * 20), np.tile([0.4, 0.6], (40, 1)))
    old, data = load_predictions(run, "val"), ready_dataset(run)
    assert old.patients is old.studies is None
    table = data.table.assign(patient=["A" if i % 3 else "" for i in range(len(data))])
    known = with_patients(old, replace(data, table=table))
    assert known.patients == tuple("A" if i % 3 else "" for i in data.indices("val")) and known.studies is None
    strange = with_patients(replace(old, image_ids=["nobody"] + old.image_ids[1:]), replace(data, table=table))
    assert strange.patients == ("", *known.patients[1:])
    assert with_patients(old, data).patients is None
