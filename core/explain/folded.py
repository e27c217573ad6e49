"""A network without gradients, made cheaper while it runs: batch norm, residual sum and ReLU go into the convolution.

A batch norm in eval mode is a straight line for each channel. After a convolution the two together are a convolution:

    y  = g (conv(x, W) + b - mean) / sqrt(var + eps) + beta             Ioffe and Szegedy, ICML 2015, algorithm 2
    W' = W g / sqrt(var + eps)                                          Jacob et al., CVPR 2018, section 3.2, eq. 14
    b' = (b - mean) g / sqrt(var + eps) + beta

oneDNN, which computes torch's convolutions on a CPU, can also add a map and apply a ReLU before it writes a number to memory.
What were four walks through megabytes is one then.

The network is not changed, copied or traced. Its own `forward` runs, and a TorchFunctionMode, of this thread only, sees each
function of torch that it calls. A convolution is not computed at once: it gives a `_Later`, a tensor with a shape and no
numbers. Batch norm, sum or ReLU of a `_Later` are noted in it. Everything else finds its numbers computed. So it does not
matter how a network is written, and what does not fit is computed as always.

Folded weights are kept as long as the network's own live: up to as much memory again as its convolutions take, for each of
float32 and bfloat16 that was used. They are made anew when a parameter or buffer was changed or replaced.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

FLOATS = {torch.float32, torch.bfloat16}
PROBED = 64                 # numbers of a tensor that are compared: what changes `weight.data` is not counted by its version
_KEPT = WeakTensorKeyDictionary()                                       # weight -> {dtype: (what it was made of, W', b')}


def can_fold(device: torch.device) -> bool:
    """Whether torch has oneDNN on this device."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class Folding(TorchFunctionMode):
    """While it is entered and gradients are off, the convolutions of this thread wait for what comes after them.

    A network that asks a tensor without numbers for its memory gets a RuntimeError, and has to be run without.
    """

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_grad_enabled():                                     # autograd keeps what it is given: numbers, then
            args, kwargs = _with_numbers((args, kwargs))
        elif function in _RULES and (later := _RULES[function](*args, **kwargs)) is not None:
            return later
        return function(*args, **kwargs)


class _Step(NamedTuple):
    """A convolution and what comes after it, in this order: batch norm, sum, ReLU."""

    reads: tuple[tuple[Tensor, int], ...]                               # the input, and what is added: each with its version
    weight: nn.Parameter
    bias: Tensor | None
    how: tuple                                                          # padding, stride, dilation, groups
    dtype: torch.dtype
    norm: tuple[Tensor | None, ...] = ()                                # mean, var, g, beta
    eps: float = 0.0
    relu: bool = False

    def compute(self) -> Tensor:
        if any(tensor._version != version for tensor, version in self.reads):
            raise RuntimeError("What a convolution was to read has been overwritten.")
        (x, *other), (weight, bias) = [tensor for tensor, _ in self.reads], _folded(self)
        x, relu = x.to(self.dtype), "relu" if self.relu else None
        if other:
            binary = torch.ops.mkldnn._convolution_pointwise.binary
            return binary(x, *other, weight, bias, *self.how, "add", 1.0, relu, [], None)
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *self.how, relu or "none", [], "")


class _Later(Tensor):
    """The result of a _Step, computed when somebody needs its numbers."""

    step: _Step
    result: Tensor | None

    @staticmethod
    def __new__(cls, step: _Step, shape: tuple[int, ...]) -> _Later:
        _, c, h, w = shape
        self = Tensor._make_wrapper_subclass(cls, shape, strides=(h * w * c, 1, w * c, c), dtype=step.dtype, device="cpu")
        self.step, self.result = step, None
        return self

    def then(self, inplace: bool, **more: Any) -> _Later:
        """With one thing more behind it: this tensor itself, or a new one."""
        step = self.step._replace(**more)
        if not inplace:
            return _Later(step, self.shape)
        self.step = step
        return self

    def numbers(self) -> Tensor:
        if self.result is None:
            self.result, self.step = self.step.compute(), None
        return self.result

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        args, kwargs = _with_numbers((args, kwargs or {}))
        return function(*args, **kwargs)


def _with_numbers(found: Any) -> Any:
    """The same arguments, with numbers where a _Later stands."""
    if isinstance(found, _Later):
        return found.numbers()
    if type(found) in (tuple, list):
        return type(found)(map(_with_numbers, found))
    return {key: _with_numbers(value) for key, value in found.items()} if type(found) is dict else found


# -------------------------------------------- what can wait: each rule gives a _Later, or None where torch is to do as always

