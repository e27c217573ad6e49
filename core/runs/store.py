"""The run store. A run is a folder, and the folder is the truth.

    runs/<id>/config.json     the whole RunConfig, versions, device: written once; only its epochs may grow
              notes.json      what people wrote about the run: a text and tags; may change at any time
              data.json       what the data were when it first started: classes, counts, hash of the split
              status.json     state and reason; every change goes through TRANSITIONS
              progress.json   heartbeat: epoch, step, images per second, time left; may be lost without harm
              metrics.jsonl   one record a line
              checkpoints/    see core/runs/checkpoints.py
              predictions.npz validation, and test once it was opened
              opened.jsonl    a line for each time that the test split was opened
              run.lock        held by the trainer: the proof of life
              log.txt         the trainer's output

No torch here: pages list and follow runs without it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from core import __version__
from core.config import RunConfig, home
from core.errors import LightboxError
from core.files import WINDOWS, Lock, disk_errors, read_json, write_json
from core.runs import shapes
from core.runs.device import machine, resolve
from core.runs.members import EnsembleSpec
from core.runs.names import default_name
from core.runs.queue import Queue
from core.runs.run import Run, clean_tags
from core.runs.states import LIVE, RESUMABLE, State, Status
from core.runs.workers import start_worker, worker_lock

NAME_LENGTH = 300            # characters that a person may call a run by


class RunStore:
    """All runs of a LIGHTBOX_HOME.

    >>> import tempfile
    >>> store = RunStore(Path(tempfile.mkdtemp()))
    >>> run = store.create(RunConfig(name="first"), tags=["lesson 1"])
    >>> run.name, run.status().state, run.notes().tags
    ('first', <State.QUEUED: 'queued'>, ('lesson 1',))
    >>> run.stop()
    >>> [run.status().state.value for run in store.list()]
    ['stopped']
    """

    def __init__(self, root: Path | None = None):
        self.root = Path(root or home())
        self.queue = Queue(self.root / "queue.db")

    def create(self, config: RunConfig, tags: Iterable[str] = ()) -> Run:
        """Write a new run and put it into the queue of its device.

        Does not start anything: see `start_worker`.

        Args:
            tags: what it can be searched by, see `Run.annotate`
        """
        run, _ = self._write(config, tags, State.QUEUED)
        self.queue.put(run.id, run.device)
        return run

    def create_here(self, config: RunConfig) -> tuple[Run, Lock]:
        """Write a new run that this process trains itself: it never waits in the queue, and its lock is held from the moment
        that it can be seen."""
        return self._write(config, (), State.STARTING)

    def create_ensemble(self, config: RunConfig, spec: EnsembleSpec) -> tuple[Run, Lock]:
        """Write the run of an ensemble, which is made by whoever holds its lock and is never trained."""
        return self._write(config, (), State.STARTING, spec)

    def resume_here(self, run: Run) -> Lock:
        """Like `resume`, but this process goes on with the run itself; returns its lock, held.

        Raises LightboxError "run.alive" while it trains elsewhere, "run.transition" for a finished one.
        """
        run.mark_interrupted()
        lock = run.lock
        if not lock.acquire():
            raise LightboxError("run.alive", "This run is training.", "Stop it first.")
        try:
            self.queue.remove(run.id)
            run.change(State.QUEUED, only_from=RESUMABLE)
            run.change(State.STARTING)
        except BaseException:
            lock.release()
            raise
        return lock

    def _write(self, config: RunConfig, tags: Iterable[str], state: State,
               spec: EnsembleSpec | None = None) -> tuple[Run, Lock]:
        """A new run's folder; one that is not queued comes with its lock held."""
        config.check()
        check_name(config.name)
        tags = clean_tags(tags)
        device = resolve(config.train.device, machine()["devices"])
        folder, half = self._new_folder()
        write_json(half / "config.json", {
            "config": asdict(config), "device": device, "seed": config.train.seed, "created": time.time(),
            "versions": versions(), "name": default_name(config)} | ({"ensemble": spec.as_dict()} if spec else {}))
        write_json(half / "status.json", asdict(Status(state, "", time.time())))
        if tags:
            write_json(half / "notes.json", {"text": "", "tags": tags})
        # The lock is held before anybody sees the run: the kernel locks the file, not its name. Only Windows renames no folder
        # in which a file is open.
        lock = Lock((folder if WINDOWS else half) / "run.lock")
        if WINDOWS:
            half.rename(folder)
        if state != State.QUEUED:
            lock.acquire()
        if not WINDOWS:
            half.rename(folder)
        return Run(folder, self.queue), lock

    def _new_folder(self) -> tuple[Path, Path]:
        """(where a new run will be, where it is made).

        Made under another name and moved, so that nobody ever sees half a run.

        A grid makes a hundred runs in a second, and then two of them may well draw the same id: the folder
        decides.
        """
        while True:
            run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
            folder, half = self.root / "runs" / run_id, self.root / "runs" / f".{run_id}"
            with disk_errors(half):
                folder.parent.mkdir(parents=True, exist_ok=True)
                try:
                    half.mkdir()
                except FileExistsError:
                    continue
                # from here on nobody else can take it: its other name is ours
                if not folder.exists():
                    (half / "checkpoints").mkdir()
                    return folder, half
                half.rmdir()

    def get(self, run_id: str) -> Run:
        """Return the run of an id. Raises LightboxError "run.gone"."""
        run = Run(self.root / "runs" / run_id, self.queue)
        if not run_id or "/" in run_id or run_id.startswith(".") or not (run.folder / "config.json").exists():
            raise LightboxError("run.gone", f"There is no run {run_id}.",
                                "It was deleted, or the address is wrong. Choose another one.")
        return run

    def list(self) -> list[Run]:
        """Return all runs, newest first. A folder that cannot be read is left out: `damaged` says why."""
        readable = []
        for run in self.folders():
            with contextlib.suppress(LightboxError):
                readable.append((run.check().created, run.id, run))
        return [run for *_, run in sorted(readable, key=lambda entry: entry[:2], reverse=True)]

    def damaged(self) -> dict[str, LightboxError]:
        """Return id -> what is wrong, for each folder that `list` leaves out."""
        wrong = {}
        for run in self.folders():
            try:
                run.check()
            except LightboxError as error:
                wrong[run.id] = error
        return wrong

    def folders(self) -> list[Run]:
        """Return every folder of a run, whether or not it can be read, in no order."""
        try:
            return [Run(self.root / "runs" / entry.name, self.queue) for entry in os.scandir(self.root / "runs")
                    if entry.name[0] != "." and entry.is_dir()]
        except OSError:                          # none yet, or no folder
            return []

    def resume(self, run: Run) -> None:
        """Put a stopped, failed or interrupted run back into the queue.

        It goes on where its last checkpoint is.

        Two tabs may press at once: the second finds it queued already and changes nothing. Raises LightboxError "run.ensemble"
        for an ensemble, which is made in one go and never trained.
        """
        require_trained(run)
        run.mark_interrupted()
        if run.change(State.QUEUED, only_from=RESUMABLE):
            self.queue.put(run.id, run.device)

    def extend(self, run: Run, epochs: int) -> None:
        """Give a run that has ended more epochs and put it back into the queue.

        It goes on from its last checkpoint as if it had been made with so many epochs, so the schedule of the learning rate is
        that of the new length from there on.

        Raises LightboxError "run.epochs" where it has as many, "run.early" where early stopping ended it, "run.alive" while it
        waits or trains.
        """
        require_trained(run)
        config = run.config
        done = max((record["epoch"] for record in run.records("epoch")), default=0)
        if run.status().state == State.FINISHED and done < config.train.epochs:
            raise LightboxError("run.early", f"Early stopping ended this run after {done} of {config.train.epochs} epochs.",
                                "Duplicate it with a longer patience, or with early stopping off.")
        if epochs <= config.train.epochs:
            raise LightboxError("run.epochs", f"This run has {config.train.epochs} epochs.", "Give more than that.")
        longer = config.with_(**{"train.epochs": epochs})
        longer.check()
        run.mark_interrupted()
        about = read_json(run.folder / "config.json", shapes.CONFIG)
        if not run.change(State.QUEUED, only_from=RESUMABLE | {State.FINISHED}):
            raise LightboxError("run.alive", "This run is waiting or training.", "Stop it first.")
        write_json(run.folder / "config.json", about | {"config": json.loads(longer.to_json())})
        run.write_progress(replace(run.progress(), epochs=epochs))
        self.queue.put(run.id, run.device)

    def stop_waiting(self) -> int:
        """Take all runs out of the queue; each is stopped and can be resumed.

        Returns how many. What trains goes on.
        """
        waiting = self.queue.waiting()
        for run_id, _ in waiting:
            with contextlib.suppress(LightboxError):         # deleted meanwhile
                self.get(run_id).stop()
            self.queue.remove(run_id)
        return len(waiting)

    def delete(self, run: Run) -> None:
        """Remove a run for good. Raises LightboxError "run.alive" while it trains."""
        self.queue.remove(run.id)
        if run.is_alive():
            raise LightboxError("run.alive", "This run is training.", "Stop it first.")
        self.delete_folder(run)

    def delete_folder(self, run: Run) -> None:
        """Remove the folder of a run, such as one that could not be made."""
        shutil.rmtree(run.folder, ignore_errors=True)

    def recover(self) -> None:
        """Repair what a killed process left behind; cheap, called by whoever looks.

        Runs whose trainer died become interrupted, queued runs that the queue lost get back in line, and a
        worker is started for a device that has waiting runs and none.
        """
        waiting = dict(self.queue.waiting())
        for run in self.folders():
            try:
                state = run.written_state()
                if state in LIVE:
                    run.mark_interrupted()
                elif state == State.QUEUED and run.id not in waiting and not Lock.is_held(worker_lock(self.root, run.device)):
                    self.queue.put(run.id, run.device)
                    waiting[run.id] = run.device
            except (LightboxError, OSError):
                continue                         # damaged, or deleted just now
        for device in set(waiting.values()):
            start_worker(self.root, device)


def check_name(name: str) -> None:
    """Raise LightboxError "run.name" for a name that no table can show.

    >>> check_name("ResNet-18, seed 3")
    """
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise LightboxError("run.name", f"The name of a run is {len(name):,} characters long." if len(name) > NAME_LENGTH else
                            "The name of a run is more than one line, or has characters that cannot be seen.",
                            f"Give one line of up to {NAME_LENGTH} characters.")


def require_trained(run: Run, or_soup: bool = False) -> None:
    """Raise LightboxError "run.ensemble" for several networks that predict together, or whose weights were averaged unless a soup
    will do, of which another run can start."""
    if run.ensemble and not (or_soup and run.ensemble.is_soup):
        raise LightboxError("run.ensemble", f"{run.name} is an ensemble: it is not trained, and has no weights of its own.",
                            "Train its members longer and make it again, or start from one of its members.")


def versions() -> dict[str, str]:
    """Return versions of what decides a result."""
    known = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "numpy", "opencv-python-headless"):
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            known[package] = "none"
    return known | {"lightbox": __version__}
