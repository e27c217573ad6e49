"""Kill the trainer with -9 again and again, resume it, and compare with a run that nobody disturbed.

    python tests/kill_campaign.py FOLDER KILLS SEED      prints one JSON object

A process of its own that imports torch once and forks a trainer for each try, so that a kill costs a fraction of a second.
The moments are drawn over the whole length of a run, from before the images are opened to after the last prediction.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

# Imported before the fork, so that the children start at once.
import core.datasets
import core.evaluation.evaluate
import core.models.backbones
import core.trainers.classifier  # noqa: F401
from core.files import read_lines
from core.runs import checkpoints
from core.runs.store import Run, RunStore
from core.worker.queue_worker import train_run
from tests.tiny import tiny_config, tiny_npz


def fork_trainer(run: Run, root: Path) -> int:
    child = os.fork()
    if child:
        return child
    sys.stderr = sys.stdout = open(run.folder / "log.txt", "a")
    try:
        train_run(run, root)
    finally:
        os._exit(0)


def finish(run: Run, root: Path) -> float:
    begun = time.perf_counter()
    os.waitpid(fork_trainer(run, root), 0)
    return time.perf_counter() - begun


def reported(run: Run) -> set[int]:
    return {r["epoch"] for r in read_lines(run.folder / "metrics.jsonl") if r["kind"] == "epoch"}


def campaign(root: Path, kills: int, seed: int) -> dict:
    chance = random.Random(seed)
    torch.set_num_threads(1)
    os.environ["LIGHTBOX_HOME"] = str(root)
    root.mkdir(parents=True, exist_ok=True)
    store = RunStore(root)
    config = tiny_config(tiny_npz(root), **{"train.epochs": 10, "model.dropout": 0.3, "augment.shift": 0.1})
    whole = store.create(config)
    length = finish(whole, root)
    assert whole.status().state == "finished", whole.log()
    expected = checkpoints.load_best(whole.checkpoints)[0]
    last = checkpoints.load_latest(whole.checkpoints)[0]

    done, lost, different, corrupt, runs, where = 0, 0, 0, 0, 0, {}
    while done < kills:
        run = store.create(config)
        runs += 1
        while done < kills and run.status().state != "finished":
            before = reported(run)
            child = fork_trainer(run, root)
            time.sleep(chance.uniform(0, length))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            state = json.loads((run.folder / "status.json").read_text())["state"]
            if state == "finished":
                break
            done += 1
            where[state] = where.get(state, 0) + 1
            saved, said = checkpoints.load_latest(run.checkpoints)
            corrupt += len(said)
            lost += max(before | reported(run), default=0) > (saved.epoch if saved else 0)
            if state != "queued":
                store.resume(run)
        while run.status().state != "finished":
            finish(run, root)
            assert run.status().state in ("finished", "queued"), run.log()
        best, latest = checkpoints.load_best(run.checkpoints)[0], checkpoints.load_latest(run.checkpoints)[0]
        different += not (same(best.weights, expected.weights) and same(latest.weights, last.weights)
                          and same(latest.resume, last.resume))
        epochs = [r["epoch"] for r in run.records("epoch")]
        assert epochs == list(range(1, 11)), epochs
        losses = [r["train_loss"] for r in run.records("epoch")]
        different += losses != [r["train_loss"] for r in whole.records("epoch")]
    return {"kills": done, "runs": runs, "lost_epochs": lost, "corrupt": corrupt, "different": different,
            "killed_while": where, "seconds_of_a_run": round(length, 2)}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


if __name__ == "__main__":
    print(json.dumps(campaign(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