def _conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> _Later | None:
    half = torch.is_autocast_enabled("cpu")
    dtype = torch.get_autocast_dtype("cpu") if half else x.dtype
    if (not isinstance(weight, nn.Parameter) or isinstance(padding, str) or x.device.type != "cpu" or x.dim() != 4
            or not {x.dtype, weight.dtype, dtype} <= FLOATS or not half and weight.dtype != dtype
            or x.shape[1] != weight.shape[1] * groups):
        return None
    how = tuple((v, v) if isinstance(v, int) else tuple(v) for v in (padding, stride, dilation))
    sides = [(side + 2 * pad - wide * (kernel - 1) - 1) // step + 1
             for side, kernel, pad, step, wide in zip(x.shape[2:], weight.shape[2:], *how)]
    if min(len(x), *sides) < 1:
        return None
    x = laid_out(x.numbers() if isinstance(x, _Later) else x)
    return _Later(_Step(((x, x._version),), weight, bias, (*how, groups), dtype), (len(x), len(weight), *sides))


def _batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5) -> _Later | None:
    if not _open(x) or x.step.norm or training or mean is None:
        return None
    return x.then(False, norm=(mean, var, weight, bias), eps=eps)


def _add(x, other, *, alpha=1, inplace=False) -> _Later | None:
    if not _open(x) and not inplace:
        x, other = other, x
    if not _open(x) or alpha != 1 or not isinstance(other, Tensor) or x is other:
        return None
    other = other.numbers() if isinstance(other, _Later) else other
    if (other.shape, other.stride(), other.dtype) != (x.shape, x.stride(), x.dtype):
        return None
    return x.then(inplace, reads=(*x.step.reads, (other, other._version)))


def _relu(x, inplace=False) -> _Later | None:
    return x.then(inplace, relu=True) if isinstance(x, _Later) and x.result is None else None


def _open(x: Any) -> bool:
    """Whether it still waits, with neither sum nor ReLU behind it."""
    return isinstance(x, _Later) and x.result is None and len(x.step.reads) == 1 and not x.step.relu


def _inplace(rule: Any) -> Any:
    return lambda *args, **kwargs: rule(*args, **kwargs, inplace=True)


_RULES = {F.conv2d: _conv, F.batch_norm: _batch_norm}
_RULES |= dict.fromkeys([F.relu, torch.relu, Tensor.relu], _relu) | dict.fromkeys([torch.relu_, Tensor.relu_], _inplace(_relu))
_RULES |= dict.fromkeys([torch.add, Tensor.add, Tensor.__add__], _add)
_RULES |= dict.fromkeys([Tensor.add_, Tensor.__iadd__], _inplace(_add))


# ------------------------------------------------------------------------------------------------------------ the weights

def _folded(step: _Step) -> tuple[Tensor, Tensor | None]:
    """W' as oneDNN reads it fastest, and b'; from memory, if all that they were made of is as it was."""
    parts = (step.weight, step.bias, *step.norm)
    state = [step.how, step.eps, *[part is not None and (id(part), part.data_ptr(), part._version) for part in parts]]
    kept = _KEPT.get(step.weight, {}).get(step.dtype)
    if kept and kept.state == state and torch.equal(torch.cat(kept.seen), kept.values):
        return kept.weight, kept.bias
    weight, bias, *norm = (None if part is None else part.detach().float() for part in parts)
    if norm:
        mean, var, g, beta = norm
        scale = (var + step.eps).rsqrt() * (1 if g is None else g)
        weight = weight * scale[:, None, None, None]
        bias = ((0 if bias is None else bias) - mean) * scale + (0 if beta is None else beta)
    weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
        weight.to(step.dtype).contiguous().to_mkldnn(), *step.how, step.reads[0][0].shape)
    bias = None if bias is None else bias.to(step.dtype)
    seen = [_some(part.detach()) for part in parts if part is not None]
    _KEPT.setdefault(step.weight, {})[step.dtype] = _Folded(state, parts[1:], seen, torch.cat(seen), weight, bias)
    return weight, bias


class _Folded(NamedTuple):
    state: list
    parts: tuple                # without the weight: while they are kept, no other tensor can have their id
    seen: list[Tensor]          # views of a few numbers of each part
    values: Tensor              # what they were
    weight: Tensor
    bias: Tensor | None


def _some(tensor: Tensor) -> Tensor:
    """A view of PROBED numbers or a few more, from all over a tensor."""
    step = max(1, tensor.numel() // PROBED)
    return tensor.as_strided(((tensor.numel() - 1) // step + 1,), (step,))


def laid_out(images: Tensor) -> Tensor:
    """The same images, on a CPU with the channels of a pixel side by side in memory: a tenth to a half of a pass is saved."""
    if images.device.type != "cpu":
        return images
    if images.shape[1] > 1:
        return images.contiguous(memory_format=torch.channels_last)
    n, c, height, width = images.shape             # one channel lies both ways at once; its strides must say which is meant
    return images.contiguous().as_strided((n, c, height, width), (height * width, 1, width, 1))
