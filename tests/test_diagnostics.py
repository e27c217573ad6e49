"""Diagnoses of made-up histories: each has one planted problem and must show that one and no other; healthy ones show none."""

import numpy as np
import pytest
import torch

from core.errors import LightboxError
from core.trainers.diagnostics import IMPLIED_BY, RULES, diagnose
from tests.tiny import tiny_arrays, tiny_config

N_VAL = 40
NAMES = ("normal", "abnormal")


def course(train, val, *, auc=None, accuracy=None, predicted=None, grad=None, losses=None, steps=12, end=True, n_val=N_VAL):
    """Records of a training with these losses per epoch; everything else is that of a healthy one unless it is given."""
    n = len(train)
    auc = auc or np.linspace(0.7, 0.9, n)
    accuracy = accuracy or np.linspace(0.66, 0.85, n)
    predicted = predicted or [[22, 18]] * n
    grad = grad or np.full(n * steps, 2.0)
    losses = losses or np.repeat(train, steps) * (1 + 0.05 * np.sin(np.arange(n * steps)))
    records = [{"kind": "start", "epoch": 0, "step": 0, "n_val": n_val}]
    best = -1.0
    for e in range(1, n + 1):
        for s in range(steps):
            i = (e - 1) * steps + s
            records.append({"kind": "step", "epoch": e, "step": s + 1, "steps": steps, "loss": float(losses[i]),
                            "grad_norm": float(grad[i])})
        records.append({"kind": "epoch", "epoch": e, "train_loss": float(train[e - 1]), "val_loss": float(val[e - 1]),
                        "val_roc_auc": float(auc[e - 1]), "val_accuracy": float(accuracy[e - 1]),
                        "predicted": list(predicted[e - 1]), "is_best": bool(auc[e - 1] > best)})
        best = max(best, auc[e - 1])
    return records + ([{"kind": "end"}] if end else [])


def noted(records: list[dict], note: str) -> list[dict]:
    """The same course, with a sentence on each validation."""
    return [record | {"notes": [note]} if record["kind"] == "epoch" else record for record in records]


