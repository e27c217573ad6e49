"""Every page that takes a run takes an ensemble, and looks into each of its members."""

import numpy as np
import pytest

from core.datasets import open_dataset
from core.evaluation.ensembles import make_ensemble
from core.evaluation.maps import explain_pictures
from core.evaluation.members import members_of
from core.evaluation.predictions import load_predictions
from core.explain import explain
from core.runs.classifiers import as_input, load_classifier
from tests.judged import open_page, text_of


@pytest.fixture
def ensemble(readers):
    return make_ensemble(members_of([readers[name].id for name in "abc"]), "weighted")


def pictures_of(run, n=3):
    data = open_dataset(run.config.data)
    return [data.images[row] for row in data.indices("val")[:n]]


def test_its_map_is_the_weighted_mean_of_its_members_maps(ensemble):
    model, pictures = load_classifier(ensemble.id).model, pictures_of(ensemble)
    import torch
    each = [explain("grad_cam", network, as_input(network, pictures), torch.tensor([1, 0, 1])).numpy()
            for network in model.networks]
    expected = sum(w * cams for w, cams in zip(model.fitted["weights"], each))
    assert np.allclose(explain_pictures(model, pictures, [1, 0, 1]), expected, atol=1e-5)
    assert np.allclose(explain_pictures(model.networks[1], pictures, [1, 0, 1]), each[1], atol=1e-6)


def test_members_of_other_sizes_are_explained_as_each_sees_the_image(readers):
    run = make_ensemble(members_of([readers["small"].id, readers["a"].id]), "soft")
    model, pictures = load_classifier(run.id).model, pictures_of(run)
    assert run.config.data.size == 28 and model.preprocessing.size == 28 and "different sizes" in model.notes[0]
    assert explain_pictures(model, pictures, [0, 1, 1]).shape == (3, 28, 28)


@pytest.mark.parametrize("page, query", [
    ("evaluate", {}), ("errors", {"true": "all", "predicted": "all"}), ("gradcam", {"predicted": "all"}), ("compare", {}),
    ("classify", {}), ("runs", {}), ("browse", {})])
def test_the_page_opens(ensemble, page, query):
    at = open_page(page, run=ensemble.id, dataset=ensemble.config.data.dataset, **query)
    assert not [box.value for box in at.error], page


def test_an_error_opens_with_each_members_map(ensemble, readers):
    preds = load_predictions(ensemble, "val")
    at = open_page("errors", run=ensemble.id, true="all", predicted="all", image=preds.image_ids[0])
    assert "Each member" in text_of(at)
    assert not at.error


def test_grad_cam_looks_into_one_member(ensemble, readers):
    at = open_page("gradcam", run=ensemble.id, predicted="all")
    assert "choose a member" in text_of(at)
    member = ensemble.ensemble.members[1]
    at = open_page("gradcam", run=ensemble.id, predicted="all", member=member.address)
    assert "feature maps of" in text_of(at) and not at.error


def test_a_page_says_that_a_member_is_gone(ensemble, readers):
    from core.runs.store import RunStore
    RunStore().delete(readers["b"])
    for page in ("evaluate", "errors", "gradcam"):
        text = text_of(open_page(page, run=ensemble.id, predicted="all"))
        assert "The member b" in text and "deleted" in text, page


def test_nobody_says_that_classes_of_folds_had_no_training_image(readers):
    from core.evaluation.evaluate import evaluate
    run = make_ensemble(members_of([readers[f"fold {k}"].id for k in range(3)]), "soft")
    assert "untrained" not in [note.code for note in evaluate(run, "val").warnings]


def test_an_ensemble_of_one_fold_is_no_fold(readers):
    from core.evaluation.cross_validation import find_series
    from core.runs.store import RunStore
    from core.runs.summary import summarize
    fold = readers["fold 1"]
    copies = make_ensemble(members_of([fold.id]), "soft", draws=1)
    assert copies.config.data.fold == fold.config.data.fold
    series, = find_series([summarize(run) for run in RunStore().list() if run.config.data.folds])
    assert series.runs[1].id == fold.id


def test_the_form_is_not_filled_with_the_settings_of_the_first_member(ensemble, readers):
    for query in ({}, {"again": "1"}):
        at = open_page("train", run=ensemble.id, **query)
        assert any("is an ensemble" in box.value for box in at.error)
    soup = make_ensemble(members_of([readers[name].id for name in "abc"]), "soup")
    assert not open_page("train", run=soup.id).error


def test_a_learning_curve_and_another_seed_leave_ensembles_out(ensemble, readers):
    from pages.gradcam.sanity_checks import another_seed
    at = open_page("evaluate", run=ensemble.id, section="studies")
    assert not at.error
    found = another_seed(readers["c"])
    assert found.id == readers["b"].id and found.ensemble is None and another_seed(ensemble) is None
    at = open_page("compare", view="reported", runs=ensemble.id)
    offered = next(box.options for box in at.selectbox if box.label == "Your run")
    assert ensemble.name not in offered and "a" in offered


@pytest.mark.parametrize("page", ["start", "network", "split", "augment", "add", "ensemble"])
def test_pages_that_take_no_run_open_beside_an_ensemble(ensemble, page):
    at = open_page(page, run=ensemble.id, dataset=ensemble.config.data.dataset)
    assert not [box.value for box in at.error]


def test_an_ensemble_among_other_runs_has_no_seed(ensemble, readers):
    from core.runs.store import RunStore
    from pages.errors.related import predictions_of_other_runs
    image = load_predictions(readers["a"], "val").image_ids[0]
    found = {one.run: one for one in predictions_of_other_runs(readers["a"], RunStore().list(), "val", image, None)}
    assert ensemble.name in found and "b, seed 1" in found
