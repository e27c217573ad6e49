"""core.metrics.resampling: draws against the same images repeated, shares against statsmodels, and how often
the truth is held."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
from statsmodels.api import OLS
from statsmodels.stats.proportion import proportion_confint

from bench.intervals import COHORTS, MEASURED, coverage
from core.metrics import METRICS, MULTI_LABEL, Sample, estimate, measure, resampling, wilson_interval
from core.metrics.intervals import as_codes, effective_n, wilson_by_patient
from core.metrics.resampling import (
    Ranking,
    Resamples,
    bootstrap,
    degrees_of_freedom,
    draw,
    logit_interval,
    overall,
    percentile_interval,
    resample,
)
from tests.samples import TASKS, every, loop_bootstrap, sample


@every
def test_a_draw_is_checked_as_the_same_images_written_down_again(task, kind):
    labels, probs = sample(task, kind, n=80, seed=3)
    checked = Sample(labels, probs, task, 0.4)
    weights = np.random.default_rng(0).multinomial(80, np.full(80, 1 / 80), size=5).astype(np.float32)
    drawn = Resamples(Ranking(checked), weights)
    for row, often in enumerate(weights.astype(int)):
        again = np.repeat(np.arange(80), often)
        alone = Sample(labels[again], probs[again], task, 0.4)
        theirs = measure(labels[again], probs[again], task, 0.4)
        for name, metric in METRICS.items():
            ours = metric.function.of_sample(drawn)
            if theirs[name] is None and TASKS[task] > 2 and ours is not None:
                continue                    # a draw that misses a class has a mean over the others: see the next test
            if theirs[name] is None:
                assert ours is None or np.isnan(ours[row]), name
            else:
                assert ours[row] == pytest.approx(theirs[name], abs=2e-6, rel=1e-6), name      # the draws are in float32
            if metric.function.per_class:
                classes = list(range(TASKS[task]))
                np.testing.assert_allclose(metric.function.per_class(drawn, classes)[row],
                                           metric.function.per_class(alone, classes),
                                           atol=2e-6, rtol=1e-6, err_msg=name)


def test_a_finding_that_some_draws_miss_leaves_the_mean_its_interval():
    labels, probs = sample(MULTI_LABEL, "smooth", n=60)
    labels[:, 3] = np.arange(60) < 2
    drawn = Resamples(Ranking(Sample(labels, probs, MULTI_LABEL)), (np.arange(60) > 1).astype(np.float32)[None])
    areas = METRICS["roc_auc"].function.per_class(drawn, [0, 1, 2, 3])[0]
    assert np.isnan(areas[3]) and METRICS["roc_auc"].function.of_sample(drawn)[0] == pytest.approx(areas[:3].mean())
    assert measure(labels[2:], probs[2:], MULTI_LABEL)["roc_auc"] is None                 # the value itself is strict
    low, high = bootstrap(labels, probs, MULTI_LABEL, names=["roc_auc"])["roc_auc"]
    assert low < measure(labels, probs, MULTI_LABEL)["roc_auc"] < high
    found, per_class = estimate(labels, probs, MULTI_LABEL, draws=100)
    assert found["roc_auc"].method == "bootstrap by image" and per_class[3]["roc_auc"].method == "DeLong"


def test_many_patients_give_the_interval_of_a_loop_over_draws():
    labels, probs = sample("binary-class", "tied", n=300)
    found = resample(Sample(labels, probs, "binary-class"), None, overall(["roc_auc", "f1"]), draws=150, seed=4)
    for name, values in found.items():
        loop = loop_bootstrap(METRICS[name].function, labels, probs, "binary-class", draws=150, seed=4)
        assert percentile_interval(values) == pytest.approx(loop, abs=1e-6)


@pytest.mark.parametrize("draws", [1, 130])
def test_patients_are_drawn_whole_and_as_many_as_there_are(draws):
    patients = np.array(["a", "b", "b", "", "c", "", "a", "a"])
    rows = np.concatenate(list(draw(8, patients, draws, seed=0)))
    assert rows.shape == (draws, 8)
    assert (rows[:, 0] == rows[:, 6]).all() and (rows[:, 0] == rows[:, 7]).all() and (rows[:, 1] == rows[:, 2]).all()
    assert (rows[:, [0, 1, 3, 4, 5]].sum(axis=1) == 5).all()            # five people: nobody known stands alone
    if draws > 1:
        assert (rows[:, 3] != rows[:, 5]).any() and abs(rows.mean() - 1) < 0.1


def test_patients_as_numbers_are_the_same_for_the_same_patient_whatever_they_are_written_in():
    for kind in (np.asarray, lambda x: np.array(x, dtype=object), tuple):
        codes = as_codes(kind(["x", "", "y", "x", ""]))
        assert codes[0] == codes[3] and sorted(set(codes.tolist())) == [0, 1, 2, 3]
    assert as_codes([7, 3, 7]).tolist() == [1, 0, 1]


def test_copies_of_an_image_make_no_interval_narrower():
    labels, probs = sample("binary-class", "smooth", n=100, seed=1)
    patients = np.arange(100)
    alone = bootstrap(labels, probs, "binary-class", patients, names=["roc_auc", "loss"])
    thrice = bootstrap(*(np.tile(x, (3,) + (1,) * (x.ndim - 1)) for x in (labels, probs)), "binary-class", np.tile(patients, 3),
                       names=["roc_auc", "loss"])
    for name in alone:
        assert thrice[name] == pytest.approx(alone[name], abs=1e-5)
    blind = bootstrap(np.tile(labels, 3), np.tile(probs, (3, 1)), "binary-class", names=["roc_auc"])["roc_auc"]
    assert np.diff(blind) < 0.7 * np.diff(alone["roc_auc"])
    unnamed = bootstrap(labels, probs, "binary-class", names=["roc_auc", "loss"])                 # the seed decides
    assert unnamed["roc_auc"] == alone["roc_auc"] and unnamed["loss"] == pytest.approx(alone["loss"])


def test_what_is_undefined_in_too_many_draws_has_no_interval():
    labels, probs = np.array([1, 0, 0, 0, 0, 0]), np.full((6, 2), 0.5)
    found = bootstrap(labels, probs, "binary-class")
    assert found["roc_auc"] is None and found["quadratic_kappa"] is None and found["accuracy"] is not None
    three, probs = np.arange(60) % 2, np.full((60, 3), 1 / 3)                             # nobody has the third class
    assert bootstrap(three, probs, "multi-class", names=["roc_auc", "macro_f1"])["roc_auc"] is None
    assert percentile_interval(np.array([np.nan] * 6 + [0.5] * 94)) is None
    assert percentile_interval(np.array([np.nan] * 5 + [0.5] * 95)) == (0.5, 0.5)
    assert logit_interval(0.5, np.full(9, np.nan)) is None


# ------------------------------------------------------------------------------------------------------- few patients

def test_the_interval_of_a_mean_of_few_is_about_students():
    """What Hesterberg widens it for: the percentile interval of a mean of eight lies well inside Student's."""
    x = np.random.default_rng(2).normal(size=8)
    means = x[np.random.default_rng(0).integers(0, 8, (20_000, 8))].mean(axis=1)
    wanted = scipy.stats.t.interval(0.95, 7, x.mean(), x.std(ddof=1) / math.sqrt(8))
    plain, expanded = percentile_interval(means), percentile_interval(means, 7)
    assert np.diff(plain) < 0.85 * np.diff(wanted) and np.diff(expanded) == pytest.approx(np.diff(wanted), rel=0.08)


