"""How fast training is in the app, beside the same training as others write it; and what live reporting costs.

    python -m bench.training [--cases resnet18:28 resnet18:224 densenet121:224] [--ways plain medmnist fastai lightning loop32
                              loop bfloat16 app] [--rounds 3] [--seconds 8] [--busy]

The ways take turns, so that noise of the machine hits all alike; each turn is a fresh process. The medians are compared:

    plain      bench/baseline.py: DataLoader, PIL transforms, float32, as a tutorial writes it; torch's own number of threads
    medmnist   the protocol of MedMNIST's own script: plain, with all three parts evaluated after each epoch
    fastai     bench/rivals.py, where they are installed
    lightning
    loop32     core.trainers.classifier in float32 with nobody listening, threads and layout as the probe chooses
    loop       the same as the probe chooses under "auto": bfloat16 only where core.trainers.probe allows it
    bfloat16   the same, asked for bfloat16
    app        "loop" through the worker as the app runs it: records, progress, checkpoints

With --busy another process computes all the time, from before the probe to the end: the case of a shared machine.
The share of reporting is timed inside the app's run: seconds spent in writing records and progress, and in the measures of
validation, of all seconds of training; an epoch here is four steps only, so that there are many records. The share of the peak
is what the products of the step, forward and twice that for backward, are of the largest matrix product or convolution rate
measured here with as many threads.
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

from bench.machine import Meter, line

BATCH = {28: 128, 64: 64, 224: 16}
SPIN = "while True: pass"


def images_and_labels(n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, size, size, 1) uint8 of noise and (n,) int64: speed does not depend on what is in the picture."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, size, size, 1), dtype=np.uint8), rng.integers(0, 2, n)


def in_an_epoch(size: int) -> int:
    return BATCH[size] * 4


# --------------------------------------------------------------------------------------------------- ways, one process each

def plain(network: str, size: int, seconds: float, folder: Path) -> dict:
    from bench.baseline import images_per_second
    images, labels = images_and_labels(in_an_epoch(size), size)
    return images_per_second(images, labels, size, BATCH[size], seconds, network=network)


def medmnist(network: str, size: int, seconds: float, folder: Path) -> dict:
    from bench.baseline import medmnist_per_second
    n = in_an_epoch(size)
    images, labels = images_and_labels(n, size)
    # Validation and test are an eighth and a quarter of training, about as in its sets.
    parts = {"train": (images, labels), "val": (images[:n // 8], labels[:n // 8]), "test": (images[:n // 4], labels[:n // 4])}
    return medmnist_per_second(parts, size, BATCH[size], seconds, network=network)


def other(name: str):
    def way(network: str, size: int, seconds: float, folder: Path) -> dict:
        from bench import rivals
        images, labels = images_and_labels(in_an_epoch(size), size)
        return rivals.rival(getattr(rivals, name), network, size, BATCH[size], images, labels, seconds, folder)
    return way


def loop(precision: str):
    def way(network: str, size: int, seconds: float, folder: Path) -> dict:
        import torch

        from core.models import build_model
        from core.trainers.batches import SplitData
        from core.trainers.classifier import EpochRecord, TrainState, train
        from core.trainers.compute import prepare
        from core.trainers.probe import choose

        config = config_of(network, size, "x", precision)
        images, labels = images_and_labels(in_an_epoch(size), size)
        split = SplitData(images, np.arange(len(images)), labels)
        val = SplitData(images, np.arange(2), labels[:2])                  # what is timed is training
        model = build_model(config.model, classes=2, size=size, channels=1, task="binary-class")
        how, _ = choose(model, size, 1, 0, folder / "loop.json", f"bench {network}", precision)
        prepare(torch.device("cpu"), how.threads, how.precision)
        state = TrainState.fresh(model, config)
        meter, steps, warm_up = None, 0, 2
        for record in train(state, split, val, config, precision=how.precision, channels_last=how.channels_last):
            if isinstance(record, EpochRecord) or getattr(record, "phase", "") == "validate":
                continue
            steps += 1
            if steps == warm_up:
                meter = Meter()
            if steps >= warm_up + 2 and meter.seconds() > seconds:
                return meter.rates((steps - warm_up) * BATCH[size]) | about(how.threads, how.channels_last, how.precision)
    return way


def app(network: str, size: int, seconds: float, folder: Path) -> dict:
    from core.runs.store import RunStore
    from core.trainers import classifier
    from core.worker import job
    from core.worker.queue_worker import train_run
    n = in_an_epoch(size)
    images, labels = images_and_labels(n + 2 * BATCH[size], size)
    path = folder / f"bench_{size}.npz"
    np.savez(path, **{f"{s}_{kind}": part for s, rows in (("train", slice(0, n)), ("val", slice(n, n + BATCH[size])),
                                                          ("test", slice(n + BATCH[size], None)))
                      for kind, part in (("images", images[rows, :, :, 0]), ("labels", labels[rows, None].astype(np.uint8)))})
    store = RunStore(folder)
    run = store.create(config_of(network, size, str(path), "auto"))
    store.queue.claim("cpu")
    spent = {}
    for owner, name in ((job.Job, "log"), (job.Job, "write_progress"), (job.Job, "_save"), (classifier, "score"), (classifier, "count_predictions"),
                        (classifier, "notes_on"), (classifier, "_grad_norm")):
        timed(owner, name, spent)
    begun, real = time.perf_counter(), job.Job._heartbeat

    def beat(self, record):                       # end after the time asked for, at the end of an epoch
        real(self, record)
        if isinstance(record, classifier.EpochRecord):
            if record.epoch == 1:
                spent.update(dict.fromkeys(spent, 0.0))          # the first epoch warms up
            elif time.perf_counter() - begun > seconds:
                self.stop.set()
    job.Job._heartbeat = beat
    train_run(run, folder)
    epochs, starts = run.records("epoch")[1:], run.records("start")
    if not epochs:
        sys.exit(f"The run ended as {run.status().state}: {run.status().reason}")
    trained, how = sum(record["seconds"] for record in epochs), starts[-1]["how"]
    saving = spent.pop("_save")
    return {"images_per_second": statistics.median(r["images_per_second"] for r in epochs),
            "reporting": sum(spent.values()) / trained, "checkpoint_seconds": saving / len(epochs),
            **about(how["threads"], how["channels_last"], how["precision"])}


WAYS = {"plain": plain, "medmnist": medmnist, "fastai": other("fastai"), "lightning": other("lightning"),
        "loop32": loop("float32"), "loop": loop("auto"), "bfloat16": loop("bfloat16"), "app": app}


def about(threads: int, channels_last: bool, precision: str) -> dict:
    return {"threads": threads, "precision": precision, "how": f"{threads} thread{'s' if threads > 1 else ''}, channels "
            f"{'last' if channels_last else 'first'}, {precision}"}


def config_of(network: str, size: int, dataset: str, precision: str):
    from core.config import RunConfig
    return RunConfig().with_(**{"data.dataset": dataset, "data.size": size, "model.name": network, "train.epochs": 1000,
                                "train.batch_size": BATCH[size], "train.device": "cpu", "train.precision": precision})


def timed(owner, name: str, spent: dict) -> None:
    real = getattr(owner, name)
    spent[name] = 0.0

    def wrapper(*args, **kwargs):
        begun = time.perf_counter()
        try:
            return real(*args, **kwargs)
        finally:
            spent[name] += time.perf_counter() - begun
    setattr(owner, name, wrapper)


# ----------------------------------------------------------------------------------------------------------------- the peak

def peak(threads: int, precision: str, device: str = "cpu") -> float:
    """The most operations a second (a multiplication and an addition are two) that a product or a convolution reaches here."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    kind, on_gpu = getattr(torch, precision), device != "cpu"
    side, batch = (8192, 512) if on_gpu else (1024, 16)
    matrix = torch.rand(side, side, device=device, dtype=kind)
    maps, kernel = (torch.rand(shape, device=device, dtype=kind).to(memory_format=torch.channels_last)
                    for shape in ((batch, 256, 14, 14), (256, 256, 3, 3)))
    works = [(lambda: matrix @ matrix, 2 * side**3),
             (lambda: F.conv2d(maps, kernel, padding=1), 2 * batch * 14 * 14 * 256 * 256 * 9)]
    rates = []
    for work, operations in works:
        work()
        meter = Meter()
        while meter.seconds() < 1:                        # the best of a second: others compute on this machine too
            begun = time.perf_counter()
            work()
            if on_gpu:
                torch.cuda.synchronize()
            rates.append(operations / (time.perf_counter() - begun))
    return max(rates)


