"""The processes that train: `python -m core.worker --device cpu`.

Two layers, so that nothing a training does can hurt the queue:

    work(device)      takes waiting runs one after the other and gives each a process of its own; no torch here
    train_run(run)    that process: one run, from where its last checkpoint stands to the end

A run holds two locks while it trains: the device's, so that only one trains on it at a time, and its own `run.lock`,
which proves that it lives. The kernel frees both however the process ends.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path

from core.config import home
from core.errors import LightboxError
from core.files import Lock, write_json
from core.runs import Progress, Run, RunStore, device_lock, worker_lock

STOP_PATIENCE = 3.0      # seconds that a step may still take after Stop; then the step is given up
NICE = 10                # the browser and the app go first

OUT_OF_MEMORY = ("The device ran out of memory. Start a copy of this run with half the batch size, smaller images "
                 "or a smaller network.")


def work(store: RunStore, device: str) -> None:
    """Train all runs that wait for a device, then return. Returns at once when another process does this already."""
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
        child = subprocess.Popen([sys.executable, "-m", "core.worker", "--run", run_id], cwd=Path(__file__).parents[1],
                                 env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    code = child.wait()
    try:
        if run.status().state in ("queued", "interrupted") and code:
            why = f"The trainer was ended by signal {-code}" if code < 0 else "The trainer ended without a word"
            reason = f"{why}. Resume goes on from the last finished epoch; log.txt has the details."
            run.change("interrupted", reason, only_from={"starting", "running", "stopping"}) \
                or run.change("failed", reason, only_from={"queued"})
    except LightboxError:
        pass                                     # the folder was deleted: there is nobody to tell


def train_run(run: Run, root: Path) -> None:
    """Train one run to its end, a stop, or an error in words. Returns without doing anything if it is not queued (any more)."""
    with Lock(device_lock(root, run.device)):
        lock = run.lock
        if not lock.acquire():
            return
        try:
            if not run.change("starting", only_from={"queued"}):
                return
            job = Job(run, root)
            try:
                job.train()
            except Stopped as stopped:
                job.end("stopped", "Stop was pressed.", *stopped.args)
            except LightboxError as error:
                if error.code != "run.gone":
                    traceback.print_exc()
                    job.end("failed", str(error))
            except Exception as error:           # a bug or the machine: the trace is in log.txt, the reason in words
                if not run.folder.exists():
                    return                       # deleted under us: there is nobody to tell
                traceback.print_exc()
                job.end("failed", _in_words(error))
        finally:
            lock.release()


class Stopped(Exception):
    """Stop was asked for; raised between two steps, with the TrainState to save where there is one."""


class Job:
    """One run being trained in this process.

    Stop is watched by a thread. The loop notices between two steps; where a step takes longer than STOP_PATIENCE, the
    thread saves the state as it was after the last step and ends the process, so that a stop never waits for a slow one.
    """

    def __init__(self, run: Run, root: Path):
        self.run, self.root = run, root
        self.stop = threading.Event()
        self.ending = threading.Lock()            # whoever holds it writes the end: the loop or the watcher
        self.spare = None                         # (weights, moments, meta) after the last step, kept where steps are slow
        self.meta: dict = {}
        self.beat = Progress(pid=os.getpid(), epochs=run.config.train.epochs)
        threading.Thread(target=self._watch, daemon=True).start()

    def train(self) -> None:
        run, config = self.run, self.run.config
        self.tell(phase="Opening the images")
        from core.datasets import open_dataset
        data = open_dataset(config.data, progress=self._opening)
        self._same_data_as_before(data)

        self.tell(phase="Building the network")
        import torch

        from core import checkpoints
        from core.classifiers import build_for_run
        from core.trainers.batches import Split
        from core.trainers.classifier import TrainState, train

        model = build_for_run(run, data)
        device = torch.device(run.device)
        splits = Split.of(data, "train"), Split.of(data, "val")
        saved, said = checkpoints.load_latest(run.checkpoints)
        how = saved.meta["how"] if saved else self._choose_how(model, device)
        if device.type == "cpu":
            torch.set_num_threads(how["threads"])
        state = TrainState.fresh(model.to(device), config)
        if saved:
            state.load(saved.weights, saved.resume, saved.meta["state"])
        self.meta = {"how": how, "classifier": describe(model), "dataset": data.name, "run": run.id,
                     "record": saved.meta["record"] if saved else None}
        if saved and saved.meta["record"] and saved.meta["record"]["epoch"] not in {r["epoch"] for r in run.records("epoch")}:
            self.note(saved.meta["record"])
        self.note({"kind": "start", "epoch": state.epoch, "step": state.step, "at": time.time(), "device": run.device,
                   "how": how, "parameters": sum(p.numel() for p in model.parameters()),
                   "n_train": len(splits[0]), "n_val": len(splits[1]), "notes": [*model.notes, *said]})
        if not run.change("running", only_from={"starting"}):
            raise Stopped                         # stopped while it started; nothing was done that a checkpoint could keep

        loop = train(state, *splits, config, precision=how["precision"], channels_last=how["channels_last"])
        last, slow = time.perf_counter(), False
        for record in loop:
            now = time.perf_counter()
            slow = slow or now - last > STOP_PATIENCE / 3
            last = now
            if record["kind"] == "epoch":
                # First the checkpoint, which carries the record, then the line: an epoch that was reported is never lost, and
                # one that was saved but not reported is reported on the next start.
                self.meta["record"] = {**record, "at": time.time()}
                self._save(state)
                self.note(self.meta["record"])
                checkpoints.prune(run.checkpoints, state.best["epoch"])
            elif record["kind"] == "step":
                self.note({**record, "at": time.time()})
            if slow:
                self.spare = _copy(state)
            self._beat(record)
            if self.stop.is_set():
                loop.close()
                raise Stopped(state)
        self.tell(phase="Predicting the validation images")
        from core.evaluation import predict_split
        predict_split(run, "val", data=data, progress=self._opening)
        self.note({"kind": "end", "epoch": state.epoch, "best": state.best, "seconds": state.seconds, "at": time.time()})
        self.end("finished", f"Best epoch: {state.best['epoch']} of {state.epoch}.")

    # What the run's folder hears

    def note(self, record: dict) -> None:
        self.run.append(record)

    def tell(self, **changes) -> None:
        self.beat = replace(self.beat, beat=self.beat.beat + 1, at=time.time(), **changes)
        self.run.say(self.beat)

    def end(self, status: str, reason: str, state=None) -> None:
        """Save the training's state, if one is given, and write the run's last status. Only one thread gets to do this."""
        if not self.ending.acquire(blocking=False):
            threading.Event().wait()              # the watcher is ending this process
        if state is not None:
            self._save(state)
        self.run.change(status, reason)

    def _beat(self, record: dict) -> None:
        """A sign of life, at most twice a second."""
        if record["kind"] == "tick" and time.time() - self.beat.at < 0.5:
            return
        phase = {"train": "Training", "validate": "Validating"}[record.get("phase", "train")]
        known = {key: record[key] for key in ("images_per_second", "seconds_left") if record.get(key) is not None}
        place = {key: record[key] for key in ("epoch", "step", "steps") if key in record}
        self.tell(phase=phase, **place, **known)

    def _opening(self, phase: str, done: int, total: int) -> None:
        """Progress of something that is no training: say it, and stop if asked."""
        if self.stop.is_set():
            raise Stopped
        if time.time() - self.beat.at > 0.5:
            self.tell(phase=phase, step=done, steps=total)

    def _save(self, state) -> None:
        if state.is_sound():
            self._write(*state.tensors(), state.meta())

    def _write(self, weights: dict, moments: dict, meta: dict) -> None:
        from core import checkpoints
        checkpoints.save(self.run.checkpoints, meta["epoch"], meta["step"], weights, moments,
                         {**self.meta, "state": meta, "best": meta["best"]})

    def _watch(self) -> None:
        """Notice a stop within a quarter of a second; end the process where the loop does not."""
        while True:
            time.sleep(0.25)
            try:
                if self.run.status().state == "stopping":
                    break
            except LightboxError:                 # the folder was deleted under us: there is nothing left to do
                os._exit(0)
        self.stop.set()
        time.sleep(STOP_PATIENCE)
        if self.ending.acquire(blocking=False):
            try:
                if self.spare:
                    self._write(*self.spare)
            finally:
                self.run.change("stopped", "Stop was pressed in the middle of a slow step; that step is done again after Resume.")
                os._exit(0)

    def _same_data_as_before(self, data) -> None:
        """Write down what the data are; refuse to go on with others than the run began with."""
        facts = {"dataset": data.name, "title": data.title, "task": data.task, "target": data.target,
                 "class_names": list(data.class_names), "size": data.size, "resize": data.resize, "channels": data.channels,
                 "fingerprint": data.fingerprint, "split_hash": data.split_hash, "split_note": data.split_note,
                 "n": {split: len(data.indices(split)) for split in ("train", "val", "test")}}
        before = self.run.data()
        if before and before["split_hash"] != facts["split_hash"]:
            raise LightboxError("run.data_changed", "The images have changed since this run began, so it cannot go on as it was.",
                                "Put the old images back, or start a new run on the new ones.")
        write_json(self.run.folder / "data.json", facts)

    def _choose_how(self, model, device) -> dict:
        """Threads, layout and precision of this run; kept in its checkpoints so that a resume computes the same way."""
        import torch

        from core.trainers.probe import choose
        config = self.run.config
        wanted = config.train.precision
        if wanted == "auto":
            wanted = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        how = {"precision": wanted, "channels_last": True, "tried": [],
               "threads": config.train.threads or torch.get_num_threads()}
        if device.type == "cpu":
            self.tell(phase="Timing a few steps to find the quickest way to compute")
            p = model.preprocessing
            key = f"{config.model.name} {config.model.stem} {p.size} px x{p.channels} {torch.__version__} {config.train.threads}"
            layout, how["tried"] = choose(model, p.size, p.channels, config.train.threads,
                                          self.root / "speed.json", key)
            how |= asdict(layout)
        return how


def describe(model) -> dict:
    """What is needed to build this classifier again, without its weights."""
    return {"preprocessing": asdict(model.preprocessing), "task": model.task, "class_names": list(model.class_names)}


def _copy(state) -> tuple[dict, dict, dict]:
    weights, moments = state.tensors()
    return {k: v.detach().to("cpu", copy=True) for k, v in weights.items()}, \
        {k: v.detach().to("cpu", copy=True) for k, v in moments.items()}, state.meta()


def _in_words(error: Exception) -> str:
    text = str(error)
    if "out of memory" in text.lower() or isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    return f"Something unforeseen happened: {type(error).__name__}: {text[:200]}. The file log.txt of the run has the details."


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
    except OSError:
        pass
    train_run(store.get(options.run), store.root)


if __name__ == "__main__":
    main()
