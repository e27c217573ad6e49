"""Tests for two networks on the same images: against a published example, statsmodels, and plain counting."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar as reference

from core.metrics.intervals import auc_interval
from core.metrics.paired_tests import delong_test, mcnemar

# DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988: 43 patients with ovarian cancer. Albumin, total protein, K-G score, and
# whether the operation was of no use (1). High values speak against a benefit, so the score of "benefits" is their negative.
OVARY = np.array("""
    3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
    3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
    4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
    4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
    2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1""".split(), float).reshape(-1, 4)
BENEFIT = OVARY[:, 3] == 0
ALBUMIN, PROTEIN, SCORE = -OVARY[:, 0], -OVARY[:, 1], OVARY[:, 2]


def test_delong_equals_the_published_ovarian_cancer_example():
    """The figures that SAS/STAT's user's guide prints for these data (PROC LOGISTIC, comparing ROC curves)."""
    albumin, protein = delong_test(BENEFIT, ALBUMIN, SCORE), delong_test(BENEFIT, PROTEIN, SCORE)
    assert [round(x, 4) for x in (albumin.a, albumin.b, protein.a)] == [0.7366, 0.7258, 0.6478]
    assert [round(x, 4) for x in (*albumin.standard_errors, protein.standard_errors[0])] == [0.0927, 0.1028, 0.1000]
    assert [round(x, 4) for x in (albumin.difference, albumin.low, albumin.high, albumin.p)] == [0.0108, -0.1761, 0.1976, 0.9102]
    assert [round(x, 4) for x in (protein.difference, protein.low, protein.high, protein.p)] == [-0.0780, -0.2830, 0.1271, 0.4561]
    assert round(albumin.z**2, 4) == 0.0127 and round(protein.z**2, 4) == 0.5554


def by_definition(positive, a, b):
    """AUC difference and its variance, pair by pair, as section 3 of DeLong et al. writes them."""
    def components(scores):
        x, y = scores[positive][:, None], scores[~positive][None]
        psi = (x > y) + 0.5 * (x == y)
        return psi.mean(axis=1), psi.mean(axis=0)
    (xa, ya), (xb, yb) = components(a), components(b)
    s10, s01 = np.cov(xa, xb), np.cov(ya, yb)
    s = s10 / len(xa) + s01 / len(ya)
    return xa.mean() - xb.mean(), s[0, 0] + s[1, 1] - 2 * s[0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_delong_equals_its_definition_with_ties(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.4
    a = np.round(rng.normal(size=60) + positive, 1)
    b = np.round(a + rng.normal(size=60), 1)
    difference, variance = by_definition(positive, a, b)
    found = delong_test(positive, a, b)
    assert found.difference == pytest.approx(difference)
    assert found.z == pytest.approx(difference / np.sqrt(variance))


def test_a_mean_over_classes_agrees_with_the_interval_of_one_run():
    """A run against one that always ties: the difference is its own AUC less a half, with its own variance."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 90)
    truth, scores = labels[:, None] == np.arange(3), rng.random((90, 3))
    scores[np.arange(90), labels] += 0.3
    found = delong_test(truth, scores, np.zeros((90, 3)))
    logit = lambda p: np.log(p / (1 - p))                                   # noqa: E731
    low, high = auc_interval(truth, scores)
    error = (logit(high) - logit(low)) / 2 / 1.959964 * found.a * (1 - found.a)
    assert found.standard_errors[0] == pytest.approx(error) and found.z == pytest.approx((found.a - 0.5) / error)


def test_what_cannot_be_told_is_none_and_equals_are_equal():
    rng = np.random.default_rng(0)
    positive, scores = np.arange(20) % 2 == 0, rng.random(20)
    same = delong_test(positive, scores, 3 * scores + 1)
    assert same.difference == 0 and same.p == 1
    assert delong_test(np.ones(5, bool), scores[:5], scores[5:10]) is None
    assert delong_test(np.arange(9) == 0, scores[:9], scores[9:18]).p is None           # a single positive has no variance


