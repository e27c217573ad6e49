"""Members of one run: snapshots, the mean of their weights, and augmented copies of an image."""

from __future__ import annotations

import numpy as np
import pytest

from core.datasets import open_dataset
from core.errors import LightboxError
from core.evaluation.ensembles import make_ensemble
from core.evaluation.members import members_of
from core.evaluation.predictions import load_predictions
from core.runs import checkpoints
from core.runs.classifiers import classify, load_classifier
from core.runs.ensembles import member_problems
from core.runs.store import RunStore


def row_of(preds):
    return dict(zip(preds.image_ids, preds.probs))


def test_snapshots_of_one_run_vote(readers):
    run = readers["snapshots"]
    kept = checkpoints.snapshots(run.checkpoints)
    assert {2, 4} <= set(kept)
    made = make_ensemble(members_of([f"{run.id}@2", f"{run.id}@4"]), "soft")
    data = open_dataset(run.config.data)
    pictures = [data.images[row] for row in data.indices("val")]
    each = [classify(load_classifier(f"{run.id}@{epoch}").model, pictures) for epoch in (2, 4)]
    place = row_of(load_predictions(made, "val"))
    names = data.table["image_id"][data.indices("val")]
    assert np.allclose([place[name] for name in names], np.mean(each, axis=0), atol=1e-5)


def test_a_soup_is_a_network_with_the_mean_of_the_weights(readers):
    import torch
    run = readers["snapshots"]
    made = make_ensemble(members_of([f"{run.id}@2", f"{run.id}@4"]), "soup")
    theirs = [load_classifier(f"{run.id}@{epoch}").model for epoch in (2, 4)]
    ours = load_classifier(made.id).model
    for name, value in ours.named_parameters():
        assert torch.allclose(value, sum(model.get_parameter(name) for model in theirs) / 2, atol=1e-6), name
    assert made.ensemble.is_soup and made.name.startswith("Soup of 2")
    data = open_dataset(made.config.data)
    pictures = [data.images[row] for row in data.indices("val")]
    assert np.allclose(classify(ours, pictures), load_predictions(made, "val").probs, atol=1e-5)
    RunStore().delete(run)                                # it needs its members no more
    assert load_classifier(made.id).epoch == 1 and member_problems(made) == []


def test_augmented_copies_of_one_run(readers):
    from core.augment.tta import augmented_probabilities
    from core.runs.classifiers import as_input
    run = readers["snapshots"]
    made = make_ensemble(members_of([run.id]), "soft", draws=4)
    data, model = open_dataset(run.config.data), load_classifier(run.id).model
    pictures = [data.images[row] for row in data.indices("val")]
    expected = augmented_probabilities(model, as_input(model, pictures), run.config.augment, 4, run.config.train.seed).numpy()
    assert np.allclose(load_predictions(made, "val").probs, expected, atol=1e-5)
    assert np.allclose(classify(load_classifier(made.id).model, pictures[:3]), expected[:3], atol=1e-5)
    assert made.name.startswith("4 augmented copies")
    with pytest.raises(LightboxError, match="augments nothing"):
        make_ensemble(members_of([readers["a"].id]), "soft", draws=4)


@pytest.mark.parametrize("name", ["x" * 301, "two\nlines"])
def test_a_name_that_no_table_can_show_is_refused(readers, name):
    with pytest.raises(LightboxError) as error:
        make_ensemble(members_of([readers["a"].id, readers["b"].id]), "soft", name=name)
    assert error.value.code == "run.name" and len(RunStore().list()) == len(readers)


def test_stacking_folds_is_fitted_on_what_each_said_out_of_fold(readers):
    from sklearn.linear_model import LogisticRegression
    run = make_ensemble(members_of([readers[f"fold {k}"].id for k in range(3)]), "stacking")
    each = [load_predictions(readers[f"fold {k}"], "val") for k in range(3)]
    positive = np.concatenate([one.probs[:, 1] for one in each])[:, None]
    theirs = LogisticRegression().fit(positive, np.concatenate([one.labels for one in each]))
    ours = load_classifier(run.id).model.fitted
    assert np.allclose(ours["coef"], theirs.coef_, atol=1e-3) and np.allclose(ours["intercept"], theirs.intercept_, atol=1e-3)
