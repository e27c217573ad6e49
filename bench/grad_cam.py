"""Grad-CAM's time for 1 and 32 images at 224 px, beside the grad-cam package and captum. `python -m bench.grad_cam`

All explain class 0 at the same layer of the same network with random weights, on all cores. `forward` is the plain
prediction without gradients in float32. Ours comes twice: in float32, and as page Errors asks for many images at once, with
bfloat16 up to the layer, where the processor has it. DenseNet's layer is denseblock4: all read it in the same state. The
methods take turns, and each figure is the median of the seconds that a person waits: what else runs on the machine slows all of
them. The last columns say how equal the maps of 32 images are: the largest difference from captum's, in percent of its peak.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torch.nn import functional as F

from bench.machine import line
from core.explain import METHODS, explain
from core.explain.passes import bfloat16_is_fast

LAYERS = {"resnet18": "layer4", "densenet121": "features.denseblock4", "squeezenet1_1": "features"}


def waited(works: list[Callable[[], object]], runs: int) -> list[float]:
    """Milliseconds from start to end of each work, the median of its runs after one that is not counted."""
    times = [[] for _ in works]
    for _ in range(runs + 1):
        for work, taken in zip(works, times):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return [1000 * statistics.median(taken[1:]) for taken in times]


def measure(name: str, layer: str, n: int, runs: int) -> tuple[list[float], list[float]]:
    """Milliseconds for `n` images of 3 x 224 x 224: plain forward, ours, ours with bfloat16, grad-cam, captum; and
    how far our first two are from captum's map, as shares of its peak."""
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).eval()
    images, targets = torch.rand(n, 3, 224, 224), torch.zeros(n, dtype=torch.int64)
    module = model.get_submodule(layer)

    def package():
        with GradCAM(model=model, target_layers=[module]) as cam:
            return cam(input_tensor=images, targets=[ClassifierOutputTarget(0)] * n)

    def captum():
        maps = LayerGradCam(model, module).attribute(images, target=targets, relu_attributions=True).detach()
        return F.interpolate(maps, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]

    def full():
        return explain("grad_cam", model, images, targets, layer)

    def half():
        return explain("grad_cam", model, images, targets, layer, half=True)

    expected = captum()
    off = [float((ours() - expected).abs().max() / expected.max().clamp_min(1e-12)) for ours in (full, half)]
    return waited([torch.no_grad()(lambda: model(images)), full, half, package, captum], runs), off


def others(runs: int) -> None:
    """One image of 224 px through ResNet-18 by each method."""
    model = torchvision.models.get_model("resnet18", weights=None).eval()
    image, target = torch.rand(1, 3, 224, 224), torch.tensor([0])
    print("\nall methods, one image, ResNet-18, layer4, seconds")
    for key, method in METHODS.items():
        def work(key=key):
            return explain(key, model, image, target, "layer4")
        print(f"  {method.title:25}{waited([work], 1 if method.many else runs)[0] / 1000:8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=LAYERS, help="one network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(line())
    print(f"{options.threads} threads, 224 px, milliseconds, median of {options.runs}; "
          f"bfloat16 {'is' if bfloat16_is_fast(torch.device('cpu')) else 'is not'} in the processor")
    print(f"{'network':15}{'images':>7}{'forward':>9}{'ours':>8}{'bfloat16':>10}{'grad-cam':>10}{'captum':>8}"
          f"{'grad-cam/ours':>15}{'captum/ours':>14}{'differs by':>14}")
    for name, layer in LAYERS.items():
        for n in (1, 32):
            if options.only in (None, name):
                (forward, ours, half, package, captum), (off, off_half) = measure(name, layer, n, options.runs)
                print(f"{name:15}{n:7d}{forward:9.0f}{ours:8.0f}{half:10.0f}{package:10.0f}{captum:8.0f}"
                      f"{f'{package / ours:.1f}, {package / half:.1f}':>15}{f'{captum / ours:.1f}, {captum / half:.1f}':>14}"
                      f"{f'{100 * off:.3f}, {100 * off_half:.1f} %':>14}", flush=True)
    if options.only in (None, "resnet18"):
        others(options.runs)


if __name__ == "__main__":
    main()
