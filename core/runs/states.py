"""The states of a run, and which may follow which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a run is in its life. A member is its text, as status.json has it."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"


# From each state, the states that may follow. All other changes are refused.
TRANSITIONS: dict[State, set[State]] = {
    State.QUEUED: {State.STARTING, State.STOPPED, State.FAILED},
    State.STARTING: {State.RUNNING, State.STOPPING, State.STOPPED, State.FAILED, State.INTERRUPTED},
    State.RUNNING: {State.STOPPING, State.STOPPED, State.FINISHED, State.FAILED, State.INTERRUPTED},
    State.STOPPING: {State.STOPPED, State.FINISHED, State.FAILED, State.INTERRUPTED},
    State.STOPPED: {State.QUEUED},
    State.INTERRUPTED: {State.QUEUED},
    State.FAILED: {State.QUEUED},
    State.FINISHED: {State.QUEUED},          # with more epochs only: RunStore.extend
}
LIVE = {State.STARTING, State.RUNNING, State.STOPPING}            # a trainer must be alive
RESUMABLE = {State.STOPPED, State.INTERRUPTED, State.FAILED}

INTERRUPTED = ("The trainer ended without giving a reason: it was killed, the machine was switched off, or it ran out of memory "
               "or disk space. Resume continues from the last finished epoch.")


@dataclass(frozen=True)
class Status:
    """state: a member of State; reason: in words, may be empty; since: seconds since 1970."""

    state: State
    reason: str = ""
    since: float = 0.0
