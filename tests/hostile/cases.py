"""The table of hostile inputs, and how a row comes into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SCRIPT = "<script>alert(1)</script> $x$ **b**"
RIGHT_TO_LEFT = "\u202egnp.lamron\u202c"
LARGE = "image.too_large"
BAD = "image.broken"


@dataclass(frozen=True)
class Case:
    """A row of CASES.

    Args:
        make: writes the input into a folder of its own and gives what to open
        expected: codes, any of which is right; or "works"
        how: "set" opens it as a data set, "image" as a single image, anything else is the pattern of class folders
    """

    make: Callable[[Path], Path | str]
    expected: tuple[str, ...]
    how: str


CASES: dict[str, Case] = {}
NOISE = np.random.default_rng(0).bytes


def case(name: str, *expected: str, how: str = "set"):
    def add(make):
        assert name not in CASES, name
        CASES[name] = Case(make, expected, how)
        return make
    return add


def simple(name: str, file: str, content: Callable[[], bytes] | bytes, *expected: str, how: str = "set") -> None:
    """An input that is one file."""
    def make(folder: Path) -> Path:
        (folder / file).write_bytes(content() if callable(content) else content)
        return folder / file
    CASES.setdefault(name, Case(make, expected, how))
