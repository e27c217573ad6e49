"""What one takes away: the page loads nothing, its numbers are those of evaluate, tables are read back, weights answer alike."""

import csv
import dataclasses
import html
import io
import json
import re
import xml.etree.ElementTree as ElementTree
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score, roc_curve

from core.__main__ import main
from core.errors import LightboxError
from core.evaluation.compare import compare
from core.evaluation.evaluate import evaluate_predictions
from core.evaluation.predictions import load_predictions
from core.report import bundle, comparison, contents, report
from core.report.contents import credits_of
from core.report.figures import FIGURES, as_png, as_svg, figures
from core.report.tables import TABLES, to_csv
from core.report.zip_bundle import file_name, weights_zip
from core.runs import classifiers
from core.runs.classifiers import as_input, load_classifier
from core.runs.store import RunStore
from pages.shared import downloads
from tests.judged import run, trained  # noqa: F401

VOID = {"meta", "br", "img", "path", "use", "rect", "link", "stop", "image"}


class Balanced(HTMLParser):
    """Every tag that opens is closed; what would be loaded from elsewhere is noted."""

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "srcset") or name == "href" and tag in ("link", "script")
                       or name.endswith("href") and value and not value.startswith(("#", "data:"))]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def read(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def what(trained):  # noqa: F811
    return contents(RunStore(trained).list()[0])


def test_the_page_stands_alone_and_says_what_it_must(what):
    page = report(what)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == [] and parser.loads == []
    assert "<script" not in page and not re.search(r"url\((?!#)|@import", page)
    for needed in ("Not for clinical use", what.about["split_hash"], what.trained_with["torch"], "Licence", "Citation", "<svg",
                   f"{what.result.estimates['accuracy'].low:.3f}", "always predicting the most frequent class"):
        assert needed in page, needed
    assert what.split == "val" and "validation images" in page


def test_a_choice_of_intensities_is_named(what):
    assert "8 bits" not in report(what)
    assert "more than 8 bits read by a window (centre 40, width 400)" in report(
        dataclasses.replace(what, about=what.about | {"intensity": "40 400"}))


def test_its_numbers_are_those_of_evaluate(what):
    stored = load_predictions(what.run, "val")
    assert what.result.estimates == evaluate_predictions(what.run, "val", stored).estimates
    rows = read(TABLES["evaluation_report.csv"][1](what))
    row, = (row for row in rows if row["class"] == "all" and row["metric"] == "Accuracy")
    answers = stored.probs.argmax(1)
    assert float(row["value"]) == pytest.approx(accuracy_score(stored.labels, answers))
    assert float(row["low"]) < float(row["value"]) <= float(row["high"]) and int(row["n"]) == len(stored.labels)


def test_tables_can_be_read_back(what):
    stored = what.preds
    images = read(TABLES["images.csv"][1](what))
    names = what.about["class_names"]
    assert [row["image_id"] for row in images] == stored.image_ids
    assert [names.index(row["true"]) for row in images] == stored.labels.tolist()
    probs = np.array([[float(row[f"prob_{name}"]) for name in names] for row in images])
    assert probs == pytest.approx(stored.probs, abs=1e-6)
    answers = [names.index(row["predicted"]) for row in images]
    tn, fp, fn, tp = confusion_matrix(stored.labels, answers).ravel()
    classes = read(TABLES["predictions_report.csv"][1](what))
    assert [int(classes[1][name]) for name in ("true_negatives", "false_positives", "false_negatives", "true_positives")] == [
        tn, fp, fn, tp]
    epochs = read(TABLES["curves.csv"][1](what))
    assert [float(row["val_loss"]) for row in epochs] == [record["val_loss"] for record in what.epochs]


def test_a_cell_is_never_a_formula():
    assert read(to_csv(("a", "b", "c"), [("=1+1", None, "-x")])) == [{"a": "'=1+1", "b": "", "c": "'-x"}]
    assert read(to_csv(("a",), [(-1.5,)])) == [{"a": "-1.5"}]


def test_figures_are_drawn_in_both_kinds_and_the_same_predictions_give_the_same_bytes(what):
    drawn, again = figures(what), figures(what)
    assert set(drawn) == set(FIGURES)
    for name, (_, figure) in drawn.items():
        svg = as_svg(figure)
        assert ElementTree.fromstring(svg).tag.endswith("svg") and svg == as_svg(again[name][1]), name
    png = as_png(drawn["roc"][1])
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and png == as_png(again["roc"][1])


def test_figures_show_scikit_learns_numbers(what):
    labels, probs = what.preds.labels, what.preds.probs
    tables = {name: figure.tables for name, (_, figure) in figures(what).items()}
    fpr, tpr, _ = roc_curve(labels, probs[:, 1])
    curve = tables["roc"]["curve"].to_pydict()
    assert (curve["x"], curve["y"]) == (pytest.approx(fpr), pytest.approx(tpr))
    assert curve["class"][0] == f"1, AUC {roc_auc_score(labels, probs[:, 1]):.3f}"
    matrix = confusion_matrix(labels, probs.argmax(1))
    assert tables["confusion"]["cells"]["n"].to_pylist() == matrix.ravel().tolist()
    (tn, fp), (fn, tp) = matrix
    assert tables["roc"]["point"].to_pylist()[0]["y"] == pytest.approx(tp / (tp + fn))
    assert [row["value"] for row in tables["loss"]["curve"].to_pylist() if row["line"] == "validation"] == [
        record["val_loss"] for record in what.epochs]


def test_odd_names_of_classes_are_drawn_as_typed(what):
    names = ["<b>$x$</b>", "a.b[0]:\"c\""]
    drawn = figures(dataclasses.replace(what, about={**what.about, "class_names": names}))
    for name in ("confusion", "histogram"):
        written = {element.text for element in ElementTree.fromstring(as_svg(drawn[name][1])).iter()}
        assert set(names) <= written


def test_the_bundle_has_the_folders_of_r001_and_its_weights_answer_alike(run, tmp_path, monkeypatch):  # noqa: F811
    said = []
    with zipfile.ZipFile(io.BytesIO(bundle(run, progress=lambda *a: said.append(a)))) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        assert {name.partition("/")[0] for name in archive.namelist()} == {run.code}
        assert {"architecture_plots/architecture.png", "architecture_plots/layers.csv", "checkpoints/weights.safetensors",
                "checkpoints/card.md", "logs/metrics.jsonl", "report/report.html", "report/images/roc.svg",
                "report/images/loss.png",
                "report/summaries/evaluation_report.csv", "config.json"} <= names
        layers = read(archive.read(next(n for n in archive.namelist() if n.endswith("layers.csv"))).decode())
        shipped = tmp_path / "weights" / "taken"
        shipped.mkdir(parents=True)
        for name in archive.namelist():
            if "/checkpoints/" in name:
                (shipped / name.rpartition("/")[2]).write_bytes(archive.read(name))
    assert said[0][1:] == (0, 4) and said[-1][1:] == (4, 4)
    model = load_classifier(run.id).model
    assert sum(int(row["parameters"]) for row in layers) == sum(p.numel() for p in model.parameters())
    assert all(row["trainable"] == "True" for row in layers if int(row["parameters"]))
    monkeypatch.setattr(classifiers, "SHIPPED", tmp_path / "weights")
    picture = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    taken = load_classifier("taken").model
    assert (taken(as_input(taken, [picture])) == model(as_input(model, [picture]))).all()
    assert run.times_test_opened() == 0 and "| test |" not in (shipped / "card.md").read_text()


def test_from_the_command_line(run, tmp_path, capsys):  # noqa: F811
    assert main(["report", run.id]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")
    assert main(["report", run.id, run.id, "--out", str(tmp_path / "two.html")]) == 0
    assert "Paired tests" in (tmp_path / "two.html").read_text()
    assert main(["bundle", run.id, "--out", str(tmp_path / "all.zip")]) == 0
    assert zipfile.is_zipfile(tmp_path / "all.zip")
    assert main(["report", run.id, "--split", "test"]) == 2 and "test set" in capsys.readouterr().err


def test_weights_alone(run):  # noqa: F811
    with zipfile.ZipFile(io.BytesIO(weights_zip(run))) as archive:
        assert set(archive.namelist()) == {"weights.safetensors", "meta.json", "config.json", "card.md"}
        assert json.loads(archive.read("config.json"))["data"]["dataset"] == "tiny.npz"
    assert file_name(run, ".zip").endswith(f"{run.id}.zip")


def test_test_is_never_opened_by_a_report(run):  # noqa: F811
    with pytest.raises(LightboxError) as error:
        report(run, "test")
    assert error.value.code == "report.shut"
    (run.folder / "predictions.npz").unlink()
    with pytest.raises(LightboxError) as error:
        report(run)
    assert error.value.code == "report.empty" and run.times_test_opened() == 0


def test_two_runs_beside_each_other(run):  # noqa: F811
    with pytest.raises(LightboxError) as error:
        comparison([run])
    assert error.value.code == "report.two"
    page = comparison([run, run])
    parser = Balanced()
    parser.feed(page)
    assert parser.open == [] and parser.loads == []
    assert "<h2>Paired tests</h2>" in page and "<h2>Differences</h2><p>" in page.replace("\n", "")
    tests = compare(run, run, "val")
    assert html.escape(tests["roc_auc"]["sentence"]) in page and html.escape(tests["accuracy"]["sentence"]) in page


def test_every_button_makes_its_file(run, monkeypatch):  # noqa: F811
    made = {}
    monkeypatch.setattr(downloads, "_button", lambda label, help, make, name, mime, primary=False: made.update({name: make}))
    downloads.draw_downloads(run, "val")
    downloads.draw_comparison_downloads([run, run])
    downloads.draw_comparison_downloads([run])                     # a sentence instead of buttons
    downloads.draw_comparison_downloads([run, run], "test")
    kinds = {".html": b"<!doctype html>", ".zip": b"PK", ".json": b"{", ".csv": b""}
    assert len(made) == 13
    for name, make in made.items():
        content = make()
        content = content if isinstance(content, bytes) else content.encode()
        assert len(content) > 100 and content.startswith(kinds[name[name.rindex("."):]]), name
    with zipfile.ZipFile(io.BytesIO(made[f"comparison_{run.id[-4:]}_{run.id[-4:]}.zip"]())) as archive:
        assert {"comparison.html", "measures.csv", f"{run.id}/config.json", f"{run.id}/roc.svg", f"{run.id}/curves.csv"} <= set(
            archive.namelist())
        rows = read(archive.read("measures.csv").decode())
        assert len(rows) == 2 * len(read(TABLES["evaluation_report.csv"][1](contents(run)))) and rows[0]["run"] == run.name


def test_names_of_classes_are_never_markup(what):
    evil = "<script>alert(1)</script>"
    first, second = what.result.per_class
    result = dataclasses.replace(what.result, per_class=(first, dataclasses.replace(second, name=evil)))
    page = report(dataclasses.replace(what, result=result, about={**what.about, "class_names": ["0", evil], "title": evil}))
    assert evil not in page and "&lt;script&gt;" in page


def test_credits():
    assert credits_of("breastmnist")[0] == "CC BY 4.0" and "MedMNIST v2" in credits_of("/somewhere/pneumonia_28.npz")[1]
    assert "MURA" in credits_of("/somewhere/MURA-v1.1")[1] and credits_of("/somewhere/mine") == ("", "")
