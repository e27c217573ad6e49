"""core.metrics.intervals against their definitions, published limits, all pairs of images, and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest

from core.metrics import MULTI_LABEL, estimate, roc_auc
from core.metrics.intervals import Z, auc_interval, roc_auc_interval, score_interval, wilson_interval
from core.metrics.ranking import binary_auc, placements
from tests.samples import KINDS, TASKS, loop_bootstrap, sample


@pytest.mark.parametrize("k, n, low, high", [(98, 100, 93.0, 99.4), (2531, 2580, 97.50, 98.56),
                                             (2538, 2580, 97.81, 98.79)])
def test_wilson_gives_the_published_limits(k, n, low, high):
    digits = 1 if n == 100 else 2
    assert tuple(round(100 * x, digits) for x in wilson_interval(k, n)) == (low, high)


@pytest.mark.parametrize("k, n", [(0, 10), (10, 10), (1, 3), (114, 156)])
def test_wilson_limits_are_the_shares_that_a_score_test_just_allows(k, n):
    for limit in wilson_interval(k, n):
        if 0 < limit < 1:           # the definition: |k/n - t| is exactly z standard errors *at t*
            assert abs(k / n - limit) == pytest.approx(Z * np.sqrt(limit * (1 - limit) / n), rel=1e-9)
    assert wilson_interval(0, 10)[0] == 0 and wilson_interval(10, 10)[1] == 1


def slow_delong(positive, scores):
    """AUC and its variance as DeLong et al. define them: every positive against every negative."""
    x, y = scores[positive][:, None], scores[~positive][None]
    psi = (x > y) + 0.5 * (x == y)
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return psi.mean(), v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01), v10, v01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [12, 300])
def test_auc_placements_and_interval_are_those_of_all_pairs(kind, n):
    labels, probs = sample("binary-class", kind, n, seed=2)      # the order is not perfect
    positive, scores = labels == 1, probs[:, 1]
    area, variance, v10, v01 = slow_delong(positive, scores)
    assert binary_auc(positive, scores) == pytest.approx(area, abs=1e-12)
    np.testing.assert_allclose(placements(positive, scores)[positive], v10, atol=1e-12)
    np.testing.assert_allclose(placements(positive, scores)[~positive], v01, atol=1e-12)
    low, high = roc_auc_interval(labels, probs, "binary-class")
    sd = np.diff(np.log([low / (1 - low), high / (1 - high)]))[0] / (2 * Z) * area * (1 - area)   # back from logits
    assert sd == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert low < area < high


@pytest.mark.parametrize("task", TASKS)
def test_interval_of_the_mean_auc_agrees_with_the_bootstrap(task):
    labels, probs = sample(task, "smooth", 400)
    drawn = loop_bootstrap(roc_auc, labels, probs, task, draws=600, seed=1)
    ours = roc_auc_interval(labels, probs, task)
    assert ours[1] - ours[0] == pytest.approx(drawn[1] - drawn[0], rel=0.15)
    assert np.mean(ours) == pytest.approx(np.mean(drawn), abs=0.006)
    assert drawn == loop_bootstrap(roc_auc, labels, probs, task, draws=600, seed=1)      # the seed decides


def test_interval_holds_the_truth_about_as_often_as_it_says():
    r, held = np.random.default_rng(5), 0
    truth = 0.8555778168267576                  # two normals 1.5 apart: Phi(1.5 / sqrt(2))
    positive = np.arange(60) < 30
    for _ in range(400):
        low, high = auc_interval(positive[:, None], (r.normal(size=60) + 1.5 * positive)[:, None])
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98


def test_a_perfect_order_has_an_interval_that_depends_on_how_many_images_there_were():
    few, many = (auc_interval((np.arange(2 * m) < m)[:, None], -np.arange(2.0 * m)[:, None]) for m in (5, 50))
    assert few[1] == many[1] == 1
    assert 0.5 < few[0] < many[0] - 0.1 < 1


def test_score_interval_ends_where_newcombes_equation_holds():
    m, n, area = 20, 35, 0.83
    for t in score_interval(area, m, n):
        h = (m + n) / 2 - 1
        variance = t * (1 - t) / (m * n) * (1 + h * (1 - t) / (2 - t) + h * t / (1 + t))
        assert (area - t) ** 2 == pytest.approx(Z**2 * variance, rel=1e-9)
    assert score_interval(0.5, 20, 20) == pytest.approx((1 - np.array(score_interval(0.5, 20, 20)))[::-1])


def test_one_positive_image_has_a_wide_interval_and_no_warning():
    labels, probs = np.array([1, 0, 0, 0]), np.array([[.4, .6], [.7, .3], [.3, .7], [.9, .1]])
    with np.errstate(all="raise"):
        low, high = roc_auc_interval(labels, probs, "binary-class")
    assert low < 0.3 and high > 0.9


def test_findings_of_one_image_do_not_count_as_independent():
    r = np.random.default_rng(0)
    right = np.repeat(r.random((200, 1)) < 0.8, 6, axis=1)            # an image is right in all six findings or in none
    labels = np.zeros((200, 6), dtype=np.int64)
    found, _ = estimate(labels, np.where(right, 0.1, 0.9), MULTI_LABEL, names=["accuracy"])
    assert found["accuracy"].interval == pytest.approx(wilson_interval(right.mean() * 199, 199))   # variance with n - 1
    mixed, _ = estimate(labels, np.where(r.random((200, 6)) < 0.8, 0.1, 0.9), MULTI_LABEL, names=["accuracy"])
    low, high = mixed["accuracy"].interval
    assert high - low == pytest.approx(np.diff(wilson_interval(960, 1200))[0], rel=0.15)
