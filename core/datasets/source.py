"""`Source`, the interface of every place where images come from, and the tables that it hands out.

A source knows its images one by one, at full resolution, and where they belong. It decodes nothing ahead of time and keeps no
pixels: `core/datasets/store.py` asks it for each image once, and afterwards everybody reads the store.

N images, H x W pixels, C channels (1 gray, 3 colour), L findings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

COLUMNS = ("image_id", "patient", "study", "view", "path", "split")    # every table has these; more may follow

Progress = Callable[[str, int, int], None]    # (what is being done, done, total); may raise to stop


@dataclass(frozen=True, eq=False)
class Target:
    """One thing that can be learned from the images.

    Args:
        name: its address, for example "finding"
        title: what a person reads
        task: one of `core.config.Task`
        class_names: K names; class k is the label k, or column k of several findings
        labels: (N,) int64 in 0..K-1, or (N, K) int64 of 0 and 1 where an image may show several findings; -1 where it is not
            known: such an image (N,) is in no split, such a finding (N, K) counts in no loss and no metric
    """

    name: str
    title: str
    task: str
    class_names: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True)
class Understood:
    """One thing that was understood of the images a person brought, for the page and `python -m core datasets PATH --json`.

    Args:
        code: what it is about, the same for every data set: "images", "level.class", "column.patient", "left_out.mask" ...
        text: one sentence that a person reads
        option: the read option that changes it, "" where none does
        value: what one click would set it to; "" where a person chooses
    """

    code: str
    text: str
    option: str = ""
    value: str = ""


@dataclass(eq=False)
class Index:
    """What a source holds: a row an image, and what can be learned.

    Args:
        table: N rows, all columns text; at least COLUMNS. `image_id` is unique and stays the same from one scan to the next.
            `patient` and `study` are "" where unknown. `split` is "train", "val", "test", or "" where the source makes none
        targets: by name; the first is the default
        skipped: what could not be used, each {"path": ..., "reason": ...}
        notes: plain sentences that a person should know about these images
        understood: how the files, folders and columns were read, most important first
        left_out: how many files or rows are not used, by what they are: "mask", "copy", "no_label" ...
    """

    table: pd.DataFrame
    targets: dict[str, Target]
    skipped: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    understood: list[Understood] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return (N, K) int64 of 0 and 1 from labels (N,) in 0..K-1 or (N, K); what is not known (-1) is 0.

    >>> one_hot(np.array([2, 0, -1]), 3).tolist()
    [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    """
    if labels.ndim == 2:
        return np.maximum(labels, 0)
    return np.vstack([np.eye(classes, dtype=np.int64), np.zeros((1, classes), np.int64)])[labels]


class Source:
    """One place where images come from. A subclass fills in the four facts and the methods.

    `table` is what `scan` found. When a store is reopened, nothing is scanned again: it is set from the store, so `original`
    and `mask` may rely on it.
    """

    name: str = ""            # the address: "phantom", "breastmnist", or a path
    title: str = ""           # "BreastMNIST"
    description: str = ""     # a few sentences: what the images show, how many, what is asked
    licence: str = ""         # "CC BY 4.0"; empty where it is not known
    body_parts: tuple[str, ...] = ()      # of MURA: those whose images are read
    intensity: str = ""       # how `original` reads images of more than 8 bits, see FolderOptions
    table: pd.DataFrame | None = None
    sequential: bool = False  # True where images can only be read one after the other, so that threads would not help

    def scan(self, progress: Progress | None = None) -> Index:
        """List all images and what is known about them, without decoding them; set `self.table`.

        Raises LightboxError where there is nothing to learn from (no images, one class, a broken file).
        """
        raise NotImplementedError

    def original(self, i: int) -> np.ndarray:
        """Return image i at full resolution: (H, W, C) uint8, C = 1 or 3. Raises LightboxError when it cannot be read."""
        raise NotImplementedError

    def at_size(self, i: int, longest: int) -> np.ndarray:
        """Return image i for a use that needs no more than `longest` pixels along its longer side: (H, W, C) uint8, any size.

        A source that generates its images may be quicker with a smaller one; others return the original.
        """
        return self.original(i)

    def original_size(self, i: int, pixels: np.ndarray) -> tuple[int, int]:
        """Return width and height of image i at full resolution, in pixels; (0, 0) where unknown.

        `pixels` is what `at_size` has just returned for it: for most sources that is the original.
        """
        return pixels.shape[1], pixels.shape[0]

    def read_intensity(self, intensity: str) -> None:
        """Read images of more than 8 bits otherwise than the options say, where a source reads files with such options."""
        options = getattr(self, "options", None)
        if hasattr(options, "intensity"):
            self.options, self.intensity = replace(options, intensity=intensity), intensity

    def prepare(self, longest: int, progress: Progress) -> None:
        """Prepare for many calls of `at_size`: for a source that can generate its images faster all together."""

    def mask(self, i: int) -> np.ndarray | None:
        """Return where the finding of image i is, (H, W) bool at full resolution; None where that is not known."""
        return None

    def fingerprint(self) -> str:
        """Return a text that changes when the content does. Cheap: it is computed each time the data set is opened."""
        raise NotImplementedError
