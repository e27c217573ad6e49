"""When the device's memory is not enough: knowing it, and finding a batch size that fits."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import nn

from core.config import RunConfig
from core.models.costs import costs
from core.trainers.state import TrainState

# of the free memory: a program needs some for itself, and freed memory comes back in pieces
SAFE_SHARE = 0.8


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory was not enough: Python's, CUDA's, or that of PyTorch's allocator on the CPU."""
    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "defaultcpuallocator" in text
                                             or "can't allocate memory" in text))


def batch_that_fits(model: nn.Module, config: RunConfig, precision: str, channels_last: bool, free: int | None) -> int | None:
    """Return a batch size, halved from the config's until it fits; None where not even two images do.

    On a GPU a step of each is tried: memory that is not there is refused there, and nothing else suffers.
    Main memory is never tried, because a system short of it stops other programs; there the need is counted
    and compared with what is free.

    Args:
        model: on its device; its weights are of no use afterwards
        free: bytes of main memory that there are for a training on the CPU; None where it is not known
    """
    device = next(model.parameters()).device
    batch = config.train.batch_size // 2
    if device.type == "cuda":
        return first_that_fits(batch, lambda n: try_step(model, config, n, precision, channels_last))
    return first_that_fits(batch, _by_counting(model, config, free))


def first_that_fits(batch: int, fits: Callable[[int], bool]) -> int | None:
    """Return the first of batch, batch/2, batch/4 ... that fits, or None where even 2 does not."""
    while batch >= 2:
        if fits(batch):
            return batch
        batch //= 2
    return None


def try_step(model: nn.Module, config: RunConfig, batch: int, precision: str, channels_last: bool) -> bool:
    """One step forward, back and on with gray images: whether the memory is enough.

    The weights are moved by it.
    """
    device = next(model.parameters()).device
    state, p = TrainState.fresh(model, config), model.preprocessing
    try:
        model.train()
        images = torch.full((batch, *p.input_shape), 0.5, device=device)
        images = images.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(images)
        logits.float().square().mean().backward()
        state.optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        state.optimiser.zero_grad(set_to_none=True)
        del state
        images = logits = None
        release(device)


def release(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _by_counting(model: nn.Module, config: RunConfig, free: int | None) -> Callable[[int], bool]:
    p = model.preprocessing

    def fits(batch: int) -> bool:
        need = costs(config.model, len(model.class_names), p.size, p.channels, batch, config.optim.name,
                     p.views).training_bytes
        return free is None or need <= SAFE_SHARE * free
    return fits
