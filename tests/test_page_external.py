"""The page Evaluate on another data set: chosen, mapped, judged, kept, stopped."""


import numpy as np
import pytest

from core.evaluation.external import MarkUse, evaluate_external
from core.evaluation.external_predictions import external_titles, list_external
from core.report import report
from core.runs.marks import put_mark
from tests import judged
from tests.judged import matrices, open_page, press, text_of
from tests.test_external import external_npz
from tests.test_external_evaluation import class_folders

run, trained = judged.run, judged.trained  # fixtures


def judge(run, path):
    at = open_page("evaluate", run=run.id, on="new", set=str(path))
    return press(at, "Judge the run on it")


def test_a_set_is_chosen_judged_and_found_again(run, tmp_path):
    path, _, _ = external_npz(tmp_path, n=40)
    at = judge(run, path)
    key, = external_titles(run)
    assert at.query_params["on"] == [key] or at.query_params["on"] == key
    found = evaluate_external(run, str(path))
    assert f"{found.result.value('roc_auc'):.3f}" in text_of(at) and f"{found.own.value('roc_auc'):.3f}" in text_of(at)
    assert matrices(at)[0]["counts"] == found.result.confusion_matrix.tolist()
    assert found.likeness.sentence()[:20].split()[0] in text_of(at)
    again = open_page("evaluate", run=run.id, on=key)
    assert matrices(again)[0]["counts"] == matrices(at)[0]["counts"] and not again.error
    assert run.times_test_opened() == 0


def test_classes_that_cannot_be_guessed_are_mapped_in_the_page(run, tmp_path):
    class_folders(tmp_path / "other")
    at = judge(run, tmp_path / "other")
    assert at.error and len(at.get("bidi_component")) == 0
    boxes = {box.label: box for box in at.selectbox if box.key and box.key.startswith("external_map_")}
    assert set(boxes) == {"Zero", "ONE ", "other"} or set(boxes) == {"Zero", "ONE", "other"}
    for name, box in boxes.items():
        box.set_value({"Zero": "0", "ONE": "1"}.get(name.strip(), "leave out"))
    at = press(at, "Use these classes")
    assert not at.error and np.sum(matrices(at)[0]["counts"]) == 27
    assert list_external(run)[0].map["Zero"] == "0"


def test_marked_images_can_be_left_out(run, tmp_path):
    path, _, _ = external_npz(tmp_path)
    found = evaluate_external(run, str(path), draws=50)
    put_mark(str(path), found.judged.image_ids[0], "unclear")
    at = open_page("evaluate", run=run.id, on=found.predictions.key)
    assert np.sum(matrices(at)[0]["counts"]) == 24
    at = at.get("button_group")[0].set_value(["unclear"]).run()
    assert np.sum(matrices(at)[0]["counts"]) == 23


def test_a_set_without_labels_is_predicted(run, tmp_path):
    path, _, _ = external_npz(tmp_path, labels=False)
    at = judge(run, path)
    assert not at.error and not matrices(at) and "24 images" in text_of(at)
    assert at.get("download_button")


def test_a_damaged_one_is_offered_anew_and_an_unknown_one_is_said(run, tmp_path):
    path, _, _ = external_npz(tmp_path)
    key = evaluate_external(run, str(path), draws=50).predictions.key
    (run.folder / "external" / key / "predictions.npz").write_bytes(b"")
    at = open_page("evaluate", run=run.id, on=key)
    assert at.info and not at.exception
    at = open_page("evaluate", run=run.id, on="nonsense")
    assert at.warning and matrices(at)                                   # its own images instead


@pytest.mark.parametrize("path", ["/nowhere", "phantom"])
def test_what_cannot_be_opened_or_mapped_is_said(run, path, monkeypatch):
    from core.datasets import DATASETS
    from core.datasets.phantom import PhantomConfig, PhantomSource
    small = PhantomSource(PhantomConfig(patients=12), "phantom", "Phantom")
    monkeypatch.setitem(DATASETS, "phantom", type(DATASETS["phantom"])(DATASETS["phantom"].info, lambda data: small))
    at = judge(run, path)
    assert at.error and not at.exception


def test_the_report_says_what_it_reaches_elsewhere(run, tmp_path):
    assert "On other data sets" not in report(run)
    found = evaluate_external(run, str(external_npz(tmp_path)[0]))
    page = report(run)
    assert "On other data sets" in page and f"{found.result.value('roc_auc'):.3f}" in page


def test_the_right_label_of_a_mislabelled_image_is_said_on_errors_and_taken_here(run):
    found = evaluate_external(run, run.config.data.dataset, split="val", draws=50)
    image, before = found.judged.image_ids[0], int(found.judged.labels[0])
    at = open_page("errors", run=run.id, split="val", predicted="all", image=image)
    assert not [box for box in at.selectbox if box.label == "Correct label"]
    put_mark(run.config.data.dataset, image, "mislabelled")
    at = open_page("errors", run=run.id, split="val", predicted="all", image=image)
    box, = [box for box in at.selectbox if box.label == "Correct label"]
    assert not box.set_value(str(1 - before)).run().exception
    right = evaluate_external(run, run.config.data.dataset, split="val", marks=MarkUse(correct=True), draws=50)
    assert right.judged.labels[0] == 1 - before and right.judged.labels[1:].tolist() == found.judged.labels[1:].tolist()
