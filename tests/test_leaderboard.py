"""The table of all runs: numbers as Evaluate has them, validation decides the order, seeds are folded."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk

from core import __version__
from core.config import RunConfig
from core.evaluation import leaderboard, thresholds
from core.evaluation.evaluate import evaluate
from core.evaluation.leaderboard import best, group_seeds, order_by, score, ungrouped
from core.evaluation.predictions import load_predictions
from core.metrics import METRICS
from core.metrics.intervals import wilson_by_patient
from core.metrics.operating_points import Threshold
from core.runs.summary import RunSummary, file_stamp, stored_scores, summarize
from tests import judged
from tests.judged import plant

run, trained = judged.run, judged.trained          # fixtures


def line(name, auc=None, test=None, images="x", **changes):
    scores = {split: {"measures": {"roc_auc": [value, value - 0.1, value + 0.1, "bootstrap by image"]}}
              for split, value in (("val", auc), ("test", test)) if value is not None}
    return RunSummary(name, name, RunConfig().with_(**changes), split_hash=images, scores=scores)


def order(rows, metric, split="val", largest_first=None):
    down = METRICS[metric].higher_is_better if largest_first is None else largest_first
    return order_by(rows, lambda row: row.estimate(metric, split)[0], down)


def test_intervals_are_those_of_evaluate_and_are_kept(run, monkeypatch):
    found = score(run, "val")
    for name, one in evaluate(run).estimates.items():
        if name in found["measures"]:
            assert found["measures"][name] == [one.value, one.low, one.high, one.method], name
    monkeypatch.setattr(leaderboard, "estimate", lambda *_, **__: pytest.fail("computed again"))
    assert score(run, "val") == found == stored_scores(run)["val"]
    assert summarize(run).scores == {"val": found} and summarize(run).unscored == ()


def test_new_answers_and_a_new_threshold_are_scored_anew(run):
    score(run, "val")
    labels = np.arange(40) % 2
    plant(run, "val", labels, np.stack([0.4 - 0.3 * labels, 0.6 + 0.3 * labels], 1))       # 0.6 and 0.9: all above one half
    assert stored_scores(run) == {} and summarize(run).unscored == ("val",)
    assert score(run, "val")["measures"]["accuracy"][0] == 0.5
    thresholds.freeze(run, Threshold(0.7))
    assert score(run, "val")["measures"]["accuracy"][0] == 1.0


def test_test_is_never_opened(run):
    assert score(run, "test") is None and load_predictions(run, "test") is None and run.times_test_opened() == 0
    found = summarize(run)
    assert found.unscored == ("val",) and "test" not in found.scores and found.seconds > 0
    assert found.value("roc_auc") == pytest.approx(score(run, "val")["measures"]["roc_auc"][0])       # as the trainer reported it
    assert found.value("roc_auc", "test") is None


def test_damaged_answers_have_no_measures_and_do_not_stop_the_others(run):
    plant(run, "val", np.zeros((40, 3), int), np.full((40, 3), 0.5))                       # of a task that the run has not
    assert score(run, "val")["measures"] == {} and summarize(run).unscored == () and summarize(run).value("accuracy") is None


def test_a_home_that_cannot_be_written_still_has_numbers(run, monkeypatch):
    monkeypatch.setattr(leaderboard, "write_json", lambda *_, **__: (_ for _ in ()).throw(OSError("read-only")))
    assert score(run, "val")["n"] == 40 and not os.path.exists(run.folder / "scores.json")


def test_validation_decides_the_order_and_test_only_when_asked():
    rows = ungrouped([line("a", 0.7, 0.9), line("b", 0.9, 0.6), line("c"), line("d", 0.8)])
    assert [one.name for one in order(rows, "roc_auc")] == ["b", "d", "a", "c"]
    assert [one.name for one in order(rows, "roc_auc", "test")] == ["a", "b", "c", "d"]
    assert [one.name for one in order(rows, "roc_auc", largest_first=False)] == ["a", "d", "b", "c"]


def test_the_best_is_the_best_of_the_same_images():
    rows = ungrouped([line("a", 0.7), line("b", 0.9), line("c", 0.9), line("d", 0.95, images="y"), line("e", 0.5, images="z"),
                    line("f", 0.6, images="z")])
    assert best(rows, "roc_auc") == {1, 2, 5}           # two are equally good; d has nobody to be better than
    assert best(rows, "accuracy") == set()


def test_seeds_of_one_setting_become_one_line():
    entries = [line("Network, seed 2", 0.9, **{"train.seed": 2}), line("other", 0.7, **{"optim.lr": 0.5}),
               line("Network, seed 0", 0.8, 0.6, **{"train.seed": 0}), line("elsewhere", 0.8, images="y")]
    rows = group_seeds(entries)
    assert [one.name for one in rows] == ["Network", "other", "elsewhere"]
    assert [one.config.train.seed for one in rows[0].runs] == [0, 2]
    assert rows[0].estimate("roc_auc") == (pytest.approx(0.85), None, None)
    assert rows[0].over_seeds("roc_auc")["sd"] == pytest.approx(np.std([0.8, 0.9], ddof=1))
    assert rows[0].over_seeds("roc_auc", "test")["n"] == 1 and rows[1].estimate("roc_auc") == (0.7, pytest.approx(0.6), 0.7 + 0.1)


def test_of_a_loss_the_least_is_the_best():
    def loss(name, value):
        return RunSummary(name, name, RunConfig(), split_hash="x", recorded={"brier": value})
    rows = ungrouped([loss("a", 0.7), loss("b", 0.3), loss("c", 0.5)])
    assert [one.name for one in order(rows, "brier")] == ["b", "c", "a"] and best(rows, "brier") == {1}
    assert [one.name for one in order(rows, "brier", largest_first=True)] == ["a", "c", "b"]


def test_intervals_know_the_patients_of_the_answers(run):
    path = run.folder / "predictions.npz"
    with np.load(path) as stored:
        arrays = dict(stored) | {"val_patients": np.array([f"p{i // 4}" for i in range(40)])}
    arrays["val_probs"] = np.float32([[0.9, 0.1], [0.1, 0.9]])[np.arange(40) // 4 % 2]         # one answer for each patient
    np.savez(path, **arrays)
    value, low, high, interval = score(run, "val")["measures"]["accuracy"]
    right = arrays["val_labels"] == arrays["val_probs"].argmax(1)
    assert interval == "Wilson, by patient" and value == right.mean()
    assert (low, high) == pytest.approx(wilson_by_patient(right, arrays["val_patients"]))


def test_a_run_is_known_by_its_best_epoch_and_costs_all_of_them(run):
    epochs = run.records("epoch")
    path = run.folder / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for one in rows:
        if one.get("kind", "epoch") == "epoch" and "is_best" in one:
            one |= {"is_best": one["epoch"] <= 2, "seconds": float(one["epoch"]), "val_roc_auc": 0.5 + one["epoch"] / 100}
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    found = summarize(run)
    assert found.recorded["roc_auc"] == pytest.approx(0.52) and found.epoch == len(epochs) == 4
    assert found.seconds == pytest.approx(sum(range(1, 5)))


def test_counts_and_macro_averages_are_those_of_scikit_learn_and_only_of_two_classes(run):
    rng = np.random.default_rng(5)
    labels, p = np.arange(40) % 2, rng.random(40)
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    thresholds.freeze(run, Threshold(0.3))
    score(run, "val")
    row, = ungrouped([summarize(run)])
    (tn, fp), (fn, tp) = sk.confusion_matrix(labels, p > 0.3)
    assert row.counts() == (tp, fn, fp, tn) and row.counts("test") == (None,) * 4
    for name, theirs in (("macro_precision", sk.precision_score), ("balanced_accuracy", sk.recall_score),
                         ("macro_f1", sk.f1_score)):
        assert row.estimate(name)[0] == pytest.approx(theirs(labels, p > 0.3, average="macro"))
    assert group_seeds([row.first, replace(row.first, id="b")])[0].counts() == (None,) * 4       # several seeds have no one table
    judged.change_json(run, "data", task="multi-class", class_names=["a", "b", "c"])
    plant(run, "val", labels, np.stack([1 - p, p / 2, p / 2], 1))
    score(run, "val")
    assert ungrouped([summarize(run)])[0].counts() == (None,) * 4


def test_training_is_known_only_where_it_was_measured_like_validation(run):
    def written(**changes):
        path = run.folder / "metrics.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows = [one | changes if one["kind"] == "epoch" else one for one in rows]
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        return summarize(run)
    found = written(measured="running", train_accuracy=0.9)
    best = max((one for one in run.records("epoch") if one["is_best"]), key=lambda one: one["epoch"])["epoch"]
    assert found.best_epoch == best and found.value("accuracy", "train") is None
    found = written(measured="evaluated", train_accuracy=0.9, train_roc_auc=0.95)
    assert (found.value("accuracy", "train"), ungrouped([found])[0].estimate("roc_auc", "train")) == (0.9, (0.95, None, None))


def test_scores_of_before_there_were_counts_are_computed_again(run):
    score(run, "val")
    path = run.folder / "scores.json"
    old = json.loads(path.read_text())
    files = [run.folder / name for name in ("predictions.npz", "threshold.json")]
    old["val"]["stamp"] = [__version__, *(number for file in files for number in file_stamp(file))]      # as it was before
    del old["val"]["counts"], old["val"]["measures"]["macro_precision"]
    path.write_text(json.dumps(old))
    assert stored_scores(run) == {} and score(run, "val")["measures"]["macro_precision"] and score(run, "val")["counts"]
