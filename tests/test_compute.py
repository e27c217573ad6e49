"""How a process is set up to compute."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from core.trainers.compute import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keep_freed_memory speaks to glibc")
def test_freed_memory_stays_with_the_process():
    """In a process of its own, because the setting lasts: large blocks soon cost no new pages."""
    code = """
import resource, torch
from core.trainers.compute import keep_freed_memory
def faults(turns=20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(turns):
        torch.empty(48 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
plain = faults()
keep_freed_memory()
faults()
print(plain, faults())
"""
    plain, kept = map(int, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                                          cwd=Path(__file__).parents[1]).stdout.split())
    assert plain > 20 * 12_000 and kept < plain / 4


def test_without_such_a_library_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError("no such library")))
    keep_freed_memory()
