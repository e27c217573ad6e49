"""External test sets: test images alone, with labels or without, are opened, shown and predicted, and never
trained on."""

import csv
import io

import cv2
import numpy as np
import pytest

from core.__main__ import main
from core.config import DataConfig, RunConfig
from core.datasets import open_dataset
from core.datasets.external import is_external, require_training, unlabelled
from core.datasets.splits import make_split
from core.errors import LightboxError
from core.runs.store import RunStore
from core.worker import queue_worker
from tests.judged import CPU, open_page
from tests.tiny import tiny_arrays, tiny_config


def external_npz(folder, n=24, labels=True, name="elsewhere.npz", seed=7):
    """Test images alone, with labels or without."""
    images, truth = tiny_arrays(n, seed=seed)
    np.savez(folder / name, test_images=images, **({"test_labels": truth[:, None]} if labels else {}))
    return folder / name, images, truth


@pytest.mark.parametrize("labels", [True, False], ids=["labelled", "unlabelled"])
def test_test_images_alone_are_all_in_test(tmp_path, labels):
    path, images, truth = external_npz(tmp_path, labels=labels)
    data = open_dataset(DataConfig(str(path), size=28))
    assert [len(data.indices(split)) for split in ("train", "val", "test")] == [0, 0, 24]
    assert data.has_labels == labels and np.array_equal(data.images[..., 0], images)
    assert data.labels.tolist() == (truth.tolist() if labels else [-1] * 24)
    assert data.label_text(0) == (str(truth[0]) if labels else "no label")
    assert (
        data.counts().loc["total", "test"] == 24 and data.counts().iloc[:-1].to_numpy().sum() == 48 * labels
    )
    with pytest.raises(LightboxError) as error:
        require_training(data)
    assert error.value.code == "train.external" and data.title in str(error.value)


def test_a_labelled_one_can_be_split_anew_where_somebody_asks_for_it(tmp_path):
    path, _, _ = external_npz(tmp_path, n=40)
    data = open_dataset(DataConfig(str(path), size=28, split="image"))
    assert min(len(data.indices(split)) for split in ("train", "val", "test")) > 0
    require_training(data)


def test_a_set_with_a_split_is_all_test_only_where_that_is_asked_for(tmp_path):
    index = unlabelled(["a.png", "b/c.png"])
    assert index.table["path"].tolist() == ["a.png", "b/c.png"] and index.targets["class"].class_names == (
        "unlabelled",
    )
    table = index.table.assign(split=["train", "test"])
    assert not is_external(table, np.array([0, 1]), "auto") and is_external(
        table, np.array([-1, -1]), "patient"
    )
    with pytest.raises(LightboxError):  # two images are too few to be split
        make_split(table.assign(split=""), np.array([0, 1]), ("a", "b"), DataConfig())


def test_an_image_without_a_label_is_in_no_split_where_others_have_one(tmp_path):
    from core.datasets.external import external_split

    table = unlabelled([f"{i}.png" for i in range(4)]).table
    made = external_split(table, np.array([0, -1, 1, 0]), ("a", "b"))
    assert made.split.tolist() == ["test", "", "test", "test"]
    findings = external_split(table, np.array([[0, 1], [-1, -1], [1, 0], [-1, 1]]), ("a", "b"))
    assert set(findings.split) == {"test"}


def test_a_run_on_it_fails_with_the_reason(tmp_path, lightbox_home, monkeypatch):
    monkeypatch.setattr("core.runs.store.machine", lambda: CPU)
    path, _, _ = external_npz(tmp_path)
    store = RunStore(lightbox_home)
    run = store.create(tiny_config(path))
    store.queue.claim("cpu")
    queue_worker.train_run(run, lightbox_home)
    assert run.status().state == "failed" and "no training images" in run.status().reason


@pytest.mark.parametrize("labels", [True, False], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("page", ["browse", "split", "augment", "add", "train", "network"])
def test_every_page_stands_on_it(tmp_path, page, labels):
    path, _, _ = external_npz(tmp_path, labels=labels)
    open_dataset(DataConfig(str(path), size=RunConfig().data.size))
    at = open_page(page, **{"path" if page == "add" else "dataset": str(path)})
    errors = [error.value for error in at.error]
    assert len(errors) == (page == "train") and all("no training images" in error for error in errors)
    assert not at.warning


def test_browse_shows_its_means_and_gray_values(tmp_path):
    path, _, _ = external_npz(tmp_path, labels=False)
    open_dataset(DataConfig(str(path), size=64))
    at = open_page("browse", dataset=str(path), **{"class": "-"})
    for view in ("gray", "mean"):
        at.segmented_control(key="browse_overview").set_value(view).run()
        assert not at.exception, at.exception


def test_a_folder_is_predicted_into_a_table_with_names_from_there_on(tmp_path, capsys):
    folder = tmp_path / "new"
    (folder / "a" / "b").mkdir(parents=True)
    for name in ("one.png", "a/two.png", "a/b/three.PNG"):
        cv2.imwrite(str(folder / name), np.random.default_rng(len(name)).integers(0, 256, (40, 50), np.uint8))
    (folder / "a" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("no image")
    assert main(["predict", "phantom-body-part", str(folder), "--out", str(tmp_path / "out.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["file"] for row in rows] == ["a/b/three.PNG", "a/torn.png", "a/two.png", "one.png"]
    assert [bool(row["error"]) for row in rows] == [False, True, False, False]
    said = capsys.readouterr().err
    assert "3 of 4" in said and "1 file was left out" in said
    assert main(["predict", "phantom-body-part", str(folder / "one.png")]) == 0
    alone = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))[0]
    assert alone["file"] == str(folder / "one.png") and alone["predicted"] == rows[3]["predicted"]
    (tmp_path / "empty").mkdir()
    assert main(["predict", "phantom-body-part", str(tmp_path / "empty")]) == 2


def test_a_flat_folder_and_a_folder_with_test_alone_are_external(tmp_path):
    for name in ("flat/1.png", "flat/2.png", "alone/test/x/1.png", "alone/test/y/2.png", "alone/test/y/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.random.default_rng(len(name)).integers(0, 256, (40, 50), np.uint8))
    flat, alone = (open_dataset(DataConfig(str(tmp_path / name), size=28)) for name in ("flat", "alone"))
    assert [len(flat.indices("test")), len(alone.indices("test"))] == [2, 3]
    assert not flat.has_labels and alone.has_labels and alone.class_names == ("x", "y")
