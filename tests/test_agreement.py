"""Pairwise agreement of classifiers, against scikit-learn and plain counting."""

import time

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from core.metrics.agreement import agreement


def drawn(members=4, images=300, classes=3, seed=0):
    """Members that copy the truth or a common mistake more or less often."""
    rng = np.random.default_rng(seed)
    labels, common = rng.integers(0, classes, images), rng.integers(0, classes, images)
    chosen = rng.choice(3, (members, images), p=[0.6, 0.2, 0.2])
    return np.choose(chosen, [labels, common, rng.integers(0, classes, (members, images))]), labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_kappa_is_scikit_learns(classes):
    preds, labels = drawn(classes=classes)
    for pair in agreement(preds, labels).pairs():
        assert pair.kappa == pytest.approx(cohen_kappa_score(preds[pair.a], preds[pair.b]), abs=1e-12)


def test_q_disagreement_and_double_fault_are_those_of_counted_cells():
    preds, labels = drawn()
    result = agreement(preds, labels)
    for pair in result.pairs():
        cells = {(x, y): 0 for x in (True, False) for y in (True, False)}
        for i, label in enumerate(labels):
            cells[bool(preds[pair.a, i] == label), bool(preds[pair.b, i] == label)] += 1
        n11, n10, n01, n00 = (cells[key] for key in ((True, True), (True, False), (False, True), (False, False)))
        assert pair.n == 300
        assert pair.q == pytest.approx((n11 * n00 - n01 * n10) / (n11 * n00 + n01 * n10))
        assert pair.disagreement == pytest.approx((n01 + n10) / 300)
        assert pair.double_fault == pytest.approx(n00 / 300)
    assert result.mean("q") == pytest.approx(np.mean([pair.q for pair in result.pairs()]))


def test_images_on_which_exactly_k_are_right():
    preds, labels = drawn(members=5)
    right = (preds == labels).sum(axis=0)
    assert agreement(preds, labels).right.tolist() == [int((right == k).sum()) for k in range(6)]


def test_images_without_a_known_label_count_nowhere():
    preds, labels = drawn()
    hidden = labels.copy()
    hidden[::3] = -1
    seen, left = agreement(preds, hidden), agreement(preds[:, hidden != -1], labels[hidden != -1])
    assert list(seen.pairs()) == list(left.pairs()) and seen.n == 200


def test_several_findings_are_all_their_known_cells():
    rng = np.random.default_rng(1)
    labels = rng.integers(-1, 2, (80, 5))
    preds = rng.integers(0, 2, (3, 80, 5))
    known = labels != -1
    flat = agreement(np.stack([one[known] for one in preds]), labels[known])
    assert list(agreement(preds, labels).pairs()) == list(flat.pairs()) and flat.n == known.sum()


def test_what_is_undefined_is_none():
    labels = np.array([0, 0, 1])
    same = next(agreement(np.array([[0, 0, 0], [0, 0, 0]]), labels).pairs())
    assert same.kappa is None and same.q == 1.0               # both always say 0: no agreement beyond chance can be told
    perfect = next(agreement(np.array([labels, labels]), labels).pairs())
    assert perfect.kappa == 1.0 and perfect.q is None and perfect.double_fault == 0
    none = next(agreement(np.zeros((2, 2), int), np.array([-1, -1])).pairs())
    assert (none.n, none.kappa, none.q, none.disagreement, none.double_fault) == (0, None, None, None, None)


def test_complementary_classifiers_have_q_of_minus_one():
    labels = np.zeros(4, int)
    assert next(agreement(np.array([[0, 0, 1, 1], [1, 1, 0, 0]]), labels).pairs()).q == -1


def test_five_networks_on_ten_thousand_images_take_no_time():
    preds, labels = drawn(members=5, images=10_000, classes=10)
    began = time.perf_counter()
    agreement(preds, labels)
    assert time.perf_counter() - began < 0.2
