"""Which machine and which versions a figure comes from. `python -m bench.machine` prints the line and the details."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.runs.device import machine as devices

PACKAGES = ("torch", "torchvision", "streamlit", "numpy", "opencv-python-headless", "pillow", "medmnist")


class Meter:
    """From its making on: images a second, and a second of this process's own processor time, which others take nothing from."""

    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self.wall

    def rates(self, images: int) -> dict:
        return {"images_per_second": images / self.seconds(), "per_cpu_second": images / (time.process_time() - self.cpu)}


def describe() -> dict:
    """What decides speed.

    Returns:
        cpu: its name; cores: those that this process may use; features: wide units that matrix products can use;
        memory_gb; load: processes that were running on average in the last minute, this one included;
        gpu: name or None; system; python; versions: {package: version}
    """
    gpus = [d["name"] for d in devices()["devices"] if d["device"] != "cpu"]
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


def line(about: dict | None = None) -> str:
    """The same in one line, for the head of a table."""
    a = about or describe()
    widest = f" with {a['features'][-1]}" if a["features"] else ""
    shown = [name for name in ("torch", "torchvision", "streamlit") if name in a["versions"]]
    versions = ", ".join(f"{name} {a['versions'][name]}" for name in shown)
    return (f"{a['cpu']}{widest}, {a['cores']} cores, {a['memory_gb']} GB, {a['gpu'] or 'no GPU'}, load {a['load']}; "
            f"Python {a['python']}, {versions}")


def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty on systems that have none."""
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
    about = describe()
    print(line(about))
    print(json.dumps(about, indent=2))
