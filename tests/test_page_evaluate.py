"""The evaluate page: its numbers are those of core.metrics, and the test split is opened on purpose, once a click."""

import json
import re
import shutil
import time

import numpy as np
import pytest

from core import metrics
from core.evaluation import thresholds
from core.evaluation.evaluate import evaluate_predictions
from core.evaluation.predictions import load_predictions
from core.metrics.operating_points import Threshold
from core.runs import checkpoints
from core.runs.store import RunStore
from pages.shared.layout import escape, format_number
from tests import judged
from tests.judged import another_run, change_json, matrices, open_page, plant, press, rename_classes, store_arrays, text_of

run, trained = judged.run, judged.trained          # fixtures


def test_without_a_run_it_invites_to_train(lightbox_home):
    at = open_page("evaluate")
    assert "no runs yet" in text_of(at) and [b.label for b in at.button] == ["Train a network"]


def test_the_numbers_are_those_of_metrics_evaluate(run):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 40)
    p = np.clip(0.5 + 0.25 * (2 * labels - 1) + rng.normal(0, 0.3, 40), 0.01, 0.99)
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    found = load_predictions(run, "val")
    true = metrics.evaluate(found.labels, found.probs, "binary-class", ("0", "1")).as_dict()
    sure = evaluate_predictions(run, "val", found).as_dict()["measures"]
    at = open_page("evaluate", run=run.id)
    shown = {m.label: m.value for m in at.metric}
    names = ("accuracy", "roc_auc", "sensitivity", "specificity", "cohen_kappa")
    assert shown == {metrics.METRICS[name].title: format_number(true[name]) for name in names} | {"Images": "40"}
    matrix, = matrices(at)
    assert matrix["counts"] == true["confusion_matrix"] and matrix["names"] == true["class_names"]
    words = text_of(at)
    for name in names:
        assert f"95 % CI: {sure[name]['low']:.3f} to {sure[name]['high']:.3f}" in words
    assert f"{true['majority_accuracy']:.3f}" in words
    table = at.dataframe[0].value
    assert list(table["n"]) == [row["n"] for row in true["per_class"]]
    assert [text[:4] for text in table["sensitivity"]] == [f"{row['sensitivity']:.2f}" for row in true["per_class"]]


def test_a_network_that_always_says_the_same_is_called_that(run):
    labels = np.array([0] * 10 + [1] * 30)
    plant(run, "val", labels, np.tile([0.2, 0.8], (40, 1)))
    words = text_of(open_page("evaluate", run=run.id))
    for warning in evaluate_predictions(run, "val", load_predictions(run, "val")).notes[:2]:
        assert warning.code in ("one_class_predicted", "below_majority") and escape(warning.text) in words


def test_a_split_with_one_class_has_no_auc_and_no_curve(run):
    plant(run, "val", np.ones(40, int), np.tile([0.2, 0.8], (40, 1)))
    at = open_page("evaluate", run=run.id)
    assert {m.label: m.value for m in at.metric}["ROC AUC"] == "-"
    assert "undefined" in text_of(at) and "No curve" in text_of(at)


def test_the_test_split_is_locked_until_the_button_and_each_click_counts_once(run):
    at = open_page("evaluate", run=run.id, split="test")
    assert not at.metric and "locked" in text_of(at) and load_predictions(run, "test") is None
    at.run()
    assert run.times_test_opened() == 0                           # looking at the button is not opening
    at = press(at, "Open the test set")
    assert run.times_test_opened() == 1 and {m.label: m.value for m in at.metric}["Images"] == "40"
    at.run()
    again = open_page("evaluate", run=run.id, split="test")
    assert run.times_test_opened() == 1                           # showing what is stored is not opening either
    assert "opened once" in text_of(again) and "Open the test set" not in [b.label for b in again.button]


def test_test_predictions_of_an_older_epoch_are_said_to_be_old(run):
    plant(run, "test", *_some())
    store_arrays(run, test_epoch=np.array(0))
    at = open_page("evaluate", run=run.id, split="test")
    assert "predictions of epoch 0" in text_of(at) and "Open the test set again" in [b.label for b in at.button]
    assert run.times_test_opened() == 0


