"""Report R001's two tables with all models: from them alone scikit-learn gets the numbers that stand in them."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk

from core.__main__ import main
from core.errors import LightboxError
from core.evaluation import thresholds
from core.evaluation.leaderboard import COUNTS
from core.metrics.operating_points import Threshold
from core.report import comparison, report
from core.report.tables import OF_R001, names_of_reports, reports_of_runs
from core.report.zip_bundle import comparison_bundle
from core.runs.store import RunStore
from tests import judged
from tests.judged import change_json, open_page, plant, text_of
from tests.test_compare import another, change

run, trained = judged.run, judged.trained          # fixtures
N = 40


@pytest.fixture
def two(run):
    """A CNN, and a DenseNet whose threshold is 0.3 and whose predictions lie in another order; A's test set was opened."""
    change_json(run, "config", **{"model.name": "cnn", "name": "=A"})
    rng = np.random.default_rng(8)
    labels, (a, b, c) = np.arange(N) % 2, rng.random((3, N)).round(3)
    other = another(run, **{"model.name": "densenet169", "name": "B"})
    plant(run, "val", labels, np.stack([1 - a, a], 1))
    plant(run, "test", labels, np.stack([1 - c, c], 1))
    order = rng.permutation(N)
    plant(other, "val", labels[order], np.stack([1 - b, b], 1)[order])
    change(other, val_image_ids=lambda ids: ids[order])
    thresholds.freeze(other, Threshold(0.3))
    return run, other


