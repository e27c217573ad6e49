"""Every command that takes a run takes an ensemble, or says in a sentence what to do instead."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from core.__main__ import main
from core.config import RunConfig
from core.datasets import open_dataset
from core.evaluation.ensembles import make_ensemble
from core.evaluation.external_predictions import open_external, predict_external
from core.evaluation.maps import explain_pictures
from core.evaluation.members import members_of
from core.evaluation.neighbours import features_of
from core.evaluation.predictions import load_predictions, predict_split
from core.evaluation.shortcut_test import retaken, run_shortcut_test
from core.runs.classifiers import as_input, classify, load_classifier
from core.runs.store import RunStore
from core.worker import queue_worker


def ensemble_of(readers, how="weighted", names="abc", gate="", **more):
    return make_ensemble(members_of([readers[name].id for name in names], gate), how, gate=gate, **more)


@pytest.fixture
def ensemble(readers):
    return ensemble_of(readers)


@pytest.fixture
def picture(ensemble, tmp_path):
    data = open_dataset(ensemble.config.data)
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), np.asarray(data.images[0])[..., 0])
    return path


def said(capsys, *words, code=0):
    capsys.readouterr()
    assert (main(list(map(str, words))) or 0) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def test_explain_draws_the_weighted_mean_or_one_member(ensemble, readers, picture, tmp_path, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr("core.commands.explain._drawn", lambda image, cam, method: drawn.append((image.numpy(), cam)) or b"x")
    text = said(capsys, "explain", ensemble.id, picture, "--target", "abnormal", "--out", tmp_path / "m.png")
    model, pixels = load_classifier(ensemble.id).model, [cv2.imread(str(picture), 0)[..., None]]
    p = classify(model, pixels)[0, model.class_names.index("abnormal")]
    assert "the mean over 3 members, why abnormal" in text and f"({p:.3f})" in text
    target = [model.class_names.index("abnormal")]
    assert np.allclose(drawn[0][1], explain_pictures(model, pixels, target)[0], atol=1e-6)
    assert np.allclose(drawn[0][0], as_input(model.lead, pixels)[0].numpy())
    for asked in ("2", readers["b"].id, "b"):
        text = said(capsys, "explain", ensemble.id, picture, "--target", "abnormal", "--member", asked, "--out",
                    tmp_path / "m.png")
        assert "the mean over" not in text
        assert np.allclose(drawn[-1][1], explain_pictures(model.networks[1], pixels, target)[0], atol=1e-6)
    assert "There are 1 (" in said(capsys, "explain", ensemble.id, picture, "--member", "7", "--out", tmp_path / "m", code=2)
    assert "no members" in said(capsys, "explain", readers["a"].id, picture, "--member", "1", "--out", tmp_path / "m", code=2)


def test_explain_takes_a_layer_where_the_members_have_the_same(readers, picture, tmp_path, capsys):
    from types import SimpleNamespace
    run = ensemble_of(readers)
    stage = load_classifier(run.id).model.stages[0]
    assert "m.png" in said(capsys, "explain", run.id, picture, "--layer", stage, "--out", tmp_path / "m.png")
    from core.commands import explain
    model = SimpleNamespace(networks=(1, 2), stages=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.runs.classifiers.load_classifier", lambda address: SimpleNamespace(model=model))
        assert "--member" in said(capsys, "explain", run.id, picture, "--layer", stage, "--out", tmp_path / "m.png", code=2)
    assert explain._networks(model) == (1, 2)


def test_explain_writes_the_maps_of_a_split_and_counts_test_for_each_member(ensemble, readers, tmp_path, capsys):
    said(capsys, "explain", ensemble.id, "--split", "val", "--out", tmp_path / "maps")
    rows = list(csv.DictReader((tmp_path / "maps" / "maps.csv").open()))
    data = open_dataset(ensemble.config.data)
    assert len(rows) == len(data.indices("val")) == len(list((tmp_path / "maps").glob("*.png")))
    probs = classify(load_classifier(ensemble.id).model, list(data.images[data.indices("val")]))
    assert [float(row["probability"]) for row in rows] == pytest.approx(probs.max(axis=1), abs=1e-4)
    said(capsys, "explain", ensemble.id, "--split", "test", "--out", tmp_path / "test")
    assert [run.times_test_opened() for run in (ensemble, *(readers[name] for name in "abc"))] == [1] * 4
    assert readers["small"].times_test_opened() == 0


@pytest.mark.parametrize("how, names, gate", [("weighted", "abc", ""), ("soft", ("a", "small"), ""),
                                              ("experts", ("left", "right"), "side"),
                                              ("soft", ("fold 0", "fold 1", "fold 2"), "")])
def test_another_set_is_predicted_by_all_members_and_compared_by_the_features_of_one(readers, how, names, gate):
    run = ensemble_of(readers, how, names, gate)
    data = open_external(run, run.config.data.dataset)
    steps = []
    found = predict_external(run, data, lambda *step: steps.append(step))
    model = load_classifier(run.id).model
    assert np.allclose(found.probs, classify(model, list(data.images[:])), atol=1e-5)
    assert any(sentence == f"Asking {len(names)} members" and done == total == len(data) for sentence, done, total in steps)
    own = open_dataset(run.config.data)
    training = own.indices("train")
    if not len(training):
        assert "out of fold" in found.why_not and not len(found.nearest)
        return
    features = features_of(model.lead, list(data.images[:])), features_of(model.lead, list(own.images[training]))
    assert np.allclose(found.nearest, cosine_similarity(*features).max(axis=1), atol=1e-3)


def test_evaluate_names_the_ensemble_and_no_epoch(ensemble, readers, capsys):
    first = said(capsys, "evaluate", ensemble.id).splitlines()[0]
    assert "Weighted mean of 3" in first and "epoch" not in first
    assert "epoch" in said(capsys, "evaluate", readers["a"].id).splitlines()[0]
    text = said(capsys, "evaluate", ensemble.id, "--on", ensemble.config.data.dataset).splitlines()[0]
    assert "Weighted mean of 3" in text and "epoch" not in text


def test_folds_takes_an_ensemble_of_folds_for_its_folds(readers, ensemble, capsys):
    folds = ensemble_of(readers, "soft", ("fold 0", "fold 1", "fold 2"))
    each = said(capsys, "folds", *(readers[f"fold {k}"].id for k in range(3)))
    assert said(capsys, "folds", folds.id) == each
    assert "is an ensemble, and no series of folds" in said(capsys, "folds", ensemble.id, code=2)


@pytest.mark.parametrize("words, sentence", [
    (["train", "--resume", "ID"], "is an ensemble: it is not trained"),
    (["train", "--resume", "ID", "--epochs", "9"], "is an ensemble: it is not trained"),
    (["find-lr", "--model", "small_cnn", "--size", "28", "--set", "model.weights=run:ID"], "has no weights of its own"),
    (["ensemble", "ID", "ID"], "is an ensemble itself"),
    (["shortcut-test", "ID"], "cannot be generated again with another letter")])
def test_what_an_ensemble_cannot_is_refused_with_a_sentence(ensemble, readers, capsys, words, sentence):
    more = ["--dataset", ensemble.config.data.dataset] if words[0] == "find-lr" else []
    assert sentence in said(capsys, *(word.replace("ID", ensemble.id) for word in words), *more, code=2)


def test_the_shortcut_test_asks_all_members(readers):
    """Of two networks on phantoms with letters: what it says is computed from the probabilities of the ensemble."""
    store, runs = RunStore(), []
    options = {"patients": 24, "studies": 1, "parts": ["wrist"], "letters": 1.0}
    from core.datasets.custom import CustomDataset, save_custom_dataset
    save_custom_dataset(CustomDataset("letters", "letters", "phantom", "", options))
    for seed in range(2):
        config = RunConfig().with_(**{"data.dataset": "letters", "data.size": 28, "model.name": "small_cnn", "train.epochs": 1,
                                      "train.seed": seed, "train.device": "cpu", "train.threads": 1, "name": f"letters {seed}"})
        runs.append(store.create(config))
        store.queue.claim("cpu")
        queue_worker.train_run(runs[-1], store.root)
        assert runs[-1].status().state == "finished", runs[-1].log()
    run = make_ensemble(members_of([one.id for one in runs]), "soft")
    data = open_dataset(run.config.data)
    found, model = run_shortcut_test(run, "val"), load_classifier(run.id).model
    rows = data.indices("val")
    for row in found.rows:
        if row.as_trained:
            probs = classify(model, retaken(data, rows, data.source.config))
            assert row.accuracy == pytest.approx(np.mean(probs.argmax(axis=1) == data.labels[rows]))
    run_shortcut_test(run, "test")
    assert [one.times_test_opened() for one in (run, *runs)] == [1, 1, 1]


def test_predict_and_evaluate_say_the_same_of_an_image_of_the_set(ensemble, picture, tmp_path, capsys):
    out = tmp_path / "table.csv"
    said(capsys, "predict", ensemble.id, picture, "--out", out)
    row, = csv.DictReader(out.open())
    data = open_dataset(ensemble.config.data)
    split = data.table["split"].iloc[0]
    preds = load_predictions(ensemble, "val") if split == "val" else predict_split(ensemble, "test") if split == "test" else None
    names = load_classifier(ensemble.id).model.class_names
    expected = classify(load_classifier(ensemble.id).model, [data.images[0]])[0]
    assert [float(row[f"prob_{name}"]) for name in names] == pytest.approx(expected, abs=1e-4)
    assert preds is None or preds.probs.shape[1] == len(names)