def test_several_findings_are_judged_one_at_a_time(run):
    rng = np.random.default_rng(2)
    labels, probs = rng.integers(0, 2, (40, 3)), rng.random((40, 3))
    plant(run, "val", labels, probs)
    names = ["mass", "fluid", "<script>$x$"]
    change_json(run, "data", task="multi-label, binary-class", class_names=names, split_hash="of other images")
    at = open_page("evaluate", run=run.id, finding="2")
    matrix, = matrices(at)
    true = metrics.evaluate(labels, probs.astype(np.float32), "multi-label, binary-class", names).as_dict()
    assert matrix["counts"] == true["confusion_matrix"][2] and matrix["names"] == ["no <script>$x$", "<script>$x$"]


def test_more_than_two_classes_have_a_curve_each_and_no_threshold(run):
    rng = np.random.default_rng(3)
    labels, probs = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40)
    plant(run, "val", labels, probs)
    change_json(run, "data", task="ordinal-regression", class_names=["no", "some", "much"], split_hash="of other images")
    at = open_page("evaluate", run=run.id)
    true = metrics.evaluate(labels, probs.astype(np.float32), "ordinal-regression", ["no", "some", "much"]).as_dict()
    assert {m.label: m.value for m in at.metric}["Quadratic kappa"] == format_number(true["quadratic_kappa"])
    assert matrices(at)[0]["counts"] == true["confusion_matrix"]
    assert "Each class against all others" in text_of(at) and "threshold" not in text_of(at).split("<style>")[0]


def test_the_table_of_all_measures_has_each_with_its_interval_and_what_it_is_made_of(run):
    found = load_predictions(run, "val")
    true = evaluate_predictions(run, "val", found).as_dict()
    at = open_page("evaluate", run=run.id, section="measures")
    overall, each = at.dataframe[0].value, at.dataframe[1].value
    rows = overall.set_index("metric")
    shown = [name for name in metrics.METRICS if name != "quadratic_kappa"]
    assert set(rows.index) == {metrics.METRICS[name].title for name in shown} | {"MedMNIST AUC", "MedMNIST ACC"}
    for name in shown:
        one, row = true["measures"][name], rows.loc[metrics.METRICS[name].title]
        assert (row["value"], row["low"], row["high"]) == tuple(format_number(one[part]) for part in ("value", "low", "high"))
        assert (row["n"], row["interval"]) == (one["n"], one["interval"] or "-")
    assert list(each["class"]) == ["0", "1"] and list(each["n_positive"]) == [row["n"] for row in true["per_class"]]
    assert each["npv"].iloc[1].startswith(format_number(true["per_class"][1]["measures"]["npv"]["value"], 2))


def test_both_baselines_stand_beside_the_numbers(run):
    at = open_page("evaluate", run=run.id)
    for _ in range(100):                                          # a thread fits the logistic one
        accuracy = next(c.value for c in at.caption if c.value.startswith("95 %"))
        if "logistic" in accuracy:
            break
        time.sleep(0.1)
        at.run()
    bases = {base.name: base.accuracy for base in evaluate_predictions(run, "val", load_predictions(run, "val")).baselines}
    assert len(bases) == 2                                        # the page has had the logistic one fitted, and it is kept
    for name, value in bases.items():
        assert f"{'majority class' if name == 'majority' else 'logistic'}: {value:.3f}" in accuracy


def test_a_frozen_threshold_is_the_one_that_the_numbers_are_made_at(run):
    labels = np.array([0] * 20 + [1] * 20)
    p = np.linspace(0.05, 0.95, 40)
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    thresholds.freeze(run, Threshold(0.8))
    at = open_page("evaluate", run=run.id)
    sensitivity = (p[20:].astype(np.float32) > 0.8).mean()
    assert {m.label: m.value for m in at.metric}["Sensitivity"] == f"{sensitivity:.3f}" and "threshold 0.8" in text_of(at)


