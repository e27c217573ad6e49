"""One run being trained in this process, from where its last checkpoint stands to the end, a stop, or an error in words.

Who starts such a process: `core.worker.queue_worker` for runs that wait in the queue, `core.worker.torchrun` for several processes that torchrun
started, of which only rank 0 writes.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import LightboxError
from core.files import write_json
from core.runs.device import free_memory, usage
from core.runs.store import Progress, Run

if TYPE_CHECKING:
    from core.trainers.distributed import Group

STOP_PATIENCE = 3.0      # seconds that a step may still take after Stop; then the step is given up


class Stopped(Exception):
    """Stop was asked for; raised between two steps, with the TrainState to save where there is one."""


class Job:
    """Stop is watched by a thread. The loop notices between two steps; where a step takes longer than STOP_PATIENCE, the
    thread saves the state as it was after the last step and ends the process, so that a stop never waits for a slow one.

    Args:
        run: its folder; or, on a rank other than 0, an object with its config that says nothing (`core.worker.torchrun.Elsewhere`)
        root: of the run store
        group: of the processes that train together; None for this one alone
        device: to train on; "" takes the run's
    """

    def __init__(self, run: Run, root: Path, group: Group | None = None, device: str = ""):
        self.run, self.root, self.group, self.device_name = run, root, group, device or run.device
        self.alone, self.writes = group is None, group is None or group.rank == 0
        self.stop = threading.Event()
        self.ending = threading.Lock()            # whoever holds it writes the end: the loop or the watcher
        self.spare = None                         # (weights, moments, meta) after the last step, kept where steps are slow
        self.meta: dict = {}
        self.model, self.how, self.free = None, {}, free_memory()
        self.outcome = ""                         # the state that it ended in
        self.beat = Progress(pid=os.getpid(), epochs=run.config.train.epochs)
        if self.writes:
            threading.Thread(target=self._watch, daemon=True).start()

    def carry_out(self) -> None:
        """Train, and write the end in words, whatever happens."""
        try:
            self.train()
        except Stopped as stopped:
            self.end("stopped", "Stop was pressed.", *stopped.args)
        except LightboxError as error:
            if error.code != "run.gone":
                traceback.print_exc()
                self.end("failed", str(error))
        except Exception as error:                # a bug or the machine: the trace is in log.txt, the reason in words
            if self.writes and not self.run.folder.exists():
                return                            # deleted under us: there is nobody to tell
            traceback.print_exc()
            self.end(*self._in_words(error))

    def train(self) -> None:
        run, config = self.run, self.run.config
        self.tell(phase="Opening the images")
        from core.datasets import open_dataset
        with self._rank_0_first():
            data = open_dataset(config.data, progress=self._opening)
        self._same_data_as_before(data)

        self.tell(phase="Building the network")
        import torch

        from core.runs import checkpoints
        from core.runs.classifiers import build_for_run
        from core.trainers.batches import Split
        from core.trainers.classifier import TrainState, train
        from core.trainers.compute import exactness, prepare
        from core.trainers.distributed import Group
        from core.trainers.embedding import embedded, may_embed
        from core.trainers.validation import strip, why_it_ended

        group = self.group = self.group or Group()
        model = self.model = build_for_run(run, data)
        device = torch.device(self.device_name)
        splits = Split.of(data, "train"), Split.of(data, "val")
        saved, said = group.same(checkpoints.load_latest(run.checkpoints) if self.writes else None)
        how = self.how = saved.meta["how"] if saved else group.same(self._choose_how(model, device) if self.writes else None)
        prepare(device, how["threads"], how["precision"])
        state = TrainState.fresh(model.to(device), config)
        if saved:
            state.load(saved.weights, saved.resume, saved.meta["state"])
        self.meta = {"how": how, "classifier": describe(model), "dataset": data.name, "run": run.id,
                     "record": saved.meta["record"] if saved else None}
        if saved and saved.meta["record"] and saved.meta["record"]["epoch"] not in {r["epoch"] for r in run.records("epoch")}:
            self.note(saved.meta["record"])

        if may_embed(model, config):
            self.tell(phase="Computing the features of the images once")
            with self._rank_0_first():
                splits = embedded(model, *splits, config, self.root / "features", self._opening, precision=how["precision"],
                                  channels_last=how["channels_last"])
            said = [*said, splits[0].note]
        compiled, compiling = self._compiled(model, splits[0], state)
        exact, about = exactness(device, how["precision"])
        about += group.notes(model)
        shown = strip(splits[1].labels)
        self.note({"kind": "start", "epoch": state.epoch, "step": state.step, "at": time.time(), "device": run.device,
                   "processes": group.size, "how": how, "parameters": sum(p.numel() for p in model.parameters()),
                   "n_train": len(splits[0]), "n_val": len(splits[1]), "strip_rows": splits[1].indices[shown].tolist(),
                   "strip_labels": splits[1].labels[shown].tolist(), "exact": exact,
                   "notes": [note for note in (*model.notes, *said, *about, compiling) if note]})
        if not group.same(run.change("running", only_from={"starting"})):
            raise Stopped                         # stopped while it started; nothing was done that a checkpoint could keep

        loop = train(state, *splits, config, precision=how["precision"], channels_last=how["channels_last"],
                     compiled=compiled, group=group)
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
                if self.writes:
                    checkpoints.prune(run.checkpoints, state.best["epoch"])
            elif record["kind"] == "step":
                self.note({**record, **usage(device), "at": time.time()})
            if slow and self.writes:
                self.spare = _copy(state)
            self._beat(record)
            if group.any(self.stop.is_set()):
                loop.close()
                raise Stopped(state)
        if self.writes:
            self.tell(phase="Predicting the validation images")
            from core.evaluation.predictions import predict_split
            predict_split(run, "val", data=data, progress=self._opening, device=self.device_name)
        why = why_it_ended(state.epoch, state.best, config.train)
        self.note({"kind": "end", "epoch": state.epoch, "best": state.best, "seconds": state.seconds,
                   "stopped_early": state.epoch < config.train.epochs, "why": why, "at": time.time()})
        self.end("finished", why)

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
        self.outcome = status
        if state is not None:
            self._save(state)
        if self.group and status != "finished":
            self.group.explain(reason)
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
        if self.writes and state.is_sound():
            self._write(*state.tensors(), state.meta())

    def _write(self, weights: dict, moments: dict, meta: dict) -> None:
        from core.runs import checkpoints
        checkpoints.save(self.run.checkpoints, meta["epoch"], meta["step"], weights, moments,
                         {**self.meta, "state": meta, "best": meta["best"]})

    def _watch(self) -> None:
        """Notice a stop within a quarter of a second; end the process where the loop does not."""
        code = 0 if self.alone else 1             # of several, torchrun ends the others when this one ends badly
        while True:
            time.sleep(0.25)
            try:
                if self.run.status().state == "stopping":
                    break
            except LightboxError:                 # the folder was deleted under us: there is nothing left to do
                os._exit(code)
        self.stop.set()
        time.sleep(STOP_PATIENCE)
        if self.ending.acquire(blocking=False):
            try:
                if self.spare:
                    self._write(*self.spare)
            finally:
                self.run.change("stopped", "Stop was pressed in the middle of a slow step; that step is done again after Resume.")
                os._exit(code)

    def _same_data_as_before(self, data) -> None:
        """Write down what the data are; refuse to go on with others than the run began with, or than other machines have."""
        facts = {"dataset": data.name, "title": data.title, "task": data.task, "target": data.target,
                 "class_names": list(data.class_names), "size": data.size, "resize": data.resize, "channels": data.channels,
                 "fingerprint": data.fingerprint, "split_hash": data.split_hash, "split_note": data.split_note,
                 "n": {split: len(data.indices(split)) for split in ("train", "val", "test")}}
        if self.group and self.group.same(data.split_hash) != data.split_hash:
            raise LightboxError("run.data_differ", "Another machine of this training has other images, or splits them otherwise.",
                                "Give all machines the same files.")
        before = self.run.data()
        if before and before["split_hash"] != facts["split_hash"]:
            raise LightboxError("run.data_changed", "The images have changed since this run began, so it cannot go on as it was.",
                                "Put the old images back, or start a new run on the new ones.")
        if self.writes:
            write_json(self.run.folder / "data.json", facts)

    # How it computes

    def _choose_how(self, model, device) -> dict:
        """Threads, layout and precision of this run; kept in its checkpoints so that a resume computes the same way."""
        from core.trainers.probe import way_to_compute
        return way_to_compute(model, self.run.config, device, self.root, _fair_share(self.group.size),
                              lambda phase: self.tell(phase=phase))

    def _compiled(self, model, split, state) -> tuple[bool, str]:
        """Whether the step is compiled, and a sentence about it."""
        from core.trainers.compute import try_compiling
        config = self.run.config.train
        if split.embedded or self.group.size > 1:
            return False, ""
        steps = (config.epochs - state.epoch) * len(split) // config.batch_size
        return try_compiling(model, config.batch_size, config.compile, steps, self.how["precision"], self.how["channels_last"])

    def _rank_0_first(self):
        import contextlib
        return self.group.rank_0_first() if self.group else contextlib.nullcontext()

    # When it fails

    def _in_words(self, error: Exception) -> tuple[str, str]:
        """The state that an error leaves the run in, and the reason in words."""
        from core.trainers.memory import is_out_of_memory
        if is_out_of_memory(error):
            traceback.clear_frames(error.__traceback__)      # what the failed step held
            return "failed", self._out_of_memory()
        if self.group and self.group.size > 1 and (other := self.group.explanation()):
            return "interrupted", f"Another of the {self.group.size} processes ended: {other}"
        if self.group and self.group.size > 1 and any(word in str(error) for word in ("onnection", "gloo", "NCCL")):
            return "interrupted", (f"Another of the {self.group.size} processes ended without a word. "
                                   "Resume goes on from the last finished epoch.")
        return "failed", (f"Something unforeseen happened: {type(error).__name__}: {str(error)[:200]}. "
                          "The file log.txt of the run has the details.")

    def _out_of_memory(self) -> str:
        """The reason, with a batch size that fits where one is found; the same as a record for the page."""
        from core.trainers.memory import batch_that_fits, release
        batch, fits = self.run.config.train.batch_size, None
        if self.model is None:
            return "The machine ran out of memory before the training began. Take smaller images, or free some memory."
        release(self.model.device)
        if self.group and self.group.size > 1:
            return (f"A device ran out of memory at batches of {batch} on {self.group.size} processes. "
                    "Start a copy with smaller batches, or on more processes.")
        try:
            self.tell(phase="Out of memory: looking for a batch size that fits")
            fits = batch_that_fits(self.model, self.run.config, self.how.get("precision", "float32"),
                                   self.how.get("channels_last", False), self.free)
        except Exception:                         # the reason must be written, whatever state the device is in
            traceback.print_exc()
        self.note({"kind": "oom", "batch_size": batch, "fits": fits, "at": time.time()})
        said = f"The device ran out of memory at batches of {batch}."
        if fits is None:
            return f"{said} Start a copy with smaller images or a smaller network."
        return f"{said} Batches of {fits} {'fit' if self.model.device.type == 'cuda' else 'should fit'}: start a copy with that."


def describe(model) -> dict:
    """What is needed to build this classifier again, without its weights."""
    return {"preprocessing": asdict(model.preprocessing), "task": model.task, "class_names": list(model.class_names)}


def _fair_share(processes: int) -> int:
    """Threads of one of several processes on this machine; 0 leaves the choice to the probe."""
    if processes == 1:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", processes)))


def _copy(state) -> tuple[dict, dict, dict]:
    weights, moments = state.tensors()
    return {k: v.detach().to("cpu", copy=True) for k, v in weights.items()}, \
        {k: v.detach().to("cpu", copy=True) for k, v in moments.items()}, state.meta()
