"""Findings that are not known (-1) count in no loss and no metric: each number is that of the known labels alone."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from core import metrics
from core.config import RunConfig, Task
from core.metrics.calibration import temperature
from core.metrics.groups import by_group
from core.metrics.operating_points import one_class
from core.metrics.paired_tests import delong_test
from core.metrics.resampling import Ranking, Resamples
from core.models import build_model
from core.trainers.batches import SplitData
from core.trainers.classifier import train
from core.trainers.losses import build_objective
from core.trainers.records import EpochRecord
from core.trainers.sampling import rarest_finding
from core.trainers.state import TrainState

N, K = 80, 3
LABELS = np.random.default_rng(0).choice([-1, 0, 1], (N, K), p=[.3, .4, .3])
PROBS = np.clip(np.random.default_rng(1).random((N, K)) * .7 + .3 * (LABELS == 1), .01, .99)
KNOWN = LABELS >= 0


def test_metrics_of_each_finding_are_sklearns_on_its_known_images():
    found = metrics.evaluate(LABELS, PROBS, metrics.MULTI_LABEL, "abc", draws=60, each=metrics.METRICS)
    for k, one in enumerate(found.per_class):
        y, p = LABELS[KNOWN[:, k], k], PROBS[KNOWN[:, k], k]
        pred = (p > .5).astype(int)
        want = {"roc_auc": sk.roc_auc_score(y, p), "average_precision": sk.average_precision_score(y, p),
                "sensitivity": sk.recall_score(y, pred), "precision": sk.precision_score(y, pred), "f1": sk.f1_score(y, pred),
                "specificity": sk.recall_score(1 - y, 1 - pred), "accuracy": sk.accuracy_score(y, pred),
                "cohen_kappa": sk.cohen_kappa_score(y, pred), "brier": sk.brier_score_loss(y, p), "loss": sk.log_loss(y, p)}
        for name, value in want.items():
            assert one.estimates[name].value == pytest.approx(value), name
            assert one.estimates[name].low <= value <= one.estimates[name].high, name
        assert one.unknown == (~KNOWN[:, k]).sum() and one.estimates["accuracy"].of == one.estimates["roc_auc"].n == len(y)
        assert found.confusion_matrix[k].tolist() == sk.confusion_matrix(y, pred).tolist()
    y, p = LABELS[KNOWN], PROBS[KNOWN]
    assert found.value("accuracy") == pytest.approx(((p > .5) == y).mean())
    assert found.value("loss") == pytest.approx(sk.log_loss(y, p))
    assert found.value("brier") == pytest.approx(((p - y) ** 2).mean())
    assert found.value("micro_f1") == pytest.approx(sk.f1_score(y, p > .5))
    assert found.value("roc_auc") == pytest.approx(np.mean([one.values["roc_auc"] for one in found.per_class]))
    assert found.majority_accuracy == pytest.approx((y == 0).mean()) and "not_known" in {note.code for note in found.notes}


def test_a_resample_is_what_its_drawn_images_give():
    weights = np.random.default_rng(2).integers(0, 3, (4, N)).astype(np.float32)
    resamples = Resamples(Ranking(metrics.Sample(LABELS, PROBS, metrics.MULTI_LABEL)), weights)
    for name, row in metrics.METRICS.items():
        value = row.function.of_sample(resamples)
        for b, of in enumerate(weights.astype(int)):
            drawn = row.function(np.repeat(LABELS, of, axis=0), np.repeat(PROBS, of, axis=0), metrics.MULTI_LABEL)
            assert drawn is None and value is None or value[b] == pytest.approx(drawn, rel=1e-4), name


def test_a_finding_of_which_nothing_is_known_is_undefined_and_hides_nothing():
    labels = LABELS.copy()
    labels[:, 1] = -1
    found = metrics.evaluate(labels, PROBS, metrics.MULTI_LABEL, "abc", draws=20)
    assert found.per_class[1].values["roc_auc"] is None and found.value("roc_auc") is None
    assert found.per_class[0].values["roc_auc"] is not None and 0 < found.value("accuracy") < 1


def test_all_known_is_as_before():
    labels = np.maximum(LABELS, 0)
    found = metrics.measure(labels, PROBS, metrics.MULTI_LABEL)
    assert found["loss"] == pytest.approx(sk.log_loss(labels.ravel(), PROBS.ravel()))
    assert metrics.evaluate(labels, PROBS, metrics.MULTI_LABEL, "abc", draws=20).per_class[0].unknown == 0


def test_thresholds_temperature_and_tests_see_known_labels_alone():
    positive, scores = one_class(LABELS, PROBS, metrics.MULTI_LABEL, 1)
    assert positive.tolist() == (LABELS[KNOWN[:, 1], 1] == 1).tolist() and len(scores) == len(positive)
    rows = KNOWN.all(axis=1)
    more = np.vstack([LABELS[rows], np.full((30, K), -1)])
    probs = np.vstack([PROBS[rows], np.random.default_rng(3).random((30, K))])
    assert temperature(more, probs, metrics.MULTI_LABEL) == pytest.approx(
        temperature(LABELS[rows], PROBS[rows], metrics.MULTI_LABEL))
    one = delong_test(more == 1, probs, probs[:, ::-1], known=more >= 0)
    assert one.a == pytest.approx(delong_test(LABELS[rows] == 1, PROBS[rows], PROBS[rows][:, ::-1]).a)
    assert one.p == pytest.approx(delong_test(LABELS[rows] == 1, PROBS[rows], PROBS[rows][:, ::-1]).p)


def test_what_is_known_of_one_image_is_known_of_its_study():
    labels = np.array([[1, -1], [-1, -1], [0, 1], [1, 1]])
    found = by_group(labels, np.full((4, 2), .5), ["a", "a", "b", "b"])
    assert found.labels.tolist() == [[1, -1]] and found.left_out == 1


def test_rare_findings_are_drawn_by_what_is_known():
    assert rarest_finding(np.array([[1, -1], [-1, 1], [1, 1], [-1, 0], [1, 0]])).tolist() == [0, 1, 1, -1, 0]


# ------------------------------------------------------------------------------------------------------------ the loss

def gradient(labels, x, w, **settings):
    """Of one step on all images, by (K,) columns of w."""
    config = RunConfig().with_(**settings).train
    objective = build_objective(config, Task.MULTILABEL, labels, K, torch.device("cpu"))
    w = torch.tensor(w, requires_grad=True)
    loss = objective(torch.tensor(x) @ w, objective.targets(torch.tensor(labels))).sum() / objective.weight(labels)
    loss.backward()
    return w.grad.numpy(), float(loss.detach())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["auto", "focal"])
def test_masked_training_is_that_of_each_findings_known_images(loss, weighted, smoothing):
    generator = np.random.default_rng(4)
    x, w = generator.normal(size=(N, 5)).astype(np.float32), generator.normal(size=(5, K)).astype(np.float32)
    settings = {"train.loss": loss, "train.class_weights": weighted, "train.label_smoothing": smoothing, "train.focal_gamma": 1.5}
    grad, value = gradient(LABELS, x, w, **settings)
    total = 0.0
    for k in range(K):                   # the others of these images are known, and are not looked at
        rows = KNOWN[:, k]
        alone = np.zeros((rows.sum(), K), int)
        alone[:, k] = LABELS[rows, k]
        of, _ = gradient(alone, x[rows], w, **settings)
        share = rows.sum() / KNOWN.sum()
        assert grad[:, k] == pytest.approx(of[:, k] * K * share, rel=1e-4, abs=1e-6)
        total += share
    assert total == pytest.approx(1) and np.isfinite(value)
    if loss == "auto" and not weighted and not smoothing:           # the closed form
        p = 1 / (1 + np.exp(-(x @ w)))
        assert grad == pytest.approx(x.T @ (np.where(KNOWN, p - LABELS, 0)) / KNOWN.sum(), rel=1e-4, abs=1e-6)
        assert value == pytest.approx(sk.log_loss(LABELS[KNOWN], p[KNOWN]), rel=1e-4)


def test_mixed_images_count_by_the_share_of_what_is_known():
    objective = build_objective(RunConfig().train, Task.MULTILABEL, LABELS, 1, torch.device("cpu"))
    a, b = (objective.targets(torch.tensor([[label]])) for label in (1, -1))
    logit = torch.tensor([[0.3]])
    mixed = objective(logit, torch.lerp(b, a, 0.7))
    assert float(mixed) == pytest.approx(0.7 * float(objective(logit, a))) and float(objective(logit, b)) == 0


@pytest.mark.parametrize("more", [{}, {"train.sampling": "balanced"}, {"train.mixup": 0.4, "train.class_weights": True},
                                  {"train.loss": "focal", "train.label_smoothing": 0.1, "train.accumulate": 2}])
def test_a_training_with_unknown_labels_runs_and_reports_known_ones(more):
    images = np.random.default_rng(5).integers(0, 256, (N, 16, 16, 1), dtype=np.uint8)
    splits = [SplitData(images, rows, LABELS[rows]) for rows in (np.arange(50), np.arange(50, N))]
    config = RunConfig().with_(**{"model.name": "small_cnn", "train.epochs": 1, "train.batch_size": 16} | more)
    model = build_model(config.model, classes=K, size=16, channels=1, task=Task.MULTILABEL)
    record = next(one for one in train(TrainState.fresh(model, config), *splits, config) if isinstance(one, EpochRecord))
    assert 0.2 < record.train["loss"] < 3 and 0.2 < record.val["loss"] < 3 and 0 <= record.val["accuracy"] <= 1
