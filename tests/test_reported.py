"""Printed beside obtained: every report has rows and notes, a run finds its recipe, intervals are those of another library."""

import numpy as np
import pytest
from scipy.stats import fisher_exact
from sklearn.metrics import precision_score
from statsmodels.stats.proportion import proportion_confint

from core.config import RunConfig
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.evaluation import reported
from core.runs.recipes import RECIPES, apply
from tests.judged import run, trained  # noqa: F401


def test_every_recipe_with_numbers_has_rows_and_notes():
    for key, recipe in RECIPES.items():
        if recipe.report:
            assert reported.notes_of(key)
        if recipe.reported:
            rows, split = reported.side_by_side(key, None)
            assert split == "" and {row.what for row in rows} == set(recipe.reported)
            assert all(row.obtained is None and row.inside is None for row in rows)


def test_printed_accuracies_have_wilsons_interval():
    row, = (row for row in reported.side_by_side("r000-densenet169", None)[0] if row.title == "Accuracy")
    assert (row.printed_low, row.printed_high) == pytest.approx(proportion_confint(2531, 2580, method="wilson"), abs=1e-9)
    row, = (row for row in reported.side_by_side("r004-resnet18", None)[0] if row.title == "Accuracy")
    assert row.printed == pytest.approx(229 / 278) and row.printed_n == 278


@pytest.mark.parametrize("key", ["r000-resnet50", "r001-densenet201", "r002-resnet50-simple", "r004-squeezenet1_1", "r004-cut-2"])
def test_a_run_finds_the_recipe_that_it_was_made_with(key):
    for right in (False, True):
        config = apply(RunConfig(), key, right)
        found, is_right, differing = reported.closest(config)
        assert RECIPES[found].changes == RECIPES[key].changes and differing == [] and is_right == right
        config = config.with_(**{"train.epochs": 2})
        assert reported.closest(config)[0] == found
        assert reported.in_words(config, found, right) == [f"Epochs 2 instead of {RECIPES[key].changes['train.epochs']}"]


def test_obtained_numbers_are_those_of_the_stored_answers(run):  # noqa: F811
    rows, split = reported.side_by_side("r001-densenet121", run)
    assert split == "val" and run.times_test_opened() == 0
    with np.load(run.folder / "predictions.npz") as stored:
        labels, probs = stored["val_labels"], stored["val_probs"]
    by = {row.title: row for row in rows if row.what == "all"}
    assert by["Accuracy"].obtained == pytest.approx((probs.argmax(1) == labels).mean())
    assert by["Macro precision"].obtained == pytest.approx(precision_score(labels, probs.argmax(1), average="macro"))
    for row in by.values():
        assert row.n == len(labels) and row.low <= row.obtained <= row.high
        assert row.inside == (row.low <= row.printed <= row.high)


def test_only_rows_of_the_same_data_set_stand_beside_a_run(run):  # noqa: F811
    of_sets, of_any = RECIPES["r002-resnet18"], RECIPES["r001-densenet169"]
    assert reported.comparable(of_sets, "breastmnist") == ["breastmnist"]
    assert reported.comparable(of_sets, "/images/breast_28.npz", "BreastMNIST") == ["breastmnist"]
    assert reported.comparable(of_sets, "/images/pneumonia_64.npz", "pneumonia_64") == ["pneumoniamnist"]
    assert reported.comparable(of_sets, "mine", "Mine") == []
    assert reported.comparable(of_any, "mine") == ["all"]
    for k, (parts, rows) in enumerate(((["wrist"], ["wrist"]), (["wrist", "elbow"], []), (["hand"], []), ([], ["all"]))):
        name = f"parts-{k}"
        save_custom_dataset(CustomDataset(name, name, "mura", "/mura", {"parts": parts}))
        assert reported.comparable(of_any, name) == rows
    rows, _ = reported.side_by_side("r002-resnet18", run)
    assert len({row.what for row in rows}) == 10 and all(row.obtained is None for row in rows)


def test_numbers_in_the_notes_are_those_of_other_libraries():
    said = " ".join(sentence for sentences in reported.NOTES.values() for sentence in sentences)
    p = fisher_exact([[1, 1289 - 1], [49, 2580 - 49]]).pvalue
    assert f"(p = {p:.0e})".replace("e-0", "e-") in said
    low, high = proportion_confint(98, 100, method="wilson")
    assert f"Wilson's is {100 * low:.1f} to {100 * high:.1f} %" in said
    p = fisher_exact([[49, 2531], [42, 2538]]).pvalue
    assert f"(p = {p:.2f})" in said


def test_numbers_of_other_images_are_known_as_such(tmp_path):
    of = {report: next(r for r in RECIPES.values() if r.report == report and r.reported) for report in ("R001", "R002", "R004")}
    (tmp_path / "train" / "XR_WRIST").mkdir(parents=True)
    assert not reported.of_other_images(of["R001"], str(tmp_path)) and reported.of_other_images(of["R001"], "breastmnist")
    assert reported.of_other_images(of["R001"], "phantom") and reported.of_other_images(of["R004"], "breastmnist")
    assert not reported.of_other_images(of["R002"], "breastmnist") and not reported.of_other_images(of["R004"], "/my/hospital")
    (tmp_path / "SIMULATED.txt").touch()                        # phantoms in MURA's layout
    assert reported.of_other_images(of["R001"], str(tmp_path))
    small = RunConfig().with_(**{"data.dataset": "breastmnist", "model.name": "cnn"})
    assert RECIPES[reported.closest(small)[0]].report == "R001"                # by its settings
    assert RECIPES[reported.closest(small, [k for k, r in RECIPES.items() if r.report == "R002"])[0]].report == "R002"
