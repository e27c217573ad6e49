"""The choice of a threshold: each rule beside brute force, rates beside closed forms, and what a run keeps of it."""

import json
import shutil

import numpy as np
import pytest
from sklearn import metrics as sk

from core import metrics
from core.errors import LightboxError
from core.evaluation.thresholds import freeze, frozen, of, unfreeze
from core.metrics.operating_points import Threshold, candidates, choose, one_class, operating_points, ratio_interval
from core.runs import checkpoints
from tests import judged
from tests.judged import rename_classes
from tests.operating import operate, predictive_values

run, trained = judged.run, judged.trained          # fixtures


def scores_of(seed: int, n: int = 60, digits: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.3
    scores = np.clip(0.4 + 0.2 * labels + rng.normal(0, 0.2, n), 0, 1).astype(np.float32)
    return labels, scores.round(digits) if digits else scores


def every_cut(labels, scores):
    """(sensitivity, specificity) of all ways in which a threshold in [0, 1] can cut, one image at a time."""
    for t in {0.0, *map(float, scores)}:
        called = [float(s) > t for s in scores]
        yield (sum(c and y for c, y in zip(called, labels)) / sum(labels),
               sum(not c and not y for c, y in zip(called, labels)) / sum(~labels))


RULES = [("youden", {}, lambda se, sp, share: se + sp),
         ("sensitivity", {"sensitivity": 0.9}, lambda se, sp, share: sp if se >= 0.9 else -1),
         ("cost", {"cost": 5.0, "prevalence": 0.1}, lambda se, sp, share: -(5 * 0.1 * (1 - se) + 0.9 * (1 - sp))),
         ("cost", {"cost": 3.0}, lambda se, sp, share: -(3 * share * (1 - se) + (1 - share) * (1 - sp)))]


@pytest.mark.parametrize("rule, wish, gain", RULES)
@pytest.mark.parametrize("seed, digits", [(0, None), (1, 1), (2, 2)])
def test_no_threshold_is_better_than_the_one_that_a_rule_finds(rule, wish, gain, seed, digits):
    labels, scores = scores_of(seed, digits=digits)
    found = choose(rule, labels, scores, **wish)
    at = operate(labels, scores, found.value)
    best = max(gain(se, sp, labels.mean()) for se, sp in every_cut(labels, scores))
    assert gain(at.sensitivity, at.specificity, labels.mean()) == pytest.approx(best, abs=1e-12)
    called = (scores > found.value).sum()
    assert not any(gain(o.sensitivity, o.specificity, labels.mean()) >= best - 1e-12 for t in np.r_[scores, 1.0]
                   if (scores > t).sum() < called for o in [operate(labels, scores, float(t))])


def test_youden_is_the_corner_of_scikit_learns_curve():
    labels, scores = scores_of(3, 400)
    fpr, tpr, edges = sk.roc_curve(labels, scores, drop_intermediate=False)
    at = operate(labels, scores, choose("youden", labels, scores).value)
    best = (tpr - fpr).argmax()
    assert (at.sensitivity, 1 - at.specificity) == pytest.approx((tpr[best], fpr[best]))


def test_candidates_are_all_cuts_and_rounding_moves_no_image():
    close = np.float32(0.3)
    scores = np.array([0, close, np.nextafter(close, np.float32(1)), 1, 1], np.float32)
    labels = np.array([0, 1, 0, 1, 0], bool)
    cut, tp, fp = candidates(labels, scores)
    assert cut.min() >= 0 and cut[0] == 1
    assert [(int((scores[labels] > t).sum()), int((scores[~labels] > t).sum())) for t in cut] == list(zip(tp, fp)) \
        == [(0, 0), (1, 1), (1, 2), (2, 2)]
    a, b = 0.3, np.nextafter(0.3, 1)                              # nothing lies between these two
    cut, tp, _ = candidates(np.array([1, 1], bool), np.array([a, b]))
    assert [int((np.array([a, b]) > t).sum()) for t in cut] == [0, 1, 2] == tp.tolist()


def test_rates_and_intervals_are_those_of_the_confusion_matrix():
    labels, scores = scores_of(4, 80)
    at = operate(labels, scores, 0.45)
    tn, fp, fn, tp = sk.confusion_matrix(labels, scores > 0.45).ravel()
    assert (at.tn, at.fp, at.fn, at.tp) == (tn, fp, fn, tp)
    assert at.sensitivity_interval == metrics.wilson_interval(tp, tp + fn)
    assert at.specificity_interval == metrics.wilson_interval(tn, tn + fp)
    assert at.prevalence == labels.mean()                         # at their own prevalence: plain precision
    assert at.ppv == pytest.approx(sk.precision_score(labels, scores > 0.45))
    assert at.npv == pytest.approx(tn / (tn + fn))


@pytest.mark.parametrize("shared", [False, True])
def test_the_points_are_those_of_each_threshold_alone(shared):
    labels, scores = scores_of(4, 80)
    scores = np.round(scores, 1)                                  # with ties
    scores[:3] = 0                                                # below which no threshold lies
    patients = np.array([f"p{i}" for i in np.random.default_rng(1).integers(0, 15, 80)]) if shared else None
    points = operating_points(labels, scores, patients)
    assert len(points.lowest) == len(candidates(labels, scores)[0])
    for t in np.linspace(0, 1, 23):
        at, i = operate(labels, scores, t, 0.2, patients), np.flatnonzero(points.lowest > t)[-1]
        assert (points.tp[i], points.fp[i]) == (at.tp, at.fp)
        assert tuple(points.sensitivity[i]) == pytest.approx(at.sensitivity_interval)
        assert tuple(points.specificity[i]) == pytest.approx(at.specificity_interval)
        for limits, ratio, flipped in ((at.ppv_interval, points.lr_positive[i], False),
                                       (at.npv_interval, points.lr_negative[i], True)):
            if limits is None:
                assert np.isnan(ratio).all()
                continue
            after = [1.0 if np.isinf(r) else 0.2 * r / (0.2 * r + 0.8) for r in ratio]      # odds(0.2) times the ratio
            assert tuple(1 - x for x in after[::-1]) if flipped else tuple(after) == pytest.approx(limits)


def test_points_without_positives_are_undefined_but_no_error():
    points = operating_points(np.zeros(3, bool), np.array([.1, .6, .7]))
    assert points.fp.tolist() == [0, 1, 2, 3] and np.isnan(points.sensitivity).all() and not np.isnan(points.specificity).any()


def test_predictive_values_at_another_prevalence_by_counting_people():
    (ppv, (low, high)), (npv, between) = predictive_values(90, 10, 5, 95, 0.02)
    assert ppv == pytest.approx(1800 / (1800 + 4900)) and npv == pytest.approx(93100 / (93100 + 200))    # of 100,000 people
    assert low < ppv < high and between[0] < npv < between[1]


@pytest.mark.parametrize("a, la, ua, b, lb, ub", [(.8, .7, .88, .2, .12, .31), (.5, .2, .8, .05, .01, .2),
                                                  (1, .9, 1, .3, .2, .4)])
def test_the_limits_of_a_ratio_are_roots_of_their_equation(a, la, ua, b, lb, ub):
    (low, high), = ratio_interval(np.array([a]), np.array([[la, ua]]), np.array([b]), np.array([[lb, ub]]))
    assert (a - low * b) ** 2 == pytest.approx((a - la) ** 2 + low**2 * (ub - b) ** 2) and low < a / b
    assert (a - high * b) ** 2 == pytest.approx((ua - a) ** 2 + high**2 * (b - lb) ** 2) and high > a / b


def test_predictive_values_without_a_false_alarm_or_a_call():
    (ppv, (low, high)), _ = predictive_values(20, 5, 0, 100, 0.2)
    assert ppv == 1 and high == 1 and 0.5 < low < 1
    (ppv, limits), (npv, _) = predictive_values(0, 25, 0, 100, 0.2)
    assert (ppv, limits) == (None, None) and npv == pytest.approx(0.8)


def test_the_interval_of_a_predictive_value_covers_the_truth():
    rng = np.random.default_rng(0)
    m, n, se, sp, share = 40, 90, 0.8, 0.9, 0.1
    truth = share * se / (share * se + (1 - share) * (1 - sp))
    held = 0
    for tp, fp in zip(rng.binomial(m, se, 2000), rng.binomial(n, 1 - sp, 2000)):
        (_, (low, high)), _ = predictive_values(int(tp), int(m - tp), int(fp), int(n - fp), share)
        held += low <= truth <= high
    assert 0.93 <= held / 2000 <= 0.975


def test_one_side_has_no_rate_but_no_fault_either():
    at = operate(np.ones(4), np.array([.1, .6, .7, .8]), 0.5)
    assert at.specificity is None and at.ppv is None and at.sensitivity == 0.75 and (at.fp, at.tn) == (0, 0)


@pytest.mark.parametrize("code, call", [
    ("threshold.rule", lambda y, s: choose("best", y, s)),
    ("threshold.one_class", lambda y, s: choose("youden", np.ones(len(s)), s)),
    ("threshold.parameter", lambda y, s: choose("sensitivity", y, s)),
    ("threshold.parameter", lambda y, s: choose("sensitivity", y, s, sensitivity=1.2)),
    ("threshold.parameter", lambda y, s: choose("cost", y, s, cost=float("nan"))),
    ("threshold.parameter", lambda y, s: choose("sensitivity", y, np.zeros(len(s)), sensitivity=0.5)),
    ("threshold.prevalence", lambda y, s: choose("cost", y, s, cost=2, prevalence=1.0)),
    ("threshold.prevalence", lambda y, s: choose("cost", y, s, cost=2, prevalence=0.0)),
])
def test_what_cannot_be_chosen_is_said(code, call):
    with pytest.raises(LightboxError) as said:
        call(*scores_of(5))
    assert said.value.code == code


def test_a_frozen_threshold_is_the_runs_until_it_is_let_go(run):
    assert of(run) == 0.5 and frozen(run) is None
    labels, scores = scores_of(6)
    chosen = choose("sensitivity", labels, scores, sensitivity=0.95)
    freeze(run, chosen)
    assert of(run) == chosen.value
    kept = frozen(run)
    assert (kept.rule, kept.parameters) == ("sensitivity", {"sensitivity": 0.95})
    assert kept.epoch == checkpoints.best_epoch(run.checkpoints)
    freeze(run, Threshold(0.25))
    assert of(run) == 0.25 and frozen(run).rule == "hand"
    unfreeze(run)
    assert of(run) == 0.5


def test_several_findings_have_one_each_and_several_classes_none_for_the_answer(run):
    rename_classes(run, "a", "b", "c")
    about = json.loads((run.folder / "data.json").read_text())
    (run.folder / "data.json").write_text(json.dumps(about | {"task": "multi-label, binary-class"}))
    assert of(run) == 0.5
    freeze(run, Threshold(0.2), 2)
    freeze(run, Threshold(0.7), 0)
    assert of(run).tolist() == [0.7, 0.5, 0.2]
    unfreeze(run, 0)
    assert of(run).tolist() == [0.5, 0.5, 0.2]
    (run.folder / "data.json").write_text(json.dumps(about | {"task": "multi-class"}))
    assert of(run) == 0.5 and frozen(run, 2).value == 0.2         # one class against the rest: kept, but no answer is made of it


def test_of_two_classes_the_first_may_be_the_one_that_is_sought(run):
    rng = np.random.default_rng(8)
    p = np.clip(rng.random(200), 0, 1).astype(np.float32)
    probs, labels = np.stack([1 - p, p], axis=1), (rng.random(200) < p).astype(int)
    positive, scores = one_class(labels, probs, "binary-class", 0)
    chosen = choose("sensitivity", positive, scores, sensitivity=0.9)
    freeze(run, chosen, 0)
    called = metrics.predict(probs, "binary-class", of(run)) == 0
    assert (called == (scores > chosen.value)).all() and called[labels == 0].mean() >= 0.9
    assert frozen(run, 0).value == pytest.approx(chosen.value)
    assert frozen(run, 0).positive_class == frozen(run, 1).positive_class == 0
    unfreeze(run, 0)
    assert of(run) == 0.5 and frozen(run, 0) is None


def test_only_validation_may_choose_and_an_older_epoch_does_not_count(run):
    labels, scores = scores_of(7)
    with pytest.raises(LightboxError) as said:
        freeze(run, choose("youden", labels, scores, split="test"))
    assert said.value.code == "threshold.split" and not (run.folder / "threshold.json").exists()
    with pytest.raises(LightboxError) as said:
        freeze(run, Threshold(1.5))
    assert said.value.code == "threshold.value"
    with pytest.raises(LightboxError) as said:
        freeze(run, Threshold(0.3, epoch=0))
    assert said.value.code == "threshold.epoch"
    freeze(run, Threshold(0.3))
    path = run.folder / "threshold.json"
    path.write_text(path.read_text().replace(f'"epoch": {checkpoints.best_epoch(run.checkpoints)}', '"epoch": 0'))
    assert of(run) == 0.5 and frozen(run) is None


def test_a_torn_file_is_said_and_a_deleted_run_too(run):
    freeze(run, Threshold(0.3))
    path = run.folder / "threshold.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(LightboxError) as said:
        of(run)
    assert said.value.code == "run.damaged"
    shutil.rmtree(run.folder)
    with pytest.raises(LightboxError) as said:
        unfreeze(run)
    assert said.value.code == "run.gone"
