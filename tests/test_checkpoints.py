"""A checkpoint is whole or not there, and a flipped bit is noticed."""

import errno
import random

import pytest
import torch

from core import files
from core.errors import LightboxError
from core.runs import checkpoints


@pytest.fixture
def folder(tmp_path):
    for epoch in (1, 2, 3):
        checkpoints.save(tmp_path, epoch, 0, {"w": torch.full((50, 50), float(epoch))}, {"0.exp_avg": torch.arange(3.0)},
                         {"best": {"epoch": 2}, "state": {"epoch": epoch}})
    return tmp_path


def flip_a_bit(path, seed: int) -> None:
    data = bytearray(path.read_bytes())
    place = random.Random(seed).randrange(len(data) * 8)
    data[place // 8] ^= 1 << place % 8
    path.write_bytes(data)


def test_what_was_saved_comes_back_bit_for_bit(tmp_path):
    weights = {"a": torch.randn(7, 3), "n": torch.tensor(5), "half": torch.randn(4).bfloat16()}
    checkpoints.save(tmp_path, 4, 12, weights, {"0.step": torch.tensor(9.0)}, {"best": {}})
    back = checkpoints.load(tmp_path / "e0004-s000012")
    assert (back.epoch, back.step) == (4, 12)
    assert all(torch.equal(back.weights[k], v) and back.weights[k].dtype == v.dtype for k, v in weights.items())
    assert back.resume["0.step"] == 9


@pytest.mark.parametrize("name", ["weights.safetensors", "resume.safetensors", "meta.json"])
@pytest.mark.parametrize("seed", range(8))
def test_one_flipped_bit_anywhere_is_noticed(folder, name, seed):
    flip_a_bit(folder / "e0003-s000000" / name, seed)
    with pytest.raises(LightboxError) as error:
        checkpoints.load(folder / "e0003-s000000")
    assert error.value.code == "checkpoint.damaged"


def test_the_one_before_is_used_and_it_is_said(folder):
    flip_a_bit(folder / "e0003-s000000" / "weights.safetensors", 0)
    found, said = checkpoints.load_latest(folder)
    assert found.epoch == 2 and "checksum does not match" in said[0] and len(said) == 1


def test_a_damaged_best_gives_the_newest_sound_epoch_and_says_so(folder):
    assert checkpoints.load_best(folder)[0].epoch == 2
    flip_a_bit(folder / "e0002-s000000" / "weights.safetensors", 0)
    found, said = checkpoints.load_best(folder)
    assert found.epoch == 3 and len(said) == 1


def test_nothing_sound_left_is_a_sentence(folder):
    for epoch in (1, 2, 3):
        flip_a_bit(folder / f"e000{epoch}-s000000" / "weights.safetensors", 0)
    with pytest.raises(LightboxError, match="Every checkpoint of this run is damaged"):
        checkpoints.load_best(folder)
    assert checkpoints.load_latest(folder)[0] is None


def test_before_the_first_epoch_there_is_no_best(tmp_path):
    with pytest.raises(LightboxError, match="has not finished an epoch"):
        checkpoints.load_best(tmp_path)
    assert checkpoints.load_latest(tmp_path) == (None, [])


def test_prune_keeps_the_last_two_and_the_best(folder):
    for epoch in (4, 5):
        checkpoints.save(folder, epoch, 0, {"w": torch.zeros(1)}, {}, {"best": {"epoch": 2}})
    (folder / ".e0006-s000000-dead").mkdir()
    checkpoints.prune(folder, best_epoch=2)
    assert checkpoints.places(folder) == [(2, 0), (4, 0), (5, 0)]
    assert not list(folder.glob(".*"))


def test_a_full_disk_leaves_the_old_ones_and_no_rest(folder, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(LightboxError) as error:
        checkpoints.save(folder, 4, 0, {"w": torch.zeros(9)}, {}, {"best": {}})
    assert error.value.code == "disk.full"
    monkeypatch.undo()
    assert [p.name for p in sorted(folder.iterdir())] == [f"e000{e}-s000000" for e in (1, 2, 3)]
    assert checkpoints.load_latest(folder)[0].epoch == 3
