"""Batches of images on the device, from the mapped uint8 store.

Letters of the shapes: N images of a split, B of a batch, S pixels a side, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Share of the free memory of a GPU that the images may take; the rest is for weights and activations.
RESIDENT_SHARE = 0.4


@dataclass(frozen=True)
class Split:
    """The images of one split, and nothing of the others.

    Args:
        images: (M, S, S, C) uint8, the whole store, mapped
        indices: (N,) int64, which of them belong to this split
        labels: (N,) int64 or (N, L) int64, in the order of `indices`
    """
    images: np.ndarray
    indices: np.ndarray
    labels: np.ndarray

    @staticmethod
    def of(data, split: str) -> Split:
        """One split of an open `core.datasets.Dataset`."""
        indices = data.indices(split)
        return Split(data.images, indices, data.labels[indices])

    def __len__(self) -> int:
        return len(self.indices)


class Batches:
    """Reads a split in any order, as pixels in [0, 1] on a device.

    On a GPU the whole split lies there as uint8 where it fits, and a batch never crosses the bus. Where it does not
    fit, and on the CPU, batches come from the map; for a GPU the next one is fetched while this one is computed on.
    """

    def __init__(self, split: Split, device: torch.device):
        self.split, self.device = split, device
        self.labels = torch.from_numpy(np.ascontiguousarray(split.labels)).to(device)
        self.resident = None
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if len(split) * int(np.prod(split.images.shape[1:])) < RESIDENT_SHARE * free:
                self.resident = torch.from_numpy(np.asarray(split.images[split.indices])).to(device)

    def __call__(self, portions: list[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each portion (B,) of positions within the split: images (B, C, S, S) float32 in [0, 1], labels (B,) or (B, L)."""
        if self.resident is not None or self.device.type == "cpu":
            for positions in portions:
                yield self._batch(positions, self._fetch(positions))
            return
        with ThreadPoolExecutor(1) as ahead:
            waiting = None
            for positions in portions:
                fetched = (positions, ahead.submit(self._fetch, positions))
                if waiting:
                    yield self._batch(waiting[0], waiting[1].result())
                waiting = fetched
            if waiting:
                yield self._batch(waiting[0], waiting[1].result())

    def _fetch(self, positions: np.ndarray) -> Tensor:
        if self.resident is not None:
            return self.resident[torch.from_numpy(positions).to(self.device)]
        pixels = torch.from_numpy(self.split.images[self.split.indices[positions]])
        return pixels.pin_memory() if self.device.type == "cuda" else pixels

    def _batch(self, positions: np.ndarray, pixels: Tensor) -> tuple[Tensor, Tensor]:
        pixels = pixels.to(self.device, non_blocking=True)
        images = pixels.permute(0, 3, 1, 2).float().div_(255)      # a view of (B, S, S, C): already channels_last
        return images, self.labels[torch.from_numpy(positions).to(self.device)]


def shuffled(n: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Positions 0..n-1 in an order that depends on (seed, epoch) only, in portions of batch_size.

    A last portion of one image is left out, because batch norm has no variance for it; another image the next epoch.
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)).numpy()
    return [part for part in in_portions(order, batch_size) if len(part) > 1]


def in_portions(positions: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [positions[i:i + batch_size] for i in range(0, len(positions), batch_size)]