def test_the_interval_of_average_precision_lies_around_its_value_on_the_logit_scale():
    labels, probs = sample("binary-class", "smooth", n=60, seed=5)
    checked = Sample(labels, probs, "binary-class")
    drawn = resample(checked, None, overall(["average_precision"]), draws=200)["average_precision"]
    value = METRICS["average_precision"].function(labels, probs, "binary-class")
    low, high = bootstrap(labels, probs, "binary-class", names=["average_precision"], draws=200)["average_precision"]
    logits = scipy.special.logit([low, value, high])
    freedom = degrees_of_freedom(checked, None)
    wanted = scipy.stats.t.ppf(0.975, freedom) * math.sqrt((freedom + 1) / freedom) * scipy.special.logit(drawn).std(ddof=1)
    assert np.diff(logits) == pytest.approx([wanted, wanted], rel=1e-4)
    assert drawn.mean() > value and value - low > high - value              # the draws are too high, and the tail is below


def test_degrees_of_freedom_are_those_of_welch():
    few, many = 20, 180
    labels = np.repeat([1, 0], [few, many])
    checked = Sample(labels, np.full((200, 2), 0.5), "binary-class")
    a, b = 1 / few, 1 / many
    welch = (a + b) ** 2 / (a * a / (few - 1) + b * b / (many - 1))
    assert degrees_of_freedom(checked, None) == pytest.approx(welch) == degrees_of_freedom(checked, None, k=0)
    assert degrees_of_freedom(checked, np.arange(200) // 2) == pytest.approx(
        degrees_of_freedom(Sample(labels[::2], np.full((100, 2), 0.5), "binary-class"), None))
    even = Sample(np.arange(40) % 4, np.full((40, 4), 0.25), "multi-class")
    assert degrees_of_freedom(even, None) == pytest.approx(4 * 9)
    alone = Sample(np.array([0, 1, 1, 1]), np.full((4, 2), 0.5), "binary-class")       # one image of a class
    assert 0 < degrees_of_freedom(alone, None) < 3


