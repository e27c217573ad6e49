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
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score, roc_curve
from sklearn.utils.class_weight import compute_class_weight
from torch import tensor

from core.__main__ import main
from core.errors import LightboxError
from core.evaluation.compare import compare
from core.evaluation.evaluate import evaluate_predictions
from core.evaluation.predictions import load_predictions
from core.explain import explain
from core.explain.overlay import overlay
from core.files import to_csv
from core.report import bundle, comparison, contents, report
from core.report.contents import credits_of, split_table
from core.report.figures import FIGURES, as_png, as_svg, figures
from core.report.pictures import MOST, mistakes, of_network
from core.report.tables import TABLES
from core.report.zip_bundle import file_name, weights_zip
from core.runs import classifiers
from core.runs.classifiers import as_input, load_classifier
from core.runs.store import RunStore
from pages.shared import downloads
from tests.judged import plant, run, trained  # noqa: F401

VOID = {"meta", "br", "img", "path", "use", "rect", "link", "stop", "image"}


class Balanced(HTMLParser):
    """Every tag that opens is closed; what would be loaded from elsewhere is noted."""

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if (name in ("src", "srcset") or name.endswith("href"))
                       and value and not value.startswith(("#", "data:")) or name == "href" and tag in ("link", "script")]

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


# ------------------------------------------------------------- the split, class weights, the network, its mistakes

def table_below(page: str, words: str) -> list[list[str]]:
    """The cells of the first table after some words, headings first."""
    text = page[page.index(words):]
    text = text[:text.index("</table>")]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in re.findall(r"<tr>(.*?)</tr>", text)]


def test_the_split_table_has_the_totals_of_rows_and_columns(run):  # noqa: F811
    what = contents(run)
    table = table_below(report(what), "Images of each class and split")
    data, numbers = what.data, np.array([[int(cell.replace(",", "")) for cell in row[1:]] for row in table[1:]])
    split = data.table["split"].to_numpy()
    by_hand = [[int(((data.labels == k) & (split == name)).sum()) for name in ("train", "val", "test")] for k in (0, 1)]
    assert numbers[:2, :3].tolist() == by_hand and [row[0] for row in table[1:]] == [*what.about["class_names"], "Total"]
    assert (numbers[:, 3] == numbers[:, :3].sum(1)).all() and (numbers[2] == numbers[:2].sum(0)).all()
    older = dict(what.about)
    older.pop("counts", None)                                            # a run that noted no counts: the set knows
    assert table_below(report(dataclasses.replace(what, about=older)), "Images of each class and split") == table
    assert "is not known" in report(dataclasses.replace(what, about=older, data=None))


def test_the_total_of_several_findings_is_of_images(run):  # noqa: F811
    what = contents(run)
    about = what.about | {"task": "multi-label, binary-class", "counts": {"train": [30, 5], "val": [4, 2], "test": [3, 9]},
                          "n": {"train": 32, "val": 5, "test": 10}}
    rows, is_sum = split_table(dataclasses.replace(what, about=about))
    assert not is_sum and [row[1:] for row in rows] == [(30, 4, 3, 37), (5, 2, 9, 16), (32, 5, 10, 47)]


def test_class_weights_are_sklearns_and_said_where_they_are_not_used(run):  # noqa: F811
    what = contents(run)
    about = what.about | {"counts": {"train": [19_741, 13_386], "val": [1, 1], "test": [1, 1]}}
    off, on = (dataclasses.replace(what, about=about, config=what.config.with_(**{"train.class_weights": used}))
               for used in (False, True))
    labels = np.repeat([0, 1], [19_741, 13_386])
    wanted = [f"{weight:.8f}" for weight in compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)]
    table = table_below(report(on), "Class weights were used")
    assert [row[2] for row in table[1:]] == [row[3] for row in table[1:]] == wanted == ["0.83904058", "1.23737487"]
    table = table_below(report(off), "Class weights were not used")
    assert [row[2:] for row in table[1:]] == [[weight, "1"] for weight in wanted]


def test_the_most_confident_mistakes_stand_beside_their_maps(run):  # noqa: F811
    labels = np.arange(40) % 2
    p = np.where(labels == 1, 0.9, 0.1)
    wrong = {31: 0.03, 7: 0.45, **{k: 0.6 + k / 100 for k in range(0, 24, 2)}}         # fourteen, the surest 31
    for k, score in wrong.items():
        p[k] = score
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    what = contents(run)
    sure = sorted(wrong, key=lambda k: -max(p[k], 1 - p[k]))[:MOST]
    found = of_network(what)
    assert found.all_mistakes == 14 and [one.image_id for one in found.mistakes] == [what.preds.image_ids[k] for k in sure]
    model, rows = load_classifier(run.id).model, what.data.indices("val")[sure]
    maps = explain("grad_cam", model, as_input(model, list(what.data.images[rows])), tensor(1 - labels[sure])).numpy()
    for one, row, cam in zip(found.mistakes, rows, maps):
        shown, hot = (cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
                      for part in (one.picture, one.map))
        assert np.abs(cv2.resize(shown.astype(np.uint8), (28, 28), interpolation=cv2.INTER_AREA)[..., 0].astype(int)
                      - what.data.images[row][..., 0]).mean() < 6
        assert np.abs(hot - overlay(what.data.images[row].repeat(8, 0).repeat(8, 1), cam)).mean() < 6     # JPEG
    page = report(what)
    assert page.count("data:image/jpeg;base64") == 2 * MOST and f"The {MOST} most confident of 14 mistakes" in page
    assert "stage by stage" in page and "<h2>Network</h2>" in page
    assert of_network(what) is found                                                 # made once
    plant(run, "val", labels, np.eye(2)[labels])
    page = report(run)
    assert "Each of the 40 validation images is predicted correctly" in page and "image/jpeg" not in page


def test_mistakes_are_listed_where_the_images_are_gone(run):  # noqa: F811
    labels = np.arange(40) % 2
    plant(run, "val", labels, np.eye(2)[1 - labels] * 0.8 + 0.1)
    page = report(dataclasses.replace(contents(run), data=None))
    assert "not at hand" in page and "true 0, predicted 1" in page and "image/jpeg" not in page


def test_a_finding_that_is_missed_and_one_that_is_not_there():
    about = {"class_names": ["mass", "fluid"], "task": "multi-label, binary-class"}
    preds = SimpleNamespace(labels=np.array([[1, 0], [0, 1], [-1, 0]]), probs=np.array([[.1, .2], [.7, .9], [.9, .6]]),
                            image_ids=["a", "b", "c"])
    nowhere = SimpleNamespace(data=lambda: about, folder=Path("/nowhere"), id="x")
    found, n = mistakes(SimpleNamespace(preds=preds, about=about, run=nowhere))
    assert n == 3 and [(one.image_id, one.said, round(one.probability, 3), one.target) for one in found] == [
        ("a", "mass missed", .9, 0), ("b", "mass predicted, but not there", .7, 0),
        ("c", "fluid predicted, but not there", .6, 1)]
