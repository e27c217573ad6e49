"""core.files under what really happens to files: a full disk, a short write, a killed process, two at once."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core import files
from core.errors import LightboxError
from core.files import Lock, append_line, disk_errors, read_lines, sha256, write_atomic, write_json

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty folder with nothing beside what the test puts there."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def python(program: str, *arguments) -> subprocess.Popen:
    """A process of its own that can import core, with its output as text."""
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stdin=subprocess.PIPE)


# -------------------------------------------------------------------------------------------------------- atomic write

@pytest.mark.parametrize("data", [b"", b"\x00\xff" * 1000, "Röntgen\n"])
def test_what_was_written_is_read_and_nothing_else_is_left(folder, data):
    path = folder / "a.bin"
    write_atomic(path, b"old")
    write_atomic(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert os.listdir(folder) == ["a.bin"]
    assert path.stat().st_mode & 0o777 == 0o644


class FullDisk:
    """A file that takes the first few bytes and then has no space left, at write or only at flush."""

    def __init__(self, file, fails_at):
        self.file, self.fails_at = file, fails_at

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[:3])
        if self.fails_at == "write":
            no_space()

    def flush(self):
        if self.fails_at == "flush":
            no_space()

    def fileno(self):
        return self.file.fileno()


@pytest.mark.parametrize("step", ["mkstemp", "write", "flush", "fsync", "chmod", "replace"])
def test_a_full_disk_at_any_step_leaves_the_old_file_and_says_what_to_do(folder, monkeypatch, step):
    path = folder / "status.json"
    path.write_text("old")
    if step in ("write", "flush"):
        real = os.fdopen
        monkeypatch.setattr(files.os, "fdopen", lambda *args: FullDisk(real(*args), step))
    elif step == "mkstemp":
        monkeypatch.setattr(files.tempfile, "mkstemp", no_space)
    else:
        monkeypatch.setattr(files.os, step, no_space)
    with pytest.raises(LightboxError) as caught:
        write_atomic(path, "new and longer")
    monkeypatch.undo()
    assert caught.value.code == "disk.full" and str(folder) in caught.value.message
    assert "Free some space" in caught.value.hint
    assert path.read_text() == "old" and os.listdir(folder) == ["status.json"]


@pytest.mark.parametrize("number, code", [(errno.ENOSPC, "disk.full"), (errno.EDQUOT, "disk.full"),
                                          (errno.EACCES, "disk.not_allowed"), (errno.EROFS, "disk.not_allowed")])
def test_a_full_disk_and_a_forbidden_one_are_told_apart(folder, number, code):
    with pytest.raises(LightboxError) as error:
        with disk_errors(folder / "x"):
            raise OSError(number, os.strerror(number))
    assert error.value.code == code


def test_any_other_fault_of_the_disk_keeps_its_trace(folder):
    with pytest.raises(OSError, match="Input/output"):
        with disk_errors(folder / "x"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_kill_between_any_two_writes_leaves_a_whole_file(folder):
    """A writer that rewrites a file of one repeated byte without end is killed twelve times at different moments."""
    path = folder / "big"
    program = ("import sys; from core.files import write_atomic; k = 0\n"
               "while True:\n    k = (k + 1) % 250; write_atomic(sys.argv[1], bytes([k]) * 200_000, durable=False)\n"
               "    if k == 1: print('going', flush=True)")
    for turn in range(12):
        writer = python(program, path)
        writer.stdout.readline()
        time.sleep(0.003 * turn)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        content = path.read_bytes()
        assert len(content) == 200_000 and len(set(content)) == 1


def test_a_reader_never_sees_a_part(folder):
    path, stop, seen = folder / "x", threading.Event(), []
    write_atomic(path, b"a" * 50_000)

    def read():
        while not stop.is_set():
            content = path.read_bytes()
            seen.append(len(content) == 50_000 and len(set(content)) == 1)

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(150):
        write_atomic(path, bytes([97 + k % 26]) * 50_000, durable=False)
    stop.set()
    reader.join()
    assert len(seen) > 10 and all(seen)


def test_json_is_readable_by_anyone_and_refuses_what_json_lacks(folder):
    write_json(folder / "a.json", {"x": [1, None, "é"]})
    assert json.loads((folder / "a.json").read_text()) == {"x": [1, None, "é"]}
    with pytest.raises(ValueError):
        write_json(folder / "a.json", {"x": float("nan")})
    assert json.loads((folder / "a.json").read_text()) == {"x": [1, None, "é"]}


# --------------------------------------------------------------------------------------------------------------- lines

def test_lines_come_back_in_order(folder):
    path = folder / "metrics.jsonl"
    assert read_lines(path) == []
    for epoch in range(5):
        append_line(path, json.dumps({"epoch": epoch, "note": "Röntgen"}))
    assert [record["epoch"] for record in read_lines(path)] == list(range(5))


@pytest.mark.parametrize("torn", [b'{"epoch": 1, "lo', b'{"epoch": 1}', b"\xff\xfe{", b"\n\n", b"[1, 2]\n", b"17\n"])
def test_a_torn_tail_is_left_out_and_never_glued_to(folder, torn):
    path = folder / "metrics.jsonl"
    append_line(path, '{"epoch": 0}')
    with open(path, "ab") as file:
        file.write(torn)
    assert read_lines(path) == [{"epoch": 0}]
    append_line(path, '{"epoch": 2}')
    whole = [{"epoch": 1}] if torn == b'{"epoch": 1}' else []            # only its newline was missing
    assert read_lines(path) == [{"epoch": 0}, *whole, {"epoch": 2}]
    assert path.read_bytes().startswith(b'{"epoch": 0}\n' + torn)       # nothing is ever rewritten


@pytest.mark.parametrize("before", [b'{"epoch": 0}\n', b'{"epoch": 0}\n{"ep', b""])
def test_a_short_write_is_taken_back(folder, monkeypatch, before):
    path, real = folder / "metrics.jsonl", os.write
    path.write_bytes(before)
    monkeypatch.setattr(files.os, "write", lambda handle, data: real(handle, data[:5]))
    with pytest.raises(LightboxError) as caught:
        append_line(path, '{"epoch": 1}')
    monkeypatch.undo()
    assert caught.value.code == "disk.full" and path.read_bytes() == before
    append_line(path, '{"epoch": 1}')
    assert read_lines(path)[-1] == {"epoch": 1}


def test_a_really_full_disk_is_told_in_words():
    if not Path("/dev/full").exists():
        pytest.skip("This system has no /dev/full to write to.")
    with pytest.raises(LightboxError) as caught:
        append_line(Path("/dev/full"), "{}")
    assert caught.value.code == "disk.full"


def test_no_handle_is_left_open(folder, monkeypatch):
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    lock = Lock(folder / "lock")
    for _ in range(20):
        append_line(folder / "a", "{}")
        write_atomic(folder / "b", b"x", durable=False)
        assert lock.acquire() and not Lock(folder / "lock").acquire() and Lock.is_held(folder / "lock")
        lock.release()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_sha256_is_that_of_hashlib(folder):
    data = os.urandom(300_000)
    (folder / "x").write_bytes(data)
    assert sha256(folder / "x") == hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------------------------------------------------------- lock

HOLD = ("import sys; from core.files import Lock; lock = Lock(sys.argv[1]); print(lock.acquire(), flush=True); "
        "sys.stdin.read()")


def test_one_process_holds_and_its_death_by_kill_frees(folder):
    path = folder / "run.lock"
    holder = python(HOLD, path)
    assert holder.stdout.readline() == "True\n"
    assert Lock.is_held(path) and not Lock(path).acquire()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert not Lock.is_held(path)
    with Lock(path):
        assert Lock.is_held(path)
    assert not Lock.is_held(path)


def test_a_lock_that_was_never_taken_is_not_held_and_asking_makes_no_file(folder):
    assert not Lock.is_held(folder / "nothing")
    assert os.listdir(folder) == []


def test_waiting_lasts_until_the_holder_lets_go(folder):
    path, order = folder / "lock", []
    first = Lock(path)
    assert first.acquire()

    def second():
        with Lock(path):
            order.append("second")

    waiter = threading.Thread(target=second)
    waiter.start()
    time.sleep(0.05)
    order.append("first")
    first.release()
    waiter.join(timeout=5)
    assert order == ["first", "second"]


def test_a_copy_of_the_handle_in_a_child_does_not_keep_the_lock(folder):
    """A fork copies all handles: without care a child that outlives its parent keeps the run alive on paper."""
    lock = Lock(folder / "lock")
    lock.acquire()
    assert not os.get_inheritable(lock._handle)         # a program that is started gets none
    copy = os.dup(lock._handle)                         # a child that is only forked has one
    try:
        lock.release()
        assert not Lock.is_held(folder / "lock")
    finally:
        os.close(copy)


def test_somebody_who_only_asks_never_keeps_the_lock_from_one_who_wants_it(folder):
    """Thirty browsers ask every second whether a run lives; the trainer's one try must not fail for that."""
    path = folder / "lock"
    path.touch()
    asker = python("import sys; from core.files import Lock; print('asking', flush=True)\n"
                   "while True: Lock.is_held(sys.argv[1])", path)
    asker.stdout.readline()
    try:
        failed = 0
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            lock = Lock(path)
            failed += not lock.acquire()
            lock.release()
        assert failed == 0
    finally:
        asker.kill()
        asker.communicate()


def test_sixteen_who_try_at_once_give_one_holder(folder):
    path = folder / "lock"
    program = ("import sys; from core.files import Lock; print('ready', flush=True); sys.stdin.readline(); "
               "lock = Lock(sys.argv[1]); print(lock.acquire(), flush=True); sys.stdin.readline()")
    racers = [python(program, path) for _ in range(16)]
    for racer in racers:
        racer.stdout.readline()
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.stdout.readline() for racer in racers]
    for racer in racers:
        racer.communicate("done\n")
    assert sorted(answers) == ["False\n"] * 15 + ["True\n"]


def test_the_lock_is_an_flock_that_other_tools_respect(folder):
    with Lock(folder / "lock"), open(folder / "lock") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
