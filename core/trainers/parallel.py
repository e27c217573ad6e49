"""One training on several processes: each has the same network and computes its part of every batch.

    torchrun --nproc-per-node 2 -m core train --dataset ...

The result is the one that a single process would reach with the same batches, whatever their size:

    parts       a batch of n images is cut into consecutive parts that differ by one image at most
    loss        of the *whole* batch on every rank, from the logits of all parts; so class weights, means over an odd
                number and losses that look at several images need no correction. The gradient flows into the own part
    gradients   added over the ranks by DistributedDataParallel, while backward still runs
    batch norm  mean and variance over the whole batch
    dropout     drawn for the whole batch on every rank, each takes its rows

The loop in `core.trainers.classifier` works with a `Group`. `ALONE` is a group of one, and does nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

PATIENCE = timedelta(hours=6)      # a rank may wait so long for rank 0, which opens the images or computes features first


class Group:
    """A group of one.

    Attributes:
        rank: 0 to ranks - 1; only rank 0 writes the run's folder
        ranks: processes that train together
    """
    rank, ranks = 0, 1

    def part(self, n: int) -> slice:
        """Which of n images are this rank's."""
        small, larger = divmod(n, self.ranks)
        begin = self.rank * small + min(self.rank, larger)
        return slice(begin, begin + small + (self.rank < larger))

    def cut(self, batch):
        """This rank's part of an array or tensor of a whole batch, along its first axis."""
        return batch[self.part(len(batch))]

    def gather(self, part: Tensor, n: int) -> Tensor:
        """The whole (n, ...) from every rank's part, in order. A gradient flows back into the own part only."""
        return part

    def wrap(self, model: nn.Module, part: str = "forward") -> Callable[..., Tensor]:
        """What the training's forward passes go through: `model.forward`, or `model.head` for features.

        Ask again for each epoch: what learns may have changed.
        """
        return model if part == "forward" else getattr(model, part)

    def add_penalty(self, loss: Tensor, penalty: Tensor, logits: Tensor) -> Tensor:
        """loss + penalty, where the penalty depends on the whole batch's logits and on the weights themselves."""
        return loss + penalty

    def step(self, n: int, last: bool = True) -> contextlib.AbstractContextManager:
        """Around forward and backward of a batch of n; `last` is False where further batches are accumulated first."""
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss of the whole batch, the sum over all ranks."""
        loss.backward()

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


ALONE = Group()


class Together(Group):
    """The processes that torchrun started: NCCL between GPUs, gloo between CPUs."""

    def __init__(self, device: torch.device):
        import torch.distributed as dist
        self.dist, self.device = dist, device
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        # Words between the processes travel beside the GPUs, so that asking for a stop never waits for one.
        self.words = dist.new_group(backend="gloo", timeout=PATIENCE) if on_gpu else dist.group.WORLD
        self.whole = 0                       # images of the batch under way, for dropout
        self._wrapped: tuple[Any, Any] = (None, None)

    def gather(self, part: Tensor, n: int) -> Tensor:
        counts = [len(range(n)[Group.part(_Rank(r, self.ranks), n)]) for r in range(self.ranks)]
        padded = part.detach().new_zeros((counts[0], *part.shape[1:]))       # all ranks send the same number of rows
        padded[:len(part)] = part.detach()
        received = [torch.empty_like(padded) for _ in counts]
        self.dist.all_gather(received, padded)
        rows = [rows[:count] for rows, count in zip(received, counts)]
        rows[self.rank] = part
        return torch.cat(rows)

    def wrap(self, model: nn.Module, part: str = "forward") -> Callable[..., Tensor]:
        key = id(model), part, [id(p) for p in model.parameters() if p.requires_grad]
        if self._wrapped[0] != key:
            self._wrapped = (None, None)      # the old one first lets go of its hooks
            _synchronise(model, self)
            ids = [self.device.index] if self.device.type == "cuda" else None
            ddp = nn.parallel.DistributedDataParallel
            keep = next(name for name in ("forward_sync_buffers", "broadcast_buffers") if name in signature(ddp).parameters)
            # Running statistics are the same everywhere already: nothing need be sent before each forward pass.
            self._wrapped = key, ddp(_Part(model, part), device_ids=ids, gradient_as_bucket_view=True, **{keep: False})
        return self._wrapped[1]

    def add_penalty(self, loss: Tensor, penalty: Tensor, logits: Tensor) -> Tensor:
        if self.rank == 0:
            return loss + penalty
        # What the weights themselves pay must enter the sum of the gradients once: here only what goes through the logits.
        slope, = torch.autograd.grad(penalty, logits, allow_unused=True)
        return loss if slope is None else loss + (slope.detach() * logits).sum()

    @contextlib.contextmanager
    def step(self, n: int, last: bool = True) -> Iterator[None]:
        self.whole = n
        wrapped = self._wrapped[1]
        with contextlib.nullcontext() if last or wrapped is None else wrapped.no_sync():
            yield

    def backward(self, loss: Tensor) -> None:
        (loss * self.ranks).backward()        # DistributedDataParallel divides the sum by the number of ranks

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
        self._wrapped = (None, None)
        self.dist.destroy_process_group()


class _Part(nn.Module):
    """A method of the model as a module, since DistributedDataParallel wraps a `forward`."""

    def __init__(self, model: nn.Module, part: str):
        super().__init__()
        self.model, self.part = model, part

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.part == "forward" else getattr(self.model, self.part)(x)


class _Rank:
    """Another rank's place, to ask `Group.part` for its share."""

    def __init__(self, rank: int, ranks: int):
        self.rank, self.ranks = rank, ranks


def started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def _store():
    from torch.distributed.distributed_c10d import _get_default_store
    return _get_default_store()


def _synchronise(module: nn.Module, group: Together) -> None:
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
        values = x.float()
        count = x.new_tensor([x.numel() / x.shape[1]], dtype=torch.float32)
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
        n = self.group.whole
        return x * super().forward(x.new_ones((n, *x.shape[1:])))[self.group.part(n)]


class WholeDropout(_WholeDropout, nn.Dropout):
    pass


class WholeDropout2d(_WholeDropout, nn.Dropout2d):
    pass


SYNCED_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SYNCED_DROPOUTS = {nn.Dropout: WholeDropout, nn.Dropout2d: WholeDropout2d}
