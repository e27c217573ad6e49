"""Statistics of a set against numpy on arrays that fit into memory."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from core.config import DataConfig
from core.datasets import open_dataset, statistics
from core.datasets.statistics import Group, averages, gray_values, groups_by, histogram, original_sizes
from tests.tiny import tiny_npz


class Few(SimpleNamespace):
    """What of a data set is looked at here."""

    def __len__(self):
        return len(self.images)


@pytest.fixture(params=[1, 3])
def data(request):
    """60 images of noise in four classes: class 1 has one image, class 2 none, and no image is in test."""
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 3], 60)
    labels[7] = 1
    return Few(images=rng.integers(0, 256, (60, 12, 12, request.param), np.uint8), labels=labels, class_names=tuple("abcd"),
               table=pd.DataFrame({"split": rng.choice(["train", "val"], 60)}))


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(statistics, "PIECE", 7 * 12 * 12)       # seven gray images, two in colour


def test_averages_are_those_of_numpy_and_an_empty_class_is_zero(data, small_pieces):
    found = averages(data, groups_by(data, "class"))
    for k in (0, 1, 3):
        images = data.images[data.labels == k].astype(np.float64)
        np.testing.assert_allclose(found.mean[k], images.mean(axis=0), atol=1e-4)
        np.testing.assert_allclose(found.spread[k], images.std(axis=0), atol=1e-4)
    assert found.read.tolist() == [(data.labels == k).sum() for k in range(4)] and found.read[2] == 0
    assert not found.mean[2].any() and not found.spread[2].any() and np.isfinite(found.spread).all()
    assert not found.spread[1].any(), "one image does not spread"
    assert found.mean.shape == (4, *data.images.shape[1:]) and found.mean.dtype == np.float32


def test_sums_do_not_overflow_where_everything_is_white():
    white = Few(images=np.broadcast_to(np.uint8(255), (70_000, 16, 16, 1)))
    found = averages(white, [Group("white", np.arange(70_000))])
    assert found.read[0] == 70_000 and (found.mean == 255).all() and (found.spread == 0).all()


def test_gray_values_are_counted_as_numpy_does(data, small_pieces):
    found = gray_values(data, groups_by(data, "split"))
    for g, split in enumerate(("train", "val", "test")):
        values = data.images[(data.table["split"] == split).to_numpy()]
        assert found.counts[g].tolist() == np.histogram(values, np.arange(257))[0].tolist()
        assert found.read[g] == len(values)
    np.testing.assert_allclose(found.shares.sum(axis=1), [1, 1, 0])


def test_a_large_set_is_sampled_at_even_distances_and_says_how_many(data):
    one = int(np.prod(data.images.shape[1:]))
    group = Group("all", np.arange(60))
    found = averages(data, [group, Group("none", np.arange(0))], budget=20 * one)
    assert found.read.tolist() == [20, 0]
    np.testing.assert_allclose(found.mean[0], data.images[::3].mean(axis=0), atol=1e-4)
    assert gray_values(data, [group], budget=0).read[0] == 1, "never none of what there is"


def test_groups_are_the_classes_of_the_rows_asked_for(data):
    groups = groups_by(data, "class", rows=np.array([30, 7, 2]))
    assert [g.name for g in groups] == list("abcd")
    assert sorted(np.concatenate([g.rows for g in groups])) == [2, 7, 30] and groups[1].rows.tolist() == [7]
    with pytest.raises(ValueError, match="patient"):
        groups_by(data, "patient")


def test_an_image_with_two_findings_is_in_both_groups():
    data = Few(images=np.zeros((3, 8, 8, 1), np.uint8), labels=np.array([[1, 1], [0, 0], [0, 1]]), class_names=("x", "y"),
               table=pd.DataFrame({"split": ["train"] * 3}))
    assert [(g.name, g.rows.tolist()) for g in groups_by(data, "class")] == [("x", [0]), ("y", [0, 2]), ("no finding", [1])]


def test_sizes_that_are_not_known_are_left_out():
    table = pd.DataFrame({"width": ["100", "", "300"], "height": ["50", "", "60"]})
    assert original_sizes(table).tolist() == [[100, 50], [300, 60]]
    assert original_sizes(table, np.array([2, 1])).tolist() == [[300, 60]]
    assert original_sizes(table.assign(width="")).shape == (0, 2)


@pytest.mark.parametrize("values", [[28] * 9, list(range(390, 513)) * 2, [1, 10_000]])
def test_bins_of_whole_numbers_are_equally_wide_and_none_is_missing(values):
    counts, edges = histogram(np.array(values), bins=40)
    assert counts.sum() == len(values) and len(counts) <= 40 and len(set(np.diff(edges))) == 1
    if len(values) == 246:
        assert set(counts[:-1]) == {2 * (edges[1] - edges[0])}, "an even spread gives even bins"


def test_bins_of_ratios_and_of_nothing():
    values = np.random.default_rng(0).normal(1, 0.2, 500)
    counts, edges = histogram(values, 30)
    assert (counts == np.histogram(values, 30)[0]).all() and np.allclose(edges, np.histogram(values, 30)[1])
    assert histogram(np.array([1.5, 1.5]))[0].tolist() == [2] and len(histogram(np.zeros(0))[0]) == 0


def test_a_set_that_is_open_is_read_from_its_store(tmp_path):
    path = tiny_npz(tmp_path)
    data, raw = open_dataset(DataConfig(str(path), size=28)), np.load(path)
    found = averages(data, groups_by(data, "split"))
    np.testing.assert_allclose(found.mean[0, :, :, 0], raw["train_images"].mean(axis=0), atol=1e-4)
    assert original_sizes(data.table).tolist() == [[28, 28]] * len(data)
