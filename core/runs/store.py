"""The run store. A run is a folder, and the folder is the truth.

    runs/<id>/config.json     the whole RunConfig, versions, device: written once, never changed
              notes.json      what people wrote about the run: a text and tags; may change at any time
              data.json       what the data were when it first started: classes, counts, hash of the split
              status.json     state and reason; every change goes through TRANSITIONS
              progress.json   heartbeat: epoch, step, images per second, time left; may be lost without harm
              metrics.jsonl   one record a line
              checkpoints/    see core/runs/checkpoints.py
              predictions.npz validation, and test once it was opened
              opened.jsonl    a line for each time that the test split was opened
              run.lock        held by the trainer: the proof of life
              log.txt         what the trainer said

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
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.config import RunConfig, home
from core.errors import LightboxError
from core.files import WINDOWS, Lock, append_line, disk_errors, read_lines, write_json
from core.runs.device import machine, resolve
from core.runs.queue import Queue

# From each state, the states that may follow. What is not here cannot happen.
TRANSITIONS = {
    "queued": {"starting", "stopped", "failed"},
    "starting": {"running", "stopping", "stopped", "failed", "interrupted"},
    "running": {"stopping", "stopped", "finished", "failed", "interrupted"},
    "stopping": {"stopped", "finished", "failed", "interrupted"},
    "stopped": {"queued"},
    "interrupted": {"queued"},
    "failed": {"queued"},
    "finished": set(),
}
LIVE = {"starting", "running", "stopping"}            # a trainer must be alive
RESUMABLE = {"stopped", "interrupted", "failed"}

INTERRUPTED = ("The trainer ended without a word: it was killed, or the machine was switched off or "
               "ran out of memory or disk space. "
               "Resume goes on from the last finished epoch.")


@dataclass(frozen=True)
class Status:
    """state: a key of TRANSITIONS; reason: in words, may be empty; since: seconds since 1970."""
    state: str
    reason: str = ""
    since: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What the trainer last said of itself. `beat` counts up with every sign of life; times are in seconds."""
    beat: int = 0
    at: float = 0.0
    phase: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    images_per_second: float | None = None
    seconds_left: float | None = None
    pid: int = 0


TEXT_LENGTH, TAG_LENGTH, TAGS = 2000, 40, 10          # of a note: characters, characters of a tag, tags of a run


