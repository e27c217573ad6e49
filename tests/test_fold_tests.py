"""Tests over the folds of a cross-validation, against SciPy, closed forms and published examples."""

import numpy as np
import pytest
from scipy import stats

from core.metrics.folds import (
    corrected_t_test,
    critical_difference,
    friedman,
    friedman_sentence,
    over_folds,
    t_test_sentence,
)

# Demsar, JMLR 7, 2006, table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets; 0.9751 stands for what he ranks before
# another 0.975
DEMSAR = np.array("""
    0.763 0.768 0.771 0.798  0.599 0.591 0.590 0.569  0.954 0.971 0.968 0.967  0.628 0.661 0.654 0.657  0.882 0.888 0.886 0.898
    0.936 0.931 0.916 0.931  0.661 0.668 0.609 0.685  0.583 0.583 0.563 0.625  0.775 0.838 0.866 0.875  1.000 1.000 1.000 1.000
    0.940 0.962 0.965 0.962  0.619 0.666 0.614 0.669  0.972 0.981 0.9751 0.975 0.957 0.978 0.946 0.970""".split(),
                  float).reshape(14, 4)


def test_mean_and_spread():
    values = [0.8, 0.7, None, 0.9]
    found = over_folds(values)
    assert (found.n, found.low, found.high) == (3, 0.7, 0.9)
    assert found.mean == pytest.approx(0.8) and found.sd == pytest.approx(np.std([0.8, 0.7, 0.9], ddof=1))
    assert over_folds([0.5]).sd is None and over_folds([None]) is None


def by_hand(a, b, n_train, n_test):
    """Nadeau and Bengio's t with SciPy's distribution: the sample variance times 1/k + n_test/n_train."""
    d = np.subtract(a, b)
    k = len(d)
    error = np.sqrt((1 / k + n_test / n_train) * d.var(ddof=1))
    t = d.mean() / error
    return t, 2 * stats.t.sf(abs(t), k - 1), stats.t.interval(0.95, k - 1, d.mean(), error)


@pytest.mark.parametrize("k, train, test", [(5, 80, 20), (10, 900, 100), (3, 40, 20)])
def test_the_corrected_test_is_its_closed_form(k, train, test):
    rng = np.random.default_rng(k)
    a, b = rng.uniform(0.7, 0.9, (2, k))
    found, (t, p, interval) = corrected_t_test(a, b, [train] * k, [test] * k), by_hand(a, b, train, test)
    assert (found.t, found.p) == pytest.approx((t, p))
    assert (found.low, found.high) == pytest.approx(interval)
    assert found.factor == pytest.approx(1 / k + test / train) and found.k == k


def test_without_overlap_it_would_be_the_paired_t_test():
    """With no images to evaluate on the second term is nothing: SciPy's paired test."""
    a, b = np.random.default_rng(3).uniform(0.7, 0.9, (2, 6))
    found, plain = corrected_t_test(a, b, [1] * 6, [0] * 6), stats.ttest_rel(a, b)
    assert (found.t, found.p) == pytest.approx((plain.statistic, plain.pvalue))


def test_the_correction_makes_a_test_of_equal_networks_honest():
    """Ten folds whose differences share a part, as training sets that overlap do: rho = n_test / (n_test + n_train)."""
    rng, k, rho = np.random.default_rng(0), 10, 0.1
    shared = rng.normal(size=(4000, 1)) * np.sqrt(rho)
    d = shared + rng.normal(size=(4000, k)) * np.sqrt(1 - rho)
    wrong = np.mean([corrected_t_test(row, np.zeros(k), [90] * k, [10] * k).p < 0.05 for row in d])
    plain = np.mean(stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05)
    assert 0.04 < wrong < 0.06 < 0.12 < plain


def test_folds_without_both_values_do_not_count():
    found = corrected_t_test([.8, None, .9, .7], [.7, .8, .8, None], [80] * 4, [20] * 4)
    assert found.k == 2 and found.a == pytest.approx(0.85)
    assert corrected_t_test([None], [0.5], [80], [20]) is None
    assert corrected_t_test([0.8], [0.5], [80], [20]).p is None


def test_equal_and_constant_differences():
    same = corrected_t_test([.8, .9], [.8, .9], [80] * 2, [20] * 2)
    assert (same.difference, same.p) == (0, 1.0) and "They are equal" in t_test_sentence(same, ("A", "B"), "ROC AUC")
    constant = corrected_t_test([.5, 1.], [.25, .75], [80] * 2, [20] * 2)
    assert constant.p is None and "cannot be told" in t_test_sentence(constant, ("A", "B"), "ROC AUC")


def test_friedman_equals_scipy_with_ties():
    rng = np.random.default_rng(5)
    for digits in (1, 2, 6):                                  # one digit: many ties
        values = rng.uniform(0.6, 0.9, (8, 4)).round(digits)
        found, known = friedman(values), stats.friedmanchisquare(*values.T)
        assert (found.chi2, found.p) == pytest.approx((known.statistic, known.pvalue))
        assert found.ranks == pytest.approx(stats.rankdata(-values, axis=1).mean(axis=0))


def test_friedman_on_demsars_data():
    found = friedman(DEMSAR)
    assert [round(rank, 3) for rank in found.ranks] == [3.143, 2.0, 2.893, 1.964]
    assert round(found.critical_difference, 2) == 1.25


@pytest.mark.parametrize("m", [2, 3, 5, 10])
def test_the_critical_difference_is_scipys_studentized_range(m):
    q = stats.studentized_range.ppf(0.95, m, np.inf) / np.sqrt(2)
    assert critical_difference(5, m) == pytest.approx(q * np.sqrt(m * (m + 1) / 30), rel=1e-5)


def test_few_folds_and_networks_have_no_friedman():
    assert friedman(np.ones((5, 2))) is None and friedman(np.ones((1, 4))) is None
    all_equal = friedman(np.ones((5, 3)))
    assert all_equal.p is None and all_equal.ranks == (2.0, 2.0, 2.0)
    with_gap = np.random.default_rng(0).uniform(size=(6, 3))
    with_gap[2, 1] = np.nan
    assert friedman(with_gap) == friedman(np.delete(with_gap, 2, axis=0))


def test_sentences_say_who_is_better_and_whether_that_is_more_than_chance():
    clear = corrected_t_test([.90, .91, .92, .90, .91], [.80, .81, .80, .80, .82], [80] * 5, [20] * 5)
    assert t_test_sentence(clear, ("A", "B"), "ROC AUC").startswith(
        "Mean ROC AUC over 5 folds: A 0.908, B 0.806. A is better by 0.102; with 5 folds such a difference is more than chance")
    lower = t_test_sentence(clear, ("A", "B"), "Cross-entropy", higher_is_better=False)
    assert "B is better by 0.102" in lower
    unclear = corrected_t_test([.9, .7, .8], [.8, .8, .7], [80] * 3, [40] * 3)
    assert "with 3 folds such a difference may be chance" in t_test_sentence(unclear, ("A", "B"), "ROC AUC")
    values = np.random.default_rng(0).uniform(0, 0.01, (8, 3)) + [0.9, 0.5, 0.1]
    words = friedman_sentence(friedman(values), ["x", "y", "z"], "accuracy")
    assert "more than chance" in words and "x and z differ" in words and "x and y" not in words
    tied = friedman(np.array([[1, 2, 3], [3, 2, 1.]]))
    assert "may be chance" in friedman_sentence(tied, ["x", "y", "z"], "accuracy")
