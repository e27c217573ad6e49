"""The curves of Evaluate, their dots, and each finding's own threshold, against scikit-learn, whatever is in the cache."""


import numpy as np
import pytest
import sklearn.metrics

from core.evaluation import thresholds
from core.evaluation.evaluate import evaluate_predictions
from core.evaluation.predictions import load_predictions
from core.metrics.operating_points import Threshold
from tests import judged
from tests.drawn import charts
from tests.judged import change_json, matrices, open_page, plant, store_arrays, text_of

run, trained = judged.run, judged.trained          # fixtures
SAME = np.array([0, 1] * 20), np.tile([0.4, 0.6], (40, 1))


def check_curves(at, true: np.ndarray, score: np.ndarray, cut: float) -> None:
    """The two curves, their dots and what is written below them, against scikit-learn at a threshold."""
    (roc,), (pr,), words, said = charts(at, "ROC curve"), charts(at, "Precision"), text_of(at), score > cut
    fpr, tpr, _ = sklearn.metrics.roc_curve(true, score)
    points = {(round(x, 6), round(y, 6)) for x, y in zip(fpr, tpr)}
    shown = [(round(row["x"], 6), round(row["y"], 6)) for row in roc.rows("curve")]
    assert set(shown) == points and shown == sorted(shown)
    sensitivity, specificity = said[true == 1].mean(), 1 - said[true == 0].mean()
    dot, = roc.rows("point")
    assert (dot["x"], dot["y"]) == pytest.approx((1 - specificity, sensitivity))
    assert f" {sensitivity:.3f}, specificity {specificity:.3f}." in words
    right, found, _ = sklearn.metrics.precision_recall_curve(true, score, drop_intermediate=False)
    points = {(round(x, 6), round(y, 6)) for x, y in zip(found[:-1], right)}
    shown = [(round(row["x"], 6), round(row["y"], 6)) for row in pr.rows("curve")]
    assert set(shown) <= points and (1, round(true.mean(), 6)) in shown and len(shown) > 10
    assert f"precision of {true[said].mean():.3f}. Chance level: {true.mean():.3f}" in words


def test_curves_and_dots_are_scikit_learns_at_the_threshold(run):
    rng = np.random.default_rng(8)
    labels = (np.arange(40) % 4 == 0).astype(int)
    p = rng.permutation(np.linspace(0.02, 0.9, 40)).astype(np.float32) * np.float32(0.8) + np.float32(0.15) * labels
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    check_curves(open_page("evaluate", run=run.id), labels, p, 0.5)
    thresholds.freeze(run, Threshold(0.3))                        # the page is in the cache at 0.5
    at = open_page("evaluate", run=run.id)
    check_curves(at, labels, p, 0.3)
    below = [c.value for c in at.caption if c.value.startswith("95 %")]
    assert "of 10 1" in below[2] and "of 30 0" in below[3]        # sensitivity is of the ill, specificity of the healthy
    rows = at.dataframe[0].value
    assert [text[:4] for text in rows["specificity"]] == [f"{(p > 0.3)[labels == 1].mean():.2f}",
                                                          f"{(p <= 0.3)[labels == 0].mean():.2f}"]
    each = open_page("evaluate", run=run.id, section="measures").dataframe
    assert list(each[1].value["n"]) == [40, 40] and list(each[1].value["n_positive"]) == [30, 10]
    overall = each[0].value.set_index("metric")
    assert overall.loc["Sensitivity", "n_positive"] == 10 and overall.loc["Sensitivity", "n"] == 40


def test_each_finding_has_a_threshold_and_curves_of_its_own(run):
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 2, (40, 3))
    probs = np.stack([rng.permutation(np.linspace(0.02, 0.98, 40)) for _ in range(3)], 1).astype(np.float32)
    plant(run, "val", labels, probs)
    change_json(run, "data", task="multi-label, binary-class", class_names=["a", "b", "c"], split_hash="of other images")
    thresholds.freeze(run, Threshold(0.2), 2)
    for k, cut in ((0, 0.5), (2, 0.2)):
        at = open_page("evaluate", run=run.id, finding=str(k))
        check_curves(at, labels[:, k], probs[:, k], cut)
        said = probs[:, k] > cut
        assert matrices(at)[0]["counts"] == sklearn.metrics.confusion_matrix(labels[:, k], said).tolist()


def test_an_opening_elsewhere_is_said_although_the_numbers_are_known(run):
    plant(run, "test", *SAME)
    run.note_test_opened()
    assert "opened 2 times" not in text_of(open_page("evaluate", run=run.id, split="test"))
    run.note_test_opened()                                        # by another person, or by the command line
    assert "The test set was opened 2 times" in "\n".join(
        w.value for w in open_page("evaluate", run=run.id, split="test").warning)


def test_validation_of_an_older_epoch_is_not_held_against_test(run):
    labels, right = np.arange(40) % 2, np.eye(2)[np.arange(40) % 2] * 0.8 + 0.1
    plant(run, "val", labels, right)
    plant(run, "test", labels, right[::-1])
    assert any(one.code == "far_from_test" for one in evaluate_predictions(run, "test", load_predictions(run, "test")).warnings)
    store_arrays(run, val_epoch=np.array(0))
    assert not any(one.code == "far_from_test"
                   for one in evaluate_predictions(run, "test", load_predictions(run, "test")).warnings)
