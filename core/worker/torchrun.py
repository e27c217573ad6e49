"""One of several processes that train a run together, on the GPUs of one machine or of several.

    torchrun --nproc-per-node 2 -m core train --dataset ...        `python -m core train` becomes this program on every rank

Rank 0 writes the run's folder, so the run appears in the app like any other: with its lock, its progress and
its Stop. It is never queued. The others compute. When one ends, torchrun ends the others, and rank 0 writes
down why. torch is imported when training begins: a mistake in the arguments is reported at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from core.config import RunConfig, home
from core.errors import LightboxError
from core.files import Lock
from core.runs.run import Run
from core.runs.states import State
from core.runs.store import RunStore
from core.runs.workers import device_lock
from core.worker.job import Job

SUCCESS = (State.FINISHED, State.STOPPED)        # ends with exit code 0


@dataclass(frozen=True)
class NullRun:
    """What a rank other than 0 has instead of the run's folder, which may be on another machine: it writes and reads nothing."""

    id: str
    config: RunConfig
    device: str

    def append(self, record: dict) -> None:
        pass

    def write_progress(self, progress) -> None:
        pass

    def change(self, state: State, reason: str = "", *, only_from: set[State] | None = None, code: str = "") -> bool:
        return True

    def records(self, kind: str | None = None) -> list[dict]:
        return []

    def data(self) -> dict:
        return {}


class LoggingJob(Job):
    """Rank 0 prints each epoch on stderr too."""

    def log(self, record: dict) -> None:
        super().log(record)
        if record["kind"] == "epoch" and self.writes:
            metric = record["monitor"]
            value = record[f"val_{metric}"]
            print(f"epoch {record['epoch']}/{self.run.config.train.epochs}  loss {record['train_loss']:.4f}  validation: loss "
                  f"{record['val_loss']:.4f}" + (f", {metric} {value:.4f}" if value is not None and metric != "loss" else ""),
                  file=sys.stderr, flush=True)


def train_distributed(store: RunStore, config: RunConfig | None, resumed: str) -> int:
    """Train on this rank; returns the exit code. All ranks get the same arguments.

    Args:
        config: of a new run; None goes on with the run `resumed`, of which only rank 0 needs the folder
    """
    import torch

    from core.trainers.distributed import DistributedGroup
    with contextlib.ExitStack() as held:
        wanted = config.train.device if config else "auto" if torch.cuda.is_available() else "cpu"
        device = own_device(wanted, torch.cuda.device_count() if torch.cuda.is_available() else 0)
        group = DistributedGroup(torch.device(device))
        # the processes share the CPU, but each has a GPU of its own
        if group.rank == 0 or device != "cpu":
            held.enter_context(Lock(device_lock(store.root, device)))
        run, lock, refused = None, None, None
        if group.rank == 0:
            try:
                run, lock = store.create_here(config) if config else _resume(store, resumed)
            except LightboxError as error:
                refused = error
        refused = group.same(refused)
        if refused:
            group.close()
            if group.rank == 0:
                print(f"{refused} [{refused.code}]", file=sys.stderr)
            return 2
        run_id, text = group.same((run.id, run.config.to_json()) if run else None)
        job = LoggingJob(run or NullRun(run_id, RunConfig.from_json(text), device), store.root, group, device)
        _handle_signals(job)
        job.run_to_end()
        with contextlib.suppress(RuntimeError):    # the others may be gone
            group.close()
        if group.rank:
            return 0 if job.outcome in SUCCESS else 1
        lock.release()
        status = run.status()
        print(f"{run.id}: {status.state}. {status.reason}", file=sys.stderr)
        print(run.id, flush=True)
        return 0 if status.state in SUCCESS else 1


def _resume(store: RunStore, run_id: str) -> tuple[Run, Lock]:
    run = store.get(run_id)
    return run, store.resume_here(run)


def own_device(wanted: str, gpus: int) -> str:
    """Return the device of this rank: the GPU of its number on this machine, or the CPU.

    Raises LightboxError "device.unknown" where there are fewer GPUs than processes.
    """
    if wanted == "cpu" or wanted == "auto" and not gpus:
        return "cpu"
    number = int(os.environ.get("LOCAL_RANK", 0))
    if number >= gpus:
        raise LightboxError("device.unknown", f"This machine has {gpus} GPUs, but torchrun started more processes on it.",
                            "Give --nproc-per-node as many as there are GPUs, or --device cpu.")
    return f"cuda:{number}"


def _handle_signals(job: Job) -> None:
    """Ctrl-C stops the run, with a checkpoint.

    On SIGTERM, with which torchrun ends the others when one has ended, rank 0 writes why and goes.

    A thread does so: the main one may be inside a step that waits for a process that is no more.
    """
    listener, waker = socket.socketpair()              # on Windows nothing else can be woken by
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    def listen() -> None:
        while True:
            number = listener.recv(1)[0]
            if number == signal.SIGINT and job.writes:
                job.run.stop()
            elif number == signal.SIGTERM:
                if job.ending.acquire(blocking=False) and job.writes:
                    why = job.group.explanation() or "torchrun ended this one too."
                    with contextlib.suppress(LightboxError):
                        job.run.change(State.INTERRUPTED, f"One of the {job.group.size} processes ended: {why} "
                                                          "Resume continues from the last finished epoch.")
                os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a run on all processes that torchrun started.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", help="of a new run, as JSON")
    what.add_argument("--resume", help="continue this run")
    options = parser.parse_args()
    try:
        config = RunConfig.from_json(options.config) if options.config else None
        return train_distributed(RunStore(Path(home())), config, options.resume or "")
    except LightboxError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
