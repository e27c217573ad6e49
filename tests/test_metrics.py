"""core.metrics against scikit-learn, the `medmnist` evaluator, closed forms and published tables."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

from core.metrics import METRICS, MULTI_LABEL, Sample, accuracy, evaluate, measure, roc_auc
from core.metrics.confusion import (
    binary_kappa,
    binary_matthews,
    cohen_kappa,
    confusion_matrix,
    counts,
    f1,
    kappas,
    matthews,
    npv,
    precision,
    predict,
    sensitivity,
    specificity,
)
from core.metrics.ranking import pr_curve, roc_curve
from tests.samples import KINDS, TASKS, every, sample

# ---------------------------------------------------------------------------------------------- oracles

@every
def test_auc_and_accuracy_are_those_of_the_medmnist_evaluator(task, kind):
    from medmnist.evaluator import getACC, getAUC
    labels, probs = sample(task, kind)
    assert roc_auc(labels, probs, task) == pytest.approx(getAUC(labels, probs, task), abs=1e-12)
    assert accuracy(labels, probs, task) == pytest.approx(getACC(labels, probs, task), abs=1e-12)


@every
def test_auc_is_that_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    scores = probs[:, 1] if task == "binary-class" else probs
    theirs = sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert roc_auc(labels, probs, task) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("task", ["binary-class", "multi-class", "ordinal-regression"])
@pytest.mark.parametrize("kind", KINDS)
def test_rates_per_class_are_those_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    preds, k = predict(probs, task), TASKS[task]
    matrix = confusion_matrix(labels, preds, k)
    assert (matrix == sk.confusion_matrix(labels, preds, labels=range(k))).all()
    p, s, f, n = sk.precision_recall_fscore_support(labels, preds, labels=range(k), zero_division=np.nan)
    np.testing.assert_allclose(precision(matrix), p)
    np.testing.assert_allclose(sensitivity(matrix), s)
    np.testing.assert_allclose(f1(matrix), f)
    np.testing.assert_allclose(specificity(matrix), [sk.recall_score(labels != c, preds != c) for c in range(k)])
    assert (counts(matrix)[0] + counts(matrix)[1] == n).all()
    assert cohen_kappa(matrix) == pytest.approx(sk.cohen_kappa_score(labels, preds))
    theirs = sk.cohen_kappa_score(labels, preds, weights="quadratic")
    assert cohen_kappa(matrix, quadratic=True) == pytest.approx(theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_per_finding_are_those_of_scikit_learn(kind):
    labels, probs = sample(MULTI_LABEL, kind)
    preds = predict(probs, MULTI_LABEL)
    matrix = confusion_matrix(labels, preds, 4)
    assert (matrix == sk.multilabel_confusion_matrix(labels, preds)).all()
    p, s, f, _ = sk.precision_recall_fscore_support(labels, preds, zero_division=np.nan)
    np.testing.assert_allclose(precision(matrix), p)
    np.testing.assert_allclose(sensitivity(matrix), s)
    np.testing.assert_allclose(f1(matrix), f)
    kappas = [sk.cohen_kappa_score(labels[:, j], preds[:, j]) for j in range(4)]
    assert cohen_kappa(matrix) == pytest.approx(np.mean(kappas))


def over_findings(function, labels, values) -> float:
    """A number of scikit-learn, averaged over the findings where there are some."""
    if labels.ndim == 1:
        return function(labels, values)
    return np.mean([function(true, value) for true, value in zip(labels.T, values.T)])


def negative_predictive_value(labels, truth, preds) -> float:
    k = truth.shape[1]
    if k == 2:
        return sk.precision_score(labels, preds, pos_label=0)
    called = preds if preds.ndim == 2 else np.eye(k, dtype=int)[preds]
    return np.mean([sk.precision_score(truth[:, j], called[:, j], pos_label=0) for j in range(k)])


@every
def test_every_single_number_of_the_table_is_that_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    preds, k = predict(probs, task), TASKS[task]
    truth = labels if task == MULTI_LABEL else np.eye(k, dtype=int)[labels]
    average = {"binary-class": "binary"}.get(task, "macro")
    matrices = sk.multilabel_confusion_matrix(truth, preds if task == MULTI_LABEL else np.eye(k, dtype=int)[preds])
    specificities = matrices[:, 0, 0] / matrices[:, 0].sum(axis=1)
    theirs = {
        "average_precision": (sk.average_precision_score(labels, probs[:, 1]) if k == 2
                              else sk.average_precision_score(truth, probs, average="macro")),
        "balanced_accuracy": over_findings(sk.balanced_accuracy_score, labels, preds),
        "sensitivity": sk.recall_score(labels, preds, average=average),
        "specificity": specificities[1] if k == 2 else specificities.mean(),
        "precision": sk.precision_score(labels, preds, average=average),
        "f1": sk.f1_score(labels, preds, average=average),
        "macro_f1": sk.f1_score(labels, preds, average="macro"),
        "macro_precision": sk.precision_score(labels, preds, average="macro"),
        "micro_f1": sk.f1_score(labels, preds, average="micro"),
        "weighted_f1": sk.f1_score(labels, preds, average="weighted"),
        "npv": negative_predictive_value(labels, truth, preds),
        "cohen_kappa": over_findings(sk.cohen_kappa_score, labels, preds),
        "matthews": over_findings(sk.matthews_corrcoef, labels, preds),
        "loss": over_findings(sk.log_loss, labels, probs),
        "brier": (over_findings(sk.brier_score_loss, labels, probs) if task == MULTI_LABEL
                  else ((probs - truth) ** 2).sum(axis=1).mean() / 2),
        "quadratic_kappa": (sk.cohen_kappa_score(labels, preds, weights="quadratic")
                            if task == "ordinal-regression" else None),
    }
    assert METRICS.keys() - theirs.keys() == {"accuracy", "roc_auc"}               # those are tested above
    for name, value in theirs.items():
        ours = METRICS[name].function(labels, probs, task)
        assert ours is None and value is None or ours == pytest.approx(value, abs=1e-9), name
    together = measure(labels, probs, task)
    assert together == {name: metric.function(labels, probs, task) for name, metric in METRICS.items()}
    if k == 2:
        assert METRICS["brier"].function(labels, probs, task) == pytest.approx(sk.brier_score_loss(labels, probs[:, 1]))


@every
def test_each_class_against_the_rest_is_that_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    k, preds = TASKS[task], predict(probs, task)
    checked = Sample(labels, probs, task)
    for j in range(k):
        true = labels[:, j] if task == MULTI_LABEL else (labels == j).astype(int)
        pred = preds[:, j] if task == MULTI_LABEL else (preds == j).astype(int)
        theirs = {
            "accuracy": sk.accuracy_score(true, pred), "balanced_accuracy": sk.balanced_accuracy_score(true, pred),
            "sensitivity": sk.recall_score(true, pred), "specificity": sk.recall_score(true, pred, pos_label=0),
            "precision": sk.precision_score(true, pred), "npv": sk.precision_score(true, pred, pos_label=0),
            "f1": sk.f1_score(true, pred), "cohen_kappa": sk.cohen_kappa_score(true, pred),
            "matthews": sk.matthews_corrcoef(true, pred), "roc_auc": sk.roc_auc_score(true, probs[:, j]),
            "average_precision": sk.average_precision_score(true, probs[:, j]),
            "loss": sk.log_loss(true, probs[:, j]), "brier": sk.brier_score_loss(true, probs[:, j])}
        assert set(theirs) == {name for name, metric in METRICS.items() if metric.function.per_class}
        for name, value in theirs.items():
            assert METRICS[name].function.per_class(checked, [j])[0] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("task, threshold", [("binary-class", 0.2), ("binary-class", 0.9), (MULTI_LABEL, 0.3),
                                             (MULTI_LABEL, np.array([0.1, 0.4, 0.6, 0.9])), ("multi-class", 0.9)])
def test_another_threshold_moves_the_preds_and_nothing_else(task, threshold):
    labels, probs = sample(task, "smooth")
    preds = (probs > threshold).astype(int) if task == MULTI_LABEL else (probs[:, 1] > threshold).astype(int)
    preds = probs.argmax(axis=1) if task == "multi-class" else preds             # several classes have no threshold
    assert (predict(probs, task, threshold) == preds).all()
    there, plain = measure(labels, probs, task, threshold), measure(labels, probs, task)
    for name in ("roc_auc", "average_precision", "loss", "brier"):
        assert there[name] == plain[name]
    assert there["accuracy"] == pytest.approx((preds == labels).mean())
    assert there["f1"] == pytest.approx(sk.f1_score(labels, preds, average="binary" if task == "binary-class" else "macro"))
    result = evaluate(labels, probs, task, [str(k) for k in range(TASKS[task])], threshold, draws=20)
    assert (result.confusion_matrix == confusion_matrix(labels, preds, TASKS[task])).all()
    assert result.value("accuracy") == there["accuracy"] and result.estimates["accuracy"].low < there["accuracy"]


def test_matthews_and_kappa_where_one_side_is_all_the_same():
    def both(tn, fp, fn, tp):
        matrix = np.array([[tn, fp], [fn, tp]])
        return matthews(matrix), cohen_kappa(matrix), binary_matthews(matrix)[1], binary_kappa(matrix)[1]
    assert both(0, 30, 0, 20) == both(30, 20, 0, 0) == (0, 0, 0, 0)                  # one answer, one true class
    undefined = both(0, 0, 0, 50)
    assert undefined[1] is None and np.isnan([undefined[0], *undefined[2:]]).all()   # nothing varies at all
    huge = np.array([[4, 1], [2, 3]]) * 10**7                                        # counts whose products leave 64 bits
    assert matthews(huge) == pytest.approx(matthews(huge // 10**7)) and binary_matthews(huge)[1] == pytest.approx(matthews(huge))


def test_many_matrices_at_once_are_each_by_itself():
    many = np.random.default_rng(0).integers(0, 20, (7, 4, 4))
    np.testing.assert_allclose(matthews(many), [matthews(m) for m in many])
    np.testing.assert_allclose(kappas(many, quadratic=True), [cohen_kappa(m, quadratic=True) for m in many])
    np.testing.assert_allclose(f1(counts(many, multi_label=False)), [f1(m) for m in many])
    little = many.reshape(7, 4, 2, 2)
    np.testing.assert_allclose(npv(counts(little, multi_label=True)), [npv(m) for m in little])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thin", [True, False])
def test_curves_are_those_of_scikit_learn(kind, thin):
    labels, probs = sample("binary-class", kind)
    curve = sk.roc_curve(labels, probs[:, 1], drop_intermediate=thin)
    for ours, theirs in zip(roc_curve(labels == 1, probs[:, 1], thin), curve):
        np.testing.assert_allclose(ours, theirs)
    for ours, theirs in zip(pr_curve(labels == 1, probs[:, 1]), sk.precision_recall_curve(labels, probs[:, 1])):
        np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("table, kappa, f, sens, prec, acc", [      # TN, FP, FN, TP; macro averages as a report has
    ((499, 1168, 229, 1301), .146, .534, .575, .606, .563),
    ((1461, 206, 683, 847), .436, .711, .715, .743, .722),
    ((1385, 282, 613, 917), .434, .714, .715, .729, .720),
])
def test_published_mura_tables(table, kappa, f, sens, prec, acc):
    matrix = np.array(table).reshape(2, 2)
    ours = cohen_kappa(matrix), f1(matrix).mean(), sensitivity(matrix).mean(), precision(matrix).mean()
    assert ours == pytest.approx((kappa, f, sens, prec), abs=6e-4)
    assert matrix.trace() / matrix.sum() == pytest.approx(acc, abs=6e-4)


def test_the_table_explains_itself():
    for name, metric in METRICS.items():
        assert metric.title and metric.equation and metric.help.endswith(".") and metric.help.count(". ") == 0, name
        low, high = metric.range
        for task, kind in [(t, k) for t in TASKS for k in KINDS]:
            value = metric.function(*sample(task, kind), task)
            assert value is None or low <= value <= high, (name, task)
