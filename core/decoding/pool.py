"""The parent's side of decoding: a few warm worker processes, as many as processors at most, shared by all threads.

A worker that crashes, hangs or reaches a limit costs its file one sentence; the next file gets a new one. Workers are plain
subprocesses on two pipes: they can be started from a server, a queue worker, a child of torchrun and a daemonic process of a
DataLoader alike, whatever the start method. They end when their input does, so when we end, however that happens. A forked
child of ours starts workers of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.decoding.note import MAX_PIXELS
from core.errors import LightboxError

WORKERS = max(1, min(os.cpu_count() or 1, 32))
PATIENCE = 60.0          # seconds by the clock for a file; the seconds of the processor are counted in the worker
MAX_ANSWER = 10**6       # bytes of notes
ROOT = str(Path(__file__).parents[2])
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from core.decoding.worker import main; main()"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
FROM_OUTSIDE = {-getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGKILL") if hasattr(signal, name)}
AGAIN = "Copy or download it again, or open it in an image viewer and save it again."


class _Died(Exception):
    """A worker ended in the middle of a file."""


class Worker:
    """One worker process. Not for two threads at once."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-P", "-c", PROGRAM, ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, bufsize=0, close_fds=True, env=os.environ | dict.fromkeys(THREADS, "1"),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
        self.deadline = float("inf")
        self.late = False
        self.served = 0

    def ask(self, request: dict, data: bytes | None) -> tuple[dict, np.ndarray | None]:
        """Send a request and return the answer with its pixels. Raises _Died."""
        self.deadline = time.monotonic() + PATIENCE
        try:
            text = json.dumps(request).encode()
            self._write(struct.pack("<I", len(text)) + text)
            if data is not None:
                self._write(data)
            length, = struct.unpack("<I", self._read(bytearray(4)))
            if length > MAX_ANSWER:
                raise _Died
            answer = json.loads(self._read(bytearray(length)))
            pixels = None
            if "shape" in answer:
                height, width, channels = map(int, answer["shape"])
                if channels not in (1, 3) or min(height, width) < 0 or height * width > MAX_PIXELS:
                    raise _Died      # whoever took over the worker may say anything
                pixels = np.empty((height, width, channels), np.uint8)
                self._read(memoryview(pixels.reshape(-1)))
            self.served += 1
            return answer, pixels
        except (OSError, ValueError, TypeError, AttributeError):
            raise _Died from None
        finally:
            self.deadline = float("inf")

    def _write(self, data: bytes) -> None:
        view = memoryview(data).cast("B")
        while view:
            view = view[self.process.stdin.write(view):]

    def _read(self, buffer):
        view = memoryview(buffer)
        while view:
            n = self.process.stdout.readinto(view)
            if not n:
                raise _Died
            view = view[n:]
        return buffer

    def end(self) -> int:
        """End it, wait for it, and return its exit code."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:      # it ended by itself: the code says how
            code = self.process.wait(0.2 if not self.late else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code


class Pool:
    """Workers for all threads of this process."""

    def __init__(self, most: int = WORKERS):
        self.most, self.idle, self.all = most, [], set()
        self.free = threading.Condition()
        self.watching = None

    def ask(self, request: dict, data: bytes | None = None) -> tuple[dict, np.ndarray | None]:
        """Have one file decoded. Raises LightboxError "image.crashed", "image.too_slow", "image.no_worker"."""
        for attempt in range(2):
            with self._worker() as worker:
                try:
                    return worker.ask(request, data)
                except _Died:
                    late, code, fresh = worker.late, self._drop(worker), not worker.served
            if late or code == -getattr(signal, "SIGPROF", 0):
                raise LightboxError("image.too_slow", "Decoding this file takes too long: it is damaged, or made to.", AGAIN)
            if code not in FROM_OUTSIDE and not (fresh and code == 1):
                break
        if fresh and code == 1:
            raise LightboxError("image.no_worker", "The process that decodes images cannot be started.",
                                "See whether python -m core.decoding.worker prints an error.")
        raise LightboxError("image.crashed", "The program that decodes this file stopped: the file is damaged, or made to do so.",
                            AGAIN)

    @contextlib.contextmanager
    def _worker(self) -> Iterator[Worker]:
        with self.free:
            for worker in [one for one in self.idle if one.process.poll() is not None]:      # it ended while nobody asked
                self.idle.remove(worker)
                self.all.discard(worker)
                worker.end()
            while not self.idle and len(self.all) >= self.most:
                self.free.wait()
            worker = self.idle.pop() if self.idle else self._start()
        try:
            yield worker
        except BaseException:      # an answer that nobody waits for must not be taken for that of the next file
            self._drop(worker)
            raise
        finally:
            with self.free:
                if worker in self.all:
                    self.idle.append(worker)
                self.free.notify()

    def _start(self) -> Worker:
        try:
            worker = Worker()
        except OSError as error:
            raise LightboxError("image.no_worker", f"The process that decodes images cannot be started: {error.strerror}.",
                                "Close some programs and try again.") from None
        self.all.add(worker)
        if self.watching is None:
            self.watching = threading.Thread(target=self._watch, name="decoding", daemon=True)
            self.watching.start()
        return worker

    def _drop(self, worker: Worker) -> int:
        code = worker.end()
        with self.free:
            self.all.discard(worker)
            self.free.notify()
        return code

    def warm(self) -> None:
        """Start a worker where there is none, without waiting for it: the first file will not wait either."""
        with self.free:
            if not self.all:
                self.idle.append(self._start())

    def _watch(self) -> None:
        """End workers that are long past their time, as one that waits for a network folder."""
        while True:
            time.sleep(1.0)
            now = time.monotonic()
            for worker in [*self.all]:
                if now > worker.deadline:
                    worker.late = True
                    worker.process.kill()

    def close(self) -> None:
        """End all workers."""
        workers, self.idle = [*self.all], []
        self.all.clear()
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.end()


_pool = Pool()


def pool() -> Pool:
    """Return the pool of this process."""
    return _pool


def _after_fork() -> None:
    """The workers of the parent are not ours: leave them alone, and let go of our ends of their pipes."""
    global _pool
    for worker in _pool.all:
        worker.process.returncode = 0      # it is nobody's child here
        for pipe in (worker.process.stdin, worker.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
    _pool = Pool(_pool.most)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _pool.close())
