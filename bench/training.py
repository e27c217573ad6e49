"""How fast training is in the app, beside the same training written plainly; and what live reporting costs.

    python -m bench.training [--sizes 28 224] [--rounds 3] [--seconds 20]

Three ways, in turns, so that noise of the machine hits all alike; the medians are compared:

    plain   bench/baseline.py: DataLoader, PIL transforms, float32, as a tutorial writes it; torch's own number of threads
    loop    core.trainers.classifier with nobody listening
    app     the same through the worker as the app runs it: records, progress, checkpoints

Each in a fresh process. The share of reporting is timed inside the app's run: seconds spent in writing records, progress
and checkpoints, of all seconds of training.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.machine import line

BATCH = {28: 128, 64: 64, 224: 16}


def images_and_labels(n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, size, size, 1) uint8 of noise and (n,) int64: speed does not depend on what is in the picture."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, size, size, 1), dtype=np.uint8), rng.integers(0, 2, n)


def plain(size: int, seconds: float, folder: Path) -> dict:
    from bench.baseline import images_per_second
    batch = BATCH[size]
    images, labels = images_and_labels(max(256, batch * 8), size)
    threads = len(os.sched_getaffinity(0))
    first = images_per_second(images, labels, size, 2, batch, threads)
    steps = max(2, round(seconds * first / batch))
    return {"images_per_second": images_per_second(images, labels, size, steps, batch, threads)}


def loop(size: int, seconds: float, folder: Path) -> dict:
    import torch

    from core.models import build_model
    from core.trainers.batches import Split
    from core.trainers.classifier import TrainState, train

    config = config_of(size, "x", folder)
    images, labels = images_and_labels(max(256, BATCH[size] * 8), size)
    split = Split(images, np.arange(len(images)), labels)
    val = Split(images, np.arange(BATCH[size]), labels[:BATCH[size]])
    model = build_model(config.model, classes=2, size=size, channels=1, task="binary-class")
    how = choose(model, folder)
    torch.set_num_threads(how.threads)
    state = TrainState.fresh(model, config)
    speeds, begun = [], time.perf_counter()
    for record in train(state, split, val, config, channels_last=how.channels_last):
        if record["kind"] == "epoch":
            speeds.append(record["images_per_second"])
            if time.perf_counter() - begun > seconds and len(speeds) > 2:
                break
    return {"images_per_second": statistics.median(speeds[1:]), "threads": how.threads, "channels_last": how.channels_last}


def app(size: int, seconds: float, folder: Path) -> dict:
    from core import worker
    from core.runs import RunStore
    n = max(256, BATCH[size] * 8)
    images, labels = images_and_labels(n + 2 * BATCH[size], size)
    path = folder / f"bench_{size}.npz"
    np.savez(path, **{f"{s}_{kind}": part for s, rows in (("train", slice(0, n)), ("val", slice(n, n + BATCH[size])),
                                                          ("test", slice(n + BATCH[size], None)))
                      for kind, part in (("images", images[rows, :, :, 0]), ("labels", labels[rows, None].astype(np.uint8)))})
    store = RunStore(folder)
    run = store.create(config_of(size, str(path), folder))
    store.queue.claim("cpu")
    spent = {}
    for name in ("note", "tell", "_save"):
        timed(worker.Job, name, spent)
    begun = time.perf_counter()
    real = worker.Job._beat

    def beat(self, record):                       # end after the time asked for, at the end of an epoch
        real(self, record)
        if record["kind"] == "epoch" and time.perf_counter() - begun > seconds and record["epoch"] > 2:
            self.stop.set()
    worker.Job._beat = beat
    worker.train_run(run, folder)
    epochs = run.records("epoch")[1:]
    trained = sum(record["seconds"] for record in epochs)
    share = len(epochs) / (len(epochs) + 1)       # the timers also saw the first epoch
    return {"images_per_second": statistics.median(r["images_per_second"] for r in epochs),
            "reporting": share * (spent["note"] + spent["tell"]) / trained, "checkpoints": share * spent["_save"] / trained}


def config_of(size: int, dataset: str, folder: Path):
    from core.config import RunConfig
    return RunConfig().with_(**{"data.dataset": dataset, "data.size": size, "model.name": "resnet18", "train.epochs": 1000,
                                "train.batch_size": BATCH[size], "train.device": "cpu", "train.precision": "float32"})


def choose(model, folder: Path):
    from core.trainers.probe import choose
    p = model.preprocessing
    return choose(model, p.size, p.channels, 0, folder / "loop.json", f"bench {p.size}")[0]


def timed(cls, name: str, spent: dict) -> None:
    real = getattr(cls, name)
    spent[name] = 0.0

    def wrapper(*args, **kwargs):
        begun = time.perf_counter()
        try:
            return real(*args, **kwargs)
        finally:
            spent[name] += time.perf_counter() - begun
    setattr(cls, name, wrapper)


WAYS = {"plain": plain, "loop": loop, "app": app}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 224])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--one", nargs=3, metavar=("WAY", "SIZE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, size, folder = options.one
        print(json.dumps(WAYS[way](int(size), options.seconds, Path(folder))))
        return
    print(line())
    print(f"ResNet-18, gray, batch {', '.join(f'{BATCH[s]} at {s} px' for s in options.sizes)}; "
          f"medians of {options.rounds} rounds, each way {options.seconds:.0f} s a round")
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            found = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way in WAYS:
                    answer = subprocess.run(
                        [sys.executable, "-m", "bench.training", "--one", way, str(size), folder,
                         "--seconds", str(options.seconds)],
                        capture_output=True, text=True, cwd=Path(__file__).parents[1],
                        env={**os.environ, "LIGHTBOX_HOME": folder, "OMP_WAIT_POLICY": "PASSIVE"})
                    if answer.returncode:
                        sys.exit(answer.stderr[-2000:])
                    found[way].append(json.loads(answer.stdout.strip().splitlines()[-1]))
            base = statistics.median(f["images_per_second"] for f in found["plain"])
            for way, results in found.items():
                speeds = [f["images_per_second"] for f in results]
                middle = statistics.median(speeds)
                print(f"{size:>4} px  {way:6} {middle:8.1f} images/s  ({min(speeds):.1f} to {max(speeds):.1f})  "
                      f"{middle / base:5.2f} x plain", flush=True)
            for part in ("reporting", "checkpoints"):
                share = statistics.median(f[part] for f in found["app"])
                print(f"{size:>4} px  share of {part:12} {100 * share:.2f} %", flush=True)


if __name__ == "__main__":
    main()
