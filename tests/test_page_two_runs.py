"""Two runs on the page Compare: which is A and which is B, on which split, with which answers; and the curves of both."""

import json

import numpy as np
import pytest
import sklearn.metrics

from core.evaluation import thresholds
from core.evaluation.compare import compare, disagreements, pair
from core.metrics.operating_points import Threshold
from pages.compare.two_runs import _surest_first
from pages.shared.layout import escape
from tests import judged
from tests.drawn import charts
from tests.judged import another_seed, galleries, open_page, plant, text_of
from tests.test_compare import another

run, trained = judged.run, judged.trained          # fixtures
LABELS = np.arange(40) % 2


def answer(one, split: str, strength: float, seed: int) -> None:
    p = np.clip(0.5 + strength * (2 * LABELS - 1) + np.random.default_rng(seed).normal(0, 0.2, 40), 0.01, 0.99)
    plant(one, split, LABELS, np.stack([1 - p, p], 1))


@pytest.fixture
def two(run):
    """A is better on validation, B on test."""
    other = another(run, **{"optim.lr": 0.5, "name": "the other one"})
    for seed, (one, split, strength) in enumerate(((run, "val", 0.3), (other, "val", 0.1), (run, "test", 0.05),
                                                   (other, "test", 0.4))):
        answer(one, split, strength, seed)
    return run, other


def opened(two, **query):
    return open_page("compare", runs=",".join(one.id for one in two), **query)


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_picture_of_the_tests_is_a_less_b_on_this_split(two, split):
    found = compare(*two, split)
    chart, = charts(opened(two, split=split), "Difference A minus B")
    rows = chart.rows("differences")
    for row, name in zip(rows, ("roc_auc", "accuracy"), strict=True):
        test = found[name]
        assert (row["difference"], row["low"], row["high"]) == pytest.approx((test["difference"], test["low"], test["high"]))
        assert row["result"] == ("significant" if test["p"] < 0.05 else "not significant")
    assert {row["result"] for row in rows} == {"significant"} and (rows[0]["difference"] > 0) == (split == "val")
    low, high = (found["roc_auc"][end] for end in ("low", "high"))
    assert f"{low:+.3f} to {high:+.3f}" in chart.alt
    assert "A is better" in json.dumps(chart.spec, ensure_ascii=False).rsplit("interval", 1)[1]


def test_new_answers_and_a_new_threshold_are_compared_anew(two):
    a, b = two
    before = opened(two)
    answer(b, "val", 0.2, 9)
    after, found = opened(two), compare(a, b)
    assert escape(found["roc_auc"]["sentence"]) in text_of(after) and escape(found["roc_auc"]["sentence"]) not in text_of(before)
    thresholds.freeze(a, Threshold(0.8))
    frozen = compare(a, b)
    assert frozen["disagreements"] != found["disagreements"] == len(galleries(after)[0]["captions"])
    assert len(galleries(opened(two))[0]["captions"]) == frozen["disagreements"]


def test_what_both_are_surest_of_comes_first_and_each_letter_says_its_own(two):
    both = pair(*two)
    rows = disagreements(both)
    sure = np.minimum(*(probs.max(axis=1) for probs in both.probs))[rows]
    ordered = _surest_first(both, rows)
    assert ordered.tolist() == rows[np.argsort(-sure, kind="stable")].tolist() and len(set(sure)) == len(sure) > 3
    captions = galleries(opened(two))[0]["captions"]
    for caption, i in zip(captions, ordered, strict=True):
        said = [f"{letter}: {answers[i]}, {100 * probs[i].max():.0f} %"
                for letter, answers, probs in zip("AB", both.preds, both.probs)]
        assert caption.split("\n") == [f"true {both.labels[i]}", *said]


def test_disagreements_are_those_of_the_finding(two):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, (40, 3))
    for one in two:
        plant(one, "val", labels, np.stack([rng.uniform(0, high, 40) for high in (0.55, 1, 0.7)], 1))
        about = json.loads((one.folder / "data.json").read_text())
        about |= {"task": "multi-label, binary-class", "class_names": ["mass", "fluid", "air"]}
        (one.folder / "data.json").write_text(json.dumps(about))
    counted = [len(disagreements(pair(*two).of_finding(k))) for k in range(3)]
    assert len(set(counted)) == 3
    assert [len(galleries(opened(two, finding=str(k)))[0]["captions"]) for k in range(3)] == counted


def test_seeds_of_each_run_are_told_by_its_letter(two):
    a, b = two
    another_seed(b)
    said = text_of(opened(two)).partition("Mean ROC AUC over seeds, on validation: ")[2]
    auc = compare(a, b)["roc_auc"]["b"]
    assert said.startswith(f"B {auc:.3f} (SD 0.000, 2 seeds).")
    assert text_of(opened((b, a))).partition("on validation: ")[2].startswith("A ")


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_curves_of_both_are_those_of_the_split(two, split):
    chart, = charts(opened(two, view="curves", split=split), "ROC curve")
    for letter, one in zip("AB", two):
        with np.load(one.folder / "predictions.npz") as stored:
            fpr, tpr, _ = sklearn.metrics.roc_curve(stored[f"{split}_labels"], stored[f"{split}_probs"][:, 1])
        drawn = {(round(row["x"], 6), round(row["y"], 6)) for row in chart.rows("curve") if row["class"] == letter}
        assert drawn == {(round(x, 6), round(y, 6)) for x, y in zip(fpr, tpr)}


def test_a_run_without_test_answers_has_no_test_and_is_not_opened(run):
    other = another(run, **{"optim.lr": 0.5})
    at = opened((run, other), split="test")
    assert not charts(at, "Difference") and run.times_test_opened() == other.times_test_opened() == 0
    assert not charts(opened((run, other), split="test", view="curves"), "ROC curve")
