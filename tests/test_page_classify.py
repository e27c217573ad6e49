"""The classify page: a dropped image is answered, explained, and a bad one refused in one sentence."""

import io
import shutil
from html import unescape

import numpy as np
import pytest
from PIL import Image

from core.evaluation.decision import Chosen, Decision, chosen_for
from core.evaluation.thresholds import freeze
from core.metrics.operating_points import Threshold
from core.report.export import export
from core.runs.classifiers import classify, load_classifier
from pages.classify.image import headline, threshold_note
from tests import judged
from tests.judged import galleries, maps, open_page, rename_classes, text_of
from tests.tiny import tiny_arrays

run, trained = judged.run, judged.trained          # fixtures


def png(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def said(p: float) -> str:
    """How the page writes a probability: never as certain."""
    return "> 99.9 %" if p >= 0.9995 else "< 0.1 %" if p < 0.0005 else f"{100 * p:.1f} %"


def drop(at, name: str, content: bytes):
    at = at.file_uploader[0].set_value((name, content, "application/octet-stream")).run()
    assert not at.exception, at.exception
    return at


@pytest.fixture(autouse=True)
def only_this_run(monkeypatch, tmp_path):
    """No classifiers from weights/: which there are must not matter here."""
    monkeypatch.setattr("core.runs.classifiers.SHIPPED", tmp_path / "weights")
    monkeypatch.setattr("pages.shared.heatmaps.SHIPPED", tmp_path / "weights")
    monkeypatch.setattr("pages.classify.image.SHIPPED", tmp_path / "weights")


def test_without_a_classifier_it_invites_to_train(lightbox_home):
    assert "no trained classifier yet" in text_of(open_page("classify"))


@pytest.mark.parametrize("label", [0, 1])
def test_a_planted_square_is_answered_with_its_class(run, label):
    images, labels = tiny_arrays(40, seed=9)
    picture = images[np.flatnonzero(labels == label)[0]]
    probs = classify(load_classifier(run.id).model, [picture[..., None]])[0]
    assert probs.argmax() == label, "the run has not learned its squares: train it longer"
    at = drop(open_page("classify", run=run.id), "square.dat", png(picture))
    assert at.header[0].value.replace("\\", "") == f"{label}, {said(probs[label])}"
    assert said(probs[1 - label]) in unescape("".join(e.proto.body for e in at.get("html")))
    shown, = maps(at)
    assert shown["width"] == 28
    assert at.selectbox(key=next(b.key for b in at.selectbox if b.label == "Class to explain")).value == label


@pytest.mark.parametrize("name, content, said", [
    ("notes.png", b"no image at all", "not an image"),
    ("cut.png", png(np.zeros((50, 50), np.uint8))[:60], "damaged"),
    ("scan.dcm", b"\0" * 128 + b"DICM" + b"\0" * 40, "DICOM"),
    ("empty.png", b"", "empty"),
])
def test_a_bad_file_gets_one_sentence_and_the_page_stays_usable(run, name, content, said):
    at = drop(open_page("classify", run=run.id), name, content)
    assert len(at.error) == 1 and said in at.error[0].value and not maps(at)
    images, _ = tiny_arrays(1)
    at = drop(at, "good.png", png(images[0]))
    assert not at.error and len(maps(at)) == 1


def test_what_was_done_to_the_image_is_said(run):
    deep = (np.add.outer(np.arange(60), np.arange(90)) * 400).astype(np.uint16)
    at = drop(open_page("classify", run=run.id), "deep.png", png(deep))
    said = text_of(at).replace("\\", "")
    assert "16-bit values 0 to 59,200 were scaled" in said and "Reduced from 90 x 60 to 28 x 19 px" in said
    assert "Black bars above and below" in said and len(at.get("image")) == 3
    assert maps(at)[0]["ratio"] == pytest.approx(1.5)


def test_an_image_that_was_dropped_on_the_start_page_is_answered(run):
    from streamlit.testing.v1 import AppTest

    from tests.judged import APP
    at = AppTest.from_file(str(APP), default_timeout=60).run()
    at.session_state["dropped"] = ("square.png", png(tiny_arrays(1)[0][0]))
    at = at.switch_page("classify/page.py").run()
    assert not at.exception and len(maps(at)) == 1
    assert len(maps(at.run())) == 1                               # and it stays


def test_samples_are_of_the_validation_split_and_of_every_class(run):
    from core.datasets import open_dataset
    from core.runs.classifiers import list_classifiers
    from pages.classify.image import samples_of
    at = open_page("classify", run=run.id)
    assert galleries(at)[0]["n"] == 12
    samples = samples_of(next(info for info in list_classifiers() if info.address == run.id))
    data = open_dataset(run.config.data)
    validation = set(data.table["image_id"].iloc[data.indices("val")])
    subjects = [samples.open(i) for i in range(12)]
    assert {s.name for s in subjects} <= validation and {s.truth for s in subjects} == {"0", "1"}
    row = int(np.flatnonzero(data.table["image_id"] == subjects[3].name)[0])
    assert (subjects[3].pixels == data.original(row)).all()


def test_a_classifier_that_came_with_the_app_has_its_card_and_its_samples(run, tmp_path):
    folder = tmp_path / "weights" / "squares"
    export(run, folder, "Squares", "# Squares\nA card.")
    (folder / "samples").mkdir()
    images, labels = tiny_arrays(4, seed=9)
    for i in range(2):
        (folder / "samples" / f"{labels[i]}-{i}.png").write_bytes(png(images[i]))
    at = open_page("classify", run="squares")
    assert galleries(at)[0]["n"] == 2 and "A card" in text_of(at)
    at = drop(at, "square.png", png(images[2]))
    assert len(maps(at)) == 1 and "Predicted by Squares" in text_of(at)


def test_damaged_weights_and_a_deleted_run_get_sentences(run):
    at = open_page("classify", run=run.id)
    for folder in run.checkpoints.glob("e*"):
        path = folder / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x99")
        (folder / "meta.json").touch()
    at = drop(at, "square.png", png(tiny_arrays(1)[0][0]))
    assert "damaged" in at.error[0].value
    shutil.rmtree(run.folder)
    assert "no trained classifier yet" in text_of(at.run())


def test_class_names_are_shown_as_typed(run):
    rename_classes(run, "<script>", "$x$")
    at = drop(open_page("classify", run=run.id), "square.png", png(tiny_arrays(1)[0][0]))
    assert "<script>" not in "".join(e.proto.body for e in at.get("html"))
    assert at.header[0].value.startswith(("\\<script\\>", "\\$x\\$"))


def test_the_answer_is_that_of_the_threshold_and_its_line_is_in_the_bars(run):
    images, labels = tiny_arrays(40, seed=9)
    picture = images[np.flatnonzero(labels == 1)[0]]
    p = float(classify(load_classifier(run.id).model, [picture[..., None]])[0][1])
    freeze(run, Threshold((p + 1) / 2, "youden"), 1)                 # between this image and certainty: no longer called a 1
    at = drop(open_page("classify", run=run.id), "square.png", png(picture))
    assert at.header[0].value.startswith("0, ")
    text = text_of(at).replace("\\", "")
    assert f"0 is predicted above {100 * (1 - p) / 2:.1f} %" in text and "(Youden)" in text
    bars = next(e.proto.body for e in at.get("html") if "lightbox-bars" in e.proto.body)
    assert f"left:{50 * (p + 1):.2f}%" in bars and f"left:{50 * (1 - p):.2f}%" in bars, "each class has its own line"
    freeze(run, Threshold(p / 2), 1)
    assert at.run().header[0].value.startswith("1, "), "a new threshold counts at once"


def test_calibrated_probabilities_are_said_on_request_and_the_answer_stays(run):
    labels = np.array([0, 1] * 20)
    scores = np.where(np.arange(40) % 10 < 7, np.where(labels == 1, 0.98, 0.02), np.where(labels == 1, 0.1, 0.9))
    judged.plant(run, "val", labels, np.stack([1 - scores, scores], axis=1))
    chosen = chosen_for(run.id)
    picture = tiny_arrays(1)[0][0]
    probs = classify(load_classifier(run.id).model, [picture[..., None]])[0]
    k = int(probs.argmax())
    at = drop(open_page("classify", run=run.id), "square.png", png(picture))
    assert at.header[0].value.replace("\\", "") == f"{k}, {said(float(probs[k]))}"
    assert f"{chosen.temperature:.2f}" in at.toggle[0].help and "40 validation images" in at.toggle[0].help
    at = at.toggle[0].set_value(True).run()
    mended = float(chosen.decide(probs, calibrated=True).probs[k])
    assert at.header[0].value.replace("\\", "") == f"{k}, {said(mended)}" and mended < probs[k]


def test_without_answers_on_validation_there_is_nothing_to_calibrate(run):
    (run.folder / "predictions.npz").unlink()
    at = drop(open_page("classify", run=run.id), "square.png", png(tiny_arrays(1)[0][0]))
    assert not at.toggle and len(maps(at)) == 1


@pytest.mark.parametrize("called", [(), (0,), (0, 1)])
def test_two_findings_are_not_taken_for_two_classes(called):
    chosen = Chosen("multi-label, binary-class", np.array([0.5, 0.3]), {1: Threshold(0.3, positive_class=1)})
    assert threshold_note(("Mass", "Cyst"), chosen, Decision(np.array([0.6, 0.4]), called, chosen.threshold)).startswith(
        "The lines are thresholds; 1 of 2 were chosen")


@pytest.mark.parametrize("called, line", [((0, 2), "Mass, 80.0 %, Cyst, 60.0 %"), ((0, 1, 2), "Mass, Cyst, Node"),
                                          ((), "No finding above its threshold")])
def test_several_findings_are_named_the_surest_first(called, line):
    assert headline(("Cyst", "Node", "Mass"), Decision(np.array([0.6, 0.1, 0.8]), called, np.full(3, 0.5))) == line


# Many images: the browser test is tests/test_browser_batch.py

@pytest.mark.parametrize("place, said", [("nowhere", "no such folder"), ("empty", "no images in"), ("a.png", "a file, not"),
                                         ("~nobody-of-this-name/x", "cannot be opened"), ("a\0b", "no such folder")])
def test_a_folder_that_cannot_be_classified_gets_a_sentence_and_stays_typed(run, tmp_path, place, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.png").write_bytes(png(np.zeros((9, 9), np.uint8)))
    at, typed = open_page("classify", run=run.id), place if place.startswith("~") else f"{tmp_path}/{place}"
    at.text_input(key="batch_folder").set_value(typed).run()
    assert not at.exception and said in text_of(at) and at.text_input(key="batch_folder").value == typed
    drop(at, "square.png", png(np.zeros((28, 28), np.uint8)))
    assert said not in text_of(at) and at.header


def test_the_table_of_several_files_is_that_of_each_alone(run, tmp_path):
    images, _ = tiny_arrays(6, seed=3)
    files = [(f"{k}.png", png(picture), "image/png") for k, picture in enumerate(images)]
    at = open_page("classify", run=run.id)
    at.file_uploader[0].set_value([*files, ("bad.png", b"", "image/png")]).run()
    assert not at.exception and "6 of 7 files classified" in text_of(at)
    shown = at.dataframe[0].value
    probs = classify(load_classifier(run.id).model, [picture[..., None] for picture in images])
    np.testing.assert_allclose(shown[["prob_0", "prob_1"]].to_numpy(float)[:6], probs, atol=2e-6)
    assert shown["predicted"].tolist() == [*map(str, probs.argmax(axis=1)), ""] and "empty" in shown["error"].iloc[6]
    drop(at, "one.png", files[0][1])                                  # one more file is looked at by itself
    assert "6 of 7" not in text_of(at) and at.header[0].value.startswith(str(probs[0].argmax()))


def test_another_filter_forgets_the_row_that_was_chosen(run):
    """A click is a place among the rows that are shown: with other rows it was none."""
    images, _ = tiny_arrays(2, seed=3)
    files = [*((f"{k}.png", png(picture), "image/png") for k, picture in enumerate(images)), ("bad.png", b"", "image/png")]
    at = open_page("classify", run=run.id)
    at.file_uploader[0].set_value(files).run()
    before = at.dataframe[0].proto.id
    next(box for box in at.selectbox if box.label == "Show").set_value("unread").run()
    assert not at.exception and at.dataframe[0].proto.id != before and len(at.dataframe[0].value) == 1
