"""The queue: first come first served, and no run is claimed twice."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.runs.queue import Queue

CLAIM = """
import sys; from pathlib import Path; from core.runs.queue import Queue
queue = Queue(Path(sys.argv[1]))
while (run := queue.claim("cpu")) is not None: print(run)
"""


@pytest.fixture
def queue(tmp_path):
    return Queue(tmp_path / "queue.db")


def test_first_come_first_served_for_each_device(queue):
    for run, device in (("a", "cpu"), ("b", "cuda:0"), ("c", "cpu")):
        queue.put(run, device)
    queue.put("a", "cpu")                                        # once more: keeps its place
    assert queue.waiting() == [("a", "cpu"), ("b", "cuda:0"), ("c", "cpu")]
    assert [queue.claim("cpu"), queue.claim("cpu"), queue.claim("cpu"), queue.claim("cuda:0")] == ["a", "c", None, "b"]


def test_a_run_can_leave(queue):
    queue.put("a", "cpu")
    assert queue.remove("a") and not queue.remove("a") and queue.claim("cpu") is None


def test_a_run_can_go_before_others_of_its_device(queue):
    for run, device in (("a", "cpu"), ("b", "cuda:0"), ("c", "cpu"), ("d", "cpu"), ("e", "cuda:0")):
        queue.put(run, device)
    assert queue.move_up("d")
    assert [run for run, device in queue.waiting() if device == "cpu"] == ["a", "d", "c"]
    assert [run for run, device in queue.waiting() if device == "cuda:0"] == ["b", "e"]
    assert queue.move_up("d") and not queue.move_up("d") and not queue.move_up("b") and not queue.move_up("nobody")
    assert queue.move_first("c") and not queue.move_first("nobody")
    queue.put("f", "cpu")
    assert [queue.claim("cpu") for _ in range(5)] == ["c", "d", "a", "f", None]
    assert [queue.claim("cuda:0") for _ in range(2)] == ["b", "e"]


def test_a_crowd_that_moves_and_claims_loses_and_doubles_nothing(queue):
    runs = [f"run{i}" for i in range(40)]
    for run in runs:
        queue.put(run, "cpu")
    claimed: list[str] = []

    def work(seed: int) -> None:
        for i in range(10):
            (queue.move_up if i % 2 else queue.move_first)(runs[(7 * i + 11 * seed) % 40])
            claimed.append(queue.claim("cpu"))
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(runs) and queue.waiting() == []


def test_many_claimers_at_once_never_get_the_same_run(queue):
    runs = [f"run{i:03}" for i in range(120)]
    for run in runs:
        queue.put(run, "cpu")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    claimers = [subprocess.Popen([sys.executable, "-c", CLAIM, str(queue.path)], stdout=subprocess.PIPE, text=True,
                                 env=environment) for _ in range(6)]
    claimed = [line for claimer in claimers for line in claimer.communicate()[0].split()]
    assert sorted(claimed) == runs


def test_a_file_that_is_no_database_is_put_aside(queue):
    queue.path.write_bytes(b"not a database at all, but long enough to look like a file " * 20)
    queue.put("a", "cpu")
    assert queue.claim("cpu") == "a" and queue.path.with_suffix(".broken").exists()
