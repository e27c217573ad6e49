"""What this machine can train on: CUDA, Apple's MPS, or the CPU. `python -m core.device` prints it as JSON.

Looking needs torch, which takes seconds to import. So the app asks a process of its own once and keeps the answer in
LIGHTBOX_HOME/machine.json, under a key that changes when the answer could.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from core.config import home
from core.errors import LightboxError
from core.files import disk_errors, write_json


def probe() -> dict:
    """Look now. Imports torch.

    Returns:
        {"devices": [{"device": "cuda:0", "name": str, "memory_bytes": int}, ...], "torch": version}; the first is the one
        that "auto" takes, the last is always "cpu".
    """
    import torch
    devices = [{"device": f"cuda:{i}", "name": torch.cuda.get_device_name(i),
                "memory_bytes": torch.cuda.get_device_properties(i).total_memory}
               for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU", "memory_bytes": _memory()})
    devices.append({"device": "cpu", "name": f"{_cores()} CPU cores", "memory_bytes": _memory()})
    return {"devices": devices, "torch": torch.__version__}


def machine() -> dict:
    """`probe` from a process of its own, remembered. Takes seconds the first time, then under a millisecond."""
    path, key = home() / "machine.json", _key()
    try:
        known = json.loads(path.read_text())
        if known["key"] == key:
            return known["machine"]
    except (OSError, ValueError, KeyError):
        pass
    answer = subprocess.run([sys.executable, "-m", "core.device"], capture_output=True, text=True,
                            cwd=Path(__file__).parents[1])
    if answer.returncode:
        raise LightboxError("device.probe", "PyTorch could not be started: "
                            + (answer.stderr.strip().splitlines() or ["no reason given"])[-1] + ".",
                            "Install the requirements again: pip install -r requirements.txt.")
    found = json.loads(answer.stdout)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"key": key, "machine": found})
    return found


def resolve(name: str, devices: list[dict]) -> str:
    """The device that a name stands for: "auto" is the best of `devices`, as `machine` lists them.

    Raises LightboxError "device.unknown" for one that this machine does not have.
    """
    known = [d["device"] for d in devices]
    name = {"auto": known[0], "cuda": "cuda:0", "gpu": known[0]}.get(name, name)
    if name not in known:
        raise LightboxError("device.unknown", f"This machine has no device {name}.", f"It has {', '.join(known)}.")
    return name


def _key() -> str:
    """Changes when another probe could find something else."""
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = "none"
    return "|".join([platform.node(), sys.executable, torch, str(_cores()), str(Path("/dev/nvidia0").exists()),
                     os.environ.get("CUDA_VISIBLE_DEVICES", "")])


def _cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Main memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


if __name__ == "__main__":
    print(json.dumps(probe()))
