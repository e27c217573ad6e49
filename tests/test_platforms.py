"""Lightbox without what only Unix has, in processes of its own: everything imports, and a run goes through queue and worker.

Not covered, because no Windows is at hand: its paths, its rules for open files (a file that somebody reads cannot be replaced or
deleted), its signals, LockFileEx itself, and the detached start of a worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.runs import checkpoints
from core.runs.store import RunStore
from core.worker import queue_worker
from tests.tiny import tiny_config, tiny_npz

ROOT = Path(__file__).parents[1]
CPU = {"devices": [{"device": "cpu", "name": "", "memory_bytes": None}]}


def without_unix(program: str, home: Path) -> str:
    """What a program prints where Unix is missing, in it and in all that it starts."""
    path = os.pathsep.join(map(str, (ROOT / "tests/without_unix", ROOT)))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300, env={
        **os.environ, "PYTHONPATH": path, "WITHOUT_UNIX": "1", "LIGHTBOX_HOME": str(home), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "without Unix" in done.stderr
    return done.stdout


def test_everything_imports(tmp_path):
    program = """
import importlib, os, pathlib
for name in ("nice", "sysconf", "pread", "sched_getaffinity"):
    assert not hasattr(os, name), name
try:
    import fcntl
    raise SystemExit("fcntl is there")
except ImportError:
    pass
files = [*pathlib.Path("core").rglob("*.py"), *pathlib.Path("pages").rglob("*.py")]
names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files]
for name in names:
    if not name.endswith(("__main__", ".page")) and name != "pages.main":       # pages draw when they are imported
        importlib.import_module(name)
print(len(names))
"""
    assert int(without_unix(program, tmp_path)) > 100


@pytest.mark.slow      # two trainings in processes of their own
def test_a_run_is_queued_stopped_and_resumed_and_ends_as_one_with_unix(tmp_path, monkeypatch):
    (tmp_path / "without").mkdir()
    changes = {"model.name": "small_cnn", "train.epochs": 30}
    config = tiny_config(tiny_npz(tmp_path), **changes)
    program = f"""
import time
from core.config import RunConfig
from core.runs.store import RunStore
config = RunConfig.from_json({config.to_json()!r})
store = RunStore()
first = store.create(config.with_(**{{"train.threads": 0, "train.epochs": 1}}))      # the number of threads is measured
run = store.create(config)

def until(run, *states, epochs=0, seconds=120):
    end = time.monotonic() + seconds
    while run.status().state not in states or len(run.records("epoch")) < epochs:
        assert time.monotonic() < end, (run.status(), (run.folder / "log.txt").read_text()[-2000:])
        store.recover()
        time.sleep(0.02)

until(first, "finished")
until(run, "running", epochs=1)
assert run.is_alive()
run.stop()
until(run, "stopped")
print(run.id, len(run.records("epoch")))
store.resume(run)
until(run, "finished")
"""
    run_id, stopped_at = without_unix(program, tmp_path / "without").split()
    run = RunStore(tmp_path / "without").get(run_id)
    assert run.log().count("without Unix") == 2                     # both trainers had no Unix
    assert 1 <= int(stopped_at) < 30 and len(run.records("start")) == 2

    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    monkeypatch.setattr("core.runs.store.machine", lambda: CPU)
    store = RunStore(tmp_path)
    unbroken = store.create(config)
    store.queue.claim("cpu")
    queue_worker.train_run(unbroken, store.root)
    for one in (run, unbroken):
        assert one.status().state == "finished" and [r["epoch"] for r in one.records("epoch")] == [*range(1, 31)]
    assert [r["val_loss"] for r in run.records("epoch")] == [r["val_loss"] for r in unbroken.records("epoch")]
    (saved, notes), (other, _) = (checkpoints.load_latest(one.checkpoints) for one in (run, unbroken))
    assert not notes and saved.epoch == other.epoch == 30 and saved.weights.keys() == other.weights.keys()
    assert all(torch.equal(saved.weights[name], other.weights[name]) for name in saved.weights)


def test_a_run_that_begins_in_this_process_holds_its_lock(tmp_path, monkeypatch):
    """Windows renames no folder in which a file is open, so there the lock comes after the rename."""
    monkeypatch.setattr("core.runs.store.WINDOWS", True)
    monkeypatch.setattr("core.runs.store.machine", lambda: CPU)
    run, lock = RunStore(tmp_path).create_here(tiny_config("none"))
    assert run.is_alive() and not run.lock.acquire() and run.status().state == "starting"
    lock.release()
    assert run.status().state == "interrupted"
