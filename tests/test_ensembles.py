"""Ensembles as runs: what they predict, from what, and what happens when a member is gone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.datasets import open_dataset
from core.datasets.decode import decode_image
from core.errors import LightboxError
from core.evaluation import ensembles, member_predictions
from core.evaluation.ensemble_scores import (
    against_best,
    best_of,
    member_scores,
    part_scores,
    tie_count,
    way_scores,
    without_each,
)
from core.evaluation.ensembles import cross_fitted, fit, make_ensemble
from core.evaluation.evaluate import evaluate
from core.evaluation.gate import gate_confusion, gate_of, known_gate
from core.evaluation.member_predictions import gather
from core.evaluation.members import differences, members_of
from core.evaluation.predictions import load_predictions, predict_split
from core.models.combine import WAYS
from core.runs import checkpoints
from core.runs.classifiers import classify, load_classifier
from core.runs.ensembles import member_problems
from core.runs.store import RunStore
from core.runs.summary import summarize
from tests.readers import N

SEEDS = ("a", "b", "c")


def ids(readers, *names):
    return [readers[name].id for name in names]


def make(readers, how="soft", names=SEEDS, gate="", **more):
    return make_ensemble(members_of(ids(readers, *names), gate), how, gate=gate, **more)


def row_of(preds):
    return dict(zip(preds.image_ids, preds.probs))


def test_a_soft_vote_is_the_mean_of_what_its_members_stored(readers):
    run = make(readers)
    ours = load_predictions(run, "val")
    theirs = [row_of(load_predictions(readers[name], "val")) for name in SEEDS]
    assert np.allclose(ours.probs, [np.mean([one[i] for one in theirs], axis=0) for i in ours.image_ids], atol=1e-6)
    assert ours.labels.tolist() == load_predictions(readers["a"], "val").labels.tolist()
    assert run.status().state == "finished" and run.name == "Soft vote of 3: a, b, c"
    assert summarize(run).value("roc_auc") == pytest.approx(evaluate(run, "val").value("roc_auc"))
    assert [run.id for run in RunStore().list()][0] == run.id


def test_stored_predictions_are_reused(readers, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("something was predicted anew")
    monkeypatch.setattr(member_predictions, "predict_split", never)
    monkeypatch.setattr(member_predictions, "_computed", never)
    for how in ("soft", "hard", "weighted", "greedy", "stacking"):
        make(readers, how)


def test_the_experts_are_asked_once_about_the_images_of_other_parts(readers, monkeypatch):
    make(readers, "experts", ("left", "right"), "side")
    monkeypatch.setattr(member_predictions, "_computed", lambda *args, **kwargs: pytest.fail("computed twice"))
    make(readers, "experts", ("left", "right"), "side", learned=True)


def test_a_new_image_passes_through_each_members_own_preprocessing(readers):
    run = make(readers, names=("a", "small"))
    data = open_dataset(readers["a"].config.data)
    pictures = [data.original(int(i)) for i in data.indices("val")[:5]]
    each = [classify(load_classifier(readers[name].id).model, pictures) for name in ("a", "small")]
    found = classify(load_classifier(run.id).model, pictures)
    assert np.allclose(found, np.mean(each, axis=0), atol=1e-6)
    assert np.allclose(found, load_predictions(run, "val").probs[:5], atol=1e-4)


@pytest.mark.parametrize("how", ["weighted", "stacking", "greedy", "rank", "mlp"])
def test_a_loaded_ensemble_predicts_with_what_was_fitted_on_all_of_validation(readers, how):
    run = make(readers, how)
    said = gather(run.ensemble.members, "val")
    model = load_classifier(run.id).model
    expected = WAYS[how].combine(said.probs, fit(how, said), said.task)
    assert np.allclose(model.combine(said.probs, []), expected, atol=1e-5)


def test_what_is_shown_of_validation_was_fitted_on_other_patients(readers):
    said = gather(members_of(ids(readers, *SEEDS)), "val")
    fitted_on = []
    original = WAYS["stacking"]

    class Spy:
        combine = staticmethod(original.combine)

        @staticmethod
        def fit(probs, labels, task):
            fitted_on.append(probs)
            return original.fit(probs, labels, task)
    WAYS["stacking"] = Spy
    try:
        shown = cross_fitted("stacking", said)
    finally:
        WAYS["stacking"] = original
    n = len(said.labels)
    assert len(fitted_on) == ensembles.FOLDS and sum(n - rows.shape[1] for rows in fitted_on) == n      # each is held out once
    patients = {person: [i for i, p in enumerate(said.patients) if p == person] for person in set(said.patients)}
    for rows in fitted_on:
        inside = {tuple(column) for column in rows[:, :, 1].T}
        for members in patients.values():
            there = [tuple(said.probs[:, i, 1]) in inside for i in members]
            assert all(there) or not any(there), "a patient is divided"
    assert shown.shape == (len(said.labels), 2)


def test_nothing_is_chosen_with_labels_of_test(readers, tmp_path):
    """With the test labels turned round in the table, every way is fitted to the same numbers and predicts the same."""
    runs = {how: make(readers, how) for how in ("weighted", "greedy", "stacking")}
    before = {how: predict_split(run, "test").probs for how, run in runs.items()}
    for name in SEEDS:                              # the members' stored test labels are wrong from now on, or missing
        path = readers[name].folder / "predictions.npz"
        with np.load(path) as stored:
            arrays = dict(stored)
        if name == "c":
            arrays = {key: value for key, value in arrays.items() if not key.startswith("test_")}
        else:
            arrays["test_labels"] = 1 - arrays["test_labels"]
        np.savez(path, **arrays)
    for how, run in runs.items():
        again = make(readers, how)
        first, second = (load_classifier(one.id).model.fitted for one in (run, again))
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[key], second[key]) for key in first)
        (readers["a"].folder / "predictions.npz").unlink()
        assert np.array_equal(load_predictions(run, "val").probs, load_predictions(again, "val").probs)
        assert np.allclose(before[how], predict_split(again, "test").probs, atol=1e-6)


def test_opening_the_test_set_of_an_ensemble_opens_that_of_its_members(readers):
    run = make(readers)
    assert [readers[name].times_test_opened() for name in SEEDS] == [0, 0, 0]
    result = evaluate(run, "test")
    assert result.n == sum(load_predictions(readers["a"], "test").labels >= 0)
    assert [readers[name].times_test_opened() for name in SEEDS] == [1, 1, 1] and run.times_test_opened() == 1


def test_a_deleted_or_changed_member_gives_a_sentence(readers):
    run = make(readers)
    kept = load_predictions(run, "val").probs
    assert member_problems(run) == []
    folder = readers["b"].checkpoints / checkpoints.name_of(run.ensemble.members[1].epoch)
    meta = json.loads((folder / "meta.json").read_text())
    meta["meta"]["sha256"]["weights.safetensors"] = "0" * 64
    (folder / "meta.json").write_text(json.dumps(meta))
    assert "weights of the member b" in member_problems(run)[0]
    RunStore().delete(readers["c"])
    assert "member c" in member_problems(run)[1] and "deleted" in member_problems(run)[1]
    with pytest.raises(LightboxError) as error:
        load_classifier(run.id)
    assert error.value.code == "ensemble.member"
    assert np.array_equal(load_predictions(run, "val").probs, kept)        # what was predicted can still be looked at
    assert evaluate(run, "val").warnings[0].code == "ensemble.member"


@pytest.mark.parametrize("names, gate, code, words", [
    (("a", "other split"), "", "ensemble.differ", "other validation images"),
    (("left", "right"), "", "ensemble.differ", "experts"),
    (("left", "a"), "side", "ensemble.expert", "all images"),
    (("left",), "side", "ensemble.differ", "no expert for side R"),
    (("fold 0", "fold 1"), "", "ensemble.differ", "Fold 3 of 3"),
    (("a", "a"), "", "ensemble.twice", "twice"),
    (("a",), "", "ensemble.empty", "two members")])
def test_runs_that_cannot_be_combined_are_named_with_what_is_missing(readers, names, gate, code, words):
    with pytest.raises(LightboxError) as error:
        make(readers, "experts" if gate else "soft", names, gate)
    assert error.value.code == code and words in error.value.message
    assert not list((RunStore().root / "runs").glob("*/ensemble")) and len(RunStore().list()) == len(readers)


def test_the_missing_run_comes_with_its_settings(readers):
    found, = differences(members_of(ids(readers, "a", "other split")))
    assert found.settings == {"data.split_seed": 0} and found.config.name == "other split"
    found, = differences(members_of(ids(readers, "left"), "side"))
    assert found.settings == {"data.only": "side:R"}


def test_an_ensemble_is_no_member_but_its_folds_are(readers):
    run = make(readers)
    with pytest.raises(LightboxError, match="is an ensemble itself"):
        members_of([run.id, readers["a"].id])
    folds = make(readers, names=("fold 0", "fold 1", "fold 2"))
    assert [member.name for member in members_of([folds.id])] == ["fold 0", "fold 1", "fold 2"]


def test_folds_of_one_config_are_one_member_whose_validation_is_out_of_fold(readers):
    run = make(readers, names=("fold 0", "fold 1", "fold 2"))
    preds = load_predictions(run, "val")
    data = open_dataset(run.config.data)
    assert set(preds.image_ids) == set(data.table["image_id"][data.indices("val")])
    assert len(preds.image_ids) + len(data.indices("test")) == N and not len(data.indices("train"))
    for k in range(3):
        own = row_of(load_predictions(readers[f"fold {k}"], "val"))
        assert all(np.array_equal(own[name], probs) for name, probs in zip(preds.image_ids, preds.probs) if name in own)
    test = predict_split(run, "test")
    each = [load_predictions(readers[f"fold {k}"], "test").probs for k in range(3)]
    assert np.allclose(test.probs, np.mean(each, axis=0), atol=1e-6)
    assert run.name.startswith("Out of fold, 3 folds")


def test_experts_each_answer_for_their_part(readers):
    run = make(readers, "experts", ("left", "right"), "side")
    preds, data = load_predictions(run, "val"), open_dataset(run.config.data)
    assert run.config.data.only == "" and set(preds.image_ids) == set(data.table["image_id"][data.indices("val")])
    own = row_of(load_predictions(readers["left"], "val")) | row_of(load_predictions(readers["right"], "val"))
    assert np.allclose(preds.probs, [own[name] for name in preds.image_ids], atol=1e-6)


def test_a_learned_gate_weighs_the_experts_of_an_image(readers):
    run = make(readers, "experts", ("left", "right"), "side", learned=True)
    preds, data = load_predictions(run, "val"), open_dataset(run.config.data)
    said = gather(run.ensemble.members, "val")
    model = load_classifier(run.id).model
    gate = gate_of(data, preds.image_ids, model.fitted)
    assert np.allclose(gate.sum(axis=1), 1)
    assert np.allclose(preds.probs, gate[:, :1] * said.probs[0] + gate[:, 1:] * said.probs[1], atol=1e-5)
    # the corner says which side it is: the gate knows it from the image
    matrix = gate_confusion(gate, said.parts)
    assert matrix.sum() == len(said.labels) and matrix.trace() == matrix.sum()
    row = {name: i for i, name in enumerate(data.table["image_id"])}
    pictures = [data.original(row[name]) for name in preds.image_ids[:4]]
    assert np.allclose(classify(model, pictures), preds.probs[:4], atol=1e-3)


def test_experts_are_scored_on_their_own_part_and_on_the_others_with_n(readers):
    said = gather(members_of(ids(readers, "left", "right"), "side"), "val")
    every = row_of(load_predictions(readers["a"], "val"))
    rows = part_scores(said, [("one for all", np.stack([every[name] for name in said.image_ids]))])
    assert [(row.network, row.part, row.own) for row in rows] == [
        ("left", "L", True), ("right", "L", False), ("one for all", "L", False),
        ("left", "R", False), ("right", "R", True), ("one for all", "R", False)]
    own = load_predictions(readers["left"], "val")
    assert rows[0].estimates["accuracy"].n == len(own.labels)
    assert rows[0].estimates["accuracy"].value == np.mean(own.probs.argmax(axis=1) == own.labels)
    assert sum(row.estimates["roc_auc"].n for row in rows if row.network == "left") == len(said.labels)
    assert (known_gate(said.parts, 2).argmax(axis=1) == said.parts).all()


def test_scores_of_members_and_ways_and_the_sentence(readers):
    said = gather(members_of(ids(readers, *SEEDS)), "val")
    members, ways = member_scores(said), way_scores(said)
    assert [one.title for one in members] == list(SEEDS)
    for name, one in zip(SEEDS, members):
        whole = evaluate(readers[name], "val")
        assert one.value() == pytest.approx(whole.value("roc_auc")) and one.value("accuracy") == whole.value("accuracy")
        assert one.estimates["roc_auc"].low <= one.value() <= one.estimates["roc_auc"].high
    assert best_of(members).value() == max(one.value() for one in members)
    soft = next(one for one in ways if one.key == "soft")
    found = against_best(said, soft, members)
    assert best_of(members).title in found["sentence"] and "chance" in found["sentence"] or "same ROC AUC" in found["sentence"]
    gone = without_each(said, "soft")
    assert len(gone) == 3
    two = gather(members_of(ids(readers, "b", "c")), "val")
    assert gone[0] == pytest.approx(next(one for one in way_scores(two, ["soft"])).value())
    assert tie_count(two) == int((two.probs[0].argmax(axis=1) != two.probs[1].argmax(axis=1)).sum())


def test_features_are_stacked_as_the_report_proposed(readers):
    run = make(readers, "stacking", ("a", "small"), on_features=True)
    data = open_dataset(readers["a"].config.data)
    pictures = [data.original(int(i)) for i in data.indices("test")]
    model = load_classifier(run.id).model
    assert np.allclose(classify(model, pictures), predict_split(run, "test").probs, atol=1e-3)
    assert model.features(pictures[:2]).shape == (2, sum(network.features for network in model.networks))
    assert load_predictions(run, "val").probs.shape == load_predictions(readers["a"], "val").probs.shape


def test_an_ensemble_is_not_trained(readers):
    run = make(readers)
    for refused in (lambda: RunStore().extend(run, 9), lambda: RunStore().resume(run)):
        with pytest.raises(LightboxError, match="is an ensemble"):
            refused()


def test_an_ensemble_that_is_stopped_while_it_is_made_leaves_nothing(readers):
    class Stop(Exception):
        pass

    def stop(*args):
        raise Stop
    with pytest.raises(Stop):
        make(readers, "experts", ("left", "right"), "side", progress=stop)
    assert len(RunStore().list()) == len(readers) and not list((RunStore().root / "runs").glob(".*"))


def test_files_that_are_dropped_are_classified(readers, tmp_path):
    run = make(readers, "experts", ("left", "right"), "side")
    data = open_dataset(readers["a"].config.data)
    import cv2
    cv2.imwrite(str(tmp_path / "one.png"), data.original(0)[..., 0])
    picture = decode_image(tmp_path / "one.png").pixels
    found = classify(load_classifier(run.id).model, [picture])
    assert found.shape == (1, 2) and found.sum() == pytest.approx(1, abs=1e-5)
