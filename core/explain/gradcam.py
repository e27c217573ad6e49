"""Grad-CAM for any network and any layer, on whole batches, without leaving a trace.

Only the part between the layer and the logits needs gradients. So the forward pass starts without them; a hook on the
layer puts a fresh leaf in the place of its output and switches gradients on from there. The trunk costs what it costs
in a plain prediction and keeps no activations.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Grad-CAM: how much each place of a feature map speaks for a class.

        alpha_k = mean_ij dy_c / dA_k[i, j]        (eq. 1)
        L       = relu(sum_k alpha_k A_k)          (eq. 2)

    Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391

    y_c is the logit of class c, before softmax or sigmoid. A is the output of the layer as the layer returned it; what
    a later operation does to it in place changes a copy. This matters for DenseNet, where torchvision applies an
    in-place ReLU to the output of `features`: A is the map before that ReLU, after the last batch norm, and may be
    negative.

    Args:
        model: run in eval mode; left exactly as it was (no hooks, no .grad, same modes, flags and random state)
        images: (N, C, H, W) float32 in [0, 1]
        targets: (N,) int64, the class to explain for each image; 0 for a model with a single logit
        layer: dotted name of the layer; None is the last feature map: the last of `model.stages` where the model has
            them (a tuple of names), else the last of `feature_maps`. Of a layer used often, the last use counts

    Returns:
        (N, H, W) float32, >= 0, in units of the logit: not rescaled, so that maps can be compared. Computed at the
        layer's resolution, then brought to the images' by bilinear interpolation.

    Raises:
        KeyError: no layer of that name; the message lists those that there are.
        ValueError: the layer gives no (N, C, h, w) map, or the logit does not depend on it; targets that do not fit
    """
    with _left_alone(model, images):
        images = images.clone() if images.is_inference() else images     # autograd takes no inference tensors
        if layer is None:
            layer = _last_map(model, images)
        logits, maps = _forward(model, images, layer, gradients=False)
        if not logits.requires_grad:
            # The model switches gradients off around a frozen trunk, and back to what it was: start with on.
            logits, maps = _forward(model, images, layer, gradients=True)
        score = _score(logits, targets)
        with torch.enable_grad():
            gradient = torch.autograd.grad(score.sum(), maps, allow_unused=True)[0] if score.requires_grad else None
        if gradient is None:
            raise ValueError(f"The logits do not depend on layer {layer!r}, so it has no Grad-CAM.")
        alpha = gradient.float().mean(dim=(2, 3), keepdim=True)            # (N, K, 1, 1)
        cam = (alpha * maps.detach().float()).sum(dim=1, keepdim=True).relu()    # (N, 1, h, w)
        return F.interpolate(cam, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def feature_maps(model: nn.Module, images: Tensor) -> dict[str, tuple[int, int, int]]:
    """The layers that Grad-CAM can be asked for: name -> (channels, height, width), in the order in which they finish.

    Found by sending the first of `images` (N, C, H, W) through the model, which is left as it was. Maps of a single
    place (after global pooling) are left out: they can show nothing.
    """
    found: dict[str, tuple[int, int, int]] = {}
    me = threading.get_ident()
    handles = []

    def note(name: str) -> Any:
        def hook(module, inputs, output):
            is_map = isinstance(output, Tensor) and output.dim() == 4 and output[0, 0].numel() > 1
            if is_map and threading.get_ident() == me:
                found.pop(name, None)                  # used again: to the end
                found[name] = tuple(output.shape[1:])
        return hook

    with _left_alone(model, images):
        try:
            for name, module in model.named_modules():
                if name:
                    handles.append(module.register_forward_hook(note(name)))
            model(images[:1])
        finally:
            for handle in handles:
                handle.remove()
    return found


def _forward(model: nn.Module, images: Tensor, layer: str, gradients: bool) -> tuple[Tensor, Tensor]:
    """One forward pass: logits, and the layer's maps (N, K, h, w) as the leaf from which the rest was computed."""
    try:
        module = model.get_submodule(layer)
    except AttributeError:
        names = ", ".join(name for name, _ in model.named_modules() if name)
        raise KeyError(f"There is no layer {layer!r}. There are: {names}") from None
    me = threading.get_ident()
    captured: list[Tensor] = []

    def cut(module, inputs, output):
        if threading.get_ident() != me:                # the same model may be predicting for somebody else
            return None
        if not isinstance(output, Tensor) or output.dim() != 4:
            what = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise ValueError(f"Layer {layer!r} gives {what}; Grad-CAM needs maps of shape (N, C, h, w).")
        captured[:] = [output.detach().clone().requires_grad_()]
        torch.set_grad_enabled(True)                   # for what follows; switched back at the end of the pass
        return captured[0].clone()                     # the model may write into this one

    handle = module.register_forward_hook(cut)
    try:
        with torch.set_grad_enabled(gradients):
            logits = model(images)
    finally:
        handle.remove()
    if not captured:
        raise ValueError(f"Layer {layer!r} is not used in the forward pass, so it has no Grad-CAM.")
    if not isinstance(logits, Tensor) or logits.dim() not in (1, 2) or len(logits) != len(images):
        raise ValueError("Grad-CAM needs a model that returns logits of shape (N, K).")
    return logits, captured[0]


def _score(logits: Tensor, targets: Tensor) -> Tensor:
    """(N,): the logit of each image's own class."""
    logits = logits if logits.dim() == 2 else logits[:, None]
    targets = torch.as_tensor(targets)
    if targets.is_floating_point() or targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must be {len(logits)} whole numbers, one an image; "
                         f"got {targets.dtype} of shape {tuple(targets.shape)}.")
    if targets.numel() and not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
        raise ValueError(f"targets must lie between 0 and {logits.shape[1] - 1}, the classes of this model.")
    targets = targets.to(logits.device, torch.int64).clone()           # an argmax made in inference mode, too
    with torch.enable_grad():
        return logits.gather(1, targets[:, None])[:, 0]


def _last_map(model: nn.Module, images: Tensor) -> str:
    stages = getattr(model, "stages", None)
    if isinstance(stages, tuple) and stages and isinstance(stages[-1], str):
        return stages[-1]
    names = list(feature_maps(model, images))
    if not names:
        raise ValueError("This model has no layer that gives maps of shape (N, C, h, w).")
    return names[-1]


@contextmanager
def _left_alone(model: nn.Module, images: Tensor) -> Iterator[None]:
    """Eval mode, no gradients, no inference mode; afterwards the modes and the random state are as they were.

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
