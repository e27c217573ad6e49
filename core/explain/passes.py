"""One pass through a network that leaves no trace: what all methods share.

    without_trace     eval mode, no gradients; afterwards everything is as it was
    maps_at        the maps of a layer and the logits
    gradients_at   the maps of a layer, and what each of their numbers does to the score
    score          the logit of a class, or the difference of two
    in_batches     many passes an image, a bounded number at a time

Only the part between the layer and the logits needs gradients. So the forward pass starts without them; a
hook on the layer puts a fresh leaf in the place of its output and switches gradients on from there. The trunk
costs what it costs in a plain prediction and keeps no activations. Inside torch.autocast the trunk is
computed in bfloat16, and what comes after the layer in float32: where the map is made, no digit is lost.

Shapes: images (N, C, H, W) in [0, 1], logits (N, K), a layer's maps (N, F, h, w), targets and against (N,)
whole numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# images in one pass where an image needs many: memory stays bounded
BATCH = 16

# (passes done, passes in all); may raise, which stops the work
Progress = Callable[[int, int], None]


@contextmanager
def without_trace(model: nn.Module, images: Tensor) -> Iterator[None]:
    """Switch to eval mode without gradients or inference mode; afterwards modes and random state are as they were.

    Modules are set and restored as attributes, one by one: train() may be overridden, and modes may be mixed.
    """
    training = [module for module in model.modules() if module.training]
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=devices):
        try:
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True


def gradients_at(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None,
                 against: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return a layer's maps A and dy/dA, both (N, F, h, w) float32. To be called inside `without_trace`."""
    logits, maps, layer = _forward(model, images, layer, gradients=False)
    if not logits.requires_grad:
        # The model switches gradients off around a frozen trunk, and back to what it was: start with on.
        logits, maps, layer = _forward(model, images, layer, gradients=True)
    y = score(logits, targets, against)
    with torch.enable_grad():
        gradient = torch.autograd.grad(y.sum(), maps, allow_unused=True)[0] if y.requires_grad else None
    if gradient is None:
        raise ValueError(f"The logits do not depend on layer {layer!r}, so it has no map.")
    return maps.detach().float(), gradient.float()


def maps_at(model: nn.Module, images: Tensor, layer: str | None) -> tuple[Tensor, Tensor]:
    """Return a layer's maps (N, F, h, w) float32 and the logits. To be called inside `without_trace`."""
    logits, maps, _ = _forward(model, images, layer, gradients=False)
    return maps.detach().float(), logits.detach()


def score(logits: Tensor, targets: Tensor, against: Tensor | None = None) -> Tensor:
    """Return what is explained, (N,): the logit of each image's own class, less that of the class it is compared with.

    Raises ValueError for classes that the model does not have.
    """
    logits = logits if logits.dim() == 2 else logits[:, None]
    with torch.enable_grad():
        y = logits.gather(1, _classes(targets, logits)[:, None])[:, 0]
        return y if against is None else y - logits.gather(1, _classes(against, logits)[:, None])[:, 0]


def _classes(targets: Tensor, logits: Tensor) -> Tensor:
    targets = torch.as_tensor(targets)
    if targets.is_floating_point() or targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must be {len(logits)} whole numbers, one an image; "
                         f"got {targets.dtype} of shape {tuple(targets.shape)}.")
    if targets.numel() and not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
        raise ValueError(f"targets must lie between 0 and {logits.shape[1] - 1}, the classes of this model.")
    return targets.to(logits.device, torch.int64).clone()              # an argmax made in inference mode, too


def in_batches(n: int, passes: int, progress: Progress | None) -> Iterator[tuple[int, slice]]:
    """Yield, for n images of which each needs `passes` passes: (image, which of its passes), at most BATCH at a time."""
    for i in range(n):
        for start in range(0, passes, BATCH):
            stop = min(start + BATCH, passes)
            yield i, slice(start, stop)
            if progress:
                progress(i * passes + stop, n * passes)


