"""How a run computes on its device: exactly or nearly so, in which float32, compiled or not."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

COMPILE_SECONDS = 60.0    # that compiling takes, more or less
COMPILE_GAIN = 0.15       # share of a step that it saves, more or less: only a long run gains by it

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3        # of mallopt(3)


def prepare(device: torch.device, threads: int, precision: str) -> None:
    """Prepare the process to compute. `threads` are for the CPU.

    On a GPU cuDNN times its algorithms for each new shape and takes the fastest. Asked for float32, it gets
    float32; where bfloat16 was chosen, what is left in float32 (validation) may use TensorFloat-32, which
    still has more digits than that.
    """
    if device.type == "cpu":
        torch.set_num_threads(threads)
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "bfloat16"


def keep_freed_memory() -> None:
    """Let the C library reuse freed memory instead of giving it back to the system; elsewhere than on Linux nothing happens.

    The maps of a step are megabytes each. By default each goes back when it is freed, and is fetched again
    page by page in the next step: the system must clear 4 KB at a time, and on a virtual machine that is
    slow. It saves up to 30 % of a step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    # older libraries allow no more than 32 MB
    mallopt(_M_MMAP_THRESHOLD, 2**30) or mallopt(_M_MMAP_THRESHOLD, 2**25)


def exactness(device: torch.device, precision: str) -> tuple[bool, list[str]]:
    """Return whether the same seed gives the same bits again on this device, and sentences about it."""
    if device.type == "cpu":
        return True, ["Exact: on this machine, with the same number of threads, the same seed gives the same numbers to "
                      "the last bit."]
    if device.type == "cuda" and torch.are_deterministic_algorithms_enabled():
        return True, ["Exact: PyTorch's deterministic algorithms are on, so on this GPU the same seed gives the same numbers."]
    tf32 = {"cuda": [f"TensorFloat-32 is {'on for validation' if precision == 'bfloat16' else 'off: float32 is float32'}."]}
    return False, ["Not exact to the last bit: a GPU adds numbers in a different order each time, so the same seed gives "
                   "nearly the same numbers. The CPU is exact.", *tf32.get(device.type, [])]


def try_compiling(model: nn.Module, batch_size: int, wanted: str, steps: int, precision: str,
                  channels_last: bool) -> tuple[bool, str]:
    """Return whether to compile the training step, which is tried here, so that a training never fails by it.

    Args:
        model: a Classifier on its device; its gradients are None afterwards and its buffers as before
        batch_size, precision, channels_last: as in the training
        wanted: "on", "off", or "auto" for on a GPU where the run is long enough to gain by it
        steps: that are left

    Returns:
        whether to, and a sentence about it, empty where nothing was tried
    """
    if wanted == "off" or wanted == "auto" and model.device.type != "cuda":
        return False, ""
    try:
        p, layout = model.preprocessing, torch.channels_last if channels_last else torch.contiguous_format
        images = torch.full((batch_size, *p.input_shape), 0.5, device=model.device).to(memory_format=layout)
        model.to(memory_format=layout)
        # what happens once only, such as cuDNN's choices
        _trial(model, model, images, precision)
        plain = min(_trial(model, model, images, precision) for _ in range(2))
        if wanted == "auto" and steps * plain * COMPILE_GAIN < COMPILE_SECONDS:
            return False, ""
        # not with CUDA graphs: their outputs are overwritten while gradients accumulate
        quick = torch.compile(model)
        seconds = _trial(model, quick, images, precision)
        faster = min(_trial(model, quick, images, precision) for _ in range(2))
    except Exception as error:               # anything may be missing: a C++ compiler, Triton, an operation
        why = str(error).strip().splitlines() or [""]
        return False, f"Not compiled: {type(error).__name__}: {why[0][:150]}. The training continues without."
    if faster > plain and wanted == "auto":
        return False, f"Not compiled: it made a step slower ({faster * 1000:.1f} ms instead of {plain * 1000:.1f} ms)."
    return True, (f"The step is compiled, which took {seconds:.0f} s: forward and backward now take {faster * 1000:.1f} ms "
                  f"instead of {plain * 1000:.1f} ms.")


def _trial(model: nn.Module, forward: Callable, images: Tensor, precision: str) -> float:
    """Seconds of one forward and backward pass that leave no trace."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    training = model.training
    model.train()
    begun = time.perf_counter()
    try:
        with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                logits = forward(images)
            logits.float().square().mean().backward()
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        return time.perf_counter() - begun
    finally:
        model.train(training)
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(before[name])