# ------------------------------------------------------------------------------------------------------------- shares

@pytest.mark.parametrize("k, n", [(0, 12), (12, 12), (5, 12), (114, 156)])
def test_the_share_of_independent_images_is_that_of_statsmodels(k, n):
    right = np.arange(n) < k
    theirs = proportion_confint(k, n, method="wilson")
    assert wilson_by_patient(right) == pytest.approx(theirs, abs=1e-7)
    assert wilson_by_patient(right, np.arange(n)) == pytest.approx(theirs, abs=1e-7)


def test_images_of_a_patient_are_clustered():
    r = np.random.default_rng(0)
    right = r.random(400) < 0.8
    copies = wilson_by_patient(np.repeat(right, 5), np.repeat(np.arange(400), 5))
    assert copies == pytest.approx(wilson_by_patient(right), abs=2e-4)                   # five copies are one image
    apart = wilson_by_patient(right, r.permutation(400) // 4)                            # patients that mean nothing
    assert np.diff(wilson_by_patient(right)) <= np.diff(apart) + 1e-12 < 1.2 * np.diff(wilson_by_patient(right))
    assert wilson_by_patient(np.ones(30, bool), np.arange(30) // 3) == wilson_by_patient(np.ones(10, bool))
    assert wilson_by_patient(np.array([True, False]), ["a", "a"]) == wilson_interval(0.5, 1)


def test_effective_n_at_each_cut_is_that_of_each_cut_alone():
    r = np.random.default_rng(2)
    patients = r.integers(0, 9, 40)
    found = effective_n(as_codes(patients))
    for k in range(1, 40):
        right = np.arange(40) < k
        model = OLS(right.astype(float), np.ones(40)).fit(cov_type="cluster", cov_kwds={"groups": patients})
        assert found[k] == pytest.approx(min(right.var() / model.bse[0] ** 2, 40)), k
    assert found[0] == found[40] == len(set(patients)) and (effective_n(np.arange(7)) == 7).all()
    assert effective_n(np.zeros(3, np.int64)).tolist() == [1, 1, 1, 1]


def test_the_design_effect_is_that_of_clustered_errors():
    r = np.random.default_rng(5)
    patients = np.sort(r.integers(0, 12, 90))
    right = (r.random(12)[patients] * 0.7 + 0.3 * r.random(90)) > 0.4
    model = OLS(right.astype(float), np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": patients})
    p = right.mean()
    size = p * (1 - p) / model.bse[0] ** 2
    want = proportion_confint(p * size, size, method="wilson")
    assert size < 60 and wilson_by_patient(right, patients) == pytest.approx(want)


# ----------------------------------------------------------------------------------------------- how often is it right?

def test_intervals_hold_the_truth_as_often_as_they_say_and_only_by_patient():
    """`python -m bench.intervals --coverage 4000` does the same at length; in 300 sets 95 % have a standard error of 1.3 %."""
    covered = coverage(COHORTS["100 patients, half of them sick"], sets=300, draws=300, seed=0)
    by_image = covered.pop("roc_auc, by image")
    assert set(MEASURED) < set(covered)
    assert 0.93 <= np.mean(list(covered.values())) <= 0.97, covered
    assert min(covered.values()) >= 0.92 and max(covered.values()) <= 0.98, covered
    assert by_image < 0.90


def test_ten_thousand_images_take_moments(monkeypatch):
    """Two hundred of the draws that bench.intervals times: their memory must not grow with their number."""
    labels, probs = sample("binary-class", "smooth", n=10_000)
    sizes = []
    plain = resampling.draw
    monkeypatch.setattr(resampling, "draw", lambda *args: (sizes.append(w.nbytes) or w for w in plain(*args)))
    assert bootstrap(labels, probs, "binary-class", np.arange(10_000) // 3, draws=200, names=["roc_auc"])["roc_auc"]
    assert len(sizes) == 4 and max(sizes) <= 64 * 10_000 * 4
