"""One run: a view of its folder, and everything that may be read or changed in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.config import RunConfig
from core.errors import LightboxError
from core.files import Damaged, Lock, append_line, read_file, read_json, read_lines, write_json
from core.files.shapes import NUMBER, TIME
from core.models.registry import MODELS
from core.runs import shapes
from core.runs.codes import run_code
from core.runs.members import EnsembleSpec
from core.runs.names import network_title
from core.runs.queue import Queue
from core.runs.shapes import COUNT
from core.runs.states import INTERRUPTED, LIVE, TRANSITIONS, State, Status


@dataclass(frozen=True)
class Progress:
    """The trainer's last sign of life, as progress.json has it. Times are in seconds."""

    at: float = field(default=0.0, metadata={"shape": TIME})
    phase: str = ""
    epoch: int = field(default=0, metadata={"shape": COUNT})
    epochs: int = field(default=0, metadata={"shape": COUNT})
    step: int = field(default=0, metadata={"shape": COUNT})
    steps: int = field(default=0, metadata={"shape": COUNT})
    images_per_second: float | None = field(default=None, metadata={"shape": NUMBER})
    seconds_left: float | None = field(default=None, metadata={"shape": NUMBER})
    pid: int = field(default=0, metadata={"shape": COUNT})


# of a note: characters, characters of a tag, tags of a run
TEXT_LENGTH, TAG_LENGTH, TAGS = 2000, 40, 10


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
        return self._read("config.json", shapes.CONFIG)

    @property
    def config(self) -> RunConfig:
        return RunConfig.from_json(json.dumps(self._about["config"]))

    @property
    def name(self) -> str:
        """What a person called it, else what it was called when it was made; the first runs noted none."""
        config = self.config
        data = config.data.dataset.rstrip("/").rsplit("/", 1)[-1]
        return config.name or self._about.get("name") or f"{config.model.name} on {data}, {config.data.size} px"

    @property
    def code(self) -> str:
        """Its code in the way of report R001, see core/runs/codes.py."""
        return run_code(self.config, self.data(), self.ensemble)

    @property
    def ensemble(self) -> EnsembleSpec | None:
        """How it predicts with several networks; None for a run that was trained. Raises LightboxError "run.damaged"."""
        raw = self._about.get("ensemble")
        try:
            return raw and EnsembleSpec.read(raw)
        except Damaged:
            raise self._damaged("config.json") from None

    @property
    def network_title(self) -> str:
        """Return its network as people call it, or how an ensemble combines how many."""
        return self.ensemble.title if self.ensemble else network_title(self.config.model.name)

    @property
    def versions(self) -> dict[str, str]:
        """program -> version, as noted when the run was made; {} for the first runs."""
        return self._about.get("versions", {})

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
        """Return whether a trainer holds the run's lock. The kernel frees it however the trainer ends."""
        return Lock.is_held(self.folder / "run.lock")

    def status(self) -> Status:
        """Return the state as written. A live state without a living trainer reads as interrupted."""
        status = self._written()
        if status.state in LIVE and not self.is_alive():
            again = self._written()                         # it may have ended properly between the two looks
            return again if again.state not in LIVE else Status(State.INTERRUPTED, INTERRUPTED, again.since)
        return status

    def written_state(self) -> State:
        """Return the state in status.json, without asking whether the trainer lives."""
        return self._written().state

    def mark_interrupted(self) -> None:
        """Write down that the run is interrupted, where its trainer died."""
        if self.status().state == State.INTERRUPTED:
            self.change(State.INTERRUPTED, INTERRUPTED, only_from=LIVE)

    def change(self, state: State, reason: str = "", *, only_from: set[State] | None = None,
               code: str = "") -> bool:
        """Go to another state. False when `only_from` does not hold the present one; `code` is that of the error that ends it.

        Raises LightboxError "run.transition" for a change that TRANSITIONS does not know.
        """
        # "run.gone" before a lock is made in a folder that is no more
        self._written()
        with Lock(self.folder / "status.lock"):
            now = self._written().state
            if only_from is not None and now not in only_from:
                return False
            if state not in TRANSITIONS[now]:
                raise LightboxError("run.transition", f"The run {self.id} is {now}, so it cannot become {state}.",
                                    "Reload the page: another window may have changed it.")
            write_json(self.folder / "status.json", asdict(Status(state, reason, time.time(), code)))
            return True

    def progress(self) -> Progress:
        try:
            return read_json(self.folder / "progress.json", Progress)
        except (FileNotFoundError, Damaged):
            return Progress()

    def write_progress(self, progress: Progress) -> None:
        write_json(self.folder / "progress.json", asdict(progress), durable=False)

    def append(self, record: dict) -> None:
        append_line(self.folder / "metrics.jsonl", json.dumps(record, allow_nan=False))

    def records(self, kind: str | None = None) -> list[dict]:
        """Return what the trainer reported, in order, all of it or one kind: "start", "step", "epoch", "end".

        After a kill the trainer goes back to its last checkpoint and does some steps again. Each "start"
        record says where it begins, and what had been reported from there on is dropped: curves never run
        twice over one place.
        """
        kept: list[dict] = []
        try:
            lines = read_file(self.folder / "metrics.jsonl", most=2 * 10**9).split(b"\n")[:-1]
        except (FileNotFoundError, Damaged):
            return []
        for record in filter(None, map(shapes.read_record, lines)):
            if record["kind"] == "start":
                begins = (record["epoch"], record["step"])      # epochs finished, steps done in the next one
                kept = [r for r in kept if _place(r) <= begins]
            kept.append(record)
        return [r for r in kept if kind is None or r.get("kind") == kind]

    def notes(self) -> Notes:
        """Return what people wrote; nothing where nobody has, or where the file cannot be read."""
        try:
            raw = self._read("notes.json", shapes.NOTES)
            return Notes(raw["text"], tuple(raw["tags"]))
        except LightboxError:
            return Notes()

    def annotate(self, text: str | None = None, tags: Iterable[str] | None = None) -> Notes:
        """Write down a text, tags, or both; what is None stays as it is.

        Who writes last wins. Returns what stood there before, so that the caller can say whether somebody
        else had written. Raises LightboxError "run.notes" for what is too long, "run.gone" where the run was
        deleted.
        """
        if text is not None and len(text) > TEXT_LENGTH:
            raise LightboxError("run.notes", f"The note has {len(text):,} characters.", f"It may have {TEXT_LENGTH:,}.")
        # "run.gone" before a lock is made in a folder that is no more
        self._written()
        with Lock(self.folder / "notes.lock"):
            before = self.notes()
            write_json(self.folder / "notes.json", {"text": before.text if text is None else text,
                                                    "tags": before.tags if tags is None else clean_tags(tags)})
            return before

    def data(self) -> dict:
        """Return data.json, or {} before the first start. Raises LightboxError "run.damaged"."""
        try:
            return shapes.check_data(read_json(self.folder / "data.json", shapes.DATA))
        except FileNotFoundError:
            return {}
        except Damaged:
            raise self._damaged("data.json") from None

    def check(self) -> Run:
        """Return itself, or raise the LightboxError of the first file without which no page can show it: "run.damaged",
        "run.gone", or "config.value" for a setting that is not allowed."""
        name, *_ = self.config.model.name, self._written(), self.data(), self.ensemble
        if name not in MODELS:
            raise LightboxError("model.unknown", f"The run {self.id} trains a network called {name[:80]!r}, which there is not.",
                                "Its config.json was changed, or another version of Lightbox wrote it.")
        return self

    def log(self) -> str:
        try:
            return read_file(self.folder / "log.txt", most=10**8).decode(errors="replace")
        except (FileNotFoundError, Damaged):
            return ""

    def times_test_opened(self) -> int:
        return len(read_lines(self.folder / "opened.jsonl"))

    def note_test_opened(self) -> None:
        append_line(self.folder / "opened.jsonl", json.dumps({"at": time.time()}))

    def stop(self) -> None:
        """Ask the run to stop; it does within five seconds, with a checkpoint.

        A waiting one just leaves the queue.
        """
        self.queue.remove(self.id)
        if self.change(State.STOPPED, "Stopped before it began.", only_from={State.QUEUED}):
            return
        self.change(State.STOPPING, "Stop was pressed.", only_from={State.STARTING, State.RUNNING})

    def _written(self) -> Status:
        return Status(**{key: value for key, value in self._read("status.json", shapes.STATUS).items()
                         if key in shapes.STATUS_KEYS})

    def _damaged(self, name: str) -> LightboxError:
        return LightboxError("run.damaged", f"The file {name} of the run {self.folder.name} cannot be read.",
                             "Delete the run, or put the file back from a copy.")

    def _read(self, name: str, shape: dict = shapes.ANY) -> dict:
        try:
            return read_json(self.folder / name, shape)
        except FileNotFoundError:
            raise LightboxError("run.gone", f"There is no run {self.folder.name}.",
                                "It was deleted, or the address is wrong. Choose another one.") from None
        except Damaged:
            raise self._damaged(name) from None


def _place(record: dict) -> tuple[int, int]:
    """Where in the training a record stands: (epochs finished, steps done in the next)."""
    if record["kind"] == "start":
        return record["epoch"], record["step"]
    if record["kind"] == "step":
        return record["epoch"] - 1, record["step"]
    return record.get("epoch", 0), 0


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Return tags on one line, each once, in the order given.

    Raises LightboxError "run.notes" for too many or a too long one.
    """
    tags = list(dict.fromkeys(filter(None, (" ".join(str(tag).split()) for tag in tags))))
    if len(tags) > TAGS:
        raise LightboxError("run.notes", f"There are {len(tags)} tags.", f"A run may have {TAGS}.")
    if long := [tag for tag in tags if len(tag) > TAG_LENGTH]:
        raise LightboxError("run.notes", f"The tag {long[0][:TAG_LENGTH]}... is too long.",
                            f"A tag may have {TAG_LENGTH} characters; the note beside it has more room.")
    return tags
