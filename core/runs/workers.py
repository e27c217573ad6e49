"""Starting the process that works through a device's queue, and the locks by which such processes know of each other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from core.files import WINDOWS, Lock


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

    A worker that is about to end looks at the queue once more after it let its lock go, so a run that was
    queued before this call is never forgotten.
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
