"""What an epoch is recorded with, and which one is the best."""

import json

import numpy as np
import pytest
import torch

from core.metrics import METRICS
from core.trainers.batches import Batches, SplitData
from core.trainers.records import EpochRecord, StepRecord, Tick
from core.trainers.validation import count_predictions, is_better, predict, tracked_images
from tests import trained
from tests.tiny import tiny_config
from tests.trained import epochs_of, learn, run, same, small

one_thread, splits = trained.one_thread, trained.splits          # fixtures


@pytest.mark.parametrize("monitor", ["roc_auc", "loss", "accuracy", "cohen_kappa", "macro_f1"])
def test_the_best_epoch_is_the_best_by_the_monitored_measure(splits, monitor):
    config = tiny_config("x", **{"train.monitor": monitor, "train.epochs": 6, "optim.lr": 0.05})
    state, records = learn(config, splits)
    values = [(r.val[monitor], r.val["loss"]) for r in epochs_of(records)]
    better = METRICS[monitor].higher_is_better
    best = max(range(6), key=lambda e: (values[e][0] if better else -values[e][0], -values[e][1], -e))
    assert state.best["epoch"] == best + 1 and state.best[monitor] == values[best][0]
    assert [r.epoch for r in epochs_of(records) if r.is_best][-1] == best + 1
    assert all(r.monitor == monitor for r in epochs_of(records))


def test_better_is_by_the_measure_then_by_the_loss():
    def of(value, loss):
        return {"cohen_kappa": value, "loss": loss}
    assert is_better(of(0.3, 9.0), of(0.2, 0.1), "cohen_kappa") and not is_better(of(0.2, 0.1), of(0.3, 9.0), "cohen_kappa")
    assert is_better(of(0.3, 0.1), of(0.3, 0.2), "cohen_kappa") and not is_better(of(0.3, 0.2), of(0.3, 0.2), "cohen_kappa")
    assert is_better(of(None, 0.1), of(0.3, 0.2), "cohen_kappa") and not is_better(of(0.3, 0.3), of(None, 0.2), "cohen_kappa")
    assert is_better(of(0.1, 0.1), {"epoch": 3, "roc_auc": 0.9, "accuracy": 0.9, "loss": 0.2}, "cohen_kappa")    # an old best
    assert is_better(of(0.1, 0.1), of(0.2, 0.2), "loss") and not is_better(of(0.1, 0.2), of(0.2, 0.1), "loss")
    assert is_better(of(0.0, 9.0), {}, "cohen_kappa")


def test_training_measures_in_evaluation_mode_are_those_of_validation(splits):
    """Both splits are the same images: then all the numbers must be the same, dropout and augmentation or not."""
    config = tiny_config("x", **{"train.measure_train": True, "model.dropout": 0.5, "augment.rotate": 90.0, "train.epochs": 2})
    _, records = learn(config, (splits[0], splits[0]))
    for record in epochs_of(records):
        assert record.measured == "evaluated"
        assert {m: record.train[m] for m in METRICS} == {m: record.val[m] for m in METRICS}
    _, records = learn(config.with_(**{"train.measure_train": False}), (splits[0], splits[0]))
    last = epochs_of(records)[-1]
    assert last.measured == "running" and last.train["loss"] != last.val["loss"]


def test_measuring_the_training_images_changes_nothing_else(splits):
    config = tiny_config("x", **{"model.dropout": 0.5})
    plain, measured = (learn(config.with_(**{"train.measure_train": on}), splits)[0] for on in (False, True))
    assert same(plain.model, measured.model)


def test_an_epoch_record_has_every_metric_the_answers_and_the_tracked_images(splits):
    state, records = learn(tiny_config("x"), splits)
    last = epochs_of(records)[-1]
    *_, (_, probs) = predict(state.model, Batches(splits[1], torch.device("cpu")), 16)
    for name, metric in METRICS.items():
        assert last.val[name] == metric.function(splits[1].labels, probs, "binary-class"), name
    assert last.predicted == np.bincount(probs.argmax(axis=1), minlength=2).tolist() and sum(last.predicted) == 24
    np.testing.assert_allclose(last.tracked, probs[tracked_images(splits[1].labels)], atol=1e-4)
    json.dumps([r.to_json() for r in records if not isinstance(r, Tick)], allow_nan=False)
    step = [r for r in records if isinstance(r, StepRecord)][-1]
    assert 0 <= step.accuracy <= 1 and step.objective == pytest.approx(step.loss)


def test_the_tracked_images_take_the_classes_in_turn():
    labels = np.array([0, 0, 0, 0, 2, 2, 0, 1, 0])
    assert tracked_images(labels).tolist() == [0, 7, 4, 1, 5, 2, 3, 6]
    assert labels[tracked_images(labels, 3)].tolist() == [0, 1, 2]
    findings = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    assert tracked_images(findings, 4).tolist() == [1, 3, 0, 2]
    assert count_predictions(np.array([[0.9, 0.6], [0.2, 0.7]]), "multi-label, binary-class") == [1, 2]


def test_what_is_recorded_as_loss_is_cross_entropy_whatever_is_made_small(splits):
    """The first step of two runs sees the same images with the same weights: the same loss, another objective."""
    first = {}
    for name, changes in {"plain": {}, "focal": {"train.loss": "focal"}, "smooth": {"train.label_smoothing": 0.3}}.items():
        config = tiny_config("x", **{"train.batch_size": 66, "train.epochs": 1, **changes})
        first[name] = next(r for r in learn(config, splits)[1] if isinstance(r, StepRecord))
    assert len({round(r.loss, 5) for r in first.values()}) == 1
    assert len({round(r.objective, 5) for r in first.values()}) == 3


def test_a_penalty_of_the_network_is_made_small_and_not_recorded_as_loss(splits):
    config = tiny_config("x", **{"train.batch_size": 66, "train.epochs": 1, "optim.weight_decay": 0.0})
    model = small(config)
    model.penalty = lambda logits: 10 * model.network.fc.weight.square().sum() + logits.square().mean()
    state, records = learn(config, splits, model)
    step = next(r for r in records if isinstance(r, StepRecord))
    plain = next(r for r in learn(config, splits)[1] if isinstance(r, StepRecord))
    assert step.loss == pytest.approx(plain.loss) and step.objective > step.loss + 1
    norms = [float(small(config).network.fc.weight.norm().detach()), float(state.model.network.fc.weight.norm().detach())]
    assert norms[1] < norms[0]


def test_a_penalty_is_the_same_in_parts(splits):
    """Of a batch in parts each part brings its share of the penalty: of the weights and of the mean activity."""
    ends = []
    for changes in ({"train.batch_size": 64}, {"train.batch_size": 16, "train.accumulate": 4}):
        config = tiny_config("x", **{"optim.name": "sgd", "optim.lr": 0.05, **changes})
        model = small(config, norm=False)
        model.penalty = lambda logits, fc=model.network.fc: 0.1 * fc.weight.square().sum() + logits.square().mean()
        ends.append(learn(config, splits, model)[0].model)
    for p, q in zip(*(m.parameters() for m in ends)):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


def test_an_undefined_auc_is_none_and_said_and_the_loss_decides(splits):
    one_class = SplitData(splits[1].images, splits[1].indices, np.zeros_like(splits[1].labels))
    _, records = run(tiny_config("x"), (splits[0], one_class))
    epochs = [r for r in records if isinstance(r, EpochRecord)]
    assert all(r.val["roc_auc"] is None for r in epochs) and "undefined" in epochs[0].notes[0]
