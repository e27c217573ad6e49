"""Why a training failed, in words: what a person reads on the page Runs instead of a traceback.

What imports torch is imported inside functions, as in job.py.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from core.runs.run import Run
from core.runs.states import State

LOST = ("onnection", "gloo", "NCCL")         # in the message of an error where another process is gone


class Failed(Protocol):
    """What is asked of the `core.worker.job.Job` that failed."""
    run: Run
    group: Any
    model: Any
    how: dict
    free: int | None
    log: Callable[[dict], None]
    write_progress: Callable[..., None]


def explain_failure(job: Failed, error: Exception) -> tuple[State, str, str]:
    """Return the state that an error leaves a run in, the reason in words, and a code where there is one for it."""
    from core.trainers.memory import is_out_of_memory
    group = job.group
    if is_out_of_memory(error):
        traceback.clear_frames(error.__traceback__)      # what the failed step held
        return State.FAILED, _out_of_memory(job), "train.memory"
    if group and group.size > 1 and (other := group.explanation()):
        return State.INTERRUPTED, f"Another of the {group.size} processes ended: {other}", ""
    if group and group.size > 1 and any(word in str(error) for word in LOST):
        return State.INTERRUPTED, (f"Another of the {group.size} processes ended without giving a reason. "
                                   "Resume continues from the last finished epoch."), ""
    return State.FAILED, (f"An unexpected error occurred: {type(error).__name__}: {str(error)[:200]}. "
                          "The file log.txt of the run has the details."), ""


def _out_of_memory(job: Failed) -> str:
    """The reason, with a batch size that fits where one is found; logged as a record for the page, too."""
    from core.trainers.memory import batch_that_fits, release
    batch, fits = job.run.config.train.batch_size, None
    if job.model is None:
        return "The machine ran out of memory before the training began. Use smaller images, or free some memory."
    release(job.model.device)
    if job.group and job.group.size > 1:
        return (f"A device ran out of memory with a batch size of {batch} on {job.group.size} processes. "
                "Start a copy with a smaller batch size, or on more processes.")
    try:
        job.write_progress(phase="Out of memory: looking for a batch size that fits")
        fits = batch_that_fits(job.model, job.run.config, job.how.get("precision", "float32"),
                               job.how.get("channels_last", False), job.free)
    except Exception:                         # the reason must be written, whatever state the device is in
        traceback.print_exc()
    job.log({"kind": "oom", "batch_size": batch, "fits": fits, "at": time.time()})
    reason = f"The device ran out of memory with a batch size of {batch}."
    if fits is None:
        return f"{reason} Start a copy with smaller images or a smaller network."
    certain = "fits" if job.model.device.type == "cuda" else "should fit"
    return f"{reason} A batch size of {fits} {certain}: start a copy with that."