def test_patients_with_copies_count_once():
    """Each image three times, as three of one patient: the answer is that of the single images; without patients it is surer."""
    rng = np.random.default_rng(3)
    positive = rng.random(50) < 0.5
    a, b = rng.normal(size=50) + positive, rng.normal(size=50) + 0.6 * positive
    single = delong_test(positive, a, b)
    thrice = [np.repeat(x, 3) for x in (positive, a, b)]
    patients = delong_test(*thrice, groups=np.repeat(np.arange(50), 3))
    assert patients.z == pytest.approx(single.z) and abs(delong_test(*thrice).z) > 1.6 * abs(single.z)
    right = [rng.random(50) < p for p in (0.9, 0.6)]
    alone, copies = mcnemar(*right), mcnemar(*(np.repeat(r, 3) for r in right), groups=np.repeat(np.arange(50), 3))
    z = (alone.only_a - alone.only_b) / np.sqrt(alone.only_a + alone.only_b)
    assert copies.by_group and copies.p == pytest.approx(reference(table(alone), exact=False, correction=False).pvalue)
    assert copies.p > 1e4 * copies.p_mid and z > 0
    naive = mcnemar(*(np.repeat(r, 3) for r in right))
    assert copies.high - copies.low > 1.6 * (naive.high - naive.low) and copies.low < copies.difference < copies.high


def table(found):
    return [[found.both, found.only_a], [found.only_b, found.neither]]


def answers(both, only_a, only_b, neither):
    return (np.repeat([True, True, False, False], (both, only_a, only_b, neither)),
            np.repeat([True, False, True, False], (both, only_a, only_b, neither)))


@pytest.mark.parametrize("counts", [(30, 10, 4, 2), (0, 0, 6, 1), (5, 1, 1, 0), (100, 700, 800, 20), (3, 0, 0, 1)])
def test_mcnemar_equals_statsmodels_and_scipy(counts):
    found = mcnemar(*answers(*counts))
    assert (found.both, found.only_a, found.only_b, found.neither) == counts
    assert found.p_exact == pytest.approx(reference(table(found), exact=True).pvalue)
    if counts[1] != counts[2]:
        few, throws = min(counts[1:3]), sum(counts[1:3])
        assert found.p_mid == pytest.approx(2 * binom.cdf(few - 1, throws, 0.5) + binom.pmf(few, throws, 0.5))
    assert found.difference == pytest.approx((counts[1] - counts[2]) / sum(counts))


def test_mcnemar_equals_a_published_example():
    """Airway hyper-responsiveness before and after stem cells: table 1 of Fagerland et al. 2013; exact 0.0703, mid-p 0.0391."""
    found = mcnemar(*answers(1, 1, 7, 12))
    assert (round(found.p_exact, 4), round(found.p_mid, 4)) == (0.0703, 0.0391)


def test_the_interval_of_the_accuracies_covers():
    """Every table of 30 images, weighted by how often it comes: the true difference lies inside in about 95 %."""
    from scipy.stats import multinomial
    for p_a, p_b in ((0.2, 0.1), (0.05, 0.05), (0.3, 0.02)):
        held = 0.0
        law = multinomial(30, [p_a, p_b, 1 - p_a - p_b])
        for a, b in itertools.product(range(31), repeat=2):
            if a + b <= 30 and (chance := law.pmf([a, b, 30 - a - b])) > 1e-7:
                found = mcnemar(*answers(30 - a - b, a, b, 0))
                held += chance * (found.low <= p_a - p_b <= found.high)
        assert 0.935 < held < 0.995


def test_the_interval_of_patients_is_that_of_clustered_errors_and_never_the_narrower_one():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), 4)
    a, b = rng.random(80) < 0.8, np.repeat(rng.random(20) < 0.5, 4)            # b is right, or wrong, for a whole patient
    found, alone = mcnemar(a, b, groups), mcnemar(a, b)
    model = OLS(a.astype(float) - b, np.ones(80)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert found.by_group and not alone.by_group
    assert (found.low, found.high) == pytest.approx(model.conf_int()[0]) and found.high - found.low > alone.high - alone.low
    even = np.tile([True, False], 40)                                            # each patient: as many only a as only b got
    even_b = ~even
    even_b[0] = True
    found, alone = mcnemar(even, even_b, groups), mcnemar(even, even_b)
    assert found.high - found.low == pytest.approx(alone.high - alone.low)
    singles = mcnemar(a, b, rng.permutation(80))
    assert singles == mcnemar(a, b) and not singles.by_group


def test_no_difference_of_two_auc_is_larger_than_one():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    perfect, upside_down = np.arange(8.0), np.array([5.0, 6, 7, 3, 4, 2, 1, 0])
    found = delong_test(labels, perfect, upside_down)
    beyond = found.difference + 1.96 * found.difference / found.z
    assert beyond > 1 and found.high == 1 and found.low == pytest.approx(2 * found.difference - beyond, abs=1e-4)
    back = delong_test(labels, upside_down, perfect)
    assert (back.low, back.high, back.p) == (-1, pytest.approx(-found.low), pytest.approx(found.p))
