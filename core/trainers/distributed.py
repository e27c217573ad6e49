"""One training on several processes: each has the same network and computes its share of every batch.

    torchrun --nproc-per-node 2 -m core train --dataset ...

The gradient is the one that a single process would compute with the same batches, whatever their size:

    share       a batch of n images is cut into consecutive parts that differ by one image at most; a part may be empty
    loss        the loop sums it over the images of the part and divides by the weight of the whole batch, so that class
                weights and parts of unequal size come out right
    gradients   added over the ranks by DistributedDataParallel, while backward still runs
    mixup       the images of all ranks are partners of each other
    batch norm  over the whole batch on GPUs (torch.nn.SyncBatchNorm); on CPUs over the part of each process, and the running
                statistics of rank 0 count
    dropout     each rank drops other units

The loop in `core.trainers.classifier` works with a `Group`. `Group()` itself is one process alone, and does
nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from core.errors import LightboxError

# a rank may wait so long for rank 0, which opens the images or computes features first
PATIENCE = timedelta(hours=6)


class Group:
    """One process alone, and the interface of several.

    Attributes:
        rank: 0 to size - 1; only rank 0 writes the run's folder
        size: how many processes train together
    """
    rank, size = 0, 1

    def share(self, batch):
        """Return this rank's part of an array or tensor of a whole batch, along its first axis; may be empty."""
        return batch

    def whole(self, part: Tensor) -> Tensor:
        """Return the whole batch from every rank's part, in order. No gradient flows through it."""
        return part

    def sync_buffers(self, model: nn.Module) -> None:
        """Give every rank rank 0's buffers, such as the running statistics of batch norm."""

    def check(self, model: nn.Module, smallest: int) -> None:
        """Raise LightboxError "train.parts" where a batch of `smallest` images is too small to be divided."""

    def notes(self, model: nn.Module) -> list[str]:
        """Return sentences about how the result differs from that of one process."""
        return []

    def sum(self, numbers: Tensor) -> Tensor:
        """Return the sum of a small tensor over the ranks."""
        return numbers

    def wrap(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return what a training step calls instead of `forward`, a function of the model's parameters."""
        return forward

    def any(self, flag: bool) -> bool:
        """Return whether it holds on some rank. All ranks must call it at the same place."""
        return flag

    def same(self, value: Any) -> Any:
        """Return rank 0's value, on every rank."""
        return value

    @contextlib.contextmanager
    def rank_0_first(self) -> Iterator[None]:
        """Let rank 0 go through this alone, then the others: what it leaves in a cache is made once."""
        yield

    def explain(self, reason: str) -> None:
        """Leave a sentence for the other ranks about why this one ends."""

    def explanation(self) -> str:
        """Return what another rank left, or an empty string."""
        return ""

    def close(self) -> None:
        """Leave the group, after the last common step."""


class DistributedGroup(Group):
    """The processes that torchrun started: NCCL between GPUs, gloo between CPUs.

    Args:
        device: of this process, "cpu" or a GPU of its own
    """

    def __init__(self, device: torch.device):
        self.device = device
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # Words between the processes travel beside the GPUs, so that asking for a stop never waits for one.
        self.words = dist.new_group(backend="gloo", timeout=PATIENCE) if on_gpu else dist.group.WORLD
        self.count = 0                       # images of the whole batch under way

    def rows(self, rank: int) -> slice:
        """Return which images of the batch under way are a rank's."""
        small, larger = divmod(self.count, self.size)
        begin = rank * small + min(rank, larger)
        return slice(begin, begin + small + (rank < larger))

    def share(self, batch):
        self.count = len(batch)
        return batch[self.rows(self.rank)]

    def whole(self, part: Tensor) -> Tensor:
        counts = [rows.stop - rows.start for rows in map(self.rows, range(self.size))]
        # all ranks send the same number of rows
        padded = part.detach().new_zeros((counts[0], *part.shape[1:]))
        padded[:len(part)] = part.detach()
        received = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(received, padded)
        return torch.cat([rows[:count] for rows, count in zip(received, counts)])

    def sum(self, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        dist.all_reduce(total)
        return total

    def wrap(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        if self.device.type == "cuda":
            # in place: the layers keep their names and weights
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return _Distributed(model, forward, self.device)

    def sync_buffers(self, model: nn.Module) -> None:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)

    def notes(self, model: nn.Module) -> list[str]:
        notes = [f"{self.size} processes train together."]
        if self._norms_apart(model):
            notes.append("On CPUs each process normalises its part of a batch with that part's own mean and variance "
                         "(batch norm), as if batches were smaller, so one process alone gets slightly different numbers.")
        if has_dropout(model):
            notes.append("Each process drops different units (dropout), so one process alone gets slightly different numbers.")
        if len(notes) == 1:
            notes.append("One process alone gets the same numbers, but for the last digits.")
        return notes

    def check(self, model: nn.Module, smallest: int) -> None:
        if self._norms_apart(model) and smallest < 2 * self.size:
            raise LightboxError("train.parts", f"A batch of {smallest} images is too small for batch norm on {self.size} "
                                "processes: each needs two images of every batch, the last one of an epoch too.",
                                "Choose another batch size, fewer processes, or a network without batch norm.")

    def _norms_apart(self, model: nn.Module) -> bool:
        """Whether each process has its own mean and variance: torch's SyncBatchNorm knows GPUs only."""
        return self.device.type == "cpu" and any(isinstance(module, _BatchNorm) for module in model.modules())

    def any(self, flag: bool) -> bool:
        held = torch.tensor([float(flag)])
        dist.all_reduce(held, dist.ReduceOp.MAX, group=self.words)
        return bool(held.item())

    def same(self, value: Any) -> Any:
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.words)
        return box[0]

    @contextlib.contextmanager
    def rank_0_first(self) -> Iterator[None]:
        if self.rank:
            dist.barrier(group=self.words)
        yield
        if not self.rank:
            dist.barrier(group=self.words)

    def explain(self, reason: str) -> None:
        with contextlib.suppress(Exception):  # the store may be gone: then there is nobody to tell
            _store().set("lightbox/why", reason)

    def explanation(self) -> str:
        with contextlib.suppress(Exception):
            store = _store()
            if store.check(["lightbox/why"]):
                return store.get("lightbox/why").decode()
        return ""

    def close(self) -> None:
        dist.destroy_process_group()


class _Distributed:
    """Calls through DistributedDataParallel, which is built anew when something else learns than before."""

    def __init__(self, model: nn.Module, forward: Callable[[Tensor], Tensor], device: torch.device):
        self.part, self.device = _Part(model, forward), device
        self.learning: list[bool] = []
        self.parallel: nn.Module | None = None

    def __call__(self, x: Tensor) -> Tensor:
        learning = [p.requires_grad for p in self.part.parameters()]
        if self.parallel is None or learning != self.learning:
            ddp = nn.parallel.DistributedDataParallel
            self.parallel = None              # the old one first lets go of its hooks
            self.parallel = ddp(self.part, device_ids=[self.device.index] if self.device.type == "cuda" else None,
                                # sync_buffers once an epoch
                                gradient_as_bucket_view=True, forward_sync_buffers=False)
            self.learning = learning
        return self.parallel(x)


class _Part(nn.Module):
    """A function of a model's parameters as a module, since DistributedDataParallel wraps one."""

    def __init__(self, model: nn.Module, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.model, self.function = model, function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _store():
    from torch.distributed.distributed_c10d import _get_default_store
    return _get_default_store()


def has_dropout(model: nn.Module) -> bool:
    """Return whether some layer drops units while it trains."""
    return any(isinstance(module, _DropoutNd) and module.p > 0 for module in model.modules())
