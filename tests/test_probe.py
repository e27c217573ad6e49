"""The probe takes the quickest of what it tried, remembers it, and asks again when the machine has other cores free."""

from __future__ import annotations

import json

import pytest
import torch

from core.config import ModelConfig
from core.models import build_model
from core.trainers import probe


@pytest.fixture(scope="module")
def model():
    return build_model(ModelConfig(name="squeezenet1_1"), classes=2, size=28, channels=1)


@pytest.fixture
def told(monkeypatch):
    """A machine of four cores whose speeds are known: one thread is best, in bfloat16, channels first."""
    speeds = {}
    monkeypatch.setattr(probe, "_cores", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(probe, "free_cores", lambda: 4)
    monkeypatch.setattr(probe, "_time", lambda model, size, channels, way: speeds.setdefault(
        way, 10.0 / way.threads + (5 if way.precision == "bfloat16" else 0) + (0 if way.channels_last else 1)))
    return speeds


@pytest.mark.parametrize("agrees, wanted, best, tried", [
    (False, "auto", probe.Layout(1, False, "float32"), 4),
    (True, "auto", probe.Layout(1, False, "bfloat16"), 8),
    (True, "float32", probe.Layout(1, False, "float32"), 4),
    (False, "bfloat16", probe.Layout(1, False, "bfloat16"), 4)])
def test_the_quickest_of_what_is_allowed_wins(agrees, wanted, best, tried, told, tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "BFLOAT16_AGREES", agrees)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    layout, rows = probe.choose(None, 28, 1, 0, tmp_path / "speed.json", "a", wanted)
    assert layout == best and len(rows) == tried
    assert max(rows, key=lambda row: row["images_per_second"]) == {
        "threads": best.threads, "channels_last": best.channels_last, "precision": best.precision,
        "images_per_second": told[best]}


def test_asked_for_threads_are_not_changed(told, tmp_path):
    layout, rows = probe.choose(None, 28, 1, 3, tmp_path / "speed.json", "a", "float32")
    assert layout.threads == 3 and {row["threads"] for row in rows} == {3}


def test_an_answer_is_remembered_for_as_many_free_cores(told, tmp_path, monkeypatch):
    path = tmp_path / "speed.json"
    first, rows = probe.choose(None, 28, 1, 0, path, "a")
    assert rows and probe.choose(None, 28, 1, 0, path, "a") == (first, [])
    for changed in ({"key": "b"}, {"size": 64}, {"precision": "bfloat16"}):
        asked = {"size": 28, "key": "a", "precision": "float32"} | changed
        assert probe.choose(None, asked["size"], 1, 0, path, asked["key"], asked["precision"])[1]
    monkeypatch.setattr(probe, "free_cores", lambda: 1)          # somebody else computes now
    assert probe.choose(None, 28, 1, 0, path, "a")[1]
    path.write_text("no JSON")
    assert probe.choose(None, 28, 1, 0, path, "a")[1] and json.loads(path.read_text())


@pytest.mark.parametrize("free, first", [(4, 4), (3, 1)])
def test_it_stops_trying_when_the_time_is_over(free, first, told, tmp_path, monkeypatch):
    """The first is what promises most: not all threads where another process computes."""
    monkeypatch.setattr(probe, "PATIENCE", 0.0)
    monkeypatch.setattr(probe, "free_cores", lambda: free)
    layout, rows = probe.choose(None, 28, 1, 0, tmp_path / "speed.json", "a")
    assert len(rows) == 1 and layout.threads == first


def test_a_way_that_was_quick_by_luck_is_found_out(monkeypatch, tmp_path):
    """Two threads are quicker at first, and slower when they are looked at again."""
    speeds = {(1, True): [10.0, 10.0], (1, False): [5.0], (2, True): [20.0, 3.0], (2, False): [4.0]}
    monkeypatch.setattr(probe, "_cores", lambda: {0, 1})
    monkeypatch.setattr(probe, "free_cores", lambda: 1)
    monkeypatch.setattr(probe, "_time", lambda model, size, channels, way: speeds[way.threads, way.channels_last].pop(0))
    layout, rows = probe.choose(None, 28, 1, 0, tmp_path / "speed.json", "a")
    assert layout == probe.Layout(1, True) and sorted(row["images_per_second"] for row in rows) == [3.0, 4.0, 5.0, 10.0]


def test_the_model_and_the_threads_are_left_as_they_were(model, tmp_path):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    layout, rows = probe.choose(model, 28, 1, 0, tmp_path / "speed.json", "a", "bfloat16")
    assert all(row["images_per_second"] > 0 for row in rows) and layout.precision == "bfloat16"
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_idle_cores_are_counted_from_the_ticks_of_ours_only(monkeypatch, tmp_path):
    ticks = iter((0, 0.25 * 100 * 2 + 3))                        # two of our cores idle for a quarter of a second, and a little
    monkeypatch.setattr(probe, "_idle_ticks", lambda: next(ticks))
    monkeypatch.setattr(probe.os, "sysconf", lambda name: 100)
    assert probe.free_cores() == 2