def read(reports: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    assert list(reports) == ["CNN_DenseNet_evaluation_report.csv", "CNN_DenseNet_predictions_report.csv"]
    evaluation, predictions = (pd.read_csv(io.StringIO(text)) for text in reports.values())
    return evaluation.set_index("id"), predictions


def check(evaluation: pd.DataFrame, predictions: pd.DataFrame, one, class_names: list[str]) -> None:
    """The row of a run is what scikit-learn makes of its columns."""
    row, first = evaluation.loc[one.id], f"{one.code}_{one.id}"
    true = predictions["label"].astype(str) == class_names[1]
    called = predictions[f"{first} predicted"].astype(str) == class_names[1]
    p = predictions[f"{first} prob_{class_names[1]}"]
    (tn, fp), (fn, tp) = sk.confusion_matrix(true, called)
    assert row[["tp", "fn", "fp", "tn", "n", "n_positive"]].tolist() == [tp, fn, fp, tn, N, N // 2]
    theirs = {"loss": sk.log_loss(true, p), "accuracy": sk.accuracy_score(true, called), "roc_auc": sk.roc_auc_score(true, p),
              "macro_precision": sk.precision_score(true, called, average="macro"),
              "macro_recall": sk.recall_score(true, called, average="macro"),
              "macro_f1": sk.f1_score(true, called, average="macro"), "cohen_kappa": sk.cohen_kappa_score(true, called)}
    assert theirs.keys() == OF_R001.keys()
    for name, value in theirs.items():
        assert row[name] == pytest.approx(value, abs=1e-4), name
    assert row["precision"] == pytest.approx(sk.precision_score(true, called)) and row["code"] == one.code
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]


def test_the_tables_say_what_scikit_learn_says(two):
    evaluation, predictions = read(reports_of_runs(two))
    assert len(predictions) == N and predictions["file"].is_unique and evaluation["run"].tolist() == ["'=A", "B"]
    for one in two:
        check(evaluation, predictions, one, one.data()["class_names"])
    a, b = two
    assert evaluation.loc[a.id, "test_roc_auc"] > 0 and np.isnan(evaluation.loc[b.id, "test_roc_auc"])      # never opened
    assert evaluation["train_roc_auc"].isna().all() and evaluation["best_epoch"].notna().all()
    assert a.times_test_opened() == b.times_test_opened() == 0


def test_test_has_the_runs_whose_test_set_was_opened(two):
    reports = reports_of_runs(two, "test")
    assert list(reports)[0] == "CNN_evaluation_report.csv"
    assert pd.read_csv(io.StringIO(reports["CNN_evaluation_report.csv"]))["run"].tolist() == ["'=A"]
    with pytest.raises(LightboxError, match="None of these runs has predictions on the test images"):
        reports_of_runs(two[1:], "test")
    assert two[1].times_test_opened() == 0


def test_other_images_leave_cells_empty_and_other_tasks_are_refused(two):
    a, b = two
    change(b, val_image_ids=lambda ids: np.array([*ids[:-1], "of B alone"]))
    _, predictions = read(reports_of_runs(two))
    assert len(predictions) == N + 1 and predictions.set_index("file").loc["of B alone"].isna().sum() == 2
    change(b, val_labels=lambda labels: 1 - labels)
    with pytest.raises(LightboxError, match="other labels for 39 images"):
        reports_of_runs(two)
    change_json(b, "data", class_names=["left", "right"])
    with pytest.raises(LightboxError, match="2 different tasks"):
        reports_of_runs(two)


def test_several_findings_are_named_and_each_has_its_probability(two):
    rng = np.random.default_rng(3)
    labels, probs = rng.integers(0, 2, (N, 3)), rng.random((N, 3))
    for one in two:
        thresholds.unfreeze(one)
        change(one, val_image_ids=np.sort)
        change_json(one, "data", task="multi-label, binary-class", class_names=["mass", "fluid", "gas"])
        plant(one, "val", labels, probs)
    evaluation, predictions = read(reports_of_runs(two))
    a, _ = two
    called = predictions[f"{a.code}_{a.id} predicted"].fillna("").str.get_dummies("; ")[["mass", "fluid", "gas"]]
    assert (called.to_numpy() == (probs > 0.5)).all() and evaluation["tp"].isna().all()
    assert evaluation.loc[a.id, "macro_recall"] == pytest.approx(sk.recall_score(labels, probs > 0.5, average="macro"))
    assert predictions[f"{a.code}_{a.id} prob_gas"].to_numpy() == pytest.approx(probs[:, 2], abs=1e-6)


def test_the_command_writes_them_and_still_compares_two(two, tmp_path, capsys):
    a, b = two
    assert main(["compare", a.id, b.id, "--out", str(tmp_path / "named")]) == 0
    paths = capsys.readouterr().out.split()
    assert [Path(path).name for path in paths] == list(names_of_reports(two))
    of_set = ["--dataset", a.config.data.dataset, "--target", a.data()["target"]]
    assert main(["compare", *of_set, "--out", str(tmp_path / "all")]) == 0
    for path in paths:
        one, other = (pd.read_csv(place / Path(path).name) for place in (tmp_path / "named", tmp_path / "all"))
        assert sorted(one.columns) == sorted(other.columns) and one.shape == other.shape
    check(*read({Path(path).name: Path(path).read_text() for path in paths}), a, a.data()["class_names"])
    capsys.readouterr()
    for words in (["compare", a.id], ["compare", a.id, "--dataset", "phantom", "--out", "x"], ["compare", "--out", "x"],
                  ["compare", "--dataset", "phantom", "--out", "x"]):
        assert main(words) == 2 and capsys.readouterr().err
    assert main(["compare", a.id, b.id]) == 0 and "images differently" in capsys.readouterr().out
    assert len(RunStore().list()) == 2


def test_compare_offers_them_for_all_runs_of_the_table(two):
    at = open_page("compare", view="away", runs=two[0].id)
    words = text_of(at)
    assert "All 2 runs of the table, on the validation images." in words and "Select a second run" in words
    assert {"Evaluation of all models (CSV)", "Predictions of all models (CSV)"} <= {b.label for b in at.get("download_button")}
    assert "1 without predictions on them is left out" in text_of(open_page("compare", view="away", split="test"))
    change_json(two[1], "data", title="Other images")
    assert "2 different tasks" in text_of(open_page("compare", view="away", of="all"))


def test_a_comparison_has_counts_epochs_and_all_splits_side_by_side(two):
    lines = re.findall("<tr>(.*?)</tr>", comparison(two).partition("Paired tests")[0])
    table = {cells[0]: cells[1:] for cells in (re.findall("<td.*?>(.*?)</td>", line) for line in lines) if cells}
    evaluation, _ = read(reports_of_runs(two))
    for n, one in enumerate(two):
        row = evaluation.loc[one.id]
        assert [table[name.upper()][n] for name in COUNTS] == [str(row[name]) for name in COUNTS]
        assert float(table["Accuracy, validation"][n]) == pytest.approx(row["val_accuracy"], abs=5e-4)
        assert table["Macro precision"][n].startswith(f"{row['macro_precision']:.3f}")
        assert table["Best epoch"][n] == str(row["best_epoch"])
    assert table["ROC AUC, training"] == ["", ""] and table["ROC AUC, test"][0] and not table["ROC AUC, test"][1]


def test_the_report_of_one_run_has_its_counts_and_all_splits(two):
    a, _ = two
    page, row = report(a, "val"), read(reports_of_runs(two))[0].loc[a.id]
    assert ", ".join(f"{title} {row[name]}" for name, title in COUNTS.items()) in page
    cells = dict(re.findall("<td>(ROC AUC, \\w+)</td><td class=n>(.*?)</td>", page))
    assert cells == {"ROC AUC, training": "", "ROC AUC, validation": f"{row['val_roc_auc']:.3f}",
                     "ROC AUC, test": f"{row['test_roc_auc']:.3f}"}


def test_the_zip_of_a_comparison_has_them_too_where_the_task_is_one(two):
    with zipfile.ZipFile(io.BytesIO(comparison_bundle(two))) as packed:
        assert {"comparison.html", "measures.csv", *names_of_reports(two)} <= set(packed.namelist())
        assert {name: packed.read(name).decode() for name in names_of_reports(two)} == reports_of_runs(two)
    change_json(two[1], "data", title="Other images")
    with zipfile.ZipFile(io.BytesIO(comparison_bundle(two))) as packed:
        assert "measures.csv" in packed.namelist() and not set(names_of_reports(two)) & set(packed.namelist())
