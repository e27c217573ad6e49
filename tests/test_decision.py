"""One image, judged with what was chosen on validation: thresholds and the temperature."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from core.evaluation.decision import Chosen, chosen_for
from core.evaluation.predictions import load_predictions
from core.evaluation.thresholds import freeze
from core.metrics.confusion import thresholds_of_classes
from core.metrics.operating_points import Threshold
from core.runs.classifiers import shipped_classifiers
from tests import judged

run, trained = judged.run, judged.trained          # fixtures
FINDINGS, TWO, SEVERAL = "multi-label, binary-class", "binary-class", "multi-class"


def test_the_threshold_decides_and_each_class_has_its_own_line():
    said = Chosen(TWO, 0.3).decide(np.array([0.6, 0.4]))
    assert said.predicted == (1,) and said.thresholds.tolist() == [0.7, 0.3]
    assert Chosen(TWO, 0.5).decide(np.array([0.6, 0.4])).predicted == (0,)
    assert Chosen(TWO, 0.4).decide(np.array([0.6, 0.4])).predicted == (0,), "above the threshold, not at it"
    said = Chosen(FINDINGS, np.array([0.1, 0.9, 0.5])).decide(np.array([0.2, 0.8, 0.6]))
    assert said.predicted == (0, 2) and said.thresholds.tolist() == [0.1, 0.9, 0.5]
    assert Chosen(FINDINGS).decide(np.array([0.2, 0.4])).predicted == ()
    said = Chosen(SEVERAL).decide(np.array([0.2, 0.5, 0.3]))
    assert said.predicted == (1,) and said.thresholds is None
    assert thresholds_of_classes(0.25, FINDINGS, 2).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("task, threshold", [(TWO, 0.2), (FINDINGS, np.array([0.2, 0.6, 0.9])), (SEVERAL, 0.5)])
def test_the_temperature_changes_how_sure_but_not_what_is_called(task, threshold):
    rng, t, classes = np.random.default_rng(0), 2.5, 2 if task == TWO else 3
    chosen = Chosen(task, threshold, temperature=t)
    for _ in range(200):
        logits = 3 * rng.normal(size=classes)
        probs = expit(logits) if task == FINDINGS else softmax(logits)
        raw, mended = chosen.decide(probs), chosen.decide(probs, calibrated=True)
        assert mended.predicted == raw.predicted and np.array_equal(raw.probs, probs)
        assert mended.probs == pytest.approx(expit(logits / t) if task == FINDINGS else softmax(logits / t), abs=1e-6)
        if task != SEVERAL:
            assert np.array_equal(mended.probs > mended.thresholds, raw.probs > raw.thresholds)
            assert mended.thresholds == pytest.approx(expit(logit(raw.thresholds) / t))


def test_a_run_brings_its_threshold_and_the_temperature_of_its_validation_answers(run):
    labels = np.array([0, 1] * 20)
    scores = np.where(np.arange(40) % 10 < 7, np.where(labels == 1, 0.98, 0.02), np.where(labels == 1, 0.1, 0.9))
    judged.plant(run, "val", labels, np.stack([1 - scores, scores], axis=1))
    freeze(run, Threshold(0.25, "youden"), 1)
    chosen = chosen_for(run.id)
    found = load_predictions(run, "val")

    def loss(log_t: float) -> float:
        p = expit(logit(found.probs[:, 1].astype(float)) / np.exp(log_t))
        return -np.log(np.where(found.labels == 1, p, 1 - p)).mean()
    best = np.exp(minimize_scalar(loss, bounds=(-3, 3.5), method="bounded").x)
    assert chosen.temperature == pytest.approx(best, rel=1e-3) and best > 1.5, "it was too sure of itself"
    assert chosen.threshold == 0.25 and chosen.frozen[1].rule == "youden" and chosen.images == len(labels)


def test_where_nothing_was_chosen_nothing_is_changed(run):
    (run.folder / "predictions.npz").unlink()
    chosen = chosen_for(run.id)
    assert (chosen.threshold, chosen.frozen, chosen.temperature) == (0.5, {}, None)
    probs = np.array([0.3, 0.7])
    assert np.array_equal(chosen.decide(probs, calibrated=True).probs, probs)
    for info in shipped_classifiers():
        assert chosen_for(info.address).threshold == 0.5


def test_answers_of_an_older_epoch_give_no_temperature(run, monkeypatch):
    assert chosen_for(run.id).images > 0
    monkeypatch.setattr("core.runs.checkpoints.best_epoch", lambda folder: 99)
    assert chosen_for(run.id).temperature is None and chosen_for(run.id).images == 0
