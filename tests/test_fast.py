"""Quicker ways to the same numbers: against torch's own convolution in float64, and whole networks against themselves."""

from __future__ import annotations

import copy
import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.config import ModelConfig
from core.models import build_model, fast


@pytest.mark.parametrize("side, stride", [(2, 1), (4, 1), (3, 2), (7, 2), (8, 2), (5, 1), (7, 1), (13, 2)])
@pytest.mark.parametrize("last", [True, False])
def test_products_equal_the_convolution_and_its_gradients(side, stride, last):
    torch.manual_seed(side)
    order = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(3, 6, side, side).to(memory_format=order).requires_grad_()
    w = torch.randn(5, 6, 3, 3).to(memory_format=order).requires_grad_()
    y = fast._Products.apply(x, w, stride)
    exact = F.conv2d(x.double(), w.double(), stride=stride, padding=1)
    g = torch.randn_like(exact)
    torch.testing.assert_close(y.double(), exact, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(y, (x, w), g.float()), torch.autograd.grad(exact, (x, w), g)):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def step(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits and all gradients of a step in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    grads = torch.autograd.grad(F.cross_entropy(logits.float(), torch.arange(len(images)) % 2), list(model.parameters()))
    return logits.float().detach(), grads


def test_a_network_keeps_its_names_and_its_numbers():
    model = build_model(ModelConfig(name="resnet18"), classes=2, size=28, channels=1).train()
    model.to(memory_format=torch.channels_last)
    quick = fast.quicken(copy.deepcopy(model))
    assert sum(type(module) is fast.SmallConv2d for module in quick.modules()) == 11        # layer2 to layer4, all but the first
    assert list(quick.state_dict()) == list(model.state_dict())
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    full = copy.deepcopy(model)
    exact = torch.autograd.grad(F.cross_entropy(full(images), torch.arange(4) % 2), list(full.parameters()))
    (logits, grads), (plain_logits, plain) = step(quick, images), step(model, images)
    torch.testing.assert_close(logits, plain_logits, atol=0.05, rtol=0.05)
    # bfloat16 rounds: ours must be as near to float32 as torch's own bfloat16 is.
    off = [sum(float((a - b).square().sum()) for a, b in zip(found, exact)) ** 0.5 for found in (grads, plain)]
    assert off[0] < 1.2 * off[1]
    for (name, a), b in zip(quick.named_buffers(), model.buffers()):
        torch.testing.assert_close(a, b, atol=1e-2, rtol=2e-2, msg=name)
    assert torch.equal(quick.eval()(images), quick.to(memory_format=torch.channels_last)(images))
    model.load_state_dict(quick.state_dict())
    assert torch.equal(quick(images), model.eval()(images))                                 # evaluation is torch's own


def test_float32_is_torch_s_own_convolution(monkeypatch):
    conv = fast.quicken(nn.Sequential(nn.Conv2d(128, 128, 3, padding=1, bias=False)))
    assert type(conv[0]) is fast.SmallConv2d
    monkeypatch.setattr(fast._Products, "apply", None)                                      # whoever calls it fails
    maps = torch.randn(2, 128, 4, 4)
    assert torch.equal(conv(maps), F.conv2d(maps, conv[0].weight, padding=1))
    with pytest.raises(TypeError), torch.autocast("cpu", torch.bfloat16):
        conv(maps)


@pytest.mark.parametrize("change", [{"kernel_size": 1, "padding": 0}, {"padding": 0}, {"dilation": 2, "padding": 2},
                                    {"groups": 2}, {"bias": True}, {"padding_mode": "reflect"}, {"stride": (1, 2)},
                                    {"in_channels": 64}])
def test_other_convolutions_are_left_alone(change):
    options = {"in_channels": 128, "out_channels": 128, "kernel_size": 3, "padding": 1, "bias": False} | change
    assert type(fast.quicken(nn.Sequential(nn.Conv2d(**options)))[0]) is nn.Conv2d


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keep_freed_memory speaks to glibc")
def test_freed_memory_stays_with_the_process():
    """In a process of its own, because the setting lasts: large blocks soon cost no new pages."""
    code = """
import resource, torch
from core.models.fast import keep_freed_memory
def faults(turns=20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(turns):
        torch.empty(48 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
plain = faults()
keep_freed_memory()
faults()
print(plain, faults())
"""
    plain, kept = map(int, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                                          cwd=Path(__file__).parents[1]).stdout.split())
    assert plain > 20 * 12_000 and kept < plain / 4


def test_without_such_a_library_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError("no such library")))
    fast.keep_freed_memory()
