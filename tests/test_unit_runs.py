"""A run whose unit is a study: from the command line to maps, predictions and another set."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from core.config import RunConfig
from core.datasets import open_dataset, open_source
from core.errors import LightboxError
from core.evaluation.data_state import data_note
from core.evaluation.predictions import load_predictions
from core.explain import METHODS, explain
from core.models.views import POOLS
from core.runs.classifiers import as_input
from core.runs.initial_weights import build_for
from core.runs.preflight import mend_of, require_possible
from core.runs.store import RunStore
from core.trainers.batches import SplitData
from core.trainers.embedding import plain_features
from tests.judged import open_page
from tests.many_views import planted, write_studies


def command(*words: str) -> int:
    from core.__main__ import main
    return main(list(words))


def config_of(path, **changes) -> RunConfig:
    return RunConfig().with_(**{"data.dataset": str(path), "data.size": 16, "model.name": "small_cnn", "data.unit": "study",
                                "train.epochs": 1, "train.device": "cpu", "train.threads": 1, **changes})


@pytest.fixture
def studies(tmp_path):
    return write_studies(tmp_path / "set", 60, without={3: 1, 7: 0})


@pytest.mark.slow
@pytest.mark.parametrize("how", ["attention", "parallel_separate"])
def test_a_run_from_the_command_line(studies, tmp_path, capsys, how):
    named = ["--set", "data.view_column=view"] if how == "parallel_separate" else []
    assert command("train", "--dataset", str(studies), "--model", "small_cnn", "--size", "16", "--epochs", "1", "--device", "cpu",
                   "--set", "data.unit=study", "--set", f"model.views={how}", *named) == 0
    run = RunStore().get(capsys.readouterr().out.split()[-1])
    assert run.data()["unit"] == "study" and run.data()["views"] == 2
    command("evaluate", run.id, "--json")
    assert json.loads(capsys.readouterr().out)["n"] == 12
    preds = load_predictions(run, "val")
    assert preds.image_ids[0] == "p3/study0" and data_note(run, preds) is None
    assert data_note(run, preds, open_source(run.config.data).fingerprint()) is None
    command("explain", run.id, "--split", "val", "--out", str(tmp_path / "maps"))
    capsys.readouterr()
    rows = list(csv.DictReader((tmp_path / "maps" / "maps.csv").open()))
    assert len(rows) == 12 and cv2.imread(str(tmp_path / "maps" / rows[0]["file"])).shape == (16, 32, 3)
    images = planted(60)[0]
    for name, picture in (("one", images[12, ..., 0]), ("both", np.hstack([images[12, ..., 0], images[13, ..., 0]]))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    command("predict", run.id, str(tmp_path / "one.png"), str(tmp_path / "both.png"))
    one, both = csv.DictReader(capsys.readouterr().out.splitlines())
    assert float(both["prob_same"]) == pytest.approx(preds.probs[0][1], abs=1e-4)       # study 6 is the first of validation
    assert one["predicted"] if how == "attention" else "the views frontal, lateral" in one["error"]
    other = write_studies(tmp_path / "other", 10, seed=5)
    command("evaluate", run.id, "--on", str(other), "--json")
    assert json.loads(capsys.readouterr().out)["n"] == 10


@pytest.mark.parametrize("how", POOLS)
def test_features_computed_once_are_those_of_a_pass(studies, tmp_path, how):
    config = config_of(studies, **{"model.views": how, "data.view_column": "view"})
    data = open_dataset(config.data)
    model = build_for(config, data).eval()
    split = SplitData.of(data, "train")
    features = plain_features(model, split, config, tmp_path / "features")
    with torch.no_grad():
        logits = model(as_input(model, list(data.images[split.indices])))
        assert torch.allclose(model.head(torch.from_numpy(np.array(features))), logits, atol=1e-5)


def test_parallel_inputs_need_names(studies):
    config = config_of(studies, **{"model.views": "parallel"})
    with pytest.raises(LightboxError) as error:
        require_possible(config)
    assert error.value.code == "model.views"
    assert mend_of(config, error.value).changes == {"data.view_column": "view"}
    require_possible(config.with_(**{"data.view_column": "view"}))
    with pytest.raises(LightboxError, match="parallel inputs need|Parallel inputs need"):
        build_for(config, open_dataset(config.data))


@pytest.mark.parametrize("how", ["attention", "parallel_separate"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_a_map_for_each_view(studies, how, method):
    config = config_of(studies, **{"model.views": how, "data.view_column": "view"})
    data = open_dataset(config.data)
    model = build_for(config, data).eval()
    rows = np.array([0, 3])                                  # study 3 has no lateral view
    images = as_input(model, list(data.images[rows]))
    maps = explain(method, model, images, torch.tensor([0, 1]))
    assert maps.shape == (2, 16, 32) and torch.isfinite(maps).all()
    if method not in ("score_cam", "eigen_cam"):             # these look at the maps, whatever comes of them
        assert maps[1, :, 16:].abs().max() < 1e-5 and maps[0].abs().max() > 0


def test_grad_cam_of_two_views_is_that_of_each_under_a_linear_head(studies):
    config = config_of(studies)
    data = open_dataset(config.data)
    model = build_for(config, data).eval()
    one = build_for(config.with_(**{"data.unit": "image"}), open_dataset(config.with_(**{"data.unit": "image"}).data)).eval()
    one.network.load_state_dict(model.network.state_dict())
    images, target = as_input(model, list(data.images[[0]])), torch.tensor([1])
    both = explain("grad_cam", model, images, target)
    for view in range(2):
        part = slice(16 * view, 16 * view + 16)
        alone = explain("grad_cam", one, images[..., part], target)
        assert torch.allclose(2 * both[..., part], alone, atol=1e-6)      # the logit is the mean of the two


def test_a_run_starts_from_the_weights_of_one_of_single_images(studies, monkeypatch):
    from core.runs import classifiers, initial_weights
    plain = config_of(studies, **{"data.unit": "image", "train.seed": 5})
    before = build_for(plain, open_dataset(plain.data))
    monkeypatch.setattr(initial_weights, "_require_weights", lambda run: None)
    monkeypatch.setattr(initial_weights, "run_of", lambda address: None)
    monkeypatch.setattr(initial_weights, "load_classifier", lambda run: classifiers.Loaded(before, 1, ()))
    for how in ("attention", "parallel_separate"):
        config = config_of(studies, **{"model.weights": "run:x", "model.views": how, "data.view_column": "view"})
        model = build_for(config, open_dataset(config.data))
        one = model.network.one_view
        assert torch.equal(one.features.conv1.weight, before.network.features.conv1.weight)
        if how == "attention":
            assert torch.equal(one.fc.weight, before.network.fc.weight)
        else:
            assert torch.equal(model.network.view2.features.conv1.weight, one.features.conv1.weight)


def test_a_saved_network_of_views_is_read_again(studies):
    from core.runs.classifiers import build_saved
    config = config_of(studies, **{"model.views": "attention"})
    model = build_for(config, open_dataset(config.data))
    again = build_saved(config.model, json.loads(json.dumps(model.describe())))
    again.load_state_dict(model.state_dict())
    assert again.preprocessing == model.preprocessing
    images = torch.rand(2, 1, 16, 32)
    assert torch.equal(again.eval()(images), model.eval()(images))


def test_a_single_picture_is_a_study_of_one_view(studies):
    config = config_of(studies)
    model = build_for(config, open_dataset(config.data)).eval()
    picture = planted(1)[0][0]
    one = as_input(model, [picture])
    assert one.shape == (1, 1, 16, 32) and not one[..., 16:].any()
    big = np.kron(np.hstack([picture, picture]), np.ones((2, 2, 1), np.uint8))       # two views, twice as large
    assert torch.equal(as_input(model, [big])[..., 16:], one[..., :16])




@pytest.mark.slow
def test_every_page_shows_a_run_of_studies(studies, capsys):
    assert command("train", "--dataset", str(studies), "--model", "small_cnn", "--size", "16", "--epochs", "1", "--device", "cpu",
                   "--set", "data.unit=study", "--set", "data.view_column=view", "--set", "model.views=parallel") == 0
    run = RunStore().get(capsys.readouterr().out.split()[-1])
    for page, query in (("evaluate", {"section": "groups"}), ("errors", {}), ("gradcam", {}), ("classify", {}), ("runs", {}),
                        ("train", {}), ("split", {}), ("augment", {}), ("network", {}), ("compare", {})):
        at = open_page(page, run=run.id, **query)
        assert not at.error, (page, [one.value for one in at.error])
        assert not any("changed" in one.value for one in at.warning), page
        if page == "evaluate":
            assert list(at.dataframe[0].value["group"]) == ["by study", "by patient"]


def test_configs_from_before_are_of_single_images():
    old = json.loads(RunConfig().to_json())
    for section, names in (("data", ("unit", "view_column", "views", "incomplete")), ("model", ("views",))):
        for name in names:
            del old[section][name]
    config = RunConfig.from_json(json.dumps(old))
    assert config.data.unit == "image" and config.get("model.views") == "mean"
