"""Plates: made once, read after; damaged or missing ones are made again."""

import errno
import subprocess

import numpy as np
import pytest

from core.datasets.phantom import PhantomSource, cache
from core.datasets.phantom import source as phantom_set
from core.datasets.phantom.cache import RECORD, RenderCache
from core.datasets.phantom.cohort import PhantomConfig


@pytest.fixture
def made():
    return []


@pytest.fixture
def kept(tmp_path, made):
    def make(i):
        made.append(i)
        return np.random.default_rng(i).integers(0, 256, (200 + i, 256 - i), dtype=np.uint8)
    return RenderCache(tmp_path / "new" / "x.plates", make)


def test_an_image_is_made_once_and_read_bit_for_bit(kept, made):
    first = [kept[i].copy() for i in (5, 0, 3)]
    again = [kept[i] for i in (5, 0, 3)]
    assert made == [5, 0, 3] and all(np.array_equal(a, b) for a, b in zip(first, again))
    assert again[0].shape == (205, 251)


@pytest.mark.parametrize("place", [0, 5, 6, 9, 4000])
def test_a_flipped_bit_is_noticed_and_the_image_made_again(kept, made, place):
    good = kept[2].copy()
    data = bytearray(kept.path.read_bytes())
    data[2 * RECORD + place] ^= 4
    kept.path.write_bytes(data)
    assert np.array_equal(kept[2], good) and made == [2, 2]


def test_a_torn_record_is_made_again(kept, made):
    kept[1]
    kept.path.write_bytes(kept.path.read_bytes()[:-100])
    kept[1]
    assert made == [1, 1]


def test_a_full_disk_only_costs_the_keeping(kept, made, monkeypatch):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(cache.os, "fdopen", full)
    assert kept[1].shape == kept[1].shape == (201, 255) and made == [1, 1]


def test_the_phantom_makes_each_image_once_for_all_sizes(monkeypatch):
    calls, real = [], phantom_set.render
    monkeypatch.setattr(phantom_set, "render", lambda *a, **k: calls.append(a) or real(*a, **k))
    source = PhantomSource(PhantomConfig(patients=2))
    a, b, large = source.at_size(0, 28), source.at_size(0, 224), source.at_size(0, 300)
    assert np.array_equal(a, b) and max(a.shape) == 256 and max(large.shape) == 300 and len(calls) == 2


def test_many_are_made_by_processes_and_are_the_same_bits(monkeypatch):
    config = PhantomConfig(patients=14)
    monkeypatch.setattr("core.datasets.phantom.source.MIN_FOR_WORKERS", 10)
    source, said = PhantomSource(config), []
    n = len(source.scan().table)
    source.prepare(128, lambda phase, done, total: said.append((done, total)))
    assert said[-1] == (n, n) and all(source.cache.read(i) is not None for i in range(n))
    monkeypatch.setattr(source.cache, "make", None)                     # nothing is left to make
    a = source.at_size(n - 1, 64)
    assert np.array_equal(a[:, :, 0], PhantomSource(config).cache.read(n - 1))
    from core.datasets.phantom.render import render
    last = phantom_set.parse_image_id(source.table["image_id"].iloc[n - 1])
    assert np.array_equal(a[:, :, 0], render(*last, size=256, config=config)[0])
    source.prepare(128, lambda *a: pytest.fail("nothing was missing"))


def test_stop_ends_the_processes(monkeypatch):
    monkeypatch.setattr("core.datasets.phantom.source.MIN_FOR_WORKERS", 10)
    started, real = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])

    def stop(phase, done, total):
        if done > 3:
            raise KeyboardInterrupt
    source = PhantomSource(PhantomConfig(patients=14))
    with pytest.raises(KeyboardInterrupt):
        source.prepare(128, stop)
    assert started and all(process.poll() is not None for process in started)
