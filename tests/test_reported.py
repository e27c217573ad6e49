"""Printed beside obtained: every report has rows and notes, a run finds its recipe, intervals are those of another library."""

import numpy as np
import pytest
from scipy.stats import fisher_exact
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_score
from sklearn.utils.class_weight import compute_class_weight
from statsmodels.stats.proportion import proportion_confint

from core.config import RunConfig
from core.datasets.custom import CustomDataset, save_custom_dataset
from core.evaluation import reported
from core.evaluation.report_tables import PRINTED_TABLES, tables_of
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
    for only, rows in (("body_part:wrist", ["wrist"]), ("body_part:wrist|hand", []), ("view:PA", ["all"])):
        assert reported.comparable(of_any, "parts-3", only=only) == rows
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


# ---------------------------------------------------------------------------------------- tables beside which no run can stand

def columns(report: str, title: str) -> dict[str, list[str]]:
    """The one table whose title begins so: heading -> cells."""
    table, = (table for table in tables_of(report) if table.title.startswith(title))
    return dict(zip(table.columns, zip(*table.rows)))


def numbers(cells) -> np.ndarray:
    return np.array(cells, float)


def test_every_row_has_a_cell_for_each_heading():
    assert all(len(row) == len(table.columns) > 1 and all(row) for table in PRINTED_TABLES for row in table.rows)
    assert len({(table.report, table.title) for table in PRINTED_TABLES}) == len(PRINTED_TABLES)


def test_totals_of_the_printed_tables_add_up_but_for_the_misprint():
    split = {name: numbers(cells) for name, cells in columns("R000", "Images of each split").items() if name != "Class"}
    for name, column in split.items():
        assert (column[:-1].sum() == column[-1]) == (name != "Total")
    parts = np.stack([split[name] for name in ("Training", "Validation", "Test")]).sum(0)
    assert (parts[:-1] == split["Total"][:-1]).all() and parts[-1] == 12901
    summary = columns("R004", "Model summary")
    rows, trainable = numbers(summary["Parameters"]), summary["Trainable"]
    assert rows[:-1].sum() == rows[-1]
    assert sum(n for n, yes in zip(rows, trainable) if yes == "yes") == float(trainable[-1])


def test_printed_networks_are_torchvisions():
    import torch
    from torchvision import models
    table = columns("R000", "Layers in each dense block")
    with torch.device("meta"):
        for name, *blocks in zip(*table.values()):
            if name != "DenseNet-264":                       # torchvision has none
                own = getattr(models, name.lower().replace("-", ""))()
                own = [len(own.features.get_submodule(f"denseblock{k}")) for k in range(1, 5)]
                assert own == [int(layers) for layers in blocks]
        table = columns("R000", "Parameters of networks")
        for name, millions in zip(table["Network"], numbers(table["2D-CNN"])):
            own = getattr(models, name.lower().replace("-", ""))(num_classes=100)
            assert sum(p.numel() for p in own.parameters()) / 1e6 == pytest.approx(millions, rel=.03), name


def test_printed_class_weights_are_sklearns():
    table = columns("R001", "Class weights")
    labels = np.repeat([0, 1], [int(n) for n in table["Training images"]])
    found = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    assert found == pytest.approx(numbers(table["Weight"]), abs=5e-9)


def test_reconstructed_matrices_give_the_printed_metrics():
    table = columns("R001", "Confusion matrices")
    printed = {"CNN, all": ("r001-cnn", "all"), "DenseNet201, all": ("r001-densenet201", "all"),
               "DenseNet169, all": ("r001-densenet169", "all"), "DenseNet121, all": ("r001-densenet121", "all"),
               "DenseNet201, augmented, all": ("r001-densenet201-augmented", "all"),
               "DenseNet169, WRIST": ("r001-densenet169", "wrist"),
               "DenseNet201, FOREARM": ("r001-densenet201", "forearm, batches of 16")}
    for run_name, *cells in zip(*table.values()):
        tn, fp, fn, tp = map(int, cells)
        assert (tn + fp, fn + tp) == (1667, 1530)
        true, predicted = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp]), np.repeat([0, 1, 0, 1], [tn, fp, fn, tp])
        key, what = printed[run_name]
        row = RECIPES[key].reported[what]
        assert accuracy_score(true, predicted) == pytest.approx(row["accuracy"], abs=.0015), run_name
        assert cohen_kappa_score(true, predicted) == pytest.approx(row["cohen_kappa"], abs=.0015), run_name
        assert precision_score(true, predicted, average="macro") == pytest.approx(row["macro_precision"], abs=.0011)


