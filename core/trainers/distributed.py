"""One training on several processes: each has the same network and computes its share of every batch.

    torchrun --nproc-per-node 2 -m core train --dataset ...

The result is the one that a single process would reach with the same batches, whatever their size:

    share       a batch of n images is cut into consecutive parts that differ by one image at most; a part may be empty
    loss        the loop sums it over the images of the part and divides by the weight of the whole batch, so that class
                weights and parts of unequal size come out right
    gradients   added over the ranks by DistributedDataParallel, while backward still runs
    batch norm  mean and variance over the whole batch
    dropout     drawn for the whole batch on every rank; each takes its rows
    mixup       the images of all ranks are partners of each other

The loop in `core.trainers.classifier` works with a `Group`. `Group()` itself is one process alone, and does nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

PATIENCE = timedelta(hours=6)      # a rank may wait so long for rank 0, which opens the images or computes features first


class Group:
    """One process alone, and what the loop asks of several.

    Attributes:
        rank: 0 to size - 1; only rank 0 writes the run's folder
        size: how many processes train together
    """
    rank, size = 0, 1

    def share(self, batch):
        """This rank's part of an array or tensor of a whole batch, along its first axis; may be empty.

        Ask for each batch right before its forward pass: dropout then draws for as many images as the whole batch has.
        """
        return batch

    def whole(self, part: Tensor) -> Tensor:
        """The whole batch from every rank's part, in order. No gradient flows through it."""
        return part

    def average(self, model: nn.Module) -> None:
        """Replace each gradient by its mean over the ranks, where this was not done during backward."""

    def sum(self, numbers: Tensor) -> Tensor:
        """The sum of a small tensor over the ranks."""
        return numbers

    def wrap(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """What a training step calls instead of `forward`, a function of the model's parameters."""
        return forward

    def any(self, flag: bool) -> bool:
        """Whether it holds on some rank. All ranks must ask at the same place."""
        return flag

    def same(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        return value

    @contextlib.contextmanager
    def rank_0_first(self) -> Iterator[None]:
        """Rank 0 goes through this alone, then the others: what it leaves in a cache is made once."""
        yield

    def explain(self, reason: str) -> None:
        """Leave a sentence for the other ranks about why this one ends."""

    def explanation(self) -> str:
        """What another rank left, or an empty string."""
        return ""

    def close(self) -> None:
        """Leave the group, after the last common step."""


class Together(Group):
    """The processes that torchrun started: NCCL between GPUs, gloo between CPUs.

    Args:
        device: of this process, "cpu" or a GPU of its own
    """

    def __init__(self, device: torch.device):
        import torch.distributed as dist
        self.dist, self.device = dist, device
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # Words between the processes travel beside the GPUs, so that asking for a stop never waits for one.
        self.words = dist.new_group(backend="gloo", timeout=PATIENCE) if on_gpu else dist.group.WORLD
        self.count = 0                       # images of the whole batch under way

    def rows(self, rank: int) -> slice:
        """Which images of the batch under way are a rank's."""
        small, larger = divmod(self.count, self.size)
        begin = rank * small + min(rank, larger)
        return slice(begin, begin + small + (rank < larger))

    def share(self, batch):
        self.count = len(batch)
        return batch[self.rows(self.rank)]

    def whole(self, part: Tensor) -> Tensor:
        counts = [rows.stop - rows.start for rows in map(self.rows, range(self.size))]
        padded = part.detach().new_zeros((counts[0], *part.shape[1:]))       # all ranks send the same number of rows
        padded[:len(part)] = part.detach()
        received = [torch.empty_like(padded) for _ in counts]
        self.dist.all_gather(received, padded)
        return torch.cat([rows[:count] for rows, count in zip(received, counts)])

    def sum(self, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        self.dist.all_reduce(total)
        return total

    def wrap(self, model: nn.Module, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        _see_whole_batches(model, self)
        return _Distributed(model, forward, self.device)

    def any(self, flag: bool) -> bool:
        held = torch.tensor([float(flag)])
        self.dist.all_reduce(held, self.dist.ReduceOp.MAX, group=self.words)
        return bool(held.item())

    def same(self, value: Any) -> Any:
        box = [value]
        self.dist.broadcast_object_list(box, src=0, group=self.words)
        return box[0]

    @contextlib.contextmanager
    def rank_0_first(self) -> Iterator[None]:
        if self.rank:
            self.dist.barrier(group=self.words)
        yield
        if not self.rank:
            self.dist.barrier(group=self.words)

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
        self.dist.destroy_process_group()


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
            keep = next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in signature(ddp).parameters)
            self.parallel = None              # the old one first lets go of its hooks
            # Running statistics are the same everywhere already: nothing need be sent before each forward pass.
            self.parallel = ddp(self.part, device_ids=[self.device.index] if self.device.type == "cuda" else None,
                                gradient_as_bucket_view=True, **{keep: False})
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


def _see_whole_batches(module: nn.Module, group: Together) -> None:
    """Let batch norm and dropout see the whole batch. In place: the parts keep their names, weights and hooks."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and type(part) in SYNCED_NORMS:
            part.process_group = group.dist.group.WORLD
            part.__class__ = nn.SyncBatchNorm if group.device.type == "cuda" else SyncedBatchNorm
        elif type(part) in SYNCED_DROPOUTS:
            part.group = group
            part.__class__ = SYNCED_DROPOUTS[type(part)]


class SyncedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm with mean and variance over all ranks, on the CPU, which torch.nn.SyncBatchNorm refuses.

    x (n, C, ...) of this rank -> (x - mean) / sqrt(var + eps) * weight + bias, where mean and var (biased) are over the
    images and places of all ranks; the running variance takes the unbiased one, as torch does (Ioffe and Szegedy 2015, alg. 1).
    """

    def _check_input_dim(self, x: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes, shape = [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)
        values = x if x.dtype == torch.float64 else x.float()
        count = values.new_tensor([x.numel() / x.shape[1]])
        torch.distributed.all_reduce(count)
        mean = _SumOverRanks.apply(values.sum(axes)) / count
        centred = values - mean.view(shape)
        var = _SumOverRanks.apply(centred.square().sum(axes)) / count       # in a second pass: the squares stay small
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1), self.momentum)
        scale = torch.rsqrt(var + self.eps)
        if self.affine:
            return (centred * (scale * self.weight).view(shape) + self.bias.view(shape)).to(x.dtype)
        return (centred * scale.view(shape)).to(x.dtype)


class _SumOverRanks(torch.autograd.Function):
    """The sum over ranks. Each rank's loss depends on it, so its gradient is the sum over ranks too."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, slope: Tensor) -> Tensor:
        return _SumOverRanks.forward(ctx, slope.contiguous())


class _WholeDropout:
    """Draws for the whole batch, as one process would, and keeps this rank's rows."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        drawn = super().forward(x.new_ones((self.group.count, *x.shape[1:])))
        return x * drawn[self.group.rows(self.group.rank)]


class WholeDropout(_WholeDropout, nn.Dropout):
    pass


class WholeDropout2d(_WholeDropout, nn.Dropout2d):
    pass


SYNCED_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SYNCED_DROPOUTS = {nn.Dropout: WholeDropout, nn.Dropout2d: WholeDropout2d}
