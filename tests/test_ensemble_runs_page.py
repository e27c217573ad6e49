"""An ensemble on the page Runs: its members with their own numbers, what was fitted, and what a deletion would break."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.evaluation.ensembles import make_ensemble
from core.evaluation.member_table import coefficients_of, member_rows, weights_of
from core.evaluation.members import members_of
from core.evaluation.predictions import load_predictions
from core.runs import checkpoints
from core.runs.classifiers import load_classifier
from core.runs.ensembles import fitted_of
from core.runs.store import RunStore
from tests.judged import open_page, text_of


def ensemble_of(readers, how="weighted", names="abc", gate="", **more):
    return make_ensemble(members_of([readers[name].id for name in names], gate), how, gate=gate, **more)


def buttons(at):
    return {button.label for button in at.button}


@pytest.mark.parametrize("how", ["weighted", "greedy", "stacking", "soft"])
def test_the_members_stand_with_their_weights_and_their_own_auc(readers, how):
    run = ensemble_of(readers, how)
    model, rows = load_classifier(run.id).model, member_rows(run)
    for k, (row, name) in enumerate(zip(rows, "abc")):
        own = load_predictions(readers[name], "val")
        assert row.auc.value == pytest.approx(roc_auc_score(own.labels, own.probs[:, 1])) and row.auc.n == len(own.labels)
        assert row.auc.low <= row.auc.value <= row.auc.high
        assert (row.member.run, row.network, row.size, row.images, row.problem) == (readers[name].id, "Small CNN", 28, "", "")
        expected = {"soft": 1 / 3, "stacking": None}.get(how, how not in ("soft", "stacking") and model.fitted["weights"][k])
        assert row.weight == (None if expected is None else pytest.approx(expected))
    assert fitted_of(run).keys() == model.fitted.keys()
    assert all(np.array_equal(fitted_of(run)[name], model.fitted[name]) for name in model.fitted)
    if how == "stacking":
        assert coefficients_of(run.ensemble, fitted_of(run)) == ("Coefficient", model.fitted["coef"][0].tolist())


def test_experts_and_folds_say_on_what_each_was_trained(readers):
    experts = member_rows(ensemble_of(readers, "experts", ("left", "right"), "side"))
    assert [(row.images, row.weight) for row in experts] == [("side L", None), ("side R", None)]
    own = load_predictions(readers["left"], "val")
    assert experts[0].auc.n == len(own.labels) < len(load_predictions(readers["a"], "val").labels)
    folds = member_rows(ensemble_of(readers, "soft", ("fold 0", "fold 1", "fold 2")))
    assert [row.images for row in folds] == [f"fold {k} of 3" for k in (1, 2, 3)]
    assert sum(row.weight for row in folds) == pytest.approx(1)


def test_an_epoch_that_is_not_the_best_has_the_auc_that_its_training_recorded(readers):
    run = readers["a"]
    best = checkpoints.best_epoch(run.checkpoints)
    other, = {1, 2} - {best}
    if other not in checkpoints.snapshots(run.checkpoints):
        pytest.skip("the other epoch was not kept")
    found = make_ensemble(members_of([f"{run.id}@{other}", readers["b"].id]), "soft")
    recorded = next(record["val_roc_auc"] for record in run.records("epoch") if record["epoch"] == other)
    assert member_rows(found)[0].auc.value == recorded and member_rows(found)[0].auc.low is None


def test_weights_that_do_not_fit_the_members_are_no_weights(readers):
    spec = ensemble_of(readers).ensemble
    assert weights_of(spec, {"weights": np.ones(2)}) == weights_of(spec, {}) == [None] * 3


@pytest.mark.parametrize("how", ["weighted", "soup"])
def test_the_page_shows_what_it_is_instead_of_a_training(readers, how):
    run = ensemble_of(readers, how)
    at = open_page("runs", run=run.id)
    text = text_of(at)
    assert run.ensemble.about in text.replace("\\", "") and "ROC AUC" in text and "The log is empty" not in text
    assert {"Train longer", "Duplicate and edit"} & buttons(at) == set() and "Open in Ensemble" in buttons(at)
    assert ("Fine-tune from this run" in buttons(at)) == (how == "soup")
    assert [tab.label for tab in at.tabs] == ["All runs", "Queue", "Notes and tags", "Members", "Data"]
    assert not [metric for metric in at.metric if metric.label == "Epochs"]
    assert {metric.label: metric.value for metric in at.metric}["Members"] == "3"
    linked = {(link.label, link.proto.query_string) for link in at.get("page_link")}
    assert {(name, f"run={readers[name].id}") for name in "abc"} <= linked
    trained = open_page("runs", run=readers["a"].id)
    assert {"Duplicate and edit"} <= buttons(trained) and "Log" in [tab.label for tab in trained.tabs]


def test_a_member_says_which_ensembles_it_is_in_and_which_its_deletion_breaks(readers):
    run, soup = ensemble_of(readers, "weighted", name="The three"), ensemble_of(readers, "soup", name="The soup")
    at = open_page("runs", run=readers["b"].id)
    linked = {(link.label, link.proto.query_string) for link in at.get("page_link")}
    assert "Member of" in text_of(at) and {("The three", f"run={run.id}"), ("The soup", f"run={soup.id}")} <= linked
    warned = [box.value for box in at.warning if "It is a member of" in box.value]
    assert len(warned) == 1 and "The three" in warned[0] and "The soup" not in warned[0]
    assert "Member of" not in text_of(open_page("runs", run=readers["small"].id))
    assert not [box for box in open_page("runs", run=run.id).warning]


def test_a_deleted_member_is_said(readers):
    run = ensemble_of(readers)
    RunStore().delete(readers["b"])
    row = member_rows(run)[1]
    assert row.network == "" and "The member b" in row.problem and "deleted" in row.problem and row.auc.value is None
    at = open_page("runs", run=run.id)
    assert any("The member b" in box.value and "deleted" in box.value for box in at.warning)
    soup = ensemble_of(readers, "soup", "ac")
    RunStore().delete(readers["c"])
    assert "needs it no more" in member_rows(soup)[1].problem
