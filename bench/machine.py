"""What the programs share: the machine that a figure comes from, clocks, and a home with a run to look at.

`python -m bench.machine` prints the line that stands above every table, and its details.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "torchvision", "streamlit", "numpy", "opencv-python-headless", "pillow", "medmnist")


class Meter:
    """A stopwatch for the clock and for this process's own processor time, which other programs take nothing from."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self.wall

    def cpu_seconds(self) -> float:
        return time.process_time() - self.cpu

    def rates(self, images: int) -> dict:
        return {"images_per_second": images / self.seconds(), "per_cpu_second": images / self.cpu_seconds()}


def options_of(doc: str, **quick) -> argparse.ArgumentParser:
    """Return a parser with --quick, which replaces the defaults of the options named here: tiny sizes, for the tests."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that the program runs, measures nothing")
    if "--quick" in sys.argv:
        parser.parse_args, plain = lambda *args: (parser.set_defaults(**quick), plain(*args))[1], parser.parse_args
    return parser


def processor_seconds(pid: int) -> float:
    """Return the seconds that a process has computed, in all its threads. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------ a home

def command(home: Path, *words: str, checkout: Path = ROOT, output: int = subprocess.PIPE) -> subprocess.Popen:
    """Start `python -m core ...` of a checkout in a LIGHTBOX_HOME of its own."""
    environment = os.environ | {"LIGHTBOX_HOME": str(home), "PYTHONPATH": str(checkout)}
    return subprocess.Popen([sys.executable, "-m", "core", *words], cwd=checkout, env=environment,
                            stdout=output, stderr=output, text=True)


def train_one(home: Path, dataset: str, *words: str, checkout: Path = ROOT) -> str:
    """Train for one epoch on the CPU, unless `words` say otherwise; return the run's id."""
    process = command(home, "train", "--dataset", dataset, "--device", "cpu", "--epochs", "1", *words,
                      checkout=checkout)
    out, err = process.communicate()
    if process.returncode:
        sys.exit(err[-2000:])
    return out.split()[-1]


def finished_run(home: Path, dataset: str) -> str | None:
    """Return the id of the newest finished run on a data set."""
    from core.runs.store import RunStore
    for run in RunStore(home).list():
        if run.config.data.dataset == dataset and run.status().state == "finished":
            return run.id
    return None


@contextmanager
def training(home: Path, dataset: str, *words: str, checkout: Path = ROOT) -> Iterator[None]:
    """Train beside the block: it begins when the first epoch is through, and at its end the training is stopped."""
    before = set((home / "runs").glob("*/metrics.jsonl"))
    process = command(home, "train", "--dataset", dataset, "--device", "cpu", "--epochs", "1000", *words,
                      checkout=checkout, output=subprocess.DEVNULL)
    try:
        while not any('"epoch"' in path.read_text() for path in set((home / "runs").glob("*/metrics.jsonl")) - before):
            if process.poll() is not None:
                sys.exit("The training beside it has ended.")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGINT)           # as Ctrl-C: the run stops with a checkpoint
        process.wait()


def noise_set(path: Path, train: int, test: int, size: int = 28, classes: int = 2) -> Path:
    """Write an .npz in MedMNIST's layout: noise with a bar that says the class, half as many for validation as for test."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in {"train": train, "val": max(2, test // 2), "test": test}.items():
        labels = rng.integers(0, classes, n)
        images = rng.integers(0, 200, (n, size, size), np.uint8)
        for k in range(classes):
            images[labels == k, 3 * k:3 * k + 4, 4:24] = 255
        arrays |= {f"{split}_images": images, f"{split}_labels": labels[:, None]}
    np.savez(path, **arrays)
    return path


def few_phantoms(folder: Path, patients: int = 40) -> str:
    """Write a small set of phantom radiographs; return what `dataset=` takes."""
    from core.datasets.phantom import PhantomConfig
    from core.datasets.phantom.export import Plan, export
    return str(export(Plan(PhantomConfig(patients=patients), "table", 64), folder))


# --------------------------------------------------------------------------------------------- the machine

def describe() -> dict:
    """Return what decides speed.

    Returns:
        cpu: its name; cores: those that this process may use; features: wide units that matrix products can use;
        memory_gb; load: processes that were running on average in the last minute, this one included;
        gpu: name or None; system; python; versions: {package: version}
    """
    from core.runs.device import machine
    gpus = [d["name"] for d in machine()["devices"] if d["device"] != "cpu"]
    cpu = _cpuinfo()
    units = cpu.get("flags", "").split()
    return {
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "features": [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if unit in units],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),
        "gpu": gpus[0] if gpus else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def line() -> str:
    """Return the same in one line, for the head of a table."""
    about = describe()
    widest = f" with {about['features'][-1]}" if about["features"] else ""
    versions = ", ".join(f"{name} {about['versions'].get(name)}" for name in PACKAGES[:3])
    return (f"{about['cpu']}{widest}, {about['cores']} cores, {about['memory_gb']} GB, {about['gpu'] or 'no GPU'}, "
            f"load {about['load']}; Python {about['python']}, {versions}")


def _cpuinfo() -> dict[str, str]:
    """Return the first processor of /proc/cpuinfo; empty on systems that have none."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text().split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (row.partition(":") for row in first.splitlines())}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(line())
    print(json.dumps(describe(), indent=2))