@dataclass(frozen=True)
class Notes:
    """What people wrote about a run. text: up to TEXT_LENGTH characters; tags: up to TAGS words or short phrases."""
    text: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """A view of a run's folder. Holds no state of its own: every call reads what is there now."""

    folder: Path
    queue: Queue = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def _about(self) -> dict:
        return self._read("config.json")

    @property
    def config(self) -> RunConfig:
        return RunConfig.from_json(json.dumps(self._about["config"]))

    @property
    def name(self) -> str:
        """What a person called it, else the network, the data and the size."""
        config = self.config
        data = config.data.dataset.rstrip("/").rsplit("/", 1)[-1]
        return config.name or f"{config.model.name} on {data}, {config.data.size} px"

    @property
    def device(self) -> str:
        return self._about["device"]

    @property
    def created(self) -> float:
        return self._about["created"]

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def lock(self) -> Lock:
        return Lock(self.folder / "run.lock")

    def is_alive(self) -> bool:
        """Whether a trainer holds the run's lock. The kernel frees it however the trainer ends."""
        return Lock.is_held(self.folder / "run.lock")

    def status(self) -> Status:
        """The state as written. A live state without a living trainer reads as interrupted."""
        status = Status(**self._read("status.json"))
        if status.state in LIVE and not self.is_alive():
            again = Status(**self._read("status.json"))     # it may have ended properly between the two looks
            return again if again.state not in LIVE else Status("interrupted", INTERRUPTED, again.since)
        return status

    def written_state(self) -> str:
        """The state in status.json, without asking whether the trainer lives."""
        return self._read("status.json")["state"]

    def change(self, state: str, reason: str = "", *, only_from: set[str] | None = None) -> bool:
        """Go to another state. False when `only_from` does not hold the present one.

        Raises LightboxError "run.transition" for a change that TRANSITIONS does not know.
        """
        self._read("status.json")                # "run.gone" before a lock is made in a folder that is no more
        with Lock(self.folder / "status.lock"):
            now = Status(**self._read("status.json")).state
            if only_from is not None and now not in only_from:
                return False
            if state not in TRANSITIONS[now]:
                raise LightboxError("run.transition", f"The run {self.id} is {now}, so it cannot become {state}.",
                                    "Look at it again: another window may have changed it.")
            write_json(self.folder / "status.json", asdict(Status(state, reason, time.time())))
            return True

    def progress(self) -> Progress:
        try:
            return Progress(**json.loads((self.folder / "progress.json").read_text()))
        except (OSError, ValueError, TypeError):
            return Progress()

    def say(self, progress: Progress) -> None:
        write_json(self.folder / "progress.json", asdict(progress), durable=False)

    def append(self, record: dict) -> None:
        append_line(self.folder / "metrics.jsonl", json.dumps(record, allow_nan=False))

    def records(self, kind: str | None = None) -> list[dict]:
        """What the trainer reported, in order, all of it or one kind: "start", "step", "epoch", "end".

        After a kill the trainer goes back to its last checkpoint and does some steps again. Each "start" record says
        where it begins, and what had been reported from there on is dropped: curves never run twice over one place.
        """
        kept: list[dict] = []
        for record in read_lines(self.folder / "metrics.jsonl"):
            if record.get("kind") == "start":
                begins = (record["epoch"], record["step"])      # epochs finished, steps done in the next one
                kept = [r for r in kept if _place(r) <= begins]
            kept.append(record)
        return [r for r in kept if kind is None or r.get("kind") == kind]

    def notes(self) -> Notes:
        """What people wrote; nothing where nobody has, or where the file cannot be read."""
        try:
            raw = self._read("notes.json")
            return Notes(str(raw["text"]), tuple(str(tag) for tag in raw["tags"]))
        except (LightboxError, OSError, KeyError, TypeError):
            return Notes()

    def annotate(self, text: str | None = None, tags: Iterable[str] | None = None) -> Notes:
        """Write down a text, tags, or both; what is None stays as it is.

        Who writes last wins. Returns what stood there before, so that the caller can say whether somebody else had written.
        Raises LightboxError "run.notes" for what is too long, "run.gone" where the run was deleted.
        """
        if text is not None and len(text) > TEXT_LENGTH:
            raise LightboxError("run.notes", f"The note has {len(text):,} characters.", f"It may have {TEXT_LENGTH:,}.")
        self._read("status.json")                # "run.gone" before a lock is made in a folder that is no more
        with Lock(self.folder / "notes.lock"):
            before = self.notes()
            write_json(self.folder / "notes.json", {"text": before.text if text is None else text,
                                                    "tags": before.tags if tags is None else clean_tags(tags)})
            return before

    def data(self) -> dict:
        """data.json, or {} before the first start."""
        try:
            return self._read("data.json")
        except LightboxError:
            return {}

    def log(self) -> str:
        try:
            return (self.folder / "log.txt").read_text(errors="replace")
        except OSError:
            return ""

    def times_test_opened(self) -> int:
        return len(read_lines(self.folder / "opened.jsonl"))

    def note_test_opened(self) -> None:
        append_line(self.folder / "opened.jsonl", json.dumps({"at": time.time()}))

    def stop(self) -> None:
        """Ask the run to stop; it does within five seconds, with a checkpoint. A waiting one just leaves the queue."""
        self.queue.remove(self.id)
        if self.change("stopped", "Stopped before it began.", only_from={"queued"}):
            return
        self.change("stopping", "Stop was pressed.", only_from={"starting", "running"})

    def _read(self, name: str) -> dict:
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            raise LightboxError("run.gone", f"There is no run {self.folder.name}.",
                                "It was deleted, or the address is wrong. Choose another one.") from None
        except ValueError:
            raise LightboxError("run.damaged", f"The file {name} of the run {self.folder.name} cannot be read.",
                                "Delete the run, or put the file back from a copy.") from None