def test_which_printed_accuracies_are_a_whole_number_of_images():
    def whole(accuracy: float, n: int) -> bool:
        return abs(round(accuracy * n) / n - accuracy) < 6e-6
    assert all(whole(accuracy, 156) for accuracy in numbers(columns("R002", "BreastMNIST")["Accuracy"]))
    retina = columns("R002", "RetinaMNIST")
    for split, n in (("Training", 1080), ("Validation", 120), ("Test", 400)):
        assert [whole(accuracy, n) for accuracy in numbers(retina[f"{split} accuracy"])] == [True, False, False, False]
    assert not whole(.75226, 1000)
    for key, title, cells in (("r002-resnet18", "BreastMNIST", 0), ("r002-resnet18-simple", "BreastMNIST", 1),
                              ("r002-resnet50", "BreastMNIST", 3), ("r002-resnet50-simple", "BreastMNIST", 4),
                              ("r002-resnet18", "PneumoniaMNIST", 0), ("r002-resnet18-simple", "PneumoniaMNIST", 1)):
        table, of_run = columns("R002", title), RECIPES[key].reported[title.lower()]
        assert (float(table["AUC"][cells]), float(table["Accuracy"][cells])) == (of_run["roc_auc"], of_run["accuracy"])
    assert RECIPES["r002-resnet18"].reported["retinamnist"] == {"roc_auc": float(retina["Test AUC"][0]),
                                                                "accuracy": float(retina["Test accuracy"][0])}


def test_the_first_survey_is_whole_and_its_best_row_is_the_recipes():
    layers, blocks = columns("R004", "Survey 1, mammograms: layers"), columns("R004", "Survey 1, mammograms: dense blocks")
    assert layers["Layers"] == tuple(map(str, range(12, 0, -1))) and blocks["Dense blocks"] == tuple("4321")
    accuracy = numbers(layers["Validation accuracy (%)"])
    best, row = int(accuracy.argmax()), RECIPES["r004-survey"].reported["validation"]
    assert layers["Layers"][best] == str(RECIPES["r004-survey"].changes["model.block_layers"])
    assert [100 * row["accuracy"], row["loss"], 100 * row["train_accuracy"], row["train_loss"]] == pytest.approx(
        [float(layers[name][best]) for name in ("Validation accuracy (%)", "Validation loss", "Training accuracy (%)",
                                                "Training loss")])
    two = blocks["Dense blocks"].index("2")
    assert float(layers["Validation accuracy (%)"][0]) - float(blocks["Validation accuracy (%)"][two]) == pytest.approx(.19)
    minutes = [int(h) * 60 + int(m) + int(s) / 60 for h, m, s in
               (time.rstrip("s").replace("h", " ").replace("m", " ").split() for time in blocks["Running time"])]
    assert minutes == sorted(minutes, reverse=True)              # fewer blocks are quicker


def test_intervals_of_the_second_survey_are_walds():
    table = columns("R004", "Survey 2, Deep-COVID: test")
    for name, n in (("Sensitivity (%)", 100), ("Specificity (%)", 3000)):
        for cell in table[name]:
            value, wide = numbers(cell.split(" \u00b1 "))
            low, _ = proportion_confint(value / 100 * n, n, method="normal")
            assert 100 * (value / 100 - low) == pytest.approx(wide, abs=.07)        # the upper end is cut at 100 %
    images = columns("R004", "Survey 2, Deep-COVID: images")
    assert images["COVID"] == ("84", "420", "100") and images["Not COVID"] == ("2000", "2000", "3000")


def test_f1_of_the_printed_counts():
    table = columns("R004", "Average of the F1")
    for tp, fn, fp, tn, f1 in zip(*(numbers(table[name]) for name in ("TP", "FN", "FP", "TN", "F1"))):
        assert tp + fn + fp + tn == 278 and 2 * tp / (2 * tp + fp + fn) == pytest.approx(f1, abs=.0101)
