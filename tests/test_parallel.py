"""Real processes started by torchrun against one process: the same weights, the same run in the store, the same Stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from core.config import ModelConfig
from core.errors import LightboxError
from core.models import build_model
from core.runs import checkpoints
from core.runs.store import RunStore
from core.trainers.distributed import DistributedGroup, Group
from core.worker.queue_worker import train_run
from core.worker.torchrun import own_device
from tests.tiny import tiny_npz

ROOT = Path(__file__).parents[1]


def torchrun(ranks: int, *words: str, home: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return subprocess.Popen([*command, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True,
                            env={**os.environ, "LIGHTBOX_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_processes_reach_the_weights_of_one(tmp_path, ranks):
    out, errors = torchrun(ranks, "tests/ranks.py", home=tmp_path).communicate(timeout=300)
    found = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert len(found) == 8, errors[-3000:]
    for case in found:
        # In float64 only a mistake could show; in float32 the order of the sums does, in the last digits.
        assert case["furthest"] < (1e-5 if case["case"] in ("no batch norm", "squeezenet") else 1e-6), case
        assert case["moved"] > 50 * case["furthest"], case
        assert case["losses"] == pytest.approx(case["expected"], rel=1e-5), case


def test_a_group_of_one_changes_nothing():
    group, batch = Group(), torch.arange(5.0)
    assert group.share(batch) is batch and group.whole(batch) is batch and group.sum(batch) is batch
    assert group.wrap(None, batch.sum) == batch.sum and group.any(True) and not group.any(False) and group.same("x") == "x"


@pytest.mark.parametrize("n, size", [(16, 2), (17, 2), (2, 3), (1, 4), (33, 4)])
def test_the_shares_of_a_batch_are_the_batch(n, size):
    shares = []
    for rank in range(size):
        group = DistributedGroup.__new__(DistributedGroup)                    # its place alone, without the other processes
        group.rank, group.size = rank, size
        shares.append(group.share(np.arange(n)))
    assert np.concatenate(shares).tolist() == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("name, dropout, sentences", [("small_cnn", 0.0, 2), ("resnet18", 0.0, 2), ("resnet18", 0.5, 3)])
def test_where_several_processes_come_to_other_numbers_it_is_said(name, dropout, sentences):
    group = DistributedGroup.__new__(DistributedGroup)
    group.size, group.device = 2, torch.device("cpu")
    notes = group.notes(build_model(ModelConfig(name=name, dropout=dropout), classes=2, size=28, channels=1))
    assert len(notes) == sentences and ("same numbers" in notes[-1]) == (name == "small_cnn")
    assert any("batch norm" in note for note in notes) == (name == "resnet18")
    assert Group().notes(torch.nn.Dropout()) == []


def test_parts_of_one_image_are_refused_where_batch_norm_needs_two():
    group = DistributedGroup.__new__(DistributedGroup)
    group.size, group.device = 2, torch.device("cpu")
    with pytest.raises(LightboxError) as error:
        group.check(torch.nn.BatchNorm1d(3), 3)
    assert error.value.code == "train.parts"
    group.check(torch.nn.BatchNorm1d(3), 4)
    group.check(torch.nn.Linear(3, 3), 1)


def test_each_rank_takes_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("auto", 0) == own_device("cpu", 8) == "cpu"
    assert own_device("auto", 2) == own_device("cuda", 2) == own_device("cuda:0", 4) == "cuda:1"
    with pytest.raises(LightboxError, match="has 1 GPUs"):
        own_device("auto", 1)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    monkeypatch.setattr("core.runs.store.machine", lambda: {"devices": [
        {"device": "cpu", "name": "2 CPU cores", "memory_bytes": 1}]})
    tiny_npz(tmp_path)
    return RunStore(tmp_path)


def until(process: subprocess.Popen, ready, seconds: float = 90):
    """What `ready` gives, once that is something."""
    begun = time.monotonic()
    while not (found := ready()):
        if process.poll() is not None or time.monotonic() - begun > seconds:
            process.kill()
            raise AssertionError(process.communicate()[1][-3000:])
        time.sleep(0.05)
    return found


def ranks_of(process: subprocess.Popen) -> dict[int, int]:
    """Rank -> process id of torchrun's children."""
    found = {}
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            found |= {int(entry[5:]): int(child) for entry in environment if entry.startswith(b"RANK=")}
    return found


@pytest.mark.slow      # four trainings
def test_a_run_on_two_processes_is_stopped_killed_resumed_and_ends_like_any_other(store):
    """Stop works from the app; a rank that dies ends the others in words; one process alone can go on with the run."""
    changes = {"model.name": "small_cnn", "optim.name": "sgd", "train.batch_size": 15, "train.epochs": 400}
    words = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    process = torchrun(2, "-m", "core", "train", "--dataset", str(store.root / "tiny.npz"), "--size", "28", "--device", "cpu",
                       "--set", "train.threads=1", *words, home=store.root)
    run = until(process, lambda: next((run for run in store.list() if run.records("epoch")), None))
    assert run.status().state == "running" and run.is_alive() and store.queue.waiting() == []
    store.recover()                                              # the app looks: nothing is queued or started for it
    assert store.queue.waiting() == []
    begun = time.monotonic()
    run.stop()
    out, errors = process.communicate(timeout=60)
    assert run.status().state == "stopped" and time.monotonic() - begun < 20, errors[-3000:]
    assert process.returncode == 0 and out.split() == [run.id]
    saved = checkpoints.load_latest(run.checkpoints)[0]
    assert 0 < saved.epoch < 400 and run.records("start")[0]["processes"] == 2

    process = torchrun(2, "-m", "core", "train", "--resume", run.id, home=store.root)
    until(process, lambda: max((r["epoch"] for r in run.records("epoch")), default=0) > saved.epoch + 1)
    os.kill(ranks_of(process)[1], signal.SIGKILL)
    process.communicate(timeout=60)
    assert run.status().state == "interrupted" and "ended" in run.status().reason and process.returncode     # who says it varies
    assert [r["epoch"] for r in run.records("epoch")] == list(range(1, len(run.records("epoch")) + 1))
    saved = checkpoints.load_latest(run.checkpoints)[0]

    alone = store.create(run.config)
    _train_alone_until(alone, store, saved.epoch)
    expected = checkpoints.load_latest(alone.checkpoints)[0]
    assert (expected.epoch, expected.step) == (saved.epoch, saved.step) == (saved.epoch, 0)
    assert max((saved.weights[key] - expected.weights[key]).abs().max().item() for key in expected.weights) < 1e-4


def _train_alone_until(run, store, epoch: int) -> None:
    from core.worker import job
    real = job.Job._save

    def save(self, state):
        real(self, state)
        if state.epoch == epoch:
            self.stop.set()
    job.Job._save = save
    try:
        store.queue.claim("cpu")
        train_run(run, store.root)
    finally:
        job.Job._save = real


def test_a_mistake_is_one_sentence_from_rank_0(store):
    process = torchrun(2, "-m", "core", "train", "--resume", "nosuchrun", home=store.root)
    out, errors = process.communicate(timeout=90)
    assert process.returncode and errors.count("There is no run nosuchrun") == 1 and not out
