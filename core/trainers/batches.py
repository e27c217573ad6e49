"""Batches on the device: of images from the mapped uint8 store, or of features that a frozen backbone computed once.

Letters of the shapes: N images of a split, B of a batch, S pixels a side, C channels, F features of an image.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Share of the free memory of a GPU that the images may take; the rest is for weights and activations.
RESIDENT_SHARE = 0.4
AHEAD = 2                    # batches that are fetched while one is computed on
# that cross the bus at a time when a split moves to a GPU: host memory stays flat
UPLOAD_BYTES = 64 * 2**20


@dataclass(frozen=True)
class SplitData:
    """The images of one split, and nothing of the others.

    Args:
        images: (M, S, S, C) uint8, the whole store, mapped; of an embedded split (copies N, F) float32,
            mapped: row c N + i holds the features of copy c of the split's image i. A further block of N
            rows, where there is one, holds those of the unchanged images
        indices: (N,) int64, which rows of the data set belong to this split
        labels: (N,) int64 or (N, L) int64, in the order of `indices`
        token: names the pixels behind `images`, so that what was computed of them can be read again; "" is
            not known
        copies: 0 for pixels; k for features of k copies, of which epoch e takes copy e mod k
        note: what a person should know about these batches, a sentence or nothing
    """
    images: np.ndarray
    indices: np.ndarray
    labels: np.ndarray
    token: str = ""
    copies: int = 0
    note: str = ""

    @staticmethod
    def of(data, split: str) -> SplitData:
        """One split of an open `core.datasets.Dataset`."""
        indices = data.indices(split)
        facts = json.dumps([data.fingerprint, data.size, data.resize, data.channels])
        return SplitData(data.images, indices, data.labels[indices], hashlib.sha256(facts.encode()).hexdigest())

    @property
    def embedded(self) -> bool:
        """Whether `images` are features, for the model's head alone."""
        return self.copies > 0

    def __len__(self) -> int:
        return len(self.indices)


class Batches:
    """Reads a split in any order: pixels in [0, 1] or features, on a device.

    On a GPU the whole split lies there (pixels as uint8) where it fits, and a batch never crosses the bus:
    its place is all that is sent, once an epoch. Where it does not fit, batches come from the map through
    pinned memory, fetched by a thread while the ones before are computed on. The CPU reads the map in the
    loop, because that takes a thousandth of a step; a thread reads ahead for it where the set is larger than
    half of the memory, so that the disk has to be waited for.

    Nothing here waits for the device after the first batch.

    Attributes:
        rows: (B,) int64 on the device, the rows in the data set of the batch that was given last
    """

    def __init__(self, split: SplitData, device: torch.device):
        self.split, self.device = split, device
        self.labels = torch.from_numpy(np.ascontiguousarray(split.labels)).to(device)
        self.indices = torch.from_numpy(np.ascontiguousarray(split.indices)).to(device)
        self.rows = self.indices[:0]
        self.resident = self._move() if device.type == "cuda" else None
        bytes_of_one = split.images.itemsize * int(np.prod(split.images.shape[1:]))
        self.reads_ahead = self.resident is None and (
            device.type != "cpu" or len(split) * max(1, split.copies) * bytes_of_one > _memory() / 2)

    def __call__(self, portions: list[np.ndarray], epoch: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one pass.

        Args:
            portions: of each batch the positions within the split, (B,) int64
            epoch: from 0; decides which copy of the features. None is the unchanged images' where they were
                kept, else the last

        Yields:
            images (B, C, S, S) float32 in [0, 1], or features (B, F) float32; labels (B,) or (B, L)
        """
        if not portions:
            return
        shift = self._shift(epoch)
        # one small copy for the whole pass
        places = self._send(np.concatenate(portions).astype(np.int64))
        for place, pixels in zip(places.split([len(p) for p in portions]), self._fetched(portions, places, shift)):
            pixels = pixels.to(self.device, non_blocking=True)
            if not self.split.embedded:
                # a view of (B, S, S, C): already channels_last
                pixels = pixels.permute(0, 3, 1, 2).float().div_(255)
            self.rows = self.indices[place]
            yield pixels, self.labels[place]

    def _shift(self, epoch: int | None) -> int:
        """Rows before the block of features that an epoch takes; 0 for pixels."""
        if not self.split.embedded:
            return 0
        blocks = len(self.split.images) // max(1, len(self.split))
        return len(self.split) * (blocks - 1 if epoch is None else epoch % self.split.copies)

    def _fetched(self, portions: list[np.ndarray], places: Tensor, shift: int) -> Iterator[Tensor]:
        if self.resident is not None:
            for place in places.split([len(p) for p in portions]):
                yield self.resident[place + shift]
        elif not self.reads_ahead:
            for positions in portions:
                yield self._fetch(positions, shift)
        else:
            with ThreadPoolExecutor(1) as thread:
                waiting: deque = deque()
                for positions in portions:
                    waiting.append(thread.submit(self._fetch, positions, shift))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()

    def _fetch(self, positions: np.ndarray, shift: int) -> Tensor:
        rows = positions + shift if self.split.embedded else self.split.indices[positions]
        pixels = torch.from_numpy(np.take(self.split.images, rows, axis=0))
        return pixels.pin_memory() if self.device.type == "cuda" else pixels

    def _send(self, positions: np.ndarray) -> Tensor:
        places = torch.from_numpy(positions)
        return places.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else places.to(self.device)

    def _move(self) -> Tensor | None:
        """All that belongs to the split, on the GPU; None where it does not fit beside the network."""
        images, rows = self.split.images, self.split.indices
        if self.split.embedded:
            rows = np.arange(len(images))
        bytes_of_one = images.itemsize * int(np.prod(images.shape[1:]))
        free, _ = torch.cuda.mem_get_info(self.device)
        if len(rows) * bytes_of_one >= RESIDENT_SHARE * free:
            return None
        moved = torch.empty((len(rows), *images.shape[1:]), device=self.device,
                            dtype=torch.float32 if self.split.embedded else torch.uint8)
        step = max(1, UPLOAD_BYTES // bytes_of_one)
        for start in range(0, len(rows), step):
            moved[start:start + step].copy_(torch.from_numpy(np.take(images, rows[start:start + step], axis=0)))
        return moved


def _memory() -> float:
    """Main memory in bytes; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):        # Windows has no sysconf
        return math.inf


def shuffled(n: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return positions 0..n-1 in an order that depends on (seed, epoch) only, in portions of batch_size.

    A last portion of one image is left out, because batch norm has no variance for it; another image the next
    epoch.
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)).numpy()
    return [part for part in in_portions(order, batch_size) if len(part) > 1]


def in_portions(positions: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [positions[i:i + batch_size] for i in range(0, len(positions), batch_size)]
