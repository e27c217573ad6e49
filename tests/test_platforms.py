"""Lightbox without what only Unix has, in processes of its own: everything imports, and a run goes through queue and worker.

Not covered, because no Windows is at hand: its paths, its rules for open files (a file that somebody reads cannot be replaced or
deleted), its signals, LockFileEx itself, and the detached start of a worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core.runs import checkpoints
from core.runs.store import RunStore
from tests.tiny import tiny_config, tiny_npz

ROOT = Path(__file__).parents[1]


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


def test_a_run_is_queued_trained_stopped_and_resumed(tmp_path):
    program = f"""
import time
from core.runs.store import RunStore
from tests.tiny import tiny_config
store = RunStore()
changes = {{"model.name": "small_cnn", "train.epochs": 200, "train.threads": 0}}
run = store.create(tiny_config({str(tiny_npz(tmp_path))!r}, **changes))

def until(ready, seconds=120):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, (run.status(), (run.folder / "log.txt").read_text()[-2000:])
        store.recover()
        time.sleep(0.05)

until(lambda: run.records("epoch"))
assert run.is_alive() and run.status().state == "running"
run.stop()
until(lambda: run.status().state == "stopped")
print(run.id)
"""
    run = RunStore(tmp_path).get(without_unix(program, tmp_path).strip())
    assert "without Unix" in (run.folder / "log.txt").read_text()                  # the trainer too had no Unix
    saved, notes = checkpoints.load_latest(run.checkpoints)
    assert saved.epoch >= 1 and not notes and run.status().state == "stopped"
    assert len(run.records("epoch")) == saved.epoch


def test_a_run_that_begins_in_this_process_holds_its_lock(tmp_path, monkeypatch):
    """Windows renames no folder in which a file is open, so there the lock comes after the rename."""
    monkeypatch.setattr("core.runs.store.WINDOWS", True)
    monkeypatch.setattr("core.runs.store.machine", lambda: {"devices": [{"device": "cpu", "name": "", "memory_bytes": None}]})
    run, lock = RunStore(tmp_path).create_here(tiny_config("none"))
    assert run.is_alive() and not run.lock.acquire() and run.status().state == "starting"
    lock.release()
    assert run.status().state == "interrupted"
