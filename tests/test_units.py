"""Data sets of studies and patients: which images are seen, labels, splits, pixels; a run of them from the command line."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.config import DataConfig, RunConfig, Task
from core.datasets import is_ready, open_dataset
from core.datasets.dataset import Dataset
from core.datasets.inspection import inspect
from core.datasets.opening import look_ahead
from core.datasets.source import Source
from core.datasets.unit_pixels import side_by_side
from core.datasets.units import as_units, view_names
from core.errors import LightboxError
from tests.many_views import planted, write_studies

MISSING = {3: 1, 7: 0}


def opened(path, **data) -> Dataset:
    return open_dataset(RunConfig().with_(**{"data.dataset": str(path), "data.size": 16,
                                             **{f"data.{name}": value for name, value in data.items()}}).data)


@pytest.fixture
def studies(tmp_path):
    return write_studies(tmp_path / "set", 40, without=MISSING)


def images_of(table, labels, class_names=("a", "b"), task=Task.BINARY, **data) -> Dataset:
    """A data set without a file behind it."""
    n = len(labels)
    table = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "patient": "", "study": "", "view": "", "path": "",
                          "split": ""} | table).astype(str)
    return Dataset("x", "x", "", "", task, "x", (), class_names, np.empty((0, 16, 16, 1), np.uint8), np.array(labels), table, 16,
                   "pad", 1, "", "", "", config=DataConfig(unit=data.pop("unit", "study"), **data))


def test_a_row_is_a_study_with_its_views_side_by_side(studies):
    images, data = opened(studies), opened(studies, unit="study")
    assert len(images) == 78 and len(data) == 40 and data.images.shape == (40, 16, 32, 1)
    rows = {name: i for i, name in enumerate(images.table["image_id"])}
    for study in range(40):
        for view in range(2):
            seen = data.images[study, :, 16 * view:16 * view + 16]
            name = f"images/s{study}v{view}.png"
            if study not in MISSING:
                assert np.array_equal(seen, images.images[rows[name]])
    only = data.images[7]                                          # its first view is missing: the other one comes first
    assert np.array_equal(only[:, :16], images.images[rows["images/s7v1.png"]]) and not only[:, 16:].any()
    assert data.table["views"].tolist() == ["1" if k in MISSING else "2" for k in range(40)]
    truth = planted(40)[2]
    assert [data.label_text(i) for i in range(40)] == [("same", "differ")[label] for label in truth]
    assert "40 studies with 78 images" in data.split_note and data.fingerprint != images.fingerprint


def test_named_views_have_a_place_of_their_own(studies):
    data = opened(studies, unit="study", view_column="view")
    assert data.units.names == ("frontal", "lateral")
    assert not data.images[7][:, :16].any() and data.images[7][:, 16:].any()
    assert "38 studies have all of the views frontal, lateral; 2 lack some and are masked" in data.split_note
    turned = opened(studies, unit="study", view_column="view:lateral|frontal")
    assert np.array_equal(turned.images[0][:, :16], data.images[0][:, 16:])
    left = opened(studies, unit="study", view_column="view", incomplete="leave out")
    assert len(left) == 38 and "2 lack some and are left out" in left.split_note
    assert not {"p1/study1", "p3/study1"} & set(left.table["image_id"])


def test_a_second_image_of_a_view_is_counted_and_the_first_is_seen():
    data = as_units(images_of({"study": ["s"] * 3, "patient": "p", "view": ["f", "f", "l"]}, [1, 1, 1], view_column="view"))
    assert data.units.rows.tolist() == [[0, 2]] and "1 images are a second one of the same view" in data.units.note


def test_more_images_than_views_are_counted():
    ids = [f"v{k}" for k in (10, 2, 1)]
    data = as_units(images_of({"image_id": ids, "patient": "p"}, [0, 0, 0], unit="patient", views=2))
    assert data.units.rows.tolist() == [[2, 1]]                    # in natural order: v1, v2
    assert "1 patients have more than 2 images: 1 images are not seen" in data.units.note


def test_views_that_nobody_has_are_refused(studies):
    for column, said in (("nothing", "no column 'nothing'"), ("view:frontal|skyline", "the view 'skyline'")):
        with pytest.raises(LightboxError, match=said) as error:
            opened(studies, unit="study", view_column=column)
        assert error.value.code == "units.column"
    table = {"study": ["s", "t"], "patient": "p", "view": ["f", "l"]}
    with pytest.raises(LightboxError) as error:
        as_units(images_of(table, [0, 1], view_column="view", incomplete="leave out"))
    assert error.value.code == "units.none"


def test_the_most_frequent_views_are_taken():
    table = pd.DataFrame({"view": list("cccbbaddd")})
    assert view_names(table, DataConfig(view_column="view", views=2)) == ("c", "d")
    assert view_names(table, DataConfig(view_column="view")) == ("a", "b", "c", "d")


@pytest.mark.parametrize("task, names, labels, expected, differ", [
    (Task.BINARY, ("n", "p"), [0, 1, 0, 0, -1, 1, -1], [1, 0, 1, -1], 1),        # any positive; what is known counts
    (Task.MULTICLASS, ("a", "b", "c"), [2, 0, 0, 1, 1, 2, -1], [0, 1, 2, -1], 2),
])
def test_labels_of_images_that_disagree(task, names, labels, expected, differ):
    table = {"patient": list("aabbccd") if task == Task.BINARY else list("aaabccd")}
    data = as_units(images_of(table, labels, names, task, unit="patient"))
    assert data.labels.tolist() == expected
    assert f"In {differ} patients the images have different labels" in data.units.note


def test_findings_are_there_where_one_image_shows_them():
    labels = [[1, 0, -1], [0, 0, 0], [-1, -1, -1]]
    data = as_units(images_of({"patient": ["p", "p", "q"]}, labels, ("x", "y", "z"), Task.MULTILABEL, unit="patient"))
    assert data.labels.tolist() == [[1, 0, 0], [-1, -1, -1]]


def test_an_image_without_a_study_is_a_unit_of_its_own():
    data = as_units(images_of({"patient": ["p", "p", "q"], "study": ["", "1", "1"]}, [0, 0, 1]))
    assert data.table["image_id"].tolist() == ["i0", "p/1", "q/1"]
    clash = as_units(images_of({"image_id": ["q", "b"], "patient": ["", "q"]}, [0, 1], unit="patient"))
    assert clash.table["image_id"].is_unique


@pytest.mark.parametrize("unit", ["study", "patient"])
def test_no_patient_is_on_both_sides_and_a_torn_unit_counts_as_test(studies, unit):
    data = opened(studies, unit=unit, split="patient", split_seed=3)
    sides = data.table.groupby("patient")["split"].nunique()
    assert sides.max() == 1 and set(data.table["split"]) == {"train", "val", "test"}
    torn = as_units(images_of({"patient": ["p", "p", "q"], "split": ["train", "test", "val"]}, [0, 0, 1], unit="patient"))
    assert torn.table["split"].tolist() == ["test", "val"] and "1 patients have images in several parts" in torn.units.note


def test_pixels_are_made_once_and_again_where_they_are_damaged(studies, monkeypatch):
    config = RunConfig().with_(**{"data.dataset": str(studies), "data.size": 16, "data.unit": "study"}).data
    assert not is_ready(config)
    ahead, seen = look_ahead(config), []
    assert len(ahead.labels) == 40 and not len(ahead.images) and ahead.views == 2
    data = open_dataset(config, lambda sentence, done, total: seen.append(sentence))
    assert "Putting the views side by side" in seen and is_ready(config)
    assert data.split_hash == ahead.split_hash == look_ahead(config).split_hash
    seen.clear()
    open_dataset(config, lambda sentence, done, total: seen.append(sentence))
    assert not seen
    file = data.images.filename
    before = np.array(data.images)
    del data
    with open(file, "r+b") as half:
        half.truncate(1000)
    assert np.array_equal(open_dataset(config).images, before)


def test_originals_of_a_study_are_its_views_as_the_network_sees_them(studies):
    data = opened(studies, unit="study", view_column="view")
    for row in (0, 7):
        assert np.array_equal(data.original(row), data.images[row]) and data.mask(row) is None


def test_masks_of_a_study_fit_its_original():
    class Wide(Source):
        def original(self, i):
            return np.full((40, 80, 1), 9 + i, np.uint8)

        def mask(self, i):
            return np.pad(np.ones((40, 40), bool), ((0, 0), (0, 40))) if i else None
    images = images_of({"study": "s", "patient": "p"}, [1, 1])
    data = as_units(replace(images, source=Wide()))
    original, mask = data.original(0), data.mask(0)
    assert original.shape == (80, 160, 1) and mask.shape == (80, 160)
    assert original[40, 40] == 9 and original[40, 120] == 10 and original[5, 5] == 0       # black bars above and below
    assert mask[20:60, 80:120].all() and mask.sum() == 1600


def test_copies_of_images_are_copies_of_their_studies(tmp_path):
    path = write_studies(tmp_path / "set", 20)
    folder = path.parent / "images"
    (folder / "s9v1.png").write_bytes((folder / "s2v0.png").read_bytes())
    (folder / "s5v1.png").write_bytes((folder / "s5v0.png").read_bytes())        # within a study: no other one is its copy
    data = opened(path, unit="study", split="copies", split_seed=1)
    assert [(pair.a, pair.b) for pair in inspect(data).duplicates if pair.kind == "exact"] == [(2, 9)]
    assert data.table["split"][2] == data.table["split"][9]


def test_side_by_side_is_black_where_nothing_is():
    images = np.arange(2 * 4, dtype=np.uint8).reshape(2, 2, 2, 1) + 1
    assert side_by_side(images, np.array([[1, -1, 0]]))[0, :, :, 0].tolist() == [[5, 6, 0, 0, 1, 2], [7, 8, 0, 0, 3, 4]]
