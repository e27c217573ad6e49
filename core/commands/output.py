"""The output of a command: its result on stdout, as JSON or text, and its progress on stderr."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from core.files import write_atomic


def print_result(options: Namespace, data: object, words: Iterable[str], indent: int | None = None) -> None:
    """Print the result of a command that has --json: `data` as JSON, or the lines of `words`."""
    if options.json:
        print(json.dumps(data, allow_nan=False, default=list, indent=indent))
        return
    for line in words:
        print(line)


def write_or_print(text: str, file: str | None) -> bool:
    """Write text into the file of --out; without one on stdout. Returns whether it was written."""
    if not file:
        print(text, end="")
        return False
    write_atomic(Path(file), text)
    return True


def say_skipped(skipped: Sequence[Mapping[str, str]], shown: int = 5, count: int | None = None) -> None:
    """Say on stderr how many files could not be used, and the first of them with the reason; nothing where all could.

    Args:
        skipped: each {"path": ..., "reason": ...}
        count: of all, where `skipped` are only the first
    """
    count = len(skipped) if count is None else count
    if not count:
        return
    print(f"{count:,} file{'' if count == 1 else 's'} could not be read or used:", file=sys.stderr)
    for one in skipped[:shown]:
        print(f"  {one.get('path', '')}: {one.get('reason', '')}", file=sys.stderr)
    if count > shown:
        print(f"  and {count - shown:,} more", file=sys.stderr)


class Bar:
    """A progress line on stderr, redrawn in a terminal; in a file or a pipe, a line for each change."""

    def __init__(self):
        self.drawn, self.terminal = "", sys.stderr.isatty()

    def show(self, status, progress, epochs: list[dict]) -> None:
        """How far a training is: `Run.status`, `Run.progress` and its records of epochs."""
        if status.state in ("queued", "starting"):
            self.draw(progress.phase or {"queued": "Waiting for the device", "starting": "Starting"}[status.state])
            return
        share = (max(progress.epoch - 1, 0) + (progress.step / progress.steps if progress.steps else 0)) / max(progress.epochs, 1)
        parts = [f"epoch {progress.epoch}/{progress.epochs}"]
        if self.terminal:
            parts.insert(0, "#" * round(30 * share) + "-" * (30 - round(30 * share)))
            parts += [f"{progress.images_per_second:.0f} images/s"] if progress.images_per_second else []
            parts += [f"{progress.seconds_left:.0f} s left"] if progress.seconds_left is not None else []
        self.draw("  ".join(parts + best_so_far(epochs)))

    def count(self, phase: str, done: int, total: int) -> None:
        self.draw(f"{phase}: {done:,} of {total:,}" if self.terminal else phase)

    def draw(self, text: str) -> None:
        if text == self.drawn:
            return
        print(f"\r{text:<{len(self.drawn)}}" if self.terminal else text, end="" if self.terminal else "\n",
              file=sys.stderr, flush=True)
        self.drawn = text

    def end(self, text: str = "") -> None:
        if self.terminal and self.drawn:
            print(file=sys.stderr)
        if text:
            print(text, file=sys.stderr)


def best_so_far(epochs: list[dict]) -> list[str]:
    """The best validation by the measure that chooses the epoch, under that measure's name; nothing where
    there is none yet."""
    from core.metrics import METRICS
    if not epochs:
        return []
    monitor = epochs[-1].get("monitor", "roc_auc")           # runs of older versions knew no other
    values = [value for r in epochs if (value := r.get(f"val_{monitor}")) is not None]
    metric = METRICS[monitor]
    return [f"best val {metric.title} {(max if metric.higher_is_better else min)(values):.3f}"] if values else []