def test_the_learning_curve_of_a_grid_is_shown(run):
    n, half = run.data()["n"]["train"], another_run(run, "20260101-000000-bbbb", **{"data.train_fraction": 0.5})
    change_json(half, "data", **{"n.train": n // 2})
    at = open_page("evaluate", run=run.id, section="growth")
    auc = metrics.roc_auc(load_predictions(run, "val").labels, load_predictions(run, "val").probs, "binary-class")
    table, = (frame.value for frame in at.dataframe)
    assert list(table["x"]) == [n // 2, n] and list(table["runs"]) == [1, 1]
    assert all(text.startswith(f"{auc:.3f}") for text in table["value"])
    assert "No other run differs from this one in its image size alone" in text_of(at)
    assert load_predictions(run, "test") is None and run.times_test_opened() == 0
    locked = open_page("evaluate", run=run.id, section="growth", split="test")
    assert not locked.dataframe and run.times_test_opened() == 0


def test_chosen_runs_may_differ_in_more_and_what_it_is_is_said(run):
    other = another_run(run, "20260101-000000-cccc", **{"data.size": 64, "optim.lr": 0.5})
    at = open_page("evaluate", run=run.id, section="growth")
    assert not at.dataframe                                       # by itself it takes only what differs in one thing
    at.session_state["study_choice"] = True                       # the popover is opened
    at = at.run().multiselect[0].set_value([other.id]).run()
    assert not at.exception and list(at.dataframe[0].value["x"]) == [28, 64]
    assert "These runs also differ in learning rate" in text_of(at)


def test_a_part_that_is_not_there_gets_a_sentence(run):
    at = open_page("evaluate", run=run.id, section="nonsense")
    assert any("nonsense" in w.value for w in at.warning) and matrices(at)


@pytest.mark.parametrize("names, healthy", [(("malignant", "normal, benign"), True), (("normal", "abnormal"), False)])
def test_which_class_is_positive_is_said_and_can_be_switched(run, names, healthy):
    """Of a run from before classes were put in order by their meaning, the names say which."""
    rename_classes(run, *names)
    path = run.folder / "data.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "label_edit"}))

    def shown(at) -> tuple[int, str]:
        menu, = [one for one in at.selectbox if one.label == "Positive class"]
        return menu.value, next(c.value for c in at.caption if re.search(r"\nof [\d,]+ ", c.value))
    at = open_page("evaluate", run=run.id)
    k, below = shown(at)
    assert k == (0 if healthy else 1) and escape(names[k]) in below
    k, below = shown(open_page("evaluate", run=run.id, sought=str(1 - k)))
    assert escape(names[k]) in below


def test_names_from_files_are_shown_as_typed(run):
    rename_classes(run, "<script>alert(1)</script>", "$x$ **bold**")
    plant(run, "val", np.array([0, 1] * 20), np.tile([0.4, 0.6], (40, 1)))
    at = open_page("evaluate", run=run.id)
    captions = "\n".join(c.value for c in at.caption)
    assert "\\<script\\>" in captions and "\\$x\\$" in captions and "<script>" not in captions.replace("\\<", "")


def test_an_unfinished_a_deleted_and_a_damaged_run_get_sentences(run):
    assert "deleted" in text_of(open_page("evaluate", run="20200101-000000-dead"))
    best = run.checkpoints / checkpoints.name_of(checkpoints.best_epoch(run.checkpoints)) / "weights.safetensors"
    for folder in run.checkpoints.glob("e*"):
        path = folder / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x99")
    assert best.exists() and len(open_page("evaluate", run=run.id).metric) == 6      # what is stored can still be shown
    (run.folder / "predictions.npz").unlink()
    at = open_page("evaluate", run=run.id)
    assert "damaged" in text_of(at) and not at.metric
    for folder in run.checkpoints.glob("e*"):
        shutil.rmtree(folder)
    assert "not finished an epoch" in text_of(open_page("evaluate", run=run.id))


def test_missing_validation_answers_are_made_anew_and_equal_the_old(run):
    old = load_predictions(run, "val")
    (run.folder / "predictions.npz").unlink()
    at = open_page("evaluate", run=run.id)
    assert len(at.metric) == 6
    assert load_predictions(run, "val").probs == pytest.approx(old.probs, abs=1e-5)


def _some():
    return np.array([0, 1] * 20), np.tile([0.4, 0.6], (40, 1))


@pytest.mark.parametrize("page, label", [("evaluate", "Accuracy"), ("errors", ""), ("gradcam", "")])
def test_a_page_opens_on_the_newest_run_that_can_be_evaluated(run, page, label):
    waiting = RunStore().create(run.config.with_(name="still in the queue"))
    at = open_page(page)
    (chip,) = [box for box in at.selectbox if box.label == "Run"]
    assert chip.value == run.id and not at.exception and "no predictions" not in text_of(at)
    assert [metric.label for metric in at.metric][:1] == [label][:bool(label)]
    assert open_page(page, run=waiting.id).selectbox[0].value == waiting.id, "an address is followed"
