"""What this machine can train on: CUDA, Apple's MPS, or the CPU.

`python -m core.runs.device` prints it as JSON.

Looking needs torch, which takes seconds to import. So the app asks a process of its own once and keeps the
result in LIGHTBOX_HOME/machine.json, under a key that changes when the result could.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from core.config import home
from core.errors import LightboxError
from core.files import Damaged, disk_errors, read_json, write_json


def probe() -> dict:
    """Look for devices now. Imports torch.

    Returns:
        {"devices": [{"device": "cuda:0", "name": str, "memory_bytes": int or None}, ...], "torch": version};
            the first is the one
        that "auto" takes, the last is always "cpu".
    """
    import torch
    devices = [{"device": f"cuda:{i}", "name": torch.cuda.get_device_name(i),
                "memory_bytes": torch.cuda.get_device_properties(i).total_memory}
               for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU", "memory_bytes": _memory()})
    devices.append({"device": "cpu", "name": f"{usable_cores()} CPU cores", "memory_bytes": _memory()})
    return {"devices": devices, "torch": torch.__version__}


REMEMBERED = {"key": str, "machine": {"devices": [{"device": str, "name": str, "memory_bytes": range(10**15)}]}}


def machine() -> dict:
    """Return `probe` from a process of its own, remembered.

    Takes seconds the first time, then under a millisecond.
    """
    path, key = home() / "machine.json", _key()
    try:
        known = read_json(path, REMEMBERED)
        if known["key"] == key and known["machine"]["devices"]:
            return known["machine"]
    except (FileNotFoundError, Damaged):
        pass
    probed = subprocess.run([sys.executable, "-m", "core.runs.device"], capture_output=True, text=True,
                            cwd=Path(__file__).parents[2])
    if probed.returncode:
        raise LightboxError("device.probe", "PyTorch could not be started: "
                            + (probed.stderr.strip().splitlines() or ["no reason given"])[-1] + ".",
                            "Install the requirements again: pip install -r requirements.txt.")
    devices = json.loads(probed.stdout)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"key": key, "machine": devices})
    return devices


def resolve(name: str, devices: list[dict]) -> str:
    """Return the device that a name stands for: "auto" is the best of `devices`, as `machine` lists them.

    Raises LightboxError "device.unknown" for one that this machine does not have.
    """
    known = [d["device"] for d in devices]
    name = {"auto": known[0], "cuda": "cuda:0", "gpu": known[0]}.get(name, name)
    if name not in known:
        raise LightboxError("device.unknown", f"This machine has no device {name}.", f"It has {', '.join(known)}.")
    return name


# What `usage` knew at its last look: (seconds by the clock, processor seconds of this process).
_last_look = (time.perf_counter(), time.process_time())


def usage(device) -> dict[str, int | float | None]:
    """Return what this process uses of a device; never waits for the device.

    Args:
        device: the torch.device that it trains on

    Returns:
        memory_bytes: on a GPU the most that PyTorch has had reserved there; on the CPU the main memory that
            it holds now. None where it is not known
        device_use: 0 to 1: on a GPU the share of the last moments in which it computed anything, by NVIDIA's
            own count; on the CPU the share of the cores that this process may use, since the last call. None
            where it is not known
    """
    if device.type == "cuda":
        import torch
        return {"memory_bytes": torch.cuda.max_memory_reserved(device), "device_use": _gpu_use(device.index or 0)}
    if device.type == "mps":
        import torch
        return {"memory_bytes": torch.mps.driver_allocated_memory(), "device_use": None}
    return {"memory_bytes": _resident(), "device_use": _core_use()}


def _resident() -> int | None:
    """Bytes of main memory that this process holds."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, IndexError, ValueError):
        pass
    try:                                             # macOS: the most that it ever held
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss or None
    except ImportError:
        return None


def _core_use() -> float | None:
    global _last_look
    before, _last_look = _last_look, (time.perf_counter(), time.process_time())
    passed = _last_look[0] - before[0]
    return min(1.0, (_last_look[1] - before[1]) / (passed * usable_cores())) if passed > 0 else None


def _gpu_use(index: int) -> float | None:
    library, handle = _nvml(index)
    if library is None:
        return None
    # of time with a kernel running, of time with memory moving
    percent = (ctypes.c_uint * 2)()
    return percent[0] / 100 if library.nvmlDeviceGetUtilizationRates(handle, percent) == 0 else None


@cache
def _nvml(index: int) -> tuple[Any, Any]:
    """NVIDIA's management library, which comes with the driver, and a GPU's handle in it; (None, None) where there is none."""
    import torch
    try:
        library, handle = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.c_void_p()
        # By its own number: what PyTorch counts depends on CUDA_VISIBLE_DEVICES.
        uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}".encode()
        if library.nvmlInit_v2() == 0 and library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)) == 0:
            return library, handle
    except (OSError, AttributeError):
        pass
    return None, None


def free_memory() -> int | None:
    """Return the bytes of main memory that this process could still take; None where nothing is known.

    It is the least of what the machine has left, what its container has, and what its own limit allows.
    """
    left = []
    try:
        with open("/proc/meminfo") as file:
            left += [int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable")]
    except (OSError, ValueError):
        pass
    for most, taken in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        try:
            folder = Path("/sys/fs/cgroup")
            left.append(int((folder / most).read_text()) - int((folder / taken).read_text()))
        except (OSError, ValueError):                # no such file, or "max"
            continue
    try:
        import resource
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            with open("/proc/self/statm", "rb") as file:
                left.append(limit - int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError, ImportError):
        pass
    if not left:
        return _windows_memory()[1]
    return max(0, min(left))


def _key() -> str:
    """Changes when another probe could find something else."""
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = "none"
    return "|".join([platform.node(), sys.executable, torch, str(usable_cores()), str(Path("/dev/nvidia0").exists()),
                     os.environ.get("CUDA_VISIBLE_DEVICES", "")])


def usable_cores() -> int:
    """Return how many cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int | None:
    """Main memory in bytes; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return _windows_memory()[0]


def _windows_memory() -> tuple[int | None, int | None]:
    """Main memory in bytes, all of it and what is free, from GlobalMemoryStatusEx; None on other systems."""
    status = (ctypes.c_uint64 * 8)(64)               # its length and the load, then total, available, ...
    try:
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    except AttributeError:
        return None, None
    return status[1], status[2]


if __name__ == "__main__":
    print(json.dumps(probe()))