def _place(record: dict) -> tuple[int, int]:
    """Where in the training a record stands: (epochs finished, steps done in the next)."""
    if record["kind"] == "start":
        return record["epoch"], record["step"]
    if record["kind"] == "step":
        return record["epoch"] - 1, record["step"]
    return record.get("epoch", 0), 0


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags on one line, each once, in the order given. Raises LightboxError "run.notes" for too many or a too long one."""
    tags = list(dict.fromkeys(filter(None, (" ".join(str(tag).split()) for tag in tags))))
    if len(tags) > TAGS:
        raise LightboxError("run.notes", f"There are {len(tags)} tags.", f"A run may have {TAGS}.")
    if long := [tag for tag in tags if len(tag) > TAG_LENGTH]:
        raise LightboxError("run.notes", f"The tag {long[0][:TAG_LENGTH]}... is too long.",
                            f"A tag may have {TAG_LENGTH} characters; the note beside it has more room.")
    return tags


class RunStore:
    """All runs of a LIGHTBOX_HOME."""

    def __init__(self, root: Path | None = None):
        self.root = Path(root or home())
        self.queue = Queue(self.root / "queue.db")

    def create(self, config: RunConfig, tags: Iterable[str] = ()) -> Run:
        """Write a new run and put it into the queue of its device. Does not start anything: see `start_worker`.

        Args:
            tags: what it is found by again, see `Run.annotate`
        """
        run, _ = self._write(config, tags, "queued")
        self.queue.put(run.id, run.device)
        return run

    def begin(self, config: RunConfig) -> tuple[Run, Lock]:
        """Write a new run that this process trains itself: it never waits in the queue, and its lock is held from the moment
        that it can be seen."""
        return self._write(config, (), "starting")

    def take(self, run: Run) -> Lock:
        """Like `resume`, but this process goes on with the run itself; returns its lock, held.

        Raises LightboxError "run.alive" while it trains elsewhere, "run.transition" for a finished one.
        """
        self._settle(run)
        lock = run.lock
        if not lock.acquire():
            raise LightboxError("run.alive", "This run is training.", "Stop it first.")
        try:
            self.queue.remove(run.id)
            run.change("queued", only_from=RESUMABLE)
            run.change("starting")
        except BaseException:
            lock.release()
            raise
        return lock

    def _write(self, config: RunConfig, tags: Iterable[str], state: str) -> tuple[Run, Lock]:
        """A new run's folder; one that is not queued comes with its lock held."""
        config.check()
        tags = clean_tags(tags)
        device = resolve(config.train.device, machine()["devices"])
        folder, half = self._new_folder()
        write_json(half / "config.json", {
            "config": asdict(config), "device": device, "seed": config.train.seed, "created": time.time(),
            "versions": versions()})
        write_json(half / "status.json", asdict(Status(state, "", time.time())))
        if tags:
            write_json(half / "notes.json", {"text": "", "tags": tags})
        # The lock is held before anybody sees the run: the kernel locks the file, not its name. Only Windows renames no folder
        # in which a file is open.
        lock = Lock((folder if WINDOWS else half) / "run.lock")
        if WINDOWS:
            half.rename(folder)
        if state != "queued":
            lock.acquire()
        if not WINDOWS:
            half.rename(folder)
        return Run(folder, self.queue), lock

    def _new_folder(self) -> tuple[Path, Path]:
        """(where a new run will be, where it is made). Made under another name and moved, so that nobody ever sees half a run.

        A grid makes a hundred runs in a second, and then two of them may well draw the same id: the folder decides.
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
                if not folder.exists():          # from here on nobody else can take it: its other name is ours
                    (half / "checkpoints").mkdir()
                    return folder, half
                half.rmdir()

    def get(self, run_id: str) -> Run:
        """The run of an id. Raises LightboxError "run.gone"."""
        run = Run(self.root / "runs" / run_id, self.queue)
        if not run_id or "/" in run_id or run_id.startswith(".") or not (run.folder / "config.json").exists():
            raise LightboxError("run.gone", f"There is no run {run_id}.",
                                "It was deleted, or the address is wrong. Choose another one.")
        return run

    def list(self) -> list[Run]:
        """All runs, newest first. A folder that cannot be read is left out."""
        found = []
        for run in self._folders():
            try:
                run.config, run.status()
                found.append((run.created, run.id, run))
            except (LightboxError, OSError, KeyError, TypeError):
                continue
        return [run for *_, run in sorted(found, key=lambda entry: entry[:2], reverse=True)]

    def _folders(self) -> list[Run]:
        return [Run(folder, self.queue) for folder in (self.root / "runs").glob("[!.]*")]

    def resume(self, run: Run) -> None:
        """Put a stopped, failed or interrupted run back into the queue. It goes on where its last checkpoint is.

        Two tabs may press at once: the second finds it queued already and changes nothing.
        """
        self._settle(run)
        if run.change("queued", only_from=RESUMABLE):
            self.queue.put(run.id, run.device)

    def stop_waiting(self) -> int:
        """Take all runs out of the queue; each is stopped and can be resumed. Returns how many. What trains goes on."""
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
        shutil.rmtree(run.folder, ignore_errors=True)

    def tend(self) -> None:
        """Bring the store in order; cheap, called by whoever looks.

        Runs whose trainer died become interrupted, queued runs that nobody knows of get back in line, and a worker is
        started for a device that has waiting runs and none.
        """
        waiting = dict(self.queue.waiting())
        for run in self._folders():
            try:
                state = run.written_state()
                if state in LIVE:
                    self._settle(run)
                elif state == "queued" and run.id not in waiting and not Lock.is_held(worker_lock(self.root, run.device)):
                    self.queue.put(run.id, run.device)
                    waiting[run.id] = run.device
            except (LightboxError, OSError, KeyError):
                continue                         # damaged, or deleted just now
        for device in set(waiting.values()):
            start_worker(self.root, device)

    def _settle(self, run: Run) -> None:
        if run.status().state == "interrupted":
            run.change("interrupted", INTERRUPTED, only_from=LIVE)


def worker_lock(root: Path, device: str) -> Path:
    """Held by the process that works through a device's queue."""
    (root / "workers").mkdir(parents=True, exist_ok=True)
    return root / "workers" / f"{device.replace(':', '-')}.queue.lock"