def products(network: str, size: int) -> float:
    """Operations of a training step in its convolutions and linear layers, an image: forward, and twice that for backward."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from core.models import build_model
    model = build_model(config_of(network, size, "x", "auto").model, classes=2, size=size, channels=1)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 1, size, size))
    return 3.0 * counter.get_total_flops()


# ---------------------------------------------------------------------------------------------------------------- the table

def turn(way: str, network: str, size: int, seconds: float, folder: str) -> dict:
    """One way once, in a process of its own. torch's own environment for the others, the worker's for ours."""
    ours = {"OMP_WAIT_POLICY": "PASSIVE"} if way in ("loop32", "loop", "bfloat16", "app") else {}
    root = Path(__file__).parents[1]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    answer = subprocess.run([sys.executable, "-m", "bench.training", "--one", way, network, str(size), folder,
                             "--seconds", str(seconds)], capture_output=True, text=True, cwd=root,
                            env={**os.environ, "LIGHTBOX_HOME": folder, "PYTHONPATH": path, **ours})
    if answer.returncode:
        sys.exit(answer.stderr[-2000:])
    return json.loads(answer.stdout.strip().splitlines()[-1])


def measure(network: str, size: int, options: argparse.Namespace, folder: str) -> None:
    """Rounds of all ways in turns, then their rows."""
    found = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        for way in options.ways:
            if not any("absent" in answer for answer in found[way]):
                found[way].append(turn(way, network, size, options.seconds, folder))
    operations, peaks = products(network, size), {}
    for way, answers in found.items():
        if "absent" in answers[0]:
            print(f"{network:12} {size:>4} px  {way:9} {answers[0]['absent']}", flush=True)
            continue
        said, last = [], answers[-1]
        for rate, unit in (("images_per_second", "images/s"), ("per_cpu_second", "a CPU second")):
            if rate in last:
                speeds = [answer[rate] for answer in answers]
                said.append(f"{statistics.median(speeds):7.1f} {unit} ({min(speeds):.1f} to {max(speeds):.1f})")
                # Each round against the plain turn of the same round: the noise of the machine hits both.
                if "plain" in found and way != "plain":
                    ratios = [s / p[rate] for s, p in zip(speeds, found["plain"])]
                    said.append(f"{statistics.median(ratios):5.2f} x plain ({min(ratios):.2f} to {max(ratios):.2f})")
        if "precision" in last:
            key = last["threads"], last["precision"]
            peaks[key] = peaks.get(key) or peak(*key)
            share = statistics.median(answer["images_per_second"] for answer in answers) * operations / peaks[key]
            said.append(f"{100 * share:3.0f} % of {peaks[key] / 1e9:.0f} GFLOP/s  ({last['how']})")
        print(f"{network:12} {size:>4} px  {way:9} {'  '.join(said)}", flush=True)
        if "reporting" in last:
            share = statistics.median(answer["reporting"] for answer in answers)
            saving = statistics.median(answer["checkpoint_seconds"] for answer in answers)
            print(f"{network:12} {size:>4} px  reporting {100 * share:.2f} % of the seconds; the checkpoint of an epoch "
                  f"{saving:.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", nargs="+", metavar="NETWORK:SIZE", default=["resnet18:28", "resnet18:224", "densenet121:224"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["plain", "loop32", "loop", "bfloat16", "app"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each way in each round, besides its start")
    parser.add_argument("--busy", action="store_true", help="beside a process that computes all the time")
    parser.add_argument("--one", nargs=4, metavar=("WAY", "NETWORK", "SIZE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, network, size, folder = options.one
        print(json.dumps(WAYS[way](network, int(size), options.seconds, Path(folder))))
        return
    print(line())
    print(f"Gray images, batch {', '.join(f'{b} at {s} px' for s, b in BATCH.items())}; medians of {options.rounds} rounds "
          f"(least to most), {options.seconds:.0f} s each{'; beside a process that computes all the time' * options.busy}")
    busy = subprocess.Popen([sys.executable, "-c", SPIN]) if options.busy else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            for case in options.cases:
                network, _, size = case.partition(":")
                measure(network, int(size), options, folder)
    finally:
        if busy:
            busy.kill()
            busy.wait()


if __name__ == "__main__":
    main()
