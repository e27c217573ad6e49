"""Calibration: diagram and ECE beside scikit-learn and closed forms, the temperature beside SciPy's minimiser."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.calibration import calibration_curve

from core import metrics
from core.errors import LightboxError
from core.metrics import METRICS, MULTI_LABEL, wilson_interval
from core.metrics.calibration import apply_temperature, ece, ece_by_chance, reliability, temperature, top_label

TASKS = ["binary-class", "multi-class", MULTI_LABEL]


def answers_at(task: str, t: float, n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and those probabilities as said at temperature 1 / t: t heals them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 2 if task == "binary-class" else 3))
    if task == MULTI_LABEL:
        return (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(int), 1 / (1 + np.exp(-t * logits))
    true, said = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (logits, t * logits))
    return (rng.random((n, 1)) > true.cumsum(axis=1)[:, :-1]).sum(axis=1), said


def outcomes_of(task: str, labels: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the diagram of a task is about: class 1, the answer, the first finding."""
    return {"binary-class": (labels == 1, probs[:, 1]), MULTI_LABEL: (labels.reshape(len(labels), -1)[:, 0] == 1, probs[:, 0]),
            "multi-class": top_label(labels.reshape(len(labels), -1)[:, 0], probs)}[task]


def test_the_diagram_is_scikit_learns():
    labels, probs = answers_at("binary-class", 2)
    found = reliability(labels, probs[:, 1])
    came, said = calibration_curve(labels, probs[:, 1], n_bins=10)
    there = found.n > 0
    assert found.observed[there] == pytest.approx(came) and found.predicted[there] == pytest.approx(said)
    assert found.n.sum() == len(labels)
    b = int(there.argmax())
    assert (found.low[b], found.high[b]) == wilson_interval(round(found.observed[b] * found.n[b]), found.n[b])


def test_ece_of_numbers_that_one_can_add_up():
    said, came = np.array([.95, .95, .95, .95, .25, .25]), np.array([1, 1, 0, 0, 0, 1])
    assert ece(came, said) == pytest.approx(4 / 6 * 0.45 + 2 / 6 * 0.25)
    assert ece(came, came.astype(float)) == 0
    assert ece(1 - came, came.astype(float)) == 1
    found = reliability(came, said)
    assert found.n.tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 4] and np.isnan(found.observed[0])


def test_a_probability_of_one_is_in_the_last_bin_and_no_image_is_an_error():
    assert reliability([1, 0], [1.0, 0.0]).n.tolist() == [1] + [0] * 8 + [1]
    with pytest.raises(LightboxError):
        reliability([], [])


def test_what_chance_alone_shows_is_what_is_seen_of_perfect_probabilities():
    rng = np.random.default_rng(1)
    said = rng.random(200)
    seen = [ece(rng.random(200) < said, said) for _ in range(400)]
    mean, most = ece_by_chance(said)
    assert mean == pytest.approx(np.mean(seen), rel=0.05)
    assert np.mean(np.array(seen) > most) == pytest.approx(0.05, abs=0.03)
    assert ece_by_chance(np.repeat(said, 100))[0] < mean / 5      # a hundred times the images, a tenth of the luck


def test_the_answer_of_several_classes_with_its_probability():
    probs = np.array([[.6, .3, .1], [.2, .3, .5]])
    right, said = top_label(np.array([0, 1]), probs)
    assert right.tolist() == [True, False] and said.tolist() == [.6, .5]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("t", [0.4, 1.0, 3.0])
def test_the_temperature_is_scipys(task, t):
    labels, probs = answers_at(task, t)
    loss = METRICS["loss"].function
    best = optimize.minimize_scalar(lambda x: loss(labels, apply_temperature(probs, np.exp(x), task), task), bounds=(-3, 3),
                                    method="bounded", options={"xatol": 1e-7})
    assert temperature(labels, probs, task) == pytest.approx(np.exp(best.x), rel=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_the_temperature_finds_the_planted_one_and_heals_the_ece(task):
    labels, probs = answers_at(task, 3.0, 6000)
    t = temperature(labels, probs, task)
    assert t == pytest.approx(3.0, rel=0.08)
    fresh, before = answers_at(task, 3.0, 6000, seed=9)
    after = apply_temperature(before, t, task)
    assert ece(*outcomes_of(task, fresh, after)) < 0.03 < 0.08 < ece(*outcomes_of(task, fresh, before))
    assert (metrics.predict(after, task) == metrics.predict(before, task)).all()


def test_temperature_one_changes_nothing_and_sure_mistakes_stay_finite():
    for task in TASKS:
        _, probs = answers_at(task, 1)
        assert apply_temperature(probs, 1.0, task) == pytest.approx(probs, abs=1e-6)
    probs = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    t = temperature(np.array([0, 1, 1]), probs, "binary-class")
    assert 1 < t < 50 and np.isfinite(apply_temperature(probs, t, "binary-class")).all()
    assert temperature(np.array([0, 1]), np.array([[.7, .3], [.4, .6]]), "binary-class") == pytest.approx(0.02)
    assert temperature(np.array([1, 0]), np.array([[.7, .3], [.4, .6]]), "binary-class") == pytest.approx(50)
