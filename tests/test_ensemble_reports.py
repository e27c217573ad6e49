"""Reports, zips and comparisons of ensembles: what stands there, and that a zip holds everything from which one can be built."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from sklearn.metrics import roc_auc_score

from core.__main__ import main
from core.datasets import open_dataset
from core.errors import LightboxError
from core.evaluation.compare import compare, run_differences
from core.evaluation.ensembles import make_ensemble
from core.evaluation.maps import explain_pictures
from core.evaluation.members import members_of
from core.evaluation.predictions import load_predictions
from core.explain.overlay import overlay
from core.models.combine import WAYS
from core.report import bundle, comparison, contents, report
from core.report.export import export
from core.report.pictures import Mistake, _jpeg, _large, with_pictures
from core.report.tables import evaluation_report, names_of_reports, reports_of_runs
from core.report.zip_bundle import comparison_bundle
from core.runs.classifiers import classify, load_classifier
from core.runs.store import RunStore
from tests.judged import open_page, text_of


def ensemble_of(readers, how="weighted", names="abc", gate="", **more):
    return make_ensemble(members_of([readers[name].id for name in names], gate), how, gate=gate, **more)


@pytest.fixture
def ensemble(readers):
    return ensemble_of(readers)


def files_of(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_the_report_has_the_members_and_no_training(ensemble, readers):
    page = report(ensemble)
    assert "Weighted mean of 3" in page and "<h2>Members</h2>" in page and ensemble.ensemble.about in page
    for words in ("<h2>Training</h2>", "epoch 1,", "Epochs", "Class weights", "<h2>Network</h2>", "by epoch", "stage by stage"):
        assert words not in page, words
    weights = load_classifier(ensemble.id).model.fitted["weights"]
    for name, weight in zip("abc", weights):
        own = load_predictions(readers[name], "val")
        assert readers[name].id in page and f">{weight:.3f}<" in page
        assert f"{roc_auc_score(own.labels, own.probs[:, 1]):.3f} (" in page
    parameters = sum(value.numel() for value in load_classifier(readers["a"].id).model.network.parameters())
    assert f"{parameters:,}" in page and "maximum likelihood from incomplete data" in page.lower()
    assert "<h2>Training</h2>" in report(readers["a"])


def test_the_mistakes_have_the_weighted_mean_of_the_maps(readers):
    run = ensemble_of(readers)
    what = contents(run)
    data, model = open_dataset(run.config.data), load_classifier(run.id).model
    asked = [Mistake(name, "", 0.5, k % 2) for k, name in enumerate(what.preds.image_ids[:3])]
    drawn = with_pictures(asked, data, model)
    rows = [list(data.table["image_id"].astype(str)).index(one.image_id) for one in asked]
    images = [np.asarray(data.images[row]) for row in rows]
    for one, image, cam in zip(drawn, images, explain_pictures(model, images, [0, 1, 0])):
        assert one.map == _jpeg(overlay(_large(image), cam))


def test_a_report_of_experts_and_of_folds_says_what_each_knows(readers):
    page = report(ensemble_of(readers, "experts", ("left", "right"), "side"))
    assert "side L" in page and "side R" in page and "Jacobs" in page
    assert "fold 2 of 3" in report(ensemble_of(readers, "soft", ("fold 0", "fold 1", "fold 2")))


def test_a_zip_holds_all_from_which_the_ensemble_can_be_built_again(ensemble, readers, tmp_path, monkeypatch):
    files = files_of(bundle(ensemble))
    about = json.loads(files["ensemble.json"])
    assert about["spec"]["how"] == "weighted" and [member["run"] for member in about["spec"]["members"]] == [
        readers[name].id for name in "abc"]
    assert json.loads(files["config.json"])["ensemble"] == about["spec"] and len(about["members"]) == 3
    assert "report/summaries/curves.csv" not in files and not [name for name in files if name.startswith("checkpoints/")]
    data = open_dataset(ensemble.config.data)
    pictures = [data.images[row] for row in data.indices("val")[:6]]
    expected = classify(load_classifier(ensemble.id).model, pictures)
    # elsewhere: only what is in the zip
    for name, content in files.items():
        path = tmp_path / "moved" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.rmtree(RunStore().root / "runs")
    monkeypatch.setattr("core.runs.classifiers.SHIPPED", tmp_path / "moved" / "members")
    said = np.stack([classify(load_classifier(place.partition("/")[2]).model, pictures) for place in about["members"]])
    fitted = load_tensors(files["fitted/weights.safetensors"])
    assert np.allclose(WAYS["weighted"].combine(said, fitted, "binary-class"), expected, atol=1e-6)
    assert all(f"{place}/{name}" in files for place in about["members"]
               for name in ("weights.safetensors", "meta.json", "config.json", "card.md", "data.json"))


def test_a_zip_without_a_member_is_refused_with_a_sentence(ensemble, readers):
    RunStore().delete(readers["b"])
    with pytest.raises(LightboxError, match="The member b .* was deleted"):
        bundle(ensemble)
    assert "The member b" in report(ensemble)


def test_export_names_bundle_and_opens_nothing(ensemble, readers, tmp_path, capsys):
    assert main(["export", ensemble.id, str(tmp_path / "out"), "--title", "x"]) == 2
    assert "python -m core bundle" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and ensemble.times_test_opened() == readers["a"].times_test_opened() == 0
    soup = ensemble_of(readers, "soup")
    export(soup, tmp_path / "soup", "A soup")
    card = (tmp_path / "soup" / "card.md").read_text()
    assert "Soup of 3" in card and "epoch 1" not in card and "Made from a, b, c" in card


def test_tables_of_reports_have_no_epoch_and_no_network_of_the_first_member(ensemble, readers):
    rows = list(csv.DictReader(io.StringIO(evaluation_report(contents(ensemble)))))
    assert {row["epoch"] for row in rows} == {""} and {row["code"] for row in rows} == {ensemble.code}
    assert names_of_reports([ensemble, readers["a"]])[0].startswith("Ensemble_")
    every = next(iter(reports_of_runs([ensemble, readers["a"]]).values()))
    first, second = csv.DictReader(io.StringIO(every))
    assert (first["network"], first["best_epoch"]) == ("Weighted mean of 3", "")
    assert (second["network"], second["best_epoch"] != "") == ("Small CNN", True)


def test_a_comparison_says_that_one_is_an_ensemble(ensemble, readers):
    page = comparison([ensemble, readers["b"]])
    assert "Weighted mean of 3" in page and "a, b, c" in page and "Only their names" not in page
    assert "B is one of the members of A" in page
    files = comparison_bundle([ensemble, readers["b"]])
    names = zipfile.ZipFile(io.BytesIO(files)).namelist()
    assert f"{readers['b'].id}/curves.csv" in names and f"{ensemble.id}/curves.csv" not in names


def test_what_differs_between_an_ensemble_and_a_run(ensemble, readers):
    rows = {row["field"]: (row["a"], row["b"]) for row in run_differences(ensemble, readers["small"])}
    assert rows["ensemble"] == ("Weighted mean of 3", "Small CNN") and rows["members"] == ("a, b, c", "-")
    assert rows["data.size"] == (28, 20) and all(name in ("ensemble", "members") or name.startswith("data.") for name in rows)
    other = ensemble_of(readers, "soft")
    assert [row["field"] for row in run_differences(ensemble, other)] == ["ensemble"]
    assert any("Both have the same members" in note for note in compare(ensemble, other)["notes"])
    assert run_differences(readers["a"], readers["b"])[0]["field"] in ("name", "train.seed")
    at = open_page("compare", runs=f"{ensemble.id},{readers['b'].id}")
    text = text_of(at).replace("\\", "")
    assert "A is an ensemble, Weighted mean of 3: made from a, b, c." in text and "B is one of the members of A." in text
    assert "No setting differs" not in text


def test_an_ensemble_costs_as_much_as_its_members_together(ensemble, readers):
    from core.models.costs import costs
    from core.runs.summary import summarize
    from pages.compare.charts import COSTS, _place, places_of
    from pages.shared.costs import known_costs, known_times
    every = {run.id: summarize(run) for run in (*readers.values(), ensemble)}
    one, alone = every[ensemble.id], _place(every[readers["a"].id])
    known_costs()[alone] = costs(*alone, batch_size=64)
    places = places_of(one, every)
    assert COSTS["parameters"][2](one, places) == 3 * known_costs()[alone].parameters
    assert COSTS["flops"][2](one, places) == 3 * known_costs()[alone].flops
    assert COSTS["seconds"][2](one, places) == pytest.approx(sum(every[readers[name].id].seconds for name in "abc"))
    known_times().pop(alone, None)
    assert COSTS["latency"][2](one, places) is None
    known_times()[alone] = 0.25
    assert COSTS["latency"][2](one, places) == 0.75
    known_times().pop(alone)
    assert places_of(one, {key: row for key, row in every.items() if key != readers["b"].id}) == []
    assert COSTS["parameters"][2](one, []) is None
    soup = summarize(ensemble_of(readers, "soup"))
    assert places_of(soup, every) == [_place(soup)]


@pytest.mark.parametrize("view", ["curves", "cost", "away", "folds", "reported", "two"])
def test_each_view_of_compare_takes_an_ensemble(ensemble, readers, view):
    at = open_page("compare", runs=f"{ensemble.id},{readers['b'].id}", view=view)
    assert not at.error
    if view == "curves":
        assert "an ensemble is not trained" in text_of(at)
        other = ensemble_of(readers, "soft")
        assert not open_page("compare", runs=f"{ensemble.id},{other.id}", view=view).error
