"""Batches against plain indexing: pixels, features and their copies, in the loop, from a thread and from the device."""

import dataclasses

import numpy as np
import pytest
import torch

from core.config import DataConfig
from core.datasets import open_dataset
from core.trainers import batches
from core.trainers.batches import Batches, SplitData, in_portions, shuffled
from tests.tiny import tiny_npz

CPU = torch.device("cpu")


@pytest.fixture
def pixels() -> SplitData:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    return SplitData(images, np.arange(5, 38), np.arange(33) % 3)


@pytest.fixture
def features() -> SplitData:
    """Three copies of five images, and the unchanged ones: the value says which."""
    values = np.arange(20, dtype=np.float32)[:, None] + np.array([0.0, 0.5], np.float32)
    return SplitData(values, np.array([7, 2, 9, 4, 5]), np.array([0, 1, 0, 1, 1]), copies=3)


def as_plain(split: SplitData, positions: np.ndarray) -> np.ndarray:
    return split.images[split.indices[positions]].transpose(0, 3, 1, 2).astype(np.float32) / 255


class AsIfOnTheDevice(Batches):
    """A CPU that keeps the whole split, as a GPU does."""

    def _move(self):
        rows = np.arange(len(self.split.images)) if self.split.embedded else self.split.indices
        return torch.from_numpy(self.split.images[rows])

    def __init__(self, split, device):
        super().__init__(split, device)
        self.resident = self._move()


def in_a_thread(split, device):
    found = Batches(split, device)
    found.reads_ahead = True
    return found


WAYS = [Batches, in_a_thread, AsIfOnTheDevice]


@pytest.mark.parametrize("way", WAYS)
def test_pixels_labels_and_rows_are_those_of_the_places_asked_for(pixels, way):
    portions, given = shuffled(33, 8, 0, 0), way(pixels, CPU)
    seen = 0
    for positions, (images, labels) in zip(portions, given(portions), strict=True):
        np.testing.assert_allclose(images.numpy(), as_plain(pixels, positions), atol=1e-7)
        assert images.is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_array_equal(labels, pixels.labels[positions])
        np.testing.assert_array_equal(given.rows, pixels.indices[positions])
        seen += len(positions)
    assert seen == 32                                                      # the lone last one is left out


@pytest.mark.parametrize("way", WAYS)
def test_an_epoch_takes_its_copy_of_the_features(features, way):
    portions, given = [np.array([3, 0]), np.array([4])], way(features, CPU)
    for epoch, copy in ((0, 0), (1, 1), (2, 2), (3, 0), (7, 1), (None, 3)):
        got = [(x.numpy(), y.numpy()) for x, y in given(portions, epoch=epoch)]
        np.testing.assert_array_equal(got[0][0], np.array([[3, 3.5], [0, 0.5]]) + 5 * copy)
        np.testing.assert_array_equal(got[1][0], np.array([[4, 4.5]]) + 5 * copy)
        np.testing.assert_array_equal(got[0][1], [1, 0])
    np.testing.assert_array_equal(given.rows, [5])


@pytest.mark.parametrize("way", WAYS)
def test_a_pass_without_batches_and_one_that_is_left_early(pixels, way):
    given = way(pixels, CPU)
    assert list(given([])) == []
    half = given(in_portions(np.arange(33), 4))
    next(half)
    half.close()
    assert len(list(given(in_portions(np.arange(33), 4)))) == 9


def test_the_cpu_reads_ahead_only_where_the_disk_has_to_be_waited_for(pixels, monkeypatch):
    assert not Batches(pixels, CPU).reads_ahead
    monkeypatch.setattr(batches, "_memory", lambda: 2 * 33 * 8 * 8 * 3 - 1)
    assert Batches(pixels, CPU).reads_ahead
    monkeypatch.setattr(batches, "_memory", lambda: 2 * 33 * 8 * 8 * 3)
    assert not Batches(pixels, CPU).reads_ahead


def test_several_findings(pixels):
    labels = np.random.default_rng(1).integers(0, 2, (33, 4))
    (_, given), = Batches(dataclasses.replace(pixels, labels=labels), CPU)([np.array([30, 2])])
    np.testing.assert_array_equal(given, labels[[30, 2]])


def test_a_token_tells_pixels_apart_and_not_splits(tmp_path):
    path = str(tiny_npz(tmp_path, 16))
    at = {size: open_dataset(DataConfig(path, size=size)) for size in (28, 32)}
    train, val = SplitData.of(at[28], "train"), SplitData.of(at[28], "val")
    assert train.token == val.token != SplitData.of(at[32], "train").token
    assert len(train) == 16 and not train.embedded
    np.testing.assert_array_equal(train.labels, at[28].labels[:16])
