"""Explanations by the gradient with respect to the pixels themselves: fine detail, no layer.

Arguments as in core.explain.gradcam; `layer` is not used. Both return signed maps, the channels of a colour
image added up.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.explain.passes import Progress, channels_last, in_batches, score, without_trace

STEPS = 32                 # points of the path of `integrated_gradients`


def integrated_gradients(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
                         against: Tensor | None = None, progress: Progress | None = None, steps: int = STEPS) -> Tensor:
    """Return integrated gradients: what each pixel adds to the logit on the way from a black image to this one.

        L_i = (x_i - b_i) * mean_m  dy / dx_i at b + (m - 1/2) / M (x - b),   m = 1 .. M      (eq. 1, by the midpoint rule)

    with b = 0, black. The map adds up to y(x) - y(b), up to the error of the rule. (N, H, W) in logits,
    signed.
    Sundararajan et al., ICML 2017, https://arxiv.org/abs/1703.01365
    """
    with without_trace(model, images):
        maps = torch.zeros_like(images)
        path = (torch.arange(steps, device=images.device) + 0.5) / steps
        for i, part in in_batches(len(images), steps, progress):
            batch = path[part, None, None, None] * images[i]
            maps[i] += images[i] * _gradient(model, batch, *_repeated(i, len(batch), targets, against)).sum(dim=0) / steps
        return maps.sum(dim=1)


def guided_backprop(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None, *,
                    against: Tensor | None = None) -> Tensor:
    """Return guided backpropagation: the gradient at the pixels, of which each ReLU passes only the positive part.

        R_in = R_out * [x > 0] * [R_out > 0]       (fig. 1, "guided")

    (N, H, W) in logits per brightness from black to white, signed. It shows edges more than the class:
    the weights can be random and it looks the same (Adebayo et al., NeurIPS 2018).
    Springenberg et al., ICLR Workshop 2015, https://arxiv.org/abs/1412.6806
    """
    with without_trace(model, images), _GuidedReLUs():
        return _gradient(model, images, targets, against).sum(dim=1)


def _gradient(model: nn.Module, images: Tensor, targets: Tensor, against: Tensor | None) -> Tensor:
    """dy/dx (N, C, H, W) float32."""
    with torch.enable_grad():
        images = channels_last(images.detach()).requires_grad_()
        y = score(model(images.clone()), targets, against)               # the model may write into its input
        if not y.requires_grad:
            raise ValueError("The logits have no gradient at the image, so it has no map.")
        return torch.autograd.grad(y.sum(), images)[0].float()


def _repeated(i: int, n: int, *classes: Tensor | None) -> list[Tensor | None]:
    return [None if c is None else torch.as_tensor(c)[i].expand(n) for c in classes]


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        y = x.clamp_min(0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        y, = ctx.saved_tensors
        return gradient.clamp_min(0) * (y > 0)


class _GuidedReLUs(TorchFunctionMode):
    """Inside, every ReLU is a guided one, module or function, in this thread only; the model is not touched."""

    RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return _GuidedReLU.apply(args[0]) if function in self.RELUS else function(*args, **(kwargs or {}))
