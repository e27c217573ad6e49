"""What makes a training step cheaper on a CPU, with the same numbers. Both were measured (bench/training.py) and are worth it:

    keep_freed_memory   the process keeps the memory of one step for the next: up to 30 % of a step, for some networks nothing
    quicken             small 3x3 convolutions in bfloat16 as matrix products: a tenth of a step of ResNet-18 at 28 px

What was tried and gained nothing there: torch.compile (two to six minutes for 0 %), foreach optimisers, 1x1 convolutions as
products.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 7        # pixels a side of the largest map whose weight gradient is quicker as a product
TINY = 4         # and of the largest where all three are

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3        # of mallopt(3)


def keep_freed_memory() -> None:
    """Let the C library reuse freed memory instead of giving it back to the system; elsewhere than on Linux nothing happens.

    The maps of a step are megabytes each. By default each goes back when it is freed, and is fetched again page by page in the
    next step: the system must clear 4 KB at a time, and on a virtual machine that is dear.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_MMAP_THRESHOLD, 2**30) or mallopt(_M_MMAP_THRESHOLD, 2**25)       # older libraries allow no more than 32 MB


def quicken(network: nn.Module) -> nn.Module:
    """Let the 3x3 convolutions of a network use matrix products where that is quicker: in bfloat16, on a CPU, while it trains.

    The network stays the same for everything else: parameters, their names, hooks, evaluation. Returns it.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _fits(module):
            module.__class__ = SmallConv2d
    return network


def _fits(conv: nn.Conv2d) -> bool:
    return (conv.kernel_size == (3, 3) and conv.padding == (1, 1) and conv.dilation == (1, 1) and conv.groups == 1
            and conv.stride in ((1, 1), (2, 2)) and conv.bias is None and conv.padding_mode == "zeros"
            and min(conv.in_channels, conv.out_channels) >= 128)


class SmallConv2d(nn.Conv2d):
    """A 3x3 convolution that becomes matrix products where its output is small enough."""

    def forward(self, maps: Tensor) -> Tensor:
        quick = (self.training and maps.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")
                 and torch.get_autocast_dtype("cpu") == torch.bfloat16 and max(maps.shape[2:]) <= SMALL * self.stride[0])
        return _Products.apply(maps, self.weight, self.stride[0]) if quick else super().forward(maps)


class _Products(torch.autograd.Function):
    """y = windows(x) w, with the windows (N H' W', 9 C) gathered once for y and once for the gradient of w."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)
    def forward(ctx, x: Tensor, w: Tensor, stride: int) -> Tensor:
        x, w = (t.contiguous(memory_format=torch.channels_last) for t in (x, w))
        ctx.save_for_backward(x, w)
        ctx.stride = stride
        return _product(x, w, stride) if -(-x.shape[2] // stride) <= TINY else F.conv2d(x, w, stride=stride, padding=1)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, g: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (x, w), stride = ctx.saved_tensors, ctx.stride
        g = g.contiguous(memory_format=torch.channels_last)
        dx = None
        if ctx.needs_input_grad[0] and stride == 1 and g.shape[2] <= TINY:
            dx = _product(g, w.transpose(0, 1).flip(2, 3), 1)                    # the kernel turned round and seen from behind
        elif ctx.needs_input_grad[0]:
            dx = torch.ops.aten.convolution_backward(g, x, w, None, [stride] * 2, [1, 1], [1, 1], False, [0, 0], 1,
                                                     [True, False, False])[0]
        rows = g.permute(0, 2, 3, 1).flatten(0, 2)
        dw = (rows.T @ _windows(x, stride)).view(w.shape[0], 3, 3, w.shape[1]).permute(0, 3, 1, 2)
        return dx, dw, None


def _windows(x: Tensor, stride: int) -> Tensor:
    """(N, C, H, W) -> (N H' W', 9 C): of each pixel of the output its 3x3 pixels in the input, zero beyond the edge."""
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))                         # (N, H + 2, W + 2, C)
    n, height, width, c = x.shape
    # Three neighbours in a row and their channels already lie side by side: three copies of 3 C numbers make a window.
    windows = x.as_strided((n, (height - 3) // stride + 1, (width - 3) // stride + 1, 3, 3 * c),
                           (height * width * c, stride * width * c, stride * c, width * c, 1))
    return windows.flatten(3).flatten(0, 2)


def _product(x: Tensor, w: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, C, H, W) with w (O, C, 3, 3), padding 1."""
    n, side = x.shape[0], [-(-s // stride) for s in x.shape[2:]]
    y = _windows(x, stride) @ w.permute(0, 2, 3, 1).flatten(1).T                 # (N H' W', O)
    return y.view(n, *side, -1).permute(0, 3, 1, 2)
