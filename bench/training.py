"""How fast training is in the app, beside the same training as others write it; and what live reporting costs.

    python -m bench.training [--cases resnet18:28 resnet18:224 densenet121:224] [--ways plain medmnist fastai lightning
                              bare loop32 loop app] [--rounds 3] [--seconds 5] [--device cuda] [--busy]

The ways take turns, so that noise of the machine hits all alike; each turn is a fresh process. The medians are compared:

    plain, medmnist, fastai, lightning      bench/rivals.py
    bare       forward, loss, backward and optimiser on one batch that lies on the device: nothing is loaded or recorded
    loop32     core.trainers.classifier in float32 with nobody listening, threads and layout as the probe chooses
    loop       the same as the probe chooses under "auto": bfloat16 only where core.trainers.probe allows it
    app        "loop" through the worker as the app runs it: records, progress, checkpoints; CPU only

With --busy another process computes all the time, from before the probe to the end: the case of a shared machine.
Reporting is the share of the app's seconds in which the training process writes records, progress or checkpoints or
computes metrics, seen by looking at it every few milliseconds; an epoch here is four steps only, so that there are many
records. The share of the peak is what the products of the step, forward and twice that for backward, are of the largest
matrix product or convolution rate measured here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from bench import rivals
from bench.machine import ROOT, Meter, line, noise_set, options_of
from core.config import RunConfig
from core.models import build_model
from core.trainers.batches import SplitData
from core.trainers.classifier import EpochRecord, StepRecord, TrainState, train
from core.trainers.compute import prepare
from core.trainers.optim import build_optimiser
from core.trainers.probe import way_to_compute

BATCH = {"cpu": {28: 128, 64: 64, 224: 16}, "cuda": {28: 512, 64: 512, 224: 64}}
STEPS = {"cpu": 4, "cuda": 64}             # in an epoch
WARM_UP = {"cpu": 2, "cuda": 20}           # steps: memory is taken, cuDNN times its algorithms
REPORTING = ("core/runs/", "core/metrics/", "core/files/")


def task_of(case: str, options: argparse.Namespace) -> rivals.Task:
    """Return noise to train on: speed does not depend on what is in the picture."""
    network, _, size = case.partition(":")
    rng, size, device = np.random.default_rng(0), int(size), options.device
    batch = options.batch or BATCH[device][size]
    n = batch * STEPS[device]
    images = rng.integers(0, 256, (n, size, size, 1), dtype=np.uint8)
    return rivals.Task(network, images, rng.integers(0, 2, n), batch, options.seconds, device)


def config_of(task: rivals.Task, precision: str, dataset: str = "x") -> RunConfig:
    return RunConfig().with_(**{
        "data.dataset": dataset, "data.size": task.size, "model.name": task.network, "train.epochs": 1000,
        "train.batch_size": task.batch_size, "train.device": task.device, "train.precision": precision})


def model_of(config: RunConfig, device: str):
    model = build_model(config.model, classes=2, size=config.data.size, channels=1, task="binary-class")
    return model.to(device)


# ------------------------------------------------------------------------------------ ways, one process each

def bare(task: rivals.Task, folder: Path) -> dict:
    config, device = config_of(task, "auto"), torch.device(task.device)
    model = model_of(config, task.device)
    how = way_to_compute(model, config, device, folder)
    prepare(device, how["threads"], how["precision"])
    layout = torch.channels_last if how["channels_last"] else torch.contiguous_format
    model.to(memory_format=layout).train()
    optimiser = build_optimiser(model, config.optim)
    images, labels = task.part(task.batch_size)
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    pixels, truth = pixels.contiguous(memory_format=layout), torch.from_numpy(labels).to(device)
    meter, steps, warm_up = None, 0, WARM_UP[task.device]
    while True:
        with torch.autocast(device.type, torch.bfloat16, enabled=how["precision"] == "bfloat16"):
            logits = model(pixels)
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), truth).backward()
        optimiser.step()
        steps += 1
        if steps < warm_up or device.type == "cuda" and steps % 10:   # a wait in ten steps: the loop waits twice a second
            continue
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if meter is None:
            meter, warm_up = Meter(), steps
        elif meter.seconds() > task.seconds:
            return meter.rates((steps - warm_up) * task.batch_size) | named(how)


def loop(precision: str):
    def way(task: rivals.Task, folder: Path) -> dict:
        config, device = config_of(task, precision), torch.device(task.device)
        split = SplitData(task.images, np.arange(len(task.images)), task.labels)
        val = SplitData(task.images, np.arange(2), task.labels[:2])           # what is timed is training
        model = model_of(config, task.device)
        how = way_to_compute(model, config, device, folder)
        prepare(device, how["threads"], how["precision"])
        meter, steps, at = None, 0, 0
        for record in train(TrainState.fresh(model, config), split, val, config, precision=how["precision"],
                            channels_last=how["channels_last"]):
            if isinstance(record, EpochRecord) or getattr(record, "phase", "") == "validate":
                continue
            steps += 1
            if steps < WARM_UP[task.device] or task.device == "cuda" and not isinstance(record, StepRecord):
                continue                                                  # a "step" record has waited for the GPU
            if meter is None:
                meter, at = Meter(), steps
            elif steps > at + 1 and meter.seconds() > task.seconds:
                return meter.rates((steps - at) * task.batch_size) | named(how)
        sys.exit("The training ended before it could be timed.")
    return way


class Watcher(threading.Thread):
    """Looks at what the training thread does, from its second epoch on, and stops the run after some seconds."""

    def __init__(self, run, seconds: float):
        super().__init__(daemon=True)
        self.job, self.seconds, self.seen = run, seconds, Counter()
        self.main = threading.get_ident()

    def run(self) -> None:
        while not self.job.records("epoch"):
            time.sleep(0.05)
        begun = time.perf_counter()
        while time.perf_counter() - begun < self.seconds or len(self.job.records("epoch")) < 3:
            for _ in range(100):
                time.sleep(0.005)
                self.seen[self.activity()] += 1
        self.job.stop()

    def activity(self) -> str:
        frame, files = sys._current_frames()[self.main], []
        while frame:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        if any("core/runs/checkpoints" in file for file in files):
            return "checkpoints"
        return "reporting" if any(part in file for file in files for part in REPORTING) else "training"


def app(task: rivals.Task, folder: Path) -> dict:
    from core.runs.store import RunStore
    from core.worker.queue_worker import train_run
    path = noise_set(folder / f"bench_{task.size}.npz", len(task.images), task.batch_size, task.size)
    store = RunStore(folder)
    run = store.create(config_of(task, "auto", str(path)))
    store.queue.claim("cpu")
    watcher = Watcher(run, task.seconds)
    watcher.start()
    train_run(run, folder)
    epochs = run.records("epoch")[1:]
    if not epochs:
        sys.exit(f"The run ended as {run.status().state}: {run.status().reason}")
    shares = {f"{what}_share": watcher.seen[what] / watcher.seen.total() for what in ("reporting", "checkpoints")}
    return {"images_per_second": statistics.median(r["images_per_second"] for r in epochs)} | shares | named(
        run.records("start")[-1]["how"])


def rival(name: str):
    def way(task: rivals.Task, folder: Path) -> dict:
        try:
            with contextlib.chdir(folder):                      # whatever they write, they write there
                return getattr(rivals, name)(task)
        except ImportError as error:
            return {"absent": f"cannot be imported here ({error}): pip install {name}"}
    return way


WAYS = {name: rival(name) for name in ("plain", "medmnist", "fastai", "lightning")}
WAYS |= {"bare": bare, "loop32": loop("float32"), "loop": loop("auto"), "app": app}


def named(how: dict) -> dict:
    return {key: how[key] for key in ("threads", "channels_last", "precision")}


# ---------------------------------------------------------------------------------------------------- the peak

def peak(threads: int, precision: str, device: str, seconds: float) -> float:
    """Return the most operations a second (a multiplication and an addition are two) of a product or a convolution."""
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
        while meter.seconds() < seconds:              # the best of a second: others compute on this machine too
            begun = time.perf_counter()
            work()
            if on_gpu:
                torch.cuda.synchronize()
            rates.append(operations / (time.perf_counter() - begun))
    return max(rates)


def operations_of(task: rivals.Task) -> float:
    """Return the operations of a training step in its convolutions and linear layers, an image: three times forward."""
    from torch.utils.flop_counter import FlopCounterMode
    model = model_of(config_of(task, "auto"), "cpu").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 1, task.size, task.size))
    return 3.0 * counter.get_total_flops()


# --------------------------------------------------------------------------------------------------- the table

def turn(way: str, case: str, options: argparse.Namespace, folder: str) -> dict:
    """Let one way run once, in a process of its own: with torch's own environment for others, the worker's for ours."""
    ours = {} if way in ("plain", "medmnist", "fastai", "lightning") else {"OMP_WAIT_POLICY": "PASSIVE"}
    if options.quick:
        return WAYS[way](task_of(case, options), Path(folder))
    done = subprocess.run([sys.executable, "-m", "bench.training", "--one", way, case, folder, "--device",
                           options.device, "--seconds", str(options.seconds), "--batch", str(options.batch)],
                          capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | {"LIGHTBOX_HOME": folder, "PYTHONPATH": str(ROOT)} | ours)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(case: str, options: argparse.Namespace, folder: str) -> None:
    """Let all ways take turns, and print their rows."""
    task = task_of(case, options)
    results: dict[str, list[dict]] = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        for way, turns in results.items():
            turns.append(turn(way, case, options, folder))
    operations = operations_of(task)
    for way, turns in results.items():
        last, row = turns[-1], f"{task.network:12} {task.size:>4} px  {way:9}"
        if "absent" in last:
            print(row, last["absent"], flush=True)
            continue
        rates = [turn["images_per_second"] for turn in turns]
        row += f" {statistics.median(rates):8.1f} images/s ({min(rates):.1f} to {max(rates):.1f})"
        if "plain" in results and way != "plain":
            # Each round against the plain turn of the same round: the noise of the machine hits both.
            ratios = [rate / base["images_per_second"] for rate, base in zip(rates, results["plain"])]
            row += f"  {statistics.median(ratios):5.2f} x plain ({min(ratios):.2f} to {max(ratios):.2f})"
        if "precision" in last:
            most = peak(last["threads"], last["precision"], options.device, min(1, options.seconds))
            row += (f"  {100 * statistics.median(rates) * operations / most:3.0f} % of {most / 1e9:.0f} GFLOP/s "
                    f"({last['threads']} threads, {last['precision']})")
        if "reporting_share" in last:
            row += "".join(f"  {what} {100 * statistics.median(turn[what + '_share'] for turn in turns):.2f} %"
                           for what in ("reporting", "checkpoints"))
        print(row, flush=True)


def main() -> None:
    parser = options_of(__doc__, cases=["squeezenet1_1:28"], ways=list(WAYS), rounds=1, seconds=0.1, batch=8)
    parser.add_argument("--cases", nargs="+", metavar="NETWORK:SIZE",
                        default=["resnet18:28", "resnet18:224", "densenet121:224"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["plain", "loop32", "loop", "app"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each way in each round, besides its start")
    parser.add_argument("--batch", type=int, default=0, help="0: as stands in the table's head")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--busy", action="store_true", help="beside a process that computes all the time")
    parser.add_argument("--one", nargs=3, metavar=("WAY", "CASE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, case, folder = options.one
        print(json.dumps(WAYS[way](task_of(case, options), Path(folder))))
        return
    if options.quick:
        torch.set_num_threads(1)
    print(line())
    print(f"Gray images, batch {', '.join(f'{b} at {s} px' for s, b in BATCH[options.device].items())}; medians of "
          f"{options.rounds} rounds (least to most), {options.seconds:g} s each"
          f"{'; beside a process that computes all the time' * options.busy}")
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if options.busy else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            for case in options.cases:
                measure(case, options, folder)
    finally:
        if busy:
            busy.kill()
            busy.wait()


if __name__ == "__main__":
    main()