DOWN = np.array([0.70, 0.62, 0.55, 0.50, 0.46, 0.43, 0.41, 0.39])
FLAT = np.array([0.72, 0.64, 0.58, 0.54, 0.53, 0.54, 0.53, 0.54])
RISING = FLAT * [1, 1, 1, 1, 1.15, 1.25, 1.35, 1.4]
HEALTHY = {
    "both losses rise a little: harder images, not learned by heart": course([.7, .62, .55, .5, .52, .55, .56, .57], RISING),
    "learns": course(DOWN, FLAT),
    "learns, noisy validation": course(DOWN, FLAT * [1, 1.07, 0.95, 1.06, 0.97, 1.05, 0.98, 1.04]),
    "three epochs, the first the best so far": course(DOWN[:3], FLAT[:3], auc=[0.9, 0.8, 0.85]),
    "one epoch of one class, later not": course(DOWN, FLAT, predicted=[[40, 0], [40, 0], *[[25, 15]] * 6]),
    "only the newest epoch gave one class": course(DOWN, FLAT, predicted=[*[[25, 15]] * 7, [40, 0]], end=False),
    "knows everything: loss and gradient next to nothing": course(DOWN * [1, .3, .1, .03, .01, .003, .001, .0001], FLAT,
                                                                  grad=list(np.geomspace(2, 1e-6, 96))),
    "one wild batch": course(DOWN, FLAT, grad=[*[2.0] * 93, 9000.0, 2.0, 2.0]),
    "began with nothing to learn": course(np.geomspace(4e-9, 5e-5, 8), np.geomspace(1e-9, 1e-4, 8), auc=[1.0] * 8,
                                          accuracy=[1.0] * 8, grad=list(np.geomspace(1e-7, 1e-2, 96))),
    "an easy set, from the first epoch on": course(DOWN / 40, FLAT / 40, auc=[1.0, *[0.999] * 7], accuracy=[0.99] * 8),
    "overfits next to nothing": course(DOWN / 60, RISING / 60),
    "hardly begun": course(DOWN[:1], FLAT[:1], steps=1, end=False),
    "findings, each for itself": course(DOWN, FLAT, predicted=[[0, 9, 0]] * 8),
    "nothing at all": [],
}
ILL = {
    "collapsed": (course(DOWN, FLAT, predicted=[[25, 15]] * 5 + [[0, 40]] * 3), 6),
    "collapsed at the end": (course(DOWN, FLAT, predicted=[[25, 15]] * 7 + [[0, 40]]), 8),
    "collapsed findings": (course(DOWN, FLAT, predicted=[[3, 5, 0]] * 6 + [[0, 0, 0]] * 2), 7),
    "rate_too_high": (course(DOWN * 0 + [.7, .75, .95, 1.1, 1.2, 1.2, 1.3, 1.2], FLAT), 3),
    "rate_too_high in the first epoch": (course(DOWN[:1], FLAT[:1], steps=30, losses=list(np.geomspace(0.7, 7, 30)))[:-2], 1),
    "gradient_explodes": (course(DOWN, FLAT, grad=list(np.geomspace(2, 900, 96))), 8),
    "gradient_vanishes": (course(DOWN * 0 + .69, FLAT * 0 + .69, grad=list(np.geomspace(2, 1e-5, 96))), 8),
    "diverges": (course(DOWN, FLAT * [1, 1, 1, 1, 1.4, 1.9, 2.4, 3]), 5),
    "overfits": (course(DOWN, RISING), 5),
    "first_is_best": (course(DOWN, FLAT, auc=[0.9, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86]), 1),
    "below_majority": (course(DOWN, FLAT, accuracy=[0.5, 0.55, 0.6, 0.6, 0.58, 0.6, 0.59, 0.6]), 1),
    "undefined": (noted(course(DOWN, FLAT), "ROC AUC is undefined here."), 1),
    "undefined, of one class": (noted(course(DOWN, FLAT, predicted=[[40, 0]] * 8, accuracy=[0.9] * 7 + [1.0]),
                                      "ROC AUC is undefined here."), 1),
    "not_a_number": ([*course(DOWN, FLAT, end=False), {"kind": "step", "epoch": 9, "step": 1, "steps": 12, "loss": None}], 9),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_course_has_no_diagnosis(name):
    assert diagnose(HEALTHY[name], 12, class_names=NAMES, majority=0.65) == []


@pytest.mark.parametrize("name", ILL)
def test_an_illness_has_its_diagnosis_and_no_other(name):
    records, since = ILL[name]
    found = diagnose(records, 12, class_names=NAMES, majority=0.65)
    assert [(diagnosis.key, diagnosis.epoch) for diagnosis in found] == [(name.split()[0].rstrip(","), since)]
    assert found[0].sentence.endswith(".") and found[0].advice.endswith(".")


def test_every_rule_is_tested_and_every_name_in_the_tables_is_one():
    rules = {rule.__name__ for rule in RULES}
    assert {name.split()[0].rstrip(",") for name in ILL} == rules
    assert set(IMPLIED_BY) <= rules and set().union(*IMPLIED_BY.values()) <= rules
    assert [diagnosis.key for name, (records, _) in ILL.items() for diagnosis in diagnose(records, 12, majority=0.65)] \
        == [name.split()[0].rstrip(",") for name in ILL]


def test_the_sentence_has_the_numbers_and_the_class():
    said = diagnose(ILL["collapsed"][0], 8, class_names=NAMES)[0].sentence
    assert "the class abnormal" in said and "since epoch 6" in said
    said = diagnose(ILL["overfits"][0], 8)[0].sentence
    rise = np.mean(RISING[-3:])
    assert f"from 0.54 to {rise:.3g}" in said and f"from 0.5 to {DOWN[-3:].mean():.3g}" in said
    assert all(number in diagnose(ILL["below_majority"][0], 8, majority=0.65)[0].sentence for number in ("0.600", "0.650"))


def test_validation_images_that_truly_are_of_one_class_raise_no_alarm():
    """The case of a validation folder with one class: predicting only that is right, and nothing has collapsed."""
    records = course(DOWN, FLAT, predicted=[[40, 0]] * 8, accuracy=[1.0] * 8)
    assert diagnose(records, 8, majority=1.0) == [] == diagnose(records, 8)
    assert [one.key for one in diagnose(records, 8, majority=0.9)] == []
    wrong = course(DOWN, FLAT, predicted=[[40, 0]] * 8, accuracy=[0.5] * 8)
    assert "collapsed" in [one.key for one in diagnose(wrong, 8, majority=0.5)]


def test_the_majority_is_spoken_of_only_where_it_is_known():
    assert diagnose(ILL["below_majority"][0], 8) == []


def test_what_the_trainer_says_of_a_loss_that_is_no_number_is_diagnosed():
    """The sentence of the trainer itself, so that the two cannot drift apart."""
    from core.models import build_model
    from core.trainers.batches import SplitData
    from core.trainers.classifier import TrainState, train
    config = tiny_config("nowhere.npz")
    images, labels = tiny_arrays(16)
    split = SplitData(images[..., None], np.arange(16), labels)
    state = TrainState.fresh(build_model(config.model, classes=2, size=28, channels=1, seed=0), config)
    with torch.no_grad():
        next(state.model.parameters()).fill_(float("nan"))
    with pytest.raises(LightboxError) as caught:
        list(train(state, split, split, config))
    found = diagnose([{"kind": "start"}], 8, reason=str(caught.value))
    assert [diagnosis.key for diagnosis in found] == ["not_a_number"] and found[0].epoch == 1


def test_records_of_an_older_version_lack_keys_and_raise_nothing():
    old = [{key: value for key, value in record.items() if key not in ("predicted", "is_best", "grad_norm", "n_val")}
           for record in ILL["collapsed"][0]]
    assert diagnose(old, 8, class_names=NAMES, majority=0.65) == []