def device_lock(root: Path, device: str) -> Path:
    """Held by the one run that trains on a device."""
    (root / "workers").mkdir(parents=True, exist_ok=True)
    return root / "workers" / f"{device.replace(':', '-')}.device.lock"


# A session of its own: closing the terminal or the server leaves the worker running.
_DETACHED: dict[str, Any] = {"start_new_session": True}
if WINDOWS:
    _DETACHED = {"creationflags": sum(getattr(subprocess, flag, 0) for flag in ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW"))}


def start_worker(root: Path, device: str) -> None:
    """Start the process that works through a device's queue, unless there is one. Returns at once.

    A worker that is about to end looks at the queue once more after it let its lock go, so a run that was queued before
    this call is never forgotten.
    """
    path = worker_lock(root, device)
    lock = Lock(path)
    if not lock.acquire():                       # more patient than is_held: nobody may ask again
        return
    lock.release()
    with open(path.with_suffix(".log"), "ab") as log:
        # A thread waits for the child, since a dead child that nobody waited for still looks alive.
        child = subprocess.Popen([sys.executable, "-m", "core.worker.queue_worker", "--device", device],
                                 cwd=Path(__file__).parents[2], env={**os.environ, "LIGHTBOX_HOME": str(root)},
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_DETACHED)
    threading.Thread(target=child.wait, daemon=True).start()


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    found = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "numpy", "opencv-python-headless"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    from core import __version__
    return found | {"lightbox": __version__}