def bfloat16_is_fast(device: torch.device) -> bool:
    """Return whether the processor multiplies bfloat16 itself; else torch works around it, and float32 is faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    has = (getattr(torch.cpu, name, lambda: False) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(supported() for supported in has)


def channels_last(images: Tensor) -> Tensor:
    """Return the images with the channels of a pixel side by side in memory, on a CPU: a pass takes a tenth to a half less."""
    if images.device.type != "cpu":
        return images
    if images.shape[1] > 1:
        return images.contiguous(memory_format=torch.channels_last)
    # one channel lies both ways at once; its strides must say which is meant
    n, c, height, width = images.shape
    return images.contiguous().as_strided((n, c, height, width), (height * width, 1, width, 1))


def upsampled(maps: Tensor, images: Tensor) -> Tensor:
    """Upsample maps to the size of the images by bilinear interpolation: (N, h, w) -> (N, H, W)."""
    return F.interpolate(maps[:, None], size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def on_images(maps: Tensor, images: Tensor) -> Tensor:
    """Upsample the maps of all images: (N, h, w) -> (N, H, W). Of inputs with V views side by side there are N V maps, one a
    view, which come back side by side."""
    if len(maps) == len(images):
        return upsampled(maps, images)
    views = len(maps) // len(images)
    size = images.shape[2], images.shape[3] // views
    return side_by_side(F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0], len(images))


def side_by_side(maps: Tensor, images: int) -> Tensor:
    """Put the views of each image side by side: (N V, ..., w) -> (N, ..., V w); the same where there is one view."""
    return maps if len(maps) == images else torch.cat(maps.unflatten(0, (images, -1)).unbind(1), dim=-1)


def views_of(model: nn.Module) -> int:
    """Return how many views lie side by side in an input of a model; 1 for one of single images."""
    return getattr(getattr(model, "preprocessing", None), "views", 1)


def lit(model: nn.Module, images: Tensor) -> Tensor | None:
    """Return (N, 1, 1, W) of 1 where a view of a model of several views is there, 0 where it is absent and must stay black; None
    for a model of single images."""
    if (views := views_of(model)) == 1:
        return None
    columns = (images.amax(dim=(1, 2)) > 0).unflatten(1, (views, -1))
    return columns.any(dim=2, keepdim=True).expand_as(columns).flatten(1)[:, None, None].to(images)


def feature_maps(model: nn.Module, images: Tensor) -> dict[str, tuple[int, int, int]]:
    """Return the layers that have maps: name -> (channels, height, width), in the order in which they finish.

    Found by sending the first of `images` (N, C, H, W) through the model, which is left as it was. Maps of a
    single place (after global pooling) are left out: they can show nothing.
    """
    shapes: dict[str, tuple[int, int, int]] = {}
    me = threading.get_ident()
    handles = []

    def note(name: str) -> Any:
        def hook(module, inputs, output):
            is_map = isinstance(output, Tensor) and output.dim() == 4 and output[0, 0].numel() > 1
            if is_map and threading.get_ident() == me:
                shapes.pop(name, None)                  # used again: to the end
                shapes[name] = tuple(output.shape[1:])
        return hook

    with without_trace(model, images):
        try:
            for name, module in model.named_modules():
                if name:
                    handles.append(module.register_forward_hook(note(name)))
            model(images[:1])
        finally:
            for handle in handles:
                handle.remove()
    return shapes


def module_of(model: nn.Module, layer: str) -> nn.Module:
    """Return the module of that dotted name. Raises KeyError with the names that there are."""
    try:
        return model.get_submodule(layer)
    except AttributeError:
        names = ", ".join(name for name, _ in model.named_modules() if name)
        raise KeyError(f"There is no layer {layer!r}. There are: {names}") from None


def _forward(model: nn.Module, images: Tensor, layer: str | None, gradients: bool) -> tuple[Tensor, Tensor, str]:
    """Logits, the layer's maps (N, F, h, w) as the leaf from which the rest was computed, and the layer's name."""
    images = images.clone() if images.is_inference() else images     # autograd takes no inference tensors
    layer = _last_map(model, images) if layer is None else layer
    module = module_of(model, layer)
    me = threading.get_ident()
    kind, captured = images.device.type, []

    def cut(module, inputs, output):
        if threading.get_ident() != me:                # the same model may be predicting for somebody else
            return None
        if not isinstance(output, Tensor) or output.dim() != 4:
            what = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise ValueError(f"Layer {layer!r} gives {what}; a map needs the shape (N, C, h, w).")
        leaf = output.detach().float() if half else output.detach()
        captured[:] = [leaf.clone().requires_grad_()]
        # for what follows; both are switched back at the end of the pass
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled(kind, False)
        return captured[0].clone()                     # the model may write into this one

    half = torch.is_autocast_enabled(kind)
    handle = module.register_forward_hook(cut)
    try:
        with torch.set_grad_enabled(gradients):
            logits = model(channels_last(images))
    finally:
        handle.remove()
        torch.set_autocast_enabled(kind, half)
    if not captured:
        raise ValueError(f"Layer {layer!r} is not used in the forward pass, so it has no map.")
    if not isinstance(logits, Tensor) or logits.dim() not in (1, 2) or len(logits) != len(images):
        raise ValueError("To be explained, a model must return logits of shape (N, K).")
    return logits, captured[0], layer


def _last_map(model: nn.Module, images: Tensor) -> str:
    stages = getattr(model, "stages", None)
    if isinstance(stages, tuple) and stages and isinstance(stages[-1], str):
        return stages[-1]
    names = list(feature_maps(model, images))
    if not names:
        raise ValueError("This model has no layer that gives maps of shape (N, C, h, w).")
    return names[-1]
