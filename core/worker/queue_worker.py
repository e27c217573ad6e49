"""The processes that train: `python -m core.worker.queue_worker --device cpu`.

Two layers, so that nothing a training does can hurt the queue:

    work(device)      takes waiting runs one after the other and gives each a process of its own; no torch here
    train_run(run)    that process: one run, from where its last checkpoint stands to the end (core.worker.job)

A run holds two locks while it trains: the device's, so that only one trains on it at a time, and its own
`run.lock`, which proves that it lives. The kernel frees both however the process ends.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from core.config import home
from core.errors import LightboxError
from core.files import Lock
from core.runs.run import Run
from core.runs.states import LIVE, State
from core.runs.store import RunStore
from core.runs.workers import device_lock, worker_lock
from core.worker.job import Job

NICE = 10                # the browser and the app go first


def work(store: RunStore, device: str) -> None:
    """Train all runs that wait for a device, then return.

    Returns at once when another process does this already.
    """
    lock = Lock(worker_lock(store.root, device))
    while True:
        if not lock.acquire():
            return
        try:
            while (run_id := store.queue.claim(device)) is not None:
                _train_in_child(store, run_id)
        finally:
            lock.release()
        # Somebody may have queued a run after the last claim and seen our lock: look once more, now that it is free.
        if not any(waits_for == device for _, waits_for in store.queue.waiting()):
            return


def _train_in_child(store: RunStore, run_id: str) -> None:
    try:
        run = store.get(run_id)
    except LightboxError:
        return                                   # deleted while it waited
    threads = run.config.train.threads
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"} | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    with open(run.folder / "log.txt", "ab") as log:
        child = subprocess.Popen([sys.executable, "-m", "core.worker.queue_worker", "--run", run_id],
                                 cwd=Path(__file__).parents[2], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    code = child.wait()
    try:
        if run.status().state in (State.QUEUED, State.INTERRUPTED) and code:
            why = f"The trainer was ended by signal {-code}" if code < 0 else "The trainer ended without giving a reason"
            reason = f"{why}. Resume continues from the last finished epoch; log.txt has the details."
            run.change(State.INTERRUPTED, reason, only_from=LIVE) or run.change(State.FAILED, reason, only_from={State.QUEUED})
    except LightboxError:
        pass                                     # the folder was deleted


def train_run(run: Run, root: Path) -> None:
    """Train one run to its end, a stop, or an error in words.

    Returns without doing anything if it is not queued (any more).
    """
    with Lock(device_lock(root, run.device)):
        lock = run.lock
        if not lock.acquire():
            return
        try:
            if run.change(State.STARTING, only_from={State.QUEUED}):
                Job(run, root).run_to_end()
        finally:
            lock.release()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the runs that wait for a device, or one run.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--device", help="work through the queue of this device")
    what.add_argument("--run", help="train this run, which must be queued")
    options = parser.parse_args()
    store = RunStore(home())
    if options.device:
        work(store, options.device)
        return
    try:
        os.nice(NICE)
    except (AttributeError, OSError):            # Windows has no nice
        pass
    train_run(store.get(options.run), store.root)


if __name__ == "__main__":
    main()
