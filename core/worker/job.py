"""One run being trained in this process, from where its last checkpoint stands to the end, a stop, or an error in words.

Who starts such a process: `core.worker.queue_worker` for runs that wait in the queue, `core.worker.torchrun`
for several processes that torchrun started, of which only rank 0 writes. What needs torch is imported inside
functions, so that a run that cannot be opened says so at once.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import Split
from core.errors import LightboxError
from core.files import write_json
from core.runs.device import free_memory, usable_cores, usage
from core.runs.run import Progress, Run
from core.runs.states import State
from core.worker.failures import explain_failure

if TYPE_CHECKING:
    from core.datasets import Dataset
    from core.trainers.batches import SplitData
    from core.trainers.classifier import EpochRecord, TrainState
    from core.trainers.distributed import Group
    from core.trainers.records import Record

STOP_PATIENCE = 3.0      # seconds that a step may still take after Stop; then the step is given up
PHASES = {"train": "Training", "validate": "Validating"}


class Stopped(Exception):
    """A stop was requested; raised between two steps, with the TrainState to save where there is one."""


class Job:
    """Train one run.

    A thread watches for Stop. The loop notices it between two steps; where a step takes longer than
    STOP_PATIENCE, the thread saves the state as it was after the last step and ends the process, so that a
    stop never waits for a slow one.

    Args:
        run: its folder; or, on a rank other than 0, an object with its config that writes nothing
            (`torchrun.NullRun`)
        root: of the run store
        group: of the processes that train together; None for this one alone
        device: to train on; "" takes the run's
    """

    def __init__(self, run: Run, root: Path, group: Group | None = None, device: str = ""):
        self.run, self.root, self.group, self.device_name = run, root, group, device or run.device
        self.alone, self.writes = group is None, group is None or group.rank == 0
        self.stop = threading.Event()
        self.ending = threading.Lock()            # whoever holds it writes the end: the loop or the watcher
        # (weights, moments, meta) after the last step, kept where steps are slow
        self.spare = None
        self.meta: dict = {}
        self.model, self.device, self.how, self.free = None, None, {}, free_memory()
        self.outcome = ""                         # the state that it ended in
        self.progress = Progress(pid=os.getpid(), epochs=run.config.train.epochs)
        if self.writes:
            threading.Thread(target=self._watch, daemon=True).start()

    def run_to_end(self) -> None:
        """Train, and write the end in words, whatever happens."""
        try:
            self.train()
        except Stopped as stopped:
            self.end(State.STOPPED, "Stop was pressed.", *stopped.args)
        except LightboxError as error:
            if error.code != "run.gone" or self.writes and self.run.folder.exists():
                traceback.print_exc()
                self.end(State.FAILED, str(error), code=error.code)
        except Exception as error:                # a bug or the machine: the trace is in log.txt, the reason in words
            if self.writes and not self.run.folder.exists():
                return                            # deleted while it trained: there is no run left to write to
            traceback.print_exc()
            state, reason, code = explain_failure(self, error)
            self.end(state, reason, code=code)

    def train(self) -> None:
        """Open the images, build the network, train it, predict the validation images."""
        data = self._open_data()
        state, notes = self._build(data)
        splits, more = self._splits(data)
        compiled, compiling = self._compile(splits[0], state)
        self._report_start(state, splits, [*self.model.notes, *notes, *more, compiling])
        if not self.group.same(self.run.change(State.RUNNING, only_from={State.STARTING})):
            # stopped while it started; nothing was done that a checkpoint could keep
            raise Stopped
        self._loop(state, splits, compiled)
        self._finish(state, data)

    # Before the first step

    def _open_data(self) -> Dataset:
        self.write_progress(phase="Opening the images")
        from core.datasets import open_dataset
        from core.datasets.external import require_training
        with self._rank_0_first():
            data = open_dataset(self.run.config.data, progress=self._report_opening)
        require_training(data)
        self._check_data(data)
        return data

    def _build(self, data: Dataset) -> tuple[TrainState, list[str]]:
        """The state to train from, and a sentence for each checkpoint that was damaged."""
        self.write_progress(phase="Building the network")
        import torch

        from core.runs import checkpoints
        from core.runs.initial_weights import build_for_run
        from core.trainers.compute import prepare
        from core.trainers.distributed import Group
        from core.trainers.state import TrainState
        run, group = self.run, self.group or Group()
        self.group, self.device = group, torch.device(self.device_name)
        saved, notes = group.same(checkpoints.load_latest(run.checkpoints) if self.writes else None)
        self.model = build_for_run(run, data, saved)
        if saved:
            self.how = saved.meta["how"]
        else:
            self.how = group.same(self._choose_how() if self.writes else None)
        prepare(self.device, self.how["threads"], self.how["precision"])
        state = TrainState.fresh(self.model.to(self.device), run.config)
        if saved:
            state.load(saved.weights, saved.resume, saved.meta["state"])
        last = saved.meta["record"] if saved else None
        self.meta = {"how": self.how, "classifier": self.model.describe(), "dataset": data.name, "run": run.id,
                     "record": last, "snapshots": list(saved.meta.get("snapshots", [])) if saved else []}
        if last and last["epoch"] not in {record["epoch"] for record in run.records("epoch")}:
            self.log(last)                        # it was saved, and then the trainer was killed
        return state, notes

    def _splits(self, data: Dataset) -> tuple[tuple[SplitData, SplitData], list[str]]:
        """Training and validation images, or their features where the backbone is frozen; and a sentence about that."""
        from core.trainers.batches import SplitData
        from core.trainers.embedding import embedded, may_embed
        splits = SplitData.of(data, Split.TRAIN), SplitData.of(data, Split.VAL)
        if not may_embed(self.model, self.run.config):
            return splits, []
        self.write_progress(phase="Computing the features of the images once")
        with self._rank_0_first():
            splits = embedded(self.model, *splits, self.run.config, self.root / "features", self._report_opening,
                              precision=self.how["precision"], channels_last=self.how["channels_last"])
        return splits, [splits[0].note]

    def _report_start(self, state: TrainState, splits: tuple[SplitData, SplitData], notes: list[str]) -> None:
        from core.trainers.compute import exactness
        from core.trainers.records import StartRecord
        from core.trainers.validation import tracked_images
        train, val = splits
        tracked = tracked_images(val.labels)
        exact, about = exactness(self.device, self.how["precision"])
        self.log(StartRecord(
            epoch=state.epoch, step=state.step, at=time.time(), device=self.run.device, processes=self.group.size, how=self.how,
            parameters=sum(p.numel() for p in self.model.parameters()), n_train=len(train), n_val=len(val),
            tracked_rows=val.indices[tracked].tolist(), tracked_labels=val.labels[tracked].tolist(), exact=exact,
            notes=[note for note in (*notes, *about, *self.group.notes(self.model)) if note]).to_json())

    # The training

    def _loop(self, state: TrainState, splits: tuple[SplitData, SplitData], compiled: bool) -> None:
        from core.trainers.classifier import EpochRecord, StepRecord, train
        loop = train(state, *splits, self.run.config, precision=self.how["precision"],
                     channels_last=self.how["channels_last"], compiled=compiled, group=self.group)
        last, slow = time.perf_counter(), False
        for record in loop:
            now = time.perf_counter()
            slow = slow or now - last > STOP_PATIENCE / 3
            last = now
            if isinstance(record, EpochRecord):
                self._end_epoch(state, record)
            elif isinstance(record, StepRecord):
                self.log({**record.to_json(), **usage(self.device), "at": time.time()})
            if slow and self.writes:
                self.spare = _copy(state)
            self._heartbeat(record)
            if self.group.any(self.stop.is_set()):
                loop.close()
                raise Stopped(state)

    def _end_epoch(self, state: TrainState, record: EpochRecord) -> None:
        """First the checkpoint, which carries the record, then the line: an epoch that was reported is never lost, and one that
        was saved but not reported is reported on the next start."""
        from core.runs import checkpoints
        self.meta["record"] = {**record.to_json(), "at": time.time()}
        if record.epoch in self.run.config.train.snapshot_epochs:
            self.meta["snapshots"] = [*self.meta["snapshots"], record.epoch]
        self._save(state)
        self.log(self.meta["record"])
        if self.writes:
            checkpoints.prune(self.run.checkpoints, state.best["epoch"], self.meta["snapshots"])

    def _finish(self, state: TrainState, data: Dataset) -> None:
        from core.trainers.validation import why_it_ended
        if self.writes:
            self.write_progress(phase="Predicting the validation images")
            from core.evaluation.predictions import predict_split
            predict_split(self.run, Split.VAL, data=data, progress=self._report_opening, device=self.device_name)
        config = self.run.config.train
        why = why_it_ended(state.epoch, state.best, config)
        self.log({"kind": "end", "epoch": state.epoch, "best": state.best, "seconds": state.seconds,
                  "stopped_early": state.epoch < config.epochs, "why": why, "at": time.time()})
        self.end(State.FINISHED, why)

    # What is written into the run's folder

    def log(self, record: dict) -> None:
        """Append a record to metrics.jsonl."""
        self.run.append(record)

    def write_progress(self, **changes) -> None:
        """Write progress.json: a sign of life with what changed since the last one."""
        self.progress = replace(self.progress, at=time.time(), **changes)
        self.run.write_progress(self.progress)

    def end(self, state: State, reason: str, training: TrainState | None = None, code: str = "") -> None:
        """Save where the training stands, if that is given, and write the run's last state.

        Only one thread gets to do this.
        """
        if not self.ending.acquire(blocking=False):
            threading.Event().wait()              # the watcher is ending this process
        self.outcome = state
        if training is not None:
            self._save(training)
        if self.group and state != State.FINISHED:
            self.group.explain(reason)
        self.run.change(state, reason, code=code)

    def _heartbeat(self, record: Record) -> None:
        """Write progress.json, at most twice a second."""
        from core.trainers.records import EpochRecord, Tick
        if isinstance(record, Tick) and time.time() - self.progress.at < 0.5:
            return
        if isinstance(record, Tick):
            changes = {"phase": PHASES[record.phase], "epoch": record.epoch, "step": record.step, "steps": record.steps}
        else:
            changes = {"phase": PHASES["train"], "epoch": record.epoch}
            changes |= {key: getattr(record, key) for key in ("images_per_second", "seconds_left")
                        if getattr(record, key) is not None}
            if not isinstance(record, EpochRecord):
                changes |= {"step": record.step, "steps": record.steps}
        self.write_progress(**changes)

    def _report_opening(self, phase: str, done: int, total: int) -> None:
        """Write the progress of something that is no training, and stop where that was requested."""
        if self.stop.is_set():
            raise Stopped
        if time.time() - self.progress.at > 0.5:
            self.write_progress(phase=phase, step=done, steps=total)

    def _save(self, state) -> None:
        if self.writes and state.is_sound():
            self._write(*state.tensors(), state.meta())

    def _write(self, weights: dict, moments: dict, meta: dict) -> None:
        from core.runs import checkpoints
        checkpoints.save(self.run.checkpoints, meta["epoch"], meta["step"], weights, moments,
                         {**self.meta, "state": meta, "best": meta["best"]})

    def _watch(self) -> None:
        """Notice a stop within a quarter of a second; end the process where the loop does not."""
        # of several, torchrun ends the others when this one ends badly
        code = 0 if self.alone else 1
        while True:
            time.sleep(0.25)
            try:
                if self.run.status().state == State.STOPPING:
                    break
            except LightboxError:                 # the folder was deleted: there is nothing left to do
                os._exit(code)
        self.stop.set()
        time.sleep(STOP_PATIENCE)
        if self.ending.acquire(blocking=False):
            try:
                if self.spare:
                    self._write(*self.spare)
            finally:
                self.run.change(State.STOPPED, "Stop was pressed during a slow step, which is repeated after Resume.")
                os._exit(code)

    def _check_data(self, data: Dataset) -> None:
        """Write down what the data are; refuse to go on with others than the run began with, or than other machines have."""
        facts = data.facts()
        if self.group and self.group.same(data.split_hash) != data.split_hash:
            raise LightboxError("run.data_differ", "Another machine of this training has other images, or another split of them.",
                                "Give all machines the same files.")
        before = self.run.data()
        if before and before["split_hash"] != facts["split_hash"]:
            raise LightboxError("run.data_changed", "The images have changed since this run began, so it cannot continue.",
                                "Put the old images back, or start a new run on the new ones.")
        if self.writes:
            write_json(self.run.folder / "data.json", facts)

    # How it computes

    def _choose_how(self) -> dict:
        """Threads, layout and precision of this run; kept in its checkpoints so that a resume computes the same way."""
        from core.trainers.probe import way_to_compute
        return way_to_compute(self.model, self.run.config, self.device, self.root, _fair_share(self.group.size),
                              lambda phase: self.write_progress(phase=phase))

    def _compile(self, split: SplitData, state: TrainState) -> tuple[bool, str]:
        """Whether the step is compiled, and a sentence about it."""
        from core.trainers.compute import try_compiling
        config = self.run.config.train
        if split.embedded or self.group.size > 1:
            return False, ""
        steps = (config.epochs - state.epoch) * len(split) // config.batch_size
        return try_compiling(self.model, config.batch_size, config.compile, steps, self.how["precision"],
                             self.how["channels_last"])

    def _rank_0_first(self) -> AbstractContextManager:
        return self.group.rank_0_first() if self.group else contextlib.nullcontext()


def _fair_share(processes: int) -> int:
    """Threads of one of several processes on this machine; 0 leaves the choice to the probe."""
    if processes == 1:
        return 0
    return max(1, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", processes)))


def _copy(state) -> tuple[dict, dict, dict]:
    weights, moments = state.tensors()
    return {k: v.detach().to("cpu", copy=True) for k, v in weights.items()}, \
        {k: v.detach().to("cpu", copy=True) for k, v in moments.items()}, state.meta()
