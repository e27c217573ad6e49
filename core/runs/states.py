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


PASSES = ("disk.", "download.", "lock.", "device.")      # how errors begin that are cured beside the run, not in its settings


@dataclass(frozen=True)
class Status:
    """state: a member of State; reason: in words, may be empty; since: seconds since 1970; code: of the LightboxError that ended
    it, "" where none did."""

    state: State
    reason: str = ""
    since: float = 0.0
    code: str = ""


def would_repeat(status: Status, has_begun: bool) -> bool:
    """Return whether a failed run would end in the same way if it were resumed: its settings or its images must be changed.

    Args:
        has_begun: whether it has trained for a step; one that has not fails where it failed, whatever was wrong

    >>> would_repeat(Status(State.FAILED, code="train.nan"), True), would_repeat(Status(State.FAILED, code="disk.full"), True)
    (True, False)
    """
    return status.state == State.FAILED and (not has_begun or bool(status.code)) and not status.code.startswith(PASSES)
